"""What metrics compute of the real side alone, kept for a reference that judges many fakes.

Only of a tensor that `keep` was called for, whose owner does not change it: of any other side all
is computed each time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

T = TypeVar("T")

_PARTS: Any = WeakTensorKeyDictionary()  # of a tensor: the version that they are of, and by name


def keep(side: Tensor) -> Tensor:
    """Have parts of a tensor be kept from now on, for as long as it lives; returns it."""
    _PARTS.setdefault(side, (side._version, {}))
    return side


def part(side: Tensor, name: Hashable, make: Callable[[], T]) -> T:
    """What `make` makes of a side; made once of one that is kept and has not been changed.

    A tensor that is made of such a side is kept too.
    """
    version, parts = _PARTS.get(side, (None, {})) if isinstance(side, Tensor) else (None, {})
    if version is None or version != side._version:
        return make()
    if name not in parts:
        made = make()
        parts[name] = keep(made) if isinstance(made, Tensor) else made
    found: T = parts[name]
    return found
