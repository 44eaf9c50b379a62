"""Entities in texts: words, offsets, long texts; taggers in their folders."""

import json

import numpy as np
import pytest

from mixtext.errors import InputError
from mixtext.inference import load
from mixtext.tagging.entities import (
    WORD,
    Entities,
    Entity,
    TagPredictor,
    is_tagger,
    load_tagger,
)
from mixtext.tagging.settings import TaggerSettings
from mixtext.tagging.tagger import build_tagger
from mixtext.tagging.training import save_tagger

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TAG_OF = {"cat": 1, "dog": 2, "soup": 3, "rice": 4}


class ByWord(TagPredictor):
    """A predictor that knows the tag of each word: what is tested is what is made of the tags."""

    def probabilities(self, sentences):
        eye = np.eye(5, dtype=np.float32) * 0.5 + 0.1
        return [eye[[TAG_OF.get(word.lower(), 0) for word in words]] for words in sentences]


@pytest.fixture(scope="module")
def predictor(encoder):
    settings = TaggerSettings(encoder=encoder, max_length=16, overlap=4)
    model, tokenizer = build_tagger(settings, 5, 0)
    return TagPredictor(model, tokenizer, settings, NAMES, "float32")


def test_offsets_give_the_entities_characters():
    by_word = ByWord(None, None, None, NAMES)
    text = "The Cat  dog,\n(soup rice)."
    (answer,) = by_word.predict([text])
    assert answer == Entities(
        [Entity("Cat  dog", "PER", 4, 12, 0.6), Entity("soup rice", "LOC", 15, 24, 0.6)]
    )
    assert all(text[e.start : e.stop] == e.text for e in answer.entities)


def test_texts_without_entities_or_words():
    by_word = ByWord(None, None, None, NAMES)
    answers = by_word.predict(["", "   ", "the", "cat"])
    assert [len(answer.entities) for answer in answers] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("U.S. shares fell 1,000.5 points.", ["U.S.", "shares", "fell", "1,000.5", "points", "."]),
        ("Jean-Luc's wife", ["Jean-Luc's", "wife"]),
        ("a_b (1996-08-22)!", ["a_b", "(", "1996-08-22", ")", "!"]),
        ("東京 São", ["東京", "São"]),
    ],
)
def test_words_of_a_text(text, words):
    assert [match.group() for match in WORD.finditer(text)] == words


def test_a_long_text_is_tagged_to_its_end(predictor):
    text = " ".join(["cat of dog"] * 60)
    sentence = text.split()
    (tags,) = predictor.tags([sentence])
    assert len(tags) == 180
    (p,) = predictor.probabilities([sentence])
    (answer,) = predictor.predict([text])
    inside = {place for e in answer.entities for place in range(e.start, e.stop)}
    starts = [match.start() for match in WORD.finditer(text)]
    tagged = {start for start, tag in zip(starts, p.argmax(1), strict=True) if tag}
    assert tagged == {start for start in starts if start in inside}
    assert predictor.probabilities([]) == []


@pytest.mark.parametrize("old", [False, True])
def test_a_saved_tagger_gives_the_same(predictor, tmp_path, old):
    model, tokenizer, settings = predictor.model, predictor.tokenizer, predictor.settings
    save_tagger(tmp_path / "model", model, tokenizer, settings, NAMES, "float32")
    about = tmp_path / "model" / "mixtext.json"
    saved = json.loads(about.read_text())
    assert (saved["rows"], saved["target"]) == ("sentences", "tags")
    if old:  # of before there were rows, targets and checksums
        later = ("rows", "target", "sha256")
        about.write_text(json.dumps({k: v for k, v in saved.items() if k not in later}))
    assert is_tagger(tmp_path) and is_tagger(tmp_path / "model")
    again = load_tagger(tmp_path)
    assert (again.settings, again.tag_names, again.precision) == (settings, NAMES, "float32")
    predictor.model.eval()
    one, other = (x.probabilities([["cat", "of", "dog"]]) for x in (predictor, again))
    assert np.array_equal(one, other)
    with pytest.raises(InputError, match="holds a tagger"):
        load(tmp_path)
