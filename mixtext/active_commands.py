"""`mixtext active COMMAND`: active learning. Each command is a function below."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mixtext.data_commands import POSITIONAL, UNSAID, ReadFlags, refuse_no_runs
from mixtext.errors import InputError

if TYPE_CHECKING:  # importing the rounds takes seconds, which `mixtext --help` should not cost
    from mixtext.active.rounds import Rounds, State


def run(
    recipe: Annotated[Path, POSITIONAL],
    overrides: Annotated[tuple[str, ...], POSITIONAL] = (),
    run: Path | None = None,
    resume: bool = False,
) -> int:
    """Run the rounds: mixtext active run RECIPE [table.field=value …] [--run FOLDER] [--resume]

    Trains on what is labelled, asks for labels by the policy, adds them (and, of taggers, what
    SeqMix makes of them), and trains again. With active.annotator = "person" it stops where a
    person is to label; `query` and `label` go on from there.

    Args:
        recipe: a TOML file; its table [active] says what is asked, when, and of whom.
        overrides: fields to change, such as active.policy=random.
        run: the run folder; if not given, runs/NAME with the recipe's name.
        resume: go on where a killed run stopped; a finished run only prints its curve.
    """
    from mixtext.active.folder import begin_active
    from mixtext.api import load_recipe

    loaded = load_recipe(recipe, overrides)
    folder = run or Path("runs") / loaded.name
    active = begin_active(loaded, folder, resume)
    return _report(active, active.go_on())


def query(run: Annotated[Path, POSITIONAL], out: Path | None = None) -> int:
    """Write what is to be labelled: mixtext active query RUN [--out FILE]

    Of texts a CSV file, or JSON lines where FILE ends in .jsonl, with an empty label in each row;
    of a tagger a CoNLL file, one token a line, in which `?` stands for the tags, which are BIO.
    Fill it in, and give it to `mixtext active label`. A file that is there is never written over.

    Args:
        run: the run folder.
        out: the file; if not given, RUN/query-ROUND with the usual suffix.
    """
    from mixtext.active.folder import open_active

    active = open_active(run)
    state = active.saved()
    out = out or active.query_file(state)
    active.ask(state, out)
    asked, names = len(active.waiting(state)), ", ".join(active.label_names)
    print(f"wrote {out}: {asked} {active.rows} to label with {names}")
    print(f"next  mixtext active label {run} {out}")
    return 0


def label(
    run: Annotated[Path, POSITIONAL],
    file: Annotated[Path, POSITIONAL],
    read: ReadFlags = UNSAID,
) -> int:
    """Take labels back and go on: mixtext active label RUN FILE

    Checks that every row that was asked for is there, unchanged and labelled, then trains the next
    round and picks the next rows.

    Args:
        run: the run folder.
        file: the file of `mixtext active query`, filled in.
        read: Where a program has written it in another way:
    """
    from mixtext.active.folder import open_active

    active = open_active(run)
    active.take(file, read)
    return _report(active, active.go_on())


def show(run: Annotated[Path, POSITIONAL], most: int = 20) -> int:
    """Show a tagger's generated sentences with their mixed labels: mixtext active show RUN

    Args:
        run: the run folder.
        most: sentences of each round.
    """
    from mixtext.active.folder import open_active
    from mixtext.active.sentences import SentenceRounds
    from mixtext.tagging.generation import show as line_of

    active = open_active(run)
    if not isinstance(active, SentenceRounds):
        raise InputError(f"{run} holds rounds of texts, in which no sentences are generated.")
    for round_ in range(active.saved().round + 1):
        made = active.generated(round_)
        print(f"round {round_}: {len(made)} generated sentences")
        for one in made[:most]:
            print(f"  {line_of(one, active.label_names)}")
    return 0


def plot(runs: Annotated[tuple[Path, ...], POSITIONAL], out: Path = Path("curves.png")) -> int:
    """Draw learning curves: mixtext active plot RUN|FOLDER|FILE … [--out FILE.png]

    Accuracy, of taggers F1, over labelled rows by arm, mean and standard deviation over seeds, and
    as a table. `mixtext table … --baseline ARM` compares arms, with 95 % intervals.

    Args:
        runs: run folders, folders that hold some, or files with one curve.json a line.
        out: the picture; its ending gives the format.
    """
    from mixtext.report.curves import curve_table, plot_curves, read_curves

    refuse_no_runs(runs)
    curves = read_curves(runs)
    plot_curves(curves, out)
    print(curve_table(curves))
    print(f"wrote {out}", file=sys.stderr)
    return 0


ACTIVE_COMMANDS: dict[str, Callable[..., int]] = {
    "run": run,
    "query": query,
    "label": label,
    "show": show,
    "plot": plot,
}


def _report(active: "Rounds", state: "State") -> int:
    from mixtext.active.rounds import shown

    for point in state.curve:
        scored = [
            f"{part} {shown(active.metric)} {point[part][active.metric]:.4f}"
            for part in ("dev", "test")
            if point[part]
        ]
        first, *more = (f"{point[x]:>5} {x}" for x in (*active.counts, "updates"))
        told = [f" {first}", *more]
        print("  ".join([*told, *scored]))
    folder = active.folder
    if state.phase == "label":
        asked = len(state.queries[-1])
        print(f"wait  for the labels of {asked} {active.rows}: mixtext active query {folder}")
    made_yet = f"model in {folder / 'model'}" if state.curve else "no model yet"
    print(f"run   {folder} ({made_yet})")
    print(f"look  tensorboard --logdir {shlex.quote(str(folder.parent))}")
    return 0
