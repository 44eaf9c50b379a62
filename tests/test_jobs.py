"""Runs side by side: refused and failing ones, processes that die, a parent that is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mixtext import __version__
from mixtext.api import load_recipe
from mixtext.cli import main
from mixtext.environment import made_by
from mixtext.errors import InputError
from mixtext.jobs import run_here
from mixtext.recipe import dump_recipe, fields_of
from mixtext.sweep import executor, sweep

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def small(tiny, tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(dump_recipe(tiny("training.steps=2", "training.evaluate_every=1")))
    return str(path)


def lines(folder):
    return [json.loads(x) for x in (folder / "results.jsonl").read_text("utf-8").splitlines()]


# ---- refused and failing combinations


@pytest.mark.slow
def test_refused_combinations_are_named_first_and_the_others_run(small, tmp_path, capsys):
    # 30 rows a class; 5 for dev, 5 for test: 40 labels are refused as the run is prepared, -1 as
    # the recipe is read.
    folder = tmp_path / "out"
    command = ["sweep", small, "--vary", "data.labels_per_class=2,40,-1,3", "--run", str(folder)]
    for _ in range(2):  # the second time nothing is left to train
        assert main(command) == 1
        said = capsys.readouterr()
        told = said.err.splitlines()
        refused = [number for number, line in enumerate(told) if line.startswith("refused ")]
        assert [told[n].split()[1] for n in refused] == ["40:", "1:"]
        assert "labelled rows" in told[refused[0]] and "labels_per_class" in told[refused[1]]
        ran = [n for n, line in enumerate(told) if "accuracy" in line and "finished" not in line]
        assert all(n > max(refused) for n in ran)
        assert told[-2].startswith("mixtext: 40 has no result: ")
        assert [x["labels_per_class"] for x in lines(folder)] == [2, 3]
        assert len(said.out.splitlines()) == 4
    assert not (folder / "40").exists()


@pytest.mark.slow
def test_a_run_that_fails_does_not_stop_the_others(small, tmp_path):
    # A rate of 1e30 loses the training at its second step.
    axes = ["training.lr_head=0.01,1e30,0.02"]
    swept = sweep(small, ["training.lr_encoder=1e-3", "training.clip=0"], axes, tmp_path / "out")
    assert [x["settings"]["training.lr_head"] for x in swept.results] == [0.01, 0.02]
    assert [*swept.failed] == ["1e30"] and "is nan" in swept.failed["1e30"]
    assert lines(tmp_path / "out") == swept.results
    assert [x["mixtext"] for x in swept.results] == 2 * [made_by()]
    # Every setting is told, those left as they are by default too: a default may change.
    told = json.loads(json.dumps(fields_of(load_recipe(tmp_path / "out" / "0.01" / "recipe.toml"))))
    assert swept.results[0]["settings"] == told and told["training.batch"] == 4


def test_a_full_disk_is_told_as_by_every_command(small, tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mixtext.jobs.train", full)
    command = ["sweep", small, "--vary", "training.seed=0,1", "--run", str(tmp_path / "out")]
    assert main(command) == 1  # as where any run fails
    told = capsys.readouterr().err.splitlines()
    assert "the disk cannot be used: No space left on device." in told[-1]
    assert not any("Error" in line for line in told)


@pytest.mark.slow
def test_results_name_version_and_commit(tmp_path):
    assert made_by()["version"] == __version__
    head = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    full = subprocess.run(head, capture_output=True, text=True).stdout.strip()
    if full:
        assert full.startswith(made_by()["commit"].rstrip("+"))
    # Elsewhere, inside another checkout too, there is a version alone.
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for package in ("mixtext", "backtranslate"):
        shutil.copytree(ROOT / package, tmp_path / "lib" / package)
    command = [sys.executable, "-c", "from mixtext.environment import made_by; print(made_by())"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "lib")}
    said = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == str({"version": __version__})


def test_a_sweep_of_refused_combinations_alone_is_refused(small, tmp_path, capsys):
    command = [
        "sweep",
        small,
        "--vary",
        "data.labels_per_class=40,50",
        "--run",
        str(tmp_path / "o"),
    ]
    assert main(command) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("mixtext: class ")


@pytest.mark.parametrize("jobs, ray, words", [(0, False, "--jobs is 0"), (2, True, "--ray")])
def test_who_cannot_do_the_runs(jobs, ray, words):
    with pytest.raises(InputError, match=words), executor(jobs, ray):
        pass


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="pip install ray"), executor(ray=True):
        pass


def test_alone_it_is_this_process():
    with executor() as execute:
        assert execute is run_here


# ---- processes


@pytest.mark.slow
def test_processes_give_what_one_process_gives(small, tmp_path):
    axes = ["method=supervised,tmix", "data.split_seed+training.seed=0,1"]
    here = sweep(small, [], axes, tmp_path / "here")
    fixed = ["data.labels_per_class=4"]
    with executor(jobs=2) as execute:
        there = sweep(small, fixed, axes, tmp_path / "there", execute=execute)
        refused = sweep(
            small, fixed, ["data.labels_per_class=40,4"], tmp_path / "2", execute=execute
        )
        translated = sweep(
            small,
            ["method=mixtext", "views.backend=identity", 'views.pivots=["de"]',
             f"views.cache={tmp_path / 'views'}"],
            ["training.seed=0,1"],
            tmp_path / "3",
            execute=execute,
        )  # fmt: skip
    assert [*refused.failed] == ["40"] and len(refused.results) == 1
    assert not translated.failed and len([*(tmp_path / "views").iterdir()]) == 1

    def without_clock(swept):
        return [{k: v for k, v in x.items() if k != "clock"} for x in swept.results]

    assert without_clock(there) == without_clock(here) and not there.failed
    for path in (tmp_path / "there").rglob("environment.json"):
        assert json.loads(path.read_text())["threads"] == 1


def children(pid):
    """Processes that a process has started, and that are not dead."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if int(parent) == pid and state != "Z":
            found[int(stat.parent.name)] = (stat.parent / "cmdline").read_bytes()
    return [one for one, command in found.items() if b"spawn_main" in command]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true, seconds=300):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def long_sweep(tiny, tmp_path):
    """A sweep of three runs over two processes, seconds each; → its process and its folder."""
    path, folder = tmp_path / "long.toml", tmp_path / "out"
    steps = ("training.steps=60", "training.evaluate_every=60", "training.checkpoint_every=10")
    path.write_text(dump_recipe(tiny("method=mixtext", *steps)), encoding="utf-8")
    command = [sys.executable, "-m", "mixtext", "sweep", str(path), "--jobs", "2"]
    command += ["--vary", "training.seed=0,1,2", "--run", str(folder)]

    def start():
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)

    return start, folder


