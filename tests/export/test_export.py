"""What `mixtext export` leaves: a whole folder with a model card, or none; and what is uploaded."""

import base64
import json
import os
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml
from transformers import pipeline

from mixtext import Corpus, load, train
from mixtext.cli import main
from mixtext.errors import InputError
from mixtext.export import folder as export_folder
from mixtext.export.card import facts, model_card
from mixtext.export.folder import export_model
from mixtext.export.rows import rows_of_run

TEXTS = ["the cat and bread", "a dog near soup with the old plum", "saw"]


@pytest.fixture(scope="module")
def umask():
    old = os.umask(0o027)
    yield 0o027
    os.umask(old)


@pytest.fixture
def run(tiny, tmp_path):
    """Overrides → the folder of a run."""

    def make(*overrides):
        train(tiny("training.steps=2", *overrides), folder=tmp_path / "reviews", quiet=True)
        return tmp_path / "reviews"

    return make


def test_the_folder_is_the_model_with_a_card(run, tmp_path, umask, capsys):
    source = run()
    assert main(["export", str(source), "--license", "mit"]) == 0
    out = tmp_path / "reviews-safetensors"
    assert capsys.readouterr().out.startswith(f"wrote {out} (")
    assert {x.name for x in out.iterdir()} == {x.name for x in (source / "model").iterdir()} | {
        "README.md"
    }
    assert load(out).predict(TEXTS) == load(source).predict(TEXTS)
    said = 'pipeline("text-classification", "reviews-safetensors", truncation=True)("some text")'
    assert said in (out / "README.md").read_text()
    long = " ".join(TEXTS) * 9  # cut alike
    answers = pipeline("text-classification", str(out), truncation=True)([*TEXTS, long])
    assert abs(answers.pop()["score"] - load(source).probabilities([long]).max()) < 1e-6
    assert [x["label"] for x in answers] == [x.label for x in load(source).predict(TEXTS)]
    for path in out.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask, path
    assert stat.S_IMODE(out.stat().st_mode) == 0o777 & ~umask
    _, front, text = (out / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front) == {
        "license": "mit",
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["mixtext", "supervised"],
    }
    result = json.loads((source / "result.json").read_text())
    assert "`animals`, `food`, `tools`" in text and "were learned from | 12 |" in text
    assert f"were chosen by | {result['dev_rows']} |" in text and result["dev_rows"] > 0
    assert f"| test | 15 | accuracy | {result['test']['accuracy']:.4f} | " in text
    assert f"{result['test']['macro_f1']:.4f} |  |" in text  # no interval is known
    environment = json.loads((source / "environment.json").read_text())
    assert environment["data"]["train"] in text
    assert f"torch {environment['packages']['torch']}" in text


def test_a_model_folder_without_its_run_says_so(run, tmp_path):
    source = run()
    model = (source / "model").rename(tmp_path / "alone")
    text = (export_model(model, tmp_path / "out").folder / "README.md").read_text()
    assert text.count("Not known") == 2 and "`animals`" in text
    assert facts(source / "model")["result"]["corpus"] == "things"  # beside its run


@pytest.mark.parametrize(
    ("target", "said"),
    [("classes", "2 classes"), ("scores", "tells scores"), ("tags", "2 tags")],
)
def test_a_card_of_every_kind(target, said):
    names = [] if target == "scores" else ["a|b", "c"]
    about = {"rows": "texts", "target": target, "label_names": names}
    about |= {"tag_names": names} if target == "tags" else {}
    about["model"] = {"encoder": "minilm", "max_length": 64}
    metrics = {"accuracy": 0.8} if target != "scores" else {"spearman": 0.5}
    result = {"method": "tmix", "corpus": "x", "test": metrics, "test_rows": 100}
    text = model_card("mine", about, {"result": result, "environment": {}}, "So.", notes=("A.",))
    assert said in text and "- A." in text and "| this model | unknown |" in text
    bounds = {"classes": "0.7112 to 0.8666", "scores": "0.3259 to 0.6413", "tags": "0.8000 |  |"}
    assert bounds[target] in text


