"""What crosses between the process that trains and the judge's: JSON, and the bytes of samples.

Nothing is unpickled, so that what comes from a process that runs somebody's GAN is data and no
more.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganbench.errors import InputError, first_line
from ganbench.system.modules import describe

ERROR = ("type", "text", "traceback")  # what is said of one
MOST = 2**26  # bytes of a message beside samples
MOST_SAMPLES = 2**31


class GarbledError(Exception):
    """A message that is none."""


class Ends(NamedTuple):
    """One side's ends of two pipes: sockets, which go both ways, a confined process has none of."""

    source: Connection
    to: Connection

    def close(self) -> None:
        """Close both."""
        self.source.close()
        self.to.close()


def between() -> tuple[Ends, Ends]:
    """The ends of two sides that are to talk to each other."""
    one_hears, other_says = multiprocessing.Pipe(duplex=False)
    other_hears, one_says = multiprocessing.Pipe(duplex=False)
    return Ends(one_hears, one_says), Ends(other_hears, other_says)


def send(to: Connection, kind: str, body: Mapping[str, Any], samples: Tensor | None = None) -> None:
    """Send a message: its kind, plain values by name, and samples, if any."""
    shape = None if samples is None else list(samples.shape)
    to.send_bytes(json.dumps([kind, body, shape]).encode())
    if samples is not None:
        to.send_bytes(samples.detach().float().cpu().contiguous().numpy().tobytes())


def receive(source: Connection) -> tuple[str, dict[str, Any], Tensor | None]:
    """The next message; EOFError when the other side has ended, GarbledError for anything else."""
    try:
        kind, body, shape = json.loads(source.recv_bytes(MOST))
        if not isinstance(kind, str) or not isinstance(body, dict):
            raise TypeError("a message has a kind and a body")
        return kind, body, None if shape is None else _samples(source, shape)
    except EOFError:
        raise
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise GarbledError(f"{type(error).__name__}: {error}") from error


def _samples(source: Connection, shape: list[int]) -> Tensor:
    if any(not isinstance(each, int) or each < 0 for each in shape):
        raise TypeError("a shape has whole numbers")
    wanted = 4 * math.prod(shape)
    content = source.recv_bytes(min(wanted, MOST_SAMPLES))
    array = np.frombuffer(bytearray(content), np.float32).reshape(shape)
    return torch.from_numpy(array)


def described(error: BaseException) -> tuple[str, str, str]:
    """An error's kind, line and traceback, which do not come along otherwise."""
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, InputError):
        return type(error).__name__, str(error), trace
    if isinstance(error, OSError):  # of a disk that is full, as the command itself says it
        place = f"{error.filename}: " if error.filename else ""
        return InputError.__name__, f"{place}{error.strerror or first_line(error)}", trace
    return type(error).__name__, describe(error), trace


def input_errors() -> dict[str, type[Exception]]:
    """The kinds of errors that are a user's to mend, by name."""
    found: list[type[Exception]] = [InputError]
    for kind in found:  # which grows meanwhile
        found += kind.__subclasses__()
    return {kind.__name__: kind for kind in found}
