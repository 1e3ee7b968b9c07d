"""What other systems lack: no module may need it to be imported, no file depends on the locale."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import ganbench
from ganbench.harness import machine

UNIX = """
import builtins, importlib, os, pkgutil, signal, sys
import gymnasium, matplotlib.figure, multiprocessing.forkserver, multiprocessing.resource_sharer
import numpy, ot, PIL.Image, plotly, pydantic, rich.progress, scipy.stats, torch
real = builtins.__import__
def no_unix(name, *rest, **more):
    if name in ("resource", "fcntl", "pwd", "grp", "termios"):
        importer = sys._getframe(1).f_globals.get("__name__", "")
        if importer.startswith("ganbench"):
            raise ImportError(name)
    return real(name, *rest, **more)
builtins.__import__ = no_unix
for name in ("SIGKILL", "SIGHUP", "SIGALRM"):
    delattr(signal, name)
for name in ("sysconf", "fork", "setpgid", "killpg", "getuid", "geteuid", "pidfd_open", "uname"):
    if hasattr(os, name):
        delattr(os, name)
import ganbench
for found in pkgutil.walk_packages(ganbench.__path__, "ganbench."):
    if not found.name.startswith(("ganbench.tasks", "ganbench.baselines", "ganbench.__main__")):
        importlib.import_module(found.name)
print("all imported")
"""


@pytest.mark.slow
def test_every_module_can_be_imported_without_what_is_of_unix() -> None:
    done = subprocess.run([sys.executable, "-c", UNIX], capture_output=True, text=True, check=False)
    assert done.stdout == "all imported\n", done.stderr


@pytest.mark.slow
def test_no_file_is_read_by_the_locale(tmp_path: Path) -> None:
    arguments = ["-X", "warn_default_encoding"]
    command = ["run", "mlp_gan", "--task", "gaussian", "--budget", "smoke", "--quiet"]
    done = subprocess.run(
        [sys.executable, *arguments, "-m", "ganbench", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.splitlines() if "EncodingWarning" in line]
    assert warned  # of other packages, so that ours would be
    package = str(Path(ganbench.__file__).parent)
    assert not [line for line in warned if line.startswith(package)]


def test_memory_where_the_system_says_it_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows by psutil: stood in for here, where it need not be installed."""
    memory = SimpleNamespace(total=8 * 2**30)
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=2**20))
    stand_in = SimpleNamespace(virtual_memory=lambda: memory, Process=lambda: process)
    monkeypatch.setitem(sys.modules, "psutil", stand_in)
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr("platform.system", lambda: "Windows")
    assert machine.memory_bytes() == 8 * 2**30
    assert machine.peak_memory_bytes("cpu") == 2**20
