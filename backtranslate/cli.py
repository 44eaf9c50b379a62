"""The command line: `python -m backtranslate texts.jsonl --backend NAME --pivots CODE,… --out DIR`.

Other commands: merge, import, export, convert. Exit code 0; 2 for bad input or a full disk.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from backtranslate.backends import BACKENDS
from backtranslate.driver import make_views
from backtranslate.jobs import Executor, Settings
from backtranslate.pickles import export_pickles, import_pickles
from backtranslate.quality import Pair, describe, measure
from backtranslate.reading import reading, reason_of, shown
from backtranslate.store import MERGED, Corpus, merge, read_records, refuse_foreign, shard_path
from backtranslate.translator import PRESETS, BacktranslateError

PROGRAM = "python -m backtranslate"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence, as for all bad input."""
        raise BacktranslateError(f"{message}; see {self.prog} --help.")


def read_texts(path: Path) -> Corpus:
    """Reads JSON lines of `{id, text}`; other fields and blank lines are passed over.

    Raises:
        BacktranslateError: no such file, a malformed line, an id that stands twice: by number.
    """
    lines: dict[str, int] = {}
    texts = []
    with reading(path, BacktranslateError), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip(b" \t\r\n\xef\xbb\xbf"):
                continue
            id_, text = _parse(line.removeprefix(b"\xef\xbb\xbf"), f"{path}, line {number}")
            if id_ in lines:
                raise BacktranslateError(
                    f"{path}, line {number}: id {id_!r} stands already in line {lines[id_]}."
                )
            lines[id_] = number
            texts.append(text)
    if not texts:
        raise BacktranslateError(f"{path} holds no texts: give one JSON object a line.")
    return Corpus(list(lines), texts)


def _parse(line: bytes, where: str) -> tuple[str, str]:
    try:
        entry = json.loads(line)
        id_, text = entry["id"], entry["text"]
        if not isinstance(text, str) or isinstance(id_, bool) or not isinstance(id_, str | int):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        begin = line.decode("utf-8", "replace").strip()[:60]
        raise BacktranslateError(
            f'{where}: expected a JSON object in UTF-8 with "id" and "text", found {begin!r}.'
        ) from None
    return str(id_), text


