"""Recipes: what is shipped loads, lasts and runs; what is wrong is refused by name."""

import dataclasses
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtext.api import load_recipe, train
from mixtext.cli import main
from mixtext.data.corpus import Corpus
from mixtext.data.prepare import load_corpora
from mixtext.data.settings import DataSettings
from mixtext.data.splits import official_split, split
from mixtext.data.views import sha1
from mixtext.errors import InputError
from mixtext.methods import METHODS
from mixtext.recipe import Recipe, build_recipe, dump_recipe, flat, make_recipe
from mixtext.run import Run
from mixtext.tagging.recipe import TaggingRecipe
from mixtext.training.settings import TrainingSettings

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
# Recipes for tagging have a test file of their own, and so have those of the survey.
ELSEWHERE = ("published", "survey", "tables")
RECIPES = sorted(
    p
    for p in EXPERIMENTS.rglob("*.toml")
    if p.parent.name not in ELSEWHERE and "task" not in tomllib.loads(p.read_text("utf-8"))
)
NAMES = [str(p.relative_to(EXPERIMENTS)) for p in RECIPES]
shipped = pytest.mark.parametrize("path", RECIPES, ids=NAMES)


def test_the_recipes_that_are_promised_are_there():
    promised = {f"paper/{x}.toml" for x in ("ag_news", "dbpedia", "yahoo_answers", "imdb")}
    promised |= {f"official/{x}.toml" for x in ("bert", "tmix", "mixtext")} | {"quickstart.toml"}
    assert promised <= set(NAMES)


def test_recipes_choose_by_no_label_unless_the_official_code_does():
    files = [p for p in EXPERIMENTS.rglob("*.toml") if p.parent.name in ("experiments", "survey")]
    recipes = {p.name: tomllib.loads(p.read_text("utf-8")) for p in files}
    assert len(recipes) == 12
    for recipe in recipes.values():
        assert not recipe["data"].keys() & {"dev_per_class", "dev_share", "dev"}


@shipped
@pytest.mark.parametrize("method", ["", *METHODS])
def test_a_dumped_recipe_loads_as_itself(path, method, tmp_path):
    overrides = [f"method={method}", "training.batch_unlabelled=8"] if method else []
    recipe = load_recipe(path, overrides)
    (tmp_path / "dumped.toml").write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "dumped.toml") == recipe
    assert dump_recipe(load_recipe(tmp_path / "dumped.toml")) == dump_recipe(recipe)


@settings(max_examples=200, deadline=None)
@given(
    name=st.text(st.characters(exclude_categories=["Cs"])),
    text=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
    rate=st.floats(1e-300, 1e300),
    alpha=st.floats(0, allow_infinity=False, exclude_min=True),
    flag=st.booleans(),
)
def test_any_value_survives_the_dump(tmp_path_factory, name, text, rate, alpha, flag):
    recipe = Recipe(
        name="run" + name.replace("/", "").replace("\0", ""),
        method=METHODS["tmix"](alpha=alpha, layers=(1, 2), per_row=flag),
        data=DataSettings(text=tuple(text), root=name, header=flag),
        training=TrainingSettings(lr_head=rate),
    )
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(dump_recipe(recipe), encoding="utf-8", newline="")
    assert load_recipe(path) == recipe


