"""Lines to predict: what a row is, and every refusal by the number of its line."""

import io
import json
import sys

import pytest

from mixtext.data.read.lines import read_unlabelled
from mixtext.data.read.options import ReadOptions
from mixtext.errors import InputError

TEXTS = ["the cat", 'soup "today"', "ein Löffel", "[1, 2]"]


def test_texts_alone_and_as_json_are_the_same(tmp_path):
    plain, lines = tmp_path / "texts.txt", tmp_path / "texts.jsonl"
    plain.write_text("\ufeff" + "\r\n\n  ".join(TEXTS) + "\n", encoding="utf-8")
    lines.write_text("".join(json.dumps({"n": 1, "text": x}) + "\n\n" for x in TEXTS))
    for path in (plain, lines):
        corpus = read_unlabelled(path, pairs=False)
        assert (corpus.texts, corpus.pairs) == (TEXTS, None)
        assert not corpus.labelled.any()


def test_pairs_from_standard_input(monkeypatch):
    rows = "".join(json.dumps({"pair": x.upper(), "text": x}) + "\n" for x in TEXTS)
    stdin = io.TextIOWrapper(io.BytesIO(rows.encode()), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    corpus = read_unlabelled(None, pairs=True)
    assert (corpus.texts, corpus.pairs) == (TEXTS, [x.upper() for x in TEXTS])
    with pytest.raises(InputError, match="text is given but standard input is read line by line"):
        read_unlabelled(None, pairs=True, options=ReadOptions(text="a"))


@pytest.mark.parametrize(
    "pairs, content, culprits",
    [
        (False, b"a cat\na \xff dog\n", ["line 2", "UTF-8"]),
        (False, b'{"txt": "a"}\n', ["line 1", '"text"']),
        (False, b'a\n\n{"text": "a"\n', ["line 3", "JSON"]),
        (False, b'{"text": 3}\n', ["line 1", '"text"']),
        (False, b'{"text": " "}\n', ["line 1", '"text"', "empty"]),
        (False, b'a\n{"text": "a", "pair": "b"}\n', ["line 2", '"pair"', "single texts"]),
        (True, b'{"text": "a", "pair": "b"}\n{"text": "a"}\n', ["line 2", '"pair"', "pairs"]),
        (True, b"a cat\n", ["line 1", '"pair"', "pairs"]),
        (True, b'{"text": "a", "pair": null}\n', ["line 1", '"pair"', "string"]),
        (True, b'{"text": "a", "pair": ""}\n', ["line 1", '"pair"', "empty"]),
        (True, b'{"pair": "b"}\n', ["line 1", '"text"']),
        (False, b"\n \n", ["no text"]),
        (False, None, ["does not exist"]),
    ],
)
def test_refusals(pairs, content, culprits, tmp_path):
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_unlabelled(path, pairs)
    sentence = str(refused.value)
    assert "rows.jsonl" in sentence and "\n" not in sentence
    assert all(x in sentence for x in culprits), sentence


def test_broken_utf8_is_replaced_where_that_is_said(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_bytes(b"a cat\na \xff dog\n")
    corpus = read_unlabelled(path, False, ReadOptions(encoding_errors="replace"))
    assert corpus.texts == ["a cat", "a \ufffd dog"]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("rows.csv", 'body,key,label\n"a, b",x,1\nc,y,\n', {}),
        ("rows.tsv", "key\tbody\nx\ta, b\ny\tc\n", {}),
        ("rows.jsonl", '{"key": "x", "body": "a, b"}\n{"key": "y", "body": "c"}\n', {}),
        ("rows.txt", 'body,key\n"a, b",x\nc,y\n', {"format": "csv"}),
    ],
)
def test_files_of_rows_are_read_by_their_columns(name, content, options, tmp_path):
    (tmp_path / name).write_text(content)
    options = ReadOptions(text="body", id="key", **options)
    corpus = read_unlabelled(tmp_path / name, False, options)
    assert (corpus.texts, corpus.ids) == (["a, b", "c"], ["x", "y"])
    assert not corpus.labelled.any()


def test_columns_of_a_file_whose_suffix_says_nothing(tmp_path):
    (tmp_path / "rows.txt").write_text("a\n")
    with pytest.raises(InputError, match="set format to one of"):
        read_unlabelled(tmp_path / "rows.txt", False, ReadOptions(text="body"))
    (tmp_path / "rows.conll").write_text("a O\n")
    with pytest.raises(InputError, match="is a CoNLL file, which holds tokens"):
        read_unlabelled(tmp_path / "rows.conll", False)
