"""From settings to a model: sizes by the data, seeds, going on from another run, refusals."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

from mixtext.api import train
from mixtext.data.corpus import Corpus
from mixtext.errors import InputError
from mixtext.inference import export, load
from mixtext.models.build import build_model, check_length, load_model
from mixtext.models.encoder import MixableEncoder
from mixtext.models.settings import ModelSettings
from mixtext.models.vectors import Mlp, SmallCnn
from mixtext.models.words import KimCnn, Lstm
from mixtext.run import Run

WORDS = {"embedding": "RandomTune", "word_width": 6, "head_width": 4, "max_length": 16}


@pytest.fixture(scope="module")
def corpora(draw_texts):
    """Rows of every kind, three classes each."""
    texts, labels = draw_texts(10)
    others, _ = draw_texts(10, seed=1)
    generator = np.random.default_rng(0)
    images, scores = generator.normal(size=(30, 4, 5)), generator.normal(size=30)
    return {
        "single": Corpus.from_lists(texts, labels, name="single"),
        "pair": Corpus.from_lists(texts, labels, pairs=others, name="pair"),
        "scores": Corpus.from_lists(texts, scores=scores, name="scores"),
        "vectors": Corpus.from_vectors(images.reshape(30, 20), labels, name="vectors"),
        "images": Corpus.from_vectors(images, labels, name="images"),
    }


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


# ---- what is made


@pytest.mark.parametrize(
    ("kind", "rows", "cls", "pool", "outputs"),
    [
        (None, "single", MixableEncoder, "mean", 3),
        (None, "pair", MixableEncoder, "mean", 3),
        (None, "scores", MixableEncoder, "mean", 1),
        ("kim_cnn", "single", KimCnn, "max", 3),
        ("lstm", "scores", Lstm, "last", 1),
        ("mlp", "vectors", Mlp, "mean", 3),
        ("mlp", "images", Mlp, "mean", 3),
        ("small_cnn", "images", SmallCnn, "mean", 3),
    ],
)
def test_the_corpus_decides_on_sizes(corpora, encoder, kind, rows, cls, pool, outputs):
    settings = ModelSettings(encoder=kind or encoder, **WORDS)
    model, tokenizer, _ = build_model(settings, corpora[rows], seed=0)
    assert isinstance(model.encoder, cls)
    assert (model.pool, model.head.outputs) == (pool, outputs)
    assert [p.shape[0] for p in model.head.parameters()] == [4, 4, outputs, outputs]
    assert (tokenizer is None) == (rows in ("vectors", "images"))
    if cls in (Mlp, SmallCnn):
        values = torch.from_numpy(corpora[rows].vectors[:2])
        assert model(values).shape == (2, 3)


def test_a_pool_that_is_named_is_taken(corpora):
    settings = ModelSettings(encoder="lstm", pool="mean", **WORDS)
    assert build_model(settings, corpora["single"], 0)[0].pool == "mean"


@pytest.mark.parametrize(
    ("kind", "rows"), [("kim_cnn", "single"), (None, "pair"), ("mlp", "images")]
)
def test_the_seed_decides_on_new_weights(corpora, encoder, kind, rows):
    settings = ModelSettings(encoder=kind or encoder, **WORDS)
    torch.rand(3)  # what was drawn before has no part in it
    made = [weights(build_model(settings, corpora[rows], seed)[0]) for seed in (0, 0, 1)]
    assert same(made[0], made[1])
    assert not torch.equal(made[0]["head.0.weight"], made[2]["head.0.weight"])
    pretrained = kind is None
    assert same(*({k: v for k, v in m.items() if "encoder" in k} for m in made[1:])) == pretrained


@pytest.mark.parametrize("kind", ["kim_cnn", "lstm"])
@pytest.mark.parametrize("embedding", ["RandomTune", "RandomFix"])
def test_word_vectors_are_random_and_tuned_or_fixed(corpora, kind, embedding):
    settings = ModelSettings(encoder=kind, **WORDS | {"embedding": embedding, "word_width": 7})
    model, tokenizer, notes = build_model(settings, corpora["pair"], 0)
    matrix = model.encoder.words.weight
    assert matrix.requires_grad == (embedding == "RandomTune")
    assert matrix.shape == (len(tokenizer), 7)
    assert "vectors of 7" in notes[0] and "0% of the training texts' words" in notes[0]
    # Both texts of a pair count, and the vocabulary is limited.
    for text in (*corpora["pair"].texts, *corpora["pair"].pairs):
        assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"]
    few = build_model(replace(settings, vocabulary=5), corpora["pair"], 0)
    assert few[0].encoder.words.weight.shape == (5 + 2, 7)  # with padding and the unknown word


def test_word_vectors_from_a_file(corpora, tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("cat 1 2 3\nbread 4 5 6\nabsent 7 8 9\n")
    settings = ModelSettings(encoder="kim_cnn", embedding="PretrainFix", vectors=str(file))
    model, tokenizer, notes = build_model(settings, corpora["single"], 0)
    for word, vector in (("cat", [1, 2, 3]), ("bread", [4, 5, 6])):
        row = model.encoder.words.weight[tokenizer.convert_tokens_to_ids(word)]
        assert row.tolist() == vector
    assert not model.encoder.words.weight.requires_grad
    assert "vectors of 3" in notes[0]


# ---- what is refused


def test_texts_longer_than_the_encoder_takes_are_refused(corpora, encoder):
    settings = ModelSettings(encoder=encoder, max_length=65)
    with pytest.raises(InputError, match=r"max_length is 65, but .* takes at most 64 tokens"):
        build_model(settings, corpora["single"], 0)
    build_model(replace(settings, max_length=64), corpora["single"], 0)


@pytest.mark.parametrize("family", ["Bert", "Roberta", "MPNet", "Electra", "XLMRoberta"])
def test_the_longest_text_is_the_longest_that_the_encoder_takes(family):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = getattr(transformers, f"{family}Config")(
        vocab_size=9, intermediate_size=8, max_position_embeddings=12, **sizes
    )
    encoder = MixableEncoder(getattr(transformers, f"{family}Model")(config))
    taken = []
    for length in range(8, 14):
        try:
            encoder(torch.full((1, length), 5))
        except (IndexError, RuntimeError):
            with pytest.raises(InputError, match=f"takes at most {taken[-1]} tokens"):
                check_length(ModelSettings(max_length=length), encoder)
        else:
            check_length(ModelSettings(max_length=length), encoder)
            taken.append(length)
    assert taken[0] == 8 and taken[-1] in (10, 12)


# ---- model.start: the second of two stages


@pytest.fixture
def recipe_of(tiny):
    """(encoder or None for the tiny BERT, overrides) → a recipe of two steps."""

    def make(kind, *overrides):
        values = ["data.test_per_class=2", "data.dev_per_class=3", "training.steps=2"]
        values.append("training.batch=5")
        if kind in ("kim_cnn", "lstm"):
            values += ["model.embedding=RandomTune", "model.word_width=6"]
        values += [f"model.encoder={kind}"] if kind else []
        return tiny(*values, *overrides)

    return make


STARTS = [(None, "single"), (None, "pair"), (None, "scores"), ("kim_cnn", "single")]
STARTS += [("lstm", "pair"), ("mlp", "vectors"), ("small_cnn", "images")]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "rows"), STARTS)
def test_the_second_stage_begins_with_the_weights_of_the_first(
    corpora, recipe_of, tmp_path, kind, rows
):
    first, corpus = tmp_path / "first", corpora[rows]
    result = train(recipe_of(kind), corpus=corpus, folder=first, quiet=True)
    predictor = load(first)
    # Another method, another seed, another dropout: none of it touches the weights.
    more = "method=manifold_mixup", "training.seed=7", "model.dropout=0.2"
    for folder in (first / "model", first):
        recipe = recipe_of(kind, *more, f"model.start={folder}")
        run = Run.prepare(recipe, corpus)
        assert same(weights(run.trainer.model), weights(predictor.model))
        assert run.trainer.measure(run.trainer.model, "dev") == result["dev"]
        assert run.trainer.measure(run.trainer.model, "test") == result["test"]
        assert run.trainer.model.dropout.p == 0.2
        assert run.notes[-1] == f"begins with the model of {folder}"
    second = tmp_path / "second"
    done = train(recipe, corpus=corpus, folder=second, quiet=True)
    assert done["steps"] == 2 and done["method"] == "manifold_mixup"
    assert not same(weights(load(second).model), weights(predictor.model))
    assert same(weights(load(first).model), weights(predictor.model))


@pytest.fixture(scope="module")
def finished(corpora, encoder, tmp_path_factory):
    """A model folder of the tiny BERT on single texts."""
    folder = tmp_path_factory.mktemp("finished") / "model"
    settings = ModelSettings(encoder=encoder, max_length=16, head_width=8)
    model, tokenizer, _ = build_model(settings, corpora["single"], 0)
    export(folder, model, tokenizer, settings, corpora["single"])
    return folder


@pytest.mark.parametrize(
    ("rows", "changes", "words"),
    [
        ("pair", {}, "with the rows texts, but this recipe has pairs"),
        ("scores", {}, "with the target classes, but this recipe has scores"),
        (
            "other classes",
            {},
            r"with the classes \['animals', 'food', 'tools'\], but this recipe has",
        ),
        ("single", {"encoder": "lstm"}, "model.encoder .*tiny-bert, but this recipe has lstm"),
        ("single", {"head_width": 9}, "model.head_width 8, but this recipe has 9"),
        ("single", {"pool": "first"}, "model.pool auto, but this recipe has first"),
        ("single", {"max_length": 65}, "max_length is 65, but .* takes at most 64 tokens"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(corpora, encoder, finished, rows, changes, words):
    if rows == "other classes":
        single = corpora["single"]
        corpus = replace(single, label_names=["animals", "drinks", "tools"])
    else:
        corpus = corpora[rows]
    settings = {"encoder": encoder, "start": str(finished), "max_length": 16, "head_width": 8}
    with pytest.raises(InputError, match=words) as caught:
        build_model(ModelSettings(**settings | changes), corpus, 0)
    assert "\n" not in str(caught.value)
    build_model(ModelSettings(**settings), corpora["single"], 0)


def test_a_start_that_is_not_there_is_refused(corpora, encoder, tmp_path):
    for folder, words in ((tmp_path / "no", "is not there"), (tmp_path, "no finished model")):
        settings = ModelSettings(encoder=encoder, start=str(folder))
        with pytest.raises(InputError, match=words):
            build_model(settings, corpora["single"], 0)


@pytest.mark.parametrize(
    ("kind", "rows", "field", "value"),
    [
        ("kim_cnn", "single", "embedding", "RandomFix"),
        ("lstm", "single", "lowercase", False),
        ("kim_cnn", "single", "word_width", 9),
    ],
)
def test_settings_that_a_start_has_decided_already_are_not_passed_over(
    corpora, tmp_path, kind, rows, field, value
):
    settings = ModelSettings(encoder=kind, **WORDS)
    model, tokenizer, _ = build_model(settings, corpora[rows], 0)
    export(tmp_path / "model", model, tokenizer, settings, corpora[rows])
    changed = replace(settings, start=str(tmp_path), **{field: value})
    with pytest.raises(InputError, match=rf"model\.{field} .*, but this recipe has {value}"):
        build_model(changed, corpora[rows], 0)


@pytest.mark.parametrize(("kind", "rows"), [("mlp", "vectors"), ("small_cnn", "images")])
def test_rows_of_another_size_are_refused_at_once(corpora, tmp_path, kind, rows):
    settings, corpus = ModelSettings(encoder=kind, head_width=4), corpora[rows]
    model, _, _ = build_model(settings, corpus, 0)
    export(tmp_path / "model", model, None, settings, corpus)
    wider = replace(corpus, vectors=np.concatenate([corpus.vectors] * 2, axis=-1))
    with pytest.raises(
        InputError, match=r"The rows have the shape .* was made for 20 values a row"
    ):
        build_model(replace(settings, start=str(tmp_path)), wider, 0)


# ---- what a run has left


@pytest.mark.parametrize(("kind", "rows"), STARTS)
def test_a_loaded_model_is_the_exported_one(corpora, encoder, tmp_path, kind, rows):
    settings = ModelSettings(encoder=kind or encoder, dropout=0.3, use_mask=False, **WORDS)
    model, tokenizer, _ = build_model(settings, corpora[rows], 0)
    export(tmp_path / "model", model, tokenizer, settings, corpora[rows])
    loaded, _, saved = load_model(tmp_path)
    assert same(weights(loaded), weights(model))
    assert (loaded.pool, loaded.use_mask, loaded.dropout.p) == (model.pool, False, 0.3)
    assert saved["model"] == settings and saved["task"] == corpora[rows].task
    assert (saved["rows"], saved["target"]) == (corpora[rows].rows, corpora[rows].target)


def test_frozen_blocks_stay_and_the_others_learn_as_before(tiny, tmp_path):
    """The gradients of the blocks above are those of a model that is trained whole."""
    runs = {k: Run.prepare(tiny(f"model.freeze={k}")) for k in (0, 3)}
    gradients = {}
    for k, run in runs.items():
        trainer = run.trainer
        trainer.model.eval()  # without dropout
        batch = trainer.feed.batch(0, np.random.default_rng(0))
        trainer.method.loss(trainer.model, batch, None, None).loss.backward()
        encoder = trainer.model.encoder
        gradients[k] = {n: p.grad for n, p in encoder.named_parameters() if p.grad is not None}
        trained = {n for n, p in encoder.named_parameters() if p.requires_grad}
        low = tuple(f"model.encoder.layer.{i}." for i in range(k))
        frozen = ("model.embeddings.", *low) if k else ("nothing",)
        assert not any(n.startswith(frozen) for n in trained)
        assert any(n.startswith(f"model.encoder.layer.{k}.") for n in trained)
    assert gradients[3].keys() < gradients[0].keys()
    for name, gradient in gradients[3].items():
        torch.testing.assert_close(gradient, gradients[0][name])

    before = {n: p.clone() for n, p in runs[3].trainer.model.encoder.named_parameters()}
    result = train(tiny("model.freeze=3"), folder=tmp_path / "run", quiet=True)
    for name, weight in result.predictor.model.encoder.named_parameters():
        frozen = name.startswith(("model.embeddings.", "model.encoder.layer.0.",
                                  "model.encoder.layer.1.", "model.encoder.layer.2."))  # fmt: skip
        pooler = ".pooler." in name
        assert pooler or torch.equal(weight, before[name]) == frozen, name


@pytest.mark.parametrize("method", ["ssmix", "mixtext", "manifold_mixup"])
def test_methods_train_above_frozen_blocks(tiny, tmp_path, method):
    result = train(tiny(f"method={method}", "model.freeze=2"), folder=tmp_path / "run", quiet=True)
    assert result["steps"] == 6


def test_something_is_left_to_train(tiny):
    with pytest.raises(InputError, match=r"model\.freeze is 12, but the encoder has 12 layers"):
        Run.prepare(tiny("model.freeze=12"))
    with pytest.raises(InputError, match=r"model\.freeze"):
        tiny("model.encoder=kim_cnn", "model.freeze=1")
