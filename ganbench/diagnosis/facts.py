"""What is known of a seed and of its samples, and how shares of them are said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ganbench.scoring import mean

FEW = 0.05  # share that looks real, of which coverage says nothing
NEIGHBOURS = 5  # k of precision and coverage
TRIPLES = "triples of digits"


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of samples, and what real data score there."""

    value: float
    floor: float

    @property
    def of_real(self) -> float:
        """The share as a part of what real data score."""
        return self.value / self.floor if self.floor else 1.0

    def __str__(self) -> str:
        return percent(self.value)


@dataclass(frozen=True, kw_only=True)
class Regions:
    """How samples fall on the modes, the classes or other parts of a target.

    `missing` of the `count` have less than a tenth of their due, or of TRIPLES nothing; `lost` of
    the real samples lie there, or `lost_widened` if samples were stretched to the covariance of
    real ones. Modes and classes are `natural`; others are only cells of real samples. `shares` are
    of the samples.
    """

    word: str
    count: int
    missing: int
    lost: float
    lost_widened: float
    natural: bool
    shares: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"{self.count - self.missing} of {self.count} {self.word}"


@dataclass(frozen=True, kw_only=True)
class Look:
    """Samples of one moment: None for what is not known of them.

    `fidelity` is the share that looks real, as `trait` says it; `offset` is the mean distance to a
    curve in the plane, as a part of a naive sampler's. `spread` is their standard deviation, and
    `within` that within regions, as parts of real ones'. `law` is how far frequencies or phases
    are from theirs, `band` the part of their range with 9 in 10 frequencies.
    """

    noun: str = "samples"
    trait: str = "look real"
    fidelity: Share | None = None
    offset: float | None = None
    precision: Share | None = None
    recall: Share | None = None
    coverage: Share | None = None
    position: float | None = None
    regions: Regions | None = None
    spread: float | None = None
    within: float | None = None
    law: float | None = None
    band: float | None = None
    memorisation: float | None = None

    @property
    def lifelike(self) -> float | None:
        """How real they look: 1 as real ones do.

        On a bare curve balls of precision are so small that they ask for more than an eye sees.
        """
        if self.offset is not None:
            return 1 - self.offset
        return None if self.fidelity is None else self.fidelity.of_real

    @property
    def evenness(self) -> float | None:
        """Coverage as a part of what it would be if those that look real fell like real ones.

        A real ball of k neighbours is missed with chance (1 + p)^-k if a share p is in place.
        """
        if self.precision is None or self.coverage is None or self.offset is not None:
            return None
        if self.precision.value < FEW:
            return None
        allowed = (1 - (1 + self.precision.of_real) ** -NEIGHBOURS) / (1 - 2.0**-NEIGHBOURS)
        return self.coverage.of_real / allowed


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A point of the curve; the position of the tracked metric where it was evaluated."""

    step: int
    position: float | None = None
    d_accuracy: float | None = None
    d_loss: float | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the rules look at.

    `tracked` is the metric of every round, `told` says its value, floor and ceiling, `views` are
    the positions that make the score. `copies` is the share of samples that are copies of training
    samples. `earlier` looks at the samples of each evaluation, from the last to the first, and at
    no more than are asked for.
    """

    status: str
    reason: str | None = None
    look: Look = Look()
    moments: Sequence[Moment] = ()
    tracked: str = "quality"
    told: str = ""
    views: Mapping[str, float] = field(default_factory=dict)
    copies: float | None = None
    earlier: Callable[[], Iterator[tuple[int, Look]]] = lambda: iter(())

    @property
    def score(self) -> float | None:
        """The mean of the views; None where they are not known."""
        return mean(self.views.values()) if self.views else None

    @property
    def positions(self) -> list[tuple[int, float]]:
        """Step and position of each evaluation."""
        return [(each.step, each.position) for each in self.moments if each.position is not None]


def described(look: Look, *, regions: bool = True) -> str:
    """What the samples are like, by the shares that are known."""
    parts = []
    if look.offset is not None:
        far = percent(look.offset)
        parts.append(f"{look.noun} lie off the curve by {far} of a naive sampler's distance")
    else:
        if look.fidelity is not None:
            parts.append(f"{look.fidelity} of {look.noun} {look.trait}")
        if look.coverage is not None:
            parts.append(f"they cover {look.coverage} of real ones")
    if regions and look.regions is not None and look.regions.natural:
        parts.append(str(look.regions))
    return ", ".join(parts)


def percent(share: float) -> str:
    """A share in per cent, with a decimal where a whole number would say all or nothing."""
    tenths = round(1000 * share)
    if tenths in range(1, 6) or tenths in range(995, 1000):
        return f"{tenths / 10:.1f} %"
    return f"{100 * share:.0f} %"
