"""How numbers, ranks and times are written, in a terminal and on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
