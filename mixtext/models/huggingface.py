"""A trained transformer and its head as one model of Hugging Face's, written and read.

Where the two are together exactly what transformers has a class for (BERT with its pooler and one
affine layer; a tagger that is told nothing but the tokens), that class is written; else one of
`modeling_mixtext.py`, whose code goes along.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mixtext.models.base import Model
from mixtext.models.encoder import MixableEncoder

WEIGHTS = "model.safetensors"
# What the weights of a head are called, in our classes and in those of transformers.
OURS, THEIRS = "head.", "classifier."


def save_whole(folder: Path, model: Model, encoder: MixableEncoder, about: dict[str, Any]) -> None:
    """Writes encoder and head into `folder` as one model.

    Args:
        folder: is there.
        model: a classifier or a tagger.
        encoder: the model's.
        about: what `mixtext.json` will say, see `folder.Parts`.
    """
    names = about.get("tag_names") or about["label_names"] or ["score"]
    labels = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
    }
    make = _tagger if about["target"] == "tags" else _classifier
    with torch.device("meta"):  # shapes alone: the weights are there already
        whole = make(model, encoder, about, labels)
    base, head = whole.base_model_prefix + ".", OURS
    if hasattr(whole, "classifier"):
        head = THEIRS
    wanted = whole.state_dict().keys()
    weights = {base + name: weight for name, weight in encoder.model.state_dict().items()}
    weights |= {head + _theirs(name, head): w for name, w in model.head.state_dict().items()}
    whole.save_pretrained(folder, state_dict={k: v for k, v in weights.items() if k in wanted})


def head_weights(folder: Path, model: Model) -> dict[str, Tensor]:
    """The head's weights out of what `save_whole` wrote, by the names of `model.head`."""
    weights = load_file(folder / WEIGHTS)
    head = THEIRS if any(name.startswith(THEIRS) for name in weights) else OURS
    named = {head + _theirs(name, head): name for name in model.head.state_dict()}
    return {named.get(name, name): w for name, w in weights.items() if name.startswith(head)}


def _theirs(name: str, head: str) -> str:
    """The name of a weight of one affine layer, which transformers has in no sequence."""
    return name.rpartition(".")[2] if head == THEIRS else name


def _classifier(
    model: Any, encoder: MixableEncoder, about: dict[str, Any], labels: dict[str, Any]
) -> Any:
    from transformers import BertForSequenceClassification

    from mixtext.models.modeling_mixtext import MixTextConfig, MixTextForSequenceClassification

    settings = about["model"]
    kind = "regression" if about["target"] == "scores" else "single_label_classification"
    made_of = {
        "pool": model.pool,
        "use_mask": model.use_mask,
        "pad_to": settings["max_length"] if settings["pad_to_max"] else 0,
        "head_width": settings["head_width"],
    }
    plain = {"pool": "pooler", "use_mask": True, "pad_to": 0, "head_width": 0}
    if encoder.config.model_type == "bert" and made_of == plain:
        config = type(encoder.config)(**{**encoder.config.to_dict(), **labels})
        config.problem_type = kind
        return BertForSequenceClassification(config)
    given = MixTextConfig(encoder.config.to_dict(), problem_type=kind, **made_of, **labels)
    return MixTextForSequenceClassification(given)


def _tagger(
    model: Any, encoder: MixableEncoder, about: dict[str, Any], labels: dict[str, Any]
) -> Any:
    from transformers import AutoModelForTokenClassification

    from mixtext.models.modeling_mixtext import MixTextConfig, MixTextForTokenClassification

    cases = model.head.in_features - encoder.hidden_size
    config = type(encoder.config)(**{**encoder.config.to_dict(), **labels})
    try:
        native = AutoModelForTokenClassification.from_config(config)
    except ValueError:  # transformers has no such class
        native = None
    if native is not None and not cases:
        base = native.base_model_prefix + "."
        own = {name for name in native.state_dict() if not name.startswith(base)}
        if own == {THEIRS + "weight", THEIRS + "bias"}:
            return native
    return MixTextForTokenClassification(
        MixTextConfig(encoder.config.to_dict(), cases=cases, **labels)
    )
