"""A model folder, of a classifier or a tagger.

A transformer and its tokenizer are an ordinary Hugging Face folder, which `AutoModel` and
`AutoTokenizer` load; a small encoder is `encoder.safetensors` and `encoder.json`. The head lies
beside them in `head.safetensors`. `mixtext.json` says what the model takes and tells, and how it
is used. It goes first when a folder is written over and comes last, so that one with a
`mixtext.json` is whole, whenever the writing was killed.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from mixtext.errors import InputError
from mixtext.files import save_tensors, write_json
from mixtext.models.base import SIZES, WEIGHTS, Encoder, Model, SmallEncoder
from mixtext.models.pretrained import load_encoder, load_tokenizer, quiet_transformers
from mixtext.models.vectors import Mlp, SmallCnn
from mixtext.models.words import KimCnn, Lstm

ABOUT, HEAD = "mixtext.json", "head.safetensors"
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
        _load_weights(model.head, self.folder / HEAD, ABOUT)


def save_parts(folder: Path, model: Model, tokenizer: Any, about: dict[str, Any]) -> None:
    """Writes a model folder; `about` as in `Parts`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).unlink(missing_ok=True)
    with quiet_transformers():
        model.encoder.save(folder)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
    save_tensors(model.head.state_dict(), folder / HEAD)
    os.umask(umask := os.umask(0))
    for path in folder.glob("*.safetensors"):
        path.chmod(0o666 & ~umask)  # safetensors lets nobody but the owner read them
        with path.open("rb") as file:
            os.fsync(file.fileno())
    write_json(folder / ABOUT, about)


def model_folder(run: Path) -> Path:
    """The model folder of a run; a folder without one is taken for a model folder itself."""
    inner = run / "model"
    return inner if (inner / ABOUT).is_file() else run


def read_about(run: Path) -> dict[str, Any]:
    """What `mixtext.json` says of the model of a run folder, or of a model folder.

    Raises:
        InputError: there is no finished model there, or the file is damaged.
    """
    path = model_folder(run) / ABOUT
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


def load_parts(run: Path) -> Parts:
    """Loads the parts of the model of a run folder, or of a model folder.

    Raises:
        InputError: as `read_about`; or a part is missing or damaged.
    """
    about, folder = read_about(run), model_folder(run)
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
    _load_weights(encoder, folder / WEIGHTS, SIZES)
    return encoder


def _load_weights(module: nn.Module, path: Path, about: str) -> None:
    try:
        module.load_state_dict(load_file(path))
    except Exception as error:  # safetensors has errors of its own for broken files
        raise InputError(
            f"{path} cannot be read, or does not fit {about}: {_again(error)}"
        ) from error


def _again(error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
    return f"{reason}; export the model again."
