"""Every table of README and docs/results.md is made anew from stored results and compared."""

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from statistics import mean

import pytest

from backtranslate.backends import BACKENDS
from mixtext.report.curves import by_arm, curve_table, read_curves
from mixtext.report.listings import LISTED
from mixtext.report.rivals import rival_table
from mixtext.report.tables import compared, comparison, read_results, spread
from mixtext.report.verdicts import AGREES, DIFFERS, NOISE, NOT_RUN, verdicts_of
from tests.conftest import script

ROOT = Path(__file__).resolve().parents[1]
README = "\n".join(
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/results.md")
)
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


MEASURE = ("corpus", "labels per class", "labels", "method", "unlabelled")
VIEWS = (
    *("corpus", "labels per class", "labels", "method", "views", "unlabelled", "runs"),
    *("test accuracy", "test macro-F1", "best step"),
)
QUICKSTART = (
    *("corpus", "labels per class", "labels", "method", "views", "unlabelled", "runs"),
    *("test accuracy", "test macro-F1", "gain (95 %)"),
)
RIVALS = {
    "rivals": ("method", "trec"),
    "banking77": ("method", "banking77"),
    "twelve_layers": ("method", "ag_news"),
}
REBUILT = [
    ("backend", "what it is"),
    ("backend", "direction"),
    QUICKSTART,
    *RIVALS.values(),
    ("`method =`",),
    MEASURE,
    VIEWS,
    ("digits",),
    ("data", "model"),
    ("share of the data",),
    ("data", "plain"),
    ("arm",),
    ("", "ours"),
]  # fmt: skip


def test_every_table_has_its_test():
    assert len(tables(README)) == len(REBUILT)
    for head in REBUILT:
        the_table(*head)


# --- what `mixtext table` and `mixtext active plot` print


@pytest.mark.parametrize(
    "name, head",
    [("measure", MEASURE), ("views", VIEWS), ("quickstart", QUICKSTART)],
    ids=["measure", "views", "quickstart"],
)
def test_tables_of_the_command(name, head):
    assert the_table(*head) == tables(comparison(read_results([RESULTS / f"{name}.jsonl"])))[0]


@pytest.mark.parametrize("name, head", RIVALS.items())
def test_the_tables_of_rivals_and_what_they_say_of_the_runs(name, head):
    told = rival_table(read_results([RESULTS / f"{name}.jsonl"]), "mixtext + names")
    assert the_table(*head) == tables(told)[0]
    assert told.splitlines()[-1] in README


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
    cells = " ".join(cell for cell, *_ in rows(the_table("backend", "what it is")))
    assert sorted(re.findall(r"`(\w+)`", cells)) == sorted(BACKENDS)


def test_back_translation_speeds():
    benchmark = script("benchmarks/backtranslation.py")
    found = (RESULTS / "backtranslation.jsonl").read_text(encoding="utf-8").splitlines()
    from_english = [x for x in map(json.loads, found) if x["direction"].startswith("en")]
    assert the_table("backend", "direction") == tables(benchmark.table(from_english, {}))[0]


# --- the survey


def stored(name):
    return read_results([RESULTS / f"{name}.jsonl"])


PUBLISHED = ROOT / "experiments" / "published"
BASELINES = dict.fromkeys(("seqmix", "seqmix_by_test"), "token entropy")
SETS = {"measure": "mixtext", "seqmix_by_test": "seqmix"}  # results → published, where names differ


@cache
def verdicts(name):
    """What `mixtext table` says of a file of results beside the published numbers."""
    published = PUBLISHED / f"{SETS.get(name, name)}.toml"
    return verdicts_of([RESULTS / f"{name}.jsonl"], published, BASELINES.get(name, "supervised"))


def gains(name, *methods, **wanted):
    """Published gains of methods, of the cells that have these values, as the README has them."""
    cells = [v.comparison.published for v in verdicts(name) if v.comparison.published]
    found = []
    for method in methods:
        of = {
            cell.gain
            for cell in cells
            if cell.method == method and all(getattr(cell, k) == v for k, v in wanted.items())
        }
        assert len(of) < 2
        found += [points(gain) for gain in of]
    return found


def minus(text):
    """With the sign that the README uses."""
    return text.replace("-", "−")


def points(value):
    return minus(f"{value:+.1f}")


