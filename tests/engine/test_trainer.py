"""The trainer of a Game: whose turn it is, who is updated by what, what is logged."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor
from torch import nn as torch_nn
from torch.nn.functional import softplus

from ganbench import nn
from ganbench.core import GAN, Game
from ganbench.engine.trainer import Trainer
from ganbench.randomness import generator

SGD = partial(torch.optim.SGD, lr=0.1)


class Shaped(torch_nn.Module):
    """Three numbers a sample in another shape; their mean for no shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.view(-1, *self.shape) if self.shape else x.mean(1)


def noise(n: int, rng: torch.Generator) -> Tensor:
    return torch.randn(n, 2, generator=rng, device=rng.device)


def tiny(seed: int = 0, **changes: object) -> Game:
    torch.manual_seed(seed)
    game = Game(
        generator=nn.mlp([2, 4, 2]),
        discriminator=nn.mlp([2, 4, 1]),
        latent=noise,
        d_loss=lambda D, real, fake: softplus(-D(real)).mean() + softplus(D(fake)).mean(),
        g_loss=lambda D, real, fake: softplus(-D(fake)).mean(),
        d_optimizer=SGD,
        g_optimizer=SGD,
    )
    return replace(game, **changes)  # type: ignore[arg-type]


def batches(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 8, 2, generator=torch.Generator().manual_seed(seed)) + 1


