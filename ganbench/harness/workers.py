"""`train_all`: the seeds of some entries, spread over worker processes.

Apart from `harness`, so that a worker need not import what draws pictures.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ganbench.errors import InputError
from ganbench.harness.apart import DIED, described, input_errors, train_apart
from ganbench.harness.spec import Job, Report, Spec, Stop
from ganbench.harness.train import train_seeds
from ganbench.results.schema import SeedResult
from ganbench.system import processes

GRACE = 2.0  # seconds that a worker has to end when all is given up


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
    work = list(_shared_out(len(jobs), seeds, workers))
    if apart or min(workers, len(work)) > 1:
        yield from _Workers(jobs, work, min(workers, len(work)), report, stop).train()
        return
    for place, share in work:
        for result in train_seeds(jobs[place], share, report=report, stop=stop):
            yield place, result


def _shared_out(
    jobs: int, seeds: Sequence[int], workers: int
) -> Iterator[tuple[int, Sequence[int]]]:
    """(place of a job, some of its seeds): as few shares as keep all the workers busy."""
    shares = min(len(seeds), -(-workers // jobs))
    for place in range(jobs):
        yield from ((place, seeds[first::shares]) for first in range(shares))


@dataclass(frozen=True, kw_only=True)
class _Worker:
    place: int  # of its job
    process: BaseProcess
    words: Connection  # what it says


class _Workers:
    """So many workers at a time, each with some seeds of a job, until there are no more."""

    def __init__(
        self,
        jobs: Sequence[Job],
        work: Sequence[tuple[int, Sequence[int]]],
        most: int,
        report: Report,
        stop: Stop,
    ) -> None:
        self._jobs, self._work, self._most = jobs, deque(work), most
        self._report, self._stop, self._event = report, stop, processes.CONTEXT.Event()
        self._running: dict[Connection, _Worker] = {}
        self._errors: list[Exception] = []

    def train(self) -> Iterator[tuple[int, SeedResult]]:
        """What `train_all` yields."""
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
        if self._errors:
            raise self._errors[0]

    def _start(self) -> None:
        while self._work and len(self._running) < self._most:
            place, seeds = self._work.popleft()
            words, theirs = processes.CONTEXT.Pipe(duplex=False)
            spec = self._jobs[place].spec
            process = processes.start(_work, spec, seeds, theirs, self._event)
            theirs.close()
            self._running[words] = _Worker(place=place, process=process, words=words)

    def _hear(self, worker: _Worker) -> Iterator[tuple[int, SeedResult]]:
        """Take what a worker says, or that it has ended."""
        try:
            kind, said = worker.words.recv()
        except EOFError:
            del self._running[worker.words]
            worker.process.join()
            if worker.process.exitcode != 0:
                self._errors.append(InputError(DIED))
            return
        if kind == "progress":
            self._report(said)
        elif kind == "seed":
            yield worker.place, said
        elif kind == "left":
            self._work.appendleft((worker.place, said))
        else:
            self._errors.append(_error(*said))


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
