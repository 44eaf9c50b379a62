"""What docs/reliability.md tells, a little of each: the same script, with small numbers."""

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "reliability.py"


@pytest.fixture(scope="module")
def reliability():
    """The script, which is in no package."""
    spec = importlib.util.spec_from_file_location("reliability", SCRIPT)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize(
    "what, more",
    [
        ("kills", ["--only", "train", "export", "predict --out"]),
        ("together", ["--only", "train", "report"]),
        ("full-disk", ["--times", "3", "--only", "train", "active run", "backtranslate"]),
        ("back-translation", []),
        ("prediction", []),
        ("sweep", ["--rows", "5", "--times", "1"]),
    ],
)
def test_a_little_of_each(what, more, reliability, capsys):
    try:
        code = reliability.main([what, "--mini", *more])
    except SystemExit as ended:
        if "only be mounted by root" in str(ended):
            pytest.skip(str(ended))
        raise
    said = capsys.readouterr().out
    assert code == 0, said
    assert "faults: 0" in said
