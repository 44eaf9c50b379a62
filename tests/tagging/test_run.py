"""Plain training of taggers: the recipe, the run folder, what resuming and data changes do."""

import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from mixtext.cli import main
from mixtext.data.read.options import ReadOptions
from mixtext.errors import InputError
from mixtext.inference import load
from mixtext.models.pretrained import load_tokenizer
from mixtext.recipe import build_recipe, dump_recipe, fields_of, flat
from mixtext.settings import read_toml
from mixtext.tagging.conll import read_conll
from mixtext.tagging.entities import load_tagger
from mixtext.tagging.recipe import TaggingRecipe
from mixtext.tagging.run import TaggerRun, evaluate_tagger, train_tagger
from mixtext.training.loop import Trainer

pytestmark = pytest.mark.slow


class Killed(Exception):
    """Stands for a kill."""


def load_recipe(path, overrides=()):
    return build_recipe(TaggingRecipe, read_toml(path), overrides, str(path))


def test_a_recipe_survives_being_written_and_read(learner, tmp_path):
    recipe = learner("seqmix.quantiles=[0.1, 0.9]", "data.columns=['a b', 'c']")
    path = tmp_path / "recipe.toml"
    path.write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(path) == recipe
    assert load_recipe(path, ("training.seed=7",)).training.seed == 7
    assert flat(recipe)["seqmix.window"] == 2


def test_the_shipped_recipe_is_the_papers_budget():
    recipe = load_recipe(Path(__file__).parents[2] / "experiments" / "conll.toml")
    assert (recipe.data.labelled, recipe.active.rounds, recipe.active.per_round) == (200, 5, 100)
    assert (recipe.method.window, recipe.method.threshold, recipe.method.alpha) == (5, 0.6, 8)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({}, "task is None"),
        ({"task": "single"}, "task is 'single'"),
        ({"task": "tagging", "sequmix": {}}, "unknown key 'sequmix' (did you mean 'seqmix'?)"),
        ({"task": "tagging", "data": {"corpse": "x"}}, "unknown key 'corpse'"),
        ({"task": "tagging", "method": "tmix"}, "method is 'tmix'"),
        ({"task": "tagging", "seqmix": {"rate": "much"}}, "seqmix.rate is 'much'"),
        ({"task": "tagging", "active": {"policy": "best"}}, "active.policy is 'best'"),
        ({"task": "tagging"}, "data.corpus is empty"),
        (
            {"task": "tagging", "data": {"corpus": "x"}, "training": {"patience": 2}},
            "training.patience is 2 but data.dev is empty",
        ),
    ],
)
def test_recipes_that_are_refused(values, part):
    with pytest.raises(InputError) as error:
        build_recipe(TaggingRecipe, values)
    assert part in str(error.value)


@pytest.fixture(scope="module")
def shallow(encoder, tmp_path_factory):
    """The folder of a random BERT of two layers, whose states still tell one word from another."""
    folder = tmp_path_factory.mktemp("shallow")
    load_tokenizer(encoder).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig.from_pretrained(encoder)
    config.num_hidden_layers, config.initializer_range = 2, 0.1
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_tagger_learns_what_it_is_shown(learner, shallow, tmp_path, tagged_files):
    recipe = learner(
        "method=supervised", "data.labelled=50", "data.pool_size=0", "training.steps=120",
        "training.evaluate_every=40", f"data.dev={tagged_files / 'train.conll'}",
        f"data.test={tagged_files / 'train.conll'}", f"model.encoder={shallow}",
        "training.batch=16", "training.lr_encoder=1e-2", "training.lr_head=3e-2",
    )  # fmt: skip
    folder = tmp_path / "run"
    result = train_tagger(recipe, folder, quiet=True)
    assert result["test"]["f1"] > 0.8
    assert result["labelled"] == 50 and result["generated"] == 0
    assert result["best_step"] in (40, 80, 120) and result["dev"]["f1"] == result["test"]["f1"]
    told = json.loads((folder / "result.json").read_text())
    assert told == result.values and told["settings"] == json.loads(json.dumps(fields_of(recipe)))
    assert evaluate_tagger(folder, recipe.data.test)["f1"] == pytest.approx(result["test"]["f1"])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    assert [x["step"] for x in lines if x["kind"] == "dev"] == [40, 80, 120]
    answers = json.loads((folder / "answers.json").read_text())
    assert answers["part"] == "test" and answers["metrics"] == result["test"]
    # Once more: finished runs are given back.
    assert train_tagger(recipe, folder, resume=True, quiet=True) == result


