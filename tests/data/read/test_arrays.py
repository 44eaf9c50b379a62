"""Files of vectors: what is read, and a sentence for every file that cannot be."""

import tracemalloc
import zipfile

import numpy as np
import pytest

from mixtext.data.read.arrays import read_vectors_file
from mixtext.data.read.options import ReadOptions
from mixtext.errors import InputError


def save(folder, **arrays):
    np.savez(folder / "d.npz", **arrays)
    return folder / "d.npz"


def refusal(path, **options):
    with pytest.raises(InputError) as error:
        read_vectors_file(path, ReadOptions(**options))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("y", "names", "labels"),
    [
        (np.array([10, -1, 9], dtype=np.int8), ["9", "10"], [1, -1, 0]),
        (np.array([1, 0, 1], dtype=np.uint64), ["0", "1"], [1, 0, 1]),
        (np.array([1.0, -1.0, 0.0]), ["0", "1"], [1, -1, 0]),
        (np.array(["cat", "", "ant"]), ["ant", "cat"], [1, -1, 0]),
    ],
)
def test_labels_by_number_or_name(y, names, labels, tmp_path):
    corpus = read_vectors_file(save(tmp_path, x=np.arange(6).reshape(3, 2), y=y))
    assert corpus.vectors.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert (corpus.label_names, corpus.labels.tolist()) == (names, labels)
    assert (corpus.name, corpus.source) == ("d", str(tmp_path / "d.npz"))


def test_label_names_fix_the_numbers_and_images_stay_images(tmp_path):
    path = save(tmp_path, x=np.zeros((2, 3, 4)), y=["b", "a"])
    corpus = read_vectors_file(path, ReadOptions(label_names=["b", "a", "c"]), name="mine")
    assert (corpus.labels.tolist(), corpus.classes, corpus.name) == ([0, 1], 3, "mine")
    assert corpus.vectors.shape == (2, 3, 4)
    assert not read_vectors_file(save(tmp_path, x=np.zeros((2, 3)))).labelled.any()
    path = save(tmp_path, x=np.zeros((2, 3)), y=np.array([1.5, 2]))  # no classes, nor looked at
    assert not read_vectors_file(path, ReadOptions(labels=False)).labelled.any()


def test_values_that_are_missing_are_named_by_row(tmp_path):
    x = np.zeros((5, 2, 2))
    x[1, 0, 1], x[3, 1, 1] = np.nan, -np.inf
    message = refusal(save(tmp_path, x=x, y=np.arange(5)))
    assert "2 row(s)" in message and "'1', '3'" in message and "d.npz" in message


@pytest.mark.parametrize(
    ("arrays", "parts"),
    [
        ({"images": np.zeros((2, 2))}, ["no array 'x' but 'images'"]),
        ({"x": np.zeros(2)}, ["shape (2,)"]),
        ({"x": np.array([["a"]])}, ["not numbers"]),
        ({"x": np.zeros((2, 2)), "y": [1]}, ["2 vectors", "1 labels"]),
        ({"x": np.zeros((2, 2)), "y": [[1], [2]]}, ["'y'", "shape (2, 1)"]),
        ({"x": np.zeros((2, 2)), "y": [True, False]}, ["type bool"]),
        ({"x": np.zeros((2, 2)), "y": [1.0, np.nan]}, ["1 value(s)", "nan in row 1"]),
        ({"x": np.zeros((2, 2)), "y": [0.5, 1.0]}, ["0.5 in row 0"]),
        ({"x": np.array([[1], [None]], dtype=object)}, ["without Python objects"]),
    ],
)
def test_arrays_that_are_refused(arrays, parts, tmp_path):
    message = refusal(save(tmp_path, **arrays))
    assert all(x in message for x in parts), message
    assert "d.npz" in message


def test_files_that_cannot_be_read(tmp_path):
    assert "does not exist" in refusal(tmp_path / "no.npz")
    path = save(tmp_path, x=np.zeros((50, 50)))
    path.write_bytes(path.read_bytes()[:400])
    assert "cannot be read" in refusal(path)
    path.write_bytes(b"")
    assert "cannot be read" in refusal(path)
    path.write_bytes(b"text,label")
    assert "cannot be read" in refusal(path)
    with path.open("wb") as file:
        np.save(file, np.zeros((2, 2)))
    assert "cannot be read" in refusal(path)
    np.savez_compressed(path, x=np.random.default_rng(0).normal(size=(50, 50)))
    raw = bytearray(path.read_bytes())
    raw[200:300] = bytes(100)
    path.write_bytes(raw)
    assert "cannot be read" in refusal(path)


def test_arrays_larger_than_allowed_are_refused_unread(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((2**18, 8, 8)))  # 128 MiB out of 0.2
    tracemalloc.start()
    message = refusal(path, unpacked_gib=0.1)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()
    assert "unpack to 0.1 GiB, more than unpacked_gib = 0.1 allows: raise it" in message


@pytest.mark.parametrize(
    ("shape", "kind"),
    [("(10**6, 10**6)", "<f8"), ("(1000000000000, 2)", "<f8"), ("(2, 2)", "<U1000000000"),
     ("(-1, 2)", "<f8"), ("(2,)", "<f8"), ("(2, 2)", "O"), ("(True, 4)", "<f8"), ("[" * 5000, "x")],
)  # fmt: skip
def test_headers_that_lie(shape, kind, tmp_path):
    """No memory is set aside for what a header says and the file does not hold."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    array = b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + bytes(32)
    path = tmp_path / "d.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", array)
    tracemalloc.start()
    assert "cannot be read" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def test_members_that_are_no_arrays(tmp_path):
    path = tmp_path / "d.npz"
    for name, data in (("x", b"1"), ("x.npy", b""), ("x.npy", b"\x93NUMPY\x03\0"), ("y.npy", b"")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, data)
        assert "d.npz" in refusal(path)
