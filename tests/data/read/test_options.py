"""Read options: one object for recipe, commands and Python; what a source does not hear it says."""

import inspect
from dataclasses import fields, replace

import numpy as np
import pytest

from mixtext.data.read.catalogue import load, load_any
from mixtext.data.read.options import HEARD, UNSAID, ReadOptions
from mixtext.data.read.readers import read_corpus
from mixtext.data.settings import DataSettings
from mixtext.data_commands import Flags, inspect_data, new_recipe
from mixtext.errors import InputError
from mixtext.recipe import make_recipe
from mixtext.tagging.data import TagDataSettings, heed

SAID = {
    "text": ("a",),
    "pair": ("b",),
    "label": "c",
    "scores": (0.0, 1.0),
    "id": "d",
    "header": False,
    "separator": ";",
    "encoding": "latin-1",
    "encoding_errors": "replace",
    "skip_empty": True,
    "format": "csv",
    "quoted": "yes",
    "label_names": ("x", "y"),
    "first_label": 1,
    "missing": ("?",),
    "labels": False,
    "unpacked_gib": 1.0,
}
UNHEARD = [(source, name) for source, heard in HEARD.items() for name in SAID.keys() - heard]


def test_every_option_is_said_in_these_tests():
    assert (
        SAID.keys() == {f.name for f in fields(ReadOptions)} == ReadOptions(**SAID).given().keys()
    )
    assert UNSAID.given() == {}
    assert all(heard <= SAID.keys() for heard in HEARD.values())


@pytest.fixture
def read_from(tmp_path):
    """Name of a source → a function that reads from it with options."""
    for name in HEARD:
        (tmp_path / f"d.{name}").write_text("a O\n")
    (tmp_path / "d").mkdir()
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 3)))
    others = {
        "folder": lambda options: read_corpus(tmp_path / "d", options),
        "conll": lambda options: heed(TagDataSettings(), options, tmp_path / "d.conll"),
        "hub": lambda options: load_any("hub:owner/name", options),
        "catalogue": lambda options: load("imdb", tmp_path, options=options),
    }
    files = {
        name: lambda options, file=tmp_path / f"d.{name}", kind=name: read_corpus(
            file, options if options.format else replace(options, format=kind)
        )
        for name in HEARD.keys() - others.keys()
    }
    return files | others


@pytest.mark.parametrize(("source", "name"), sorted(UNHEARD))
def test_an_option_that_is_not_heard_is_refused_as_the_user_called_it(source, name, read_from):
    flag = f"--{'no-' if name in ('header', 'labels') else ''}{name.replace('_', '-')}"
    for kind, called in ((ReadOptions, name), (DataSettings, f"data.{name}"), (Flags, flag)):
        with pytest.raises(InputError) as error:
            read_from[source](kind(**{name: SAID[name]}))
        assert str(error.value).startswith(f"{called} is given but ")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("source", ["csv", "npz", "hub", "catalogue", "conll"])
def test_an_option_that_is_heard_is_not_refused(source, read_from):
    options = ReadOptions(**{name: SAID[name] for name in HEARD[source] - {"format"}})
    try:
        read_from[source](options)
    except InputError as error:
        assert "is given but" not in str(error)


def test_recipes_and_commands_have_every_option():
    recipe = make_recipe({"data": {k: v for k, v in SAID.items()} | {"dev_per_class": 1}})
    assert recipe.data.given() == SAID
    for command in (inspect_data, new_recipe):
        assert inspect.signature(command).parameters["read"].default == Flags()


def test_what_is_said_goes_before_what_the_catalogue_says():
    base = ReadOptions(text="b", label="b", header=False)
    options = DataSettings("x", text="a", skip_empty=True).over(base)
    assert options.given() == {"text": ("a",), "label": "b", "header": False, "skip_empty": True}
    assert options.corpus == "x"


def test_one_column_and_lists_as_python_gives_them():
    assert ReadOptions(text="one", pair=["a", "b"]) == ReadOptions(text=("one",), pair=("a", "b"))


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("encoding_errors", "ignore", "must be one of '', 'strict', 'replace'"),
        ("format", "xml", "'csv', 'tsv'"),
        ("encoding", "klingon", "an encoding of text"),
        ("encoding", "rot13", "an encoding of text"),
        ("separator", ";;", "one character"),
        ("scores", (5.0, 0.0), "the least and the most"),
        ("scores", (5.0,), "two numbers"),
        ("scores", (0.0, float("inf")), "a finite number"),
    ],
)
def test_values_that_no_source_can_heed(name, value, part, tmp_path):
    for kind, called in ((ReadOptions, name), (DataSettings, f"data.{name}"), (Flags, f"--{name}")):
        with pytest.raises(InputError) as error:
            kind(**{name: value})
        assert str(error.value).startswith(called.replace("_", "-" if kind is Flags else "_"))
        assert part in str(error.value)
