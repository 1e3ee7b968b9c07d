"""Trainings made to fail in each way get the verdict of it; healthy ones are left in peace."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ganbench import registry
from ganbench.core import Bound, Budget, Game, Task
from ganbench.diagnosis.evidence import of_run
from ganbench.diagnosis.rules import LONGEST, Verdict, diagnose
from ganbench.naive import matched_gaussian

from .runs import Run, drawn, game, saturating, train

POINTS = [name for name in registry.names("tasks") if "mnist" not in name]  # and curves
SEEDS = 5
SLOW = ("polygons", "veegan1200")  # of which one seed is evaluated
CALM = {"d_accuracy": 0.55, "d_loss": 1.3}


def real(task: Task, n: int, rng: torch.Generator, round: int) -> Tensor:
    return task.sample(n, rng)


def failed(run: Run, kind: str) -> Verdict:
    """The verdict of a run, which must be of a kind that its result alone does not call healthy."""
    verdict = run.verdict()
    assert verdict.kind == kind, verdict.text
    assert verdict.text.startswith(kind) and len(verdict.text) <= LONGEST
    assert kind == "memorising" or diagnose(run.alone()).kind != "healthy"
    return verdict


# Trained by gradients.


@pytest.mark.slow
def test_a_generator_that_ignores_its_latent_collapses() -> None:
    def deaf(task: Task) -> Game:
        return replace(game(task), latent=lambda n, rng: torch.zeros(n, 8))

    verdict = failed(train(registry.load_task("ring8"), deaf, steps=160), "mode collapse")
    assert verdict.since == 20
    assert "all samples are nearly alike, 0 % as far apart as real ones" in verdict.text


@pytest.mark.slow
def test_a_generator_that_runs_from_place_to_place_oscillates() -> None:
    """One latent number makes a thin line, which D chases over the moons."""
    run = train(registry.load_task("moons"), lambda task: game(task, latent=1), steps=800)
    verdict = failed(run, "oscillating")
    assert verdict.since is not None and verdict.since <= 400
    assert "of samples change regions between evaluations" in verdict.text


@pytest.mark.slow
def test_a_generator_far_behind_a_strong_discriminator_gets_no_gradient() -> None:
    """The minimax loss with D that learns 50 times as fast, from where both are far apart."""

    def hopeless(task: Task) -> Game:
        return game(task, loss=saturating, far=4.0, d_lr=5e-3, g_lr=1e-4)

    verdict = failed(train(registry.load_task("ring8"), hopeless, steps=320), "vanishing gradient")
    assert verdict.since is not None and verdict.since <= 160
    assert "D is right on 100 % with a loss of 0.0" in verdict.text
    assert "0 % of samples lie in a mode" in verdict.text


@pytest.mark.slow
def test_a_short_training_leaves_samples_between_modes() -> None:
    run = train(registry.load_task("ring8"), game, steps=320)
    verdict = failed(run, "over-dispersed")
    assert verdict.since is not None and verdict.since <= 200
    assert "of samples lie outside the modes" in verdict.text


def test_a_learning_rate_without_measure_diverges() -> None:
    run = train(registry.load_task("ring8"), lambda task: game(task, d_lr=1e6, g_lr=1e6), steps=80)
    verdict = run.verdict()
    assert (verdict.kind, verdict.since) == ("diverged", 10)
    assert verdict.text == f"diverged from step 10: {run.reason}"


# Learners without gradients, whose every fault is known.


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ring8", "grid25", "ring8_wide"])
def test_modes_that_are_lost_in_the_middle(name: str) -> None:
    """From round 4 of 8 on, only three modes are left."""

    def draw(task: Task, n: int, rng: torch.Generator, round: int) -> Tensor:
        assert task.modes is not None
        if round < 4:
            return task.sample(n, rng)
        which = torch.randint(3, (n,), generator=rng)
        noise = torch.randn(n, 2, generator=rng)
        return task.modes.centers[which] + task.modes.sigma * noise

    task = registry.load_task(name)
    verdict = failed(train(task, drawn(draw, **CALM), steps=80), "mode collapse")
    assert task.modes is not None
    assert verdict.since == 50
    assert f"only 3 of {len(task.modes.centers)} modes" in verdict.text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ring8_rare", "grid25_rare", "mixture16", "veegan1200"])
def test_the_rarest_modes_are_missed_only_where_they_are_missing(name: str) -> None:
    """By the result alone as with the samples: of `grid25_rare` seven and nine are due."""
    task = registry.load_task(name)
    assert task.modes is not None and task.label is not None
    n, modes = task.budget.evaluation_size, len(task.modes.due)
    samples = task.sample(2 * n, torch.Generator().manual_seed(1))
    rarest = task.modes.due.argsort()[:2]
    without = samples[~torch.isin(task.label(samples), rarest)]
    verdict, alone = judged(task, samples[:n])
    assert verdict.kind == alone.kind == "healthy", (verdict.text, alone.text)
    for verdict in judged(task, without[:n]):
        assert verdict.text.startswith(f"mode collapse: only {modes - 2} of {modes} modes")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["moons", "pinwheel", "checkerboard", "spirals", "two_curves"])
def test_half_of_a_target_without_modes_is_lost(name: str) -> None:
    """From round 4 of 8 on, nothing lies to the right of the middle."""

    def draw(task: Task, n: int, rng: torch.Generator, round: int) -> Tensor:
        points = task.sample(4 * n, rng)
        return points[points[:, 0] < task.center[0]][:n] if round >= 4 else points[:n]

    verdict = failed(
        train(registry.load_task(name), drawn(draw, **CALM), steps=80), "mode collapse"
    )
    assert verdict.since == 50
    assert "of 24 regions with a tenth of their due" in verdict.text


@pytest.mark.slow
def test_curves_of_one_frequency_have_collapsed() -> None:
    def draw(task: Task, n: int, rng: torch.Generator, round: int) -> Tensor:
        if round < 2:
            return task.sample(n, rng)
        assert task.grid is not None
        return torch.sin(1.2 * task.grid + torch.pi * torch.rand(n, 1, generator=rng))

    run = train(registry.load_task("sine"), drawn(draw, **CALM), steps=80, rounds=4)
    verdict = failed(run, "mode collapse")
    assert verdict.since == 60
    assert "100 % of curves are sines, they cover" in verdict.text
    assert verdict.text.endswith("all have one frequency")


@pytest.mark.slow
def test_images_of_one_digit_have_collapsed() -> None:
    """Ones that no training has seen, from the third evaluation on."""
    task = registry.load_task("mnist")
    few = task.reference[:200]
    task = replace(task, held_out=lambda: few)
    images = task.sample(2400, torch.Generator().manual_seed(1))
    assert task.label is not None
    ones = images[task.label(images) == 1][:200]
    metrics = task.evaluate(task.reference, ones)
    evidence = of_run(
        task,
        Run(task, 0, metrics=metrics).alone(),
        samples=ones,
        frames=[(step, (images if step < 3 else ones)[:100].numpy()) for step in (1, 2, 3, 4)],
        training=task.draw_pool(0),
    )
    verdict = diagnose(evidence)
    assert verdict.text.startswith("mode collapse from step 3: only 1 of 10 digits"), verdict.text
    assert "of images look real, they cover" in verdict.text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaussian", "ring8", "grid25"])
def test_modes_of_half_their_width_are_under_dispersed(name: str) -> None:
    def draw(task: Task, n: int, rng: torch.Generator, round: int) -> Tensor:
        points = task.sample(n, rng)
        centers = task.center[None] if task.modes is None else task.modes.centers
        nearest = centers[torch.cdist(points, centers).argmin(1)]
        return nearest + (0.5 if round >= 3 else 1.0) * (points - nearest)

    verdict = failed(
        train(registry.load_task(name), drawn(draw, **CALM), steps=80), "under-dispersed"
    )
    assert verdict.since == 40
    assert re.search(r"; 5[0-2] % as far apart as real ones", verdict.text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ring8", "grid25", "moons", "swiss_roll", "cubic", "sine"])
def test_one_gaussian_for_all_is_over_dispersed(name: str) -> None:
    def draw(task: Task, n: int, rng: torch.Generator, round: int) -> Tensor:
        if round < 2:
            return task.sample(n, rng)
        return matched_gaussian(*task.moments, n, rng)

    run = train(registry.load_task(name), drawn(draw, **CALM), steps=80, rounds=4)
    verdict = failed(run, "over-dispersed")
    assert verdict.since == 60
    assert "of real ones within their reach" in verdict.text


@pytest.mark.slow
def test_quality_that_comes_and_goes_is_an_oscillation() -> None:
    def draw(task: Task, n: int, rng: torch.Generator, round: int) -> Tensor:
        good = task.sample(n, rng)
        return good if round < 2 or round % 2 else good + 2 * task.scale

    verdict = failed(
        train(registry.load_task("gaussian"), drawn(draw, **CALM), steps=100, rounds=10),
        "oscillating",
    )
    assert verdict.since == 10
    assert "mmd swings" in verdict.text and "ends at 1.00" in verdict.text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaussian", "sine"])
@pytest.mark.parametrize("noise", [0.0, 1e-4])
def test_replaying_the_pool_is_memorising(name: str, noise: float) -> None:
    task = registry.load_task(name)
    pool = task.draw_pool(0)
    assert pool is not None

    def draw(task: Task, n: int, rng: torch.Generator, round: int) -> Tensor:
        rows = pool[torch.randint(len(pool), (n,), generator=rng)]
        return rows + noise * torch.randn(rows.shape, generator=rng)

    verdict = failed(train(task, drawn(draw, **CALM), steps=20, rounds=2), "memorising")
    assert verdict.text == (
        f"memorising: 100 % of {'curves' if name == 'sine' else 'samples'} are copies of "
        "training samples"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "polygons"])
def test_replaying_training_images_is_memorising(name: str) -> None:
    task = registry.load_task(name)
    assert task.training_set is not None
    images = task.training_set()

    def draw(task: Task, n: int, rng: torch.Generator, round: int) -> Tensor:
        return images[torch.randint(len(images), (n,), generator=rng)]

    budget = replace(task.budget, evaluation_size=1000, batch_size=16)
    small = replace(task, budget=budget)
    verdict = failed(train(small, drawn(draw, **CALM), steps=20, rounds=2), "memorising")
    assert verdict.text == "memorising: 100 % of images are copies of training samples"


def test_a_law_that_is_shifted_fits_poorly() -> None:
    def draw(task: Task, n: int, rng: torch.Generator, round: int) -> Tensor:
        return task.sample(n, rng) + 5 * task.scale

    verdict = failed(
        train(registry.load_task("moons"), drawn(draw, **CALM), steps=20, rounds=2), "poor fit"
    )
    assert verdict.since == 10
    assert "where real data score" in verdict.text and "0 % of samples look real" in verdict.text


# Healthy seeds.


def judged(task: Task, samples: Tensor) -> tuple[Verdict, Verdict]:
    """The verdicts on samples as they would end a training: by all that is looked at, and alone."""
    run = Run(task, 0, metrics=task.evaluate(task.reference, samples), samples=samples)
    return run.verdict(), diagnose(run.alone())


@pytest.mark.slow
@pytest.mark.long
def test_at_most_one_in_fifty_healthy_seeds_is_called_something_else() -> None:
    """Fresh real samples, and on `gaussian` those of the right model, as a perfect GAN's."""
    alarms = Counter[str]()
    for name in POINTS:
        task = registry.load_task(name)
        for seed in range(1 if name in SLOW else SEEDS):
            samples = task.sample(1024, torch.Generator().manual_seed(1000 + seed))
            small = replace(task, budget=replace(task.budget, evaluation_size=1024))
            verdict, _ = judged(small, samples)
            alarms[f"{name}: {verdict.text}" if verdict.kind != "healthy" else "healthy"] += 1
    assert alarms["healthy"] >= 0.98 * alarms.total(), alarms


