"""A sweep: baselines x tasks x seeds, planned, estimated, run from where it stands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganbench.errors import InputError
from ganbench.harness import bench, entries, machine
from ganbench.harness.entries import Finished
from ganbench.harness.spec import Job, Report, Spec, Stop, UnsuitedError, build, look_up
from ganbench.results import schema, store
from ganbench.results.schema import Result
from ganbench.system import files

SPEEDS = "sweep_speeds.json"  # in the folder of runs: what has been measured
SECONDS = 0.5  # of training that tell how fast an entry is
FINAL = ("ok", "diverged", "failed")  # of seeds that need not be run again


@dataclass(frozen=True, kw_only=True)
class Item:
    """An entry of a sweep: the `seeds` that are asked for, those `missing`, and `why` they are.

    `whole` is the file of the result that has them all. `unsuited` says why the baseline has
    nothing to do with the task; None if it has.
    """

    spec: Spec
    job: Job
    name: str
    seeds: Sequence[int]
    missing: Sequence[int]
    why: str
    whole: Path | None = None
    unsuited: str | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self.missing or self.unsuited is not None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What became of an entry: `finished`, or the line of the error that kept it from that."""

    item: Item
    finished: Finished | None = None
    error: str | None = None


def plan(spec: Spec, seeds: Sequence[int], leaderboard: Path) -> Item:
    """What there is to do for an entry, held against what lies on the board."""
    job = look_up(spec)
    name, unsuited = entries.entry_name(job), None
    missing, why, whole = _missing(entries.without_seeds(job, name), seeds, leaderboard)
    if missing:
        try:
            build(job, 0)
        except UnsuitedError as error:
            unsuited = str(error)
        except InputError:
            pass  # which running it says
    return Item(
        spec=spec,
        job=job,
        name=name,
        seeds=seeds,
        missing=missing,
        why=why,
        whole=whole,
        unsuited=unsuited,
    )


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
    if found.entry.sha256 != wanted.entry.sha256:
        return "another source"
    if found.entry.hparams != wanted.entry.hparams:
        return "other hyper-parameters"
    if found.protocol != wanted.protocol:
        return "another protocol"
    return "measured otherwise"


class Speeds:
    """Training steps per second of entries on a core, measured once and kept in a file."""

    def __init__(self, runs: Path) -> None:
        self.path = runs / SPEEDS
        self._here = machine.describe("cpu").cpu
        try:
            self._known: dict[str, float] = json.loads(self.path.read_text())
        except (OSError, ValueError):
            self._known = {}

    def of(self, item: Item, at_once: int) -> float:
        """That of so many seeds at once; InputError for what does not train."""
        key = self._key(item)
        if key not in self._known:
            self._known[key] = bench.rate(item.job, range(at_once), SECONDS)
            files.write_atomically(self.path, json.dumps(self._known, indent=1).encode())
        return self._known[key]

    def _key(self, item: Item) -> str:
        job = item.job
        settings = json.dumps(job.baseline.stored(job.hparams), sort_keys=True)
        asked = (self._here, job.baseline.sha256, settings, job.task.name, str(job.task.version))
        return f"{job.task.name}/{item.name}/{hashlib.sha256(str(asked).encode()).hexdigest()[:12]}"


def seconds_left(item: Item, speeds: Speeds, workers: int) -> float | None:
    """How long the missing seeds of an entry train on so many workers, about.

    None for what does not train, whose run will say why.
    """
    share = -(-len(item.missing) // workers)
    try:
        return item.job.budget.steps * share / speeds.of(item, share)
    except InputError:
        return None


def run(
    item: Item,
    *,
    workers: int,
    leaderboard: Path,
    out: Path,
    report: Report,
    stop: Stop,
) -> Ended:
    """Train the missing seeds, from where a run that was stopped has left them."""
    folder = out / item.job.task.name / item.name
    spec = entries.resumed(item.spec, folder, item.job)
    try:
        (finished,) = entries.run(
            [spec],
            seeds=item.missing,
            workers=min(workers, len(item.missing)),
            leaderboard=leaderboard,
            out=out,
            report=report,
            stop=stop,
        )
    except InputError as error:
        return Ended(item=item, error=str(error))
    return Ended(item=item, finished=finished)
