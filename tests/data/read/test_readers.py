"""Readers: one corpus from every format, and for every broken file a sentence that says where."""

import csv
import importlib.util
import json
import sys
import tempfile
import tracemalloc
import types
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtext.data.read.formats import array_values
from mixtext.data.read.options import ReadOptions
from mixtext.data.read.readers import open_rows, read_corpus, read_hub
from mixtext.errors import InputError

ROWS = [("x1", "good", "A fine, long\nday"), ("x2", "bad", 'He said "no"'), ("x3", "", "Naïve")]


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def read(path, **options):
    return read_corpus(path, ReadOptions(**options))


def refusal(path, **options):
    with pytest.raises(InputError) as error:
        read(path, **options)
    return str(error.value)


def make_csv(folder):
    with (folder / "d.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("key", "label", "text"), *ROWS])
    return folder / "d.csv"


def make_tsv(folder):
    with (folder / "d.tsv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([("key", "label", "text"), *ROWS])
    return folder / "d.tsv"


def make_jsonl(folder):
    lines = [{"key": k, "label": y or None, "text": x} for k, y, x in ROWS]
    del lines[2]["label"]
    return write(folder, "d.jsonl", "\n".join(json.dumps(x) for x in lines))


def make_parquet(folder):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    keys, labels, texts = zip(*ROWS, strict=True)
    table = pyarrow.table(
        {"key": keys, "label": [x or None for x in labels], "text": texts, "n": [1, 2, 3]}
    )
    parquet.write_table(table, folder / "d.parquet")
    return folder / "d.parquet"


def test_scores_of_csv_and_json_lines(tmp_path):
    cells = ["0", "5", "4.750", " .5 ", "1e0", ""]
    path = write(tmp_path, "d.csv", "text,s\n" + "".join(f"a,{x}\n" for x in cells))
    corpus = read(path, label="s", scores=(0, 5))
    assert (corpus.target, corpus.label_names) == ("scores", [])
    assert corpus.labels[:5].tolist() == [0, 5, 4.75, 0.5, 1]
    assert corpus.labelled.tolist() == [True] * 5 + [False]
    lines = '{"text": "a", "s": -2}\n{"text": "a", "s": null}\n{"text": "a", "s": NaN}\n'
    corpus = read(write(tmp_path, "d.jsonl", lines), label="s", scores=(-2.5, 0))
    assert corpus.labels[0] == -2 and corpus.labelled.tolist() == [True, False, False]


def test_pairs_with_an_empty_side_can_be_left_out(tmp_path):
    path = write(tmp_path, "d.csv", "text,second,label\na,b,1\n ,b,1\na,,1\nc,d,2\n")
    corpus = read(path, pair="second", skip_empty=True)
    assert (corpus.texts, corpus.pairs, corpus.ids) == (["a", "c"], ["b", "d"], ["0", "3"])


@pytest.mark.parametrize("make", [make_csv, make_tsv, make_jsonl, make_parquet])
def test_every_format_gives_the_same_corpus(make, tmp_path):
    path = make(tmp_path)
    options = {"quoted": "yes"} if path.suffix == ".tsv" else {}
    corpus = read(path, id="key", **options)
    assert corpus.texts == [x for _, _, x in ROWS]
    assert corpus.ids == ["x1", "x2", "x3"]
    assert corpus.label_names == ["bad", "good"]
    assert corpus.labels.tolist() == [1, 0, -1]
    assert (corpus.name, corpus.source, corpus.replacements) == ("d", str(path), 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])).filter(str.strip), min_size=1))
def test_any_text_comes_back_from_csv_and_json_lines_as_it_was(texts):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["text"], *([x] for x in texts)])
        assert read(path, labels=False).texts == texts
        lines = "\n".join(json.dumps({"text": x}, ensure_ascii=False) for x in texts)
        path = write(Path(folder), "d.jsonl", lines)
        assert read(path, labels=False).texts == texts


def test_suffix_may_lie_when_the_format_is_given(tmp_path):
    path = make_csv(tmp_path).rename(tmp_path / "d.txt")
    assert len(read(path)) == len(read(path, format="csv")) == 3
    odd = write(tmp_path, "odd.txt", "one line\nand another one\n")
    assert "neither the suffix '.txt'" in refusal(odd)
    assert "format is 'xml': it must be one of '', 'csv', 'tsv'" in refusal(path, format="xml")
    assert "is a file, so its format cannot be 'folder'" in refusal(path, format="folder")


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    path = write(tmp_path, "d.csv", b"\xef\xbb\xbftext,label\r\n\r\nhello,a\r\n")
    assert read(path).texts == ["hello"]
    path = write(tmp_path, "d.jsonl", b'\xef\xbb\xbf{"text": "hello"}\r\n')
    assert read(path, labels=False).texts == ["hello"]


