"""A trained model from Python: train on lists, export, load, predict."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from mixtext.api import train
from mixtext.data.corpus import Corpus
from mixtext.errors import InputError
from mixtext.inference import load, predict
from mixtext.run import Run


@pytest.fixture
def made(tiny, tmp_path, draw_texts):
    """A recipe, a corpus without files, and a folder for the run."""
    texts, labels = draw_texts(20)
    recipe = tiny("method=mixtext", "mixtext.teacher=0.9", "data.test_per_class=0")
    return recipe, Corpus.from_lists(texts, labels, name="lists"), tmp_path / "run"


def test_from_lists_to_predictions(made):
    recipe, corpus, folder = made
    result = train(recipe, corpus=corpus, folder=folder, quiet=True)
    assert result["corpus"] == "lists" and result["test"] == {} and result["dev"]
    texts = ["the cat", "a soup with bread and a plum today", "saw", "the cat", "hammer " * 40]
    answers = predict(folder, texts)
    assert len(answers) == 5
    for answer in answers:
        assert list(answer.probabilities) == corpus.label_names
        assert math.isclose(sum(answer.probabilities.values()), 1, abs_tol=5e-6)
        assert answer.label == max(answer.probabilities, key=answer.probabilities.get)
    # Texts are scored in order of length and given back in their own.
    assert answers[0] == answers[3] != answers[1]
    for text, answer in zip(texts, answers, strict=True):
        [alone] = predict(folder, [text])
        assert np.allclose(
            list(alone.probabilities.values()), list(answer.probabilities.values()), atol=2e-6
        )
    assert predict(folder, []) == []
    assert load(folder).probabilities([]).shape == (0, 3)


def test_batches_change_nothing(made, draw_texts):
    recipe, corpus, folder = made
    train(recipe, corpus=corpus, folder=folder, quiet=True)
    predictor = load(folder)
    texts = [" ".join(x.split()[: 1 + i % 8]) for i, x in enumerate(draw_texts(20, seed=2)[0])]
    whole = predictor.probabilities(texts)
    assert whole.dtype == np.float32 and whole.shape == (60, 3)
    assert np.allclose(whole, predictor.probabilities(texts, batch=7), atol=1e-5)
    assert np.allclose(whole[::-1], predictor.probabilities(texts[::-1]), atol=1e-5)
    assert np.allclose(whole.sum(1), 1, atol=1e-5) and len(np.unique(whole.round(5), axis=0)) > 20


def test_the_folder_is_an_ordinary_one(made):
    recipe, corpus, folder = made
    train(recipe, corpus=corpus, folder=folder, quiet=True)
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    model = AutoModel.from_pretrained(folder / "model").eval()
    weights = load_file(folder / "model" / "model.safetensors")
    head = {k.removeprefix("head."): w for k, w in weights.items() if k.startswith("head.")}
    text = "the cat near a horse"
    with torch.no_grad():
        states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        hidden = torch.tanh(states.mean(0) @ head["0.weight"].T + head["0.bias"])
        expected = torch.softmax(hidden @ head["2.weight"].T + head["2.bias"], -1)
    found = load(folder / "model").probabilities([text])[0]
    assert np.allclose(found, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("missing", [None, -1])
def test_rows_without_a_label_are_the_pool(tiny, tmp_path, draw_texts, missing):
    texts, labels = draw_texts(12)
    numbers = {name: i for i, name in enumerate(sorted(set(labels)))}
    spared = {name: 0 for name in numbers}
    given = []
    for label in labels:
        spared[label] += 1
        given.append(numbers[label] if spared[label] <= 6 else missing)
    corpus = Corpus.from_lists(texts, given, label_names=sorted(numbers))
    recipe = tiny(
        "method=mixtext",
        "data.test_per_class=0",
        "data.dev_per_class=2",
        "data.labels_per_class=4",
    )
    run = Run.prepare(recipe, corpus)
    assert sorted(run.data.split.unlabelled) == [i for i, x in enumerate(given) if x == missing]
    result = train(recipe, corpus=corpus, folder=tmp_path / "run", quiet=True)
    assert result["labelled"] == 12 and result["unlabelled"] == 18 and result["dev_rows"] == 6
    [answer] = predict(tmp_path / "run", ["cat"])
    assert list(answer.probabilities) == ["animals", "food", "tools"]


def test_given_corpora_get_the_care_of_read_ones(tiny, tmp_path, draw_texts):
    texts, labels = draw_texts(12)
    corpus = Corpus.from_lists([*texts, texts[0]], [*labels, labels[0]])
    # A test part need not hold every class: its numbers follow the names of train.
    test = Corpus.from_lists(["saw", "drill", texts[0]], ["tools", "tools", labels[0]])
    settings = ("data.dev_per_class=2", "data.test_per_class=0", "data.drop_duplicates=true")
    data = Run.prepare(tiny(*settings), corpus, test).data
    assert [data.test.label_names[i] for i in data.test.labels[:2]] == ["tools", "tools"]
    assert data.test.label_names == data.train.label_names == ["animals", "food", "tools"]
    assert len(data.train) == 36
    assert any("also in the training part" in note for note in data.notes)
    held = Run.prepare(tiny("data.dev_per_class=2", "data.test_per_class=3"), corpus).data
    assert len(held.test) == 9 and len(held.train) == 28
    with pytest.raises(InputError, match="without corpus"):
        train(tiny(), test=test, folder=tmp_path / "run")
    stranger = Corpus.from_lists(["a heron"], ["bird"])
    with pytest.raises(InputError, match="'bird'"):
        train(tiny(*settings), corpus=corpus, test=stranger, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_was_set_for_training_holds_for_predictions(made, tiny, tmp_path):
    _, corpus, folder = made
    recipe = tiny(
        "data.test_per_class=0",
        "model.pool=first",
        "model.use_mask=false",
        "model.pad_to_max=true",
        "model.special_tokens=false",
        "training.precision=bfloat16",
    )
    result = train(recipe, corpus=corpus, folder=folder, quiet=True)
    predictor = load(folder)
    assert predictor.settings == recipe.model and predictor.precision == "bfloat16"
    data = Run.prepare(recipe, corpus).data
    dev = data.train.select(data.split.dev)
    p = predictor.probabilities(dev.texts)
    picked = p[np.arange(len(dev)), dev.labels]
    assert math.isclose(-np.log(picked).mean(), result["dev"]["loss"], rel_tol=1e-5)


def test_loading_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match="is not there"):
        load(tmp_path / "gone")
    with pytest.raises(InputError, match="holds no finished model"):
        load(tmp_path)
