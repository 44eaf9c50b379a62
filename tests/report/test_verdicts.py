"""Verdicts: Holm and the t test by hand, the one rule, and what is paired with what."""

import math
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from mixtext.cli import main
from mixtext.errors import InputError
from mixtext.report.published import Published, read_published
from mixtext.report.tables import read_results
from mixtext.report.verdicts import (
    AGREES,
    DIFFERS,
    NOISE,
    NOT_RUN,
    Comparison,
    as_csv,
    compare,
    curve_results,
    holm,
    judge,
    paired_p,
    verdict_rows,
    verdict_table,
)

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


def test_ps_corrected_by_holm():
    # 0.01 · 4, then max(0.04, 0.02 · 3), max(0.06, 0.03 · 2), max(0.06, 0.6 · 1)
    assert holm([0.6, 0.01, 0.03, 0.02]) == pytest.approx([0.6, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.6, 0.9]) == [1, 1, 1]
    assert holm([]) == [] and holm([0.02]) == [0.02]
    one, none, other = holm([0.01, math.nan, 0.04])
    assert (one, other) == (0.02, 0.04) and math.isnan(none)


def test_p_of_pairs():
    a, b = [0.9, 0.85, 0.7, 0.6], [0.8, 0.86, 0.62, 0.5]
    assert paired_p(a, b) == pytest.approx(ttest_rel(a, b).pvalue)
    assert math.isnan(paired_p([0.5], [0.4]))
    assert paired_p([0.5, 0.5], [0.5, 0.5]) == 1


def comparison(gains, published, **about):
    of = published and Published("c", "e", "tmix", "", "", {}, published, "paper", False)
    others = {(n, n): 0.5 for n in range(len(gains))}
    values = {(n, n): 0.5 + gain / 100 for n, gain in enumerate(gains)}
    return Comparison({"corpus": "c", "labels": "", "encoder": ""}, "tmix", "plain", values,
                      others, of)  # fmt: skip


STRONG, WEAK = [5.0, 5.1, 4.9, 5.0], [5.0, -4.0, 3.0, 1.0]


@pytest.mark.parametrize(
    "gains, published, verdict",
    [
        (STRONG, 0.1, AGREES),
        (STRONG, 50.0, AGREES),
        (STRONG, -1.0, DIFFERS),
        ([-x for x in STRONG], 1.0, DIFFERS),
        ([-x for x in STRONG], -1.0, AGREES),
        (WEAK, 1.0, NOISE),
        (WEAK, -1.0, NOISE),
        ([5.0], 5.0, NOISE),
        ([], 5.0, NOT_RUN),
        (STRONG, None, ""),
    ],
)
def test_the_rule(gains, published, verdict):
    assert judge([comparison(gains, published)])[0].verdict == verdict


def test_more_comparisons_ask_for_more():
    three = comparison([5.0, 6.0, 7.0], 1.0)  # t = 10.4 with 2 degrees of freedom, p = 0.009
    assert judge([three])[0].verdict == AGREES
    many = judge([three, *[comparison(WEAK, 1.0)] * 5])
    assert many[0].verdict == NOISE and many[0].p == pytest.approx(6 * 0.00913, abs=1e-4)


# ---- what is read and paired


def test_published_gains_are_over_the_baseline_of_the_same_source():
    cells = read_published(EXPERIMENTS / "published" / "words.toml", "supervised")
    assert len(cells) == 4
    [one] = [c for c in cells if (c.encoder, c.method) == ("kim_cnn", "word_mixup")]
    assert one.gain == pytest.approx(91.62 - 90.5) and not one.verified
    assert one.ours == {
        "corpus": "trec",
        "encoder": "kim_cnn",
        "model.embedding": "PretrainTune",
    }


@pytest.mark.parametrize("path", sorted((EXPERIMENTS / "published").glob("*.toml")))
def test_every_published_file_is_read(path):
    assert read_published(path, "token entropy" if path.stem == "seqmix" else "supervised")


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "no [[cell]]"),
        ('[[cell]]\ncorpus = "a"', "cell 1 needs method"),
        ('[[cell]]\ncorpus="a"\nmethod="b"\nsource="c"\nverified=true', "needs one number"),
        ('[[cell]]\ncorpus="a"\nmethod="b"\nsource=""\nverified=true\ngain=1', "needs source"),
        ('[[cell]]\ncorpus="a"\nmethod="b"\nsource="c"\ngain=1.0', "needs verified"),
        ("[[cell]]\nacc = 1", "'acc'"),
    ],
)
def test_published_numbers_need_source_and_number(text, words, tmp_path):
    path = tmp_path / "published.toml"
    path.write_text(text)
    with pytest.raises(InputError) as refusal:
        read_published(path, "supervised")
    assert words in str(refusal.value)


def test_an_unknown_baseline_is_refused(capsys):
    results = str(EXPERIMENTS / "results" / "ssmix.jsonl")
    assert main(["table", results, "--baseline", "superwised"]) == 2
    assert "choose from" in capsys.readouterr().err


def test_two_numbers_for_one_comparison_are_refused():
    results = read_results([EXPERIMENTS / "results" / "ssmix.jsonl"])
    cell = Published("trec", "", "ssmix", "", "", {"corpus": "trec"}, 1.0, "one", True)
    with pytest.raises(InputError, match="both say"):
        compare(results, [cell, cell], "supervised")


def curve(policy, pairing, scores, seed=0):
    points = [
        {"round": n - 1, "labelled": 100 * n, "test": {"f1": f1}, "dev": {}}
        for n, f1 in enumerate(scores, 1)
    ]
    return {"policy": policy, "pairing": pairing, "seed": seed, "split_seed": seed,
            "corpus": "c", "encoder": "e", "curve": points}  # fmt: skip


def test_curves_are_compared_over_all_sizes_and_at_the_seed_set():
    curves = [
        curve("random", "", [0.5, 0.6]),
        curve("token_entropy", "", [0.5, 0.7]),
        curve("token_entropy", "sub_sequence", [0.6, 0.8]),
        curve("token_entropy", "whole_sequence", [0.4]),
    ]
    found = {
        (one.method, one.about["labels"]): [100 * (a - b) for a, b in zip(*one.pairs, strict=True)]
        for one in compare(curve_results(curves, "token entropy"), [], "token entropy")
    }
    assert found == {
        ("random", "100 to 200"): pytest.approx([-5]),
        ("token entropy + SeqMix sub sequence", "100 to 200"): pytest.approx([10]),
        ("token entropy + SeqMix sub sequence", "100"): pytest.approx([10]),
        ("seed set alone + SeqMix whole sequence", "100"): pytest.approx([-10]),
    }


def test_the_command_says_the_rule_and_how_many(capsys):
    published = str(EXPERIMENTS / "published" / "ssmix.toml")
    results = str(EXPERIMENTS / "results" / "ssmix.jsonl")
    assert main(["table", results, "--published", published]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith("9 comparisons, corrected by Holm") and "paired t test" in said[-1]
    head = [cell.strip() for cell in said[0].strip("|").split("|")]
    assert head[-4:] == ["p (Holm)", "published", "verdict", "source"]
    assert len(said) == 2 + 9 + 2
    assert "| sst2 | 500 + 200 dev |" in said[2]


def test_csv_and_no_comparison():
    lines = as_csv(verdict_rows(judge([comparison(STRONG, 1.0)]))).splitlines()
    assert len(lines) == 2 and lines[0].startswith("corpus,method,over,pairs")
    assert verdict_table([]) == "There is nothing to compare."
