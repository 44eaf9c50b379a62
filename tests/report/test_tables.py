"""Tables: what is one group, which columns there are, and the numbers in them by hand."""

import json
from pathlib import Path

import pytest

from mixtext.errors import InputError
from mixtext.report import tables
from mixtext.report.tables import METHOD_ORDER, comparison, paired_gain, read_results, spread
from mixtext.report.verdicts import compare

RESULTS = Path(__file__).resolve().parents[2] / "experiments" / "results"


def result(**changes):
    """A result as a run writes it, of classification, with some of it changed."""
    return {
        "name": "run",
        "method": "supervised",
        "corpus": "things",
        "task": "single",
        "encoder": "minilm",
        "labels_per_class": 10,
        "labelled": 30,
        "unlabelled": 0,
        "views": "",
        "best_step": 20,
        "settings": {},
        "dev": {"accuracy": 0.5, "macro_f1": 0.4, "loss": 1.0},
        "test": {"accuracy": 0.75, "macro_f1": 0.7, "loss": 1.0},
        **changes,
    }


def rows(results):
    """The table as dicts by column."""
    head, rule, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in comparison(results).splitlines()
    ]
    assert set(rule) == {"---"} and all(len(line) == len(head) for line in lines)
    return [dict(zip(head, line, strict=True)) for line in lines]


def regression(value, **changes):
    scores = {"spearman": value, "pearson": value + 0.05, "loss": 0.3}
    return result(task="regression", corpus="likeness", dev=scores, test=scores, **changes)


def test_spread():
    assert spread([0.5]) == "50.0"
    # Mean 0.6; deviations ±0.1, so the sample standard deviation is √0.02 = 0.1414…
    assert spread([0.5, 0.7]) == "60.0 ± 14.1"
    assert spread([-0.25]) == "-25.0"


def test_paired_gain():
    assert paired_gain([0.5], [0.75]) == "-25.0"
    # Differences 5, 0, 10: mean 5, deviation 5; t of 0.975 with 2 degrees is 4.3027.
    assert paired_gain([0.9, 0.8, 0.7], [0.85, 0.8, 0.6]) == "+5.0 ± 12.4"
    assert paired_gain([0.9, 0.7], [0.8, 0.6]) == "+10.0 ± 0.0"


def test_the_gain_is_over_plain_training_with_the_same_rows_model_and_seed():
    def run(method, value, seed, **settings):
        test = {"accuracy": value, "macro_f1": value, "loss": 1.0}
        return result(method=method, test=test, seed=seed, split_seed=seed, settings=settings)

    corrupt = {"data.corrupt": 0.5}
    plain = [run("supervised", 0.5, 0), run("supervised", 0.6, 1)]
    worse = [run("supervised", 0.2, 0, **corrupt), run("supervised", 0.1, 1, **corrupt)]
    mixed = [run("tmix", 0.7, 1), run("tmix", 0.6, 0), run("tmix", 0.4, 0, **corrupt)]
    second = [run("tmix", 0.8, 0, **{"tmix.alpha": 9.0, "model.start": "x"})]
    table = rows([*plain, *worse, *mixed, *second])
    found = {(row["method"], row["settings"]): row["gain (95 %)"] for row in table}
    assert found.pop(("tmix", 'data.corrupt=0.0 model.start="" tmix.alpha=2.0')) == "+10.0 ± 0.0"
    assert found.pop(("tmix", 'data.corrupt=0.5 model.start="" tmix.alpha=2.0')) == "+20.0"
    assert found.pop(("tmix", 'data.corrupt=0.0 model.start="…" tmix.alpha=9.0')) == "+30.0"
    assert set(found.values()) == {""}  # plain training has no gain
    [_, lonely] = rows([plain[0], mixed[0]])  # not the same seed
    assert "gain (95 %)" not in lonely