class Runs:
    """Results that share all but method and seed: the cells of one row.

    Args:
        results: of the file, or its name.
        settings: what the row has in common, of a result or of its settings.
    """

    def __init__(self, results, **settings):
        wanted = {name.replace("__", "."): value for name, value in settings.items()}
        self.name = results if isinstance(results, str) else ""
        results = stored(results) if self.name else results
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

    def cell(self, method, **settings):
        """`mean ± std (gain ± half, verdict)`; the verdict where something was published.

        Args:
            method: against plain training with the same seeds.
            settings: of the method.
        """
        own = self.scores(method, **settings)
        [found] = [
            v
            for v in verdicts(self.name)
            if v.comparison.method == method and v.comparison.values == own
        ]
        strong = {AGREES: f", **{AGREES}**", DIFFERS: f", **{DIFFERS}**", NOISE: f", {NOISE}"}
        word = strong.get(found.verdict, "")
        return f"{spread(list(own.values()))} ({minus(found.shown)}{word})"


def test_digits():
    table = the_table("digits")
    assert table[0][1:] == ["published (CIFAR-10)", "plain", *(
        "`mixup`, α = 1", "`mixup`, α = 8", "`manifold_mixup`, α = 2"
    )]  # fmt: skip
    clean = gains("digits", "mixup", setting="") + gains("digits", "manifold_mixup", setting="")
    clean = "mixup {}, Manifold Mixup {}".format(*clean)
    wanted = []
    for share in (None, 0.2, 0.5, 0.8):
        label = f"{share:.0%}".replace("%", " %") if share else ""
        noisy = gains("digits", "mixup", setting=f"{label} corrupted labels")
        row = Runs("digits", encoder="mlp", data__corrupt=share)
        wanted.append([
            f"MLP, {label} of labels corrupted" if share else "MLP, clean",
            f"mixup {noisy[0]}" if share else clean,
            row.plain(),
            row.cell("mixup", mixup__alpha=None),
            row.cell("mixup", mixup__alpha=8.0),
            row.cell("manifold_mixup", manifold_mixup__layers=None),
        ])  # fmt: skip
    for share in (None, 0.5):
        row = Runs("digits", encoder="small_cnn", data__corrupt=share)
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
    runs = Runs("digits", encoder="mlp", data__corrupt=None)
    by_layer = [
        runs.scores("manifold_mixup", manifold_mixup__layers=[layer]).values() for layer in range(3)
    ]
    low, middle, high = (f"{100 * mean(scores):.1f}" for scores in by_layer)
    assert f"test accuracy is {low}, {middle} and {high}." in " ".join(README.split())


def test_losses_of_unmixed_rows_by_the_layer_that_is_mixed_at():
    losses = {}
    for run in stored("digits_unmixed"):
        [layer] = run["settings"].get("manifold_mixup.layers", [None])
        losses.setdefault(layer, []).append(run["labelled_loss"])
    assert [len(found) for found in losses.values()] == [3, 3, 3, 3]
    low, middle, high, plain = (f"{mean(losses[layer]):.3f}" for layer in (0, 1, 2, None))
    text = " ".join(README.split())
    assert f"ends at {low} with mixing at the input alone (α = 2, three seeds), {middle} at" in text
    assert f"hidden layer and {high} at the second" in text
    log = " ".join((ROOT / "docs" / "log.md").read_text(encoding="utf-8").split())
    told = f"{low} (input), {middle} (layer 1), {high} (layer 2), {plain} (plain)"
    assert told in log


def test_words():
    wanted = []
    for corpus in ("trec", "mr"):
        for encoder in ("kim_cnn", "lstm"):
            for embedding in ("RandomTune", "RandomFix", "PretrainTune", "PretrainFix"):
                # PretrainTune is the default, which results do not repeat.
                setting = None if embedding == "PretrainTune" else embedding
                row = Runs("words", corpus=corpus, encoder=encoder, model__embedding=setting)
                if not row.runs:
                    continue
                methods = ("word_mixup", "sentence_mixup")
                source = {"corpus": corpus, "encoder": encoder, "setting": embedding}
                known = ", ".join(gains("words", *methods, **source))
                model = {"kim_cnn": "CNN", "lstm": "LSTM"}[encoder]
                cells = [row.cell(method) for method in methods]
                name = f"{model}, {embedding}"
                wanted.append([corpus.upper(), name, known or "no number", row.plain(), *cells])
    assert rows(the_table("data", "model")) == wanted


