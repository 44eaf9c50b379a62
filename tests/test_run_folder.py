"""Run folders of every kind: damage and change are refused with a sentence, and nothing is lost."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file, save_file

from mixtext.active.folder import begin_active
from mixtext.active.rounds import Rounds
from mixtext.api import load, train
from mixtext.cli import main
from mixtext.files import locked
from mixtext.recipe import dump_recipe
from mixtext.training.loop import Trainer

pytestmark = pytest.mark.slow

KINDS = ("texts", "tags", "active")
CUT = 3  # steps done when a run is killed; the checkpoint is that of step 2


class Killed(BaseException):
    """Ends a training as a kill would: nothing is caught and tidied up."""


@pytest.fixture
def recipes(tiny, learner, tagged_files):
    """A recipe of each kind."""
    often = "training.checkpoint_every=2"
    return {
        "texts": tiny("method=mixtext", "mixtext.layers=[7]", often, "training.evaluate_every=2"),
        "tags": learner(
            f"data.dev={tagged_files / 'test.conll'}", "training.evaluate_every=2", often
        ),
        "active": learner(often),
    }


@pytest.fixture
def begun(recipes, tmp_path, monkeypatch):
    """Kind → the recipe's file and the folder of a run that was killed, and the command."""

    def begin(kind):
        recipe, folder = tmp_path / "recipe.toml", tmp_path / "run"
        recipe.write_text(dump_recipe(recipes[kind]), encoding="utf-8")
        with monkeypatch.context() as patch:
            if kind == "active":  # killed between two rounds
                real_reveal = Rounds.reveal
                calls = []

                def reveal(run, state):
                    calls.append(state)
                    if len(calls) == 2:
                        raise Killed
                    real_reveal(run, state)

                patch.setattr(Rounds, "reveal", reveal)
                with pytest.raises(Killed):
                    begin_active(recipes[kind], folder, False).go_on()
                command = ["active", "run", str(recipe), "--run", str(folder), "--resume"]
                return folder, command
            real = Trainer.step

            def step(trainer, number, collect):
                if number == CUT:
                    raise Killed
                return real(trainer, number, collect)

            patch.setattr(Trainer, "step", step)
            with pytest.raises(Killed):
                train(recipes[kind], folder=folder, quiet=True)
        return folder, ["train", str(recipe), "--run", str(folder), "--resume"]

    return begin


