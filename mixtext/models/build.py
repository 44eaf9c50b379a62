"""From settings to a model and its tokenizer, new or as a run has left it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mixtext.data.corpus import Corpus
from mixtext.data.vocabulary import build_tokenizer, vocabulary
from mixtext.errors import InputError, reads
from mixtext.models.base import Encoder
from mixtext.models.classifier import Classifier
from mixtext.models.encoder import MixableEncoder
from mixtext.models.folder import load_parts, settings_in
from mixtext.models.heads import MlpHead
from mixtext.models.pretrained import load_encoder
from mixtext.models.settings import VECTOR_ENCODERS, WORD_ENCODERS, ModelSettings
from mixtext.models.vectors import Mlp, SmallCnn
from mixtext.models.words import KimCnn, Lstm

POOL_OF = {"kim_cnn": "max", "lstm": "last"}  # others: mean


def build_model(
    settings: ModelSettings, train: Corpus, seed: int
) -> tuple[Classifier, Any, list[str]]:
    """Makes the model that a recipe asks for.

    Args:
        settings: see `ModelSettings`.
        train: the training rows: their target, classes, words and shape decide on sizes.
        seed: seeds torch's generator: new weights here, dropout later.

    Returns:
        The model, the tokenizer (None for vectors), and notes on what was made.

    Raises:
        InputError: no such encoder, one that does not fit the rows, `max_length` beyond what it
            can take, bad word vectors, or a `start` that does not fit.
    """
    check_fit(settings, train)
    torch.manual_seed(seed)
    if settings.start:
        model, tokenizer, saved = load_model(Path(settings.start))
        check_start(settings, train, saved)
        model.branches, model.dropout.p = settings.branches, settings.dropout
        check_length(settings, model.encoder)
        if settings.freeze and isinstance(model.encoder, MixableEncoder):
            model.encoder.freeze(settings.freeze)
        if train.shape:
            model.encoder(torch.zeros(1, *train.shape))  # refuses rows of another size
        return model, tokenizer, [f"begins with the model of {settings.start}"]
    notes: list[str] = []
    encoder: Encoder
    tokenizer = None
    if settings.encoder == "mlp":
        encoder = Mlp(math.prod(train.shape))
    elif settings.encoder == "small_cnn":
        encoder = SmallCnn(train.shape)
    elif settings.encoder in WORD_ENCODERS:
        pretrained = settings.embedding.startswith("Pretrain")
        words = vocabulary(
            [*train.texts, *(train.pairs or ())],
            np.random.default_rng(seed),
            most=settings.vocabulary,
            pretrained=settings.vectors if pretrained else None,
            lower=settings.lowercase,
            width=settings.word_width,
        )
        tune = settings.embedding.endswith("Tune")
        kind = KimCnn if settings.encoder == "kim_cnn" else Lstm
        encoder = kind(words.matrix, tune)
        tokenizer = build_tokenizer(words.words, settings.lowercase)
        notes.append(
            f"{len(words.words)} words, vectors of {words.matrix.shape[1]}; "
            f"{words.coverage:.0%} of the training texts' words have a pretrained one"
        )
    else:
        encoder, tokenizer = load_encoder(settings.encoder)
        check_length(settings, encoder)
        if settings.freeze:
            encoder.freeze(settings.freeze)
        torch.manual_seed(seed)  # loading may have drawn
    outputs = 1 if train.target == "scores" else train.classes
    return _assemble(settings, encoder, outputs), tokenizer, notes


@reads("export the model again")
def load_model(run: Path) -> tuple[Classifier, Any, dict[str, Any]]:
    """Loads the model of a run folder, or a model folder.

    Returns:
        The model, the tokenizer (None for vectors), and what `mixtext.json` says about them, the
        settings under "model" as `ModelSettings`.

    Raises:
        InputError: there is no finished model there.
    """
    parts = load_parts(run)
    saved = parts.about
    if saved["target"] == "tags":
        raise InputError(
            f"{run} holds a tagger: load it with mixtext.tagging.entities.load_tagger."
        )
    settings = saved["model"] = settings_in(ModelSettings, run, saved)
    outputs = 1 if saved["target"] == "scores" else len(saved["label_names"])
    model = _assemble(settings, parts.encoder, outputs)
    parts.fill(model)
    return model, parts.tokenizer, saved


def check_fit(settings: ModelSettings, train: Corpus) -> None:
    """Refuses an encoder of texts for vectors, one of vectors for texts, and other shapes."""
    wants_vectors = settings.encoder in VECTOR_ENCODERS
    if wants_vectors != (train.rows == "vectors"):
        kinds = ("minilm", *WORD_ENCODERS) if wants_vectors else VECTOR_ENCODERS
        raise InputError(
            f"model.encoder is {settings.encoder!r}, but {train.name or 'the corpus'} holds "
            f"{'texts' if wants_vectors else 'vectors'}: choose one such as {', '.join(kinds)}."
        )
    if settings.encoder == "small_cnn" and len(train.shape) != 2:
        raise InputError(
            f"model.encoder is 'small_cnn', which takes images, but {train.name or 'the corpus'} "
            f"holds vectors of {train.shape[0]} values: choose 'mlp'."
        )


def check_length(settings: ModelSettings, encoder: Encoder) -> None:
    """Refuses texts longer than the encoder can take."""
    longest = encoder.max_tokens
    if longest and settings.max_length > longest:
        raise InputError(
            f"model.max_length is {settings.max_length}, but encoder {settings.encoder!r} "
            f"takes at most {longest} tokens: lower it."
        )


def check_start(settings: ModelSettings, train: Corpus, saved: dict[str, Any]) -> None:
    """Refuses to go on from a model of other rows, target, classes or parts."""
    # What the model brings along must not be asked for in another way, for it would not be heard.
    fields = ["encoder", "head_width", "pool"]
    if settings.encoder in WORD_ENCODERS:
        fields += ["embedding", "vectors", "word_width", "vocabulary", "lowercase"]
    for what, mine, theirs in (
        ("the rows", train.rows, saved["rows"]),
        ("the target", train.target, saved["target"]),
        ("the classes", train.label_names, saved["label_names"]),
        *((f"model.{x}", getattr(settings, x), getattr(saved["model"], x)) for x in fields),
    ):
        if mine != theirs:
            raise InputError(
                f"model.start is {settings.start!r}, with {what} {theirs}, but this recipe has "
                f"{mine}: make them equal, or leave model.start out."
            )


def _assemble(settings: ModelSettings, encoder: Encoder, outputs: int) -> Classifier:
    pool = settings.pool
    return Classifier(
        encoder,
        MlpHead(encoder.hidden_size, outputs, settings.head_width),
        pool=POOL_OF.get(settings.encoder, "mean") if pool == "auto" else pool,
        use_mask=settings.use_mask,
        branches=settings.branches,
        dropout=settings.dropout,
    )
