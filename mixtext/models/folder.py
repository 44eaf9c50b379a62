"""A model folder, of a classifier or a tagger.

A transformer with its head is an ordinary Hugging Face folder: `AutoModelForSequenceClassification`
or `AutoModelForTokenClassification` loads the whole, `AutoModel` the encoder, `AutoTokenizer` its
tokenizer (see `huggingface.py`). A small encoder is `encoder.safetensors` and `encoder.json`, its
head `head.safetensors`. `mixtext.json` says what the model takes and tells, and how it is used, and
has the checksums of all files, by which a damaged one is known when the model is loaded.

A folder is written beside its place and takes it by one rename: what has its name is whole.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from safetensors.torch import load_file
from torch import Tensor, nn

from mixtext.errors import InputError, reads, refuse_odd_files
from mixtext.files import aside, checksum, save_tensors, usual_mode, write_json
from mixtext.models.base import SIZES, WEIGHTS, Encoder, Model, SmallEncoder
from mixtext.models.encoder import MixableEncoder
from mixtext.models.huggingface import WEIGHTS as WHOLE
from mixtext.models.huggingface import head_weights, save_whole
from mixtext.models.pretrained import load_encoder, load_tokenizer, quiet_transformers
from mixtext.models.vectors import Mlp, SmallCnn
from mixtext.models.words import KimCnn, Lstm

S = TypeVar("S")
ABOUT, HEAD = "mixtext.json", "head.safetensors"
SUMS = "sha256"  # what `mixtext.json` calls the checksums
SMALL: dict[str, type[SmallEncoder]] = {x.kind: x for x in (KimCnn, Lstm, Mlp, SmallCnn)}
# What a model tells, by the one word for it and its rows that earlier versions wrote.
TARGETS = {"regression": "scores", "tagging": "tags"}


@dataclass(frozen=True)
class Parts:
    """What a model folder holds.

    Attributes:
        folder: the folder, which holds the head's weights too.
        encoder: with its weights.
        tokenizer: None where rows are vectors.
        about: what `mixtext.json` says: `rows`, `target`, the settings under `model`, `precision`,
            and the names of classes or tags.
    """

    folder: Path
    encoder: Encoder
    tokenizer: Any
    about: dict[str, Any]

    def fill(self, model: Model) -> None:
        """Loads the weights of the head; InputError where they are not there or do not fit."""
        path = self.folder / HEAD  # of small encoders, and of all that version 0.1 wrote
        if path.is_file() or not isinstance(self.encoder, MixableEncoder):
            _load_weights(model.head, lambda: load_file(path), path, ABOUT)
        else:
            read = partial(head_weights, self.folder, model)
            _load_weights(model.head, read, self.folder / WHOLE, ABOUT)


def save_parts(folder: Path, model: Model, tokenizer: Any, about: dict[str, Any]) -> None:
    """Writes a model folder, whole or not at all; `about` as in `Parts`."""
    with aside(folder) as half, quiet_transformers():
        half.mkdir()
        if isinstance(model.encoder, MixableEncoder):
            save_whole(half, model, model.encoder, about)
        elif isinstance(model.encoder, SmallEncoder):
            model.encoder.save(half)
            save_tensors(model.head.state_dict(), half / HEAD)
        if tokenizer is not None:
            longest = tokenizer.model_max_length
            tokenizer.model_max_length = about["model"]["max_length"]  # where others cut
            tokenizer.save_pretrained(half)
            tokenizer.model_max_length = longest
        sums = {path.name: checksum(path) for path in sorted(half.iterdir())}
        write_json(half / ABOUT, {**about, SUMS: {**sums, ABOUT: _sum_of(about)}})
        for path in half.iterdir():
            usual_mode(path)


def model_folder(run: Path) -> Path:
    """The model folder of a run; a folder without one is taken for a model folder itself."""
    inner = run / "model"
    return inner if (inner / ABOUT).is_file() else run


def run_of(folder: Path) -> Path:
    """The run folder around a model folder; any other folder is taken for a run folder itself."""
    inside = folder.name == "model" and (folder.parent / "recipe.toml").is_file()
    return folder.parent if inside else folder


def has_model(run: Path) -> bool:
    """Whether a run folder holds a model."""
    return model_folder(run) != run


@reads("export the model again")
def read_about(run: Path) -> dict[str, Any]:
    """What `mixtext.json` says of the model of a run folder, or of a model folder.

    Raises:
        InputError: there is no finished model there, or the file is damaged.
    """
    path = model_folder(run) / ABOUT
    if (run / "model.onnx").is_file():
        raise InputError(
            f"{run} holds a model in ONNX, for onnxruntime (its README.md says how): give the run "
            "folder, or what `mixtext export RUN` makes without --format onnx."
        )
    if not path.is_file():
        state = "holds no finished model" if run.exists() else "is not there"
        raise InputError(f"run folder {run} {state}: train it first (or again with --resume).")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        told = TARGETS.get(about["task"], "classes")
        about["model"]["encoder"]  # a file of something else lacks it
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path} is damaged: export the model again.") from error
    return {"rows": "sentences", "target": told, **about}  # taggers had no rows either


def refuse_damaged(folder: Path, about: dict[str, Any]) -> None:
    """Refuses a model folder in which a file is not as it was written.

    Args:
        folder: the model folder; one that an earlier version wrote has no checksums, and passes.
        about: what `mixtext.json` says.
    """
    sums = about.get(SUMS, {})
    if not isinstance(sums, dict):
        raise InputError(f"{folder / ABOUT} is damaged: export the model again.")
    for name, told in sums.items():
        path = folder / name
        if told != (_sum_of(about) if name == ABOUT else path.is_file() and checksum(path)):
            raise InputError(
                f"{path} is not as it was written: export the model again or, where the change is "
                f'meant, delete "{SUMS}" from {ABOUT}.'
            )


def _sum_of(about: dict[str, Any]) -> str:
    """SHA-256 of all else that `mixtext.json` says."""
    rest = {name: value for name, value in about.items() if name != SUMS}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def settings_in(kind: Callable[..., S], run: Path, about: dict[str, Any]) -> S:
    """The settings of a model, as `mixtext.json` has them; InputError names the file."""
    try:
        return kind(**about["model"])
    except InputError as error:
        raise InputError(f"{model_folder(run) / ABOUT}: {error}") from None


@reads("export the model again")
def load_parts(run: Path) -> Parts:
    """Loads the parts of the model of a run folder, or of a model folder.

    Raises:
        InputError: as `read_about`; or a part is missing or damaged.
    """
    about, folder = read_about(run), model_folder(run)
    refuse_odd_files(folder)
    refuse_damaged(folder, about)
    tokenizer = None
    if about["model"]["encoder"] in SMALL:
        encoder: Encoder = load_small(folder)
        if encoder.takes_tokens:
            tokenizer = load_tokenizer(str(folder.resolve()))
    else:
        encoder, tokenizer = load_encoder(str(folder.resolve()))
    return Parts(folder, encoder, tokenizer, about)


def load_small(folder: Path) -> SmallEncoder:
    """Loads an encoder that `SmallEncoder.save` wrote.

    Raises:
        InputError: a file is missing or broken, or the two do not fit each other.
    """
    for name in (SIZES, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(f"{folder} holds no {name}: give the folder of a saved model.")
    try:
        sizes = json.loads((folder / SIZES).read_text(encoding="utf-8"))
        encoder = SMALL[sizes.pop("kind")].sized(**sizes)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(
            f"{folder / SIZES} does not describe an encoder: {_again(error)}"
        ) from error
    path = folder / WEIGHTS
    _load_weights(encoder, lambda: load_file(path), path, SIZES)
    return encoder


def _load_weights(
    module: nn.Module, read: Callable[[], dict[str, Tensor]], path: Path, about: str
) -> None:
    try:
        module.load_state_dict(read())
    except Exception as error:  # safetensors has errors of its own for broken files
        raise InputError(
            f"{path} cannot be read, or does not fit {about}: {_again(error)}"
        ) from error


def _again(error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
    return f"{reason}; export the model again."
