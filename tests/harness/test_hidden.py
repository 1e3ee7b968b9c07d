"""Hidden parameters: variants of tasks are as hard, all their facts are true, and none is known."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ganbench import bounds, registry
from ganbench.core import Budget, Task
from ganbench.errors import ContractError, InputError
from ganbench.harness import entries, hidden
from ganbench.harness.hidden import Hidden, drawn, motion, moved, sine_moments, variant
from ganbench.harness.spec import Spec, task_of, without_answers
from ganbench.randomness import generator

COLLECTED = ("mnist", "fashion_mnist", "stacked_mnist", "polygons", "dirac")
POINTS = [name for name in registry.names("tasks") if name not in COLLECTED]
ISOMETRIC = [name for name in POINTS if name not in ("sine", "veegan1200")]
DRAWS = 20_000
Z = 5.5  # standard errors

load = functools.cache(registry.load_task)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(shape: tuple[int, ...]) -> Task:
    """A task of images of which no two pixels are alike in law."""
    count = math.prod(shape)
    steps = torch.arange(count).view(shape) / count

    def sample(n: int, rng: torch.Generator) -> Tensor:
        return steps + 0.1 * torch.rand(n, *shape, generator=rng)

    return Task(
        name="images",
        version=1,
        shape=shape,
        sample=sample,
        metrics={"mean_pixel": lambda real, fake: float((fake - steps).abs().mean())},
        budget=Budget(steps=1, batch_size=1, evaluations=1, evaluation_size=8, log_every=1),
        label=lambda samples: (samples.flatten(1).argmax(1) == count - 1).long(),
        training_set=lambda: sample(4, rng()),
        held_out=lambda: sample(4, rng(1)),
    )


@pytest.mark.parametrize("name", POINTS)
def test_moments_are_those_of_the_variants_samples(name: str):
    task, changed = load(name), variant(load(name), Hidden(seed=1))
    n = DRAWS if task.width < 100 else 2_000
    samples = changed.sample(n, rng()).double()
    assert samples.shape == (n, *task.shape)
    centred = samples - changed.mean
    error = centred.mean(0).abs() / (changed.covariance.diagonal() / n).sqrt()
    assert float(error.max()) < Z
    products = torch.einsum("ni,nj->nij", *[centred[:, :64]] * 2)
    off = products.mean(0) - changed.covariance[:64, :64]
    assert bool((off.abs() <= Z * products.std(0) / math.sqrt(n) + 1e-9).all())
    assert torch.equal(changed.center, changed.mean.float())
    assert (changed.name, changed.version, changed.budget) == (name, task.version, task.budget)


@pytest.mark.parametrize("name", ISOMETRIC)
def test_a_variant_is_judged_as_its_task(name: str):
    """The same values for moved samples, by the same bounds; labels and densities move along."""
    task, changed = load(name), variant(load(name), Hidden(seed=1))
    n = 600
    real, fake = (task.sample(n, rng(seed)) for seed in (1, 2))
    there = [changed.sample(n, rng(seed)) for seed in (1, 2)]
    quick = [each for each in task.metrics if each not in ("wasserstein", "discriminator_accuracy")]
    for metric in quick:
        before, after = task.metrics[metric](real, fake), changed.metrics[metric](*there)
        pairs = (
            {metric: (before, after)}
            if isinstance(before, float)
            else {each: (before[each], after[each]) for each in before}
        )
        for each, (one, other) in pairs.items():
            assert other == pytest.approx(one, rel=1e-3, abs=1e-4), each
    assert changed.bounds == task.bounds
    if task.label is not None:
        assert float((changed.label(there[0]) == task.label(real)).double().mean()) > 0.999
    if task.log_density is not None and name != "checkerboard":  # whose squares have sharp edges
        torch.testing.assert_close(
            changed.log_density(there[0]), task.log_density(real), rtol=1e-3, atol=1e-2
        )


@pytest.mark.parametrize("name", [name for name in POINTS if registry.load_task(name).modes])
def test_modes_lie_where_the_variants_samples_do(name: str):
    task, changed = load(name), variant(load(name), Hidden(seed=1))
    assert torch.equal(changed.label(changed.modes.centers), torch.arange(len(task.modes.centers)))
    samples, extent = changed.sample(500, rng()), changed.modes.dimensions
    nearest = torch.cdist(samples, changed.modes.centers).amin(1)
    assert float(nearest.max()) < changed.modes.sigma * (math.sqrt(extent) + 6)
    assert changed.modes.due.equal(task.modes.due)
    assert changed.metrics["modes"](samples, samples)["high_quality"] > 0.95


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 4), (1, 3, 5)])
def test_images_are_flipped_transposed_and_inverted_and_nothing_else(shape: tuple[int, ...]):
    task = images(shape)
    real = task.sample(5, rng())
    turned = [real, real.transpose(2, 3)] if shape[1] == shape[2] else [real]
    known = [
        sign * each.flip(axes)
        for each in turned
        for axes in ([], [2], [3], [2, 3])
        for sign in (1, -1)
    ]
    seen = set()
    for seed in range(40):
        isometry = motion(task, rng(seed))
        there = isometry.there(real.flatten(1)).view(real.shape)
        seen.add(next(i for i, each in enumerate(known) if torch.equal(each, there)))
        assert torch.equal(isometry.back(there.flatten(1)).view(real.shape), real)
        changed = moved(task, isometry)
        assert torch.equal(changed.sample(5, rng()), there)
        assert changed.evaluate(there, there) == task.evaluate(real, real)
        assert torch.equal(changed.label(there), task.label(real))
        for made in (changed.training_set(), changed.held_out()):
            assert made.shape == (4, *shape)
        assert changed.training_set() is changed.training_set()
        assert torch.equal(changed.reference, changed.held_out())
    assert len(seen) > len(known) // 2


def test_exact_moments_of_images_move_along():
    task = images((1, 3, 3))
    exact = torch.arange(9.0).double(), torch.arange(9.0).double().outer(torch.arange(9.0).double())
    changed = moved(replace(task, exact_moments=lambda: exact), motion(task, rng(3)))
    there = motion(task, rng(3)).there
    mean, covariance = changed.moments
    assert torch.equal(mean, there(exact[0][None])[0])
    assert torch.equal(covariance, there(there(exact[1]).T).T)


def test_a_seed_is_one_variant():
    one, same, other = (
        variant(load("ring8"), Hidden(seed=seed)).modes.centers for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other, atol=0.01)


def test_fresh_parameters_are_drawn_every_time_and_far_from_the_task():
    (one, known), (other, _) = (drawn(load("ring8")) for _ in range(2))
    assert one.seed != other.seed
    assert known <= hidden.FAR
    assert drawn(load("ring8"), one.seed) == (one, known)


def test_parameters_that_tell_nothing_are_refused(monkeypatch):
    with pytest.raises(InputError, match=r"score 1\.000 on its hidden parameters 1: these"):
        drawn(load("two_curves"), 1)
    monkeypatch.setattr(hidden, "TRIES", 3)
    with pytest.raises(InputError, match="'dirac' has no hidden parameters that change it enough"):
        drawn(load("dirac"))


def test_sines_of_the_tasks_own_ranges_have_its_moments():
    task = load("sine")
    fit = task.metrics["sine_fit"].keywords
    mean, covariance = sine_moments(task.grid.double(), fit["b_range"], fit["c_range"])
    torch.testing.assert_close(mean, task.mean, rtol=0, atol=1e-7)
    torch.testing.assert_close(covariance, task.covariance, rtol=0, atol=1e-7)


@pytest.mark.slow
def test_sines_of_other_ranges_have_bounds_of_their_own(monkeypatch):
    task = load("sine")
    monkeypatch.setattr(bounds, "PAIRS", 2)
    found, known = drawn(task, 3)
    changed = variant(task, found)
    before, after = (each.metrics["sine_fit"].keywords for each in (task, changed))
    for name in ("b_range", "c_range"):
        (low, high), (own_low, own_high) = before[name], after[name]
        assert own_high - own_low == pytest.approx(high - low)
        assert own_low != low
    assert changed.bounds.keys() == task.bounds.keys()
    assert changed.bounds != task.bounds
    values = changed.evaluate(changed.reference, changed.sample(4096, generator(9, "floor-fake")))
    assert changed.score(values) > 0.98
    assert values["sine_fitted"] > 0.999
    assert known <= hidden.FAR


def test_a_gan_is_given_the_variant_alone():
    """Under the task's name, so that presets by name are found; metrics would move samples back."""
    spec = Spec(task="ring8", baseline="mlp_gan", hidden=Hidden(seed=1), steps=7)
    task = task_of(spec)
    assert (task.name, task.budget.steps) == ("ring8", 7)
    given = without_answers(task)
    assert torch.equal(given.modes.centers, variant(load("ring8"), Hidden(seed=1)).modes.centers)
    points = torch.zeros(8, 2)
    for call in (lambda: given.sample(1, rng()), lambda: given.evaluate(points, points)):
        with pytest.raises(ContractError):
            call()


def scores(baseline: str, task: str, folder: Path, parameters: Hidden | None) -> list[float]:
    spec = Spec(task=task, baseline=baseline, hidden=parameters, folder=folder)
    (done,) = entries.run([spec], seeds=range(3), leaderboard=folder / "board", out=folder / "runs")
    assert all(seed.status == "ok" for seed in done.seeds)
    assert done.result.official == (parameters is None)
    name = baseline if parameters is None else f"{baseline}-hidden{parameters.seed}"
    assert done.path == folder / "board" / task / f"{name}.json"
    return [seed.score for seed in done.seeds]


@pytest.mark.slow
@pytest.mark.parametrize("baseline", ["oracle", "moment_matching"])
def test_who_learns_from_data_scores_the_same(baseline: str, tmp_path: Path):
    """And no result on hidden parameters is official, or has the name of a public one."""
    public = scores(baseline, "gaussian", tmp_path, None)
    secret = scores(baseline, "gaussian", tmp_path, Hidden(seed=1))
    assert sum(secret) / 3 == pytest.approx(sum(public) / 3, abs=0.02)
    assert min(public) > 0.9
