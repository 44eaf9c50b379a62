"""The command line: `mixtext COMMAND`. Each command is a function below, its help the docstring."""

import dataclasses
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import tyro

from mixtext import __version__
from mixtext.active_commands import ACTIVE_COMMANDS
from mixtext.data_commands import (
    UNSAID,
    ReadFlags,
    datasets,
    inspect_data,
    methods,
    new_recipe,
    recipe_fields,
)
from mixtext.errors import InputError, disk_trouble, shown
from mixtext.model_commands import JSON, evaluate, export, predict
from mixtext.settings import near

if TYPE_CHECKING:
    from mixtext.data.corpus import Corpus
    from mixtext.data.read.options import ReadOptions

    pass

_loud: list[TextIO] = []  # where complaints go while --quiet keeps all else off the screen
POSITIONAL = tyro.conf.Positional


def train(
    recipe: Annotated[Path, POSITIONAL],
    overrides: Annotated[tuple[str, ...], POSITIONAL] = (),
    run: Path | None = None,
    resume: bool = False,
    dry_run: bool = False,
    as_json: JSON = False,
) -> int:
    """Train a recipe: mixtext train RECIPE [table.field=value …] [--run FOLDER] [--resume]

    Writes a run folder (metrics, TensorBoard events, checkpoints, result.json, the model) and
    prints the scores. Any field of the recipe can be overridden:

        mixtext train experiments/quickstart.toml method=tmix data.labels_per_class=10

    `torchrun --nproc-per-node 2 -m -- mixtext train …`: two processes share every batch.

    Args:
        recipe: the recipe, a TOML file; `mixtext new-recipe` writes one for your data.
        overrides: fields to change, such as training.steps=50 or mixtext.temperature=0.3.
        run: the run folder; if not given, runs/NAME with the recipe's name.
        resume: go on where a killed run stopped; a finished run only prints its scores.
        dry_run: print the plan, the split sizes, what the same labels give in a second without
            training, and a time estimate from three timed steps.
        as_json: print result.json as one line.
    """
    from mixtext.api import load_recipe, prepare
    from mixtext.api import train as train_it
    from mixtext.training.distributed import first_alone

    loaded = load_recipe(recipe, overrides)
    folder = run or Path("runs") / loaded.name
    if dry_run:
        with first_alone():
            prepared = prepare(loaded)
        print(prepared.describe())
        if told := prepared.rivals():
            print(f"a second  {told}")
        print(f"time      about {_minutes(prepared.estimate())} on this machine, now")
        return 0
    result = train_it(loaded, folder=folder, resume=resume)
    if as_json:
        print(json.dumps(result.values, ensure_ascii=False))
        return 0
    chosen = result["best_step"] if result["dev"] else result["steps"]
    print(f"best  weights of step {chosen} of {result['steps']}")
    for part in ("dev", "test"):
        if result[part]:
            print("  ".join([f"{part:<4}", *(f"{k} {v:.4f}" for k, v in result[part].items())]))
    print(f"run   {folder} (model in {folder / 'model'})")
    print(f"look  tensorboard --logdir {shlex.quote(str(folder.parent))}")
    return 0


