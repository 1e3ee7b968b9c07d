"""What is known of the leaderboard's files, kept between commands: thousands take long to read.

A file is read again when its size or its times have changed. The index lies in the cache folder
(`GANBENCH_CACHE`) and may be deleted at any time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import ganbench
from ganbench import leaderboard, results
from ganbench.cache import cache_folder
from ganbench.digest import Digest, digest
from ganbench.errors import InputError
from ganbench.ranking import Place

FORMAT = 1  # of what is kept; to be raised with every change of a digest or of the statistics
MOST_PLACES = 1_000  # boards
FORGET = "delete from places where rowid <= (select max(rowid) from places) - ?"
TABLES = """
create table if not exists digests (path text primary key, stamp text, digest text) strict;
create table if not exists places (key text primary key, places text) strict;
"""


class Index:
    """An open index; `problem` says why nothing is kept, if so."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.problem: str | None = None

    def entries(self, root: Path, task: str | None = None) -> tuple[list[Digest], list[str]]:
        """The entries of a leaderboard, or of one task, and a line for each file that is none."""
        paths = leaderboard.files(root, task)
        base = root.resolve()
        known = self._known(base / task if task else base)
        found, problems, new = [], [], []
        for path in paths:
            key, stamp = f"{base}/{path.parent.name}/{path.name}", _stamp(path)
            before = known.pop(key, None)
            if before and before[0] == stamp:
                found.append(Digest(**json.loads(before[1])))
                continue
            try:
                found.append(_read(path))
            except InputError as error:
                problems.append(str(error))
                continue
            new.append((key, stamp, json.dumps(found[-1].document(), allow_nan=False)))
        self._keep("insert or replace into digests values (?, ?, ?)", new)
        self._keep("delete from digests where path = ?", [(gone,) for gone in known])
        return found, problems

    def remember(self, key: str, make: Callable[[], list[Place]]) -> list[Place]:
        """What was once made for this key, or make it."""
        query = "select places from places where key = ?"
        if row := self._connection.execute(query, [key]).fetchone():
            return [((low, high), group) for low, high, group in json.loads(row[0])]
        made = make()
        flat = json.dumps([(low, high, group) for (low, high), group in made])
        self._keep("insert or replace into places values (?, ?)", [(key, flat)])
        self._keep(FORGET, [(MOST_PLACES,)])
        return made

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _known(self, folder: Path) -> dict[str, tuple[str, str]]:
        query = "select path, stamp, digest from digests where path between ? and ?"
        inside = f"{folder}/", f"{folder}0"  # 0 comes after /
        return {p: (stamp, text) for p, stamp, text in self._connection.execute(query, inside)}

    def _keep(self, statement: str, rows: Sequence[tuple[str | int, ...]]) -> None:
        if not rows:
            return
        try:
            with self._connection:
                self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            self.problem = f"nothing is kept for the next command: {error}"


@contextmanager
def opened() -> Iterator[Index]:
    """The index in the cache folder; where it cannot be used, an empty one in memory."""
    path = cache_folder() / f"leaderboard-{ganbench.__version__}-{FORMAT}.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        index = _connected(str(path))
    except (OSError, sqlite3.Error) as error:
        index = _connected(":memory:")
        index.problem = f"{path} cannot be used ({error}): the board's files are read anew"
    try:
        yield index
    finally:
        index.close()


def _connected(path: str) -> Index:
    connection = sqlite3.connect(path)
    try:
        connection.executescript(TABLES)
    except sqlite3.Error:
        connection.close()
        raise
    return Index(connection)


def _read(path: Path) -> Digest:
    found = digest(results.load_result(path))
    if (found.task, found.name) != (path.parent.name, path.stem):
        raise InputError(f"{path} holds {found.name!r} on {found.task!r}, by its content")
    return found


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
