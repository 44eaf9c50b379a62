"""From settings to data: pairs, scores and vectors are read, split and, if asked, corrupted."""

from dataclasses import replace

import numpy as np
import pytest

from mixtext.data import prepare
from mixtext.data.corpus import Corpus
from mixtext.data.prepare import load_corpora, prepare_data
from mixtext.data.read.catalogue import load_any
from mixtext.data.settings import DataSettings
from mixtext.data.texts import StoredTexts
from mixtext.errors import InputError


def write(path, rows, header):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def scored(tmp_path):
    rows = [f"a {i},b {i},{i % 11 / 2}" for i in range(60)]
    return write(tmp_path / "scored.csv", rows, "one,two,score")


SCORED = {"text": ("one",), "pair": ("two",), "label": "score", "scores": (0.0, 5.0)}


def test_regression_on_pairs(scored):
    settings = DataSettings(scored, **SCORED, labels_per_class=8, dev_per_class=5, test_per_class=9)
    data = prepare_data(settings, need_unlabelled=False)
    assert data.train.target == data.test.target == "scores"
    assert (len(data.train), len(data.test)) == (51, 9)
    assert [len(x) for x in (data.split.labelled, data.split.dev)] == [8, 5]
    assert len(data.split.unlabelled) == 51 - 8 - 5
    # Every row kept its own score.
    for corpus in (data.train, data.test):
        numbers = [int(x.split()[1]) for x in corpus.pairs]
        assert corpus.labels.tolist() == [i % 11 / 2 for i in numbers]
    again = prepare_data(settings, need_unlabelled=False)
    assert again.train.checksum() == data.train.checksum()
    assert again.split.labelled.tolist() == data.split.labelled.tolist()


def test_regression_with_further_texts_and_a_share(scored, tmp_path):
    more = write(tmp_path / "more.csv", ["c,d", "e,f"], "one,two")
    settings = DataSettings(
        scored,
        **SCORED,
        unlabelled=more,
        pool="natural",
        labels_per_class=0,
        labelled_share=0.25,
        dev_per_class=20,
    )
    data = prepare_data(settings, need_unlabelled=True)
    assert (len(data.split.labelled), len(data.split.dev)) == (10, 20)
    assert {60, 61} <= set(data.split.unlabelled)
    assert not data.train.labelled[60:].any() and data.train.pairs[60:] == ["d", "f"]


def test_a_column_of_scores_needs_a_range(scored):
    settings = DataSettings(scored, text=("one",), label="score")
    with pytest.raises(InputError, match=r"holds scores such as .*: set data.scores"):
        prepare_data(settings, need_unlabelled=False)


def test_scores_cannot_be_corrupted_and_must_be_there():
    corpus = Corpus.from_lists(["a", "b", "c"], scores=[1, 2, 3], name="mine")
    settings = DataSettings(labels_per_class=1, dev_per_class=0, corrupt=0.5)
    with pytest.raises(InputError, match=r"data.corrupt is 0.5 but mine has scores"):
        prepare_data(settings, False, corpus)
    with pytest.raises(InputError, match="mine has no scores at all"):
        prepare_data(settings, False, Corpus.from_lists(["a"], scores=[None], name="mine"))


def test_corruption_changes_the_labelled_rows_alone_and_is_noted():
    texts, labels = [f"text {i}" for i in range(200)], np.arange(200) % 4
    corpus = Corpus.from_lists(texts, labels)
    held = Corpus.from_lists(["x 1", "x 2", "x 3", "x 4"], [0, 1, 2, 3])
    settings = {"labels_per_class": 20, "dev_per_class": 10}
    clean = prepare_data(DataSettings(**settings), False, corpus, held)
    noisy = prepare_data(DataSettings(**settings, corrupt=0.8), False, corpus, held)
    for part in ("labelled", "unlabelled", "dev"):
        assert getattr(noisy.split, part).tolist() == getattr(clean.split, part).tolist()
    changed = np.flatnonzero(noisy.train.labels != corpus.labels)
    assert 0 < len(changed) <= 64 and set(changed) <= set(noisy.split.labelled)
    assert clean.train.checksum() == corpus.checksum() != noisy.train.checksum()
    assert noisy.test.labels.tolist() == [0, 1, 2, 3]
    assert clean.notes == []
    (note,) = noisy.notes
    assert "0.8 of the labels of 80 rows" in note and f"; {len(changed)} of them" in note
    again = prepare_data(DataSettings(**settings, corrupt=0.8), False, corpus, held)
    assert again.train.checksum() == noisy.train.checksum()
    other = prepare_data(DataSettings(**settings, corrupt=0.8, split_seed=1), False, corpus, held)
    assert other.train.checksum() != noisy.train.checksum()


def test_vectors_are_split_held_out_and_joined(tmp_path):
    x = np.arange(160.0).reshape(40, 2, 2)
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(40) % 2)
    np.savez(tmp_path / "more.npz", x=x[:3], y=np.arange(3))
    settings = DataSettings(
        str(tmp_path / "d.npz"),
        unlabelled=str(tmp_path / "more.npz"),
        pool="natural",
        labels_per_class=3,
        dev_per_class=2,
        test_per_class=5,
    )
    data = prepare_data(settings, need_unlabelled=True)
    assert (data.train.rows, data.train.vectors.shape) == ("vectors", (33, 2, 2))
    assert data.test.vectors.shape == (10, 2, 2)
    assert data.train.labels[30:].tolist() == [-1, -1, -1]
    for corpus in (data.train.select(range(30)), data.test):
        numbers = [int(i) for i in corpus.ids]
        assert (corpus.vectors == x[numbers]).all()
        assert corpus.labels.tolist() == [i % 2 for i in numbers]
    with pytest.raises(InputError, match=r"text is given but .*d\.npz holds vectors"):
        prepare_data(DataSettings(str(tmp_path / "d.npz"), text=("x",)), False)


