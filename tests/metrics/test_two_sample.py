"""The classifier two-sample test: calibrated under the null, sure where laws differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ganbench.metrics import discriminator_test, two_sample


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_false_positives_under_the_null() -> None:
    runs = 60
    p_values = []
    for i in range(runs):
        real, fake = normal(300, 2, 2 * i), normal(300, 2, 2 * i + 1)
        values = discriminator_test(real, fake, steps=40, batch_size=64, seed=i)
        p_values.append(values["discriminator_p_value"])
    false_positives = sum(p < 0.05 for p in p_values)
    assert false_positives <= stats.binom.ppf(0.9995, runs, 0.05)
    # A little discrete and a little conservative, but uniform in the main.
    assert np.mean(p_values) == pytest.approx(0.5, abs=5 * math.sqrt(1 / 12 / runs))


def test_p_value_is_that_of_the_accuracy() -> None:
    real, fake = normal(400, 2, 0), normal(400, 2, 1) + 0.3
    values = discriminator_test(real, fake, steps=40)
    accuracy = values["discriminator_accuracy"]
    # 200 of each are held out; the binomial test is exact where ours is normal.
    exact = stats.binomtest(round(400 * accuracy), 400, alternative="greater").pvalue
    assert values["discriminator_p_value"] == pytest.approx(exact, rel=0.2, abs=0.02)
    assert 0.5 < accuracy < 0.7


def test_accuracy_of_two_shifted_gaussians() -> None:
    """No classifier is better than Phi(|mu| / 2) on N(0, I) against N(mu, I)."""
    n, mu = 4000, torch.tensor([1.0, 1.0])
    values = discriminator_test(normal(n, 2, 0), normal(n, 2, 1) + mu)
    bayes = float(stats.norm.cdf(math.sqrt(2) / 2))
    margin = 4 * math.sqrt(bayes * (1 - bayes) / n)
    assert bayes - 0.03 < values["discriminator_accuracy"] < bayes + margin
    assert values["discriminator_p_value"] < 1e-6


@pytest.mark.parametrize("d", [2, 64])
def test_separated_samples(d: int) -> None:
    values = discriminator_test(normal(200, d, 0), normal(200, d, 1) + 20, steps=60)
    assert values["discriminator_accuracy"] == 1
    assert values["discriminator_p_value"] < 1e-12


def test_sees_what_has_the_same_moments() -> None:
    """A ring against the Gaussian of its mean and covariance."""
    real = normal(1000, 2, 0)
    real = math.sqrt(2) * real / real.norm(dim=1, keepdim=True)
    values = discriminator_test(real, normal(1000, 2, 1))
    assert values["discriminator_accuracy"] > 0.8


def test_sides_of_different_sizes() -> None:
    values = discriminator_test(normal(301, 2, 0), normal(200, 2, 1) + 20, steps=60)
    assert values["discriminator_accuracy"] == 1


def test_same_seed_same_bits_whatever_the_global_state() -> None:
    real, fake = normal(200, 2, 0), normal(200, 2, 1)
    torch.manual_seed(1)
    first = discriminator_test(real, fake, steps=20, seed=3)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert discriminator_test(real, fake, steps=20, seed=3) == first
    assert torch.equal(torch.get_rng_state(), before)
    seeds = {
        discriminator_test(real, fake, steps=20, seed=i)["discriminator_accuracy"] for i in range(4)
    }
    assert len(seeds) > 1


def test_works_where_gradients_are_off() -> None:
    with torch.no_grad():
        values = discriminator_test(normal(100, 2, 0), normal(100, 2, 1) + 20, steps=120)
    assert values["discriminator_accuracy"] == 1


def test_quantities_are_what_is_returned() -> None:
    values = discriminator_test(normal(20, 2, 0), normal(20, 2, 1), steps=2)
    assert values.keys() == two_sample.QUANTITIES.keys()
