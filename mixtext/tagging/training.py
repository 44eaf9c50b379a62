"""Taggers: trained in the one loop of `loop.py`, scored, saved."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mixtext.assessment import EXAMPLES, Assessment, Example, by_class, calibration_bins, cut
from mixtext.data.batches import in_length_order
from mixtext.models.folder import save_parts
from mixtext.tagging.corpus import TaggedCorpus
from mixtext.tagging.metrics import entity_spans, span_metrics
from mixtext.tagging.rows import (
    SentenceTokens,
    SoftSentences,
    TaggedBatch,
    TaggedFeed,
    tokenise_sentences,
)
from mixtext.tagging.seqmix import SeqMix
from mixtext.tagging.settings import TaggerSettings
from mixtext.tagging.tagger import Tagger, build_tagger
from mixtext.tagging.tags import OUTSIDE, kinds_of
from mixtext.training.device import autocast, choose_device
from mixtext.training.distributed import added_up, own_part
from mixtext.training.loop import Trainer
from mixtext.training.settings import TrainingSettings


@torch.no_grad()
def tag_probabilities(
    model: Tagger, tokens: SentenceTokens, batch: int = 64, precision: str = "auto"
) -> list[np.ndarray]:
    """Tag probabilities of every word of every sentence, float32, `(T, C)` each; no dropout."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    flat = np.zeros((int(tokens.word_offsets[-1]), model.head.out_features), dtype=np.float32)
    for rows in own_part(in_length_order(tokens.tokens.lengths, batch)):
        padded = tokens.rows(rows).to(device)
        with autocast(precision, device):
            logits = model(padded)
        p = torch.softmax(logits.float(), dim=-1).cpu().numpy()  # (B, T, C)
        for place, row in enumerate(rows):
            spoken = tokens.spoken(row)
            at = np.flatnonzero(spoken >= 0)
            flat[spoken[at]] = p[place, at]
    model.train(training)
    return np.split(added_up(flat), tokens.word_offsets[1:-1])


def tag_metrics(corpus: TaggedCorpus, probabilities: list[np.ndarray]) -> dict[str, float]:
    """Metrics of the labelled sentences.

    Args:
        corpus: N sentences.
        probabilities: of their words' tags, `(T, C)` each, as `corpus.tag_names`.

    Returns:
        As `span_metrics`, and `loss`: the mean negative log probability of a word's tag, in nats.
    """
    names = corpus.tag_names
    gold, predicted, losses = [], [], []
    for row in np.flatnonzero(corpus.labelled):
        tags, p = corpus.tags[row], probabilities[row]
        gold.append([names[tag] for tag in tags])
        predicted.append([names[tag] for tag in p.argmax(axis=1)])
        losses.append(-np.log(np.maximum(p[np.arange(len(tags)), tags], 1e-12)))
    loss = float(np.concatenate(losses).mean()) if losses else 0.0
    return {**span_metrics(gold, predicted), "loss": loss}


def assess_tags(corpus: TaggedCorpus, probabilities: list[np.ndarray]) -> Assessment:
    """How the labelled sentences were tagged; arguments as of `tag_metrics`.

    Classes are entity types and O, and what is counted are words; the examples are sentences, with
    the confidence of their least sure word.
    """
    names, rows = corpus.tag_names, np.flatnonzero(corpus.labelled).tolist()
    kinds = [OUTSIDE, *kinds_of(names)]
    kind_of = np.array([kinds.index(x.partition("-")[2] or OUTSIDE) for x in names])
    gold = np.concatenate([corpus.tags[row] for row in rows])
    p = np.concatenate([probabilities[row] for row in rows])
    right: list[Example] = []
    wrong: list[Example] = []
    for row in rows:
        told, tokens = probabilities[row].argmax(axis=1), corpus.sentences[row]
        sure = float(probabilities[row].max(axis=1).min())
        some = right if (told == corpus.tags[row]).all() else wrong
        wanted, found = (
            _shown(tokens, tags) for tags in (corpus.named(row), [names[tag] for tag in told])
        )
        some.append((corpus.ids[row], wanted, found, sure, cut(" ".join(tokens))))
    scores, confusion = by_class(kind_of[gold], kind_of[p.argmax(axis=1)], len(kinds))
    return Assessment(
        source=corpus.source or corpus.name or "the data",
        rows=len(rows),
        unlabelled=len(corpus) - len(rows),
        metrics=tag_metrics(corpus, probabilities),
        label_names=kinds,
        scores=scores,
        confusion=confusion,
        bins=calibration_bins(p.max(axis=1), p.argmax(axis=1) == gold),
        mistakes=sorted(wrong, key=lambda x: -x[3])[:EXAMPLES],
        right=sorted(right, key=lambda x: -x[3])[:EXAMPLES],
        unit="words",
    )


def _shown(tokens: list[str], tags: list[str]) -> str:
    """The entities of a sentence."""
    some = [f"{' '.join(tokens[x.start : x.stop])} ({x.kind})" for x in entity_spans(tags)]
    return ", ".join(some) or "–"


def tag_trainer(
    settings: TaggerSettings,
    training: TrainingSettings,
    method: SeqMix,
    train: SoftSentences,
    tag_names: list[str],
    parts: dict[str, TaggedCorpus],
) -> tuple[Trainer[Tagger, TaggedBatch], Any]:
    """A trainer of a new tagger, and the tagger's tokenizer.

    Args:
        settings: of the tagger, and how sentences become rows.
        training: the loop's settings; a step has `training.batch` rows.
        method: its loss.
        train: what is learned from, generated sentences included.
        tag_names: C names.
        parts: `dev` and `test`, where there are such.
    """
    model, tokenizer = build_tagger(settings, len(tag_names), training.seed)
    model.to(choose_device(training.device))
    if training.gradient_checkpointing:
        model.encoder.enable_gradient_checkpointing()

    def rows(sentences: list[list[str]]) -> SentenceTokens:
        return tokenise_sentences(tokenizer, sentences, settings.max_length, settings.overlap)

    tokens = {part: rows(corpus.sentences) for part, corpus in parts.items()}

    def measure(model: Tagger, part: str) -> dict[str, float]:
        if part not in parts:
            return {}
        p = tag_probabilities(model, tokens[part], training.eval_batch, training.precision)
        return tag_metrics(parts[part], p)

    def examine(model: Tagger, part: str) -> Assessment | None:
        if part not in parts or not parts[part].labelled.any():
            return None
        p = tag_probabilities(model, tokens[part], training.eval_batch, training.precision)
        return assess_tags(parts[part], p)

    feed = TaggedFeed(rows(train.words), train, batch=training.batch, seed=training.seed)
    trainer = Trainer(
        model,
        method,
        feed,
        training,
        measure,
        has_dev="dev" in parts,
        generator=np.random.default_rng(training.seed),
        examine=examine,
    )
    return trainer, tokenizer


def save_tagger(
    folder: Path,
    model: Tagger,
    tokenizer: Any,
    settings: TaggerSettings,
    tag_names: list[str],
    precision: str = "auto",
) -> None:
    """Writes a model folder, see `models/folder.py`."""
    about = {
        "task": "tagging",
        "rows": "sentences",
        "target": "tags",
        "tag_names": tag_names,
        "model": asdict(settings),
        "precision": precision,
    }
    save_parts(folder, model, tokenizer, about)
