"""Every bundled task keeps its contract; its moments, density and bounds are the true ones."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from sklearn.datasets import make_swiss_roll
from torch import Tensor

from ganbench import bounds, data, registry
from ganbench.classifier import features_and_probabilities
from ganbench.core import Task
from ganbench.env import Env
from ganbench.errors import InputError
from ganbench.randomness import generator
from ganbench.scoring import SPENT, VIEWS
from ganbench.system import files

DRAWS = 200_000
WIDE_DRAWS = 10_000  # of a task of a hundred dimensions or more
Z = 5.5  # standard errors; a sine task compares 2,080 covariances at once
MODES = {
    "ring8": 8,
    "grid25": 25,
    "ring8_wide": 8,
    "ring8_rare": 8,
    "grid25_rare": 25,
    "mixture16": 25,
    "mixture64": 25,
    "veegan1200": 10,
}
# The first digits of the SHA-256 of centres that are drawn.
CENTERS = {"mixture16": "c05ba80c246016c7", "mixture64": "150b2d08f2050c13"}
# Shares and counts of samples on this side of a line: one sample may change sides.
COUNTED = ("high_quality", "sine_fitted", "curve_x_ks", "sine_b_ks", "sine_c_ks")
IMAGES = ["fashion_mnist", "mnist"]  # collected
STACKED = "stacked_mnist"  # drawn from collected ones: as wide as exact, with tests of its own
POINT = "dirac"  # all of its samples are one: it has one view, and nothing to divide by
DRAWN = "polygons"  # an image, with tests of its own: its moments are its training set's
INEXACT = (*IMAGES, STACKED, POINT, DRAWN)
EXACT = [name for name in registry.names("tasks") if name not in INEXACT]


@functools.cache
def draws(name: str) -> Tensor:
    task = registry.load_task(name)
    n = DRAWS if task.width < 100 else WIDE_DRAWS
    return task.sample(n, torch.Generator().manual_seed(1)).flatten(1).double()


def frozen(name: str) -> dict:
    path = registry.find("tasks", name).with_suffix(".json")
    return json.loads(path.read_text(encoding="utf-8"))


def grid(low: Tensor, high: Tensor, count: int) -> tuple[Tensor, float]:
    """Midpoints of count x count cells of a box in the plane, and the area of one."""
    steps = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    x, y = (low[i] + (high[i] - low[i]) * steps for i in (0, 1))
    return torch.cartesian_prod(x, y), float((high - low).prod()) / count**2


def log_density_on_grid(task: Task) -> tuple[Tensor, float]:
    """Log-densities at midpoints of cells that cover the task's whole mass, and a cell's area."""
    assert task.log_density is not None
    if task.name == "checkerboard":  # cells of 0.02, so that edges lie on cells' edges
        points, area = grid(torch.tensor([-5.0, -5.0]), torch.tensor([5.0, 5.0]), 500)
    elif task.modes is None:
        reach = 8 * task.scale.double()
        points, area = grid(task.mean - reach, task.mean + reach, 800)
    else:
        centers, reach = task.modes.centers.double(), 7 * task.modes.sigma
        boxes = [grid(c - reach, c + reach, 120) for c in centers]
        points, area = torch.cat([box for box, _ in boxes]), boxes[0][1]
    return task.log_density(points), area


def with_density() -> list[str]:
    """Those in the plane, where it can be integrated."""
    tasks = [registry.load_task(name) for name in registry.names("tasks")]
    return [task.name for task in tasks if task.log_density is not None and task.width == 2]


@pytest.mark.slow
def test_name_and_samples(task_name: str, task: Task, rng: torch.Generator) -> None:
    assert task.name == task_name
    samples = task.sample(100, rng)
    assert samples.shape == (100, *task.shape)
    assert samples.dtype == torch.float32
    assert torch.isfinite(samples).all()
    assert len(samples.unique(dim=0)) == (1 if task_name == POINT else 100)


def test_same_rng_same_bits(task: Task) -> None:
    first = task.sample(300, torch.Generator().manual_seed(7))
    again = task.sample(300, torch.Generator().manual_seed(7))
    other = task.sample(300, torch.Generator().manual_seed(8))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (task.name == POINT)


@pytest.mark.slow
def test_global_streams_are_left_alone(task: Task, rng: torch.Generator) -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    task.sample(100, rng)
    task.evaluate(task.reference[:64], task.reference[64:128])
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_mean_is_exact(name: str) -> None:
    task, found = registry.load_task(name), draws(name)
    assert task.mean is not None and task.mean.dtype == torch.float64
    error = found.std(0) / math.sqrt(len(found))
    assert ((found.mean(0) - task.mean).abs() < Z * error).all()
    assert torch.equal(task.center, task.mean.float())


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_covariance_is_exact(name: str) -> None:
    task = registry.load_task(name)
    assert task.covariance is not None
    centered = draws(name) - task.mean
    n = len(centered)
    assert torch.allclose(task.covariance, task.covariance.T, rtol=1e-12)
    estimate = centered.T @ centered / n
    spread = (centered.square().T @ centered.square() / n - estimate.square()).sqrt()
    assert ((estimate - task.covariance).abs() < Z * spread / math.sqrt(n)).all()
    assert torch.allclose(task.scale.double().square(), task.covariance.diagonal(), rtol=1e-5)


def test_a_point_s_position_is_by_the_distance_where_its_game_starts() -> None:
    task = registry.load_task(POINT)
    assert not task.reference.any() and not any(each.any() for each in task.moments)
    assert torch.equal(task.scale, torch.ones(1)) and torch.equal(task.center, torch.zeros(1))
    for value, score in ((0.0, 1.0), (-0.25, 0.75), (1.0, 0.0), (-2.0, -0.5)):
        fake = torch.full((8, 1), value)
        assert task.score(task.evaluate(task.reference, fake)) == pytest.approx(score)


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_dealt_from_all_of_the_training_set(name: str) -> None:
    task = registry.load_task(name)
    assert task.is_images and task.training_set is not None
    pool = task.training_set()
    assert pool.shape == (60_000, 1, 28, 28)
    assert (float(pool.min()), float(pool.max())) == (-1, 1)
    env = Env(task, budget=task.budget.reduced("smoke"))
    real, _ = env.reset(seed=3)
    assert real.shape == (25, 128, 1, 28, 28)
    rng = generator(3, "data", 0)
    assert torch.equal(real.flatten(0, 1), pool[torch.randint(60_000, (3200,), generator=rng)])
    assert torch.equal(task.center, torch.zeros(784)) and torch.equal(task.scale, torch.ones(784))


@pytest.mark.parametrize("name", IMAGES)
def test_reference_and_samples_are_test_images_apart(name: str, rng: torch.Generator) -> None:
    """All 10,000 together, each once but for the few that the data set holds twice."""
    task = registry.load_task(name)
    reference, others = task.reference, task.sample(5_904, rng)
    assert reference.shape == (4096, 1, 28, 28)
    ours = torch.cat([reference, others]).flatten(1)
    bytes_ = torch.from_numpy(data.load(name).test_images).flatten(1)
    back = (ours * 127.5 + 127.5).round().to(torch.uint8)
    assert sorted(map(bytes, back.numpy())) == sorted(map(bytes, bytes_.numpy()))


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGES)
def test_moments_of_images_are_the_training_set_s(name: str) -> None:
    task = registry.load_task(name)
    assert task.training_set is not None
    mean, covariance = task.moments
    flat = task.training_set().flatten(1)
    assert torch.allclose(mean.float(), flat.mean(0), atol=1e-4)
    assert torch.allclose(covariance.diagonal().float(), flat.var(0), atol=1e-4)


@pytest.mark.parametrize("name", IMAGES)
def test_labels_of_images_are_the_data_set_s(name: str) -> None:
    """Those too that the classifier takes for others, which it is asked of other images alone."""
    task, images = registry.load_task(name), data.load(name)
    assert task.training_set is not None and task.label is not None
    first = slice(5_000)
    real, labels = task.training_set()[first], torch.from_numpy(images.train_labels[first])
    likeliest = features_and_probabilities(real, name)[1].argmax(1)
    assert 0 < int((likeliest != labels).sum()) < 500
    assert torch.equal(task.label(real), labels.long())
    assert sorted(
        task.label(task.reference).tolist()
        + task.label(task.sample(5_904, generator(0, "data", 0))).tolist()
    ) == sorted(images.test_labels.tolist())
    changed = real[:500].clone()
    changed[:, 0, 0, 0] = 1.0
    mixed = torch.cat([changed, real[:500]])
    expected = features_and_probabilities(changed, name)[1].argmax(1)
    assert torch.equal(task.label(mixed), torch.cat([expected, labels[:500]]).long())


@functools.cache
def labelled_digits() -> dict[bytes, tuple[int, int]]:
    """Each of the 70,000 images of digits with its place, training images first, and its label."""
    mnist = data.load("mnist")
    images = np.concatenate([mnist.train_images, mnist.test_images])
    labels = np.concatenate([mnist.train_labels, mnist.test_labels])
    return {image.tobytes(): (i, int(labels[i])) for i, image in enumerate(images)}


@pytest.mark.slow
def test_channels_of_stacked_images_are_digits_drawn_evenly_and_apart() -> None:
    task = registry.load_task(STACKED)
    pixels = (task.reference * 127.5 + 127.5).round().to(torch.uint8)
    known = labelled_digits()
    found = np.array([known[bytes(row)] for row in pixels.view(-1, 784).numpy()]).reshape(-1, 3, 2)
    assert len(found) == task.budget.evaluation_size == 26_000
    # Of the 70,000 places 67.2 % are due among 78,000 draws; a few images are there twice.
    assert len(np.unique(found[..., 0])) / 70_000 == pytest.approx(1 - math.exp(-78 / 70), abs=0.01)
    assert (found[..., 0] >= 60_000).mean() == pytest.approx(
        1 / 7, abs=Z * 0.35 / math.sqrt(78_000)
    )
    triples = np.ravel_multi_index(tuple(found[..., 1].T), (10, 10, 10))
    share = np.bincount([label for _, label in known.values()]) / len(known)
    due = np.multiply.outer(np.multiply.outer(share, share), share).ravel() * len(found)
    counts = np.bincount(triples, minlength=1_000)
    assert stats.chisquare(counts, due).pvalue > 0.001


def test_stacked_batches_are_fresh_and_in_their_own_units() -> None:
    task = registry.load_task(STACKED)
    assert task.is_images and task.draw_pool(3) is None
    env = Env(task, budget=task.budget.reduced("smoke"))
    real, _ = env.reset(seed=3)
    assert torch.equal(real.flatten(0, 1), task.sample(3_200, generator(3, "data", 0)))
    assert torch.equal(task.center, torch.zeros(2352)) and torch.equal(task.scale, torch.ones(2352))


@pytest.mark.slow
def test_moments_of_stacked_images_are_exact() -> None:
    task = registry.load_task(STACKED)
    mean, covariance = task.moments
    assert mean.dtype == covariance.dtype == torch.float64
    blocks = covariance.view(3, 784, 3, 784)
    for i, j in product(range(3), range(3)):
        expected = blocks[0, :, 0] if i == j else torch.zeros(784, 784)
        assert torch.equal(blocks[i, :, j], expected.double())
    rng, n = torch.Generator().manual_seed(0), len(task.reference)
    directions = torch.randn(2352, 50, generator=rng)
    projected = (task.reference.flatten(1) @ directions).double() - mean @ directions.double()
    variance = (directions.double() * (covariance @ directions.double())).sum(0)
    assert (projected.mean(0).abs() < Z * (variance / n).sqrt()).all()
    error = projected.square().std(0) / math.sqrt(n)
    assert ((projected.square().mean(0) - variance).abs() < Z * error).all()


@pytest.mark.parametrize("name", with_density())
def test_density_integrates_to_one(name: str) -> None:
    log_density, area = log_density_on_grid(registry.load_task(name))
    assert float(log_density.exp().sum()) * area == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", with_density())
def test_density_is_that_of_the_samples(name: str) -> None:
    """The entropy over samples is the entropy by integration."""
    task = registry.load_task(name)
    assert task.log_density is not None
    log_density, area = log_density_on_grid(task)
    entropy = -float(torch.xlogy(log_density.exp(), log_density.exp()).sum()) * area
    over_samples = -task.log_density(draws(name)[:20_000].float())
    assert torch.isfinite(over_samples).all()
    margin = 5 * float(over_samples.std()) / math.sqrt(20_000)
    assert float(over_samples.mean()) == pytest.approx(entropy, abs=margin + 1e-6)


def test_modes(task: Task) -> None:
    if task.name not in MODES:
        assert task.modes is None
        return
    assert task.modes is not None
    centers, sigma = task.modes.centers.double(), task.modes.sigma
    assert len(centers.unique(dim=0)) == len(centers) == MODES[task.name]
    distance, nearest = torch.cdist(draws(task.name), centers).min(dim=1)
    n, due = len(nearest), task.modes.due
    share = torch.bincount(nearest, minlength=len(centers)) / n
    assert float(due.sum()) == pytest.approx(1)
    assert ((share - due).abs() < Z * (due * (1 - due) / n).sqrt()).all()
    # d coordinates have deviation sigma: E r^2 = d sigma^2, of deviation sqrt(2 d) sigma^2.
    mean_square, d = float(distance.square().mean()) / sigma**2, task.modes.dimensions
    assert d == (700 if task.name == "veegan1200" else task.width)
    assert mean_square == pytest.approx(d, abs=Z * math.sqrt(2 * d / n))
    assert torch.equal(task.label(centers.float()), torch.arange(len(centers)))
    assert task.classes == len(centers)


@pytest.mark.parametrize("name", ["ring8_rare", "grid25_rare"])
def test_the_rarest_mode_is_a_hundred_times_rarer(name: str) -> None:
    modes = registry.load_task(name).modes
    due = modes.due.sort().values
    assert float(due[-1] / due[0]) == pytest.approx(100)
    steps = due[1:] / due[:-1]
    assert steps.tolist() == pytest.approx([100 ** (1 / len(steps))] * len(steps))
    if name == "grid25_rare":  # each quarter of the grid has common and rare ones
        ends = modes.centers.sign()
        for corner in product((-1, 1), repeat=2):
            inside = modes.due[(ends == torch.tensor(corner)).all(1)]
            assert float(inside.max() / inside.min()) > 2


@pytest.mark.parametrize("name", ["mixture16", "mixture64", "ring8_rare"])
def test_density_of_a_mixture_is_scipy_s(name: str) -> None:
    task = registry.load_task(name)
    points = task.sample(20, torch.Generator().manual_seed(0)).double()
    laws = [
        stats.multivariate_normal(center, task.modes.sigma**2)
        for center in task.modes.centers.double().numpy()
    ]
    parts = np.stack([law.logpdf(points.numpy()) for law in laws], 1)
    expected = logsumexp(parts + task.modes.due.log().numpy(), axis=1)
    assert task.log_density(points).numpy() == pytest.approx(expected, rel=1e-6)


def test_centres_never_change() -> None:
    """Bounds and results were measured with these, on whichever machine and NumPy."""
    for name, expected in CENTERS.items():
        modes = registry.load_task(name).modes
        assert modes is not None and modes.centers.dtype == torch.float32
        assert hashlib.sha256(modes.centers.numpy().tobytes()).hexdigest()[:16] == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixture16", "mixture64", "veegan1200"])
def test_modes_without_width_score_badly_in_many_dimensions(name: str) -> None:
    """Their centres lie in the balls of all real samples, and coverage thinks them varied."""
    task = registry.load_task(name)
    assert task.modes is not None and task.label is not None
    real = task.sample(task.budget.evaluation_size, torch.Generator().manual_seed(3))
    centers = task.modes.centers[task.label(real)]
    found = []
    for width in (0.001, 0.5, 1.0):
        values = task.evaluate(task.reference, centers + width * (real - centers))
        bound = task.bounds["precision"]
        assert values["precision"] > bound.floor - 4 * bound.noise
        assert values["modes_10pct"] == len(task.modes.due)
        found.append(task.score(values))
    assert found[0] < 0.35 < 0.9 < found[2] and found[0] < found[1] < 0.75


def test_flat_modes_are_constant_in_the_last_coordinates() -> None:
    task = registry.load_task("veegan1200")
    assert task.modes is not None and task.label is not None and task.log_density is None
    samples = task.sample(500, torch.Generator().manual_seed(0))
    centers = task.modes.centers[task.label(samples)]
    assert torch.equal(samples[:, 700:], centers[:, 700:])
    inner = (samples - centers)[:, :700]
    assert float(inner.std()) == pytest.approx(1, abs=0.01)
    assert float(task.evaluate(samples, samples)["high_quality"]) > 0.96


@pytest.mark.parametrize("name", ["ring8", "ring8_wide"])
def test_ring_has_eight_angles(name: str) -> None:
    modes = registry.load_task(name).modes
    assert modes is not None
    angles = torch.atan2(modes.centers[:, 1], modes.centers[:, 0]) % (2 * math.pi)
    eighths = (angles / (math.pi / 4)).round() % 8
    assert sorted(eighths.tolist()) == list(range(8))
    radius = 1.0 if name == "ring8" else 2 / 1.414
    assert modes.centers.norm(dim=1).tolist() == pytest.approx([radius] * 8, rel=1e-6)


def test_swiss_roll_is_that_of_scikit_learn() -> None:
    theirs, _ = make_swiss_roll(DRAWS, noise=0.25, random_state=0)
    other = torch.from_numpy(theirs[:, [0, 2]] / 7.5)
    ours = draws("swiss_roll")
    for power in (1, 2, 3):
        a, b = ours**power, other**power
        error = ((a.var(0) + b.var(0)) / DRAWS).sqrt()
        assert ((a.mean(0) - b.mean(0)).abs() < Z * error).all()
    a, b = ours.prod(1), other.prod(1)
    assert abs(a.mean() - b.mean()) < Z * ((a.var() + b.var()) / DRAWS).sqrt()


@pytest.mark.slow
def test_bounds_of_every_quantity(task: Task) -> None:
    values = task.evaluate(task.reference[:200], task.reference[200:400])
    # Of so few samples there are no figures at the published count, which is tried elsewhere.
    assert values.keys() == {name for name in task.bounds if not name.endswith("_2500")}
    directions = {**registry.directions(), **task.directions}
    for name, bound in task.bounds.items():
        assert bound.direction == directions[name]
        assert bound.noise >= 0
        assert math.isfinite(values.get(name, 0.0))


def test_the_views_tell_real_from_naive(task: Task) -> None:
    assert task.views.keys() == ({"distribution"} if task.name == POINT else VIEWS.keys())
    for bound in (task.bounds[name] for name in {task.tracked, *task.views.values()}):
        gap = bound.ceiling - bound.floor
        assert (gap if bound.direction == "lower" else -gap) > 10 * bound.noise
    floors = {name: task.bounds[name].floor for name in task.views.values()}
    assert task.score(floors) == 1
    assert task.score({name: task.bounds[name].ceiling for name in floors}) == 0


def test_bounds_are_of_this_source(task_name: str, task: Task) -> None:
    document = frozen(task_name)
    path = registry.find("tasks", task_name)
    assert document["source_sha256"] == files.file_sha256(path)
    assert document["version"] == task.version
    assert document["views"] == task.views
    assert document["budget"] == {name: getattr(task.budget, name) for name in SPENT}
    versions = registry.metric_versions()
    assert {k: each["version"] for k, each in document["metrics"].items()} == {
        name: versions.get(name, 1) for name in document["metrics"]
    }
    assert document["pairs"] == bounds.PAIRS == 20
    assert registry.is_unchanged(task_name)
    naive = {"gaussian": {"uniform"}, POINT: {"own"}}.get(task_name, {"uniform", "gaussian"})
    assert document["first_pair"].keys() == {"real", *naive}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaussian", "ring8", "sine"])
def test_frozen_bounds_can_be_measured_again(name: str) -> None:
    measured = bounds.measure_pair(registry.load_task(name), 0)
    document = frozen(name)["first_pair"]
    assert measured.keys() == document.keys()
    for sampler, values in document.items():
        assert measured[sampler].keys() == values.keys()
        for quantity, value in values.items():
            if quantity == "discriminator_p_value":
                continue  # that of the accuracy, which training may round differently
            absolute = 0.03 if quantity == "discriminator_accuracy" else 2e-6
            absolute = 5e-4 if quantity in COUNTED else absolute
            expected = pytest.approx(value, rel=1e-4, abs=absolute)
            assert measured[sampler][quantity] == expected, (sampler, quantity)


def test_shuffled_pool_deals_each_point_once_an_epoch() -> None:
    task = registry.load_task("gaussian")
    env = Env(task)
    real, _ = env.reset(seed=3)
    pool = task.sample(1_000, generator(3, "pool"))
    assert real.shape == (250, 4, 2)
    assert torch.equal(real.flatten(0, 1).unique(dim=0), pool.unique(dim=0))
    later, _ = env.reset(seed=3, round=4)
    assert torch.equal(later.flatten(0, 1).unique(dim=0), pool.unique(dim=0))
    assert not torch.equal(later, real)


def test_shuffled_epochs_may_straddle_rounds() -> None:
    """At 100 steps a round (400 points) five rounds make two epochs of the pool."""
    task = registry.load_task("gaussian")
    env = Env(task, budget=task.budget.with_steps(1_000))
    dealt = torch.cat([env.reset(seed=3, round=r)[0].flatten(0, 1) for r in range(5)])
    pool = task.sample(1_000, generator(3, "pool")).unique(dim=0)
    assert torch.equal(dealt[:1000].unique(dim=0), pool)
    assert torch.equal(dealt[1000:].unique(dim=0), pool)


def test_pool_is_dealt_with_replacement() -> None:
    task = registry.load_task("sine")
    real, _ = Env(task, budget=task.budget.reduced("smoke")).reset(seed=3)
    rows = real.flatten(0, 1)
    pool = {tuple(row) for row in task.sample(32_768, generator(3, "pool")).tolist()}
    dealt = [tuple(row) for row in rows.tolist()]
    assert set(dealt) <= pool
    # 3,200 draws from 32,768: n^2 / 2N = 156 repetitions are due, with deviation 12.
    assert 90 < len(dealt) - len(set(dealt)) < 220


def test_samples_that_do_not_fit_are_refused(task: Task) -> None:
    with pytest.raises(InputError, match=f"on task '{task.name}', got"):
        task.check(torch.zeros(5, 3, 1), 5, "sample(5)")
    with pytest.raises(InputError, match=r"must return a tensor on task .*, got list"):
        task.check([0.0], 1, "sample(1)")  # type: ignore[arg-type]
