"""One line of results/natural.jsonl: the recipe that `mixtext new-recipe` writes, against `frozen`.

    python experiments/natural.py ag_news 0 --root ROOT --one "Sci/Tech" --share 0.05
    python experiments/natural.py banking77 0 --root ROOT --labels 770

As a newcomer has it: a CSV file in which some rows have labels, as many of each class as chance
gives, and the others none. With `--one` there are two classes, this one and all others, and this
one is that share of the rows. Rows that score are training rows too, in none of the others. All
methods see the same rows, and `new-recipe`'s defaults decide everything else.
"""

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from mixtext.api import load_recipe, train
from mixtext.data.read.catalogue import load_any
from mixtext.environment import made_by
from mixtext.starter import starter_recipe


def main() -> None:
    """Trains each method once and prints the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", help="a name from the catalogue")
    parser.add_argument("seed", type=int, help="of the rows and of the training")
    parser.add_argument("changes", nargs="*", help="table.field=value")
    parser.add_argument("--root", help="folder of the corpus")
    parser.add_argument("--one", default="", help="the class that is held against all others")
    parser.add_argument("--share", type=float, default=0.05, help="of its rows")
    parser.add_argument("--labels", type=int, default=200, help="rows with a label")
    parser.add_argument("--rows", type=int, default=4000, help="rows with and without")
    parser.add_argument("--held", type=int, default=2000, help="rows that score")
    parser.add_argument("--methods", nargs="+", default=["frozen", ""], help="'': the default")
    args = parser.parse_intermixed_args()

    corpus, _ = load_any(args.corpus, root=args.root)
    draw = np.random.default_rng(args.seed)
    names = [corpus.label_names[label] for label in corpus.labels]
    order = draw.permutation(len(corpus))
    if args.one:
        if args.one not in corpus.label_names:
            parser.error(f"--one {args.one}: it must be one of {', '.join(corpus.label_names)}")
        names = [name if name == args.one else "other" for name in names]
        wanted = args.rows + args.held
        few = round(args.share * wanted)
        own = [i for i in order if names[i] == args.one][:few]
        others = [i for i in order if names[i] == "other"][: wanted - len(own)]
        order = draw.permutation([*own, *others])
    held, rows = order[: args.held], order[args.held : args.held + args.rows]
    line = {"corpus": args.corpus, "seed": args.seed, "one": args.one, "changes": args.changes}
    line["by"] = made_by()  # "mixtext" has the scores of that method
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        labels = [names[i] if k < args.labels else "" for k, i in enumerate(rows)]
        _write(folder / "train.csv", [corpus.texts[i] for i in rows], labels)
        _write(folder / "test.csv", [corpus.texts[i] for i in held], [names[i] for i in held])
        for method in args.methods:
            name, text = starter_recipe(str(folder), file=folder / "natural.toml", method=method)
            file = folder / f"{name}-{method}.toml"
            file.write_text(text, encoding="utf-8")
            seeds = [f"training.seed={args.seed}"]
            recipe = load_recipe(file, [*seeds, *args.changes])
            result = train(recipe, folder=folder / f"run-{method}", quiet=True)
            scores = {k: round(100 * result["test"][k], 2) for k in ("accuracy", "macro_f1")}
            line |= {"labels": result["labels"]["learned_from"], "classes": len(set(names))}
            line |= {"rows": len(rows), "scored": len(held), result["method"]: scores}
    json.dump(line, sys.stdout)
    print(flush=True)


def _write(path: Path, texts: list[str], labels: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("text", "label"), *zip(texts, labels, strict=True)])


if __name__ == "__main__":
    main()
