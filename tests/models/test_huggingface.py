"""A trained model is an honest Hugging Face model: the same answers, or none at all."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

from mixtext.api import load, train
from mixtext.cli import main
from mixtext.data.batches import Padded
from mixtext.errors import InputError
from mixtext.models.classifier import Classifier
from mixtext.models.encoder import MixableEncoder
from mixtext.models.folder import save_parts
from mixtext.models.heads import MlpHead
from mixtext.models.modeling_mixtext import (
    MixTextForSequenceClassification,
    MixTextForTokenClassification,
)
from mixtext.models.pretrained import load_encoder
from mixtext.tagging.tagger import Tagger

TEXTS = ["the cat and bread", "a dog near soup with the old plum", "saw"]


@pytest.fixture
def trained(tiny, tmp_path):
    """Overrides → the model folder of a run, and its predictor."""

    def make(*overrides):
        folder = tmp_path / "run"
        train(tiny(*overrides), folder=folder, quiet=True)
        return folder / "model", load(folder)

    return make


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model.pool=max", "model.head_width=0"),
        ("model.pool=last",),
        ("model.pool=first", "model.use_mask=false", "model.pad_to_max=true"),
        ("model.pool=pooler",),
    ],
    ids=["mean", "max", "last", "unmasked", "pooler"],
)
def test_a_classifier_answers_in_a_pipeline_as_in_predict(overrides, trained):
    folder, predictor = trained(*overrides)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert isinstance(model, MixTextForSequenceClassification)
    wanted = predictor.probabilities(TEXTS)
    answers = pipeline("text-classification", str(folder), top_k=None)(TEXTS)
    for row, answer in zip(wanted, answers, strict=True):
        found = {one["label"]: one["score"] for one in answer}
        for name, probability in zip(predictor.label_names, row, strict=True):
            assert abs(found[name] - probability) < 1e-6


def test_a_model_trained_in_bfloat16_can_answer_as_the_pipeline_does(trained, capsys):
    folder, rounded = trained("training.precision=bfloat16")
    answers = pipeline("text-classification", str(folder))(TEXTS)
    wanted = np.array([one["score"] for one in answers])
    found = load(folder.parent, precision="float32").probabilities(TEXTS).max(1)
    assert np.abs(found - wanted).max() < 1e-6
    assert np.abs(rounded.probabilities(TEXTS).max(1) - wanted).max() > 1e-6
    assert main(["predict", str(folder), "--precision", "float32", *TEXTS]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["probabilities"][one["label"]] for one in said] == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(InputError, match="'float16'"):
        load(folder, precision="float16")


def test_bert_with_its_pooler_and_one_layer_is_transformers_own(trained):
    folder, predictor = trained("model.pool=pooler", "model.head_width=0")
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert not [*folder.glob("*.py")]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
    found = torch.softmax(logits, -1).numpy()
    assert np.abs(found - predictor.probabilities(TEXTS)).max() < 1e-6
    assert [model.config.id2label[n] for n in range(3)] == predictor.label_names


def test_scores_and_pairs(tiny, encoder, tmp_path, draw_texts):
    texts, _ = draw_texts(12)
    table = "".join(
        f"{a},{b},{n % 5}\n" for n, (a, b) in enumerate(zip(texts, texts[::-1], strict=True))
    )
    (tmp_path / "pairs.csv").write_text("one,two,value\n" + table)
    recipe = tiny(
        f"data.corpus={tmp_path / 'pairs.csv'}", 'data.text=["one"]', 'data.pair=["two"]',
        "data.label=value", "data.scores=[0, 4]", "data.labels_per_class=12", "model.max_length=40",
    )  # fmt: skip
    train(recipe, folder=tmp_path / "run", quiet=True)
    wanted = load(tmp_path / "run").probabilities(texts[:4], texts[4:8])[:, 0]
    judge = pipeline("text-classification", str(tmp_path / "run" / "model"))
    rows = [{"text": a, "text_pair": b} for a, b in zip(texts[:4], texts[4:8], strict=True)]
    answers = [judge(row) for row in rows]
    answers = [a[0] if isinstance(a, list) else a for a in answers]
    assert {one["label"] for one in answers} == {"score"}
    assert np.abs(np.array([one["score"] for one in answers]) - wanted).max() < 1e-6


@pytest.mark.parametrize("case", [False, True])
def test_a_tagger_answers_token_by_token(case, learner, tmp_path):
    recipe = learner("method=supervised", f"model.case={str(case).lower()}")
    train(recipe, folder=tmp_path / "run", quiet=True)
    folder, predictor = tmp_path / "run" / "model", load(tmp_path / "run")
    words = ["the", "cat", "and", "Bread", "xyz"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    rows = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    if case:
        assert isinstance(model, MixTextForTokenClassification)
        with pytest.raises(ValueError, match="told the letter case"):
            model(**rows)
        return
    assert type(model).__name__ == "BertForTokenClassification"
    with torch.no_grad():
        found = torch.softmax(model(**rows).logits, -1)[0].numpy()
    first = [rows.word_ids().index(number) for number in range(len(words))]
    assert np.abs(found[first] - predictor.probabilities([words])[0]).max() < 1e-6
    ner = pipeline("token-classification", str(folder))
    assert {one["entity"] for one in ner("the cat and bread")} <= {*predictor.tag_names}


SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 24, "max_position_embeddings": 40, "pad_token_id": 0}
DISTIL = {"vocab_size": 40, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
FAMILIES = {
    "roberta": SIZES,
    "electra": SIZES | {"embedding_size": 8},
    "distilbert": DISTIL,
    "mpnet": SIZES,
    "modernbert": SIZES | {"bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1},
    "deberta-v2": SIZES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
}


@pytest.mark.parametrize("target", ["classes", "tags"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_keeps_its_weights_and_its_answers(family, target, tmp_path):
    torch.manual_seed(0)
    encoder = MixableEncoder(
        AutoModel.from_config(AutoConfig.for_model(family, **FAMILIES[family])).eval()
    )
    names = ["x", "y", "z"]
    about = {"target": target, "precision": "float32"}
    about["model"] = {"encoder": family, "max_length": 9, "head_width": 8, "pad_to_max": False}
    if target == "tags":
        model = Tagger(encoder, 3).eval()
        about |= {"task": "tagging", "tag_names": names}
        kind = AutoModelForTokenClassification
    else:
        model = Classifier(encoder, MlpHead(encoder.hidden_size, 3, 8)).eval()
        about |= {"task": "single", "label_names": names}
        kind = AutoModelForSequenceClassification
    save_parts(tmp_path / "model", model, None, about)
    found, report = kind.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"]
    ids = torch.randint(3, 40, (4, 9))
    mask = (torch.arange(9) < torch.tensor([[9], [5], [3], [7]])).long()
    with torch.no_grad():
        wanted = model(Padded(ids, mask))
        logits = found.eval()(input_ids=ids, attention_mask=mask).logits
    if target == "tags":
        wanted, logits = wanted[mask.bool()], logits[mask.bool()]
    assert (wanted - logits).abs().max() < 1e-6


def alone(folder, trust):
    """Loads a folder in a process that has not imported mixtext."""
    code = (
        "import sys\n"
        "from transformers import AutoModelForSequenceClassification as A, AutoTokenizer as T\n"
        "import torch\n"
        f"m = A.from_pretrained({str(folder)!r}, trust_remote_code={trust}).eval()\n"
        "assert 'mixtext' not in sys.modules\n"
        f"t = T.from_pretrained({str(folder)!r}, trust_remote_code={trust})\n"
        f"print(torch.softmax(m(**t({TEXTS[0]!r}, return_tensors='pt')).logits, -1)[0].tolist())"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_without_mixtext_it_loads_with_its_code_or_not_at_all(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder, predictor = trained()
    allowed = alone(folder, True)
    assert allowed.returncode == 0, allowed.stderr
    found = np.array(json.loads(allowed.stdout))
    assert np.abs(found - predictor.probabilities(TEXTS[:1])[0]).max() < 1e-6
    refused = alone(folder, False)
    assert refused.returncode != 0 and "trust_remote_code" in refused.stderr


def test_a_model_of_another_kind_is_refused_rather_than_given_a_random_head(
    trained, learner, tmp_path
):
    folder, _ = trained()
    train(learner("method=supervised", "training.steps=1"), folder=tmp_path / "tagger", quiet=True)
    tagger = tmp_path / "tagger" / "model"
    wrong = {folder: AutoModelForTokenClassification, tagger: AutoModelForSequenceClassification}
    for place, kind in wrong.items():
        with pytest.raises(ValueError, match="no weights for the head of a MixTextFor"):
            kind.from_pretrained(place)
        AutoModel.from_pretrained(place).save_pretrained(tmp_path / "bare")
        with pytest.raises(ValueError, match="the model is a MixTextModel"):
            kind.from_pretrained(tmp_path / "bare")

    class Mine(MixTextForSequenceClassification):
        pass

    assert Mine.from_pretrained(folder).config.num_labels == 3


def test_a_trained_model_serves_as_an_encoder(trained, tiny, tmp_path):
    folder, predictor = trained()
    encoder, _ = load_encoder(str(folder))
    own = predictor.model.encoder.state_dict()
    assert encoder.state_dict().keys() == own.keys()
    assert all(torch.equal(weight, own[name]) for name, weight in encoder.state_dict().items())
    states = AutoModel.from_pretrained(folder).eval()(torch.tensor([[2, 7, 3]]))
    assert torch.allclose(states.last_hidden_state, encoder.eval()(torch.tensor([[2, 7, 3]]))[0])
    train(tiny(f"model.encoder={folder}"), folder=tmp_path / "next", quiet=True)


def test_a_folder_of_version_0_1_loads(trained, tmp_path):
    """An encoder that AutoModel loads, and the head beside it."""
    folder, predictor = trained()
    old = tmp_path / "old"
    predictor.model.encoder.model.save_pretrained(old)
    predictor.tokenizer.save_pretrained(old)
    save_file(predictor.model.head.state_dict(), old / "head.safetensors")
    about = json.loads((folder / "mixtext.json").read_text())
    del about["sha256"]
    (old / "mixtext.json").write_text(json.dumps(about))
    assert np.array_equal(load(old).probabilities(TEXTS), predictor.probabilities(TEXTS))
