"""Every table of the README is made anew from stored results and published numbers, and compared.

A table that is not rebuilt here stands in `NO_SOURCE` with its reason, so a new one needs a source,
or a line that says that it has none.
"""

import re
import tomllib
from pathlib import Path
from statistics import mean

import pytest

from backtranslate.backends import BACKENDS
from mixtext.report.curves import arm, by_arm, curve_table, read_curves
from mixtext.report.listings import LISTED
from mixtext.report.tables import comparison, paired_gain, paired_interval, read_results, spread

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = ROOT / "experiments" / "results"


def tables(text):
    """The tables of a Markdown text, each a list of rows of cells; without the line of dashes."""
    found = re.findall(r"^\|.*\n\|(?: *:?-+:? *\|)+\n(?:\|.*\n?)+", text, re.M)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        for table in found
    ]


def rows(table):
    """A table's rows below its head."""
    return table[2:]


def the_table(*head):
    """The one table of the README whose head begins with these cells."""
    [table] = [one for one in tables(README) if one[0][: len(head)] == list(head)]
    return table


NO_SOURCE = {
    ("corpus", "labels per class", "method", "views", "unlabelled", "runs", "test accuracy",
     "test macro-F1", "gain (95 %)"): "one run of the quickstart; no stored source yet",
    ("", "beam", "ratio"): "sentences per second of one machine; no stored source yet",
}  # fmt: skip
REBUILT = [
    ("backend",),
    ("`method =`",),
    ("corpus", "labels per class", "method", "unlabelled"),
    ("corpus", "labels per class", "method", "views", "unlabelled", "runs", "test accuracy",
     "test macro-F1", "best step"),
    ("digits",),
    ("data", "model"),
    ("share of the data",),
    ("data", "plain"),
    ("arm",),
    ("", "ours"),
]  # fmt: skip


def test_every_table_has_its_test_or_its_reason():
    assert len(tables(README)) == len(NO_SOURCE) + len(REBUILT)
    for head in (*NO_SOURCE, *REBUILT):
        the_table(*head)


# --- what `mixtext table` and `mixtext active plot` print


@pytest.mark.parametrize(
    "name, head", [("measure", REBUILT[2]), ("views", REBUILT[3])], ids=["measure", "views"]
)
def test_tables_of_the_command(name, head):
    assert the_table(*head) == tables(comparison(read_results([RESULTS / f"{name}.jsonl"])))[0]


def test_learning_curves():
    curves = read_curves([RESULTS / "seqmix.jsonl"])
    assert the_table("arm") == tables(curve_table(curves))[0]


# --- what there is


def test_methods():
    table = rows(the_table("`method =`"))
    listed = [re.findall(r"`(\w+)`", name) for name, *_ in table]
    assert [name for names in listed for name in names] == [method.name for method in LISTED]
    for (_, _, paper), names in zip(table, listed, strict=True):
        assert all(paper in method.paper for method in LISTED if method.name in names)


def test_backends():
    cells = " ".join(cell for cell, *_ in rows(the_table("backend")))
    assert sorted(re.findall(r"`(\w+)`", cells)) == sorted(BACKENDS)


# --- the survey


def stored(name):
    return read_results([RESULTS / f"{name}.jsonl"])


def published(name, **wanted):
    """Cells of experiments/published that have these values, in the order of the file."""
    path = ROOT / "experiments" / "published" / f"{name}.toml"
    cells = tomllib.loads(path.read_text(encoding="utf-8"))["cell"]
    return [cell for cell in cells if all(cell.get(k) == v for k, v in wanted.items())]


def published_gain(method, **wanted):
    """Points by which a published score of a method is above plain training in the same source."""
    [cell] = published("survey", method=method, **wanted)
    wanted |= {"source": cell["source"], "setting": cell.get("setting")}
    [plain] = published("survey", method="supervised", **wanted)
    score = next(name for name in ("accuracy", "correlation") if name in cell)
    return cell[score] - plain[score]


def minus(text):
    """With the sign that the README uses."""
    return text.replace("-", "−")


def points(value):
    return minus(f"{value:+.1f}")


