"""The command line: `mixtext COMMAND`. Each command is a function below, its help the docstring."""

import dataclasses
import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from mixtext.errors import InputError

POSITIONAL = tyro.conf.Positional


def train(
    recipe: Annotated[Path, POSITIONAL],
    overrides: Annotated[tuple[str, ...], POSITIONAL] = (),
    run: Path | None = None,
    resume: bool = False,
    dry_run: bool = False,
) -> int:
    """Train a recipe: mixtext train RECIPE [table.field=value …] [--run FOLDER] [--resume]

    Writes a run folder (metrics, TensorBoard events, checkpoints, result.json, the model) and
    prints the scores. Any field of the recipe can be overridden:

        mixtext train experiments/quickstart.toml method=tmix data.labels_per_class=10

    Args:
        recipe: the recipe, a TOML file; `mixtext new-recipe` writes one for your data.
        overrides: fields to change, such as training.steps=50 or mixtext.temperature=0.3.
        run: the run folder; if not given, runs/NAME with the recipe's name.
        resume: go on where a killed run stopped; a finished run only prints its scores.
        dry_run: print the plan, the split sizes and a time estimate from three timed steps.
    """
    from mixtext.recipe import load_recipe
    from mixtext.run import Run
    from mixtext.run import train as train_run

    loaded = load_recipe(recipe, overrides)
    folder = run or Path("runs") / loaded.name
    if dry_run:
        prepared = Run.prepare(loaded)
        print(prepared.describe())
        print(f"time      about {_minutes(prepared.estimate())} on this machine, now")
        return 0
    result = train_run(loaded, folder=folder, resume=resume)
    chosen = result["best_step"] if result["dev"] else result["steps"]
    print(f"best  weights of step {chosen} of {result['steps']}")
    for part in ("dev", "test"):
        if result[part]:
            print("  ".join([f"{part:<4}", *(f"{k} {v:.4f}" for k, v in result[part].items())]))
    print(f"run   {folder} (model in {folder / 'model'})")
    print(f"look  tensorboard --logdir {folder}")
    return 0


def evaluate(
    run: Annotated[Path, POSITIONAL],
    data: str,
    root: Path | None = None,
    part: str = "test",
    text: tuple[str, ...] = (),
    label: str = "",
) -> int:
    """Score a trained model: mixtext evaluate RUN --data FILE|NAME

    Prints accuracy, macro-F1 and mean log loss as JSON.

    Args:
        run: a run folder, or the model folder in it.
        data: a file or folder with labels, or a name from the catalogue.
        root: folder that holds a catalogue data set.
        part: of a catalogue data set: train, dev or test.
        text: columns of the text (files).
        label: column of the label (files).
    """
    from mixtext.data.catalogue import CATALOGUE, load
    from mixtext.data.readers import read_corpus
    from mixtext.inference import load as load_model
    from mixtext.run import evaluate as score

    predictor = load_model(run)
    options: dict[str, Any] = {"text": text} if text else {}
    if data in CATALOGUE:
        corpus = load(data, root, part, **options)
    else:
        corpus = read_corpus(data, label=label or "label", **options)
    print(json.dumps({"rows": len(corpus), **score(predictor, corpus)}))
    return 0


def predict(
    run: Annotated[Path, POSITIONAL],
    text: Annotated[tuple[str, ...], POSITIONAL] = (),
    file: Path | None = None,
) -> int:
    """Label texts: mixtext predict RUN TEXT …, or --file FILE, or texts on standard input

    Writes one JSON line for each text: its label and the probability of every class.

    Args:
        run: a run folder, or the model folder in it.
        text: texts to label.
        file: a file with one text a line, or JSON lines with a field "text".
    """
    from mixtext.inference import load

    if text and file:
        raise InputError("texts were given and --file too: give one of them.")
    predictor = load(run)
    texts = list(text) or _read_texts(file)
    for start in range(0, len(texts), 256):
        chunk = texts[start : start + 256]
        for one, answer in zip(chunk, predictor.predict(chunk), strict=True):
            print(json.dumps({"text": one, **dataclasses.asdict(answer)}, ensure_ascii=False))
    return 0