def test_file_without_header(tmp_path):
    path = write(tmp_path, "d.csv", '"3","Title","Content"\n"1","","Rest"\n')
    corpus = read(
        path, header=False, text=["1", "2"], label="0", label_names=["a", "b", "c"], first_label=1
    )
    assert corpus.texts == ["Title Content", "Rest"]
    assert corpus.labels.tolist() == [2, 0]
    message = refusal(path, header=False)
    assert "line 1 has no column 'text' but '0', '1', '2'" in message


def test_pairs(tmp_path):
    path = write(tmp_path, "d.csv", "q,a,label\none,two,1\nthree,four,0\n")
    corpus = read(path, text="q", pair="a")
    assert (corpus.texts, corpus.pairs) == (["one", "three"], ["two", "four"])
    path = write(tmp_path, "d.csv", "q,a,label\none,two,1\nthree, ,0\n")
    assert "line 3" in refusal(path, text="q", pair="a")


def test_tab_separated_quotes_are_characters(tmp_path):
    path = write(tmp_path, "d.tsv", 'text\tlabel\n"Half a quote\t1\nsaid "so"\t0\n')
    assert read(path).texts == ['"Half a quote', 'said "so"']


def test_a_cell_longer_than_the_limit_of_csv(tmp_path):
    limit = csv.field_size_limit()
    text = "word " * 60_000
    assert len(text) > limit
    corpus = read(write(tmp_path, "d.csv", f"text,label\n{text},a\n"))
    assert corpus.texts == [text]
    assert csv.field_size_limit() == limit
    # A refusal leaves nothing behind either, though its traceback keeps the reader alive.
    path = write(tmp_path, "e.csv", "text,label,k\na,b,\n")
    with pytest.raises(InputError) as error:
        read(path, id="k")
    assert csv.field_size_limit() == limit, error


def test_numbers_of_labels_are_sorted_by_value_and_floats_are_whole(tmp_path):
    path = write(tmp_path, "d.csv", "text,label\na,10\nb,9\nc,\n")
    assert read(path).label_names == ["9", "10"]
    path = write(tmp_path, "d.csv", "text,label\na,1.0\nb,0.0\nc,\n")
    assert read(path).label_names == ["0", "1"]
    path = write(tmp_path, "d.jsonl", '{"text":"a","label":1.0}\n{"text":"b","label":0}\n')
    assert read(path, label_names=["n", "p"]).labels.tolist() == [1, 0]


def test_names_that_are_numbers_are_names_and_not_indices(tmp_path):
    path = write(tmp_path, "d.csv", "text,label\na,2\nb,1\n")
    assert read(path, label_names=["1", "2"]).labels.tolist() == [1, 0]
    path = write(tmp_path, "d.csv", "text,label\na,0\n")
    assert "line 2: the label '0' in 'label' is not among '1', '2'" in refusal(
        path, label_names=["1", "2"]
    )


def test_rows_without_labels(tmp_path):
    path = write(tmp_path, "d.csv", "text\na\nb\n")
    assert read(path, labels=False).labels.tolist() == [-1, -1]
    message = refusal(path)
    assert "line 1 has no column 'label' but 'text': name one" in message
    assert "say with labels that" in message
    assert "with labels" not in refusal(path, label="kind")
    path = write(tmp_path, "d.jsonl", '{"text": "a"}\n{"text": "b"}\n')
    assert "no column 'label' but 'text'" in refusal(path)


def test_skipped_rows_keep_the_numbers_of_the_others(tmp_path):
    path = write(tmp_path, "d.csv", "text,label\na,x\n ,y\nb,x\n")
    message = refusal(path)
    assert "1 of 3 rows have an empty text" in message and "line 3" in message
    corpus = read(path, skip_empty=True)
    assert (corpus.ids, corpus.label_names) == (["0", "2"], ["x"])
    assert "all 1 rows" in refusal(write(tmp_path, "e.csv", "text,label\n ,y\n"), skip_empty=True)


