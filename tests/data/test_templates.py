"""Texts that say the classes."""

from dataclasses import replace

import numpy as np
import pytest

from mixtext import Corpus
from mixtext.data.batches import Feed
from mixtext.data.prepare import prepare_data
from mixtext.data.settings import DataSettings
from mixtext.data.templates import USUAL, with_templates
from mixtext.errors import InputError

TEXTS = [f"text {i}" for i in range(12)]
LABELS = ["so_so", "good", None] * 4


@pytest.fixture
def corpus():
    return Corpus.from_lists(TEXTS, LABELS, name="mine")


def test_a_row_of_each_class_for_every_template(corpus):
    more = with_templates(corpus, ["{}", "it was {}."], [])
    assert list(more.texts[12:]) == ["good", "so so", "it was good.", "it was so so."]
    assert more.labels[12:].tolist() == [0, 1, 0, 1]
    assert more.label_names == ["good", "so_so"]
    assert list(more.texts[:12]) == TEXTS
    assert len(set(more.ids)) == 16


def test_words_stand_for_names(corpus):
    more = with_templates(corpus, ["It was {}. All in all {{}}".replace("{{}}", "so")], ["a", "b"])
    assert list(more.texts[12:]) == ["It was a. All in all so", "It was b. All in all so"]


def test_rows_are_drawn_as_without_templates(corpus):
    settings = DataSettings(labels_per_class=2)
    plain = prepare_data(settings, True, corpus)
    told = prepare_data(replace(settings, templates=USUAL), True, corpus)
    for part in ("labelled", "unlabelled", "dev"):
        np.testing.assert_array_equal(getattr(told.split, part), getattr(plain.split, part))
    assert told.split.templates.tolist() == [12, 13, 14, 15, 16, 17]
    assert told.split.learned.tolist() == [*told.split.labelled, *range(12, 18)]
    assert not len(plain.split.templates)


def test_a_class_without_any_labelled_row_is_still_said():
    corpus = Corpus.from_lists(TEXTS, LABELS, label_names=["so_so", "good", "bad"])
    settings = DataSettings(labels_per_class=0, templates=("{}",))
    data = prepare_data(settings, True, corpus, need_labels=False)
    assert data.train.labels[data.split.templates].tolist() == [0, 1, 2]
    assert len(data.split.labelled) == 8
    with pytest.raises(InputError, match="bad"):  # a class that no row has is still refused
        prepare_data(settings, True, corpus)


def test_labels_that_tell_frequencies_are_those_that_somebody_gave():
    class Rows:
        lengths = np.ones(5)

    rows = np.arange(5)
    feed = Feed(Rows(), np.zeros(5, int), [], rows, rows[:0], None, batch=1, batch_unlabelled=0,
                seed=0, templates=2)  # fmt: skip
    assert feed.drawn.tolist() == [0, 1, 2]
    assert feed.labelled.rows.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"templates": ["a text"]}, "write {} once"),
        ({"templates": ["{} or {}"]}, "write {} once"),
        ({"templates": ["{}"], "class_words": ["one"]}, "1 words for 2 classes.*good, so_so"),
        ({"class_words": ["one", "two"]}, "no text that they would stand in"),
    ],
)
def test_what_says_nothing_is_refused(corpus, fields, message):
    with pytest.raises(InputError, match=message):
        prepare_data(DataSettings(labels_per_class=2, **fields), True, corpus)


def test_scores_and_pairs_have_no_templates(corpus):
    pairs = replace(corpus, pairs=TEXTS)
    scores = Corpus.from_lists(TEXTS, scores=np.arange(12.0))
    for other in (pairs, scores):
        with pytest.raises(InputError, match="leave it out"):
            with_templates(other, ["{}"], [])
