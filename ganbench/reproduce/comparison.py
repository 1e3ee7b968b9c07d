"""Ours beside the published: means of runs with their standard errors, and how far apart."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

SHARES = ("high_quality", "all_modes", "no_modes")  # quantities that are written in percent


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A mean over `runs` with its standard error, None where that is not known."""

    mean: float
    error: float | None = None
    runs: int | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure | None:
        """That of some values: no standard error of a single one, and None of none."""
        if not values:
            return None
        n = len(values)
        error = statistics.stdev(values) / math.sqrt(n) if n > 1 else None
        return cls(mean=statistics.fmean(values), error=error, runs=n)

    def text(self, *, percent: bool) -> str:
        """`6.30 ± 0.50`, or `98.2 ± 0.2 %`."""
        scale, digits, unit = (100, 1, " %") if percent else (1, 2, "")
        error = "" if self.error is None else f" ± {scale * self.error:.{digits}f}"
        return f"{scale * self.mean:.{digits}f}{error}{unit}"


def deviation(ours: Figure, published: Figure) -> float | None:
    """Ours less the published, in standard errors of that difference.

    sqrt(a^2 + b^2) of the two, which are independent; of ours alone where the published has none.
    None where ours has none, as of a single run, and where both are 0 and the means differ.
    """
    if ours.error is None:
        return None
    both, difference = math.hypot(ours.error, published.error or 0.0), ours.mean - published.mean
    if both == 0:
        return 0.0 if difference == 0 else None
    return difference / both


def uncertainty(runs: int) -> float:
    """Relative standard deviation of a standard error of so many runs: 1 / sqrt(2 (n - 1)).

    That of normal samples, nearly.
    """
    return 1 / math.sqrt(2 * (runs - 1))


@dataclass(frozen=True, kw_only=True)
class Line:
    """A quantity of a row; of a `trial`, with fewer steps than published, no deviation is told."""

    row: str
    quantity: str
    ours: Figure | None
    published: Figure | None
    real: float
    speed: float | None
    trial: bool

    @property
    def deviation(self) -> float | None:
        """Ours less the published in standard errors, where that means anything."""
        if self.trial or self.ours is None or self.published is None:
            return None
        return deviation(self.ours, self.published)

    def cells(self) -> dict[str, str]:
        """Of the table, by head."""
        percent = self.quantity in SHARES
        told = self.deviation
        return {
            "row": self.row,
            "quantity": self.quantity,
            "ours": "-" if self.ours is None else self.ours.text(percent=percent),
            "runs": "0" if self.ours is None else str(self.ours.runs),
            "published": "-" if self.published is None else self.published.text(percent=percent),
            "deviation": "-" if told is None else f"{told:+.1f} s.e.",
            "real data": Figure(mean=self.real).text(percent=percent),
            "seed-steps/s": "-" if self.speed is None else f"{self.speed:,.0f}",
        }

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "ours": self.ours and asdict(self.ours),
            "published": self.published and asdict(self.published),
            "deviation": self.deviation,
            "real_data": self.real,
        }


def notes(lines: Sequence[Line], runs: int) -> list[str]:
    """What must be said of the standard errors, of `runs` published ones."""
    said = []
    if lines[0].trial:
        said.append("a trial with fewer steps than published: no deviation can be told")
    counts = {line.ours.runs or 0 for line in lines if line.ours is not None}
    if counts and min(counts) == 1:
        said.append("a single run has no standard error, so no deviation")
    if few := sorted(n for n in counts if 1 < n < runs):
        share = f"{uncertainty(few[0]):.0%}"
        said.append(
            f"{few[0]} runs, where {runs} were published: our standard errors are themselves "
            f"uncertain by some {share}, and 0 where all runs agree"
        )
    if any(line.published and line.published.error is None for line in lines):
        said.append("published without standard errors: deviations count ours alone")
    return said
