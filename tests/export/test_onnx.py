"""A model as ONNX answers as the model does; int8 says how far it does not."""

import json
import re

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from mixtext import Corpus, load, train
from mixtext.cli import main
from mixtext.data.batches import Padded
from mixtext.errors import InputError
from mixtext.export.folder import export_model
from mixtext.export.onnx import PACKAGES, Graph, OnnxModel, write_onnx
from mixtext.export.rows import rows_of_run
from mixtext.models.classifier import Classifier
from mixtext.models.encoder import MixableEncoder
from mixtext.models.heads import MlpHead

for package in PACKAGES:
    pytest.importorskip(package, reason=f"{package} is not installed (extra onnx)")
import onnxruntime  # noqa: E402

pytestmark = pytest.mark.slow  # torch's exporter takes seconds a model

TEXTS = ["the cat and bread", "a dog near soup with the old plum", "saw"]
SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 24, "max_position_embeddings": 40, "pad_token_id": 0}
FAMILIES = {
    "roberta": SIZES,
    "electra": SIZES | {"embedding_size": 8},
    "distilbert": {"vocab_size": 40, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24},
    "mpnet": SIZES,
    "modernbert": SIZES | {"bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1},
    "deberta-v2": SIZES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
}


def softmax(logits):
    return torch.softmax(torch.from_numpy(logits), -1).numpy()


def session_answers(folder, texts, pairs=None, **settings):
    """As the card says it, without mixtext."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    options = {"truncation": True, "padding": True, "return_tensors": "np"} | settings
    rows = tokenizer(texts, pairs, **options)
    given = {x.name: rows[x.name].astype("int64") for x in session.get_inputs()}
    return session.run(None, given)[0]


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model.pool=max", "model.special_tokens=false"),
        ("model.pool=first", "model.use_mask=false", "model.pad_to_max=true"),
        ("model.pool=pooler", "model.head_width=0"),
    ],
    ids=["mean", "max", "unmasked", "pooler"],
)
def test_a_classifier_answers_as_in_predict(overrides, tiny, tmp_path):
    train(tiny("training.steps=2", *overrides), folder=tmp_path / "run", quiet=True)
    made = export_model(tmp_path / "run", tmp_path / "out", "onnx")
    special = {"add_special_tokens": "model.special_tokens=false" not in overrides}
    wanted = load(tmp_path / "run").probabilities(TEXTS)
    found = softmax(session_answers(made.folder, TEXTS, **special))
    assert np.abs(found - wanted).max() < 1e-5
    for n, text in enumerate(TEXTS):  # rows and tokens are left open
        alone = softmax(session_answers(made.folder, [text], **special))
        assert np.abs(alone - wanted[n]).max() < 1e-5
    config = json.loads((made.folder / "config.json").read_text())
    assert [*config["id2label"].values()] == ["animals", "food", "tools"]
    assert not (made.folder / "model.safetensors").exists()
    [note] = made.notes
    assert float(re.search(r"differ by (\S+) at most", note)[1]) <= 1e-5
    assert note in (made.folder / "README.md").read_text()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_written(family, tmp_path):
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **FAMILIES[family])
    encoder = MixableEncoder(AutoModel.from_config(config).eval())
    model = Classifier(encoder, MlpHead(encoder.hidden_size, 3, 8)).eval()
    graph = Graph(model, 0, 0, types=True).eval()

    def rows(count, width):
        ids = torch.randint(3, 40, (count, width))
        return Padded(ids, torch.arange(width) < torch.randint(1, width + 1, (count, 1)))

    write_onnx(graph, rows(3, 7), tmp_path / "model.onnx")
    other = OnnxModel(tmp_path / "model.onnx", graph)
    for count, width in ((1, 1), (5, 30), (2, 9)):
        batch = rows(count, width)
        with torch.no_grad():
            assert (other(batch) - model(batch)).abs().max() < 1e-5


@pytest.mark.parametrize("encoder", ["kim_cnn", "lstm"])
def test_models_of_words(encoder, tiny, tmp_path):
    words = [f"model.encoder={encoder}", "model.embedding=RandomTune", "model.word_width=8"]
    train(tiny("training.steps=2", *words), folder=tmp_path / "run", quiet=True)
    made = export_model(tmp_path / "run", tmp_path / "out", "onnx")
    wanted = load(tmp_path / "run").probabilities(TEXTS)
    assert np.abs(softmax(session_answers(made.folder, TEXTS)) - wanted).max() < 1e-5


def test_vectors(tiny, tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 5)).astype(np.float32)
    corpus = Corpus.from_vectors(x, np.arange(60) % 3)
    recipe = tiny("model.encoder=mlp", "data.test_per_class=0", "training.steps=2")
    train(recipe, corpus=corpus, folder=tmp_path / "run", quiet=True)
    made = export_model(tmp_path / "run", tmp_path / "out", "onnx")
    session = onnxruntime.InferenceSession(made.folder / "model.onnx")
    found = softmax(session.run(None, {"vectors": x})[0])
    assert np.abs(found - load(tmp_path / "run").outputs(corpus)).max() < 1e-5


def test_a_tagger(learner, tmp_path, capsys):
    train(learner("method=supervised", "model.case=false"), folder=tmp_path / "run", quiet=True)
    assert main(["export", str(tmp_path / "run"), "--format", "onnx", "--int8"]) == 0
    assert re.search(r"int8: \d+ of \d+ tags of words changed", capsys.readouterr().out)
    made = export_model(tmp_path / "run", tmp_path / "out", "onnx")
    words = ["the", "cat", "and", "bread"]
    tokenizer = AutoTokenizer.from_pretrained(made.folder)
    rows = tokenizer(words, is_split_into_words=True)
    first = [rows.word_ids().index(number) for number in range(len(words))]
    found = softmax(session_answers(made.folder, [words], is_split_into_words=True))[0, first]
    assert np.abs(found - load(tmp_path / "run").probabilities([words])[0]).max() < 1e-5
    train(learner("method=supervised", "model.case=true"), folder=tmp_path / "case", quiet=True)
    with pytest.raises(InputError, match=r"model\.case=false"):
        export_model(tmp_path / "case", tmp_path / "none", "onnx")
    assert not (tmp_path / "none").exists()


def test_int8_counts_the_answers_that_it_changes(tiny, tmp_path, capsys):
    train(tiny(), folder=tmp_path / "run", quiet=True)
    assert main(["export", str(tmp_path / "run"), "--format", "onnx", "--int8"]) == 0
    out = tmp_path / "run-onnx-int8"
    said, warned = capsys.readouterr()
    assert not warned  # the exporter's and the quantiser's
    changed, rows = map(int, re.search(r"int8: (\d+) of (\d+) answers changed", said).groups())
    texts = rows_of_run(tmp_path / "run").texts
    wanted = load(tmp_path / "run").probabilities(texts)
    # One by one, since what int8 rounds depends on what stands beside it.
    found = session_answers(out, texts)
    assert rows == len(texts) == 15
    assert abs((found.argmax(1) != wanted.argmax(1)).sum() - changed) <= 1
    whole = export_model(tmp_path / "run", tmp_path / "whole", "onnx").folder
    assert (out / "model.onnx").stat().st_size < (whole / "model.onnx").stat().st_size
    assert f"{changed} of 15 answers changed" in (out / "README.md").read_text()


def test_int8_of_a_model_folder_wants_rows(tiny, tmp_path, capsys):
    train(tiny("training.steps=1"), folder=tmp_path / "run", quiet=True)
    (tmp_path / "run" / "model").rename(tmp_path / "alone")
    command = ["export", str(tmp_path / "alone"), "--format", "onnx", "--int8"]
    assert main(command) == 2
    assert "give --data FILE" in capsys.readouterr().err
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    assert main([*command, "--data", str(tmp_path / "texts.txt")]) == 0
    assert re.search(r"int8: \d of 3 answers changed", capsys.readouterr().out)
