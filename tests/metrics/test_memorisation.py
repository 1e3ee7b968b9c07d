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

from ganbench.metrics import _near, memorisation
from ganbench.metrics.memorisation import LIMIT, QUANTITIES, nearest_distances

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


def assert_exact(samples: Tensor, training: Tensor) -> None:
    """As far as float64 goes, and not as far as float32 does."""
    known, _ = cKDTree(training.double().numpy()).query(samples.double().numpy())
    np.testing.assert_allclose(nearest_distances(samples, training).numpy(), known, rtol=1e-12)


@pytest.mark.parametrize("d", [5, 12])
@pytest.mark.parametrize("size", [1, 4, 5, 31, 32, 33, 64, 100])
def test_blocks_of_the_training_set(monkeypatch: pytest.MonkeyPatch, size: int, d: int) -> None:
    for name, most in {"ROWS": 8, "EXACT_ROWS": 5, "COLUMNS": 32, "GROUP": 4}.items():
        monkeypatch.setattr(_near, name, most)
    assert_exact(normal(50, d, 1), normal(size, d))


def test_wide_rows_make_blocks_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_near, "CACHE", 20 * 30)
    assert_exact(normal(50, 30, 1), normal(200, 30))


@pytest.mark.parametrize("contrast", [0.1, 1e-3])
def test_images_with_a_bright_ground(contrast: float) -> None:
    """Norms far above the distances, as on MNIST, whose paper is -1 in every pixel."""
    training, samples = contrast * normal(3000, 784) - 1, contrast * normal(40, 784, 1) - 1
    samples[0] = training[1234]
    assert_exact(samples, training)
    images = samples.view(-1, 1, 28, 28), training.view(-1, 1, 28, 28)
    assert nearest_distances(*images)[0] == 0


@pytest.mark.parametrize("gap", [1e-3, 1e-5])
def test_training_samples_that_float32_cannot_tell_apart(gap: float) -> None:
    """Clusters of ten, far from one another: products see that one is near, and not which."""
    centers = 10 * normal(30, 64)
    training = (centers[:, None].double() + gap * normal(300, 64, 1).view(30, 10, 64)).flatten(0, 1)
    samples = centers.double() + gap * normal(30, 64, 2)
    assert_exact(samples, training)
    assert (nearest_distances(training[::7], training) == 0).all()


def test_training_set_of_one_sample_again_and_again() -> None:
    training, samples = normal(1, 64).expand(500, 64), normal(20, 64, 1)
    samples[3] = training[0]
    assert_exact(samples, training)


def test_samples_count_as_given() -> None:
    """A float64 copy is one, and what lies 1e-12 beside it is not."""
    training, real = normal(300, 3).double() / 3, normal(100, 3, 1).double()
    assert memorisation(real, training[:50], training=always(training)) == 1
    assert float(nearest_distances(training[:1] + 1e-12, training)) == pytest.approx(
        math.sqrt(3) * 1e-12, rel=1e-3
    )
    beside = memorisation(training[:50] + 1e-12, training[50:90], training=always(training))
    assert beside == 1


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
