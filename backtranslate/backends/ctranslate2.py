"""ctranslate2: converted models, 5 to 10 times as fast as transformers on a CPU.

`convert` makes a folder that holds the model (8-bit integers by default), what its tokenizer needs
and a note, `backtranslate.json`, of what it was made from. Translating needs neither fairseq nor,
for fairseq's models, transformers.
"""

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from backtranslate.backends import LONGEST_PIECE, locate, too_long
from backtranslate.files import aside
from backtranslate.translator import BacktranslateError, Decoding

INSTALL = "pip install ctranslate2"
NOTE = "backtranslate.json"
KINDS = ("marian", "opus-mt", "fairseq")


class Subwords(Protocol):
    """Text ↔ the tokens that a model reads and writes."""

    def encode(self, text: str) -> list[str]:
        """Text → all tokens that the model is to read."""
        ...

    def decode(self, tokens: list[str]) -> str:
        """The model's tokens → text."""
        ...


class MosesBpe:
    """Text ↔ the subwords that a fairseq model reads and writes.

    The same as fairseq's `tokenizer='moses', bpe='fastbpe'`, so that a converted checkpoint is fed
    the same tokens without fairseq.

    Args:
        source: language code, for Moses' rules about abbreviations.
        target: language code.
        codes: the `bpecodes` file.
    """

    def __init__(self, source: str, target: str, codes: Path):
        try:
            import fastBPE
            import sacremoses
        except ImportError as error:
            raise BacktranslateError(
                f"fairseq's models need {error.name} for their subwords:"
                " pip install sacremoses fastBPE"
            ) from error
        self.moses = sacremoses.MosesTokenizer(source)
        self.detokenizer = sacremoses.MosesDetokenizer(target)
        self.bpe = fastBPE.fastBPE(str(codes))

    def encode(self, text: str) -> list[str]:
        """Text → subwords, without the end mark."""
        tokens = self.moses.tokenize(
            text, aggressive_dash_splits=True, return_str=True, escape=True
        )
        return self.bpe.apply([tokens])[0].split()

    def decode(self, subwords: list[str]) -> str:
        """Subwords → text."""
        joined = (" ".join(subwords) + " ").replace("@@ ", "").rstrip()
        return self.detokenizer.detokenize(joined.split())


class Marian:
    """The tokenizer of a Marian model in transformers' format.

    Args:
        folder: where `convert` saved it.
    """

    def __init__(self, folder: Path):
        from backtranslate.backends.huggingface import loading

        with loading("marian", str(folder)):
            import transformers

            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False
            )

    def encode(self, text: str) -> list[str]:
        """Text → tokens; the end mark is one of them."""
        return self.tokenizer.convert_ids_to_tokens(self.tokenizer(text).input_ids)

    def decode(self, tokens: list[str]) -> str:
        """Tokens → text."""
        ids = self.tokenizer.convert_tokens_to_ids(tokens)
        return self.tokenizer.decode(ids, skip_special_tokens=True)


class SentencePieces:
    """The two sentencepiece models of an opus-mt download.

    Args:
        folder: holds source.spm and target.spm.
    """

    def __init__(self, folder: Path):
        try:
            import sentencepiece
        except ImportError as error:
            raise BacktranslateError(
                "opus-mt models need sentencepiece for their subwords: pip install sentencepiece"
            ) from error
        self.source = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
        self.target = sentencepiece.SentencePieceProcessor(model_file=str(folder / "target.spm"))

    def encode(self, text: str) -> list[str]:
        """Text → subwords; the converted model adds the end mark itself."""
        return self.source.encode(text, out_type=str)

    def decode(self, tokens: list[str]) -> str:
        """Subwords → text."""
        return self.target.decode(tokens)


