"""What a run writes down: metrics.jsonl, TensorBoard, the bar and the plain lines."""

import json
import math
import os
import pty
import shutil
import subprocess
import sys
import termios
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.summary.writer import event_file_writer
from tensorboard.summary.writer.event_file_writer import AtomicCounter

from mixtext import pictures
from mixtext.api import train
from mixtext.assessment import Assessment
from mixtext.methods.mixtext import MixText
from mixtext.recipe import dump_recipe, make_recipe
from mixtext.run import Run
from mixtext.training.monitor import Monitor

pytestmark = pytest.mark.slow

RECIPE = (
    "method=mixtext",
    "mixtext.layers=[7, 9, 12]",
    "mixtext.ramp=0.5",
    "mixtext.unlabelled_weight=0.7",
    "mixtext.margin_weight=0.3",
    "mixtext.per_row=true",
    "training.steps=12",
    "training.evaluate_every=6",
    "training.log_every=3",
    "training.warmup=0.25",
    "training.schedule=linear",
    "training.accumulate=2",
)


@pytest.fixture(scope="module")
def watched(encoder, corpus_file, tmp_path_factory):
    """A finished run: folder, recipe, run, result, lines, and every outcome with its batch."""
    folder = tmp_path_factory.mktemp("watched")
    recipe = make_recipe(
        {
            "name": "watched",
            "data": {
                "corpus": str(corpus_file),
                "labels_per_class": 4,
                "dev_per_class": 5,
                "test_per_class": 5,
            },
            "model": {"encoder": encoder, "max_length": 16, "head_width": 8},
            "training": {"batch": 4, "batch_unlabelled": 4, "precision": "float32"},
        },
        RECIPE,
    )
    seen = []
    loss = MixText.loss

    def kept(self, model, batch, progress, generator):
        outcome = loss(self, model, batch, progress, generator)
        seen.append((progress.step, outcome, batch))
        return outcome

    patch = pytest.MonkeyPatch()
    try:
        patch.setattr(MixText, "loss", kept)
        run = Run.prepare(recipe)
        result = run.fit(folder)
    finally:
        patch.undo()
    lines = [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]
    return folder, recipe, run, result, lines, seen


def test_train_lines_hold_the_losses_apart_and_in_sum(watched):
    lines = [x for x in watched[4] if x["kind"] == "train"]
    assert [x["step"] for x in lines] == [3, 6, 9, 12]
    for line in lines:
        steps = [o for step, o, _ in watched[5] if line["step"] - 3 <= step < line["step"]]
        assert len(steps) == 6  # three steps of two batches
        assert math.isclose(line["loss/total"], np.mean([o.loss.item() for o in steps]))
        for name in ("loss/labelled", "loss/unlabelled", "loss/margin", "ramp"):
            mean = np.mean([float(o.metrics[name]) for o in steps])
            assert math.isclose(line[name], mean, rel_tol=1e-6), name
    for _, outcome, _ in watched[5]:
        m = {k: float(v) for k, v in outcome.metrics.items()}
        total = m["loss/labelled"] + 0.7 * m["ramp"] * m["loss/unlabelled"]
        assert math.isclose(total + 0.3 * m["loss/margin"], outcome.loss.item(), rel_tol=1e-5)


def test_rates_ramp_and_epochs_are_those_of_the_plan(watched):
    lines = [x for x in watched[4] if x["kind"] == "train"]
    # warm-up over 3 of 12 steps (1/4, 2/4, 3/4), then linearly from 1 towards 0 at step 12
    for line, factor in zip(lines, (3 / 4, 1 - 2 / 9, 1 - 5 / 9, 1 - 8 / 9), strict=True):
        assert math.isclose(line["rate/encoder"], 5e-5 * factor)
        assert math.isclose(line["rate/head"], 1e-3 * factor)
    # the ramp rises over half of the training: mean of three steps' min(1, step / 6)
    assert np.allclose([x["ramp"] for x in lines], [1 / 6, 4 / 6, 1, 1])
    assert np.allclose([x["epoch"] for x in lines], [3 / 2, 6 / 2, 9 / 2, 12 / 2])


def test_draws_are_all_there(watched):
    _, _, _, _, lines, seen = watched
    lines = [x for x in lines if x["kind"] == "train"]
    for name in ("lam", "layer"):
        written = [value for line in lines for value in line["draws"][name]]
        assert written == [value for _, outcome, _ in seen for value in outcome.draws[name]]
    layers = {value for line in lines for value in line["draws"]["layer"]}
    assert layers <= {7, 9, 12} and len(layers) > 1
    rows = 4 + 4 * 2  # one λ a row
    assert all(len(line["draws"]["lam"]) == 6 * rows for line in lines)
    assert all(0.5 <= value <= 1 for line in lines for value in line["draws"]["lam"])


