"""The table of rivals: means, the strongest rival, paired gains, what is refused."""

import json

import pytest
from scipy.stats import ttest_rel

from mixtext.cli import main
from mixtext.errors import InputError
from mixtext.report.rivals import below, draw_rivals, rival_rows, rival_table


def result(method, corpus, seed, accuracy, **more):
    return {
        "method": method, "corpus": corpus, "encoder": "e", "labelled": 40, "best_step": -1,
        "split_seed": seed, "seed": seed, "dev": {}, "test": {"accuracy": accuracy, "loss": 1.0},
        **more,
    }  # fmt: skip


def runs(method, corpus, *accuracies):
    return [result(method, corpus, seed, x) for seed, x in enumerate(accuracies)]


RESULTS = [
    *runs("mixtext", "a", 0.90, 0.92, 0.91),
    *runs("mixtext", "b", 0.70, 0.72, 0.71),
    *runs("frozen", "a", 0.80, 0.80, 0.83),
    *runs("frozen", "b", 0.73, 0.74, 0.75),
    *runs("centroids", "a", 0.88, 0.90, 0.88),
    *runs("setfit", "b", 0.60, 0.60),
]


def test_means_rivals_and_gains():
    rows = {row["method"]: row for row in rival_rows(RESULTS, "mixtext")}
    assert list(rows)[:2] == ["labels", "mixtext"]
    assert rows["labels"] == {"method": "labels", "a": "40", "b": "40", "mean": ""}
    assert rows["mixtext"] == {
        "method": "mixtext",
        "a": "91.0 ± 1.0",
        "b": "71.0 ± 1.0",
        "mean": "81.0",
    }
    assert rows["centroids"]["b"] == "not run" and rows["centroids"]["mean"] == ""
    assert rows["which is"] == {
        "method": "which is",
        "a": "centroids",
        "b": "frozen",
        "mean": "frozen",
    }
    gain = rows["mixtext over the strongest rival"]
    # Differences 2, 2, 3: mean 7/3, half t(2) · 0.577 / √3 = 4.303 / 3.
    assert gain["a"] == "+2.3 ± 1.4"
    assert gain["b"].startswith("-3.0 ± ")
    assert gain["mean"] == "+3.5"  # 81.0 − (81.0 + 74.0) / 2
    first = ttest_rel([0.90, 0.92, 0.91], [0.88, 0.90, 0.88]).pvalue
    second = ttest_rel([0.70, 0.72, 0.71], [0.73, 0.74, 0.75]).pvalue
    least = 2 * min(first, second)  # of two corpora; the other is not below it
    told = "below" if max(least, second) < 0.05 else "within noise"
    chance = rows["p (Holm)"]
    assert chance == {
        "method": "p (Holm)",
        "a": f"{least if first <= second else max(least, first):.2g}",
        "b": f"{least if second < first else max(least, second):.2g}",
        "mean": "",
    }
    assert 0.01 < first < 0.025  # so it is shown, also of two
    assert rows["verdict"] == {"method": "verdict", "a": "above", "b": told, "mean": ""}


def test_runs_that_know_the_names_of_the_classes_are_rows_of_their_own():
    said = {"settings": {"data.templates": ["{}"]}}
    told = [result(m, "a", s, x, **said) for m, x in (("mixtext", 0.95), ("frozen", 0.97))
            for s in (0, 1)]  # fmt: skip
    rows = {row["method"]: row for row in rival_rows([*RESULTS, *told], "mixtext + names")}
    assert {"mixtext", "mixtext + names", "frozen", "frozen + names"} < rows.keys()
    assert rows["which is"]["a"] == "frozen + names"  # and not mixtext without
    assert rows["mixtext + names over the strongest rival"]["a"].startswith("-2.0")
    assert below([*RESULTS, *told], "mixtext + names") == ["a: frozen + names"]


def test_below_is_by_more_than_the_interval():
    assert below(RESULTS, "mixtext") == ["b: frozen"]
    assert below(RESULTS, "frozen") == ["a: mixtext", "a: centroids"]


def test_only_shared_seeds_are_paired():
    found = [*runs("x", "a", 0.5, 0.6), *runs("y", "a", 0.4), result("y", "a", 7, 0.1)]
    assert rival_rows(found, "x")[-4]["a"] == "+10.0"


def test_what_is_refused():
    with pytest.raises(InputError, match="40 and 40 \\+ 200 dev labels"):
        rival_rows([*RESULTS, result("uda", "a", 0, 0.5, dev_rows=200)], "mixtext")
    with pytest.raises(InputError, match="two runs of frozen on a"):
        rival_rows([*RESULTS, result("frozen", "a", 0, 0.5)], "mixtext")
    with pytest.raises(InputError, match="'uda'"):
        rival_rows(RESULTS, "uda")


def test_the_command(tmp_path, capsys):
    file = tmp_path / "results.jsonl"
    file.write_text("".join(json.dumps(x) + "\n" for x in RESULTS))
    assert main(["table", str(file), "--rivals", "mixtext"]) == 0
    assert capsys.readouterr().out.strip() == rival_table(RESULTS, "mixtext")
    assert main(["table", str(file), "--rivals", "mixtext", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == rival_rows(RESULTS, "mixtext")
    assert main(["table", str(file), "--rivals", "mixtext", "--baseline", "frozen"]) == 2
    assert "leave out --published" in capsys.readouterr().err


def test_the_figure_has_a_panel_a_corpus_and_a_bar_a_method():
    figure = draw_rivals(RESULTS, "mixtext")
    panels = figure.axes
    assert [panel.get_title() for panel in panels] == ["a\n40 labels", "b\n40 labels"]
    names = [tick.get_text() for tick in panels[0].get_yticklabels()]
    assert names == ["mixtext", "frozen", "centroids", "setfit"]
    widths = [round(bar.get_width(), 1) for bar in panels[0].patches]
    assert widths == [91.0, 81.0, 88.7]  # setfit was run on b alone
