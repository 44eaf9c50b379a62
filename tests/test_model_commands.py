"""`evaluate` and `predict` on files as people have them: what is read, a line for each row."""

import csv
import gzip
import json

import pytest

from mixtext.api import train
from mixtext.cli import main
from mixtext.recipe import build_recipe, make_recipe
from mixtext.tagging.recipe import TaggingRecipe


@pytest.fixture(scope="module")
def run(encoder, tmp_path_factory, draw_texts):
    """A finished run whose file has columns of its own, separated by semicolons."""
    folder = tmp_path_factory.mktemp("mine")
    texts, labels = draw_texts(10)
    with (folder / "mine.csv").open("w", newline="") as file:
        table = csv.writer(file, delimiter=";")
        table.writerows([("body", "kind"), *zip(texts, labels, strict=True)])
    values = {
        "method": "supervised",
        "data": {
            "corpus": str(folder / "mine.csv"),
            "text": "body",
            "label": "kind",
            "labels_per_class": 3,
            "dev_per_class": 2,
        },
        "model": {"encoder": encoder, "max_length": 16},
        "training": {"steps": 2, "precision": "float32", "device": "cpu"},
    }
    train(make_recipe(values), folder=folder / "run", quiet=True)
    return folder / "run"


@pytest.fixture
def call(capsys):
    """Arguments → what was printed to standard output and error; the command works."""

    def do(*arguments):
        capsys.readouterr()
        code = main([str(x) for x in arguments])
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out, said.err

    return do


@pytest.fixture
def refused(capsys):
    """Arguments → the sentence that they are refused with."""

    def do(*arguments):
        assert main([str(x) for x in arguments]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    return do


@pytest.fixture
def held(tmp_path):
    """A test file of the same columns, with rows without a label and without a class."""
    path = tmp_path / "held.csv"
    rows = [("the cat", "animals"), ("a soup", "food"), ("a dog", ""), ("a goat", "NaN")]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("body", "kind"), *rows])
    return path


def test_labels_that_the_model_does_not_know_can_be_mended_or_left_out(
    run, call, refused, tmp_path
):
    path = tmp_path / "others.csv"
    path.write_text("body,kind\nthe cat,Animals\na soup,food\na song,music\n")
    said = refused("evaluate", run, "--data", path)
    assert "'Animals', 'music' (did you mean 'animals'?)" in said and str(path) in said
    out, _ = call("evaluate", run, "--data", path, "--missing", "music", "Animals", "--json")
    assert (json.loads(out)["rows"], json.loads(out)["unlabelled"]) == (1, 2)
    path.write_text("body,kind\nthe cat,0\na soup,1\n")
    advice = "--label-names animals food tools"
    assert advice in refused("evaluate", run, "--data", path)
    out, _ = call("evaluate", run, "--data", path, *advice.split(), "--json")
    assert json.loads(out)["lacking"] == ["tools"]


def test_evaluate_reads_as_the_recipe_says_and_counts_what_it_scored(run, call, refused, held):
    for place in (run, run / "model"):
        out, err = call("evaluate", place, "--data", held, "--json")
        found = json.loads(out)
        assert (found["rows"], found["unlabelled"], found["lacking"]) == (2, 2, ["tools"])
        assert "'NaN'" in err and "--missing" in err
    out, _ = call("evaluate", run, "--data", held)
    assert "2 rows of" in out and "2 without a label left out" in out and "No row of tools" in out
    for part in ("precision", "Confusion", "Calibration", "Most confident mistakes"):
        assert part in out
    assert "--part is 'dev'" in refused("evaluate", run, "--data", held, "--part", "dev")
    held.write_text(held.read_text().replace("body", "text"))
    assert json.loads(call("evaluate", run, "--data", held, "--text", "text", "--json")[0]) == found


