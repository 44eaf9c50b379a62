"""`mixtext active COMMAND`: active learning for tagging. Each command is a function below."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:  # importing the rounds takes seconds, which `mixtext --help` should not cost
    from mixtext.tagging.rounds import State

POSITIONAL = tyro.conf.Positional


def run(
    recipe: Annotated[Path, POSITIONAL],
    overrides: Annotated[tuple[str, ...], POSITIONAL] = (),
    run: Path | None = None,
    resume: bool = False,
) -> int:
    """Run the rounds: mixtext active run RECIPE [table.field=value …] [--run FOLDER] [--resume]

    Trains on the seed set, asks for labels by the policy, adds them and what SeqMix makes of them,
    and trains again. With active.annotator = "person" it stops where a person is to label; `query`
    and `label` go on from there.

    Args:
        recipe: a recipe with task = "tagging", a TOML file.
        overrides: fields to change, such as active.policy=random.
        run: the run folder; if not given, runs/NAME with the recipe's name.
        resume: go on where a killed run stopped; a finished run only prints its curve.
    """
    from mixtext.recipe import build_recipe
    from mixtext.settings import read_toml
    from mixtext.tagging.recipe import TaggingRecipe
    from mixtext.tagging.run import begin_active

    loaded = build_recipe(TaggingRecipe, read_toml(recipe), overrides, str(recipe))
    folder = run or Path("runs") / loaded.name
    return _report(folder, begin_active(loaded, folder, resume).go_on())


def query(run: Annotated[Path, POSITIONAL], out: Path | None = None) -> int:
    """Write the sentences to label: mixtext active query RUN [--out FILE]

    A CoNLL file, one token a line, in which `?` stands for the tags. Fill them in, in BIO, and give
    the file to `mixtext active label`. A file that may hold labels is never written over.

    Args:
        run: the run folder.
        out: the file; if not given, RUN/query.conll.
    """
    from mixtext.tagging.run import open_active

    active = open_active(run)
    state = active.saved()
    asked = active.asked(state)
    out = out or run / "query.conll"
    active.ask(state, out)
    names = ", ".join(asked.tag_names)
    print(f"wrote {out}: {len(asked)} sentences to label with {names}")
    print(f"next  mixtext active label {run} {out}")
    return 0


def label(run: Annotated[Path, POSITIONAL], file: Annotated[Path, POSITIONAL]) -> int:
    """Take labels back and go on: mixtext active label RUN FILE

    Checks that every sentence that was asked for is there, unchanged and labelled, then trains the
    next round and picks the next sentences.

    Args:
        run: the run folder.
        file: the labelled CoNLL file.
    """
    from mixtext.tagging.run import open_active

    active = open_active(run)
    active.take(file)
    return _report(run, active.go_on())


def show(run: Annotated[Path, POSITIONAL], most: int = 20) -> int:
    """Show generated sentences with their mixed labels: mixtext active show RUN

    Args:
        run: the run folder.
        most: sentences of each round.
    """
    from mixtext.tagging.generation import show as line_of
    from mixtext.tagging.run import open_active

    active = open_active(run)
    for round_ in range(active.saved().round + 1):
        made = active.generated(round_)
        print(f"round {round_}: {len(made)} generated sentences")
        for one in made[:most]:
            print(f"  {line_of(one, active.data.seed.tag_names)}")
    return 0


def plot(runs: Annotated[tuple[Path, ...], POSITIONAL], out: Path = Path("curves.png")) -> int:
    """Draw learning curves: mixtext active plot RUN|FOLDER|FILE … [--out FILE.png]

    F1 over labelled sentences by arm, mean and standard deviation over seeds, and as a table.

    Args:
        runs: run folders, folders that hold some, or files with one curve.json a line.
        out: the picture; its ending gives the format.
    """
    from mixtext.report.curves import curve_table, plot_curves, read_curves

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


def _report(folder: Path, state: "State") -> int:
    for point in state.curve:
        scored = [f"{part} F1 {point[part]['f1']:.4f}" for part in ("dev", "test") if point[part]]
        print(
            f"{point['labelled']:>6} labelled  {point['generated']:>5} generated  "
            f"{point['updates']:>5} updates  {'  '.join(scored)}"
        )
    if state.phase == "label":
        asked = len(state.queries[-1])
        print(f"wait  for the labels of {asked} sentences: mixtext active query {folder}")
    print(f"run   {folder} (model in {folder / 'model'})")
    print(f"look  tensorboard --logdir {shlex.quote(str(folder.parent))}")
    return 0
