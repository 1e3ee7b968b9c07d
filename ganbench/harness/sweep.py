"""A sweep: baselines x tasks x seeds, planned, estimated, run from where it stands."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from ganbench import registry
from ganbench.errors import InputError, ResumeError
from ganbench.harness import bench, composed, entries, machine
from ganbench.harness.entries import Finished
from ganbench.harness.nodes import Nodes, Over
from ganbench.harness.spec import (
    Job,
    Progress,
    Report,
    Spec,
    Stop,
    UnsuitedError,
    build,
    look_up,
)
from ganbench.harness.workers import shared_out
from ganbench.results import schema, store
from ganbench.results.schema import Result, SeedResult
from ganbench.system import files, processes
from ganbench.system.unchanged import unchanged

SPEEDS = "sweep_speeds.json"  # in the folder of runs: what has been measured
SECONDS = 0.5  # of training that tell how fast an entry is
TRIED = 4  # results of a task that tell what it takes beside training
Rates = dict[str, float]  # steps per second by task
MEASURED = TypeAdapter(dict[str, dict[str, Rates]])  # by kind of entry and entry
FINAL = ("ok", "diverged", "failed")  # of seeds that need not be run again


@dataclass(frozen=True, kw_only=True)
class Item:
    """An entry of a sweep: the `seeds` that are asked for, those `missing`, and `why` they are.

    `whole` is the file of the result that has them all. `unsuited` says why the baseline has
    nothing to do with the task; None if it has. `job` is None, and `broken` says why, for a
    baseline that cannot be loaded.
    """

    spec: Spec
    task: str
    name: str
    seeds: Sequence[int]
    missing: Sequence[int]
    why: str
    job: Job | None
    whole: Path | None = None
    unsuited: str | None = None
    broken: str | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self.missing or self.unsuited is not None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What became of an entry: `finished`, or the line of the error that kept it from that.

    `seconds` is how long that took, by the clock on the wall.
    """

    item: Item
    finished: Finished | None = None
    error: str | None = None
    seconds: float = 0.0


def plan(spec: Spec, seeds: Sequence[int], leaderboard: Path) -> Item:
    """What there is to do for an entry, held against what lies on the board."""
    task = registry.load_task(spec.task).name
    item = partial(Item, spec=spec, task=task, seeds=seeds)
    try:
        with unchanged():
            job = look_up(spec)
            entry = entries.entry_info(job)
    except InputError as error:
        own = Path(spec.baseline).stem
        return item(name=own, missing=seeds, why="new", job=None, broken=str(error))
    unsuited = None
    missing, why, whole = _missing(composed.without_seeds(job, entry), seeds, leaderboard)
    if missing:
        try:
            with unchanged():
                build(job, 0)
        except UnsuitedError as error:
            unsuited = str(error)
        except InputError:
            pass  # which running it says
    return item(name=entry.name, missing=missing, why=why, job=job, whole=whole, unsuited=unsuited)


def _missing(
    wanted: Result, seeds: Sequence[int], root: Path
) -> tuple[list[int], str, Path | None]:
    """The seeds that no result has which is of the same entry, why, and what has them all."""
    task, name = wanted.task.name, wanted.entry.name
    plain, target = store.path_of(root, task, name), store.place(root, task, name)
    why = "new"
    missing = list(seeds)
    for path in dict.fromkeys((plain, target)):
        if not path.is_file():
            continue
        found = schema.load_result(path)
        if not found.fits(wanted):
            why = _difference(found, wanted)
            continue
        there = {seed.seed for seed in found.seeds if seed.status in FINAL}
        left = [seed for seed in seeds if seed not in there]
        if not left:
            return [], "", path
        if path == target:  # which the others are added to
            missing, why = left, f"{len(seeds) - len(left)} of {len(seeds)} seeds"
    return missing, why, None


def _difference(found: Result, wanted: Result) -> str:
    """In what a result is not the one that is wanted."""
    if found.task.version != wanted.task.version:
        return f"version {found.task.version} of the task"
    if found.task.sha256 != wanted.task.sha256:
        return "another file of the task"
    if found.entry.sha256 != wanted.entry.sha256:
        return "another source"
    if found.entry.hparams != wanted.entry.hparams:
        return "other hyper-parameters"
    if found.protocol != wanted.protocol:
        return "another protocol"
    return "measured otherwise"


