"""Where columns (n, 1) meet rows (n,) and become (n, n), as targets of the wrong shape do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from ganbench.check.subject import Said, Subject, fails, ok
from ganbench.engine.trainer import Trainer
from ganbench.system.modules import authors_frame, place


class Meetings(TorchFunctionMode):
    """Notes the functions of torch that make (n, n) of (n, 1) and (n,), and where they are called.

    Losses, which return their mean, by what they are given.
    """

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], int] = {}

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {tuple(each.shape) for each in tree_leaves((args, kwargs)) if _is_tensor(each)}
        for n in (shape[0] for shape in given if len(shape) == 1 and shape[0] > 1):
            made = {tuple(each.shape) for each in tree_leaves(result) if _is_tensor(each)}
            name = getattr(func, "__name__", "a function")
            if (n, 1) in given and ((n, n) in made - given or name.endswith("_loss")):
                self.found.setdefault((name.strip("_"), _where()), n)
        return result


def broadcasts(subject: Subject) -> Iterator[Said]:
    """That no step compares each with each by mistake."""
    size = subject.batch_size
    found = _met(subject, size)
    if found:  # unless they are as long by accident, or whatever the batch is, as those of a layer
        try:
            twice = _met(subject, 2 * size)
        except Exception:
            twice = {key: 2 * n for key, n in found.items()}
        found = {key: n for key, n in found.items() if twice.get(key, n) != n}
    for (name, where), n in found.items():
        yield fails(
            f"{name} in {where} makes ({n}, {n}) of ({n}, 1) and ({n},): give both one shape, "
            "e.g. by squeeze(1) (by y[None] if each is to meet each)"
        )
    if not found:
        yield ok("no (n, 1) meets an (n,) in a step")


def _met(subject: Subject, size: int) -> dict[tuple[str, str], int]:
    """Where they meet in steps that update all networks."""
    gan = subject.build()
    steps = gan.game.d_updates if isinstance(gan, Trainer) else 1
    meetings = Meetings()
    with meetings:
        for real in subject.batches(steps, size):
            gan.train_step(real.clone())
    return meetings.found


def _is_tensor(thing: object) -> bool:
    return isinstance(thing, Tensor)


def _where() -> str:
    """The innermost place in an author's code now."""
    frame = sys._getframe(1)
    while frame is not None:
        if authors_frame(frame):
            return place(frame.f_code, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return "a step"
