"""How reliable the commands are, as Markdown tables: docs/reliability.md is made of them.

    python benchmarks/reliability.py kills            SIGKILL at random moments, then again
    python benchmarks/reliability.py together         two processes in one folder
    python benchmarks/reliability.py full-disk        a disk that is full at every stage; as root
    python benchmarks/reliability.py back-translation many texts under kills
    python benchmarks/reliability.py prediction       peak memory of few and of many lines
    python benchmarks/reliability.py sweep            many runs, failing ones among them, and kills

--times, --rows and --only choose how much of it, --mini is little of each. A command is a process
of its own, forked from this one, so that it need not load torch first. What a command leaves is
compared bit for bit with what it leaves undisturbed: all files but locks, checkpoints,
TensorBoard's events, and what depends on the clock.
"""

import argparse
import contextlib
import csv
import io
import json
import multiprocessing
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import tensorboard as tensorboard  # here, or every fork would load it

from backtranslate.cli import main as backtranslate
from mixtext.active.folder import begin_active
from mixtext.api import load_recipe, train
from mixtext.cli import main as mixtext
from mixtext.data import prepare
from mixtext.export.onnx import PACKAGES
from mixtext.miniature import NOISE, TOPICS, Miniature
from mixtext.recipe import build_recipe, dump_recipe, make_recipe
from mixtext.tagging.recipe import TaggingRecipe

FORK = multiprocessing.get_context("fork")
MOST = 600  # seconds of one command
SPARED = re.compile(r"(^|/)(lock|checkpoints/.*|events\.out\.tfevents.*)$")
CLOCK = {"clock", "seconds", "commit"}  # a checkout may be worked at meanwhile


@dataclass(frozen=True)
class Command:
    """A command line, words parted by blanks.

    Attributes:
        line: W stands for the folder of the world, OUT for what the command makes.
        goes_on: said again, it goes on; else it refuses what is there.
        begins: the folder of the world that OUT is a copy of before.
        then: what goes on instead, where the command has done its part and refuses to do it again.
    """

    line: str
    goes_on: bool = True
    begins: str = ""
    then: str = ""


IDENTITY = "--backend identity --pivots de,ru --chunk 4"
COMMANDS = {
    "train": Command("mixtext train W/mixtext.toml --run OUT --resume"),
    "train, a tagger": Command("mixtext train W/tagger.toml --run OUT --resume"),
    "sweep": Command("mixtext sweep W/plain.toml --vary training.seed=0,1,2 --run OUT"),
    "sweep --jobs 2": Command(
        "mixtext sweep W/plain.toml --vary training.seed=0,1,2 --run OUT --jobs 2"
    ),
    "active run": Command("mixtext active run W/rounds.toml --run OUT --resume"),
    "active run, a tagger": Command("mixtext active run W/tagger.toml --run OUT --resume"),
    "active query": Command("mixtext active query W/asking --out OUT/form.csv"),
    "active label": Command(
        "mixtext active label OUT W/answers.csv",
        begins="asking",
        then="mixtext active run W/person.toml --run OUT --resume",
    ),
    "backtranslate": Command(f"mixtext backtranslate W/rows.csv --out OUT {IDENTITY}"),
    "backtranslate, a shard": Command(
        f"backtranslate W/texts.jsonl --out OUT {IDENTITY} --num-shards 3 --shard 1"
    ),
    "backtranslate merge": Command("backtranslate merge W/texts.jsonl OUT", begins="shards"),
    "backtranslate export": Command(
        "backtranslate export W/texts.jsonl W/store/views.jsonl --out OUT"
    ),
    "backtranslate import": Command(
        "backtranslate import W/texts.jsonl W/pickles/de_1.pkl --out OUT/views.jsonl"
    ),
    "export": Command("mixtext export W/model --out OUT", goes_on=False),
    "export --format onnx": Command(
        "mixtext export W/small --format onnx --out OUT", goes_on=False
    ),
    "predict --out": Command(
        "mixtext predict W/model --file W/rows.csv --out OUT/a.jsonl", goes_on=False
    ),
    "evaluate --report": Command("mixtext evaluate W/model --data W/rows.csv --report OUT/page"),
    "report": Command("mixtext report W/model --out OUT/page.html"),
    "plot": Command("mixtext plot W/model --out OUT/loss.png"),
    "new-recipe": Command("mixtext new-recipe W/rows.csv --out OUT/new.toml", goes_on=False),
    "reproduce": Command("mixtext reproduce mixup_transformer --mini --only sts_b-0.4 --run OUT"),
}
if not all(map(find_spec, PACKAGES)):
    del COMMANDS["export --format onnx"]


