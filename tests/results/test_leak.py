"""Copies of the reference are found on every task; nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ganbench import registry
from ganbench.core import Task
from ganbench.images import test_images as held_images
from ganbench.randomness import generator
from ganbench.results import leak, samples

ROOT = Path(__file__).parents[2]
POINTS = ["gaussian", "ring8", "grid25_rare", "quadratic", "cosine", "swiss_roll", "sine"]
WIDE = ["mixture16", "mixture64", "veegan1200", "polygons", "mnist"]


def noisy(task: Task, made: Tensor, noise: float) -> Tensor:
    """With noise of so much of each coordinate's deviation."""
    spread = task.reference.flatten(1).std(0).view(task.shape)
    return made + noise * spread * torch.randn(made.shape, generator=generator(0, "picture"))


@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-3])
@pytest.mark.parametrize("name", POINTS)
def test_copies_are_found(name: str, noise: float):
    task = registry.load_task(name)
    line = leak.leak_of(task, noisy(task, task.reference.flip(0), noise))
    assert line is not None
    assert line.startswith("samples are copies of the reference: ")


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-3, 1e-2])
@pytest.mark.parametrize("name", WIDE)
def test_wide_copies_are_found(name: str, noise: float):
    task = registry.load_task(name)
    assert leak.look(task, noisy(task, task.reference, noise)).found


@pytest.mark.parametrize("name", POINTS)
def test_a_tenth_of_copies_is_found_among_real_samples(name: str):
    task = registry.load_task(name)
    made = task.sample(len(task.reference), generator(1, "picture"))
    made[::10] = noisy(task, task.reference[::10], 1e-6)
    found = leak.look(task, made)
    assert found.found
    assert found.share == pytest.approx(0.1, abs=0.03)


def test_copies_on_a_few_samples_are_found():
    """A hundred of 4,096, and the other way round a hundred samples that are all copies."""
    task = registry.load_task("ring8")
    made = task.sample(4096, generator(1, "picture"))
    made[:100] = task.reference[500:600]
    assert leak.look(task, made).found
    assert leak.look(task, task.reference[:100]).found


@pytest.mark.slow
def test_honest_samples_of_every_task_are_not(task: Task):
    """Real ones, those of a run's pool again and again, one alone, and naive ones."""
    n = min(4096, len(task.reference))
    real = task.sample(n, generator(0, "floor-fake"))
    pool = task.draw_pool(0)
    dealt = real if pool is None else pool
    pooled = dealt[torch.randint(len(dealt), (n,), generator=generator(0, "pool"))]
    for made in (real, pooled, real[:1].expand_as(real), torch.randn_like(real), real[:100]):
        found = leak.look(task, made)
        assert not found.found, found
        assert found.p_value > 1e-4


@pytest.mark.slow
def test_no_published_entry_is_called_a_copy():
    found = {}
    for path in sorted(ROOT.glob("leaderboard/*/*/samples.safetensors")):
        task = registry.load_task(path.parts[-3])
        for seed, made in samples.read_seeds(path).items():
            found[f"{path.parent}: {seed}"] = leak.look(task, made)
    assert len(found) > 100
    worst = min(found, key=lambda name: found[name].p_value)
    assert found[worst].p_value > 1e-4, (worst, found[worst])
    p = np.array([each.p_value for each in found.values()])
    assert (p <= 0.05).mean() < 0.12  # as many as chance has


def test_where_all_samples_are_one_point_there_is_nothing_to_copy():
    task = registry.load_task("dirac")
    for made in (task.reference, task.reference + 1e-6, torch.rand(1024, 1)):
        assert leak.look(task, made).p_value == 1.0


@pytest.mark.slow
def test_whoever_copies_all_test_images_is_found():
    """Of those the fresh ones are too, so that only images that are the same give it away."""
    task = registry.load_task("mnist")
    some = held_images("mnist")[torch.randperm(10_000, generator=generator(0, "pool"))[:4096]]
    found = leak.look(task, some)
    assert found.p_value > leak.ALPHA
    assert found.same > 1000
    assert str(found) == (
        f"samples are copies of the reference: {found.same:,} of its images are among them"
    )
    assert leak.look(task, task.sample(4096, generator(0, "pool"))).same == 0
    assert leak.look(task, task.training_set()[:10_000]).same == 0


def test_fresh_samples_follow_from_the_samples_alone():
    drawn = []
    task = registry.load_task("gaussian")

    def sample(n: int, rng: torch.Generator) -> Tensor:
        drawn.append(rng.initial_seed())
        return task.sample(n, rng)

    watched = replace(task, sample=sample, held_out=lambda: task.reference)
    made = [torch.randn(500, 2, generator=generator(i, "picture")) for i in range(2)]
    first, other, again = (leak.look(watched, each) for each in (*made, made[0]))
    assert first == again
    assert drawn[0] == drawn[2] != drawn[1]
    assert first != other


@pytest.mark.parametrize("values", [10**9, 40])
def test_equal_laws_are_told_apart_no_more_often_than_the_level(values: int):
    """Also of distances that are often the same."""
    rng = np.random.default_rng(4)
    sides = rng.integers(values, size=(1000, 2, 256)).astype(float)
    p = [leak.compared(held, fresh).p_value for held, fresh in sides]
    for level in (0.5, 0.1, 0.01):
        assert np.mean(np.array(p) <= level) <= level + 3 * (level / 1000) ** 0.5
    assert min(p) < 0.1


def test_the_p_value_is_hypergeometric():
    """Sixty-four rows a side: of the 32 nearest, 30 are the reference's."""
    held = np.concatenate([np.arange(30), np.arange(34) + 100.0])
    fresh = np.concatenate([[10.5, 11.5], np.arange(62) + 200.0])
    of_first = stats.hypergeom.sf(29, 128, 64, 32)
    of_second = stats.hypergeom.sf(61, 128, 64, 64)
    found = leak.compared(held, fresh)
    assert found.p_value == pytest.approx(2 * min(of_first, of_second))
    assert found.share == 62 / 64 - 2 / 64