def contents(folder):
    """Bytes of every file, but for TensorBoard's and the lock."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock" and ".tfevents." not in path.name
    }


def spoiled(raw):
    """What can become of a file: name → its bytes, None for none."""
    return {"missing": None, "empty": b"", "cut": raw[: len(raw) // 2], "garbage": b"\xff{]" * 20}


def refused(command, capsys):
    """The one sentence with which a command is refused; the plan may stand before it."""
    capsys.readouterr()
    assert main(command) == 2, command
    said = capsys.readouterr().err.strip().splitlines()
    sentences = [line for line in said if line.startswith("mixtext: ")]
    assert sentences == said[-1:] and len(said[-1]) < 600 and said[-1].endswith("."), said
    assert not any("Traceback" in line for line in said)
    return said[-1]


NAMES = {  # those that --resume reads
    "texts": ("recipe.toml", "environment.json", "checkpoints/index.json", "metrics.jsonl",
              "state.json", "weights.safetensors", "optimiser.safetensors",
              "generators.safetensors", "best"),
    "tags": ("recipe.toml", "environment.json", "checkpoints/index.json", "state.json",
             "weights.safetensors", "best"),
    "active": ("recipe.toml", "environment.json", "active.json", "generated/round-00.jsonl",
               "generated/round-01.jsonl"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_named_and_nothing_is_touched(kind, begun, tmp_path, capsys):
    folder, command = begun(kind)
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole)
    tried = 0
    for name in NAMES[kind]:
        found = [*whole.glob(name), *whole.glob(f"checkpoints/step-*/{name}")]
        found += whole.glob(f"checkpoints/{name}-*.safetensors")
        assert len(found) == 1, (name, found)
        path = folder / found[0].relative_to(whole)
        for state, raw in spoiled(found[0].read_bytes()).items():
            if path.suffix == ".jsonl" and path.parent.name == "generated" and state == "empty":
                continue  # nothing was generated: a file as good as any
            shutil.rmtree(folder)
            shutil.copytree(whole, folder)
            path.unlink()
            if raw is not None:
                path.write_bytes(raw)
            before = contents(folder)
            said = refused(command, capsys)
            # Without its recipe a folder is no run folder.
            told = path.name if name != "recipe.toml" or state != "missing" else folder.name
            assert told in said or path.parent.name in said, (name, state, said)
            assert contents(folder) == before, (name, state)
            tried += 1
    assert tried >= 4 * len(NAMES[kind]) - 2
    # The battery would prove nothing if the folder were refused anyhow.
    shutil.rmtree(folder)
    shutil.copytree(whole, folder)
    assert main(command) == 0


@pytest.mark.parametrize("kind", ["texts", "tags"])
@pytest.mark.parametrize("state", ["empty", "cut", "garbage"])
def test_a_damaged_result_is_no_result(kind, state, recipes, tmp_path, capsys):
    folder, recipe = tmp_path / "run", tmp_path / "recipe.toml"
    recipe.write_text(dump_recipe(recipes[kind]), encoding="utf-8")
    train(recipes[kind], folder=folder, quiet=True)
    path = folder / "result.json"
    path.write_bytes(spoiled(path.read_bytes())[state])
    before = contents(folder)
    assert "result.json" in refused(
        ["train", str(recipe), "--run", str(folder), "--resume"], capsys
    )
    assert "result.json" in refused(["table", str(folder)], capsys)
    assert contents(folder) == before


# ---- what a run depends on


def swap_weights(folder):
    """Other weights under the same names."""
    path = folder / "model.safetensors"
    weights = {name: weight + 0.01 for name, weight in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    about = folder / "mixtext.json"
    if about.exists():  # the change is meant
        kept = {k: v for k, v in json.loads(about.read_text()).items() if k != "sha256"}
        about.write_text(json.dumps(kept))


def change_line(path):
    """Another word in a file's last line."""
    *lines, last = path.read_text(encoding="utf-8").splitlines()
    changed = last.replace("new", "old") if "new" in last else last.replace(" ", " new ", 1)
    assert changed != last
    path.write_text("\n".join([*lines, changed]) + "\n", encoding="utf-8")


