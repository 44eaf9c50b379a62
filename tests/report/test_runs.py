"""The page about runs: what stands in it, that it loads nothing, and how a browser shows it."""

import json
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from mixtext.assessment import assess
from mixtext.cli import main
from mixtext.data.corpus import Corpus
from mixtext.errors import InputError
from mixtext.report.runs import read_stories, write_page

NAMES = ["<b>cat", "do\ng|", "_体育 $x^"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), "")


def write_run(folder, method="mixtext", temperature=0.5, finished=True, right=0.8, names=NAMES):
    """A run of ten steps, as one leaves its folder."""
    folder.mkdir(parents=True)
    lines = []
    for step in range(2, 11, 2):
        guesses = {f"guess/accuracy/{n}": step / 10 / (i + 1) for i, n in enumerate(names)}
        guesses["guess/accuracy"] = step / 10
        if method == "supervised":
            guesses = {}
        draws = {"lam": [0.7], "layer": [7, 9] if method == "mixtext" else []}
        loss = {"loss/total": 1 / step, **guesses, "draws": draws}
        lines.append({"step": step, "kind": "train", **loss, "clock": {"seconds": step}})
    lines.insert(3, {"step": 6, "kind": "dev", "accuracy": 0.7, "loss": 0.1, "clock": {}})
    lines.append({"step": 10, "kind": "dev", "accuracy": 0.6, "loss": 0.2, "clock": {}})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    if not finished:
        return folder
    gold = np.arange(50) % len(names)
    told = np.where(np.arange(50) < 50 * right, gold, (gold + 1) % len(names))
    texts = [f"text {i} <script>alert(1)</script>" for i in range(50)]
    p = 0.9 * np.eye(len(names))[told] + 0.1 / len(names)
    found = assess(Corpus.from_lists(texts, gold, label_names=names, name="odd"), p)
    (folder / "answers.json").write_text(json.dumps({"part": "test", **found.saved()}))
    result = {
        "name": folder.name,
        "method": method,
        "corpus": "odd|corpus",
        "task": "single",
        "encoder": "tiny",
        "labels_per_class": 4,
        "labelled": 12,
        "dev_rows": 9,
        "unlabelled": 30,
        "test_rows": 50,
        "seed": 0,
        "split_seed": 0,
        "settings": {"mixtext.temperature": temperature} if method == "mixtext" else {},
        "steps": 10,
        "best_step": 6,
        "dev": {"accuracy": 0.7, "loss": 0.1},
        "test": found.metrics,
        "mixtext": {"version": "9.9"},
    }
    (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture
def runs(tmp_path):
    """Two finished runs and one at work."""
    return [
        write_run(tmp_path / "runs" / "_plain", "supervised", right=0.6),
        write_run(tmp_path / "runs" / "mix", temperature=0.3),
        write_run(tmp_path / "runs" / "now", finished=False),
    ]


class Page(HTMLParser):
    """Tables as lists of rows, by the heading above; ids, links, and what would be loaded."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.ids, self.links, self.loads = {}, set(), [], []
        self.heading, self.inside, self.tags, self.title = "", "", [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.ids.add(values.get("id"))
        if tag in ("h2", "h3"):
            self.heading = ""
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in ("script", "link", "img", "iframe"):
            self.loads.append((tag, values))
        self.loads += [(k, v) for k, v in attributes if k in ("src", "href", "xlink:href")
                       and not v.startswith("#")]  # fmt: skip
        if tag == "tr":
            self.tables.setdefault(self.heading, []).append([])
        if tag in ("td", "th"):
            self.tables[self.heading][-1].append("")
        self.inside = tag if tag in ("td", "th", "h2", "h3", "title") else self.inside

    def handle_endtag(self, tag):
        if tag == self.inside:
            self.inside = ""

    def handle_data(self, data):
        if self.inside in ("h2", "h3"):
            self.heading += data
        elif self.inside == "title":
            self.title += data
        elif self.inside:
            self.tables[self.heading][-1][-1] += data


def test_what_stands_in_it(runs, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "runs"), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"wrote {out} (3 runs)\n"
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    assert page.loads == [] and "<script" not in text and "<b>cat" not in text
    assert {x.removeprefix("#") for x in page.links} <= page.ids and len(page.links) == 6
    scores = {row[0]: row for row in page.tables["Scores"]}
    assert scores["run"][3] == "labels" and scores["mix"][3] == "12 + 9 dev"
    assert scores["_plain"][-4:-1] == ["test", "0.6000", "0.462–0.724"]  # Wilson, 30 of 50
    assert scores["now"][-4:-1] == ["dev", "0.6000", ""]
    head = page.tables["What differs"][0]
    mixed = page.tables["What differs"][2]
    assert mixed[head.index("method")] == "mixtext"
    guesses = page.tables["Pseudo-labels: accuracy by gold class"]
    assert ["class", "first step, 2", "best step, 6", "last step, 10"] in guesses
    assert ["do\\ng|", "0.1000", "0.3000", "0.5000"] in guesses
    assert ["7", "5"] in page.tables["Layers mixed"]
    mistakes = page.tables["Most confident mistakes"]
    assert any("text 40 <script>alert(1)</script>" in row for row in mistakes)
    assert "Not finished: 10 steps are written down." in text
    assert page.tags.count("svg") == 3 + 2 + 2  # curves, guesses of two runs, calibration of two


def test_settings_that_differ(tmp_path):
    sources = [write_run(tmp_path / x, temperature=t) for x, t in (("a", 0.3), ("b", 0.5))]
    write_page(sources, tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.tables["What differs"] == [
        ["run", "mixtext.temperature"],
        ["a", "0.3"],
        ["b", "0.5"],
    ]


def test_many_classes_and_folders_of_one_name(tmp_path):
    names = [f"class {i}" for i in range(30)]
    sources = [write_run(tmp_path / x / "run", names=names) for x in "ab"]
    assert [x.name for x in read_stories(sources)] == [str(x) for x in sources]
    write_page([tmp_path], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Most frequent confusions" in text and "class 29" in text


def test_only_its_own_pages_are_replaced(runs, tmp_path, capsys):
    out = tmp_path / "page.html"
    out.write_text("<p>mine</p>")
    assert main(["report", str(runs[0]), "--out", str(out)]) == 2
    assert "no page of mixtext's: name another with --out" in capsys.readouterr().err
    assert out.read_text() == "<p>mine</p>"
    out.unlink()
    for source in runs:  # the second replaces the first
        assert write_page([source], out) == 1
    assert "mix</h2>" not in out.read_text(encoding="utf-8")


def test_what_is_refused(runs, tmp_path, capsys):
    assert main(["report"]) == 2
    assert "name at least one run folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no run"):
        write_page([tmp_path / "empty"], tmp_path / "page.html")
    answers = runs[0] / "answers.json"
    for content in ('{"part": "test"}', "{", "[]"):
        answers.write_text(content)
        with pytest.raises(InputError, match=r"answers\.json is damaged"):
            write_page(runs, tmp_path / "page.html")
    answers.unlink()
    write_page(runs, tmp_path / "page.html")
    assert "an earlier version has made this run" in (tmp_path / "page.html").read_text("utf-8")


PROBE = """<script>
const boxes = [...document.querySelectorAll("svg")].map(x => x.getBoundingClientRect());
document.title = JSON.stringify({
  mode: document.compatMode, width: document.body.scrollWidth, window: window.innerWidth,
  svgs: boxes.map(x => [x.width, x.height, x.right]),
  rows: [...document.querySelectorAll("tr")].filter(x => x.offsetHeight > 10).length,
  text: document.body.innerText,
});
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="there is no Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [1100, 480])
def test_in_a_browser(runs, tmp_path, width):
    from matplotlib.image import imread

    out, picture = tmp_path / "page.html", tmp_path / "page.png"
    write_page(runs, out)
    page = out.read_text(encoding="utf-8")
    out.write_text(page + PROBE, encoding="utf-8")

    def browse(*arguments):
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},4000"]
        done = subprocess.run(
            [*command, *arguments, out.as_uri()], capture_output=True, timeout=120, check=True
        )
        return done.stdout.decode("utf-8")

    seen = json.loads(Page(browse("--dump-dom")).title)
    assert seen["mode"] == "CSS1Compat" and seen["width"] <= seen["window"]
    assert len(seen["svgs"]) == 7
    assert all(w > 150 and h > 100 and right <= seen["window"] for w, h, right in seen["svgs"])
    assert seen["rows"] == page.count("<tr>")
    for part in ("<b>cat", "do\\ng|", "_体育 $x^", "<script>alert(1)</script>", "0.462–0.724"):
        assert part in seen["text"]
    browse(f"--screenshot={picture}")
    shown = imread(picture)[..., :3]
    assert shown.shape[1] == width
    ink = (shown < 0.9).any(axis=2)
    assert 0.005 < ink.mean() < 0.5
    blue = np.abs(shown - np.array([0x1F, 0x77, 0xB4]) / 255).max(axis=2) < 0.05  # a curve
    assert blue.sum() > 40
