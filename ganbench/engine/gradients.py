"""`torch.autograd.grad` and `requires_grad_` in losses that `torch.func.vmap` maps over seeds.

vmap refuses both. But seeds do not touch one another, so the gradient of the sum over all seeds is
each seed's own: the batched tensors are unwrapped, differentiated as one stack, and wrapped again.
A tensor that is to require a gradient gets it by adding a zero that does, made outside of vmap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import (
    _add_batch_dim,
    get_unwrapped,
    is_batchedtensor,
    maybe_get_bdim,
    maybe_get_level,
)
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from ganbench.errors import InputError

ASKS_GRAD = Tensor.requires_grad.__get__  # type: ignore[attr-defined]
REQUIRES_GRAD = (Tensor.requires_grad_, Tensor.requires_grad.__set__)  # type: ignore[attr-defined]


class StackedGradients(TorchFunctionMode):
    """Inside, losses differentiate tensors of `seeds` seeds as they would one seed's alone.

    `zero` requires a gradient, and is made outside of vmap.
    """

    def __init__(self, seeds: int, zero: Tensor) -> None:
        self._seeds, self._zero = seeds, zero
        self._leaves: dict[int, tuple[Tensor, Tensor]] = {}  # what a tensor has become, by its id

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        args, kwargs = tree_map_only(Tensor, self._now, (tuple(args), dict(kwargs or {})))
        if len(torch._C._functorch.get_interpreter_stack() or []) != 1:
            return func(*args, **kwargs)  # inside of torch.func.grad, which does it by itself
        if func == ASKS_GRAD:  # of the tensor below, as vmap's own says no
            return _unwrapped(args[0], _level())[0].requires_grad
        if func in REQUIRES_GRAD:
            return self._require(func, *args, **kwargs)
        if func is torch.autograd.grad:
            return self._grad(*args, **kwargs)
        if kwargs.get("requires_grad"):  # of torch.zeros and its like
            return self._require(func, func(*args, **{**kwargs, "requires_grad": False}))
        return func(*args, **kwargs)

    def _now(self, tensor: Tensor) -> Tensor:
        """The tensor as it is since it was told in place to require a gradient."""
        return self._leaves.get(id(tensor), (tensor, tensor))[1]

    def _require(self, func: Any, tensor: Tensor, requires_grad: bool = True) -> Tensor:
        level = _level()
        raw, dim = _unwrapped(tensor, level)
        if not requires_grad:
            raise InputError("requires_grad is taken back in a loss")
        if raw.requires_grad:
            return tensor
        if dim is None:  # the seeds differ in what follows from it
            raw, dim = raw.unsqueeze(0).expand(self._seeds, *raw.shape), 0
        leaf: Tensor = _add_batch_dim(raw + self._zero.to(raw.dtype), dim, level)
        self._leaves[id(tensor)] = self._leaves[id(leaf)] = (tensor, leaf)
        return leaf

    def _grad(
        self,
        outputs: Any,
        inputs: Any,
        grad_outputs: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        only_inputs: bool = True,
        allow_unused: bool | None = None,
        is_grads_batched: bool = False,
        materialize_grads: bool = False,
    ) -> tuple[Tensor | None, ...]:
        if is_grads_batched:
            raise InputError("torch.autograd.grad with is_grads_batched")
        level = _level()
        of, by = _listed(outputs), [_unwrapped(each, level) for each in _listed(inputs)]
        weights = [None] * len(of) if grad_outputs is None else _listed(grad_outputs)
        if any(dim is None for _, dim in by):
            raise InputError("torch.autograd.grad by a tensor that is the same for all seeds")
        found = torch.autograd.grad(
            [self._stacked(each, level) for each in of],
            [raw for raw, _ in by],
            [self._weight(a, b, level) for a, b in zip(weights, of, strict=True)],
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=allow_unused,
            materialize_grads=materialize_grads,
        )
        return tuple(
            None if each is None or dim is None else _add_batch_dim(each, dim, level)
            for each, (_, dim) in zip(found, by, strict=True)
        )

    def _weight(self, weight: Tensor | None, output: Tensor, level: int) -> Tensor:
        """The weight of an output of each seed; ones where none is given, for a scalar."""
        if weight is None:
            if output.numel() != 1:
                raise InputError("grad can be implicitly created only for scalar outputs")
            weight = torch.ones_like(output)
        return self._stacked(weight, level)

    def _stacked(self, tensor: Tensor, level: int) -> Tensor:
        """A tensor of each seed as one (seeds, ...)."""
        raw, dim = _unwrapped(tensor, level)
        return raw.expand(self._seeds, *raw.shape) if dim is None else raw.movedim(dim, 0)


def _listed(tensors: Any) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _level() -> int:
    """The level of vmap, the only transform."""
    (vmap,) = torch._C._functorch.get_interpreter_stack() or []
    return int(vmap.level())


def _unwrapped(tensor: Tensor, level: int) -> tuple[Tensor, int | None]:
    """What vmap has wrapped, and the dimension of the seeds; None if the seeds share it."""
    if not is_batchedtensor(tensor):
        return tensor, None
    assert maybe_get_level(tensor) == level
    return get_unwrapped(tensor), maybe_get_bdim(tensor)
