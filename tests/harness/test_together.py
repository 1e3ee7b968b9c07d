"""Settings that differ in real numbers, trained at once: each comes to what it comes to alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ganbench.errors import InputError
from ganbench.harness import workers
from ganbench.harness.spec import Job, Progress, Spec, look_up
from ganbench.harness.workers import train_all
from ganbench.results.schema import SeedResult

RATES = (0.001, 0.01, 0.05)

GAME = """
from functools import partial
import torch
from torch.nn.functional import softplus
from ganbench import nn
from ganbench.core import Game

def GAN(task, *, lr: float = 0.01, weight: float = 1.0, beta: float = 0.5, width: int = 4,
        device="cpu"):
    if lr == 0.7:
        raise ZeroDivisionError("of all rates, that one")
    return Game(
        generator=nn.mlp([2, width, *task.shape]), discriminator=nn.mlp([*task.shape, 4, 1]),
        latent=lambda n, rng: torch.randn(n, 2, generator=rng),
        d_loss=lambda D, real, fake: softplus(-D(real)).mean() + softplus(D(fake)).mean(),
        g_loss=lambda D, real, fake: (weight if weight > 0 else -1) * softplus(-D(fake)).mean(),
        d_optimizer=partial(nn.Adam, lr=lr, betas=(beta, 0.999)),
        g_optimizer=partial(nn.Adam, lr=lr),
    )
"""

OWN_LOOP = """
import torch

class GAN:
    def __init__(self, task, *, lr: float = 0.1, device="cpu"):
        self.mean, self.shape, self.lr = torch.zeros(task.shape), task.shape, lr
    def train_step(self, real):
        self.mean += self.lr * (real.mean(0) - self.mean)
        return {"mean": self.mean.mean()}
    def sample(self, n):
        return self.mean + torch.randn(n, *self.shape)
"""


def jobs_of(folder: Path, settings: list[dict[str, Any]], code: str = GAME) -> list[Job]:
    path = folder / "small.py"
    path.write_text(code)
    task = {"task": "gaussian", "steps": 40, "baseline": str(path)}
    specs = [Spec(**task, hparams=each, folder=folder / str(each)) for each in settings]
    return [look_up(spec) for spec in specs]


def trained(
    jobs: list[Job], told: list[Progress] | None = None
) -> Iterator[tuple[int, SeedResult]]:
    """Seeds 0 and 1 of each, by one worker."""
    told = [] if told is None else told
    return train_all(jobs, [0, 1], 1, told.append, None, apart=True)


def found(jobs: list[Job], told: list[Progress] | None = None) -> dict[tuple[int, int], str]:
    """The hash of what each seed of each setting has made at last."""
    return {(place, seed.seed): str(seed.samples_sha256) for place, seed in trained(jobs, told)}


def alone(jobs: list[Job]) -> dict[tuple[int, int], str]:
    return {
        (place, seed): sha256
        for place, job in enumerate(jobs)
        for (_, seed), sha256 in found([job]).items()
    }


def order(told: list[Progress]) -> list[str]:
    """The settings in the order in which something was said of them, once in a row."""
    labels = [each.label for each in told]
    return [label for i, label in enumerate(labels) if i == 0 or labels[i - 1] != label]


@pytest.mark.slow
def test_learning_rates_are_trained_at_once_and_come_to_the_same(tmp_path: Path) -> None:
    jobs, told = jobs_of(tmp_path, [{"lr": rate} for rate in RATES]), list[Progress]()
    together = found(jobs, told)
    assert len(order(told)) > len(RATES)  # of one after the other each is named once
    assert len(set(together.values())) == 2 * len(RATES)
    assert together == alone(jobs)


@pytest.mark.slow
def test_numbers_of_losses_and_optimizers_too(tmp_path: Path) -> None:
    settings = [{"weight": 1.0}, {"weight": 2.0}, {"weight": 2.0, "beta": 0.9, "lr": 0.02}]
    jobs, told = jobs_of(tmp_path, settings), list[Progress]()
    together = found(jobs, told)
    assert [each.note for each in told if each.note] == []
    assert len(order(told)) > len(settings)
    assert len(set(together.values())) == 2 * len(settings)
    assert together == alone(jobs)


@pytest.mark.slow
def test_what_decides_is_trained_apart_and_said(tmp_path: Path) -> None:
    jobs, told = jobs_of(tmp_path, [{"weight": 1.0}, {"weight": -2.0}]), list[Progress]()
    together = found(jobs, told)
    note = "one setting after the other: g_loss.weight differs from seed to seed: it decides what"
    assert [each.note[: len(note)] for each in told if each.note] == [note]
    assert len(order(told)) == 2
    assert together == alone(jobs)


@pytest.mark.slow
def test_a_gan_with_a_loop_of_its_own(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, [{"lr": 0.1}, {"lr": 0.2}], OWN_LOOP)
    assert found(jobs) == alone(jobs)


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1])
def test_a_setting_that_cannot_be_made_leaves_the_others(tmp_path: Path, place: int) -> None:
    settings = [{"lr": 0.01}, {"lr": 0.02}]
    settings.insert(place, {"lr": 0.7})
    results = trained(jobs_of(tmp_path, settings))
    done: list[int] = []
    with pytest.raises(InputError, match=r"ZeroDivisionError: of all rates, that one"):
        done.extend(at for at, _ in results)  # which keeps those before the error
    assert sorted(done) == sorted(2 * [at for at in range(3) if at != place])


@pytest.mark.parametrize(
    ("settings", "families"),
    [
        ([{"lr": 0.01}, {"lr": 0.02}, {"weight": 2.0}], [[0, 1, 2]]),
        ([{"lr": 0.01}, {"width": 5}, {"lr": 0.02, "width": 5}], [[0], [1, 2]]),
    ],
)
def test_which_are_kin(
    tmp_path: Path, settings: list[dict[str, Any]], families: list[list[int]]
) -> None:
    assert workers._families(jobs_of(tmp_path, settings)) == families


def test_long_runs_are_not_kin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of them would be done when all are."""
    monkeypatch.setattr(workers, "MANY_STEPS", 40)
    assert workers._families(jobs_of(tmp_path, [{"lr": 0.01}, {"lr": 0.02}])) == [[0], [1]]


@pytest.mark.parametrize(("jobs", "seeds"), [(3, 4), (40, 10), (1, 100)])
def test_shares_are_all_and_not_too_large(jobs: int, seeds: int) -> None:
    shares = workers._shares(range(jobs), range(seeds), 1, 2)
    slots = [slot for share in shares for slot in share]
    assert sorted(slots) == [(place, seed) for place in range(jobs) for seed in range(seeds)]
    assert jobs == 1 or max(map(len, shares)) <= workers.MOST_TOGETHER
    assert len(shares) >= 2
