"""In which precision networks are trained; they are always scored in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ganbench.errors import InputError
from ganbench.results.schema import Precision


def check_precision(precision: Precision, device: str) -> None:
    """InputError for one that the device does not have."""
    if precision == "tf32" and not device.startswith("cuda"):
        raise InputError(
            f"precision tf32 is a CUDA device's, and the device is {device!r}: use bf16"
        )


def autocast(precision: Precision, device: str) -> torch.autocast:
    """Inside, forward passes of bf16 compute products and convolutions in bfloat16."""
    kind = torch.device(device).type
    enabled = precision == "bf16"
    return torch.autocast(kind, torch.bfloat16, enabled=enabled, cache_enabled=False)


def at_least_float32(value: Tensor) -> Tensor:
    """A loss that may have been computed in bfloat16, in float32."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


@contextmanager
def products(precision: Precision) -> Iterator[None]:
    """Inside, a GPU computes products and convolutions of float32 in TF32, if that is asked for."""
    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed
