"""Several hundred bad inputs to all commands: each is refused with a sentence, or does no harm.

Every file that a command reads is spoiled in many ways, by a seeded generator. Clean is what ends
with exit code 0 and no traceback, or with exit code 2 (3: the loss is no number) and one sentence,
of at most a few hundred characters, which names the file that was spoiled or the folder it is in.
"""

import contextlib
import io
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from backtranslate.cli import main as backtranslate
from mixtext.cli import main as mixtext

pytestmark = pytest.mark.slow

SECONDS = 10  # of computing: a command that takes more has no end
WAITING = 300  # seconds: nor has one that takes so long, however much else the machine does
MEMORY = 4 * 2**30  # bytes of addresses: what reads without end fails
LONGEST = 600  # characters of a message


# ---- what is spoiled, and who reads it: G is the good world, W a copy of the spoiled part of it

TRAIN = "mixtext train G/recipe.toml --run W/new --dry-run"
VIEWS = "mixtext train G/bert.toml --run W/new --dry-run views.file=FILE"
AGAIN = "mixtext train G/recipe.toml --run W/run --resume"
STORE = "backtranslate G/rows.jsonl --backend identity --pivots xx --out W/store"
ROWS = [
    "mixtext inspect-data FILE --encoder E",
    "mixtext new-recipe FILE --out W/new.toml",
    "mixtext evaluate G/run --data FILE",
    "mixtext predict G/run --file FILE",
    "mixtext backtranslate FILE --out W/out --backend identity --pivots xx",
    TRAIN + " data.corpus=FILE",
]
TAGS = [
    "mixtext inspect-data FILE --encoder E",
    "mixtext new-recipe FILE --out W/new.toml",
    "mixtext evaluate G/tagger --data FILE",
    "mixtext train G/tagger.toml --run W/new --dry-run data.corpus=FILE",
    "mixtext active run G/active.toml --run W/new data.corpus=FILE",
]
RUN = ["mixtext predict W/run cat", "mixtext evaluate W/run --data G/rows.csv"]
ACTIVE = [
    "mixtext active query W/active --out W/q.conll",
    "mixtext active show W/active",
    "mixtext active run G/active.toml --run W/active --resume",
    "mixtext active label W/active G/active/query-01.conll",
]
PAGE = "mixtext report W/run --out W/p.html"
PUBLISHED = "mixtext table W/run --published G/published.toml"
LAST = "checkpoints/step-000002"
READERS: dict[str, list[str]] = {
    "rows.csv": ROWS,
    "rows.tsv": ROWS[:3],
    "rows.jsonl": [*ROWS, STORE.replace("G/rows.jsonl", "FILE")],
    "rows.parquet": ROWS,
    "rows.npz": ["mixtext inspect-data FILE", "mixtext predict G/run --file FILE"],
    "folder/food/190.txt": [x.replace("FILE", "W/folder") for x in ROWS[:2]],
    "train.conll": TAGS,
    "vectors.txt": [TRAIN + " model.vectors=FILE"],
    "recipe.toml": [
        "mixtext train FILE --dry-run",
        "mixtext sweep FILE --vary training.seed=0,1 --run W/new",
    ],
    "tagger.toml": ["mixtext train FILE --dry-run"],
    "active.toml": ["mixtext active run FILE --run W/new"],
    "table.toml": ["mixtext reproduce FILE --run W/new"],
    "published.toml": ["mixtext table G/run --published FILE"],
    "run/model/mixtext.json": [*RUN, "mixtext export W/run --out W/new"],
    "run/model/encoder.json": RUN,
    "run/model/encoder.safetensors": [*RUN[:1], "mixtext export W/run --out W/new"],
    "run/model/head.safetensors": RUN[:1],
    "run/model/tokenizer.json": RUN[:1],
    "run/model/tokenizer_config.json": RUN[:1],
    "bert/model/mixtext.json": ["mixtext predict W/bert cat"],
    "bert/model/config.json": ["mixtext predict W/bert cat"],
    "bert/model/model.safetensors": ["mixtext predict W/bert cat"],
    "bert/model/tokenizer.json": ["mixtext predict W/bert cat"],
    "tagger/model/mixtext.json": ["mixtext predict W/tagger cat"],
    "tagger/model/config.json": ["mixtext predict W/tagger cat"],
    "tagger/recipe.toml": [
        "mixtext evaluate W/tagger --data G/test.conll",
        "mixtext train G/tagger.toml --run W/tagger --resume",
    ],
    "run/result.json": ["mixtext table W/run", AGAIN, PAGE, PUBLISHED],
    "run/metrics.jsonl": ["mixtext plot W/run --out W/p.png", PAGE],
    "run/answers.json": [PAGE],
    "run/recipe.toml": [AGAIN, PAGE, "mixtext export W/run --out W/new"],
    "run/environment.json": [AGAIN],
    "run/checkpoints/index.json": [AGAIN],
    f"run/{LAST}/state.json": [AGAIN],
    f"run/{LAST}/weights.safetensors": [AGAIN],
    f"run/{LAST}/optimiser.safetensors": [AGAIN],
    f"run/{LAST}/generators.safetensors": [AGAIN],
    "active/active.json": ACTIVE,
    "active/recipe.toml": ACTIVE[:1],
    "active/environment.json": ACTIVE[:1],
    "active/generated/round-00.jsonl": [ACTIVE[1]],
    "active/query-01.conll": ["mixtext active label W/active FILE"],
    "asking/active.json": [
        "mixtext active query W/asking --out W/q.csv",
        "mixtext active run G/asking.toml --run W/asking --resume",
    ],
    "asking/query-01.csv": ["mixtext active label W/asking FILE"],
    "asking/form.jsonl": ["mixtext active label W/asking FILE"],
    "gold/curve.json": ["mixtext active plot W/gold --out W/c.png"],
    "store/views.jsonl": [VIEWS, "backtranslate export G/rows.jsonl FILE --out W/out"],
    "store/complete.json": ["backtranslate merge G/rows.jsonl W/store"],
    "store/views-00000-of-00001.jsonl": [STORE, "backtranslate merge G/rows.jsonl W/store"],
    "store/manifest.json": [STORE, "backtranslate merge G/rows.jsonl W/store"],
    "pickles/xx_1.pkl": ["backtranslate import G/rows.jsonl FILE --out W/v.jsonl"],
    "en-xx.jsonl": [STORE.replace("identity", "precomputed --models W/{source}-{target}.jsonl")],
}
# What a refusal may name instead, where what is left of a file is whole, but too little.
ELSE = {x: ("class '", "pool ") for x in ("rows.csv", "rows.jsonl")}
ELSE["en-xx.jsonl"] = ("xx-en.jsonl",)
# The run is over: nobody would look at its checkpoints.
UNFINISHED = re.compile(r"run/(checkpoints|environment)")

# ---- how

ODD = [
    *("null", "[]", "{}", '""', '"x"', "true", "-1", "0", "1e23", "1e999", "NaN", "0.5"),
    *("1" + "0" * 23, "9" * 5000, "-" + "9" * 5000, '"\\ud800"', '"a\\u0000b"', '"../../x"'),
    "[" * 100_000 + "]" * 100_000,
    '{"a":' * 100_000 + "1" + "}" * 100_000,
    '"' + "x" * 100_000 + '"',
    '[[[1, "a"], null], {"b": [true]}]',
]
ODD_TOML = [
    *("1" + "0" * 23, "9" * 5000, "1e999", "nan", "-inf", "-1", "0", "0.5", "true", '""', "[]"),
    *('"x"', "{}", "[[1], {a = 1}]", "1979-05-27", '"a\\u0000b"', '"' + "x" * 20_000 + '"'),
    *("[" * 50_000, "[" * 500 + "]" * 500, "{a=" * 2_000, '["x", 1, true]', "'" + "/" * 300 + "'"),
]


def spoiled_bytes(raw: bytes, generator: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Ways to spoil any file."""
    yield "empty", b""
    yield "blank", b" \n\n"
    yield "half", raw[: len(raw) // 2]
    yield "cut", raw[:-3]
    yield "twice", raw + raw
    yield "junk", generator.bytes(400)
    yield "junk in the middle", raw[: len(raw) // 2] + generator.bytes(40) + raw[len(raw) // 2 :]
    yield "NULs", bytes(2000)
    yield "NULs behind", raw + bytes(200)
    yield "NUL inside", raw.replace(b"a", b"a\0", 3)
    yield "UTF-16", raw.decode("latin-1").encode("utf-16")
    yield "surrogates", raw.replace(b"a", b"\xed\xa0\x80", 2)
    yield "carriage returns", raw.replace(b"\n", b"\r")
    yield "quotes", raw.replace(b"o", b'"', 5)
    yield "nested", b"[" * 200_000
    yield "one long line", b"x" * 10**6
    flipped = bytearray(raw)
    for place in generator.integers(0, max(1, len(raw)), 20):
        flipped[place : place + 1] = generator.bytes(1)
    yield "flips", bytes(flipped)


def spoiled_json(
    raw: bytes, generator: np.random.Generator, most: int
) -> Iterator[tuple[str, bytes]]:
    """Values of a JSON file, or of the lines of one, in place of which others stand."""
    lines = [json.loads(line) for line in raw.splitlines()] if b"}\n{" in raw else [json.loads(raw)]
    places = [(n, *place) for n, line in enumerate(lines[:2]) for place in places_in(line)]
    chosen = [places[i] for i in generator.permutation(len(places))]
    for number in range(most):
        place = chosen[number % len(chosen)]
        odd = ODD[int(generator.integers(len(ODD)))] if number >= len(chosen) else "gone"
        changed = json.loads(json.dumps(lines))
        *above, key = place
        holder = changed
        for step in above:
            holder = holder[step]
        if odd == "gone":
            del holder[key]
        else:
            holder[key] = "HERE"
        text = "\n".join(json.dumps(line) for line in changed).replace('"HERE"', odd)
        yield f"{place} {odd[:20]}", text.encode()


def places_in(value: object) -> Iterator[tuple]:
    """The way to every value inside a value."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(min(2, len(value))):
            yield (key,)
            yield from ((key, *rest) for rest in places_in(value[key]))


def spoiled_toml(
    raw: bytes, generator: np.random.Generator, most: int
) -> Iterator[tuple[str, bytes]]:
    """Fields of a recipe with values that they cannot mean."""
    lines = raw.decode().splitlines()
    fields = [n for n, line in enumerate(lines) if " = " in line]
    for _ in range(most):
        place = fields[int(generator.integers(len(fields)))]
        odd = ODD_TOML[int(generator.integers(len(ODD_TOML)))]
        name = lines[place].partition(" = ")[0]
        changed = [*lines[:place], f"{name} = {odd}", *lines[place + 1 :]]
        yield f"{name} = {odd[:20]}", "\n".join(changed).encode()


def spoiled_parquet(generator: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Tables whose columns are of types that are no text and no label, or of no rows."""
    import pyarrow
    from pyarrow import parquet

    texts, nested = pyarrow.array(["a cat", "old bread"] * 30), None
    for _ in range(60):
        nested = [nested]
    odd = {
        "numbers": pyarrow.array(range(60)),
        "lists": pyarrow.array([["a", "b"]] * 60),
        "tables": pyarrow.array([{"a": {"b": 1}}] * 60),
        "maps": pyarrow.array([[("a", 1)]] * 60, pyarrow.map_("string", "int8")),
        "nested": pyarrow.array([nested] * 60),
        "bytes": pyarrow.array([b"\xff\xfe"] * 60),
        "broken strings": pyarrow.array([b"\xed\xa0\x80"] * 60).view("string"),
        "nothing": pyarrow.nulls(60),
        "decimals": pyarrow.array(range(60)).cast(pyarrow.decimal128(38, 10)),
        "days": pyarrow.array(range(60), "int32").cast("date32"),
        "times": pyarrow.array([2**62] * 60, pyarrow.timestamp("us")),
        "durations": pyarrow.array([2**62] * 60, pyarrow.duration("ns")),
        "no numbers": pyarrow.array([float("nan"), float("inf")] * 30),
        "truths": pyarrow.array([True, None] * 30),
        "one of few": pyarrow.array(["a", "b"] * 30).dictionary_encode(),
    }
    tables = {f"text: {k}": pyarrow.table({"text": v, "label": texts}) for k, v in odd.items()}
    tables |= {f"label: {k}": pyarrow.table({"text": texts, "label": v}) for k, v in odd.items()}
    tables |= {
        "no rows": pyarrow.table({"text": texts[:0], "label": texts[:0]}),
        "no columns": pyarrow.table({}),
        "a column twice": pyarrow.Table.from_arrays([texts] * 3, ["text", "label", "text"]),
        "odd names": pyarrow.table({"text": texts, "label": texts, "a\nb" * 500: texts}),
        "other names": pyarrow.table({"\x1b[31m": texts, "x" * 5000: texts}),
    }
    for how, table in tables.items():
        file = io.BytesIO()
        parquet.write_table(table, file)
        yield how, file.getvalue()
    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": texts, "label": texts}), file)
    for number in range(20):  # behind is what tells the types, sizes and places of all else
        flipped = bytearray(file.getvalue())
        for place in generator.integers(len(flipped) // 4 * (number % 4), len(flipped), 3):
            flipped[place] = generator.integers(256)
        yield "flips", bytes(flipped)


def special(path: Path) -> Iterator[str]:
    """Things at a place that are no file; each is there while it is yielded."""
    os.mkfifo(path)
    yield "a FIFO"
    path.unlink()
    path.symlink_to("/dev/zero")
    yield "an endless device"
    path.unlink()
    path.symlink_to(path)
    yield "a link to itself"
    path.unlink()
    path.mkdir()
    yield "a folder"
    path.rmdir()
    yield "nothing"


# ---- running


class Tally:
    """What was tried, and what was not clean."""

    def __init__(self) -> None:
        self.tried, self.refused, self.rest = 0, 0, []

    def run(self, command: str, how: str, names: tuple[str, ...] = ()) -> None:
        """Runs a command line, words parted by blanks; a refusal must hold one of `names`."""
        program, *arguments = command.split(" ")
        code, err = called(program, arguments)
        self.tried += 1
        self.refused += code != 0
        fault = self.fault(code, err, names)
        if fault:
            self.rest.append(f"{fault}\n    {how}\n    {command[:300]}\n    {err[-900:]}")

    def fault(self, code: object, err: str, names: tuple[str, ...]) -> str:
        if "Traceback" in err:
            return "traceback"
        if code == 0:
            return ""
        if code not in (2, 3):
            return f"exit code {code}"
        last = err.strip().splitlines()[-1:] or [""]
        if not re.match(r"(mixtext|backtranslate): ", last[0]):
            return "" if "╰" in last[0] else "no sentence"
        if len(last[0]) > LONGEST:
            return f"{len(last[0])} characters"
        if not last[0].isprintable():
            return "control characters"
        if names and not any(name in last[0] for name in names):
            return "does not name the file"
        return ""


def called(program: str, arguments: list[str]) -> tuple[object, str]:
    """Exit code, and what was said on stderr; a traceback where there would be one."""
    main = {"mixtext": mixtext, "backtranslate": backtranslate}[program]
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(WAITING)
        try:
            code: object = main(arguments)
        except SystemExit as ended:
            code = ended.code
        except BaseException:
            code = 1
            err.write(traceback.format_exc())
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
    return code, err.getvalue()


class Waited(BaseException):
    """A command did not come to an end."""


@pytest.fixture
def clock(monkeypatch):
    def ring(*_: object) -> None:
        raise Waited

    before = {x: signal.signal(x, ring) for x in (signal.SIGALRM, signal.SIGPROF)}
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def tally(counts):
    tally = Tally()
    yield tally
    clean = tally.tried - len(tally.rest)
    counts.append(
        f"bad inputs: {tally.tried} tried, {clean} clean ({tally.refused} refused, the others did "
        f"no harm), rest {len(tally.rest)}"
    )


def spoil(raw: bytes, target: str, generator: np.random.Generator) -> list[tuple[str, bytes]]:
    ways = list(spoiled_bytes(raw, generator))
    ways = [ways[i] for i in generator.permutation(len(ways))[:5]]
    suffix = Path(target).suffix
    if suffix == ".toml":  # an empty recipe is one with defaults, which are large
        ways = [way for way in ways if way[0] not in ("empty", "blank")]
    if suffix in (".json", ".jsonl"):
        ways += spoiled_json(raw, generator, 9)
    elif suffix == ".toml":
        ways += spoiled_toml(raw, generator, 14)
    elif suffix == ".parquet":
        ways += spoiled_parquet(generator)
    return ways


@dataclass(frozen=True)
class Place:
    """Where a command finds the file that is spoiled, and all else.

    Attributes:
        world: where nothing is spoiled.
        folder: a copy of what is to be.
        encoder: the folder of the encoder.
        target: the file, by its place in either.
    """

    world: Path
    folder: Path
    encoder: str
    target: str

    @property
    def top(self) -> str:
        return Path(self.target).parts[0]

    @property
    def names(self) -> tuple[str, ...]:
        """What a refusal names: of a recipe a field, which may be right but for another file."""
        if self.target.endswith(".toml"):
            return ()
        return self.top, Path(self.target).name, *ELSE.get(self.target, ())

    def fresh(self) -> Path:
        """Copies what is there, without the file, whose path it gives."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        if (self.world / self.top).is_dir():
            shutil.copytree(self.world / self.top, self.folder / self.top)
        if UNFINISHED.match(self.target):
            (self.folder / "run" / "result.json").unlink()
        path = self.folder / self.target
        path.unlink(missing_ok=True)
        return path

    def line(self, command: str) -> str:
        file = self.folder / self.target
        places = {"G/": f"{self.world}/", "W/": f"{self.folder}/", "FILE": str(file)}
        for name, place in places.items():
            command = command.replace(name, place)
        return command.replace(" E", f" {self.encoder}")


@pytest.mark.parametrize("target", READERS)
def test_spoiled_files(target, good_world, tmp_path, encoder, tally, clock):
    generator = np.random.default_rng([*target.encode()])
    place, before = Place(good_world, tmp_path, encoder, target), len(tally.rest)
    commands = READERS[target]

    def run(number: int, how: str) -> None:
        command = place.line(commands[number % len(commands)])
        tally.run(command, f"{target}: {how}", place.names)

    if not (good_world / target).exists():
        pytest.skip("Parquet files are read where pyarrow is installed")
    spoiled = spoil((good_world / target).read_bytes(), target, generator)
    for number, (how, contents) in enumerate(spoiled):
        place.fresh().write_bytes(contents)
        run(number, how)
    for number, how in enumerate(special(place.fresh())):
        run(number, how)
    assert not tally.rest[before:], "\n" + "\n".join(tally.rest[before:])


# ---- one bit

CHECKED = {
    "checked": "mixtext predict W/{} cat",
    f"run/{LAST}": AGAIN,
}


@pytest.mark.parametrize("folder", CHECKED)
def test_a_flipped_bit_is_not_used(folder, good_world, tmp_path, encoder, tally, clock):
    """Of all that is known by checksums: whatever it changes, it is refused."""
    generator, before = np.random.default_rng(0), len(tally.rest)
    files = [x for x in sorted((good_world / folder).rglob("*")) if x.name != "mixtext.json"]
    for file in files:
        if file.is_dir():
            continue
        target = file.relative_to(good_world)
        place = Place(good_world, tmp_path / "w", encoder, str(target))
        command = place.line(CHECKED[folder].format(target.parent))
        for _ in range(4):
            raw = bytearray(file.read_bytes())
            bit = int(generator.integers(8 * len(raw)))
            raw[bit // 8] ^= 1 << bit % 8
            place.fresh().write_bytes(raw)
            refused = tally.refused
            tally.run(command, f"{target}: bit {bit} flipped", (target.name,))
            assert tally.refused == refused + 1, f"{target}: bit {bit} flipped, and used"
    assert not tally.rest[before:], "\n" + "\n".join(tally.rest[before:])


# ---- what the commands are told

PATHS = """\
mixtext train X
mixtext train G/recipe.toml --dry-run --run X
mixtext train G/recipe.toml --dry-run data.corpus=X
mixtext sweep X --run W/new
mixtext reproduce X --run W/new
mixtext reproduce digits --only X --run W/new
mixtext reproduce digits --only none --run X
mixtext reproduce digits X --run W/new
mixtext evaluate X --data G/rows.csv
mixtext evaluate G/run --data X
mixtext evaluate G/run --data G/rows.csv --text X
mixtext inspect-data X
mixtext inspect-data G/rows.csv --encoder X
mixtext new-recipe X --out W/new.toml
mixtext new-recipe G/rows.csv --method X --out W/n.toml
mixtext datasets X
mixtext predict X cat
mixtext predict G/run --file X
mixtext predict G/run --file G/rows.csv --encoding X
mixtext predict G/run cat --out X
mixtext export X --out W/new
mixtext export G/run --out X
mixtext export G/run X
mixtext export G/run --format X
mixtext table X
mixtext table G/run --published X
mixtext table G/run --baseline X
mixtext plot X
mixtext plot G/run --out X
mixtext report X --out W/p.html
mixtext report G/run --out X
mixtext X
mixtext active run X
mixtext active query X
mixtext active label G/active X
mixtext active query G/active --out X
mixtext active plot X --out W/c.png
mixtext backtranslate X --out W/out --backend identity --pivots xx
backtranslate X
backtranslate G/rows.jsonl --backend identity --pivots X --out W/s
backtranslate merge X
backtranslate G/rows.jsonl --backend X --pivots xx --out W/s
mixtext active X
backtranslate G/rows.jsonl --backend identity --pivots xx --out X
backtranslate export G/rows.jsonl G/store/views.jsonl --out X
backtranslate import G/rows.jsonl X --out W/v.jsonl
backtranslate convert X W/c
""".splitlines()
NAMES = ["a\0b", "", "\udc80", "x" * 5000, "/" + "y/" * 3000, "\x1b[31m", "-", "/dev/zero", "nan"]
COUNTS = [
    *("mixtext sweep G/recipe.toml --jobs X --run W/new --vary training.seed=-1",),
    *("mixtext reproduce digits --only none --jobs X --run W/new",),
    *("mixtext inspect-data G/rows.csv --encoder E --max-length X",),
    *("mixtext inspect-data G/rows.csv --encoder E --first-label X",),
    *("mixtext evaluate G/run --data G/rows.csv --scores X X",),
    *("mixtext active show G/active --most X",),
    *("mixtext inspect-data G/rows.npz --unpacked-gib X",),
    *(f"{STORE} --{x} X" for x in ("chunk", "workers", "num-shards", "shard", "copies", "seed")),
    *(f"{STORE} --token-budget X", "mixtext train G/recipe.toml --dry-run training.seed=X"),
    *(f"{TRAIN} {x}=X" for x in ("training.batch", "training.accumulate", "training.eval_batch")),
    *(f"{TRAIN} {x}=X" for x in ("data.labels_per_class", "training.lr_head", "model.max_length")),
    *(f"{VIEWS} {x}=X".replace("views.file=FILE", "") for x in ("training.batch_unlabelled",)),
]
NUMBERS = ["1" + "0" * 23, "1000000000", "-1", "9" * 5000, "1e999", "nan", "0x10", "", "½", "1\0"]


@pytest.mark.parametrize("program", ["mixtext", "backtranslate"])
def test_odd_arguments(program, good_world, tmp_path, encoder, tally, clock, monkeypatch):
    place, before = Place(good_world, tmp_path / "w", encoder, "none"), len(tally.rest)
    generator = np.random.default_rng(0)
    for templates, values in ((PATHS, NAMES), (COUNTS, NUMBERS)):
        for template in templates:
            if not template.startswith(program + " "):
                continue
            for value in generator.permutation(values)[:5]:
                place.fresh()
                monkeypatch.chdir(place.folder)  # where names without a folder lead
                command = place.line(template).replace("X", str(value))
                tally.run(command, f"{template} with {value[:20]!r}")
    assert not tally.rest[before:], "\n" + "\n".join(tally.rest[before:])


# ---- what the system denies

WRITERS = """\
mixtext train G/recipe.toml --run W/shut/new
mixtext active run G/gold.toml --run W/shut/n
mixtext sweep G/recipe.toml --run W/shut/new
mixtext predict G/run cat --out W/shut/a.csv
mixtext export G/run --out W/shut/new
mixtext report G/run --out W/shut/p.html
mixtext plot G/run --out W/shut/p.png
mixtext new-recipe G/rows.csv --out W/shut/a.toml
mixtext evaluate G/run --data G/rows.csv --report W/shut/r.html
mixtext active query G/active --out W/shut/q.conll
mixtext reproduce G/table.toml --run W/shut/new
backtranslate G/rows.jsonl --backend identity --pivots xx --out W/shut/store
mixtext backtranslate G/rows.csv --backend identity --pivots xx --out W/shut/v
backtranslate export G/rows.jsonl G/store/views.jsonl --out W/shut/pickles
backtranslate import G/rows.jsonl G/pickles/xx_1.pkl --out W/shut/v.jsonl
""".splitlines()
NOBODY = 65534


def as_nobody(call: Callable[[], None], tally: Tally, answer: Connection) -> None:
    """The process of somebody who may not do all: sends back what was tried."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    call()
    answer.send((tally.tried, tally.refused, tally.rest))


@pytest.fixture
def open_to_all(good_world, encoder, tmp_path, tmp_path_factory):
    """The folders of these tests may be read by everybody for a while."""
    base = tmp_path_factory.getbasetemp()
    above = {folder: folder.stat().st_mode for folder in (base.parent, base)}
    for folder in above:
        folder.chmod(0o755)
    for folder in (good_world, Path(encoder).parent, tmp_path):
        for path in (folder, *folder.rglob("*")):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    yield tmp_path
    for folder, mode in above.items():
        folder.chmod(mode)


def test_what_is_denied(good_world, open_to_all, encoder, tally):
    """In a process that is not root's: files that may not be read, folders not written to."""
    before, context = len(tally.rest), multiprocessing.get_context("fork")

    def run_all(place: Place, commands: list[str], how: str) -> None:
        for path in (place.folder, *place.folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY) if os.geteuid() == 0 else None
        ours, theirs = context.Pipe()

        def call() -> None:
            for command in commands:
                tally.run(place.line(command), f"{place.target}: {how}", place.names)

        child = context.Process(target=as_nobody, args=(call, tally, theirs))
        child.start()
        theirs.close()
        tally.tried, tally.refused, tally.rest = ours.recv()
        child.join()

    refused = tally.refused
    targets = [x for x in READERS if (good_world / x).exists()]  # Parquet files need pyarrow
    for target in targets:
        place = Place(good_world, open_to_all / "w", encoder, target)
        path = place.fresh()
        shutil.copy(good_world / target, path)
        path.chmod(0)
        run_all(place, READERS[target][:1], "may not be read")
    place = Place(good_world, open_to_all / "w", encoder, "none.toml")
    place.fresh()
    (place.folder / "shut").mkdir(mode=0o555)
    run_all(place, WRITERS, "may not be written to")
    assert not tally.rest[before:], "\n" + "\n".join(tally.rest[before:])
    assert tally.refused - refused > 0.9 * (len(targets) + len(WRITERS))
