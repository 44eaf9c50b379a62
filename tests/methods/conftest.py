"""A small model of every kind, and batches for it."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from mixtext.data.batches import Batch, pad
from mixtext.data.views import Row
from mixtext.models.build import POOL_OF
from mixtext.models.classifier import Classifier
from mixtext.models.encoder import MixableEncoder
from mixtext.models.heads import MlpHead
from mixtext.models.vectors import Mlp, SmallCnn
from mixtext.models.words import KimCnn, Lstm

PAD, UNK, CLS, SEP, FIRST_WORD, VOCAB = 0, 1, 2, 3, 4, 60
VALUES, IMAGE = 6, (4, 4)


@pytest.fixture(scope="session")
def make_model():
    """kind → a `Classifier` of that kind, in train mode, the same weights each time."""

    def make(kind, outputs=3, width=0, dropout=0.0, branches="shared", pool=None):
        torch.manual_seed(0)
        if kind == "bert":
            config = BertConfig(
                vocab_size=VOCAB,
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=24,
                max_position_embeddings=40,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
                initializer_range=0.4,  # large, so that outputs differ from row to row
            )
            encoder = MixableEncoder(BertModel(config, add_pooling_layer=False))
        elif kind == "kim_cnn":
            encoder = KimCnn(torch.randn(VOCAB, 5), tune=True, maps=4)
        elif kind == "lstm":
            encoder = Lstm(torch.randn(VOCAB, 5), tune=True, hidden=7)
        else:
            encoder = Mlp(VALUES, width=8) if kind == "mlp" else SmallCnn(IMAGE)
        pool = pool or POOL_OF.get(kind, "mean")
        head = MlpHead(encoder.hidden_size, outputs, width)
        return Classifier(encoder, head, pool, branches=branches, dropout=dropout).train()

    return make


@pytest.fixture(scope="session")
def make_batch():
    """(kind, lengths) → a `Batch` of random rows with one label each, or one score each.

    A length counts words; a tuple of two makes a pair. A transformer's rows get special tokens.
    Rows beyond `labelled` are unlabelled ones and their views.
    """

    def make(kind, lengths, *, scores=False, specials=True, word=None, labelled=None, views=0):
        generator = np.random.default_rng(len(lengths))
        shape = {"mlp": (VALUES,), "small_cnn": IMAGE}.get(kind)
        labelled = len(lengths) if labelled is None else labelled
        if shape is not None:
            values = generator.normal(size=(len(lengths), *shape))
            rows = torch.from_numpy(values.astype(np.float32))
        else:
            specials = specials and kind == "bert"
            rows = pad([_row(generator, n, specials, word) for n in lengths], PAD)
        labels = torch.arange(labelled) % 3
        if scores:
            labels = torch.from_numpy(generator.normal(size=labelled).astype(np.float32))
        unlabelled = (len(lengths) - labelled) // (views + 1)
        return Batch(
            rows,
            labels,
            unlabelled,
            views,
            hidden=np.full(unlabelled, -1),
            row_ids=[str(i) for i in range(labelled + unlabelled)],
            unknown_id=None if shape is not None else UNK,
        )

    return make


def _row(generator, lengths, specials, word):
    ids, side = [CLS] * specials, [-1] * specials
    for number, n in enumerate(lengths if isinstance(lengths, tuple) else (lengths,)):
        words = generator.integers(FIRST_WORD, VOCAB, n).tolist() if word is None else [word] * n
        ids += [*words, *[SEP] * specials]
        side += [*[number] * n, *[-1] * specials]
    types = np.array([int(s == 1) for s in side], np.int8)
    return Row(np.array(ids), np.arange(len(ids)), types, np.array(side, np.int8))
