"""`train_all`: the seeds of some entries, spread over worker processes.

Apart from `harness`, so that a worker need not import what draws pictures.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ganbench.harness.apart import DIED, DiedError, described, input_errors, train_apart
from ganbench.harness.spec import Job, Progress, Report, Spec, Stop
from ganbench.harness.train import train_seeds
from ganbench.results.schema import SeedResult
from ganbench.system import processes

GRACE = 2.0  # seconds that a worker has to end when all is given up

Share = tuple[int, Sequence[int]]  # the place of a job, and some of its seeds
Said = Progress | SeedResult | Exception  # how far a seed is, what came of it, or an error


def train_all(
    jobs: Sequence[Job],
    seeds: Sequence[int],
    workers: int,
    report: Report,
    stop: Stop | None,
    *,
    apart: bool = False,
) -> Iterator[tuple[int, SeedResult]]:
    """(place in `jobs`, result) of each seed as it ends; what a stop finds not begun is left out.

    A worker trains as many seeds of a job at once as fall to its share. It is two processes, of
    which one judges what the other makes; a single one is this process, unless it must be `apart`.
    An InputError, of what breaks the GAN's contract, is raised at once by a single worker, else
    when all the others are done.
    """
    stop = stop or threading.Event()
    work = [
        (place, share)
        for place in range(len(jobs))
        for share in shared_out(seeds, len(jobs), workers)
    ]
    if not apart and min(workers, len(work)) == 1:
        for place, share in work:
            for result in train_seeds(jobs[place], share, report=report, stop=stop):
                yield place, result
        return
    errors: list[Exception] = []
    with closing(spread([job.spec for job in jobs], work, workers, stop)) as sayings:
        for place, said in sayings:
            if isinstance(said, SeedResult):
                yield place, said
            elif isinstance(said, Exception):
                errors.append(said)
            else:
                report(said)
    if errors:
        raise errors[0]


def shared_out(seeds: Sequence[int], jobs: int, workers: int) -> list[Sequence[int]]:
    """A job's seeds in as few shares as keep all the workers busy, if each of `jobs` is so cut."""
    shares = min(len(seeds), -(-workers // jobs))
    return [seeds[first::shares] for first in range(shares)]


def spread(
    specs: Sequence[Spec], work: Sequence[Share], most: int, stop: Stop
) -> Generator[tuple[int, Said], None, None]:
    """(place in `specs`, what its worker says): of at most so many at a time, each two processes.

    A stop ends those that train after their step, and begins no other; closing it ends all at once.
    """
    yield from _Workers(specs, work, most, stop).spread()


@dataclass(frozen=True, kw_only=True)
class _Worker:
    place: int  # of its job
    process: BaseProcess
    words: Connection  # what it says


class _Workers:
    """So many workers at a time, each with some seeds of a spec, until there are no more."""

    def __init__(self, specs: Sequence[Spec], work: Sequence[Share], most: int, stop: Stop) -> None:
        self._specs, self._work, self._most = specs, deque(work), most
        self._stop, self._event = stop, processes.CONTEXT.Event()
        self._running: dict[Connection, _Worker] = {}

    def spread(self) -> Iterator[tuple[int, Said]]:
        """What the function of that name yields."""
        try:
            while self._work or self._running:
                self._start()
                for words in wait(list(self._running), timeout=0.1):
                    assert isinstance(words, Connection)
                    yield from self._hear(self._running[words])
                if self._stop.is_set():
                    self._event.set()
                    self._work.clear()
        finally:  # whatever ends this, no worker goes on alone
            self._event.set()
            for worker in self._running.values():
                worker.words.close()
                worker.process.join(GRACE)
                worker.process.kill()

    def _start(self) -> None:
        while self._work and len(self._running) < self._most:
            place, seeds = self._work.popleft()
            words, theirs = processes.CONTEXT.Pipe(duplex=False)
            process = processes.start(_work, self._specs[place], seeds, theirs, self._event)
            theirs.close()
            self._running[words] = _Worker(place=place, process=process, words=words)

    def _hear(self, worker: _Worker) -> Iterator[tuple[int, Said]]:
        """Take what a worker says, or that it has ended."""
        try:
            kind, said = worker.words.recv()
        except EOFError:
            del self._running[worker.words]
            worker.process.join()
            if worker.process.exitcode != 0:
                yield worker.place, DiedError(DIED)
            return
        if kind == "left":
            self._work.appendleft((worker.place, said))
        elif kind == "error":
            yield worker.place, _error(*said)
        else:
            yield worker.place, said


def _error(kind: str, text: str, trace: str) -> Exception:
    """What a worker was ended by, as an error of this process."""
    known = input_errors()
    error = known[kind](text) if kind in known else RuntimeError(f"{kind} in a worker: {text}")
    if trace:
        error.add_note(trace.rstrip())
    return error


def _work(spec: Spec, seeds: Sequence[int], words: Connection, stop: Any) -> None:
    """What a worker does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; it sets the event

    def tell(kind: str, said: Any) -> None:
        words.send((kind, said))

    try:
        train_apart(spec, seeds, tell, words, stop)
    except BrokenPipeError:  # nobody listens any more
        pass
    except Exception as error:
        tell("error", described(error))
