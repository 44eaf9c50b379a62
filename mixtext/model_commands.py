"""Commands that use a trained model. Each is a function, its help the docstring."""

import csv
import dataclasses
import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

from mixtext.data.read.options import ReadOptions
from mixtext.data_commands import JSON, POSITIONAL, UNSAID, ReadFlags
from mixtext.errors import InputError
from mixtext.settings import near

if TYPE_CHECKING:
    from mixtext.data.corpus import Corpus
    from mixtext.data.read.lines import Row
    from mixtext.inference import Predictor
    from mixtext.tagging.entities import TagPredictor

# Rows that are read, answered and written together, at first and later. Batches of 64 rows of like
# length pad AG News to 1.69 times its tokens if found among 256 rows, to 1.03 among 8,192.
FIRST_CHUNK, CHUNK = 256, 8192


def evaluate(
    run: Annotated[Path, POSITIONAL],
    data: str,
    root: Path | None = None,
    part: str = "test",
    report: Path | None = None,
    as_json: JSON = False,
    read: ReadFlags = UNSAID,
) -> int:
    """Score a trained model: mixtext evaluate RUN --data FILE|NAME [--report FILE] [--json]

    Prints accuracy, macro-F1 and mean log loss, precision and recall by class, the confusion
    matrix, calibration, and the surest mistakes; of regression the correlations by Spearman and
    Pearson, the mean squared error and the largest errors; of a tagger F1 of entities. Columns are
    those of the run's recipe, where no others are named.

    Args:
        run: a run folder, or the model folder in it.
        data: a file or folder with labels, or a name from the catalogue; for a tagger a CoNLL file,
            whose tokens and tags are in the columns --text and --label.
        root: folder that holds a catalogue data set.
        part: of a catalogue data set: train, dev or test.
        report: write the same as .html or .md; without such an ending both, FILE.html and FILE.md.
        as_json: print the numbers as one JSON object.
        read: How it is read:
    """
    from mixtext.assessment import assess
    from mixtext.evaluation import labelled_rows
    from mixtext.report.assessment import blocks_of, write_report
    from mixtext.report.page import Sentence, Table, to_text
    from mixtext.tagging.entities import is_tagger
    from mixtext.tagging.run import evaluate_tagger

    if is_tagger(run):
        numbers: dict[str, Any] = evaluate_tagger(run, data, read)
        rows = [[k, v] for k, v in numbers.items()]
        blocks: list[Any] = [Sentence(f"{data}, scored."), Table(["metric", "value"], rows)]
    else:
        from mixtext.inference import load

        predictor = load(run)
        corpus = _corpus_to_score(predictor, run, data, root, part, read)
        for note in corpus.notes:
            print(f"note: {note}", file=sys.stderr)
        _check_known(predictor, corpus, read)
        scored = labelled_rows(predictor, corpus)
        found = assess(scored, predictor.outputs(scored), len(corpus) - len(scored))
        numbers, blocks = found.plain(), blocks_of(found)
    if report is not None:
        for file in write_report(blocks, report, f"{run} on {data}"):
            print(f"wrote {file}", file=sys.stderr)
    print(json.dumps(numbers, ensure_ascii=False) if as_json else to_text(blocks))
    return 0


def _corpus_to_score(
    predictor: "Predictor",
    run: Path,
    data: str,
    root: Path | None,
    part: str,
    read: ReadOptions,
) -> Any:
    from mixtext.data.read.catalogue import CATALOGUE, load
    from mixtext.data.read.readers import read_corpus
    from mixtext.evaluation import usual_options

    if data in CATALOGUE:
        return load(data, root, part, read)
    if root is not None:
        raise InputError(f"--root is given but {data} is a path: leave it out.")
    if part != "test":
        raise InputError(f"--part is {part!r} but {data} is a path, all of which is scored.")
    options = usual_options(run, data, read)
    if predictor.target == "scores" and not options.scores:
        raise InputError(
            f"the model of {run} tells scores: say the least and the most that a score in {data} "
            "may be, such as --scores 0 5."
        )
    return read_corpus(data, options)


def _check_known(predictor: "Predictor", corpus: "Corpus", read: ReadOptions) -> None:
    """Refuses labels that the model does not know, with what may be done about them here."""
    from mixtext.data.labels import listing

    names = predictor.label_names
    unknown = [x for x in corpus.label_names if x not in names]
    if predictor.target != "classes" or corpus.target != "classes" or not unknown:
        return
    advice = f"correct them, or leave such rows unscored with {read.called('missing')}"
    if all(x.isdecimal() for x in unknown) and not any(x.isdecimal() for x in names):
        named = f"{read.called('label_names')} {shlex.join(names)}"
        advice = f"if they are numbers of classes from 0, say {named}"
    raise InputError(
        f"{corpus.source} has the labels {listing(unknown)}{near(unknown[0], names)}, which the "
        f"model does not know; it tells {listing(names)}: {advice}."
    )


