"""The training loop: points of the curve, random streams, checkpoints that cannot be."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ganbench import registry
from ganbench.training import Progress, Spec, own_randomness, seed_global, train_seed


def test_points_of_the_curve_are_averages_over_full_blocks(tmp_path: Path) -> None:
    """Rounds of 5 steps with a point due every 4: the odd step joins the others."""
    spec = Spec(task="gaussian", baseline="mlp_gan", steps=45, folder=tmp_path)
    result = train_seed(spec, 0)
    assert [point.step for point in result.curve] == list(range(5, 46, 5))
    assert all(point.metrics and point.losses for point in result.curve)


def test_clocks_add_up(tmp_path: Path) -> None:
    spec = Spec(task="gaussian", baseline="mlp_gan", steps=20, folder=tmp_path)
    timing = train_seed(spec, 0).timing.model_dump()
    wall = timing.pop("wall_seconds")
    parts = [value for name, value in timing.items() if name.endswith("_seconds")]
    assert sum(parts) == pytest.approx(wall, rel=1e-9)
    assert min(parts) >= -1e-9


class Streams:
    """A GAN that draws from every random stream there is."""

    def __init__(self) -> None:
        self.rng = torch.Generator().manual_seed(3)

    def train_step(self, real: torch.Tensor) -> dict[str, torch.Tensor]:
        return {}

    def sample(self, n: int) -> torch.Tensor:
        return torch.rand(n, generator=self.rng) + torch.rand(n) + np.random.rand()


def test_evaluation_leaves_every_stream_where_training_left_it() -> None:
    gan = Streams()
    seed_global(1)
    before = gan.sample(5)
    seed_global(1)
    gan.rng.manual_seed(3)
    with own_randomness(gan, 7):
        first = gan.sample(5)
    with own_randomness(gan, 7):
        assert torch.equal(gan.sample(5), first)
    assert torch.equal(gan.sample(5), before)
    assert not torch.equal(first, before)


def test_a_gan_that_cannot_be_stored_trains_on_and_is_told_once(tmp_path: Path) -> None:
    source = (registry.folder("baselines") / "oracle.py").read_text()
    path = tmp_path / "odd.py"
    path.write_text(source.replace("self.task, ", "self.odd = object()\n        self.task, "))
    notes: list[Progress] = []
    spec = Spec(task="gaussian", baseline=str(path), steps=20, folder=tmp_path / "run")
    result = train_seed(spec, 0, report=notes.append)
    assert result.status == "ok"
    told = [progress.note for progress in notes if progress.note]
    assert len(told) == 1
    assert "cannot store attribute 'odd' (object)" in told[0]
