"""The same games worked out by hand in NumPy: what the engine's trajectories are held against.

Each field is minus the gradients of G's loss for theta and of D's for psi, without autograd. It
draws the pictures too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from ganbench.dirac.methods import CRITICAL, GAMMA, JOINT, LIMIT, NOISE, SLOPE
from ganbench.dirac.theory import Array, Updates

Field = Callable[[Array, Array], tuple[Array, Array]]
"""The field at points (theta, psi), arrays of the same shape: its two components."""

_NOISES = np.linspace(-9 * NOISE, 9 * NOISE, 301)
_WEIGHTS = np.exp(-(_NOISES**2) / (2 * NOISE**2))
_WEIGHTS /= _WEIGHTS.sum()


def _s(t: Array) -> Array:
    return 1 / (1 + np.exp(-t))


def _gan(theta: Array, psi: Array) -> tuple[Array, Array]:
    return psi * _s(theta * psi), -theta * _s(theta * psi)


def _nsgan(theta: Array, psi: Array) -> tuple[Array, Array]:
    return psi * _s(-theta * psi), -theta * _s(theta * psi)


def _wgan(theta: Array, psi: Array) -> tuple[Array, Array]:
    return psi, -theta


def _wgan_gp(theta: Array, psi: Array) -> tuple[Array, Array]:
    return psi, -theta - SLOPE * (np.abs(psi) - 1) * np.sign(psi)


def _noise(theta: Array, psi: Array) -> tuple[Array, Array]:
    theta, psi = np.asarray(theta)[..., None], np.asarray(psi)[..., None]
    made, slope = theta + _NOISES, _s((theta + _NOISES) * psi)
    of_theta = psi * slope
    of_psi = _NOISES * _s(-_NOISES * psi) - made * slope
    return of_theta @ _WEIGHTS, of_psi @ _WEIGHTS


def _penalised(field: Field, theta: Array, psi: Array, gamma: float = GAMMA) -> tuple[Array, Array]:
    of_theta, of_psi = field(theta, psi)
    return of_theta, of_psi - gamma * psi


def _consensus(theta: Array, psi: Array) -> tuple[Array, Array]:
    """|v|^2 / 2 = (theta^2 + psi^2) s^2 / 2, of which s' = s (1 - s) at theta psi.

    The paper's own code has half of the terms with s', which is no gradient of |v|^2; at the
    equilibrium they vanish.
    """
    of_theta, of_psi = _gan(theta, psi)
    s, squared = _s(theta * psi), theta**2 + psi**2
    both = squared * s * s * (1 - s)
    return (
        of_theta - JOINT * (theta * s**2 + psi * both),
        of_psi - JOINT * (psi * s**2 + theta * both),
    )


FIELDS: Mapping[str, Field] = {
    "gan": _gan,
    "nsgan": _nsgan,
    "wgan": _wgan,
    "wgan_clip": _wgan,
    "wgan_gp": _wgan_gp,
    "instance_noise": _noise,
    "r1": partial(_penalised, _gan),
    "r1_critical": partial(_penalised, _gan, gamma=CRITICAL),
    "nsgan_r1": partial(_penalised, _nsgan),
    "r2": partial(_penalised, _gan),
    "zero_centered": partial(_penalised, _gan),
    "consensus": _consensus,
}


def step(method: str, updates: Updates, place: Array, rate: float) -> Array:
    """Where one step leads from the place (theta, psi); an optimistic one depends on the last."""
    field, (theta, psi) = FIELDS[method], place
    of_theta, of_psi = field(theta, psi)
    if updates == "extragradient":
        of_theta, of_psi = field(theta + rate * of_theta, _clipped(method, psi + rate * of_psi))
    new = _clipped(method, psi + rate * of_psi)
    if updates == "alternating":
        of_theta, _ = field(theta, new)
    return np.array([theta + rate * of_theta, new])


def _clipped(method: str, psi: Array) -> Array:
    return np.clip(psi, -LIMIT, LIMIT) if method == "wgan_clip" else psi


def trajectory(
    method: str, updates: Updates, start: tuple[float, float], rate: float, steps: int
) -> Array:
    """The places (steps + 1, 2) from `start`, (theta, psi)."""
    places = [np.array(start)]
    last = np.zeros(2)
    for _ in range(steps):
        if updates == "optimistic":
            now = np.array(FIELDS[method](*places[-1]))
            places.append(places[-1] + rate * (2 * now - last))
            last = now
        else:
            places.append(step(method, updates, places[-1], rate))
    return np.array(places)
