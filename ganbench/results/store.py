"""The leaderboard folder: where a result goes, adding it, listing what is there.

`leaderboard/<task>/<entry>.json` holds one entry's seeds on one task. It is published once its
source or its samples lie beside it, in `leaderboard/<task>/<entry>/`; from then on a run leaves it
alone and writes `leaderboard/<task>/<entry>.local.json`. What a new result would replace is set
aside, with all that came with it, in `leaderboard/<task>/old/`, which the board does not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ganbench.errors import InputError, one_line
from ganbench.registry import MAIN
from ganbench.results import schema, stats
from ganbench.results.schema import LOCAL, Result, SeedResult
from ganbench.system import files

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+,-]{0,199}")  # of a folder or a file of the board
SOURCE, SAMPLES = MAIN, "samples.safetensors"  # that come with a published result


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of a result: the merged entry, where it lies, and what was set aside.

    `beside` is the published result that is in the way and was left alone, if there is one.
    """

    result: Result
    path: Path
    set_aside: Path | None
    beside: Path | None = None


def add(result: Result, root: Path) -> Added:
    """Merge a result into the entry's own file, under a lock; InputError if that is damaged.

    A published entry is never touched: see `place`.
    """
    task, entry = result.task.name, result.entry.name
    plain, set_aside = path_of(root, task, entry), None
    with files.locked(plain):
        path = place(root, task, entry)
        if path.exists():
            before = schema.load_result(path)
            if before.fits(result):
                result = merge(before, result)
            else:
                set_aside = _set_aside(path)
        files.write_atomically(path, schema.dumps(result).encode())
    beside = plain if path != plain else None
    return Added(result=result, path=path, set_aside=set_aside, beside=beside)


def declare(path: Path, trials: int) -> bool:
    """Have a result declare at least so many tuning trials; whether it had declared fewer."""
    with files.locked(path):
        result = schema.load_result(path)
        if result.entry.tuning_trials >= trials:
            return False
        entry = result.entry.model_copy(update={"tuning_trials": trials})
        files.write_atomically(
            path, schema.dumps(result.model_copy(update={"entry": entry})).encode()
        )
        return True


def merge(before: Result, new: Result) -> Result:
    """All seeds of both; of the same seed the new run, unless it was interrupted.

    Trials that were declared once stay declared. A metric that one of them lacks, since the task
    got it or lost it in between, has no value in its seeds.
    """
    seeds: dict[int, SeedResult] = {seed.seed: seed for seed in before.seeds}
    for seed in new.seeds:
        old = seeds.get(seed.seed)
        if old is None or seed.status != "interrupted" or old.status == "interrupted":
            seeds[seed.seed] = seed
    task = new.task.model_copy(update={"metrics": {**new.task.metrics, **before.task.metrics}})
    none = dict.fromkeys(task.metrics)
    ordered = [
        seeds[key].model_copy(update={"metrics": {**none, **seeds[key].metrics}})
        for key in sorted(seeds)
    ]
    whole = all(seed.status != "interrupted" for seed in ordered)
    official = whole and new.protocol.budget == "full" and (before.official or new.official)
    summary = stats.summarise(ordered, list(task.metrics))
    views = stats.summarise_views(ordered, new.task.views)
    trials = max(before.entry.tuning_trials, new.entry.tuning_trials)
    entry = new.entry.model_copy(update={"tuning_trials": trials})
    update = {"task": task, "entry": entry, "seeds": ordered, "summary": summary, "views": views}
    own = (each.hidden for each in (new, before) if each.seeds == ordered)
    hidden = next((each for each in own if each), None)  # a word on just these seeds
    known = {"official": official, "created_at": before.created_at, "hidden": hidden}
    return new.model_copy(update={**update, **known})


def _set_aside(path: Path) -> Path:
    """Move a result and what lies beside it to `old/`, under a name that is free for both.

    What lies beside goes first: a result alone is whole, samples without their result are not.
    """
    folder, number = path.parent / "old", 0
    aside = folder / path.name
    while aside.exists() or attached(aside).exists():
        number += 1
        local = LOCAL if is_local(path) else ""
        aside = folder / f"{path.stem.removesuffix(LOCAL)}-{number}{local}.json"
    folder.mkdir(exist_ok=True)
    if attached(path).exists():
        attached(path).rename(attached(aside))
    path.rename(aside)
    return aside


def unused(path: Path) -> Path:
    """`path`, or the first of path-1, path-2, ... that does not exist."""
    candidate, number = path, 0
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def path_of(root: Path, task: str, entry: str) -> Path:
    """The file of an entry's result on a task; InputError for names that lead elsewhere."""
    return root / _named("a task", task) / f"{_named('an entry', entry)}.json"


def _named(what: str, name: str) -> str:
    if not NAME.fullmatch(name):
        raise InputError(f"{one_line(name)!r} is no name of {what}")
    return name


def place(root: Path, task: str, entry: str) -> Path:
    """The file that a run's result belongs in: beside a published one, never over it.

    InputError for a name that only such a file may have.
    """
    if entry.endswith(LOCAL):
        raise InputError(
            f"{entry!r} is no name for an entry: {LOCAL!r} ends the names of results beside "
            "published ones; rename the file"
        )
    plain = path_of(root, task, entry)
    return plain.with_name(f"{entry}{LOCAL}.json") if is_published(plain) else plain


def is_published(path: Path) -> bool:
    """Whether the source or the samples of a result lie beside its file."""
    return any((attached(path) / name).is_file() for name in (SOURCE, SAMPLES))


def is_local(path: Path) -> bool:
    """Whether a result file is one that lies beside a published one."""
    return path.stem.endswith(LOCAL)


def misplaced(result: Result, path: Path) -> str | None:
    """What is wrong if a file is not named after the result that it holds."""
    if (result.task.name, result.entry.name) == (path.parent.name, path.stem.removesuffix(LOCAL)):
        return None
    return f"holds {result.entry.name!r} on {result.task.name!r}, by its content"


def attached(path: Path) -> Path:
    """The folder of what was submitted with a result: its source and its samples."""
    return path.with_suffix("")


def result_files(root: Path, task: str | None = None) -> list[Path]:
    """Every result file of the board, or of one task, sorted; InputError if that is no name."""
    if not root.is_dir():
        raise InputError(f"no leaderboard folder {str(root)!r}: give one with --leaderboard")
    return sorted(root.glob("*/*.json" if task is None else f"{_named('a task', task)}/*.json"))
