"""MixTextClassifier keeps scikit-learn's contract, and takes columns of every kind."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator

from mixtext import MixTextClassifier
from mixtext.data.corpus import Corpus
from mixtext.data.templates import USUAL
from mixtext.errors import InputError
from mixtext.presets import PRESETS

SMALL = {
    "model.embedding": "RandomTune",
    "model.word_width": 16,
    "model.head_width": 8,
    "mixtext.layers": [1],
    "tmix.layers": [1],
    "training.batch": 4,
    "training.batch_unlabelled": 4,
    "training.lr_encoder": 1e-3,
    "training.lr_head": 1e-2,
    "training.precision": "float32",
    "training.device": "cpu",
}


@pytest.fixture
def small():
    """Parameters → a classifier of few and small steps."""

    def make(**parameters):
        settings = SMALL | parameters.pop("settings", {})
        parameters = {"encoder": "kim_cnn", "max_length": 12, "steps": 2} | parameters
        return MixTextClassifier(settings=settings, **parameters)

    return make


@pytest.fixture
def rows(draw_texts):
    return draw_texts(4)


def test_it_learns_and_answers_in_the_classes_of_y(small, rows):
    texts, labels = rows
    model = small(method="supervised", steps=40).fit(texts, labels)
    assert model.classes_.tolist() == sorted({*labels})
    probabilities = model.predict_proba(texts)
    assert probabilities.shape == (12, 3) and np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert (model.predict(texts) == model.classes_[probabilities.argmax(1)]).all()
    assert model.score(texts, labels) == (model.predict(texts) == labels).mean() > 0.8


@pytest.mark.parametrize(("words", "said"), [(["tame", "wild", "odd"], True), ("xyz", False)])
def test_it_begins_as_new_recipes_do(words, said, small, rows):
    texts, names = rows
    code = dict(zip(sorted({*names}), words, strict=True))
    labels = [code[x] if n < 9 else None for n, x in enumerate(names)]
    model = small().fit(texts, labels)
    usual = PRESETS["few_labels"]["mixtext"]
    for field in ("contrast_passes", "cluster", "teacher", "align"):
        assert getattr(model.recipe_.method, field) == usual[field]
    assert model.recipe_.data.templates == (USUAL if said else ())
    lone = [words[0] if i < 8 else words[1] if i == 8 else None for i in range(12)]
    assert not small().fit(texts, lone).recipe_.method.contrast_passes
    bare = small(preset="", settings={"data.templates": []}).fit(texts, labels)
    assert not bare.recipe_.method.contrast_passes and not bare.recipe_.data.templates


@pytest.mark.parametrize(
    ("classes", "missing"),
    [
        (["x", "y", "z"], None),
        (["x", "y", "z"], ""),
        (["x", "y", "z"], float("nan")),
        ([7, 5, 30], -1),
        ([0.0, 1.0, 2.0], float("nan")),
        ([7, 5, 30], None),
    ],
)
def test_rows_without_a_label_are_the_pool(classes, missing, small, rows):
    texts, names = rows
    code = dict(zip(sorted({*names}), classes, strict=True))
    labels = [code[x] if n < 9 else missing for n, x in enumerate(names)]
    model = small().fit(texts, labels)
    assert model.classes_.tolist() == sorted(classes)
    assert model.recipe_.method.name == "mixtext"
    assert {*model.predict(texts).tolist()} <= {*classes}
    # The same rows by another way, and told apart from none at all.
    again = small().fit(texts[:9], labels[:9], unlabelled=texts[9:])
    assert (again.predict_proba(texts) == model.predict_proba(texts)).all()
    plain = small().fit(texts[:9], labels[:9])
    assert plain.recipe_.method.name == "supervised"
    assert (plain.predict_proba(texts) != model.predict_proba(texts)).any()
    # Only what has a label is scored.
    assert model.score(texts, labels) == model.score(texts[:9], labels[:9])
    assert model.score(texts, labels, [1] * 9 + [5] * 3) == model.score(texts[:9], labels[:9])


def test_parameters_clone_and_pickle(small, rows):
    model = small(random_state=3, settings={"mixtext.temperature": 0.7})
    assert model.get_params()["settings"]["mixtext.temperature"] == 0.7
    copy = clone(model)
    assert copy.get_params() == model.get_params() and not hasattr(copy, "classes_")
    assert copy.set_params(steps=1).steps == 1
    with pytest.raises(NotFittedError):
        model.predict(["a"])
    texts, labels = rows
    model.fit(texts, labels, unlabelled=["the new cat"])
    wanted = model.predict_proba(texts)
    assert (pickle.loads(pickle.dumps(model)).predict_proba(texts) == wanted).all()
    again = clone(model).fit(texts, labels, unlabelled=["the new cat"])
    assert (again.predict_proba(texts) == wanted).all()
    other = clone(model).set_params(random_state=4).fit(texts, labels, unlabelled=["the new cat"])
    assert (other.predict_proba(texts) != wanted).any()
    drawn = clone(model).set_params(random_state=np.random.RandomState(0)).fit(texts, labels)
    assert drawn.recipe_.training.seed == np.random.RandomState(0).randint(2**31)


def test_a_transformer_is_pickled_too(small, encoder, rows):
    layers = {"tmix.layers": [7], "model.embedding": "PretrainTune", "model.word_width": 300}
    model = small(encoder=encoder, steps=1, settings=layers).fit(*rows)
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict_proba(rows[0]) == model.predict_proba(rows[0])).all()


def test_folds_grids_and_pipelines(small, rows):
    texts, labels = rows
    model = small(steps=1)
    scores = cross_val_score(model, texts, labels, cv=2, params={"unlabelled": ["a cat", "bread"]})
    assert scores.shape == (2,) and np.isfinite(scores).all()
    grid = GridSearchCV(model, {"method": ["supervised", "tmix"]}, cv=2).fit(texts, labels)
    assert grid.best_params_["method"] in ("supervised", "tmix")
    assert len(grid.cv_results_["params"]) == 2 and grid.predict(texts).shape == (12,)
    coded = np.unique(labels, return_inverse=True)[1]
    coded[:3] = -1
    assert np.isfinite(cross_val_score(model, np.array(texts), coded, cv=2)).all()
    lower = FunctionTransformer(lambda rows: [x.lower() for x in rows])
    assert make_pipeline(lower, model).fit(texts, labels).predict(texts[:2]).shape == (2,)


def test_a_grid_varies_a_field_of_the_recipe(small, rows):
    grid = {"settings__training.batch": [2, 3]}
    model = small(method="supervised", steps=1)
    best = GridSearchCV(model, grid, cv=2).fit(*rows).best_estimator_
    assert best.settings == SMALL | {"training.batch": best.recipe_.training.batch}
    assert best.recipe_.training.batch in (2, 3) and model.settings == SMALL
    piped = make_pipeline(small()).set_params(mixtextclassifier__settings__training=1)
    assert "'table.field'" in refusal(piped.fit, *rows)


def test_folds_of_rows_without_a_label(small, rows):
    texts, names = rows
    labels = np.array([name if n % 4 else None for n, name in enumerate(names)], object)
    assert np.isfinite(cross_val_score(small(), texts, labels, cv=KFold(2))).all()
    blank = ["" if x is None else x for x in labels]
    assert np.isfinite(cross_val_score(small(), texts, blank, cv=2)).all()


def test_strings_that_spell_a_missing_label_are_warned_of(small, rows):
    texts, names = rows
    labels = np.array([name if n % 4 else np.nan for n, name in enumerate(names)])  # of strings
    with pytest.warns(UserWarning, match="the class 'nan', a string"):
        small().fit(texts, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        small().fit(texts, ["-1", "1"] * 6)
        assert small().fit(texts, [np.bool_(n % 2) for n in range(12)]).classes_.tolist() == [0, 1]


def test_some_rows_can_choose_the_weights(small, draw_texts):
    texts, labels = draw_texts(6)
    model = small(settings={"data.dev_per_class": 2, "training.evaluate_every": 1})
    assert model.fit(texts, labels).recipe_.data.dev_per_class == 2


# ---- columns of every kind


def columns(texts, labels):
    """Kind → texts and labels in it; those of packages that are not there are left out."""
    found = {
        "tuples": (tuple(texts), tuple(labels)),
        "arrays": (np.array(texts), np.array(labels)),
        "objects": (np.array(texts, object), np.array(labels, object)),
        "one column": (np.array(texts, object)[:, None], np.array(labels)),
        "dict": ({"text": texts, "other": labels}, {"label": labels, "other": texts}),
    }
    try:
        import pandas as pd
    except ImportError:
        pass
    else:
        index = range(100, 100 + len(texts))  # not by position
        table = pd.DataFrame({"text": texts, "label": labels}, index=index)
        found["Series"] = (table["text"], table["label"])
        found["categories"] = (table["text"].astype("string"), table["label"].astype("category"))
        found["DataFrame"] = (table[["text"]], table["label"])
    try:
        from datasets import Dataset
    except ImportError:
        pass
    else:
        data = Dataset.from_dict({"text": texts, "label": labels})
        found["Dataset"] = (data, data["label"])
        found["Dataset twice"] = (data, data)
    return found


def test_every_kind_of_column_is_the_same_to_all(small, rows):
    texts, labels = rows
    model = small(method="supervised", steps=1).fit(texts, labels)
    wanted, corpus = model.predict_proba(texts), Corpus.from_lists(texts, labels)
    for kind, (these, those) in columns(texts, labels).items():
        assert Corpus.from_lists(these, those).checksum() == corpus.checksum(), kind
        assert (model.predictor_.probabilities(these) == wanted).all(), kind
        assert model.score(these, those) == model.score(texts, labels), kind
        again = small(method="supervised", steps=1).fit(these, those)
        assert again.classes_.tolist() == model.classes_.tolist(), kind
        assert (again.predict_proba(these) == wanted).all(), kind


def test_gaps_of_pandas_are_missing_labels(small, rows):
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    texts, _ = rows
    for gaps in (
        pd.Series([1, 2, None] * 4),
        pd.Series([1, 2, None] * 4, dtype="Int64"),
        pd.Series(["1", "2", None] * 4, dtype="string"),
    ):
        corpus = Corpus.from_lists(texts, gaps)
        assert corpus.label_names == ["1", "2"] and corpus.labels.tolist() == [0, 1, -1] * 4
        assert small(steps=1).fit(texts, gaps).recipe_.method.name == "mixtext"


def test_a_lone_string_is_one_text(small, rows):
    model = small(method="supervised", steps=1).fit(*rows)
    assert len(model.predict("the cat")) == len(model.predictor_.predict("the cat")) == 1
    assert Corpus.from_lists("the cat").texts == ["the cat"]
    assert (model.predict_proba("the cat") == model.predict_proba(["the cat"])).all()


def refusal(call, *arguments, **named):
    """What is raised, as the project and as scikit-learn want it."""
    with pytest.raises(InputError) as error:
        call(*arguments, **named)
    assert isinstance(error.value, ValueError)
    return str(error.value)


def test_bad_input_is_one_sentence(small, rows):
    texts, labels = rows
    fit = small().fit
    assert "row 1 of X is None" in refusal(fit, ["a", None], ["x", "y"])
    assert "12 texts but 11 labels" in refusal(fit, texts, labels[:-1])
    assert "row 0 of unlabelled is 3" in refusal(fit, texts, labels, [3])
    assert "2 row(s)" in refusal(fit, [" ", "", "a"], ["x", "y", "y"])
    assert "target y is None" in refusal(fit, texts, None)
    assert "1 class(es) ('1')" in refusal(fit, texts, [1, -1] * 6)
    assert "0 class(es) (no labels at all)" in refusal(fit, texts, [None] * 12)
    table = {"title": texts, "body": texts}
    assert "the columns 'title', 'body'" in refusal(fit, table, labels)
    assert "shape (2, 2)" in refusal(fit, np.array([["a", "b"]] * 2), ["x", "y"])
    assert "unlabelled=…" in refusal(small(method="mixtext").fit, texts, labels)
    assert "give it as steps" in refusal(small(settings={"training.steps": 3}).fit, texts, labels)
    assert "'table.field'" in refusal(small(settings={"steps": 3}).fit, texts, labels)
    assert "did you mean" in refusal(small(settings={"model.pol": "x"}).fit, texts, labels)
    assert "method is 'tmx'" in refusal(small(method="tmx").fit, texts, labels)
    assert "dict of fields" in refusal(small().set_params(settings="a=3").fit, texts, labels)
    assert "'table.field'" in refusal(small(settings={3: 3}).fit, texts, labels)
    for odd in (("a", 1), ["a", "b"], np.datetime64("2020-01-01")):
        assert "row 3 of y is " in refusal(fit, texts, [*labels[:3], odd, *labels[4:]])
    assert "come as a set" in refusal(fit, {*texts}, labels)
    assert "row 0 of X is b'a cat'" in refusal(fit, b"a cat", labels)
    model = small(method="supervised", steps=1).fit(texts, labels)
    assert "2 rows but sample_weight 1" in refusal(model.score, ["a", "b"], ["x", "y"], [1])
    assert "row 1 of X is None" in refusal(model.predict, ["a", None])
    assert "no label at all" in refusal(model.score, ["a"], [None])
    assert "2 rows but y 1" in refusal(model.score, ["a", "b"], ["x"])
    with pytest.raises(InputError, match="row 1 of texts is None"):
        model.predictor_.predict(["a", None])
    with pytest.raises(InputError, match="2 texts but 1 pairs"):
        model.predictor_.predict(["a", "b"], ["c"])


# ---- scikit-learn's own checks


class OfNumbers(MixTextClassifier):
    """Numbers told as words, so that scikit-learn's checks, which give numbers, reach the texts."""

    def fit(self, X, y, unlabelled=None):
        return super().fit(as_words(X), y, unlabelled)

    def predict_proba(self, X):
        return super().predict_proba(as_words(X))

    def score(self, X, y, sample_weight=None):
        return super().score(as_words(X), y, sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.string = False
        tags.input_tags.two_d_array = True  # else there would be hardly a check
        return tags


def as_words(X):
    """Rows of numbers as texts: column, sign and whole part, such as `a-2 b3`."""
    if isinstance(X, list) and X and isinstance(X[0], str):  # told already
        return X
    numbers = np.asarray(X)
    return [
        " ".join(f"{'abcdefghij'[n % 10]}{x:.0f}" for n, x in enumerate(row)) for row in numbers
    ]


# Checks that a classifier of texts cannot pass, and why not.
NUMBERS = "texts are neither vectors nor finite or infinite, and have no number of features"
FAILS = {
    "check_n_features_in_after_fitting": NUMBERS,
    "check_n_features_in": NUMBERS,
    "check_classifiers_train": NUMBERS + ": it passes but for the refusal of other features",
    "check_estimators_empty_data_messages": NUMBERS + ": no features are empty texts",
    "check_estimators_nan_inf": NUMBERS,
    "check_dtype_object": "an object that is no string is refused in words of our own",
    "check_estimator_sparse_tag": "a sparse matrix holds no texts",
    "check_estimator_sparse_array": "a sparse matrix holds no texts",
    "check_estimator_sparse_matrix": "a sparse matrix holds no texts",
    "check_fit1d": "a column of texts has one axis",
    "check_fit2d_predict1d": "a column of texts has one axis",
    "check_supervised_y_2d": "a column of labels of shape (N, 1) is taken without a warning",
    "check_classifiers_classes": "its classes are -1 and 1, and -1 stands for no label",
}
OF_NUMBERS = OfNumbers(
    method="supervised", encoder="kim_cnn", max_length=12, steps=30, settings=dict(SMALL)
)
CHECKS = [check for _, check in estimator_checks_generator(OF_NUMBERS)]


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.func.__name__)
def test_check_of_scikit_learn(check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of infinite numbers told as words
        if check.func.__name__ in FAILS:
            with pytest.raises((AssertionError, TypeError, InputError)):
                check(clone(OF_NUMBERS))
        else:
            check(clone(OF_NUMBERS))


def test_every_failing_check_is_one_of_scikit_learn():
    assert {*FAILS} <= {check.func.__name__ for check in CHECKS}
