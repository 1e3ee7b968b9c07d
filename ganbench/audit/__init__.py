"""Whether metrics keep what they promise, tried on samples that are spoilt on purpose.

Each file of `ganbench.metrics` says in its `PROMISES` what its quantities promise, in words that
`ganbench.audit.checks` gives a meaning. Everything is drawn with fixed seeds: an audit of the same
size has one outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ganbench import errors, registry
from ganbench.audit.checks import Finding, judge
from ganbench.audit.picture import picture
from ganbench.audit.trials import DRAWS, SIZE, null_pair, run
from ganbench.errors import InputError
from ganbench.plots.paper import png
from ganbench.system.files import write_atomically

__all__ = ["TASKS", "Finding", "audit_task", "tasks_for"]

# Tasks that together measure every quantity, in the order in which they are looked for one.
TASKS = ("ring8", "quadratic", "sine", "mnist", "stacked_mnist", "dirac", "polygons")


def tasks_for(quantity: str | None) -> list[str]:
    """Where to audit a quantity: the first of TASKS that measures it. Of None, all of TASKS."""
    if quantity is None:
        return list(TASKS)
    registry.check(metric=quantity)
    return [next(name for name in TASKS if quantity in registry.load_task(name).bounds)]


def audit_task(
    name: str,
    *,
    only: str | None = None,
    size: int = SIZE,
    draws: int = DRAWS,
    folder: Path | None = None,
    report: Callable[[str], None] | None = None,
) -> tuple[list[Finding], list[Path]]:
    """Audit the metrics of a task; what was found, and the pictures written below `folder`.

    `size` samples of each side are used (at least 128), `draws` pairs in the null calibration.
    `only` leaves the function that measures this quantity; InputError if there is none. `report`
    is told, before each function is tried, what it is. Functions that promise nothing, as those of
    a task of one's own, are passed over.
    """
    task = registry.load_task(name)
    if only is not None and only not in task.bounds:
        hint = errors.did_you_mean(only, task.bounds)
        raise InputError(f"task {task.name!r} does not measure {only!r}{hint}")
    if task.held_out is not None and size > len(task.reference):
        most = len(task.reference)
        raise InputError(f"task {task.name!r} holds out {most} samples, which is the largest size")
    few, promises = null_pair(task, 64, 0), registry.promises()
    findings: list[Finding] = []
    pictures: list[Path] = []
    for measure in task.measures():
        quantities = list(measure(*few))
        asked = only is None or only in quantities
        if not asked or not any(name in promises for name in quantities):
            continue
        if report is not None:
            report(f"{task.name}: {', '.join(quantities)}")
        trials = run(task, measure, size=size, draws=draws)
        found = judge(trials)
        findings += found
        if folder is not None:
            pictures.append(folder / task.name / f"{quantities[0]}.png")
            write_atomically(pictures[-1], png(picture(trials, found)))
    return findings, pictures
