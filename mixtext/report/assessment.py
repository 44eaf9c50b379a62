"""An assessment as a report: tables, pictures, examples."""

from pathlib import Path

import numpy as np

from mixtext import pictures
from mixtext.assessment import BINS, Assessment
from mixtext.errors import InputError
from mixtext.files import write_text
from mixtext.report.page import Block, Heading, Picture, Sentence, Table, to_html, to_markdown

WIDE = 20  # classes beyond which only the most frequent confusions are shown, not the matrix


def blocks_of(found: Assessment) -> list[Block]:
    """The report."""
    without = f", {found.unlabelled:,} without a label left out" if found.unlabelled else ""
    rows = "sentences" if found.unit == "words" else "rows"
    blocks: list[Block] = [Sentence(f"{found.rows:,} {rows} of {found.source} scored{without}.")]
    numbers = dict(found.metrics)
    if found.label_names:
        numbers["calibration error"] = found.calibration_error
    blocks.append(Table(["metric", "value"], [[k, float(v)] for k, v in numbers.items()]))
    if not found.label_names:
        head = ["id", "gold", "predicted", "error", "text"]
        return [*blocks, Heading("Largest errors"), Table(head, found.mistakes)]
    if found.unit != "rows":
        blocks.append(
            Sentence(f"Classes, confusion and calibration below are counted in {found.unit}.")
        )
    elif found.lacking:
        blocks.append(
            Sentence(
                f"No row of {', '.join(found.lacking)}: macro-F1 is over the classes in gold or "
                "predictions."
            )
        )
    predicted = found.confusion.sum(0)
    by_class = [
        [name, *map(float, row[:3]), int(row[3]), int(n)]
        for name, row, n in zip(found.label_names, found.scores, predicted, strict=True)
    ]
    head = ["class", "precision", "recall", "F1", found.unit, "predicted"]
    blocks += [Heading("Classes"), Table(head, by_class), *_confusions(found)]
    bars = [
        [float(conf), float(right), int(rows), "█" * round(20 * right)]
        for conf, right, rows in found.bins
    ]
    blocks += [
        Heading("Calibration"),
        Sentence(
            f"Expected calibration error {found.calibration_error:.4f}, over {BINS} bins of the "
            "confidence; a model is calibrated where accuracy equals confidence."
        ),
        Picture(pictures.to_svg(pictures.reliability(found.bins))),
        Table(["confidence", "accuracy", found.unit, "plot of the accuracy"], bars),
        Heading("Most confident mistakes"),
    ]
    if not found.mistakes:
        return [*blocks, Sentence("None.")]
    return [*blocks, Table(["id", "gold", "predicted", "confidence", "text"], found.mistakes)]


def _confusions(found: Assessment) -> list[Block]:
    names = found.label_names
    if len(names) <= WIDE:
        rows = [[n, *map(int, row)] for n, row in zip(names, found.confusion, strict=True)]
        return [Heading("Confusion"), Table(["gold \\ predicted", *names], rows, shade=True)]
    wrong = found.confusion - np.diag(np.diag(found.confusion))
    most = [x for x in np.argsort(-wrong, axis=None, kind="stable")[:WIDE] if wrong.flat[x]]
    pairs = [(*divmod(int(x), len(names)), int(wrong.flat[x])) for x in most]
    table = [[names[gold], names[told], count] for gold, told, count in pairs]
    return [
        Heading("Most frequent confusions"),
        Table(["gold", "predicted", found.unit], table) if table else Sentence("None."),
    ]


def write_report(blocks: list[Block], path: Path, title: str) -> list[Path]:
    """Writes a report as HTML or Markdown, by the suffix; without one of these, both beside.

    Returns:
        The files.

    Raises:
        InputError: a file that is there already and says something else.
    """
    known = path.suffix.lower() in (".html", ".md")
    files = [path] if known else [path.with_name(path.name + x) for x in (".html", ".md")]
    texts = [
        to_html(blocks, title)
        if file.suffix.lower() == ".html"
        else f"# {title}\n\n{to_markdown(blocks)}"
        for file in files
    ]
    for file, text in zip(files, texts, strict=True):
        # After a kill one of the two may be there.
        if file.exists() and not (file.is_file() and file.read_bytes() == text.encode()):
            raise InputError(f"{file} exists already: name another file with --report.")
    for file, text in zip(files, texts, strict=True):
        write_text(file, text)
    return files
