"""What steps log, as arrays by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Column = np.ndarray[Any, np.dtype[np.float64]]
"""What was logged under a name, in the order of the steps."""


def joined(parts: Sequence[Mapping[str, Column]]) -> dict[str, Column]:
    """Values of some steps by name, one after the other."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in names}
