"""Trains a tiny real fairseq model in each direction, for a test and a benchmark.

    python benchmarks/tiny_fairseq.py OUT [SENTENCES]

OUT/en-de and OUT/de-en are then laid out as fairseq publishes its models (model.pt, dict.en.txt,
dict.de.txt, bpecodes), and OUT/held-out.en holds sentences that no model has seen, one a line.

Without SENTENCES the languages are English of a small grammar and the same with other words: a
substitution, which a model of one layer learns in a minute. SENTENCES is a file of English, one
sentence a line; the other language is then the same with other vowels, so that what the models
read and write is as long as real text.
"""

import argparse
import random
import shutil
import subprocess
import sys
from pathlib import Path

DETERMINERS = {"the": "der", "a": "ein", "every": "jeder", "no": "kein"}
ADJECTIVES = {
    "old": "alte", "new": "neue", "small": "kleine", "red": "rote", "green": "grüne",
    "quiet": "stille", "heavy": "schwere",
}  # fmt: skip
NOUNS = {
    "cat": "Katze", "dog": "Hund", "house": "Haus", "river": "Fluss", "teacher": "Lehrer",
    "baker": "Bäcker", "horse": "Pferd", "garden": "Garten", "letter": "Brief", "market": "Markt",
    "bridge": "Brücke", "window": "Fenster",
}  # fmt: skip
VERBS = {
    "sees": "sieht", "finds": "findet", "draws": "zeichnet", "leaves": "verlässt",
    "likes": "mag", "hears": "hört", "paints": "malt",
}  # fmt: skip
JOINTS = {"and": "und", "but": "aber", "because": "weil", "while": "während"}
MARKS = {".": ".", "!": "!", "?": "?"}

OTHER_VOWELS = str.maketrans("aeiouAEIOU", "eiouaEIOUA")


def clause(draw: random.Random) -> list[tuple[str, str]]:
    """Pairs of words: the English one and the other."""

    def noun_phrase() -> list[tuple[str, str]]:
        words = [draw.choice(list(DETERMINERS.items()))]
        if draw.random() < 0.6:
            words.append(draw.choice(list(ADJECTIVES.items())))
        return [*words, draw.choice(list(NOUNS.items()))]

    return [*noun_phrase(), draw.choice(list(VERBS.items())), *noun_phrase()]


def sentence(draw: random.Random) -> tuple[str, str]:
    """An English sentence and its translation."""
    words = clause(draw)
    while draw.random() < 0.35 and len(words) < 24:
        words += [(",", ","), draw.choice(list(JOINTS.items())), *clause(draw)]
    words.append(draw.choice(list(MARKS.items())))
    texts = []
    for side in (0, 1):
        text = " ".join(pair[side] for pair in words)
        for mark in ",.!?":
            text = text.replace(f" {mark}", mark)
        texts.append(text[0].upper() + text[1:])
    return texts[0], texts[1]


def write_text(folder: Path, pairs: list[tuple[str, str]], merges: int) -> Path:
    """Train and valid text in both languages, tokenised and split; returns the BPE codes."""
    import fastBPE
    import sacremoses
    from subword_nmt import learn_bpe

    moses = [sacremoses.MosesTokenizer(language) for language in ("en", "de")]
    tokenised = [
        [
            moses[side].tokenize(pair[side], aggressive_dash_splits=True, return_str=True)
            for pair in pairs
        ]
        for side in (0, 1)
    ]
    learned = folder / "codes.learned"
    with learned.open("w", encoding="utf-8") as file:
        learn_bpe.learn_bpe([*tokenised[0], *tokenised[1]], file, merges)
    codes = folder / "bpecodes"
    # fastBPE wants a count behind each pair, and no line of version.
    lines = learned.read_text(encoding="utf-8").splitlines()[1:]
    codes.write_text("".join(f"{line} 1\n" for line in lines), encoding="utf-8")
    split = fastBPE.fastBPE(str(codes))
    for side, language in enumerate(("en", "de")):
        lines = split.apply(tokenised[side])
        for part, rows in (("train", lines[:-300]), ("valid", lines[-300:-200])):
            (folder / f"{part}.{language}").write_text("\n".join(rows) + "\n", encoding="utf-8")
    held_out = "\n".join(pair[0] for pair in pairs[-200:])
    (folder / "held-out.en").write_text(held_out + "\n", encoding="utf-8")
    return codes


def train(text: Path, codes: Path, source: str, target: str, out: Path, epochs: int) -> None:
    """One direction, with fairseq's own programs."""
    data = text / f"binary-{source}-{target}"

    def program(name: str, *arguments: str) -> None:
        subprocess.run([sys.executable, "-m", f"fairseq_cli.{name}", *arguments], check=True)

    program(
        "preprocess", "--source-lang", source, "--target-lang", target,
        "--trainpref", str(text / "train"), "--validpref", str(text / "valid"),
        "--destdir", str(data), "--workers", "1",
    )  # fmt: skip
    program(
        "train", str(data), "--source-lang", source, "--target-lang", target, "--cpu",
        "--arch", "transformer", "--dropout", "0.1", "--seed", "1",
        "--encoder-layers", "1", "--encoder-embed-dim", "64", "--encoder-ffn-embed-dim", "128",
        "--encoder-attention-heads", "4", "--decoder-layers", "1", "--decoder-embed-dim", "64",
        "--decoder-ffn-embed-dim", "128", "--decoder-attention-heads", "4",
        "--share-decoder-input-output-embed",
        "--optimizer", "adam", "--adam-betas", "(0.9, 0.98)", "--lr", "0.005",
        "--lr-scheduler", "inverse_sqrt", "--warmup-updates", "60",
        "--criterion", "label_smoothed_cross_entropy", "--label-smoothing", "0.1",
        "--max-tokens", "2000", "--max-epoch", str(epochs), "--save-dir", str(text / "saved"),
        "--no-epoch-checkpoints", "--no-last-checkpoints", "--num-workers", "0",
        "--log-format", "simple", "--log-interval", "50",
    )  # fmt: skip
    out.mkdir(parents=True)
    shutil.move(text / "saved" / "checkpoint_best.pt", out / "model.pt")
    shutil.copy(codes, out / "bpecodes")
    for language in (source, target):
        shutil.copy(data / f"dict.{language}.txt", out / f"dict.{language}.txt")


def main(out: Path, sentences: Path | None) -> None:
    """Both directions."""
    if sentences is None:
        draw = random.Random(5)
        pairs = list(dict.fromkeys(sentence(draw) for _ in range(4000)))
        merges, epochs = 150, 12
    else:
        lines = sentences.read_text(encoding="utf-8").splitlines()
        pairs = [(line, line.translate(OTHER_VOWELS)) for line in lines]
        merges, epochs = 2000, 6
    text = out / "text"
    text.mkdir(parents=True)
    codes = write_text(text, pairs, merges)
    shutil.copy(text / "held-out.en", out / "held-out.en")
    for source, target in (("en", "de"), ("de", "en")):
        train(text, codes, source, target, out / f"{source}-{target}", epochs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("sentences", type=Path, nargs="?", help="English, one sentence a line")
    given = parser.parse_args()
    main(given.out, given.sentences)