class World:
    """Data, recipes and a trained model in a folder; commands run in it, and what they leave."""

    def __init__(self, folder: Path, rows: int = 90) -> None:
        """Makes all of it."""
        self.folder, self.out = folder, folder / "disk" / "out"
        self.out.parent.mkdir()
        self.errors = folder / "stderr"
        small = Miniature(folder / "miniature")
        draw_rows(folder / "rows.csv", rows)
        training = {"steps": 8, "batch": 4, "precision": "float32", "device": "cpu"}
        often = {**training, "checkpoint_every": 2, "evaluate_every": 3, "log_every": 1}
        sizes = {"labels_per_class": 4, "dev_per_class": 4, "test_per_class": 8}
        base: dict[str, Any] = {
            "data": {"corpus": str(folder / "rows.csv"), **sizes},
            "model": {"encoder": str(small.encoder), "max_length": 16},
            "training": {**often, "batch_unlabelled": 4},
        }
        rounds = {"rounds": 2, "per_round": 4}
        person = {**rounds, "annotator": "person"}
        recipes = {
            "mixtext": {**base, "method": "mixtext", "views": {"rate": 0.2}},
            "plain": {**base, "method": "tmix", "training": training},
            "rounds": {**base, "method": "tmix", "training": training, "active": rounds},
            "person": {**base, "method": "tmix", "training": training, "active": person},
            "words": {
                **base, "method": "supervised", "training": training,
                "model": {"encoder": "kim_cnn", "embedding": "RandomTune",
                          "word_width": 16, "max_length": 16},
            },
        }  # fmt: skip
        for name, values in recipes.items():
            (folder / f"{name}.toml").write_text(dump_recipe(make_recipe(values)))
        tagger = build_recipe(
            TaggingRecipe,
            {
                "task": "tagging",
                "method": "seqmix",
                "data": {"corpus": str(draw_sentences(folder / "train.conll", 60, 0)),
                         "test": str(draw_sentences(folder / "test.conll", 20, 1)),
                         "labelled": 10, "pool_size": 20},
                "model": {"encoder": str(small.encoder), "max_length": 24, "overlap": 4},
                "training": often,
                "active": rounds,
                "seqmix": {"window": 2, "threshold": 0.5, "rate": 0.3, "ngram": 2},
            },
        )  # fmt: skip
        (folder / "tagger.toml").write_text(dump_recipe(tagger))
        train(folder / "plain.toml", folder=folder / "model", quiet=True)
        train(folder / "words.toml", folder=folder / "small", quiet=True)
        self.ask_a_person()
        self.make(f"mixtext backtranslate W/rows.csv --out W/store {IDENTITY}")
        shutil.copy(folder / "store" / "texts.jsonl", folder / "texts.jsonl")
        for number in range(3):
            shard = COMMANDS["backtranslate, a shard"].line.replace("OUT", "W/shards")
            self.make(shard.replace("--shard 1", f"--shard {number}"))
        self.make(COMMANDS["backtranslate export"].line.replace("OUT", "W/pickles"))

    def ask_a_person(self) -> None:
        """Makes rounds that wait for labels, and the form, filled in."""
        recipe = load_recipe(self.folder / "person.toml")
        active = begin_active(recipe, self.folder / "asking", quiet=True)
        form = self.folder / "answers.csv"
        active.ask(active.go_on(), form)
        rows = list(csv.DictReader(io.StringIO(form.read_text(encoding="utf-8"))))
        with form.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows({**row, "label": "a"} for row in rows)

    def make(self, line: str) -> None:
        """Runs a command that is to succeed."""
        code, _ = self.finish(Command(line))
        if code:
            raise SystemExit(f"{line}: exit code {code}\n{self.errors.read_text()}")

    def start(self, command: Command, errors: Path | None = None) -> BaseProcess:
        """Begins a command in a process of its own."""
        line = command.line.replace("W/", f"{self.folder}/").replace("OUT", str(self.out))
        cache = self.out.parent / "cache"
        process = FORK.Process(target=run, args=(line.split(" "), errors or self.errors, cache))
        process.start()
        return process

    def finish(self, command: Command) -> tuple[int | None, float]:
        """Runs a command to its end; gives its exit code and the seconds that it computed."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = self.start(command)
        process.join(MOST)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return process.exitcode, seconds

    def begin(self, command: Command) -> None:
        """Deletes what commands have made, and puts there what this one begins with."""
        for path in (self.out, self.out.parent / "cache"):
            shutil.rmtree(path, ignore_errors=True)
        if command.begins:
            shutil.copytree(self.folder / command.begins, self.out)

    def unbroken(self, command: Command) -> tuple[dict[str, bytes], float]:
        """What a command leaves undisturbed, and the seconds that it computes."""
        self.begin(command)
        code, seconds = self.finish(command)
        if code:
            raise SystemExit(f"{command.line}: exit code {code}\n{self.errors.read_text()}")
        return self.left(), seconds

    def left(self) -> dict[str, bytes]:
        """The files of OUT by name, without what may differ."""
        found = {}
        for path in self.out.rglob("*"):
            name = str(path.relative_to(self.out))
            if path.is_file() and not SPARED.search(name):
                found[name] = timeless(path)
        return found

    def fault(self, command: Command, whole: dict[str, bytes]) -> str:
        """Finishes a command that was disturbed; what is then wrong, empty where nothing is."""
        if command.goes_on or whole.keys() - self.left().keys():
            code, _ = self.finish(command)
            if code and command.then:
                code, _ = self.finish(Command(command.then))
            if code:
                return f"exit code {code}: {self.errors.read_text()[-400:]}"
        left = self.left()
        names = sorted(x for x in {*left, *whole} if left.get(x) != whole.get(x))
        return f"other files: {', '.join(names)}" if names else ""


def run(line: list[str], errors: Path, cache: Path) -> None:
    """The process of a command: ends with its exit code."""
    os.setpgrp()
    os.environ["MIXTEXT_CACHE"], prepare.LARGE = str(cache), 0  # rows of small files are kept too
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", 1)
    sys.exit({"mixtext": mixtext, "backtranslate": backtranslate}[line[0]](line[1:]))


def timeless(path: Path) -> bytes:
    """The contents of a file, without what depends on the clock."""
    raw = path.read_bytes()
    if path.suffix not in (".json", ".jsonl"):
        return raw
    values = [json.loads(x) for x in (raw.splitlines() if path.suffix == ".jsonl" else [raw])]
    return json.dumps(without_clock(values)).encode()


def without_clock(value: Any) -> Any:
    """A value of JSON without the fields that tell times."""
    if isinstance(value, dict):
        return {k: without_clock(v) for k, v in value.items() if k not in CLOCK}
    return [without_clock(x) for x in value] if isinstance(value, list) else value


def draw_rows(path: Path, rows: int, labels: bool = True) -> Path:
    """A CSV file of short texts in three classes, or one text a line."""
    draw = np.random.default_rng(rows)
    with path.open("w", encoding="utf-8") as file:
        file.write("text,label\n" if labels else "")
        for row in range(rows):
            words = [*draw.choice(TOPICS[row % 3], 2), *draw.choice(NOISE, 4), row]
            file.write(" ".join(map(str, words)) + (f",{'abc'[row % 3]}\n" if labels else "\n"))
    return path


def draw_sentences(path: Path, count: int, seed: int) -> Path:
    """A CoNLL file: animals are people here, and dishes places."""
    draw = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        for kind in draw.permutation(3):
            word = str(draw.choice((NOISE, TOPICS[0], TOPICS[1])[kind]))
            lines.append(f"{word} {('O', 'B-PER', 'B-LOC')[kind]}")
        lines += [f"{path.stem}{number} O", ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def said_badly(code: int | None, said: str) -> str:
    """What is wrong with how a command has ended; empty where nothing is."""
    if code is None:
        return "did not end"
    if "Traceback" in said:
        return f"traceback: {said[-400:]}"
    if code and not re.search(r"^(mixtext|backtranslate): .*\.$", said, re.MULTILINE):
        return f"exit code {code}, no sentence: {said[-400:]}"
    return "" if code in (0, 1, 2) else f"exit code {code}"


# ---- what is tried; each prints a table and gives the faults


def kills(world: World, options: argparse.Namespace) -> list[str]:
    """Each command is killed one to three times at random moments, and then ends undisturbed."""
    draw, faults = np.random.default_rng(options.seed), []
    print("| command | attempts | kills | ended as without |\n|---|--:|--:|--:|")
    for name, command in chosen(options):
        whole, seconds = world.unbroken(command)
        count = good = 0
        for _ in range(options.times):
            world.begin(command)
            for moment in draw.uniform(0, seconds, draw.integers(1, 4)):
                count += killed(world.start(command), moment)
            fault = world.fault(command, whole)
            good += not fault
            faults += [f"{name}: {fault}"] * bool(fault)
        print(f"| {name} | {options.times} | {count} | {good} |", flush=True)
    return faults


def killed(process: BaseProcess, moment: float) -> bool:
    """Kills a process when it has computed so many seconds; False where it had ended before."""
    alive = reaches(process, moment)
    process.kill()
    process.join()
    return alive


def reaches(process: BaseProcess, moment: float) -> bool:
    """Waits until a process has computed so many seconds; False where it ends before.

    Not seconds of the clock, of which a process gets more or fewer as others are at work.
    """
    while process.exitcode is None and computed(process.pid) < moment:
        time.sleep(0.005)
    return process.exitcode is None


def computed(group: int | None) -> float:
    """Seconds that the processes of a group have computed."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def together(world: World, options: argparse.Namespace) -> list[str]:
    """Two processes do the same in one folder, the second a moment later; then one more."""
    draw, faults = np.random.default_rng(options.seed), []
    print("| command | pairs | both did it | one was told to wait | ended as alone |")
    print("|---|--:|--:|--:|--:|")
    for name, command in chosen(options):
        whole, seconds = world.unbroken(command)
        both = refused = good = 0
        for _ in range(options.times):
            world.begin(command)
            pair, other = [world.start(command)], world.folder / "stderr2"
            reaches(pair[0], draw.choice([0, draw.uniform(0, seconds)]))
            pair.append(world.start(command, other))
            for process in pair:
                process.join(MOST)
            ends = zip(pair, (world.errors, other), strict=True)
            bad = [x for p, errors in ends if (x := said_badly(p.exitcode, errors.read_text()))]
            codes = [process.exitcode for process in pair]
            if all(codes):
                bad.append(f"neither did it: {world.errors.read_text()} {other.read_text()}")
            both, refused = both + (not any(codes)), refused + any(codes)
            if fault := "; ".join(bad) or world.fault(command, whole):
                faults.append(f"{name}: {fault}")
            else:
                good += 1
        print(f"| {name} | {options.times} | {both} | {refused} | {good} |", flush=True)
    return faults


