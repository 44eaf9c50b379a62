"""fairseq for real: trains a tiny model each way, back-translates, converts to ctranslate2.

Runs where both packages import (`./run.sh fairseq-test` installs them) and needs about 90 seconds.
"""

import json
import subprocess
import sys
import time
from difflib import SequenceMatcher
from importlib.util import find_spec
from pathlib import Path

import pytest

from backtranslate.backends import load
from backtranslate.backends.ctranslate2 import convert
from backtranslate.translator import PRESETS, BacktranslateError

missing = [name for name in ("fairseq", "ctranslate2") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(
    bool(missing),
    reason=f"not installed: {', '.join(missing)}; ./run.sh fairseq-test installs what this needs",
)

BEAM, PAPER, DIVERSE = PRESETS["beam"], PRESETS["paper"], PRESETS["diverse"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with en-de and de-en, and sentences in held-out.en."""
    folder = tmp_path_factory.mktemp("fairseq")
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "tiny_fairseq.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def there(trained):
    return load("fairseq", "en", "de", str(trained), "cpu")


@pytest.fixture(scope="module")
def back(trained):
    return load("fairseq", "de", "en", str(trained), "cpu")


@pytest.fixture(scope="module")
def lines(trained):
    return (trained / "held-out.en").read_text(encoding="utf-8").splitlines()


def round_trip(there, back, lines, decoding, seed):
    """The lines whose way back is not cut off by the limit, and what comes out of them.

    A model this small runs on and on for one sentence in a hundred; cutting is the pipeline's.
    """
    pivots = there.translate(lines, decoding, seed)
    kept = [row for row, pivot in enumerate(pivots) if back.length(pivot) <= back.limit]
    assert len(kept) > 0.95 * len(lines)
    return [lines[row] for row in kept], back.translate(
        [pivots[row] for row in kept], decoding, seed
    )


def test_a_round_trip_by_beam_gives_the_sentences_back(there, back, lines):
    sources, views = round_trip(there, back, lines, BEAM, 0)
    same = sum(source == view for source, view in zip(sources, views, strict=True))
    assert same > 0.75 * len(sources)
    assert there.translate(["The old cat sees a dog."], BEAM, 0) == [
        "Der alte Katze sieht ein Hund."
    ]


def test_the_batch_does_not_change_a_beam(there, lines):
    start = time.monotonic()
    together = there.translate(lines[:64], BEAM, 0)
    batched = time.monotonic() - start
    alone = [there.translate([line], BEAM, 0)[0] for line in lines[:64]]
    single = time.monotonic() - start - batched
    print(f"fairseq, beam 5: {64 / batched:.0f} sentences/s in a batch, {64 / single:.0f} alone")
    assert together == alone
    assert there.translate(lines[:64][::-1], BEAM, 0) == together[::-1]


@pytest.mark.parametrize("decoding", [PAPER, DIVERSE], ids=["paper", "diverse"])
def test_sampling_repeats_by_its_seed(there, back, lines, decoding):
    first = round_trip(there, back, lines[:50], decoding, 1)
    assert round_trip(there, back, lines[:50], decoding, 1) == first
    assert round_trip(there, back, lines[:50], decoding, 2) != first


def test_the_paper_preset_is_tamer_than_plain_sampling(there, lines):
    """It takes the likeliest of five samples, so it agrees with the beam more often."""
    beam = there.translate(lines, BEAM, 0)

    def agreement(decoding):
        answers = there.translate(lines, decoding, 5)
        return sum(a == b for a, b in zip(answers, beam, strict=True))

    assert agreement(DIVERSE) + 10 < agreement(PAPER) < len(lines)


def test_an_empty_piece_stays_empty_and_a_long_one_is_refused(there):
    assert there.translate(["", "The cat sees a dog.", " "], BEAM, 0)[::2] == ["", ""]
    long = "the cat " * 200
    assert there.length(long) == 401 > there.limit
    with pytest.raises(BacktranslateError, match=r"A piece has 401 tokens, but .* takes 256"):
        there.translate(["A cat.", long], BEAM, 0)
    for text in ("😀", "日本語", "x" * 200, "&amp; <b>", "\x07"):
        assert len(there.translate([text], BEAM, 0)) == 1


def copy_folder(trained, folder, names):
    folder.mkdir(parents=True)
    for name in ("bpecodes", "dict.en.txt", "dict.de.txt"):
        (folder / name).write_bytes((trained / "en-de" / name).read_bytes())
    for name in names:
        (folder / name).write_bytes((trained / "en-de" / "model.pt").read_bytes())


def test_an_ensemble_of_twice_the_same_is_the_same(trained, there, lines, tmp_path):
    folder = tmp_path / "en-de"
    copy_folder(trained, folder, ["model1.pt", "model2.pt"])
    wanted = there.translate(lines[:20], BEAM, 0)
    for models in (tmp_path, tmp_path / "{source}-{target}" / "model1.pt:model2.pt"):
        ensemble = load("fairseq", "en", "de", str(models), "cpu")
        assert "model1.pt:model2.pt" in ensemble.description
        assert len(ensemble.translator.hub.models) == 2
        assert ensemble.translate(lines[:20], BEAM, 0) == wanted
    with pytest.raises(BacktranslateError, match="takes no ensembles"):
        convert(folder, tmp_path / "out", "fairseq", "en", "de")


def test_what_a_folder_lacks_is_named(trained, tmp_path):
    copy_folder(trained, tmp_path / "en-de", [])
    (tmp_path / "en-de" / "bpecodes").unlink()
    with pytest.raises(BacktranslateError, match=r"lacks model\*\.pt, bpecodes"):
        load("fairseq", "en", "de", str(tmp_path))
    with pytest.raises(BacktranslateError, match="no checkpoint folder"):
        load("fairseq", "en", "fr", str(tmp_path))
    with pytest.raises(BacktranslateError, match="no default model"):
        load("fairseq", "en", "de")
    (tmp_path / "en-de" / "bpecodes").write_text("")
    (tmp_path / "en-de" / "model.pt").write_text("not a model")
    with pytest.raises(BacktranslateError, match=r"fairseq cannot load model\.pt"):
        load("fairseq", "en", "de", str(tmp_path))


@pytest.fixture(scope="module")
def old(trained, tmp_path_factory):
    """The checkpoint as fairseq wrote it when WMT19's were made: settings in a Namespace."""
    import torch

    folder = tmp_path_factory.mktemp("old")
    copy_folder(trained, folder / "en-de", ["model.pt"])
    path = folder / "en-de" / "model.pt"
    state = torch.load(path, weights_only=False)  # made by this test
    state["args"] = state.pop("cfg")["model"]
    torch.save(state, path)
    return folder


def test_checkpoints_of_old_load(old, there, lines):
    assert load("fairseq", "en", "de", str(old)).translate(lines[:20], BEAM, 0) == there.translate(
        lines[:20], BEAM, 0
    )


@pytest.mark.parametrize("which", ["trained", "old"])
def test_ctranslate2_gives_the_same_beam_output(which, request, there, lines, tmp_path):
    checkpoint = request.getfixturevalue(which) / "en-de"
    convert(checkpoint, tmp_path / "exact" / "en-de", "fairseq", "en", "de", "float32")
    exact = load("ctranslate2", "en", "de", str(tmp_path / "exact"), "cpu")
    assert exact.translate(lines, BEAM, 0) == there.translate(lines, BEAM, 0)
    assert exact.length(lines[0]) == there.length(lines[0])


@pytest.fixture(scope="module")
def small(trained, tmp_path_factory):
    """The checkpoint in 8-bit integers."""
    folder = tmp_path_factory.mktemp("int8")
    convert(trained / "en-de", folder / "en-de", "fairseq", "en", "de")
    return load("ctranslate2", "en", "de", str(folder), "cpu")


def test_eight_bits_change_little(small, there, lines):
    assert small.description.endswith("en-de (fairseq, int8)")
    wanted = there.translate(lines, BEAM, 0)
    start = time.monotonic()
    found = small.translate(lines, BEAM, 0)
    print(f"ctranslate2, int8, beam 5: {len(lines) / (time.monotonic() - start):.0f} sentences/s")
    pairs = list(zip(found, wanted, strict=True))
    # How the integers round depends on the CPU's instructions, and one word changes a sentence.
    assert sum(a == b for a, b in pairs) > 0.8 * len(lines)
    likeness = [SequenceMatcher(None, a.split(), b.split()).ratio() for a, b in pairs]
    assert sum(likeness) > 0.95 * len(lines)
    assert [small.translate([line], BEAM, 0)[0] for line in lines[:50]] == found[:50]
    assert small.translate(["", "a\nb"], BEAM, 0)[0] == ""
    with pytest.raises(BacktranslateError, match="cut it first"):
        small.translate(["the cat " * 200], BEAM, 0)


@pytest.mark.parametrize("decoding", [PAPER, DIVERSE], ids=["paper", "diverse"])
def test_sampling_with_ctranslate2_repeats_by_its_seed(small, lines, decoding):
    first = small.translate(lines, decoding, 1)
    small.translate(lines[:3], decoding, 9)
    assert small.translate(lines, decoding, 1) == first
    assert small.translate(lines, decoding, 2) != first


def test_ctranslate2_takes_the_likeliest_of_five(small, lines):
    beam = small.translate(lines, BEAM, 0)
    agreement = [
        sum(a == b for a, b in zip(small.translate(lines, decoding, 5), beam, strict=True))
        for decoding in (DIVERSE, PAPER)
    ]
    assert agreement[0] + 10 < agreement[1] < len(lines)


def test_converting_says_what_is_wrong(trained, tmp_path):
    model = trained / "en-de"
    with pytest.raises(BacktranslateError, match="no kind 'fsmt'"):
        convert(model, tmp_path / "out", "fsmt")
    with pytest.raises(BacktranslateError, match="from a source to a target"):
        convert(model, tmp_path / "out", "fairseq")
    with pytest.raises(BacktranslateError, match="exists"):
        convert(model, tmp_path, "fairseq", "en", "de")
    with pytest.raises(BacktranslateError, match="cannot be loaded as marian"):
        convert(model, tmp_path / "out", "marian")
    with pytest.raises(BacktranslateError, match="cannot convert"):
        convert(model, tmp_path / "out", "opus-mt")
    with pytest.raises(BacktranslateError, match="not a model converted"):
        load("ctranslate2", "en", "de", str(trained))
    with pytest.raises(BacktranslateError, match="no default model"):
        load("ctranslate2", "en", "de")
    assert not list(tmp_path.iterdir()), "what was left half-way is still there"
    note = {"kind": "fairseq", "source": "en", "target": "de", "quantization": "int8"}
    note["positions"] = 1024
    (tmp_path / "en-de").mkdir()
    (tmp_path / "en-de" / "bpecodes").write_bytes((model / "bpecodes").read_bytes())
    (tmp_path / "en-de" / "backtranslate.json").write_text(json.dumps(note))
    with pytest.raises(BacktranslateError, match="ctranslate2 cannot load"):
        load("ctranslate2", "en", "de", str(tmp_path))