def test_mixup_transformer():
    wanted = []
    corpora = ("sts_b", "rte")
    for share in (0.1, 0.4, None):
        line = [f"{share or 1:.0%}".replace("%", " %")]
        for corpus in corpora:
            row = Runs("mixup_transformer", corpus=corpus, data__labelled_share=share)
            line += [row.plain(), row.cell("mixup_transformer")]
        wanted.append(line)
    line = ["published, `bert-base`, 100 %"]
    path = PUBLISHED / "mixup_transformer.toml"
    cells = tomllib.loads(path.read_text(encoding="utf-8"))["cell"]
    for corpus in corpora:
        [plain] = [x for x in cells if x["corpus"] == corpus and x["method"] == "supervised"]
        score = plain.get("accuracy") or plain["correlation"]
        line += [f"{score:.1f}", *gains("mixup_transformer", "mixup_transformer", corpus=corpus)]
    assert rows(the_table("share of the data")) == [*wanted, line]


def test_ssmix():
    methods = ("ssmix", "embed_mix", "tmix")
    wanted = []
    for corpus, labelled, name in (
        ("sst2", 500, "SST-2, 500 rows"),
        ("sst2", 2000, "SST-2, 2,000 rows"),
        ("trec", 5212, "TREC, all rows"),
    ):
        row = Runs("ssmix", corpus=corpus, labelled=labelled)
        known = ", ".join(gains("ssmix", *methods, corpus=corpus))
        said = {500: f"{known} on all rows", 2000: "the same", 5212: known}[labelled]
        wanted.append([name, row.plain(), *(row.cell(method) for method in methods), said])
    assert rows(the_table("data", "plain")) == wanted


# --- SeqMix


def test_seqmix():
    arms = by_arm(read_curves([RESULTS / "seqmix.jsonl"]))
    strongest = max(
        ("random", "least confidence", "token entropy"),
        key=lambda name: mean(mean(scores) for scores in arms[name].values()),
    )
    curves = tomllib.loads((PUBLISHED / "seqmix.toml").read_text(encoding="utf-8"))["curve"]
    theirs = {curve["method"]: mean(curve["f1"]) for curve in curves}
    made, plain = "token entropy + SeqMix sub sequence", "token entropy"

    def line(name, method, labels, over=plain, said=""):
        [found] = [
            v
            for v in verdicts("seqmix")
            if (v.comparison.method, v.comparison.baseline) == (method, over)
            and v.comparison.about["labels"] == labels
        ]
        of = found.comparison.published
        known = "" if of is None else f"{points(of.gain)}{said}"
        seeds = len(found.comparison.pairs[0])
        return [name, f"{minus(found.shown)} ({seeds} seeds)", known, found.verdict]

    cells = [v.comparison.published for v in verdicts("seqmix") if v.comparison.published]
    [of] = [cell for cell in cells if "validation" in cell.setting]
    assert of.gain == pytest.approx(theirs[made] - theirs[plain], abs=0.005)
    wanted = [
        line("sub-sequence + NTE over NTE, mean over the six sizes", made, "200 to 700", plain,
             " (validation)"),
        line(f"… over the strongest policy without it ({strongest})", made, "200 to 700",
             strongest, " (test)"),
        line("seed set alone, sub-sequence over plain", made, "200", plain, " (test)"),
        line("seed set alone, whole sequence over plain",
             "seed set alone + SeqMix whole sequence", "200"),
        line("seed set alone, label-constrained over plain",
             "seed set alone + SeqMix label constrained", "200"),
    ]  # fmt: skip
    assert the_table("", "ours")[0] == ["", "ours", "published", "verdict"]
    assert rows(the_table("", "ours")) == wanted
    assert {row[3] for row in wanted[:3]} == {NOISE}
    # The intervals that the table of before had as standard deviations; the log has them.
    before = [v for v in verdicts("seqmix_by_test") if v.comparison.published and v.shown]
    assert [minus(v.shown) for v in before] == ["−0.5 ± 1.5", "−1.7 ± 2.2", "−0.2 ± 4.7"]
    assert {v.verdict for v in before} == {NOISE}
    log = " ".join((ROOT / "docs" / "log.md").read_text(encoding="utf-8").split())
    assert "seqmix_by_test.jsonl" in log and all(minus(v.shown) in log for v in before)


