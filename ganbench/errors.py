"""The one exception that a user is meant to see."""


class InputError(ValueError):
    """Something a user gave is unusable; the message is one line that says what to do."""
