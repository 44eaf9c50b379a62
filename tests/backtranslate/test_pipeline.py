"""The text pipeline: same count, same order, true statuses, whatever the texts and the backend."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtranslate.pieces import cut, normalise, sentences_of, split_sentences
from backtranslate.pipeline import STATUSES, pieces_of, round_trip, token_batches, translate_all
from backtranslate.translator import PRESETS, BacktranslateError

BEAM = PRESETS["beam"]


class Words:
    """Translates by word: a real translator, if a dull one. Sees to it that its contract is kept.

    Args:
        words: what becomes of a word; every other stays.
        refused: a text with this in it fails the whole batch.
    """

    description = "words 1"

    def __init__(self, words=None, limit=200, refused=None, change=None):
        self.words, self.limit, self.refused, self.change = words or {}, limit, refused, change
        self.batches = []

    def length(self, text):
        return len(text)

    def translate(self, pieces, decoding, seed):
        assert pieces
        for piece in pieces:
            assert piece and len(piece) <= self.limit, piece
            assert piece.isprintable() or not set(piece) & set("\0\n\r\x85\u2028\u2029\x1f\t")
            assert any(character.isalpha() for character in piece)
            piece.encode("utf-8")
            if self.refused and self.refused in piece:
                raise BacktranslateError(f"cannot translate {self.refused!r}.")
        self.batches.append((list(pieces), seed))
        if self.change:
            return self.change(pieces)
        return [" ".join(self.words.get(word, word) for word in p.split(" ")) for p in pieces]


def there_and_back(texts, forward=None, backward=None, **options):
    forward, backward = forward or Words(), backward or Words()
    return round_trip(texts, forward, backward, BEAM, seed=0, **options)


# --- sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["One is here.", "Two is there!", "Three?", "Four… and more.", "Five"],
        ["Dr. Smith met Mr. J. R. Jones of the U.S. Army on Jan. 5.", "They spoke."],
        ["It cost 3.50 dollars, i.e. 2.9 euros.", "Version 2.0.1 is out."],
        ['He said "Go."', "Then he left.", '"Stop!" she cried.', "(It was late.)", "“Yes.”"],
        ["He said no.", "No. 5 it was.", "Yahoo! is one.", "So is e.g. Apple Inc. and others etc."],
        ["It was 5 p.m.", "The shop closed at 6 a.m.", "So what?!", "Nothing..."],
        ["1. First point.", "He was 12.", "She was 10 in 1999.", "IV. Fourth."],
        ["Am I?", "Yes, it was I.", "Er kam z.B. gestern.", "¿Quién es?", "¡Nadie!"],
        ["Это г. Москва.", "Он приехал.", "А т.е. нет?"],
        ["मैं घर गया।", "वह नहीं आया।", "آپ کیسے ہیں؟", "میں ٹھیک ہوں۔"],
        ["example.com is a site.", "So is a.b.c today."],
    ],
)
def test_sentences_are_split(sentences):
    assert [piece.text for piece in split_sentences(" ".join(sentences))] == sentences


def test_scripts_without_spaces_are_split_and_joined_without_spaces():
    pieces = split_sentences("你好。世界！「走吧。」他说。 再见")
    assert [p.text for p in pieces] == ["你好。", "世界！", "「走吧。」", "他说。", "再见"]
    assert [p.glue for p in pieces] == ["", "", "", " ", ""]


def test_a_blank_line_ends_a_sentence_and_a_line_break_does_not():
    text = "A headline\r\n \r\n\n\nThe first\nsentence. Second\u2029Third\n\n"
    assert [p.text for p in sentences_of(text)] == [
        "A headline",
        "The first sentence.",
        "Second",
        "Third",
    ]
    assert [p.glue for p in sentences_of(text)] == [" ", " ", " ", ""]


@given(st.text(alphabet=st.sampled_from("aB1.!?。 \"')(é你;,\n")) | st.text())
def test_pieces_join_to_the_normalised_text(text):
    line = normalise(text)
    assert "".join(p.text + p.glue for p in split_sentences(line)) == line
    pieces = pieces_of(text, Words(limit=7))
    assert "".join(p.text + p.glue for p in pieces) == line
    assert all(0 < len(p.text) <= 7 for p in pieces)


def test_normalise_leaves_one_clean_line():
    assert (
        normalise("\ufeffa\0b\r\n\tc\x85d\u2028e\x1b[0m \ud800 e\u0301 ")
        == "a b c d e [0m \ufffd é"
    )
    assert normalise(normalise("\0 \n")) == ""


# --- cuts


def test_cuts_prefer_stops_then_commas_then_spaces():
    assert [p.text for p in cut("one two; three four, five", len, 16)] == [
        "one two;",
        "three four, five",
    ]
    assert [p.text for p in cut("one two, three four five six", len, 12)] == [
        "one two,",
        "three four",
        "five six",
    ]
    pieces = cut("abcdefghij klm", len, 4)
    assert [(p.text, p.glue) for p in pieces] == [
        ("abcd", ""),
        ("efgh", ""),
        ("ij", " "),
        ("klm", ""),
    ]


def test_cuts_hold_when_sizes_are_not_characters():
    def size(text):  # more tokens than characters, and more for a cut word
        return sum(2 + len(word) // 3 for word in text.split()) + 5 * (not text.endswith("."))

    text = normalise("some words, and more of them; to cut. " * 30)
    pieces = cut(text, size, 20)
    assert "".join(p.text + p.glue for p in pieces) == text
    assert all(size(p.text) <= 20 for p in pieces)


@pytest.mark.parametrize("text", ["x" * 100_000, "ab. " * 25_000, "." * 100_000, "a, " * 33_333])
def test_a_hundred_thousand_characters_take_seconds_at_most(text):
    start = time.process_time()
    (view,) = there_and_back([text])
    assert time.process_time() - start < 20
    assert view.text == text
    assert view.status in ("unchanged", "bypassed")


# --- batches


@given(st.lists(st.integers(1, 50)), st.integers(1, 200))
def test_batches_keep_to_the_budget_and_lose_nothing(lengths, budget):
    batches = token_batches(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget


def test_pieces_are_sent_once_sorted_with_a_seed_of_their_own():
    forward = Words()
    texts = ["Same. Longer sentence.", "Same.", "Middle one."] * 3
    there_and_back(texts, forward, token_budget=25)
    sent = [piece for batch, _ in forward.batches for piece in batch]
    assert sent == ["Longer sentence.", "Middle one.", "Same."]
    assert len({seed for _, seed in forward.batches}) == len(forward.batches) == 2


# --- round trips


def test_order_and_spacing_come_back():
    forward = Words({"cat": "gato", "cats.": "gatos."})
    backward = Words({"gato": "tomcat"})
    views = there_and_back(["A cat  sat.\n\nNo cats.", "Nothing."], forward, backward)
    assert [view.text for view in views] == ["A tomcat sat. No gatos.", "Nothing."]
    assert views[0].pivot_text == "A gato sat. No gatos."
    assert [view.status for view in views] == ["ok", "unchanged"]


HARD = [
    "",
    " \n\t",
    "😀😀 👍🏽",
    "\0",
    "\x01\x02\x1b",
    "12.5 %",
    "?!",
    "\ud800",
    "\u200d",
    "\u2028",
]


def test_what_has_no_letters_never_reaches_the_backend():
    forward = Words()
    views = there_and_back(HARD, forward)
    assert [view.text for view in views] == HARD
    assert {view.status for view in views} == {"bypassed"}
    assert not forward.batches


def test_mixed_scripts_and_control_characters_are_translated():
    texts = ["a\0cat", "кот и cat", "猫。cat 😀 قطة؟ cat", "cat\r\ncat\u2028cat"]
    views = there_and_back(texts, Words({"cat": "dog"}))
    assert [view.text for view in views] == [
        "a dog",
        "кот и dog",
        "猫。dog 😀 قطة؟ dog",
        "dog dog dog",
    ]
    assert {view.status for view in views} == {"ok"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda pieces: ["" for _ in pieces], "empty"),
        (lambda pieces: [" \n" for _ in pieces], "empty"),
        (lambda pieces: [piece * 20 for piece in pieces], "ratio"),
        (lambda pieces: [piece[:1] for piece in pieces], "ratio"),
    ],
)
def test_bad_translations_fall_back_to_the_source(change, status):
    text = "A sentence  that is long enough to be judged by its length."
    for forward, backward in [(None, Words(change=change)), (Words(change=change), None)]:
        (view,) = there_and_back([text], forward, backward)
        assert (view.text, view.status) == (text, status)


def test_one_bad_sentence_does_not_cost_the_others():
    backward = Words({"cat.": "dog."}, change=None, refused="poison")
    views = there_and_back(["A cat. Some poison here.", "Pure poison", "A cat."], None, backward)
    assert [view.text for view in views] == ["A dog. Some poison here.", "Pure poison", "A dog."]
    assert [view.status for view in views] == ["partial", "failed", "ok"]


def test_only_poison_is_a_failure_of_the_texts_and_not_of_the_backend():
    (view,) = there_and_back(["poison"], Words(refused="poison"))
    assert (view.text, view.status) == ("poison", "failed")


def test_a_broken_backend_is_an_error():
    with pytest.raises(BacktranslateError, match="cannot translate 'e'"):
        there_and_back(["one", "three"], Words(refused="e"))


def test_a_backend_that_loses_pieces_is_found_out():
    with pytest.raises(BacktranslateError, match="gave 1 translations of 2"):
        translate_all(["one", "two"], Words(change=lambda pieces: pieces[1:]), BEAM, 0, 0)
    lost = Words({"one": "eins"}, change=lambda pieces: (pieces * 2)[: 1 + (len(pieces) > 2)])
    assert translate_all(["one", "two", "three"], lost, BEAM, 0, 0) == {
        "one": "one",
        "two": "two",
        "three": "three",
    }


def test_a_character_over_the_limit_fails_alone():
    class Bytes(Words):
        def length(self, text):
            return len(text.encode())

    assert translate_all(["你", "ab"], Bytes(limit=2), BEAM, 0, 0) == {"你": None, "ab": "ab"}


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.text(alphabet=st.characters())
        | st.text(alphabet=st.sampled_from("ab.!? \n\0é你。😀\ud800,;")),
        max_size=8,
    ),
    st.integers(1, 12),
    st.sampled_from(["same", "upper", "empty", "long", "lines"]),
)
def test_same_count_and_order_for_anything(texts, limit, kind):
    change = {
        "same": None,
        "upper": lambda pieces: [piece.upper() for piece in pieces],
        "empty": lambda pieces: ["" for _ in pieces],
        "long": lambda pieces: [piece * 30 for piece in pieces],
        "lines": lambda pieces: [f"\0{piece}\n" for piece in pieces],
    }[kind]
    views = there_and_back(texts, Words(limit=limit, change=change), Words(limit=limit + 1))
    assert len(views) == len(texts)
    for text, view in zip(texts, views, strict=True):
        assert view.status in STATUSES
        alone = there_and_back([text], Words(limit=limit, change=change), Words(limit=limit + 1))
        assert [view] == alone  # and so in the right place
        if view.status not in ("ok", "partial"):
            assert view.text == text
        else:
            assert normalise(view.text) == view.text != ""
        if not any(character.isalpha() for character in text):
            assert view.status == "bypassed"
