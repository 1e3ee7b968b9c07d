"""What metrics alone tell of samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ganbench import scoring
from ganbench.diagnosis.facts import TRIPLES, Look, Regions, Share

Values = Mapping[str, "float | None"]
MISSED = 0.01  # share of 1,000 triples of digits that chance may leave out


class Bound(Protocol):
    """Where a metric's values lie, as `core.Bound` and `schema.MetricInfo` have it."""

    @property
    def floor(self) -> float:
        """What real data score."""

    @property
    def ceiling(self) -> float:
        """What a naive sampler scores."""


def look_of(metrics: Values, bounds: Mapping[str, Bound], position: float | None = None) -> Look:
    """What metrics alone tell of samples; `position` where the tracked metric is not in them."""
    known = {name: value for name, value in metrics.items() if value is not None and name in bounds}

    def share(name: str) -> Share | None:
        return Share(value=known[name], floor=bounds[name].floor) if name in known else None

    tracked = next(iter(bounds))
    if tracked in known:
        position = position_of(known[tracked], bounds[tracked])
    laws = [known[name] for name in ("sine_b_ks", "sine_c_ks") if name in known]
    traits = {
        "sine_fitted": "are sines",
        "triangle_precision": "are triangles",
        "high_quality": "lie in a mode",
        "precision": "look real",
    }
    name = next((name for name in traits if name in known), "precision")
    noun = "curves" if "sine_fitted" in bounds else "samples"
    offset = known.get("curve_residual")
    if offset is not None:
        offset = _part(offset, bounds["curve_residual"])
    return Look(
        noun="images" if {"frechet", "triangle_precision"} & bounds.keys() else noun,
        trait=traits[name],
        fidelity=share(name),
        offset=offset,
        precision=share("precision"),
        recall=share("recall"),
        coverage=share("coverage") or share("triangle_recall"),
        position=position,
        regions=_counted(known, bounds),
        law=max(laws) if laws else None,
        memorisation=known.get("memorisation"),
    )


def _counted(known: Mapping[str, float], bounds: Mapping[str, Bound]) -> Regions | None:
    """The modes that metrics count."""
    name = next((name for name in ("modes_10pct", "stacked_modes") if name in known), None)
    if name is None:
        return None
    count = round(bounds[name].floor)
    missing = count - round(known[name])
    stacked = name == "stacked_modes"
    lost = 0.0 if stacked and missing <= MISSED * count else missing / count
    word = TRIPLES if stacked else "modes"
    return Regions(
        word=word, count=count, missing=missing, lost=lost, lost_widened=lost, natural=True
    )


def position_of(value: float, bound: Bound) -> float | None:
    """The position of a value; None where floor and ceiling meet."""
    found = scoring.position(value, bound.floor, bound.ceiling)
    return found if found == found else None


def _part(value: float, bound: Bound) -> float:
    """The way from floor to ceiling that a value is off, 1 or more if naive."""
    return max(0.0, value - bound.floor) / ((bound.ceiling - bound.floor) or 1.0)
