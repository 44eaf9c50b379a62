"""Texts on disk are the same texts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtext.data import texts as module
from mixtext.data.cache import Columns
from mixtext.data.corpus import Corpus
from mixtext.data.texts import digest_of_texts, picked, store, stored

QUICK = settings(max_examples=40, deadline=None)
ANY = st.lists(st.text(max_size=12) | st.just("\ud800 alone") | st.just("日本 🙂"))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 3)


def on_disk(texts):
    columns = Columns()
    store(columns, "texts", texts)
    return stored(columns.finish({}), "texts")


@QUICK
@given(ANY)
def test_they_are_the_same(texts):
    found = on_disk(texts)
    assert list(found) == texts and len(found) == len(texts)
    assert [found[i] for i in range(-len(texts), len(texts))] == texts + texts
    assert found[1:7:2] == texts[1:7:2] and found[::-1] == texts[::-1]
    for place in (len(texts), -len(texts) - 1):
        with pytest.raises(IndexError):
            found[place]


@QUICK
@given(ANY, st.lists(st.integers(0, 10**6)))
def test_some_of_them(texts, numbers):
    rows = np.array([x % len(texts) for x in numbers] if texts else [], dtype=np.int64)
    found = picked(on_disk(texts), rows)
    expected = [texts[i] for i in rows]
    assert list(found) == expected == list(picked(texts, rows))
    back = np.arange(len(rows))[::-1]
    assert list(picked(found, back)) == expected[::-1]
    assert digest_of_texts(found) == digest_of_texts(expected)


@QUICK
@given(ANY)
def test_their_place(texts):
    found = on_disk(texts)
    for text in texts:
        assert found.index(text) == texts.index(text)
        assert text in found
    with pytest.raises(ValueError, match="not there"):
        found.index("not there at all")


def test_a_text_that_is_within_others():
    found = on_disk(["11", "1 1", "1", "", "1"])
    assert [found.index(x) for x in ("1", "11", "")] == [2, 0, 3]


@QUICK
@given(ANY)
def test_checksums_are_the_same(texts):
    texts = [text or "-" for text in texts]
    ids = [str(i) for i in range(len(texts))]
    plain = Corpus(texts, np.zeros(len(texts), np.int64), ["a", "b"], ids, texts[::-1])
    kept = Corpus(
        *(on_disk(texts), plain.labels, plain.label_names, on_disk(ids)),
        pairs=on_disk(texts[::-1]),
    )
    assert kept.checksum() == plain.checksum()
    rows = np.arange(0, len(texts), 2)
    assert kept.select(rows).checksum() == plain.select(rows).checksum()
