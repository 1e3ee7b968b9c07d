"""Calling a function in a process of its own that is confined, watched, and ended in time.

What comes from there is taken for a stranger's: messages are JSON, lines are made printable.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from ganbench.errors import MOST_LINE, one_line
from ganbench.system import sandbox
from ganbench.system.inmate import children
from ganbench.system.sandbox import Limits, Rules
from ganbench.system.words import duration

TICK, DISK_TICK, GRACE = 0.2, 5.0, 10.0  # seconds between two looks, and to end in
MOST_MESSAGE, MOST_NOISE = 2**20, 2**18  # bytes
READ = 2**16

Hear = Callable[[dict[str, Any]], None]
Say = Callable[[str], None]


class CellError(Exception):
    """A confined process ended otherwise than it should; the message is one line."""


class Wish(Protocol):
    """An event that asks for an early end."""

    def is_set(self) -> bool:
        """Whether to end."""


@dataclass(kw_only=True)
class _Lines:
    """Lines of a stream as they become whole; one that is longer than `most` bytes is cut."""

    hear: Callable[[bytes], None]
    most: int
    rest: bytes = b""

    def take(self, given: bytes) -> None:
        """More of the stream; nothing where it has ended."""
        *lines, self.rest = (self.rest + given).split(b"\n")
        if self.rest and (not given or len(self.rest) > self.most):
            lines, self.rest = [*lines, self.rest], b""
        for line in lines:
            self.hear(line[: self.most])


@dataclass(kw_only=True)
class _Heard:
    """What a process has told: at first what it is not confined from, at last that it is done."""

    hear: Hear
    say: Say
    first: bool = True
    done: bool = False
    raised: str = ""
    noise: int = 0

    def message(self, line: bytes) -> None:
        """Hear a message; CellError if it is none."""
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise CellError("what it told is no message")
        if self.first:  # when nothing of a stranger's has been run yet
            self.first = False
            for each in found["open"]:
                self.say(f"not confined: {each}")
        elif "done" in found:
            self.done = True
        elif "raised" in found:
            self.raised = one_line(str(found["raised"]), MOST_LINE)
        else:
            self.hear(found)

    def printed(self, line: bytes) -> None:
        """Say a line that it has printed, up to `MOST_NOISE` of all."""
        before, self.noise = self.noise, self.noise + len(line) + 1
        if self.noise <= MOST_NOISE:
            self.say(one_line(line.decode(errors="replace").expandtabs(), MOST_LINE))
        elif before <= MOST_NOISE:
            self.say("what else it prints is not shown")


def call(
    target: str,
    given: Any,
    *,
    scratch: Path,
    rules: Rules,
    hear: Hear,
    say: Say,
    stop: Wish | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Call `module:function` as `function(given, tell, stop)` in a confined process.

    Each message that it tells is heard here, each line that it prints is said, and so is, before
    anything else, what cannot be kept from it on this system. Its home and caches are in `scratch`.
    Raises CellError if it raises, dies, breaks its limits or ends without returning. Whatever ends
    this, nothing that was started is left.
    """
    if not hasattr(os, "fork"):
        raise CellError(f"{sys.platform} cannot confine a process")
    env = sandbox.environment(scratch, **(environment or {}))
    heard = _Heard(hear=hear, say=say)
    with _started(scratch, env, (rules, target, given)) as (process, channel):
        streams = {
            channel: _Lines(hear=heard.message, most=MOST_MESSAGE),
            process.stderr: _Lines(hear=heard.printed, most=MOST_LINE),
        }
        for _ in _watched(process.pid, streams, rules.limits, scratch):
            if stop is not None and stop.is_set() and process.stdin:
                process.stdin.close()  # which it waits for
                stop = None
        code = process.wait()
    if heard.raised or code != 0 or not heard.done:
        raise CellError(heard.raised or _why(code))


