"""What is measured of an entry's speed, and the command that prints it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.harness import bench
from ganbench.harness.spec import Spec, look_up

DIVERGES = '''"""Diverges on every seed but the first."""
import torch

class GAN:
    def __init__(self, task, *, device="cpu"):
        self.task = task
        self.first = torch.initial_seed() == %d

    def train_step(self, real):
        return {"loss": torch.tensor(0.0 if self.first else float("nan"))}

    def sample(self, n):
        return torch.zeros(n, *self.task.shape)
'''


def measured(task: str, **options: object) -> bench.Bench:
    return bench.measure(Spec(task=task, baseline="mlp_gan"), seconds=0.1, **options)


@pytest.mark.slow
def test_a_game_told_apart() -> None:
    found = measured("gaussian")
    assert set(found.shares) == {"data", "noise", "D", "G", "optimizers", "harness"}
    assert sum(found.shares.values()) == pytest.approx(1)
    assert min(found.shares.values()) > 0
    assert found.seed_steps_per_second > 1
    steps = 2_500 / found.seed_steps_per_second  # seconds of a full run of one seed
    assert found.run_seconds > steps
    assert found.share_of_run == pytest.approx(steps / found.run_seconds)
    assert found.peak_memory_bytes > 2**26


def test_operations_of_a_step() -> None:
    """2 m n k for each product: forwards and backwards of G and D, none towards D's input data.

    G is 2 -> 2, D 2 -> 5 -> 3 -> 2, batches of 4. D learns from 8: forward, weights, and inputs of
    all layers but the first. G's update: its own forward and weights, D's forward and all inputs.
    """
    layers = [2 * 5, 5 * 3, 3 * 2]
    d_update = 8 * (3 * sum(layers) - layers[0])
    g_update = 4 * (2 * 2 * 2 + 2 * sum(layers))
    job = look_up(Spec(task="gaussian", baseline="mlp_gan"))
    assert bench._flops(job, 0) == 2 * (d_update + g_update)


SLOPED = """
import torch
from functools import partial
from ganbench.core import Game

def d_loss(D, real, fake):
    real = real.requires_grad_()
    (slope,) = torch.autograd.grad(D(real).sum(), real, create_graph=True)
    return (D(fake) - D(real)).mean() + slope.square().sum(1).mean()

def GAN(task, *, device="cpu"):
    adam = partial(torch.optim.Adam, lr=1e-3)
    return Game(
        generator=torch.nn.Linear(4, 2),
        discriminator=torch.nn.Linear(2, 1),
        latent=lambda n, rng: torch.randn(n, 4, generator=rng),
        d_loss=d_loss,
        g_loss=lambda D, real, fake: -D(fake).mean(),
        d_optimizer=adam,
        g_optimizer=adam,
    )
"""


@pytest.mark.slow
def test_slopes_inside_of_a_loss_are_measured_too(tmp_path: Path) -> None:
    (tmp_path / "sloped.py").write_text(SLOPED)
    found = bench.measure(Spec(task="ring8", baseline=str(tmp_path / "sloped.py")), seconds=0.1)
    assert found.gflops > 0
    assert {"D", "G"} <= set(found.shares)


def test_any_other_gan_is_not_told_apart() -> None:
    found = bench.measure(Spec(task="ring8", baseline="oracle"), seconds=0.1)
    assert set(found.shares) == {"data", "training", "harness"}
    assert found.gflops == 0


@pytest.mark.slow
def test_several_seeds_on_two_workers() -> None:
    found = measured("gaussian", seeds=3, workers=2)
    assert (found.seeds, found.workers) == (3, 2)
    assert found.seed_steps_per_second > 1
    one = measured("gaussian", seeds=1, workers=2)
    assert one.workers == 1


@pytest.mark.slow
def test_steps_end_with_the_task_s_own() -> None:
    assert bench.measure(Spec(task="gaussian", baseline="mlp_gan", steps=30), seconds=5).steps == 30


@pytest.mark.slow
def test_a_worker_s_trouble_is_said_not_waited_for(tmp_path: Path) -> None:
    from ganbench.randomness import stream

    file = tmp_path / "diverges.py"
    file.write_text(DIVERGES % stream(0, "init"))
    with pytest.raises(InputError, match=r"seed 1 diverged: loss is nan at step 1$"):
        bench.measure(Spec(task="ring8", baseline=str(file)), seeds=2, workers=2, seconds=0.1)


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["bench", *arguments, "--seconds", "0.1"])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.slow
def test_command() -> None:
    code, out, err = run("--task", "gaussian", "--set", "lr=1e-3,1e-4")
    assert code == 0, err
    assert "seed-steps/s" in out and "optimizers" in out
    assert "gaussian lr=0.001" in out and "gaussian lr=0.0001" in out


@pytest.mark.slow
def test_command_in_json() -> None:
    code, out, err = run("mlp_gan", "--task", "ring8", "--compile", "off", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["seed_steps_per_second"] > 1
    assert document["machine"]["torch"]
    assert 0 < document["gflops"] < document["matmul_gflops"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mlp_gn"], "unknown baseline 'mlp_gn': did you mean 'mlp_gan'?"),
        (["--task", "sin"], "unknown task 'sin': did you mean 'sine'?"),
        (["--task", "sine", "--set", "foo=1"], "has no hyper-parameter 'foo'"),
    ],
)
def test_wrong_names(arguments: list[str], message: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert message in err
