"""The leaderboard folder: adding results, listing them, checking them.

`leaderboard/<task>/<entry>.json` holds one entry's seeds on one task. What a new result would
replace is set aside in `leaderboard/<task>/old/`, which the board does not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ganbench.errors import InputError
from ganbench.results import schema, stats
from ganbench.results.schema import Result, SeedResult
from ganbench.system import files


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of a result: the merged entry, where it lies, and what was set aside."""

    result: Result
    path: Path
    set_aside: Path | None


def add(result: Result, root: Path) -> Added:
    """Merge a result into the entry's file, under a lock; InputError if that file is damaged."""
    path = path_of(root, result.task.name, result.entry.name)
    set_aside = None
    with files.locked(path):
        if path.exists():
            before = schema.load_result(path)
            if before.identity() == result.identity():
                result = merge(before, result)
            else:
                set_aside = unused(path.parent / "old" / path.name)
                set_aside.parent.mkdir(exist_ok=True)
                path.rename(set_aside)
        files.write_atomically(path, schema.dumps(result).encode())
    return Added(result=result, path=path, set_aside=set_aside)


def merge(before: Result, new: Result) -> Result:
    """All seeds of both; of the same seed the new run, unless it was interrupted.

    Trials that were declared once stay declared.
    """
    seeds: dict[int, SeedResult] = {seed.seed: seed for seed in before.seeds}
    for seed in new.seeds:
        old = seeds.get(seed.seed)
        if old is None or seed.status != "interrupted" or old.status == "interrupted":
            seeds[seed.seed] = seed
    ordered = [seeds[key] for key in sorted(seeds)]
    whole = all(seed.status != "interrupted" for seed in ordered)
    official = whole and new.protocol.budget == "full" and (before.official or new.official)
    summary = stats.summarise(ordered, list(new.task.metrics))
    trials = max(before.entry.tuning_trials, new.entry.tuning_trials)
    entry = new.entry.model_copy(update={"tuning_trials": trials})
    update = {"entry": entry, "seeds": ordered, "summary": summary, "official": official}
    return new.model_copy(update=update)


def unused(path: Path) -> Path:
    """`path`, or the first of path-1, path-2, ... that does not exist."""
    candidate, number = path, 0
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def path_of(root: Path, task: str, entry: str) -> Path:
    """The file of an entry's result on a task."""
    return root / task / f"{entry}.json"


def misplaced(result: Result, path: Path) -> str | None:
    """What is wrong if a file is not named after the result that it holds."""
    if (result.task.name, result.entry.name) == (path.parent.name, path.stem):
        return None
    return f"holds {result.entry.name!r} on {result.task.name!r}, by its content"


def attached(path: Path) -> Path:
    """The folder of what was submitted with a result: its source and its samples."""
    return path.with_suffix("")


def result_files(root: Path, task: str | None = None) -> list[Path]:
    """Every result file of the board, or of one task, sorted."""
    if not root.is_dir():
        raise InputError(f"no leaderboard folder {str(root)!r}: give one with --leaderboard")
    return sorted(root.glob(f"{task or '*'}/*.json"))
