"""A nested state in one safetensors file: no pickle, the same bits back."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from ganbench.errors import InputError, ResumeError, one_line
from ganbench.system.files import read_bytes, write_atomically
from ganbench.system.modules import describe

ARRAY_KINDS = "biufc"  # NumPy's kinds of numbers
MOST = 2**36  # bytes of a checkpoint


class UnsaveableError(InputError):
    """An attribute of a GAN that a checkpoint cannot hold."""


def save_state(path: Path, state: Any) -> None:
    """Write nested dicts, lists, tuples, tensors, arrays and scalars to a file, atomically.

    UnsaveableError, with nothing written, for what such a file cannot hold.
    """
    tensors: dict[str, Tensor] = {}
    try:
        skeleton = _pack(state, tensors)
        content = save(tensors, metadata={"skeleton": json.dumps(skeleton)})
    except InputError:
        raise
    except Exception as error:  # as of sparse tensors, or arrays of another byte order
        raise UnsaveableError(f"no checkpoints: {describe(error)}") from error
    write_atomically(path, content)


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote; ResumeError if the file is damaged."""
    try:
        content = read_bytes(path, most=MOST)  # not mapped: a file cut short would end this process
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return _unpack(json.loads(header["__metadata__"]["skeleton"]), tensors)
    except Exception as error:
        reason = one_line(describe(error), 200)
        raise ResumeError(
            f"checkpoint {path} is damaged ({reason}): run without --resume"
        ) from error


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A JSON skeleton of `value`; its tensors go to `tensors` under numbers."""
    if isinstance(value, Tensor) or (
        isinstance(value, np.ndarray) and value.dtype.kind in ARRAY_KINDS
    ):
        name = str(len(tensors))
        tensor = value.detach() if isinstance(value, Tensor) else torch.from_numpy(value.copy())
        tensors[name] = tensor.cpu().contiguous().clone()
        return {"tensor" if isinstance(value, Tensor) else "array": name}
    if isinstance(value, Mapping):
        return {"dict": [[_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple, deque)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_pack(item, tensors) for item in value]}
    if isinstance(value, np.generic):
        return _pack(value.item(), tensors)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UnsaveableError(
        f"no checkpoints: cannot store a {type(value).__name__} of the GAN's state"
    )


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return tensors[content].numpy()
    if kind == "dict":
        return {_unpack(k, tensors): _unpack(v, tensors) for k, v in content}
    items = [_unpack(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items
