"""Files of samples: writing those of a run, reading those from anywhere.

Torch is imported where a tensor is made: the board hashes samples without it.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganbench.errors import InputError
from ganbench.system.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor


def read(path: Path) -> Tensor:
    """The samples of a .npy, .npz or .safetensors file, nothing of which is executed.

    They are float32, or int64 where the file holds integers.
    """
    readers = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors}
    if path.suffix not in readers:
        raise InputError(f"{path}: expected a .npy, .npz or .safetensors file")
    try:
        array = readers[path.suffix](path)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"no file {str(path)!r}") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path} holds {array.dtype}, expected numbers")
    import torch

    kind = np.int64 if np.can_cast(array.dtype, np.int64) else np.float32
    return torch.from_numpy(np.ascontiguousarray(array, dtype=kind))


def read_seeds(path: Path) -> dict[int, Tensor]:
    """Samples by seed, of a .safetensors file with tensors `seed-0`, ... of finite float32."""
    import torch

    return {seed: torch.from_numpy(each) for seed, each in _seeds(path)}


def hashes(path: Path) -> dict[int, str]:
    """The hash by seed, as `sha256_of` has it, of the samples that `read_seeds` reads."""
    return {seed: hashlib.sha256(each.tobytes()).hexdigest() for seed, each in _seeds(path)}


def _seeds(path: Path) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    for name, array in _tensors(path).items():
        yield _seed(path, name), _finite(path, name, array)


def read_first_seed(path: Path) -> tuple[int, Tensor]:
    """The lowest seed of such a file, and its samples; the others are not read."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            seed, name = min((_seed(path, name), name) for name in file.keys())  # noqa: SIM118
            return seed, torch.from_numpy(_finite(path, name, file.get_tensor(name)))
    except InputError:
        raise
    except (SafetensorError, ValueError) as error:  # or a file without any
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def _seed(path: Path, name: str) -> int:
    if not re.fullmatch(r"seed-(0|[1-9][0-9]{0,17})", name):
        raise InputError(f"{path} must hold tensors seed-0, seed-1, ..., got {name[:50]!r}")
    return int(name.removeprefix("seed-"))


def _finite(path: Path, name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype != np.float32 or not np.isfinite(array).all():
        raise InputError(f"{path} must hold finite float32 numbers, and {name} does not")
    return array


def write_seeds(path: Path, samples: Mapping[int, Tensor]) -> None:
    """The file that `read_seeds` reads, written atomically."""
    from safetensors.numpy import save

    arrays = {f"seed-{seed}": np.ascontiguousarray(each) for seed, each in samples.items()}
    write_atomically(path, save(arrays))


def write_npy(path: Path, array: np.ndarray[Any, Any]) -> None:
    """A .npy file, written atomically."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """An .npz file, written atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def read_frames(folder: Path) -> list[tuple[int, np.ndarray[Any, Any]]]:
    """(step, samples) of every .npy file, in order."""
    paths = sorted(folder.glob("*.npy"))
    return [(int(path.stem), np.load(path, allow_pickle=False)) for path in paths]


def sha256_of(samples: Tensor) -> str:
    """Hash of the samples' float32 values in C order."""
    return hashlib.sha256(samples.cpu().contiguous().numpy().tobytes()).hexdigest()


def _npy(path: Path) -> np.ndarray[Any, Any]:
    with path.open("rb") as file:
        return np.asarray(np.load(file, allow_pickle=False))


def _npz(path: Path) -> np.ndarray[Any, Any]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return np.asarray(archive[_pick(path, list(archive.files))])


def _safetensors(path: Path) -> np.ndarray[Any, Any]:
    tensors = _tensors(path)
    return tensors[_pick(path, list(tensors))]


def _tensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def _pick(path: Path, names: list[str]) -> str:
    if "samples" in names:
        return "samples"
    if len(names) == 1:
        return names[0]
    raise InputError(f"{path} must hold an array 'samples' or just one, got {', '.join(names)}")
