"""Markdown that holds whatever the names in it are."""

from mixtext.markdown import escaped, literal, markdown_table
from mixtext.report.tables import comparison


def test_a_table_keeps_its_columns():
    table = markdown_table([["a", "b|c"], ["1\n2", "<i>"]], [True, False])
    assert table == "| a | b\\|c |\n| ---: | --- |\n| 1\\n2 | &lt;i> |"
    assert literal("*a* [b]_`c`") == r"\*a\* \[b\]\_\`c\`" and escaped("±0.5 a_b") == "±0.5 a_b"


def test_names_of_corpora_cannot_break_the_table_of_runs():
    result = {
        "corpus": "po\ns|neg",
        "method": "supervised",
        "encoder": "x",
        "labelled": 4,
        "best_step": 1,
        "dev": {},
        "test": {"accuracy": 0.5},
    }
    head, marks, row = comparison([result]).split("\n")
    assert r"| po\ns\|neg |" in row
    assert {x.replace("\\|", "").count("|") for x in (head, marks, row)} == {head.count("|")}