def weights(module: torch_nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_is_a_gan() -> None:
    assert isinstance(Trainer(tiny(), seed=0), GAN)


@pytest.mark.parametrize("reuse_latent", [False, True])
def test_generator_is_updated_on_its_turns_only(reuse_latent: bool) -> None:
    game = tiny(d_updates=2, reuse_latent=reuse_latent)
    trainer = Trainer(game, seed=0)
    for step, real in enumerate(batches(6), start=1):
        g, d = weights(game.generator), weights(game.discriminator)
        log = trainer.train_step(real)
        updates_g = step % 2 == 0
        assert same(g, weights(game.generator)) is not updates_g
        assert not same(d, weights(game.discriminator))
        names = {"d_loss", "d_accuracy"} | ({"g_loss", "g_accuracy"} if updates_g else set())
        assert log.keys() == names
        assert all(value.shape == () and not value.requires_grad for value in log.values())


@pytest.mark.parametrize("reuse_latent", [False, True])
def test_each_loss_updates_its_own_network(reuse_latent: bool) -> None:
    seen: list[list[Tensor]] = []
    grads: list[Tensor] = []
    game = tiny(reuse_latent=reuse_latent)

    def d_loss(D: torch_nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        assert not fake.requires_grad
        seen.append(weights(game.generator))
        return game.d_loss(D, real, fake)

    def g_loss(D: torch_nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        assert same(seen[-1], weights(game.generator))  # D's update has left G alone
        seen.append(weights(game.discriminator))
        grads[:] = [p.grad.clone() for p in game.discriminator.parameters()]
        return game.g_loss(D, real, fake)

    trainer = Trainer(replace(game, d_loss=d_loss, g_loss=g_loss), seed=0)
    for real in batches(3):
        before = weights(game.generator)
        trainer.train_step(real)
        assert same(seen[-1], weights(game.discriminator))  # and G's update D
        assert same(grads, [p.grad for p in game.discriminator.parameters()])
        assert not same(before, weights(game.generator))
    assert len(seen) == 6


@pytest.mark.parametrize("reuse_latent", [False, True])
def test_fakes_of_both_updates(reuse_latent: bool) -> None:
    fakes: list[Tensor] = []
    game = tiny(reuse_latent=reuse_latent)

    def d_loss(D: torch_nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        fakes.append(fake.detach().clone())
        return game.d_loss(D, real, fake)

    def g_loss(D: torch_nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        fakes.append(fake.detach().clone())
        return game.g_loss(D, real, fake)

    Trainer(replace(game, d_loss=d_loss, g_loss=g_loss), seed=0).train_step(batches(1)[0])
    assert torch.equal(*fakes) is reuse_latent


def test_one_step_is_the_formulas() -> None:
    """Both updates written out with autograd.grad and plain subtraction."""
    game, other = tiny(reuse_latent=True), tiny(reuse_latent=True)
    trainer = Trainer(game, seed=3)
    state, real = trainer.rng.get_state(), batches(1)[0]
    log = trainer.train_step(real)

    fake = other.generator(noise(8, torch.Generator().set_state(state)))
    for module, loss, name in (
        (other.discriminator, other.d_loss, "d_loss"),
        (other.generator, other.g_loss, "g_loss"),
    ):
        value = loss(other.discriminator, real, fake)
        parameters = list(module.parameters())
        grads = torch.autograd.grad(value, parameters, retain_graph=True)
        with torch.no_grad():
            for parameter, grad in zip(parameters, grads, strict=True):
                parameter -= 0.1 * grad
        assert float(log[name]) == pytest.approx(float(value.detach()), rel=1e-6)
        if module is other.discriminator:
            fake = other.generator(noise(8, torch.Generator().set_state(state)))
    for mine, theirs in ((game.generator, other.generator), (game.discriminator,) * 2):
        pairs = zip(weights(mine), weights(theirs), strict=True)
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)
    pairs = zip(weights(game.discriminator), weights(other.discriminator), strict=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


def known(decision: float | None) -> Game:
    """D says the first coordinate, G says (-1, -1), and neither learns."""
    D, G = torch_nn.Linear(2, 1), torch_nn.Linear(2, 2)
    with torch.no_grad():
        D.weight.copy_(torch.tensor([[1.0, 0.0]]))
        D.bias.zero_()
        G.weight.zero_()
        G.bias.fill_(-1.0)
    still = partial(torch.optim.SGD, lr=0.0)
    return tiny(
        generator=G, discriminator=D, d_optimizer=still, g_optimizer=still, decision=decision
    )


@pytest.mark.parametrize(
    ("decision", "d_accuracy", "g_accuracy"), [(0.0, 0.875, 0.0), (-2.0, 0.5, 1.0), (2.0, 0.5, 0.0)]
)
def test_accuracies_of_a_known_discriminator(
    decision: float, d_accuracy: float, g_accuracy: float
) -> None:
    """Three of four real points are above 0, all fakes are at -1."""
    real = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    log = Trainer(known(decision), seed=0).train_step(real)
    assert float(log["d_accuracy"]) == d_accuracy
    assert float(log["g_accuracy"]) == g_accuracy


@pytest.mark.parametrize(("shape", "is_verdict"), [((), True), ((1, 3), True), ((3,), False)])
def test_of_several_numbers_a_sample_none_is_the_verdict(
    shape: tuple[int, ...], is_verdict: bool
) -> None:
    """As of classes; parts of an image have one each."""
    log = Trainer(
        tiny(discriminator=torch_nn.Sequential(torch_nn.Linear(2, 3), Shaped(shape))), seed=0
    ).train_step(batches(1)[0])
    assert ("d_accuracy" in log) == ("g_accuracy" in log) == is_verdict


def test_a_critic_has_no_accuracy() -> None:
    log = Trainer(known(None), seed=0).train_step(torch.ones(4, 2))
    assert log.keys() == {"d_loss", "g_loss"}


def test_losses_may_reach_into_the_discriminator() -> None:
    game = tiny(g_loss=lambda D, real, fake: D.get_submodule("0")(fake).square().mean())
    assert Trainer(game, seed=0).train_step(batches(1)[0])["g_loss"] > 0


def train(seed: int) -> tuple[Trainer, list[float]]:
    trainer = Trainer(tiny(d_optimizer=nn.Adam, g_optimizer=nn.Adam), seed=seed)
    return trainer, [float(trainer.train_step(real)["d_loss"]) for real in batches(10)]


def test_same_seed_same_bits() -> None:
    (first, losses), (again, same_losses), (other, _) = train(1), train(1), train(2)
    assert losses == same_losses
    assert same(weights(first.generator), weights(again.generator))
    assert torch.equal(first.sample(20), again.sample(20))
    assert not same(weights(first.generator), weights(other.generator))


class Losses:
    def d_loss(self, D: torch_nn.Module, real: Tensor, fake: Tensor, *, latent: Tensor) -> Tensor:
        return (D(fake) - D(real)).mean() + latent.mean()


def test_a_deep_copy_goes_on_the_same() -> None:
    """Also of losses that are methods, which are others in the copy."""
    one = Trainer(tiny(d_loss=Losses().d_loss), seed=0)
    other = copy.deepcopy(one)
    assert other.game.d_loss is not one.game.d_loss
    for real in batches(2):
        assert one.train_step(real) == other.train_step(real)
    assert same(weights(one.generator), weights(other.generator))


def test_noise_is_no_global_stream() -> None:
    trainer = Trainer(tiny(), seed=0)
    before = torch.get_rng_state()
    trainer.train_step(batches(1)[0])
    trainer.sample(10)
    assert torch.equal(torch.get_rng_state(), before)


def test_samples_are_made_in_inference_mode() -> None:
    game = tiny(generator=torch_nn.Sequential(nn.mlp([2, 2]), torch_nn.Dropout(0.9)))
    trainer = Trainer(game, seed=0)
    samples = trainer.sample(500)
    assert samples.shape == (500, 2)
    assert not samples.requires_grad
    assert samples.ne(0).all()
    assert game.generator.training


def test_several_losses_make_an_update_each() -> None:
    """The second loss sees the discriminator that the first has changed."""

    def on_real(D, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-D(real)).mean()

    def on_fake(D, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(D(fake)).mean()

    game, mirror = tiny(d_loss=(on_real, on_fake)), tiny()
    (real,) = batches(1)
    log = Trainer(game, seed=0).train_step(real)
    fake = mirror.generator(noise(8, generator(0, "latent"))).detach()
    D, losses, right = mirror.discriminator, [], []
    optimizer = SGD(D.parameters())
    for loss, batch, sign in ((on_real, real, 1), (on_fake, fake, -1)):
        right.append((sign * D(batch) > 0).float().mean())
        value = loss(D, real, fake)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.detach())
    assert same(weights(game.discriminator), weights(D))
    assert torch.equal(log["d_loss"], torch.stack(losses).mean())
    assert torch.equal(log["d_accuracy"], sum(right) / 2)


@pytest.mark.parametrize("reuse_latent", [False, True])
def test_inference_fakes_are_made_with_moving_averages(reuse_latent: bool) -> None:
    """The fakes D sees leave the averages alone, the batch that G learns from moves them once."""
    body = torch_nn.Sequential(nn.dense(2, 4), nn.BatchNorm(4), nn.dense(4, 2))
    seen: list[bool] = []
    body.register_forward_pre_hook(lambda module, args: seen.append(module.training))
    latents: list[Tensor] = []

    def latent(n: int, rng: torch.Generator) -> Tensor:
        latents.append(noise(n, rng))
        return latents[-1]

    game = tiny(generator=body, latent=latent, inference_fakes=True, reuse_latent=reuse_latent)
    hidden = body[0](noise(8, generator(0, "latent"))).detach()
    Trainer(game, seed=0).train_step(batches(1)[0])
    assert seen == [False, True]
    assert len(latents) == (1 if reuse_latent else 2)
    if reuse_latent:
        assert torch.allclose(body[1].running_mean, 0.01 * hidden.mean(0), atol=1e-7)


def test_buffers_that_a_network_does_not_keep_are_in_its_state() -> None:
    def game() -> Game:
        made = tiny(discriminator=nn.mlp([2, 1]))
        made.discriminator.register_buffer("seen", torch.zeros(2), persistent=False)
        return made

    trainer, other = Trainer(game(), seed=0), Trainer(game(), seed=0)
    trainer.discriminator.seen += 3
    state = trainer.state_dict()
    other.load_state_dict(state)
    assert other.discriminator.seen.tolist() == [3, 3]
    del state["unkept"]  # as in checkpoints of before
    Trainer(game(), seed=0).load_state_dict(state)


def test_a_snapshot_shows_features_and_changes_nothing() -> None:
    def features(D: torch_nn.Module, batch: Tensor) -> Tensor:
        return D[0](batch)  # type: ignore[index]

    plain = Trainer(tiny(discriminator=nn.mlp([2, 4, 1], dropout=0.5)), seed=0)
    looked = Trainer(tiny(discriminator=nn.mlp([2, 4, 1], dropout=0.5), features=features), seed=0)
    looked.discriminator.load_state_dict(plain.discriminator.state_dict())
    for trainer in (plain, looked):
        torch.manual_seed(1)
        trainer.snapshot = {} if trainer is looked else None
        for real in batches(3):
            trainer.train_step(real)
    assert same(weights(plain.discriminator), weights(looked.discriminator))
    assert same(weights(plain.generator), weights(looked.generator))
    shot = looked.snapshot
    assert plain.snapshot is None and shot is not None
    assert list(shot) == [
        f"{who}_{when}" for when in ("before_d", "before_g", "after_g") for who in ("real", "fake")
    ]
    # D is at rest while G is updated: the real ones stay, the generated ones move.
    assert torch.equal(shot["real_before_g"], shot["real_after_g"])
    assert not torch.equal(shot["real_before_d"], shot["real_before_g"])
    assert not torch.equal(shot["fake_before_g"], shot["fake_after_g"])
