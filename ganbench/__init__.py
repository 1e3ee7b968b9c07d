"""ganbench: environments and honest benchmarks for generative adversarial networks."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Bound": "core",
    "Budget": "core",
    "Env": "env",
    "GAN": "core",
    "Game": "core",
    "InputError": "errors",
    "Modes": "core",
    "Result": "results.schema",
    "Task": "core",
    "load_result": "results.schema",
    "load_task": "registry",
    "make": "env",
    "run": "harness.entries",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    # Lazy, so that `ganbench --help` does not wait for torch.
    if name not in _HOME:
        raise AttributeError(f"module 'ganbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ganbench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
