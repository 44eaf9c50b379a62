"""Makes the models of model folders known to transformers, as soon as transformers is there.

`import mixtext` must not wait for transformers to load. So where it is loaded already, its
automatic classes are told at once; else when they load. Without this, and without the modelling
code that a folder brings along being allowed, such a folder is refused.
"""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType


def _register_config() -> None:
    from transformers import AutoConfig

    from mixtext.models.configuration_mixtext import MixTextConfig

    AutoConfig.register(MixTextConfig.model_type, MixTextConfig, exist_ok=True)


def _register_models() -> None:
    from transformers import (
        AutoModel,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
    )

    from mixtext.models import modeling_mixtext as ours

    config = ours.MixTextConfig
    AutoModel.register(config, ours.MixTextModel, exist_ok=True)
    AutoModelForSequenceClassification.register(
        config, ours.MixTextForSequenceClassification, exist_ok=True
    )
    AutoModelForTokenClassification.register(
        config, ours.MixTextForTokenClassification, exist_ok=True
    )


AFTER: dict[str, Callable[[], None]] = {
    "transformers.models.auto.configuration_auto": _register_config,
    "transformers.models.auto.modeling_auto": _register_models,
}


class _After:
    """A finder of modules that has something done when one of `AFTER` has been loaded."""

    def __init__(self) -> None:
        self.busy: set[str] = set()

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in AFTER or name in self.busy:
            return None
        self.busy.add(name)
        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_do(module: ModuleType) -> None:
            load(module)
            AFTER[name]()

        spec.loader.exec_module = load_and_do  # type: ignore[method-assign]
        return spec


def register() -> None:
    """Registers the configuration and the models, now or when transformers loads them."""
    waiting = [name for name in AFTER if name not in sys.modules]
    for name in AFTER:
        if name not in waiting:
            AFTER[name]()
    if waiting:
        sys.meta_path.insert(0, _After())
