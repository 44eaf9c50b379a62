"""What is asked for is there afterwards, or refused: models, answers, labels."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from mixtext.active.folder import begin_active
from mixtext.api import load, train
from mixtext.cli import main
from mixtext.data.corpus import Corpus
from mixtext.data.read.options import ReadOptions
from mixtext.data.read.readers import read_corpus
from mixtext.errors import InputError
from mixtext.jobs import Job, RoundsJob
from mixtext.recipe import dump_recipe
from mixtext.sweep import sweep
from mixtext.tagging.generation import encoder_table

# ---- models


def numbers(values):
    return {key: value for key, value in values.items() if key != "clock"}


@pytest.fixture
def made(tiny, learner, tmp_path):
    """Kind → the folder of a finished run, and the command that goes on with it."""

    def make(kind):
        recipe, folder = tmp_path / "recipe.toml", tmp_path / "run"
        of = learner("active.rounds=1") if kind != "texts" else tiny("training.steps=3")
        recipe.write_text(dump_recipe(of), encoding="utf-8")
        if kind == "active":
            begin_active(of, folder, quiet=True).go_on()
        else:
            train(of, folder=folder, quiet=True)
        command = ["active", "run"] if kind == "active" else ["train"]
        return folder, [*command, str(recipe), "--run", str(folder), "--resume"]

    return make


def weights(folder):
    return {path.name: load_file(path) for path in (folder / "model").glob("*.safetensors")}


def same(a, b):
    names = [{(file, name) for file in one for name in one[file]} for one in (a, b)]
    return names[0] == names[1] and all(torch.equal(a[f][n], b[f][n]) for f, n in names[0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["texts", "tags", "active"])
@pytest.mark.parametrize("checkpoints", ["kept", "deleted"])
def test_a_model_that_is_gone_is_made_again(kind, checkpoints, made, capsys):
    folder, command = made(kind)
    before = weights(folder)
    name = "curve.json" if kind == "active" else "result.json"
    result = json.loads((folder / name).read_text())
    shutil.rmtree(folder / "model")
    if checkpoints == "deleted":
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    capsys.readouterr()
    assert main(command) == 0
    assert "is gone: it is made again" in capsys.readouterr().err
    assert before and same(weights(folder), before)
    assert numbers(json.loads((folder / name).read_text())) == numbers(result)
    load(folder)
    assert main(command) == 0
    assert "made again" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Job, RoundsJob])
def test_a_finished_sweep_is_given_its_models(kind, tiny, learner, tmp_path):
    recipe, folder = tmp_path / "recipe.toml", tmp_path / "sweep"
    made = learner("active.rounds=1") if kind is RoundsJob else tiny("training.steps=3")
    recipe.write_text(dump_recipe(made), encoding="utf-8")

    def run(keep_models):
        done = sweep(recipe, (), ["training.seed=0,1"], folder, keep_models, kind=kind)
        assert not done.failed
        return [numbers(result) for result in done.results]

    first = run(False)
    assert run(False) == first  # without being asked for, none is made
    assert not [*folder.glob("*/model")]
    assert run(True) == first
    for seed in "01":
        load(folder / seed)


# ---- answers


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["texts", "tags"])
def test_answers_that_are_no_numbers_are_refused(kind, number, made, corpus_file, tagged_files,
                                                 capsys):  # fmt: skip
    folder, _ = made(kind)
    path = folder / "model" / "model.safetensors"
    spoiled = load_file(path)
    for name in spoiled:
        if name.startswith(("head.", "classifier.")):
            spoiled[name] = spoiled[name].clone().fill_(number)
    save_file(spoiled, path, metadata={"format": "pt"})
    about = json.loads((path.parent / "mixtext.json").read_text())
    del about["sha256"]  # else the checksums tell
    (path.parent / "mixtext.json").write_text(json.dumps(about))
    data = corpus_file if kind == "texts" else tagged_files / "test.conll"
    for command in (["predict", folder, "a cat"], ["evaluate", folder, "--data", data]):
        capsys.readouterr()
        assert main([str(x) for x in command]) == 2
        said = capsys.readouterr()
        assert said.out == "" and "no number" in said.err and len(said.err.splitlines()) == 1


# ---- labels


def test_true_and_false_are_called_as_they_are_written(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"text": "a cat", "label": true}\n{"text": "a dog", "label": false}\n', encoding="utf-8"
    )
    assert read_corpus(str(path)).label_names == ["false", "true"]
    assert Corpus.from_lists(["a", "b"], [True, False]).label_names == ["false", "true"]
    for names in (("true", "false"), ("True", "False")):  # the latter as version 0.1 called them
        corpus = read_corpus(str(path), ReadOptions(label_names=names))
        assert corpus.labels.tolist() == [0, 1]


# ---- SeqMix


def test_words_that_the_tokenizer_does_not_know_are_told(encoder):
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    table = np.random.default_rng(0).normal(size=(len(tokenizer), 3))
    with pytest.raises(InputError, match=r"seqmix\.emit.*model\.encoder"):
        encoder_table(table, tokenizer, ["猫", "犬"])
    assert encoder_table(table, tokenizer, ["猫", "犬"], "vocabulary").tokens.allowed.any()


def test_the_command_names_the_field(learner, tmp_path, capsys):
    words = [f"{a}{b}" for a in "猫犬鳥" for b in "一二三四五六七八"]
    lines = [f"{word} B-PER\n{other} O\n" for word, other in pairwise(words)]
    (tmp_path / "train.conll").write_text("\n".join(lines), encoding="utf-8")
    recipe = tmp_path / "recipe.toml"
    corpus = f"data.corpus={tmp_path / 'train.conll'}"
    text = dump_recipe(learner(corpus, "data.pool_size=5", "data.test="))
    recipe.write_text(text, encoding="utf-8")
    for command in (["train"], ["active", "run"]):
        capsys.readouterr()
        assert main([*command, str(recipe), "active.rounds=1", "active.per_round=2",
                     "--run", str(tmp_path / "run")]) == 2  # fmt: skip
        said = capsys.readouterr().err
        assert "tiny-bert" in said and "seqmix.emit" in said and "seqmix.vectors" in said
    assert not (tmp_path / "run").exists()
