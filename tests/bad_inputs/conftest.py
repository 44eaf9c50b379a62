"""A small world of good inputs: data, recipes, finished and waiting runs, a store."""

import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest

from backtranslate.cli import main as backtranslate
from mixtext.api import train
from mixtext.cli import main as mixtext
from mixtext.recipe import build_recipe, dump_recipe, make_recipe
from mixtext.tagging.recipe import TaggingRecipe

TRAINING = {
    "steps": 2,
    "batch": 4,
    "batch_unlabelled": 4,
    "precision": "float32",
    "device": "cpu",
    "checkpoint_every": 1,
    "evaluate_every": 1,
}


COUNTS: list[str] = []


@pytest.fixture(scope="session")
def counts():
    """Lines that stand at the end of what pytest says."""
    return COUNTS


def pytest_terminal_summary(terminalreporter):
    """Says how many bad inputs were tried."""
    for line in COUNTS:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def good_world(tmp_path_factory, encoder, corpus_file, tagged_files):
    """A folder with everything that the commands read, in working order."""
    world = tmp_path_factory.mktemp("world")
    shutil.copy(corpus_file, world / "rows.csv")
    rows = [line.split(",") for line in corpus_file.read_text().splitlines()[1:]]
    with (world / "rows.jsonl").open("w") as file:
        for number, (text, label) in enumerate(rows):
            file.write(json.dumps({"id": str(number), "text": text, "label": label}) + "\n")
    if find_spec("pyarrow"):
        from pyarrow import parquet, table

        texts, labels = zip(*rows, strict=True)
        parquet.write_table(table({"text": texts, "label": labels}), world / "rows.parquet")
    (world / "rows.tsv").write_text(corpus_file.read_text().replace(",", "\t"))
    for text, label in rows[:12]:
        (world / "folder" / label).mkdir(parents=True, exist_ok=True)
        (world / "folder" / label / f"{text[-3:].strip()}.txt").write_text(text)
    generator = np.random.default_rng(0)
    np.savez(world / "rows.npz", x=generator.normal(size=(60, 4)), y=np.arange(60) % 3)
    for name in ("train", "test"):
        shutil.copy(tagged_files / f"{name}.conll", world / f"{name}.conll")
    vectors = [" ".join([w, *map(str, generator.normal(size=4))]) for w in ("cat", "dog", "bread")]
    (world / "vectors.txt").write_text("\n".join(vectors) + "\n")
    write_recipes(world, encoder)
    train(world / "recipe.toml", folder=world / "run", quiet=True)
    train(world / "bert.toml", folder=world / "bert", quiet=True)
    train(world / "tagger.toml", folder=world / "tagger", quiet=True)
    for name in ("run", "bert", "tagger"):
        shutil.copytree(world / name / "model", world / "checked" / name)
        drop_checksums(world / name / "model" / "mixtext.json")
    assert mixtext(["active", "run", f"{world}/active.toml", "--run", f"{world}/active"]) == 0
    assert mixtext(["active", "query", f"{world}/active"]) == 0
    assert mixtext(["active", "run", f"{world}/gold.toml", "--run", f"{world}/gold"]) == 0
    assert mixtext(["active", "run", f"{world}/asking.toml", "--run", f"{world}/asking"]) == 0
    assert mixtext(["active", "query", f"{world}/asking"]) == 0
    form = ["--out", f"{world}/asking/form.jsonl"]
    assert mixtext(["active", "query", f"{world}/asking", *form]) == 0
    options = ["--backend", "identity", "--pivots", "xx", "--out", f"{world}/store"]
    assert backtranslate([f"{world}/rows.jsonl", *options]) == 0
    assert backtranslate(["export", f"{world}/rows.jsonl", f"{world}/store/views.jsonl",
                          "--out", f"{world}/pickles"]) == 0  # fmt: skip
    (world / "table.toml").write_text(
        f'title = "A table"\nseeds = "0"\n[[sweep]]\nname = "a"\nrecipe = "{world}/recipe.toml"\n'
    )
    (world / "published.toml").write_text(
        '[[cell]]\ncorpus = "rows"\nmethod = "supervised"\nencoder = "kim_cnn"\naccuracy = 90.5\n'
        'source = "nobody"\nverified = false\n'
    )
    with (world / "en-xx.jsonl").open("w") as file:
        file.write(json.dumps({"text": "a", "translation": "b"}) + "\n")
    return world


def drop_checksums(path):
    """Makes a model folder one of those in which files may be changed."""
    about = json.loads(path.read_text())
    del about["sha256"]
    path.write_text(json.dumps(about, indent=2))


def write_recipes(world, encoder):
    """Recipes of a small network, a transformer, a tagger and of active learning."""
    data = {"labels_per_class": 4, "dev_per_class": 5, "test_per_class": 5}
    small = {
        "method": "supervised",
        "data": {"corpus": str(world / "rows.csv"), **data},
        "model": {"encoder": "kim_cnn", "max_length": 16, "vectors": str(world / "vectors.txt")},
        "training": TRAINING,
    }
    bert = {**small, "method": "mixtext", "model": {"encoder": encoder, "max_length": 16}}
    bert["views"] = {"rate": 0.2}
    tags = {
        "task": "tagging",
        "method": "seqmix",
        "data": {
            "corpus": str(world / "train.conll"),
            "test": str(world / "test.conll"),
            "labelled": 10,
            "pool_size": 20,
        },
        "model": {"encoder": encoder, "max_length": 24, "overlap": 4},
        "training": {k: v for k, v in TRAINING.items() if k != "batch_unlabelled"},
        "seqmix": {"window": 2, "threshold": 0.5, "rate": 0.3, "ngram": 2},
    }
    active = {**tags, "active": {"rounds": 1, "per_round": 5, "annotator": "person"}}
    gold = {**tags, "active": {"rounds": 1, "per_round": 5}}
    made = {
        "recipe": make_recipe(small),
        "bert": make_recipe(bert),
        "tagger": build_recipe(TaggingRecipe, tags),
        "active": build_recipe(TaggingRecipe, active),
        "asking": make_recipe({**bert, "method": "frozen", "active": active["active"]}),
        "gold": build_recipe(TaggingRecipe, gold),
    }
    for name, recipe in made.items():
        (world / f"{name}.toml").write_text(dump_recipe(recipe))