def sweep(
    recipe: Annotated[Path, POSITIONAL],
    overrides: Annotated[tuple[str, ...], POSITIONAL] = (),
    vary: tuple[str, ...] = (),
    run: Path | None = None,
    active: bool = False,
    keep_models: bool = False,
    jobs: int = 1,
    ray: bool = False,
) -> int:
    """Train every combination: mixtext sweep RECIPE [table.field=value …] --vary FIELD=a,b …

    Each combination is a run folder below one folder, beside a results.jsonl for `mixtext table`:

        mixtext sweep mine.toml --vary method=supervised,tmix data.split_seed+training.seed=0,1,2

    Combinations that are refused are named first; one that fails does not stop the others. Killed,
    or mended? Call it again: finished runs are kept, unfinished ones go on.

    Args:
        recipe: the recipe, a TOML file.
        overrides: fields that all runs share; {training.seed} in one becomes the run's own value.
        vary: fields and their values; field+field for two that take the same value; a TOML list
            where values hold commas.
        run: the folder of all runs; if not given, runs/NAME with the recipe's name.
        active: each combination is rounds of active learning, as `mixtext active run` does them,
            and what is tabled are their curves.
        keep_models: keep the exported models.
        jobs: runs side by side, each in a process of one thread.
        ray: hand the runs to a Ray cluster: the one that RAY_ADDRESS names, or a local one.
    """
    from mixtext.report.curves import curve_table
    from mixtext.report.tables import comparison
    from mixtext.settings import read_toml
    from mixtext.sweep import executor
    from mixtext.sweep import sweep as sweep_all

    names = [x.removeprefix("name=") for x in overrides if x.startswith("name=")]
    name = names[-1] if names else str(read_toml(recipe).get("name", "run"))
    folder = run or Path("runs") / name
    with executor(jobs, ray) as execute:
        swept = sweep_all(recipe, overrides, vary, folder, keep_models, execute, active)
    if swept.results:
        print((curve_table if active else comparison)(swept.results))
    for name, reason in swept.failed.items():
        _complain(f"{name} has no result: {reason}")
    return 1 if swept.failed else 0


def reproduce(
    table: Annotated[str, POSITIONAL],
    overrides: Annotated[tuple[str, ...], POSITIONAL] = (),
    mini: bool = False,
    only: tuple[str, ...] = (),
    run: Path | None = None,
    jobs: int = 1,
    ray: bool = False,
) -> int:
    """Run a table of a paper, and ours beside it: mixtext reproduce TABLE [table.field=value …]

    The tables are data, in experiments/tables: table2, layers, mixtext, rivals, views, digits,
    words, mixup_transformer, ssmix, seqmix. Writes table.md, table.csv, figure.png, results.jsonl
    beside the runs. Killed? Call it again: finished runs are kept, unfinished ones go on.

    Args:
        table: its name, or a file like those.
        overrides: fields that all runs share, such as data.root=FOLDER.
        mini: a run of a minute with a random encoder and made-up texts, to see that all is there.
        only: beginnings of the names of the sweeps to run.
        run: the folder of all runs; if not given, runs/reproduce/TABLE.
        jobs: runs side by side, each in a process of one thread.
        ray: hand the runs to a Ray cluster: the one that RAY_ADDRESS names, or a local one.
    """
    from mixtext.reproduce import reproduce as reproduce_it
    from mixtext.sweep import executor

    folder = run or Path("runs/reproduce") / (Path(table).stem + "-mini" * mini)
    with executor(jobs, ray) as execute:
        failed = reproduce_it(table, folder, overrides, mini, only, execute)
    print((folder / "table.md").read_text(encoding="utf-8"), end="")
    for name, reason in failed.items():
        _complain(f"{name} has no result: {reason}")
    return 1 if failed else 0


def table(
    runs: Annotated[tuple[Path, ...], POSITIONAL],
    published: Path | None = None,
    baseline: str = "",
    rivals: str = "",
    as_json: JSON = False,
) -> int:
    """Compare finished runs: mixtext table RUN|FOLDER … [--published FILE] [--baseline METHOD]

    Prints a Markdown table, made from result.json files: mean ± standard deviation of runs that
    differ in their seeds alone. With --published or --baseline one of gains: each method against
    the baseline by pairs of runs with the same seeds, with 95 % intervals, p values corrected by
    Holm, and a verdict where something was published. Learning curves of active learning, in
    curve.json files, are compared likewise.

    Args:
        runs: run folders, folders that hold some, or files of results, one JSON object a line.
        published: a TOML file of published numbers, such as those in experiments/published.
        baseline: the method, or arm of a curve, to compare with; if not given, supervised.
        rivals: a method that all others are rivals of: a row a method, a column a corpus, and the
            gain over the strongest rival on each.
        as_json: print the rows of the table as one JSON array.
    """
    from mixtext.report.tables import compared, comparison, read_results

    if rivals:
        from mixtext.report.rivals import rival_rows, rival_table

        if published is not None or baseline:
            raise InputError(
                "--rivals makes a table of its own: leave out --published, --baseline."
            )
        found = read_results(runs)
        rows = json.dumps(rival_rows(found, rivals), ensure_ascii=False) if as_json else ""
        print(rows or rival_table(found, rivals))
        return 0
    if published is None and not baseline:
        results = read_results(runs)
        print(json.dumps(compared(results), ensure_ascii=False) if as_json else comparison(results))
        return 0
    from mixtext.report.verdicts import verdict_rows, verdict_table, verdicts_of

    verdicts = verdicts_of(runs, published, baseline or "supervised")
    if as_json:
        print(json.dumps(verdict_rows(verdicts), ensure_ascii=False))
    else:
        print(verdict_table(verdicts))
    return 0