@pytest.mark.slow
@shipped
def test_a_recipe_runs_two_steps(path, encoder, draw_texts, write_rows, tmp_path):
    written = load_recipe(path)
    official = written.data.split == "official"
    overrides = [
        *(f"model.encoder={encoder}", "model.max_length=32", "training.device=cpu"),
        *("training.steps=2", "training.epochs=0", "training.evaluate_every=1"),
        *("training.batch=2", "data.root=", "data.unlabelled_per_class=4"),
    ]
    if written.method.unlabelled:
        overrides.append("training.batch_unlabelled=2")
    given = {}
    if official:  # its cuts need 7,500 rows a class
        texts = [f"{'cat' if i % 2 else 'dog'} {i}" for i in range(15000)]
        labels = ["cat" if i % 2 else "dog" for i in range(15000)]
        given["corpus"] = Corpus.from_lists(texts, labels, name="large")
        given["test"] = Corpus.from_lists(["dog 1", "cat 2"], ["dog", "cat"], name="large")
        overrides += ["model.max_length=8"]
    else:
        corpus = write_rows(tmp_path / "small.csv", *draw_texts(20))
        overrides += [f"data.corpus={corpus}", "data.test_per_class=3", "data.dev_per_class=3"]
        overrides += ["data.labels_per_class=2"]
    if written.views.file:
        overrides.append(f"views.file={tmp_path / 'views.jsonl'}")
        write_views(load_recipe(path, overrides), tmp_path / "views.jsonl", **given)
    recipe = load_recipe(path, overrides)
    assert recipe.method == written.method  # layers 7, 9 and 12 fit the tiny encoder

    result = train(recipe, folder=tmp_path / "run", quiet=True, **given)
    assert result["steps"] == 2 and result["test_rows"] == (2 if official else 9)
    lines = [json.loads(x) for x in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [x for x in lines if x["kind"] == "train"]
    assert steps[-1]["step"] == 2 and np.isfinite([x["loss/total"] for x in steps]).all()
    if official:
        assert result["dev_rows"] == 4000 and result["labelled"] == 20
    if recipe.views.file:
        run = Run.prepare(recipe, given.get("corpus"), given.get("test"))
        assert run.trainer.feed.views.copies == 2  # de and ru


def write_views(recipe, path, corpus=None, test=None):
    """German and Russian views of every row, as the recipe's corpus numbers them."""
    if corpus is None:
        corpus, _, _ = load_corpora(recipe.data)
        cut = split(corpus.labels, 2, 3, 4)
    else:
        cut = official_split(corpus.labels, 10, 4)
    assert len(cut.unlabelled)
    with path.open("w", encoding="utf-8") as file:
        for i in cut.unlabelled:
            text = corpus.texts[i]
            for pivot in ("ru", "de"):
                line = {"id": corpus.ids[i], "text": f"{text} {pivot}", "pivot": pivot}
                file.write(json.dumps({**line, "copy": 0, "sha1": sha1(text)}) + "\n")


@pytest.mark.parametrize(
    "override, field, value",
    [
        ("name=other", "name", "other"),
        ("name=2024", "name", None),
        ("method=tmix", "method.name", "tmix"),
        ("training.steps=50", "training.steps", 50),
        ("training.lr_head=1", "training.lr_head", 1.0),
        ("training.lr_head=2e-4", "training.lr_head", 2e-4),
        ("training.accumulate = 3", "training.accumulate", 3),
        ("data.header=false", "data.header", False),
        ("data.corpus=my file.csv", "data.corpus", "my file.csv"),
        ('data.corpus="2024"', "data.corpus", "2024"),
        ("data.root=", "data.root", ""),
        ("data.root=a=b", "data.root", "a=b"),
        ("data.text=title", "data.text", ("title",)),
        ('data.text=["title", "body"]', "data.text", ("title", "body")),
        ("mixtext.layers=[7, 9]", "method.layers", (7, 9)),
        ("mixtext.layers=7", "method.layers", (7,)),
        ("mixtext.view_weights=[1, 0.5]", "method.view_weights", (1.0, 0.5)),
        ("mixtext.margin_kind=entropy", "method.margin_kind", "entropy"),
        ("training.steps=1.5", "training.steps", None),
        ("training.steps=true", "training.steps", None),
        ("training.steps=many", "training.steps", None),
        ("training.lr_head=fast", "training.lr_head", None),
        ("training.lr_head=inf", "training.lr_head", None),
        ("training.clip=nan", "training.clip", None),
        ("data.header=1", "data.header", None),
        ("data.header=yes", "data.header", None),
        ("data.corpus=2024", "data.corpus", None),
        ("mixtext.layers=[7, 'x']", "mixtext.layers", None),
        ("mixtext.layers=[7", "mixtext.layers", None),
        ("data.pool=skewed", "data.pool", None),
    ],
)
def test_overrides_take_the_type_of_their_field(override, field, value):
    if value is None:
        with pytest.raises(InputError, match=field) as refusal:
            make_recipe({}, [override])
        assert "must be" in str(refusal.value)
        return
    found = make_recipe({}, [override])
    for part in field.split("."):
        found = getattr(found, part)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "override, names",
    [
        ("training.step=50", ["training", "'step'", "'steps'"]),
        ("trainig.steps=50", ["'trainig'", "'training'"]),
        ("steps=50", ["'steps'"]),
        ("tmix.alhpa=2", ["tmix", "'alhpa'", "'alpha'"]),
        ("supervised.alpha=2", ["supervised", "'alpha'", "no settings"]),
        ("training.steps", ["'training.steps'", "table.field=value"]),
        ("name.first=x", ["name is", "must be a string"]),
        ("training=5", ["'training'", "table"]),
        ("mixtext=5", ["'mixtext'", "table"]),
        ("method=mixtxt", ["'mixtxt'", "'mixtext'", "supervised, mixup, word_mixup"]),
        ("method.name=tmix", ["method"]),
    ],
)
def test_what_cannot_be_placed_is_refused_by_name(override, names):
    with pytest.raises(InputError) as refusal:
        make_recipe({}, [override])
    assert all(name in str(refusal.value) for name in names), refusal.value
    assert "\n" not in str(refusal.value)


