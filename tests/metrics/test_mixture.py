"""Mode counts: what a perfect, a collapsed and a useless sampler score."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import chi, entropy
from torch import Tensor

from ganbench.metrics import mixture, mixture_modes

ANGLES = 2 * math.pi * torch.arange(8) / 8
RING = torch.stack([ANGLES.cos(), ANGLES.sin()], 1)
AXIS = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0])
GRID = torch.cartesian_prod(AXIS, AXIS)


def perfect(centers: Tensor, sigma: float, n: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    which = torch.randint(len(centers), (n,), generator=rng)
    return centers[which] + sigma * torch.randn(n, 2, generator=rng)


def score(fake: Tensor, centers: Tensor = RING, sigma: float = 0.01) -> dict[str, float]:
    return mixture_modes(fake, fake, centers=centers, sigma=sigma)


@pytest.mark.parametrize(("centers", "sigma"), [(RING, 0.01), (GRID, 0.05)])
def test_perfect_sampler_is_not_at_one(centers: Tensor, sigma: float) -> None:
    n = 200_000
    values = score(perfect(centers, sigma, n, 0), centers, sigma)
    share = 1 - math.exp(-9 / 2)
    assert share == pytest.approx(0.98889, abs=1e-5)
    margin = 5 * math.sqrt(share * (1 - share) / n)
    assert values["high_quality"] == pytest.approx(share, abs=margin)
    assert values["modes"] == values["modes_10pct"] == len(centers)


@pytest.mark.parametrize(
    ("centers", "sigma", "known"), [(RING, 0.01, 0.0014), (GRID, 0.05, 0.0048)]
)
def test_divergence_of_a_perfect_sampler(centers: Tensor, sigma: float, known: float) -> None:
    """2 N KL is nearly chi^2 with K - 1 degrees of freedom, N the samples of high quality."""
    n, runs = 2500, 80
    values = [score(perfect(centers, sigma, n, i), centers, sigma) for i in range(runs)]
    floor = (len(centers) - 1) / (2 * n)
    assert floor == pytest.approx(known, abs=5e-5)
    error = floor * math.sqrt(2 / (len(centers) - 1) / runs)
    mean = np.mean([value["reverse_kl"] for value in values])
    assert mean == pytest.approx(floor / 0.98889, abs=5 * error)


@pytest.mark.parametrize("width", [1, 2, 3, 16, 64])
def test_reach_holds_as_many_in_all_dimensions(width: int) -> None:
    """As many samples as 3 sigma in the plane: the chi distribution's quantile."""
    share = 1 - math.exp(-9 / 2)
    assert mixture.reach(width) == pytest.approx(chi(width).ppf(share), rel=1e-12)
    n = 100_000
    fake = torch.randn(n, width, generator=torch.Generator().manual_seed(0))
    values = mixture_modes(fake, fake, centers=torch.zeros(1, width), sigma=1.0)
    margin = 5 * math.sqrt(share * (1 - share) / n)
    assert values["high_quality"] == pytest.approx(share, abs=margin)


def test_flat_modes_reach_as_far_as_they_extend() -> None:
    """700 of 1,200 coordinates vary: what lies 28.05 sigma away is good, and 28.11 not."""
    edge = chi(700).ppf(1 - math.exp(-9 / 2))
    assert edge == pytest.approx(28.08, abs=0.005)
    fake = torch.zeros(2, 1200)
    fake[0, :700], fake[1, 700:] = (0.999 * edge / 700**0.5, 1.001 * edge / 500**0.5)
    values = mixture_modes(fake, fake, centers=torch.zeros(1, 1200), sigma=1.0, extent=700)
    assert values["high_quality"] == 0.5
    values = mixture_modes(fake, fake, centers=torch.zeros(1, 1200), sigma=1.0)
    assert values["high_quality"] == 1


