"""The one exception that a user is meant to see, and what its lines are made of."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_LINE = 1_000  # characters of a line, or bytes of one that is not yet read


class InputError(ValueError):
    """Something a user gave is unusable; the message is one line that says what to do.

    Example:
        >>> import ganbench
        >>> try:
        ...     ganbench.load_task("sime")
        ... except ganbench.InputError as error:
        ...     print(error)
        unknown task 'sime': did you mean 'sine'? (see `ganbench list tasks`)
    """


class ContractError(InputError):
    """A GAN is or returns something else than it must, however it is trained."""


class ResumeError(InputError):
    """A run cannot go on from what an earlier one left; it can begin anew."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    try:
        text = str(error).strip()
    except Exception as fault:  # of an author's own class
        return f"its message raises {type(fault).__name__}"
    return text.splitlines()[0] if text else "no message"


def printable(value: object) -> str:
    """A path or somebody's text with what cannot be printed replaced, as what moves a cursor."""
    return "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(value)
    )


def one_line(text: str, most: int = 60) -> str:
    """Somebody's text as it may stand in a line: what cannot be printed replaced, and cut off."""
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def shown(value: object, most: int = 50) -> str:
    """A value as a line shows it, cut off; by its kind where it cannot be shown."""
    try:
        return one_line(repr(value), most)
    except Exception:  # of an author's own class, or of an int without end
        return f"a {type(value).__name__}"


def did_you_mean(name: str, known: Iterable[object]) -> str:
    """`": did you mean 'sine'?"` for what begins so or is a near miss, else the choices."""
    choices = [str(choice) for choice in known]
    longer = sorted((c for c in choices if name and c.startswith(name)), key=len)
    near = longer or difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if near:
        return f": did you mean {near[0]!r}?"
    return f"; known: {', '.join(choices)}" if choices else ""
