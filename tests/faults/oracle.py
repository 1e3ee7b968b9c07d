"""What every input must come to: an end in time, a line, and nothing written elsewhere."""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from click.testing import CliRunner, Result

from ganbench.cli import main

SECONDS = 20
MEMORY = 2**30  # bytes that may be claimed beyond what this process has already
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PLACES = {"os.mkdir": (0,), "os.remove": (0,), "os.rmdir": (0,), "os.rename": (0, 1)}
PLACES |= {"os.truncate": (0,), "os.symlink": (1,), "os.link": (1,), "sqlite3.connect": (0,)}
RELATIVE_TO = {"os.mkdir": 2, "os.remove": 1, "os.rmdir": 1}  # the descriptor of a folder
_allowed: list[str] = []  # where may be written, while somebody watches
_strayed: list[str] = []


class TooLongError(BaseException):
    """The time is over; nothing that is tried catches this."""


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if not _allowed:
        return
    if event == "open" and isinstance(arguments[0], str | bytes) and arguments[2] & WRITES:
        written: list[Any] = [arguments[0]]
    else:
        written = [arguments[place] for place in PLACES.get(event, ())]
    folder = arguments[RELATIVE_TO[event]] if event in RELATIVE_TO else -1
    inside = Path(f"/proc/self/fd/{folder}").readlink() if folder >= 0 else ""
    for path in written:
        if isinstance(path, str | bytes):
            _note(os.path.join(inside, os.fsdecode(path)))  # noqa: PTH118 - as below


def _note(path: str) -> None:
    if path == ":memory:" or path.startswith(("/dev/", "/proc/")) or "__pycache__" in path:
        return
    # Whoever follows a link writes where it leads; a name that ends in one is the link itself.
    folder, name = os.path.split(path)
    place = os.path.join(os.path.realpath(folder or "."), name)  # noqa: PTH118 - called for each file
    if not any(place == allowed or place.startswith(f"{allowed}/") for allowed in _allowed):
        _strayed.append(place)


sys.addaudithook(_look)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


@contextmanager
def watched(*folders: Path) -> Iterator[None]:
    """Fails for what takes too long, claims too much memory, or writes outside these folders."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    _strayed.clear()
    _allowed[:] = [os.path.realpath(each) for each in folders]

    def end(number: int, frame: FrameType | None) -> None:
        raise TooLongError(f"longer than {SECONDS} s")

    handler = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        _allowed.clear()
    assert not _strayed, f"written outside the folders that were named: {_strayed}"


def command(arguments: Sequence[str], *folders: Path, lines: int = 1) -> Result:
    """Run a command in this process: it ends as commands do, a bad input in a line and code 2.

    With `lines` 0 there may be one for each mistake, as of a sweep's file and of a board.
    """
    with watched(Path(tempfile.gettempdir()), *folders):
        done = CliRunner().invoke(main, arguments)
    shown = [each[:80] for each in arguments]
    assert done.exception is None or isinstance(done.exception, SystemExit), (
        f"{shown}: {done.exception!r:.500}"
    )
    assert done.exit_code in (0, 1, 2), (shown, done.exit_code)
    assert "Traceback" not in done.output, (shown, done.output[-2000:])
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert bool(errors) == (done.exit_code == 2), (shown, done.output[-2000:])
    assert len(errors) < 2 or not lines, (shown, errors)
    for line in done.output.splitlines():
        assert line.isprintable(), (shown, line)
    return done
