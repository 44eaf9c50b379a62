"""Learning curves: what is read, grouped by arm, tabled and drawn."""

import json

import pytest

from mixtext.errors import InputError
from mixtext.report.curves import by_arm, curve_table, plot_curves, read_curves
from mixtext.report.verdicts import compare, curve_results


def curve(policy, pairing, seed, scores, part="test"):
    points = [
        {"round": k, "labelled": 200 + 100 * k, "generated": 0, "updates": 5, "dev": {}, "test": {}}
        | {part: {"f1": score, "loss": 1.0}}
        for k, score in enumerate(scores)
    ]
    return {"name": "x", "policy": policy, "pairing": pairing, "seed": seed, "curve": points}


CURVES = [
    curve("token_entropy", "sub_sequence", 0, [0.7, 0.8]),
    curve("token_entropy", "sub_sequence", 1, [0.6, 0.7]),
    curve("random", "", 0, [0.5, 0.6]),
    curve("token_entropy", "whole_sequence", 0, [0.55]),
]


def test_arms_and_their_scores():
    assert by_arm(CURVES) == {
        "random": {200: [0.5], 300: [0.6]},
        "token entropy + SeqMix sub sequence": {200: [0.7, 0.6], 300: [0.8, 0.7]},
        "seed set alone + SeqMix whole sequence": {200: [0.55]},
    }


def test_curves_of_classifiers_are_of_accuracy_and_name_their_method(tmp_path):
    about = {"task": "single", "rows": "texts", "metric": "accuracy"}
    made = [
        {**curve(policy, "", 0, []), **about, "method": method, "curve": [
            {"round": k, "labelled": 10 * k, "dev": {}, "test": {"accuracy": score, "loss": 1.0}}
            for k, score in enumerate(scores, first)]}
        for policy, method, first, scores in (
            ("margin", "mixtext", 1, [0.8]), ("random", "frozen", 1, [0.5, 0.6]),
            ("random", "frozen", 0, [0.7]))
    ]  # fmt: skip
    assert by_arm(made) == {
        "random, frozen": {10: [0.5], 20: [0.6]},
        "margin, mixtext": {10: [0.8]},  # began without a label: one size, but not the seed set
        "seed set alone, frozen": {0: [0.7]},
    }
    plot_curves(made, tmp_path / "curves.svg")
    with pytest.raises(InputError, match="accuracy over texts and of f1 over sentences: plot"):
        by_arm([*made, *CURVES])


def test_labels_that_weights_are_chosen_by_are_told():
    assert list(by_arm([{**one, "dev_rows": 1200} for one in CURVES])) == [
        "random (+ 1,200 dev)",
        "token entropy + SeqMix sub sequence (+ 1,200 dev)",
        "seed set alone + SeqMix whole sequence (+ 1,200 dev)",
    ]


def test_curves_that_differ_in_more_than_their_seeds_are_no_repeats():
    def made(seed, score, **settings):
        told = {"training.seed": seed, "training.lr_head": 1e-3, **settings}
        about = {"task": "tagging", "method": "supervised", "corpus": "a", "encoder": "minilm"}
        about["split_seed"] = seed
        return {**curve("random", "", seed, [score, score]), **about, "settings": told}

    slow, again = made(0, 0.5), made(1, 0.7)
    fast = made(0, 0.1, **{"training.lr_head": 1e-2})
    told = {name: points[200] for name, points in by_arm([slow, again, fast]).items()}
    rate = "random, training.lr_head="
    assert told == {f"{rate}0.001": [0.5, 0.7], f"{rate}0.01": [0.1]}
    assert [*by_arm([slow, again])] == ["random"]
    assert [*by_arm([slow, {**again, "corpus": "b"}])] == ["a: random", "b: random"]
    assert [*by_arm([slow, {**again, "encoder": "kim"}])] == ["random, kim", "random, minilm"]
    # Verdicts pair what is trained alike, and say which it is.
    asked = [{**one, "policy": "margin", "curve": [
        {**point, "test": {"f1": point["test"]["f1"] + 0.2}} for point in one["curve"]
    ]} for one in (slow, again, fast)]  # fmt: skip
    found = compare(curve_results([slow, again, fast, *asked], "random"), [], "random")
    assert {(x.about["settings"], len(x.pairs[0])) for x in found if x.method == "margin"} == {
        ("training.lr_head=0.001", 2),
        ("training.lr_head=0.01", 1),
    }
    gains = [a - b for one in found for a, b in zip(*one.pairs, strict=True)]
    assert gains == pytest.approx([0.2] * 3)


def test_the_table():
    lines = curve_table(CURVES).splitlines()
    assert lines[0] == "| arm | seeds | 200 | 300 |"
    assert lines[2] == "| random | 1 | 50.0 | 60.0 |"
    assert "| 2 | 65.0 ± 7.1 | 75.0 ± 7.1 |" in lines[3]
    assert lines[4].endswith("| 1 | 55.0 |  |")


def test_dev_serves_where_there_is_no_test_part():
    assert by_arm([curve("random", "", 0, [0.5, 0.6], "dev")]) == {
        "random": {200: [0.5], 300: [0.6]}
    }
    with pytest.raises(InputError, match="has no metrics"):
        by_arm([curve("random", "", 0, [0.5], "other")])


def test_a_picture(tmp_path):
    for name in ("curves.png", "curves.svg"):
        plot_curves(CURVES, tmp_path / name)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "curves.svg").read_text()
    with pytest.raises(InputError, match="names no picture format"):
        plot_curves(CURVES, tmp_path / "curves.xyz")


def test_a_curve_that_is_met_twice_counts_once(tmp_path):
    path = tmp_path / "run" / "curve.json"
    path.parent.mkdir()
    path.write_text(json.dumps(CURVES[0]))
    assert read_curves([tmp_path, path.parent, path]) == CURVES[:1]


def test_reading(tmp_path):
    with pytest.raises(InputError, match=r"no curve\.json"):
        read_curves([tmp_path])
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "curve.json").write_text(json.dumps(CURVES[0], indent=2))
    lines = tmp_path / "all.jsonl"
    lines.write_text("".join(json.dumps(x) + "\n" for x in CURVES))
    assert read_curves([tmp_path / "a"]) == CURVES[:1]
    assert read_curves([lines]) == CURVES
    for text in ("no json", "[]", '{"a": 1}'):
        lines.write_text(text)
        with pytest.raises(InputError, match="does not hold curves"):
            read_curves([lines])
