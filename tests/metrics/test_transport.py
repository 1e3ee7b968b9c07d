"""Wasserstein distances: shifts, closed forms, POT with the same directions, SciPy."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import ot
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

from ganbench.metrics import sliced_wasserstein, transport, wasserstein


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


@pytest.mark.parametrize("d", [2, 64])
def test_exact_distance_is_that_of_an_assignment(d: int) -> None:
    """For equal sizes the best plan is a permutation, which SciPy finds by another algorithm."""
    real, fake = normal(300, d, 0), 1.5 * normal(300, d, 1) + 0.2
    cost = cdist(real.double().numpy(), fake.double().numpy(), "sqeuclidean")
    pairs = linear_sum_assignment(cost)
    assert wasserstein(real, fake) == pytest.approx(math.sqrt(cost[pairs].mean()), rel=1e-9)


def test_exact_distance_on_the_line_is_that_of_sorted_samples() -> None:
    """Of sizes 2 and 3, by hand: quantile functions 0, 1 and 0, 0, 3 over thirds and halves."""
    real, fake = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [3.0], [0.0]])
    assert wasserstein(real, fake) == pytest.approx(math.sqrt(1 / 6 + 4 / 3))


@pytest.mark.parametrize("d", [1, 2, 10])
def test_exact_distance_of_a_shift(d: int) -> None:
    real, shift = normal(3000, d, 0), torch.linspace(1, 2, d)
    assert wasserstein(real, real + shift) == pytest.approx(float(shift.norm()), rel=1e-5)


def test_exact_distance_takes_a_random_choice_of_rows() -> None:
    """Of sorted samples the first rows would all be of one mode, which costs sqrt(2500) alone."""
    first, second = (
        (normal(2000, 1, 2 * i) for i in (0, 1)),
        (normal(2000, 1, 2 * i + 1) for i in (0, 1)),
    )
    real, fake = (torch.cat([a, b + 70.7]) for a, b in (first, second))
    # Shares of the mode differ by 0.022 on average: sqrt(0.022 * 5000) = 10, at four times 21.
    assert 0 < wasserstein(real, fake) < 21
    assert wasserstein(real, fake[:2000]) == pytest.approx(50, abs=2)


ALONE = """
import sys, types, numpy as np, torch
from ganbench.metrics import wasserstein
sys.modules["ot"] = authors = types.ModuleType("ot")
real, fake = torch.randn(2, 300, 2).unbind()
alone = wasserstein(real, fake[:77])
assert sys.modules.pop("ot") is authors
assert not {"ot.lp", "scipy", "networkx", "sklearn"} & set(sys.modules), "more than the solver"

import ot
cost = ot.dist(real.double().numpy(), fake[:77].double().numpy())
flat, high = np.full(300, 1 / 300), np.full(77, 1 / 77)
assert abs(ot.emd2(flat, high, cost) ** 0.5 - alone) < 1e-12
assert wasserstein(real, fake[:77]) == alone
assert (sys.modules["ot.lp.emd_wrap"].dist(cost, cost) == ot.dist(cost, cost)).all()
"""


def test_exact_distance_imports_the_solver_alone_and_leaves_pot_whole() -> None:
    subprocess.run([sys.executable, "-c", ALONE], check=True)


def test_quantities_are_what_is_returned() -> None:
    assert transport.QUANTITIES.keys() == {wasserstein.__name__, sliced_wasserstein.__name__}
    assert isinstance(wasserstein(normal(9, 2, 0), normal(9, 2, 1)), float)
    assert isinstance(sliced_wasserstein(normal(9, 2, 0), normal(9, 2, 1)), float)
