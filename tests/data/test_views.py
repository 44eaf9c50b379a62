"""Views: joined from a file, a sentence for all that may be wrong in it, and word dropout."""

import json
import math

import numpy as np
import pytest

from mixtext.data.corpus import Corpus
from mixtext.data.views import Row, WordDropout, read_views, sha1
from mixtext.errors import InputError

CORPUS = Corpus.from_lists(
    ["first text", "second text", "third text", "fourth text"], ids=["a", "b", "c", "7"]
)
ROWS = np.array([2, 0])


def write(folder, *entries):
    path = folder / "views.jsonl"
    lines = [e if isinstance(e, str) else json.dumps(e, ensure_ascii=False) for e in entries]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def view(name, text="ein Blick", **more):
    return {"id": name, "text": text, **more}


# ---- reading


def test_views_join_in_the_order_of_the_rows(tmp_path):
    path = write(
        tmp_path,
        view("a", "de of a", pivot="de", copy=0, sha1=sha1("first text"), status="done"),
        view("c", "ru of c", pivot="ru", copy=0),
        view("b", "de of b", pivot="de", copy=0),  # a row that nobody asks for
        "",
        view("c", "de of c", pivot="de", copy=0, sha1=sha1("third text")),
        view("a", "ru of a", pivot="ru", copy=0),
    )
    found = read_views(path, CORPUS, ROWS)
    assert found == {"de/0": ["de of c", "de of a"], "ru/0": ["ru of c", "ru of a"]}
    assert read_views(str(path), CORPUS, ROWS[::-1])["de/0"] == ["de of a", "de of c"]


def test_copies_of_one_pivot_are_views_of_their_own(tmp_path):
    path = write(
        tmp_path,
        *[view(n, f"{n}{k}", pivot="de", copy=k) for n in ("a", "c") for k in (0, 1)],
    )
    assert read_views(path, CORPUS, ROWS) == {"de/0": ["c0", "a0"], "de/1": ["c1", "a1"]}


def test_bare_lines_and_view_lists(tmp_path):
    assert read_views(write(tmp_path, view("a", "x"), view("c", "y")), CORPUS, ROWS) == {
        "view/0": ["y", "x"]
    }
    lists = write(tmp_path, {"id": "c", "views": ["c1", "c2"]}, {"id": "a", "views": ["a1", "a2"]})
    assert read_views(lists, CORPUS, ROWS) == {"view/0": ["c1", "a1"], "view/1": ["c2", "a2"]}


def test_ids_written_as_numbers(tmp_path):
    path = write(tmp_path, view(7, "seven"))
    assert read_views(path, CORPUS, np.array([3])) == {"view/0": ["seven"]}


def test_a_blank_view_falls_back_to_the_text_itself(tmp_path):
    path = write(tmp_path, view("a", "  "), view("c", "y"))
    assert read_views(path, CORPUS, ROWS) == {"view/0": ["y", "first text"]}


def test_views_in_other_scripts(tmp_path):
    path = write(tmp_path, view("a", "Привет, мир"), view("c", "こんにちは"))
    assert read_views(path, CORPUS, ROWS)["view/0"] == ["こんにちは", "Привет, мир"]


# ---- refusals: each is one sentence that says what, where and the way out


def refusal(path, rows=ROWS):
    with pytest.raises(InputError) as error:
        read_views(path, CORPUS, rows)
    sentence = str(error.value)
    assert sentence.endswith(".") and "\n" not in sentence
    assert path.name in sentence
    return sentence


def test_missing_file(tmp_path):
    assert "does not exist: check `views.file`" in refusal(tmp_path / "none.jsonl")
    folder = tmp_path / "folder.jsonl"
    folder.mkdir()
    assert "does not exist" in refusal(folder)


@pytest.mark.parametrize(
    "line",
    [
        "not JSON",
        '{"id": "c", "text": "cut o',
        '{"text": "no id"}',
        '{"id": "c"}',
        '["c", "a list"]',
        '"c"',
        "3",
        "null",
        '{"id": "c", "text": null}',
        '{"id": "c", "text": 5}',
        '{"id": "c", "views": "a string, not a list"}',
        '{"id": "c", "views": ["one", null]}',
        '{"id": "c", "views": null}',
    ],
)
def test_malformed_line(tmp_path, line):
    sentence = refusal(write(tmp_path, view("a"), "", line))
    assert "line 3" in sentence and '"id" and "text"' in sentence


def test_bytes_that_are_no_utf8(tmp_path):
    path = tmp_path / "views.jsonl"
    path.write_bytes(json.dumps(view("a")).encode() + b'\n{"id": "c", "text": "caf\xe9"}\n')
    sentence = refusal(path)
    assert "line 2" in sentence and "UTF-8" in sentence


