"""Starter recipes of CoNLL files: what they say follows from the file, and they train."""

import json

import pytest

from mixtext.api import load_recipe
from mixtext.cli import main
from mixtext.errors import InputError
from mixtext.recipe import build_recipe
from mixtext.settings import read_toml
from mixtext.tagging.conll import read_conll
from mixtext.tagging.recipe import TaggingRecipe
from mixtext.tagging.starter import starter_tagging_recipe


@pytest.mark.parametrize("method", ["", "supervised"])
def test_it_trains_as_written(method, encoder, tagged_files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / 'odd "name" [1].txt'
    data.write_bytes((tagged_files / "train.conll").read_bytes())
    arguments = ["--test", str(tagged_files / "test.conll")]
    arguments += ["--method", method] if method else []
    assert main(["new-recipe", data.name, *arguments]) == 0
    file = f"{data.stem}.toml"
    recipe = build_recipe(TaggingRecipe, read_toml(file))
    assert (recipe.name, recipe.method.name) == (data.stem, method or "seqmix")
    assert (recipe.data.corpus, recipe.data.test) == (data.name, arguments[1])
    assert (recipe.data.scheme, recipe.data.token, recipe.data.tag) == ("bio", "0", "-1")
    assert "LOC, PER" in (tmp_path / file).read_text()
    small = [f"model.encoder={encoder}", "model.max_length=24", "model.overlap=4"]
    small += ["training.steps=2", "training.evaluate_every=0", "seqmix.window=2"]
    assert main(["train", file, *small, "--dry-run"]) == 0
    assert "60 labels: 60 to learn from, 0 to choose by" in capsys.readouterr().out
    assert main(["train", file, *small, "--run", "run"]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["steps"], result["test_rows"], result["task"]) == (2, 20, "tagging")
    assert main(["new-recipe", data.name]) == 2  # what is there is kept


def test_paths_name_and_hints_follow_from_where_the_recipe_is(
    tagged_files, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for part in ("train", "test"):
        (tmp_path / "news").mkdir(exist_ok=True)
        text = (tagged_files / f"{part}.conll").read_text()
        (tmp_path / "news" / f"{part}.tsv").write_text(text.replace(" ", "\t"))
    arguments = ["new-recipe", "news/train.tsv", "--test", "news/test.tsv"]
    assert main([*arguments, "--out", "recipes/first.toml"]) == 0
    assert "60 labels: 60 to learn from" in capsys.readouterr().out
    text = (tmp_path / "recipes" / "first.toml").read_text()
    assert "mixtext train recipes/first.toml --dry-run" in text
    recipe = load_recipe("recipes/first.toml")
    assert recipe.name == "news"
    assert [len(read_conll(x)) for x in (recipe.data.corpus, recipe.data.test)] == [60, 20]


def test_columns_scheme_length_and_steps_follow_from_the_file(tmp_path, load):
    lines = "# global.columns = N FORM X TAG\n" + "".join(
        f"1\tword\tx\tS-PER\n{'1 o x O'.replace(' ', chr(9))}\n" * 50 + "\n" for _ in range(1600)
    )
    path = tmp_path / "long.conll"
    path.write_text(lines.replace("word", "caf\u00e9"), encoding="latin-1")
    recipe = load(path, text="FORM", label="TAG", encoding_errors="replace")
    assert (recipe.data.token, recipe.data.tag, recipe.data.scheme) == ("FORM", "TAG", "bioes")
    assert recipe.data.encoding_errors == "replace"
    assert recipe.model.max_length == 256  # 100 words, 1.3 tokens each
    assert recipe.training.steps == 300  # three passes over 1,600 sentences, 16 at a time
    short = tmp_path / "short.conll"
    short.write_text("a B-X\n\n" * 20)
    assert (load(short).model.max_length, load(short).training.steps) == (64, 120)


@pytest.fixture
def load(tmp_path):
    """Path and read options → the recipe, loaded."""
    from mixtext.data.read.options import ReadOptions

    def call(path, **options):
        text = starter_tagging_recipe(str(path), ReadOptions(**options))[1]
        (tmp_path / "made.toml").write_text(text, encoding="utf-8")
        return build_recipe(TaggingRecipe, read_toml(tmp_path / "made.toml"))

    return call


@pytest.mark.parametrize(
    ("content", "method", "part"),
    [
        ("a O\nb O\n", "", "no entity at all"),
        ("a B-X\n", "mixtext", "for the task tagging it must be one of supervised, seqmix"),
        ("a X-Y\n", "", "line 1"),
    ],
)
def test_refusals(content, method, part, tmp_path):
    (tmp_path / "d.conll").write_text(content)
    with pytest.raises(InputError) as error:
        starter_tagging_recipe(str(tmp_path / "d.conll"), method=method)
    assert part in str(error.value) and "\n" not in str(error.value)
