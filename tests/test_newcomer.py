"""A newcomer's walk: 200 labels among 4,000 rows, from a CSV file to a pipeline of Hugging Face.

And data of the kinds that nobody prepares: 77 classes, 95 to 5, German and Chinese.
"""

import csv
import json

import numpy as np
import pytest
from transformers import pipeline

from mixtext.api import load_recipe
from mixtext.cli import main

SMALL = [
    *("model.max_length=32", "training.steps=3", "training.batch=2"),
    *("training.batch_unlabelled=2", "mixtext.contrast_passes=1", "mixtext.cluster=50"),
]
WORDS = ["the", "table", "was", "clean", "and", "soup", "came", "late", "with", "bread", "again"]


@pytest.fixture
def said(capsys):
    """Arguments → what the command printed; it must end well."""

    def call(*arguments):
        capsys.readouterr()
        code = main([str(x) for x in arguments])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return call


def write(path, texts, labels):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(texts, labels, strict=True)])


def draw(rows, classes, seed=0):
    """Texts with a word of their class, and the classes in turns."""
    generator = np.random.default_rng(seed)
    labels = [f"topic_{i % classes}" for i in range(rows)]
    texts = [
        " ".join([*generator.choice(WORDS, 6), f"word{label[6:]}", str(i)])
        for i, label in enumerate(labels)
    ]
    return texts, labels


@pytest.mark.slow
def test_from_a_file_to_a_pipeline(said, encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews").mkdir()
    texts, labels = draw(4000, 4)
    write(tmp_path / "reviews" / "train.csv", texts,
          labels[:200] + [""] * 3800)  # fmt: skip
    held, gold = draw(40, 4, seed=1)
    write(tmp_path / "held.csv", held, gold)

    assert "3,800" in said("inspect-data", "reviews/train.csv", "--encoder", encoder)
    out = said("new-recipe", "reviews/train.csv")
    assert "200 labels: 200 to learn from, 0 to choose by; 3,800 unlabelled" in out
    assert "wrote reviews.toml" in out
    recipe = load_recipe("reviews.toml")
    assert (recipe.name, recipe.method.name) == ("reviews", "mixtext")
    small = [f"model.encoder={encoder}", *SMALL, "mixtext.layers=[0,1]"]
    small += ["training.precision=float32"]  # as pipelines compute; bfloat16 rounds otherwise
    plan = said("train", "reviews.toml", *small, "--dry-run")
    assert "200 labels: 200 to learn from, 0 to choose by; 3,800 unlabelled" in plan
    said("train", "reviews.toml", *small)
    result = json.loads((tmp_path / "runs" / "reviews" / "result.json").read_text())
    assert result["labels"] == {"learned_from": 200, "chosen_by": 0}
    assert result["unlabelled"] == 3800

    [line] = said("predict", "runs/reviews", held[0]).splitlines()
    answer = json.loads(line)
    assert answer["label"] in {f"topic_{k}" for k in range(4)}
    scores = json.loads(said("evaluate", "runs/reviews", "--data", "held.csv", "--json"))
    assert 0 <= scores["accuracy"] <= 1

    said("export", "runs/reviews")
    classify = pipeline("text-classification", model="runs/reviews-safetensors", top_k=None)
    given = {x["label"]: x["score"] for x in classify([held[0]])[0]}
    assert given == pytest.approx(answer["probabilities"], abs=1e-5)


@pytest.mark.slow
def test_77_classes_have_steps_and_batches_of_their_size(said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "intents.csv", *draw(77 * 20, 77))
    said("new-recipe", "intents.csv", "--method", "mixtext")
    recipe = load_recipe("intents.toml")
    assert recipe.training.batch == 32 and recipe.data.labels_per_class == 10
    assert "77 classes" in (tmp_path / "intents.toml").read_text()
    plan = said("train", "intents.toml", "--dry-run", "training.device=cpu", *SMALL[3:])
    assert "770 labels: 770 to learn from, 0 to choose by; 770 unlabelled" in plan
    assert "241 steps of 32 labelled rows" in plan  # ten passes


def test_a_skew_of_95_to_5_keeps_every_label_and_the_natural_pool(said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts, _ = draw(400, 2)
    labels = ["spam" if i % 20 == 0 else "ham" for i in range(100)] + [""] * 300
    write(tmp_path / "sms.csv", texts, labels)
    out = said("new-recipe", "sms.csv")
    assert "100 labels: 100 to learn from, 0 to choose by; 300 unlabelled" in out
    recipe = load_recipe("sms.toml")
    assert recipe.data.pool == "natural" and recipe.data.labels_per_class == 0


@pytest.mark.parametrize(
    ("sentence", "length"),
    [("Die Bundesregierung beschließt Steuersenkungen für Kleinunternehmer, obwohl "
      "Haushaltsausschussmitglieder Finanzierungsvorbehalte geltend machen", 64),
     ("这部电影太长了我不喜欢但是音乐很好听演员也非常出色", 32)],
    ids=["German", "Chinese"],
)  # fmt: skip
def test_other_languages_are_measured_in_tokens_and_noted(
    said, tmp_path, monkeypatch, sentence, length
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "rows.csv", [f"{sentence} {i}" for i in range(20)], ["a", "b"] * 10)
    out = said("new-recipe", "rows.csv")
    assert "tokens a word" in out and "may not know their language" in out
    assert load_recipe("rows.toml").model.max_length == length
    assert "may not know their language" in said("train", "rows.toml", "--dry-run", *SMALL[:3])
