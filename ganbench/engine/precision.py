"""In which precision networks are trained; they are always scored in float32."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ganbench.errors import InputError
from ganbench.results.schema import Precision
from ganbench.system import cpu

ZEN_5 = 26  # AMD's family of CPUs from which registers of 512 bits are whole ones
MANY = 2**20  # multiplications of a product that oneDNN makes up for its longer call in


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


@contextmanager
def fast_products(count: int) -> Iterator[None]:
    """Inside, torch has oneDNN compute products of float32, if MKL is slow and the products large.

    `count` is that of the multiplications in the largest of them, for one seed. No code but torch's
    may run there, as torch cannot say meanwhile how exact its products are.
    """
    if count < MANY or not _mkl_is_slow():
        yield
        return
    with _by_onednn():
        yield


@functools.cache
def _mkl_is_slow() -> bool:
    """Whether MKL uses half of a CPU, and oneDNN all of it, to float32's precision.

    MKL leaves half of each register of 512 bits unused unless the CPU is Intel's.
    """
    said = cpu.described()
    family, flags = said.get("cpu family", ""), said.get("flags", "").split()
    if said.get("vendor_id") != "AuthenticAMD" or not (family.isdigit() and int(family) >= ZEN_5):
        return False
    known = torch.backends.mkldnn.is_available() and hasattr(torch.backends.mkldnn, "matmul")
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    if not known or not wide or any(each.startswith("amx") for each in flags):
        return False
    ones = torch.ones(64, 64)
    fine = ones + torch.arange(64) * torch.finfo(torch.float32).eps
    with _by_onednn():
        return torch.equal(fine @ torch.eye(64), fine)


@contextmanager
def _by_onednn() -> Iterator[None]:
    """Inside, products are oneDNN's, to which torch leaves them if bfloat16 would do.

    It would not: oneDNN computes in bfloat16 what is given in float32 with AMX's instructions only.
    """
    mkldnn: Any = torch.backends.mkldnn
    settings = mkldnn.matmul
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before