def test_bad_bytes(tmp_path):
    good = "text,label\nl’été �,a\n".encode()
    path = write(tmp_path, "d.csv", good + b"caf\xe9 \xa3 \xef\xbf\xbd,b\n")
    message = refusal(path)
    assert f"{path}, line 3: byte 4 is not valid UTF-8 (0xe9)" in message
    assert "set encoding_errors to 'replace'" in message
    corpus = read(path, encoding_errors="replace")
    # The U+FFFD that were in the file already are not counted.
    assert (corpus.texts[1], corpus.replacements) == ("caf\ufffd \ufffd \ufffd", 2)
    assert "encoding_errors is 'ignore'" in refusal(path, encoding_errors="ignore")


def test_half_a_surrogate_pair_is_a_bad_character(tmp_path):
    path = write(tmp_path, "d.jsonl", '{"text": "ok"}\n{"text": "x\\ud83d y"}\n')
    assert f"{path}, line 2" in refusal(path, labels=False)
    corpus = read(path, labels=False, encoding_errors="replace")
    assert corpus.replacements > 0
    assert corpus.texts[1].encode("utf-8").startswith(b"x\xef\xbf\xbd")


BROKEN = [
    ("empty.csv", "", {}, ["empty.csv has no rows"]),
    ("head.csv", "text,label\n", {}, ["head.csv has no rows"]),
    ("empty.jsonl", "\n\n", {}, ["empty.jsonl has no rows"]),
    ("few.csv", "text,label\na,b\nc\n", {}, ["line 3", "1 cells", "has 2"]),
    ("many.csv", 'text,label\n"a\nb",c\nd,e,f\n', {}, ["line 4", "3 cells", "has 2"]),
    ("open.csv", 'text,label\na,b\n"c,d\ne,f\n', {}, ["line 3", "quotes"]),
    ("name.csv", "Text,label\na,b\n", {}, ["no column 'text'", "did you mean 'Text'"]),
    ("near.csv", "text,lable\na,b\n", {}, ["no column 'label'", "did you mean 'lable'"]),
    ("far.csv", "body,label\na,b\n", {}, ["no column 'text' but 'body', 'label': name one"]),
    ("two.csv", "text,text,label\na,b,c\n", {}, ["line 1 has two columns 'text'"]),
    ("bad.jsonl", '{"text": "a"}\n{"text": \n', {"labels": False}, ["line 2 is not valid JSON"]),
    ("list.jsonl", "[1]\n", {}, ["line 1 is not a JSON object"]),
    (
        "key.jsonl",
        '{"text": "a"}\n{"txt": "b"}\n',
        {"labels": False},
        ["line 2", "did you mean 'txt'"],
    ),
    ("num.jsonl", '{"text": 5}\n', {"labels": False}, ["line 1", "'text' is 5, not a text"]),
    ("lab.jsonl", '{"text": "a", "label": [1]}\n', {}, ["line 1", "'label' is [1], not a label"]),
    (
        "score.csv",
        "text,label\na,3\nb,4.75\n",
        {},
        ["score.csv", "'label' holds scores such as 4.75", "set scores"],
    ),
    ("id.csv", "text,label,k\na,b,1\nc,d,1\n", {"id": "k"}, ["line 3", "id '1'", "line 2"]),
    ("noid.csv", "text,label,k\na,b,1\nc,d,\n", {"id": "k"}, ["line 3", "'k' is empty"]),
    (
        "range.csv",
        "text,label\na,1\nb,4\n",
        {"label_names": ["x", "y", "z"]},
        ["line 3", "label 4", "outside 0 to 2", "first_label"],
    ),
    (
        "zero.csv",
        "text,label\na,0\n",
        {"label_names": ["x", "y"], "first_label": 1},
        ["line 2", "label 0", "outside 1 to 2"],
    ),
    ("lab.csv", "text,label\na,w\n", {"label_names": ["x"]}, ["line 2", "'w'", "not among 'x'"]),
    ("first.csv", "text,label\na,1\n", {"first_label": 1}, ["first_label is 1", "label_names"]),
    (
        "high.csv",
        "text,label\na,5\nb,5.1\n",
        {"scores": (0, 5)},
        ["line 3", "score 5.1 in 'label'", "outside 0 to 5", "widen scores"],
    ),
    ("low.csv", "text,label\na,-2\n", {"scores": (0, 5)}, ["line 2", "score -2"]),
    ("inf.csv", "text,label\na,1e999\n", {"scores": (0, 5)}, ["line 2", "outside 0 to 5"]),
    ("word.csv", "text,label\na,good\n", {"scores": (0, 5)}, ["line 2", "'good', not a score"]),
    ("inf.csv", "text,label\na,inf\n", {"scores": (0, 5)}, ["'inf', not a score", "empty"]),
    ("true.jsonl", '{"text": "a", "label": true}\n', {"scores": (0, 5)}, ["True, not a score"]),
    (
        "range.csv",
        "text,label\na,1\n",
        {"scores": (5, 0)},
        ["[5.0, 0.0]", "the least and the most"],
    ),
    ("one.csv", "text,label\na,1\n", {"scores": (5,)}, ["[5.0]", "two numbers"]),
    (
        "both.csv",
        "text,label\na,1\n",
        {"scores": (0, 5), "label_names": ["x", "y"]},
        ["[0.0, 5.0]", "label_names"],
    ),
    (
        "sides.csv",
        "text,second,label\na,b,1\n ,b,1\na,,1\n",
        {"pair": "second"},
        ["2 of 3", "line 3 (the first text)", "line 4 (the second text)", "skip_empty"],
    ),
]