def test_a_test_part_in_train_is_noted_by_both_texts_of_a_pair(tmp_path):
    train = write(tmp_path / "train.csv", ["a,b,x", "a,c,y", "d,e,x", "f,g,y"], "one,two,label")
    test = write(tmp_path / "test.csv", ["a,e,x", "a,c,y"], "one,two,label")
    settings = DataSettings(
        train, test=test, text=("one",), pair=("two",), labels_per_class=1, dev_per_class=0
    )
    data = prepare_data(settings, need_unlabelled=False)
    assert data.notes == ["1 test texts are also in the training part, the first as row '1'"]
    single = Corpus.from_lists(["a", "b"], ["x", "y"])
    with pytest.raises(InputError, match="pairs of texts but test"):
        prepare_data(settings, False, data.train, single)


# ---- large files, whose rows are kept


@pytest.fixture
def large(monkeypatch, tmp_path):
    monkeypatch.setattr(prepare, "LARGE", 1)
    monkeypatch.setenv("MIXTEXT_CACHE", str(tmp_path / "cache"))


def unread(*args, **kwargs):
    raise AssertionError("the files are read again")


def alike(one, other):
    for a, b in zip(one[:2], other[:2], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.checksum() == b.checksum()
            for name in ("label_names", "name", "replacements", "source", "notes", "target"):
                assert getattr(a, name) == getattr(b, name)
            assert list(a.texts) == list(b.texts) and list(a.ids) == list(b.ids)
            assert a.labels.dtype == b.labels.dtype
    assert one[2] == other[2]


def test_rows_of_large_files_are_read_once(large, tmp_path, monkeypatch):
    lines = [f"text é {i % 50},{'xyz'[i % 3]}" for i in range(60)]
    file = write(tmp_path / "rows.csv", lines, "text,label")
    more = write(tmp_path / "more.csv", ["text é 3", "another"], "text")
    settings = DataSettings(
        file, unlabelled=more, drop_duplicates=True, test_per_class=4, labels_per_class=2
    )
    monkeypatch.setenv("MIXTEXT_CACHE_GB", "0")
    plain = load_corpora(settings)
    monkeypatch.delenv("MIXTEXT_CACHE_GB")
    made = load_corpora(settings)
    monkeypatch.setattr(prepare, "load_any", unread)
    alike(plain, made)
    alike(plain, load_corpora(settings))
    other_split = replace(settings, labels_per_class=3, split_seed=7, pool="natural")
    alike(plain, load_corpora(other_split))
    data = prepare_data(other_split, need_unlabelled=True)
    assert isinstance(data.train.texts, StoredTexts)
    assert len(data.split.unlabelled) == len(data.train) - 9
    told = replace(other_split, templates=("{}!",))
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "load_any", load_any)
        prepare_data(told, need_unlabelled=True)
    said = prepare_data(told, need_unlabelled=True)  # not read again
    assert isinstance(said.train.texts, StoredTexts)
    assert list(said.train.texts)[-3:] == ["x!", "y!", "z!"]
    np.testing.assert_array_equal(said.split.unlabelled, data.split.unlabelled)
    for change in ({"drop_duplicates": False}, {"test_per_class": 3}, {"unlabelled": ""}):
        with pytest.raises(AssertionError, match="read again"):
            load_corpora(replace(settings, **change))
    (tmp_path / "more.csv").write_text("text\ntext é 3\nothers\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="read again"):
        load_corpora(settings)


def test_a_large_folder_of_documents(large, tmp_path, monkeypatch):
    for name in ("train/pos", "train/neg", "test/pos", "test/neg"):
        for i in range(4):
            path = tmp_path / "docs" / name / f"{i}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name} {i}")
    settings = DataSettings(str(tmp_path / "docs"), labels_per_class=2)
    made = load_corpora(settings)
    assert (len(made[0]), len(made[1])) == (8, 8)
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "load_any", unread)
        alike(made, load_corpora(settings))
    (tmp_path / "docs/train/pos/2.txt").write_text("changed")
    assert "changed" in load_corpora(settings)[0].texts


def test_scores_and_pairs_of_a_large_file(large, scored):
    settings = DataSettings(scored, **SCORED, labels_per_class=8, test_per_class=9)
    made, again = load_corpora(settings), load_corpora(settings)
    alike(made, again)
    assert again[0].target == "scores" and again[0].rows == "pairs"


def test_what_is_wrong_with_a_large_file_is_told(large, tmp_path):
    file = write(tmp_path / "rows.csv", ["a,x", " ,y"], "text,label")
    for _ in range(2):
        with pytest.raises(InputError, match="line 3: fill them"):
            load_corpora(DataSettings(file))
    with pytest.raises(InputError, match="is neither a data set"):
        load_corpora(DataSettings(str(tmp_path / "none.csv")))
