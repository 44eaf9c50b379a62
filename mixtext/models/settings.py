"""Settings of the model: which encoder, and what stands on it."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Interval

from mixtext.settings import Settings

WORD_ENCODERS = ("kim_cnn", "lstm")
VECTOR_ENCODERS = ("mlp", "small_cnn")


@dataclass(frozen=True)
class ModelSettings(Settings):
    """Which encoder, and what is read of it.

    Attributes:
        encoder: `minilm` (from its package, no network), a folder in Hugging Face format, or a
            model's name on the Hugging Face hub; on word vectors `kim_cnn` or `lstm`; for rows
            that are vectors `mlp` or `small_cnn` (images).
        start: run folder whose model training goes on from, with its head; its encoder, which must
            be named here too, is not loaded anew. Empty: begin with a new head.
        max_length: longest text in tokens, special tokens included; the rest is cut off.
        special_tokens: add the tokenizer's special tokens ([CLS], [SEP], …).
        pad_to_max: pad every batch to `max_length` instead of to its longest row.
        use_mask: False attends to and averages over the padding too.
        pool: a text's vector is the `mean` or the `max` of its token states, or the `first` or the
            `last` one, the mean scaled to length 1 (`unit`), or what BERT's own `pooler` makes of
            the first; `auto`: max for kim_cnn, last for lstm, else mean.
        freeze: leave the embeddings and so many of the lowest blocks of a transformer as they are:
            a step takes less time and memory. They have no dropout then. 0: train all.
        head_width: width of the head's hidden layer; 0: the head is one affine layer.
        dropout: on the pooled vector. Kim's CNN: 0.5.
        branches: of a mix: `shared` runs the trunk once for both partners; `independent` runs it
            for each, with dropout of its own.
        embedding: of kim_cnn and lstm: word vectors `Random` or `Pretrain`ed, trained on (`Tune`)
            or frozen (`Fix`).
        vectors: pretrained word vectors: `glove` (50 wide, from its package), or the path of a text
            file of GloVe or word2vec.
        word_width: width of random word vectors.
        vocabulary: most words that kim_cnn and lstm know: those of the training texts first.
        lowercase: kim_cnn and lstm read texts in lower case.
    """

    name: ClassVar[str] = "model"
    paths: ClassVar[tuple[str, ...]] = ("encoder", "start", "vectors")

    encoder: str = "minilm"
    start: str = ""
    max_length: Annotated[int, Ge(3)] = 64
    special_tokens: bool = True
    pad_to_max: bool = False
    use_mask: bool = True
    pool: Literal["auto", "mean", "unit", "max", "first", "last", "pooler"] = "auto"
    freeze: Annotated[int, Ge(0)] = 0
    head_width: Annotated[int, Ge(0)] = 128
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    branches: Literal["shared", "independent"] = "shared"
    embedding: Literal["RandomTune", "RandomFix", "PretrainTune", "PretrainFix"] = "PretrainTune"
    vectors: str = "glove"
    word_width: Annotated[int, Ge(1)] = 300
    vocabulary: Annotated[int, Ge(1)] = 30_000
    lowercase: bool = True
