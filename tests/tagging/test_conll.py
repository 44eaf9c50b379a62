"""Tagged corpora and CoNLL files: what is read, what is refused and in which words."""

import gzip

import numpy as np
import pytest

from mixtext.errors import InputError
from mixtext.tagging.conll import conll_text, is_conll, read_conll
from mixtext.tagging.corpus import TaggedCorpus, align_tags, check_entities

FOUR = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

# VB X O
Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER


-DOCSTART- -X- -X- O

London NNP B-NP B-LOC
"""


@pytest.fixture
def put(tmp_path):
    def write(text, name="some.conll", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def refusal(*arguments, **options):
    with pytest.raises(InputError) as error:
        read_conll(*arguments, **options)
    return str(error.value)


def test_four_columns_as_in_conll_2003(put):
    corpus = read_conll(put(FOUR))
    assert corpus.sentences == [["EU", "rejects"], ["#", "Peter", "Blackburn"], ["London"]]
    assert corpus.tag_names == ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"]
    assert [corpus.named(row) for row in range(3)] == [
        ["B-ORG", "O"],
        ["O", "B-PER", "I-PER"],
        ["B-LOC"],
    ]
    assert (corpus.ids, corpus.skipped, corpus.repaired) == (["0", "1", "2"], 2, 0)
    assert corpus.labelled.tolist() == [True] * 3


def test_columns_by_number_and_by_name(put):
    path = put(FOUR)
    by_number = read_conll(path, tag=3, token=0)
    by_name = read_conll(path, "ner", "word", columns=("word", "pos", "chunk", "ner"))
    assert by_number.checksum() == by_name.checksum() == read_conll(path).checksum()
    assert read_conll(path, tag=None).labelled.tolist() == [False] * 3
    assert read_conll(put("B-NP x O\n"), tag=0, token=1).named(0) == ["B-NP"]


def test_tabs_keep_blanks_in_tokens_and_a_header_names_columns(put):
    text = "# global.columns = FORM TAG\n# sent_id = a7\n# text = x\nNew York\tB-LOC\n\nok\tO\n"
    corpus = read_conll(put(text), tag="TAG", token="FORM")
    assert corpus.sentences == [["New York"], ["ok"]]
    assert corpus.ids == ["a7", "1"]


def test_windows_line_ends_a_byte_order_mark_and_no_last_line_end(put):
    corpus = read_conll(put("\ufeffa O\r\nb B-X\r\n\r\nc O"))
    assert corpus.sentences == [["a", "b"], ["c"]]


def test_a_document_mark_ends_a_sentence_without_an_empty_line(put):
    corpus = read_conll(put("a B-X\n-DOCSTART- O\nb O\n"))
    assert (corpus.sentences, corpus.skipped) == ([["a"], ["b"]], 1)


@pytest.mark.parametrize("mark", ["-DOCSTART-", "-DOCSTART- -X- -X- O", "-DOCSTART-\tO\tO"])
def test_a_document_mark_has_columns_of_its_own(put, mark):
    path = put(f"{mark}\n\na B-X\n\n{mark}\n\nb O\n", "train.txt")
    corpus = read_conll(path)
    assert (corpus.sentences, corpus.skipped) == ([["a"], ["b"]], 2)
    assert is_conll(path)


def test_blanks_around_the_cells_of_a_tab_separated_file(put):
    corpus = read_conll(put("New York \tB-LOC \n the\tO\u00a0\nend\t O\n"))
    assert corpus.sentences == [["New York", "the", "end"]]
    assert corpus.tag_names == ["O", "B-LOC", "I-LOC"]


@pytest.mark.parametrize(
    ("scheme", "text"),
    [("iob1", "a I-X\nb I-X\nc B-X\n"), ("bioes", "a B-X\nb E-X\nc S-X\n")],
)
def test_other_schemes_become_bio(put, scheme, text):
    corpus = read_conll(put(text), scheme=scheme)
    assert corpus.named(0) == ["B-X", "I-X", "B-X"]
    assert corpus.repaired == 0


def test_an_entity_that_begins_with_i_is_repaired_and_counted_or_refused(put):
    path = put("a O\nb I-X\n\nc I-X\nd I-X\n")
    corpus = read_conll(path)
    assert corpus.repaired == 2
    assert [corpus.named(row) for row in range(2)] == [["O", "B-X"], ["B-X", "I-X"]]
    message = refusal(path, on_fault="refuse")
    assert message.startswith(f"{path}, line 2: I-X begins an entity")


def test_ragged_columns_name_file_and_line(put):
    path = put("a X O\nb X O\n\nc O\n")
    assert refusal(path).startswith(f"{path}, line 4 has 2 columns, but line 1 has 3")


def test_unknown_tags_name_file_and_line(put):
    path = put("a O\nb B-X\nc Q-X\n")
    assert refusal(path).startswith(f"{path}, line 3: the tag 'Q-X' is not one of the scheme bio")
    path = put("a O\nb B-Y\n")
    message = refusal(path, tag_names=["O", "B-X", "I-X"])
    assert message.startswith(f"{path}, line 2: the tag 'B-Y' is not among the known ones")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"tag": 5}, "has 2 columns, so there is no column 5 for the tag"),
        ({"tag": -3}, "no column -3"),
        ({"tag": "NER"}, "no column 'NER' for the tag"),
        ({"columns": ("a", "b", "c")}, "line 1 has 2 columns, but 3 are named"),
    ],
)
def test_columns_that_are_not_there(put, options, part):
    assert part in refusal(put("a O\n"), **options)


@pytest.mark.parametrize("text", ["", "\n\n", "-DOCSTART- O\n\n"])
def test_no_sentence_at_all(put, text):
    assert "holds no sentence" in refusal(put(text))


def test_an_empty_token(put):
    assert "line 2 has an empty token" in refusal(put("a\tO\n \tO\n"))


def test_broken_utf8(put, tmp_path):
    path = put("a O\ncaf\u00e9 O\n", encoding="latin-1")
    assert f"{path}, line 2: byte 4 is not valid UTF-8" in refusal(path)
    assert read_conll(path, encoding_errors="replace").sentences == [["a", "caf\ufffd"]]
    assert "does not exist" in refusal(tmp_path / "nothing.conll")


CONLL = "-DOCSTART- -X- O\n\nEU NNP B-ORG\nsaid VB O\n\nParis NNP I-LOC\n"


@pytest.mark.parametrize("name", ["a.conll", "a.CONLL", "a.bio", "a.iob", "a.iob2", "a.bioes"])
def test_a_suffix_tells_that_a_file_is_conll(put, name):
    assert is_conll(put("anything", name))
    assert is_conll(f"nowhere/{name}")  # whose reader then says that it is not there
    assert not is_conll(put(CONLL, name), "csv")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (CONLL, True),
        (CONLL.replace(" ", "\t"), True),
        ("# global.columns = A B\na O\n# text = a b c\nb O\n", True),
        ("a ?\nb O\n", True),  # to be filled in
        ("S-X a\nO b\n", True),  # the column may be any
        ("caf\u00e9 O\n", True),
        ("O\nB-X\n", False),  # tags of no tokens
        ("a b\nc d\n", False),
        ("a O\nb\n", False),  # another number of columns
        ("text,label\na,x\n", False),
        ("", False),
    ],
)
def test_where_the_suffix_says_nothing_the_first_lines_do(put, text, told):
    for name in ("train.txt", "train"):
        assert is_conll(put(text, name, "latin-1")) == told
    assert not is_conll(put(text, "train.csv", "latin-1"))
    assert is_conll(put(text, "train.csv", "latin-1"), "conll")


def test_a_table_with_tabs_is_conll_by_its_tags(put):
    assert is_conll(put("token\ttag\nAnna\tB-PER \nruns\tO\n", "a.tsv"))
    germeval = "#\thttp://example.org/0 [2009-10-17]\n1\tAnna\tB-PER\tO\n2\truns\tO\tO\n"
    assert is_conll(put(germeval, "b.tsv"))
    assert not is_conll(put("text\tlabel\nAnna runs\tB-PER\n", "c.tsv"))
    assert not is_conll(put("Anna runs\tO\nshe sings\tO\n", "d.tsv"))  # one class, called O
    assert not is_conll(put("Anna\tB-PER\n", "e.tsv"), "tsv")


def test_folders_and_missing_files_are_not_conll(tmp_path):
    assert not is_conll(tmp_path) and not is_conll(tmp_path / "gone.txt")


def test_from_lists():
    corpus = TaggedCorpus.from_lists([["a", "b"], ["c"]], [["I-X", "O"], None], ids=["i", "j"])
    assert corpus.tags[0].tolist() == [1, 0] and corpus.tags[0].dtype == np.int64
    assert corpus.tags[1].tolist() == [-1]
    assert (corpus.tag_names, corpus.repaired) == (["O", "B-X", "I-X"], 1)
    assert corpus.labelled.tolist() == [True, False]
    part = corpus.select([1])
    assert (part.sentences, part.ids, part.tag_names) == ([["c"]], ["j"], corpus.tag_names)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"sentences": []}, "has no sentences"),
        ({"sentences": [["a"], []]}, "sentence '1' of the corpus is empty"),
        ({"sentences": [["a", " "]]}, "empty token"),
        ({"sentences": [["a", "b"]], "tags": [["O"]]}, "has 2 tokens but 1 tags"),
        ({"sentences": [["a"]], "tags": []}, "1 sentences but 0 tag lists"),
        ({"sentences": [["a"]], "ids": ["x", "y"]}, "1 sentences but 2 ids"),
        ({"sentences": [["a"], ["b"]], "ids": ["x", "x"]}, "the id 'x'"),
        ({"sentences": [["a"]], "tags": [["Q"]]}, "token 1 ('a') of sentence '0'"),
        (
            {"sentences": [["a"]], "tags": [["I-X"]], "on_fault": "refuse"},
            "I-X begins an entity",
        ),
    ],
)
def test_from_lists_refuses(arguments, part):
    with pytest.raises(InputError) as error:
        TaggedCorpus.from_lists(**arguments)
    assert part in str(error.value)


def test_the_checksum_tells_tokens_tags_and_ids_apart():
    base = {"sentences": [["a", "b"], ["c"]], "tags": [["B-X", "O"], ["O"]]}
    others = [
        base | {"sentences": [["a"], ["b", "c"]], "tags": [["B-X"], ["O", "O"]]},
        base | {"tags": [["O", "B-X"], ["O"]]},
        base | {"ids": ["1", "0"]},
        base | {"tags": [["B-X", "O"], None]},
    ]
    sums = {TaggedCorpus.from_lists(**x).checksum() for x in [base, *others]}
    assert len(sums) == 5
    assert TaggedCorpus.from_lists(**base, name="z").checksum() in sums


def test_writing_and_reading_back(tmp_path):
    corpus = TaggedCorpus.from_lists(
        [["New York", "#"], ["x"]], [["B-LOC", "O"], None], ids=["7", "9"]
    )
    path = tmp_path / "out.conll"
    path.write_text(conll_text(corpus), encoding="utf-8")
    assert path.read_text(encoding="utf-8").splitlines()[2] == "New York\tB-LOC"
    back = read_conll(path, tag="TAG", token="FORM", tag_names=corpus.tag_names)
    assert back.checksum() == corpus.checksum()
    with pytest.raises(InputError, match="cannot hold"):
        conll_text(TaggedCorpus.from_lists([["a\tb"]]))


def test_a_sentence_that_is_tagged_in_part_is_refused(put):
    message = refusal(put("# global.columns = FORM TAG\na\tO\nb\t?\n"))
    assert "line 3: its tag is still '?'" in message


def test_tags_are_renumbered_by_train():
    train = TaggedCorpus.from_lists([["a", "b"]], [["B-A", "B-C"]])
    other = TaggedCorpus.from_lists([["a"], ["b"]], [["B-C"], None])
    aligned = align_tags(train, other)
    assert aligned.tag_names == train.tag_names
    assert [tags.tolist() for tags in aligned.tags] == [[3], [-1]]
    strange = TaggedCorpus.from_lists([["a"]], [["B-Z"]], name="strange")
    with pytest.raises(InputError, match="strange has the entity type 'Z'"):
        align_tags(train, strange)


def test_no_entity_at_all():
    check_entities(TaggedCorpus.from_lists([["a"], ["b"]], [None, ["B-X"]]))
    for tags in ([["O"]], [None]):
        with pytest.raises(InputError, match="no entity at all"):
            check_entities(TaggedCorpus.from_lists([["a"]], tags))


COMMENTED = """# sent_id = s0
# text = Anna lives in Rome
1\tAnna\t_\tB-PER
2\tlives\t_\tO
3\tin\t_\tO
4\tRome\t_\tB-LOC

