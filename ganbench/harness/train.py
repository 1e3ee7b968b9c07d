"""`train_seeds`: some seeds of a job, by the only training loop; `train_slots`: of several jobs.

They run on one thread: a seed's bits then do not depend on how many workers run beside it, and for
small networks a second thread gains nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

from torch import Tensor

from ganbench.engine.precision import products
from ganbench.engine.trainer import Trainer
from ganbench.engine.unstackable import UnstackableError
from ganbench.errors import ContractError, InputError, one_line
from ganbench.harness.checkpoint import AGAIN
from ganbench.harness.judge import Judge, Scorer
from ganbench.harness.learners import Eager, Learner, Stacked, shared
from ganbench.harness.recorder import WAITING
from ganbench.harness.seed_run import NOTE_LENGTH, SeedRun
from ganbench.harness.spec import Job, Report, Stop
from ganbench.results.schema import SeedResult
from ganbench.system.threads import one_thread

NUMBERS = 2**24  # in samples that are scored at once: 64 MiB
Group = tuple[Sequence[SeedRun], Learner]  # runs that have come equally far, and what trains them


class Slot(NamedTuple):
    """One seed of the job at a place among several."""

    place: int
    seed: int


MakeRun = Callable[[Slot], SeedRun]


def train_seeds(
    job: Job,
    seeds: Sequence[int],
    *,
    report: Report = lambda _: None,
    stop: Stop | None = None,
    judge: Scorer | None = None,
) -> Iterator[SeedResult]:
    """Train these seeds to the end of their budget, or of its resumed rest, and score them.

    Seeds of a Game are trained at once where these can be stacked, else one after the other.
    Diverging, failing and being stopped end a run at the round where they happen; what was done
    until then is in its result. A seed that a stop finds not begun has none. They are scored here,
    unless a `judge` elsewhere does so. Raises InputError for what breaks the GAN's contract.
    """
    slots, judges = slots_of(seeds), {0: judge or judge_of(job)}
    stop = stop or threading.Event()
    yield from train_slots({0: job}, slots, {0: report}, judges, stop)


def train_slots(
    jobs: Mapping[int, Job],
    slots: Sequence[Slot],
    reports: Mapping[int, Report],
    judges: Mapping[int, Scorer],
    stop: Stop,
) -> Iterator[SeedResult]:
    """Train seeds of jobs that differ in hyper-parameters only, as `train_seeds` does those of one.

    All at once, where the settings can be stacked too: they may differ in numbers.
    """

    def make(slot: Slot) -> SeedRun:
        place, seed = slot
        return SeedRun(jobs[place], seed, reports[place], stop, judges[place])

    job = jobs[slots[0].place]
    with one_thread(), products(job.spec.precision), naming(job):
        for runs, learner in _groups(make, slots, stop):
            for run in runs:
                _judge_of(run).begin(run.seed)
            for run in _train(runs, learner):
                yield _judge_of(run).complete(run.result(), run.recorder.samples)


def _judge_of(run: SeedRun) -> Scorer:
    assert run.judge is not None
    return run.judge


def slots_of(seeds: Sequence[int], place: int = 0) -> list[Slot]:
    """The slots of one job."""
    return [Slot(place, seed) for seed in seeds]


def judge_of(job: Job) -> Judge:
    """What scores the seeds of a job."""
    spec = job.spec
    return Judge(job.task, device=spec.device, folder=spec.folder)


@contextmanager
def naming(job: Job) -> Iterator[None]:
    """Have the line of what breaks the GAN's contract name its file."""
    try:
        yield
    except ContractError as error:
        file = job.baseline.path.name
        if file in str(error):
            raise
        raise InputError(f"{file}: {error}") from error


def _train(runs: Sequence[SeedRun], learner: Learner) -> Iterator[SeedRun]:
    """The loop: while there is a next block, train it and note it. Yields runs as they end."""
    live = list(runs)
    try:
        for block in runs[0].blocks():
            for run in live:
                run.begin(block)
            for run, outcome in zip(live, learner.train(live, block), strict=True):
                run.note(block, outcome)
            if block.ends_round:
                _end_round([run for run in live if not run.ended])
            yield from (run for run in live if run.ended)
            live = [run for run in live if not run.ended]
            if not live:
                return
        yield from live
    finally:
        for run in runs:
            run.close()


