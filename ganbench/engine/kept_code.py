"""Compiled loops that are kept: made once, and loaded again in milliseconds.

Loading one needs nothing of torch's compiler, whose import alone takes seconds. A file is named by
what its code follows from and by its own hash: any other content is not loaded, and made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from ganbench.engine.hoist import hoisting
from ganbench.system import cpu, files

MOST_FILES = 256  # kept, of which those that have not been used for longest go
MOST_BYTES = 2**28  # of one
WRITERS = ("kept_code.py", "loop.py", "hoist.py")  # what the code of a loop is made by

Loaded = Callable[[list[Tensor]], Any]
"""Compiled code: a function of tensors like its examples, which it changes in place."""


def compiled(
    step: fx.GraphModule, examples: Sequence[Tensor], loop: Callable[[], fx.GraphModule]
) -> Loaded:
    """The code of the `loop` of a traced `step`, of tensors like the `examples`; for the CPU.

    `loop` is called if no such code is kept. What a step calls beside torch's operations cannot be
    named, and its code is not kept.
    """
    name = _name(step, examples)
    if name is None:
        with tempfile.TemporaryDirectory() as temporary:
            return _load(_made(loop(), examples, Path(temporary)))
    folder = files.cache_folder() / "code"
    with ExitStack() as held:
        with suppress(OSError):  # of a folder that a confined process cannot write
            held.enter_context(files.locked(folder / name))  # as other workers make the same
        return _kept(folder, name) or _keep(folder, name, loop(), examples)


def _kept(folder: Path, name: str) -> Loaded | None:
    """The code of this name, if the folder has it; what is damaged or another's is removed."""
    for path in folder.glob(f"{name}-*.so"):
        try:
            own = not hasattr(os, "getuid") or path.lstat().st_uid == os.getuid()
            content = files.read_bytes(path, most=MOST_BYTES) if own else b""
            if path == folder / f"{name}-{hashlib.sha256(content).hexdigest()}.so":
                with suppress(OSError):  # where nothing can be written
                    os.utime(path)
                return _load(path)
        except (OSError, ValueError, RuntimeError):  # not to be read, no code, no shared library
            pass
        with suppress(OSError):
            path.unlink()
    return None


def _keep(folder: Path, name: str, loop: fx.GraphModule, examples: Sequence[Tensor]) -> Loaded:
    """Compile a loop, and keep its code where the folder can be written."""
    with tempfile.TemporaryDirectory() as temporary:
        made = _made(loop, examples, Path(temporary))
        content = made.read_bytes()
        path = folder / f"{name}-{hashlib.sha256(content).hexdigest()}.so"
        try:
            files.write_atomically(path, content)
        except OSError:  # as in a confined process
            return _load(made)
    _forget(folder)
    return _load(path)


def _forget(folder: Path) -> None:
    """Remove what has not been used for longest, beyond MOST_FILES."""
    with suppress(OSError):  # another process does so too
        for path in sorted(folder.glob("*.so"), key=_last_used)[:-MOST_FILES]:
            path.unlink(missing_ok=True)


def _last_used(path: Path) -> float:
    return path.stat().st_mtime


def _load(path: Path) -> Loaded:
    runner = torch._C._aoti.AOTIModelContainerRunnerCpu(str(path), 1)
    run: Loaded = runner.run
    return run


def _made(loop: fx.GraphModule, examples: Sequence[Tensor], folder: Path) -> Path:
    """Compile a loop into a shared library in the folder."""
    from torch._inductor import aot_compile  # slow to import

    options = {
        "aot_inductor.output_path": str(folder / "loop.so"),
        "aot_inductor.enable_line_tables": False,
        "assert_indirect_indexing": False,  # checks of the loop's index in every element
    }
    with hoisting(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's, of itself
        return Path(str(aot_compile(loop, tuple(examples), options=options)))


def _name(step: fx.GraphModule, examples: Sequence[Tensor]) -> str | None:
    """What the code of a step follows from, as a hash; None for what no text says."""
    texts = []
    for module in step.modules():
        if not isinstance(module, fx.GraphModule) or any(
            not isinstance(getattr(module, str(node.target), None), fx.GraphModule)
            for node in module.graph.find_nodes(op="get_attr")
        ):
            return None
        texts.append(module.graph.python_code("self").src)
    here = Path(__file__).parent
    says = {
        "step": texts,
        "examples": [[*each.shape, *each.stride(), str(each.dtype)] for each in examples],
        "torch": [torch.__version__, torch.version.git_version],
        "threads": torch.get_num_threads(),
        "cpu": [platform.machine(), torch.backends.cpu.get_cpu_capability(), _cpu_features()],
        "compiler": [shutil.which(os.environ.get("CXX", "c++")), os.environ.get("CXXFLAGS", "")],
        "writers": [files.file_sha256(here / name) for name in WRITERS],
    }
    return hashlib.sha256(json.dumps(says).encode()).hexdigest()[:32]


def _cpu_features() -> str:
    """The instruction sets of this CPU, or its name where Linux does not list them."""
    said = cpu.described()
    return said.get("flags") or said.get("Features") or platform.processor()
