"""No command writes over a file that it did not make."""

import json
import shutil

import pytest

from backtranslate.cli import main as backtranslate
from mixtext.cli import main
from mixtext.recipe import dump_recipe

IDENTITY = ("--backend", "identity", "--pivots", "de")
OWN = '{"id": "x1", "text": "The cat sat.", "label": "a"}\n'


def refused(capsys, command, call=main):
    capsys.readouterr()
    assert call([str(x) for x in command]) == 2, command
    [*_, said] = capsys.readouterr().err.splitlines()
    assert said.endswith("."), said
    return said


def contents(folder):
    return {str(x.relative_to(folder)): x.read_bytes() for x in folder.rglob("*") if x.is_file()}


@pytest.fixture
def own(tmp_path):
    """A folder of the user's with one file; name → its path."""

    def make(name, text=OWN):
        folder = tmp_path / "own"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name

    return make


# ---- views


def test_back_translation_keeps_the_texts_that_it_reads(own, capsys):
    texts = own("texts.jsonl")
    command = ["backtranslate", texts, "--out", texts.parent, *IDENTITY]
    assert str(texts) in refused(capsys, command)
    assert contents(texts.parent) == {"texts.jsonl": OWN.encode()}


@pytest.mark.parametrize("name", ["manifest.json", "views.jsonl", "views-00000-of-00001.jsonl"])
@pytest.mark.parametrize("call", [main, backtranslate])
def test_a_store_takes_no_file_of_the_user_for_its_own(name, call, own, tmp_path, capsys):
    mine = own(name, '{"mine": 1}')
    (tmp_path / "rows.jsonl").write_text(OWN)
    command = [tmp_path / "rows.jsonl", "--out", mine.parent, *IDENTITY]
    command = ["backtranslate", *command] if call is main else command
    assert str(mine) in refused(capsys, command, call)
    assert contents(mine.parent) == {name: b'{"mine": 1}'}


@pytest.fixture
def store(tmp_path):
    (tmp_path / "rows.jsonl").write_text(OWN)
    assert backtranslate([str(tmp_path / "rows.jsonl"), "--out", str(tmp_path), *IDENTITY]) == 0
    return tmp_path


def test_views_are_merged_into_no_file_of_another_kind(store, own, capsys):
    mine = own("notes.txt", "mine")
    for out in (mine, store / "rows.jsonl", mine.parent):
        said = refused(capsys, ["merge", store / "rows.jsonl", store, "--out", out], backtranslate)
        assert str(out) in said
    assert mine.read_text() == "mine" and (store / "rows.jsonl").read_text() == OWN
    out = store / "views.jsonl"
    assert backtranslate(["merge", str(store / "rows.jsonl"), str(store)]) == 0  # its own file
    shutil.copy(out, store / "texts.jsonl")  # views are texts too: those of a second round trip
    said = refused(
        capsys, ["merge", store / "texts.jsonl", store, "--out", store / "texts.jsonl"],
        backtranslate,
    )  # fmt: skip
    assert "would be written over" in said


def test_pickles_are_kept(store, own, capsys):
    mine = own("de_1.pkl", "mine")
    command = ["export", store / "rows.jsonl", store / "views.jsonl", "--out"]
    assert str(mine) in refused(capsys, [*command, mine.parent], backtranslate)
    assert mine.read_text() == "mine"
    for _ in range(2):  # the same again is no loss
        assert backtranslate([*map(str, command), str(store / "pickles")]) == 0
    pickle = store / "pickles" / "de_1.pkl"
    command = ["import", store / "rows.jsonl", pickle, "--out"]
    for out in (mine, pickle, store / "rows.jsonl"):
        assert str(out) in refused(capsys, [*command, out], backtranslate)


# ---- runs


