"""Imports point one way: a room knows the rooms below it and none beside or above it.

    errors, deferred <- files, settings <- data, mixing, losses, metrics, pseudo_labels <- models
           <- methods <- training <- environment, inference, recipe <- glance, run_folder
           <- active, api, estimator, report, starter <- export, jobs <- ray, setfit
           <- sweep, miniature <- reproduce <- data_commands
           <- active_commands, model_commands, view_commands <- result_commands <- cli

backtranslate stands beside: it imports nothing from mixtext, and only data/views.py, files.py,
errors.py and view_commands.py import it. A room is a module or a sub-package directly below
mixtext/. Inside a room, and inside backtranslate, any module may import any other, but never in a
circle.
"""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

RANKS = {
    "deferred": 0,
    "errors": 0,
    "files": 1,
    "settings": 1,
    "data": 2,
    "mixing": 2,
    "losses": 2,
    "metrics": 2,
    "pseudo_labels": 2,
    "assessment": 3,
    "markdown": 3,
    "models": 3,
    "pictures": 3,
    "methods": 4,
    "registration": 4,
    "training": 5,
    "presets": 5,
    "environment": 6,
    "inference": 6,
    "recipe": 6,
    "glance": 7,
    "run_folder": 7,
    "run": 8,
    "evaluation": 8,
    "tagging": 8,
    "active": 9,
    "api": 9,
    "estimator": 9,
    "report": 9,
    "starter": 9,
    "export": 10,
    "jobs": 10,
    "ray": 11,
    "setfit": 11,
    "miniature": 12,
    "sweep": 12,
    "reproduce": 13,
    "data_commands": 14,
    "active_commands": 15,
    "model_commands": 15,
    "view_commands": 15,
    "result_commands": 16,
    "cli": 17,
    "__main__": 18,
}

BACKTRANSLATE_MAY_BE_IMPORTED_BY = {
    "mixtext.data.views",
    "mixtext.view_commands",
    "mixtext.files",
    "mixtext.errors",
}


def sources() -> list[Path]:
    return sorted(
        path for top in ("mixtext", "backtranslate") for path in (ROOT / top).rglob("*.py")
    )


