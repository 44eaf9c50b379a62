"""Lines to predict: what a row is, and every refusal by the number of its line."""

import gzip
import io
import json
import sys

import pytest

from mixtext.data.read.lines import Row, rows_to_predict
from mixtext.data.read.options import ReadOptions
from mixtext.errors import InputError


def rows(file, pairs=False, options=None, **usual):
    return list(rows_to_predict(file, pairs, options or ReadOptions(), ReadOptions(**usual)))


def texts(file, *arguments, **options):
    return [row.text for row in rows(file, *arguments, **options)]


TEXTS = ["the cat", 'soup "today"', "ein Löffel", "[1, 2]"]


def test_texts_alone_and_as_json_are_the_same(tmp_path):
    plain, lines = tmp_path / "texts.txt", tmp_path / "texts.jsonl"
    plain.write_text("\ufeff" + "\r\n\n  ".join(TEXTS) + "\n", encoding="utf-8")
    lines.write_text("\n\n".join(json.dumps({"n": 1, "text": x}) for x in TEXTS) + "\n")
    for path in (plain, lines):
        read = rows(path)
        # One row for each line, the blank ones too.
        assert [row.text for row in read] == "\n\n".join(TEXTS).split("\n")
        assert [row.is_blank for row in read] == [False, True] * 3 + [False]
        assert [row.id for row in read] == list("0123456") and read[0].pair is None


def test_pairs_from_standard_input(monkeypatch):
    lines = "".join(json.dumps({"pair": x.upper(), "text": x}) + "\n" for x in TEXTS)
    stdin = io.TextIOWrapper(io.BytesIO(lines.encode()), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    assert rows(None, True) == [Row(str(i), x, x.upper()) for i, x in enumerate(TEXTS)]
    with pytest.raises(InputError, match="text is given but standard input is read line by line"):
        rows(None, True, ReadOptions(text="a"))


@pytest.mark.parametrize(
    "pairs, content, culprits",
    [
        (False, b"a cat\na \xff dog\n", ["line 2", "UTF-8"]),
        (False, b'{"txt": "a"}\n', ["line 1", '"text"']),
        (False, b'a\n\n{"text": "a"\n', ["line 3", "JSON"]),
        (False, b'{"text": 3}\n', ["line 1", '"text"']),
        (False, b'a\n{"text": "a", "pair": "b"}\n', ["line 2", '"pair"', "single texts"]),
        (True, b'{"text": "a", "pair": "b"}\n{"text": "a"}\n', ["line 2", '"pair"', "pairs"]),
        (True, b"a cat\n", ["line 1", '"pair"', "pairs"]),
        (True, b'{"text": "a", "pair": 3}\n', ["line 1", '"pair"', "string"]),
        (True, b'{"pair": "b"}\n', ["line 1", '"text"']),
        (False, b"", ["no text"]),
        (False, None, ["does not exist"]),
    ],
)
def test_refusals(pairs, content, culprits, tmp_path):
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        rows(path, pairs)
    sentence = str(refused.value)
    assert "rows.jsonl" in sentence and "\n" not in sentence
    assert all(x in sentence for x in culprits), sentence


def test_broken_utf8_is_replaced_where_that_is_said(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_bytes(b"a cat\na \xff dog\n")
    assert texts(path, False, ReadOptions(encoding_errors="replace")) == ["a cat", "a \ufffd dog"]


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
    assert rows(tmp_path / name, False, options) == [Row("x", "a, b"), Row("y", "c")]


def test_columns_of_a_file_that_nothing_tells(tmp_path):
    (tmp_path / "rows.txt").write_text("a\n")
    with pytest.raises(InputError, match="set format to one of"):
        rows(tmp_path / "rows.txt", False, ReadOptions(text="body"))
    (tmp_path / "rows.conll").write_text("a O\n")
    with pytest.raises(InputError, match="is a CoNLL file, which holds tokens"):
        rows(tmp_path / "rows.conll")
    (tmp_path / "two.csv").write_text("a,b\nx,y\n")
    with pytest.raises(InputError, match=r"trained on texts, but .* holds pairs"):
        rows(tmp_path / "two.csv", False, ReadOptions(text="a", pair="b"))
    with pytest.raises(InputError, match=r"trained on pairs, but .* holds texts"):
        rows(tmp_path / "two.csv", True, ReadOptions(text="a"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", "text;label\na, b;x\n ;y\nc;x\n"),
        ("rows", "text;label\na, b;x\n ;y\nc;x\n"),
        ("rows.json", '[{"text": "a, b"}, {"text": " "}, {"text": "c"}]'),
        ("rows.txt", '[{"text": "a, b"}, {"text": " "}, {"text": "c"}]'),
        ("rows.txt", "__label__x a, b\n__label__y\n__label__x c\n"),
        ("rows.txt", "a, b\n \nc\n"),
        ("rows.txt", b"a, b\r\rc\r"),
        ("rows.jsonl", '{"text": "a, b"}\n{"text": null}\n{"text": "c"}\n'),
    ],
)
def test_one_row_for_each_of_any_file_that_training_reads(name, content, tmp_path):
    content = content if isinstance(content, bytes) else content.encode("utf-16")
    (tmp_path / name).write_bytes(content)
    assert [x.strip() for x in texts(tmp_path / name)] == ["a, b", "", "c"]
    (tmp_path / "z.gz").write_bytes(gzip.compress(content))
    packed = (tmp_path / "z.gz").rename(tmp_path / f"{name}.gz")
    assert [x.strip() for x in texts(packed)] == ["a, b", "", "c"]


def test_said_to_be_texts_every_line_is_one(tmp_path):
    (tmp_path / "rows.txt").write_text('[a, b]\n\n{c}\n"d",e\n')
    assert texts(tmp_path / "rows.txt", False, ReadOptions(format="texts")) == [
        *("[a, b]", "", "{c}", '"d",e'),
    ]
    with pytest.raises(InputError, match="text is given but"):
        texts(tmp_path / "rows.txt", False, ReadOptions(format="texts", text="a"))


def test_repeated_first_words_of_plain_lines_are_no_labels(tmp_path):
    (tmp_path / "rows.txt").write_text("the cat\nthe dog\na cow\na goat\nthe end\na day\n")
    assert texts(tmp_path / "rows.txt")[:2] == ["the cat", "the dog"]


def test_columns_of_the_models_own_data_where_the_file_has_them(tmp_path):
    usual = {"text": "body", "pair": "more", "label": "kind", "separator": ";"}
    (tmp_path / "rows.csv").write_text("body;more\na;b\n")
    assert rows(tmp_path / "rows.csv", True, **usual) == [Row("0", "a", "b")]
    (tmp_path / "rows.jsonl").write_text('{"body": "a", "more": "b"}\n')
    assert rows(tmp_path / "rows.jsonl", True, **usual) == [Row("0", "a", "b")]
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "pair": "b"}\n')
    assert rows(tmp_path / "rows.jsonl", True, **usual) == [Row("0", "a", "b")]
    (tmp_path / "rows.csv").write_text("text,x\na,b\n")
    assert rows(tmp_path / "rows.csv", False, text="body") == [Row("0", "a")]


def test_rows_are_read_as_they_are_asked_for(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text\n" + "a\n" * 1000 + '"open')
    some = rows_to_predict(path, False)
    assert next(some) == Row("0", "a")
    with pytest.raises(InputError, match="line 1002"):
        list(some)
