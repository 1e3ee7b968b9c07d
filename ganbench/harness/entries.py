"""`run`: an entry on a task, from the names to the leaderboard file and the pictures."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ganbench import registry
from ganbench.errors import InputError, ResumeError, shown
from ganbench.harness import composed, loggers, machine, pictures
from ganbench.harness.seed_run import TRACEBACK
from ganbench.harness.spec import MANY_STEPS, Job, Report, Spec, Stop, check_room, look_up
from ganbench.harness.workers import train_all
from ganbench.results import schema
from ganbench.results import store as board
from ganbench.results.schema import EntryInfo, Result, SeedResult
from ganbench.system import files, leftovers
from ganbench.system.unchanged import unchanged

OTHER = r"[^A-Za-z0-9._=+,-]+"  # characters that no name of an entry has


@dataclass(frozen=True, kw_only=True)
class Planned:
    """So many seeds of an entry to be trained: its job, what the board tells of it, notes."""

    job: Job
    entry: EntryInfo
    seeds: int
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a run leaves: its folder and seeds, the merged entry and its file, pictures, notes.

    Of a run that was stopped, so many seeds were `not_begun`.
    """

    folder: Path
    seeds: list[SeedResult]
    result: Result
    path: Path
    pictures: list[Path]
    notes: list[str]
    not_begun: int = 0


def run(
    specs: Sequence[Spec],
    *,
    seeds: Sequence[int] = (0,),
    workers: int = 1,
    leaderboard: Path | str = "leaderboard",
    out: Path | str = "runs",
    report: Report = lambda _: None,
    stop: Stop | None = None,
    apart: bool = False,
) -> list[Finished]:
    """Train every seed of every spec, add the results to the leaderboard, draw the pictures.

    A result is added as soon as the last of its seeds is done; pictures are drawn at the end. With
    `apart` a single worker is processes of its own too, of which one judges the other's samples.
    Raises InputError before any training for whatever can be known then: names, hyper-parameters,
    folders that cannot be written, a damaged file where a result would go; when all is done, for
    an entry whose every seed has ended `at_once`: that is no result, so nothing of it is added.
    """
    board_folder = Path(leaderboard)
    loggers.check(specs)
    with ExitStack() as held:
        with unchanged() if apart else nullcontext():  # else this process is the one that trains
            begun = [
                Entry(prepare(spec, Path(out), board_folder, held, len(seeds)), board_folder)
                for spec in specs
            ]
        return _train(begun, seeds, workers, report, stop, apart)


def _train(
    begun: Sequence[Entry],
    seeds: Sequence[int],
    workers: int,
    report: Report,
    stop: Stop | None,
    apart: bool,
) -> list[Finished]:
    _check_names([each.name for each in begun])
    collected: dict[int, list[SeedResult]] = {}
    jobs = [each.job for each in begun]
    logs = loggers.Loggers(jobs, report)
    try:
        for index, seed in train_all(jobs, seeds, workers, logs.report, stop, apart=apart):
            logs.end(jobs[index], seed)
            collected.setdefault(index, []).append(seed)
            if len(collected[index]) == len(seeds):
                begun[index].add(collected.pop(index))
    finally:
        logs.close()
        for index in list(collected):  # stopped early: what is done is kept
            begun[index].add(collected.pop(index))
        for each in begun:
            each.forget_empty()
    finished = [each.finish() for each in begun if each.added]
    refused = [each.refusal(named=len(begun) > 1) for each in begun if each.refused]
    if finished and not refused:
        left = sum(len(seeds) for each in begun if not each.added)
        last = replace(finished[-1], not_begun=finished[-1].not_begun + left)
        return [*finished[:-1], last]
    raise refused[0] if refused else InputError("stopped before anything was done")


