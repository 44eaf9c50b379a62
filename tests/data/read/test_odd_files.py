"""Files as people have them: other separators, encodings, formats, labels; read, or said."""

import codecs
import gzip
import json

import pytest

from mixtext.data.labels import alike, shown
from mixtext.data.prepare import load_corpora
from mixtext.data.read.catalogue import load_any
from mixtext.data.read.options import MISSING_LABELS, ReadOptions
from mixtext.data.read.readers import read_corpus
from mixtext.data.settings import DataSettings
from mixtext.errors import InputError

TABLE = "text,label\na quiet café,good\n“loud”,bad\na slow day,good\n"


@pytest.fixture
def put(tmp_path):
    """Name and content → the path of a file."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return write


def read(path, **options):
    return read_corpus(path, ReadOptions(**options))


def refusal(path, **options):
    with pytest.raises(InputError) as error:
        read(path, **options)
    return str(error.value)


def rows(corpus):
    return [
        (text, None if label < 0 else corpus.label_names[label])
        for text, label in zip(corpus.texts, corpus.labels, strict=True)
    ]


ROWS = [("a quiet café", "good"), ("“loud”", "bad"), ("a slow day", "good")]


# ---- separators


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt", ""])
def test_separators_are_told_by_the_header(separator, suffix, put):
    path = put(f"d.{suffix}".rstrip("."), TABLE.replace(",", separator))
    assert rows(read(path)) == ROWS


def test_a_line_that_names_the_separator(put):
    for separator in ",;|":
        path = put("d.csv", f"sep={separator}\r\n" + TABLE.replace(",", separator))
        assert rows(read(path)) == ROWS
    path = put("d.csv", "sep=,\ntext,label\na,b,c\n")
    assert "line 3" in refusal(path) and "separator" in refusal(path)


def test_a_separator_can_be_said(put):
    path = put("d.csv", TABLE.replace(",", "~"))
    assert "no column 'text' but 'text~label'" in refusal(path)
    assert "or what separates the cells with separator" in refusal(path)
    assert rows(read(path, separator="~")) == ROWS
    path = put("e.csv", TABLE.replace(",", "\t"))
    for said in ("tab", "\\t", "\t"):
        assert rows(read(path, separator=said)) == ROWS


def test_without_a_header_equally_many_cells_tell(put):
    path = put("d.csv", "1;a fine, long day\n2;a dull day\n1;no, not at all, no\n")
    corpus = read(path, header=False, text="1", label="0")
    assert corpus.texts == ["a fine, long day", "a dull day", "no, not at all, no"]
    path = put("e.csv", "a; b,1\nc,2\n")  # the usual separator goes before
    assert read(path, header=False, text="0", label="1").texts == ["a; b", "c"]


def test_commas_in_a_single_column_do_not_separate(put):
    path = put("d.csv", 'text\n"one, two"\nthree; four; five\n')
    assert read(path, labels=False).texts == ["one, two", "three; four; five"]


# ---- encodings


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json", "txt"])
def test_a_mark_tells_the_encoding(encoding, suffix, put):
    lines = [json.dumps({"text": x, "label": y}, ensure_ascii=False) for x, y in ROWS]
    content = {"jsonl": "\n".join(lines), "json": f"[{','.join(lines)}]"}.get(suffix, TABLE)
    path = put(f"d.{suffix}", content.encode(encoding))
    assert rows(read(path)) == ROWS


def test_marks_of_the_other_byte_order(put):
    path = put("d.csv", codecs.BOM_UTF16_BE + TABLE.encode("utf-16-be"))
    assert rows(read(path)) == ROWS
    path = put("e.csv", TABLE.encode("utf-16-le"))
    assert "UTF-16 without its mark: set encoding to 'utf-16-le'" in refusal(path)
    assert rows(read(path, encoding="utf-16-le")) == ROWS
    assert "not valid utf-16" in refusal(put("f.csv", TABLE.encode("utf-16")[:-1]))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ["a quiet café", "这部电影很好看，非常喜欢", "привет мир"])
def test_wide_characters_without_a_mark_are_told_by_their_zeros(encoding, text, put):
    table = "text,label\n" + "".join(f"{text},{'ab'[i % 2]}\n" for i in range(9))
    path = put("d.csv", table.encode(encoding))
    assert f"set encoding to '{encoding}'" in refusal(path)
    assert read(path, encoding=encoding).texts == [text] * 9
    assert read(put("e.csv", table.replace(text, f"{text}\0", 1).encode())).texts[0] == f"{text}\0"


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_goes_before_an_encoding_that_is_said_for_files_without(mark, put):
    assert rows(read(put("d.csv", TABLE.encode(mark)), encoding="cp1252")) == ROWS
    twice = "\ufeff" + TABLE  # as editors leave it that know no mark
    assert rows(read(put("d.csv", twice.encode(mark)))) == ROWS


@pytest.mark.parametrize("name", ["d.csv", "d.xlsx", "d", "d.jsonl", "d.txt", "d.json"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04\x14\0\0\0\x08\0", "a zip archive or a spreadsheet"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"\xd0\xcf\x11\xe0\xa1", "an office program"),
        (b"BZh91AY", "a bzip2 archive"),
        (bytes(50), "mostly zero bytes"),
    ],
)
def test_what_is_no_text_is_named_whatever_its_suffix(name, content, what, put):
    assert what in refusal(put(name, content + bytes(50)))


def test_bytes_that_are_no_utf8_are_offered_as_cp1252(put):
    path = put("d.csv", TABLE.encode("cp1252"))
    message = refusal(path)
    assert f"{path}, line 2: byte 12 is not valid UTF-8 (0xe9)" in message
    assert "if it is cp1252, and this is 'a quiet café,good', set encoding to 'cp1252'" in message
    corpus = read(path, encoding="cp1252")
    assert (rows(corpus), corpus.replacements) == (ROWS, 0)
    assert "is UTF-8, as it seems, and not cp1252" in refusal(
        put("e.csv", TABLE), encoding="cp1252"
    )
    # 0x81 is no character of cp1252 either.
    assert "cp1252, and" not in refusal(put("e.csv", b"text,label\n\x81,a\n"))
    assert "is not valid cp1252" in refusal(path.with_name("e.csv"), encoding="cp1252")


@pytest.mark.parametrize("encoding", ["shift_jis", "gb18030", "latin-1", "koi8_r"])
def test_other_encodings(encoding, put):
    text = {"latin-1": "naïve", "koi8_r": "привет"}.get(encoding, "日本")
    path = put("d.csv", f"text,label\n{text},a\n".encode(encoding))
    assert read(path, encoding=encoding).texts == [text]


def test_old_line_ends(put):
    assert rows(read(put("d.csv", TABLE.replace("\n", "\r")))) == ROWS
    assert read(put("e.csv", 'text,label\r"one\rtwo",a\r')).texts == ["one\rtwo"]
    assert "line 3" in refusal(put("f.csv", "text,label\ra,b\rc\r"))
    assert len(read(put("d.jsonl", '{"text": "a"}\r{"text": "b"}\r'), labels=False)) == 2


# ---- formats


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "txt"])
def test_gzip(suffix, put):
    lines = [json.dumps({"text": x, "label": y}) for x, y in ROWS]
    content = TABLE.replace(",", "\t") if suffix == "tsv" else TABLE
    content = {"jsonl": "\n".join(lines), "json": f"[{','.join(lines)}]"}.get(suffix, content)
    path = put(f"d.{suffix}.gz", gzip.compress(content.encode()))
    corpus = read(path)
    assert (rows(corpus), corpus.name) == (ROWS, "d")
    path = put(f"e.{suffix}.gz", gzip.compress(content.encode() * 50)[:60])
    assert "damaged gzip file" in refusal(path)


def test_parts_of_a_folder_may_be_gzipped(put, tmp_path):
    put("train.csv.gz", gzip.compress(TABLE.encode()))
    put("test.csv.gz", gzip.compress(TABLE.encode()))
    train, test = load_any(tmp_path)
    assert rows(train) == rows(test) == ROWS


def test_json_arrays(put):
    table = [{"text": x, "label": y} for x, y in ROWS]
    for name in ("d.json", "d"):
        for content in (table, {"version": 1, "data": table}):
            assert rows(read(put(name, json.dumps(content, indent=1)))) == ROWS
    assert "row 1 is not a JSON object" in refusal(
        put("e.json", '[{"text": "a"}, 3]'), labels=False
    )
    assert "row 1 has no column 'text'" in refusal(
        put("e.json", '[{"text": "a"}, {}]'), labels=False
    )
    assert "holds the arrays 'a', 'b'" in refusal(put("e.json", '{"a": [1], "b": [2]}'))
    assert "not valid JSON" in refusal(put("e.json", '[{"text": '))
    twice = {"train": table, "test": table}
    assert "holds the arrays 'train', 'test'" in refusal(put("e.json", json.dumps(twice)))
    assert rows(read(put("e.json", json.dumps({"rows": table, "labels": ["x", "y"]})))) == ROWS
    by_column = {"text": {"0": "a", "1": "b"}, "label": {"0": "x", "1": "y"}}  # pandas' default
    assert 'orient="records"' in refusal(put("e.json", json.dumps(by_column)))
    # Each under the other's suffix
    assert rows(read(put("f.jsonl", json.dumps(table)))) == ROWS
    assert rows(read(put("f.json", "\n".join(map(json.dumps, table))))) == ROWS


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_objects_in_a_row_give_columns(suffix, put):
    table = [{"data": {"en": {"text": x}}, "label": {"name": y}} for x, y in ROWS]
    lines = "\n".join(map(json.dumps, table))
    path = put(f"d.{suffix}", lines if suffix == "jsonl" else json.dumps(table))
    assert rows(read(path, text="data.en.text", label="label.name")) == ROWS
    assert "did you mean 'data.en.text'" in refusal(path, label="label.name", text="en.text")


def test_a_file_of_texts_alone(put):
    path = put("d.txt", "\ufeffone text\n\na second, longer text\r\n")
    texts = ["one text", "a second, longer text"]
    assert read(path, labels=False).texts == read(path, format="texts").texts == texts
    assert not read(path, format="texts").labelled.any()
    assert "lines, texts or conll" in refusal(path)
    settings = DataSettings(str(put("e.csv", TABLE)), unlabelled=str(path), pool="natural")
    assert load_corpora(settings)[0].texts == [x for x, _ in ROWS] + texts


def test_lines_of_a_label_and_a_text(put):
    path = put(
        "d.txt", "__label__good a quiet café\n__label__bad “loud”\n__label__good a slow day\n"
    )
    corpus = read(path)
    assert rows(corpus) == ROWS and "read as a label and a text" in corpus.notes[0]
    plain = "".join(f"{label} {text}\n" for text, label in [*ROWS, *ROWS, ("so what", "bad")])
    assert rows(read(put("e.txt", plain)))[:3] == ROWS
    said = read(put("f.txt", "good a quiet café\n"), format="lines")
    assert (rows(said), said.notes) == (ROWS[:1], ())
    assert "more than one label" in refusal(put("g", "__label__a __label__b text\n"))
    assert "tell what it is" in refusal(put("h.txt", "once\nupon\na time\n"))


def test_archives_are_named(put):
    assert "unpack it first" in refusal(put("d.zip", b"PK\x03\x04"))


def test_what_a_system_leaves_in_folders_is_left_out(put, tmp_path):
    for name in ("pos/1.txt", "neg/2.txt"):
        put(f"d/{name}", "a text")
    for name in ("__MACOSX/pos/._1.txt", "pos/.DS_Store", "pos/._1.txt", "neg/Thumbs.db"):
        put(f"d/{name}", b"\0\1")
    corpus = read(tmp_path / "d")
    assert corpus.label_names == ["neg", "pos"] and len(corpus) == 2
    assert "4 files" in corpus.notes[0]


# ---- labels


def test_a_folder_unsup_has_no_label(put, tmp_path):
    for name in ("pos/1.txt", "neg/2.txt", "unsup/3.txt", "unsup/4.txt"):
        put(f"train/{name}", f"text {name}")
    put("train/urls_neg.txt", "http://example.org")
    corpus, _ = load_any(tmp_path)
    assert (corpus.label_names, corpus.labels.tolist()) == (["neg", "pos"], [0, 1, -1, -1])
    assert "2 rows with the label 'unsup' are taken as rows without one" in corpus.notes[0]
    assert read(tmp_path / "train", missing=[]).label_names == ["neg", "pos", "unsup"]


@pytest.mark.parametrize("spelling", MISSING_LABELS)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_spellings_of_a_missing_label(spelling, suffix, put):
    table = [("a", "1"), ("b", spelling), ("c", "0")]
    lines = [json.dumps({"text": x, "label": y}) for x, y in table]
    content = "text,label\n" + "".join(f"{x},{y}\n" for x, y in table)
    path = put(f"d.{suffix}", content if suffix == "csv" else "\n".join(lines))
    corpus = read(path)
    assert (corpus.label_names, corpus.labels.tolist()) == (["0", "1"], [1, -1, 0])
    assert corpus.notes == (
        f"1 rows with the label '{spelling}' are taken as rows without one "
        "(missing says which labels are)",
    )
    kept = read(path, missing=())
    assert (spelling in kept.label_names, kept.notes) == (True, ())
    named = read(path, label_names=["0", "1", spelling])
    assert named.labels.tolist() == [1, 2, 0]


def test_other_spellings_can_be_said_and_case_counts(put):
    path = put("d.csv", "text,label\na,x\nb,NONE\nc,none\nd,?\n")
    assert read(path).label_names == ["?", "NONE", "none", "x"]
    assert read(path, missing="?").labels.tolist().count(-1) == 1


@pytest.mark.parametrize("spelling", ["none", "Null", "?", "-", "unlabeled", "Unknown", "n.a."])
def test_classes_that_may_mean_no_label_are_noted(spelling, put):
    path = put("d.csv", f"text,label\na,x\nb,{spelling}\nc,y\n")
    (note,) = read(path).notes
    assert note.startswith(f"{spelling!r} is read as a class") and "set missing to it" in note
    assert not read(path, missing=spelling).labelled.all()
    assert read(path, label_names=["x", "y", spelling]).notes == ()  # named, so it is meant


@pytest.mark.parametrize(
    ("labels", "missing"),
    [("-1 1 -1", 0), ("-1 0 1", 1), ("-2 -1 0", 0), ("-1 neg pos", 1), ("-1.0 1.0 0.0", 1)],
)
def test_minus_one_is_a_class_where_the_others_say_so(labels, missing, put):
    path = put("d.csv", "text,label\n" + "".join(f"t,{x}\n" for x in labels.split()))
    assert int((~read(path).labelled).sum()) == missing


def test_missing_scores(put):
    path = put("d.csv", "text,label\na,-1\nb,NaN\nc,3\n")
    corpus = read(path, scores=(0, 5))
    assert corpus.labelled.tolist() == [False, False, True] and len(corpus.notes) == 2
    assert read(path, scores=(-1, 5)).labelled.tolist() == [True, False, True]


def test_labels_that_look_alike_are_noted(put):
    names = ["pos", "POS", "\u200bpos", "café", "cafe\u0301", "very neg", "very\u00a0 neg", "x"]
    path = put("d.csv", "text,label\n" + "".join(f"t,{x}\n" for x in names))
    corpus = read(path)
    assert len(corpus.label_names) == 8 and len(corpus.notes) == 3
    assert all("differ only in case" in note for note in corpus.notes)
    assert any(r"'caf\xe9'" in note and r"'cafe\u0301'" in note for note in corpus.notes)
    assert alike(["x\0", "x", "\u2764\ufe0f", "\u2764"]) == [
        ["x\0", "x"],
        ["\u2764\ufe0f", "\u2764"],
    ]
    assert alike(["a", "b"]) == [] and alike(["a", "b", "A"]) == [["a", "A"]]
    assert shown("po\ns/1 é\t") == r"po\ns/1 é\t"


def test_notes_come_with_the_data_of_a_recipe(put):
    path = put("d.csv", "text,label\na,x\nb,y\nc,NaN\n")
    more = put("e.txt", "__label__x d\n__label__y e\n")
    settings = DataSettings(str(path), unlabelled=str(more), pool="natural")
    train, _, notes = load_corpora(settings)
    assert len(train) == 5 and len(notes) == 2
    assert "data.missing" in notes[0] and "a label and a text" in notes[1]


def test_a_name_of_the_catalogue_that_lies_here_too(put, tmp_path, monkeypatch):
    put("rte/train.csv", TABLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(InputError, match=r"write './rte' for the folder of that name here"):
        load_any("rte")
    assert rows(load_any("./rte")[0]) == ROWS


def test_columns_and_labels_by_number_need_no_quotes(put):
    settings = DataSettings(
        "x.csv", header=False, text=[0], label=1, missing=-1, label_names=[1, 2]
    )
    assert (settings.text, settings.label, settings.missing) == (("0",), "1", ("-1",))
    with pytest.raises(InputError, match=r"data\.label is True"):
        DataSettings("x.csv", label=True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"tokens": ["Anna"], "ner_tags": ["B-PER"]}\n'),
        ("a.csv", "Sentence #,Word,POS,Tag\nSentence: 1,Anna,NN,B-PER\n"),
    ],
)
def test_words_and_their_tags_are_told_apart_from_texts(name, content, tmp_path):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match="look like words and their tags, but taggers learn from"):
        read_corpus(path)