@pytest.mark.parametrize(
    ("name", "content", "options", "parts"), BROKEN, ids=[x[0] for x in BROKEN]
)
def test_refusals_say_where(name, content, options, parts, tmp_path):
    message = refusal(write(tmp_path, name, content), **options)
    assert all(x in message for x in parts), message
    assert "\n" not in message


def test_missing_file(tmp_path):
    assert f"{tmp_path / 'no.csv'} does not exist" in refusal(tmp_path / "no.csv")


def test_folder_of_documents(tmp_path):
    for name, content in [
        ("b/2.txt", b"two"),
        ("b/10.txt", b"\xef\xbb\xbften\n"),
        ("a/deep/1.txt", b"one \xa3"),
        ("a/.hidden", b"no"),
        ("README", b"no"),
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path, name, content)
    message = refusal(tmp_path)
    assert str(tmp_path / "a" / "deep" / "1.txt") in message and "byte 5" in message
    corpus = read(tmp_path, encoding_errors="replace")
    assert corpus.ids == ["a/deep/1.txt", "b/10.txt", "b/2.txt"]
    assert corpus.texts == ["one \ufffd", "ten", "two"]
    assert (corpus.label_names, corpus.labels.tolist()) == (["a", "b"], [0, 1, 1])
    assert corpus.replacements == 1
    assert "no column 'body' but 'text', 'label', 'id'" in refusal(tmp_path, text="body")
    assert "not among 'b'" in refusal(tmp_path, label_names=["b"], encoding_errors="replace")
    write(tmp_path, "b/3.txt", b" \n")
    message = refusal(tmp_path, encoding_errors="replace")
    assert f"the first at {tmp_path / 'b' / '3.txt'}" in message


def test_folder_without_documents(tmp_path):
    write(tmp_path, "loose.txt", "text")
    assert "holds no documents" in refusal(tmp_path)


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = refusal(write(tmp_path, "d.parquet", b"PAR1"))
    assert "needs the package pyarrow" in message and "pip install datasets pyarrow" in message


def test_broken_parquet(tmp_path):
    path = make_parquet(tmp_path)
    assert "no column 'txt' but 'key', 'label', 'text'" in refusal(path, text="txt")
    assert "not a readable Parquet file" in refusal(write(tmp_path, "e.parquet", b"PAR1"))


def test_hub_without_datasets(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match="datasets: install it with: pip install datasets"):
        read_hub("owner/name", "train")


class Table:
    """The part of a `datasets.Dataset` that the reader touches."""

    def __init__(self, rows, names=None):
        self.rows = rows
        self.column_names = list(rows[0])
        self.features = {x: types.SimpleNamespace() for x in self.column_names}
        if names:
            self.features["label"].names = names

    def select_columns(self, columns):
        return [{x: row[x] for x in columns} for row in self.rows]