class Entry:
    """An entry in training: puts what comes of its seeds on the board, and draws the pictures.

    `added` is what the board made of them; None before there is any. `refused` are seeds that have
    ended `at_once`: without any other they are no result.
    """

    def __init__(self, planned: Planned, leaderboard: Path) -> None:
        self.job, self._info, self._notes = planned.job, planned.entry, list(planned.notes)
        self.name, self._asked = planned.entry.name, planned.seeds
        self.folder, self._leaderboard = planned.job.spec.folder, leaderboard
        self.added: board.Added | None = None
        self.refused: list[SeedResult] = []
        self._seeds: list[SeedResult] = []

    def add(self, seeds: Sequence[SeedResult]) -> None:
        """Put seeds that have ended on the board, and those that waited for another one."""
        self.refused += seeds
        if self.added is None and all(seed.at_once for seed in self.refused):
            return
        new = sorted(self.refused, key=_number)
        self.refused = []
        for seed in new:
            write_seed(self.folder / f"seed-{seed.seed}", seed)
        added = board.add(composed.compose(self.job, self._info, new), self._leaderboard)
        if added.set_aside:
            self._notes.append(
                f"the former {added.path.name} was of another run: kept in {added.set_aside}"
            )
        self.added, self._seeds = added, sorted([*self._seeds, *new], key=_number)

    def refusal(self, *, named: bool) -> InputError:
        """What is said of an entry whose seeds have all ended at once."""
        seed = min(self.refused, key=_number)
        file = self.job.baseline.path.name
        of = f"{self.name}: " if named else ""
        what = "scored" if seed.curve else "trained"
        error = InputError(f"{of}{file} cannot be {what}: {seed.reason}")
        if text := traceback_of(self.folder, seed):
            error.add_note(text.rstrip())
        return error

    def forget_empty(self) -> None:
        """A run that has left nothing to go on from is none that the next one must set aside."""
        if not any(
            [*self.folder.glob("seed-*/result.json"), *self.folder.glob("seed-*/checkpoint.*")]
        ):
            (self.folder / registry.MARKER).unlink(missing_ok=True)

    def finish(self, *, whole: bool = False) -> Finished:
        """Draw the pictures of the seeds that were added, or of the whole folder; what is left."""
        assert self.added is not None
        if whole:
            drawn = pictures.redraw(self.folder)
        else:
            drawn = pictures.draw(self.job.task, self.folder, self._seeds)
        added, notes = self.added, list(self._notes)
        if added.beside:
            notes.append(f"{added.beside} is published and stays as it is: this is a local result")
        return Finished(
            folder=self.folder,
            seeds=self._seeds,
            result=added.result,
            path=added.path,
            pictures=drawn,
            notes=notes,
            not_begun=self._asked - len(self._seeds),
        )


def _number(seed: SeedResult) -> int:
    return seed.seed


def _check_names(names: Sequence[str]) -> None:
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"the same setting is asked for twice: {', '.join(sorted(twice))}")


def prepare(spec: Spec, out: Path, leaderboard: Path, held: ExitStack, seeds: int) -> Planned:
    """Look everything up and check it, before any training of so many seeds.

    The run's folder is in use until `held` is closed.
    """
    job = look_up(spec)
    check_room(job, seeds)
    name = entry_name(job)
    files.check_writable(leaderboard / job.task.name)
    existing = board.place(leaderboard, job.task.name, name)
    if existing.exists():
        schema.load_result(existing)
    entry = entry_info(job, name)
    folder, notes = prepare_folder(out / job.task.name / name, job, held)
    return Planned(job=job.in_folder(folder), entry=entry, seeds=seeds, notes=notes)


def traceback_of(folder: Path, seed: SeedResult) -> str:
    """The traceback of the error that ended a seed of the run in a folder; "" if none did."""
    path = folder / f"seed-{seed.seed}" / TRACEBACK
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def entry_name(job: Job) -> str:
    """The entry's name on the board: the file's, with whatever is not the default appended."""
    given = job.baseline.differing(job.task, job.spec.hparams).items()
    settings = [f"{key}={_plain(value)}" for key, value in given]
    parts = [_ascii(job.baseline.name), *settings, *circumstances(job)]
    name = re.sub(OTHER, "_", "-".join(parts))
    return f"{name[:90]}-{_short_hash(name)}" if len(name) > 100 else name