def test_verdicts_of_the_log():
    log = (ROOT / "docs" / "log.md").read_text(encoding="utf-8")
    [table] = [one for one in tables(log) if one[0][:2] == ["results", "comparisons"]]
    words = (AGREES, DIFFERS, NOISE, NOT_RUN)
    assert table[0][2:] == list(words)
    names = ("measure", "digits", "words", "mixup_transformer", "ssmix", "seqmix")
    assert rows(table) == [
        [
            f"`{name}.jsonl`",
            str(sum(v.p == v.p for v in verdicts(name))),
            *(str(sum(v.verdict == word for v in verdicts(name))) for word in words),
        ]
        for name in names
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


# --- steps


def stored_steps(benchmark):
    lines = map(json.loads, (RESULTS / "steps.jsonl").read_text(encoding="utf-8").splitlines())
    return [line["result"] for line in lines if line["benchmark"] == benchmark]


def test_what_a_step_of_a_method_takes():
    [found] = stored_steps("methods")
    ratios = {name: x["ratio"] for name, x in found["methods"].items()}
    assert f"A step of SSMix takes {ratios['ssmix']:.1f} times" in README
    assert f"a step of EmbedMix\n{ratios['embed_mix']:.1f} times" in README
    mixed = [x for name, x in ratios.items() if name.endswith(("mixup", "transformer", "tmix"))]
    assert len(mixed) == 5
    assert f"alone {min(mixed):.1f} to {max(mixed):.1f} times" in README


def test_what_processes_and_threads_gain():
    gains = [[f"{way['times']:.2f}" for way in one["ways"].values()]
             for one in stored_steps("processes")]  # fmt: skip
    _, threads, shared = zip(*gains, strict=True)
    text = README.replace("\n", " ")
    assert f"was {shared[0]}, {shared[1]} and {shared[2]} times as fast" in text
    assert f"usual way, {threads[0]}, {threads[1]} and {threads[2]} times" in text


def test_trec_on_rows_of_its_training_part():
    table = compared(read_results([RESULTS / "trec_held.jsonl"]))
    found = {row["method"]: row["test accuracy"] for row in table}
    text = README.replace("\n", " ")
    assert f"`mixtext` has {found['mixtext']} and SetFit {found['setfit']}, two" in text


# --- the log's table of what else was tried

LOG = (ROOT / "docs" / "log.md").read_text(encoding="utf-8")
TRIED = {
    "weights by confidence": "CONF=soft",
    "guesses below 0.9": "CONF=0.9",
    "labels smoothed": "SMOOTH=0.1",
    "partners of like length": "PARTNERS=length",
    "`separate`": ["mixtext.separate=true"],
    "λ_u = 0.3": ["mixtext.unlabelled_weight=0.3"],
    "16 labelled rows": ["training.batch=16"],
    "a view with 30 %": ["views.copies=1", "views.rate=0.3"],
    "dropout of 0.3": ["model.dropout=0.3"],
    "a view by apertium": ["views.copies=1", "views.backend=apertium", 'views.pivots=["spa"]'],
}
LONG = ["training.steps=240", "training.evaluate_every=40"]  # as recipes without a length have now


def tried(what):
    """Corpus → seed → accuracy, of a change or of a prototype; lists are changes."""
    text = (RESULTS / "ablation.jsonl").read_text(encoding="utf-8")
    found = {}
    for line in map(json.loads, text.splitlines()):
        changes = [x for x in line.get("changes", ["?"]) if x != "data.labels_per_class=10"]
        prototype = line.get("prototype", "").partition(",")[0]
        if (prototype or changes) == what and (not prototype or not changes):
            found.setdefault(line["corpus"], {})[line["seed"]] = line["accuracy"]
    return found


def test_what_else_was_tried():
    [table] = [one for one in tables(LOG) if one[0][:1] == [""] and one[-1][0].startswith("a view")]
    base, corpora = tried(LONG), ("trec", "sst2", "mr", "ag_news")
    assert [x for row in rows(table)[1:] for x in TRIED if row[0].startswith(x)] == [*TRIED]
    for row, what in zip(rows(table), [LONG, *TRIED.values()], strict=True):
        found, gains = tried(what), []
        for corpus, cell in zip(corpora, row[1:5], strict=True):
            values = found[corpus]
            assert cell == ", ".join(f"{values[seed]:.1f}" for seed in sorted(values)), row[0]
            gains += [values[seed] - base[corpus][seed] for seed in values]
        if what != LONG:
            assert row[5].replace("−", "-") == f"{mean(gains):+.1f}".replace("+0.0", "0.0"), row[0]