def inspect_data(
    data: Annotated[str, POSITIONAL],
    root: Path | None = None,
    test: str | None = None,
    text: tuple[str, ...] = (),
    label: str = "",
    header: bool = True,
    encoding_errors: str = "",
    encoder: str = "minilm",
    max_length: int = 64,
) -> int:
    """Look at a corpus before training: mixtext inspect-data FILE|FOLDER|NAME

    Counts by class, lengths, duplicates, leaks from train to test, texts that would be cut.

    Args:
        data: a file, a folder, or a name from the catalogue (`mixtext datasets`).
        root: folder that holds a catalogue data set.
        test: the test file.
        text: columns of the text.
        label: column of the label.
        header: the first line names the columns.
        encoding_errors: strict or replace.
        encoder: whose tokenizer counts the tokens.
        max_length: tokens beyond which a text would be cut.
    """
    from mixtext.data.inspection import describe, inspect
    from mixtext.data.prepare import load_corpora
    from mixtext.data.settings import DataSettings
    from mixtext.models.pretrained import load_tokenizer

    settings = DataSettings(
        corpus=data,
        root=str(root or ""),
        test=test or "",
        text=text,
        label=label,
        header=header,
        encoding_errors=encoding_errors,  # type: ignore[arg-type]
    )
    corpus, held, _ = load_corpora(settings)
    print(describe(inspect(corpus, held, load_tokenizer(encoder), max_length)))
    return 0


def new_recipe(
    data: Annotated[str, POSITIONAL],
    out: Path | None = None,
    root: Path | None = None,
    test: str | None = None,
    text: tuple[str, ...] = (),
    label: str = "",
    method: str = "mixtext",
) -> int:
    """Write a commented recipe for your own data: mixtext new-recipe DATA [--out FILE]

    Reads the data once, so that what it writes fits: the label budget, the dev set and the text
    length follow from what is there.

    Args:
        data: a file, a folder, or a name from the catalogue.
        out: the file to write; if not given, NAME.toml here. An existing file is kept.
        root: folder that holds a catalogue data set.
        test: the test file; without one, a part of the data is set aside.
        text: columns of the text.
        label: column of the label.
        method: the method to begin with.
    """
    from mixtext.starter import starter_recipe

    name, recipe = starter_recipe(data, root, test, text, label, method)
    out = out or Path(f"{name}.toml")
    if out.exists():
        raise InputError(f"{out} exists already: name another file with --out.")
    out.write_text(recipe, encoding="utf-8")
    print(f"wrote {out}; next: mixtext train {shlex.quote(str(out))} --dry-run")
    return 0


def methods(settings: bool = False) -> int:
    """List the methods: paper, tasks, what each mixes

    Args:
        settings: list every setting with its default and meaning.
    """
    from mixtext.report.listings import list_methods

    print(list_methods(settings))
    return 0


def datasets() -> int:
    """List the catalogue: the data sets that are known by name"""
    from mixtext.report.listings import list_datasets

    print(list_datasets())
    return 0


def recipe_fields() -> int:
    """List every field of a recipe: type, default, meaning"""
    from mixtext.report.listings import list_recipe_fields

    print(list_recipe_fields())
    return 0


def table(runs: Annotated[tuple[Path, ...], POSITIONAL]) -> int:
    """Compare finished runs: mixtext table RUN|FOLDER …

    Prints a Markdown table, mean ± standard deviation over seeds, made from result.json files.

    Args:
        runs: run folders, folders that hold some, or files of results, one JSON object a line.
    """
    from mixtext.report.tables import comparison, read_results

    print(comparison(read_results(runs)))
    return 0


def plot(runs: Annotated[tuple[Path, ...], POSITIONAL], out: Path = Path("runs.png")) -> int:
    """Draw runs side by side: mixtext plot RUN … [--out FILE.png]

    Training loss, dev accuracy and pseudo-labels over the steps, from metrics.jsonl.

    Args:
        runs: run folders.
        out: the picture; its ending gives the format.
    """
    from mixtext.report.plots import plot_runs

    plot_runs(runs, out)
    print(f"wrote {out}")
    return 0