class Speeds:
    """How fast entries train on a core, and what judging them takes, kept in a file of `runs`.

    Training is measured by short trainings in a process of their own: each entry on its first
    task, and the first entry on every task. The others' speeds are in proportion, references apart
    since most do not train. The seconds beside training are those that a task's entries had, on
    this kind of processor, on the board.
    """

    def __init__(self, runs: Path, leaderboard: Path) -> None:
        self.path = runs / SPEEDS
        self._here, self._leaderboard = machine.describe("cpu").cpu, leaderboard
        self._beside: dict[tuple[str, int], float] = {}
        try:
            self._known = MEASURED.validate_json(self.path.read_bytes())
        except (OSError, ValueError):
            self._known = {}

    def seconds_left(self, item: Item, workers: int) -> float | None:
        """How long the missing seeds of an entry take on so many workers, about.

        None for what does not train, whose run will say why.
        """
        if item.job is None:
            return None
        share = -(-len(item.missing) // workers)
        try:
            training = item.job.budget.steps / self._steps_per_second(item, item.job, share)
        except InputError:
            return None
        return share * (training + self._seconds_beside(item.job))

    def _steps_per_second(self, item: Item, job: Job, at_once: int) -> float:
        """Of so many seeds at once; InputError for what does not train."""
        settings = json.dumps(item.spec.hparams, sort_keys=True)  # resolved ones differ by task
        asked = (self._here, job.baseline.sha256, settings)
        entry = f"{item.name}/{hashlib.sha256(str(asked).encode()).hexdigest()[:12]}"
        task = f"{item.task}@{job.task.version}"
        kind = self._known.setdefault("references" if job.baseline.reference else "entries", {})
        if (known := in_proportion(kind, entry, task)) is not None:
            return known
        measured = _rate_apart(item.spec, range(at_once))
        kind.setdefault(entry, {})[task] = measured
        files.write_atomically(self.path, json.dumps(self._known, indent=1).encode())
        return measured

    def _seconds_beside(self, job: Job) -> float:
        """Seconds of a seed that are no training, by some results of the same task and budget."""
        key = (job.task.name, job.budget.steps)
        if key not in self._beside:
            self._beside[key] = statistics.median(self._found(job) or [0.0])
        return self._beside[key]

    def _found(self, job: Job) -> list[float]:
        paths = sorted((self._leaderboard / job.task.name).glob("*.json"))
        seconds: list[float] = []
        for path in paths[:TRIED]:
            try:
                found = schema.load_result(path)
            except InputError:
                continue  # `leaderboard check` names it
            if (found.task.version, found.protocol.steps) == (job.task.version, job.budget.steps):
                seconds += [
                    seed.timing.wall_seconds - seed.timing.train_seconds
                    for seed in found.seeds
                    if seed.status == "ok" and seed.machine.cpu == self._here
                ]
        return seconds


def in_proportion(measured: Mapping[str, Rates], entry: str, task: str) -> float | None:
    """An entry's speed on a task: measured, or as others' speeds there are to theirs elsewhere."""
    own = measured.get(entry, {})
    if task in own:
        return own[task]
    guesses = [
        own[near] * others[task] / others[near]
        for others in measured.values()
        for near in own
        if task in others and near in others
    ]
    return statistics.median(guesses) if guesses else None


def _rate_apart(spec: Spec, seeds: Sequence[int]) -> float:
    """`bench.rate` in a process of its own, which may die of it: then InputError."""
    with processes.pool(1) as pool:
        try:
            return pool.submit(_rate, spec, seeds).result()
        except BrokenProcessPool as broken:
            raise InputError("the process that tried it died") from broken


def _rate(spec: Spec, seeds: Sequence[int]) -> float:
    return bench.rate(look_up(spec), seeds, SECONDS)


def run(
    item: Item,
    *,
    workers: int,
    leaderboard: Path,
    out: Path,
    report: Report,
    stop: Stop,
) -> Ended:
    """Train the missing seeds in processes apart, from where a run that was stopped left them.

    Where it is not possible to go on from there, they begin anew.
    """
    if item.job is None:
        return Ended(item=item, error=item.broken)
    begun = time.monotonic()
    again = partial(
        entries.run,
        seeds=item.missing,
        workers=min(workers, len(item.missing)),
        leaderboard=leaderboard,
        out=out,
        report=report,
        stop=stop,
        apart=True,
    )
    try:
        try:
            (finished,) = again([entries.resumed(item.spec, out / item.task / item.name, item.job)])
        except ResumeError:
            (finished,) = again([item.spec])
    except InputError as error:
        return Ended(item=item, error=str(error), seconds=time.monotonic() - begun)
    return Ended(item=item, finished=finished, seconds=time.monotonic() - begun)


def run_together(
    items: Sequence[Item],
    nodes: Nodes,
    *,
    leaderboard: Path,
    out: Path,
    report: Report,
    stop: Stop,
) -> Iterator[Ended]:
    """Train the missing seeds of all items on a cluster; what becomes of each, as it ends.

    A seed is on the board as soon as it is done. Items are begun in their order, each cut into as
    few shares as keep all cores busy, which are more where fewer items are left.
    """
    with ExitStack() as held:
        training = _Training(items, leaderboard, out, held)
        sayings = held.enter_context(closing(nodes.spread(training.work(nodes), stop)))
        for place, said in sayings:
            if isinstance(said, Progress):
                report(said)
            else:
                training.take(place, said)
            yield from training.ended()
        yield from training.ended()


class _Training:
    """Items in training at once, each from its first share to its last."""

    def __init__(
        self, items: Sequence[Item], leaderboard: Path, out: Path, held: ExitStack
    ) -> None:
        self._items, self._leaderboard, self._out, self._held = items, leaderboard, out, held
        self._begun: dict[int, float] = {}
        self._entries: dict[int, entries.Entry] = {}
        self._in_use: dict[int, ExitStack] = {}
        self._shares: dict[int, int] = {}  # that are not over
        self._errors: dict[int, str] = {}

    def work(self, nodes: Nodes) -> Iterator[tuple[int, Job, list[int]]]:
        """The shares of each item, which is prepared when its turn has come."""
        for place, item in enumerate(self._items):
            self._begun[place], self._shares[place] = time.monotonic(), 0
            try:
                if item.job is None:
                    raise InputError(item.broken)
                used = self._in_use[place] = self._held.enter_context(ExitStack())
                with unchanged():
                    planned = entries.prepare(
                        item.spec, self._out, self._leaderboard, used, len(item.missing)
                    )
            except InputError as error:
                self._errors[place] = str(error)
                continue
            self._entries[place] = entries.Entry(planned, self._leaderboard)
            shares = shared_out(item.missing, len(self._items) - place, nodes.cores)
            self._shares[place] = len(shares)
            yield from ((place, planned.job, list(share)) for share in shares)

    def take(self, place: int, said: SeedResult | Exception | Over) -> None:
        """Take what is said of an item."""
        if isinstance(said, SeedResult):
            self._entries[place].add([said])
        elif isinstance(said, InputError):
            self._errors.setdefault(place, str(said))
        elif isinstance(said, Exception):
            raise said
        else:
            self._shares[place] -= 1

    def ended(self) -> Iterator[Ended]:
        """What became of the items whose shares are all over by now."""
        for place in [place for place, shares in self._shares.items() if not shares]:
            del self._shares[place]
            yield self._became(place)

    def _became(self, place: int) -> Ended:
        seconds, error = time.monotonic() - self._begun[place], self._errors.get(place)
        ended = partial(Ended, item=self._items[place], seconds=seconds)
        if place not in self._entries:
            return ended(error=error)
        entry = self._entries.pop(place)
        entry.forget_empty()
        self._in_use.pop(place).close()
        if error is None and entry.refused:
            error = str(entry.refusal(named=False))
        return ended(error=error) if error else ended(finished=entry.finish(whole=True))
