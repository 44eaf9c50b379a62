"""Every way out that a refusal names exists: flags in that very command, fields in recipes."""

import ast
import dataclasses
import gzip
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from mixtext.active_commands import ACTIVE_COMMANDS
from mixtext.api import train
from mixtext.cli import COMMANDS, main
from mixtext.data.read.options import ReadOptions
from mixtext.data_commands import Flags
from mixtext.recipe import Recipe, dump_recipe, make_recipe
from mixtext.tagging.recipe import TaggingRecipe

ROOT = Path(__file__).resolve().parents[1]
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
OPTIONS = [f.name for f in dataclasses.fields(ReadOptions)]
OTHERS = {  # of other programs, and of `python -m backtranslate`, whose own tests hold them
    *("--no-deps", "--help", "--logdir", "--version", "--nproc-per-node"),
}
BACKTRANSLATE = set(FLAG.findall((ROOT / "backtranslate" / "cli.py").read_text("utf-8")))


def flags_of(command):
    """The flags of a function that is a command."""
    found = {"--quiet"}
    for name, parameter in inspect.signature(command).parameters.items():
        if name == "read":
            found |= {Flags().called(option) for option in OPTIONS}
        else:
            no = "no-" if parameter.default is True else ""
            found.add(f"--{no}{name.removeprefix('as_').replace('_', '-')}")
    return found


def fields():
    """`table.field` of every kind of recipe."""
    tables = [
        *Recipe.tables().values(),
        *TaggingRecipe.tables().values(),
        *Recipe.methods.values(),
        *TaggingRecipe.methods.values(),
    ]
    return {f"{table.name}.{f.name}" for table in tables for f in dataclasses.fields(table)}


FIELDS = fields()
TABLES = {name.partition(".")[0] for name in FIELDS}
FIELD = re.compile(rf"(?<![\w./-])({'|'.join(sorted(TABLES))})\.([a-z][a-z_]+)\b(?![./(])")


