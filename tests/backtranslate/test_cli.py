"""The command line: what it prints, what it refuses, by one sentence and exit code 2."""

import inspect
import json
import os
import pickle
import shutil
import subprocess
import sys

import pytest

from backtranslate import backends, cli, quality
from backtranslate.cli import main
from backtranslate.pipeline import STATUSES, View
from backtranslate.quality import Quality, describe, measure
from backtranslate.store import record
from backtranslate.translator import BacktranslateError

pytestmark = pytest.mark.slow

ROWS = [
    ("1", "The cat sat. It was warm."),
    (2, ""),
    ("c", "😀😀"),
    ("d", "control\0characters\x1b and\nlines"),
    ("e", "кот and 猫。 قطة"),
    ("f", "word " * 20_000),
    ("g", "x" * 100_000),
    ("h", "lone \ud800 surrogate"),
]


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    lines = [json.dumps({"id": id_, "text": text, "label": 1}) for id_, text in ROWS]
    path.write_text("\n\n".join(lines) + "\n")
    return path


def call(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    done = capsys.readouterr()
    return code, done.out, done.err


def options(texts, folder, *more):
    return [texts, "--backend", "identity", "--pivots", "de,ru", "--out", folder, *more]


def read(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_bad_texts_come_out_in_the_same_number_with_true_statuses(texts, tmp_path, capsys):
    code, out, err = call(capsys, *options(texts, tmp_path / "views"))
    assert code == 0, err
    assert "16 views made now" in out and "16 of 16 views" in err
    lines = read(tmp_path / "views" / "views.jsonl")
    assert [(line["id"], line["pivot"]) for line in lines] == [
        (str(id_), pivot) for id_, _ in ROWS for pivot in ("de", "ru")
    ]
    assert [line["text"] for line in lines[::2]] == [text for _, text in ROWS]
    statuses = [line["status"] for line in lines[::2]]
    assert statuses == ["unchanged", "bypassed", "bypassed", *["unchanged"] * 5]
    for text in ("source  The cat sat.", "view    ", "de/0", "ru/0", "75.0%"):
        assert text in out
    assert "\x1b" not in out and "\0" not in out

    code, out, _ = call(capsys, *options(texts, tmp_path / "views"))
    assert code == 0 and "0 views made now" in out


def test_shards_are_merged_by_a_command(texts, tmp_path, capsys):
    for shard in (1, 0):
        folder = tmp_path / f"machine {shard}"
        more = ["--num-shards", 2, "--shard", shard, "--chunk", 3]
        code, out, _ = call(capsys, *options(texts, folder, *more))
        assert code == 0 and "merge" in out
    out_file = tmp_path / "all.jsonl"
    folders = [tmp_path / "machine 0", tmp_path / "machine 1"]
    code, out, _ = call(capsys, "merge", texts, *folders, "--out", out_file)
    assert code == 0 and "none missing, none double" in out
    assert len(read(out_file)) == 16
    code, _, err = call(capsys, "merge", texts, folders[0])
    assert code == 2 and "shard 1 of 2 is missing" in err


def test_pickles_go_in_and_out(texts, tmp_path, capsys):
    (tmp_path / "de_1.pkl").write_bytes(pickle.dumps({0: "Die Katze.", 3: "x"}))
    out_file = tmp_path / "views.jsonl"
    code, out, _ = call(capsys, "import", texts, tmp_path / "de_1.pkl", "--out", out_file)
    assert code == 0 and "de_1.pkl: views of 2 of 8 rows" in out
    code, out, _ = call(capsys, "export", texts, out_file, "--out", tmp_path / "back")
    assert code == 0 and "de_1.pkl: views of 2 of 8 rows" in out
    back = pickle.loads((tmp_path / "back" / "de_1.pkl").read_bytes())
    assert back == {0: "Die Katze.", 3: "x"}
    (tmp_path / "de_1.pkl").write_bytes(pickle.dumps(print))
    code, _, err = call(capsys, "import", texts, tmp_path / "de_1.pkl", "--out", out_file)
    assert code == 2 and "was not loaded" in err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--backend", "babelfish"], "no backend 'babelfish': choose from"),
        (["--preset", "best"], "no preset 'best'"),
        (["--pivots", "de,,ru"], "pivots is empty"),
        (["--pivots", "de,de"], "must be different"),
        (["--num-shards", "2", "--shard", "2"], "of 2 shards, choose 0 to 1"),
        (["--num-shards", "0"], "num_shards is 0"),
        (["--workers", "0"], "workers is 0"),
        (["--seed", "x"], "invalid int value: 'x'"),
        (["--what"], "unrecognized arguments: --what"),
        (["--copies", "2"], "the same view again"),
    ],
)
def test_bad_options_are_one_sentence(texts, tmp_path, capsys, more, message):
    code, out, err = call(capsys, *options(texts, tmp_path / "views", *more))
    assert (code, out) == (2, "")
    assert err.startswith("backtranslate: ") and err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "views").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no texts"),
        (b"\n \n", "holds no texts"),
        (b'{"id": 1, "text": "x"}\nrubbish\n', "line 2: expected a JSON object"),
        (b'{"id": 1, "text": "x"}\n\n{"id": "1", "text": "y"}\n', "line 3: id '1' stands already"),
        (b'{"id": 1}\n', "line 1: expected"),
        (b'{"id": 1, "text": null}\n', "line 1: expected"),
        (b'{"id": null, "text": "x"}\n', "line 1: expected"),
        (b'{"id": true, "text": "x"}\n', "line 1: expected"),
        (b"[1]\n", "line 1: expected"),
        (b'{"id": 1, "text": "\xff"}\n', "line 1: expected a JSON object in UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path, capsys, content, message):
    path = tmp_path / "texts.jsonl"
    if content is not None:
        path.write_bytes(content)
    code, _, err = call(capsys, *options(path, tmp_path / "views"))
    assert code == 2 and message in err and err.count("\n") == 1


def test_a_byte_order_mark_is_passed_over(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": 1, "text": "x"}\n')
    assert list(cli.read_texts(path).ids) == ["1"]


def test_other_settings_and_other_texts_need_another_folder(texts, tmp_path, capsys):
    folder = tmp_path / "views"
    call(capsys, *options(texts, folder))
    code, _, err = call(capsys, *options(texts, folder, "--seed", 1))
    assert code == 2 and "made with seed 0, not 1" in err
    texts.write_text('{"id": 1, "text": "x"}\n')
    code, _, err = call(capsys, *options(texts, folder))
    assert code == 2 and "made with corpus" in err


def test_a_backend_that_cannot_be_loaded_is_a_sentence(texts, tmp_path, capsys, monkeypatch):
    def missing(*_):
        raise BacktranslateError("apertium is not installed: install it.")

    monkeypatch.setattr(backends, "load", missing)
    code, _, err = call(capsys, *options(texts, tmp_path / "views"))
    assert (code, err) == (2, "backtranslate: apertium is not installed: install it.\n")


def test_ray_is_asked_for_by_a_sentence(texts, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = call(capsys, *options(texts, tmp_path / "views", "--ray"))
    assert code == 2 and "pip install ray" in err


def test_a_folder_that_cannot_be_written_to_is_a_sentence(texts, tmp_path, capsys):
    (tmp_path / "views").write_text("a file")
    code, _, err = call(capsys, *options(texts, tmp_path / "views"))
    assert code == 2 and "cannot write to" in err


@pytest.mark.parametrize("command", ["", "merge", "import", "export", "convert"])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--help"])
    assert end.value.code == 0
    assert f"python -m backtranslate {command}".strip() in capsys.readouterr().out


def test_convert_hands_on_what_it_is_given(tmp_path, capsys, monkeypatch):
    from backtranslate.backends import ctranslate2

    signature = inspect.signature(ctranslate2.convert)
    given = []
    monkeypatch.setattr(ctranslate2, "convert", lambda **options: given.append(options))
    code, out, _ = call(
        capsys, "convert", "wmt19", tmp_path / "en-de", "--kind", "fairseq", "--source", "en"
    )
    assert code == 0 and "wrote" in out
    assert given == [
        {
            "checkpoint": "wmt19",
            "out": tmp_path / "en-de",
            "kind": "fairseq",
            "source": "en",
            "target": "",
            "quantization": "int8",
        }
    ]
    signature.bind(**given[0])


def test_it_is_a_program(texts, tmp_path):
    command = [sys.executable, "-m", "backtranslate", *options(texts, tmp_path / "views")]
    command += ["--workers", 2, "--chunk", 2]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(read(tmp_path / "views" / "views.jsonl")) == 16


def test_a_full_disk_is_survived(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        rows = [{"id": n, "text": f"Text {n} {'is long ' * 60}"} for n in range(100)]
        (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        command = options(tmp_path / "texts.jsonl", folder / "views", "--chunk", 10)
        command = [sys.executable, "-m", "backtranslate", *map(str, command)]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        full = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert full.returncode == 2
        assert "no space left" in full.stderr and "Traceback" not in full.stderr
        kept = read(folder / "views" / "views-00000-of-00001.jsonl")
        assert kept
        subprocess.run([*mount[:4], "remount,size=8m", *mount[5:]], check=True)
        again = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert again.returncode == 0, again.stderr
        assert f"{200 - len(kept)} views made now" in again.stdout
        assert len(read(folder / "views" / "views.jsonl")) == 200
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# --- quality


def pairs():
    statuses = ["ok", "ok", "unchanged", "empty", "ratio", "failed", "bypassed", "partial"]
    assert set(statuses) < set(STATUSES)
    for number, status in enumerate(statuses * 5):
        source = f"This is text number {number}."
        text = "" if status == "bypassed" else f"It is text number {number}!"
        yield source, record(str(number), source, "de", 0, View(text, "pivot", status))


def test_figures_count_what_they_say():
    found, samples = measure(pairs())
    assert list(found) == ["de/0"]
    of = found["de/0"]
    assert of.share("ok") == 0.25
    assert of.share(*quality.FILTERED) == 0.375
    assert of.share("bypassed") == 0.125
    assert 0.8 < of.length_ratio < 1.0
    assert len(samples) == 10
    assert all(entry["status"] != "bypassed" for _, entry in samples)
    again = measure(reversed(list(pairs())))
    assert again[1] == samples, "the order in the store decides nothing"
    assert again[0]["de/0"].length_ratio == pytest.approx(of.length_ratio)


def test_chrf_is_100_for_the_source_and_less_for_a_view():
    pytest.importorskip("sacrebleu", reason="chrF is computed by sacrebleu")
    assert quality.chrf(["some text here"], ["some text here"]) == pytest.approx(100)
    assert 0 < quality.chrf(["another text there"], ["some text here"]) < 100


def test_chrf_is_asked_for_by_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    found, samples = measure(pairs())
    assert found["de/0"].chrf is None
    assert describe(found, samples).count("pip install sacrebleu") == 1


def test_nothing_translated_has_figures_too():
    found, samples = measure([("", record("a", "", "de", 0, View("", "", "bypassed")))])
    assert found["de/0"] == Quality(found["de/0"].statuses)
    assert samples == []
    assert "100.0%" in describe(found, samples)
