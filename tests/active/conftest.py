"""Sentences with people and places for a tiny encoder, and recipes that learn them actively."""

import numpy as np
import pytest

from mixtext.tagging import make_tagging_recipe

PEOPLE = ["cat", "dog", "horse", "goat", "heron"]
PLACES = ["bread", "soup", "cheese", "rice", "plum"]
OTHER = ["the", "a", "of", "on", "today", "old", "new", "small", "red", "and", "with", "near"]


def draw_sentences(count, seed=0):
    """Different sentences and their tags: animals are people here, and dishes places."""
    generator = np.random.default_rng([seed, 3])
    made = {}
    while len(made) < count:
        words, tags = [], []
        for _ in range(int(generator.integers(2, 5))):
            kind = generator.integers(3)
            names = (OTHER, PEOPLE, PLACES)[kind]
            size = int(generator.integers(1, 3)) if kind else 1
            words += generator.choice(names, size).tolist()
            tag = ("O", "PER", "LOC")[kind]
            tags += ["O"] if not kind else [f"{'I' if n else 'B'}-{tag}" for n in range(size)]
        made[tuple(words)] = tags
    return [list(words) for words in made], list(made.values())


def write_sentences(path, sentences, tags):
    """Writes two columns, tokens and tags."""
    blocks = (
        "".join(f"{word} {tag}\n" for word, tag in zip(words, its, strict=True))
        for words, its in zip(sentences, tags, strict=True)
    )
    path.write_text("\n".join(blocks), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tagged_files(tmp_path_factory):
    """Training and test files of 60 and 20 sentences."""
    folder = tmp_path_factory.mktemp("tagged")
    write_sentences(folder / "train.conll", *draw_sentences(60))
    write_sentences(folder / "test.conll", *draw_sentences(20, seed=1))
    return folder


@pytest.fixture
def learner(encoder, tagged_files):
    """Overrides → a recipe of few and small steps on the tiny encoder."""

    def recipe(*overrides):
        values = {
            "task": "tagging",
            "name": "tiny",
            "method": "seqmix",
            "data": {
                "corpus": str(tagged_files / "train.conll"),
                "test": str(tagged_files / "test.conll"),
                "labelled": 10,
                "pool_size": 30,
            },
            "model": {"encoder": encoder, "max_length": 24, "overlap": 4},
            "training": {
                "batch": 4,
                "steps": 5,
                "lr_encoder": 1e-3,
                "lr_head": 1e-2,
                "precision": "float32",
                "device": "cpu",
            },
            "seqmix": {"window": 2, "threshold": 0.5, "rate": 0.3, "ngram": 2},
            "active": {"rounds": 2, "per_round": 5, "policy": "token_entropy"},
        }
        return make_tagging_recipe(values, overrides)

    return recipe