def _ascii(name: str) -> str:
    """A file's name as that of an entry: another one for each, in whatever letters it is."""
    ours = re.sub(OTHER, "_", name)
    return ours if ours == name else f"{ours}-{_short_hash(name)}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def circumstances(job: Job) -> list[str]:
    """How a job is run, where that is not as by default: words for a name."""
    spec, budget, parts = job.spec, job.budget, []
    if budget.name == "custom":
        parts.append(f"{budget.steps}steps")
    elif budget.name != "full":
        parts.append(budget.name)
    parts += [f"hidden{spec.hidden.seed}"] if spec.hidden is not None else []
    parts += [spec.device.partition(":")[0]] if spec.device != "cpu" else []
    parts += [spec.precision] if spec.precision != "float32" else []
    bundled = job.task.name in registry.names("tasks")  # whose name another file may bear
    parts += ["changed"] if bundled and job.task_sha256 else []
    if spec.compiled not in (None, budget.steps >= MANY_STEPS):
        parts.append("compiled" if spec.compiled else "uncompiled")
    return parts


def resumed(spec: Spec, folder: Path, job: Job) -> Spec:
    """The spec of a run that goes on from what lies in its folder, if that is its own."""
    before = files.read_object(folder / registry.MARKER)
    same = before.get("version") == job.task.version
    return replace(spec, resume=same and _is_of(before, job))


def _files_of(job: Job) -> dict[str, str | None]:
    """The hashes of what a run is of, in its marker."""
    return {"source": job.baseline.sha256, "task_source": job.task_sha256}


def _is_of(marker: dict[str, Any], job: Job) -> bool:
    """Whether a marker is of a run of a job's files."""
    return all(marker.get(name) == digest for name, digest in _files_of(job).items())


def prepare_folder(folder: Path, job: Job, held: ExitStack) -> tuple[Path, list[str]]:
    """The run's folder, which is in use until `held` is closed.

    One of another source is set aside, never overwritten; InputError while a run goes on in it.
    """
    files.check_writable(folder, deep=True)
    spec, baseline = job.spec, job.baseline
    label = {
        "task": spec.task,
        "baseline": spec.baseline,
        **_files_of(job),
        "version": job.task.version,
        "sources": {name: str(path.resolve()) for name, path in baseline.sources.items()},
    }
    marker, notes = folder / registry.MARKER, []
    if marker.is_file() and not _is_of(files.read_object(marker), job):
        if spec.resume and any(folder.glob("seed-*/checkpoint.*")):
            raise ResumeError(f"{folder} is of another source: run without --resume")
        notes.append(f"the former run was of another source: kept in {set_aside(folder)}")
    files.write_atomically(marker, json.dumps(label, indent=1).encode())
    held.enter_context(leftovers.used(folder))
    return folder, notes


def set_aside(folder: Path) -> Path:
    """Where a run's folder is kept from now on; InputError while a run goes on in it."""
    if leftovers.in_use(folder):
        raise InputError(f"another run goes on in {folder}: wait, or give --out")
    aside = board.unused(folder.with_name(f"{folder.name}.old"))
    folder.rename(aside)
    return aside


def entry_info(job: Job, name: str = "") -> EntryInfo:
    """What runs, by its own name or another, without a path of anybody's machine.

    Raises InputError for what no result may hold, as a colon in the file's path.
    """
    baseline = job.baseline
    source, commit, dirty = baseline.name, None, None
    if baseline.sources:
        source, commit, dirty = machine.repository_path(baseline.path)
    try:
        return EntryInfo(
            name=name or entry_name(job),
            source=f"baselines/{baseline.path.name}" if baseline.bundled else source,
            sha256=baseline.sha256,
            hparams=baseline.stored(job.hparams),
            git_commit=commit,
            dirty=dirty,
            tuning_trials=job.spec.tuning_trials,
            reference=baseline.reference,
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        what = f"{wrong['loc'][0]} {shown(wrong['input'])}"
        raise InputError(f"{baseline.name} cannot be an entry with {what}") from error


def write_seed(folder: Path, seed: SeedResult) -> None:
    """Keep a seed's result beside its samples, for `ganbench plot`."""
    text = json.dumps(seed.model_dump(mode="json"), indent=1, allow_nan=False)
    files.write_atomically(folder / "result.json", text.encode())


def _plain(value: Any) -> str:
    """A value as a part of a file's name: `[16, 16]` as 16,16."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
