"""Tables as data: what each would run, and small ones of every kind run in miniature."""

import csv
import itertools
import json

import pytest

from mixtext.api import load_recipe
from mixtext.cli import main
from mixtext.errors import InputError
from mixtext.report.published import read_published
from mixtext.reproduce import read_plans, reproduce, tables
from mixtext.setfit import PYTHON
from mixtext.sweep import parse_axis

PROMISED = {"table2", "layers", "mixtext", "rivals", "many_classes", "twelve_layers", "views",
            "digits", "words", "mixup_transformer", "ssmix", "seqmix"}  # fmt: skip


def runs(plan):
    """The recipe of each run of a plan, as on a machine that has its data."""
    for choice in itertools.product(*(parse_axis(axis) for axis in plan.vary)):
        varied = [x for _, each in choice for x in each]
        fixed = [x.replace("{out}", "/out") for x in plan.fixed]
        for key, _, value in (x.partition("=") for x in varied):
            fixed = [x.replace(f"{{{key}}}", value) for x in fixed]
        yield load_recipe(plan.recipe, [*fixed, *varied])


def test_the_tables_that_are_promised_are_there_and_no_other():
    assert {*tables()} == PROMISED


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_every_run_of_a_table_loads(name):
    table = read_plans(name)
    assert table.published is None or read_published(table.published, table.baseline)
    names = [plan.name for plan in table.plans]
    assert len({*names}) == len(names) and "{" not in "".join(names)
    for plan in table.plans:
        for recipe in runs(plan):
            assert recipe.data.split_seed == recipe.training.seed


def test_table2_is_the_papers():
    cells = set()
    for plan in read_plans("table2").plans:
        for recipe in runs(plan):
            budget, method = recipe.data.labels_per_class, recipe.method
            if method.name != "supervised":
                assert method.alpha == (16 if budget < 200 else 0.2)
            assert recipe.training.batch == (4 if method.name == "mixtext" else 8)
            cells.add((recipe.data.corpus, method.name, budget, recipe.training.seed))
    corpora = ("ag_news", "dbpedia", "yahoo_answers", "imdb")
    methods, budgets = ("supervised", "tmix", "mixtext"), (10, 200, 2500)
    assert cells == {*itertools.product(corpora, methods, budgets, (0, 1, 2))}


def test_the_second_stage_of_ssmix_begins_with_the_first_of_its_seed():
    plans = {plan.name: plan for plan in read_plans("ssmix").plans}
    first, second = plans["trec-1"], plans["trec-2"]
    assert first.keep_models and not first.tabled and second.tabled
    for recipe in runs(second):
        assert recipe.model.start == f"/out/trec-1/{recipe.training.seed}"
        assert recipe.model.max_length == 48 and recipe.data.corpus == "trec"


@pytest.mark.parametrize(
    "text, words",
    [
        ("title = 'x'", "no [[sweep]]"),
        ("titel = 'x'", "'titel'"),
        ("[[sweep]]\nname = 'a'\nrecipe = 'b'\nfixed = []", "'fixed'"),
        ("[[sweep]]\nname = 'a'", "recipe"),
        ("[[sweep]]\nname = 1\nrecipe = 'b'", "name must be a string"),
        ("[[sweep]]\nname = '../a'\nrecipe = 'b'", "lead out"),
        ("[[sweep]]\nname = 'a'\nrecipe = 'b'\nfor = {x = [1]}", "cannot be read"),
        ("sweep = [1]", "no table"),
    ],
)
def test_what_is_no_table_is_refused(text, words, tmp_path):
    path = tmp_path / "table.toml"
    path.write_text(text)
    with pytest.raises(InputError) as refusal:
        read_plans(str(path))
    assert words in str(refusal.value)


def test_unknown_names_are_refused(tmp_path, capsys):
    assert main(["reproduce", "tabel2"]) == 2
    assert "choose from digits, layers" in capsys.readouterr().err
    with pytest.raises(InputError, match="there are bbc_news-3"):
        reproduce("mixtext", tmp_path / "out", only=["agnews"])
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_without_its_data_a_table_is_refused(tmp_path, capsys):
    command = ["reproduce", "ssmix", f"data.root={tmp_path}", "--only", "trec-1"]
    assert main([*command, "--run", str(tmp_path / "out")]) == 2
    assert "trec" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, only, count",
    [
        ("mixtext", ["bbc"], 12),
        ("words", ["mr"], 12),
        ("ssmix", ["trec"], 8),
        ("digits", ["cnn"], 12),
        ("mixup_transformer", ["sts_b-0.4"], 4),
        ("table2", ["imdb-10"], 6),
        ("views", [], 8),
        ("seqmix", ["entropy", "plain"], 8),
        ("rivals", ["mr"], 32),
    ],
)
def test_a_table_in_miniature(name, only, count, tmp_path, capsys):
    command = ["reproduce", name, "--mini", "--run", str(tmp_path), *["--only"] * bool(only), *only]
    assert main(command) == 0
    said = capsys.readouterr().out
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert said.endswith(text)
    assert read_plans(name).title in text and "The numbers mean nothing" in text
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    if name == "rivals":
        assert "mixtext + names over the strongest rival" in text
    elif name != "views":  # one method, of which nothing is the baseline
        assert "comparisons, corrected by Holm together" in text
    results = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(results) == count and all(json.loads(line)["mixtext"] for line in results)
    with (tmp_path / "table.csv").open(encoding="utf-8") as file:
        assert all(row["method"] for row in csv.DictReader(file))
    if name == "mixtext":  # again: nothing is trained, the same is said
        before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("metrics.jsonl")}
        assert main(command) == 0
        assert capsys.readouterr().out == said
        assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("metrics.jsonl")}


def test_setfit_that_is_not_installed_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mixtext.setfit.PYTHON", tmp_path / "python")
    command = [
        "reproduce",
        "rivals",
        "--mini",
        "--only",
        "setfit-mr",
        "--run",
        str(tmp_path / "out"),
    ]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "SetFit is not installed" in told and "./run.sh setfit --help" in told


@pytest.mark.slow
@pytest.mark.skipif(
    not PYTHON.is_file(), reason="SetFit is not installed: ./run.sh setfit --help installs it"
)
def test_setfit_runs_and_goes_on(tmp_path, capsys):
    command = ["reproduce", "rivals", "--mini", "--only", "setfit-mr", "--run", str(tmp_path)]
    assert main(command) == 0
    results = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["method"] for line in results] == ["setfit"] * 4
    capsys.readouterr()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/*/result.json")}
    assert main(command) == 0 and "(finished)" in capsys.readouterr().err
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/*/result.json")}
    other = [*command, "name=other"]
    assert main(other) == 2 and "already holds another recipe" in capsys.readouterr().err
