"""Tagged sentences inspected: every number counted by hand, from the file to the lines."""

import json

from mixtext.cli import main
from mixtext.models.pretrained import load_tokenizer
from mixtext.tagging.corpus import TaggedCorpus
from mixtext.tagging.inspection import inspect_tagged

TRAIN = """-DOCSTART- O

cat B-PER
dog I-PER
the O
soup B-LOC

cat B-PER
dog I-PER
the O
soup O

heron B-PER
"""
TEST = """old O

heron I-PER

heron B-PER
"""


def test_numbers_by_hand(encoder):
    train = TaggedCorpus.from_lists(
        [["cat", "soup"], ["cat", "soup"], ["the"], ["the"], ["qx", "old"]],
        [["B-PER", "B-LOC"], ["B-PER", "O"], ["O"], None, ["I-LOC", "I-LOC"]],
    )
    report = inspect_tagged(train, train.select([4, 4]), load_tokenizer(encoder), 4)
    part = report["train"]
    assert (part["sentences"], part["words"], part["missing_tags"]) == (5, 8, 1)
    assert part["entities"] == {"LOC": 2, "PER": 2}
    assert part["repaired"] == 1
    assert part["lengths"] == {"min": 1, "median": 2, "95 %": 2, "max": 2}
    # [CLS] … [SEP], and qx is q ##x.
    assert (part["tokens"]["min"], part["tokens"]["max"], part["cut"]) == (3, 5, 1)
    assert part["duplicates"] == 2
    assert part["conflicts"] == 1  # "the" is tagged in one way and once not at all
    assert (report["test"]["duplicates"], report["leaks"]) == (1, 2)
    assert inspect_tagged(train, None, load_tokenizer(encoder), 4)["leaks"] is None
    assert json.loads(json.dumps(report)) == report


def test_the_command_tells_scheme_repairs_and_leaks(tmp_path, encoder, capsys):
    (tmp_path / "train.txt").write_text(TRAIN)
    (tmp_path / "test.bio").write_text(TEST)
    files = [str(tmp_path / "train.txt"), "--test", str(tmp_path / "test.bio")]
    assert main(["inspect-data", *files, "--encoder", encoder, "--max-length", "4"]) == 0
    lines = [" ".join(x.split()) for x in capsys.readouterr().out.splitlines()]
    for line in (
        "train: 3 sentences, 9 words, 4 entities of 2 types",
        "LOC 1",
        "PER 3",
        "tag scheme: bio; tags at odds with it, repaired: 0",
        "tag scheme: bio; tags at odds with it, repaired: 1",
        "words a sentence: min 1, median 4, 95 % 4, max 4",
        "longer than 4 tokens, cut into windows: 66.7% (2 sentences)",
        "repeats of an earlier sentence: 1",
        "sentences that are tagged in more than one way: 1",
        "document marks left out: 1",
        "test: 3 sentences, 3 words, 2 entities of 2 types",
        "test sentences that are in train: 2",
    ):
        assert line in lines, lines


def test_broken_utf8_and_what_a_conll_file_does_not_hear(tmp_path, encoder, capsys):
    path = tmp_path / "d.conll"
    path.write_bytes("the caf\u00e9 B-LOC\n".encode("latin-1"))
    command = ["inspect-data", str(path), "--encoder", encoder]
    assert main(command) == 2
    assert "line 1: byte 8" in capsys.readouterr().err
    given = ["--text", "1", "--encoding-errors", "replace"]
    assert main([*command, *given]) == 0
    assert "replaced while decoding: 1" in capsys.readouterr().out
    for arguments, part in (
        (["--scores", "0", "5"], "--scores is given but"),
        (["--no-header"], "--no-header is given but"),
        (["--root", str(tmp_path)], "--root is given but"),
        (["--text", "0", "1"], "in one column"),
    ):
        assert main([*command, *arguments]) == 2
        assert part in capsys.readouterr().err
