"""What reads bytes that others wrote, what it may raise, and valid files to begin with."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from ganbench.board import migration
from ganbench.data import routes
from ganbench.errors import InputError
from ganbench.harness import log, pictures, stored, sweep_file
from ganbench.results import samples, schema
from ganbench.system import files

BOARD = Path(__file__).parents[2] / "leaderboard"
RESULT = BOARD / "ring8" / "uniform_noise.json"


@dataclass(frozen=True, kw_only=True)
class Parser:
    """A reader of a file of that name; of `Exception` where whoever calls it catches all."""

    name: str
    read: Callable[[Path], Any]
    valid: Callable[[], list[bytes]]
    raises: type[Exception] = InputError


def attempt(parser: Parser, content: bytes) -> str:
    """Read this content; what was raised that may be, or "". One line, in words."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        path = Path(folder) / parser.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        try:
            parser.read(path)
        except parser.raises as error:
            said = str(error)
            if parser.raises is InputError:
                assert (said and len(said.splitlines()) == 1) or parser.read is sweep_file.load, (
                    said
                )
            return said or type(error).__name__
    return ""


def _saved(array: Any, **how: Any) -> bytes:
    content = io.BytesIO()
    (np.savez_compressed if how.pop("packed", False) else np.savez)(content, samples=array)
    return content.getvalue()


def _npy() -> list[bytes]:
    found = []
    for kind in (np.float32, np.float64, np.int8, np.float16):
        content = io.BytesIO()
        np.save(content, np.arange(12).reshape(6, 2).astype(kind))
        found.append(content.getvalue())
    return found


def _npz() -> list[bytes]:
    array = np.arange(12, dtype=np.float32).reshape(6, 2)
    return [_saved(array), _saved(array, packed=True)]


def _tensors() -> list[bytes]:
    made = torch.arange(12).view(6, 2)
    kinds = (torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.int64, torch.bool)
    return [
        *(save({"samples": made.to(kind)}) for kind in kinds),
        save({"seed-0": made.float(), "seed-1": made.float()}),
    ]


@cache
def _results() -> tuple[bytes, ...]:
    document = json.loads(RESULT.read_text())
    document["seeds"] = document["seeds"][:2]
    for seed in document["seeds"]:
        seed["curve"] = seed["curve"][-1:]
    former = {**document, "schema_version": 1}
    return json.dumps(document).encode(), json.dumps(former).encode()


def _checkpoints() -> list[bytes]:
    state = {"a": [1, (2.0, "x")], "b": {"c": torch.arange(3), 1: np.arange(2)}, "d": None}
    tensors: dict[str, torch.Tensor] = {}
    skeleton = stored._pack(state, tensors)
    return [save(tensors, metadata={"skeleton": json.dumps(skeleton)})]


def _idx() -> list[bytes]:
    name = "t10k-labels-idx1-ubyte"
    plain = routes.header(name) + bytes(10_000)
    return [plain, gzip.compress(plain)]


def _pickles() -> list[bytes]:
    part = (np.zeros((2, 784), np.float32), np.zeros(2, np.int64))
    # numpy.core was renamed: pickles of today's name are refused, as they were never published.
    made = pickle.dumps((part, part, part), protocol=3)
    return [made, made.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")]


def _log() -> list[bytes]:
    rows = [{"step": step, "train_seconds": 0.5, "d_loss": 1.0} for step in (1, 2, 3)]
    return ["".join(json.dumps(row) + "\n" for row in rows).encode()]


def _frames(path: Path) -> Any:
    return samples.read_frames(path.parent)


PARSERS = {
    "npy": Parser(name="s.npy", read=samples.read, valid=_npy),
    "npz": Parser(name="s.npz", read=samples.read, valid=_npz),
    "safetensors": Parser(name="s.safetensors", read=samples.read, valid=_tensors),
    "seeds": Parser(name="s.safetensors", read=samples.read_seeds, valid=_tensors),
    "first seed": Parser(name="s.safetensors", read=samples.read_first_seed, valid=_tensors),
    "result": Parser(name="r.json", read=schema.load_result, valid=lambda: list(_results())),
    "former result": Parser(
        name="toy/r.json", read=lambda path: migration._renew(path), valid=lambda: list(_results())
    ),
    "checkpoint": Parser(name="c.safetensors", read=stored.load_state, valid=_checkpoints),
    "log": Parser(name="log.jsonl", read=log.read_log, valid=_log),
    "log that goes on": Parser(
        name="log.jsonl", read=lambda path: log.Log(path, after=2).close(), valid=_log
    ),
    "frames": Parser(name="000000001.npy", read=_frames, valid=_npy),
    "features": Parser(
        name="000000001.npz", read=lambda path: pictures.read_features(path.parent), valid=_npz
    ),
    "sweep": Parser(
        name="s.toml",
        read=sweep_file.load,
        valid=lambda: [(BOARD / "board.toml").read_bytes(), b'tasks=["sine"]\nbaselines=["kde"]'],
    ),
    "marker": Parser(name="run.json", read=files.read_object, valid=lambda: [b'{"task": "sine"}']),
    "idx": Parser(
        name="t10k-labels-idx1-ubyte",
        read=lambda path: routes._read_one(path.parent, path.name),
        valid=_idx,
        raises=ValueError,
    ),
    "pickle": Parser(
        name="mnist.pkl",
        read=lambda path: routes._of_pickle(io.BytesIO(path.read_bytes())),
        valid=_pickles,
        raises=Exception,
    ),
}