def plot(runs: Annotated[tuple[Path, ...], POSITIONAL], out: Path = Path("runs.png")) -> int:
    """Draw runs side by side: mixtext plot RUN … [--out FILE.png]

    Over the steps, from metrics.jsonl: training loss, also unmixed where training.score_labelled
    was set, the main dev metric, and pseudo-labels.

    Args:
        runs: run folders.
        out: the picture; its ending gives the format.
    """
    from mixtext.report.plots import plot_runs

    plot_runs(runs, out)
    print(f"wrote {out}")
    return 0


def report(runs: Annotated[tuple[Path, ...], POSITIONAL], out: Path = Path("report.html")) -> int:
    """Write a page about runs: mixtext report RUN|FOLDER … [--out FILE]

    One HTML file that loads nothing: scores, what differs between the runs, curves and, of each
    run, pseudo-labels by class over time, how often each layer was mixed, precision and recall by
    class, the confusion matrix, calibration and the surest mistakes. A run need not be finished.

    Args:
        runs: run folders, or folders that hold some.
        out: the page; one that this command has made is replaced.
    """
    from mixtext.report.runs import write_page

    if not runs:
        raise InputError("no run was given: name at least one run folder.")
    count = write_page(runs, out)
    print(f"wrote {out} ({count} run{'s' if count > 1 else ''})")
    return 0


def back_translate(
    data: Annotated[str, POSITIONAL],
    options: Annotated[tuple[str, ...], POSITIONAL] = (),
    out: Path = Path("views"),
    root: Path | None = None,
    unlabelled: Path | None = None,
    read: ReadFlags = UNSAID,
) -> int:
    """Make views of a corpus: mixtext backtranslate DATA|RECIPE --out DIR --backend … --pivots …

    Writes DIR/views.jsonl, for `views.file` in a recipe; of pairs, the first text is translated. Of
    a recipe all texts that it may learn from are translated, as its [views] say where no --backend
    is given.
    All options but those below are passed on to `python -m backtranslate`, which says what they
    mean with --help. Killed? The same command goes on from there.

    Args:
        data: a file, a folder, a name from the catalogue, or a recipe (a TOML file), which says
            how its data are read; the training part is translated.
        options: for python -m backtranslate.
        out: folder of the store.
        root: folder that holds a catalogue data set.
        unlabelled: a file of further texts, as `data.unlabelled` in a recipe names it.
        read: How it is read:
    """
    from backtranslate.cli import main as backtranslate_main
    from backtranslate.store import Corpus as Texts
    from mixtext.files import write_text

    if data.lower().endswith(".toml"):
        corpus, usual = _texts_of_recipe(data, root, unlabelled, read)
        said = any(x.partition("=")[0] == "--backend" for x in options)
        options = options if said else (*usual, *options)
    else:
        corpus = _texts_to_translate(data, root, unlabelled, read)
    for note in corpus.notes:
        print(f"note: {note}", file=sys.stderr)
    if corpus.rows == "vectors":
        raise InputError(f"{data} holds vectors: there is no text to translate.")
    kept, pairs = out / "texts.jsonl", zip(corpus.ids, corpus.texts, strict=True)
    lines = "".join(json.dumps({"id": id_, "text": one}) + "\n" for id_, one in pairs)
    if kept.exists() and not (kept.is_file() and kept.read_bytes() == lines.encode()):
        raise InputError(
            f"{kept} is there already and holds other than the texts of {data}: name another "
            "folder with --out."
        )
    texts = Texts(corpus.ids, corpus.texts)
    code = backtranslate_main([str(kept), "--out", str(out), *options], texts)
    if code == 0 and not kept.exists():
        write_text(kept, lines)  # for `python -m backtranslate merge`
    return code


