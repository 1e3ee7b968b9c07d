"""What is known of the leaderboard's files, kept between commands: thousands take long to read.

A file is read again when its size or its times have changed. The index lies in the cache folder
(`GANBENCH_CACHE`) and may be deleted at any time.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic_core import from_json  # several times as fast as json's

import ganbench
from ganbench import registry
from ganbench.board import attachments, sound
from ganbench.board.entry import BoardEntry, board_entry
from ganbench.board.ranking import Place
from ganbench.board.watch import Watch, unwatched
from ganbench.errors import InputError
from ganbench.results import schema, store
from ganbench.system import processes
from ganbench.system.files import cache_folder, make_folder, resolved

MADE_BY = (
    *("errors", "hparams", "registry", "scoring", "__init__"),
    *(f"board/{name}" for name in ("attachments", "conduct", "entry", "index", "ranking", "sound")),
    *(f"board/{name}" for name in ("standard", "watch", "__init__")),
    *(f"results/{name}" for name in ("samples", "schema", "stats", "store", "__init__")),
    *(f"system/{name}" for name in ("files", "leftovers", "modules", "processes", "texts")),
    "system/__init__",
)  # the modules that what is kept follows from
PACKAGE = Path(ganbench.__file__).parent
STALE = 30 * 24 * 3600  # seconds
MOST_PLACES = 1_000  # boards
CHUNK = 100  # files at once, of a worker process
FEW_CHUNKS = 10  # that are read before workers have started
FORGET = "delete from places where rowid <= (select max(rowid) from places) - ?"
TABLES = """
create table if not exists entries (path text primary key, stamp text, entry text) strict;
create table if not exists places (key text primary key, places text) strict;
"""


class Index:
    """An open index; `problem` says why nothing is kept, if so."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.problem: str | None = None

    def entries(
        self, root: Path, task: str | None = None, *, watch: Watch = unwatched
    ) -> tuple[list[BoardEntry], list[str]]:
        """The entries of a leaderboard, or of one task, and a line for each file that is none."""
        base = resolved(root)
        known = self._known(base / task if task else base)
        paths = store.result_files(root, task)
        stamps = {path: (_key(base / path.parent.name / path.name), _stamp(path)) for path in paths}
        kept = {
            path: before[1]
            for path, (key, stamp) in stamps.items()
            if (before := known.pop(key, None)) and before[0] == stamp
        }
        unread = [path for path in paths if path not in kept]
        read, problems = _read_all(unread, watch)
        self._keep(
            "insert or replace into entries values (?, ?, ?)",
            [(*stamps[path], text) for path, text in read.items()],
        )
        self._keep("delete from entries where path = ?", [(gone,) for gone in known])
        texts = [kept.get(path) or read.get(path) for path in paths]
        with _without_collector():
            return [BoardEntry(**from_json(text)) for text in texts if text], problems

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
        query = "select path, stamp, entry from entries where path between ? and ?"
        inside = f"{_key(folder)}/", f"{_key(folder)}0"  # 0 comes after /
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
    path = cache_folder() / f"leaderboard-{stamp_of_code(PACKAGE)}.sqlite"
    try:
        make_folder(path.parent)
        _forget_stale(path)
        index = _connected(str(path))
    except (OSError, sqlite3.Error) as error:
        index = _connected(":memory:")
        index.problem = f"{path} cannot be used ({error}): the board's files are read anew"
    try:
        yield index
    finally:
        index.close()


def _key(path: Path) -> str:
    """A path's bytes as text, as SQLite takes no name that is not of UTF-8."""
    return os.fsencode(path).decode("latin-1")


def stamp_of_code(package: Path) -> str:
    """What changes with the code that makes what is kept, so that nothing is taken for its like."""
    digest = hashlib.sha256()
    frozen = sorted(registry.folder("tasks").glob("*.json"))
    for path in (*(package / f"{name}.py" for name in MADE_BY), *frozen):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _forget_stale(path: Path) -> None:
    """Remove indices of other code that nobody has used for a while."""
    for other in path.parent.glob("leaderboard-*.sqlite"):
        if other != path and time.time() - other.stat().st_mtime > STALE:
            other.unlink(missing_ok=True)


def _connected(path: str) -> Index:
    connection = sqlite3.connect(path)
    try:
        connection.executescript(TABLES)
    except sqlite3.Error:
        connection.close()
        raise
    return Index(connection)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Python's would look through a growing heap again and again, and find nothing."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _read_all(paths: Sequence[Path], watch: Watch) -> tuple[dict[Path, str], list[str]]:
    """The entries of files as JSON, and a line for each file that is no result."""
    chunks = processes.chunks(paths, CHUNK)
    if len(chunks) < FEW_CHUNKS:
        found = [_read(path) for path in watch("reading results", paths)]
    else:
        with processes.pool(processes.workers(None, len(chunks))) as pool:
            futures = [pool.submit(_read_chunk, chunk) for chunk in chunks]
            done = watch(f"reading results, {CHUNK} at once", futures)
            found = [each for future in done for each in future.result()]
    read = {path: text for path, (text, _) in zip(paths, found, strict=True) if text}
    return read, [problem for _, problem in found if problem]


def _read_chunk(paths: Sequence[Path]) -> list[tuple[str, str]]:
    return [_read(path) for path in paths]


def _read(path: Path) -> tuple[str, str]:
    """The entry or what is wrong with the file; the other is empty."""
    try:
        result = schema.load_result(path)
    except InputError as error:
        return "", str(error)
    if line := store.misplaced(result, path):
        return "", f"{path} {line}"
    unpaired = attachments.unpaired(result, path)
    local = store.is_local(path)
    wrong = None if local else sound.why_unfit(result)
    entry = board_entry(result, local=local, unpaired=unpaired, wrong=wrong)
    try:
        return json.dumps(entry.document(), allow_nan=False), ""
    except ValueError:
        return "", f"{path} holds scores that are no numbers: floor and ceiling are too close"


def _stamp(path: Path) -> str:
    """What changes with a result's file, or with what lies beside it."""
    try:
        found = [(each.name, each.stat()) for each in (path, *attachments.parts(path))]
    except OSError:
        return ""
    return " ".join(
        f"{name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}" for name, stat in found
    )
