"""The training loop: points of the curve, random streams, checkpoints that cannot be."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import numpy as np
import pytest
import torch

from ganbench import registry
from ganbench.engine import generators
from ganbench.engine.generators import generators_of, own_randomness
from ganbench.harness.log import read_log
from ganbench.harness.spec import Progress, Spec, look_up
from ganbench.harness.train import train_seeds
from ganbench.randomness import seed_global


@pytest.mark.slow
def test_points_of_the_curve_are_averages_over_full_blocks(tmp_path: Path) -> None:
    """Rounds of 5 steps with a point due every 4: the odd step joins the others."""
    spec = Spec(task="gaussian", baseline="mlp_gan", steps=45, folder=tmp_path)
    (result,) = train_seeds(look_up(spec), [0])
    assert [point.step for point in result.curve] == list(range(5, 46, 5))
    assert all(point.metrics and point.losses for point in result.curve)


@pytest.mark.slow
def test_a_published_system_records_at_its_own_steps(tmp_path: Path) -> None:
    """mlp_gan on quadratic: losses every 10 steps, samples and features every 1,000."""
    spec = Spec(task="quadratic", baseline="mlp_gan", steps=1100, folder=tmp_path)
    (result,) = train_seeds(look_up(spec), [0])
    log = read_log(tmp_path / "seed-0/log.jsonl")
    assert log["step"].tolist() == list(range(10, 1101, 10))
    whole = [point.losses["d_loss"] for point in result.curve]
    assert np.mean(log["d_loss"]) == pytest.approx(np.mean(whole), rel=1e-6)
    for folder, ending in (("samples", "npy"), ("features", "npz")):
        kept = sorted((tmp_path / "seed-0" / folder).iterdir())
        expected = [1000, 1100] if folder == "samples" else [1000]
        assert [path.name for path in kept] == [f"{step:09d}.{ending}" for step in expected]
    assert np.load(tmp_path / "seed-0/samples/000001000.npy").shape == (256, 2)


@pytest.mark.slow
def test_recording_more_often_does_not_change_training(tmp_path: Path) -> None:
    few = Spec(task="sine", baseline="mlp_gan", steps=40, folder=tmp_path / "few")
    many = replace(few, log_every=1, sample_every=3, folder=tmp_path / "many")
    (first,), (second,) = train_seeds(look_up(few), [0]), train_seeds(look_up(many), [0])
    assert first.samples_sha256 == second.samples_sha256
    assert read_log(tmp_path / "many/seed-0/log.jsonl")["step"].tolist() == list(range(1, 41))
    kept = sorted((tmp_path / "many/seed-0/samples").iterdir())
    assert [int(path.stem) for path in kept] == [*range(3, 41, 3), 40]


@pytest.mark.slow
def test_lines_say_the_epoch_and_its_seconds(tmp_path: Path) -> None:
    """mlp_gan on gaussian prints a line an epoch of 250 steps."""
    told: list[Progress] = []
    spec = Spec(task="gaussian", baseline="mlp_gan", steps=750, folder=tmp_path)
    list(train_seeds(look_up(spec), [0], report=told.append))
    lines = [one for one in told if one.line and one.position is None]
    assert [(one.step, one.epochs) for one in lines] == [
        (250, (1, 3)),
        (500, (2, 3)),
        (750, (3, 3)),
    ]
    assert sum(one.line_seconds for one in lines) == pytest.approx(lines[-1].train_seconds)
    assert "d_accuracy" in lines[0].losses


@pytest.mark.slow
def test_clocks_add_up(tmp_path: Path) -> None:
    """To what has passed by a clock of the test's own."""
    spec = Spec(task="gaussian", baseline="mlp_gan", steps=20, folder=tmp_path)
    job = look_up(spec)
    start = time.perf_counter()
    (result,) = train_seeds(job, [0])
    passed = time.perf_counter() - start
    timing = result.timing.model_dump()
    wall = timing.pop("wall_seconds")
    parts = [value for name, value in timing.items() if name.endswith("_seconds")]
    assert wall == pytest.approx(passed, rel=0.05, abs=0.05)
    assert sum(parts) == pytest.approx(passed, rel=0.05, abs=0.05)
    assert min(parts) >= -1e-9


class Streams:
    """A GAN that draws from every random stream there is."""

    def __init__(self) -> None:
        self.rng = torch.Generator().manual_seed(3)

    def train_step(self, real: torch.Tensor) -> dict[str, torch.Tensor]:
        return {}

    def sample(self, n: int) -> torch.Tensor:
        return torch.rand(n, generator=self.rng) + torch.rand(n) + np.random.rand()


SHARED = np.random.default_rng(5)


class Noise(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rng = torch.Generator().manual_seed(4)

    def forward(self, n: int) -> torch.Tensor:
        return torch.rand(n, generator=self.rng)


def drawing() -> Callable[[], float]:
    rng = np.random.Generator(np.random.MT19937(7))
    return lambda: rng.random()


class Scattered(Streams):
    """Generators of every kind, wherever somebody may keep them."""

    def __init__(self) -> None:
        super().__init__()
        self.tools: dict[str, Any] = {"old": [np.random.RandomState(1)], "python": (Random(2),)}
        self.draw, self.noise = drawing(), torch.nn.Sequential(Noise())
        self.other = partial(random, Random(9))
        self.chance = SystemRandom()  # draws from the system, and has no state

    def sample(self, n: int) -> torch.Tensor:
        old, python = self.tools["old"][0], self.tools["python"][0]
        numbers = [old.rand(), python.random(), self.draw(), self.other(), SHARED.random()]
        return super().sample(n) + torch.tensor(numbers).sum() + self.noise(n)


def random(rng: Random) -> float:
    return rng.random()


@pytest.mark.parametrize(("kind", "count"), [(Streams, 1), (Scattered, 7)])
def test_evaluation_leaves_every_stream_where_training_left_it(kind: Any, count: int) -> None:
    gan = kind()
    for number, each in enumerate(own := generators_of(gan)):
        generators._seed(each, number)
    seed_global(1)
    before = gan.sample(5)
    for number, each in enumerate(own):
        generators._seed(each, number)
    seed_global(1)
    assert len(own) == count
    with own_randomness(own, 7):
        first = gan.sample(5)
    with own_randomness(generators_of(gan), 7):
        assert torch.equal(gan.sample(5), first)
    assert torch.equal(gan.sample(5), before)
    assert not torch.equal(first, before)


def test_a_gan_that_cannot_be_stored_trains_on_and_is_told_once(tmp_path: Path) -> None:
    source = (registry.folder("baselines") / "replay.py").read_text()
    path = tmp_path / "odd.py"
    path.write_text(source.replace("self.most = ", "self.odd = object()\n        self.most = "))
    notes: list[Progress] = []
    spec = Spec(task="gaussian", baseline=str(path), steps=20, folder=tmp_path / "run")
    (result,) = train_seeds(look_up(spec), [0], report=notes.append)
    assert result.status == "ok"
    told = [progress.note for progress in notes if progress.note]
    assert len(told) == 1
    assert "cannot store attribute 'odd' (object)" in told[0]
