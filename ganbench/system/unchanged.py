"""Having a stranger's file change nothing of this process that the rest of a command stands on."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def unchanged() -> Iterator[None]:
    """Put back afterwards: folder, streams, signals, warnings, torch's defaults, and the like."""
    folder, streams = Path.cwd(), (sys.stdout, sys.stderr)
    filters, path = warnings.filters[:], sys.path[:]
    mask, limit = os.umask(0o022), sys.getrecursionlimit()
    os.umask(mask)
    handlers = [signal.getsignal(each) for each in SIGNALS]
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
    try:
        yield
    finally:
        os.chdir(folder)
        sys.stdout, sys.stderr = streams
        warnings.filters[:] = filters  # type: ignore[index]
        sys.path[:] = path
        os.umask(mask)
        sys.setrecursionlimit(limit)
        if [signal.getsignal(each) for each in SIGNALS] != handlers:  # else in any thread
            for each, handler in zip(SIGNALS, handlers, strict=True):
                signal.signal(each, handler)
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:  # setting one costs each later call
            torch.set_default_device(None if device.type == "cpu" else device)
        torch.set_num_threads(threads)
        torch.set_grad_enabled(gradients)
