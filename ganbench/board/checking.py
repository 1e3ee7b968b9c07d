"""Checking the leaderboard's files without running anything that came with them."""

from __future__ import annotations

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganbench import registry
from ganbench.board import attachments, gap
from ganbench.board.entry import marks
from ganbench.board.overall import declared
from ganbench.board.sound import contradictions, wrong_summaries
from ganbench.board.standard import SAME, age, copies
from ganbench.board.watch import Watch, unwatched
from ganbench.errors import InputError, one_line
from ganbench.results import schema, stats, store
from ganbench.results.schema import Result

if TYPE_CHECKING:
    from ganbench.core import Task

IGNORED = {"README.md", "board.toml", "old"}


@functools.cache
def bundled_task(name: str) -> Task:
    """A task that results of others may name; executed once, as a board has many of each."""
    from ganbench.system.threads import one_thread  # imports torch

    with one_thread():  # its small tensors take longer on several, above all on a busy machine
        return registry.bundled_task(name)


def check(root: Path, *, watch: Watch = unwatched) -> tuple[int, list[str]]:
    """How many results there are, and one line for everything that is wrong with the files."""
    findings = []
    paths = store.result_files(root)
    whole: dict[Path, Result] = {}
    for path in watch("checking results", paths):
        if path.is_symlink():
            findings.append(f"{path}: is a link")
            continue
        try:
            whole[path] = schema.load_result(path)
        except InputError as error:
            findings.append(str(error))
            continue
        lines = [*inconsistencies(whole[path], path), *attachments.findings(whole[path], path)]
        if twice := repeated(schema.read_text(path)):
            lines.append(f"says {one_line(twice, 80)} twice")
        findings += [f"{path}: {line}" for line in lines]
    findings += [f"{path}: is no part of a result" for path in strangers(root, paths)]
    findings += [*same_but_for_case(paths), *declaration(root)]
    published = {path: result for path, result in whole.items() if not store.is_local(path)}
    return len(paths), [*findings, *duplicates(published), *undeclared(published)]


def repeated(text: str) -> str | None:
    """A name that an object of a JSON document has twice, of which readers take either."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs):
            found.extend(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)

    json.loads(text, object_pairs_hook=look, parse_int=str)  # as a number may have any length
    return found[0] if found else None


def same_but_for_case(paths: Sequence[Path]) -> Iterator[str]:
    """Files of which some systems hold only one."""
    first: dict[str, Path] = {}
    for path in paths:
        before = first.setdefault(str(path).casefold(), path)
        if before is not path:
            yield f"{path}: is {before} but for upper and lower case"


def declaration(root: Path) -> Iterator[str]:
    """What is wrong with the board's own file."""
    try:
        declared(root)
    except InputError as error:
        yield str(error)


def strangers(root: Path, known: Sequence[Path]) -> Iterator[Path]:
    """Files, links among them, that belong to no result."""
    expected = {*known, *(part for path in known for part in attachments.parts(path))}
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        hidden = any(part.startswith(".") for part in inside)
        is_folder = path.is_dir() and not path.is_symlink()
        if not (hidden or is_folder or IGNORED & set(inside[:2]) or path in expected):
            yield path


def duplicates(whole: dict[Path, Result]) -> Iterator[str]:
    """Entries of a task that share samples: one under two names."""
    by_task: dict[str, dict[Path, list[str | None]]] = defaultdict(dict)
    for path in sorted(whole, key=lambda path: age(whole[path].created_at, path.stem)):
        by_task[whole[path].task.name][path] = marks(whole[path])
    for own in by_task.values():
        for path, before in copies(own).items():
            yield f"{path}: {SAME.format(before)}"


def undeclared(whole: dict[Path, Result]) -> Iterator[str]:
    """Entries beyond the first of a source on a task that were set otherwise, without trials."""
    first: dict[tuple[str, str], Path] = {}
    for path, result in whole.items():
        if result.entry.tuning_trials:
            continue
        before = first.setdefault((result.task.name, result.entry.sha256), path)
        if whole[before].entry.hparams != result.entry.hparams:
            yield f"{path}: declares no tuning trials, and is {before} with other hyper-parameters"


def inconsistencies(result: Result, path: Path) -> list[str]:
    """What a result claims that does not follow from its own metrics, name and place."""
    lines = [line] if (line := store.misplaced(result, path)) else []
    lines += contradictions(result)
    metrics = stats.summarise(result.seeds, list(result.task.metrics))
    del metrics["score"]
    lines += wrong_summaries(result.summary, metrics)
    return [*lines, line] if (line := gap.wrong(result)) else lines
