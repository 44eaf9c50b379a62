"""The loop: what it refuses, selects, counts and saves."""

import json
import math
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file
from tensorboard.compat.tensorflow_stub.io.gfile import LocalFileSystem
from torch.testing import assert_close

from mixtext.api import train
from mixtext.cli import main
from mixtext.data.corpus import Corpus
from mixtext.errors import InputError
from mixtext.evaluation import evaluate
from mixtext.inference import load
from mixtext.methods.supervised import Supervised
from mixtext.metrics import classification_metrics
from mixtext.recipe import dump_recipe
from mixtext.run import Run
from mixtext.training.checkpoints import Checkpoints
from mixtext.training.loop import Diverged
from mixtext.training.settings import TrainingSettings, plan_steps, rate

pytestmark = pytest.mark.slow


def metrics(folder, kind=None):
    lines = [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]
    return [x for x in lines if kind in (None, x["kind"])]


def weights(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def spoil_from(monkeypatch, step, spoil):
    """Changes the loss of every step from number `step` (from 1) on."""
    loss = Supervised.loss

    def spoiled(self, model, batch, progress, generator):
        outcome = loss(self, model, batch, progress, generator)
        return spoil(outcome, batch) if progress.step + 1 >= step else outcome

    monkeypatch.setattr(Supervised, "loss", spoiled)


def times(factor):
    return lambda outcome, batch: replace(outcome, loss=outcome.loss * factor)


def without_a_gradient(outcome, batch):
    """A finite loss whose gradient is not: √0 has an infinite slope."""
    zero = (outcome.loss - outcome.loss).clamp(min=0)
    return replace(outcome, loss=outcome.loss + torch.sqrt(zero))


@pytest.mark.parametrize(
    "spoil, what",
    [
        (times(float("nan")), "loss is nan"),
        (times(float("inf")), "loss is inf"),
        (without_a_gradient, "gradient's norm is"),
    ],
    ids=["nan", "inf", "gradient"],
)
def test_a_lost_loss_stops_with_step_and_rows_and_keeps_the_last_checkpoint(
    tiny, tmp_path, monkeypatch, capsys, spoil, what
):
    # The loss is lost in the very step whose weights would be saved next.
    recipe = tiny("training.steps=9", "training.evaluate_every=3", "training.clip=0")
    (tmp_path / "recipe.toml").write_text(dump_recipe(recipe))
    command = ["train", str(tmp_path / "recipe.toml"), "--run", str(tmp_path / "run")]
    rows = Run.prepare(recipe).trainer.feed.batch(5, np.random.default_rng()).row_ids
    with monkeypatch.context() as patch:
        spoil_from(patch, 6, spoil)
        assert main(command) == 3
        *_, message = capsys.readouterr().err.splitlines()
        assert message.startswith("mixtext: ")
        assert what in message and "at step 6," in message
        assert f"on the rows {', '.join(rows)}:" in message
        checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
        assert checkpoints.index["last"] == "step-000003"
        assert all(torch.isfinite(x).all() for x in checkpoints.best_weights().values())
        # Nothing is healed by trying again, and nothing is lost by it.
        assert main([*command, "--resume"]) == 3
        assert checkpoints.index["last"] == "step-000003"
    capsys.readouterr()
    # Without the cause the run goes on, and ends as if nothing had been.
    assert main([*command, "--resume"]) == 0
    train(recipe, folder=tmp_path / "whole", quiet=True)
    assert load_file(tmp_path / "run/model/model.safetensors")[
        "encoder.embeddings.LayerNorm.weight"
    ].equal(
        load_file(tmp_path / "whole/model/model.safetensors")["encoder.embeddings.LayerNorm.weight"]
    )


def test_weights_and_gradients_are_as_before_a_lost_step(tiny, monkeypatch):
    run = Run.prepare(tiny("training.accumulate=2", "training.batch=2"))
    calls = []

    def second_part(outcome, batch):
        calls.append(1)
        return times(float("nan"))(outcome, batch) if len(calls) == 2 else outcome

    before = weights(run.trainer.model)
    spoil_from(monkeypatch, 1, second_part)
    with pytest.raises(Diverged):
        run.trainer.step(0, lambda outcome, batch: None)
    assert_close(weights(run.trainer.model), before, rtol=0, atol=0)
    assert all(p.grad is None or not p.grad.any() for p in run.trainer.model.parameters())


def test_weights_that_ruin_dev_are_not_saved(tiny, tmp_path):
    """Rates so large that the forward pass overflows before any training loss shows it."""
    recipe = tiny(
        "training.lr_head=1e37",
        "training.lr_encoder=1e37",
        "training.evaluate_every=1",
        "training.clip=0",
    )
    with pytest.raises(Diverged, match="dev is nan after step 1"):
        train(recipe, folder=tmp_path, quiet=True)
    assert Checkpoints(tmp_path / "checkpoints").index == {}
    assert metrics(tmp_path, "dev") == []


def test_patience_stops_after_so_many_evaluations_without_a_better_one(tiny, tmp_path):
    ties = 0
    for seed in (1, 2, 3):
        recipe = tiny(
            *("training.steps=60", "training.evaluate_every=2", "training.patience=3"),
            f"training.seed={seed}",
        )
        result = train(recipe, folder=tmp_path / str(seed), quiet=True)
        dev = [(x["accuracy"], -x["loss"]) for x in metrics(tmp_path / str(seed), "dev")]
        best = max(range(len(dev)), key=lambda i: dev[i])
        assert result["steps"] < result["planned_steps"] == 60  # else this test proves nothing
        assert result["best_step"] == 2 * (best + 1)
        assert result["steps"] == result["best_step"] + 2 * 3
        for stop in range(len(dev) - 1):  # nor could it have stopped before
            assert stop - max(range(stop + 1), key=lambda i: dev[i]) < 3
        ties += sum(accuracy == dev[best][0] for accuracy, _ in dev[best + 1 :])
    assert ties  # an equal accuracy with a larger loss is not better


@pytest.mark.parametrize("select, teacher", [("accuracy", 0.8), ("macro_f1", 0.0)])
def test_the_exported_model_is_the_one_that_dev_chose(tiny, tmp_path, select, teacher):
    earlier = 0
    for seed in (1, 2, 3):
        folder = tmp_path / str(seed)
        recipe = tiny(
            *("method=mixtext", "training.steps=16", "training.evaluate_every=2"),
            *(f"training.select={select}", f"mixtext.teacher={teacher}", f"training.seed={seed}"),
        )
        result = train(recipe, folder=folder, quiet=True)
        chosen = max(metrics(folder, "dev"), key=lambda x: (x[select], -x["loss"]))
        assert result["best_step"] == chosen["step"]
        earlier += chosen["step"] < 16

        data = Run.prepare(recipe).data
        predictor = load(folder)
        on_dev = evaluate(predictor, data.train.select(data.split.dev))
        on_test = evaluate(predictor, data.test)
        for part, again in (("dev", on_dev), ("test", on_test)):
            for name, value in again.items():
                assert math.isclose(result[part][name], value, rel_tol=1e-5), (part, name)
    assert earlier  # the weights chosen were not always the last


def test_test_is_scored_once_at_the_end_or_at_every_tie(tiny, tmp_path):
    changes = ("training.steps=12", "training.evaluate_every=2")
    train(tiny(*changes), folder=tmp_path / "once", quiet=True)
    lines = metrics(tmp_path / "once")
    assert [x["kind"] for x in lines].count("test") == 1 and lines[-1]["kind"] == "test"
    assert lines[-1]["step"] == 12

    recipe = tiny(*changes, "training.test_at_every_tie=true")
    result = train(recipe, folder=tmp_path / "ties", quiet=True)
    tied, best = [], -1.0
    for line in metrics(tmp_path / "ties", "dev"):
        if line["accuracy"] >= best:
            tied.append(line["step"])
        best = max(best, line["accuracy"])
    tests = metrics(tmp_path / "ties", "test")
    assert [x["step"] for x in tests] == tied
    assert 1 < len(tied) < 6  # some evaluations tie and some do not
    assert result["test"]["loss"] == tests[-1]["loss"]
    # Looking at test changes nothing of the training.
    for kind in ("dev", "train"):
        once, ties = (metrics(tmp_path / name, kind) for name in ("once", "ties"))
        assert [x.pop("clock") and x for x in once] == [x.pop("clock") and x for x in ties]


def test_dev_equal_to_the_best_is_a_tie(tiny, tmp_path):
    run = Run.prepare(
        tiny("training.steps=6", "training.evaluate_every=1", "training.test_at_every_tie=true")
    )
    dev = iter([(0.5, 1.0), (0.4, 1.0), (0.5, 2.0), (0.6, 1.0), (0.6, 0.5), (0.5, 0.1)])
    tests = []

    def measure(model, part):
        if part == "dev":
            return dict(zip(("accuracy", "loss"), next(dev), strict=True))
        tests.append(len(tests))
        return {"accuracy": tests[-1] / 10, "loss": 1.0}

    run.trainer.measure = measure
    result = run.trainer.fit(tmp_path, run.data.train.label_names, {}, quiet=True)
    # Worse, with a larger loss beside an equal accuracy, is a tie all the same; the last counts.
    assert [x["step"] for x in metrics(tmp_path, "test")] == [1, 3, 4, 5]
    assert result["test"]["accuracy"] == 0.3 and result["best_step"] == 5


def test_without_dev_the_last_weights_count(tiny, tmp_path):
    result = train(tiny("data.dev_per_class=0"), folder=tmp_path, quiet=True)
    assert result["dev"] == {} and result["best_step"] == -1 and result["test"]["accuracy"] >= 0
    last = load_file(tmp_path / "checkpoints" / "step-000006" / "weights.safetensors")
    exported = load_file(tmp_path / "model" / "model.safetensors")
    for name, value in exported.items():
        assert value.equal(last[name.replace("encoder.", "encoder.model.", 1)]), name


@pytest.mark.parametrize(
    "changes, rows, total, epoch, evaluate, checkpoint",
    [
        ({"steps": 50}, 12, 50, 3, 20, 20),
        ({"steps": 7}, 12, 7, 3, 7, 7),
        ({"steps": 0, "epochs": 4, "evaluate_every": 0}, 12, 12, 3, 3, 3),
        ({"steps": 0, "epochs": 4, "evaluate_every": 0}, 13, 16, 4, 4, 4),
        ({"steps": 0, "epochs": 2, "steps_per_epoch": 10}, 12, 20, 10, 20, 20),
        ({"steps": 0, "epochs": 5, "accumulate": 3}, 24, 10, 2, 10, 10),
        ({"steps": 50, "checkpoint_every": 4}, 12, 50, 3, 20, 4),
    ],
)
def test_the_plan_counts_steps_and_epochs(changes, rows, total, epoch, evaluate, checkpoint):
    plan = plan_steps(TrainingSettings(**{"batch": 4, **changes}), rows)
    assert (plan.total, plan.epoch, plan.evaluate, plan.checkpoint) == (
        total,
        epoch,
        evaluate,
        checkpoint,
    )


def test_an_epoch_sees_every_labelled_row_once(tiny, tmp_path):
    recipe = tiny("training.steps=0", "training.epochs=2", "training.evaluate_every=0")
    run = Run.prepare(recipe)
    assert run.trainer.plan.total == 6 and run.trainer.plan.evaluate == 3
    drawn = [run.trainer.feed.batch(k, np.random.default_rng()).row_ids for k in range(6)]
    ids = sorted(run.data.train.ids[i] for i in run.data.split.labelled)
    for epoch in (drawn[:3], drawn[3:]):
        assert sorted(row for batch in epoch for row in batch) == ids
    assert drawn[:3] != drawn[3:]
    result = train(recipe, folder=tmp_path, quiet=True)
    assert result["steps"] == 6
    assert [x["step"] for x in metrics(tmp_path, "dev")] == [3, 6]
    assert [x["epoch"] for x in metrics(tmp_path, "train")] == [n / 3 for n in range(1, 7)]


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_rates_rise_and_then_follow_the_schedule(schedule):
    settings = TrainingSettings(warmup=0.2, schedule=schedule)
    rates = [rate(settings, step, 50) for step in range(50)]
    rising = rates[:11]
    assert np.allclose(np.diff(rising), 1 / 11) and rates[10] == 1
    assert all(0 < x <= 1 for x in rates)
    if schedule == "constant":
        assert set(rates[10:]) == {1.0}
    else:
        assert np.all(np.diff(rates[10:]) < 0) and rates[-1] < 0.05
        assert math.isclose(rate(settings, 30, 50), 0.5, abs_tol=1e-9)  # half-way down
    assert rate(TrainingSettings(warmup=0.0), 0, 50) == 1


def gradients(run):
    """Gradients of the first step, as the optimiser would get them."""
    seen = {}
    optimiser, model = run.trainer.optimiser, run.trainer.model

    def keep():
        seen.update({k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None})

    optimiser.step = keep
    run.trainer.step(0, lambda outcome, batch: None)
    return seen


@pytest.fixture
def sober(encoder, tmp_path):
    """The tiny encoder without dropout."""
    folder = tmp_path / "sober"
    shutil.copytree(encoder, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_small_batches_accumulate_to_a_large_one(tiny, sober):
    options = (f"model.encoder={sober}", "training.clip=0")
    large = gradients(Run.prepare(tiny(*options, "training.batch=12")))
    small = gradients(Run.prepare(tiny(*options, "training.batch=3", "training.accumulate=4")))
    other = gradients(Run.prepare(tiny(*options, "training.batch=3")))
    assert large.keys() == small.keys() and len(large) > 100
    assert_close(small, large, rtol=1e-3, atol=1e-5)
    with pytest.raises(AssertionError):
        assert_close(other, large, rtol=1e-3, atol=1e-5)


def test_the_gradient_is_clipped_to_its_norm(tiny):
    free = gradients(Run.prepare(tiny("training.clip=0")))
    norm = torch.cat([x.flatten() for x in free.values()]).norm().item()
    clipped = gradients(Run.prepare(tiny(f"training.clip={norm / 4}")))
    for name, gradient in clipped.items():
        assert_close(gradient, free[name] / 4, rtol=1e-4, atol=1e-6)
    loose = gradients(Run.prepare(tiny(f"training.clip={norm * 4}")))
    assert_close(loose, free, rtol=0, atol=0)


@pytest.mark.parametrize("method", ["supervised", "tmix", "mixtext"])
def test_recomputing_activations_changes_no_gradient(tiny, sober, method):
    options = (f"method={method}", f"model.encoder={sober}", "mixtext.teacher=0.9")
    plain = gradients(Run.prepare(tiny(*options)))
    again = gradients(Run.prepare(tiny(*options, "training.gradient_checkpointing=true")))
    assert plain.keys() == again.keys()
    assert_close(again, plain, rtol=1e-5, atol=1e-7)


def test_recomputing_draws_the_same_dropout(tiny):
    options = ("method=tmix", "tmix.layers=[7]")
    plain = gradients(Run.prepare(tiny(*options)))
    again = gradients(Run.prepare(tiny(*options, "training.gradient_checkpointing=true")))
    assert_close(again, plain, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("method", ["supervised", "tmix", "mixtext"])
def test_bfloat16_trains_on_the_cpu_with_float32_weights(tiny, tmp_path, method):
    recipe = tiny(f"method={method}", "mixtext.teacher=0.9", "training.precision=bfloat16")
    train(recipe, folder=tmp_path / "half", quiet=True)
    train(tiny(f"method={method}", "mixtext.teacher=0.9"), folder=tmp_path / "full", quiet=True)
    exported = load_file(tmp_path / "half" / "model" / "model.safetensors")
    assert {x.dtype for x in exported.values()} == {torch.float32}
    half, full = (
        [x["loss/total"] for x in metrics(tmp_path / name, "train")] for name in ("half", "full")
    )
    assert half != full  # it was bfloat16 indeed
    assert math.isclose(half[0], full[0], rel_tol=0.1)


class Killed(BaseException):
    """Stands for a kill between two system calls: nothing after it runs."""


def assert_usable(recipe, folder, index):
    """What index.json names is complete: a fresh run can load it."""
    checkpoints = Checkpoints(folder)
    assert checkpoints.index == index
    run = Run.prepare(recipe)
    state = checkpoints.load(run.trainer.model, run.trainer.optimiser, run.trainer.generator)
    assert state is not None and f"step-{state['step']:06d}" == index["last"]
    assert checkpoints.best_weights()


def test_index_names_complete_files_whatever_call_is_the_last(tiny, tmp_path, monkeypatch):
    """Cuts the writing of a checkpoint at each of its calls to the file system."""
    recipe = tiny()
    run = Run.prepare(recipe)
    run.trainer.step(0, lambda outcome, batch: None)
    trainer = run.trainer

    def save(folder, step):
        checkpoints = Checkpoints(folder)
        checkpoints.tidy()
        best = checkpoints.save_best(step, trainer.model)
        checkpoints.save(
            step, trainer.model, trainer.optimiser, trainer.generator, {"best_file": best}, best
        )

    save(tmp_path / "old", 3)
    old = Checkpoints(tmp_path / "old").index
    new = {"last": "step-000006", "best": "best-000006.safetensors"}
    seen = []
    for cut in range(100):
        folder = tmp_path / f"cut{cut}"
        shutil.copytree(tmp_path / "old", folder)
        calls = []

        def counted(name, owner, cut=cut, calls=calls):
            real = getattr(owner, name)

            def call(*args, **kwargs):
                if len(calls) == cut:
                    raise Killed
                calls.append(name)
                return real(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            for owner, name in (
                (safetensors.torch, "save_file"),
                (os, "fsync"),
                (os, "replace"),
                (Path, "mkdir"),
                (Path, "unlink"),
                (shutil, "rmtree"),
            ):
                patch.setattr(owner, name, counted(name, owner))
            try:
                save(folder / ".", 6)
                finished = True
            except Killed:
                finished = False
        index = Checkpoints(folder).index
        assert index in (old, new)
        seen.append(index == new)
        assert_usable(recipe, folder, index)
        if finished:
            break
        # The next attempt tidies up and succeeds.
        save(folder, 6)
        assert_usable(recipe, folder, new)
        assert {x.name for x in folder.iterdir()} == {"index.json", *new.values()}, cut
    assert finished and cut > 10
    assert seen == sorted(seen)  # old up to one call, new from it on


def test_only_named_files_stay(tiny, tmp_path):
    train(tiny("training.checkpoint_every=2"), folder=tmp_path, quiet=True)
    folder = tmp_path / "checkpoints"
    index = Checkpoints(folder).index
    assert {x.name for x in folder.iterdir()} == {"index.json", *index.values()}
    assert index["last"] == "step-000006"


def mounted(folder, size):
    """A file system of so many bytes, where this process may make one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_full_disk_that_tensorboard_meets_is_told_once(tiny, tmp_path, monkeypatch, capsys):
    (tmp_path / "recipe.toml").write_text(dump_recipe(tiny("training.steps=3")))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalFileSystem, "append", full)
    assert main(["train", str(tmp_path / "recipe.toml"), "--run", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1] == "mixtext: the disk cannot be used: No space left on device."
    assert "Traceback" not in error


def test_a_full_disk_leaves_the_last_checkpoint(tiny, tmp_path, monkeypatch, capsys):
    recipe = tiny("training.steps=9")
    (tmp_path / "recipe.toml").write_text(dump_recipe(recipe))
    run = tmp_path / "run"
    command = ["train", str(tmp_path / "recipe.toml"), "--run", str(run)]
    real = os.replace

    def full(source, target):
        if str(target).endswith("index.json") and Checkpoints(run / "checkpoints").index:
            raise OSError(28, "No space left on device", str(source))
        return real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert main(command) == 2
    *_, message = capsys.readouterr().err.splitlines()
    assert message.startswith("mixtext: ") and "No space left on device" in message
    index = {"last": "step-000003", "best": Checkpoints(run / "checkpoints").index["best"]}
    assert_usable(recipe, run / "checkpoints", index)
    assert main([*command, "--resume"]) == 0
    train(recipe, folder=tmp_path / "whole", quiet=True)
    resumed, whole = (x / "model" / "model.safetensors" for x in (run, tmp_path / "whole"))
    assert resumed.read_bytes() == whole.read_bytes()


def test_a_really_full_disk_leaves_the_last_checkpoint(tiny, tmp_path, capsys):
    recipe = tiny("training.steps=9")
    (tmp_path / "recipe.toml").write_text(dump_recipe(recipe))
    train(recipe, folder=tmp_path / "whole", quiet=True)
    one = sum(x.stat().st_size for x in (tmp_path / "whole/checkpoints").rglob("*"))
    disk = tmp_path / "disk"
    if not mounted(disk, int(1.7 * one)):
        pytest.skip("needs the right to mount a small disk")
    try:
        command = ["train", str(tmp_path / "recipe.toml"), "--run", str(disk / "run")]
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.splitlines()[-1].startswith("mixtext: ") and "Traceback" not in error
        folder = disk / "run" / "checkpoints"
        assert_usable(recipe, folder, Checkpoints(folder).index)
        subprocess.run(["mount", "-o", f"remount,size={20 * one}", str(disk)], check=True)
        assert main([*command, "--resume"]) == 0
        resumed = disk / "run" / "model" / "model.safetensors"
        whole = tmp_path / "whole" / "model" / "model.safetensors"
        assert resumed.read_bytes() == whole.read_bytes()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_test_rows_without_labels_are_not_scored_and_a_test_part_needs_some(tiny, tmp_path):
    texts = ["cat the", "cat a", "dog the", "dog a", "soup the", "soup a"]
    corpus = Corpus.from_lists(texts, ["x", "x", "x", "y", "y", "y"], name="few")
    recipe = tiny("data.labels_per_class=1", "data.dev_per_class=1", "data.test_per_class=0")
    names = ["x", "y"]
    test = Corpus.from_lists(["cat", "soup", "plum"], ["x", None, "y"], label_names=names)
    result = train(recipe, corpus=corpus, test=test, folder=tmp_path / "a", quiet=True)
    labelled = test.select([0, 2])
    p = load(tmp_path / "a").probabilities(labelled.texts)
    again = classification_metrics(labelled.labels, p)
    assert math.isclose(result["test"]["loss"], again["loss"], rel_tol=1e-5)
    bare = Corpus.from_lists(["cat", "soup"], [None, None], label_names=names, name="bare")
    with pytest.raises(InputError, match="bare has no labels"):
        train(recipe, corpus=corpus, test=bare, folder=tmp_path / "b", quiet=True)
    assert not (tmp_path / "b").exists()