def predict(
    run: Annotated[Path, POSITIONAL],
    text: Annotated[tuple[str, ...], POSITIONAL] = (),
    file: Path | None = None,
    out: Path | None = None,
    precision: Literal["float32", "bfloat16"] | None = None,
    read: ReadFlags = UNSAID,
) -> int:
    """Label rows: mixtext predict RUN TEXT …, or --file FILE, or texts on standard input

    Writes one JSON line for each text, pair or vector: its label and the probability of every
    class, or its score; of a tagger the entities with their offsets. A blank row has a line too,
    with null for an answer. Rows are read, answered and written bit by bit, whatever their number.

    Args:
        run: a run folder, or the model folder in it.
        text: texts to label.
        file: a file or folder as one is trained on, whose labels are not looked at; or any other,
            with one text a line, or JSON lines with "text" and, for pairs, "pair". For a tagger
            also a CoNLL file.
        out: write there: .csv as a table, any other ending as JSON lines.
        precision: compute so; if not given, as in the training, which is bfloat16 where that is
            fast. float32 answers as `pipeline` does, to 1e-6, and takes up to twice the time.
        read: How it is read:
    """
    from mixtext.api import load
    from mixtext.data.read.lines import Row
    from mixtext.tagging.conll import is_conll
    from mixtext.tagging.entities import TagPredictor

    if text and file:
        raise InputError("texts were given and --file too: give one of them.")
    if out is not None and out.exists():
        raise InputError(f"{out} exists already: name another file with --out.")
    model = load(run, precision=precision or "")
    kind = "texts" if isinstance(model, TagPredictor) else model.rows
    answers: Iterator[dict[str, Any]]
    if isinstance(model, TagPredictor) and file is not None and is_conll(file, read.format):
        answers = _tagged(model, run, file, read)
    elif text and kind == "texts":
        read.refuse_unheard((), "the texts are given")
        answers = _answered(model, (Row("", x) for x in text), False)
    elif text or (kind == "vectors" and file is None):
        what = "an .npz file" if kind == "vectors" else 'lines of {"text": …, "pair": …}'
        raise InputError(f"the model of {run} was trained on {kind}: give --file with {what}.")
    else:
        answers = _of_file(model, run, kind, file, read)
    _write(answers, out, [] if isinstance(model, TagPredictor) else model.label_names)
    return 0


def export(
    run: Annotated[Path, POSITIONAL],
    format: Literal["safetensors", "onnx"] = "safetensors",
    int8: bool = False,
    out: Path | None = None,
    data: Path | None = None,
    license: str = "unknown",
    push: str = "",
) -> int:
    """Take a model out: mixtext export RUN --format onnx|safetensors [--int8] [--push NAME]

    Writes a new folder with the model and a model card, README.md: labels, data, budget, scores
    with intervals, versions, and the licences to fill in. The folder is there when it is whole.

    Args:
        run: a run folder, or the model folder in it.
        format: safetensors: the Hugging Face folder; onnx: model.onnx for onnxruntime, compared
            with the model before it is kept.
        int8: round the weights of the ONNX file to int8, and count the answers that this changes:
            on dev, else test, else the labelled rows of the run, 1,000 at most, or on --data.
        out: the new folder; if not given, RUN-onnx, RUN-onnx-int8 or RUN-safetensors.
        data: rows to count on instead of the run's own: a file as `mixtext predict --file` takes.
        license: of the model, as the hub spells it, such as mit or apache-2.0.
        push: upload the folder to the hub under this name; it is private where it is new.
    """
    if data is not None and not int8:
        raise InputError("--data is for --int8, which counts on it: give both, or leave it out.")

    from mixtext.export.folder import check_name, export_model, push_folder
    from mixtext.export.rows import rows_of_file, rows_of_run
    from mixtext.models.folder import read_about

    read_about(run)
    if push:
        check_name(push)
    rows = None
    if int8:
        rows = rows_of_run(run) if data is None else rows_of_file(run, data)
    kind = f"{format}-int8" if int8 else format
    place = run.resolve()
    made = export_model(
        run, out or place.with_name(f"{place.name}-{kind}"), format, int8, rows, license
    )
    size = sum(path.stat().st_size for path in made.folder.iterdir())
    print(f"wrote {made.folder} ({size / 1e6:.1f} MB)")
    for note in made.notes:
        print(note)
    if push:
        print(f"pushed {push_folder(made.folder, push)}")
    return 0


