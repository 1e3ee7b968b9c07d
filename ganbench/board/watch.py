"""Saying what goes on while many things are gone through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Watch = Callable[[str, Sequence[Any]], Iterable[Any]]
"""Passes things on one by one, and may say how far that is, under a name for it."""


def unwatched(what: str, things: Sequence[Any]) -> Iterable[Any]:
    """Things passed on without a word."""
    return things
