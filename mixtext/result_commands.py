"""Commands that read finished runs. Each is a function, its help the docstring."""

import json
from pathlib import Path
from typing import Annotated

from mixtext.data_commands import JSON, POSITIONAL, refuse_no_runs
from mixtext.errors import InputError


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

    refuse_no_runs(runs)
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

    refuse_no_runs(runs)
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

    refuse_no_runs(runs)
    count = write_page(runs, out)
    print(f"wrote {out} ({count} run{'s' if count > 1 else ''})")
    return 0
