"""Files of samples: writing those of a run, reading those from anywhere.

Torch is imported where a tensor is made: the board hashes samples without it.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import math
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np
from safetensors import SafetensorError

from ganbench.errors import InputError, first_line
from ganbench.system import files
from ganbench.system.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, Any]
MOST = 2**31  # bytes of samples, in a file or as it says that they are
# What the readers of damaged and hostile files raise: RuntimeError of encrypted archives.
DAMAGED = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, SafetensorError),
)


def read(path: Path) -> Tensor:
    """The samples of a .npy, .npz or .safetensors file, nothing of which is executed.

    They are float32, or int64 where the file holds integers. InputError for what is none of these,
    is no regular file, or says that it has more than MOST bytes: these are never read.
    """
    readers = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors}
    if path.suffix not in readers:
        raise InputError(f"{path}: expected a .npy, .npz or .safetensors file")
    with _whole(path) as file:
        array = _numbers(path, readers[path.suffix](path, file))
    import torch

    kind = np.int64 if np.can_cast(array.dtype, np.int64) else np.float32
    with np.errstate(over="ignore"):  # Inf, which whoever takes samples refuses
        return torch.from_numpy(np.ascontiguousarray(array, dtype=kind))


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file of arrays to be read; InputError for whatever its reader finds damaged."""
    try:
        with files.opened(path, most=MOST) as file:
            yield file
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"{path} cannot be read: {first_line(error)}") from error


def read_seeds(path: Path) -> dict[int, Tensor]:
    """Samples by seed, of a .safetensors file with tensors `seed-0`, ... of finite float32."""
    import torch

    return {seed: torch.from_numpy(each) for seed, each in _seeds(path)}


def hashes(path: Path) -> dict[int, str]:
    """The hash by seed, as `sha256_of` has it, of the samples that `read_seeds` reads."""
    return {seed: hashlib.sha256(each.tobytes()).hexdigest() for seed, each in _seeds(path)}


def _seeds(path: Path) -> Iterator[tuple[int, Array]]:
    for name, array in _tensors(path).items():
        yield _seed(path, name), _finite(path, name, array)


def read_first_seed(path: Path) -> tuple[int, Tensor]:
    """The lowest seed of such a file, and its samples."""
    import torch

    found = _tensors(path)
    if not found:
        raise InputError(f"{path} holds no samples")
    seed, name = min((_seed(path, name), name) for name in found)
    return seed, torch.from_numpy(_finite(path, name, found[name]))


def _seed(path: Path, name: str) -> int:
    if not re.fullmatch(r"seed-(0|[1-9][0-9]{0,17})", name):
        raise InputError(f"{path} must hold tensors seed-0, seed-1, ..., got {name[:50]!r}")
    return int(name.removeprefix("seed-"))


def _finite(path: Path, name: str, array: Array) -> Array:
    if array.dtype != np.float32 or not np.isfinite(array).all():
        raise InputError(f"{path} must hold finite float32 numbers, and {name} does not")
    return array


def write_seeds(path: Path, samples: Mapping[int, Tensor]) -> None:
    """The file that `read_seeds` reads, written atomically."""
    from safetensors.numpy import save

    arrays = {f"seed-{seed}": np.ascontiguousarray(each) for seed, each in samples.items()}
    write_atomically(path, save(arrays))


def write_npy(path: Path, array: Array) -> None:
    """A .npy file, written atomically."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """An .npz file, written atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, Array]:
    """Every array of an .npz file by its name; InputError as by `read`."""
    with _whole(path) as file, zipfile.ZipFile(file) as archive:
        known = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if (size := sum(info.file_size for info in known.values())) > MOST:
            raise ValueError(f"it says that it has {size:,} bytes, more than {MOST:,}")
        found = {}
        for name, info in known.items():
            with archive.open(info) as inside:
                found[name] = _numbers(path, _array(inside, info.file_size))
        return found


def read_frames(folder: Path) -> list[tuple[int, Array]]:
    """(step, samples) of every .npy file, in order; InputError for what no run has written."""
    return [(step_of(path), _frame(path)) for path in sorted(folder.glob("*.npy"))]


def _frame(path: Path) -> Array:
    with _whole(path) as file:
        return _numbers(path, _npy(path, file))


def step_of(path: Path) -> int:
    """The step that a file of a run is called after; InputError if it is called otherwise."""
    if not re.fullmatch(r"[0-9]{1,18}", path.stem):
        raise InputError(f"{path} must be called after its step, as 000000100{path.suffix}")
    return int(path.stem)


def _numbers(path: Path, array: Array) -> Array:
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path} holds {array.dtype}, expected numbers")
    return array


def sha256_of(samples: Tensor) -> str:
    """Hash of the samples' float32 values in C order."""
    return hashlib.sha256(samples.cpu().contiguous().numpy().tobytes()).hexdigest()


def _npy(path: Path, file: BinaryIO) -> Array:
    return _array(file, os.fstat(file.fileno()).st_size)


def _npz(path: Path, file: BinaryIO) -> Array:
    with zipfile.ZipFile(file) as archive:
        known = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        info = known[_pick(path, list(known))]
        with archive.open(info) as inside:
            return _array(inside, info.file_size)


def _array(file: IO[bytes], size: int) -> Array:
    """An array as numpy writes it, in a file of that size: its header is believed no further."""
    if size > MOST:
        raise ValueError(f"it says that it has {size:,} bytes, more than {MOST:,}")
    shape, fortran, dtype = _header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > size:
        raise ValueError(f"it says that it has {wanted:,} bytes, more than the {size:,} there")
    content = bytearray(file.read(wanted))  # which may be written to
    if len(content) < wanted:
        raise ValueError("it is cut short")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and kind of an array; ValueError for whatever numpy raises at a header."""
    try:
        version = np.lib.format.read_magic(file)
        known = {(1, 0): np.lib.format.read_array_header_1_0}
        with warnings.catch_warnings(action="ignore"):  # of Python's parser, and of old headers
            return known.get(version, np.lib.format.read_array_header_2_0)(file)
    except Exception as error:  # its parser is Python's own, with all the errors of that
        raise ValueError(f"its header cannot be read: {first_line(error)}") from error


def _safetensors(path: Path, file: BinaryIO) -> Array:
    """By torch, which knows more kinds of numbers than numpy."""
    from safetensors.torch import load

    tensors = load(file.read())  # not mapped: who cuts a mapped file short ends this process
    found = tensors[_pick(path, list(tensors))]
    made: Array = (found.float() if found.is_floating_point() else found).numpy()
    return made


def _tensors(path: Path) -> dict[str, Array]:
    from safetensors.numpy import load

    with _whole(path) as file:
        return load(file.read())


def _pick(path: Path, names: list[str]) -> str:
    if "samples" in names:
        return "samples"
    if len(names) == 1:
        return names[0]
    raise InputError(f"{path} must hold an array 'samples' or just one, got {', '.join(names)}")
