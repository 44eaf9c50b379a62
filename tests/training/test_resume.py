"""A killed run, resumed, ends as the unbroken one: same weights, metrics, result, curves."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mixtext.api import train
from mixtext.models.encoder import MixableEncoder
from mixtext.recipe import dump_recipe
from mixtext.training.loop import Trainer

pytestmark = pytest.mark.slow

# Evaluations and checkpoints fall on different steps, and lines of metrics on others again.
MIXTEXT = (
    "method=mixtext",
    "mixtext.teacher=0.9",
    "mixtext.align=true",
    "mixtext.layers=[0, 7, 9, 12]",
    "views.rate=0.3",
    "views.copies=2",
    "data.pool=natural",
    "training.steps=24",
    "training.accumulate=2",
    "training.evaluate_every=4",
    "training.checkpoint_every=6",
    "training.log_every=3",
    "training.clip=0.5",
    "training.warmup=0.2",
    "training.schedule=linear",
    "training.batch=3",
)


# Dev, labelled and unlabelled rows whose states below the freeze are kept.
FROZEN = (
    *MIXTEXT,
    "model.freeze=6",
    "views.copies=0",
    "mixtext.contrast_passes=3",
    "training.score_labelled=true",
    "training.batch_unlabelled=5",
)


def without_clock(folder):
    """Metrics, result and the bytes of the exported weights of a run folder."""
    lines = [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((folder / "result.json").read_text())
    for entry in (*lines, result):
        entry.pop("clock")
    return lines, result, (folder / "model" / "model.safetensors").read_bytes()


def curves(folder):
    """TensorBoard's view of a run folder: tag → steps and values of scalars and histograms."""
    events = EventAccumulator(
        str(folder), {"scalars": 0, "histograms": 0}, purge_orphaned_data=True
    ).Reload()
    tags = events.Tags()
    seen = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags["scalars"]}
    for tag in tags["histograms"]:
        seen[tag] = [
            (e.step, (e.histogram_value.num, e.histogram_value.sum)) for e in events.Histograms(tag)
        ]
    return {tag: points for tag, points in seen.items() if not tag.startswith("speed/")}


