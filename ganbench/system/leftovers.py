"""Temporaries that are held while they are in use, so that a killed process's are told and cleared.

Whoever makes one holds its lock (`flock`), which the system lets go of when the process ends,
however that is. What nobody holds any more, and nobody has touched for a minute, is a leftover.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MOST_HELD = 128  # descriptors: of 256 or more that a process may have
FRESH = 60.0  # seconds in which a temporary may have been made, and not be held yet
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}")  # as `files.write_atomically` calls them
LOCK = re.compile(r"\..+\.lock")  # as `files.locked` calls them


def hold(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed; False if somebody has, or it cannot be."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks, on which nothing is taken for left
        return False
    return True


@contextmanager
def used(folder: Path) -> Iterator[None]:
    """Have `in_use` say so of a folder, which several may use at once.

    Where there are no locks nothing is told, nor of so many folders that files could not be opened.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    if descriptor >= MOST_HELD:
        os.close(descriptor)
        yield
        return
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a copy of this process may have it too
        os.close(descriptor)


def in_use(folder: Path) -> bool:
    """Whether somebody is known to use a folder."""
    try:
        import fcntl
    except ImportError:
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    finally:
        os.close(descriptor)
    return False


@contextmanager
def held_folder(parent: Path | None = None, prefix: str = "ganbench-") -> Iterator[Path]:
    """A new folder in `parent`, or where temporaries lie; held inside, removed if still there.

    The leftovers of those that were made so before are cleared. OSError if it cannot be removed.
    """
    parent = parent or Path(tempfile.gettempdir())
    clear(parent.glob(f"{glob.escape(prefix)}{'?' * 8}"))
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=parent)).resolve()
    descriptor = os.open(made, os.O_RDONLY)
    try:
        hold(descriptor)
        yield made
    finally:
        remove(made)
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Remove a folder, if it is there, however deep it is and whatever in it was shut."""
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):  # which pass what Python's does not
        if folder.exists():
            subprocess.run([*command, "--", folder], stderr=subprocess.DEVNULL, check=False)
    if folder.exists():
        raise OSError(f"{folder} cannot be removed")


def clear_in(folder: Path, *, deep: bool = False) -> None:
    """Remove the leftovers of `files.write_atomically` and `files.locked` in a folder.

    With `deep` in the folders inside too.
    """
    found = folder.rglob(".*") if deep else folder.glob(".*")
    clear(p for p in found if TEMPORARY.fullmatch(p.name) or LOCK.fullmatch(p.name))


def clear(paths: Iterable[Path]) -> None:
    """Remove of these files and folders what nobody holds; what is in use or another's stays."""
    for path in paths:
        with suppress(OSError):  # gone by now, or not ours to open or to remove
            _clear(path)


def _clear(path: Path) -> None:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags)
    try:
        found = os.fstat(descriptor)
        is_folder = stat.S_ISDIR(found.st_mode)
        # A lock may be fresh: who waits for one that is removed sees so, and makes another.
        fresh = time.time() - found.st_mtime < FRESH and not LOCK.fullmatch(path.name)
        if fresh or not (is_folder or stat.S_ISREG(found.st_mode)) or not hold(descriptor):
            return
        if is_folder:
            remove(path)
        else:
            path.unlink()
    finally:
        os.close(descriptor)
