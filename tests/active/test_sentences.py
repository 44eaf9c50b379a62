"""The rounds: what is asked, added and trained; killed and resumed; a person in the loop."""

import json
import shutil

import numpy as np
import pytest
import torch

from mixtext.active.folder import begin_active, open_active
from mixtext.active.rounds import Rounds
from mixtext.active.sentences import read_labels
from mixtext.errors import InputError
from mixtext.tagging.conll import conll_text, read_conll
from mixtext.training.loop import Trainer

pytestmark = pytest.mark.slow


class Killed(Exception):
    """Stands for a kill."""


def curve(state):
    """The curve without what depends on the clock."""
    return [{k: v for k, v in point.items() if k != "clock"} for point in state.curve]


def answer(run, out):
    """Labels the waiting sentences as the corpus has them."""
    state = run.saved()
    asked = run.asked(state)
    rows = [run.data.pool.ids.index(one) for one in asked.ids]
    out.write_text(conll_text(run.data.pool.select(rows)), encoding="utf-8")
    return out


@pytest.mark.parametrize("policy", ["random", "least_confidence", "token_entropy", "committee"])
def test_every_round_asks_anew_and_never_for_a_labelled_sentence(learner, tmp_path, policy):
    run = begin_active(learner(f"active.policy={policy}"), tmp_path / "run", quiet=True)
    state = run.go_on()
    seed, pool = {*run.data.seed.ids}, {*run.data.pool.ids}
    assert not seed & pool
    assert not {*map(tuple, run.data.seed.sentences)} & {*map(tuple, run.data.pool.sentences)}
    asked = [one for ids in state.queries for one in ids]
    assert [len(ids) for ids in state.queries] == [5, 5]
    assert len({*asked}) == 10 and {*asked} <= pool
    assert {*state.pool} == pool - {*asked}
    assert [point["labelled"] for point in state.curve] == [10, 15, 20]
    assert state.phase == "done"


def test_at_most_a_share_of_each_rounds_sentences_is_added(learner, tmp_path):
    run = begin_active(learner("seqmix.rate=0.5"), tmp_path / "run", quiet=True)
    state = run.go_on()
    made = [run.generated(k) for k in range(3)]
    assert [len(one) for one in made] == [5, 2, 2]  # int(0.5 · 10), int(0.5 · 5)
    new = [[*run.data.seed.ids], *state.queries]
    for sentences, ids in zip(made, new, strict=True):  # parents are of the same round
        assert {parent for one in sentences for parent in one.parents} <= {*ids}
    for one in [x for part in made for x in part]:
        labels = np.array(one.labels)
        assert np.allclose(labels.sum(axis=1), 1)
        outside = np.ones(len(one.words), dtype=bool)
        outside[one.start : one.start + one.size] = False
        assert ((labels[outside] == 0) | (labels[outside] == 1)).all()
    assert [point["generated"] for point in state.curve] == [5, 7, 9]


@pytest.mark.parametrize("length", ["training.steps=5", "training.epochs=2"])
def test_every_arm_makes_the_same_updates(learner, tmp_path, length):
    updates = {}
    none = ["training.steps=0"] if "epochs" in length else []
    for name, overrides in {
        "plain": ["method=supervised", "active.policy=random"],
        "mixed": ["seqmix.rate=2.0"],
        "whole": ["seqmix.pairing=whole_sequence", "seqmix.threshold=0.1"],
        "committee": ["active.policy=committee", "active.committee=2"],
    }.items():
        recipe = learner(*none, length, "active.rounds=1", *overrides)
        state = begin_active(recipe, tmp_path / name, quiet=True).go_on()
        updates[name] = [point["updates"] for point in state.curve]
        assert (state.curve[0]["generated"] > 0) == (recipe.method.name == "seqmix")
    expected = [5, 5] if "steps" in length else [2 * 3, 2 * 4]  # ⌈10/4⌉ and ⌈15/4⌉ steps an epoch
    assert [*updates.values()] == [expected] * 4


