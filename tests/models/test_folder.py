"""A model folder is whole or refused; what an earlier version wrote loads."""

import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from backtranslate import files
from mixtext.data.corpus import Corpus
from mixtext.errors import InputError
from mixtext.export.folder import export_model
from mixtext.inference import export, load
from mixtext.models.build import build_model
from mixtext.models.folder import load_parts
from mixtext.models.settings import ModelSettings
from mixtext.tagging.entities import load_tagger

WORDS = ModelSettings(encoder="kim_cnn", embedding="RandomTune", word_width=4)
CORPUS = Corpus.from_lists(["a cat", "old bread"], ["animal", "food"])


@pytest.fixture
def folder(tmp_path):
    model, tokenizer, _ = build_model(WORDS, CORPUS, 0)
    export(tmp_path / "model", model, tokenizer, WORDS, CORPUS)
    return tmp_path / "model"


def refusal(function, *arguments):
    with pytest.raises(InputError) as error:
        function(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


class Cut(Exception):
    """Ends a writing as a kill would."""


def test_a_kill_never_leaves_parts_of_two_models(folder, monkeypatch):
    """Written over, the old model stays until the new one is whole."""
    first, tokenizer, _ = build_model(WORDS, CORPUS, 0)
    other, _, _ = build_model(WORDS, CORPUS, seed=1)

    def cut(*arguments, **settings):
        raise Cut

    for owner, name in ((type(tokenizer), "save_pretrained"), (files, "_exchange")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, cut)
            with pytest.raises(Cut):
                export(folder, other, tokenizer, WORDS, CORPUS)
        assert same_weights(load(folder).model, first)
    export(folder, other, tokenizer, WORDS, CORPUS)
    assert same_weights(load(folder).model, other)
    assert [x.name for x in folder.parent.iterdir()] == [folder.name]


def same_weights(a, b):
    return all(map(torch.equal, a.state_dict().values(), b.state_dict().values()))


def test_files_have_the_mode_that_the_umask_gives(tmp_path):
    model, tokenizer, _ = build_model(WORDS, CORPUS, 0)
    before = os.umask(0o027)
    try:
        export(tmp_path / "model", model, tokenizer, WORDS, CORPUS)
    finally:
        os.umask(before)
    assert {x.stat().st_mode & 0o777 for x in (tmp_path / "model").iterdir()} == {0o640}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"task": "single", "model": {}}'])
def test_a_damaged_description_is_refused(folder, text):
    (folder / "mixtext.json").write_text(text)
    assert "mixtext.json is damaged" in refusal(load, folder)
    assert "mixtext.json is damaged" in refusal(load_tagger, folder)


def without_checksums(folder):
    """Makes of a folder one of an earlier version; what its description says."""
    about = json.loads((folder / "mixtext.json").read_text())
    del about["sha256"]
    (folder / "mixtext.json").write_text(json.dumps(about))
    return about


def test_a_flipped_bit_is_refused_wherever_it_is(folder, tmp_path):
    generator, names = np.random.default_rng(0), {x.name for x in folder.iterdir()}
    assert {"mixtext.json", "head.safetensors", "encoder.safetensors", "tokenizer.json"} <= names
    about = json.loads((folder / "mixtext.json").read_text())
    assert about["sha256"].keys() == names
    for name in names - {"mixtext.json"}:
        path = folder / name
        whole = path.read_bytes()
        for place in generator.integers(0, 8 * len(whole), 20):
            flipped = bytearray(whole)
            flipped[place // 8] ^= 1 << place % 8
            path.write_bytes(flipped)
            said = refusal(load, folder)
            assert f"{path} is not as it was written" in said and "export the model again" in said
            assert str(path) in refusal(export_model, folder, tmp_path / "out")
        path.write_bytes(whole)
    (folder / "mixtext.json").write_text(json.dumps({**about, "label_names": ["a", "c"]}))
    assert "mixtext.json is not as it was written" in refusal(load, folder)
    (folder / "tokenizer.json").unlink()
    assert "tokenizer.json is not as it was written" in refusal(load, folder)


def test_what_is_changed_on_purpose_loads_without_checksums(folder):
    without_checksums(folder)
    path = folder / "head.safetensors"
    save_file({name: weight * 2 for name, weight in load_file(path).items()}, path)
    assert load(folder).label_names == CORPUS.label_names


@pytest.mark.parametrize("name", ["head.safetensors", "encoder.safetensors"])
def test_damaged_weights_are_refused(folder, name):
    about = without_checksums(folder)
    whole = (folder / name).read_bytes()
    for broken in (whole[:-1], b""):
        (folder / name).write_bytes(broken)
        assert f"{name} cannot be read" in refusal(load, folder)
    (folder / name).write_bytes(whole)
    about["model"]["head_width"] = 7
    (folder / "mixtext.json").write_text(json.dumps(about))
    assert "does not fit mixtext.json" in refusal(load, folder)


@pytest.mark.parametrize(
    ("task", "target"),
    [("single", "classes"), ("pair", "classes"), ("regression", "scores"), ("vectors", "classes")],
)
def test_the_one_word_of_earlier_versions_tells_the_target(folder, task, target):
    about = without_checksums(folder)
    del about["target"]
    (folder / "mixtext.json").write_text(json.dumps({**about, "task": task}))
    assert load_parts(folder).about["target"] == target
