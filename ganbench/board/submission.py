"""Submitting an entry, and verifying one that somebody else has submitted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ganbench import errors, registry
from ganbench.board import attachments, checking, claim, confined, gap, index
from ganbench.board.attachments import MOST_SAMPLES
from ganbench.board.checking import bundled_task
from ganbench.board.confined import copied
from ganbench.board.entry import board_entry
from ganbench.board.standard import standard_of, why_apart, without_copies
from ganbench.board.watch import Watch, unwatched
from ganbench.check import check
from ganbench.core import Task
from ganbench.errors import InputError
from ganbench.harness.hidden import Hidden, drawn
from ganbench.harness.spec import Report, Spec
from ganbench.results import leak, samples, schema, store
from ganbench.results.schema import LOCAL, HiddenRun, Result, SeedResult
from ganbench.results.store import SAMPLES, SOURCE
from ganbench.system import files
from ganbench.system.leftovers import held_folder
from ganbench.system.sandbox import Limits
from ganbench.system.threads import one_thread

CLOSE = 1e-3  # what rounding elsewhere may make of a metric, in widths between floor and ceiling;
# of those that train a classifier, as much as the noise of the floor
ROOM = MOST_SAMPLES - 2**16  # for samples, beside the header of their file
ROOM_OF_TASK = 2**22 + 2**16  # for those of a task's entries, in a board that is to stay small


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The files of an entry, for a pull request, and what the author should know."""

    files: list[Path]
    notes: list[str]


def submit(
    entry: str,
    task: str,
    *,
    root: Path,
    runs: Path,
    to: Path,
    most: int | None = None,
    room: int = ROOM,
) -> Submission:
    """Copy an entry's result, its source and its final samples to the folder `to`.

    Samples are those of the first `most` seeds, or of as many as fit in `room` bytes; if not even
    one does, there is no file of them. The folder is laid out as the leaderboard. Raises
    InputError, before anything is written, for what `ganbench leaderboard check` would find, for
    what fails of `ganbench check`, for seeds that the process that ran the GAN has judged itself,
    and if the source or the samples are not those of the result any more.
    """
    path, chosen = _find(root, task, entry)
    result = schema.load_result(path)
    if lines := checking.inconsistencies(result, path):
        raise InputError(f"{path}: {lines[0]}")
    if own := [seed.seed for seed in result.seeds if not seed.judged_apart]:
        raise InputError(
            f"{path}: seed {own[0]} was judged by the process that ran its GAN: run it anew with "
            "`ganbench run`, which keeps the two apart"
        )
    target = store.path_of(to, task, result.entry.name)
    if target.exists():
        raise InputError(f"{target} exists already: remove it, or give another folder with --to")
    run = runs / task / result.entry.name
    source = _sources(run, result)
    kept, notes = _samples(run, result, most, room)
    _check(result, next(iter(source.values())))
    folder = store.attached(target)
    made = copied(source, folder)
    if kept:
        samples.write_seeds(folder / SAMPLES, kept)
        made.append(folder / SAMPLES)
    files.write_atomically(target, path.read_bytes())
    notes = [*chosen, *notes, *_unranked(result, root)]
    return Submission(files=[target, *made], notes=notes)


def publish(entry: str, task: str, *, root: Path, runs: Path) -> None:
    """Make what `submit` collects of an entry its published result, in place of a former one.

    With the samples of its first seed, where those of the task's other entries leave room for them
    (`ROOM_OF_TASK`), as a board holds many.
    Raises InputError, with all as it was, for what `submit` refuses, for a result that is not of
    the whole budget of an unchanged task, and for one of fewer seeds than the former.
    """
    path, _ = _find(root, task, entry)
    result = schema.load_result(path)
    if not result.official:
        raise InputError(f"{path} is not of the whole budget of an unchanged task")
    if store.is_published(path):
        return
    former = store.path_of(root, task, result.entry.name)
    before = len(schema.load_result(former).seeds) if former.is_file() else 0
    if len(result.seeds) < before:
        raise InputError(f"{former} has {before} seeds, {path} {len(result.seeds)}: run as many")
    with held_folder(root, ".publish-") as folder:
        target = store.path_of(root, task, result.entry.name)
        room = _room_left(target)
        submit(entry, task, root=root, runs=runs, to=folder, most=1, room=room)
        made = store.path_of(folder, task, result.entry.name)
        with files.locked(target):
            if store.attached(target).exists():
                store.attached(target).rename(folder / "former")
            made.replace(target)
            store.attached(made).rename(store.attached(target))
            if path != target:
                path.unlink()