class Runs:
    """Results that share all but method and seed: the cells of one row.

    Args:
        results: of the file.
        settings: what the row has in common, of a result or of its settings.
    """

    def __init__(self, results, **settings):
        wanted = {name.replace("__", "."): value for name, value in settings.items()}
        self.runs = [
            r for r in results if all({**r["settings"], **r}.get(k) == v for k, v in wanted.items())
        ]

    def scores(self, method, **settings):
        """The main score of each seed, by seed."""
        runs = Runs(self.runs, method=method, **settings).runs
        found = {(r["split_seed"], r["seed"]): next(iter(r["test"].values())) for r in runs}
        assert found and len(found) == len(runs), (method, settings)
        return found

    def plain(self):
        return spread(list(self.scores("supervised").values()))

    def cell(self, method, direction=+1, bare=False, **settings):
        """`mean ± std (gain ± half, **verdict**)`; the verdict where the interval leaves out 0.

        Args:
            method: against plain training with the same seeds.
            direction: the sign of the published gain.
            bare: the gain alone.
            settings: of the method.
        """
        plain, own = self.scores("supervised"), self.scores(method, **settings)
        pairs = [own[seed] for seed in own], [plain[seed] for seed in own]
        middle, half = paired_interval(*pairs)
        verdict = ""
        if abs(middle) > half:
            verdict = ", **agrees**" if middle * direction > 0 else ", **differs**"
        gain = minus(paired_gain(*pairs)) + verdict
        return gain if bare else f"{spread(list(own.values()))} ({gain})"


def test_digits():
    table = the_table("digits")
    assert table[0][1:] == ["published (CIFAR-10)", "plain", *(
        "`mixup`, α = 1", "`mixup`, α = 8", "`manifold_mixup`, α = 2"
    )]  # fmt: skip
    cifar = {"corpus": "cifar10"}
    mixup = published_gain("mixup", **cifar, source="arXiv 1710.09412", setting=None)
    manifold = published_gain("manifold_mixup", **cifar)
    clean = f"mixup {points(mixup)}, Manifold Mixup {points(manifold)}"
    wanted = []
    for share in (None, 0.2, 0.5, 0.8):
        label = f"{share:.0%}".replace("%", " %") if share else ""
        source = {**cifar, "setting": f"{label} corrupted labels"}
        row = Runs(stored("digits"), encoder="mlp", data__corrupt=share)
        wanted.append([
            f"MLP, {label} of labels corrupted" if share else "MLP, clean",
            f"mixup {points(published_gain('mixup', **source))}" if share else clean,
            row.plain(),
            row.cell("mixup", mixup__alpha=None),
            row.cell("mixup", mixup__alpha=8.0),
            row.cell("manifold_mixup", manifold_mixup__layers=None),
        ])  # fmt: skip
    for share in (None, 0.5):
        row = Runs(stored("digits"), encoder="small_cnn", data__corrupt=share)
        wanted.append([
            f"small CNN, {share:.0%} corrupted".replace("%", " %") if share else "small CNN, clean",
            "as above",
            row.plain(),
            row.cell("mixup"),
            "not run",
            row.cell("manifold_mixup"),
        ])  # fmt: skip
    assert rows(table) == wanted


def test_accuracy_by_the_layer_that_is_mixed_at():
    runs = Runs(stored("digits"), encoder="mlp", data__corrupt=None)
    by_layer = [
        runs.scores("manifold_mixup", manifold_mixup__layers=[layer]).values() for layer in range(3)
    ]
    low, middle, high = (f"{100 * mean(scores):.1f}" for scores in by_layer)
    assert f"test accuracy is {low}, {middle} and {high}." in " ".join(README.split())


def test_words():
    wanted = []
    for corpus in ("trec", "mr"):
        for encoder in ("kim_cnn", "lstm"):
            for embedding in ("RandomTune", "RandomFix", "PretrainTune", "PretrainFix"):
                # PretrainTune is the default, which results do not repeat.
                setting = None if embedding == "PretrainTune" else embedding
                row = Runs(
                    stored("words"), corpus=corpus, encoder=encoder, model__embedding=setting
                )
                if not row.runs:
                    continue
                methods = ("word_mixup", "sentence_mixup")
                source = {"corpus": corpus, "encoder": encoder, "setting": embedding}
                known = published("survey", **source)
                gains = [points(published_gain(method, **source)) for method in methods if known]
                model = {"kim_cnn": "CNN", "lstm": "LSTM"}[encoder]
                cells = [row.cell(method) for method in methods]
                name = f"{model}, {embedding}"
                wanted.append(
                    [corpus.upper(), name, ", ".join(gains) or "gains", row.plain(), *cells]
                )
    assert rows(the_table("data", "model")) == wanted


def test_mixup_transformer():
    wanted = []
    directions = {"sts_b": -1, "rte": +1}
    for share in (0.1, 0.4, None):
        line = [f"{share or 1:.0%}".replace("%", " %")]
        for corpus, direction in directions.items():
            row = Runs(stored("mixup_transformer"), corpus=corpus, data__labelled_share=share)
            line += [row.plain(), row.cell("mixup_transformer", direction)]
        wanted.append(line)
    line = ["published, `bert-base`, 100 %"]
    for corpus in directions:
        [plain] = published("survey", corpus=corpus, method="supervised")
        gain = published_gain("mixup_transformer", corpus=corpus)
        assert gain * directions[corpus] > 0
        line += [f"{plain.get('accuracy') or plain['correlation']:.1f}", points(gain)]
    assert rows(the_table("share of the data")) == [*wanted, line]