def test_generated_sentences_are_added_without_further_updates(learner, tmp_path):
    recipe = learner("training.steps=0", "training.epochs=2", "seqmix.rate=1.0")
    run = TaggerRun.prepare(recipe)
    assert len(run.generated) == 10
    assert len(run.trainer.feed.labelled.rows) == 20
    assert run.trainer.plan.total == 2 * 3  # of the ten labelled ones alone
    assert "10 generated sentences" in run.describe() and "6 steps" in run.describe()
    assert run.estimate() > 0
    folder = tmp_path / "run"
    train_tagger(recipe, folder, quiet=True)
    lines = (folder / "generated.txt").read_text().splitlines()
    assert len(lines) == 10 and all("[" in line for line in lines)


def test_killed_and_resumed(learner, tmp_path, monkeypatch):
    recipe = learner("training.checkpoint_every=2")
    whole = train_tagger(recipe, tmp_path / "whole", quiet=True)
    real = Trainer.step

    def step(trainer, number, collect):
        if number == 3:
            raise Killed
        return real(trainer, number, collect)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(Killed):
        train_tagger(recipe, tmp_path / "killed", quiet=True)
    monkeypatch.undo()
    result = train_tagger(recipe, tmp_path / "killed", resume=True, quiet=True)
    assert {**result.values, "clock": 0} == {**whole.values, "clock": 0}


def as_bilou(tags):
    """BIO tags, whose entities end where no I- follows, in the notation that marks their ends."""
    after = [*tags[1:], "O"]
    ends = {"B": "U", "I": "L", "O": "O"}
    return [
        a if b.startswith("I") else ends[a[0]] + a[1:] for a, b in zip(tags, after, strict=True)
    ]


def test_other_files_than_those_of_the_run(learner, tmp_path, tagged_files, capsys):
    folder = tmp_path / "run"
    train_tagger(learner(), folder, quiet=True)
    corpus = read_conll(tagged_files / "test.conll")
    text = "# global.columns = A B C\n" + "\n\n".join(
        "\n".join(f"x {word} {tag}" for word, tag in zip(words, corpus.named(row), strict=True))
        for row, words in enumerate(corpus.sentences)
    )
    (tmp_path / "other.conll").write_text(text)
    plain = evaluate_tagger(folder, str(tagged_files / "test.conll"))
    columns = ReadOptions(text="B", label="C")
    assert evaluate_tagger(folder, str(tmp_path / "other.conll"), columns) == plain
    assert evaluate_tagger(folder / "model", str(tagged_files / "test.conll")) == plain
    bilou = "\n\n".join(
        "\n".join(f"{word} {tag}" for word, tag in zip(words, as_bilou(tags), strict=True))
        for words, tags in zip(corpus.sentences, map(corpus.named, range(len(corpus))), strict=True)
    )
    (tmp_path / "bilou.tsv").write_text(bilou.replace(" ", "\t"))  # the notation is another alone
    assert evaluate_tagger(folder, str(tmp_path / "bilou.tsv")) == plain
    assert main(["predict", str(folder), "--file", str(tmp_path / "bilou.tsv")]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["tokens"] for line in out.splitlines()] == corpus.sentences
    assert "read by the scheme bilou" in err and "longer than the specified" not in err
    (tmp_path / "strange.conll").write_text("cat B-Q\n")
    with pytest.raises(InputError, match="entity type 'Q'"):
        evaluate_tagger(folder, str(tmp_path / "strange.conll"))
    (tmp_path / "bare.conll").write_text("cat ?\n")
    with pytest.raises(InputError, match="no labelled sentence to score"):
        evaluate_tagger(folder, str(tmp_path / "bare.conll"))
    with pytest.raises(InputError, match="holds a tagger"):
        load(folder)


def test_no_tagger_there(tmp_path):
    with pytest.raises(InputError, match="holds no finished tagger"):
        load_tagger(tmp_path)


def test_the_default_recipe_needs_a_corpus():
    with pytest.raises(InputError, match=r"data\.corpus is empty"):
        TaggingRecipe()
