"""Marian (opus-mt) and FSMT (the port of fairseq's WMT19 models), through transformers.

Both are encoder-decoders that `generate()` drives. The models' own settings stay (length penalty,
forbidden tokens), except for those that `Decoding` names and for the filters that transformers puts
on sampling by default: here samples are drawn from the whole distribution. Code that a model brings
along is never run.
"""

import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers

from backtranslate.backends import LONGEST_PIECE, locate, too_long
from backtranslate.translator import BacktranslateError, Decoding

DEFAULTS = {
    "marian": "Helsinki-NLP/opus-mt-{source}-{target}",
    "fsmt": "facebook/wmt19-{source}-{target}",
}
MODELS: dict[str, Any] = {
    "marian": transformers.MarianMTModel,
    "fsmt": transformers.FSMTForConditionalGeneration,
}


class Likelihood(transformers.LogitsProcessor):
    """Watches a generation and keeps the mean log-probability of each row's tokens.

    Keeping all scores and asking afterwards would need rows × steps × vocabulary floats: gigabytes.

    Args:
        temperature: of the sampling; the scores are those of the distribution that is drawn from,
            as fairseq has it.
        ends: ids of the tokens that end a row; what follows one is padding.
    """

    def __init__(self, temperature: float, ends: list[int]):
        self.temperature = temperature
        self.ends = torch.tensor(ends)
        self.step: torch.Tensor | None = None  # (N, V), log-probabilities of the token to come
        self.total = torch.zeros(0)  # (N,)
        self.count = torch.zeros(0)  # (N,)
        self.alive = torch.zeros(0)  # (N,)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Sees the tokens so far and the scores of the next one; changes nothing."""
        if self.step is None:
            self.total = torch.zeros(len(scores), device=scores.device)
            self.count = torch.zeros_like(self.total)
            self.alive = torch.ones_like(self.total)
            self.ends = self.ends.to(scores.device)
        else:
            self.add(input_ids[:, -1])
        self.step = torch.log_softmax(scores.float() / self.temperature, dim=-1)
        return scores

    def add(self, tokens: torch.Tensor) -> None:
        """Counts the tokens (N,) that were chosen in the last step."""
        assert self.step is not None
        gained = self.step.gather(1, tokens[:, None])[:, 0]
        # A finished row is filled with padding, whose probability may be 0: no -inf times 0.
        self.total += torch.where(self.alive > 0, gained, 0.0)
        self.count += self.alive
        self.alive *= ~torch.isin(tokens, self.ends)

    def means(self, sequences: torch.Tensor) -> torch.Tensor:
        """(N,), once all is generated: the last token has no step after it to be seen in."""
        self.add(sequences[:, -1])
        return self.total / self.count.clamp(min=1)


class HuggingFace:
    """One model and its tokenizer.

    Args:
        kind: 'marian' or 'fsmt'.
        name: a folder or a name on the hub.
        device: 'auto', 'cpu' or 'cuda'.

    Raises:
        BacktranslateError: the model cannot be had, or a package for its tokenizer is missing.
    """

    def __init__(self, kind: str, name: str, device: str):
        available = torch.cuda.is_available()
        if device == "cuda" and not available:
            raise BacktranslateError("device = cuda, but torch sees no GPU; use cpu or auto.")
        self.device = torch.device("cuda" if available and device != "cpu" else "cpu")
        with loading(kind, name):
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                name, trust_remote_code=False
            )
            # In half precision, rounding would let the batch decide between close beams.
            self.model: Any = MODELS[kind].from_pretrained(
                name, dtype=torch.float32, trust_remote_code=False
            )
        self.model.to(self.device).eval()
        positions = self.model.config.max_position_embeddings
        self.limit = min(LONGEST_PIECE, positions)
        self.longest_answer = min(2 * LONGEST_PIECE, positions - 1)
        self.description = f"{kind} {Path(name).name}, transformers {transformers.__version__}"

    def length(self, text: str) -> int:
        """Tokens, the end mark included."""
        return len(self.tokenizer(text).input_ids)

    @torch.inference_mode()
    def translate(self, pieces: list[str], decoding: Decoding, seed: int) -> list[str]:
        """One batch through `generate()`; padding is masked, so the batch does not show."""
        batch = self.tokenizer(pieces, padding=True, return_tensors="pt")
        longest = batch.input_ids.shape[1]
        if longest > self.limit:
            raise too_long(self.description, longest, self.limit)
        inputs = {
            "input_ids": batch.input_ids.to(self.device),  # (B, T)
            "attention_mask": batch.attention_mask.to(self.device),  # (B, T)
            "max_new_tokens": self.longest_answer,
            "max_length": None,
        }
        if decoding.sampling:
            tokens = self.sample(inputs, decoding, seed)
        else:
            tokens = self.model.generate(**inputs, do_sample=False, num_beams=decoding.beam)
        return self.tokenizer.batch_decode(tokens, skip_special_tokens=True)

    def sample(self, inputs: dict[str, Any], decoding: Decoding, seed: int) -> torch.Tensor:
        """Draws `beam` samples a row and keeps the likeliest, as fairseq's sampling does.

        transformers' own sampling with beams is something else: it draws continuations of beams.

        Returns:
            (B, T') token ids.
        """
        ends = self.model.generation_config.eos_token_id
        likelihood = Likelihood(decoding.temperature, ends if isinstance(ends, list) else [ends])
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):  # whoever calls keeps its own random numbers
            torch.manual_seed(seed)
            tokens = self.model.generate(
                **inputs,
                do_sample=True,
                num_beams=1,
                num_return_sequences=decoding.beam,
                temperature=decoding.temperature,
                top_k=0,
                top_p=1.0,
                logits_processor=transformers.LogitsProcessorList([likelihood]),
            )  # (B * beam, T')
        best = likelihood.means(tokens).view(-1, decoding.beam).argmax(dim=1)  # (B,)
        rows = torch.arange(len(best), device=best.device)
        return tokens.view(len(best), decoding.beam, -1)[rows, best]


@contextmanager
def loading(kind: str, name: str):
    """Turns what can go wrong while loading a model into one sentence."""
    package = {"marian": "sentencepiece", "fsmt": "sacremoses"}[kind]
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()  # one bar is enough: that of the job
    try:
        # Marian's tokenizer recommends sacremoses, which it can do without.
        with warnings.catch_warnings(action="ignore"):
            yield
    except ImportError as error:
        raise BacktranslateError(
            f"{name} cannot be loaded without a package ({first_line(error)}): pip install"
            f" {package}"
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BacktranslateError(
            f"{name} cannot be loaded as {kind} ({first_line(error)}); give the folder or the hub"
            " name of such a model as models, for instance '/folder/{source}-{target}'."
        ) from error
    finally:
        if bars:
            transformers.utils.logging.enable_progress_bar()


def first_line(error: Exception) -> str:
    """What an error says, without its paragraphs of advice."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))


def load(backend: str, source: str, target: str, models: str, device: str) -> HuggingFace:
    """See `backtranslate.backends.load`; the default models are on the Hugging Face hub."""
    return HuggingFace(backend, locate(models, DEFAULTS[backend], source, target), device)