@contextmanager
def _started(
    scratch: Path, env: Mapping[str, str], given: Sequence[Any]
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """The process, and what it tells; afterwards neither it nor anything below it is left."""
    here, there = os.pipe()
    with os.fdopen(here, "rb", buffering=0) as channel:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "ganbench.system.inmate", str(os.getpid()), str(there)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=scratch,
                env=env,
                pass_fds=[there],
                start_new_session=True,  # a Ctrl-C is this process's to hear
            )
        finally:
            os.close(there)
        try:
            assert process.stdin is not None
            try:
                process.stdin.write(b"".join(map(pickle.dumps, given)))
                process.stdin.flush()
            except BrokenPipeError:
                pass  # it has died: its exit code says so to whoever watches it
            yield process, channel
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have it end what is below it, and end."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()  # which ends process 1 of what is confined
    process.wait()
    assert process.stderr is not None
    process.stderr.close()
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # what it has not read, nobody will
            process.stdin.close()


def _watched(
    pid: int, streams: Mapping[Any, _Lines], limits: Limits, scratch: Path
) -> Iterator[None]:
    """Pass on what comes through the streams until all have ended; yields now and then.

    Raises CellError once a limit is broken.
    """
    began = time.monotonic()
    due = {_check_tree: began, _check_disk: began + DISK_TICK}
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(TICK):
                given = os.read(key.fd, READ)
                streams[key.fileobj].take(given)
                if not given:
                    selector.unregister(key.fileobj)
            now = time.monotonic()
            if now - began > limits.seconds:
                raise CellError(f"it ran longer than {duration(limits.seconds)}")
            if now >= due[_check_tree]:
                _check_tree(pid, limits)
                due[_check_tree] = now + TICK
            if now >= due[_check_disk]:
                _check_disk(scratch, limits)
                due[_check_disk] = now + DISK_TICK
            yield


def _check_tree(pid: int, limits: Limits) -> None:
    """CellError if a process and all below it are too many or hold too much memory."""
    held, below = 0, [pid]
    for count, each in enumerate(below):  # which grows meanwhile
        if count > limits.processes:
            raise CellError(f"it started more than {limits.processes} processes")
        held += _memory(each)
        below += children(each)
    if held > limits.memory_bytes:
        most = f"{limits.memory_bytes / 2**30:.1f} GiB"
        raise CellError(f"it took {held / 2**30:.1f} GiB of memory, more than {most}")


def _memory(pid: int) -> int:
    """Bytes that a process holds, but for files; 0 of one that is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return 1024 * sum(map(int, re.findall(r"^Rss(?:Anon|Shmem):\s*(\d+) kB", text, re.MULTILINE)))


def _check_disk(scratch: Path, limits: Limits) -> None:
    """CellError if all files in a folder are too many or too large together."""
    size = 0
    for count, entry in enumerate(walk(scratch)):
        if count > limits.files:
            raise CellError(f"it wrote more than {limits.files:,} files")
        with suppress(OSError):  # gone meanwhile
            size += entry.stat(follow_symlinks=False).st_blocks * 512
    if size > limits.disk_bytes:
        raise CellError(f"it wrote {size:,} bytes, more than {limits.disk_bytes:,}")


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All that lies in a folder, however deep, and of whatever kind; links are not followed."""
    unread = [str(folder)]
    while unread:
        try:
            with os.scandir(unread.pop()) as found:
                inside = list(found)
        except OSError:  # gone meanwhile, shut, or deeper than a path can be
            continue
        unread += [entry.path for entry in inside if entry.is_dir(follow_symlinks=False)]
        yield from inside


def _why(code: int) -> str:
    """What a process's end means, by its code as a shell has it."""
    if code == 0:
        return "it ended before it was done"
    if code < 0 or code > 128:
        number = abs(code) % 128
        names = {each.value: each.name for each in signal.Signals}
        reason = {"SIGKILL": ", perhaps for want of memory", "SIGXCPU": ": it computed too long"}
        name = names.get(number, f"signal {number}")
        return f"it was ended by {name}{reason.get(name, '')}"
    return f"it ended with exit code {code}"
