"""Plots: every number of metrics.jsonl stands at its step, in a panel of its own kind."""

import json
from pathlib import Path

import pytest

from mixtext.errors import InputError
from mixtext.report.plots import draw, names_of, plot_runs, read_metrics, with_labels


def line(step, kind, **values):
    return {"step": step, "kind": kind, **values, "clock": {"seconds": 1.5}}


MIXING = [
    line(10, "train", epoch=1.0, **{"loss/total": 0.9, "guess/accuracy": 0.5}, draws={}),
    line(10, "labelled", accuracy=0.7, macro_f1=0.6, loss=0.8),
    line(10, "dev", accuracy=0.5, macro_f1=0.4, loss=0.7),
    line(20, "train", epoch=2.0, **{"loss/total": 0.8, "guess/confidence": 0.9}, draws={}),
    line(20, "labelled", accuracy=0.8, macro_f1=0.7, loss=0.6),
    line(20, "dev", accuracy=0.75, macro_f1=0.7, loss=0.5),
    line(20, "test", accuracy=0.1, macro_f1=0.1, loss=9.0),
]
PLAIN = [
    line(5, "train", epoch=1.0, **{"loss/total": 0.3}, draws={}),
    line(5, "dev", spearman=-0.2, pearson=0.4, loss=0.7),
]


def drawn(runs):
    """Title of each panel → legend entry → points."""
    return {
        axis.get_title(): {
            name.get_text(): list(zip(*curve.get_data(), strict=True))
            for name, curve in zip(axis.get_legend().get_texts(), axis.lines, strict=True)
        }
        for axis in draw(runs).axes
    }


def test_numbers_stand_at_their_steps():
    assert drawn({"mixing": MIXING}) == {
        "training loss": {"mixing": [(10, 0.9), (20, 0.8)]},
        "training loss, unmixed": {"mixing": [(10, 0.8), (20, 0.6)]},
        "dev accuracy": {"mixing": [(10, 0.5), (20, 0.75)]},
        "pseudo-labels": {"mixing accuracy": [(10, 0.5)], "mixing confidence": [(20, 0.9)]},
    }


def test_runs_are_called_by_any_name():
    assert {*drawn({"_a": PLAIN, "b$": PLAIN})["training loss"]} == {"_a", r"b\$"}


def test_panels_without_numbers_are_left_out():
    assert drawn({"plain": PLAIN}) == {
        "training loss": {"plain": [(5, 0.3)]},
        "dev spearman": {"plain": [(5, -0.2)]},
    }
    assert list(drawn({"begun": PLAIN[:1]})) == ["training loss"]


def test_runs_of_two_tasks_share_the_panel_of_dev():
    panels = drawn({"mixing": MIXING, "plain": PLAIN})
    assert panels["dev accuracy / spearman"] == {
        "mixing": [(10, 0.5), (20, 0.75)],
        "plain": [(5, -0.2)],
    }
    assert list(panels["training loss, unmixed"]) == ["mixing"]


def test_a_finished_run_counts_its_labels(tmp_path):
    assert with_labels("a", tmp_path) == "a"
    result = {"corpus": "c", "method": "tmix", "encoder": "e", "labelled": 1200, "dev_rows": 40}
    result |= {"best_step": 5, "dev": {"accuracy": 0.5}, "test": {}}
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert with_labels("a", tmp_path) == "a, 1,200 + 40 dev labels"


def test_runs_of_one_name_are_called_by_their_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [Path("a/tmix"), Path("b/tmix"), Path("b/plain"), Path("b/tmix")]
    assert names_of(folders) == dict(zip(folders, ["a/tmix", "b/tmix", "plain"], strict=False))
    assert names_of([Path()]) == {Path(): tmp_path.name}
    for folder in folders[:3]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.jsonl").write_text(json.dumps(PLAIN[0]) + "\n")
    plot_runs(folders, tmp_path / "runs.svg")
    picture = (tmp_path / "runs.svg").read_text()
    assert all(f"<!-- {name} -->" in picture for name in ("a/tmix", "b/tmix", "plain"))


@pytest.mark.parametrize("ending, begins", [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_picture_is_written(ending, begins, tmp_path):
    (tmp_path / "run").mkdir()
    lines = "".join(json.dumps(x) + "\n" for x in MIXING)
    (tmp_path / "run" / "metrics.jsonl").write_text(lines)
    assert read_metrics(tmp_path / "run") == MIXING
    out = tmp_path / f"runs.{ending}"
    plot_runs([tmp_path / "run"], out)
    assert out.read_bytes().startswith(begins)
    with pytest.raises(InputError, match="no picture format"):
        plot_runs([tmp_path / "run"], tmp_path / "runs.nothing")


def test_a_last_line_that_a_kill_has_torn_is_left_out(tmp_path):
    raw = "".join(json.dumps(x) + "\n" for x in MIXING).encode()
    path = tmp_path / "metrics.jsonl"
    last = len(json.dumps(MIXING[-1]))
    for cut in range(1, last):
        path.write_bytes(raw[: -1 - cut])
        assert read_metrics(tmp_path) == MIXING[:-1]
    path.write_bytes(raw + b"\0" * 50)  # as a power cut can leave it
    assert read_metrics(tmp_path) == MIXING


@pytest.mark.parametrize(
    "line", ["", "{", "\0\0", "[]", "1", "{}", '{"step": 1}', '{"step": "a", "kind": "dev"}',
             '{"step": 1, "kind": []}', '{"step": 1, "kind": "dev", "loss": "x"}', "[" * 9999]
)  # fmt: skip
def test_other_lines_that_are_none_are_damage(line, tmp_path):
    (tmp_path / "metrics.jsonl").write_text(f"{line}\n{json.dumps(MIXING[0])}\n")
    with pytest.raises(InputError, match="is damaged"):
        plot_runs([tmp_path], tmp_path / "runs.png")


def test_folders_without_numbers(tmp_path):
    with pytest.raises(InputError, match="is not a run folder"):
        plot_runs([tmp_path], tmp_path / "runs.png")
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(InputError, match="no numbers yet"):
        plot_runs([tmp_path], tmp_path / "runs.png")