def test_ssmix():
    methods = ("ssmix", "embed_mix", "tmix")
    wanted = []
    for corpus, labelled, name in (
        ("sst2", 500, "SST-2, 500 rows"),
        ("sst2", 2000, "SST-2, 2,000 rows"),
        ("trec", 5212, "TREC, all rows"),
    ):
        row = Runs(stored("ssmix"), corpus=corpus, labelled=labelled)
        source = {"corpus": corpus, "encoder": "bert-base"}
        gains = ", ".join(points(published_gain(method, **source)) for method in methods)
        said = {500: f"{gains} on all rows", 2000: "the same", 5212: gains}[labelled]
        wanted.append([name, row.plain(), *(row.cell(method) for method in methods), said])
    assert rows(the_table("data", "plain")) == wanted


# --- SeqMix


def test_seqmix():
    curves = read_curves([RESULTS / "seqmix.jsonl"])
    arms = by_arm(curves)
    for name in arms:  # so F1 of the same seed stand in the same place
        seeds = [curve["seed"] for curve in curves if arm(curve) == name]
        assert seeds == list(range(len(seeds)))
    made, plain = arms["token entropy + SeqMix sub sequence"], arms["token entropy"]
    strongest = max(
        ("random", "least confidence", "token entropy"),
        key=lambda name: mean(mean(scores) for scores in arms[name].values()),
    )
    seed_set = {200: plain[200]}

    path = ROOT / "experiments" / "published" / "seqmix.toml"
    known = tomllib.loads(path.read_text(encoding="utf-8"))
    their = known["curves"]
    validation = mean(their["token_entropy_sub_sequence"]) - mean(their["token_entropy"])
    test = known["gains"]["conll2003"]
    at_seed_set = known["seed_set"]["sub_sequence"] - known["seed_set"]["supervised"]

    def line(name, curve, other, gain=None, shown=""):
        """Of the means over the sizes, seed by seed; differs where the interval has not `gain`."""
        pairs = [
            [mean(scores) for scores in zip(*(c[size] for size in other), strict=True)]
            for c in (curve, other)
        ]
        middle, half = paired_interval(*pairs)
        ours = f"{paired_gain(*pairs)} ({len(pairs[0])} seeds)"
        verdict = "" if gain is None else "differs" if abs(gain - middle) > half else "agrees"
        return [name, ours, shown, verdict]

    whole, constrained = (
        arms[f"seed set alone + SeqMix {pairing}"]
        for pairing in ("whole sequence", "label constrained")
    )
    assert the_table("", "ours")[0] == ["", "ours", "published", "verdict"]
    assert rows(the_table("", "ours")) == [
        line(
            "sub-sequence + NTE over NTE, mean over the six sizes",
            *(made, plain, validation, f"{validation:+.1f} (validation)"),
        ),
        line(
            f"… over the strongest policy without it ({strongest})",
            *(made, arms[strongest], test, f"{test:+} (test)"),
        ),
        line(
            "seed set alone, sub-sequence over plain",
            *(made, seed_set, at_seed_set, f"{at_seed_set:+.1f}"),
        ),
        line("seed set alone, whole sequence over plain", whole, seed_set),
        line("seed set alone, label-constrained over plain", constrained, seed_set),
    ]


# --- numbers in the text


def test_mixtext_without_teacher_and_align():
    def accuracies(name, **wanted):
        runs = [r for r in stored(name) if all(r[k] == v for k, v in wanted.items())]
        assert [r["split_seed"] for r in runs] == [0, 1, 2]
        a, b, c = (f"{100 * r['test']['accuracy']:.1f}" for r in runs)
        return f"{a}, {b} and {c}"

    wanted = {"corpus": "bbc_news", "labels_per_class": 3, "method": "mixtext"}
    text = " ".join(README.split())
    without, with_both = accuracies("plain_mixtext", **wanted), accuracies("measure", **wanted)
    assert f"Without both, BBC News with 3 labels gives {without} on" in text
    assert f"where it gives {with_both} with them" in text
    last = [r["best_step"] == r["steps"] for r in stored("measure") if r["method"] == "mixtext"]
    assert (sum(last), len(last)) == (3, 9)
    assert "In three of the nine MixText runs the best dev score was the last one" in text
