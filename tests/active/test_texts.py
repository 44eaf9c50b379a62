"""Rounds of classifiers: what is asked, of whom, and learned from; killed and gone on with."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mixtext.active.folder import begin_active, open_active
from mixtext.active.rounds import Rounds
from mixtext.active.texts import form_text, read_form
from mixtext.api import load, train
from mixtext.cli import main
from mixtext.data.batches import Feed
from mixtext.data.corpus import Corpus
from mixtext.errors import InputError
from mixtext.recipe import dump_recipe
from mixtext.report.curves import curve_table, read_curves
from mixtext.report.verdicts import verdicts_of
from mixtext.training.loop import Trainer

SMALL = ("active.rounds=2", "active.per_round=5", "data.labels_per_class=2")
QUICK = ("method=frozen", "data.dev_per_class=0", *SMALL)


class Killed(Exception):
    """Stands for a kill."""


@pytest.fixture
def rounds(tiny, tmp_path):
    """Overrides → a run of three sizes that has begun, and takes no step."""

    def begin(*overrides, folder="run", quick=True):
        recipe = tiny(*(QUICK if quick else SMALL), *overrides)
        return begin_active(recipe, tmp_path / folder, quiet=True)

    return begin


@pytest.fixture
def bare(tiny, tmp_path, draw_texts, write_rows):
    """A recipe of texts without any label; overrides change it."""

    def recipe(*overrides):
        texts, _ = draw_texts(10)
        path = write_rows(tmp_path / "bare.csv", texts, [None] * len(texts))
        names = 'data.label_names=["animals", "food", "tools"]'
        without = ("data.labels_per_class=0", "data.test_per_class=0", f"data.corpus={path}")
        return tiny(*QUICK, *without, names, "active.annotator=person", *overrides)

    return recipe


def curve(state):
    """The curve without what depends on the clock."""
    return [{k: v for k, v in point.items() if k != "clock"} for point in state.curve]


def topic(text):
    """The class of a text, by its words."""
    from tests.conftest import TOPICS

    return next(name for name, words in TOPICS.items() if {*words} & {*text.split()})


def fill_in(file, label=topic):
    """What a person would do, in a CSV or JSONL form."""
    if file.suffix == ".jsonl":
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        lines = [json.dumps({**row, "label": label(row["text"])}) + "\n" for row in rows]
        file.write_text("".join(lines), encoding="utf-8")
        return
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    with file.open("w", encoding="utf-8", newline="") as opened:
        table = csv.DictWriter(opened, rows[0])
        table.writeheader()
        table.writerows({**row, "label": label(row["text"])} for row in rows)


POLICIES = ["random", "least_confidence", "margin", "entropy", "diverse"]


@pytest.mark.parametrize("policy", POLICIES)
def test_every_round_asks_anew_and_never_for_what_is_labelled(rounds, policy):
    run = rounds(f"active.policy={policy}")
    state = run.go_on()
    split, ids = run.data.split, run.data.train.ids
    asked = [one for each in state.queries for one in each]
    assert [len(each) for each in state.queries] == [5, 5] and len({*asked}) == 10
    assert {*asked} <= {ids[i] for i in split.unlabelled}
    assert {*state.pool} == {ids[i] for i in split.unlabelled} - {*asked}
    assert [point["labelled"] for point in state.curve] == [6, 11, 16]
    assert all(point["test"].keys() >= {"accuracy", "macro_f1"} for point in state.curve)
    assert state.phase == "done" and load(run.folder).label_names == run.label_names


def test_a_query_holds_the_rows_that_the_model_is_least_sure_of(rounds):
    run = rounds("active.policy=least_confidence", "active.rounds=1", "active.annotator=person")
    state = run.go_on()
    pool = run.rows_of(run.askable())
    sure = load(run.folder).outputs(pool).max(axis=1)
    expected = [pool.ids[i] for i in np.argsort(sure, kind="stable")[:5]]
    assert state.queries == [expected]


def test_a_method_learns_from_all_that_is_not_labelled_yet(tiny, tmp_path, monkeypatch):
    seen, real = [], Feed.__init__

    def init(feed, source, labels, row_ids, labelled, unlabelled, views, **settings):
        seen.append((labels.copy(), labelled, unlabelled))
        real(feed, source, labels, row_ids, labelled, unlabelled, views, **settings)

    recipe = tiny("method=mixtext", "mixtext.layers=[7]", "training.steps=2", *SMALL)
    run = begin_active(recipe, tmp_path / "run", quiet=True)
    monkeypatch.setattr(Feed, "__init__", init)
    state = run.go_on()
    whole = {*run.data.split.labelled, *run.data.split.unlabelled}
    for number, (labels, labelled, unlabelled) in enumerate(seen):
        asked = [one for each in state.queries[:number] for one in each]
        assert {*labelled} == {*run.data.split.labelled, *run.places(asked)}
        assert {*labelled} | {*unlabelled} == whole and not {*labelled} & {*unlabelled}
        assert (labels[labelled] == run.data.train.labels[labelled]).all()
    assert len(seen) == 3 and [len(x[2]) for x in seen] == [len(whole) - n for n in (6, 11, 16)]


def test_members_of_a_committee_differ_in_their_seed(rounds):
    run = rounds("active.policy=committee", "method=supervised", "training.steps=2",
                 "active.rounds=1")  # fmt: skip
    state = run.go_on()
    point = run.folder / "points" / "round-00"
    losses = []
    for folder in (point, point / "member-1", point / "member-2"):
        lines = [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]
        losses.append([x["loss/total"] for x in lines if x["kind"] == "train"])
    assert losses[0] != losses[1] != losses[2] != losses[0]
    assert len(state.queries) == 1 and state.phase == "done"


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "at"), [("entropy", 3), ("committee", 10), ("margin", 9)])
def test_killed_and_gone_on_with_gives_the_same(rounds, tmp_path, monkeypatch, policy, at):
    changes = (f"active.policy={policy}", "active.rounds=1", "method=mixtext", "mixtext.layers=[7]",
               "training.checkpoint_every=2")  # fmt: skip
    whole = rounds(*changes, quick=False, folder="whole").go_on()
    real, steps = Trainer.step, []

    def step(trainer, number, collect):
        steps.append(number)
        if len(steps) == at:
            raise Killed
        return real(trainer, number, collect)

    monkeypatch.setattr(Trainer, "step", step)
    run = rounds(*changes, quick=False, folder="killed")
    with pytest.raises(Killed):
        run.go_on()
    torch.manual_seed(123)  # a new process begins anywhere
    state = begin_active(run.recipe, run.folder, resume=True, quiet=True).go_on()
    assert curve(state) == curve(whole)
    assert state.queries == whole.queries and state.generator == whole.generator
    weights = [(tmp_path / x / "model" / "model.safetensors").read_bytes()
               for x in ("whole", "killed")]  # fmt: skip
    assert weights[0] == weights[1]


@pytest.mark.parametrize("moment", ["save", "reveal", "draw"])
def test_killed_between_the_trainings(rounds, monkeypatch, moment):
    whole = rounds("active.cold=true", folder="whole").go_on()
    real, calls = getattr(Rounds, moment), []

    def killed(run, state):
        calls.append(state.round)
        if len(calls) == 2:
            raise Killed
        return real(run, state)

    run = rounds("active.cold=true", folder="killed")
    monkeypatch.setattr(Rounds, moment, killed)
    with pytest.raises(Killed):
        run.go_on()
    monkeypatch.undo()
    state = begin_active(run.recipe, run.folder, resume=True, quiet=True).go_on()
    assert (curve(state), state.queries) == (curve(whole), whole.queries)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_person_labels_and_the_curve_is_that_of_the_same_labels(rounds, tmp_path, suffix):
    gold = rounds(folder="gold").go_on()
    run = rounds("active.annotator=person")
    for round_ in (1, 2):
        state = run.go_on()
        assert (state.phase, state.round) == ("label", round_ - 1)
        assert load(run.folder).predict(["a cat"])  # a model to use meanwhile
        run = open_active(run.folder, quiet=True)  # another process
        file = tmp_path / f"answer-{round_}.{suffix}"
        run.ask(state, file)
        fill_in(file)
        run.take(file)
    state = open_active(run.folder, quiet=True).go_on()
    assert state.phase == "done"
    assert curve(state) == curve(gold) and state.queries == gold.queries


def test_labels_of_the_pool_are_not_looked_at_before_they_are_given(tiny, tmp_path, corpus_file,
                                                                    write_rows):  # fmt: skip
    own = ("data.test_per_class=0", "active.annotator=person", "active.policy=margin",
           "method=mixtext", "mixtext.layers=[7]", "training.steps=3")  # fmt: skip
    run = begin_active(tiny(*SMALL, *own), tmp_path / "a", quiet=True)
    state = run.go_on()
    train_, known = run.data.train, {*run.data.split.labelled, *run.data.split.dev}
    labels = [train_.label_names[y] if i in known else None for i, y in enumerate(train_.labels)]
    blank = write_rows(tmp_path / "blank.csv", train_.texts, labels)
    other = begin_active(
        tiny(*SMALL, *own, f"data.corpus={blank}", "data.labels_per_class=0",
             "data.dev_per_class=0"),
        tmp_path / "b",
        quiet=True,
    )  # fmt: skip
    # The same split, with a pool whose labels are gone.
    object.__setattr__(other, "data", other.data.__class__(
        other.data.train, None, run.data.split, []))  # fmt: skip
    again = other.go_on()
    assert (again.queries, curve(again)) == (state.queries, curve(state))


def test_a_cold_start_asks_for_rows_that_differ_before_it_trains(rounds):
    state = rounds("active.cold=true").go_on()
    assert [point["labelled"] for point in state.curve] == [5, 10]
    assert [point["round"] for point in state.curve] == [1, 2]
    again = rounds("active.cold=true", "active.policy=diverse", folder="again").go_on()
    assert again.queries[0] == state.queries[0]
    drawn = rounds("active.cold=true", "active.policy=random", folder="random").go_on()
    assert drawn.queries[0] != state.queries[0]


def test_from_no_label_at_all_to_a_model_by_the_commands(bare, tmp_path, capsys):
    recipe, folder = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(dump_recipe(bare()), encoding="utf-8")

    def say(*arguments):
        capsys.readouterr()
        code = main(["active", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out + said.err

    code, said = say("run", recipe, "--run", folder)
    assert code == 0 and "wait  for the labels of 5 texts" in said and "no model yet" in said
    for number in (1, 2):
        file = folder / f"query-{number:02d}.csv"
        code, said = say("query", folder)
        assert code == 0 and "5 texts to label with animals, food, tools" in said
        assert say("label", folder, file)[0] == 2  # nothing is filled in
        fill_in(file)
        filled = file.read_text("utf-8")
        code, said = say("query", folder)
        assert code == 2 and "--out" in said and file.read_text("utf-8") == filled
        code, said = say("label", folder, file)
        assert code == 0 and f"{5 * number} labelled" in said
        assert say("query", folder, "--out", file)[0] == 2
        assert file.read_text("utf-8") == filled  # also when its labels are taken
    assert say("run", recipe, "--run", folder, "--resume")[0] == 0
    assert load(folder).predict(["a cat and a dog"])[0].label in ("animals", "food", "tools")
    code, said = say("show", folder)
    assert code == 2 and "no sentences are generated" in said


def test_one_class_alone_can_be_learned_from(bare, tmp_path):
    for method in ("frozen", "supervised", "mixtext", "centroids"):
        recipe = bare(f"method={method}", "training.steps=1", "mixtext.layers=[7]")
        run = begin_active(recipe, tmp_path / method, quiet=True)
        state = run.go_on()
        run.ask(state, tmp_path / f"{method}.csv")
        fill_in(tmp_path / f"{method}.csv", lambda text: "food")
        run.take(tmp_path / f"{method}.csv")
        assert run.go_on().phase == "label"


def test_what_the_labels_do_not_reach_is_refused(bare, tmp_path):
    for overrides, part in (
        (["data.label_names=[]"], "has no labels at all: name the classes in data.label_names"),
        (["data.dev_per_class=2"], "data.dev_per_class is 2, but class 'animals' has no labelled"),
        (["data.labels_per_class=2"], "data.labels_per_class is 2, but class 'animals'"),
        (["active.annotator=gold"], "active.annotator is 'gold', but text"),
        (["active.rounds=0"], "active.rounds is 0, but no row is labelled"),
        (["active.per_round=16"], "is 32, but the pool has 30 texts"),
        (["method=centroids", "active.per_round=15"], "the whole pool, but centroids"),
        (["active.policy=committee"], "frozen has no use for one"),
        (["method=supervised", "model.encoder=kim_cnn"], "no row is labelled yet, so rows are"),
    ):
        with pytest.raises(InputError, match=part):
            begin_active(bare(*overrides), tmp_path / "run", quiet=True)
        assert not (tmp_path / "run").exists()


def test_texts_that_are_there_twice_are_asked_for_once(tiny, tmp_path, draw_texts, write_rows):
    texts, labels = draw_texts(8)
    path = write_rows(tmp_path / "twice.csv", texts * 2, labels * 2)
    recipe = tiny(*QUICK, f"data.corpus={path}", "data.test_per_class=0", "active.per_round=9")
    run = begin_active(recipe, tmp_path / "run", quiet=True)
    known = {run.data.train.texts[i] for i in run.data.split.labelled}
    assert len(run.askable()) == 24 - len(known)
    assert any("are not asked for" in note for note in run.notes)
    asked = [run.rows_of(each).texts for each in run.go_on().queries]
    assert len({*asked[0], *asked[1]} - known) == 18


ASKED = Corpus.from_lists(
    ['a "b", c', "line\none", "π; und"], ids=["7", "x/1", "008"], label_names=["no", "1", "2"],
    pairs=["p", "q", "=r"],
)  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_forms_come_back_as_they_were_filled_in(tmp_path, suffix):
    path = tmp_path / f"form{suffix}"
    path.write_text(form_text(ASKED, ["1", "no", "2"], suffix), encoding="utf-8")
    assert read_form(path, ASKED).tolist() == [1, 0, 2]
    if suffix == ".csv":  # as a table program may save it
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [line[::-1] for line in csv.reader(file)]
        rows = [rows[0], *([row[0].replace("1", "1.0"), *row[1:]] for row in rows[:0:-1])]
        with path.open("w", encoding="utf-16", newline="") as file:
            csv.writer(file, delimiter=";").writerows(rows)
        assert read_form(path, ASKED).tolist() == [1, 0, 2]


def test_a_persons_file_is_checked(tmp_path):
    path = tmp_path / "form.jsonl"
    good = form_text(ASKED, ["1", "no", "2"], ".jsonl")

    def refusal(text, name="form.jsonl"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(InputError) as error:
            read_form(tmp_path / name, ASKED)
        return str(error.value)

    assert "lacks 1 of the rows" in refusal("".join(good.splitlines(True)[1:]))
    assert "1 rows are not labelled yet, such as '008'" in refusal(good.replace('"2"}', '""}'))
    assert "is not among 'no', '1', '2'" in refusal(good.replace('"no"', '"No"'))
    assert "(did you mean 'no'?)" in refusal(good.replace('"no"', '"No"'))
    assert "text of row 'x/1' was changed" in refusal(good.replace("one", "two"))
    assert "row '7' once more" in refusal(good + good)
    assert "'9', which this round does not ask for" in refusal(good.replace('"7"', '"9"'))
    assert "has no column 'label'" in refusal("id,text,pair\n7,a,p\n", "form.csv")
    with pytest.raises(InputError, match="does not exist"):
        read_form(tmp_path / "none.csv", ASKED)
    assert path.is_file()


def test_a_form_is_written_in_a_known_format_alone(rounds, tmp_path):
    run = rounds("active.annotator=person")
    state = run.go_on()
    with pytest.raises(InputError, match=r"written as \.csv or \.jsonl"):
        run.ask(state, tmp_path / "form.xlsx")
    run.ask(state, tmp_path / "form.CSV")
    assert (tmp_path / "form.CSV").is_file()


def test_rounds_and_plain_trainings_keep_out_of_each_others_folders(tiny, rounds, tmp_path):
    run = rounds("active.rounds=0")
    run.go_on()
    with pytest.raises(InputError, match="holds rounds of active learning"):
        train(run.recipe, folder=run.folder, resume=True, quiet=True)
    recipe = tiny(*QUICK)
    train(recipe, folder=tmp_path / "plain", quiet=True)
    with pytest.raises(InputError, match="holds a plain training"):
        begin_active(recipe, tmp_path / "plain", resume=True, quiet=True)
    with pytest.raises(InputError, match="holds no run of active learning"):
        open_active(tmp_path / "plain")


def test_a_plain_training_does_not_hear_the_table(tiny, tmp_path):
    results = [
        train(tiny(*QUICK, *more), folder=tmp_path / str(n), quiet=True)
        for n, more in enumerate(([], ["active.policy=random", "active.annotator=person"]))
    ]
    assert results[0].test == results[1].test
    assert any("waiting: active" in note for note in tiny(*QUICK).waiting())
    assert not any("active" in note for note in tiny("method=frozen").waiting())


def test_curves_tables_and_intervals(rounds, tmp_path, capsys):
    for seed in (0, 1):
        for policy in ("random", "entropy"):
            more = (f"active.policy={policy}", f"training.seed={seed}", f"data.split_seed={seed}",
                    "active.cold=true")  # fmt: skip
            rounds(*more, folder=f"all/{policy}-{seed}").go_on()
    table = curve_table(read_curves([tmp_path / "all"])).splitlines()
    assert table[0] == "| arm | seeds | 5 | 10 |"
    assert [line.split("|")[1].strip() for line in table[2:]] == [
        "random, frozen", "entropy, frozen",
    ]  # fmt: skip
    found = verdicts_of([tmp_path / "all"], None, "random, frozen")
    told = [
        (one.comparison.method, one.comparison.about["labels"], len(one.comparison.pairs[0]))
        for one in found
    ]
    assert told == [("entropy, frozen", "5 to 10", 2), ("entropy, frozen", "5", 2)]
    picture = tmp_path / "curves.svg"
    assert main(["active", "plot", str(tmp_path / "all"), "--out", str(picture)]) == 0
    assert "labelled texts" in picture.read_text("utf-8")


def test_a_model_that_is_gone_is_made_again(rounds, capsys):
    run = rounds("method=supervised", "training.steps=2", "active.rounds=1")
    run.go_on()
    path = run.folder / "model" / "model.safetensors"
    before = load_file(path)
    shutil.rmtree(path.parent)
    run.go_on()
    after = load_file(path)
    assert before.keys() == after.keys() and all(before[k].equal(after[k]) for k in before)


def test_views_are_made_once_for_all_rounds(rounds, tmp_path):
    run = rounds("method=mixtext", "mixtext.layers=[7]", "training.steps=1", "active.rounds=1",
                 "views.backend=identity", 'views.pivots=["xx"]',
                 f"views.cache={tmp_path / 'views'}")  # fmt: skip
    assert run.go_on().phase == "done"
    assert len([*(tmp_path / "views").iterdir()]) == 1
    assert open_active(run.folder, quiet=True).environment()["files"]["views"]["sha256"]


def test_epochs_are_counted_from_what_is_labelled(rounds):
    run = rounds("method=supervised", "training.steps=0", "training.epochs=2", "active.cold=true")
    state = run.go_on()
    assert [point["updates"] for point in state.curve] == [4, 6]  # ⌈5/4⌉ and ⌈10/4⌉ steps an epoch