def _room_left(target: Path) -> int:
    """Bytes for an entry's samples beside those of the task's other entries."""
    own = store.attached(target) / SAMPLES
    others = (file for file in target.parent.glob(f"*/{SAMPLES}") if file != own)
    return ROOM_OF_TASK - sum(file.stat().st_size for file in others)


def _check(result: Result, source: Path) -> None:
    """InputError with what fails of all that `ganbench check` tries, but for engines and speed."""
    found = list(check(_spec(result, source), engines=False))
    if lines := [each.line for each in found if each.verdict == "fails"]:
        raise InputError(f"{source} cannot be submitted (see `ganbench check`): {'; '.join(lines)}")


def _spec(result: Result, source: Path) -> Spec:
    """What is to be trained anew to have such a result."""
    return Spec(
        task=result.task.name,
        baseline=str(source),
        hparams=result.entry.hparams,
        steps=None if result.protocol.budget == "full" else result.protocol.steps,
    )


def _unranked(result: Result, root: Path) -> list[str]:
    """A note if the entry will be shown on the board, but not ranked."""
    own = board_entry(result)
    with index.opened() as kept:
        others, _ = kept.entries(root, own.task)
    entries = [own, *(each for each in others if not each.local and each.name != own.name)]
    standard = standard_of(own.task, entries)
    own = without_copies(entries, standard)[0]
    reason = own.wrong or why_apart(own, standard)
    return [f"{own.name} will be shown, but not ranked: {reason}"] if reason else []


def _find(root: Path, task: str, entry: str) -> tuple[Path, list[str]]:
    """The file of an entry, and a note if that is the local one beside the published one."""
    plain = store.path_of(root, task, entry)
    local = plain if store.is_local(plain) else store.path_of(root, task, f"{entry}{LOCAL}")
    if local.is_file():
        note = f"{local} is submitted: it is the local run of {entry}"
        return local, [] if local == plain else [note]
    if plain.is_file():
        return plain, []
    known = [each.stem for each in store.result_files(root, task)]
    hint = errors.did_you_mean(entry, known)
    raise InputError(f"no entry {entry!r} on task {task!r}{hint}")


def _sources(run: Path, result: Result) -> dict[str, Path]:
    """The files that the run trained by their names in a submission, the main one first."""
    label = files.read_object(run / registry.MARKER)
    try:
        given = {name: Path(file) for name, file in label.get("sources", {}).items()}
        baseline = str(label["baseline"])
    except (KeyError, AttributeError, TypeError) as error:
        raise InputError(
            f"no run of the entry in {str(run)!r}: give its folder with --out"
        ) from error
    first, *others = given or [""]
    own = given[first] if given else registry.find("baselines", baseline)
    found = {SOURCE: own, **{name: given[name] for name in others}}
    if missing := [file for file in found.values() if not file.is_file()]:
        raise InputError(f"{missing[0]} is gone since the run: run it again")
    if registry.sources_sha256(found) != result.entry.sha256:
        names = ", ".join(str(file) for file in found.values())
        raise InputError(f"{names}: changed since the run: run it again")
    if lines := attachments.unfit(found):
        raise InputError(f"{own} cannot be submitted: {lines[0]}")
    return found


def _samples(
    run: Path, result: Result, most: int | None, room: int
) -> tuple[dict[int, Tensor], list[str]]:
    """Samples of the first seeds, as many as are asked for and there is room for."""
    kept: dict[int, Tensor] = {}
    with_samples = [seed for seed in result.seeds if seed.samples_sha256 is not None]
    for seed in with_samples[:most]:
        file = run / f"seed-{seed.seed}" / "samples.npz"
        made = samples.read(file)
        if samples.sha256_of(made) != seed.samples_sha256:
            raise InputError(f"{file} is not of the result: run seed {seed.seed} again")
        room -= made.nbytes
        if room < 0:
            several = f"samples of {len(kept)} seeds of {len(result.seeds)}: more are too large"
            return kept, [several]
        kept[seed.seed] = made
    return kept, []


