"""Files of vectors: what is read, and a sentence for every file that cannot be."""

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