def module_name(path: Path) -> tuple[str, bool]:
    """Dotted name of a file below the root, and whether it is a package's __init__."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    return ".".join(parts[:-1] if is_package else parts), is_package


def imported(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, wherever in the file it stands.

    Imports inside functions and under TYPE_CHECKING count: the arrow is about who knows whom.
    `from a import b` is given as a.b, since b may be a module. import_module("a.b") counts too.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            first = node.args[0]
            if name in {"import_module", "__import__"} and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


def room_of(dotted: str) -> str | None:
    """Room of a name; None for the package itself, for all of it (*) and for dunder names."""
    parts = dotted.split(".")
    if len(parts) < 2 or parts[1] == "*" or (parts[1].startswith("__") and parts[1] not in RANKS):
        return None
    return parts[1]


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """One sentence for each import of `module` against the arrow."""
    found = []
    top = module.split(".")[0]
    room = room_of(module) if top == "mixtext" else None
    if room is not None and room not in RANKS:
        return [f"{module}: give the new module '{room}' a rank in tests/test_imports.py."]
    for line, name in imported(source, module, is_package):
        where = f"{module}:{line} imports {name}:"
        target_top = name.split(".")[0]
        if target_top == "backtranslate" and top == "mixtext":
            if module not in BACKTRANSLATE_MAY_BE_IMPORTED_BY:
                found.append(
                    f"{where} only {sorted(BACKTRANSLATE_MAY_BE_IMPORTED_BY)} may import it."
                )
        elif target_top == "mixtext" and top == "backtranslate":
            found.append(f"{where} backtranslate imports nothing from mixtext.")
        elif target_top == "mixtext":
            target = room_of(name)
            if target is None:
                if name in {"mixtext", "mixtext.*"}:
                    found.append(f"{where} name the room, or the arrow cannot be seen.")
            elif target not in RANKS:
                found.append(
                    f"{where} '{target}' has no rank; give it one in tests/test_imports.py."
                )
            elif room is None or target == room:
                pass  # mixtext/__init__.py may offer any room's names
            elif RANKS[target] >= RANKS[room]:
                side = "beside" if RANKS[target] == RANKS[room] else "above"
                found.append(f"{where} '{target}' stands {side} '{room}'.")
    return found


def circle(modules: dict[str, tuple[str, bool]]) -> list[str]:
    """Modules of which each imports the one before it and the first the last; empty without any.

    `modules` maps a dotted name to its source and whether it is a package's __init__. An import
    inside a function counts: it opens a circle at run time, not in the reader's head.
    """
    graph: dict[str, set[str]] = {}
    for module, (source, is_package) in modules.items():
        graph[module] = set()
        for _, name in imported(source, module, is_package):
            if name.rpartition(".")[2].startswith("__"):
                continue  # such as __version__, which is there before anything is imported
            while name not in modules and "." in name:
                name = name.rpartition(".")[0]  # a name in a module counts as the module
            if name in modules and name != module:
                graph[module].add(name)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle():
    modules = {}
    for path in sources():
        module, is_package = module_name(path)
        modules[module] = path.read_text(encoding="utf-8"), is_package
    assert not (found := circle(modules)), " <- ".join(found)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("from b.other import x", "def f():\n    from b.one import y"),
        ("import b.other", "from . import one"),
        ("from .other import x", "if TYPE_CHECKING:\n    import b.one as o"),
        ("from b import other", "import_module('b.one')"),
    ],
)
def test_a_circle_is_caught(one, other):
    modules = {"b": ("", True), "b.one": (one, False), "b.other": (other, False)}
    assert set(circle(modules)) == {"b.one", "b.other"}
    assert circle({**modules, "b.other": ("import math", False)}) == []
    through = {"b": ("from b.one import x", True), "b.one": ("from b import x", False)}
    assert set(circle(through)) == {"b", "b.one"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    module, is_package = module_name(path)
    found = violations(path.read_text(encoding="utf-8"), module, is_package)
    assert not found, "\n".join(found)


def test_every_room_has_a_rank():
    rooms = {
        path.stem
        for path in (ROOT / "mixtext").iterdir()
        if path.stem != "__init__" and (path.suffix == ".py" or any(path.glob("**/*.py")))
    }
    unknown = sorted(rooms - RANKS.keys())
    assert not unknown, f"Give these modules of mixtext a rank in tests/test_imports.py: {unknown}"


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("mixtext.mixing.interpolate", "from mixtext.models.encoder import Encoder"),
        ("mixtext.mixing.interpolate", "from mixtext.data import corpus"),  # beside
        ("mixtext.mixing.interpolate", "from mixtext import losses"),
        ("mixtext.mixing.interpolate", "from ..training import loop"),
        ("mixtext.losses", "from . import training"),
        ("mixtext.losses", "import mixtext.cli as c"),
        ("mixtext.losses", "import mixtext"),
        ("mixtext.losses", "from mixtext import *"),
        ("mixtext.errors", "from mixtext.losses import soft_cross_entropy"),
        ("mixtext.methods.tmix", "def f():\n    from mixtext.recipe import Recipe"),
        ("mixtext.methods.tmix", "if TYPE_CHECKING:\n    from mixtext.training import loop"),
        ("mixtext.methods.tmix", "importlib.import_module('mixtext.recipe')"),
        ("mixtext.tagging.run", "from mixtext.run import train"),
        ("mixtext.report.tables", "from mixtext.cli import main"),
        ("mixtext.training.loop", "from backtranslate.store import Store"),
        ("mixtext.data.corpus", "import backtranslate"),
        ("mixtext.losses", "from mixtext.unheard_of import x"),
        ("mixtext.unheard_of", "import math"),
        ("backtranslate.store", "from mixtext.errors import InputError"),
        ("backtranslate.store", "from mixtext import errors"),
    ],
)
def test_wrong_imports_are_caught(module, source):
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("mixtext.mixing.interpolate", "from mixtext.errors import InputError"),
        ("mixtext.mixing.interpolate", "from . import spans\nfrom .spans import choose"),
        ("mixtext.mixing.interpolate", "from .. import __version__"),
        ("mixtext.training.loop", "from mixtext.methods.tmix import TMix\nimport torch"),
        ("mixtext.data.views", "from backtranslate.store import Store"),
        ("mixtext.view_commands", "import backtranslate\nfrom mixtext.report import tables"),
        ("mixtext.cli", "from mixtext import report"),
        ("backtranslate.store", "from . import backends"),
    ],
)
def test_right_imports_pass(module, source):
    assert violations(source, module) == []


def test_an_init_file_resolves_relative_imports_from_itself():
    assert violations("from .interpolate import draw_mix", "mixtext.mixing", True) == []
    assert len(violations("from ..models import encoder", "mixtext.mixing", True)) == 1
