"""The leaderboard folder: adding results, listing them, checking them.

`leaderboard/<task>/<entry>.json` holds one entry's seeds on one task. What a new result would
replace is set aside in `leaderboard/<task>/old/`, which the board does not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ganbench import results, stats
from ganbench.errors import InputError
from ganbench.results import Result, SeedResult


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of a result: the merged entry, where it lies, and what was set aside."""

    result: Result
    path: Path
    set_aside: Path | None


def add(result: Result, root: Path) -> Added:
    """Merge a result into the entry's file, under a lock; InputError if that file is damaged."""
    path = root / result.task.name / f"{result.entry.name}.json"
    set_aside = None
    with results.locked(path):
        if path.exists():
            before = results.load_result(path)
            if before.identity() == result.identity():
                result = merge(before, result)
            else:
                set_aside = unused(path.parent / "old" / path.name)
                set_aside.parent.mkdir(exist_ok=True)
                path.rename(set_aside)
        results.write_atomically(path, results.dumps(result).encode())
    return Added(result=result, path=path, set_aside=set_aside)


def merge(before: Result, new: Result) -> Result:
    """All seeds of both; of the same seed the new run, unless it was interrupted."""
    seeds: dict[int, SeedResult] = {seed.seed: seed for seed in before.seeds}
    for seed in new.seeds:
        old = seeds.get(seed.seed)
        if old is None or seed.status != "interrupted" or old.status == "interrupted":
            seeds[seed.seed] = seed
    ordered = [seeds[key] for key in sorted(seeds)]
    whole = all(seed.status != "interrupted" for seed in ordered)
    official = whole and new.protocol.budget == "full" and (before.official or new.official)
    summary = stats.summarise(ordered, list(new.task.metrics))
    return new.model_copy(update={"seeds": ordered, "summary": summary, "official": official})


def unused(path: Path) -> Path:
    """`path`, or the first of path-1, path-2, ... that does not exist."""
    candidate, number = path, 0
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def attached(path: Path) -> Path:
    """The folder of what was submitted with a result: its source and its samples."""
    return path.with_suffix("")


def files(root: Path, task: str | None = None) -> list[Path]:
    """Every result file of the board, or of one task, sorted."""
    if not root.is_dir():
        raise InputError(f"no leaderboard folder {str(root)!r}: give one with --leaderboard")
    return sorted(root.glob(f"{task or '*'}/*.json"))


def read(root: Path, task: str | None = None) -> tuple[list[Result], list[str]]:
    """The valid results and one line for each file that is not; nothing is changed."""
    valid, problems = [], []
    for path in files(root, task):
        try:
            valid.append(results.load_result(path))
        except InputError as error:
            problems.append(str(error))
    return valid, problems
