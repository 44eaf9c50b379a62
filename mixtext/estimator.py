"""MixText in scikit-learn's way: `fit`, `predict`, `clone`, `cross_val_score`, pipelines, pickle.

from mixtext import MixTextClassifier

model = MixTextClassifier(encoder="minilm").fit(texts, labels, unlabelled=more_texts)
model.predict(["some text"])
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from mixtext.data.columns import column, texts
from mixtext.data.corpus import Corpus
from mixtext.data.labels import listing, plain_label
from mixtext.data.read.options import MISSING_LABELS
from mixtext.data.templates import USUAL, says_something
from mixtext.errors import InputError
from mixtext.inference import load
from mixtext.presets import fitting_preset
from mixtext.recipe import Recipe, make_recipe
from mixtext.run import train_classifier

NEVER = 10**9  # steps: no training is as long


class BadInput(InputError, ValueError):
    """Bad input, as the project and as scikit-learn raise it."""


class MixTextClassifier(ClassifierMixin, BaseEstimator):
    """A classifier of texts that learns from rows without a label too.

    `X` is a column of N texts: a list, an array, a pandas Series, a column of `datasets`, or a
    table with one column or one named `text`. `y` has N classes, of which None, NaN, -1 and ""
    stand for no label; such rows, and the texts of `unlabelled`, are the unlabelled pool. So a
    class cannot be the number -1: give it a name.

    `cross_val_score` and `GridSearchCV` score the rows that have a label. Further texts go to
    every fold with `params={"unlabelled": more_texts}`, unless they are exactly as many as `X`:
    then scikit-learn takes them for a column beside it, and cuts them alike. Their own folds,
    which are stratified, stumble over None and NaN: give them -1 or "", or `cv=KFold(5)`. A field
    of a recipe is varied as `settings__training.batch`.

    Args:
        method: its name, see `mixtext methods`; `auto`: `mixtext` where there are unlabelled
            rows, else `supervised`.
        encoder: as `model.encoder` in a recipe.
        max_length: longest text in tokens; the rest is cut off.
        steps: length of the training; 0: by the labelled rows, as `training.steps` says.
        preset: what a recipe begins with, see `mixtext.presets`; `auto`: what fits `y`; "":
            nothing.
        settings: any other field of a recipe by its name, such as
            `{"mixtext.temperature": 0.3, "training.batch": 16}`. Every labelled row is learned
            from and the last weights are kept, unless `data.dev_share` sets some aside to choose
            the weights by. Classes whose names are words are said in texts that are learned too,
            as in new recipes, unless `data.templates` is given.
        random_state: an int gives the same weights in every fit; else as scikit-learn has it.
        verbose: print plan and progress.

    Attributes:
        classes_: the C classes, sorted, of the type of `y`.
        recipe_: the whole recipe that was trained.
        predictor_: the trained model, see `mixtext.inference.Predictor`.
    """

    def __init__(
        self,
        method: str = "auto",
        encoder: str = "minilm",
        max_length: int = 64,
        steps: int = 0,
        preset: str = "auto",
        settings: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = 0,
        verbose: bool = False,
    ) -> None:
        self.method = method
        self.encoder = encoder
        self.max_length = max_length
        self.steps = steps
        self.preset = preset
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    def set_params(self, **params: Any) -> "MixTextClassifier":
        """As scikit-learn has it; `settings__training.batch=16` sets that field of `settings`."""
        start = "settings__"
        fields = {x.removeprefix(start): params.pop(x) for x in [*params] if x.startswith(start)}
        super().set_params(**params)
        if fields:
            self.settings = {**(self.settings or {}), **fields}
        return self

    def fit(
        self, X: Iterable[str], y: Iterable[Any], unlabelled: Iterable[str] | None = None
    ) -> "MixTextClassifier":
        """Trains on N texts and their labels, and on further texts without.

        Raises:
            BadInput: texts, labels or settings that cannot be trained on.
            Diverged: the loss is no number any more.
        """
        with _bad_input():
            if y is None:
                raise InputError(
                    "MixTextClassifier requires y to be passed, but the target y is None: give a "
                    "class a row."
                )
            rows, labels = texts(X, "X"), column(y, "y", "label")
            plain = [plain_label(x) for x in labels]
            for row, label in enumerate(plain):  # complex ones scikit-learn refuses, as it checks
                if not (label is None or isinstance(label, str | int | float | complex)):
                    raise InputError(
                        f"row {row} of y is {label!r}, not a class (rows count from 0): give its "
                        "name, a whole number, or None."
                    )
            known = np.array([x is not None for x in plain], dtype=bool)
            told = np.asarray([x for x, there in zip(labels, known, strict=True) if there])
            check_classification_targets(told)
            classes, numbers = np.unique(told, return_inverse=True)
            names = [str(plain_label(x)) for x in classes.tolist()]
            if len(names) < 2:
                raise InputError(
                    f"y has {len(names)} class(es) ({listing(names) or 'no labels at all'}), "
                    'where None, NaN, -1 and "" stand for no label: a classifier needs two classes.'
                )
            spelt = [x for x in names if x in MISSING_LABELS]
            if spelt and names != ["-1", "1"]:
                warnings.warn(
                    f"y has the class {listing(spelt)}, a string: if it stands for no label, give "
                    "None.",
                    stacklevel=2,
                )
            codes = np.full(len(labels), -1)
            codes[known] = numbers
            more = [] if unlabelled is None else texts(unlabelled, "unlabelled")
            corpus = Corpus.from_lists(
                rows + more, [*codes, *[-1] * len(more)] if len(rows) == len(codes) else codes,
                label_names=names, name="X",
            )  # fmt: skip
            recipe = self._recipe(
                names, fitting_preset(numbers), pool=bool(more) or not known.all()
            )
            with TemporaryDirectory(prefix="mixtext-") as folder:
                run = Path(folder) / "run"
                train_classifier(recipe, run, corpus, quiet=not self.verbose)
                predictor = load(run, recipe.training.device)
        self.classes_, self.recipe_, self.predictor_ = classes, recipe, predictor
        return self

    def predict_proba(self, X: Iterable[str]) -> np.ndarray:
        """Probability of every class, `(N, C)` float32, columns as `classes_`."""
        check_is_fitted(self)
        with _bad_input():
            probabilities: np.ndarray = self.predictor_.probabilities(texts(X, "X"))
        return probabilities

    def predict(self, X: Iterable[str]) -> np.ndarray:
        """The most probable class of every text, `(N,)`."""
        probabilities = self.predict_proba(X)
        chosen: np.ndarray = self.classes_[probabilities.argmax(axis=1)]
        return chosen

    def score(
        self, X: Iterable[str], y: Iterable[Any], sample_weight: np.ndarray | None = None
    ) -> float:
        """Accuracy over the rows that have a label.

        Raises:
            BadInput: no row has one.
        """
        with _bad_input():
            rows, labels = texts(X, "X"), column(y, "y", "label")
            if len(rows) != len(labels):
                raise InputError(f"X has {len(rows)} rows but y {len(labels)}: give one a row.")
            there = [i for i, label in enumerate(labels) if plain_label(label) is not None]
            if not there:
                raise InputError("y has no label at all to score by: give some.")
            if sample_weight is not None and len(sample_weight) != len(rows):
                raise InputError(
                    f"X has {len(rows)} rows but sample_weight {len(sample_weight)}: give one a "
                    "row."
                )
        weights = None if sample_weight is None else np.asarray(sample_weight)[there]
        right = super().score([rows[i] for i in there], [labels[i] for i in there], weights)
        return float(right)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def _recipe(self, names: Sequence[str], fitting: str, pool: bool) -> Recipe:
        """The recipe of a fit.

        Args:
            names: of the classes.
            fitting: the preset for `auto`.
            pool: whether there are rows without a label.
        """
        method = ("mixtext" if pool else "supervised") if self.method == "auto" else self.method
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31)
        values: dict[str, Any] = {
            "data": {
                "labels_per_class": 0,
                "templates": USUAL if all(map(says_something, names)) else (),
                "split_seed": seed,
            },
            "model": {"encoder": self.encoder, "max_length": self.max_length},
            "training": {"seed": seed, "steps": self.steps},
        }
        mine = {"model.encoder": "encoder", "model.max_length": "max_length"}
        mine |= {"training.steps": "steps", "training.seed": "random_state"}
        mine |= {"method": "method", "data.split_seed": "random_state"}
        settings = self.settings or {}
        if not isinstance(settings, Mapping):
            raise InputError(
                f"settings is {settings!r}: give a dict of fields, such as "
                "{'training.batch': 16}."
            )
        for name, value in settings.items():
            table, dot, field = str(name).partition(".")
            if name in mine:
                raise InputError(f"settings holds {name!r}: give it as {mine[name]} instead.")
            if not dot:
                raise InputError(f"settings holds {name!r}: name fields as 'table.field'.")
            values.setdefault(table, {})[field] = value
        if not values["data"].keys() & {"dev_share", "dev_per_class"}:
            values["training"].setdefault("evaluate_every", NEVER)  # nothing to evaluate on the way
        values |= {"name": "fit", "method": method}
        if preset := fitting if self.preset == "auto" else self.preset:
            values["preset"] = preset
        recipe = make_recipe(values, where="MixTextClassifier")
        if recipe.method.unlabelled and not pool:
            raise InputError(
                f"method is {recipe.method.name!r}, which learns from texts without a label, but "
                "every row has one: give fit(X, y, unlabelled=…), or method 'auto'."
            )
        return recipe


@contextmanager
def _bad_input() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise BadInput(str(error)) from None