def test_of_several_plain_trainings_the_gain_is_over_the_one_that_is_trained_alike():
    def run(method, value, dev_rows=0, **settings):
        test = {"accuracy": value, "loss": 1.0}
        return result(method=method, test=test, dev_rows=dev_rows, settings=settings)

    short, long = {"training.steps": 1}, {"training.steps": 12}
    trained = [run("supervised", 0.5, **short), run("supervised", 0.9, **long)]
    mixed = [run("tmix", 0.6, **short), run("tmix", 0.8, **long)]
    other = run("ssmix", 0.6, **{"training.steps": 5})
    chosen = [run("supervised", 0.2, 8, **short), run("tmix", 0.1, 8, **short)]
    results = [*trained, *mixed, other, *chosen]
    gains = {(row["labels"], row["settings"]): row.get("gain (95 %)") for row in rows(results)
             if row["method"] != "supervised"}  # fmt: skip
    assert gains == {
        ("30", "training.steps=1"): "+10.0",
        ("30", "training.steps=12"): "-10.0",
        ("30", ""): "",  # neither is trained as it is
        ("30 + 8 dev", "training.steps=1"): "-10.0",
    }
    verdicts = {(one.about["labels"], one.about["settings"]): one.pairs
                for one in compare(results, [], "supervised")}  # fmt: skip
    assert verdicts == {
        ("30", "training.steps=1"): ([0.6], [0.5]),
        ("30", "training.steps=12"): ([0.8], [0.9]),
        ("30 + 8 dev", "training.steps=1"): ([0.1], [0.2]),
    }


def test_a_default_that_changes_later_does_not_reach_old_results(monkeypatch):
    told = {"data.templates": [], "training.batch": 4}
    monkeypatch.setattr(tables, "defaults", lambda kind, method: {"training.batch": 64, "new.x": 1})
    assert tables.all_settings(result(settings=told)) == {**told, "new.x": 1}


def test_seeds_are_one_group():
    one, other = result(best_step=5), result(test={"accuracy": 0.25, "macro_f1": 0.3, "loss": 2.0})
    one["settings"] = {"training.seed": 1, "data.split_seed": 1, "model.start": "runs/a-1"}
    other["settings"] = {"training.seed": 2, "data.root": "/other", "model.start": "runs/a-2"}
    [row] = rows([one, other])
    assert list(row) == [
        *("corpus", "labels per class", "labels", "method", "runs"),
        *("test accuracy", "test macro-F1", "best step"),
    ]
    assert row["runs"] == "2" and row["best step"] == "5 / 20"
    assert row["test accuracy"] == "50.0 ± 35.4" and row["test macro-F1"] == "50.0 ± 28.3"


@pytest.mark.parametrize(
    "change",
    [
        {"corpus": "others"},
        {"encoder": "kim_cnn"},
        {"method": "tmix"},
        {"views": "word dropout"},
        {"labels_per_class": 3, "labelled": 9},
        {"labels_per_class": 0, "labelled": 31},
        {"labels_per_class": 0},
        {"settings": {"data.corrupt": 0.4}},
        {"settings": {"model.start": "runs/before"}},
        {"task": "pair"},
    ],
    ids=str,
)
def test_what_differs_comes_apart(change):
    found = rows([result(), result(**change)])
    assert [row["runs"] for row in found] == ["1", "1"]
    assert {**found[0], "runs": ""} != {**found[1], "runs": ""}


def test_shares_of_a_corpus_come_apart_in_order():
    runs = [result(labels_per_class=0, labelled=n) for n in (1000, 20, 300)]
    cells = [row["labels"] for row in rows(runs)]
    assert cells == ["20", "300", "1,000"]


def test_only_settings_that_differ_for_a_method_on_a_corpus_are_shown():
    def mixed(alpha, **changes):
        return result(method="tmix", settings={"tmix.alpha": alpha, "training.steps": 9}, **changes)

    plain = result(settings={"training.steps": 5})
    layers = result(method="mixtext", settings={"mixtext.layers": [1, 2]})
    default = result(method="mixtext")
    found = rows([mixed(2), mixed(0.5), plain, layers, default, mixed(8, corpus="others")])
    shown = {(row["corpus"], row["method"], row["settings"]) for row in found}
    assert shown == {
        ("things", "tmix", "tmix.alpha=2"),
        ("things", "tmix", "tmix.alpha=0.5"),
        ("things", "supervised", ""),
        ("things", "mixtext", "mixtext.layers=[1, 2]"),
        ("things", "mixtext", "mixtext.layers=[3, 4, 5]"),  # the default
        ("others", "tmix", ""),
    }
    assert "settings" not in rows([plain, default])[0]
    noisy, start = result(settings={"data.corrupt": 0.4}), result(settings={"model.start": "a/1"})
    assert [row["settings"] for row in rows([noisy, start, result()])] == [
        'data.corrupt=0.0 model.start=""',
        'data.corrupt=0.0 model.start="…"',
        'data.corrupt=0.4 model.start=""',
    ]