def full_disk(world: World, options: argparse.Namespace) -> list[str]:
    """The disk is full after so many bytes; then there is room, and the command is said again."""
    faults = []
    print("| command | sizes of the disk | ran into its end | with room: as on a large one |")
    print("|---|--:|--:|--:|")
    for name, command in chosen(options):
        with disk(world.out.parent, 2**30):
            whole, _ = world.unbroken(command)
            used = shutil.disk_usage(world.out.parent).used
            world.begin(command)
            first = shutil.disk_usage(world.out.parent).used
        full = good = 0
        for size in np.linspace(first, used, options.times, dtype=int):
            with disk(world.out.parent, 2**30) as resize:
                world.begin(command)
                resize(size)
                code, _ = world.finish(command)
                full += code != 0
                fault = said_badly(code, world.errors.read_text())
                resize(2**30)
                fault = fault or world.fault(command, whole)
            good += not fault
            faults += [f"{name}, {size} bytes: {fault}"] * bool(fault)
        print(f"| {name} | {options.times} | {full} | {good} |", flush=True)
    return faults


@contextlib.contextmanager
def disk(folder: Path, size: int) -> Iterator[Callable[[int], None]]:
    """Mounts a disk of so many bytes in memory; yields what changes its size."""

    def mount(size: int, *more: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *more]), "tmpfs", folder]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            raise SystemExit("a small disk can only be mounted by root: run this one as root.")

    mount(size)
    (folder / "page").write_bytes(bytes(4096))  # a size of 0 would be one without end
    try:
        yield lambda size: mount(size, "remount")
    finally:
        subprocess.run(["umount", folder], check=True)


