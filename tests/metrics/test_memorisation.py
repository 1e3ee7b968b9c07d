"""Nearest training neighbours: copies, fresh draws, noise; SciPy's tree and its U statistic."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial import cKDTree
from torch import Tensor

from ganbench.metrics import memorisation
from ganbench.metrics.memorisation import BLOCK, LIMIT, QUANTITIES, nearest_distances

STANDARD_ERROR = math.sqrt(2 / 12 / LIMIT)  # of equal laws, the training set held fixed


def normal(n: int, d: int = 10, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def always(training: Tensor) -> Callable[[], Tensor]:
    return lambda: training


def by_scipy(real: Tensor, fake: Tensor, training: Tensor) -> float:
    tree = cKDTree(training.double().numpy())
    held_out, made = (tree.query(side.double().numpy())[0] for side in (real, fake))
    u = stats.mannwhitneyu(held_out, made).statistic
    return float(u / (len(held_out) * len(made)))


def test_copies() -> None:
    training = normal(3000)
    fake = training[torch.randperm(3000, generator=torch.Generator().manual_seed(1))]
    assert memorisation(normal(2000, seed=2), fake, training=always(training)) == 1


def test_near_copies() -> None:
    training = normal(3000)
    fake = training[:1000] + 0.01 * normal(1000, seed=1)
    assert memorisation(normal(1000, seed=2), fake, training=always(training)) > 0.999


def test_fresh_draws_of_the_same_law() -> None:
    value = memorisation(normal(1500, seed=1), normal(1500, seed=2), training=always(normal(5000)))
    assert value == pytest.approx(0.5, abs=4 * STANDARD_ERROR)


def test_far_away() -> None:
    fake = normal(500, seed=2) + 30
    assert memorisation(normal(1500, seed=1), fake, training=always(normal(500))) == 0


def test_half_copies() -> None:
    """A copy beats every held-out sample; a fresh draw beats half of them."""
    training = normal(4000)
    fake = torch.stack([training[:500], normal(500, seed=2)], 1).flatten(0, 1)
    value = memorisation(normal(1000, seed=1), fake, training=always(training))
    assert value == pytest.approx(0.75, abs=4 * STANDARD_ERROR)


@pytest.mark.parametrize("d", [1, 3, 64])
def test_against_scipy(d: int) -> None:
    training, real, fake = normal(900, d), normal(300, d, 1), 0.9 * normal(200, d, 2) + 0.1
    expected = by_scipy(real, fake, training)
    assert memorisation(real, fake, training=always(training)) == pytest.approx(expected, abs=1e-6)
    assert expected != pytest.approx(0.5, abs=0.01)


def test_ties_count_half() -> None:
    """On the integers distances tie; SciPy counts a tie as half, too."""
    rng = torch.Generator().manual_seed(0)
    training, real, fake = (
        torch.randint(0, high, (200, 2), generator=rng).float() for high in (12, 16, 20)
    )
    expected = by_scipy(real, fake, training)
    assert memorisation(real, fake, training=always(training)) == pytest.approx(expected)
    assert memorisation(real, real, training=always(training)) == 0.5


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_blocks_of_the_training_set(size: int) -> None:
    samples, training = normal(50, 5, 1), normal(size, 5)
    known, _ = cKDTree(training.double().numpy()).query(samples.double().numpy())
    np.testing.assert_allclose(nearest_distances(samples, training).numpy(), known, rtol=1e-6)


def test_images_with_a_bright_ground() -> None:
    """Norms far above the distances, as on MNIST, whose paper is -1 in every pixel."""
    training, samples = 0.1 * normal(3000, 784) - 1, 0.1 * normal(40, 784, 1) - 1
    samples[0] = training[1234]
    distances = nearest_distances(samples.reshape(-1, 1, 28, 28), training.reshape(-1, 1, 28, 28))
    known, _ = cKDTree(training.double().numpy()).query(samples.double().numpy())
    np.testing.assert_allclose(distances.numpy(), known, rtol=1e-5)
    assert distances[0] == 0


def test_held_out_distances_follow_the_content() -> None:
    """They are kept between calls; samples changed in place and other sets are not confused."""
    training, real, fake = normal(1000, 3), normal(200, 3, 1), normal(200, 3, 2)
    first, second = always(training), always(training[:20])
    before = memorisation(real, fake, training=first)
    assert memorisation(real, fake, training=second) == pytest.approx(
        by_scipy(real, fake, training[:20])
    )
    real += 5
    after = memorisation(real, fake, training=first)
    assert after == pytest.approx(by_scipy(real, fake, training), abs=1e-6)
    assert after > before + 0.3


def test_quantities_are_what_is_returned() -> None:
    assert QUANTITIES.keys() == {memorisation.__name__}
    value = memorisation(normal(9, seed=1), normal(8, seed=2), training=always(normal(10)))
    assert isinstance(value, float)