def test_evaluate_writes_reports(run, call, held, tmp_path, capsys):
    _, err = call("evaluate", run, "--data", held, "--report", tmp_path / "r.html")
    assert "<svg" in (tmp_path / "r.html").read_text() and f"wrote {tmp_path / 'r.html'}" in err
    call("evaluate", run, "--data", held, "--report", tmp_path / "both")
    assert "| class | precision |" in (tmp_path / "both.md").read_text()
    (tmp_path / "both.md").write_text("mine")
    command = ["evaluate", str(run), "--data", str(held), "--report", str(tmp_path / "both")]
    assert main(command) == 2 and "both.md exists already" in capsys.readouterr().err
    assert (tmp_path / "both.md").read_text() == "mine"


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "csv.gz", ""])
def test_predict_reads_what_training_reads(suffix, run, call, tmp_path):
    rows = [("k1", "the cat, asleep"), ("k2", "  "), ("k3", "a soup")]
    path = tmp_path / f"new.{suffix}".rstrip(".")
    if "json" in suffix:
        objects = [json.dumps({"key": k, "body": x}) for k, x in rows]
        content = f"[{','.join(objects)}]" if suffix == "json" else "\n".join(objects)
    else:
        mark = "\t" if suffix == "tsv" else ","
        lines = [f"key{mark}body", *(f'{k}{mark}"{x}"' for k, x in rows)]
        content = "\n".join(lines).replace('"', "" if suffix == "tsv" else '"')
    path.write_bytes(gzip.compress(content.encode()) if suffix.endswith("gz") else content.encode())
    out, _ = call("predict", run, "--file", path, "--id", "key")
    answers = [json.loads(line) for line in out.splitlines()]
    assert [(x["id"], x["text"].strip()) for x in answers] == [(k, x.strip()) for k, x in rows]
    assert [x["label"] is None for x in answers] == [False, True, False]
    assert answers[1]["probabilities"] is None


def test_every_line_of_plain_texts_has_one(run, call, tmp_path):
    (tmp_path / "new.txt").write_text("the cat\n\na soup\n \n")
    out, _ = call("predict", run, "--file", tmp_path / "new.txt")
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["the cat", "", "a soup", ""]


def test_predict_writes_tables_and_lines(run, call, tmp_path):
    texts = ["the cat", 'a "soup", hot', "saw"]
    out, _ = call("predict", run, *texts)
    answers = [json.loads(line) for line in out.splitlines()]
    call("predict", run, *texts, "--out", tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_text() == out
    call("predict", run, *texts, "--out", tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == texts
    for row, answer in zip(rows, answers, strict=True):
        assert row["label"] == answer["label"]
        for name, p in answer["probabilities"].items():
            assert float(row[f"probability/{name}"]) == p


def test_what_is_refused_on_the_way_leaves_no_file(run, tmp_path, capsys):
    (tmp_path / "new.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n')
    arguments = ["predict", str(run), "--file", str(tmp_path / "new.jsonl")]
    assert main([*arguments, "--out", str(tmp_path / "out.csv")]) == 2
    assert "line 2" in capsys.readouterr().err
    assert sorted(x.name for x in tmp_path.iterdir()) == ["new.jsonl"]


def test_answers_come_as_rows_are_read(run, tmp_path, capsys):
    lines = ["the cat"] * 600 + ['{"text": 3}']
    (tmp_path / "new.txt").write_text("\n".join(lines))
    assert main(["predict", str(run), "--file", str(tmp_path / "new.txt")]) == 2
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 256 and "line 601" in said.err


def test_a_tagger_predicts_and_is_scored_on_files_of_sentences(encoder, call, tmp_path):
    sentences = "".join(f"Ann{i} B-PER\nsings O\n\n" for i in range(6))
    (tmp_path / "train.conll").write_text(sentences)
    values = {
        "task": "tagging",
        "method": "supervised",
        "data": {"corpus": str(tmp_path / "train.conll")},
        "model": {"encoder": encoder, "max_length": 24, "overlap": 4},
        "training": {"steps": 1, "precision": "float32", "device": "cpu"},
    }
    folder = tmp_path / "run"
    train(build_recipe(TaggingRecipe, values), folder=folder, quiet=True)
    (tmp_path / "new.conll").write_text("# sent_id = s7\nAnn ?\nsings ?\n\nBob O\n")
    out, _ = call("predict", folder, "--file", tmp_path / "new.conll")
    answers = [json.loads(line) for line in out.splitlines()]
    assert [(x["id"], x["tokens"]) for x in answers] == [("s7", ["Ann", "sings"]), ("1", ["Bob"])]
    assert all(len(x["tags"]) == len(x["tokens"]) for x in answers)
    (tmp_path / "new.txt").write_text("Ann sings\n\nBob\n")
    out, _ = call("predict", folder, "--file", tmp_path / "new.txt")
    assert [json.loads(line)["entities"] is not None for line in out.splitlines()] == [True] * 3
    for place in (folder, folder / "model"):
        found = json.loads(call("evaluate", place, "--data", tmp_path / "train.conll", "--json")[0])
        assert found["sentences"] == 6 and "f1" in found
    out, _ = call("evaluate", folder, "--data", tmp_path / "train.conll")
    assert "sentences" in out and "f1" in out