def both_train(folder):
    return all((folder / name / "metrics.jsonl").is_file() for name in "01")


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_parent_leaves_no_orphans_and_a_folder_to_go_on_with(by, long_sweep):
    start, folder = long_sweep
    with start() as process:
        until(lambda: both_train(folder))
        workers = children(process.pid)
        assert len(workers) == 2
        process.send_signal(by)
        process.wait(60)
    until(lambda: not any(map(alive, workers)), seconds=30)
    assert not [*folder.rglob("*.json.tmp")]
    if (folder / "results.jsonl").exists():
        lines(folder)
    if by == signal.SIGKILL:
        with start() as process:
            assert process.wait(600) == 0
        assert [x["seed"] for x in lines(folder)] == [0, 1, 2]


@pytest.mark.slow
def test_a_killed_process_fails_its_run_alone(long_sweep):
    start, folder = long_sweep
    with start() as process:
        until(lambda: both_train(folder))
        os.kill(children(process.pid)[0], signal.SIGKILL)
        said = process.communicate(timeout=600)[1]
        assert process.returncode == 1
    assert said.splitlines()[-1].endswith("use fewer --jobs.")
    assert len(lines(folder)) == 2
    with start() as process:
        assert process.wait(600) == 0
    assert [x["seed"] for x in lines(folder)] == [0, 1, 2]
