"""Runs that torchrun starts in two processes, on gloo."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertModel

from mixtext.cli import main
from mixtext.recipe import dump_recipe
from tests.conftest import start_torchrun

pytestmark = pytest.mark.slow

# Behind -- torchrun leaves --run alone, which it would take for its own --run-path.
MODULE = ("-m", "--", "mixtext")

MIXTEXT = (
    "method=mixtext",
    "mixtext.layers=[0, 1, 2]",
    "mixtext.contrast_passes=3",
    "mixtext.teacher=0.9",
    "mixtext.align=true",
    "data.pool=natural",
    "training.batch=3",  # of 3 + 4·3 rows, which two processes cannot halve
    "views.copies=2",
    "training.accumulate=2",
    "training.score_labelled=true",
    # Where a gradient is 0 but for rounding, Adam makes a step of it that is not, unless eps is
    # large beside it.
    "training.eps=1e-4",
)


@pytest.fixture(scope="module")
def steady(encoder, tmp_path_factory):
    """The folder of the tiny encoder, two of its layers, without dropout."""
    folder = tmp_path_factory.mktemp("steady")
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    BertModel.from_pretrained(encoder, num_hidden_layers=2, **without).save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return folder


@pytest.fixture
def written(tmp_path):
    """A recipe → its file."""

    def write(recipe):
        path = tmp_path / "recipe.toml"
        path.write_text(dump_recipe(recipe), encoding="utf-8")
        return path

    return write


def numbers(folder):
    """All numbers of the metrics, line by line, by name."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("clock")
        line.update({f"draws {k}": v for k, v in line.pop("draws", {}).items()})
    return lines


def without_clock(folder):
    """Metrics, result and weights, to the last bit."""
    result = json.loads((folder / "result.json").read_text())
    result.pop("clock")
    result.pop("mixtext")  # the commit, which may move on between two runs
    weights = sorted(folder.glob("model/**/*.safetensors"))
    return numbers(folder), result, [x.read_bytes() for x in weights]


def names(folder):
    """The files of a run folder; of TensorBoard's, how many."""
    found = [str(x.relative_to(folder)) for x in folder.rglob("*")]
    return sorted(x if ".tfevents." not in x else "events" for x in found)


def assert_same_but_for_rounding(one, two):
    for here, there in zip(numbers(one), numbers(two), strict=True):
        assert here.keys() == there.keys()
        for name in here:
            near = pytest.approx(there[name], rel=1e-4, abs=1e-5) if name != "kind" else there[name]
            assert here[name] == near, (name, here)
    for path in sorted(one.glob("model/**/*.safetensors")):
        other = load_file(two / path.relative_to(one))
        for name, weight in load_file(path).items():
            np.testing.assert_allclose(weight, other[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_two_processes_train_as_one(tiny, steady, written, torchrun, tmp_path, capfd):
    path = written(tiny(*MIXTEXT, f"model.encoder={steady}", "model.dropout=0.0"))
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(["train", str(path), "--run", str(one)]) == 0
    expected = capfd.readouterr().out
    out, err = torchrun(2, *MODULE, "train", path, "--run", two)

    assert_same_but_for_rounding(one, two)
    assert len(numbers(two)) == 6 + 2 * 2 + 1
    assert names(one) == names(two)  # one process writes, and one speaks
    assert out.replace(str(two), str(one)).splitlines()[0] == expected.splitlines()[0]
    assert len(out.splitlines()) == len(expected.splitlines())
    assert err.count("2 processes share the rows of each batch") == 1
    assert err.count("step 6/6  loss/total") == 1


def test_two_processes_tag_as_one(learner, steady, written, tagged_files, torchrun, tmp_path):
    dev = f"data.dev={tagged_files / 'test.conll'}"
    more = (dev, "model.dropout=0.0", "training.eps=1e-4", "training.evaluate_every=2")
    path = written(learner(*more, f"model.encoder={steady}"))
    assert main(["train", str(path), "--run", str(tmp_path / "one")]) == 0
    torchrun(2, *MODULE, "train", path, "--run", tmp_path / "two")
    assert_same_but_for_rounding(tmp_path / "one", tmp_path / "two")
    assert names(tmp_path / "one") == names(tmp_path / "two")


def workers(process):
    """The processes that a torchrun has started."""
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


def test_killed_and_resumed_it_is_the_same_run(tiny, written, torchrun, tmp_path, capsys):
    """With dropout: each process draws the same again."""
    often = ("training.steps=12", "training.evaluate_every=4", "training.checkpoint_every=3")
    path = written(tiny("method=mixtext", "mixtext.layers=[7]", *often, "training.accumulate=2"))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    torchrun(2, *MODULE, "train", path, "--run", whole)

    command = [*MODULE, "train", path, "--run", killed, "--resume"]
    process = start_torchrun(2, *command)
    deadline = time.monotonic() + 120
    index = killed / "checkpoints" / "index.json"
    while not (index.is_file() and "last" in index.read_text()):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.001)
    for worker in workers(process):
        os.kill(int(worker), signal.SIGKILL)
    assert process.wait(60) != 0 and not (killed / "result.json").exists()
    process.communicate()

    before = {x: x.read_bytes() for x in killed.rglob("*") if x.is_file()}
    assert main([*map(str, command[len(MODULE) :])]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "was begun by 2 processes, not by 1" in said and "--nproc-per-node" in said
    _, err = torchrun(3, *command, code=1)
    assert err.count("was begun by 2 processes, not by 3") == 1
    assert before == {x: x.read_bytes() for x in killed.rglob("*") if x.is_file()}

    _, err = torchrun(2, *command)
    assert "going on from the checkpoint at step" in err
    assert without_clock(whole) == without_clock(killed)
    out, _ = torchrun(2, *command)  # finished: its scores are printed once
    assert out.count("best  weights of step") == 1


def test_what_cannot_be_shared_is_refused(tiny, written, torchrun, tmp_path):
    path = written(tiny("method=ssmix"))
    _, err = torchrun(2, *MODULE, "train", path, "--run", tmp_path / "run", code=1)
    assert err.count("mixtext: method ssmix looks into the encoder") == 1
    assert err.count("Traceback") == 1  # torchrun's own, of the process that failed
    assert not (tmp_path / "run").exists()
    _, err = torchrun(2, *MODULE, "sweep", path, code=1)
    assert err.count("mixtext: torchrun is for `mixtext train` alone") == 1


TRAIN_AND_LIST_THREADS = """
import sys
from pathlib import Path
from mixtext.cli import main
main(sys.argv[1:])
threads = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
print("threads", *threads)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are listed by Linux")
def test_no_thread_of_the_group_is_left(tiny, written, torchrun, tmp_path):
    """One that asks for Python after its end aborts the whole process, once in many runs."""
    script = tmp_path / "train.py"
    script.write_text(TRAIN_AND_LIST_THREADS, encoding="utf-8")
    recipe = written(tiny("method=mixtext", "mixtext.layers=[7]"))
    out, _ = torchrun(2, "--", script, "train", recipe, "--run", tmp_path / "run")
    threads = [line for line in out.splitlines() if line.startswith("threads")]
    assert len(threads) == 2 and all("gloo" not in line for line in threads), threads
