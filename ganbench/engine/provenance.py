"""What a discriminator is asked about: which rows of a batch are of real samples, which of fakes.

A batch is of those that it was computed from, `real + noise` of real ones; joined ones keep their
rows apart, and what mixes both, as an interpolate does, is of neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

Origin = Literal["real", "fake", "both"]
Rows = list[tuple[int, Origin]]  # how many, from the first, and where they come from

JOINS = (torch.cat, torch.concat, torch.concatenate, torch.vstack, torch.row_stack)


class Provenance(TorchFunctionMode):
    """Follows two batches through torch's functions inside."""

    def __init__(self, real: Tensor, fake: Tensor) -> None:
        self._known: dict[int, tuple[Tensor, Rows]] = {}
        self._note(real, [(len(real), "real")])
        self._note(fake, [(len(fake), "fake")])

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.ndim:
            given = [self(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
            rows = [row for each in given for row in each]
            if rows:
                self._note(result, self._of(func, result, rows))
        return result

    def __call__(self, batch: Tensor) -> Rows:
        """The rows of a batch that come from one of the two; none where that is not known."""
        _, rows = self._known.get(id(batch), (batch, []))
        return rows

    def _of(self, func: Any, result: Tensor, rows: Rows) -> Rows:
        if func in JOINS:
            whole = sum(count for count, _ in rows) == len(result)
            return rows if whole else [(len(result), "both")]
        origins = {origin for _, origin in rows}
        return [(len(result), origins.pop() if len(origins) == 1 else "both")]

    def _note(self, tensor: Tensor, rows: Rows) -> None:
        self._known[id(tensor)] = (tensor, rows)
