"""fairseq: the toolkit of the paper's WMT19 models, from a local checkpoint folder.

The folder is laid out as fairseq publishes it: `model*.pt` (several make an ensemble),
`dict.SOURCE.txt`, `dict.TARGET.txt` and `bpecodes`; texts are tokenised by Moses' rules and split
by fastBPE. Only a fork of fairseq runs on Python 3.11 and newer; `backtranslate/fairseq-setup.sh`
installs it.
"""

import argparse
import ast
import builtins
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from backtranslate.backends import LONGEST_PIECE, locate, too_long
from backtranslate.translator import BacktranslateError, Decoding

INSTALL = "install it with: backtranslate/fairseq-setup.sh VENV (or ./run.sh fairseq)"


class Fairseq:
    """A single model or an ensemble.

    Args:
        source: language code, as in the names of the dictionaries.
        target: language code.
        place: a checkpoint folder; or files in one, 'FOLDER/a.pt:b.pt'.
        device: 'auto', 'cpu' or 'cuda'.

    Raises:
        BacktranslateError: fairseq, or a file of the folder, is missing.
    """

    def __init__(self, source: str, target: str, place: str, device: str):
        torch, transformer_model = fairseq_modules()
        if device == "cuda" and not torch.cuda.is_available():
            raise BacktranslateError("device = cuda, but torch sees no GPU; use cpu or auto.")
        folder, files = checkpoint_files(place, source, target)
        self.torch = torch
        try:
            # The warnings are hydra's, about what fairseq does.
            with warnings.catch_warnings(action="ignore"), literals_only():
                self.hub = transformer_model.from_pretrained(
                    str(folder),
                    checkpoint_file=os.pathsep.join(files),
                    data_name_or_path=".",
                    source_lang=source,
                    target_lang=target,
                    tokenizer="moses",
                    bpe="fastbpe",
                    bpe_codes=str(folder / "bpecodes"),
                ).eval()
        except Exception as error:  # fairseq's errors have no common kind
            raise BacktranslateError(
                f"fairseq cannot load {', '.join(files)} in {folder}: {error}"
            ) from error
        if torch.cuda.is_available() and device != "cpu":
            self.hub.cuda()
        # fairseq would cut our batch again, by what the model's training had room for.
        self.hub.cfg.dataset.max_tokens = None
        self.hub.cfg.dataset.batch_size = None
        self.limit = min(LONGEST_PIECE, *self.hub.max_positions)
        self.description = f"fairseq {fairseq_version()} {folder.name} ({':'.join(files)})"

    def length(self, text: str) -> int:
        """Tokens, the end mark included."""
        return len(self.hub.apply_bpe(self.hub.tokenize(text)).split()) + 1

    def translate(self, pieces: list[str], decoding: Decoding, seed: int) -> list[str]:
        """One batch. With sampling, fairseq itself takes the likeliest of `beam` samples."""
        tokens = [self.hub.encode(piece) for piece in pieces]
        longest = max(map(len, tokens))
        # fairseq refuses the whole batch over one long piece, or leaves that piece out and says
        # nothing (skip_invalid_size_inputs); so it must not come to that.
        if longest > self.limit:
            raise too_long(self.description, longest, self.limit)
        devices = [self.hub.device] if self.hub.device.type == "cuda" else []
        with (
            self.torch.random.fork_rng(devices),  # whoever calls keeps its own random numbers
            warnings.catch_warnings(action="ignore"),  # pinned memory, which a CPU has no use for
        ):
            self.torch.manual_seed(seed)
            found = self.hub.generate(
                tokens,
                beam=decoding.beam,
                sampling=decoding.sampling,
                temperature=decoding.temperature,
                max_len_a=0,
                max_len_b=2 * LONGEST_PIECE,
                skip_invalid_size_inputs=False,
            )
        return [self.hub.decode(hypotheses[0]["tokens"]) for hypotheses in found]


def fairseq_modules() -> tuple[Any, Any]:
    """torch and fairseq's `TransformerModel`, ready to read checkpoints of any age."""
    # It reports on every batch, and on optional packages; each part of it as itself.
    for name in ("fairseq", "fairseq.tasks.fairseq_task", "fairseq.tasks.text_to_speech"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        import torch
        from fairseq.models.transformer import TransformerModel
    except ImportError as error:
        raise BacktranslateError(f"fairseq does not import ({error}); {INSTALL}") from error
    # Old checkpoints hold their settings in one of these, which torch refuses by default.
    torch.serialization.add_safe_globals([argparse.Namespace])
    return torch, TransformerModel


@contextmanager
def literals_only() -> Iterator[None]:
    """Inside, `eval` of a bare text takes literals alone: numbers, strings, lists of them.

    torch reads a checkpoint as weights and plain settings; but some of these fairseq evaluates as
    Python, and so a checkpoint could bring code along in a string.
    """
    evaluate = builtins.eval

    def literal(source: Any, *scopes: Any, **named: Any) -> Any:
        if scopes or named or not isinstance(source, str):
            return evaluate(source, *scopes, **named)
        return ast.literal_eval(source)

    builtins.eval = literal
    try:
        yield
    finally:
        builtins.eval = evaluate


def fairseq_version() -> str:
    """Of the fork, or of the original."""
    for name in ("fairseq-fixed", "fairseq"):
        try:
            return version(name)
        except PackageNotFoundError:
            pass
    return "of unknown version"


def checkpoint_files(place: str, source: str, target: str) -> tuple[Path, list[str]]:
    """Folder and model files of 'FOLDER' or 'FOLDER/a.pt:b.pt'; checks that all parts are there."""
    if place.endswith(".pt"):
        folder, names = Path(place).parent, Path(place).name
        files = names.split(os.pathsep)
    else:
        folder = Path(place)
        files = sorted(path.name for path in folder.glob("model*.pt"))
    if not folder.is_dir():
        raise BacktranslateError(
            f"There is no checkpoint folder {folder}; unpack a fairseq model there and give its"
            " folder, or a template such as '/folder/{source}-{target}', as models."
        )
    wanted = [*files, f"dict.{source}.txt", f"dict.{target}.txt", "bpecodes"]
    missing = [name for name in wanted if not (folder / name).is_file()]
    if not files:
        missing.insert(0, "model*.pt")
    if missing:
        raise BacktranslateError(
            f"The fairseq folder {folder} lacks {', '.join(missing)}; it must hold model*.pt,"
            f" dict.{source}.txt, dict.{target}.txt and bpecodes."
        )
    return folder, files


def load(backend: str, source: str, target: str, models: str, device: str) -> Fairseq:
    """See `backtranslate.backends.load`; models must be given: fairseq has no hub of its own."""
    fairseq_modules()
    if not models:
        raise BacktranslateError(
            "The backend 'fairseq' has no default model; give the folder that holds"
            " {source}-{target} checkpoint folders, or a template, as models."
        )
    return Fairseq(source, target, locate(models, "", source, target), device)
