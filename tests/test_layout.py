"""The layout: few files at the top, short functions and files, imports that run one way."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import ganbench

PACKAGE = Path(ganbench.__file__).parent
ROOT = Path(__file__).parents[1]
# From the top to the bottom: a room imports from those to its right, and from itself.
FLOORS = (
    *("api", "cli", "site", "board", "check", "reproduce", "harness"),
    *("dirac", "engine", "diagnosis", "results", "system"),
)
FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent.name not in ("tasks", "baselines")
)
TREES = {path: ast.parse(path.read_text()) for path in FILES}


def module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in FILES}


def imported(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, at its top or inside of a function.

    Not those for types alone, which are never imported.
    """
    for_types = {
        inner
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and node not in for_types and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in MODULES:
                    yield full
                elif node.module in MODULES and node.module != "ganbench":
                    yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)


def test_few_files_lie_at_the_top() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 18


def test_files_and_functions_are_short() -> None:
    long = [
        f"{path.name}: {n} lines"
        for path in FILES
        if (n := len(path.read_text().splitlines())) >= 400
    ]
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = (ast.get_docstring(node) or "").count("\n")
                lines = (node.end_lineno or 0) - node.lineno + 1 - docstring
                long += [f"{path.name}: {node.name} has {lines} lines"] if lines >= 50 else []
    assert not long


def test_imports_have_no_circle() -> None:
    graph = {module(path): set(imported(path)) - {module(path), "ganbench"} for path in FILES}
    order = list(TopologicalSorter(graph).static_order())  # CycleError names a circle
    assert len(order) >= len(FILES)


def test_rooms_import_downwards() -> None:
    wrong = []
    for path in FILES:
        room = path.relative_to(PACKAGE).parts[0]
        if room not in FLOORS:
            continue
        for name in imported(path):
            other = name.split(".")[1] if "." in name else ""
            if other in FLOORS and FLOORS.index(other) < FLOORS.index(room):
                wrong.append(f"{module(path)} imports {name}")
    assert not wrong


def test_what_tasks_and_baselines_import_needs_no_room_above_the_engine() -> None:
    """Nouns, metrics and what tasks share must load without the command line, board or harness."""
    wrong = [
        f"{module(path)} imports {name}"
        for path in FILES
        if path.relative_to(PACKAGE).parts[0]
        in ("metrics", "core.py", "nn.py", "planar.py", "images.py")
        for name in imported(path)
        if name.split(".")[1:2] and name.split(".")[1] in FLOORS[: FLOORS.index("engine")]
    ]
    assert not wrong


def test_every_room_is_in_the_wheel() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    rooms = {f"ganbench.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")}
    assert set(listed) == rooms | {"ganbench", "ganbench.tasks", "ganbench.baselines"}
