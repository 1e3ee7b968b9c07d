"""A GAN that is no file: a function or a class, of a notebook's cell for example."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

from ganbench import hparams
from ganbench.core import Task
from ganbench.errors import InputError
from ganbench.registry import Baseline

MakeGAN = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class InMemory(Baseline):
    """`function` itself is called for each seed; the globals that it sees are not made anew."""

    function: MakeGAN

    def make(self, task: Task, **hparams: Any) -> Any:
        """What the function returns."""
        return self.function(task, **hparams)

    @property
    def bundled(self) -> bool:
        """It ships with nothing."""
        return False


def baseline_of(function: MakeGAN) -> InMemory:
    """A function or class as a baseline: `function(task, *, device, **hparams)`."""
    if not callable(function):
        kind = type(function).__name__
        raise InputError(f"a GAN is a name, a path, a function or a class, got {kind}")
    try:
        parameters, accepts_any = hparams.of(function)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name_of(function)} shows no arguments: {error}") from error
    return InMemory(
        name=name_of(function),
        path=Path(name_of(function)),
        module=inspect.getmodule(function) or inspect,
        parameters=parameters,
        accepts_any=accepts_any,
        sources={},
        sha256=hashlib.sha256("\n".join(_texts(function)).encode()).hexdigest(),
        function=function,
    )


def name_of(function: MakeGAN) -> str:
    """The name of a function or class, also of one behind `functools.partial`."""
    found = getattr(function, "func", function)
    return str(getattr(found, "__name__", type(found).__name__))


def _texts(function: MakeGAN) -> Iterator[str]:
    """What a function, or the methods of a class, do: their code, whatever file it is from."""
    found = getattr(function, "func", function)
    yield name_of(function)
    for each in vars(found).values() if inspect.isclass(found) else [found]:
        code = getattr(inspect.unwrap(each) if callable(each) else each, "__code__", None)
        if isinstance(code, CodeType):
            yield from _of_code(code)


def _of_code(code: CodeType) -> Iterator[str]:
    yield f"{code.co_code!r} {code.co_names}"
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _of_code(each)
        else:  # sets have another order in each process
            yield repr(sorted(map(repr, each)) if isinstance(each, frozenset) else each)
