"""`train_all`: the seeds of some entries, spread over worker processes.

Apart from `harness`, so that a worker need not import what draws pictures.
"""

from __future__ import annotations

import queue
import signal
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ganbench.errors import InputError
from ganbench.harness.spec import Job, Progress, Report, Spec, Stop, look_up
from ganbench.harness.train import train_seeds
from ganbench.results.schema import SeedResult
from ganbench.system import processes

Trained = tuple[list[SeedResult], InputError | None]  # of a worker, and what ended it early


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

    A worker trains as many seeds of a job at once as fall to its share; a single one is this
    process, unless it must be `apart`, so that what kills it does not end this one. An InputError,
    of what breaks the GAN's contract, is raised at once by a single worker, else when all the
    others are done.
    """
    stop = stop or threading.Event()
    work = list(_shared_out(len(jobs), seeds, workers))
    if min(workers, len(work)) <= 1 and not apart:
        for place, share in work:
            for result in train_seeds(jobs[place], share, report=report, stop=stop):
                yield place, result
        return
    messages, event = processes.CONTEXT.Queue(), processes.CONTEXT.Event()
    with processes.pool(min(workers, len(work)), _start_worker, messages, event) as pool:
        futures = {
            pool.submit(_train_in_worker, jobs[place].spec, share): place for place, share in work
        }
        errors = []
        try:
            for future in _ended(futures, messages, report, stop, event):
                try:
                    results, error = future.result()
                except BrokenProcessPool as broken:
                    raise InputError(
                        "a worker died, perhaps for want of memory: go on with --workers 1 "
                        "(and `run` with --resume)"
                    ) from broken
                yield from ((futures[future], result) for result in results)
                errors += [error] if error else []
        finally:  # whatever ends this, no worker goes on alone
            event.set()
            for future in futures:
                future.cancel()
        if errors:
            raise errors[0]


def _shared_out(
    jobs: int, seeds: Sequence[int], workers: int
) -> Iterator[tuple[int, Sequence[int]]]:
    """(place of a job, some of its seeds): as few shares as keep all the workers busy."""
    shares = min(len(seeds), -(-workers // jobs))
    for place in range(jobs):
        yield from ((place, seeds[first::shares]) for first in range(shares))


def _ended(
    futures: Iterable[Future[Trained]], messages: Any, report: Report, stop: Stop, event: Any
) -> Iterator[Future[Trained]]:
    """The futures as they end; passes on the workers' progress, and to them the wish to stop."""
    pending = set(futures)
    while pending:
        ended, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
        if stop.is_set() and not event.is_set():
            event.set()
            for future in pending:
                future.cancel()
        while True:
            try:
                report(messages.get_nowait())
            except queue.Empty:
                break
        yield from (future for future in ended if not future.cancelled())


_worker: dict[str, Any] = {}  # this process's ends of the channels, set once when it starts


def _start_worker(messages: Any, event: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; it sets the event
    _worker.update(messages=messages, event=event)


def _train_in_worker(spec: Spec, seeds: Sequence[int]) -> Trained:
    def report(progress: Progress) -> None:
        _worker["messages"].put(progress)

    results = []
    try:
        job = look_up(spec)
        for result in train_seeds(job, seeds, report=report, stop=_worker["event"]):
            results.append(result)
    except InputError as error:
        error.add_note(traceback.format_exc().rstrip())  # which does not come along otherwise
        return results, error
    return results, None
