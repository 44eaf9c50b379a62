"""Every method on all that it declares to take, through `mixtext.run`: train, resume, predict."""

import json

import numpy as np
import pytest
from transformers import AutoTokenizer, BertModel

from mixtext.api import train
from mixtext.data.corpus import Corpus
from mixtext.errors import InputError
from mixtext.inference import Prediction, Score, load
from mixtext.methods import METHODS
from mixtext.run import Run
from mixtext.training.loop import Trainer

pytestmark = pytest.mark.slow

ASKED = {  # rows and target
    "single": ("texts", "classes"),
    "pair": ("pairs", "classes"),
    "scores": ("texts", "scores"),
    "scores of pairs": ("pairs", "scores"),
    "vectors": ("vectors", "classes"),
    "images": ("vectors", "classes"),
}
# The one word for both that result.json has had from the first version on.
TASKS = {"scores": "regression", "scores of pairs": "regression", "images": "vectors"}
ENCODERS = {
    "single": ("transformer", "kim_cnn", "lstm"),
    "pair": ("transformer", "kim_cnn"),
    "scores": ("transformer", "lstm"),
    "scores of pairs": ("transformer",),
    "vectors": ("mlp",),
    "images": ("small_cnn",),
}
LAYERS = {"transformer": [0, 2], "kim_cnn": [0, 1], "lstm": [0, 1]}
CASES = [
    (name, rows, kind)
    for name, method in METHODS.items()
    for rows in ASKED
    for kind in ENCODERS[rows]
    if method.takes(*ASKED[rows])
]


@pytest.fixture(scope="module")
def corpora(draw_texts):
    """Twelve rows a class of every kind of rows."""
    texts, labels = draw_texts(12)
    others, _ = draw_texts(12, seed=1)
    generator = np.random.default_rng(0)
    scores = generator.normal(size=len(texts))
    images = generator.normal(size=(len(texts), 4, 5))
    return {
        "single": Corpus.from_lists(texts, labels, name="single"),
        "pair": Corpus.from_lists(texts, labels, pairs=others, name="pair"),
        "scores": Corpus.from_lists(texts, scores=scores, name="scores"),
        "scores of pairs": Corpus.from_lists(texts, pairs=others, scores=scores, name="scores"),
        "vectors": Corpus.from_vectors(images.reshape(len(texts), 20), labels, name="vectors"),
        "images": Corpus.from_vectors(images, labels, name="images"),
    }


@pytest.fixture(scope="module")
def shallow(encoder, tmp_path_factory):
    """The folder of the tiny encoder with two of its layers, to load and save quickly."""
    folder = tmp_path_factory.mktemp("shallow")
    BertModel.from_pretrained(encoder, num_hidden_layers=2).save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return folder


@pytest.fixture
def recipe_of(tiny, shallow):
    """(method, kind, overrides) → a recipe of two steps, the second in the second epoch."""

    def make(method, kind, *overrides):
        values = [
            f"method={method}",
            f"model.encoder={shallow if kind == 'transformer' else kind}",
            "data.test_per_class=2",
            "data.dev_per_class=3",
            "training.steps=2",
            "training.steps_per_epoch=1",
            "training.evaluate_every=1",
            "training.batch=5",
        ]
        if kind in ("kim_cnn", "lstm"):
            values += ["model.word_width=6", "model.embedding=RandomTune"]
        if method in ("tmix", "mixtext"):
            values.append(f"{method}.layers={LAYERS[kind]}")
        return tiny(*values, *overrides)

    return make


class Cut(Exception):
    """Ends a training as a kill would."""


def train_with_a_break(recipe, corpus, folder, monkeypatch):
    """Trains one step (or scores, without steps), is killed, and goes on; result and test rows."""
    real = Trainer.step

    def cut_step(trainer, number, collect):
        if number == 1:
            raise Cut
        return real(trainer, number, collect)

    def cut(*_):
        raise Cut

    with monkeypatch.context() as patch:
        if recipe.method.steps:
            patch.setattr(Trainer, "step", cut_step)
        else:
            patch.setattr(Trainer, "_evaluate", cut)
        with pytest.raises(Cut):
            train(recipe, corpus=corpus, folder=folder, quiet=True)
    result = train(recipe, corpus=corpus, folder=folder, resume=True, quiet=True)
    return result, Run.prepare(recipe, corpus).data.test


def weights(folder):
    return {x.name: x.read_bytes() for x in (folder / "model").glob("*.safetensors")}


