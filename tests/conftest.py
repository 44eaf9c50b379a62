"""What all tests share: one thread, a tiny encoder, small corpora, recipes that fit both."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from mixtext.recipe import build_recipe, make_recipe
from mixtext.tagging.recipe import TaggingRecipe

ROOT = Path(__file__).resolve().parents[1]

# The models here are tiny: threads cost more than they bring, and one thread repeats bit for bit.
torch.set_num_threads(1)

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,-"
TOPICS = {  # every class has its own words; all share the noise
    "animals": ["cat", "dog", "horse", "goat", "heron"],
    "food": ["bread", "soup", "cheese", "rice", "plum"],
    "tools": ["saw", "hammer", "drill", "plane", "rasp"],
}
NOISE = ["the", "a", "of", "on", "today", "old", "new", "small", "red", "and", "with", "near"]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache of the tests' own, empty when they begin."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXTEXT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("MIXTEXT_CACHE_GB", raising=False)
        yield


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """The folder of a random BERT: 12 layers, hidden size 16, a WordPiece vocabulary."""
    words = [word for topic in TOPICS.values() for word in topic] + NOISE
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    pieces += [*LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary = {piece: n for n, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    folder = tmp_path_factory.mktemp("encoder") / "tiny-bert"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=12,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def draw_texts():
    """(rows a class, classes, seed, words) → texts and labels, in mixed order, no text twice."""

    def draw(per_class, classes=3, seed=0, words=8):
        generator = np.random.default_rng([seed, 7])
        rows = []
        for name in list(TOPICS)[:classes]:
            for number in range(per_class):
                own = generator.choice(TOPICS[name], 2).tolist()
                text = [*own, *generator.choice(NOISE, words - 2).tolist()]
                rows.append((" ".join([*generator.permutation(text), f"{number}{seed}"]), name))
        rows = [rows[i] for i in generator.permutation(len(rows))]
        return [text for text, _ in rows], [label for _, label in rows]

    return draw


@pytest.fixture(scope="session")
def write_rows():
    """Writes texts and labels (None: missing) to a CSV or JSONL file, by its suffix."""

    def write(path, texts, labels):
        path = Path(path)
        with path.open("w", encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                table = csv.writer(file)
                table.writerow(["text", "label"])
                table.writerows(
                    (text, "" if label is None else label)
                    for text, label in zip(texts, labels, strict=True)
                )
            else:
                for text, label in zip(texts, labels, strict=True):
                    file.write(json.dumps({"text": text, "label": label}) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory, draw_texts, write_rows):
    """A CSV file of 3 classes with 30 rows each."""
    return write_rows(tmp_path_factory.mktemp("corpus") / "things.csv", *draw_texts(30))


@pytest.fixture
def tiny(encoder, corpus_file):
    """Overrides → a recipe of few and small steps on the tiny encoder and corpus."""

    def recipe(*overrides):
        values = {
            "name": "tiny",
            "method": "supervised",
            "data": {
                "corpus": str(corpus_file),
                "labels_per_class": 4,
                "dev_per_class": 5,
                "test_per_class": 5,
            },
            "model": {"encoder": encoder, "max_length": 16, "head_width": 8},
            "training": {
                "steps": 6,
                "evaluate_every": 3,
                "batch": 4,
                "batch_unlabelled": 4,
                "lr_encoder": 1e-3,
                "lr_head": 1e-2,
                "warmup": 0.0,
                "precision": "float32",
                "device": "cpu",
                "log_every": 1,
            },
        }
        if {"model.encoder=mlp", "model.encoder=small_cnn"} & {*overrides}:
            del values["model"]["max_length"]  # of tokens, which vectors have not
        return make_recipe(values, overrides)

    return recipe


@pytest.fixture(scope="session")
def torchrun():
    """(processes, arguments) → what torchrun says that has come to its end; see `start`."""

    def run(count, *arguments, code=0):
        process = start_torchrun(count, *arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, err
        return out, err

    return run


def script(path):
    """A file of `benchmarks` or `experiments`, which are no packages, as a module."""
    path = ROOT / path
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def start_torchrun(count, *arguments):
    """Starts a script, or `-m` and a module, in so many processes of one thread."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={count}", *map(str, arguments)]
    around = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=around)


# ---- tagging


def draw_sentences(count, seed=0):
    """Different sentences and their tags: animals are people here, and dishes places."""
    generator = np.random.default_rng([seed, 3])
    made = {}
    while len(made) < count:
        words, tags = [], []
        for _ in range(int(generator.integers(2, 5))):
            kind = generator.integers(3)
            names = (NOISE, TOPICS["animals"], TOPICS["food"])[kind]
            size = int(generator.integers(1, 3)) if kind else 1
            words += generator.choice(names, size).tolist()
            tag = ("O", "PER", "LOC")[kind]
            tags += ["O"] if not kind else [f"{'I' if n else 'B'}-{tag}" for n in range(size)]
            if kind:  # apart from the next entity, or nobody could tell where it begins
                words.append(str(generator.choice(NOISE)))
                tags.append("O")
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
        return build_recipe(TaggingRecipe, values, overrides)

    return recipe