def test_later_overrides_win_and_the_file_is_overridden(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("[training]\nsteps = 7\nbatch = 3\n")
    recipe = load_recipe(path, ["training.steps=8", "training.steps=9"])
    assert (recipe.training.steps, recipe.training.batch) == (9, 3)


@pytest.mark.parametrize(
    "overrides, names",
    [
        (["training.epochs=3", "training.steps=2"], ["training.steps", "training.epochs"]),
        (["data.test=t.csv", "data.test_per_class=5"], ["data.test", "data.test_per_class"]),
        (["views.file=v.jsonl", "views.backend=fsmt"], ["views.file", "views.backend"]),
        (["views.backend=fsmt"], ["views.backend", "views.pivots"]),
        (['views.pivots=["de"]'], ["views.backend", "views.pivots"]),
        (["training.batch_unlabelled=0"], ["method", "training.batch_unlabelled"]),
        (["training.patience=3"], ["patience", "data.dev_share"]),
        (["training.test_at_every_tie=true"], ["test_at_every_tie", "data.dev_per_class"]),
        (["data.dev_share=0.2", "data.dev_per_class=3"], ["data.dev_share", "data.dev_per_class"]),
        (["data.dev_share=0.2", "data.split=official"], ["data.dev_share", "data.split"]),
        (["data.dev_share=0.2", "data.labels_per_class=1"], ["dev_share", "labels_per_class"]),
        (["data.unlabelled=u.csv", "data.pool=balanced"], ["data.unlabelled", "data.pool"]),
        (["data.split=official", "data.labels_per_class=0"], ["split", "labels_per_class"]),
    ],
)
def test_a_contradiction_names_both_fields(overrides, names):
    with pytest.raises(InputError) as refusal:
        make_recipe({}, overrides)
    assert all(name in str(refusal.value) for name in names), refusal.value


@pytest.mark.parametrize(
    "override",
    [
        *("training.batch=0", "training.accumulate=0", "training.log_every=0"),
        *("training.seed=-1", "training.patience=-1", "training.clip=-0.5"),
        *("training.lr_encoder=0", "training.lr_head=-1.0", "training.eps=0.0"),
        *("training.warmup=1.0", "training.warmup=-0.1", "training.weight_decay=-1"),
        *("data.labels_per_class=-1", "data.dev_per_class=-1", "data.split_seed=-1"),
        *("model.max_length=2", "model.head_width=-1", "views.rate=0.0", "views.rate=1.0"),
        "views.copies=-1",
    ],
)
def test_values_out_of_range_are_refused_by_field(override):
    with pytest.raises(InputError, match=override.partition("=")[0]):
        make_recipe({}, [override])


def test_tables_of_other_methods_wait_but_are_checked():
    values = {"method": "tmix", "tmix": {"alpha": 3}, "mixtext": {"alpha": 9, "teacher": 0.5}}
    assert make_recipe(values).method == METHODS["tmix"](alpha=3.0)
    changed = make_recipe(values, ["method=mixtext"]).method
    assert changed == METHODS["mixtext"](alpha=9.0, teacher=0.5)
    values["mixtext"] = {"alpha": 9, "teachr": 0.5}
    with pytest.raises(InputError, match=r"'teachr'.*'teacher'"):
        make_recipe(values)
    assert values == {"method": "tmix", "tmix": {"alpha": 3}, "mixtext": values["mixtext"]}


def test_files_that_are_no_recipes(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml does not exist"):
        load_recipe(tmp_path / "nowhere.toml")
    for content in (b"name = ", b"\xff\x00", b"name = 'a'\nname = 'b'"):
        (tmp_path / "broken.toml").write_bytes(content)
        with pytest.raises(InputError, match=r"broken\.toml is not valid TOML"):
            load_recipe(tmp_path / "broken.toml")


def test_flat_names_every_field_once():
    recipe = make_recipe({"method": "tmix"})
    fields = {
        f"{name}.{f.name}"
        for name in Recipe.tables()
        for f in dataclasses.fields(getattr(recipe, name))
    }
    fields |= {f"tmix.{f.name}" for f in dataclasses.fields(recipe.method)}
    assert set(flat(recipe)) == fields | {"name", "method"}


@pytest.mark.parametrize(("earlier", "now"), [("true", "all"), ("false", "unlabelled")])
def test_what_version_0_1_wrote_of_lengths_keeps_its_meaning(earlier, now, tmp_path):
    # Then it spoke of labelled rows alone, and unlabelled ones were always batched by length.
    path = tmp_path / "recipe.toml"
    path.write_text(f"[training]\nby_length = {earlier}\n", encoding="utf-8")
    assert load_recipe(path).training.by_length == now
    assert load_recipe(path, ["training.by_length=none"]).training.by_length == "none"


@pytest.mark.parametrize("folder", ["official", "paper"])
def test_batches_of_the_reproduction_are_drawn_whatever_the_lengths(folder):
    recipes = [load_recipe(path) for path in sorted((EXPERIMENTS / folder).glob("*.toml"))]
    assert recipes and all(recipe.training.by_length == "none" for recipe in recipes)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_recipes_as_editors_on_windows_write_them(encoding, tmp_path):
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    text = f"{mark}name = 'café'\r\nmethod = 'tmix'\r\n"
    (tmp_path / "w.toml").write_bytes(text.encode(encoding))
    assert load_recipe(tmp_path / "w.toml").name == "café"


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ('corpus = "C:\\Users\\me\\d.csv"', "write / in paths, or single quotes"),
        ("name = “x”", "straight quotes"),
        ("corpus = reviews.csv", "quotes around what is no number"),
        ("name = 'a'\nname = 'b'", "keep one of them"),
    ],
)
def test_what_people_mean_by_lines_that_are_no_toml(line, advice, tmp_path):
    (tmp_path / "w.toml").write_text(f"# mine\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"w\.toml is not valid TOML: .*line [23]") as error:
        load_recipe(tmp_path / "w.toml")
    assert advice in str(error.value)
    (tmp_path / "d.csv").write_text("text,label\na,b\n")
    with pytest.raises(InputError, match=r"mixtext new-recipe .*d\.csv` writes a recipe"):
        load_recipe(tmp_path / "d.csv")


def test_a_preset_is_what_a_recipe_begins_with():
    recipe = make_recipe({"preset": "few_labels", "mixtext": {"alpha": 2.0}})
    assert recipe.method.contrast_passes == 20 and recipe.method.alpha == 2.0
    assert make_recipe({"preset": "few_labels"}, ["method=tmix"]).method.name == "tmix"
    assert make_recipe({}, ["preset=paper"]).method.layers == (7, 9, 12)
    # Written out, a recipe needs it no more.
    assert make_recipe(tomllib.loads(dump_recipe(recipe))) == recipe
    for name in ("few_label", 3):
        with pytest.raises(InputError, match="presets are few_labels, skewed_labels, paper"):
            make_recipe({"preset": name})
    with pytest.raises(InputError, match="preset"):
        build_recipe(TaggingRecipe, {"task": "tagging", "preset": "paper"})


def test_paths_are_looked_for_beside_the_recipe(tmp_path, monkeypatch, draw_texts, write_rows):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    write_rows(tmp_path / "mine" / "a.csv", *draw_texts(6))
    write_rows(tmp_path / "here.csv", *draw_texts(6))
    (tmp_path / "mine" / "bbc_news").mkdir()
    file = Path("mine/r.toml")
    for written, found in (
        ("a.csv", "mine/a.csv"),
        ("here.csv", "here.csv"),  # as it always was
        ("bbc_news", "bbc_news"),  # a name of the catalogue
        (str(tmp_path / "here.csv"), str(tmp_path / "here.csv")),
    ):
        file.write_text(f"[data]\ncorpus = {json.dumps(written)}\n")
        assert load_recipe(file).data.corpus == found
    assert load_recipe(file, ["data.corpus=a.csv"]).data.corpus == "a.csv"
    assert main(["new-recipe", "here.csv", "--out", "mine/new.toml"]) == 0
    assert 'corpus = "../here.csv"' in Path("mine/new.toml").read_text()
    assert Path(load_recipe("mine/new.toml").data.corpus).resolve() == tmp_path / "here.csv"
    # What a run writes down is what it read, so it can be resumed.
    again = make_recipe(tomllib.loads(dump_recipe(load_recipe(file))))
    assert again == load_recipe(file)