@pytest.fixture
def depends(tiny, encoder, corpus_file, tmp_path):
    """What a run depends on, as files of one's own, and a recipe of tiny steps on them."""
    places = {
        "encoder": tmp_path / "encoder",
        "data": tmp_path / "own.csv",
        "views": tmp_path / "views.jsonl",
        "word vectors": tmp_path / "vectors.txt",
        "model.start": tmp_path / "plain" / "model",
    }
    shutil.copytree(encoder, places["encoder"])
    shutil.copy(corpus_file, places["data"])
    rows = places["data"].read_text(encoding="utf-8").splitlines()[1:]
    lines = [{"id": str(n), "text": row.rsplit(",", 1)[0] + " new"} for n, row in enumerate(rows)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    places["views"].write_text(text, encoding="utf-8")
    text = "\n".join(f"{word} 0.{number} 1" for number, word in enumerate(["cat", "dog", "new"]))
    places["word vectors"].write_text(text + "\n", encoding="utf-8")

    def recipe(*overrides):
        return tiny(
            f"model.encoder={places['encoder']}", f"data.corpus={places['data']}", *overrides
        )

    train(recipe(), folder=tmp_path / "plain", quiet=True)
    return places, recipe


@pytest.mark.parametrize("what", ["data", "views", "encoder", "model.start", "word vectors"])
def test_whatever_a_run_depends_on_may_not_change(what, depends, tmp_path, capsys):
    places, make = depends
    own = {
        "model.start": (f"model.start={tmp_path / 'plain'}",),
        "word vectors": (
            "model.encoder=kim_cnn",
            "mixtext.layers=[0]",
            "model.embedding=PretrainTune",
            f"model.vectors={places['word vectors']}",
        ),
    }
    recipe, folder = tmp_path / "recipe.toml", tmp_path / "run"
    loaded = make("method=mixtext", f"views.file={places['views']}", *own.get(what, ()))
    recipe.write_text(dump_recipe(loaded), encoding="utf-8")
    command = ["train", str(recipe), "--run", str(folder), "--resume"]
    assert main(command) == 0
    (folder / "result.json").unlink()  # as if it had been killed at the end

    place, kept = places[what], tmp_path / "kept"
    (shutil.copytree if place.is_dir() else shutil.copy)(place, kept)
    (swap_weights if place.is_dir() else change_line)(place)
    before = contents(folder)
    said = refused(command, capsys)
    assert "have changed since it began" in said and what in said
    assert contents(folder) == before
    if place.is_dir():
        shutil.rmtree(place)
    shutil.move(kept, place)
    assert main(command) == 0  # brought back, as the sentence says


def test_versions_and_threads_may_change_and_are_told(recipes, begun, capsys):
    folder, _ = begun("texts")
    path = folder / "environment.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    about["packages"]["torch"], about["threads"] = "1.0", 77
    path.write_text(json.dumps(about), encoding="utf-8")
    train(recipes["texts"], folder=folder, resume=True)
    said = capsys.readouterr().err
    assert "torch was 1.0 when" in said and "threads was 77 when" in said


# ---- folders of version 0.1


@pytest.mark.parametrize("kind", ["texts", "tags"])
def test_a_run_of_version_0_1_goes_on(kind, recipes, begun, tmp_path):
    """It had no lock, no index before the first checkpoint, and told less of what it depends on."""
    folder, command = begun(kind)
    path = folder / "environment.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    kept = {key: about[key] for key in ("python", "packages", "data")}
    path.write_text(json.dumps(kept), encoding="utf-8")
    (folder / "lock").unlink()
    old = [x for x in (folder / "recipe.toml").read_text(encoding="utf-8").splitlines()
           if not x.startswith(("by_length", "contrast_", "cluster"))]  # fmt: skip
    (folder / "recipe.toml").write_text("\n".join(old) + "\n", encoding="utf-8")
    assert main(command) == 0
    whole = train(recipes[kind], folder=tmp_path / "unbroken", quiet=True)
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    for key in whole.values:
        if key != "clock":
            assert result[key] == whole[key], key
    texts = ["the cat and bread"]
    assert load(folder).predict(texts) == load(tmp_path / "unbroken").predict(texts)


# ---- two processes


def mixtext(command):
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "mixtext", *command],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["run", "sweep", "active"])
def test_of_two_processes_one_works_and_the_other_is_refused(kind, tiny, learner, tmp_path):
    recipe, folder = tmp_path / "recipe.toml", tmp_path / "folder"
    long = ("training.steps=60", "training.evaluate_every=60")
    made = learner(*long) if kind == "active" else tiny("method=mixtext", *long)
    recipe.write_text(dump_recipe(made), encoding="utf-8")
    command = {
        "run": ["train", str(recipe), "--resume", "--run", str(folder)],
        "sweep": ["sweep", str(recipe), "--vary", "training.seed=0,1", "--run", str(folder)],
        "active": ["active", "run", str(recipe), "--resume", "--run", str(folder)],
    }[kind]
    with mixtext(command) as first:
        while not [*folder.rglob("metrics.jsonl")]:
            assert first.poll() is None, first.communicate()
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)  # so that it is at work for as long as the other asks
        try:
            before = contents(folder)
            with mixtext(command) as second:
                said = second.communicate(timeout=120)[1]
            assert second.returncode == 2, said
            assert f"another process is at work in {folder}" in said.splitlines()[-1]
            assert contents(folder) == before
        finally:
            first.send_signal(signal.SIGCONT)
        said = first.communicate(timeout=300)[1]
        assert first.returncode == 0, said
    for path in folder.rglob("metrics.jsonl"):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        told = [json.dumps({**line, "clock": 0}, sort_keys=True) for line in lines]
        assert len(told) == len({*told}), path
    if kind == "sweep":
        assert len((folder / "results.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    if kind == "active":
        curve = json.loads((folder / "curve.json").read_text(encoding="utf-8"))["curve"]
        assert [point["round"] for point in curve] == [0, 1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_who_comes_while_another_is_at_work_touches_nothing(kind, begun, capsys):
    folder, command = begun(kind)
    before = contents(folder)
    holder = "import sys, time; from pathlib import Path; from mixtext.files import locked\n"
    holder += "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(folder)], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout.readline() == "held\n"
            assert f"another process is at work in {folder}" in refused(command, capsys)
            assert contents(folder) == before
        finally:
            other.kill()  # the kernel lets go of the lock
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with locked(folder):
                break
        except Exception:
            time.sleep(0.05)
    assert main(command) == 0
