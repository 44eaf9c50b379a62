"""The benchmarks run, say what they cannot run, and compute their ratios right."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backtranslate.backends import load
from backtranslate.translator import BacktranslateError
from mixtext.environment import made_by
from tests.conftest import script

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks" / "backtranslation.py"
has_fairseq = importlib.util.find_spec("fairseq") is not None


benchmark = script("benchmarks/backtranslation.py")


@pytest.fixture
def news(tmp_path):
    """A folder laid out as BBC News, one byte of it not UTF-8."""
    folder = tmp_path / "news"
    for number in range(3):
        path = folder / ("tech", "sports")[number % 2] / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            b"The headline\n\nIt cost \xa3%d. The bank raised its rates.\nEnd " % number
            + b"x" * 500
        )
    return folder


def call(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_sentences_are_different_whole_and_in_a_fixed_order(news):
    found = benchmark.read_sentences(news)
    assert sorted(found) == [
        "It cost \ufffd0.",
        "It cost \ufffd1.",
        "It cost \ufffd2.",
        "The bank raised its rates.",
        "The headline",
    ]
    assert benchmark.read_sentences(news) == found


def test_ratios_are_to_one_string_at_a_time_with_the_same_direction_and_preset():
    def row(name, preset, count, wall, cpu, slow=False, direction="en-de", answers=()):
        texts = ["x"] * count
        return benchmark.Row(name, direction, preset, texts, list, slow, wall, cpu, answers)

    rows = [
        row("apertium", "", 100, 1.0, 2.0, direction="eng-spa"),
        row("alone", "beam", 2, 1.0, 1.0, slow=True, answers=("a", "b")),
        row("batched", "beam", 100, 5.0, 10.0, answers=("a", "c", *"x" * 98)),
        row("alone", "paper", 2, 0.5, 0.5, slow=True),
        row("batched", "paper", 100, 5.0, 10.0),
    ]
    told = benchmark.table(benchmark.results(rows), {"marian": "no\nhub | none"})
    lines = told.splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert len({len(row) for row in cells}) == 1
    assert [row[3:] for row in cells[2:]] == [
        ["100", "100.0", "–", "50.0", "–", "–"],
        ["2", "2.0", "1.0", "2.0", "1.0", "100.0 %"],
        ["100", "20.0", "10.0", "10.0", "5.0", "50.0 %"],
        ["2", "4.0", "1.0", "4.0", "1.0", "–"],
        ["100", "20.0", "5.0", "10.0", "2.5", "–"],
        [""] * 6,
    ]
    assert cells[-1][:2] == ["marian", "not run: no hub / none"]


def test_a_row_measures_every_sentence_and_keeps_the_fastest():
    translator = load("identity", "en", "de")
    sentences = [f"Sentence {number}." for number in range(20)]
    row = benchmark.Row("identity", "en-de", "", sentences, benchmark.batched(translator, "beam"))
    row.measure()
    assert row.answers == tuple(sentences)
    first = row.wall
    row.measure()
    assert 0 < row.wall <= first


def test_the_other_language_of_the_tiny_models_is_as_long():
    vowels = script("benchmarks/tiny_fairseq.py").OTHER_VOWELS
    assert "Our bank raised it.".translate(vowels) == "Uar benk reosid ot."
    assert len(set(vowels.values())) == len(vowels), "no way back"


@pytest.mark.skipif(has_fairseq, reason="fairseq is installed, and would train for minutes")
def test_a_backend_that_is_missing_gets_a_row_with_the_reason(news, tmp_path):
    done = call("--corpus", news, "--cache", tmp_path, "--backends", "fairseq", "ctranslate2")
    assert done.returncode == 0, done.stderr
    for name in ("fairseq", "ctranslate2"):
        assert f"| {name} | not run: fairseq" in done.stdout
    assert "./run.sh fairseq" in done.stdout


@pytest.mark.skipif(shutil.which("apertium") is None, reason="apertium is not installed")
def test_apertium_is_measured_in_each_direction(news, tmp_path):
    try:
        load("apertium", "en", "spa"), load("apertium", "en", "epo")
    except BacktranslateError as error:
        pytest.skip(str(error))
    few = ("--sentences", 3, "--repeats", 1, "--out", tmp_path / "out.jsonl")
    done = call("--corpus", news, "--backends", "apertium", *few)
    assert done.returncode == 0, done.stderr
    for direction in ("eng-spa", "spa-eng", "en-eo", "eo-en"):
        assert f"| apertium | {direction} | – | 3 |" in done.stdout
    kept = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert benchmark.table(kept, {}) in done.stdout
    assert all(line["mixtext"] == made_by() for line in kept)


def test_bad_input_is_one_sentence(tmp_path):
    done = call("--corpus", tmp_path, "--cache", tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("holds no files CLASS/*.txt with sentences.\n")
    assert "Traceback" not in done.stderr
    assert "at least 1" in call("--corpus", tmp_path, "--repeats", 0).stderr


def test_methods_on_labelled_texts_are_timed():
    timed = script("benchmarks/methods.py").timed_methods(6)
    assert {"supervised", "tmix", "ssmix", "ssmix without saliency"} <= set(timed)
    assert not {"mixtext", "fixmatch", "mixup"} & set(timed) and timed["tmix"].layers == (3, 4, 5)


def test_a_ratio_is_the_median_over_the_turns_and_the_first_does_not_count():
    speed = script("benchmarks/speed.py")
    assert speed.ratio([4.0, 9.0, 8.0], [2.0, 3.0, 1.0]) == 3.0
    calls = []
    seconds = speed.in_turn(2, a=lambda: calls.append("a"), b=lambda: calls.append("b"))
    assert calls == ["a", "b"] * 3
    assert {name: len(x) for name, x in seconds.items()} == {"a": 2, "b": 2}


@pytest.mark.parametrize("corpus", ["ag", "imdb"])
def test_rows_are_as_long_as_those_of_the_corpus(corpus):
    speed = script("benchmarks/speed.py")
    lengths = speed.lengths_like(corpus, 4000, 10_000)
    told = speed.LENGTHS[corpus]
    for share in (0.25, 0.5, 0.75):
        wanted = told[round(share * (len(told) - 1))]
        assert abs((lengths <= wanted).mean() - share) < 0.03
    assert speed.lengths_like(corpus, 4000, 40).max() == 40


@pytest.mark.slow
def test_the_official_and_our_step_are_timed_on_as_many_texts():
    speed = script("benchmarks/speed.py")
    official = speed.on_rows_of("ag", "tiny", None, views=2)
    ours, viewed = (speed.on_rows_of("ag", "tiny", "float32", views) for views in (0, 2))
    trainers = (official, viewed, ours)
    batches = [x.feed.batch(0, x.generator) for x in trainers]
    assert [(len(x.labels), x.unlabelled) for x in batches] == [(4, 8)] * 3
    assert [len(x.rows) for x in batches] == [4 + 8 * 3, 4 + 8 * 3, 4 + 8]
    assert [x.rows.ids.shape[1] <= 64 for x in batches] == [False, True, True]
    for trainer in trainers:
        before = trainer.model.head[0].weight.clone()
        speed.stepper(trainer)()
        assert not before.equal(trainer.model.head[0].weight)


def test_the_page_on_speed_is_made_of_its_results():
    speed = script("benchmarks/speed.py")
    results = ROOT / "experiments" / "results" / "speed.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    page = (ROOT / "docs" / "speed.md").read_text()
    for table in speed.tables(lines).split("\n\n`"):
        assert table.strip("`\n") in page