def back_translation(world: World, options: argparse.Namespace) -> list[str]:
    """Many texts through the identity backend, killed again and again until they are through."""
    draw = np.random.default_rng(options.seed)
    draw_rows(world.folder / "many.csv", options.rows)
    line = "mixtext backtranslate W/many.csv --out OUT --backend identity --pivots de --workers 2"
    command = Command(line)
    whole, seconds = world.unbroken(command)
    world.begin(command)
    count = sum(
        killed(world.start(command), x) for x in draw.uniform(0, seconds / 2, options.times)
    )
    fault = world.fault(command, whole)
    views = whole["views.jsonl"].count(b'"id"')
    print("| texts | views | seconds undisturbed | kills | ended as without |")
    print("|--:|--:|--:|--:|---|")
    answer = "no" if fault else "yes"
    print(f"| {options.rows:,} | {views:,} | {seconds:.0f} | {count} | {answer} |")
    return [fault] * bool(fault)


def prediction(world: World, options: argparse.Namespace) -> list[str]:
    """Peak memory of predicting a tenth of the lines, and of all."""
    peaks = []
    print("| lines | peak memory, MiB | seconds |\n|--:|--:|--:|")
    for rows in (options.rows // 10, options.rows):
        lines = draw_rows(world.folder / "many.txt", rows, labels=False)
        world.begin(Command(""))
        words = ["predict", world.folder / "small", "--file", lines, "--out", world.out / "a.jsonl"]
        command = [sys.executable, "-m", "mixtext", *map(str, words)]
        started = time.monotonic()
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            peak = 0
            while process.poll() is None:
                with contextlib.suppress(OSError, AttributeError):
                    told = Path(f"/proc/{process.pid}/status").read_text()
                    peak = max(peak, int(re.search(r"VmHWM:\s+(\d+)", told).group(1)))
                time.sleep(0.05)
        seconds = time.monotonic() - started
        with (world.out / "a.jsonl").open("rb") as file:
            if process.returncode or sum(1 for _ in file) != rows:
                return [f"exit code {process.returncode}, or not {rows} answers"]
        peaks.append(peak / 1024)
        print(f"| {rows:,} | {peaks[-1]:.0f} | {seconds:.0f} |", flush=True)
    return [] if peaks[1] < 1.1 * peaks[0] else [f"memory grows: {peaks[0]:.0f} → {peaks[1]:.0f}"]


def sweep(world: World, options: argparse.Namespace) -> list[str]:
    """A sweep of good, diverging and refused runs, killed and gone on with."""
    draw = np.random.default_rng(options.seed)
    seeds = ",".join(map(str, range(max(1, options.rows // 5))))
    rates = "0.001,0.01,0.03,1e38,-1"  # the last two: a loss that is no number, a refusal
    command = Command(
        f"mixtext sweep W/plain.toml --vary training.seed={seeds} training.lr_encoder={rates} "
        "--run OUT"
    )
    world.begin(command)
    _, seconds = world.finish(command)
    first = world.errors.read_text()
    whole = world.left()
    world.begin(command)
    count = sum(killed(world.start(command), x) for x in draw.uniform(0, seconds, options.times))
    code, _ = world.finish(command)
    again, left = world.errors.read_text(), world.left()
    told = [line for line in again.splitlines() if "has no result" in line]
    results = left["results.jsonl"].count(b'"method"')
    print("| runs | with a result | told why not | kills | exit code | as without kills |")
    print("|--:|--:|--:|--:|--:|---|")
    runs = 5 * max(1, options.rows // 5)
    same = left == whole and told == [x for x in first.splitlines() if "has no result" in x]
    print(f"| {runs} | {results} | {len(told)} | {count} | {code} | {'yes' if same else 'no'} |")
    good = same and code == 1 and results == runs * 3 // 5 and len(told) == runs * 2 // 5
    return [] if good else [f"exit code {code}\n{again[-2000:]}"]


TRIED: dict[str, tuple[Callable[[World, argparse.Namespace], list[str]], int, int]] = {
    # what, --times, --rows
    "kills": (kills, 40, 90),
    "together": (together, 10, 90),
    "full-disk": (full_disk, 20, 90),
    "back-translation": (back_translation, 10, 100_000),
    "prediction": (prediction, 1, 1_000_000),
    "sweep": (sweep, 5, 200),
}


def chosen(options: argparse.Namespace) -> list[tuple[str, Command]]:
    """The commands that --only names, else all."""
    return [(k, v) for k, v in COMMANDS.items() if not options.only or k in options.only]


def main(arguments: list[str] | None = None) -> int:
    """Tries what is asked for; exit code 1 where a command was at fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=TRIED)
    parser.add_argument("--times", type=int, help="attempts a command, kills, or sizes of the disk")
    parser.add_argument("--rows", type=int, help="texts, lines, or runs")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, help="commands; if not given, all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--mini", action="store_true", help="little of it, for a look")
    options = parser.parse_args(arguments)
    tried, times, rows = TRIED[options.what]
    options.times = options.times or (2 if options.mini else times)
    options.rows = options.rows or (min(rows, 100) if options.mini else rows)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        faults = tried(World(Path(folder)), options)
    print("\n".join(["", f"faults: {len(faults)}", *faults]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
