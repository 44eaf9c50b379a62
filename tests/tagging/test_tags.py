"""Tag schemes: conversion, repair, refusal; against seqeval's reading of the same tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.scheme import IOB1, IOB2, IOBES, Entities

from mixtext.errors import InputError
from mixtext.tagging.metrics import entity_spans
from mixtext.tagging.tags import bio_names, kinds_of, split_tag, to_bio

KINDS = ["LOC", "PER"]


def bio(text, scheme):
    tags, faults = to_bio(text.split(), scheme)
    return " ".join(tags), [fault.position for fault in faults]


def write(entities, length, scheme):
    """Entities (kind, start, stop), in order and apart, as tags; written from the definitions."""
    tags = ["O"] * length
    for number, (kind, start, stop) in enumerate(entities):
        for place in range(start, stop):
            first, last = place == start, place == stop - 1
            if scheme in ("bioes", "bilou"):
                alone, end = ("S", "E") if scheme == "bioes" else ("U", "L")
                prefix = alone if first and last else "B" if first else end if last else "I"
            elif scheme == "bio":
                prefix = "B" if first else "I"
            else:
                touches = number > 0 and entities[number - 1][::2] == (kind, start)
                prefix = "B" if first and touches else "I"
            tags[place] = f"{prefix}-{kind}"
    return tags


@st.composite
def entities(draw):
    found, place = [], 0
    for kind, gap, size in draw(
        st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.integers(1, 3)))
    ):
        found.append((kind, place + gap, place + gap + size))
        place += gap + size
    return found, place + draw(st.integers(0, 2))


@pytest.mark.parametrize("scheme", ["bio", "iob1", "bioes", "bilou"])
@given(entities())
def test_well_formed_tags_of_any_scheme_give_the_same_bio(scheme, made):
    spans, length = made
    converted, faults = to_bio(write(spans, length, scheme), scheme)
    assert converted == write(spans, length, "bio")
    assert faults == []
    assert [tuple(span) for span in entity_spans(converted)] == spans


@given(entities())
def test_seqeval_reads_the_same_entities(made):
    spans, length = made
    for scheme, theirs in (("bio", IOB2), ("iob1", IOB1), ("bioes", IOBES)):
        tags = write(spans, length, scheme)
        read = [(e.tag, e.start, e.end) for e in Entities([tags], theirs).entities[0]]
        converted, _ = to_bio(tags, scheme)
        assert [tuple(span) for span in entity_spans(converted)] == read


@pytest.mark.parametrize(
    ("scheme", "tags", "expected", "faults"),
    [
        ("bio", "O I-PER I-PER O", "O B-PER I-PER O", [1]),
        ("bio", "B-PER I-LOC I-LOC", "B-PER B-LOC I-LOC", [1]),
        ("iob1", "I-PER I-LOC B-LOC O", "B-PER B-LOC B-LOC O", []),
        ("iob1", "O B-PER I-PER", "O B-PER I-PER", [1]),  # B- only after its own type
        ("bioes", "B-PER O S-LOC", "B-PER O B-LOC", [0]),  # not closed
        ("bioes", "B-PER I-PER", "B-PER I-PER", [1]),  # not closed at the end
        ("bioes", "E-PER O", "B-PER O", [0]),
        ("bioes", "S-PER I-PER E-PER", "B-PER B-PER I-PER", [1]),
        ("bioes", "B-PER E-LOC", "B-PER B-LOC", [0, 1]),
    ],
)
def test_faults_are_repaired_as_the_conll_scorer_reads_them(scheme, tags, expected, faults):
    assert bio(tags, scheme) == (expected, faults)


@pytest.mark.parametrize("scheme", ["bio", "iob1", "bioes"])
@given(st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])))
def test_what_was_repaired_is_sound_bio_with_the_same_types(scheme, tags):
    converted, _ = to_bio(tags, scheme)
    assert to_bio(converted, "bio") == (converted, [])
    assert [t[2:] for t in converted] == [t[2:] for t in tags]


@pytest.mark.parametrize(
    ("tag", "scheme"), [("E-PER", "bio"), ("PER", "bio"), ("B-", "bioes"), ("X-PER", "iob1")]
)
def test_tags_of_no_scheme_are_refused(tag, scheme):
    with pytest.raises(InputError, match=f"'{tag}' is not one of the scheme {scheme}"):
        split_tag(tag, scheme)


def test_an_unknown_scheme_is_refused():
    with pytest.raises(InputError, match="no tag scheme 'bmewo'"):
        split_tag("O", "bmewo")


def test_a_type_may_hold_dashes():
    assert split_tag("B-event-time", "bio") == ("B", "event-time")
    assert bio_names(["b-c", "a"]) == ["O", "B-a", "I-a", "B-b-c", "I-b-c"]
    assert kinds_of(["O", "B-b-c", "I-b-c", "B-a"]) == ["a", "b-c"]


@given(entities())
def test_types_alone_give_the_entities_that_do_not_touch(made):
    spans, length = made
    spans = [x for n, x in enumerate(spans) if not n or spans[n - 1][2] < x[1]]
    bare = [tag.partition("-")[2] or tag for tag in write(spans, length, "bio")]
    converted, faults = to_bio(bare, "io")
    assert [tuple(span) for span in entity_spans(converted)] == spans and not faults
    with pytest.raises(InputError, match="io"):
        split_tag("B-PER", "io")


def test_prefixes_alone_are_of_one_type():
    assert to_bio(["B", "I", "O", "B"], "bio") == (["B-ENTITY", "I-ENTITY", "O", "B-ENTITY"], [])
    assert to_bio(["B", "L", "U"], "bilou")[0] == ["B-ENTITY", "I-ENTITY", "B-ENTITY"]
    with pytest.raises(InputError, match="'PER' is not one of the scheme bio"):
        split_tag("PER", "bio")