def test_settings_of_a_method_of_another_library_tell_its_runs_apart():
    named = {"data.templates": ["{}"]}
    runs = [result(method="setfit", seed=s) for s in (0, 1)]
    runs += [result(method="setfit", seed=s, settings=named) for s in (0, 1)]
    assert [(row["settings"], row["runs"]) for row in rows(runs)] == [
        ('data.templates=["{}"]', "2"),
        ("data.templates=[]", "2"),
    ]


def test_columns_are_of_the_scores_that_there_are():
    [row] = rows([regression(0.5), regression(0.7)])
    assert row["test Spearman"] == "60.0 ± 14.1" and row["test Pearson"] == "65.0 ± 14.1"
    assert not {"test accuracy", "test loss", "task", "encoder"} & row.keys()
    tagged = {"f1": 0.5, "precision": 0.4, "recall": 0.6, "f1/PER": 0.1, "loss": 3.0}
    both = rows([regression(0.5), result(), result(corpus="tags", task="tagging", test=tagged)])
    assert [row["task"] for row in both] == ["regression", "tagging", "single"]
    assert [row["test accuracy"] for row in both] == ["", "", "75.0"]
    assert [row["test Spearman"] for row in both] == ["50.0", "", ""]
    assert [row["test F1"] for row in both] == ["", "50.0", ""]
    assert "test f1/PER" not in both[0] and "test loss" not in both[0]


def test_no_test_part_is_a_dash():
    [row] = rows([result(test={})])
    assert row["test accuracy"] == row["test macro-F1"] == "–"
    [row] = rows([result(test={}), result()])
    assert row["test accuracy"] == "–" and row["runs"] == "2"
    [row] = rows([result(test={}, dev={})])
    assert row["test accuracy"] == "–"


def test_without_dev_there_is_no_best_step():
    assert "best step" not in rows([result(best_step=-1, dev={})])[0]
    [row] = rows([result(best_step=-1, dev={}), result(best_step=20)])
    assert row["best step"] == "20"


def test_a_tagger_has_neither_classes_nor_unlabelled_rows():
    tagger = result(method="seqmix", task="tagging", labelled=200, test={"f1": 0.5, "f1/PER": 0.1})
    for name in ("labels_per_class", "unlabelled", "views", "settings"):
        del tagger[name]
    [row] = rows([tagger])
    assert (row["labels"], row["test F1"]) == ("200", "50.0")
    assert "unlabelled" not in row


def test_methods_stand_in_the_order_of_the_methods():
    runs = [result(method=name) for name in [*reversed(METHOD_ORDER), "another"]]
    assert [row["method"] for row in rows(runs)] == [*METHOD_ORDER, "another"]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.jsonl")), ids=lambda path: path.name)
def test_results_without_task_and_settings_are_still_read(path):
    lines = [json.loads(x) for x in path.read_text().splitlines()]
    if not all("labels_per_class" in line for line in lines):
        pytest.skip("results of another kind")
    found = rows(read_results([path]))
    assert sum(int(row["runs"]) for row in found) == len(lines)
    if not any("settings" in line for line in lines):
        accuracies = [100 * line["test"]["accuracy"] for line in lines]
        means = [float(row["test accuracy"].split()[0]) * int(row["runs"]) for row in found]
        assert sum(means) == pytest.approx(sum(accuracies), abs=0.05 * len(lines))


def test_reading(tmp_path):
    for name in ("b", "a/deep"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "result.json").write_text(json.dumps(result(name=name)))
    assert [r["name"] for r in read_results([tmp_path])] == ["a/deep", "b"]
    lines = tmp_path / "all.jsonl"
    lines.write_text("".join(json.dumps(result(name=str(i))) + "\n" for i in range(3)))
    assert [r["name"] for r in read_results([lines, tmp_path / "b"])] == ["0", "1", "2", "b"]
    # What is met twice counts once.
    assert [r["name"] for r in read_results([tmp_path / "b", tmp_path])] == ["b", "a/deep"]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "no JSON", "3", '{"test": {}}', '{"test": null}']
)
def test_files_that_hold_no_results(content, tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text(content + "\n" if content else "")
    with pytest.raises(InputError, match=r"other\.jsonl does not hold results"):
        read_results([path])