@pytest.mark.parametrize(("method", "rows", "kind"), CASES)
def test_trains_resumes_exports_and_predicts(
    corpora, recipe_of, tmp_path, monkeypatch, method, rows, kind
):
    corpus, recipe = corpora[rows], recipe_of(method, kind)
    result = train(recipe, corpus=corpus, folder=tmp_path / "whole", quiet=True)
    lines = [json.loads(x) for x in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    losses = [x["loss/total"] for x in lines if x["kind"] == "train"]
    assert len(losses) == result["steps"] == (2 if METHODS[method].steps else 0)
    assert result["task"] == TASKS.get(rows, rows)
    assert (result["rows"], result["target"]) == ASKED[rows]
    selected = "spearman" if corpus.target == "scores" else "accuracy"
    assert selected in result["dev"] and selected in result["test"]
    assert np.isfinite([*losses, *result["dev"].values(), *result["test"].values()]).all()

    again, test = train_with_a_break(recipe, corpus, tmp_path / "broken", monkeypatch)
    assert {**again.values, "clock": 0} == {**result.values, "clock": 0}
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole") != {}

    # The exported model scores the test part as the run did, and answers for new rows.
    predictor = load(tmp_path / "whole")
    outputs = predictor.outputs(test)
    assert np.allclose(outputs, result.predictor.outputs(test), rtol=1e-6, atol=1e-7)
    assert np.allclose(outputs, again.predictor.outputs(test), rtol=1e-6, atol=1e-7)
    if selected == "accuracy":
        right = (outputs.argmax(1) == test.labels).mean()
        assert right == pytest.approx(result["test"]["accuracy"])
        assert np.allclose(outputs.sum(1), 1, atol=1e-5)
    else:
        error = np.square(outputs[:, 0] - test.labels).mean()
        assert error == pytest.approx(result["test"]["loss"], rel=1e-5)
    if corpus.vectors is None:
        seconds = ["a dog", "old bread"] if corpus.pairs else None
        answers = predictor.predict(["the cat", "unheard"], seconds)
        kind = Score if corpus.target == "scores" else Prediction
        assert [type(answer) for answer in answers] == [kind, kind]


@pytest.mark.parametrize(
    ("rows", "kind"),
    [(rows, kind) for rows in ASKED for kind in ENCODERS[rows]],
)
def test_no_method_mixes_when_it_is_scored(corpora, recipe_of, rows, kind):
    # Steps so small that no weight moves: what a method does to a score would be seen.
    still = "training.lr_encoder=1e-30", "training.lr_head=1e-30"
    scores = {}
    for name, method in METHODS.items():
        if method.takes(*ASKED[rows]) and method.steps:
            run = Run.prepare(recipe_of(name, kind, *still), corpora[rows])
            trainer = run.trainer
            found = [trainer.measure(trainer.method.evaluated(trainer.model), "dev")]
            for step in range(2):
                trainer.step(step, lambda outcome, batch: None)
                found.append(trainer.measure(trainer.method.evaluated(trainer.model), "dev"))
            assert found[0] == found[1] == found[2]
            scores[name] = found[0]
    assert len(scores) >= 3
    assert all(found == scores["supervised"] for found in scores.values())


@pytest.mark.parametrize(
    ("name", "rows"),
    [(n, r) for n, m in METHODS.items() for r in ASKED if not m.takes(*ASKED[r])],
)
def test_what_a_method_does_not_declare_is_refused(corpora, recipe_of, name, rows):
    with pytest.raises(InputError) as caught:
        Run.prepare(recipe_of(name, "transformer"), corpora[rows])
    message = str(caught.value)
    assert "\n" not in message
    assert f"method is {name!r}" in message and "holds {} with {}".format(*ASKED[rows]) in message
    offered = message.split("choose one of ")[1].rstrip(".").split(", ")
    assert offered == [n for n, m in METHODS.items() if m.takes(*ASKED[rows])]
    method = METHODS[name]
    takes = f"takes {' or '.join(method.rows)} and tells {' or '.join(method.targets)}, but"
    assert takes in message


@pytest.mark.parametrize(
    ("rows", "kind", "words"),
    [
        ("single", "mlp", "model.encoder is 'mlp', but single holds texts"),
        ("pair", "small_cnn", "model.encoder is 'small_cnn', but pair holds texts"),
        ("scores", "mlp", "model.encoder is 'mlp', but scores holds texts"),
        ("vectors", "kim_cnn", "model.encoder is 'kim_cnn', but vectors holds vectors"),
        ("images", "lstm", "model.encoder is 'lstm', but images holds vectors"),
        ("images", "transformer", "but images holds vectors"),
        ("vectors", "small_cnn", "model.encoder is 'small_cnn', which takes images, but vectors"),
    ],
)
def test_an_encoder_of_other_rows_is_refused(corpora, recipe_of, rows, kind, words):
    with pytest.raises(InputError, match=words):
        Run.prepare(recipe_of("supervised", kind), corpora[rows])


def test_the_official_span_rule_refuses_pairs_before_training(corpora, recipe_of):
    recipe = recipe_of("ssmix", "kim_cnn", "ssmix.official_spans=true")
    Run.prepare(recipe, corpora["single"])
    with pytest.raises(InputError, match=r"ssmix\.official_spans is true, but .* pairs"):
        Run.prepare(recipe, corpora["pair"])