def sentences():
    """Place and constant parts of every refusal in the code."""
    for path in sorted((ROOT / "mixtext").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if called in ("InputError", "_complain", "refuse_unheard", "_Refused"):
                parts = [x.value for x in ast.walk(node) if isinstance(x, ast.Constant)]
                text = " ".join(x for x in parts if isinstance(x, str))
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def test_every_flag_and_field_that_a_refusal_names_exists():
    commands = (*COMMANDS.values(), *ACTIVE_COMMANDS.values())
    known = set().union(*map(flags_of, commands)) | BACKTRANSLATE | OTHERS
    found = list(sentences())
    assert len(found) > 150
    wrong = [(place, flag) for place, text in found for flag in FLAG.findall(text)
             if flag not in known]  # fmt: skip
    wrong += [(place, field[0]) for place, text in found for field in FIELD.finditer(text)
              if field[0] not in FIELDS and f"{field[0]}s" not in FIELDS]  # fmt: skip
    assert not wrong


@pytest.fixture(scope="module")
def run(encoder, corpus_file, tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("advice")
    values = {
        "method": "supervised",
        "data": {"corpus": str(corpus_file), "labels_per_class": 2, "dev_per_class": 1},
        "model": {"encoder": encoder, "max_length": 16},
        "training": {"steps": 1, "precision": "float32", "device": "cpu"},
    }
    recipe = make_recipe(values)
    (folder / "r.toml").write_text(dump_recipe(recipe))
    train(recipe, folder=folder / "run", quiet=True)
    return folder


BAD = {
    "empty.csv": b"",
    "blank.csv": b"text,label\na,x\n ,y\n",
    "cp1252.csv": "text,label\ncafé,x\n".encode("cp1252"),
    "utf16.csv": "text,label\na long text,x\n".encode("utf-16-le"),
    "columns.csv": b"body,label\na,x\n",
    "labels.csv": b"text,kind\na,x\n",
    "cells.csv": b"text,label\na,x\nb,c,y\n",
    "quotes.csv": b'text,label\n"a,x\n',
    "scores.csv": b"text,label\na,1.5\nb,1.10\n",
    "twice.csv": b"text,text,label\na,b,x\n",
    "odd.xyz": b"nobody\nknows\n",
    "array.json": b'[{"text": 3, "label": "x"}]',
    "half.json": b'[{"text": ',
    "half.jsonl": b'{"text": "a", "label": "x"}\n{"text"\n',
    "cut.csv.gz": gzip.compress(b"text,label\n" + bytes(1000))[:30],
    "many.txt": b"__label__x __label__y a\n",
    "none.conll": b"\n",
    "zero.conll": b"a B-X\nb 0\n",
    "json.conll": b'{"tokens": ["a"]}\n',
    "bad.npz": b"PK\x03\x04",
    "birds.csv": b"text,label\na heron,bird\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["inspect-data", "new-recipe", "evaluate", "predict",
                                     "backtranslate", "train"])  # fmt: skip
def test_advice_of_each_command_can_be_followed_there(command, run, encoder, tmp_path, capsys):
    refused = 0
    for name, content in BAD.items():
        path = tmp_path / name
        path.write_bytes(content)
        others = (("--id", "nowhere"), ("--first-label", "1"))
        for more in ((), *(others if command not in ("evaluate", "predict") else ())):
            if command == "train":
                said = {"--id": "data.id=nowhere", "--first-label": "data.first_label=1"}
                more = [said[more[0]]] if more and more[0] in said else []
            arguments = {
                "inspect-data": [path, "--encoder", encoder],
                "new-recipe": [path, "--out", tmp_path / f"{name}.toml"],
                "evaluate": [run / "run", "--data", path],
                "predict": [run / "run", "--file", path],
                "backtranslate": [
                    path,
                    "--backend=identity",
                    "--pivots=x",
                    "--out",
                    tmp_path / "v",
                ],
                "train": [run / "r.toml", f"data.corpus={path}", "--run", tmp_path / "new"],
            }[command]
            capsys.readouterr()
            if main([command, *map(str, arguments), *more]) == 0:
                continue
            sentence = capsys.readouterr().err.splitlines()[-1]
            refused += 1
            flags = flags_of(COMMANDS[command]) | OTHERS
            flags |= BACKTRANSLATE if command == "backtranslate" else set()
            assert set(FLAG.findall(sentence)) <= flags, sentence
            for field in FIELD.finditer(sentence.replace(str(tmp_path), "")):
                assert command == "train" and field[0] in FIELDS, sentence
            bare = re.search(rf"\b(set|widen|with) ({'|'.join(OPTIONS)})\b", sentence)
            assert not bare, sentence
    assert refused > 10


def test_the_advice_is_right(tmp_path, capsys, encoder):
    """Following it, files that were refused are read."""
    inspect_data = ["inspect-data", "--encoder", encoder]
    for content, advice, more in [
        ("text,label\ncafé,x\n".encode("cp1252"), "--encoding", ["--encoding", "cp1252"]),
        (
            "text,label\na long text,x\n".encode("utf-16-le"),
            "--encoding",
            ["--encoding", "utf-16-le"],
        ),
        (b"text,label\na,x\n ,y\n", "--skip-empty", ["--skip-empty"]),
        (b"text\na\nb\n", "--no-labels", ["--no-labels"]),
        (b"text,label\na,1.5\nb,1.10\n", "--label-names", ["--label-names", "1.10", "1.5"]),
        (b"text,label\na,1.5\nb,1.10\n", "--scores", ["--scores", "1", "2"]),
        (b'text,label\n"a,x\nb,y\n', "--quoted", ["--quoted", "no"]),
        (b"text~label\na~x\nb~y\n", "", ["--separator", "~"]),
    ]:
        path = tmp_path / "d.csv"
        path.write_bytes(content)
        assert main([*inspect_data, str(path)]) == 2
        assert advice in capsys.readouterr().err
        assert main([*inspect_data, str(path), *more]) == 0
    assert np.all([name in flags_of(COMMANDS["inspect-data"]) for name in ("--separator", "--id")])
