"""`train_all`: the seeds of some entries, spread over worker processes.

Apart from `harness`, so that a worker need not import what draws pictures.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from ganbench.harness.apart import DIED, DiedError, train_apart
from ganbench.harness.messages import described, input_errors
from ganbench.harness.spec import MANY_STEPS, Job, Progress, Report, Spec, Stop
from ganbench.harness.train import Slot, by_place, slots_of, train_seeds
from ganbench.results.schema import SeedResult
from ganbench.system import processes

GRACE = 2.0  # seconds that a worker has to end when all is given up

Share = Sequence[Slot]  # what a worker trains: of one job, or of some that are trained together
MOST_TOGETHER = 64  # seeds of several jobs
T = TypeVar("T")
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

    A worker trains as many seeds of a job at once as fall to its share, and those of other jobs too
    that differ from it in real numbers only, as a sweep's do. It is two processes, of
    which one judges what the other makes; a single one is this process, unless it must be `apart`.
    An InputError, of what breaks the GAN's contract, is raised at once by a single worker, else
    when all the others are done.
    """
    stop = stop or threading.Event()
    if not apart and (workers == 1 or len(jobs) * len(seeds) == 1):
        for place, job in enumerate(jobs):
            for result in train_seeds(job, seeds, report=report, stop=stop):
                yield place, result
        return
    families = _families(jobs)
    work = [
        share for family in families for share in _shares(family, seeds, len(families), workers)
    ]
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


def _families(jobs: Sequence[Job]) -> list[list[int]]:
    """The places of jobs that may be trained together: short ones, alike but for real numbers.

    Long ones are no faster together, and the first of them would be done when all are.
    """
    families: list[list[int]] = []
    for place, job in enumerate(jobs):
        for family in families:
            if _are_kin(jobs[family[0]], job):
                family.append(place)
                break
        else:
            families.append([place])
    return families


def _are_kin(one: Job, other: Job) -> bool:
    def rest(job: Job) -> tuple[Spec, dict[str, Any]]:
        spec = replace(job.spec, hparams={}, folder=Path(), tuning_trials=0)
        return spec, {
            name: float if isinstance(value, float) else value
            for name, value in job.hparams.items()
        }

    return max(one.budget.steps, other.budget.steps) < MANY_STEPS and rest(one) == rest(other)


def _shares(
    family: Sequence[int], seeds: Sequence[int], families: int, workers: int
) -> list[Share]:
    """All seeds of jobs that are trained together, in shares."""
    slots = [slot for place in family for slot in slots_of(seeds, place)]
    least = 1 if len(family) == 1 else -(-len(slots) // MOST_TOGETHER)
    return shared_out(slots, families, max(workers, least * families))


def shared_out(seeds: Sequence[T], jobs: int, workers: int) -> list[Sequence[T]]:
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
    place: int  # of its job, or the first of them
    share: list[Slot]  # without a result
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
            share = self._work.popleft()
            specs = {slot.place: self._specs[slot.place] for slot in share}
            words, theirs = processes.CONTEXT.Pipe(duplex=False)
            process = processes.start(_work, specs, share, theirs, self._event)
            theirs.close()
            self._running[words] = _Worker(
                place=share[0].place, share=list(share), process=process, words=words
            )

    def _hear(self, worker: _Worker) -> Iterator[tuple[int, Said]]:
        """Take what a worker says, or that it has ended."""
        try:
            kind, said = worker.words.recv()
        except EOFError:
            del self._running[worker.words]
            worker.process.join()
            if worker.process.exitcode != 0 or (worker.share and not self._event.is_set()):
                yield from self._broke(worker, DiedError(DIED))
            return
        if kind == "left":
            worker.share[:] = [slot for slot in worker.share if slot not in said]
            self._again(said)
        elif kind == "error":
            yield from self._broke(worker, _error(*said))
            worker.share.clear()
        elif kind == "seed":
            slot, result = said
            worker.share.remove(slot)
            yield slot.place, result
        else:
            yield worker.place, said

    def _broke(self, worker: _Worker, error: Exception) -> Iterator[tuple[int, Said]]:
        """Say what a worker was ended by, or have each of its several jobs show whether it was."""
        if len(by_place(worker.share)) > 1:
            self._again(worker.share)
        else:
            yield worker.place, error

    def _again(self, slots: Sequence[Slot]) -> None:
        """Have what is left of some jobs trained next, each by itself."""
        self._work.extendleft(reversed(by_place(slots)))


def _error(kind: str, text: str, trace: str) -> Exception:
    """What a worker was ended by, as an error of this process."""
    known = input_errors()
    error = known[kind](text) if kind in known else RuntimeError(f"{kind} in a worker: {text}")
    if trace:
        error.add_note(trace.rstrip())
    return error


def _work(specs: Mapping[int, Spec], share: Sequence[Slot], words: Connection, stop: Any) -> None:
    """What a worker does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; it sets the event
    processes.stay()

    def tell(kind: str, said: Any) -> None:
        words.send((kind, said))

    try:
        train_apart(specs, share, tell, words, stop)
    except BrokenPipeError:  # nobody listens any more
        pass
    except Exception as error:
        tell("error", described(error))
