"""The command line: `mixtext COMMAND`. Each command is a function below, its help the docstring."""

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from inspect import signature
from pathlib import Path
from typing import Annotated, TextIO

import tyro

from mixtext import __version__
from mixtext.active_commands import ACTIVE_COMMANDS
from mixtext.data_commands import (
    JSON,
    POSITIONAL,
    UNSAID,
    datasets,
    inspect_data,
    methods,
    new_recipe,
    recipe_fields,
)
from mixtext.errors import InputError, disk_trouble, shown
from mixtext.model_commands import evaluate, export, predict
from mixtext.result_commands import plot, report, table
from mixtext.settings import near
from mixtext.view_commands import back_translate

_loud: list[TextIO] = []  # where complaints go while --quiet keeps all else off the screen
PATIENCE = 10.0  # seconds


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
        if as_json:
            raise InputError("--json prints the result of a training: leave it out with --dry-run.")
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
    if result["dev"]:
        print(f"best  weights of step {result['best_step']} of {result['steps']}")
    else:
        print(f"last  weights of step {result['steps']}, as there are no dev rows")
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
    from mixtext.jobs import Job, RoundsJob
    from mixtext.report.curves import curve_table
    from mixtext.report.tables import comparison
    from mixtext.settings import read_toml
    from mixtext.sweep import executor
    from mixtext.sweep import sweep as sweep_all

    names = [x.removeprefix("name=") for x in overrides if x.startswith("name=")]
    name = names[-1] if names else str(read_toml(recipe).get("name", "run"))
    folder = run or Path("runs") / name
    with executor(jobs, ray) as execute:
        kind = RoundsJob if active else Job
        swept = sweep_all(recipe, overrides, vary, folder, keep_models, execute, kind)
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

    The tables are data, in experiments/tables: table2, layers, mixtext, rivals, many_classes,
    twelve_layers, views, digits, words, mixup_transformer, ssmix, seqmix. Writes table.md,
    table.csv, figure.png and results.jsonl beside the runs. Killed? Call it again: finished runs
    are kept, unfinished ones go on.

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
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--version" in ours:
        print(f"mixtext {__version__}")
        return 0
    quiet = "--quiet" in ours
    try:
        arguments = _in_order([x for x in ours if x != "--quiet"] + arguments[len(ours) :])
    except InputError as error:
        _complain(error)
        return 2
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
        "version; --quiet, with any command, leaves out progress and notes."
    )
    if arguments[:1] == ["active"] and arguments[1:]:
        commands, prog, arguments = ACTIVE_COMMANDS, "mixtext active", arguments[1:]
        about = "Active learning, of texts or for tagging with SeqMix."
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
        called = commands.get(arguments[0]) if arguments else None
        resumes = called is not None and "resume" in signature(called).parameters
        print(f"mixtext: stopped{'; go on with --resume' * resumes}", file=sys.stderr)
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
    if _rank("LOCAL_RANK"):  # torchrun ends all as soon as one has: the first one speaks before
        time.sleep(PATIENCE)
        return
    print(f"mixtext: {shown(sentence)}", file=_loud[-1] if _loud else sys.stderr)


def _in_order(arguments: list[str]) -> list[str]:
    """Moves `table.field=value` behind the recipe, so that it may stand after options too.

    Likewise the options of `python -m backtranslate` behind a `--`.

    Raises:
        InputError: options of `python -m backtranslate` stand before the data, which then could be
            the value of one.
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
        if foreign and len(parts[True]) > 1 and arguments[1].startswith("-"):
            raise InputError(
                "the data stand first: mixtext backtranslate DATA --out DIR --backend … --pivots …"
            )
        return [*parts[False], "--", *parts[True]]
    if arguments[:1] not in (["train"], ["sweep"]) and arguments[:2] != ["active", "run"]:
        return arguments
    overrides: list[str] = []
    rest: list[str] = []
    varied = False
    for argument in arguments:
        varied = argument == "--vary" if argument.startswith("--") else varied
        is_override = not varied and re.match(r"[a-z_]+(\.\w+)?=", argument)
        (overrides if is_override else rest).append(argument)
    recipe = next((i for i, a in enumerate(rest) if a.endswith(".toml")), len(rest) - 1)
    return [*rest[: recipe + 1], *overrides, *rest[recipe + 1 :]]


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