def test_guesses_are_scored_against_the_hidden_labels(watched):
    _, _, run, _, lines, seen = watched
    names = run.data.train.label_names
    label_of = dict(zip(run.data.train.ids, run.data.train.labels, strict=True))
    for line in (x for x in lines if x["kind"] == "train"):
        part = [(o, b) for step, o, b in seen if line["step"] - 3 <= step < line["step"]]
        guesses = torch.cat([o.guesses for o, _ in part]).double().numpy()
        gold = np.array([label_of[i] for _, b in part for i in b.row_ids[4:]])
        right = guesses.argmax(1) == gold
        assert math.isclose(line["guess/accuracy"], right.mean())
        for c, name in enumerate(names):
            key = f"guess/accuracy/{name}"
            assert (key in line) == (c in gold)
            if key in line:
                assert math.isclose(line[key], right[gold == c].mean())
        assert math.isclose(line["guess/confidence"], guesses.max(1).mean(), rel_tol=1e-5)
        entropy = -(guesses * np.log(guesses)).sum(1).mean()
        assert math.isclose(line["guess/entropy"], entropy, rel_tol=1e-4)
        assert 0 <= line["guess/agreement"] <= 1


def test_what_the_clock_says_is_kept_apart(watched):
    for line in watched[4]:
        assert line["clock"]["seconds"] >= 0
        assert ("rows_per_second" in line["clock"]) == (line["kind"] == "train")
        plain = {k for k in line if k != "clock"}
        assert not any("second" in k or "speed" in k or "time" in k for k in plain)
    seconds = [x["clock"]["seconds"] for x in watched[4]]
    assert seconds == sorted(seconds)
    speeds = [x["clock"]["rows_per_second"] for x in watched[4] if x["kind"] == "train"]
    rows = sum(len(batch.rows.ids) for _, _, batch in watched[5])
    assert rows == 12 * 2 * 12  # 12 steps of 2 batches of 4 labelled rows, 4 views, 4 originals
    # Scoring counts for the clock and not for the speed.
    assert sum(rows / 4 / speed for speed in speeds) <= seconds[-1] * 1.05


def test_scores_of_dev_and_test_are_those_of_the_result(watched):
    _, _, _, result, lines, _ = watched
    dev = {x["step"]: x for x in lines if x["kind"] == "dev"}
    assert sorted(dev) == [6, 12]
    [test] = [x for x in lines if x["kind"] == "test"]
    for part, line in (("dev", dev[result["best_step"]]), ("test", test)):
        assert set(result[part]) == {"accuracy", "macro_f1", "loss"}
        assert {k: line[k] for k in result[part]} == result[part]


def events_of(folder):
    """What TensorBoard reads of a folder."""
    sizes = {"scalars": 0, "histograms": 0, "tensors": 0, "images": 0}
    return EventAccumulator(str(folder), sizes).Reload()


def test_tensorboard_shows_the_same(watched):
    folder, _, _, _, lines, _ = watched
    events = events_of(folder)
    tags = events.Tags()
    for line in lines:
        for name, value in line.items():
            if name in ("step", "kind", "clock", "draws", "epoch") or "accuracy/" in name:
                continue
            tag = name if line["kind"] == "train" else f"{line['kind']}/{name}"
            shown = [e.value for e in events.Scalars(tag) if e.step == line["step"]]
            assert len(shown) == 1 and math.isclose(shown[0], value, rel_tol=1e-6), (tag, shown)
    assert {"loss/total", "rate/encoder", "ramp", "guess/accuracy", "dev/macro_f1"} <= set(
        tags["scalars"]
    )
    assert [e.step for e in events.Scalars("speed/rows_per_second")] == [3, 6, 9, 12]
    drawn = {x["step"]: x["draws"] for x in lines if x["kind"] == "train"}
    assert tags["histograms"] == ["draw/lam"]
    for event in events.Histograms("draw/lam"):
        values = drawn[event.step]["lam"]
        assert event.histogram_value.num == len(values)
        assert math.isclose(event.histogram_value.sum, sum(values), rel_tol=1e-6)
    assert [e.step for e in events.Histograms("draw/lam")] == [3, 6, 9, 12]


