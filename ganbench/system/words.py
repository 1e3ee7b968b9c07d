"""How a line says what is no number of anybody's."""


def duration(seconds: float) -> str:
    """`6 h 05 min`, `12 min`, `40 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def many(count: int, what: str) -> str:
    """`1 seed`, `10 seeds`: so many of something."""
    return f"{count} {what}{'' if count == 1 else 's'}"
