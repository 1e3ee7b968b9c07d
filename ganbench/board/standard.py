"""What an entry must be to be ranked: whole, its own, and of the very task that the others ran."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from ganbench import registry
from ganbench.board.entry import BoardEntry, Judged, judged_by
from ganbench.scoring import Frozen, only_bounds, read_frozen

K = TypeVar("K")

REFERENCE = "reference"  # why one takes no rank
FAILS = "fails the check"
SAME = "has the same samples as {}"  # another entry of the task
SEEDS = 10  # that a ranked entry has at least
SEEDS_OF = {"mnist": 3}  # on a CPU, where a seed takes an hour


@dataclass(frozen=True, kw_only=True)
class Standard(Frozen):
    """A task as its board takes it; of one that is not bundled, without a budget."""

    @property
    def tracked(self) -> str:
        """The metric that every round is measured by."""
        return next(iter(self.metrics))

    @property
    def judged_by(self) -> Judged:
        """What scores follow from: metric, version, direction, floor, ceiling of each view."""
        return judged_by(self.views, self.metrics)


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
    ((judged, _),) = Counter(tuple(entry.judged_by.items()) for entry in own).most_common(1)
    first = next(entry for entry in own if tuple(entry.judged_by.items()) == judged)
    metrics = {name: only_bounds(each) for name, each in first.metrics.items()}
    return Standard(version=first.version, views=first.views, metrics=metrics, budget={})


@functools.cache
def frozen(task: str) -> Standard | None:
    """The standard of a bundled task, read from the file of its bounds; None for any other."""
    path = registry.folder("tasks") / f"{task}.json"
    if task not in registry.names("tasks") or not path.is_file():
        return None
    return Standard(**vars(read_frozen(path)))


def are_first(seeds: Sequence[int]) -> bool:
    """Whether these are the seeds 0, 1, ... without a gap, as nobody has chosen them."""
    return sorted(seeds) == list(range(len(seeds)))


def without_copies(entries: Sequence[BoardEntry], standard: Standard) -> list[BoardEntry]:
    """A task's entries; `wrong` are those to be ranked with samples of one that is older."""
    taking = [e for e in entries if why_apart(e, standard) in (None, REFERENCE)]
    taking.sort(key=lambda e: age(e.created, e.name))
    found = copies({e.name: e.samples for e in taking})
    wrong = {id(e): SAME.format(found[e.name]) for e in taking if e.name in found}
    return [replace(e, wrong=wrong[id(e)]) if id(e) in wrong else e for e in entries]


def age(created: str, name: str) -> tuple[float, str]:
    """What the oldest entry has least of, by the date that its result bears; none is the newest."""
    try:
        date = datetime.fromisoformat(created)
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        seconds = math.inf
    return seconds, name


def copies(samples: Mapping[K, Iterable[str | None]]) -> dict[K, K]:
    """Which entry came before, for each that has one of its `marks`; the oldest first."""
    first: dict[str, K] = {}
    found: dict[K, K] = {}
    for name, hashes in samples.items():
        for each in hashes:
            if each is not None and (before := first.setdefault(each, name)) != name:
                found.setdefault(name, before)
    return found


def why_apart(
    entry: BoardEntry, standard: Standard, hardware: str | None = None, by: str | None = None
) -> str | None:
    """Why an entry is not ranked on the board of this task; None if it is.

    With a `hardware` only its seeds there count, and `by` is a metric that is to rank.
    """
    least = SEEDS_OF.get(entry.task, SEEDS) if entry.device == "cpu" else SEEDS
    count = len(entry.seeds) if hardware is None else len(entry.on(hardware))
    same = (entry.tracked, entry.judged_by) == (standard.tracked, standard.judged_by)
    custom = f"{entry.steps} steps" if entry.budget == "custom" else entry.budget
    reasons = (
        (entry.local, "local"),
        (entry.unpaired is not None, entry.unpaired),
        (entry.refuted, "refuted on hidden parameters"),
        (entry.labels, "told the labels"),
        (entry.version != standard.version, f"version {entry.version} of the task"),
        (entry.budget != "full", custom),
        ("interrupted" in entry.statuses, "interrupted"),
        (not entry.official, "another task"),
        (not same, _otherwise(entry, standard)),
        (len(set(entry.seeds)) < len(entry.seeds) or entry.repeated, "a seed twice"),
        (not are_first(entry.seeds), "other seeds"),
        (None in entry.scores, "a seed without a score"),
        (entry.wrong is not None, FAILS),
        (by is not None and not _has(entry, standard, by), f"no {by} that compares"),
        (count < least, f"{count} of {least} seeds" + (" on it" if hardware else "")),
        (entry.reference, REFERENCE),
    )
    return next((reason for applies, reason in reasons if applies), None)


def _otherwise(entry: BoardEntry, standard: Standard) -> str:
    """In what an entry was scored otherwise than its task's are now."""
    if entry.views != standard.views:
        return "other views"
    versions = {name: entry.metrics[name]["version"] for name in entry.views.values()}
    known = {name: standard.metrics[name]["version"] for name in versions}
    older = [name for name, version in versions.items() if version != known[name]]
    return f"version {versions[older[0]]} of {older[0]}" if older else "another task"


def _has(entry: BoardEntry, standard: Standard, metric: str) -> bool:
    """Whether an entry has been measured by a metric as its task is now."""
    own = entry.metrics.get(metric)
    if own is None or only_bounds(own) != standard.metrics[metric]:
        return False
    pairs = zip(entry.statuses, own["values"], strict=True)
    return all(value is not None for status, value in pairs if status == "ok")
