"""PacGAN's protocol against a plain loop in PyTorch, and in the engine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from ganbench.engine.trainer import Trainer
from ganbench.harness.spec import Spec, look_up
from ganbench.harness.train import train_seeds
from ganbench.reproduce import pacgan_table1
from ganbench.reproduce.pacgan_table1 import PROTOCOL, BatchNorm

PACKS, STEPS = 6, 3
Weights = list[Tensor]


def job(pack: int, folder: Path, **how: object):
    return look_up(
        Spec(
            task="ring8",
            baseline=PROTOCOL.file,
            hparams={"pack": pack},
            protocol=("gan-ring8", "pacgan2-ring8", "pacgan3-ring8")[pack - 1],
            folder=folder,
            **how,
        )
    )


def generated(weights: Weights, averages: list[Weights], z: Tensor) -> Tensor:
    """G of one member of the packs, whose statistics are added to `averages`."""
    x, weights, found = z, list(weights), []
    for _ in range(4):
        x = x @ weights.pop(0).T
        scale, shift = weights.pop(0), weights.pop(0)
        mean = x.mean(0)
        deviation = torch.sqrt(((x - mean) ** 2).mean(0) + 1e-4)
        found += [mean.detach(), deviation.detach()]
        x = relu((x - mean) / deviation * scale + shift)
    averages.append(found)
    matrix, bias = weights
    return x @ matrix.T + bias


def judged(weights: Weights, packs: Tensor) -> Tensor:
    x = packs
    for matrix, bias in zip(weights[:6:2], weights[1:6:2], strict=True):
        pieces = x @ matrix.T + bias
        x = torch.stack(pieces.chunk(5, dim=1)).max(0).values
    return x @ weights[6].T + weights[7]


class Adam:
    """Kingma and Ba 2015, with epsilon where the end of their section 2 has it."""

    def __init__(self, weights: Weights) -> None:
        self.weights, self.count = weights, 0
        self.m = [torch.zeros_like(w) for w in weights]
        self.v = [torch.zeros_like(w) for w in weights]

    def step(self, grads: tuple[Tensor, ...]) -> None:
        self.count += 1
        rate = 1e-4 * (1 - 0.999**self.count) ** 0.5 / (1 - 0.8**self.count)
        with torch.no_grad():
            for w, m, v, g in zip(self.weights, self.m, self.v, grads, strict=True):
                m.copy_(0.8 * m + 0.2 * g)
                v.copy_(0.999 * v + 0.001 * g**2)
                w -= rate * m / (v.sqrt() + 1e-8)


@pytest.mark.parametrize("pack", [1, 2, 3])
def test_a_step_is_that_of_a_plain_loop(pack: int) -> None:
    """Simultaneous updates from one batch of fakes, each member of a pack normalised apart."""
    torch.manual_seed(0)
    trainer = Trainer(pacgan_table1.GAN(None, pack=pack), seed=0, total=STEPS)
    G, D = trainer.networks["G"], trainer.networks["D"]
    g_weights, d_weights = (
        [p.detach().clone().requires_grad_() for p in each.parameters()] for each in (G, D)
    )
    g_adam, d_adam = Adam(g_weights), Adam(d_weights)
    kept = [torch.zeros(400), torch.ones(400)] * 4
    rng = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        real, z = (torch.randn(PACKS, 2 * pack, generator=rng) for _ in range(2))
        averages: list[Weights] = []
        members = z.chunk(pack, dim=1)
        fake = torch.cat([generated(g_weights, averages, each) for each in members], 1)
        on_real, on_fake = judged(d_weights, real), judged(d_weights, fake)
        d_loss = (softplus(-on_real) + softplus(on_fake)).mean()
        g_loss = (softplus(on_real) + softplus(-on_fake)).mean()
        d_grads = torch.autograd.grad(d_loss, d_weights, retain_graph=True)
        g_grads = torch.autograd.grad(g_loss, g_weights)
        d_adam.step(d_grads)
        g_adam.step(g_grads)
        means = [torch.stack(each).mean(0) for each in zip(*averages, strict=True)]
        kept = [0.95 * old + 0.05 * new for old, new in zip(kept, means, strict=True)]

        trainer.handed = [z.reshape(-1, 2)]
        log = trainer.train_step(real.reshape(-1, 2))
        assert float(log["d_loss"]) == pytest.approx(float(d_loss.detach()), rel=1e-5)
        assert float(log["g_loss"]) == pytest.approx(float(g_loss.detach()), rel=1e-5)
    for network, weights in ((G, g_weights), (D, d_weights)):
        for mine, other in zip(network.parameters(), weights, strict=True):
            # Of a gradient near 0 rounding decides the sign, and a step is the rate, 1e-4.
            assert float((mine - other).detach().abs().mean()) < 1e-6
    for mine, other in zip(G.buffers(), kept, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_samples_are_made_with_moving_averages() -> None:
    layer = BatchNorm(2, pack=2)
    layer.mean.copy_(torch.tensor([1.0, 2.0]))
    layer.deviation.copy_(torch.tensor([2.0, 4.0]))
    assert layer.eval()(torch.tensor([[3.0, 6.0]])).tolist() == [[1.0, 1.0]]


def test_first_weights_and_sizes() -> None:
    torch.manual_seed(0)
    game = pacgan_table1.GAN(None, pack=2)
    shapes = [tuple(p.shape) for p in game.discriminator.parameters()]
    hidden = [(1000, 200), (1000,)]
    assert shapes == [(1000, 4), (1000,), *hidden, *hidden, (1, 200), (1,)]
    matrices = [p for p in game.generator.parameters() if p.dim() == 2]
    assert [tuple(p.shape) for p in matrices] == [(400, 2), *[(400, 400)] * 3, (2, 400)]
    for matrix in matrices[1:4]:
        assert float(matrix.detach().std()) == pytest.approx(0.02, rel=0.02)
    biases = [p for name, p in game.discriminator.named_parameters() if name.endswith("bias")]
    assert not any(bias.any() for bias in biases)


def test_the_task_is_the_published_one(tmp_path: Path) -> None:
    task = job(2, tmp_path).task
    budget = task.budget
    assert (budget.steps, budget.batch_size, budget.evaluation_size) == (400_000, 100, 2_500)
    assert (task.pool, task.shuffle, len(task.reference)) == (100_000, True, 2_500)
    found = task.evaluate(task.reference, task.reference)
    assert found["modes"] == 8 and found["reverse_kl"] < 0.01
    assert list(task.bounds) == list(PROTOCOL.quantities)


def test_published_figures_are_those_of_the_table() -> None:
    (row,) = PROTOCOL.chosen(["gan-ring8"])
    assert row.published["modes"].text(percent=False) == "6.30 ± 0.50"
    assert row.published["high_quality"].text(percent=True) == "98.2 ± 0.2 %"


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.long)])
def test_seeds_of_packed_gans_are_trained_at_once(compiled: bool, tmp_path: Path) -> None:
    """The engine holds what it stacks and compiles against the eager player itself."""
    asked = job(2, tmp_path, steps=4, compiled=compiled)
    results = list(train_seeds(asked, range(2)))
    assert {seed.engine for seed in results} == {"compiled" if compiled else "stacked"}
    assert {seed.engine_note for seed in results} == {None}
    assert {seed.status for seed in results} == {"ok"}
