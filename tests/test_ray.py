"""A local Ray gives what this process gives, worker killed or not."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from mixtext.recipe import dump_recipe
from mixtext.sweep import executor, sweep

ray = pytest.importorskip("ray", reason="ray is not installed: pip install ray")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    variables = {"PYTHONPATH": str(ROOT)}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": variables},
    )
    yield
    ray.shutdown()


def without_clock(swept):
    return [{k: v for k, v in x.items() if k != "clock"} for x in swept.results]


def test_ray_gives_what_this_process_gives(tiny, tmp_path, monkeypatch):
    path = tmp_path / "small.toml"
    path.write_text(dump_recipe(tiny("training.steps=2")), encoding="utf-8")
    axes = ["method=supervised,tmix", "data.labels_per_class=2,40"]
    monkeypatch.chdir(tmp_path)  # where relative paths begin
    with executor(ray=True) as execute:
        there = sweep("small.toml", [], axes, "there", execute=execute)
    here = sweep("small.toml", [], axes, "here")
    assert without_clock(there) == without_clock(here) and len(here.results) == 2
    assert there.failed == here.failed and [*here.failed] == ["supervised-40", "tmix-40"]


def test_a_killed_workers_run_goes_on(tiny, tmp_path):
    path, folder = tmp_path / "long.toml", tmp_path / "out"
    steps = ("training.steps=60", "training.evaluate_every=60", "training.checkpoint_every=10")
    path.write_text(dump_recipe(tiny("method=mixtext", *steps)), encoding="utf-8")
    killed = []

    def kill():
        """Kills who holds the lock of the run, once a checkpoint is there."""
        while not [*folder.rglob("checkpoints/*")]:
            time.sleep(0.02)
        lock = str(folder / "run" / "lock")
        for fd in Path("/proc").glob("[0-9]*/fd/*"):
            with contextlib.suppress(OSError):
                if os.readlink(fd) == lock and not killed:
                    killed.append(int(fd.parts[2]))
                    os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with executor(ray=True) as execute:
        swept = sweep(path, [], [], folder, execute=execute)
    killer.join(10)
    assert killed and not swept.failed
    assert without_clock(swept) == without_clock(sweep(path, [], [], tmp_path / "here"))
