"""What a discriminator says inside of a loss, and how much of it is right, of real and of fake.

A batch is of those that it was computed from, `real + noise` of real ones; joined ones keep their
rows apart, and what mixes both, as an interpolate does, is of neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
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


@contextmanager
def verdicts_of(discriminator: nn.Module | None) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """The batches that it is called on inside, each with its verdict (n,), (n, 1) or (n, 1, ...).

    So that losses need not return accuracies. Of several tensors that it returns, the verdict is
    the one of such a shape; the parts of an image may have one each. Several numbers a sample, as
    of classes, are none.
    """
    said: list[tuple[Tensor, Tensor]] = []

    def hear(module: nn.Module, batches: tuple[Any, ...], output: Any) -> None:
        if module is discriminator and batches:  # not a copy of it, which has this hook too
            said.extend((batches[0], verdict) for verdict in _verdicts(output, len(batches[0])))

    if discriminator is None:
        yield said
        return
    hook = discriminator.register_forward_hook(hear)
    try:
        yield said
    finally:
        hook.remove()


def _verdicts(output: Any, n: int) -> list[Tensor]:
    """The verdict on n samples, if it can be told."""
    if isinstance(output, Tensor):
        several: Any = [output]
    else:
        several = output.values() if isinstance(output, Mapping) else output
    found = [x for x in several if isinstance(x, Tensor) and x.shape[:2] in ((n,), (n, 1))]
    return found if len(found) == 1 else []


def shares_right(
    verdicts: Sequence[tuple[Tensor, Tensor]],
    decision: float | None,
    who: str,
    real: Tensor,
    fake: Tensor,
    origins: Callable[[Tensor], Rows] = lambda batch: [],
) -> list[Tensor]:
    """Shares of verdicts that D wants, real for `real`, or that G wants, real for `fake`.

    Where neither of the two has been judged itself, of batches that are made of them, by `origins`.
    """
    if decision is None:
        return []
    known: list[tuple[Tensor, Rows]] = [
        (verdict, [(len(verdict), "real" if batch is real else "fake")])
        for batch, verdict in verdicts
        if batch is real or batch is fake
    ]
    known = known or [(verdict, origins(batch)) for batch, verdict in verdicts]
    wanted = "real" if who == "D" else "fake"
    shares = []
    for verdict, rows in known:
        counts = [count for count, _ in rows]
        if sum(counts) != len(verdict):  # nothing that can be told apart
            continue
        for part, (_, origin) in zip(verdict.detach().split(counts), rows, strict=True):
            if origin == wanted or (origin == "fake" and who == "D"):
                shares.append(((part > decision) == (origin == wanted)).float().mean())
    return shares