def _texts_to_translate(
    data: str, root: Path | None, unlabelled: Path | None, read: "ReadOptions"
) -> "Corpus":
    from mixtext.data.read.catalogue import CATALOGUE, load_any
    from mixtext.data.read.readers import read_corpus

    # The catalogue fixes it; elsewhere nobody needs labels to translate.
    bare = dataclasses.replace(read, labels=False)
    corpus, _ = load_any(data, read if data in CATALOGUE else bare, root=root)
    if unlabelled is None:
        return corpus
    more = read_corpus(unlabelled, bare, name="unlabelled")
    return dataclasses.replace(corpus.extended(more), notes=(*corpus.notes, *more.notes))


def _texts_of_recipe(
    path: str, root: Path | None, unlabelled: Path | None, read: "ReadOptions"
) -> tuple["Corpus", list[str]]:
    """The texts that a recipe may learn from, and the options that its [views] stand for."""
    from mixtext.api import load_recipe
    from mixtext.data.prepare import load_corpora
    from mixtext.recipe import Recipe

    read.refuse_unheard((), f"{path} is a recipe, which says how its data are read")
    for name, value in (("root", root), ("unlabelled", unlabelled)):
        if value is not None:
            raise InputError(
                f"--{name} is given but the recipe {path} names its data: leave it out."
            )
    recipe = load_recipe(path)
    if not isinstance(recipe, Recipe):
        raise InputError(f"{path} is a recipe for tagging, which uses no views: give another.")
    train, _, notes = load_corpora(dataclasses.replace(recipe.data, templates=(), class_words=()))
    views = recipe.views
    usual = [f"--source={views.language}", f"--backend={views.backend}"]
    usual += [f"--pivots={','.join(views.pivots)}", f"--preset={views.preset}"]
    usual += [f"--models={views.models}", f"--workers={views.workers}", f"--copies={views.copies}"]
    return dataclasses.replace(train, notes=tuple(notes)), usual if views.backend else []


def active(command: Annotated[tuple[str, ...], POSITIONAL] = ()) -> int:
    """Active learning, of texts or for tagging with SeqMix: mixtext active --help

    Args:
        command: run, query, label, show or plot, with its arguments.
    """
    raise InputError("`mixtext active` needs a command: run, query, label, show or plot.")