def verify(path: Path, *, watch: Watch = unwatched) -> Iterator[str]:
    """A line for each thing that is wrong with a submitted entry; runs nothing that came with it.

    Its files are checked, the metrics of the samples that came with it are computed anew, and these
    are searched for copies of the reference.
    """
    result = schema.load_result(path)
    found = [*checking.inconsistencies(result, path), *attachments.findings(result, path)]
    try:
        task = bundled_task(result.task.name)
    except InputError as error:
        found.append(str(error))
    yield from found
    file = store.attached(path) / SAMPLES
    if not file.is_file():
        yield f"no {SAMPLES} came with it: nothing to compute the metrics from"
    elif not found:
        claimed = {seed.seed: seed for seed in result.seeds}
        given = list(samples.read_seeds(file).items())
        for seed, made in watch("computing metrics of seeds", given):
            yield from _wrong_samples(task, result, claimed[seed], made)


def _wrong_samples(task: Task, result: Result, seed: SeedResult, made: Tensor) -> Iterator[str]:
    with one_thread():
        values = task.evaluate(task.reference, task.check(made, len(made), f"seed {seed.seed}"))
        copied = leak.leak_of(task, made)
    if copied:
        yield f"seed {seed.seed}: {copied}"
    for name, value in values.items():
        claim, info = seed.metrics.get(name), result.task.metrics.get(name)
        if info is None or name not in task.bounds or info.version != task.bounds[name].version:
            continue  # the task's metrics have changed since: it is not ranked by this one
        room = CLOSE * abs(info.ceiling - info.floor) + (name != result.tracked) * info.noise
        if claim is None or not math.isclose(claim, value, rel_tol=CLOSE, abs_tol=room):
            yield f"seed {seed.seed}: {name} is {value:.6g} by its samples, {claim} by the result"


def plan(path: Path, seeds: int | None = None) -> claim.Plan:
    """How many new seeds `rerun` is to train of a result: so many, or as many as it needs.

    Raises InputError for so few that they could find nothing.
    """
    return claim.planned(schema.load_result(path), seeds)


def rerun(
    path: Path,
    seeds: int,
    *,
    workers: int = 1,
    report: Report = lambda _: None,
    limits: Limits | None = None,
) -> claim.Outcome:
    """Train new seeds of the source that came with an entry, or is bundled; runs that, confined.

    Returns what they say of the claimed ones. Raises InputError, before any training, for what
    `plan` refuses; CellError, of one line, where the source does not come to an end within the
    `limits`, or leaves no result that can be read.
    """
    claimed, new = _trained(path, seeds, workers=workers, report=report, limits=limits)
    return claim.judged(claimed.seeds, new.seeds, seeds)


def hidden_parameters(path: Path, seed: int | None = None) -> tuple[Hidden, float]:
    """Hidden parameters of a result's task, of a seed or fresh ones: see `harness.hidden.drawn`."""
    return drawn(bundled_task(schema.load_result(path).task.name), seed)


def rerun_hidden(
    path: Path,
    seeds: int,
    hidden: Hidden,
    known: float,
    *,
    workers: int = 1,
    report: Report = lambda _: None,
    limits: Limits | None = None,
) -> tuple[claim.Outcome, HiddenRun | None]:
    """As `rerun`, of seeds on hidden parameters: what they say, and what a result may keep of it.

    `known` is what real samples of the task itself score on them.
    """
    claimed, new = _trained(path, seeds, hidden, workers=workers, report=report, limits=limits)
    return gap.judged(claimed.seeds, new.seeds, seeds, seed=hidden.seed, known=known)


def _trained(
    path: Path,
    seeds: int,
    hidden: Hidden | None = None,
    *,
    workers: int,
    report: Report,
    limits: Limits | None,
) -> tuple[Result, Result]:
    """A claimed result, and that of so many new seeds of its source, trained confined."""
    result = schema.load_result(path)
    if lines := attachments.findings(result, path):
        raise InputError(f"{path}: {lines[0]}")
    bundled_task(result.task.name)
    source = attachments.source_of(result, path)
    if source is None:
        raise InputError(f"no {SOURCE} came with {path}: nothing to run")
    claim.check(result, seeds)
    main, *others = source
    own = Path(result.entry.source).name  # as its neighbours may know it
    named = {own if own.endswith(".py") and own not in others else main: source[main]}
    named |= {name: source[name] for name in others}
    first = 1 + max(seed.seed for seed in result.seeds)
    with held_folder() as folder:
        spec = _spec(result, copied(named, folder / "source")[0])
        results, refusal = confined.run(
            [replace(spec, hidden=hidden)],
            seeds=range(first, first + seeds),
            folder=folder,
            workers=workers,
            report=report,
            limits=limits,
        )
    if refusal:
        raise refusal
    (finished,) = results
    return result, finished
