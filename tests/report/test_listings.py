"""The lists say what the code itself declares, and wrapping loses no word of it."""

import dataclasses
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtext.data.read.catalogue import CATALOGUE
from mixtext.methods import METHODS
from mixtext.recipe import Recipe
from mixtext.report.listings import (
    LISTED,
    aligned,
    datasets_found,
    list_datasets,
    list_methods,
    list_recipe_fields,
    methods_found,
    recipe_fields_found,
)
from mixtext.tagging.recipe import TaggingRecipe
from mixtext.tagging.seqmix import SeqMix

ALL = [*METHODS.values(), SeqMix]


def read_back(lines):
    """The cells of an aligned table: what stands in a column, joined over a row's lines."""
    columns = [(m.start(), m.end()) for m in re.finditer("-+", lines[1])]
    rows = []
    for line in [lines[0], *lines[2:]]:
        cells = [line[start:end].strip() for start, end in columns]
        # Between two columns there are two blanks and nothing else.
        assert all(not line[end : end + 2].strip() for _, end in columns)
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1] = [f"{x} {y}".strip() for x, y in zip(rows[-1], cells, strict=True)]
    return rows


@pytest.mark.parametrize("width", [40, 100, 120, 1000])
def test_methods(width):
    lines = list_methods(width=width).splitlines()
    assert max(map(len, lines)) <= max(100, width)
    head, *rows = read_back(lines)
    assert head == ["method", "paper", "rows", "targets", "mixes", "settings"]
    assert rows == [
        [
            method.name,
            method.paper,
            ", ".join(method.rows),
            ", ".join(method.targets),
            method.mixes,
            ", ".join(f.name for f in dataclasses.fields(method)) or "none",
        ]
        for method in ALL
    ]
    if width == 1000:
        assert len(lines) == 2 + len(ALL)  # one line a method


def test_settings_of_methods_are_explained_under_their_names():
    table, _, explained = list_methods(settings=True).partition("\n\n")
    assert table == list_methods()
    found = {
        name: re.findall(r"^    (\w+) = (.+?): (.+)$", part, re.M)
        for name, part in re.findall(r"^\[(\w+)\]\n((?:    .*\n?)+)", explained, re.M)
    }
    wanted = {m.name: [f.name for f in dataclasses.fields(m)] for m in ALL}
    assert {k: [name for name, _, _ in v] for k, v in found.items()} == {
        name: fields for name, fields in wanted.items() if fields
    }
    assert all(len(meaning) > 10 for v in found.values() for _, _, meaning in v)


WORDS = st.lists(st.text("abc", min_size=1, max_size=8), max_size=20).map(" ".join)


@given(st.lists(st.tuples(st.text("xyz", min_size=1, max_size=5), WORDS, WORDS), max_size=5))
def test_wrapping_loses_nothing(rows):
    rows = [("name", "left", "right"), *rows]
    lines = aligned(rows, 40)
    assert max(map(len, lines)) <= 40
    assert read_back(lines) == [list(row) for row in rows]


def test_datasets_say_what_their_rows_are():
    lines = {line.split()[0]: line for line in list_datasets().splitlines()}
    assert list(lines) == list(CATALOGUE)
    assert "4 classes" in lines["ag_news"] and "text: description" in lines["ag_news"]
    assert "scores 0–5" in lines["sts_b"] and "pairs: sentence1 | sentence2" in lines["sts_b"]
    assert "10 classes" in lines["digits"] and "vectors" in lines["digits"]


def test_fields_of_both_kinds_of_recipe():
    def named(text):
        found: dict = {}
        for table, name, meaning in re.findall(r"^\[(\w+)\]$|^  (\w+) = .*?: (.*)$", text, re.M):
            if table:
                fields = found[table] = []
            else:
                assert len(meaning) > 10, name
                fields.append(name)
        return found

    def fields(cls):
        return [f.name for f in dataclasses.fields(cls)]

    plain, _, tagging = list_recipe_fields().partition('\nWhere task = "tagging"')
    assert named(plain) == {name: fields(cls) for name, cls in Recipe.tables().items()}
    tables = TaggingRecipe.tables()
    assert named(tagging) == {name: fields(tables[name]) for name in ("data", "model", "active")}
    assert {*tables} == {"data", "model", "active", "training"}


def test_json_holds_what_the_lists_tell():
    methods = {x["method"]: x for x in json.loads(json.dumps(methods_found()))}
    assert [*methods] == [m.name for m in LISTED] and methods["mixtext"]["rows"]
    assert {x["name"]: x["default"] for x in methods["mixtext"]["settings"]}["temperature"] == 0.5
    sets = {x["name"]: x for x in json.loads(json.dumps(datasets_found()))}
    assert [*sets] == [line.split()[0] for line in list_datasets().splitlines()]
    assert len(sets["ag_news"]["classes"]) == 4
    fields = json.loads(json.dumps(recipe_fields_found()))
    names = {(x["task"], x["table"], x["name"]) for x in fields}
    assert ("", "training", "steps") in names and ("tagging", "data", "scheme") in names
    assert ("classification", "data", "labels_per_class") in names
    told = [x for x in list_recipe_fields().splitlines() if x.startswith("  ")]
    assert len(fields) == len(told) and all(x["meaning"] for x in fields)