def test_nothing_is_left_of_what_fails(run, tmp_path, monkeypatch):
    source, out = run(), tmp_path / "out"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_folder, "model_card", full)
    with pytest.raises(OSError, match="No space left"):
        export_model(source, out)
    assert {x.name for x in tmp_path.iterdir()} == {"reviews"}
    monkeypatch.undo()
    (tmp_path / ".out.half").mkdir()  # of a process that was killed
    (tmp_path / ".out.half" / "rest").touch()
    export_model(source, out)
    assert {x.name for x in tmp_path.iterdir()} == {"reviews", "out"}
    assert not (out / "rest").exists()


def test_refusals(run, tmp_path, capsys, monkeypatch):
    source = run()
    (tmp_path / "there").mkdir()

    def refused(*arguments):
        assert main(["export", *map(str, arguments)]) == 2
        return capsys.readouterr().err

    assert "is there already" in refused(source, "--out", tmp_path / "there")
    assert "--int8 is for --format onnx" in refused(source, "--int8")
    assert "--data is for --int8" in refused(source, "--data", "x.csv")
    assert "holds no finished model" in refused(tmp_path)
    assert "no name of the hub" in refused(source, "--push", "my model")
    (tmp_path / "there" / "model.onnx").touch()
    assert "a model in ONNX" in refused(tmp_path / "there")
    monkeypatch.setattr("mixtext.export.onnx.find_spec", lambda name: None)
    assert "pip install onnx onnxscript onnxruntime" in refused(source, "--format", "onnx")
    assert {x.name for x in tmp_path.iterdir()} == {"reviews", "there"}


def test_rows_of_a_run(run, tiny, tmp_path, draw_texts):
    source = run()
    rows = rows_of_run(source)
    assert rows.name == "dev" and len(rows) == 15 and len(rows_of_run(source, most=4)) == 4
    assert rows_of_run(source / "model").checksum() == rows.checksum()
    (source / "model").rename(tmp_path / "model")
    assert rows_of_run(tmp_path / "model") is None
    texts, labels = draw_texts(20)
    recipe = tiny("training.steps=1", "data.test_per_class=0", "data.corpus=gone.csv")
    train(recipe, corpus=Corpus.from_lists(texts, labels), folder=tmp_path / "lists", quiet=True)
    assert rows_of_run(tmp_path / "lists") is None


def test_rows_of_a_tagger(learner, tmp_path):
    recipe = learner("method=supervised", "training.steps=1")
    train(recipe, folder=tmp_path / "tagger", quiet=True)
    rows = rows_of_run(tmp_path / "tagger")
    assert rows.name == "test" and len(rows) == 20
    out = export_model(tmp_path / "tagger", tmp_path / "out").folder
    assert load(out).predict(TEXTS) == load(tmp_path / "tagger").predict(TEXTS)
    text = (out / "README.md").read_text()
    assert 'pipeline_tag: "token-classification"' in text and "flatter" not in text
    assert "pipeline(" not in text  # which would not tell the letter case
    plain = learner("method=supervised", "training.steps=1", "model.case=false")
    train(plain, folder=tmp_path / "plain", quiet=True)
    text = (export_model(tmp_path / "plain", tmp_path / "told").folder / "README.md").read_text()
    assert 'pipeline("token-classification", "told")("some text")' in text


def test_a_model_of_words_is_used_by_mixtext_alone(run, tmp_path):
    words = ["model.encoder=kim_cnn", "model.embedding=RandomTune", "model.word_width=8"]
    source = run(*words)
    out = export_model(source, tmp_path / "out").folder
    assert load(out).predict(TEXTS) == load(source).predict(TEXTS)
    text = (out / "README.md").read_text()
    assert "mixtext predict out" in text and "pipeline(" not in text