def test_what_is_by_class_or_by_layer_is_one_picture(watched, monkeypatch):
    folder, _, run, _, lines, seen = watched
    events = events_of(folder)
    assert not any(name in tag for tag in events.Tags()["scalars"] for name in run.class_names)
    for tag, steps in (
        ("guess/accuracy_by_class", [6, 12]),
        ("draw/layers", [6, 12]),
        ("confusion/test", [12]),
    ):
        images = events.Images(tag)
        assert [x.step for x in images] == steps
        assert images[0].encoded_image_string.startswith(b"\x89PNG") and images[0].width > 200

    # What is drawn is what the lines hold, also after a restart.
    drawn = {}
    monkeypatch.setattr(pictures, "bars", lambda counts, *_: drawn.setdefault("layer", counts))
    monkeypatch.setattr(pictures, "by_class", lambda x, what: drawn.setdefault(what, x))
    monkeypatch.setattr(Monitor, "_add_picture", lambda *_: None)
    again = folder.parent / "again"
    again.mkdir()
    raw = (folder / "metrics.jsonl").read_bytes()
    (again / "metrics.jsonl").write_bytes(raw)
    state = {"step": 12, "metrics_bytes": len(raw)}
    monitor = Monitor(again, run.class_names, 12, state, quiet=True)
    monitor.draw(12)
    monitor.close()
    layers = [int(x) for _, outcome, _ in seen for x in outcome.draws["layer"]]
    assert drawn["layer"] == {str(x): layers.count(x) for x in sorted({*layers})}
    for name, points in drawn["guess/accuracy"].items():
        key = f"guess/accuracy/{name}"
        assert points == [(x["step"], x[key]) for x in lines if key in x]


def text_of(events, tag):
    """The last text of a tag."""
    tensor = events.Tensors(f"{tag}/text_summary")[-1].tensor_proto
    return tensor.string_val[0].decode("utf-8")


def test_texts_show_guesses_and_answers_right_and_wrong(watched):
    folder, _, run, result, _, seen = watched
    events = events_of(folder)
    train, test = run.data.train, run.data.test
    label_of = dict(zip(train.ids, train.labels, strict=True))
    some = [(o, b) for step, o, b in seen if step >= 9]
    told = {}
    for outcome, batch in some:
        for id_, guess in zip(batch.row_ids[4:], outcome.guesses.argmax(1).tolist(), strict=True):
            told.setdefault(train.texts[train.ids.index(id_)], set()).add((label_of[id_], guess))
    wrong, _, right = text_of(events, "examples/guesses").partition("**right**")
    for part, hit in ((wrong, False), (right, True)):
        rows = [x.strip("| ").split(" | ") for x in part.splitlines() if x.startswith("| ")][2:]
        assert all((gold == guess) is hit for gold, guess, *_ in rows)
        for gold, guess, _, text in rows:
            pair = train.label_names.index(gold), train.label_names.index(guess)
            assert pair in told[text.replace("\\", "")]
    shown = text_of(events, "examples/test")
    assert "**wrong**" in shown and any(text in shown for text in test.texts)

    answers = json.loads((folder / "answers.json").read_text())
    assert answers.pop("part") == "test"
    found = Assessment.from_saved(answers)
    assert found.metrics == result["test"] and found.confusion.sum() == len(test)
    right = np.trace(found.confusion) / len(test)
    assert math.isclose(right, result["test"]["accuracy"])


def test_hparams_show_what_varies_and_the_scores_of_all_runs(watched, tiny, tmp_path):
    """Read as TensorBoard's own page does: from all runs, those that differ first."""
    folder, _, _, result, _, _ = watched
    shutil.copytree(folder, tmp_path / "mix")
    for name in ("a", "b"):
        recipe = tiny("training.steps=2", f"training.seed={name == 'b':d}")
        train(recipe, folder=tmp_path / name, quiet=True)
    flags = {"logdir": str(tmp_path), "max_reload_threads": 1}
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    assert {*multiplexer.Runs()} == {"mix", "a", "b"}  # the names of the folders
    provider = MultiplexerDataProvider(multiplexer, str(tmp_path))
    context = Context(TBContext(data_provider=provider, logdir=str(tmp_path), flags=flags))
    request = RequestContext()
    experiment = context.experiment_from_metadata(
        request,
        "x",
        True,
        context.hparams_metadata(request, "x"),
        context.hparams_from_data_provider(request, "x", 0),
    )
    names = [x.name for x in experiment.hparam_infos]
    differing = [x.name for x in experiment.hparam_infos if x.differs]
    assert differing[0] == "Method" and names[: len(differing)] == differing
    assert {"training.seed", "training.steps"} <= {*differing}
    assert "data.dev_per_class" not in differing
    scores = [x.name.tag for x in experiment.metric_infos][:3]
    assert scores == [f"Score/test_{x}" for x in sorted(result["test"])]
    events = events_of(tmp_path / "mix")
    for name, value in result["test"].items():
        [event] = events.Scalars(f"Score/test_{name}")
        assert math.isclose(event.value, value, rel_tol=1e-6)