def test_members_of_a_committee_differ_in_their_seed(learner, tmp_path):
    recipe = learner("active.policy=committee", "active.committee=3", "active.rounds=1")
    begin_active(recipe, tmp_path, quiet=True).go_on()
    point, losses = tmp_path / "points" / "round-00", []
    for folder in (point, point / "member-1", point / "member-2"):
        lines = [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]
        losses.append([x["loss/total"] for x in lines if x["kind"] == "train"])
    assert all(losses) and losses[0] != losses[1] != losses[2] != losses[0]


# In the seed set's training, in a further member's (the second of which is done), in the last.
@pytest.mark.parametrize(("policy", "at"), [("random", 4), ("committee", 14), ("random", 9)])
def test_killed_and_resumed_gives_the_same_curve(learner, tmp_path, monkeypatch, policy, at):
    recipe = learner("training.checkpoint_every=2", f"active.policy={policy}", "active.rounds=1")
    whole = begin_active(recipe, tmp_path / "whole", quiet=True).go_on()
    real, steps = Trainer.step, []

    def step(trainer, number, collect):
        steps.append(number)
        if len(steps) == at:
            raise Killed
        return real(trainer, number, collect)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(Killed):
        begin_active(recipe, tmp_path / "killed", quiet=True).go_on()
    torch.manual_seed(123)  # a new process begins anywhere
    run = begin_active(recipe, tmp_path / "killed", resume=True, quiet=True)
    state = run.go_on()
    assert curve(state) == curve(whole)
    assert state.queries == whole.queries and state.generator == whole.generator
    for file in sorted((tmp_path / "whole" / "generated").iterdir()):
        assert file.read_text() == (tmp_path / "killed" / "generated" / file.name).read_text()
    weights = [
        (tmp_path / x / "model" / "model.safetensors").read_bytes() for x in ("whole", "killed")
    ]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("moment", ["save", "reveal", "draw"])
def test_killed_between_the_trainings(learner, tmp_path, monkeypatch, moment):
    recipe = learner("active.rounds=1")
    whole = begin_active(recipe, tmp_path / "whole", quiet=True).go_on()
    real, calls = getattr(Rounds, moment), []

    def killed(run, state):
        calls.append(state.round)
        if len(calls) == (1 if moment == "reveal" else 2):
            raise Killed
        return real(run, state)

    monkeypatch.setattr(Rounds, moment, killed)
    with pytest.raises(Killed):
        begin_active(recipe, tmp_path / "killed", quiet=True).go_on()
    monkeypatch.undo()
    state = begin_active(recipe, tmp_path / "killed", resume=True, quiet=True).go_on()
    assert curve(state) == curve(whole)
    assert state.queries == whole.queries


def test_arms_of_one_seed_begin_with_the_same_model_and_seeds_differ(learner, tmp_path):
    first = {}
    for name, overrides in {
        "random": ["active.policy=random"],
        "entropy": ["active.policy=token_entropy"],
        "other": ["active.policy=random", "training.seed=1", "data.split_seed=1"],
    }.items():
        recipe = learner("method=supervised", "active.rounds=1", *overrides)
        run = begin_active(recipe, tmp_path / name, quiet=True)
        state = run.go_on()
        first[name] = (curve(state)[0]["test"], run.data.seed.ids, state.queries)
    assert first["random"][:2] == first["entropy"][:2]
    assert first["random"][2] != first["entropy"][2]
    assert first["random"][1] != first["other"][1]


def test_a_person_labels_and_the_curve_is_that_of_the_same_labels(learner, tmp_path):
    gold = begin_active(learner(), tmp_path / "gold", quiet=True).go_on()
    folder = tmp_path / "person"
    run = begin_active(learner("active.annotator=person"), folder, quiet=True)
    for round_ in (1, 2):
        state = run.go_on()
        assert (state.phase, state.round) == ("label", round_ - 1)
        assert (run.asked(state).tags[0] == -1).all()
        assert (folder / "model" / "mixtext.json").is_file()  # a model to use meanwhile
        run = open_active(folder, quiet=True)  # another process
        run.take(answer(run, tmp_path / f"answer-{round_}.conll"))
    state = open_active(folder, quiet=True).go_on()
    assert state.phase == "done"
    assert curve(state) == curve(gold) and state.queries == gold.queries
    with pytest.raises(InputError, match="waits for no labels: it is done"):
        run.asked(state)


