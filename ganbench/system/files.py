"""Files written whole or not at all, their locks and hashes; the cache folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganbench.errors import InputError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a temporary neighbour, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, so that two processes adding seeds do not lose one another's."""
    import filelock  # with asyncio, for which few commands need wait

    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_name(f".{path.name}.lock")):
        yield


def check_writable(folder: Path) -> None:
    """InputError, before any work is done, if nothing can be written into a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write to folder {str(folder)!r}: {reason}") from error


def file_sha256(path: Path) -> str:
    """Hash of a file's content, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cache_folder() -> Path:
    """GANBENCH_CACHE, or the user's cache folder."""
    import platformdirs

    root = os.environ.get("GANBENCH_CACHE")
    return Path(root) if root else platformdirs.user_cache_path("ganbench")
