"""What an entry must be to be ranked: whole, its own, and of the very task that the others ran."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ganbench import registry
from ganbench.board.entry import BoardEntry
from ganbench.scoring import Bounds, Direction, only_bounds, read_frozen

SEEDS = 10  # that a ranked entry has at least
SEEDS_OF = {"mnist": 3}  # on a CPU, where a seed takes an hour


@dataclass(frozen=True, kw_only=True)
class Standard:
    """A task as its board takes it: the version, and the metrics, of which the first ranks."""

    version: int
    metrics: dict[str, Bounds]

    @property
    def ranking(self) -> str:
        """The metric that ranks."""
        return next(iter(self.metrics))

    @property
    def bounds(self) -> dict[str, tuple[Direction, float, float]]:
        """Direction, floor and ceiling of each metric."""
        return {k: (m["direction"], m["floor"], m["ceiling"]) for k, m in self.metrics.items()}


def standard_of(task: str, entries: Sequence[BoardEntry]) -> Standard:
    """The newest version of a task that entries ran, with its bounds.

    Those of a bundled task are known, whatever an entry claims; of another task, what most of the
    entries say.
    """
    known = frozen(task)
    official = [entry for entry in entries if entry.official] or entries
    versions = [e.version for e in official if known is None or e.version <= known.version]
    if known is not None and max(versions, default=known.version) == known.version:
        return known
    own = [entry for entry in official if entry.version == max(versions)]
    ((bounds, _),) = Counter(tuple(entry.bounds.items()) for entry in own).most_common(1)
    first = next(entry for entry in own if tuple(entry.bounds.items()) == bounds)
    metrics = {name: only_bounds(dict(each)) for name, each in first.metrics.items()}
    return Standard(version=first.version, metrics=metrics)


@functools.cache
def frozen(task: str) -> Standard | None:
    """The standard of a bundled task, read from the file of its bounds; None for any other."""
    path = registry.folder("tasks") / f"{task}.json"
    if task not in registry.names("tasks") or not path.is_file():
        return None
    version, metrics = read_frozen(path)
    return Standard(version=version, metrics=metrics)


def why_apart(entry: BoardEntry, standard: Standard) -> str | None:
    """Why an entry is not ranked on the board of this task; None if it is."""
    least = SEEDS_OF.get(entry.task, SEEDS) if entry.device == "cpu" else SEEDS
    same = (entry.ranking, entry.bounds) == (standard.ranking, standard.bounds)
    custom = f"{entry.steps} steps" if entry.budget == "custom" else entry.budget
    reasons = (
        (entry.local, "local"),
        (entry.unpaired is not None, entry.unpaired),
        (entry.labels, "told the labels"),
        (entry.version != standard.version, f"version {entry.version} of the task"),
        (entry.budget != "full", custom),
        ("interrupted" in entry.statuses, "interrupted"),
        (not entry.official or not same, "another task"),
        (len(set(entry.seeds)) < len(entry.seeds), "a seed twice"),
        (None in entry.scores, "a seed without a score"),
        (len(entry.seeds) < least, f"{len(entry.seeds)} of {least} seeds"),
    )
    return next((reason for applies, reason in reasons if applies), None)
