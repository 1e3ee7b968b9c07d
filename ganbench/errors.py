"""The one exception that a user is meant to see."""


class InputError(ValueError):
    """Something a user gave is unusable; the message is one line that says what to do."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    text = str(error).strip()
    return text.splitlines()[0] if text else "no message"
