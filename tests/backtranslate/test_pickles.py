"""Official pickles: in and out, and nothing but a dict of int to str is let in."""

import collections
import os
import pickle
import subprocess
import tracemalloc

import numpy as np
import pytest

from backtranslate.pickles import export_pickles, import_pickles, read_pickle
from backtranslate.store import Corpus, read_records
from backtranslate.translator import BacktranslateError

TEXTS = Corpus(["a", "b", "c"], ["one", "two", "three"])


def dump(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_official_files_are_read_in_every_protocol(tmp_path, protocol):
    rows = {0: "eins ж", 2: "", 10**12: "x\n\0y"}
    assert read_pickle(dump(tmp_path / "de_1.pkl", rows, protocol)) == rows


class Runs:
    """Would run a command when unpickled in the usual way."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("function", [os.system, subprocess.check_call, eval, print, getattr])
def test_code_is_never_run(tmp_path, function, protocol):
    mark = tmp_path / "ran"
    arguments = (f"touch {mark}",) if function is not getattr else ("x", "upper")
    for value in [Runs(function, *arguments), {0: Runs(function, *arguments)}]:
        with pytest.raises(BacktranslateError, match="was not loaded: it asks for"):
            read_pickle(dump(tmp_path / "de_1.pkl", value, protocol))
    assert not mark.exists()


@pytest.mark.parametrize(
    "value",
    [
        ["text"],
        "text",
        None,
        {"0": "text"},
        {0: b"text"},
        {0: None},
        {True: "text"},
        {0: ["text"]},
        {0.0: "text"},
        collections.OrderedDict({0: "text"}),
        collections.Counter(),
        {0: {1}},
    ],
    ids=repr,
)
def test_anything_else_is_refused(tmp_path, value):
    with pytest.raises(BacktranslateError, match="dict of int to str"):
        read_pickle(dump(tmp_path / "de_1.pkl", value))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        b"\x80\x04",
        pickle.dumps({0: "x"})[:-3],
        b"cos\nsystem\n(S'true'\ntR.",
        b"P0\n.",  # a persistent object
        b"\x82\x01.",  # an extension code
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a string of 2⁶³ bytes
    ],
)
def test_damaged_files_are_a_sentence(tmp_path, data):
    (tmp_path / "de_1.pkl").write_bytes(data)
    with pytest.raises(BacktranslateError, match=r"no pickle|not loaded"):
        read_pickle(tmp_path / "de_1.pkl")
    with pytest.raises(BacktranslateError, match="does not exist"):
        read_pickle(tmp_path / "none.pkl")


NESTED = {
    "tuples as a key": b"\x80\x02}" + b")" + b"\x85" * 10**6 + b"X\x01\0\0\0xs.",
    "tuples through the memo": b"\x80\x02)q\0" + b"0(h\0tq\0" * 10**5 + b".",
    "lists": b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b".",
    "dicts": b"\x80\x02" + b"}K\0" * 10**4 + b"}" + b"s" * 10**4 + b".",
    "marks": b"(" * 10**4 + b".",
}
GREEDY = {
    "memo": b"}r\xff\xff\xff\x7f.",
    "memo, with a text": b"}p99999999999\n.",
    "frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.",
    "bytearray": b"\x80\x05\x96\0\0\0\0\x02\0\0\0.",
    "bytes": b"\x80\x04\x8e\0\0\0\0\x02\0\0\0.",
    "number": b"}\x8b\xff\xff\xff\x7fX\0\0\0\0s.",
    "digits": b"}L" + b"9" * 10**6 + b"L\nX\0\0\0\0s.",
    "large number": b"}\x8a\xff" + b"\x7f" * 255 + b"X\0\0\0\0s.",
}


@pytest.mark.parametrize("data", [*NESTED.values(), *GREEDY.values()], ids=[*NESTED, *GREEDY])
def test_depth_and_memory_are_bounded(tmp_path, data):
    """The process lives and takes memory in proportion to the file, whatever that asks for."""
    path = tmp_path / "de_1.pkl"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        read_pickle(path)
    except BacktranslateError as error:
        assert len(str(error)) < 400
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**5 + 40 * len(data)


def test_too_large_a_file_is_refused_unread(tmp_path):
    path = tmp_path / "de_1.pkl"
    with path.open("wb") as file:
        file.truncate(2**32 + 1)
    with pytest.raises(BacktranslateError, match=r"larger than 4,294,967,296 bytes"):
        read_pickle(path)


def test_import_and_export_are_each_others_inverse(tmp_path):
    official = {"de_1.pkl": {0: "eins", 2: "drei"}, "de_2.pkl": {1: "zwei"}, "ru_1.pkl": {1: "два"}}
    paths = [dump(tmp_path / name, rows) for name, rows in official.items()]
    out = tmp_path / "views.jsonl"
    assert import_pickles(paths, TEXTS, out) == {"de_1.pkl": 2, "de_2.pkl": 1, "ru_1.pkl": 1}
    entries = [line.record for line in read_records(out)]
    assert [(e["id"], e["pivot"], e["copy"], e["text"]) for e in entries] == [
        ("a", "de", 0, "eins"),
        ("b", "de", 1, "zwei"),
        ("b", "ru", 0, "два"),
        ("c", "de", 0, "drei"),
    ]
    assert {e["status"] for e in entries} == {"imported"}
    export_pickles(out, TEXTS, tmp_path / "back")
    back = {p.name: pickle.loads(p.read_bytes()) for p in (tmp_path / "back").iterdir()}
    assert back == official


def test_blank_views_become_the_source(tmp_path):
    import_pickles([dump(tmp_path / "de_1.pkl", {0: " "})], TEXTS, tmp_path / "v.jsonl")
    (line,) = read_records(tmp_path / "v.jsonl")
    assert (line.record["text"], line.record["status"]) == ("one", "empty")


def test_files_of_another_corpus_are_refused(tmp_path):
    out = tmp_path / "views.jsonl"
    for row in (3, -1):
        with pytest.raises(BacktranslateError, match=f"view of row {row}, but there are 3 texts"):
            import_pickles([dump(tmp_path / "de_1.pkl", {row: "x"})], TEXTS, out)
    with pytest.raises(BacktranslateError, match="named after its pivot"):
        import_pickles([dump(tmp_path / "german.pkl", {})], TEXTS, out)
    assert not out.exists()
    import_pickles([dump(tmp_path / "de_1.pkl", {0: "x"})], TEXTS, out)
    with pytest.raises(BacktranslateError, match="another text now"):
        export_pickles(out, Corpus(["a"], ["changed"]), tmp_path / "back")
    with pytest.raises(BacktranslateError, match="not among the texts"):
        export_pickles(out, Corpus(["z"], ["one"]), tmp_path / "back")
    out.write_bytes(out.read_bytes().replace(b'"de"', b'"../de"'))
    with pytest.raises(BacktranslateError, match="cannot name a file"):
        export_pickles(out, TEXTS, tmp_path / "back")


@pytest.mark.parametrize("module", ["numpy._core.multiarray", "numpy.core.multiarray"])
@pytest.mark.parametrize("kind", ["<i8", ">i4", "u1"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_integers_and_strings_of_numpy_are_read_as_plain_ones(module, kind, protocol, tmp_path):
    rows = {np.array([n], kind)[0]: text for n, text in enumerate(["a", np.str_("zwei"), "drei ж"])}
    path = tmp_path / "de_1.pkl"
    written = pickle.dumps(rows, protocol=protocol)
    if protocol < 4:  # later ones count the bytes of names
        written = written.replace(b"numpy._core.multiarray", module.encode())
    path.write_bytes(written)
    read = read_pickle(path)
    assert read == {0: "a", 1: "zwei", 2: "drei ж"}
    assert {type(x) for x in (*read, *read.values())} == {int, str}


@pytest.mark.parametrize("key", [np.float64(1), np.datetime64("2020"), np.bytes_(b"1")])
def test_no_other_values_of_numpy(key, tmp_path):
    path = tmp_path / "de_1.pkl"
    path.write_bytes(pickle.dumps({key: "a"}))
    with pytest.raises(BacktranslateError, match=r"numpy\.dtype"):
        read_pickle(path)
