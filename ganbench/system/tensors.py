"""Tensors of others as plain numbers, whatever class or kind they are of."""

from __future__ import annotations

import torch
from torch import Tensor


def plain(given: Tensor) -> Tensor:
    """A tensor's values as float32 in a memory of its own, without gradient, on its device.

    TypeError, which says what it is, for one whose values are no real numbers in memory.
    """
    with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
        if kind := _unlike_numbers(given):
            raise TypeError(kind)
        own = Tensor.as_subclass(given, Tensor)  # of which nothing is overridden
        return torch.empty(own.shape, dtype=torch.float32, device=own.device).copy_(own)


def _unlike_numbers(given: Tensor) -> str | None:
    if given.is_nested:
        return "a nested one"
    if given.layout is not torch.strided:
        return f"layout {given.layout}"
    if given.is_meta:
        return "one without data, on device meta"
    return f"{given.dtype}" if given.is_complex() or given.is_quantized else None