def test_labels_of_the_pool_are_not_looked_at_before_they_are_given(
    learner, tmp_path, encoder, tagged_files
):
    """The same run on a pool whose labels are all wrong asks the same and makes the same."""
    text = (tagged_files / "train.conll").read_text()
    run = begin_active(learner("active.annotator=person"), tmp_path / "a", quiet=True)
    state = run.go_on()
    wrong = {tuple(s) for s in run.data.pool.sentences}
    blocks = []
    for block in text.split("\n\n"):
        rows = [line.split() for line in block.strip().splitlines()]
        if tuple(word for word, _ in rows) in wrong:
            rows = [[word, "B-PER"] for word, _ in rows]
        blocks.append("\n".join(" ".join(row) for row in rows))
    (tmp_path / "train.conll").write_text("\n\n".join(blocks))
    other = begin_active(
        learner("active.annotator=person", f"data.corpus={tmp_path / 'train.conll'}"),
        tmp_path / "b",
        quiet=True,
    )
    again = other.go_on()
    assert (again.queries, curve(again)) == (state.queries, curve(state))


def test_a_persons_file_is_checked(learner, tmp_path):
    run = begin_active(learner("active.annotator=person"), tmp_path / "run", quiet=True)
    asked = run.asked(run.go_on())
    good = answer(run, tmp_path / "good.conll").read_text()
    path = tmp_path / "bad.conll"

    def refusal(text):
        path.write_text(text)
        with pytest.raises(InputError) as error:
            read_labels(path, asked)
        return str(error.value)

    first = good.splitlines()[2].split("\t")[0]
    unknown = refusal(good.replace("-PER", "-Q"))
    assert "the tag 'B-Q' is not among the known ones (O, B-LOC, I-LOC, B-PER, I-PER)" in unknown
    assert "words of sentence" in refusal(good.replace(f"\n{first}\t", "\nother\t", 1))
    cut = good[: good.rindex("# sent_id")]
    assert "lacks 1 of the sentences" in refusal(cut)
    assert "not asked for" in refusal(good + "# sent_id = new\nx\tO\n")
    (tmp_path / "blank.conll").write_text(conll_text(asked), encoding="utf-8")
    assert "is not labelled yet" in refusal((tmp_path / "blank.conll").read_text())
    path.write_text(good)
    assert read_labels(path, asked).ids == asked.ids
    assert read_conll(path, tag="TAG").labelled.all()
    assert not (tmp_path / "run" / "labels").exists()


def test_a_fault_in_a_persons_tags_is_refused(learner, tmp_path):
    run = begin_active(learner("active.annotator=person"), tmp_path / "run", quiet=True)
    asked = run.asked(run.go_on())
    path = answer(run, tmp_path / "bad.conll")
    path.write_text(path.read_text().replace("\tB-", "\tI-"))
    with pytest.raises(InputError, match=r"bad\.conll, line \d+: I-\w+ begins an entity"):
        read_labels(path, asked)


def test_soft_labels_reach_the_model(learner, tmp_path):
    run = begin_active(learner("seqmix.alpha=100.0"), tmp_path / "run", quiet=True)
    state = run.begin()
    generated = run.generated(0)
    soft = [np.array(one.labels).max(axis=1).min() for one in generated]
    assert min(soft) < 0.9  # some labels are mixed
    run.train(state)
    scores = [json.loads(x) for x in (run.folder / "points/round-00/metrics.jsonl").open()]
    assert any(line["kind"] == "test" for line in scores)
    assert state.curve[0]["generated"] == len(generated) > 0


