"""What steps log, as arrays by name, and how often that is noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganbench.errors import shown

MOST_NAME = 100  # characters of what a value is logged by
OWN = ("step", "train_seconds")  # of each row of a log
Column = np.ndarray[Any, np.dtype[np.float64]]
"""What was logged under a name, in the order of the steps."""


def joined(parts: Sequence[Mapping[str, Column]]) -> dict[str, Column]:
    """Values of some steps by name, one after the other."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in names}


def wrong_name(name: object) -> str | None:
    """What is to be said of who logs a scalar by this name, if anything: `must name ...`."""
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MOST_NAME:
        said = f"a printable text of up to {MOST_NAME} characters"
        return f"must name each scalar by {said}, got {shown(name)}"
    return f"may not log {name!r}, which each row has anyway" if name in OWN else None


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a published system notes while it trains; None leaves it to the task's budget.

    The mean losses of every `log_every` steps make a row of the log; `sample_size` samples are
    drawn for pictures after each of `sample_steps` (ascending). `epoch` is the steps in what the
    source calls an epoch.
    """

    log_every: int | None = None
    sample_steps: Sequence[int] | None = None
    sample_size: int | None = None
    epoch: int | None = None
