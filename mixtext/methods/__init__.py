"""The methods by name. Each is one file; read it beside its paper."""

from mixtext.methods.base import Method
from mixtext.methods.mixtext import MixText
from mixtext.methods.supervised import Supervised
from mixtext.methods.tmix import TMix

METHODS: dict[str, type[Method]] = {m.name: m for m in (Supervised, TMix, MixText)}
