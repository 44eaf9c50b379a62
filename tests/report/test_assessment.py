"""Assessments: numbers worked out by hand, and the report as text, Markdown and HTML."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from mixtext.assessment import Assessment, assess, calibration_bins
from mixtext.data.corpus import Corpus
from mixtext.errors import InputError
from mixtext.report.assessment import blocks_of, write_report
from mixtext.report.page import Heading, Sentence, Table, to_html, to_markdown, to_text


@pytest.fixture
def assessment():
    """Five rows of two classes and one of neither kind predicted: gold 0 0 0 1 1, class 2 lacks."""
    labels = ["cat", "cat", "cat", "dog", "dog"]
    corpus = Corpus.from_lists(
        ["a|b", "<c>", "d", "e", "f" * 500], labels, label_names=["cat", "dog", "cow\nbell"]
    )
    p = [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.5, 0.0, 0.5], [0.0, 0.96, 0.04], [0.05, 0.0, 0.95]]
    return assess(corpus, np.array(p), unlabelled=3)


def test_numbers_by_class(assessment):
    # cat: found 2 of 3, none false; dog: found 1 of 2, 1 false.
    assert assessment.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 0]]
    expected = [[1, 2 / 3, 0.8, 3], [0.5, 0.5, 0.5, 2], [0, 0, 0, 0]]
    assert assessment.scores == pytest.approx(np.array(expected))
    assert assessment.metrics["accuracy"] == pytest.approx(3 / 5)
    assert assessment.metrics["macro_f1"] == pytest.approx((0.8 + 0.5 + 0) / 3)
    assert assessment.lacking == ["cow\nbell"]
    assert (assessment.rows, assessment.unlabelled) == (5, 3)


def test_the_surest_mistakes_come_first(assessment):
    assert [x[:4] for x in assessment.mistakes] == [
        ("4", "dog", "cow\nbell", 0.95),
        ("1", "cat", "dog", 0.8),
    ]
    assert len(assessment.mistakes[0][4]) == 160


def test_calibration(assessment):
    # Bins 0.9 to 1: two right, one wrong; 0.8: wrong; 0.5: right.
    confidence = (0.9 + 0.96 + 0.95) / 3
    expected = [[0.5, 1, 1], [0.8, 0, 1], [confidence, 2 / 3, 3]]
    assert assessment.bins == pytest.approx(np.array(expected))
    error = (0.5 + 0.8 + 3 * (confidence - 2 / 3)) / 5
    assert assessment.calibration_error == pytest.approx(error)
    sure = calibration_bins(np.ones(4), np.array([True, True, True, False]))
    assert sure.tolist() == [[1, 0.75, 4]]


def test_a_calibrated_model_has_no_error():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 100_000)
    bins = calibration_bins(confidence, generator.random(100_000) < confidence)
    error = np.average(np.abs(bins[:, 0] - bins[:, 1]), weights=bins[:, 2])
    assert error < 0.01 and bins[:, 2].sum() == 100_000


def test_what_is_saved_is_read_back(assessment):
    saved = json.loads(json.dumps(assessment.saved()))
    back = Assessment.from_saved(saved)
    assert back.saved() == assessment.saved() and back.mistakes == assessment.mistakes
    assert [x[0] for x in back.right] == ["3", "0", "2"]
    scores = assess(Corpus.from_lists(["a"], scores=[1.0]), np.array([[1.5]]))
    assert Assessment.from_saved(scores.saved()).saved() == scores.saved()
    for wrong in ({}, {**saved, "bins": [1]}, {**saved, "more": 1}):
        with pytest.raises((ValueError, TypeError)):
            Assessment.from_saved(wrong)


def test_json(assessment):
    values = json.loads(json.dumps(assessment.plain()))
    assert values["rows"] == 5 and values["lacking"] == ["cow\nbell"]
    assert values["classes"]["dog"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "rows": 2}


class Reader(HTMLParser):
    """Collects tags and cells; every tag that is opened is closed."""

    def __init__(self):
        super().__init__()
        self.tags, self.cells, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("table", "tr", "td", "th", "h1", "h2", "p", "svg"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and tag == self.open[-1]:
            self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] == ["td"]:
            self.cells.append(data)


def test_the_report_in_three_forms(assessment, tmp_path):
    files = write_report(blocks_of(assessment), tmp_path / "r", "run")
    assert [x.name for x in files] == ["r.html", "r.md"]
    page, marked = (x.read_text(encoding="utf-8") for x in files)
    text = to_text(blocks_of(assessment))
    for form in (page, marked, text):
        for part in ("precision", "Calibration", "3 without a label", r"cow\nbell", "0.9500"):
            assert part in form
        assert "cow\nbell" not in form
    reader = Reader()
    reader.feed(page)
    assert reader.open == [] and "svg" in dict(reader.tags) and "<c>" in reader.cells
    # Nothing is loaded from elsewhere.
    assert not any(
        name in ("src", "href") and not value.startswith("#")
        for tag, attributes in reader.tags
        for name, value in attributes.items()
    )
    widths = {
        line.count("|") - line.count("\\|") for line in marked.splitlines() if "a\\|b" in line
    }
    assert len(widths) <= 1
    for wrong in (tmp_path / "r", tmp_path / "r.md"):
        with pytest.raises(InputError, match="exists already"):
            write_report(blocks_of(assessment), wrong, "another run")
    files[1].unlink()  # as a kill leaves it
    assert write_report(blocks_of(assessment), tmp_path / "r", "run") == files
    assert [x.read_text(encoding="utf-8") for x in files] == [page, marked]
    assert write_report([Sentence("x")], tmp_path / "s.md", "run") == [tmp_path / "s.md"]


def test_many_classes_show_their_most_frequent_confusions():
    names = [f"c{i}" for i in range(30)]
    gold = np.arange(300) % 30
    p = np.eye(30)[np.where(gold == 3, 4, gold)]
    found = assess(Corpus.from_lists(["x"] * 300, gold, label_names=names), p)
    text = to_text(blocks_of(found))
    assert "Most frequent confusions" in text and "gold \\ predicted" not in text
    assert any(line.split() == ["c3", "c4", "10"] for line in text.splitlines())


def test_scores(tmp_path):
    corpus = Corpus.from_lists(["a", "b", "c"], scores=[1.0, 2.0, 5.0], pairs=["x", "y", "z"])
    found = assess(corpus, np.array([[1.5], [2.0], [3.0]]))
    assert found.plain().keys() == {"rows", "unlabelled", "spearman", "pearson", "loss"}
    assert found.mistakes[0] == ("2", "5", "3", -2.0, "c ‖ z")
    assert "Largest errors" in to_text(blocks_of(found))


def test_tables_as_text_and_markdown():
    blocks = [Heading("H"), Table(["name", "n"], [["a|b", 1234], ["c", 2]])]
    assert to_text(blocks) == "H\n\nname      n\na|b   1,234\nc         2"
    assert (
        to_markdown(blocks)
        == "## H\n\n| name | n |\n| --- | ---: |\n| a\\|b | 1,234 |\n| c | 2 |\n"
    )
    assert "<td>a|b</td>" in to_html(blocks, "t")
