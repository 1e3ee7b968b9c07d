"""What Python files say of themselves, read from their text: nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def summary(text: bytes) -> str:
    """The first paragraph of a module's docstring, in one line; "" without one."""
    return (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].replace("\n", " ")


def literals(paths: Iterable[Path], name: str) -> dict[str, Any]:
    """The entries of the dictionaries that the modules bind to a name, all together."""
    found: dict[str, Any] = {}
    for node in (node for path in paths for node in ast.parse(path.read_bytes()).body):
        if isinstance(node, ast.AnnAssign | ast.Assign) and node.value is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and target.id == name:
                found |= ast.literal_eval(node.value)
    return found


def defined(text: bytes) -> set[str]:
    """The names that a file defines as functions, or assigns."""
    body = ast.parse(text).body
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    assigned = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    return functions | {target.id for target in assigned if isinstance(target, ast.Name)}
