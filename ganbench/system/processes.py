"""Worker processes that start at once: a server that has imported torch forks them.

On Linux; elsewhere, and where a confined process may have no sockets, each imports it for itself.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, TypeVar

from ganbench.errors import InputError

T = TypeVar("T")

PRELOADED = [
    "ganbench.system.server",
    "ganbench.harness.workers",
    "ganbench.planar",
    "torch._dynamo",  # which a worker's first trace imports, as slowly as torch itself
    "scipy.spatial",  # and its first evaluation this
]
PAUSES = (0.0, 0.1, 1.0)  # seconds: one that was killed refuses for a while before it is gone
CONFINED = "GANBENCH_CONFINED"  # is in the environment of a confined process
FORKED = sys.platform == "linux" and CONFINED not in os.environ

CONTEXT: Any = copy.copy(multiprocessing.get_context("forkserver" if FORKED else "spawn"))


class Process(CONTEXT.Process):  # type: ignore[misc]
    """A process that does not execute this program's main file once more.

    Nothing of it is called there, and a script without `if __name__ == "__main__"`, or a notebook,
    would begin again in each of them.
    """

    def start(self) -> None:
        """Start it; InputError where the server ends before it has, and another one too."""
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            self._start()
        finally:
            sys.modules["__main__"] = main

    def _start(self) -> None:
        for pause in (*PAUSES, None):
            try:
                super().start()
                return
            except (EOFError, ConnectionError) as error:  # which a new server may not end by
                if pause is None:
                    what = "no worker process can be started: what starts them ends at once"
                    raise InputError(what) from error
                time.sleep(pause)


CONTEXT.Process = Process


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


def start(target: Callable[..., None], *args: Any) -> BaseProcess:
    """Start a process that calls `target(*args)`, which has to call `end_with_parent`."""
    prepare()
    process: BaseProcess = CONTEXT.Process(target=_call, args=(dict(os.environ), target, args))
    process.start()
    return process


def fork(target: Callable[..., None], *args: Any) -> BaseProcess:
    """Start a process that calls `target(*args)`: a copy of this one, where the system can.

    It leads a group of its own, so that what it starts can be ended with it.
    """
    here = sys.platform == "linux"
    context: Any = multiprocessing.get_context("fork" if here else "spawn")
    process: BaseProcess = context.Process(target=_lead, args=(target, args))
    process.start()
    return process


def in_a_copy(function: Callable[[], T]) -> T | None:
    """What a function returns in a copy of this process, which stays as it is; None if it dies.

    Where the system cannot copy a process, it is called in this one.
    """
    if sys.platform != "linux":
        return function()
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = fork(lambda: theirs.send(function()))
    theirs.close()
    try:
        found: T = ours.recv()
        return found
    except EOFError:
        return None
    finally:
        end(process, grace=1.0)


@contextmanager
def death(process: BaseProcess) -> Iterator[int]:
    """What `multiprocessing.connection.wait` finds ready when a process has ended.

    Its own sentinel is not before all that it has started have ended too.
    """
    assert process.pid is not None
    if not hasattr(os, "pidfd_open"):
        yield process.sentinel
        return
    opened = os.pidfd_open(process.pid)
    try:
        yield opened
    finally:
        os.close(opened)


def end(process: BaseProcess, *, grace: float) -> None:
    """End a process that was forked, after so many seconds, and all that it has left running."""
    process.join(grace)
    if hasattr(os, "killpg"):
        assert process.pid is not None
        with suppress(ProcessLookupError):  # it is gone, and nothing is left
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def stay() -> None:
    """Have a SIGTERM not end this process; what it starts is ended by one as ever.

    Schedulers send it to every process of a command: its first one has the others stop after their
    step and keeps what they have done, for which they must still be there. Not SIG_IGN, which a
    program that is started would inherit.
    """
    signal.signal(signal.SIGTERM, lambda *_: None)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_go)


def _go() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_with_parent() -> None:
    """Have this process end as soon as the one that it works for has ended, however that was."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _call(environment: Mapping[str, str], target: Callable[..., None], args: Any) -> None:
    _prepare_here(environment)
    target(*args)


def _lead(target: Callable[..., None], args: Any) -> None:
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    end_with_parent()
    target(*args)


def _begin(environment: Mapping[str, str], start: Callable[..., None] | None, args: Any) -> None:
    end_with_parent()
    _prepare_here(environment)
    if start:
        start(*args)


def _prepare_here(environment: Mapping[str, str]) -> None:
    sys.stdout = sys.stderr  # what a GAN prints must not come between a command's own lines
    os.environ.clear()  # the server's own are from when it started
    os.environ.update(environment)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