# sent_id = s1
# text = So # what
1\tSo\t_\tO
2\t#\t_\tO
"""


def test_comments_of_another_width_or_with_a_key_are_no_tokens(put):
    corpus = read_conll(put(COMMENTED), token=1)
    assert corpus.sentences == [["Anna", "lives", "in", "Rome"], ["So", "#"]]
    assert corpus.ids == ["s0", "s1"] and "4 lines" in corpus.notes[0]
    blank = "# id 0-a\tdomain=en\nAnna _ _ B-PER\n\n# id 0-b\tdomain=en\nRome _ _ B-LOC\n# _ _ O\n"
    assert read_conll(put(blank)).sentences == [["Anna"], ["Rome", "#"]]
    link = "#\thttp://example.org [2009]\n1\tAnna\tB-PER\tO\n"
    assert read_conll(put(link), tag=2, token=1).named(0) == ["B-PER"]
    assert "name another token" in read_conll(put("1 A O\n2 B O\n")).notes[0]


def test_columns_may_be_named_behind_other_comments(put):
    text = "\n# newdoc\n# global.columns = ID FORM NER\n# sent_id = s0\n1\tAnna\tB-PER\n"
    corpus = read_conll(put(text), tag="NER", token="FORM")
    assert (corpus.sentences, corpus.ids) == ([["Anna"]], ["s0"])


def test_a_header_row_names_the_columns(put):
    path = put("Token\tTag\nAnna\tB-PER\nsings\tO\n")
    corpus = read_conll(path)
    assert corpus.sentences == [["Anna", "sings"]]
    assert "line 1 of" in corpus.notes[0] and "(Token, Tag) is read as a header" in corpus.notes[0]
    assert read_conll(path, tag="Tag", token="Token").named(0) == ["B-PER", "O"]
    assert read_conll(put("word O\nlabel O\n")).sentences == [["word", "label"]]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"tokens": ["Anna"], "ner_tags": ["B-PER"]}\n', "JSON"),
        ("Sentence #,Word,POS,Tag\nSentence: 1,Anna,NN,B-PER\n", "a CSV table"),
    ],
)
def test_other_files_of_tags_are_recognised(put, text, what):
    assert f"line 1 looks like {what}, but taggers learn from CoNLL" in refusal(put(text))


def test_bilou_and_a_zero_for_the_letter(put):
    corpus = read_conll(put("a B-X\nb L-X\nc U-Y\nd O\n"), scheme="bilou")
    assert (corpus.named(0), corpus.repaired) == (["B-X", "I-X", "B-Y", "O"], 0)
    assert read_conll(put("a B-X\nb O\n"), scheme="bilou").repaired == 1
    assert "line 2: the tag '0' is the digit zero" in refusal(put("a B-X\nb 0\n"))


@pytest.mark.parametrize(
    ("text", "fits"),
    [("a B-X\nb L-X\n", "bilou"), ("a B-X\nb E-X\n", "bioes"), ("a X\nb O\n", "io")],
)
def test_the_scheme_that_fits_is_named(put, text, fits):
    called = "data.{}".format
    with pytest.raises(InputError, match=rf"set data.scheme to '{fits}', or .* with data\.tag\."):
        read_conll(put(text), called=called)
    assert len(read_conll(put(text), scheme=fits)) == 1
    with pytest.raises(InputError, match=r"correct it, or name another column with data\.tag"):
        read_conll(put("a NN\nb VB\n"), called=called)


def test_empty_last_cells_and_no_break_spaces(put):
    assert read_conll(put("a\tB-X\t\nb\tO\t\n")).tag_names == ["O", "B-X", "I-X"]
    corpus = read_conll(put("10\u00a0000 B-X\nb O\u00a0\n"))
    assert corpus.sentences == [["10\u00a0000", "b"]] and corpus.tag_names[0] == "O"


def test_entity_types_that_look_alike_are_noted(put):
    (note,) = read_conll(put("a B-PER\nb B-Per\nc B-LOC\n")).notes
    assert note.startswith("the entity types 'PER', 'Per' of ") and "differ only in case" in note
    assert r"'PER\u200b'" in read_conll(put("a B-PER\nb B-PER\u200b\n")).notes[0]


@pytest.mark.parametrize("text", ["a b-PER\nb O\n", "a PER-B\nb O\n"])
def test_prefixes_in_another_way_are_no_types(put, text):
    for scheme in ("bio", "io"):
        assert "correct it" in refusal(put(text), scheme=scheme)


def test_sentences_without_empty_lines_between_are_noted(put):
    assert "holds one sentence of 120 tokens" in read_conll(put("a B-X\n" * 120)).notes[0]
    assert read_conll(put("a B-X\n" * 20)).notes == ()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_marks_old_line_ends_and_gzip(put, encoding):
    text = "Ärzte B-X\rb O\r\rc O\r"
    assert read_conll(put(text, encoding=encoding)).sentences == [["Ärzte", "b"], ["c"]]
    path = put(text, encoding="cp1252")
    assert "if it is cp1252" in refusal(path)
    assert read_conll(path, encoding="cp1252").sentences[0] == ["Ärzte", "b"]
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert read_conll(path, encoding="cp1252").sentences[0] == ["Ärzte", "b"]


def test_a_column_of_bare_prefixes_makes_a_conll_file(put):
    assert is_conll(put("Anna B\nsings O\n", "a.txt"))
    assert not is_conll(put("yes B\nno S\n", "b.txt"))  # labels, with no O among them