# ---- the hub: a server that answers as the hub does, as far as a small model needs it


class Hub(BaseHTTPRequestHandler):
    """Takes weights apart, by Git LFS, and every other file within the commit."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((self.path, body, self.headers.get("Authorization")))
        if self.headers.get("Authorization") != "Bearer hf_right":
            return self.answer(401, {"error": "Invalid username or password."})
        if self.path == "/api/repos/create":
            name = json.loads(body)["name"]
            here = f"http://127.0.0.1:{self.server.server_port}/me/{name}"
            return self.answer(200, {"url": here, "id": f"me/{name}"})
        if self.path.endswith("/preupload/main"):
            files = [
                {"path": x["path"], "uploadMode": mode(x["path"]), "shouldIgnore": False}
                for x in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        if self.path.endswith("/info/lfs/objects/batch"):
            at = f"http://127.0.0.1:{self.server.server_port}/large"
            objects = [
                {**x, "actions": {"upload": {"href": f"{at}/{x['oid']}"}}}
                for x in json.loads(body)["objects"]
            ]
            return self.answer(200, {"transfer": "basic", "objects": objects})
        if "/commit/" in self.path:
            here = f"http://127.0.0.1:{self.server.server_port}/me/reviews/commit/{'0' * 40}"
            return self.answer(200, {"commitUrl": here, "commitOid": "0" * 40})
        return self.answer(200, {"errors": [], "warnings": []})  # of the card's front matter

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((self.path, body, None))
        self.answer(200, {})

    def do_GET(self):
        self.answer(200, {"sha": "0" * 40, "siblings": [], "id": "me/reviews"})

    def answer(self, code, value):
        raw = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        pass


def mode(path):
    return "lfs" if path.endswith(".safetensors") else "regular"


@pytest.fixture
def hub():
    server = HTTPServer(("127.0.0.1", 0), Hub)
    server.calls = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def pushed(run, out, port, token, tmp_path):
    """`mixtext export --push` in a process of its own: the client reads its address at import."""
    settings = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_TOKEN": token}
    settings |= {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
    command = ["-m", "mixtext", "export", str(run), "--out", str(out), "--push", "reviews"]
    return subprocess.run(
        [sys.executable, *command], env={**os.environ, **settings}, capture_output=True, text=True
    )


@pytest.mark.slow
def test_a_push_sends_every_file(run, hub, tmp_path):
    out = tmp_path / "out"
    done = pushed(run(), out, hub.server_port, "hf_right", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pushed http" in done.stdout and "me/reviews" in done.stdout
    calls = {path.split("?")[0]: body for path, body, _ in hub.calls}
    asked = json.loads(calls["/api/repos/create"])
    assert asked.get("visibility") == "private" or asked.get("private") is True  # old clients
    lines = [*map(json.loads, calls["/api/models/me/reviews/commit/main"].splitlines())]
    files = {
        x["value"]["path"]: base64.b64decode(x["value"]["content"])
        for x in lines
        if x["key"] == "file"
    }
    large = {x["value"]["path"]: x["value"]["oid"] for x in lines if x["key"] == "lfsFile"}
    assert [*large] == ["model.safetensors"]
    files |= {name: calls[f"/large/{oid}"] for name, oid in large.items()}
    assert files == {x.name: x.read_bytes() for x in out.iterdir()}


@pytest.mark.slow
def test_a_push_that_fails_is_one_sentence_and_keeps_the_folder(run, hub, tmp_path):
    source = run()
    refused = pushed(source, tmp_path / "out", hub.server_port, "hf_wrong", tmp_path)
    hub_gone = pushed(source, tmp_path / "other", 9, "hf_right", tmp_path)
    for done, out in ((refused, tmp_path / "out"), (hub_gone, tmp_path / "other")):
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert f"`hf upload reviews {out}`" in done.stderr and (out / "README.md").is_file()


def test_a_run_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="is not there"):
        export_model(tmp_path / "none", tmp_path / "out")
