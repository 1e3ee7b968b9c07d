"""What is special about the other protocols: their targets, losses and updates."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import softplus

from ganbench.engine.trainer import Trainer
from ganbench.harness import checkpoint, stored
from ganbench.nn import Adam
from ganbench.registry import load_task
from ganbench.reproduce import (
    alpha_gan,
    stacked_mnist,
    unrolled_ring,
    veegan_table1,
    wgan_gp_toy,
)
from ganbench.reproduce.comparison import Figure


def test_the_unrolled_ring_has_seven_modes_one_of_them_twice() -> None:
    task = unrolled_ring.PROTOCOL.conditions(load_task("ring8"), "gan")
    assert task.modes is not None and len(task.modes.centers) == 7
    drawn = task.sample(20_000, torch.Generator().manual_seed(0))
    shares = torch.cdist(drawn, task.modes.centers).argmin(1).bincount() / len(drawn)
    assert shares.tolist() == pytest.approx([2 / 8, *[1 / 8] * 6], abs=0.01)
    assert task.evaluate(task.reference, drawn[:2_500])["modes"] == 7
    assert task.bounds["modes"].floor == 7


@pytest.mark.parametrize("unrolled", [0, 2])
def test_d_learns_by_adam_and_g_sees_it_some_updates_ahead(unrolled: int) -> None:
    torch.manual_seed(0)
    gan = unrolled_ring.GAN(None, unrolled=unrolled)
    assert float(gan.G[0].weight.detach().square().sum(1).mean()) == pytest.approx(1.96, rel=1e-3)
    D, real = copy.deepcopy(gan.D), torch.randn(16, 2)
    rng = torch.Generator()
    rng.set_state(gan.rng.get_state())
    fake = gan.G(torch.randn(16, 256, generator=rng)).detach()
    adam = Adam(D.parameters(), 1e-4, (0.5, 0.999), 1e-8)
    losses: list[float] = []
    weights: list[list[torch.Tensor]] = []
    for _ in range(3):
        loss = softplus(-D(real)).mean() + softplus(D(fake)).mean()
        losses.append(float(loss.detach()))
        adam.zero_grad()
        loss.backward()
        adam.step()
        weights.append([p.detach().clone() for p in D.parameters()])
    log = gan.train_step(real)
    assert float(log["d_loss"]) == pytest.approx(losses[0], rel=1e-5)
    assert float(log["g_loss"]) == pytest.approx(-losses[unrolled], rel=1e-5)
    for mine, other in zip(gan.learnt[0], weights[0], strict=True):
        assert float((mine - other).abs().mean()) < 1e-6


def test_unrolled_goes_on_from_a_checkpoint_with_the_same_bits(tmp_path: Path) -> None:
    def gan() -> unrolled_ring.GAN:
        torch.manual_seed(0)
        return unrolled_ring.GAN(None, unrolled=2)

    whole, resumed, real = gan(), gan(), torch.randn(3, 8, 2)
    for batch in real[:2]:
        whole.train_step(batch)
    stored.save_state(tmp_path / "state", checkpoint.gan_state(whole, {}))
    checkpoint.restore_gan(resumed, stored.load_state(tmp_path / "state"))
    for each in (whole, resumed):
        each.train_step(real[2])
    assert torch.equal(whole.sample(8), resumed.sample(8))


def test_shares_of_runs_are_derived_and_have_binomial_errors() -> None:
    derived = alpha_gan.PROTOCOL.derived
    found = [{name: f({"modes": n}) for name, f in derived.items()} for n in (8.0, 3.0, 0.0)]
    assert found == [
        {"all_modes": 1.0, "no_modes": 0.0},
        {"all_modes": 0.0, "no_modes": 0.0},
        {"all_modes": 0.0, "no_modes": 1.0},
    ]
    assert alpha_gan.share(0.207, 150) == Figure(
        mean=0.207, error=math.sqrt(0.207 * 0.793 / 150), runs=150
    )


def test_veegan_learns_three_networks() -> None:
    torch.manual_seed(0)
    trainer = Trainer(veegan_table1.GAN(None), seed=0)
    F, real = trainer.networks["F"], torch.randn(8, 2)
    latent = torch.randn(8, 255)
    fake = trainer.generator(latent)
    with torch.no_grad():
        distance = ((latent[:, :254] - F(fake)) ** 2).sum() / 8 / 2
        said = trainer.networks["D"](torch.cat([latent[:, :254], fake], 1)).mean()
        loss = veegan_table1.g_loss(trainer.networks["D"], real, fake, F=F, latent=latent)
    assert float(loss) == pytest.approx(float(distance - said), rel=1e-5)
    before = [p.detach().clone() for p in F.parameters()]
    trainer.train_step(real)
    assert not all(torch.equal(a, b) for a, b in zip(before, F.parameters(), strict=True))


def test_the_critic_of_wgan_is_clipped_and_that_of_wgan_gp_is_not() -> None:
    for penalty, most in ((False, 0.01), (True, math.sqrt(6 / 512))):
        torch.manual_seed(0)
        trainer = Trainer(wgan_gp_toy.GAN(None, penalty=penalty), seed=0)
        trainer.train_step(torch.randn(8, 2))
        hidden = trainer.networks["D"][2].weight
        assert float(hidden.detach().abs().max()) == pytest.approx(most, rel=0.01)


@pytest.mark.parametrize(
    ("size", "before", "after"), [(28, 1, 2), (14, 1, 2), (7, 2, 2), (4, 1, 2)]
)
def test_convolutions_are_padded_as_in_tensorflow_and_their_transposes(
    size: int, before: int, after: int
) -> None:
    """TensorFlow gives the smaller half of what it pads before: (out - 1) * 2 + 5 - size."""
    torch.manual_seed(0)
    down, up = stacked_mnist.Down(size, 2, 3), stacked_mnist.Up(size, 3, 2)
    x, y = torch.randn(1, 2, size, size), torch.randn(1, 3, (size + 1) // 2, (size + 1) // 2)
    padded = torch.zeros(2, size + before + after, size + before + after)
    padded[:, before : before + size, before : before + size] = x[0]
    patches = [
        [padded[:, i : i + 5, j : j + 5] for j in range(0, size, 2)] for i in range(0, size, 2)
    ]
    by_hand = [[torch.tensordot(down.weight, each, 3) for each in row] for row in patches]
    expected = torch.stack([torch.stack(row, 1) for row in by_hand], 1)
    assert torch.allclose(down(x)[0], expected, atol=1e-5)
    up.weight = down.weight  # a transpose: <down x, y> = <x, up y>
    assert up(y).shape == x.shape
    with torch.no_grad():
        assert torch.allclose((down(x) * y).sum(), (x * up(y)).sum(), rtol=1e-3)


@pytest.mark.parametrize("pack", [1, 2])
def test_dcgan_updates_d_once_and_g_twice_on_the_same_latents(pack: int) -> None:
    torch.manual_seed(0)
    gan = stacked_mnist.GAN(None, pack=pack, width=4)
    latents: list[list[torch.Tensor]] = []
    made = gan.packs
    gan.packs = lambda z: latents.append(z) or made(z)
    log = gan.train_step(torch.rand(6 * pack, 3, 28, 28))
    assert {int(state["step"]) for state in gan.adams[0].state.values()} == {2}
    assert {int(state["step"]) for state in gan.adams[1].state.values()} == {1}
    assert len(latents) == 3 and all(found is latents[0] for found in latents)
    assert [tuple(z.shape) for z in latents[0]] == [(6, 100)] * pack
    assert float(log["d_loss"]) == pytest.approx(2 * math.log(2), abs=0.1)
    assert gan.D[0].weight.shape == (4, 3 * pack, 5, 5)
    averages = gan.G[2].running_mean.clone()
    assert gan.sample(5).shape == (5, 3, 28, 28)
    assert torch.equal(averages, gan.G[2].running_mean) and gan.G.training