def make(arguments: list[str], corpus: Corpus | None = None) -> None:
    """Back-translates; goes on where an earlier run of the same command stopped.

    Args:
        arguments: the file of the texts, and options.
        corpus: what that file holds, or will hold; None: read it.
    """
    parser = _Parser(
        prog=PROGRAM,
        description="Back-translates texts through pivot languages into a store of views. The same "
        "command again does only what is missing. Other commands: merge, import, export, convert.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("texts", type=Path, help="JSON lines of {id, text}")
    add("--backend", required=True, help=f"one of {', '.join(sorted(BACKENDS))}")
    add("--pivots", required=True, help="languages to go through, such as de,ru")
    add("--out", type=Path, required=True, help="folder of the store")
    add("--source", default=Settings.source, help="language of the texts")
    add("--copies", type=int, default=Settings.copies, help="views of a text a pivot")
    add("--preset", default=Settings.preset, help=f"decoding: one of {', '.join(PRESETS)}")
    add("--models", default=Settings.models, help="where the models are; empty: the backend's own")
    add("--device", default=Settings.device, help="auto, cpu, cuda, cuda:1, …")
    add("--seed", type=int, default=Settings.seed, help="of sampling")
    add(
        "--token-budget",
        type=int,
        default=Settings.token_budget,
        help="of a batch, in tokens or, where a backend has none, characters; 0: four times the "
        "longest piece, which is 1,024 tokens for neural backends",
    )
    add("--chunk", type=int, default=Settings.chunk, help="texts that are done and saved together")
    add("--workers", type=int, default=Settings.workers, help="processes on this machine")
    add("--num-shards", type=int, default=Settings.num_shards, help="parts, for many machines")
    add("--shard", type=int, default=Settings.shard, help="the part to do here, from 0")
    add("--ray", action="store_true", help="use a Ray cluster instead of --workers")
    add("--ray-address", default="", help="of the cluster; empty: RAY_ADDRESS, or a local Ray")
    add("--ray-gpus", type=float, default=0.0, help="GPUs a Ray task")
    given = vars(parser.parse_args(arguments))

    path, folder = given.pop("texts"), given.pop("out")
    ray, address, gpus = (given.pop(key) for key in ("ray", "ray_address", "ray_gpus"))
    pivots = tuple(pivot.strip() for pivot in given.pop("pivots").split(","))
    settings = Settings(pivots=pivots, **given)
    corpus = corpus or read_texts(path)
    if settings.num_shards == 1:
        refuse_foreign(folder / MERGED, path)
    execute: Executor | None = None
    if ray:
        from backtranslate.ray import RayTasks

        execute = RayTasks(address, gpus)
    made = make_views(corpus, settings, folder, execute, progress=sys.stderr)
    shard = shard_path(folder, settings.shard, settings.num_shards)
    print(f"{made:,} views made now; store in {folder}\n")
    print(describe(*measure(_pairs(shard, corpus))))
    if settings.num_shards == 1:
        count = merge([folder], corpus, folder / MERGED)
        print(f"\n{count:,} views in {folder / MERGED}")
    else:
        print(f"\nnext, when all shards are done: {PROGRAM} merge {path} {folder}")


def _pairs(path: Path, corpus: Corpus) -> Iterator[Pair]:
    source = dict(zip(corpus.ids, corpus.texts, strict=True))
    return ((source[line.record["id"]], line.record) for line in read_records(path))


def merge_shards(arguments: list[str]) -> None:
    """Proves that no view is missing or double and writes one file."""
    parser = _Parser(
        prog=f"{PROGRAM} merge",
        description="Proves that a store is complete, without doubles and made from these texts, "
        "and writes its views to one file in the order of the texts.",
    )
    parser.add_argument("texts", type=Path, help="the JSON lines that the store was made from")
    parser.add_argument(
        "stores", type=Path, nargs="+", help="folder of the store, or one a machine"
    )
    parser.add_argument("--out", type=Path, help=f"views file; if not given, STORE/{MERGED}")
    given = parser.parse_args(arguments)
    corpus = read_texts(given.texts)
    out = given.out or given.stores[0] / MERGED
    refuse_foreign(out, given.texts)
    count = merge(given.stores, corpus, out)
    print(describe(*measure(_pairs(out, corpus))))
    print(f"\n{count:,} views in {out}: none missing, none double, all checksums right")


def import_files(arguments: list[str]) -> None:
    """Official pickles → a views file."""
    parser = _Parser(
        prog=f"{PROGRAM} import",
        description="Reads the official files (de_1.pkl, ru_1.pkl), which may hold nothing but a "
        "dict of row to text, and writes a views file.",
    )
    parser.add_argument("texts", type=Path, help="JSON lines of {id, text} in the official order")
    parser.add_argument("pickles", type=Path, nargs="+", help="files named PIVOT_NUMBER.pkl")
    parser.add_argument("--out", type=Path, required=True, help="views file")
    given = parser.parse_args(arguments)
    corpus = read_texts(given.texts)
    refuse_foreign(given.out, given.texts, *given.pickles)
    _print_counts(import_pickles(given.pickles, corpus, given.out), len(corpus), given.out)


def export_files(arguments: list[str]) -> None:
    """A views file → official pickles."""
    parser = _Parser(
        prog=f"{PROGRAM} export",
        description="Writes a views file as official files, one for each pivot and copy.",
    )
    parser.add_argument("texts", type=Path, help="the JSON lines that the views were made from")
    parser.add_argument("views", type=Path, help="views file")
    parser.add_argument("--out", type=Path, required=True, help="folder of the pickles")
    given = parser.parse_args(arguments)
    corpus = read_texts(given.texts)
    _print_counts(export_pickles(given.views, corpus, given.out), len(corpus), given.out)


def _print_counts(counts: dict[str, int], rows: int, out: Path) -> None:
    for name, count in counts.items():
        print(f"{name}: views of {count:,} of {rows:,} rows")
    print(f"wrote {out}")


def convert_model(arguments: list[str]) -> None:
    """A Marian, opus-mt or fairseq checkpoint → a CTranslate2 model."""
    parser = _Parser(
        prog=f"{PROGRAM} convert",
        description="Converts a Marian, opus-mt or fairseq checkpoint for the ctranslate2 backend.",
    )
    add = parser.add_argument
    add(
        "checkpoint",
        help="folder or hub name of a Marian model; folder of an opus-mt or fairseq one",
    )
    add("out", type=Path, help="folder to make; FOLDER/en-de is found with --models FOLDER")
    add("--kind", default="marian", help="marian, opus-mt or fairseq")
    add("--source", default="", help="language of the texts; needed for fairseq")
    add("--target", default="", help="language of the translations; needed for fairseq")
    add("--quantization", default="int8", help="int8, int8_float16, int16, float16 or float32")
    given = parser.parse_args(arguments)
    from backtranslate.backends.ctranslate2 import convert

    convert(**vars(given))
    print(f"wrote {given.out}")


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "merge": merge_shards,
    "import": import_files,
    "export": export_files,
    "convert": convert_model,
}


def main(arguments: Iterable[str] | None = None, corpus: Corpus | None = None) -> int:
    """Runs the command line; returns the exit code. `corpus` as in `make`."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if any("\0" in argument for argument in given):
            raise BacktranslateError(
                "an argument holds a NUL, which no name or text has: leave it out."
            )
        if given and given[0] in COMMANDS:
            COMMANDS[given[0]](given[1:])
        else:
            make(given, corpus)
    except BacktranslateError as error:
        print(f"backtranslate: {shown(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        where = shown(error.filename or "the disk", 300)
        print(f"backtranslate: {where} cannot be used: {reason_of(error)}.", file=sys.stderr)
        return 2
    except UnicodeEncodeError as error:  # a name of a file, in bytes that are no text
        odd = shown(repr(error.object[error.start :][:60]))
        print(f"backtranslate: {odd} cannot be written as UTF-8: rename it.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("backtranslate: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:  # … | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0
