"""How numbers, ranks and times are written, in a terminal and on a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ganbench.errors import one_line
from ganbench.registry import directions
from ganbench.scoring import only_bounds, why_unplaced

if TYPE_CHECKING:
    from ganbench.board.ranking import Row
    from ganbench.results.stats import TimeToQuality

BLOCKS = " ▏▎▍▌▋▊▉█"
HEIGHTS = "▁▂▃▄▅▆▇█"
BAR = 10  # characters of a bar that is full
HEADLINES = (
    *("modes", "high_quality", "reverse_kl", "stacked_modes", "stacked_kl"),
    *("triangle_precision", "triangle_recall", "triangle_f1"),
    *("sine_fitted", "sine_rmse", "sine_b_ks", "curve_residual", "curve_x_ks"),
    *("classifier_score", "class_kl", "memorisation", "kid", "wasserstein", "recall"),
    *("covariance_error", "mean_error", "density", "energy", "sliced_wasserstein", "mmd"),
)
"""Metrics that a short table shows, the most telling first; before them a task's own."""
MOST_HEADLINES = 5
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


def ranked_by(metric: str | None) -> str:
    """What the score of a board is called that is ranked by the position of a metric, if by one."""
    return "score" if metric is None else f"position of {one_line(metric)}"


def bar(position: float | None) -> str:
    """A bar that is full at 1; below 0 the bar goes to the left, marked so."""
    if position is None:
        return ""
    eighths = round(8 * BAR * min(1.0, abs(position)))
    drawn = BLOCKS[8] * (eighths // 8) + BLOCKS[eighths % 8].strip()
    return drawn if position >= 0 else f"-{drawn}"


def height(position: float | None) -> str:
    """One character: the higher the better, an x below 0, a dot for none."""
    if position is None:
        return "·"
    return "x" if position < 0 else HEIGHTS[min(7, int(8 * position))]


def spark(positions: Iterable[float]) -> str:
    """A curve of positions in a line, from -1 at the foot to 1."""
    return "".join(HEIGHTS[min(7, int(4 * (1 + position)))] for position in positions)


def headlines(names: Iterable[str], views: Collection[str]) -> list[str]:
    """The metrics beside the views that a short table shows."""
    others, bundled = [name for name in names if name not in views], directions()
    own = [name for name in others if name not in bundled]
    return [*own, *(name for name in HEADLINES if name in others)][:MOST_HEADLINES]


def rank_text(row: Row) -> str:
    """The interval of its rank, or why it has none."""
    return row.apart or "-" if row.rank is None else ranks(row.rank)


def ranks(interval: tuple[int, int]) -> str:
    """An interval of ranks; one number if it is one."""
    low, high = interval
    return f"{low}" if low == high else f"{low}-{high}"


def share(value: float | None) -> str:
    """A share in per cent; a dash for none."""
    return "-" if value is None else f"{value:.0%}"


def verdicts_text(kinds: Sequence[str | None]) -> str:
    """How many seeds had which verdict, the most frequent first: `7 healthy, 3 mode collapse`."""
    known = [kind for kind in kinds if kind is not None]
    if not known:
        return "-"
    counts = Counter(known).most_common()
    return counts[0][0] if len(counts) == 1 else ", ".join(f"{n} {kind}" for kind, n in counts)


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
        reason = why_unplaced(only_bounds(each))
        if reason:
            names.setdefault(reason, []).append(one_line(name))
    if not names:
        return None
    return "no position: " + "; ".join(f"{', '.join(own)} ({why})" for why, own in names.items())