def test_hub_names_its_classes_and_minus_one_is_missing(monkeypatch):
    asked = []

    def load_dataset(*arguments, **options):
        asked.append((arguments, options))
        rows = [{"text": "a", "label": 1}, {"text": "b", "label": -1}, {"text": "c", "label": 0}]
        return Table(rows, ["neg", "pos"])

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    corpus = read_hub("owner/name", "train", subset="small")
    assert asked == [(("owner/name", "small"), {"split": "train", "revision": None})]
    assert corpus.label_names == ["neg", "pos"]
    assert corpus.labels.tolist() == [1, -1, 0]
    assert corpus.name == "owner/name"
    with pytest.raises(InputError, match="owner/name has no column 'body' but 'text', 'label'"):
        read_hub("owner/name", "train", ReadOptions(text="body"))


def test_hub_failure_is_one_sentence(monkeypatch):
    def load_dataset(*arguments, **options):
        raise ConnectionError("no\nroute")

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(InputError, match=r"'o/n', split 'test', cannot be loaded \(no route\)"):
        read_hub("o/n", "test")


def test_hub_scores_and_a_data_set_that_is_a_script(monkeypatch):
    def load_dataset(name, subset, split, revision):
        if revision is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found sick.py")
        return Table([{"a": "x", "b": "y", "r": 4.5}, {"a": "x", "b": "z", "r": None}])

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    options = ReadOptions(text="a", pair="b", label="r", scores=(1, 5))
    with pytest.raises(InputError, match=r"cannot be loaded \(Dataset scripts are no longer"):
        read_hub("o/n", "train", options)
    corpus = read_hub("o/n", "train", options, revision="tables")
    assert (corpus.target, corpus.pairs) == ("scores", ["y", "z"])
    assert corpus.labels[0] == 4.5 and corpus.labelled.tolist() == [True, False]
    with pytest.raises(InputError, match=r"split train, row 0: the score 4\.5 in 'r' is outside"):
        read_hub("o/n", "train", replace(options, scores=(0, 1)), revision="tables")


@pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="datasets is not installed"
)
def test_hub_reader_with_the_real_package(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write(tmp_path, "train.jsonl", '{"text": "a", "label": "x"}\n{"text": "b", "label": null}\n')
    corpus = read_hub(str(tmp_path), "train")
    assert (corpus.texts, corpus.labels.tolist()) == (["a", "b"], [0, -1])
    with pytest.raises(InputError, match="split 'dev', cannot be loaded"):
        read_hub(str(tmp_path), "dev")


# ---- arrays, piece by piece

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=8,
)


def in_pieces(text, size):
    return iter([text[i : i + size] for i in range(0, len(text), size)])


@given(st.lists(VALUES), st.integers(1, 9), st.sampled_from([None, 1]), st.booleans())
def test_an_array_in_pieces_is_the_array(values, size, indent, ascii_alone):
    text = f" {json.dumps(values, indent=indent, ensure_ascii=ascii_alone)}\n"
    assert [*array_values(in_pieces(text, size))] == values


@given(st.text(alphabet='[]{},:"\\ 12e-.truenl', max_size=12), st.integers(1, 4))
def test_what_is_no_array_is_refused_as_json_refuses_it(inside, size):
    text = f"[{inside}"
    try:
        wanted = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match="at character"):
            [*array_values(in_pieces(text, size))]
    else:
        assert [*array_values(in_pieces(text, size))] == wanted


@pytest.mark.parametrize("bad", [b"\xff", b"\xe2\x82"])
def test_a_bad_byte_of_an_array_is_told_by_its_place(bad, tmp_path):
    path = tmp_path / "d.json"
    row = json.dumps({"text": "€ ж", "label": "a"}, ensure_ascii=False).encode()
    good = b"[" + b",".join([row] * 5_000)
    path.write_bytes(good + b',{"text": "' + bad + b'", "label": "b"}]')
    with pytest.raises(InputError, match=f"byte {len(good) + 12} is not valid UTF-8"):
        read_corpus(path)
    corpus = read_corpus(path, ReadOptions(encoding_errors="replace"))
    assert (len(corpus), corpus.replacements) == (5_001, 1)


def test_an_array_of_one_line_is_not_held(tmp_path):
    """17 MB are read with less than 2 MB; all of it in memory took 60 MB and more."""
    path = tmp_path / "d.json"
    row = json.dumps({"text": "a word " * 100, "label": "ж"}, ensure_ascii=False)
    path.write_text(f"[{','.join([row] * 24_000)}]", encoding="utf-8")
    assert path.stat().st_size > 17e6
    tracemalloc.start()
    with closing(open_rows(path, ReadOptions()).rows) as rows:
        assert sum(1 for _ in rows) == 24_000
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2e6
