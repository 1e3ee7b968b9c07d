"""What `ganbench.system.cell` starts: separates itself, confines its child, and calls a function.

Three processes: this one waits outside and ends whatever is left; its child is process 1 of what is
confined, and confines itself; that one's child calls the function.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from ganbench.errors import first_line
from ganbench.system import kernel, sandbox
from ganbench.system.sandbox import Rules

Tell = Callable[[dict[str, Any]], None]  # a message, of JSON


def main() -> int:
    """Read rules and the call from standard input, pickled by the one that started this."""
    parent, channel = map(int, sys.argv[1:])
    rules: Rules = pickle.load(sys.stdin.buffer)

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(1)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started this decides
    failed: dict[str, str] = {}
    if kernel.available():
        kernel.end_with_parent(parent, signal.SIGTERM)
        kernel.control(kernel.PR_SET_CHILD_SUBREAPER, 1)
        failed = sandbox.separate()
    try:
        return _status(_forked(lambda: _first(rules, failed, channel)))
    finally:
        _end_children()


def _first(rules: Rules, failed: dict[str, str], channel: int) -> int:
    """Process 1: confine it, and wait for the one that it forks; what is left ends with it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if kernel.available():
        kernel.control(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    open_ = sandbox.confine(rules, failed)
    return _status(_forked(lambda: _call(open_, channel)))


def _call(open_: list[str], channel: int) -> int:
    """Say what could not be shut, and call the function with what it is given."""
    if kernel.available():
        kernel.control(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    with os.fdopen(channel, "w", encoding="utf-8") as out:
        lock = threading.Lock()

        def tell(message: dict[str, Any]) -> None:
            with lock:
                out.write(json.dumps(message) + "\n")
                out.flush()

        tell({"open": open_})
        module, _, name = str(pickle.load(sys.stdin.buffer)).partition(":")
        given = pickle.load(sys.stdin.buffer)
        stop = _stop()
        try:
            getattr(importlib.import_module(module), name)(given, tell, stop)
        except Exception as error:
            tell({"raised": f"{type(error).__name__}: {first_line(error)}"})
            return 1
        tell({"done": True})
    return 0


def _stop() -> threading.Event:
    """An event that is set as soon as nobody holds the other end of standard input any more."""
    event, wish = threading.Event(), os.dup(0)
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 0)

    def wait() -> None:
        while os.read(wish, 1):
            pass
        event.set()

    threading.Thread(target=wait, daemon=True).start()
    return event


def _forked(function: Callable[[], int]) -> int:
    """The number of a new process that calls a function and ends with what that returns."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        status = function()
    except BaseException as error:
        print(f"{type(error).__name__}: {first_line(error)}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _status(pid: int) -> int:
    """How a child ended, as a shell has it; others that end meanwhile are not kept."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _end_children() -> None:
    """End all that this process has, and what falls to it when these have ended."""
    while True:
        for pid in children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def children(pid: int) -> list[int]:
    """The running processes that a process has started; none of one that is gone."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text(encoding="utf-8").split())
        except OSError:  # gone meanwhile
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
