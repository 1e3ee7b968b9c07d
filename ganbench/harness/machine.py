"""What a run ran on and what was run, without names or paths of anybody's machine."""

from __future__ import annotations

import functools
import importlib
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganbench.results.schema import Machine
from ganbench.system import cpu
from ganbench.system.processes import cores


@functools.cache
def describe(device: str) -> Machine:
    """The machine as it stands with a seed; the accelerator only if it was used."""
    cuda, name = device.startswith("cuda"), None
    if cuda:
        name = torch.cuda.get_device_name()
    elif device.startswith("mps"):
        name = f"GPU of {_cpu_name()} (MPS)"
    return Machine(
        cpu=_cpu_name(),
        cores=cores(),
        memory_bytes=memory_bytes(),
        accelerator=name,
        driver=_cuda_driver() if cuda else None,
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
    )


def peak_memory_bytes(device: str) -> int:
    """The most memory held so far: of the device, or of this process."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated())
    if platform.system() == "Windows":
        return int(_psutil().Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def repository_path(path: Path) -> tuple[str, str | None, bool | None]:
    """A file's path inside its git repository, the commit, and whether anything is uncommitted.

    Outside of a repository: the bare file name, None, None.
    """
    top = _git(path.parent, "rev-parse", "--show-toplevel")
    if top is None:
        return path.name, None, None
    commit = _git(path.parent, "rev-parse", "HEAD")
    status = _git(path.parent, "status", "--porcelain", "--untracked-files=no")
    inside = path.resolve().relative_to(Path(top).resolve()).as_posix()
    return inside, commit, None if status is None else bool(status)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_name() -> str:
    return cpu.described().get("model name") or platform.processor() or platform.machine()


def memory_bytes() -> int:
    """The memory of this machine."""
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(_psutil().virtual_memory().total)


def _psutil() -> Any:
    """What knows of memory on Windows, where alone it is installed with ganbench."""
    return importlib.import_module("psutil")


def _cuda_driver() -> str | None:
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else None