def _end_round(runs: Sequence[SeedRun]) -> None:
    """Have the samples of a round scored, those of one judge at once."""
    by_judge: dict[int, list[SeedRun]] = {}
    for run in runs:
        if run.judge is not None:
            by_judge.setdefault(id(run.judge), []).append(run)
    for own in by_judge.values():
        made = [(run, samples) for run in own if (samples := run.samples()) is not None]
        size = max(1, NUMBERS // made[0][1].numel()) if made else 1
        for first in range(0, len(made), size):
            _score(made[first : first + size])


def _score(made: Sequence[tuple[SeedRun, Tensor]]) -> None:
    """End the round of runs of one judge by what their samples score."""
    runs, first = [run for run, _ in made], made[0][0]
    with shared(runs, "evaluation"):
        samples = {run.seed: each for run, each in made}
        scored = _judge_of(first).score(first.env.round, samples)
    for run, each in made:
        run.end_round(each, scored[run.seed])


def _groups(make: MakeRun, slots: Sequence[Slot], stop: Stop) -> Iterator[Group]:
    """All slots of a Game at once, in groups that have come equally far; else one by one.

    Where the settings of jobs cannot be stacked, those of each by themselves.
    """
    first, note, saves = make(slots[0]), "", True
    if isinstance(first.gan, Trainer):
        runs = sorted((first, *map(make, slots[1:])), key=lambda run: run.first_round)
        equal = [list(group) for _, group in groupby(runs, key=lambda run: run.first_round)]
        try:
            groups = [(group, _learner(group)) for group in equal]
        except UnstackableError as error:
            if len(apart := by_place(slots)) > 1:
                note = one_line(f"one setting after the other: {error}", NOTE_LENGTH)
                first.recorder.tell(0, {}, note=note)
                for each in apart:
                    yield from _groups(make, each, stop)
                return
            saves = not error.keeps
            again = "" if saves else f"; {AGAIN}"
            if not saves and first.job.spec.function is not None and len(slots) > 1:
                again += "; the next seed goes on with it, as it is of no file"
            note = one_line(f"one seed after the other: {error}", NOTE_LENGTH - len(again)) + again
            first = make(slots[0])  # once more, as making and trying have left nothing as it was
        else:
            yield from groups
            return
    eager = Eager(note)
    for slot in slots:
        if slot == slots[0] or not stop.is_set():
            run = first if slot == slots[0] else make(slot)
            run.engine, run.engine_note, run.saves = "eager", note or None, saves
            yield [run], eager


def by_place(slots: Sequence[Slot]) -> list[list[Slot]]:
    """The slots of each job."""
    places = dict.fromkeys(slot.place for slot in slots)
    return [[slot for slot in slots if slot.place == place] for place in places]


def _learner(runs: Sequence[SeedRun]) -> Learner:
    """What trains runs of a Game; those that are at their end are left as they are."""
    done = runs[0].first_round >= runs[0].job.budget.rounds
    return Eager() if done else Stacked(runs)


def rehearse(
    job: Job, seeds: Sequence[int], steps: int, *, ready: Callable[[], Any] = lambda: None
) -> dict[str, float]:
    """Train that many steps of a first round, unscored; the seconds of each part, of all seeds.

    `warmup` is up to the first step; `ready` is called before it. Raises InputError for what
    diverges or fails.
    """
    stop, make = threading.Event(), _rehearsal(job, steps)
    clocks: list[dict[str, float]] = []
    with one_thread(), products(job.spec.precision), naming(job):
        for number, (runs, learner) in enumerate(_groups(make, slots_of(seeds), stop)):
            if isinstance(learner, Stacked):
                learner.tell_noise_apart()
            if number == 0:
                ready()
            clocks += _rehearse(runs, learner)
    names = dict.fromkeys(name for clock in clocks for name in clock if name != WAITING)
    seconds = {name: sum(clock.get(name, 0.0) for clock in clocks) for name in names}
    if "noise" in seconds:  # which the stack has told apart, but not taken off
        seconds["training"] -= seconds["noise"]
    return seconds


def rehearse_apart(job: Job, seed: int, steps: int) -> dict[str, float]:
    """Seconds of each part of one seed's first steps, eagerly; of a Game noise, D, G too."""
    with one_thread(), products(job.spec.precision), naming(job):
        run = _rehearsal(job, steps)(Slot(0, seed))
        if isinstance(run.gan, Trainer):
            run.gan.during = run.env.clock.during
        (clock,) = _rehearse([run], Eager())
    return clock


def _rehearsal(job: Job, steps: int) -> MakeRun:
    """Makes the runs of a job that is one round of so many steps, unscored."""
    short = replace(job, budget=replace(job.budget, steps=steps, evaluations=1))
    return lambda slot: SeedRun(short, slot.seed, lambda _: None, threading.Event())


def _rehearse(runs: Sequence[SeedRun], learner: Learner) -> list[dict[str, float]]:
    """The seconds of each run once it is trained, without making what is there before."""
    for run in runs:
        run.start()
        run.env.clock.seconds.clear()
    for run in _train(runs, learner):
        if run.ended:
            reason = f"{run.ended.status}: {run.ended.reason}"
            raise InputError(f"seed {run.seed} {reason}") from run.ended
    return [dict(run.env.clock.seconds) for run in runs]
