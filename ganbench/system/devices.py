"""Devices: which there are, how to wait for one, where samples are judged.

MPS, of Apple's GPUs, has no float64, which metrics are computed in.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ganbench.errors import InputError

STACKED = ("cpu", "cuda")  # on which many seeds are trained at once


def resolve_device(device: str) -> str:
    """The device that "auto" stands for; InputError for one that is not there.

    "auto" is a CUDA device if there is one, else the CPU: never MPS, on which nothing has been run.
    """
    kind, cuda = device.partition(":")[0], torch.cuda.is_available()
    if kind == "auto":
        return "cuda" if cuda else "cpu"
    if kind not in ("cpu", "cuda", "mps"):
        raise InputError(f"device must be auto, cpu, cuda or mps, got {device!r:.50}")
    if kind == "cuda" and not cuda:
        raise InputError("device 'cuda' asked for, but torch sees no CUDA device: use --device cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError("device 'mps' asked for, but torch sees no Metal GPU: use --device cpu")
    return device


def waiter(device: torch.device) -> Callable[[], None]:
    """What waits until all that was queued on a device is done."""
    known = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}
    return known.get(device.type, lambda: None)


def judging(device: torch.device) -> torch.device:
    """Where the samples of a GAN on a device are judged: there, unless it has no float64."""
    return torch.device("cpu") if device.type == "mps" else device