@pytest.mark.parametrize("name", ["", ".", "..", "../../x", "a/../../x", "/x", "a\0b"])
@pytest.mark.parametrize("command", ["train", "sweep", "active"])
def test_a_name_does_not_lead_out_of_runs(name, command, tiny, learner, tmp_path, capsys):
    recipe = tmp_path / "recipe.toml"
    text = dump_recipe(learner() if command == "active" else tiny())
    lines = text.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("name"))
    lines[place] = f"name = {json.dumps(name)}"
    recipe.write_text("\n".join(lines), encoding="utf-8")
    words = ["active", "run"] if command == "active" else [command]
    said = refused(capsys, [*words, recipe])
    assert "name is" in said and "runs" in said


def test_a_recipe_of_the_user_is_not_written_anew(tiny, own):
    recipe = own("recipe.toml", "# mine\n" + dump_recipe(tiny()))
    before = recipe.read_text()
    assert main(["train", str(recipe), "--run", str(recipe.parent)]) == 2
    assert main(["train", str(recipe), "--run", str(recipe.parent), "--resume"]) == 0
    assert recipe.read_text() == before


@pytest.mark.parametrize("name", ["environment.json", "metrics.jsonl", "result.json", "a.txt"])
def test_a_folder_of_the_user_is_no_run_folder(name, tiny, own, tmp_path, capsys):
    mine = own(name, '{"mine": 1}')
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(dump_recipe(tiny()), encoding="utf-8")
    said = refused(capsys, ["train", recipe, "--run", mine.parent, "--resume"])
    assert str(mine.parent) in said
    assert contents(mine.parent) == {name: b'{"mine": 1}'}


def test_a_sweep_keeps_the_results_of_others(tiny, own, tmp_path, capsys):
    mine = own("results.jsonl")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(dump_recipe(tiny()), encoding="utf-8")
    assert str(mine) in refused(capsys, ["sweep", recipe, "--run", mine.parent])
    assert contents(mine.parent) == {"results.jsonl": OWN.encode()}


@pytest.mark.parametrize("name", ["results.jsonl", "table.md", "table.csv"])
def test_the_tables_of_others_are_kept(name, own, capsys):
    mine = own(name)
    command = ["reproduce", "digits", "--mini", "--run", mine.parent]
    assert str(mine) in refused(capsys, command)
    assert contents(mine.parent) == {name: OWN.encode()}


def test_a_sweep_stays_in_its_folder(tiny, tmp_path):
    recipe, folder = tmp_path / "recipe.toml", tmp_path / "sweep" / "runs"
    recipe.write_text(dump_recipe(tiny("training.steps=1")), encoding="utf-8")
    assert main(["sweep", str(recipe), "--vary", "name=..,...", "--run", str(folder)]) == 2
    assert [x.name for x in tmp_path.iterdir()] == ["recipe.toml"]


# ---- pictures


@pytest.mark.parametrize("name", ["photo.png", "photo.svg", "photo.pdf"])
@pytest.mark.parametrize("command", ["plot", "active"])
def test_a_picture_of_the_user_is_kept(name, command, own, tmp_path, capsys):
    mine = own(name, "a photo")
    if command == "plot":
        line = {"step": 1, "kind": "train", "loss/total": 0.5, "draws": {}}
        (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        draw = ["plot", str(tmp_path), "--out"]
    else:
        curve = [{"round": n - 1, "labelled": n, "dev": {}, "test": {"f1": 0.5}} for n in (1, 2)]
        about = {"policy": "random", "method": "supervised", "pairing": "", "curve": curve}
        about |= {"name": "x", "corpus": "x", "encoder": "x", "seed": 0, "split_seed": 0}
        (tmp_path / "curve.json").write_text(json.dumps(about))
        draw = ["active", "plot", str(tmp_path), "--out"]
    assert str(mine) in refused(capsys, [*draw, mine])
    assert mine.read_text() == "a photo"
    for _ in range(2):  # its own is drawn anew
        assert main([*draw, str(tmp_path / name)]) == 0
    assert [x.name for x in tmp_path.iterdir() if x.name.endswith(".half")] == []
