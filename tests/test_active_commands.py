"""The commands of tagging and active learning, from the first to the last round."""

import io
import json
import sys

import pytest

from mixtext.active_commands import ACTIVE_COMMANDS
from mixtext.cli import main
from mixtext.recipe import dump_recipe


@pytest.fixture
def recipe(learner, tmp_path):
    """A recipe file; overrides change it as it is written."""

    def write(*overrides):
        path = tmp_path / "recipe.toml"
        path.write_text(dump_recipe(learner(*overrides)), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def say(capsys):
    """Arguments → exit code, what was printed, and what was said beside it."""

    def call(*arguments):
        capsys.readouterr()
        code = main([str(x) for x in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def fill_in(query, corpus):
    """What a person would do: put the tags of `corpus` (words → tags) for the question marks."""
    filled = []
    for block in query.read_text().strip().split("\n\n"):
        lines = block.splitlines()
        words = [line.split("\t")[0] for line in lines if not line.startswith("#")]
        filled += [line for line in lines if line.startswith("#")]
        tags = corpus[tuple(words)]
        filled += [f"{word}\t{tag}" for word, tag in zip(words, tags, strict=True)] + [""]
    query.write_text("\n".join(filled) + "\n")


def known_tags(file):
    corpus = {}
    for block in file.read_text().split("\n\n"):
        rows = [line.split() for line in block.strip().splitlines()]
        corpus[tuple(word for word, _ in rows)] = [tag for _, tag in rows]
    return corpus


def test_labels_that_a_person_has_filled_in_are_kept(recipe, say, tmp_path, tagged_files):
    file, folder = recipe("active.annotator=person", "training.steps=1"), tmp_path / "run"
    tags = known_tags(tagged_files / "train.conll")
    assert say("active", "run", file, "--run", folder)[0] == 0
    for number in (1, 2):
        query = folder / f"query-{number:02d}.conll"
        for _ in range(2):  # the same again changes nothing
            assert say("active", "query", folder)[0] == 0
        blank = query.read_text()
        query.write_text(blank.replace("\t?", "\tO", 1))
        code, _, err = say("active", "query", folder)
        assert code == 2 and str(query) in err and "--out" in err
        assert query.read_text() == blank.replace("\t?", "\tO", 1)
        query.write_text(blank)
        fill_in(query, tags)
        filled = query.read_text()
        assert say("active", "label", folder, query)[0] == 0
        assert say("active", "query", folder, "--out", query)[0] == 2
        assert query.read_text() == filled  # also when its labels were taken


def test_a_person_from_the_first_to_the_last_round(recipe, say, tmp_path, tagged_files):
    file = recipe("active.annotator=person", "active.rounds=1")
    folder = tmp_path / "run"
    code, out, err = say("active", "run", file, "--run", folder)
    assert code == 0 and "wait  for the labels of 5 sentences" in out and "round 0" in err
    query = tmp_path / "query.conll"
    code, out, _ = say("active", "query", folder, "--out", query)
    assert code == 0 and "5 sentences to label with O, B-LOC" in out
    assert query.read_text().count("\t?") >= 5
    assert say("active", "label", folder, query)[0] == 2  # not labelled yet
    fill_in(query, known_tags(tagged_files / "train.conll"))
    code, out, _ = say("active", "label", folder, query)
    assert code == 0
    labelled = [int(line.split()[0]) for line in out.splitlines() if " labelled " in line]
    assert labelled == [10, 15]
    assert say("active", "query", folder)[0] == 2  # nothing waits any more
    code, out, _ = say("active", "show", folder)
    assert code == 0 and "round 1: 1 generated sentences" in out and "B-" in out
    code, out, _ = say("active", "plot", folder, "--out", tmp_path / "curves.png")
    assert code == 0 and "token entropy + SeqMix sub sequence" in out
    assert (tmp_path / "curves.png").is_file()


def test_gold_labels_overrides_and_resume(recipe, say, tmp_path):
    file, folder = recipe(), tmp_path / "run"
    arguments = ["active", "run", "--run", folder, file, "active.rounds=1", "method=supervised"]
    code, out, _ = say(*arguments)
    assert code == 0 and out.count(" labelled ") == 2
    code, _, err = say(*arguments)
    assert code == 2 and "add --resume" in err
    code, again, _ = say(*arguments, "--resume")
    assert code == 0 and again == out


def test_train_evaluate_and_predict(recipe, say, tmp_path, tagged_files, monkeypatch):
    file, folder = (
        recipe("training.steps=40", "data.labelled=50", "data.pool_size=0"),
        tmp_path / "run",
    )
    code, out, _ = say("train", file, "--dry-run")
    assert code == 0 and "50 labels: 50 to learn from" in out and "time      about" in out
    assert not folder.exists()
    code, out, _ = say("train", file, "seqmix.rate=0.5", "--run", folder)
    assert code == 0 and "test  f1" in out
    code, out, _ = say("evaluate", folder, "--data", tagged_files / "test.conll", "--json")
    scores = json.loads(out)
    assert scores["sentences"] == 20 and {"f1", "precision", "recall", "f1/PER"} <= scores.keys()
    code, out, _ = say("predict", folder, "a cat near the soup", "")
    answers = [json.loads(line) for line in out.splitlines()]
    assert answers[0]["text"] == "a cat near the soup" and answers[1]["entities"] == []
    for entity in answers[0]["entities"]:
        assert answers[0]["text"][entity["start"] : entity["stop"]] == entity["text"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"cat dog\n")))
    code, out, _ = say("predict", folder)
    assert code == 0 and json.loads(out)["text"] == "cat dog"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["active"], "needs a command"),
        (["active", "run", "missing.toml"], "missing.toml does not exist"),
        (["active", "query", "nowhere"], "holds no run of active learning"),
        (["active", "plot", "nowhere"], "no curve.json"),
    ],
)
def test_refusals(say, arguments, part):
    code, out, err = say(*arguments)
    assert (code, out) == (2, "") and part in err


def test_bad_files_name_the_line(recipe, say, tmp_path):
    (tmp_path / "ragged.conll").write_text("a O\nb x O\n")
    file = recipe(f"data.corpus={tmp_path / 'ragged.conll'}")
    for command in (["train"], ["active", "run"]):
        code, _, err = say(*command, file, "--run", tmp_path / "run")
        assert code == 2 and "ragged.conll, line 2 has 3 columns" in err
    assert not (tmp_path / "run").exists()


def test_repaired_tags_are_told(recipe, say, tmp_path, tagged_files):
    text = (tagged_files / "train.conll").read_text().replace("B-PER", "I-PER", 1)
    (tmp_path / "train.conll").write_text(text)
    file = recipe(f"data.corpus={tmp_path / 'train.conll'}", "active.rounds=0")
    code, _, err = say("active", "run", file, "--run", tmp_path / "run")
    assert code == 0 and "1 tags of" in err and "repaired" in err
    code, _, err = say("active", "run", file, "data.on_fault=refuse", "--run", tmp_path / "other")
    assert code == 2 and "I-PER begins an entity" in err


@pytest.mark.parametrize("command", ACTIVE_COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["active", command, "--help"])
    assert stop.value.code == 0
    assert f"mixtext active {command}" in capsys.readouterr().out
