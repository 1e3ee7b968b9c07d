"""The leaderboard as static pages, which work from a file and without a network."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ganbench import leaderboard
from ganbench.errors import InputError
from ganbench.index import Index
from ganbench.site.pages import Writer
from ganbench.site.views import view

__all__ = ["Built", "build"]

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
    progress: Callable[[list[Path]], Iterable[Path]] = iter,
) -> Built:
    """Write the site of a leaderboard into the folder `out`, whole or not at all.

    A former site there is replaced. Raises InputError if the folder holds anything else, or cannot
    be written.
    """
    _check_replaceable(out)
    entries, problems = index.entries(root)
    board = view(entries, quality=quality, remember=index.remember)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write to folder {str(out)!r}: {reason}") from error
    try:
        writer = Writer(folder=made, view=board, problems=list(problems))
        (made / MARKER).write_text(
            "`ganbench leaderboard site` wrote this folder and replaces it.\n"
        )
        writer.assets()
        for path in progress(leaderboard.files(root)):
            writer.entry(path)
        for task in board.lines:
            writer.task(task)
        writer.comparison()
        writer.board()
        made.chmod(0o755)
        _replace(out, made)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return Built(pages=writer.pages, problems=writer.problems)


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
