"""Triples of digits: known counts, SciPy, and digits whose labels are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ganbench import data
from ganbench.classifier import features_and_probabilities, scaled
from ganbench.errors import InputError
from ganbench.images import all_images
from ganbench.metrics import frechet, stacked, stacked_counts, stacked_images


def labels() -> Tensor:
    mnist = data.load("mnist")
    return torch.from_numpy(np.concatenate([mnist.train_labels, mnist.test_labels])).long()


def places(n: int, seed: int) -> Tensor:
    return torch.randint(70_000, (n, 3), generator=torch.Generator().manual_seed(seed))


def images(chosen: Tensor) -> Tensor:
    return scaled(all_images("mnist")[chosen.flatten().numpy()]).view(-1, 3, 28, 28)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "known", "margin"), [(26_000, 0.0239, 0.0008), (10_000, 0.056, 0.002)]
)
def test_floor_of_a_perfect_sampler(n: int, known: float, margin: float) -> None:
    found = [stacked_counts(labels()[places(n, seed)]) for seed in range(20)]
    divergence = [values["stacked_kl"] for values in found]
    assert np.mean(divergence) == pytest.approx(known, abs=margin)
    share = torch.bincount(labels()) / 70_000
    of_the_digits = 3 * stats.entropy(share, np.full(10, 0.1))
    due = of_the_digits + 999 / (2 * n)  # Miller and Madow's bias, up to a thirtieth
    assert np.mean(divergence) == pytest.approx(due, rel=1 / 30, abs=4 * stats.sem(divergence))
    assert min(values["stacked_modes"] for values in found) >= 999


def test_one_triple() -> None:
    values = stacked_counts(torch.tensor([[3, 1, 4]]).expand(500, 3))
    assert values == {"stacked_modes": 1, "stacked_kl": pytest.approx(math.log(1000))}


def test_all_triples_alike_and_half_of_them() -> None:
    every = torch.cartesian_prod(*[torch.arange(10)] * 3)
    values = stacked_counts(every.repeat(2, 1))
    assert values == {"stacked_modes": 1000, "stacked_kl": pytest.approx(0, abs=1e-12)}
    half = stacked_counts(every[:500])
    assert half == {"stacked_modes": 500, "stacked_kl": pytest.approx(math.log(2))}


def test_order_of_the_channels_matters() -> None:
    orders = torch.tensor([[1, 2, 3], [3, 2, 1], [2, 1, 3], [1, 2, 3]])
    assert stacked_counts(orders)["stacked_modes"] == 3


def test_divergence_is_that_of_scipy_and_not_the_other_way_round() -> None:
    """Where triples are missing, KL(uniform || shares) would be infinite."""
    rng = torch.Generator().manual_seed(0)
    classes = (10 * torch.rand(5_000, 3, generator=rng).square()).long()
    _, counts = np.unique(classes.numpy(), axis=0, return_counts=True)
    share = np.zeros(1000)
    share[: len(counts)] = counts / 5_000
    values = stacked_counts(classes)
    assert values["stacked_modes"] == len(counts) < 1000
    assert values["stacked_kl"] == pytest.approx(stats.entropy(share, np.full(1000, 1e-3)))


def test_each_channel_is_classified_by_itself() -> None:
    chosen = places(500, 1)
    features, classes = stacked.features_and_classes(images(chosen), "mnist")
    assert features.shape == (500, 192)
    assert (classes == labels()[chosen]).double().mean() > 0.99
    middle, _ = features_and_probabilities(images(chosen)[:, 1], "mnist")
    assert torch.allclose(features[:, 64:128], middle, atol=1e-4)


@pytest.mark.slow
def test_distance_is_of_all_channels_together() -> None:
    """Digits that are the same in every channel have the right law in each, and another in all."""
    real, fake = images(places(700, 1)), images(places(700, 2)[:, :1].expand(-1, 3))
    parts = [
        features_and_probabilities(side[:, c], "mnist")[0]
        for side in (real, fake)
        for c in range(3)
    ]
    known = frechet(torch.cat(parts[:3], dim=1), torch.cat(parts[3:], dim=1))
    values = stacked_images(real, fake)
    assert values["frechet"] == pytest.approx(known, rel=1e-4)
    assert values["frechet"] > 3 * stacked_images(real, images(places(700, 3)))["frechet"]
    assert values["stacked_modes"] <= 20
    assert values["stacked_kl"] > math.log(1000 / 20)


def test_quantities_are_what_is_returned() -> None:
    real, fake = images(places(60, 1)), images(places(50, 2))
    values = stacked_images(real, fake)
    assert list(values) == ["frechet", *stacked.QUANTITIES]
    assert all(isinstance(value, float) for value in values.values())
    assert stacked_images(real.flatten(1), fake.flatten(1)) == values


@pytest.mark.parametrize("shape", [(9, 1, 28, 28), (6, 784), (4, 3, 28, 27)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"3 x 28 x 28 = 2352 values, got shape \("):
        stacked_images(torch.zeros(shape), torch.zeros(shape))
