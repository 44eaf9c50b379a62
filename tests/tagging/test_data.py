"""What is labelled at the start and what makes the pool."""

import pytest

from mixtext.errors import InputError
from mixtext.tagging.data import TagDataSettings, discover, load_tag_data
from mixtext.tagging.recipe import TaggingRecipe


def block(words, tag="B-X"):
    return "".join(f"{word} {tag}\n" for word in words.split()) + "\n"


@pytest.fixture
def files(tmp_path):
    """A file of ten different sentences, of which one occurs twice and one is not labelled."""
    lines = [block(f"a{n} b{n}") for n in range(9)] + [block("a3 b3"), block("z", "?")]
    (tmp_path / "train.txt").write_text("".join(lines))
    (tmp_path / "test.txt").write_text(block("q") + block("a1 b1"))
    return tmp_path


def load(files, **settings):
    return load_tag_data(TagDataSettings(corpus=str(files / "train.txt"), **settings))


def test_seed_and_pool_are_apart_and_together_are_everything(files):
    data = load(files, labelled=4, test=str(files / "test.txt"))
    assert len(data.seed) == 4 and len(data.pool) == 6
    assert not {*data.seed.ids} & {*data.pool.ids}
    sentences = [tuple(words) for words in data.seed.sentences + data.pool.sentences]
    assert len({*sentences}) == 10 and ("z",) in sentences
    assert data.seed.labelled.all()
    assert data.parts["test"].tag_names == data.seed.tag_names
    assert any("1 training sentences occur again" in note for note in data.notes)


def test_the_draw_follows_its_seed_and_smaller_seeds_are_part_of_larger(files):
    ids = [load(files, labelled=4, split_seed=s).seed.ids for s in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]
    assert load(files, labelled=3).seed.ids == ids[0][:3]
    assert len(load(files, labelled=3, pool_size=2).pool) == 2


def test_all_labelled_sentences_by_default(files):
    data = load(files)
    assert (len(data.seed), data.pool.sentences) == (9, [["z"]])


def test_a_pool_file(files):
    pool = files / "pool.txt"
    pool.write_text("a0\nb0\n\nnew\n\nnew\n\nother\n")
    data = load(files, pool=str(pool))
    assert sorted(data.pool.sentences) == [["new"], ["other"]]  # a0 b0 is in the seed set
    assert not data.pool.labelled.any()
    assert data.pool.tag_names == data.seed.tag_names
    assert all(one.startswith("pool/") for one in data.pool.ids)


def test_repairs_are_told(files):
    (files / "train.txt").write_text("a I-X\n")
    assert load(files).notes == [
        f"1 tags of {files / 'train.txt'} were at odds with their scheme: repaired"
    ]
    with pytest.raises(InputError, match="line 1: I-X begins an entity"):
        load(files, on_fault="refuse")


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"labelled": 10}, "has 9 different labelled sentences"),
        ({"labelled": 4, "pool_size": 7}, "only 6 sentences are left"),
        ({"tag": "ner"}, "no column 'ner'"),
        ({"test": "empty.txt"}, "does not exist"),
    ],
)
def test_refusals(files, settings, part):
    with pytest.raises(InputError, match=part):
        load(files, **settings)


def test_no_entity_and_a_test_part_without_labels(files):
    (files / "plain.txt").write_text("a O\n")
    with pytest.raises(InputError, match="no entity at all"):
        load_tag_data(TagDataSettings(corpus=str(files / "plain.txt")))
    (files / "bare.txt").write_text("a ?\n")
    with pytest.raises(InputError, match="no labelled sentence to score on"):
        load(files, test=str(files / "bare.txt"))


@pytest.mark.parametrize("field", ["labelled", "pool_size", "split_seed"])
def test_settings_out_of_range(field):
    with pytest.raises(InputError, match=rf"data\.{field} is -1"):
        TagDataSettings(corpus="x", **{field: -1})
    with pytest.raises(InputError, match=r"data\.corpus is empty"):
        TaggingRecipe()


SCHEMES = {  # the same three entities, as mixtext/tagging/tags.py draws them
    "bio": "B-ORG I-ORG B-LOC B-LOC O",
    "iob1": "I-ORG I-ORG I-LOC B-LOC O",
    "bioes": "B-ORG E-ORG S-LOC S-LOC O",
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scheme_that_fits_best_is_found(scheme, tmp_path):
    words = ["Foreign", "Ministry", "Paris", "London", "agree"]
    good = "".join(f"{x} {y}\n" for x, y in zip(words, SCHEMES[scheme].split(), strict=True))
    path = tmp_path / "d.conll"
    path.write_text(good)
    settings, corpus, _ = discover(str(path))
    assert (settings.scheme, corpus.repaired) == (scheme, 0)
    assert corpus.named(0) == SCHEMES["bio"].split()
    # A fault among many sentences that fit changes nothing.
    fault = {"bio": "I-LOC", "iob1": "B-LOC", "bioes": "E-LOC"}[scheme]
    path.write_text((good + "\n") * 5 + f"Rome {fault}\n")
    settings, corpus, _ = discover(str(path))
    assert (settings.scheme, corpus.repaired) == (scheme, 1)


def test_what_fits_no_scheme_is_refused_by_line(tmp_path):
    path = tmp_path / "d.conll"
    path.write_text("a B-X\nb Q-X\n")
    with pytest.raises(InputError, match=r"d\.conll, line 2: the tag 'Q-X'"):
        discover(str(path))
    with pytest.raises(InputError, match="does not exist"):
        discover(str(tmp_path / "gone.conll"))


def test_replaced_characters_are_noted(files):
    (files / "train.txt").write_bytes("caf\u00e9 B-X\n".encode("latin-1"))
    data = load(files, encoding_errors="replace")
    assert any("1 characters of" in note for note in data.notes)


@pytest.mark.parametrize(
    ("text", "scheme", "note"),
    [
        ("Anna B\nMiller I\nsings O\n", "bio", "without a type"),
        ("Anna PER\nMiller PER\nsings O\n", "io", "types alone"),
    ],
)
def test_tags_without_prefix_or_type_are_discovered(text, scheme, note, tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(text)
    settings, train, _ = discover(str(path))
    assert settings.scheme == scheme
    assert [tag[0] for tag in train.named(0)] == ["B", "I", "O"]
    assert any(note in one for one in train.notes)


def test_parts_of_speech_are_no_entities(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Anna NN\nsings VB\n")
    with pytest.raises(InputError, match="the tag 'NN' is not one of"):
        discover(str(path))
