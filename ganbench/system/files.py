"""Files written whole or not at all, their locks and hashes; the cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

from ganbench.errors import InputError, one_line
from ganbench.system import leftovers

MOST_TEXT = 2**26  # bytes of a file that is read as a whole


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a temporary neighbour, fsync, rename.

    An OSError names the file. A neighbour of a killed process is what `leftovers` clears.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with naming(path, temporary):
        make_folder(path.parent)
        try:
            with temporary.open("xb") as file:
                leftovers.hold(file.fileno())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):  # of a folder that cannot be written, where there is none
                temporary.unlink(missing_ok=True)
            raise


def write(path: Path, content: bytes) -> None:
    """Write one of many files, of which a folder is made that is whole or not at all.

    Not atomically: fsync would take longer than all else. An OSError names the file.
    """
    with naming(path):
        make_folder(path.parent)
        path.write_bytes(content)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing: thousands too, where pathlib recurses."""
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        above = takewhile(lambda each: not each.exists(), folder.parents)
        for each in (*reversed(list(above)), folder):
            each.mkdir(exist_ok=True)


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Have an OSError name this file where it names none, as of a full disk, or its temporary."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise


@contextmanager
def opened(path: Path, *, most: int) -> Iterator[BinaryIO]:
    """A regular file to be read, or one that a link leads to: nothing else is waited for.

    InputError for a folder, a pipe, a device, for more than `most` bytes, and for what cannot be
    opened or, inside the block, read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise InputError(f"{path} is no regular file")
            if found.st_size > most:
                raise InputError(f"{path} has {found.st_size:,} bytes, more than {most:,}")
            yield file
    except FileNotFoundError as error:
        raise InputError(f"no file {str(path)!r}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def read_bytes(path: Path, *, most: int = MOST_TEXT) -> bytes:
    """The content of a regular file; InputError as by `opened`."""
    with opened(path, most=most) as file:
        return file.read()


def read_text(path: Path, *, most: int = MOST_TEXT) -> str:
    """The text of a regular file in UTF-8; InputError as by `opened`, and if it is no text."""
    try:
        return read_bytes(path, most=most).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text: {error}") from error


def resolved(path: Path) -> Path:
    """The absolute path without links; of links that lead in a circle, one of them."""
    return Path(os.path.realpath(path))  # Path.resolve raises RuntimeError there


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one where there is none that can be read."""
    try:
        found = json.loads(read_bytes(path))
    except (ValueError, RecursionError):  # an InputError is a ValueError
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, so that two processes adding seeds do not lose one another's."""
    import filelock  # with asyncio, for which few commands need wait

    make_folder(path.parent)
    lock = path.with_name(f".{path.name}.lock")
    with filelock.FileLock(lock):
        try:
            yield
        finally:
            if os.name != "nt":  # where none can be removed that is open
                lock.unlink(missing_ok=True)  # while held: who waits sees so, and makes another


def check_writable(folder: Path, *, deep: bool = False) -> None:
    """InputError, before any work is done, if nothing can be written into a folder.

    What a killed process has left there is cleared; with `deep` in the folders inside too.
    """
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
        leftovers.clear_in(folder, deep=deep)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write to folder {str(folder)!r}: {reason}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file; InputError as by `opened`, and if it is none."""
    text = read_text(path)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise InputError(f"{path} is no TOML: it is nested too deeply") from error
    except ValueError as error:  # of too many digits too
        raise InputError(f"{path} is no TOML: {one_line(str(error), 200)}") from error


def file_sha256(path: Path) -> str:
    """Hash of a file's content, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cache_folder() -> Path:
    """GANBENCH_CACHE, or the user's cache folder."""
    import platformdirs

    root = os.environ.get("GANBENCH_CACHE")
    return Path(root) if root else platformdirs.user_cache_path("ganbench")
