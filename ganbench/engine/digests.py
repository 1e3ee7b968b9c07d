"""Digests of what holds state: of arrays and random generators their numbers, of code its doing."""

from __future__ import annotations

import random
import types
import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor


def held_numbers(value: Any) -> str | None:
    """What arrays and random generators hold."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)} {checksum(value)}"
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            return f"{value.dtype} {value.shape}"
        return f"{value.dtype} {value.shape} {zlib.crc32(np.ascontiguousarray(value).tobytes())}"
    if isinstance(value, torch.Generator):
        return str(checksum(value.get_state()))
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state(legacy=False))
    if isinstance(value, random.SystemRandom):
        return ""  # it has no state
    if isinstance(value, random.Random):
        return str(hash(value.getstate()))
    if isinstance(value, types.GeneratorType):
        return f"at {value.gi_frame.f_lasti if value.gi_frame else None}"
    return None


def checksum(tensor: Tensor) -> int:
    """Of its bytes."""
    flat = tensor.detach().contiguous().cpu().flatten().view(torch.uint8)
    return zlib.crc32(bytes(flat.numpy()))


def of_code(code: types.CodeType) -> int:
    """A checksum of what code does, as two functions may stand in one line."""
    inner = [of_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return zlib.crc32(repr((code.co_code, code.co_names, inner)).encode())