def test_views_of_another_corpus(tmp_path):
    sentence = refusal(write(tmp_path, view("zebra"), view("gnu")))
    assert "'zebra'" in sentence and "another corpus" in sentence


def test_views_of_rows_set_aside_are_passed_over(tmp_path):
    lines = [view(id_) for id_ in ("zebra", *(CORPUS.ids[i] for i in ROWS))]
    assert list(read_views(write(tmp_path, *lines), CORPUS, ROWS)) == list(
        read_views(write(tmp_path, *lines[1:]), CORPUS, ROWS)
    )


def test_text_that_has_changed(tmp_path):
    sentence = refusal(write(tmp_path, view("a", sha1=sha1("first text, edited")), view("c")))
    assert "line 1" in sentence and "'a' has changed since its views were made" in sentence


def test_rows_without_a_view(tmp_path):
    de = [view(name, pivot="de") for name in ("a", "c")]
    sentence = refusal(write(tmp_path, *de, view("c", pivot="ru")))
    assert "lacks view ru/0 for 1 of 2 unlabelled rows (first: id 'a')" in sentence
    assert "for 2 of 4" in refusal(write(tmp_path, *de), np.arange(4))


def test_the_same_view_twice(tmp_path):
    sentence = refusal(write(tmp_path, view("a", pivot="de"), view("c"), view("a", pivot="de")))
    assert "line 3" in sentence and "'a' has view de/0 twice" in sentence


def test_empty_file(tmp_path):
    assert "is empty: make views first" in refusal(write(tmp_path))
    assert "is empty" in refusal(write(tmp_path, "", "   "))


# ---- word dropout


def row(*words, types=True):
    words = np.array(words)
    return Row(
        np.arange(100, 100 + len(words)),
        words,
        (words % 2).astype(np.int8) if types else None,
        np.minimum(words, 0).astype(np.int8),
    )


def test_whole_words_go_and_specials_stay():
    original = row(-1, 0, 0, 0, 1, 2, 2, -1, 3, 3, -1)
    generator, source = np.random.default_rng(0), WordDropout(0.5)
    outcomes = set()
    for _ in range(300):
        found = source.view(0, original, 0, generator)
        kept = np.isin(original.ids, found.ids)
        np.testing.assert_array_equal(found.ids, original.ids[kept])  # in the old order
        np.testing.assert_array_equal(found.words, original.words[kept])
        np.testing.assert_array_equal(found.types, original.types[kept])
        assert kept[original.words < 0].all()
        for word in range(4):
            assert len(set(kept[original.words == word])) == 1
        words = frozenset(found.words[found.words >= 0].tolist())
        assert words
        outcomes.add(words)
    assert len(outcomes) == 15  # every choice of words but the empty one


@pytest.mark.parametrize("rate", [0.1, 0.35, 0.8])
def test_words_go_at_the_rate(rate):
    original, n, words = row(-1, *range(200), -1), 100, 200
    generator = np.random.default_rng(1)
    views = [WordDropout(rate).view(0, original, 0, generator) for _ in range(n)]
    gone = np.mean([1 - (len(view.ids) - 2) / words for view in views])
    assert abs(gone - rate) < 5 * math.sqrt(rate * (1 - rate) / (n * words))


def test_at_least_one_word_stays():
    original, generator = row(-1, 0, 0, 1, 2, -1, types=False), np.random.default_rng(0)
    survivors = set()
    for _ in range(100):
        found = WordDropout(1.0).view(0, original, 0, generator)
        assert found.types is None
        (word,) = set(found.words[found.words >= 0].tolist())
        survivors.add(word)
    assert survivors == {0, 1, 2}
    only = row(-1, 5, 5, -1)
    np.testing.assert_array_equal(WordDropout(0.99).view(0, only, 0, generator).ids, only.ids)


def test_rate_zero_and_rows_without_words_stay_as_they_are():
    generator = np.random.default_rng(0)
    original = row(-1, 0, 1, 2, -1)
    np.testing.assert_array_equal(
        WordDropout(0.0).view(0, original, 0, generator).ids, original.ids
    )
    specials = row(-1, -1)
    np.testing.assert_array_equal(
        WordDropout(0.9).view(0, specials, 0, generator).ids, specials.ids
    )


def test_the_generator_alone_decides():
    original = row(*range(40))

    def draw(seed):
        generator = np.random.default_rng(seed)
        return [WordDropout(0.5).view(0, original, 0, generator).ids.tolist() for _ in range(3)]

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)
    assert len({tuple(ids) for ids in draw(3)}) == 3  # a new draw each time a row is met