def back_translate(
    data: Annotated[str, POSITIONAL],
    options: Annotated[tuple[str, ...], POSITIONAL] = (),
    out: Path = Path("views"),
    root: Path | None = None,
    text: tuple[str, ...] = (),
    label: str = "",
) -> int:
    """Make views of a corpus: mixtext backtranslate DATA --out DIR --backend … --pivots …

    Writes DIR/views.jsonl, for `views.file` in a recipe. All options but those below are passed on
    to `python -m backtranslate`, which says what they mean with --help. Killed? The same command
    goes on from there.

    Args:
        data: a file, a folder, or a name from the catalogue; its training part is translated.
        options: for python -m backtranslate.
        out: folder of the store.
        root: folder that holds a catalogue data set.
        text: columns of the text.
        label: column of the label.
    """
    from backtranslate.cli import main as backtranslate_main
    from mixtext.data.prepare import load_corpora
    from mixtext.data.settings import DataSettings

    settings = DataSettings(corpus=data, root=str(root or ""), text=text, label=label)
    corpus, _, _ = load_corpora(settings)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "texts.jsonl").open("w", encoding="utf-8") as file:
        for id_, one in zip(corpus.ids, corpus.texts, strict=True):
            file.write(json.dumps({"id": id_, "text": one}) + "\n")
    return backtranslate_main([str(out / "texts.jsonl"), "--out", str(out), *options])


COMMANDS: dict[str, Callable[..., int]] = {
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "inspect-data": inspect_data,
    "new-recipe": new_recipe,
    "backtranslate": back_translate,
    "table": table,
    "plot": plot,
    "methods": methods,
    "datasets": datasets,
    "recipe-fields": recipe_fields,
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0; 2 for bad input; 3 for a lost training."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    arguments = _in_order(sys.argv[1:] if arguments is None else arguments)
    try:
        return int(
            tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                prog="mixtext",
                description="Text classification from few labels: MixText and the mixup family.",
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
        )
    except InputError as error:
        print(f"mixtext: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mixtext: stopped; go on with --resume", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `mixtext … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # a full disk, a folder that may not be written to
        where = f" ({error.filename})" if error.filename else ""
        print(f"mixtext: {error.strerror or error}{where}", file=sys.stderr)
        return 1
    except Exception as error:
        # By name: importing the loop takes seconds, which `mixtext --help` should not cost.
        codes = {"Diverged": 3, "SafetensorError": 1}  # the latter: weights met a full disk
        if type(error).__name__ not in codes:
            raise
        print(f"mixtext: {error}", file=sys.stderr)
        return codes[type(error).__name__]


def _in_order(arguments: list[str]) -> list[str]:
    """Moves `table.field=value` behind the recipe, so that it may stand after options too.

    Likewise the options of `python -m backtranslate` behind a `--`.
    """
    if arguments[:1] == ["backtranslate"] and "--" not in arguments:
        foreign = False
        parts: dict[bool, list[str]] = {False: [], True: []}
        for argument in arguments:
            if argument.startswith("-"):
                ours = ("-h", "--help", "--out", "--root", "--text", "--label")
                foreign = argument.partition("=")[0] not in ours
            parts[foreign].append(argument)
        return [*parts[False], "--", *parts[True]]
    if arguments[:1] != ["train"]:
        return arguments
    overrides = [a for a in arguments if re.match(r"[a-z_]+(\.\w+)?=", a)]
    rest = [a for a in arguments if a not in overrides]
    recipe = next((i for i, a in enumerate(rest) if a.endswith(".toml")), len(rest) - 1)
    return [*rest[: recipe + 1], *overrides, *rest[recipe + 1 :]]


def _read_texts(file: Path | None) -> list[str]:
    if file is not None and not file.is_file():
        raise InputError(f"{file} does not exist: give a file with one text a line.")
    name = str(file) if file else "standard input"
    data = file.read_bytes() if file else sys.stdin.buffer.read()
    texts = []
    for number, raw in enumerate(data.splitlines(), 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise InputError(f"{name}, line {number} is not valid UTF-8: convert it.") from None
        if not line:
            continue
        if line.startswith("{"):
            try:
                line = str(json.loads(line)["text"])
            except (ValueError, KeyError):
                raise InputError(
                    f'{name}, line {number} begins like JSON but is no object with a "text".'
                ) from None
        texts.append(line)
    if not texts:
        raise InputError(f"{name} holds no text: give one text a line.")
    return texts


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


if __name__ == "__main__":
    sys.exit(main())
