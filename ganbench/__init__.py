"""ganbench: environments and honest benchmarks for generative adversarial networks."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Bound": "scoring",
    "Budget": "core",
    "Env": "env",
    "GAN": "core",
    "Game": "core",
    "InputError": "errors",
    "Modes": "core",
    "Result": "api.result",
    "Task": "core",
    "TrainedGenerator": "harness.trained",
    "compare": "api.looking",
    "evaluate": "api.looking",
    "leaderboard": "api.looking",
    "list_baselines": "api.looking",
    "list_metrics": "api.looking",
    "list_tasks": "api.looking",
    "load_generator": "api.running",
    "load_result": "api.result",
    "load_task": "registry",
    "make": "env",
    "run": "api.running",
    "sample": "api.looking",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    # Lazy, so that `ganbench --help` does not wait for torch.
    if name not in _HOME:
        raise AttributeError(f"module 'ganbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ganbench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
