"""The one exception that a user is meant to see, and what its lines are made of."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something a user gave is unusable; the message is one line that says what to do."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    text = str(error).strip()
    return text.splitlines()[0] if text else "no message"


def did_you_mean(name: str, known: Iterable[object]) -> str:
    """`": did you mean 'sine'?"` for a near miss, else the choices."""
    choices = [str(choice) for choice in known]
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if near:
        return f": did you mean {near[0]!r}?"
    return f"; known: {', '.join(choices)}" if choices else ""