def test_counts_are_held_against_the_weights() -> None:
    """90, 9 and 1 samples, by hand: as due, and as if all were due alike."""
    fake = RING[:3].repeat_interleave(torch.tensor([90, 9, 1]), 0)
    weights = torch.tensor([0.9, 0.09, 0.01])
    values = mixture_modes(fake, fake, centers=RING[:3], sigma=0.01, weights=weights)
    assert values["modes"] == values["modes_10pct"] == 3
    assert values["reverse_kl"] == pytest.approx(0, abs=1e-6)
    values = mixture_modes(fake, fake, centers=RING[:3], sigma=0.01)
    assert (values["modes"], values["modes_10pct"]) == (3, 2)
    assert values["reverse_kl"] == pytest.approx(entropy([0.9, 0.09, 0.01], [1 / 3] * 3))
    other = mixture_modes(
        fake, fake, centers=RING[:3], sigma=0.01, weights=torch.tensor([0.2, 0.3, 0.5])
    )
    assert other["modes_10pct"] == 2  # of the last 5 are a tenth
    assert other["reverse_kl"] == pytest.approx(entropy([0.9, 0.09, 0.01], [0.2, 0.3, 0.5]))


def test_figures_at_the_published_count_are_of_the_first_2500_samples() -> None:
    fake = torch.cat([perfect(RING, 0.01, 2500, 0), RING[:1].repeat(1596, 1)])
    values, few = score(fake), score(fake[:2500])
    for name in ("modes", "high_quality", "reverse_kl"):
        assert values[f"{name}_2500"] == few[name] == few[f"{name}_2500"]
    assert values["reverse_kl_2500"] < 0.01 < values["reverse_kl"]
    assert not any(name.endswith("_2500") for name in score(fake[:2499]))


def test_collapse_to_one_mode() -> None:
    values = score(RING[:1].repeat(1000, 1))
    assert values["modes"] == values["modes_10pct"] == 1
    assert values["high_quality"] == 1
    assert values["reverse_kl"] == pytest.approx(math.log(8))


def test_asymmetric_counts() -> None:
    """600, 300 and 1 in three modes, 99 nowhere: a tenth of the due 125 is 12.5."""
    fake = torch.cat(
        [RING[:1].repeat(600, 1), RING[1:2].repeat(300, 1), RING[2:3], torch.zeros(99, 2)]
    )
    values = score(fake)
    assert values["modes"] == 3
    assert values["modes_10pct"] == 2
    assert values["high_quality"] == pytest.approx(0.901)
    share = np.array([600, 300, 1, 0, 0, 0, 0, 0]) / 901
    assert values["reverse_kl"] == pytest.approx(entropy(share, [1 / 8] * 8))


def test_no_sample_of_quality() -> None:
    values = score(torch.zeros(100, 2))
    assert values == {
        "modes": 0,
        "modes_10pct": 0,
        "high_quality": 0,
        "reverse_kl": pytest.approx(math.log(8)),
    }


def test_no_sample_of_quality_is_as_far_from_weights_as_the_rarest_mode_alone() -> None:
    weights = torch.tensor([0.5, 0.3, 0.2])
    centers = 10 * RING[:3]
    own = {"centers": centers, "sigma": 0.1, "weights": weights}
    garbage, rarest = (
        mixture.mixture_modes(centers, fake, **own)
        for fake in (torch.full((100, 2), 99.0), centers[2:].repeat(100, 1))
    )
    assert garbage["reverse_kl"] == pytest.approx(math.log(5))
    assert rarest["reverse_kl"] == pytest.approx(math.log(5))


def test_against_scipy() -> None:
    fake = perfect(GRID, 0.1, 2500, 1)  # twice as wide as it should be
    values = score(fake, GRID, 0.05)
    distance = cdist(fake.double().numpy(), GRID.double().numpy())
    nearest, good = distance.argmin(1), distance.min(1) <= 0.15
    counts = np.bincount(nearest[good], minlength=25)
    assert values["high_quality"] == pytest.approx(good.mean())
    assert values["modes"] == (counts > 0).sum()
    assert values["modes_10pct"] == (counts >= 10).sum()
    assert values["reverse_kl"] == pytest.approx(entropy(counts / counts.sum(), np.full(25, 0.04)))


def test_quantities_are_what_is_returned() -> None:
    assert score(RING.repeat(400, 1)).keys() == mixture.QUANTITIES.keys()