COMMANDS: dict[str, Callable[..., int]] = {
    "train": train,
    "sweep": sweep,
    "reproduce": reproduce,
    "evaluate": evaluate,
    "predict": predict,
    "inspect-data": inspect_data,
    "new-recipe": new_recipe,
    "backtranslate": back_translate,
    "export": export,
    "table": table,
    "plot": plot,
    "report": report,
    "active": active,
    "methods": methods,
    "datasets": datasets,
    "recipe-fields": recipe_fields,
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0; 2 for bad input; 3 for a lost training."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    quiet = "--quiet" in arguments[1:]
    arguments = _in_order([x for x in arguments if x != "--quiet" or not quiet])
    if arguments == ["--version"]:
        print(f"mixtext {__version__}")
        return 0
    if any("\0" in argument for argument in arguments):
        _complain("an argument holds a NUL, which no name or text has: leave it out.")
        return 2
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    options = [x.partition("=")[0] for x in ours if x.startswith("--")]
    if twice := [x for x in options if options.count(x) > 1]:
        _complain(f"{twice[0]} is given twice, of which one would be lost: give it once.")
        return 2
    commands, prog = COMMANDS, "mixtext"
    about = (
        "Text classification from few labels: MixText and the mixup family. --version prints the "
        "version; --quiet, behind any command, leaves out progress and notes."
    )
    if arguments[:1] == ["active"] and arguments[1:]:
        commands, prog, arguments = ACTIVE_COMMANDS, "mixtext active", arguments[1:]
        about = "Active learning for tagging, with sentences made by SeqMix."
    if arguments and arguments[0] not in commands and not arguments[0].startswith("-"):
        _complain(
            f"there is no command {arguments[0]!r}{near(arguments[0], commands)}; commands are "
            f"{', '.join(commands)}."
        )
        return 2
    if os.environ.get("TORCHELASTIC_RUN_ID") and arguments[:1] != ["train"]:
        _complain("torchrun is for `mixtext train` alone: call other commands without it.")
        return 2
    try:
        with ExitStack() as around:
            if quiet or _rank("RANK"):
                around.enter_context(_silence())
            if _rank("RANK"):  # the first process speaks for all
                around.enter_context(redirect_stdout(sys.stderr))
            if os.environ.get("TORCHELASTIC_RUN_ID"):
                from mixtext.training.distributed import joined

                around.enter_context(joined())
            return int(
                tyro.extras.subcommand_cli_from_dict(
                    commands,
                    prog=prog,
                    description=about,
                    args=arguments,
                    config=(tyro.conf.FlagCreatePairsOff,),
                )
            )
    except InputError as error:
        _complain(error)
        return 2
    except KeyboardInterrupt:
        print("mixtext: stopped; go on with --resume", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `mixtext … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except UnicodeEncodeError as error:  # a name of a file, in bytes that are no text
        _complain(f"{error.object[error.start :][:60]!r} cannot be written as UTF-8: rename it.")
        return 2
    except Exception as error:
        # By name: importing the loop takes seconds, which `mixtext --help` should not cost.
        if type(error).__name__ == "Diverged":
            _complain(error)
            return 3
        if said := disk_trouble(error):
            _complain(said)
            return 2
        raise


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps progress and notes off the screen; what goes wrong is still said, by `_complain`."""
    _loud.append(sys.stderr)
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
            yield
    finally:
        _loud.pop()


def _rank(of: str) -> int:
    """Which of torchrun's processes this is, of all (RANK) or of this machine's (LOCAL_RANK)."""
    return int(os.environ[of]) if os.environ.get("TORCHELASTIC_RUN_ID") else 0


def _complain(sentence: object) -> None:
    if _rank("LOCAL_RANK"):
        return
    print(f"mixtext: {shown(sentence)}", file=_loud[-1] if _loud else sys.stderr)


def _in_order(arguments: list[str]) -> list[str]:
    """Moves `table.field=value` behind the recipe, so that it may stand after options too.

    Likewise the options of `python -m backtranslate` behind a `--`.
    """
    if arguments[:1] == ["backtranslate"] and "--" not in arguments:
        foreign = False
        parts: dict[bool, list[str]] = {False: [], True: []}
        for argument in arguments:
            if argument.startswith("-"):
                ours = {"-h", "--help", "--out", "--root", "--unlabelled"}
                ours |= {UNSAID.called(name) for name in vars(UNSAID)}
                foreign = argument.partition("=")[0] not in ours
            parts[foreign].append(argument)
        return [*parts[False], "--", *parts[True]]
    if arguments[:1] != ["train"] and arguments[:2] != ["active", "run"]:
        return arguments
    overrides = [a for a in arguments if re.match(r"[a-z_]+(\.\w+)?=", a)]
    rest = [a for a in arguments if a not in overrides]
    recipe = next((i for i, a in enumerate(rest) if a.endswith(".toml")), len(rest) - 1)
    return [*rest[: recipe + 1], *overrides, *rest[recipe + 1 :]]


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


if __name__ == "__main__":
    sys.exit(main())
