"""The methods by name. Each is one file; read it beside its paper."""

from mixtext.methods.base import Method
from mixtext.methods.embed_mix import EmbedMix
from mixtext.methods.manifold_mixup import ManifoldMixup
from mixtext.methods.mixtext import MixText
from mixtext.methods.mixup import Mixup
from mixtext.methods.mixup_transformer import MixupTransformer
from mixtext.methods.sentence_mixup import SentenceMixup
from mixtext.methods.ssmix import SSMix
from mixtext.methods.supervised import Supervised
from mixtext.methods.tmix import TMix
from mixtext.methods.unk_mix import UnkMix
from mixtext.methods.word_mixup import WordMixup

_ALL = (
    Supervised,
    Mixup,
    WordMixup,
    SentenceMixup,
    ManifoldMixup,
    MixupTransformer,
    TMix,
    MixText,
    SSMix,
    EmbedMix,
    UnkMix,
)
METHODS: dict[str, type[Method]] = {method.name: method for method in _ALL}
