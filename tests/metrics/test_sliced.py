"""Sliced Wasserstein distance: the value of a pure shift, and POT with the same directions."""

from __future__ import annotations

import math

import numpy as np
import ot
import pytest
import torch
from torch import Tensor

from ganbench.metrics import sliced, sliced_wasserstein


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def by_pot(real: Tensor, fake: Tensor, directions: int, seed: int) -> float:
    axes = torch.randn(
        real.shape[1], directions, generator=torch.Generator().manual_seed(seed)
    ).double()
    axes /= axes.norm(dim=0)
    x, y = real.double().numpy(), fake.double().numpy()
    return float(ot.sliced_wasserstein_distance(x, y, projections=axes.numpy(), p=2))


@pytest.mark.parametrize("d", [1, 2, 64])
@pytest.mark.parametrize(("m", "n"), [(300, 300), (300, 600), (900, 300)])
def test_is_that_of_pot(m: int, n: int, d: int) -> None:
    """Exact where one size divides the other: every level is then one of the larger's."""
    real, fake = normal(m, d, 0), 1.5 * normal(n, d, 1) + 0.2
    expected = by_pot(real, fake, 100, 5)
    assert sliced_wasserstein(real, fake, directions=100, seed=5) == pytest.approx(
        expected, rel=1e-5
    )


def test_is_close_to_pot_at_any_sizes() -> None:
    real, fake = normal(1000, 2, 0), 1.5 * normal(777, 2, 1) + 0.2
    assert sliced_wasserstein(real, fake) == pytest.approx(by_pot(real, fake, 128, 0), rel=0.02)


@pytest.mark.parametrize("d", [1, 2, 10])
def test_of_a_shift(d: int) -> None:
    """Along a direction it is |<shift, direction>|, whose mean square is |shift|^2 / d."""
    real, shift = normal(50, d, 0), torch.linspace(1, 2, d)
    value = sliced_wasserstein(real, real + shift, directions=20_000)
    assert value == pytest.approx(float(shift.norm()) / math.sqrt(d), rel=0.03)


def test_is_zero_for_the_same_points_in_any_order() -> None:
    real = normal(101, 3, 0)
    assert sliced_wasserstein(real, real.flip(0)) == pytest.approx(0, abs=1e-6)
    assert sliced_wasserstein(real, real.repeat(2, 1)) == pytest.approx(0, abs=1e-6)


def test_is_symmetric_and_shrinks_with_n() -> None:
    small, large = (
        np.mean(
            [sliced_wasserstein(normal(n, 2, 2 * i), normal(n, 2, 2 * i + 1)) for i in range(5)]
        )
        for n in (100, 10_000)
    )
    assert large < small / 4
    real, fake = normal(80, 2, 0), normal(130, 2, 1)
    assert sliced_wasserstein(real, fake) == pytest.approx(sliced_wasserstein(fake, real))


def test_leaves_global_randomness_alone() -> None:
    before = torch.get_rng_state()
    real, fake = normal(50, 2, 0), normal(50, 2, 1)
    assert sliced_wasserstein(real, fake) == sliced_wasserstein(real, fake)
    assert torch.equal(torch.get_rng_state(), before)


def test_quantities_are_what_is_returned() -> None:
    assert sliced.QUANTITIES.keys() == {sliced_wasserstein.__name__}
    assert isinstance(sliced_wasserstein(normal(9, 2, 0), normal(9, 2, 1)), float)
