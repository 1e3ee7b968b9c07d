"""Which sources came with a result: told from where they lie, before anything slow is imported."""

from __future__ import annotations

from pathlib import Path

from ganbench import registry
from ganbench.errors import InputError

BOARD = "leaderboard"  # what a folder of results is called, where none is named


def result_beside(baseline: str, root: Path) -> Path | None:
    """The result file that a source came with, or would have; None of a file that is one's own.

    That is a file below TASK/ENTRY/ of the leaderboard `root`, of any folder of that name, or of
    one in which TASK/ENTRY.json lies beside it.
    """
    path = registry.find("baselines", baseline)
    if registry.is_bundled("baselines", path):
        return None
    for entry in list(path.parents)[:-1]:
        result = entry.with_name(f"{entry.name}.json")
        board = entry.parent.parent
        found = result.is_file() and (entry / registry.MAIN).is_file()
        if found or board.name == BOARD or board == root.resolve():
            return result
    return None


def refuse_of_others(baseline: str) -> None:
    """InputError for a source that came with a result, in a command that would not confine it."""
    if result_beside(baseline, Path(BOARD)) is not None:
        raise InputError(
            f"{baseline} came with a result of others, and only `run` and `verify --rerun` confine "
            "such a source: copy it elsewhere to have it run with all your rights"
        )
