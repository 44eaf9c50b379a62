"""MixText and the mixup family for text: semi-supervised classification from few labels.

    from mixtext import Corpus, MixTextClassifier, Recipe, load, train

Importing the package loads none of this: each name is fetched when it is asked for.
"""

import os
from typing import TYPE_CHECKING, Any

from mixtext.registration import register

if TYPE_CHECKING:
    from mixtext.api import load, train
    from mixtext.data.corpus import Corpus
    from mixtext.estimator import MixTextClassifier
    from mixtext.recipe import Recipe

__version__ = "0.1.0"  # pyproject.toml takes it from here
__all__ = ["Corpus", "MixTextClassifier", "Recipe", "__version__", "load", "train"]

_HOMES = {
    "Corpus": "mixtext.data.corpus",
    "MixTextClassifier": "mixtext.estimator",
    "Recipe": "mixtext.recipe",
    "load": "mixtext.api",
    "train": "mixtext.api",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'mixtext' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# Threads of torch that wait spin for their turn. By default they do so for long, and where another
# program wants the cores too, all take ten times as long. libgomp reads this as torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

register()