def _of_file(
    model: "Predictor | TagPredictor", run: Path, kind: str, file: Path | None, read: ReadOptions
) -> Iterator[dict[str, Any]]:
    from mixtext.data.read.lines import rows_to_predict
    from mixtext.data.read.readers import read_corpus, told_format
    from mixtext.evaluation import usual_options
    from mixtext.tagging.entities import TagPredictor

    if file is not None and (kind == "vectors" or told_format(file, read.format) == "npz"):
        rows = read_corpus(file, dataclasses.replace(read, labels=False))
        if rows.rows != kind:
            raise InputError(
                f"the model of {run} was trained on {kind}, but {file} holds {rows.rows}: give "
                "rows of the same kind."
            )
        for part in _chunks(range(len(rows))):
            chosen = rows.select(part)
            for id_, answer in zip(chosen.ids, model.answers(chosen), strict=True):  # type: ignore[union-attr]
                yield {"row": id_, **dataclasses.asdict(answer)}
        return
    usual: ReadOptions = UNSAID
    if file is not None and not isinstance(model, TagPredictor):
        usual = usual_options(run, str(file), UNSAID)
    yield from _answered(model, rows_to_predict(file, kind == "pairs", read, usual), bool(read.id))


def _answered(
    model: "Predictor | TagPredictor", rows: Iterable["Row"], ids: bool
) -> Iterator[dict[str, Any]]:
    """Each row with its answer, in order; a blank one with none."""
    for part in _chunks(rows):
        filled = [row for row in part if not row.is_blank]
        texts, pairs = [row.text for row in filled], [row.pair for row in filled]
        told: Sequence[Any] = (
            model.predict(texts) if all(x is None for x in pairs) else model.predict(texts, pairs)  # type: ignore[call-arg]
        )
        answers = iter(told)
        for row in part:
            values = {"id": row.id} if ids else {}
            values["text"] = row.text
            if row.pair is not None:
                values["pair"] = row.pair
            answer = None if row.is_blank else next(answers)
            yield {**values, **(_nothing(model) if answer is None else dataclasses.asdict(answer))}


def _nothing(model: "Predictor | TagPredictor") -> dict[str, Any]:
    """The answer to a blank row."""
    target = getattr(model, "target", "tags")
    empty: dict[str, dict[str, Any]] = {
        "classes": {"label": None, "probabilities": None},
        "scores": {"score": None},
        "tags": {"entities": []},
    }
    return empty[target]


def _tagged(
    model: "TagPredictor", run: Path, file: Path, read: ReadOptions
) -> Iterator[dict[str, Any]]:
    """The sentences of a CoNLL file with their tags."""
    from mixtext.tagging.run import read_as_trained

    corpus = read_as_trained(run, str(file), read, labels=False)
    for part in _chunks(range(len(corpus))):
        sentences = [corpus.sentences[i] for i in part]
        for i, tokens, tags in zip(part, sentences, model.tags(sentences), strict=True):
            yield {"id": corpus.ids[i], "tokens": tokens, "tags": tags}


def _chunks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rest, size = iter(rows), FIRST_CHUNK
    while part := list(islice(rest, size)):
        yield part
        size = min(2 * size, CHUNK)


def _write(answers: Iterator[dict[str, Any]], out: Path | None, classes: list[str]) -> None:
    """Writes answers as they come, to a file that is there only when it is whole, or the screen."""
    from mixtext.files import aside

    if out is None:
        for answer in answers:
            print(json.dumps(answer, ensure_ascii=False))
        return
    with ExitStack() as stack:
        half = stack.enter_context(aside(out))
        file = stack.enter_context(half.open("x", encoding="utf-8", newline=""))
        if out.suffix.lower() == ".csv":
            _write_table(answers, file, classes)
        else:
            for answer in answers:
                file.write(json.dumps(answer, ensure_ascii=False) + "\n")
    print(f"wrote {out}", file=sys.stderr)


def _write_table(answers: Iterator[dict[str, Any]], file: IO[str], classes: list[str]) -> None:
    """Writes answers as CSV: probabilities in a column a class, lists as JSON."""
    table = None
    for answer in answers:
        chances = answer.pop("probabilities", {}) or {}
        if "label" in answer:
            answer |= {f"probability/{name}": chances.get(name) for name in classes}
        cells = {
            k: json.dumps(v, ensure_ascii=False) if isinstance(v, list) else v
            for k, v in answer.items()
        }
        if table is None:
            table = csv.DictWriter(file, list(cells))
            table.writeheader()
        table.writerow(cells)
