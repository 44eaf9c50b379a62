"""Miniatures: a recipe on a tiny random encoder and made-up texts, for a look at the machinery."""

import csv
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from mixtext.api import load_recipe
from mixtext.data.read.catalogue import CATALOGUE
from mixtext.files import aside, make_folder, write_text
from mixtext.models.settings import VECTOR_ENCODERS, WORD_ENCODERS
from mixtext.tagging.recipe import TaggingRecipe

TOPICS = (
    ("cat", "dog", "horse", "goat", "heron"),
    ("bread", "soup", "cheese", "rice", "plum"),
    ("saw", "hammer", "drill", "plane", "rasp"),
)
NOISE = ("the", "a", "of", "on", "today", "old", "new", "small", "red", "and", "with", "near")
ROWS = 16  # a class
STEPS = ("training.steps=2", "training.epochs=0", "training.batch=4", "training.log_every=1",
         "training.device=cpu", "training.precision=float32")  # fmt: skip


class Miniature:
    """Makes recipes small.

    Args:
        folder: takes encoder, texts and word vectors; what is there already is taken.
    """

    def __init__(self, folder: Path) -> None:
        """Makes the folder."""
        self.folder = folder
        make_folder(folder)

    def overrides(self, recipe: Path, overrides: Sequence[str]) -> list[str]:
        """What makes a recipe with its overrides small: two steps, tiny data, a random encoder."""
        loaded = load_recipe(recipe, overrides)
        encoder = loaded.model.encoder
        if isinstance(loaded, TaggingRecipe):
            columns = loaded.data.columns
            train, test = (self._sentences(x, len(columns) or 2) for x in ("train", "test"))
            return [
                *STEPS,
                f"data.corpus={train}",
                f"data.test={test}",
                "data.labelled=8",
                "data.pool_size=16",
                f"model.encoder={self.encoder}",
                "model.max_length=24",
                "model.overlap=4",
                "active.per_round=4",
                *(["active.rounds=1"] if loaded.active.rounds else []),
                "seqmix.window=2",
                "seqmix.threshold=0.3",
            ]
        if encoder in VECTOR_ENCODERS:
            return [*STEPS, "training.evaluate_every=2"]
        data, entry = loaded.data, CATALOGUE[loaded.data.corpus]
        corpus = self._texts(data.corpus, (*entry.text, *entry.pair), entry.label, entry.scores)
        fields = {"text": entry.text, "pair": entry.pair, "scores": entry.scores}
        small = [
            *STEPS,
            "training.evaluate_every=2",
            "training.batch_unlabelled=4",
            *(
                f"data.{key}={list(value)}".replace("'", '"')
                for key, value in fields.items()
                if value
            ),
            f"data.corpus={corpus}",
            "data.root=",
            f"data.label={entry.label}",
            f"data.labels_per_class={min(data.labels_per_class, 4)}",
            f"data.dev_per_class={min(data.dev_per_class, 2)}",
            "data.test_per_class=4",
            "data.unlabelled_per_class=0",
        ]
        if loaded.views.file:
            small += [
                "views.file=",
                f"views.copies={max(1, len(getattr(loaded.method, 'view_weights', [])))}",
            ]
        if loaded.views.backend:
            small.append(f"views.cache={self.folder / 'views'}")
        if encoder in WORD_ENCODERS:
            return [*small, f"model.vectors={self._vectors()}", "model.max_length=16"]
        return [*small, f"model.encoder={self.encoder}", "model.max_length=24"]

    @cached_property
    def encoder(self) -> Path:
        """The folder of a random BERT: 12 layers, 16 wide, a vocabulary of words and letters."""
        folder = self.folder / "encoder"
        if (folder / "config.json").is_file():
            return folder
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_words(), *letters]
        pieces += [f"##{letter}" for letter in letters]
        numbers = {piece: n for n, piece in enumerate(dict.fromkeys(pieces))}
        tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[(name, numbers[name]) for name in ("[CLS]", "[SEP]")],
        )
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            pad_token="[PAD]",
            unk_token="[UNK]",
            cls_token="[CLS]",
            sep_token="[SEP]",
            mask_token="[MASK]",
            model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        )
        config = BertConfig(
            vocab_size=len(numbers),
            hidden_size=16,
            num_hidden_layers=12,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
            initializer_range=0.3,
        )
        with torch.random.fork_rng(), aside(folder) as half:
            torch.manual_seed(0)
            half.mkdir()
            fast.save_pretrained(half)
            BertModel(config).save_pretrained(half)
        return folder

    def _texts(self, name: str, texts: Sequence[str], label: str, scores: Sequence[float]) -> Path:
        """A CSV file with the columns of a corpus: three classes, or scores from 0 to 5."""
        path = self.folder / f"{name}.csv"
        draw = np.random.default_rng(0)
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow([*texts, label])
            for row in range(len(TOPICS) * ROWS):
                topic = TOPICS[row % len(TOPICS)]
                words = [[*draw.choice(topic, 2), *draw.choice(NOISE, 4), str(row)] for _ in texts]
                told = row % 6 if scores else row % len(TOPICS)
                table.writerow([*(" ".join(map(str, x)) for x in words), told])
        return path

    def _sentences(self, name: str, columns: int) -> Path:
        """A CoNLL file: animals are people here, and dishes places."""
        draw = np.random.default_rng(len(name))
        lines = []
        for number in range(40):
            for kind in draw.permutation(3):
                word = str(draw.choice((NOISE, TOPICS[0], TOPICS[1])[kind]))
                tag = ("O", "B-PER", "B-LOC")[kind]
                lines.append(" ".join([word, *["x"] * (columns - 2), tag]))
            lines += [" ".join([f"{name}{number}", *["x"] * (columns - 2), "O"]), ""]
        path = self.folder / f"{name}.txt"
        write_text(path, "\n".join(lines) + "\n")
        return path

    def _vectors(self) -> Path:
        """Word vectors, 50 wide."""
        draw, path = np.random.default_rng(0), self.folder / "vectors.txt"
        lines = [" ".join([word, *(f"{x:.3f}" for x in draw.normal(size=50))]) for word in _words()]
        write_text(path, "\n".join(lines) + "\n")
        return path


def _words() -> Iterable[str]:
    return [*(word for topic in TOPICS for word in topic), *NOISE]
