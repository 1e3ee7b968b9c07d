"""How numbers, ranks and times are written, in a terminal and on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ganbench.errors import one_line
from ganbench.scoring import why_unplaced

if TYPE_CHECKING:
    from ganbench.board.ranking import Row
    from ganbench.results.stats import TimeToQuality

ARROWS = {"lower": "↓", "higher": "↑"}


def number(value: float | None) -> str:
    """Four significant digits; a dash for none."""
    if value is None:
        return "-"
    if value != 0 and (abs(value) < 1e-3 or abs(value) >= 1e5):
        return f"{value:.2e}"
    return f"{value:.4g}"


def score(value: float | None, sign: str = "") -> str:
    """Three decimals, with a `sign` of "+" also before what is positive; a dash for none."""
    if value is None:
        return "-"
    return f"{value:{sign}.3f}" if abs(value) < 1e5 else f"{value:{sign}.2e}"


def with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    """A score with its interval, where it has one."""
    if value is None or interval is None:
        return score(value)
    return f"{score(value)} [{score(interval[0])}, {score(interval[1])}]"


def rank_text(row: Row) -> str:
    """The interval of its rank, or why it has none."""
    if row.rank is None:
        return row.apart or "-"
    low, high = row.rank
    return f"{low}" if low == high else f"{low}-{high}"


def time_text(time: TimeToQuality) -> str:
    """The restricted mean, and which share of the runs got there."""
    if time.reached == 0:
        return "-"
    share = "" if time.reached == 1 else f" ({time.reached:.0%})"
    return f"{time.restricted_mean:,.3g}{share}"


def unplaced(metrics: Mapping[str, Mapping[str, Any]]) -> str | None:
    """In one line, which metrics give no position, and why; None if all of them do.

    `metrics` hold the floor, ceiling, noise and direction of each.
    """
    names: dict[str, list[str]] = {}
    for name, each in metrics.items():
        reason = why_unplaced(each["floor"], each["ceiling"], each["noise"], each["direction"])
        if reason:
            names.setdefault(reason, []).append(one_line(name))
    if not names:
        return None
    return "no position: " + "; ".join(f"{', '.join(own)} ({why})" for why, own in names.items())