class CTranslate2:
    """A folder that `convert` made.

    Args:
        folder: see `convert`.
        device: 'auto', 'cpu' or 'cuda'.

    Raises:
        BacktranslateError: ctranslate2 or a package for the tokenizer is missing, or the folder is
            not a converted model.
    """

    def __init__(self, folder: Path, device: str):
        self.ctranslate2 = ctranslate2_module()
        try:
            note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
            kind, source, target = note["kind"], note["source"], note["target"]
            positions = note["positions"]
        except (OSError, ValueError, KeyError) as error:
            raise BacktranslateError(
                f"{folder} is not a model converted by backtranslate's convert command; convert"
                " one, and give its folder or a template such as '/folder/{source}-{target}'"
                " as models."
            ) from error
        self.subwords: Subwords
        if kind == "fairseq":
            self.subwords = MosesBpe(source, target, folder / "bpecodes")
        elif kind == "opus-mt":
            self.subwords = SentencePieces(folder)
        else:
            self.subwords = Marian(folder / "tokenizer")
        self.limit = min(LONGEST_PIECE, positions)
        self.longest_answer = min(2 * LONGEST_PIECE, positions - 1)
        self.folder, self.device = folder, device
        self.translator = self.fresh()
        self.description = (
            f"ctranslate2 {version('ctranslate2')} {folder.name} ({kind}, {note['quantization']})"
        )

    def fresh(self) -> Any:
        """A translator in the model's own number format, not what suits the machine best."""
        try:
            return self.ctranslate2.Translator(
                str(self.folder), device=self.device, compute_type="default"
            )
        except (RuntimeError, ValueError) as error:
            raise BacktranslateError(f"ctranslate2 cannot load {self.folder}: {error}") from error

    def length(self, text: str) -> int:
        """Tokens, an end mark included."""
        return len(self.subwords.encode(text)) + 1

    def translate(self, pieces: list[str], decoding: Decoding, seed: int) -> list[str]:
        """One batch."""
        tokens = [self.subwords.encode(piece) for piece in pieces]
        longest = max(map(len, tokens)) + 1
        if longest > self.limit:
            raise too_long(self.description, longest, self.limit)
        settings: dict[str, Any] = {
            "max_batch_size": 0,  # the batch as it is
            "max_input_length": 0,  # nothing is cut off in silence
            "max_decoding_length": self.longest_answer,
            "length_penalty": 1,
        }
        if decoding.sampling:
            # A live translator's generators go on from where they are, whatever the seed; those of
            # a fresh one start from it. The likeliest of the samples comes first.
            self.ctranslate2.set_random_seed(seed % 2**32)
            translator = self.fresh()
            settings |= {
                "beam_size": 1,
                "sampling_topk": 0,
                "sampling_temperature": decoding.temperature,
                "num_hypotheses": decoding.beam,
            }
        else:
            translator = self.translator
            settings["beam_size"] = decoding.beam
        results = translator.translate_batch(tokens, **settings)
        return [self.subwords.decode(result.hypotheses[0]) for result in results]


def ctranslate2_module() -> Any:
    """The package, which is imported only here."""
    try:
        import ctranslate2
        import ctranslate2.converters
    except ImportError as error:
        raise BacktranslateError(f"ctranslate2 does not import ({error}): {INSTALL}") from error
    return ctranslate2


