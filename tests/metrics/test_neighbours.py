"""Precision, recall, density, coverage: known laws, and the code of prdc and torch-fidelity."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from scipy import stats
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from ganbench.errors import InputError
from ganbench.metrics import _near, neighbours, precision_recall

SIZES = [(127, 128), (300, 257), (513, 700), (7, 8)]  # around the blocks of 128 rows


def normal(n: int, d: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=rng, dtype=torch.float64)


def pair(m: int, n: int, d: int) -> tuple[Tensor, Tensor]:
    return normal(m, d, m + d), 1.1 * normal(n, d, n + d + 1) + 0.2


def prdc(real: Tensor, fake: Tensor, k: int) -> dict[str, float]:
    expected = compute_prdc(real.double().numpy(), fake.double().numpy(), k)
    return pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize("d", [1, 8, 9, 64])
@pytest.mark.parametrize("k", [1, 5])
def test_all_four_are_those_of_prdc(m: int, n: int, d: int, k: int) -> None:
    """Its balls are open, ours closed: random numbers have no ties, so this makes no difference."""
    real, fake = pair(m, n, d)
    assert precision_recall(real, fake, k=k) == prdc(real, fake, k)


@pytest.mark.slow
@pytest.mark.parametrize("m", [31, 32, 33, 64, 65, 100])
@pytest.mark.parametrize("n", [32, 47])
@pytest.mark.parametrize("k", [1, 5, 29])
def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch, m: int, n: int, k: int) -> None:
    for name, size in {"ROWS": 8, "EXACT_ROWS": 5, "COLUMNS": 32, "GROUP": 4}.items():
        monkeypatch.setattr(_near, name, size)
    real, fake = pair(m, n, 12)
    assert precision_recall(real, fake, k=k) == prdc(real, fake, k)
    assert precision_recall(fake, real, k=k) == prdc(fake, real, k)


@pytest.mark.slow
def test_long_rows_make_blocks_short(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = pair(50, 40, 12)
    for name, numbers in (("CACHE", 1), ("CACHE", 300), ("NUMBERS", 1), ("NUMBERS", 100)):
        monkeypatch.setattr(_near, name, numbers)
        assert precision_recall(real, fake) == prdc(real, fake, 5)


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize("d", [2, 64])
@pytest.mark.parametrize("k", [3, 5])
def test_precision_and_recall_are_those_of_torch_fidelity(
    torch_fidelity: ModuleType, m: int, n: int, d: int, k: int
) -> None:
    """Its balls are closed as ours are; k is 3 there by default, and the fakes come first.

    It counts a sample as its own nearest neighbour and then takes the (k + 1)-th, compares
    distances, not their squares, and averages in float32.
    """
    real, fake = pair(m, n, d)
    metric = torch_fidelity.metric_prc
    ours = precision_recall(real, fake, k=k)
    for calculate in (
        metric.calculate_precision_recall_full,
        metric.calculate_precision_recall_part,
    ):
        theirs = calculate(fake, real, neighborhood=k, batch_size=100)
        assert (ours["precision"], ours["recall"]) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("d", [2, 64])
@pytest.mark.parametrize("k", [1, 5, 200])
def test_radii_are_those_of_scikit_learn(d: int, k: int) -> None:
    samples = normal(300, d, 0)
    distances, _ = NearestNeighbors(n_neighbors=k).fit(samples.numpy()).kneighbors()
    squared = _near.reach(samples, _near.common_center(samples, samples), k)
    assert squared.numpy() == pytest.approx(distances[:, -1] ** 2, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("place", [0.5, 2.0])
def test_by_hand(place: float) -> None:
    """Real balls are [-1, 1], [0, 2] and [1, 5]: either place lies in two, 2 on the edge of one."""
    real, fake = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[place], [10.0]])
    expected = {"precision": 0.5, "recall": 1.0, "density": 1.0, "coverage": 2 / 3}
    assert precision_recall(real, fake, k=1) == pytest.approx(expected)


@pytest.mark.parametrize("d", [2, 16])
@pytest.mark.parametrize(("m", "n"), [(300, 300), (300, 200)])
def test_expectations_for_equal_laws(d: int, m: int, n: int) -> None:
    """A ball has k/m of the mass on average, so E density = 1; E coverage is Naeem et al.'s.

    That is 1 - 2^-k for many samples, whatever the law.
    """
    k = 5
    runs = [precision_recall(normal(m, d, 2 * i), normal(n, d, 2 * i + 1), k=k) for i in range(20)]
    missed = math.prod((m - i) / (m + n - i) for i in range(1, k + 1))
    for name, known in {"density": 1.0, "coverage": 1 - missed}.items():
        values = [run[name] for run in runs]
        assert np.mean(values) == pytest.approx(known, abs=5 * stats.sem(values))
        assert stats.sem(values) < 0.03
    assert m != n or missed == pytest.approx(2**-k, rel=0.05)


def test_collapse_costs_recall() -> None:
    """Fakes of one of two clusters; a public tool has had precision and recall swapped."""
    far = torch.tensor([50.0, 0.0])
    real = torch.cat((normal(400, 2, 0), normal(400, 2, 1) + far))
    values = precision_recall(real, normal(800, 2, 2))
    assert values["precision"] > 0.95
    assert 0.45 < values["recall"] <= 0.5
    assert 0.45 < values["coverage"] <= 0.5


def test_dispersion_costs_precision() -> None:
    values = precision_recall(normal(500, 8, 0), 6 * normal(500, 8, 1))
    assert values["precision"] < 0.1
    assert values["recall"] > 0.95
    assert values["density"] < 0.1


def test_swapped_samples_swap_precision_and_recall() -> None:
    real, fake = pair(300, 200, 16)
    there, back = precision_recall(real, fake), precision_recall(fake, real)
    assert (there["precision"], there["recall"]) == (back["recall"], back["precision"])
    assert there["precision"] != there["recall"]


@pytest.mark.parametrize("d", [1, 8, 9, 64, 2352])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_copies_lie_in_the_ball_of_one_another(d: int, shift: float) -> None:
    """The n-th copy is as near as the first: balls of radius 0, and all points within them."""
    points = (normal(2, d, 0) + shift).float()
    one, two = points[:1].expand(150, -1), points.repeat(75, 1)
    perfect = {"precision": 1.0, "recall": 1.0, "coverage": 1.0}
    assert precision_recall(one, one[:140]) == perfect | {"density": 150 / 5}
    assert precision_recall(two, two[:140]) == perfect | {"density": 75 / 5}
    half = {"precision": 1.0, "recall": 0.5, "coverage": 0.5, "density": 75 / 5}
    assert precision_recall(two, one) == half
    back = {"precision": 0.5, "recall": 1.0, "coverage": 1.0, "density": 75 / 5}
    assert precision_recall(one, two) == back


@pytest.mark.parametrize("d", [2, 64, 784])
def test_fakes_that_are_the_real_samples(d: int) -> None:
    """Each ball holds its centre and the k nearest, the last of them on its edge."""
    real = normal(300, d, 0)
    expected = {"precision": 1.0, "recall": 1.0, "density": 6 / 5, "coverage": 1.0}
    assert precision_recall(real, real.flip(0)) == expected


@pytest.mark.parametrize("d", [2, 64])
def test_precision_of_the_input_does_not_matter(d: int) -> None:
    real, fake = (side.float() for side in pair(200, 150, d))
    values = precision_recall(real, fake)
    assert values == precision_recall(real.double(), fake.double())
    assert values == precision_recall(real, fake.double())
    assert values == prdc(real, fake, 5)


def test_images_count_as_rows() -> None:
    real, fake = pair(50, 60, 12)
    images = real.view(50, 3, 2, 2), fake.view(60, 3, 2, 2)
    assert precision_recall(*images) == precision_recall(real, fake)


@pytest.mark.parametrize(("m", "n", "k"), [(10, 9, 0), (10, 9, -1), (10, 5, 5), (5, 9, 7)])
def test_k_that_the_samples_cannot_have(m: int, n: int, k: int) -> None:
    with pytest.raises(InputError, match=rf"^k must be from 1 to {min(m, n) - 1}, .* got {k}$"):
        precision_recall(*pair(m, n, 2), k=k)


def test_other_input_is_refused() -> None:
    real, fake = pair(20, 20, 2)
    with pytest.raises(InputError, match="equally wide"):
        precision_recall(real, fake[:, :1])
    with pytest.raises(InputError, match="NaN"):
        precision_recall(real, fake / 0)


def test_quantities_are_what_is_returned() -> None:
    values = precision_recall(*pair(20, 20, 2))
    assert values.keys() == neighbours.QUANTITIES.keys()
    assert all(isinstance(value, float) for value in values.values())


@pytest.mark.parametrize("kind", ["clustered", "far", "float32", "dense"])
def test_products_and_differences_say_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products show what may be near; where float32 cannot tell, differences must."""
    real, fake = pair(400, 350, 24)
    if kind == "clustered":  # radii far below what float32 resolves at this distance from 0
        fake = 1e-5 * fake + 3
    elif kind == "far":
        real, fake = real + 1e6, fake + 1e6
    elif kind == "float32":
        real, fake = real.float(), fake.float()
    else:
        fake = 0.05 * fake
    values = precision_recall(real, fake)
    monkeypatch.setattr(_near, "NARROW", 24)
    assert values == precision_recall(real, fake)


def test_bounds_are_below_the_distances_and_near_them() -> None:
    x, y = pair(300, 200, 64)
    center = _near.common_center(x, y)
    bounds = (_near._left(x, center) @ _near._right(y, center).T).double()
    squared = torch.cdist(x, y).square()
    assert (bounds <= squared).all()
    assert (bounds >= squared - 1e-3 * squared.max()).all()


def test_numbers_too_large_for_products() -> None:
    real, fake = pair(60, 50, 12)
    assert precision_recall(1e25 * real, 1e25 * fake) == precision_recall(real, fake)
