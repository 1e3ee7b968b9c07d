"""How a line names the author's function in which something went wrong, its file and its line."""

from __future__ import annotations

from functools import partial
from types import FunctionType, MethodType, TracebackType
from typing import TYPE_CHECKING

from ganbench.errors import InputError
from ganbench.system.modules import NOTE, is_authors, place, where

if TYPE_CHECKING:
    from torch import Tensor


USED = ("forward", "step", "__call__")  # of a network, an optimizer, another object


class within:  # noqa: N801 - used as a context manager
    """Notes with an error that it was raised in a `thing`, which has the role `what` in a GAN.

    Unless it came through an author's code, which says more; `given` is what the thing was given.
    """

    __slots__ = ("_given", "_thing", "_what")

    def __init__(self, what: str, thing: object, given: Tensor | None = None) -> None:
        self._what, self._thing, self._given = what, thing, given

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, InputError):
            return  # no error, or one whose line says all
        place = where(error)
        if self._given is not None:
            part = f"{place}, of the {self._what}" if place else named(self._what, self._thing)
            error.add_note(f"{NOTE}{part}, given shape {tuple(self._given.shape)}")
        elif place is None:
            error.add_note(f"{NOTE}{named(self._what, self._thing)}")


def named(what: str, thing: object) -> str:
    """A part of a GAN with the place where its author has written it, if that is known.

    `d_loss (my_gan.py:12)`, `d_loss hinge (my_gan.py:12)`, `generator Net.forward (my_gan.py:5)`;
    else with the name of its kind: `generator (Sequential)`.
    """
    function = _function_of(thing)
    if function is None or not is_authors(function.__module__, function.__code__.co_filename):
        return f"{what} ({_name_of(thing)})"
    name, _, line = place(function.__code__).partition(" (")
    name = name.rpartition("<locals>.")[2]
    called = "" if name.rpartition(".")[2] in (what, "<lambda>") else f" {name}"
    return f"{what}{called} ({line}"


def _function_of(thing: object) -> FunctionType | None:
    """The function that runs when a part is used; None where that is no Python function."""
    while isinstance(thing, partial | MethodType):
        thing = thing.func if isinstance(thing, partial) else thing.__func__
    if isinstance(thing, FunctionType):
        return thing
    kind, names = (thing, ("__init__",)) if isinstance(thing, type) else (type(thing), USED)
    found = next((getattr(kind, name) for name in names if hasattr(kind, name)), None)
    return found if isinstance(found, FunctionType) else None


def _name_of(thing: object) -> str:
    while isinstance(thing, partial):
        thing = thing.func
    return getattr(thing, "__name__", type(thing).__name__)
