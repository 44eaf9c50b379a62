"""Lines to predict: what a row is, and every refusal by the number of its line."""

import io
import json
import sys

import pytest

from mixtext.data.read.lines import read_lines
from mixtext.errors import InputError

TEXTS = ["the cat", 'soup "today"', "ein Löffel", "[1, 2]"]


def test_texts_alone_and_as_json_are_the_same(tmp_path):
    plain, lines = tmp_path / "texts.txt", tmp_path / "texts.jsonl"
    plain.write_text("\ufeff" + "\r\n\n  ".join(TEXTS) + "\n", encoding="utf-8")
    lines.write_text("".join(json.dumps({"n": 1, "text": x}) + "\n\n" for x in TEXTS))
    assert read_lines(plain, pairs=False) == read_lines(lines, pairs=False) == (TEXTS, None)


def test_pairs_from_standard_input(monkeypatch):
    rows = "".join(json.dumps({"pair": x.upper(), "text": x}) + "\n" for x in TEXTS)
    stdin = io.TextIOWrapper(io.BytesIO(rows.encode()), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    assert read_lines(None, pairs=True) == (TEXTS, [x.upper() for x in TEXTS])


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
        read_lines(path, pairs)
    sentence = str(refused.value)
    assert "rows.jsonl" in sentence and "\n" not in sentence
    assert all(x in sentence for x in culprits), sentence
