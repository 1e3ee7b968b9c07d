"""Operations of torch as `torch.func.vmap` takes them for all seeds at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ganbench.engine.noise import Handler, SuppliedNoise


def _linear(supply: SuppliedNoise, *args: Any, **kwargs: Any) -> Tensor:
    """Dense layers of a batch as one operation of all seeds, not a product, a view and a sum."""
    if len(args) == 3 and args[0].ndim == 2 and args[2] is not None:
        dense: Tensor = _Dense.apply(*args)  # type: ignore[no-untyped-call]
        return dense
    return functional.linear(*args, **kwargs)


def _normalize(
    supply: SuppliedNoise, *args: Any, out: Tensor | None = None, **kwargs: Any
) -> Tensor:
    """Norms as vmap can take them: spectral normalisation writes its own to a buffer."""
    normal = functional.normalize(*args, **kwargs)
    return normal if out is None else out.copy_(normal)


def _convolution(convolve: Callable[..., Tensor]) -> Handler:
    def lowered(
        supply: SuppliedNoise, input: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any
    ) -> Tensor:
        kind = input.device.type
        if torch.is_autocast_enabled(kind):  # which vmap keeps from convolutions
            low = torch.get_autocast_dtype(kind)
            input, weight = input.to(low), weight.to(low)
            bias = None if bias is None else bias.to(low)
        return convolve(input, weight, bias, *rest)

    return lowered


HANDLERS: dict[Any, Handler] = {
    functional.linear: _linear,
    functional.normalize: _normalize,
    **{
        each: _convolution(each)
        for each in (
            functional.conv1d,
            functional.conv2d,
            functional.conv3d,
            functional.conv_transpose1d,
            functional.conv_transpose2d,
            functional.conv_transpose3d,
        )
    },
}


class _Dense(torch.autograd.Function):
    """x (n, k), weight (m, k), bias (m,) to (n, m)."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, weight = (each.to(grad.dtype) for each in ctx.saved_tensors)
        return grad @ weight, grad.T @ x, grad.sum(0)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, weight: Tensor, bias: Tensor
    ) -> tuple[Tensor, int]:
        x, weight, bias = (
            each.expand(info.batch_size, *each.shape) if dim is None else each.movedim(dim, 0)
            for each, dim in zip((x, weight, bias), in_dims, strict=True)
        )
        if weight.shape[1] == 1:  # as a product, its bits would depend on how many seeds there are
            return (x * weight).sum(2, keepdim=True) + bias.unsqueeze(1), 0
        return _StackedDense.apply(x, weight, bias), 0  # type: ignore[no-untyped-call]


class _StackedDense(torch.autograd.Function):
    """x (s, n, k), weight (s, m, k), bias (s, m) of all seeds to (s, n, m)."""

    generate_vmap_rule = True  # for losses that map over samples themselves

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = (each.to(grad.dtype) for each in ctx.saved_tensors)
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            torch.bmm(grad, weight) if of_x else None,
            # Laid out as the weight, which autograd's own transposed gradient is not.
            torch.bmm(grad.transpose(1, 2), x) if of_weight else None,
            grad.sum(1) if of_bias else None,
        )
