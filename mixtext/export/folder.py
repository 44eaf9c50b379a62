"""`mixtext export`: a trained model in a folder of its own, whole or not at all, or on the hub."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mixtext.api import load
from mixtext.data.corpus import Corpus
from mixtext.errors import InputError
from mixtext.export.card import facts, model_card
from mixtext.export.onnx import (
    FILE,
    Graph,
    OnnxModel,
    refuse_cases,
    refuse_without_packages,
    write_int8,
    write_onnx,
)
from mixtext.files import aside
from mixtext.inference import Predictor, rows_of, unlabelled
from mixtext.models.folder import ABOUT, HEAD, model_folder, read_about, refuse_damaged
from mixtext.models.huggingface import WEIGHTS as WHOLE
from mixtext.tagging.entities import WORD, TagPredictor
from mixtext.tagging.rows import tokenise_sentences

SAME = 1e-5  # most that an answer of the ONNX file in float32 may be off

PIPELINE = """```python
import mixtext  # or trust_remote_code=True, where the folder holds code
from transformers import pipeline

pipeline("{kind}", "FOLDER"{options})("some text")
```

Or with mixtext alone: `mixtext predict FOLDER "some text"`."""
OWN = '`mixtext predict FOLDER`, or `mixtext.load("FOLDER")` in Python.'
SESSION = """```python
import onnxruntime
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER")
session = onnxruntime.InferenceSession("FOLDER/model.onnx")
rows = tokenizer({texts}, truncation=True, padding=True, return_tensors="np"{special})
given = {{x.name: rows[x.name].astype("int64") for x in session.get_inputs()}}
[logits] = session.run(None, given)  # {shape}
```"""
VECTORS = """```python
import onnxruntime

session = onnxruntime.InferenceSession("FOLDER/model.onnx")
[logits] = session.run(None, {"vectors": rows})  # float32, as trained on
```"""


@dataclass(frozen=True)
class Exported:
    """What `export_model` has written.

    Attributes:
        folder: the new folder.
        notes: sentences about it: how near its answers are to those of the model.
    """

    folder: Path
    notes: tuple[str, ...]


def export_model(
    run: Path,
    out: Path,
    format: Literal["onnx", "safetensors"] = "safetensors",
    int8: bool = False,
    rows: Corpus | None = None,
    license: str = "unknown",
) -> Exported:
    """Writes a trained model with a model card into a new folder.

    Args:
        run: a run folder, or the model folder in it.
        out: the new folder.
        format: `safetensors`: the model folder as it is; `onnx`: one file for onnxruntime, its
            tokenizer and configuration.
        int8: round the weights of the ONNX file.
        rows: texts, pairs or vectors to count on how many answers int8 changes.
        license: of the model, for the card.

    Raises:
        InputError: no finished model there; `out` is there already; a package is missing; `int8`
            without `onnx` or without rows; a model that ONNX cannot say.
    """
    if int8 and format != "onnx":
        raise InputError("--int8 is for --format onnx: give both, or leave --int8 out.")
    if int8 and rows is None:
        raise InputError(
            "the rows that the run was scored on cannot be read again: give --data FILE with "
            "rows to count on how many answers --int8 changes."
        )
    about, source = read_about(run), model_folder(run)
    if out.exists():
        raise InputError(f"{out} is there already: name another folder with --out.")
    refuse_damaged(source, about)
    notes: tuple[str, ...] = ()
    if format == "onnx":
        refuse_without_packages()
    with aside(out) as half:
        half.mkdir()
        if format == "onnx":
            predictor = replace(load(run, "cpu"), precision="float32")
            refuse_cases(predictor.model)
            notes = _write_onnx(predictor, half / FILE, rows if int8 else None)
        for path in sorted(source.iterdir()):
            left = format == "onnx" and path.name in (ABOUT, WHOLE, HEAD, *_OF_SMALL)
            if path.is_file() and not left:
                shutil.copyfile(path, half / path.name)
        how = _use(about, format, (half / "config.json").is_file()).replace("FOLDER", out.name)
        card = model_card(out.name, about, facts(run), how, license, notes)
        (half / "README.md").write_text(card, encoding="utf-8")
    return Exported(out, notes)


_OF_SMALL = ("encoder.safetensors", "encoder.json")


def _use(about: dict[str, Any], format: str, hugging_face: bool) -> str:
    """How a folder is used, in Markdown."""
    special = "" if about["model"].get("special_tokens", True) else ", add_special_tokens=False"
    if format == "onnx":
        if about["rows"] == "vectors":
            return VECTORS
        texts = '["one text"], ["another"]' if about["rows"] == "pairs" else '["some text"]'
        shape = {"tags": "(rows, tokens, tags)", "scores": "(rows, 1): the scores themselves"}
        return SESSION.format(
            texts=texts, special=special, shape=shape.get(about["target"], "(rows, classes)")
        )
    if not hugging_face or about["model"].get("case"):  # no pipeline knows the letter case
        return OWN
    if about["target"] == "tags":
        return PIPELINE.format(kind="token-classification", options="")
    return PIPELINE.format(kind="text-classification", options=f", truncation=True{special}")


def _write_onnx(predictor: Any, path: Path, rows: Corpus | None) -> tuple[str, ...]:
    """Writes the file, compares its answers with the model's, and says how they differ.

    The predictor is a `Predictor` or a `TagPredictor`; with `rows`, the file is in int8.
    """
    drawn = _drawn(predictor)
    settings = predictor.settings
    pad_to = settings.max_length if getattr(settings, "pad_to_max", False) else 0
    if isinstance(predictor, TagPredictor):
        words = [WORD.findall(x) for x in drawn.texts]
        source: Any = tokenise_sentences(
            predictor.tokenizer, words, settings.max_length, predictor.settings.overlap
        ).tokens
    else:
        source = rows_of(drawn, predictor.settings, predictor.tokenizer)
    batch = source.collate([source.row(i) for i in range(len(source))])
    filler = getattr(source, "pad_id", 0)
    types = getattr(batch, "types", None) is not None
    graph = Graph(predictor.model, pad_to, filler, types).eval()
    write_onnx(graph, batch, path)
    worst = _difference(predictor, replace(predictor, model=OnnxModel(path, graph)), drawn)[0]
    if worst > SAME:
        raise InputError(
            f"the ONNX file answers otherwise than the model, by {worst:.1g}: give --format "
            "safetensors."
        )
    notes = [f"ONNX in float32: answers differ by {worst:.1g} at most, on {len(drawn)} drawn rows."]
    if rows is not None:
        write_int8(path)
        worst, changed, answers = _difference(
            predictor, replace(predictor, model=OnnxModel(path, graph)), rows
        )
        what = {"tags": "tags of words", "scores": ""}.get(_target(predictor), "answers")
        counted = f"{changed:,} of {answers:,} {what} changed ({changed / answers:.2%}); "
        notes.append(
            f"int8: {counted if what else ''}outputs differ by {worst:.2g} at most, on "
            f"{len(rows):,} rows of {rows.name or 'the data'}."
        )
    return tuple(notes)


def _target(predictor: Predictor | TagPredictor) -> str:
    return "tags" if isinstance(predictor, TagPredictor) else predictor.target


def _difference(one: Any, other: Any, rows: Corpus) -> tuple[float, int, int]:
    """Largest difference of outputs, answers that are others, and answers in all."""
    if isinstance(one, TagPredictor):
        words = [found for x in rows.texts if (found := WORD.findall(x))]
        a, b = (np.concatenate(x.probabilities(words)) for x in (one, other))
    else:
        a, b = one.outputs(rows), other.outputs(rows)
    return float(np.abs(a - b).max()), int((a.argmax(1) != b.argmax(1)).sum()), len(a)


def _drawn(predictor: Predictor | TagPredictor) -> Corpus:
    """Rows of all lengths that the model can take, drawn by chance."""
    generator = np.random.default_rng(0)
    encoder: Any = predictor.model.encoder
    if not encoder.takes_tokens:
        return Corpus.from_vectors(generator.normal(size=(8, *encoder.shape)))
    tokenizer: Any = predictor.tokenizer
    special = {*tokenizer.all_special_ids}
    ids = [i for i in range(len(tokenizer)) if i not in special]
    lengths = np.linspace(1, predictor.settings.max_length, 8).astype(int)
    # Beside a word of the alphabet, for pieces that are no word alone.
    texts = [f"a {tokenizer.decode(generator.choice(ids, n))}" for n in lengths]
    pairs = texts[::-1] if getattr(predictor, "rows", "") == "pairs" else None
    return unlabelled(texts, pairs)


def check_name(name: str) -> None:
    """Refuses what cannot be a name on the hub."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        raise InputError(
            f"--push is {name!r}, which is no name of the hub: give OWNER/NAME, of letters, "
            "digits, '-', '_' and '.'."
        ) from None


def push_folder(folder: Path, name: str) -> str:
    """Uploads a folder to the hub, as a private model where there is none of that name yet.

    Args:
        folder: what `export_model` has written.
        name: `owner/name`, or a name of the user's own.

    Returns:
        Its address.

    Raises:
        InputError: the hub cannot be reached, or does not let this user.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        made = api.create_repo(name, private=True, exist_ok=True)
        api.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message="Add the model")
    except Exception as error:  # the client's HTTP library has errors of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
        raise InputError(
            f"{folder} is written, but could not be uploaded as {name!r} ({reason}): log in with "
            f"`hf auth login` and upload it with `hf upload {name} {folder}`."
        ) from error
    return str(made)
