"""One line of results/ablation.jsonl: a recipe with some fields changed, on held-out training rows.

    python experiments/ablation.py trec 100 --root ROOT/trec mixtext.contrast_passes=0
    python experiments/ablation.py trec 0 --root ROOT/trec --test       # once, at the end
    python experiments/ablation.py trec 0 --root ROOT/trec --write OUT  # OUT/{train,test}.csv

The rows that score are cut from the training part before anything else, the same for every seed,
and are in neither the labelled rows nor the pool. With `--test` the official test part scores and
no row is cut. The line goes to standard output. `--write` writes the two parts, for other methods.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mixtext.api import load_recipe, train
from mixtext.data.corpus import Corpus
from mixtext.data.read.catalogue import CATALOGUE, load_any
from mixtext.files import make_folder


def main() -> None:
    """Trains once and prints the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", help="a name from the catalogue")
    parser.add_argument("seed", type=int, help="of the split and of the training")
    parser.add_argument("changes", nargs="*", help="table.field=value")
    parser.add_argument("--root", help="folder of the corpus")
    parser.add_argument("--recipe", default=str(Path(__file__).with_name("few_labels.toml")))
    parser.add_argument("--held", type=int, default=1500, help="held-out training rows")
    parser.add_argument("--pool", type=int, default=3000, help="unlabelled rows at most")
    parser.add_argument("--test", action="store_true", help="score the test part instead")
    parser.add_argument("--write", type=Path, help="a folder for the parts; nothing is trained")
    args = parser.parse_intermixed_args()

    corpus, test = load_any(args.corpus, root=args.root)
    if not args.test:
        order = np.random.default_rng(12345).permutation(len(corpus))
        test = corpus.select(np.sort(order[: args.held]))
        corpus = corpus.select(np.sort(order[args.held :]))
    elif test is not None and args.held < len(test):
        # The same rows for every seed and method.
        order = np.random.default_rng(12345).permutation(len(test))
        test = test.select(np.sort(order[: args.held]))
    if args.write:
        make_folder(args.write)
        for name, part in (("train", corpus), ("test", test)):
            _write(args.write / f"{name}.csv", part)
        return
    seeds = [f"data.split_seed={args.seed}", f"training.seed={args.seed}"]
    data = load_recipe(args.recipe, [*seeds, *args.changes]).data
    spare = len(corpus) - data.labels_per_class * corpus.classes
    rest = [f"data.unlabelled_per_class={min(args.pool, spare) // corpus.classes}"]
    if data.templates and args.corpus in CATALOGUE:  # which knows them; a corpus does not
        rest.append(f"data.class_words={json.dumps(CATALOGUE[args.corpus].class_words)}")
    recipe = load_recipe(args.recipe, [*seeds, *rest, *args.changes])

    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        result = train(recipe, corpus=corpus, test=test, folder=run, quiet=True)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").open(encoding="utf-8")]
    guesses = [line for line in lines if "guess/accuracy" in line]
    line = {
        "corpus": args.corpus,
        "seed": args.seed,
        "changes": args.changes,
        "scored_on": "test" if args.test else "held-out training rows",
        "rows": result["test_rows"],
        "accuracy": round(100 * result["test"]["accuracy"], 2),
        "macro_f1": round(100 * result["test"]["macro_f1"], 2),
        "guesses_first": _mean(guesses[: max(1, len(guesses) // 4)], "guess/accuracy"),
        "guesses_last": _mean(guesses[-max(1, len(guesses) // 4) :], "guess/accuracy"),
        "sure_last": _mean(guesses[-max(1, len(guesses) // 4) :], "guess/confidence"),
        "seconds": round(time.monotonic() - started),
        "mixtext": result["mixtext"],
    }
    json.dump(line, sys.stdout)
    print(flush=True)


def _write(path: Path, part: Corpus) -> None:
    with path.open("x", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows(zip(part.texts, (part.label_names[i] for i in part.labels), strict=True))


def _mean(lines: list[dict], key: str) -> float | None:
    return round(100 * float(np.mean([line[key] for line in lines])), 1) if lines else None


if __name__ == "__main__":
    main()
