"""Devices: which there are, how to wait for one, where samples are judged.

MPS, of Apple's GPUs, has no float64, which metrics are computed in.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from ganbench.errors import InputError

STACKED = ("cpu", "cuda")  # on which many seeds are trained at once


def resolve_device(device: str) -> str:
    """The device that "auto" stands for; InputError for one that is not there.

    "auto" is a CUDA device if there is one, else the CPU: never MPS, on which nothing has been run.
    """
    cuda = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if cuda else "cpu"
    if device not in ("cpu", "cuda", "mps"):
        which = ": say by CUDA_VISIBLE_DEVICES which GPU" if device.startswith("cuda:") else ""
        raise InputError(f"device must be auto, cpu, cuda or mps, got {device!r:.50}{which}")
    if device == "cuda" and not cuda:
        raise InputError("device 'cuda' asked for, but torch sees no CUDA device: use --device cpu")
    if device == "mps" and not torch.backends.mps.is_available():
        raise InputError("device 'mps' asked for, but torch sees no Metal GPU: use --device cpu")
    return device


def waiter(device: torch.device) -> Callable[[], None]:
    """What waits until all that was queued on a device is done."""
    if device.type == "cuda":
        return partial(torch.cuda.synchronize, device)
    return torch.mps.synchronize if device.type == "mps" else lambda: None


def judging(device: torch.device) -> torch.device:
    """Where the samples of a GAN on a device are judged: there, unless it has no float64."""
    return torch.device("cpu") if device.type == "mps" else device