class Job:
    """The command line's `train --resume` in a process of its own, and what its folder shows."""

    def __init__(self, recipe, run):
        self.run, self.checkpoints = run, run / "checkpoints"
        self.command = [sys.executable, "-m", "mixtext", "train", str(recipe)]
        self.command += ["--run", str(run), "--resume"]

    def kill_when(self, reached):
        """Starts the job and kills it, without a warning, as soon as `reached()`."""
        with subprocess.Popen(
            self.command, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            deadline = time.monotonic() + 120
            while not reached():
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    raise AssertionError(f"not reached: {process.communicate()}")
                time.sleep(0.001)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL

    def finish(self):
        done = subprocess.run(self.command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    def last(self):
        """Step of the checkpoint that counts, 0 without one."""
        try:
            index = json.loads((self.checkpoints / "index.json").read_text())
        except FileNotFoundError:
            return 0
        return int(index.get("last", "0").removeprefix("step-"))

    def lines(self):
        try:
            return (self.run / "metrics.jsonl").read_text().count("\n")
        except FileNotFoundError:
            return 0

    def begun(self):
        """Steps of the checkpoint folders that are there, complete or not."""
        try:
            names = os.listdir(self.checkpoints)
        except FileNotFoundError:
            return []
        return [int(name.removeprefix("step-")) for name in names if name.startswith("step-")]


@pytest.mark.parametrize("settings", [MIXTEXT, FROZEN], ids=["mixtext", "frozen"])
def test_killed_at_any_moment_and_resumed_equals_an_unbroken_run(tiny, tmp_path, settings):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(dump_recipe(tiny(*settings)))
    whole = Job(recipe, tmp_path / "whole")
    whole.finish()

    job = Job(recipe, tmp_path / "killed")
    chance = random.Random(time.time_ns())
    stages = []

    def kill(name, reached):
        job.kill_when(reached)
        stages.append((name, job.last(), job.lines(), sorted(job.begun())))

    kill("before the first checkpoint", lambda: job.lines() >= 1)
    assert job.last() == 0 and (job.checkpoints / "index.json").exists()
    kill("in the first checkpoint", lambda: job.begun())
    before, wait = job.last(), chance.uniform(0, 0.2)

    def some_time_later():
        if job.last() == before:
            return False
        time.sleep(wait)
        return True

    kill(f"{wait:.3f} s after a checkpoint", some_time_later)
    before = job.last()
    kill("in another checkpoint", lambda: any(step > before for step in job.begun()))
    best = {path.name for path in job.checkpoints.glob("best-*")}
    kill(
        "while the best weights are written",
        lambda: {path.name for path in job.checkpoints.glob("best-*")} - best or job.last() == 24,
    )
    kill("while the model is exported", lambda: (job.run / ".model.half").exists())
    assert job.last() == 24 and not (job.run / "result.json").exists()
    assert "going on from the checkpoint at step 24" in job.finish().stderr

    assert stages[0][1] == 0 and stages[-1][1] == 24
    lines, result, weights = without_clock(whole.run)
    killed_lines, killed_result, killed_weights = without_clock(job.run)
    assert killed_lines == lines, stages
    assert killed_result == result, stages
    assert killed_weights == weights, stages

    expected, seen = curves(whole.run), curves(job.run)
    for tag, points in seen.items():
        steps = [step for step, _ in points]
        assert len(steps) == len(set(steps)), (tag, steps, stages)
    assert seen == expected, stages
    assert {"loss/unlabelled", "draw/lam", "test/accuracy", "Score/test_accuracy"} <= set(seen)

    # A finished run only says what came out, and touches nothing.
    times = {path: path.stat().st_mtime_ns for path in job.run.rglob("*") if path.is_file()}
    assert train(tiny(*settings), folder=job.run, resume=True).values == {
        **killed_result,
        "clock": json.loads((job.run / "result.json").read_text())["clock"],
    }
    assert times == {path: path.stat().st_mtime_ns for path in job.run.rglob("*") if path.is_file()}


class Cut(Exception):
    """Ends a training as a kill would: nothing is caught and tidied up."""


@pytest.mark.parametrize("cut", [1, 5, 8])
@pytest.mark.parametrize(
    "method",
    [
        ("method=supervised", "training.test_at_every_tie=true"),
        ("method=tmix", "tmix.layers=[7, 9, 12]", "tmix.per_row=true", "training.patience=2"),
        ("method=mixtext", "mixtext.idle_rows=true", "model.branches=independent"),
        (
            "method=mixtext",
            "mixtext.contrast_passes=2",
            "mixtext.cluster=20",
            "mixtext.teacher=0.9",
            "mixtext.align=true",
        ),
        ("method=mixtext", "mixtext.layers=[7]", "mixtext.teacher=0.9", *FROZEN[len(MIXTEXT) :]),
        ("method=mean_teacher", "views.copies=2", "mean_teacher.ramp=0.5"),
        ("method=softmatch", "views.copies=0", "training.accumulate=2"),
    ],
    ids=["supervised", "tmix", "mixtext", "contrast", "frozen", "teacher", "averages"],
)
def test_any_method_goes_on_from_any_step(tiny, tmp_path, monkeypatch, method, cut):
    recipe = tiny(*method, "training.steps=11", "training.checkpoint_every=4")
    train(recipe, folder=tmp_path / "whole", quiet=True)

    real, folder = Trainer.step, tmp_path / "cut"

    def cut_step(trainer, number, collect):
        if number == cut:
            raise Cut
        return real(trainer, number, collect)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", cut_step)
        with pytest.raises(Cut):
            train(recipe, folder=folder, quiet=True)
    assert not (folder / "result.json").exists()
    train(recipe, folder=folder, resume=True, quiet=True)
    whole, resumed = without_clock(tmp_path / "whole"), without_clock(folder)
    assert resumed == whole
    assert curves(folder) == curves(tmp_path / "whole")


@pytest.mark.parametrize("cut", [3, 7])
def test_kept_states_are_those_of_the_unbroken_run(tiny, tmp_path, monkeypatch, cut):
    """Even where much of them depends on which rows are computed together."""
    real_begin, real_step = MixableEncoder.begin, Trainer.step
    lengths = {"whole": [], "cut": [], "resumed": []}  # of the file, before each step

    def begin(encoder, ids, mask, types):
        return real_begin(encoder, ids, mask, types) + 0.01 * (ids.sum() % 13)

    def go(name, folder):
        def step(trainer, number, collect):
            lengths[name].append(trainer.model.kept.length)
            if number == cut and name == "cut":
                raise Cut
            return real_step(trainer, number, collect)

        monkeypatch.setattr(Trainer, "step", step)
        recipe = tiny(*FROZEN, "training.steps=11", "training.checkpoint_every=4")
        train(recipe, folder=tmp_path / folder, resume=name == "resumed", quiet=True)

    monkeypatch.setattr(MixableEncoder, "begin", begin)
    go("whole", "whole")
    with pytest.raises(Cut):
        go("cut", "cut")
    assert lengths["cut"][-1] == (tmp_path / "cut" / "states").stat().st_size
    go("resumed", "cut")
    first = cut // 4 * 4  # the last checkpoint's
    assert lengths["resumed"] == lengths["whole"][first:]
    assert lengths["whole"][first] < lengths["cut"][-1] == lengths["whole"][cut]
    assert without_clock(tmp_path / "cut") == without_clock(tmp_path / "whole")
    assert not (tmp_path / "cut" / "states").exists()


def test_resuming_needs_no_luck_with_the_generators(tiny, tmp_path):
    """Other draws before the run, as a notebook makes them, change nothing."""
    recipe = tiny("method=mixtext", "mixtext.align=true")
    train(recipe, folder=tmp_path / "a", quiet=True)
    np.random.seed(5)
    random.seed(5)
    torch.rand(17)
    train(recipe, folder=tmp_path / "b", quiet=True)
    assert without_clock(tmp_path / "a") == without_clock(tmp_path / "b")


def test_another_seed_is_another_run(tiny, tmp_path):
    """Else the tests above would prove nothing."""
    for seed in (0, 1):
        train(tiny(f"training.seed={seed}"), folder=tmp_path / str(seed), quiet=True)
    assert without_clock(tmp_path / "0")[2] != without_clock(tmp_path / "1")[2]


def test_a_run_killed_as_it_began_can_be_resumed(tiny, tmp_path):
    (tmp_path / "recipe.toml.tmp").write_text("name = ")
    result = train(tiny(), folder=tmp_path, resume=True, quiet=True)
    assert result["steps"] == 6
