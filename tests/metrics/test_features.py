"""Distances in features: known values, SciPy, scikit-learn and torch-fidelity."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy import linalg, stats
from sklearn.metrics.pairwise import polynomial_kernel
from torch import Tensor

from ganbench.metrics import (
    class_kl,
    classifier_score,
    features,
    frechet,
    image_features,
    kid,
    neighbours,
)
from ganbench.metrics.features import classified_once

SIZES = [(511, 513), (600, 300), (1100, 40), (3, 2)]  # around the blocks of 512


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def pair(m: int, n: int, d: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(m + n + d)
    real, fake = (torch.randn(k, d, generator=rng) for k in (m, n))
    return real @ torch.randn(d, d, generator=rng), fake @ torch.randn(d, d, generator=rng) + 0.5


def with_moments(mean: list[float], covariance: list[list[float]]) -> Tensor:
    """2d points that have exactly this mean and this (n - 1) covariance, in float64."""
    target = torch.tensor(covariance, dtype=torch.float64)
    root = torch.linalg.cholesky(target) * math.sqrt((2 * len(mean) - 1) / 2)
    return torch.cat([root.T, -root.T]) + torch.tensor(mean)


def one_hot(counts: list[int]) -> Tensor:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return torch.nn.functional.one_hot(labels, len(counts)).float()


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d"), [(300, 8), (700, 64), (65, 64), (300, 128), (300, 129)])
def test_frechet_and_kid_are_those_of_torch_fidelity(
    torch_fidelity: ModuleType, n: int, d: int
) -> None:
    """From features. Its KID is a mean over random subsets; here of one subset, of all samples.

    The last case has about as many samples as features, where covariances are nearly singular.
    """
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    real = normal(n, d, 0).double() @ normal(d, d, 1).double()
    fake = normal(n, d, 2).double() @ normal(d, d, 3).double() + 0.5
    statistics = (fid_features_to_statistics(side) for side in (real, fake))
    fid = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    subset = {"kid_subsets": 1, "kid_subset_size": n, "verbose": False}
    theirs = kid_features_to_metric(real, fake, **subset)["kernel_inception_distance_mean"]
    assert frechet(real, fake) == pytest.approx(fid, rel=1e-6)
    assert kid(real, fake) == pytest.approx(theirs, rel=1e-9)


def test_classifier_score_is_the_inception_score_of_torch_fidelity(
    torch_fidelity: ModuleType,
) -> None:
    """It takes logits, and ten splits by default where ours takes none."""
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = 3 * normal(300, 10, 0).double()
    theirs = isc_features_to_metric(logits, splits=1)["inception_score_mean"]
    probabilities = logits.softmax(1)
    assert classifier_score(probabilities, probabilities) == pytest.approx(theirs, rel=1e-9)


def test_frechet_of_gaussians_whose_covariances_commute() -> None:
    """Then it is |m1 - m2|^2 plus the squared differences of the standard deviations."""
    real = with_moments([0, 0], [[4, 0], [0, 9]])
    fake = with_moments([1, -2], [[1, 0], [0, 25]])
    assert frechet(real, fake) == pytest.approx(1 + 4 + (2 - 1) ** 2 + (3 - 5) ** 2)


def test_frechet_of_gaussians_whose_covariances_do_not_commute() -> None:
    """In the plane tr (C1 C2)^(1/2) is sqrt(tr C1 C2 + 2 sqrt(det C1 C2)): asymmetric product."""
    first, second = [[2.0, 1.0], [1.0, 3.0]], [[5.0, -2.0], [-2.0, 1.0]]
    product = np.array(first) @ np.array(second)
    cross = math.sqrt(np.trace(product) + 2 * math.sqrt(np.linalg.det(product)))
    known = 0.25 + (2 + 3) + (5 + 1) - 2 * cross
    real, fake = with_moments([0, 0], first), with_moments([0, 0.5], second)
    assert frechet(real, fake) == pytest.approx(known)
    assert frechet(fake, real) == pytest.approx(known)


@pytest.mark.parametrize(("m", "n", "d"), [(400, 500, 6), (300, 200, 64)])
def test_frechet_by_a_matrix_square_root(m: int, n: int, d: int) -> None:
    real, fake = pair(m, n, d)
    x, y = real.double().numpy(), fake.double().numpy()
    c1, c2 = np.cov(x.T), np.cov(y.T)
    root = linalg.sqrtm(c1 @ c2)
    known = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(c1 + c2 - 2 * np.real(root))
    assert frechet(real, fake) == pytest.approx(known, rel=1e-6)


def test_frechet_where_covariances_are_singular() -> None:
    """Fewer samples than features, and collapse to one point: no NaN, nothing below 0."""
    real = normal(500, 20, 0)
    collapsed = torch.zeros(500, 20)
    spread = float(torch.cov(real.double().T).trace())
    known = float(real.double().mean(0).square().sum()) + spread
    assert frechet(real, collapsed) == pytest.approx(known, rel=1e-6)
    few = normal(10, 20, 1)
    assert frechet(few, few) == pytest.approx(0, abs=1e-6)
    assert frechet(real, few) == pytest.approx(frechet(few, real), rel=1e-6)


def test_frechet_of_equal_laws_falls_with_the_sample() -> None:
    values = [frechet(normal(n, 16, 1), normal(n, 16, 2)) for n in (100, 1000, 10_000)]
    assert values[0] > values[1] > values[2] > 0
    assert values[2] < 0.05


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize("d", [2, 64])
def test_kid_is_the_unbiased_formula(m: int, n: int, d: int) -> None:
    real, fake = pair(m, n, d)
    x, y = real.double().numpy(), fake.double().numpy()
    xx, yy, xy = (
        polynomial_kernel(*sides, degree=3, gamma=1 / d, coef0=1)
        for sides in ((x, x), (y, y), (x, y))
    )
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (xx, yy)]
    assert kid(real, fake) == pytest.approx(sum(within) - 2 * xy.mean(), rel=1e-9)


def test_kid_of_two_points() -> None:
    """Kernels of (x.y + 1)^3 on the line: 27 within the fakes (2 of 2), 1 to and among zeros."""
    assert kid(torch.zeros(5, 1), torch.full((3, 1), math.sqrt(2))) == pytest.approx(27 - 1)


def test_kid_is_zero_on_average_for_equal_laws() -> None:
    values = [kid(normal(100, 4, 2 * i), normal(120, 4, 2 * i + 1)) for i in range(100)]
    assert abs(np.mean(values)) < 4 * stats.sem(values)
    assert min(values) < 0 < max(values)


def test_classifier_score_of_known_cases() -> None:
    real = one_hot([1] * 10)
    assert classifier_score(real, one_hot([7] * 10)) == pytest.approx(10)
    assert classifier_score(real, one_hot([70] + [0] * 9)) == pytest.approx(1)
    assert classifier_score(real, torch.full((50, 10), 0.1)) == pytest.approx(1)
    assert classifier_score(real, one_hot([30, 30] + [0] * 8)) == pytest.approx(2)


def test_class_kl_of_known_cases() -> None:
    balanced = one_hot([100] * 10)
    assert class_kl(balanced, balanced) == 0
    assert class_kl(balanced, one_hot([1000] + [0] * 9)) == pytest.approx(math.log(10), rel=0.05)
    known = 0.1 * math.log(1010 / 1001 / 10) + 0.9 * math.log(1010 / 10)  # nine that real lacks
    assert class_kl(one_hot([1000] + [0] * 9), balanced) == pytest.approx(known)


def test_class_kl_against_scipy_and_its_asymmetry() -> None:
    real, fake = [300, 100, 50, 0], [50, 20, 200, 600]
    p, q = (np.array(counts) + 1.0 for counts in (real, fake))
    value = class_kl(one_hot(real), one_hot(fake))
    assert value == pytest.approx(stats.entropy(q, p))
    assert value != pytest.approx(stats.entropy(p, q), rel=0.1)


@pytest.fixture(scope="module")
def digits() -> Callable[[int], Tensor]:
    """Things that the classifier takes for digits: nothing is downloaded for these tests."""

    def draw(seed: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        coarse = torch.rand(400, 1, 7, 7, generator=rng)
        smooth = torch.nn.functional.interpolate(coarse, size=(28, 28), mode="bilinear")
        return (6 * smooth - 4).clamp(-1, 1)

    return draw


def test_images_flat_or_square(digits: Callable[[int], Tensor]) -> None:
    real, fake = digits(0), digits(1)
    values = image_features(real, fake, name="mnist")
    assert image_features(real.flatten(1), fake.flatten(1), name="mnist") == values


def test_images_of_equal_laws_are_nearer_than_noise(digits: Callable[[int], Tensor]) -> None:
    real = digits(0)
    equal = image_features(real, digits(1), name="mnist")
    noise = image_features(real, 2 * torch.rand(400, 784) - 1, name="mnist")
    assert abs(equal["kid"]) < 0.1 * noise["kid"]
    assert equal["frechet"] < 0.1 * noise["frechet"]
    same = image_features(real, real, name="mnist")
    assert same["frechet"] == pytest.approx(0, abs=1e-6 * noise["frechet"])
    assert same["class_kl"] == 0


class Counted:
    """A classifier that counts what it is asked."""

    calls = 0

    def __call__(self, images: Tensor, name: str) -> tuple[Tensor, Tensor]:
        self.calls += 1
        return images.double(), torch.full((1,), len(name))


def test_the_same_real_sample_is_classified_once() -> None:
    classify, real = Counted(), normal(50, 3, 0)
    first = classified_once(classify, real, "mnist")
    again = classified_once(classify, real, "mnist")
    assert classify.calls == 1
    assert first[0] is again[0] and torch.equal(first[0], real.double())


def change_in_place(real: Tensor) -> None:
    real[0] += 1


def change_through_numpy(real: Tensor) -> None:
    real.numpy()[7, 1] = 0.5


def change_data(real: Tensor) -> None:
    real.data.mul_(2)


@pytest.mark.parametrize("change", [change_in_place, change_through_numpy, change_data])
def test_changed_real_sample_is_classified_anew(change: Callable[[Tensor], None]) -> None:
    classify, real = Counted(), normal(50, 3, 0)
    classified_once(classify, real, "mnist")
    change(real)
    assert torch.equal(classified_once(classify, real, "mnist")[0], real.double())
    assert classify.calls == 2


def test_no_other_sample_classifier_or_data_set_is_taken_for_it() -> None:
    classify, real = Counted(), normal(50, 3, 0)
    classified_once(classify, real, "mnist")
    for other in (real.clone(), real[:], real[:20]):
        assert torch.equal(classified_once(classify, other, "mnist")[0], other.double())
    assert classify.calls == 4
    assert classified_once(classify, real, "fashion_mnist")[1] == len("fashion_mnist")
    second = Counted()
    classified_once(second, real, "fashion_mnist")
    assert (classify.calls, second.calls) == (5, 1)


@pytest.mark.slow
def test_features_go_with_their_sample() -> None:
    gc.collect()
    before = len(features._classified)
    real = normal(50, 3, 0)
    classified_once(Counted(), real, "mnist")
    assert len(features._classified) == before + 1
    del real
    gc.collect()
    assert len(features._classified) == before


def test_sample_that_counts_no_changes_is_classified_each_time() -> None:
    classify = Counted()
    with torch.inference_mode():
        real = normal(50, 3, 0)
    classified_once(classify, real, "mnist")
    classified_once(classify, real, "mnist")
    assert classify.calls == 2


def test_quantities_are_what_is_returned(digits: Callable[[int], Tensor]) -> None:
    values = image_features(digits(0), digits(1), name="mnist")
    assert list(values) == [*features.QUANTITIES, *neighbours.QUANTITIES]
    assert all(isinstance(value, float) for value in values.values())