def convert(
    checkpoint: str | Path,
    out: str | Path,
    kind: str = "marian",
    source: str = "",
    target: str = "",
    quantization: str = "int8",
) -> None:
    """Converts one direction's model for the backend 'ctranslate2'.

    Args:
        checkpoint: by kind: a folder or hub name in transformers' format; the folder of an opus-mt
            download (decoder.yml, source.spm, target.spm); a fairseq folder, or a file in one.
        out: folder to make; 'FOLDER/en-de' is found as models = 'FOLDER' from 'en' to 'de'.
        kind: 'marian', 'opus-mt' or 'fairseq'.
        source: language code; needed for fairseq, whose dictionaries carry it in their names.
        target: likewise.
        quantization: of the weights: 'int8', 'int8_float16', 'int16', 'float16' or 'float32'.

    Raises:
        BacktranslateError: `out` exists, a part is missing, or the checkpoint cannot be converted.
    """
    ctranslate2 = ctranslate2_module()
    out = Path(out)
    if kind not in KINDS:
        raise BacktranslateError(f"There is no kind '{kind}'; choose one of {', '.join(KINDS)}.")
    if out.exists():
        raise BacktranslateError(f"{out} exists; convert to a folder that does not.")
    with aside(out) as unfinished:
        positions = 2 * LONGEST_PIECE + 1  # what can be taken for granted, if nothing tells more
        try:
            if kind == "fairseq":
                convert_fairseq(
                    ctranslate2, str(checkpoint), unfinished, source, target, quantization
                )
            elif kind == "opus-mt":
                converter = ctranslate2.converters.OpusMTConverter(str(checkpoint))
                converter.convert(str(unfinished), quantization=quantization)
                for name in ("source.spm", "target.spm"):
                    shutil.copy(Path(checkpoint) / name, unfinished / name)
            else:
                positions = convert_marian(ctranslate2, str(checkpoint), unfinished, quantization)
        except BacktranslateError:
            raise
        except Exception as error:  # converters' errors have no common kind
            raise BacktranslateError(
                f"ctranslate2 cannot convert {checkpoint} as {kind}: {error}"
            ) from error
        note = {
            "kind": kind,
            "source": source,
            "target": target,
            "quantization": quantization,
            "positions": positions,
        }
        (unfinished / NOTE).write_text(json.dumps(note) + "\n", encoding="utf-8")


def convert_fairseq(
    ctranslate2: Any, checkpoint: str, out: Path, source: str, target: str, quantization: str
) -> None:
    """A single fairseq model; its BPE codes go along."""
    from backtranslate.backends.fairseq import checkpoint_files, fairseq_modules, literals_only

    fairseq_modules()
    if not source or not target:
        raise BacktranslateError("A fairseq checkpoint is converted from a source to a target.")
    folder, files = checkpoint_files(checkpoint, source, target)
    if len(files) > 1:
        raise BacktranslateError(
            f"ctranslate2 takes no ensembles; name one model, such as {folder / files[0]}."
        )
    converter = ctranslate2.converters.FairseqConverter(
        str(folder / files[0]), str(folder), source_lang=source, target_lang=target
    )
    with literals_only():
        converter.convert(str(out), quantization=quantization)
    shutil.copy(folder / "bpecodes", out / "bpecodes")


def convert_marian(ctranslate2: Any, checkpoint: str, out: Path, quantization: str) -> int:
    """A Marian model in transformers' format, its tokenizer in a folder inside; its positions."""
    import transformers

    from backtranslate.backends.huggingface import loading

    with loading("marian", checkpoint):
        config = transformers.AutoConfig.from_pretrained(checkpoint, trust_remote_code=False)
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
            checkpoint, trust_remote_code=False
        )

    class Converter(ctranslate2.converters.TransformersConverter):
        """Asks nobody whether a folder's own code may run: the original leaves that open."""

        def load_model(self, model_class: Any, name: str, **settings: Any) -> Any:
            return model_class.from_pretrained(name, **settings, trust_remote_code=False)

        def load_tokenizer(self, tokenizer_class: Any, name: str, **settings: Any) -> Any:
            return tokenizer_class.from_pretrained(name, **settings, trust_remote_code=False)

    Converter(checkpoint).convert(str(out), quantization=quantization)
    tokenizer.save_pretrained(out / "tokenizer")
    return config.max_position_embeddings


def load(backend: str, source: str, target: str, models: str, device: str) -> CTranslate2:
    """See `backtranslate.backends.load`; models must be given: nothing is published converted."""
    ctranslate2_module()
    if not models:
        raise BacktranslateError(
            "The backend 'ctranslate2' has no default model; convert one and give the folder that"
            " holds {source}-{target} folders, or a template, as models."
        )
    return CTranslate2(Path(locate(models, "", source, target)), device)
