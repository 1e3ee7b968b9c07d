"""Worker processes that start at once: a server that has imported torch forks them.

On Linux; elsewhere, and where a confined process may have no sockets, each imports it for itself.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from ganbench.system.sandbox import CONFINED

T = TypeVar("T")

PRELOADED = [
    "ganbench.harness.workers",
    "ganbench.planar",
    "scipy.stats",
    "ot.lp",
]
FORKED = sys.platform == "linux" and CONFINED not in os.environ

CONTEXT = multiprocessing.get_context("forkserver" if FORKED else "spawn")


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def workers(asked: int | None, most: int, *, forked: bool = True) -> int:
    """As many as are asked for, or one a core, but at most `most`.

    The server gets ready, unless they will not be `forked` by it.
    """
    count = min(most, asked or cores())
    if count > 1 and forked:
        prepare()
    return count


def chunks(work: Sequence[T], size: int) -> list[Sequence[T]]:
    """So much of the work at a time, for one worker."""
    return [work[first : first + size] for first in range(0, len(work), size)]


def prepare() -> None:
    """Start the server, which gets ready while this process goes on."""
    if FORKED:
        from multiprocessing import forkserver

        CONTEXT.set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()


def pool(workers: int, start: Callable[..., None] | None = None, *args: Any) -> ProcessPoolExecutor:
    """So many worker processes; each calls `start(*args)` first, if that is given."""
    prepare()
    return ProcessPoolExecutor(
        workers,
        mp_context=CONTEXT,
        initializer=_begin,
        initargs=(dict(os.environ), start, args),
    )


def _begin(environment: Mapping[str, str], start: Callable[..., None] | None, args: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr  # what a GAN prints must not come between a command's own lines
    os.environ.clear()  # the server's own are from when it started
    os.environ.update(environment)
    if start:
        start(*args)


def _end_with_parent() -> None:
    """End this process as soon as the one that it works for has ended, however that was."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
