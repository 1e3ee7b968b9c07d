"""What theory says of each method, and what a trajectory itself shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Behaviour = Literal["converges", "creeps in", "cycles", "spirals out"]
Updates = Literal["simultaneous", "alternating", "extragradient", "optimistic"]
FIFTHS = 5
GEOMETRIC, STILL = 0.75, 0.95  # what a fifth leaves of the distance of the one before


class Claim(NamedTuple):
    """What a method does from (1, 1) with a rate of 0.2, and why."""

    behaviour: Behaviour
    why: str


# s is the sigmoid, r the distance from the equilibrium, h the learning rate, f'(0) = 1/2 the slope
# of the losses there, g = gamma. Sections are those of Mescheder, Geiger and Nowozin 2018.
_NOT_CLIPPED = "the same with f' = 1: r is multiplied by sqrt(1 + h^2)"
_CRITIC = "section 3.1: with a fixed rate and fixed numbers of updates it does not converge"
_PENALTY = "section 3.3: eigenvalues of the field -g/2 +- sqrt(g^2/4 - f'(0)^2), real parts below 0"
_SAME = "as R1: D has the same gradient everywhere, so that it does not matter where it is taken"
_NOISE = "section 3.2: eigenvalues of the field have the real part f''(0) noise^2, below 0"
_CONSENSUS = "supplement, and Mescheder et al. 2017: eigenvalues of the field -g f'(0)^2 +- f'(0) i"
_CRITICAL = "section 3.3: at g = 2 f'(0) both eigenvalues of the field are -g/2"
_NONSATURATING = "as R1: the field has the same derivatives at the equilibrium"
_OPTIMISTIC = (
    "Daskalakis et al. 2018: eigenvalues m, m^2 = m (1 + 2 a i) - a i, inside of the circle"
)
_BILINEAR = "Gidel et al. 2019: eigenvalues 1 - a^2 +- a i, a = h f'(0), inside of the unit circle"
THEORY: Mapping[tuple[str, Updates], Claim] = {
    ("gan", "simultaneous"): Claim("spirals out", "section 2: r grows with every step"),
    ("gan", "alternating"): Claim("cycles", "section 2: eigenvalues on the unit circle"),
    ("gan", "extragradient"): Claim("converges", _BILINEAR),
    ("gan", "optimistic"): Claim("converges", _OPTIMISTIC),
    ("nsgan", "simultaneous"): Claim(
        "cycles",
        "supplement: eigenvalues 1 +- h f'(0) i, so that it leaves 0 as the GAN does; but the "
        "field, of which r^2 falls by 2 theta psi tanh(theta psi / 2), holds it at r^2 = 2 h",
    ),
    ("nsgan", "alternating"): Claim(
        "creeps in",
        "supplement: eigenvalues on the unit circle, no linear convergence; by the same fall of "
        "r^2, of fourth order, r goes as 1 / sqrt(steps)",
    ),
    ("wgan", "simultaneous"): Claim("spirals out", _NOT_CLIPPED),
    ("wgan", "alternating"): Claim("cycles", "the same: on theta^2 + psi^2 - h theta psi = const"),
    ("wgan", "extragradient"): Claim("converges", _BILINEAR),
    ("wgan", "optimistic"): Claim("converges", _OPTIMISTIC),
    ("wgan_clip", "simultaneous"): Claim("cycles", _CRITIC),
    ("wgan_clip", "alternating"): Claim("cycles", _CRITIC),
    ("wgan_gp", "simultaneous"): Claim("cycles", _CRITIC),
    ("wgan_gp", "alternating"): Claim("cycles", _CRITIC),
    ("instance_noise", "simultaneous"): Claim("converges", _NOISE),
    ("instance_noise", "alternating"): Claim("converges", _NOISE),
    ("r1", "simultaneous"): Claim("converges", _PENALTY),
    ("r1", "alternating"): Claim("converges", _PENALTY),
    ("r1_critical", "simultaneous"): Claim("converges", _CRITICAL),
    ("r1_critical", "alternating"): Claim("converges", _CRITICAL),
    ("nsgan_r1", "simultaneous"): Claim("converges", _NONSATURATING),
    ("nsgan_r1", "alternating"): Claim("converges", _NONSATURATING),
    ("r2", "simultaneous"): Claim("converges", _SAME),
    ("r2", "alternating"): Claim("converges", _SAME),
    ("zero_centered", "simultaneous"): Claim("converges", _SAME),
    ("zero_centered", "alternating"): Claim("converges", _SAME),
    ("consensus", "simultaneous"): Claim("converges", _CONSENSUS),
    ("consensus", "alternating"): Claim("converges", _CONSENSUS),
}


def classify(trajectory: Array) -> Behaviour:
    """What a trajectory (steps + 1, 2) does, by its distances from (0, 0) in its fifths.

    It converges if the largest distance of the last fifth is below 3/4 of that of the fifth before:
    so it falls faster than 1 / steps, as it does at any constant rate. It creeps in if it is below
    0.95 of it. It spirals out if it is never as near in the last fifth as it was at the farthest
    in the first. Otherwise it cycles.
    """
    distance = np.hypot(*trajectory.T)
    first, *_, before, last = np.array_split(distance, FIFTHS)
    if last.min() > first.max():
        return "spirals out"
    left = last.max() / before.max()
    return "converges" if left < GEOMETRIC else "creeps in" if left < STILL else "cycles"
