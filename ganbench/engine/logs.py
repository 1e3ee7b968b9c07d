"""What steps log, as arrays by name, and how often that is noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Column = np.ndarray[Any, np.dtype[np.float64]]
"""What was logged under a name, in the order of the steps."""


def joined(parts: Sequence[Mapping[str, Column]]) -> dict[str, Column]:
    """Values of some steps by name, one after the other."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in names}


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
