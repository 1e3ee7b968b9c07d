"""The leaderboard as static pages, which work from a file and without a network."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganbench.board import overall
from ganbench.board.index import Index
from ganbench.board.watch import Watch, unwatched
from ganbench.errors import InputError
from ganbench.results import store
from ganbench.site import entry_page, pages
from ganbench.site.content import Facts, Line, content
from ganbench.site.render import Renderer
from ganbench.system import processes
from ganbench.system.files import make_folder, resolved, write
from ganbench.system.leftovers import held_folder

__all__ = ["Built", "build"]

Work = tuple[Path, Line]
CHUNK = 100  # entries at once, of a worker process
MARKER = "ganbench-site.txt"  # in a folder that may be replaced


@dataclass(frozen=True, kw_only=True)
class Built:
    """How many pages there are, and a line for each file that is no result."""

    pages: int
    problems: list[str]


def build(
    root: Path,
    out: Path,
    index: Index,
    *,
    quality: float,
    workers: int | None = 1,
    watch: Watch = unwatched,
) -> Built:
    """Write the site of a leaderboard into the folder `out`, whole or not at all.

    A former site there is replaced. `workers` are processes, None for one a core. Raises InputError
    if the folder holds anything else, OSError if it cannot be written.
    """
    out = resolved(out)
    _check_replaceable(out)
    entries, problems = index.entries(root, watch=watch)
    tasks = overall.declared(root)
    found = content(entries, quality=quality, remember=index.remember, tasks=tasks)
    work = [
        (store.path_of(root, task, name), line)
        for task, own in found.lines.items()
        for name, line in own.items()
    ]
    make_folder(out.parent)
    with held_folder(out.parent, f".{out.name}-") as made:
        write(made / MARKER, b"`ganbench leaderboard site` wrote this folder and replaces it.\n")
        pages.assets(made / "assets")
        problems += _write_entries(made, found.facts, work, workers, watch)
        renderer = Renderer(made, found.facts)
        for task in found.lines:
            pages.task(renderer, found, root, task)
        pages.comparison(renderer, found)
        pages.results(renderer, found)
        pages.board(renderer, found, root, problems)
        made.chmod(0o755)
        _replace(out, made)
    return Built(pages=len(work) + len(found.lines) + 3, problems=problems)


def _write_entries(
    folder: Path, facts: Facts, work: list[Work], workers: int | None, watch: Watch
) -> list[str]:
    """Write the entries' pages, by worker processes if there are many; returns the problems."""
    chunks = processes.chunks(work, CHUNK)
    count = processes.workers(workers, len(chunks))
    if count < 2:
        _start(folder, facts)
        return [line for chunk in watch("writing pages", chunks) for line in _write_chunk(chunk)]
    with processes.pool(count, _start, folder, facts) as pool:
        futures = [pool.submit(_write_chunk, chunk) for chunk in chunks]
        return [line for future in watch("writing pages", futures) for line in future.result()]


_worker: dict[str, Renderer] = {}  # this process's own, set when it starts


def _start(folder: Path, facts: Facts) -> None:
    _worker["renderer"] = Renderer(folder, facts)


def _write_chunk(chunk: Sequence[Work]) -> list[str]:
    problems = []
    for path, line in chunk:
        try:
            entry_page.write(_worker["renderer"], path, line)
        except InputError as error:
            problems.append(str(error))
    return problems


def _check_replaceable(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{str(out)!r} is no folder: give another with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise InputError(f"{str(out)!r} holds other things than a site: give an empty folder")


def _replace(out: Path, made: Path) -> None:
    """Put a finished folder where the former one was."""
    former = made.with_name(f"{made.name}-former")
    if out.exists():
        out.rename(former)
    try:
        made.rename(out)
    except OSError:
        if former.exists():
            former.rename(out)
        raise
    shutil.rmtree(former, ignore_errors=True)