def test_tensorboard_has_the_curve_and_generated_sentences(learner, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = begin_active(learner("active.rounds=1"), tmp_path / "run", quiet=True)
    state = run.go_on()
    events = EventAccumulator(str(run.folder))
    events.Reload()
    points = [(e.step, e.value) for e in events.Scalars("curve_test/f1")]
    assert points == [(p["labelled"], pytest.approx(p["test"]["f1"])) for p in state.curve]
    texts = events.Tensors("generated/text_summary")
    assert "B-" in str(texts[0].tensor_proto.string_val[0])


def test_what_cannot_be_run_is_refused_before_anything_is_written(learner, tmp_path):
    for overrides, part in (
        (["active.per_round=20"], "the pool has 30"),
        (["active.rounds=-1"], "active.rounds is -1"),
        (["active.committee=1"], "active.committee is 1"),
        (["data.labelled=61"], "60 different labelled"),
        (["data.pool_size=60"], "only 50 sentences are left"),
        (["training.select=accuracy"], "selected by F1"),
        (["seqmix.threshold=2.0"], "seqmix.threshold is 2.0"),
        (["seqmix.vectors=none.txt"], "none.txt"),
        (["seqmix.language_model=./none"], "Cannot load the causal model './none'"),
        (["model.encoder=./none"], "Encoder './none' is not there"),
        (["model.max_length=65"], "takes at most 64 tokens"),
        (["training.device=cuda:99"], "not available here"),
    ):
        with pytest.raises(InputError, match=part):
            begin_active(learner(*overrides), tmp_path / "run", quiet=True)
        assert not (tmp_path / "run").exists()


def test_a_folder_with_something_else_is_left_alone(learner, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not a run folder"):
        begin_active(learner(), tmp_path / "run", quiet=True)
    assert [x.name for x in (tmp_path / "run").iterdir()] == ["thesis.txt"]
    (tmp_path / "run" / "thesis.txt").unlink()
    begin_active(learner(), tmp_path / "run", quiet=True)
    (tmp_path / "run" / "recipe.toml").unlink()  # what a kill leaves behind
    begin_active(learner(), tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "recipe.toml").is_file()


def test_a_pool_without_labels_needs_a_person(learner, tmp_path, tagged_files):
    pool = tmp_path / "pool.txt"
    lines = (tagged_files / "train.conll").read_text().splitlines()
    words = "\n".join(line.split()[0] if line else "" for line in lines)
    pool.write_text(words + "\n\nheron\nplum\n\nheron\nplum\n")
    recipe = learner(f"data.pool={pool}", "data.pool_size=0")
    with pytest.raises(InputError, match=r"active\.annotator is 'gold'"):
        begin_active(recipe, tmp_path / "gold", quiet=True)
    recipe = learner(f"data.pool={pool}", "data.pool_size=0", "active.annotator=person")
    run = begin_active(recipe, tmp_path / "run", quiet=True)
    assert len(run.data.pool) == 60 - 10 + 1  # the seed's sentences and the repeated one are out
    assert run.go_on().phase == "label"


def test_other_data_and_other_recipes_are_not_gone_on_with(learner, tmp_path, tagged_files):
    copy = tmp_path / "train.conll"
    shutil.copy(tagged_files / "train.conll", copy)
    recipe = learner(f"data.corpus={copy}", "active.rounds=0")
    folder = tmp_path / "run"
    begin_active(recipe, folder, quiet=True).go_on()
    with pytest.raises(InputError, match="add --resume"):
        begin_active(recipe, folder, quiet=True)
    with pytest.raises(InputError, match="another recipe"):
        begin_active(learner("active.rounds=0"), folder, resume=True, quiet=True)
    copy.write_text(copy.read_text().replace("cat", "dog"))
    with pytest.raises(InputError, match=r"(seed|pool) data of run folder .* have changed"):
        open_active(folder, quiet=True)
    with pytest.raises(InputError, match="holds no run of active learning"):
        open_active(tmp_path)


def test_nothing_to_mix_adds_nothing(learner, tmp_path):
    recipe = learner("seqmix.window=50", "active.rounds=0")
    state = begin_active(recipe, tmp_path / "run", quiet=True).go_on()
    assert state.curve[0]["generated"] == 0
