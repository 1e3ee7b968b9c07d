"""`run` of a source that came with a result: confined, and only what was looked at is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import ganbench
from ganbench import registry
from ganbench.board import attachments, confined
from ganbench.errors import MOST_LINE, InputError, one_line
from ganbench.harness import entries, machine
from ganbench.harness.entries import Finished
from ganbench.harness.seed_run import TRACEBACK
from ganbench.harness.spec import Report, Spec, Stop
from ganbench.results import store
from ganbench.results.schema import Result
from ganbench.system import cell, files
from ganbench.system.cell import CellError
from ganbench.system.leftovers import held_folder
from ganbench.system.sandbox import Limits

PICTURES = ("real_vs_generated.png", "training.png", "samples.gif", "samples", "features")


def run(
    specs: Sequence[Spec],
    *,
    beside: Path,
    seeds: Sequence[int],
    workers: int,
    leaderboard: Path,
    out: Path,
    report: Report = lambda _: None,
    stop: Stop | None = None,
    limits: Limits | None = None,
) -> list[Finished]:
    """`harness.entries.run` of a source that lies `beside` a result, in a confined process.

    Its results and the folders of its runs are put where they belong by this process. Raises
    InputError for what `entries.run` refuses and for a source that is none, CellError where the
    process ends in any other way.
    """
    if any(spec.resume for spec in specs):
        raise InputError("a source of others begins anew each time: leave out --resume")
    if any(spec.log for spec in specs):
        raise InputError("of a source of others nothing is handed on: leave out --log")
    given = attachments.sources(beside)
    path = registry.find("baselines", specs[0].baseline)
    if lines := [*attachments.linked(beside, given), *attachments.unfit(given)]:
        raise InputError(f"{path}: {lines[0]}")
    name = path.relative_to(store.attached(beside).resolve()).as_posix()
    source = {name: given[name], **given}
    files.check_writable(leaderboard)
    files.check_writable(out)
    with held_folder(out, ".confined-") as scratch:
        file = str(confined.copied(source, scratch / "source")[0])
        inside = [replace(spec, baseline=file) for spec in specs]
        made, refusal = confined.run(
            inside,
            seeds=seeds,
            folder=scratch,
            workers=workers,
            report=report,
            stop=stop,
            limits=limits,
        )
        finished = [
            _kept(each, specs[0], source, scratch, out, leaderboard, len(seeds)) for each in made
        ]
    if refusal:
        raise refusal
    return finished


def _kept(
    result: Result,
    spec: Spec,
    source: Mapping[str, Path],
    scratch: Path,
    out: Path,
    leaderboard: Path,
    seeds: int,
) -> Finished:
    """Put a result and the folder of its run where they belong, as far as they can be believed.

    So many `seeds` were asked for.
    """
    main, *others = source
    alone = {main: source[main]}
    shipped = registry.sources_sha256(source), registry.sources_sha256(alone)
    if result.entry.sha256 not in shipped:
        raise CellError("its result: is of another source")
    folder = scratch / confined.RUNS / result.task.name / result.entry.name
    made_plain(folder)
    label = {
        "task": spec.task,  # which `plot` executes: not what the run has left
        "baseline": spec.baseline,
        "source": result.entry.sha256,
        "version": result.task.version,
        "sources": {name: str(source[name].resolve()) for name in [main, *others]},
    }
    files.write_atomically(folder / registry.MARKER, json.dumps(label, indent=1).encode())
    target = out / result.task.name / result.entry.name
    notes = ["it came with a result of others: it was run confined (see SECURITY.md)"]
    if target.exists():
        notes.append(f"the former run is kept in {entries.set_aside(target)}")
    files.make_folder(target.parent)
    folder.rename(target)
    added = store.add(_told_here(result, source[main]), leaderboard)
    if added.set_aside:
        notes.append(f"the former {added.path.name} was of another run: kept in {added.set_aside}")
    return Finished(
        folder=target,
        seeds=result.seeds,
        result=added.result,
        path=added.path,
        pictures=[target / name for name in PICTURES if (target / name).exists()],
        notes=notes,
        not_begun=seeds - len(result.seeds),
    )


def _told_here(result: Result, source: Path) -> Result:
    """A result with what this process knows better than the one that was confined."""
    path, commit, dirty = machine.repository_path(source.resolve())
    entry = {"source": path, "git_commit": commit, "dirty": dirty}
    return result.model_copy(
        update={
            "entry": result.entry.model_copy(update=entry),
            "ganbench_version": ganbench.__version__,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )


def made_plain(folder: Path) -> None:
    """Leave a folder's files no special rights, and tracebacks nothing that cannot be printed.

    CellError if there is anything but files and folders, or no folder.
    """
    if folder.resolve() != folder or not folder.is_dir():
        raise CellError("it left no folder of its run")
    for each in cell.walk(folder):
        if each.is_symlink() or not (each.is_file() or each.is_dir()):
            raise CellError(f"it left {one_line(each.name)!r}, which is no file, in its run")
        Path(each.path).chmod(0o755 if each.is_dir() else 0o644)
    for text in folder.glob(f"seed-*/{TRACEBACK}"):
        lines = files.read_text(text).splitlines()
        plain = "".join(f"{one_line(line, MOST_LINE)}\n" for line in lines)
        text.write_text(plain, encoding="utf-8")