def test_names_that_no_tag_can_hold(tiny, tmp_path, draw_texts, write_rows):
    texts, labels = draw_texts(12)
    odd = {"animals": "po\ns/1", "food": "n|e\tg $x^", "tools": "_体育"}
    path = write_rows(tmp_path / "odd.csv", texts, [odd[x] for x in labels])
    recipe = tiny("method=mixtext", f"data.corpus={path}", "data.test_per_class=2",
                  "data.labels_per_class=2", "data.dev_per_class=2")  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(recipe, folder=tmp_path / "run", quiet=True)
    events = events_of(tmp_path / "run")
    tags = [tag for tags in events.Tags().values() if isinstance(tags, list) for tag in tags]
    assert all(tag.isprintable() and "|" not in tag and "s/1" not in tag for tag in tags)
    assert {"guess/accuracy_by_class", "confusion/test"} <= {*events.Tags()["images"]}
    shown = text_of(events, "examples/test")
    assert r"po\\ns/1" in shown or r"n\|e" in shown or "体育" in shown
    rows = [x.replace("\\|", "") for x in shown.splitlines() if x.startswith("|")]
    assert rows and all(row.count("|") == 5 for row in rows)


def test_rows_without_gold_labels_have_no_guess_accuracy(tiny, tmp_path, draw_texts, write_rows):
    texts, labels = draw_texts(8)
    path = write_rows(tmp_path / "few.jsonl", texts, labels)
    others, _ = draw_texts(10, seed=1)
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps({"text": x}) + "\n" for x in others))
    recipe = tiny(
        "method=mixtext",
        f"data.corpus={path}",
        f"data.unlabelled={tmp_path / 'pool.jsonl'}",
        "data.pool=natural",
        "data.labels_per_class=2",
        "data.dev_per_class=2",
        "data.test_per_class=4",
    )
    train(recipe, folder=tmp_path / "run", quiet=True)
    lines = [json.loads(x) for x in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    for line in (x for x in lines if x["kind"] == "train"):
        assert "guess/confidence" in line and "guess/entropy" in line
        assert not any(key.startswith("guess/accuracy") for key in line)


def command(tiny, tmp_path, name):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(dump_recipe(tiny("training.steps=4", "training.evaluate_every=2")))
    return [
        sys.executable,
        "-m",
        "mixtext",
        "train",
        str(recipe),
        "--run",
        str(tmp_path / name),
    ]


def test_plain_lines_where_stderr_is_no_terminal(tiny, tmp_path):
    done = subprocess.run(command(tiny, tmp_path, "plain"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "\r" not in done.stderr and "\x1b" not in done.stderr and "it/s]" not in done.stderr
    shown = [x for x in done.stderr.splitlines() if x.startswith("step ")]
    assert [x.split()[1] for x in shown if "loss/total" in x] == ["1/4", "2/4", "3/4", "4/4"]
    assert [x.split()[1] for x in shown if "dev accuracy" in x] == ["2/4", "4/4"]
    assert [x.split()[1] for x in shown if "test accuracy" in x] == ["4/4"]


def test_a_bar_with_the_dev_score_on_a_terminal(tiny, tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 150))
    with subprocess.Popen(
        command(tiny, tmp_path, "bar"), stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    text = shown.decode("utf-8", "replace")
    assert process.returncode == 0, text
    assert "4/4" in text and "\r" in text
    assert "loss " in text and "dev accuracy 0." in text
    assert "loss/total" not in text  # no plain lines beside it


def test_quiet_says_nothing(tiny, tmp_path, capfd):
    train(tiny(), folder=tmp_path, quiet=True)
    said = capfd.readouterr()
    assert said.out == "" and said.err == ""
    assert Path(tmp_path / "metrics.jsonl").stat().st_size > 0


@pytest.mark.parametrize("count", [9, 99])
def test_files_of_one_second_are_read_in_the_order_they_were_written(count, tmp_path, monkeypatch):
    """TensorBoard sorts their names, in which the count of files goes from 9 to 10 and to 99."""
    monkeypatch.setattr(event_file_writer, "_global_uid", AtomicCounter(count))
    for run in range(2):
        folder = tmp_path / str(run)
        folder.mkdir()
        monitor = Monitor(folder, ["x"], 2, quiet=True)
        monitor.measured(1, "dev", {"loss": 2.0})
        monitor.open_final()
        monitor.measured(2, "test", {"loss": 1.0})
        monitor.close()
        events = EventAccumulator(str(folder), purge_orphaned_data=True).Reload()
        seen = {tag: [e.step for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
        assert seen == {"dev/loss": [1], "test/loss": [2]}


def test_runs_of_earlier_versions_go_on_where_they_began(tmp_path):
    (tmp_path / "tensorboard").mkdir()
    monitor = Monitor(tmp_path, ["a"], 4, quiet=True)
    monitor.measured(1, "dev", {"accuracy": 0.5})
    monitor.close()
    assert events_of(tmp_path / "tensorboard").Scalars("dev/accuracy")[0].value == 0.5
    assert not list(tmp_path.glob("events*"))