@pytest.mark.slow
def test_an_honest_training_is_healthy() -> None:
    """A GAN on its way, all of whose earlier faults do not count."""
    run = train(registry.load_task("quadratic"), game, steps=800, rounds=4)
    assert run.verdict().kind == "healthy"


def test_frames_of_a_healthy_seed_are_not_looked_at() -> None:
    run = train(registry.load_task("moons"), drawn(real), steps=20, rounds=2)
    run.frames = [(step, frame[:0]) for step, frame in run.frames]
    assert run.verdict().kind == "healthy"
    before = time.perf_counter()
    run.verdict()
    assert time.perf_counter() - before < 1.0


def error(real: Tensor, fake: Tensor) -> float:
    return float((real.mean(0) - fake.mean(0)).abs().mean())


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 4), (1, 8, 8), (3, 28, 28)])
@pytest.mark.parametrize("label", [None, lambda samples: (samples.flatten(1).sum(1) > 0).long()])
def test_samples_of_any_shape_get_a_verdict(shape: tuple[int, ...], label: Callable | None) -> None:
    """A task of somebody's own, that has one metric and may have classes."""
    task = Task(
        name="odd",
        version=1,
        shape=shape,
        sample=lambda n, rng: torch.randn(n, *shape, generator=rng).clamp(-1, 1),
        metrics={"error": error},
        budget=Budget(steps=10, batch_size=4, evaluations=2, evaluation_size=300, log_every=1),
        bounds={"error": Bound(direction="lower", floor=0.05, ceiling=1.0, noise=0.01)},
        pool=50,
        label=label,
    )
    rng = torch.Generator().manual_seed(1)

    def kind(samples: Tensor) -> str:
        frames = [(step, samples[:100].numpy()) for step in (1, 2)]
        metrics = task.evaluate(task.reference, samples)
        return Run(task, 0, metrics=metrics, samples=samples, frames=frames).verdict().kind

    assert kind(task.sample(300, rng)) == "healthy"
    assert kind(torch.zeros(300, *shape)) == "mode collapse"
    assert kind(torch.full((300, *shape), 1e30)) == "mode collapse"
    assert kind(100 + task.sample(300, rng)) in ("poor fit", "mode collapse")
    rows = task.draw_pool(0)
    assert rows is not None
    assert kind(rows[torch.randint(50, (300,), generator=rng)]) == "memorising"
