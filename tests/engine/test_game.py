"""What a variant may ask of a Game, each held against the same written by hand."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganbench.core import Game
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.errors import ContractError
from ganbench.nn import OptimisticAdam

STEPS, SIZE = 8, 16
ADAM = partial(torch.optim.Adam, lr=1e-2)
OPTIMISTIC = partial(OptimisticAdam, lr=1e-2)


def latent(n: int, rng: torch.Generator) -> Tensor:
    return torch.randn(n, 4, generator=rng)


def d_loss(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-D(real)).mean() + softplus(D(fake)).mean()


def g_loss(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-D(fake)).mean()


def game(seed: int = 0, **fields: Any) -> Game:
    torch.manual_seed(seed)
    made: dict[str, Any] = {
        "generator": nn.Sequential(
            nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)
        ),
        "discriminator": nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1)),
        "latent": latent,
        "d_loss": d_loss,
        "g_loss": g_loss,
        "d_optimizer": ADAM,
        "g_optimizer": ADAM,
    }
    return Game(**{**made, **fields})


def batches(seeds: int = 1) -> Tensor:
    return torch.randn(seeds, STEPS, SIZE, 2, generator=torch.Generator().manual_seed(1))


def trained(made: Game) -> Trainer:
    trainer = Trainer(made, seed=0, total=STEPS)
    for real in batches()[0]:
        trainer.train_step(real)
    return trainer


def by_hand(made: Game, step: Callable[[Any, Tensor, Callable[[], Tensor]], None]) -> Trainer:
    """A trainer whose networks and optimisers are moved by `step` alone."""
    trainer = Trainer(made, seed=0, total=STEPS)
    for real in batches()[0]:
        step(trainer, real, lambda: made.latent(SIZE, trainer.rng))
    return trainer


def descend(trainer: Trainer, who: str, loss: Tensor) -> None:
    trainer.optimizers[who].zero_grad()
    loss.backward(inputs=list(trainer.networks[who].parameters()))
    trainer.optimizers[who].step()


def alternate(trainer: Trainer, real: Tensor, draw: Callable[[], Tensor]) -> None:
    G, D = trainer.generator, trainer.discriminator
    assert D is not None
    descend(trainer, "D", d_loss(D, real, G(draw()).detach()))
    descend(trainer, "G", g_loss(D, real, G(draw())))


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_average_is_of_the_weights_and_what_samples_come_from() -> None:
    averages: list[nn.Module] = []

    def step(trainer: Trainer, real: Tensor, draw: Callable[[], Tensor]) -> None:
        averages[:] = averages or [copy.deepcopy(trainer.generator)]
        alternate(trainer, real, draw)
        trainer.steps += 1
        keep = min(0.5, (1 + trainer.steps - 1) / (10 + trainer.steps - 1))
        for a, p in zip(averages[0].parameters(), trainer.generator.parameters(), strict=True):
            a.data = keep * a.data + (1 - keep) * p.data
        averages[0].load_state_dict(dict(trainer.generator.named_buffers()), strict=False)

    hand = by_hand(game(), step)
    trainer = trained(game(average=0.5))
    assert trainer.averaged is not None
    assert_same(trainer.generator, hand.generator)
    assert_same(trainer.averaged, averages[0])
    averages[0].eval()
    torch.testing.assert_close(trainer.sample(5), averages[0](latent(5, hand.rng)))


def test_schedule_is_of_the_share_that_is_done() -> None:
    """Rates as torch's LambdaLR has them; a scalar for the loss that asks for it."""
    seen = []

    def scaled(D: nn.Module, real: Tensor, fake: Tensor, *, weight: Tensor) -> Tensor:
        seen.append(float(weight))
        return weight * d_loss(D, real, fake)

    schedule = {"weight": lambda t: 1 + t, "d_lr": lambda t: 1 - t, "g_lr": lambda t: t}
    trainer = trained(game(d_loss=scaled, schedule=schedule))
    assert seen == pytest.approx([1 + i / STEPS for i in range(STEPS)])
    made = game()
    hand = Trainer(made, seed=0)
    rates = torch.optim.lr_scheduler.LambdaLR
    d_rate = rates(hand.optimizers["D"], lambda i: 1 - i / STEPS)
    g_rate = rates(hand.optimizers["G"], lambda i: i / STEPS)
    for i, real in enumerate(batches()[0]):
        G, D = hand.generator, hand.discriminator
        assert D is not None
        descend(hand, "D", (1 + i / STEPS) * d_loss(D, real, G(latent(SIZE, hand.rng)).detach()))
        descend(hand, "G", g_loss(D, real, G(latent(SIZE, hand.rng))))
        d_rate.step()
        g_rate.step()
    assert_same(trainer.generator, hand.generator)
    assert trainer.discriminator is not None and hand.discriminator is not None
    assert_same(trainer.discriminator, hand.discriminator)


def test_after_d_changes_d_after_each_update() -> None:
    def clip(D: nn.Module) -> None:
        for p in D.parameters():
            p.clamp_(-0.05, 0.05)

    def step(trainer: Trainer, real: Tensor, draw: Callable[[], Tensor]) -> None:
        G, D = trainer.generator, trainer.discriminator
        assert D is not None
        descend(trainer, "D", d_loss(D, real, G(draw()).detach()))
        with torch.no_grad():
            clip(D)
        descend(trainer, "G", g_loss(D, real, G(draw())))

    trainer, hand = trained(game(after_d=clip)), by_hand(game(), step)
    assert trainer.discriminator is not None and hand.discriminator is not None
    assert (
        max(float(p.detach().abs().max()) for p in trainer.discriminator.parameters())
        <= 0.05 + 1e-8
    )
    assert_same(trainer.discriminator, hand.discriminator)
    assert_same(trainer.generator, hand.generator)


def test_simultaneous_updates_are_from_one_point() -> None:
    def step(trainer: Trainer, real: Tensor, draw: Callable[[], Tensor]) -> None:
        G, D = trainer.generator, trainer.discriminator
        assert D is not None
        of_d = d_loss(D, real, G(draw()).detach())
        trainer.optimizers["D"].zero_grad()
        of_d.backward(inputs=list(D.parameters()))
        of_g = g_loss(D, real, G(draw()))
        descend(trainer, "G", of_g)
        trainer.optimizers["D"].step()

    trainer, hand = trained(game(simultaneous=True)), by_hand(game(), step)
    other = by_hand(game(), alternate)
    assert_same(trainer.generator, hand.generator)
    with pytest.raises(AssertionError):
        assert_same(trainer.generator, other.generator)


def test_extragradient_updates_by_the_gradients_of_where_one_update_leads() -> None:
    def step(trainer: Trainer, real: Tensor, draw: Callable[[], Tensor]) -> None:
        G, D = trainer.generator, trainer.discriminator
        assert D is not None
        weights = [*D.parameters(), *G.parameters()]
        before = [each.detach().clone() for each in weights]
        for turn in range(2):
            of_d = torch.autograd.grad(d_loss(D, real, G(draw()).detach()), list(D.parameters()))
            of_g = torch.autograd.grad(g_loss(D, real, G(draw())), list(G.parameters()))
            if turn:
                restore(weights, before)
            for weight, slope in zip(weights, (*of_d, *of_g), strict=True):
                weight.grad = slope
            trainer.optimizers["D"].step()
            trainer.optimizers["G"].step()

    trainer, hand = trained(game(extragradient=True)), by_hand(game(), step)
    assert_same(trainer.generator, hand.generator)
    assert_same(trainer.discriminator, hand.discriminator)


@torch.no_grad()
def restore(weights: list[nn.Parameter], values: list[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)


def spiral(**fields: Any) -> tuple[float, float]:
    """How far min over x, max over y of x * y is from its end, at first and after 200 steps."""
    G, D = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    for each in (G, D):
        nn.init.ones_(each.weight)
    sgd = partial(torch.optim.SGD, lr=0.1)
    made: dict[str, Any] = {
        "generator": G,
        "discriminator": D,
        "latent": lambda n, rng: torch.ones(n, 1),
        "d_loss": lambda D, real, fake: -D(fake).mean(),
        "g_loss": lambda D, real, fake: D(fake).mean(),
        "d_optimizer": sgd,
        "g_optimizer": sgd,
        "decision": None,
    }
    trainer = Trainer(Game(**{**made, **fields}), seed=0, total=200)
    begin = math.hypot(G.weight.item(), D.weight.item())
    for _ in range(200):
        trainer.train_step(torch.zeros(1, 1))
    return begin, math.hypot(G.weight.item(), D.weight.item())


def test_extragradient_converges_where_simultaneous_updates_do_not() -> None:
    """Each multiplies the distance by a factor that is known, of a rate of 0.1."""
    begin, end = spiral(simultaneous=True)
    assert end / begin == pytest.approx(1.01**100, rel=1e-3)
    begin, end = spiral(extragradient=True)
    assert end / begin == pytest.approx((1 - 0.01 + 0.0001) ** 100, rel=1e-3)


def half(points: Tensor) -> Tensor:
    """Which half of the plane each of them lies in."""
    return (points[:, 0] > 0).long()


def of_class(n: int, rng: torch.Generator) -> Tensor:
    """Noise, and a class to make a sample of, one-hot."""
    classes = torch.randint(2, (n,), generator=rng)
    return torch.cat([torch.randn(n, 2, generator=rng), torch.eye(2)[classes]], 1)


def conditional_d_loss(
    D: nn.Module, real: Tensor, fake: Tensor, *, labels: Tensor, latent: Tensor
) -> Tensor:
    told = torch.cat([real, torch.eye(2)[labels]], 1), torch.cat([fake, latent[:, 2:]], 1)
    return softplus(-D(told[0])).mean() + softplus(D(told[1])).mean()


def conditional_g_loss(D: nn.Module, real: Tensor, fake: Tensor, *, latent: Tensor) -> Tensor:
    return softplus(-D(torch.cat([fake, latent[:, 2:]], 1))).mean()


def conditional() -> dict[str, Any]:
    torch.manual_seed(9)
    return {
        "discriminator": nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)),
        "latent": of_class,
        "labels": half,
        "d_loss": conditional_d_loss,
        "g_loss": conditional_g_loss,
    }


def test_a_conditional_gan_is_told_the_classes_of_real_samples() -> None:
    def step(trainer: Trainer, real: Tensor, draw: Callable[[], Tensor]) -> None:
        G, D = trainer.generator, trainer.discriminator
        assert D is not None
        z = draw()
        descend(
            trainer, "D", conditional_d_loss(D, real, G(z).detach(), labels=half(real), latent=z)
        )
        z = draw()
        descend(trainer, "G", conditional_g_loss(D, real, G(z), latent=z))

    made = game(**conditional())
    hand = by_hand(game(**conditional()), step)
    assert_same(trained(made).generator, hand.generator)
    other = game(**{**conditional(), "labels": lambda real: 1 - half(real)})
    with pytest.raises(AssertionError):
        assert_same(trained(other).generator, hand.generator)


def encoder_loss(
    D: nn.Module, real: Tensor, fake: Tensor, *, E: nn.Module, latent: Tensor
) -> Tensor:
    return softplus(-D(fake)).mean() + (E(fake) - latent).square().mean()


def test_further_networks_learn_with_the_generator() -> None:
    """As VEEGAN's reconstructor does, from the latent of the fakes."""
    torch.manual_seed(5)
    E = nn.Linear(2, 4)
    mine, its = copy.deepcopy(E), ADAM(E.parameters())

    def both(trainer: Trainer, real: Tensor, draw: Callable[[], Tensor]) -> None:
        G, D = trainer.generator, trainer.discriminator
        assert D is not None
        descend(trainer, "D", d_loss(D, real, G(draw()).detach()))
        z = draw()
        fake = G(z)
        loss = encoder_loss(D, real, fake, E=E, latent=z)
        trainer.optimizers["G"].zero_grad()
        its.zero_grad()
        loss.backward(inputs=[*G.parameters(), *E.parameters()])
        trainer.optimizers["G"].step()
        its.step()

    trainer = trained(game(g_loss=encoder_loss, more={"E": mine}))
    hand = by_hand(game(), both)
    assert_same(trainer.generator, hand.generator)
    assert_same(mine, E)


def moments(D: None, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    apart = (real.mean(0) - fake.mean(0)).square().sum()
    return apart, {"apart": apart.sqrt()}


def test_without_a_discriminator() -> None:
    def step(trainer: Trainer, real: Tensor, draw: Callable[[], Tensor]) -> None:
        descend(trainer, "G", moments(None, real, trainer.generator(draw()))[0])

    trainer, hand = Trainer(game(**WITHOUT), seed=0), by_hand(game(**WITHOUT), step)
    logs = [trainer.train_step(real) for real in batches()[0]]
    assert_same(trainer.generator, hand.generator)
    assert [set(log) for log in logs] == [{"g_loss", "apart"}] * STEPS
    assert float(logs[0]["apart"]) == pytest.approx(float(logs[0]["g_loss"]) ** 0.5)


def clip(network: nn.Module) -> None:
    for p in network.parameters():
        p.clamp_(-0.5, 0.5)


def weighted(
    D: nn.Module, real: Tensor, fake: Tensor, *, weight: Tensor, latent: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    r = real.detach().requires_grad_()
    (g,) = torch.autograd.grad(D(r).sum(), r, create_graph=True)
    penalty = g.square().sum(1).mean()
    return d_loss(D, real, fake) + weight * penalty, {"penalty": penalty, "z": latent.mean()}


def encoder() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(2, 4, bias=False), nn.BatchNorm1d(4))


def judge_of_pairs() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))


def test_packed_samples_are_judged_together() -> None:
    """Lin et al. 2018: D gets pairs of samples as one; half as many verdicts as rows."""

    def step(trainer: Trainer, real: Tensor, draw: Callable[[], Tensor]) -> None:
        G, D = trainer.generator, trainer.discriminator
        assert D is not None
        pairs, half = real.view(SIZE // 2, 4), SIZE // 2
        descend(trainer, "D", d_loss(D, pairs, G(draw()).detach().view(half, 4)))
        descend(trainer, "G", g_loss(D, pairs, G(draw()).view(half, 4)))

    trainer = trained(game(discriminator=judge_of_pairs(), pack=2))
    hand = by_hand(game(discriminator=judge_of_pairs()), step)
    assert_same(trainer.generator, hand.generator)
    images = game(pack=3).packed(torch.arange(24.0).view(6, 2, 2, 1))
    assert images.shape == (2, 6, 2, 1) and images[0, 2:4].flatten().tolist() == [4, 5, 6, 7]


WITHOUT = {"discriminator": None, "d_loss": None, "d_optimizer": None, "g_loss": moments}
VARIANTS: dict[str, Callable[[], dict[str, Any]]] = {
    "average": lambda: {"average": 0.9, "d_updates": 2},
    "schedule": lambda: {
        "d_loss": weighted,
        "schedule": {"weight": lambda t: 1 - t, "d_lr": lambda t: 1 - t, "g_lr": lambda t: t},
        "d_optimizer": partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.5),
    },
    "clipping": lambda: {"after_d": clip, "after_g": clip},
    "simultaneous": lambda: {"simultaneous": True},
    "extragradient": lambda: {"extragradient": True, "average": 0.9, "d_optimizer": OPTIMISTIC},
    "conditional": conditional,
    "encoder": lambda: {
        "g_loss": encoder_loss,
        "more": {"E": encoder()},
    },
    "packed": lambda: {"discriminator": judge_of_pairs(), "pack": 2},
    "no discriminator": lambda: WITHOUT,
    "all together": lambda: {
        "d_loss": weighted,
        "g_loss": encoder_loss,
        "more": {"E": encoder()},
        "average": 0.9,
        "schedule": {"weight": lambda t: 1 - t, "d_lr": lambda t: 1 - t, "g_lr": lambda t: t},
        "after_d": clip,
        "reuse_latent": True,
    },
}
COMPILED = ("extragradient", "no discriminator", "all together")  # which takes half a minute each


def marks(name: str, *, compiled: bool = False) -> list[pytest.MarkDecorator]:
    """What is asked for all together is tried every time, each by itself with all tests."""
    if name == "all together":
        return [pytest.mark.slow] if compiled else []
    return [pytest.mark.slow, *([pytest.mark.long] if compiled else [])]


@pytest.mark.parametrize(
    ("name", "compiled"),
    [
        *(pytest.param(name, False, marks=marks(name)) for name in VARIANTS),
        *(pytest.param(name, True, marks=marks(name, compiled=True)) for name in COMPILED),
    ],
)
def test_stacked_as_eager(name: str, compiled: bool) -> None:
    def trainers() -> list[Trainer]:
        made = [game(seed, **VARIANTS[name]()) for seed in range(3)]
        return [Trainer(each, seed=seed, total=STEPS) for seed, each in enumerate(made)]

    apart, stacked, real = trainers(), trainers(), batches(3)
    eager = Stack(apart, (SIZE, 2))
    logs = [eager.train_apart(real[:, i : i + 1]) for i in range(STEPS)]
    stack = Stack(stacked, (SIZE, 2))
    if compiled:
        stack.compile()
    together = stack.train(real)
    for seed, (one, other) in enumerate(zip(stacked, apart, strict=True)):
        assert one.steps == other.steps == STEPS
        for who, network in one.networks.items():
            for a, b in zip(network.parameters(), other.networks[who].parameters(), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
        assert float(together[seed]["g_loss"][-1]) == pytest.approx(
            float(logs[-1][seed]["g_loss"][-1]), rel=1e-3
        )
        if one.averaged is not None and other.averaged is not None:
            pairs = _pairs(one.averaged, one.generator)
            assert max(float((a - b).detach().abs().max()) for a, b in pairs) > 1e-3
            for a, b in _pairs(one.averaged, other.averaged):
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def _pairs(one: nn.Module, other: nn.Module) -> list[tuple[Tensor, Tensor]]:
    return list(zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", VARIANTS)
def test_goes_on_where_it_stood(name: str) -> None:
    whole = Trainer(game(**VARIANTS[name]()), seed=0, total=STEPS)
    first = Trainer(game(**VARIANTS[name]()), seed=0, total=STEPS)
    for i, real in enumerate(batches()[0]):
        whole.train_step(real)
        if i < STEPS // 2:
            first.train_step(real)
    second = Trainer(game(1, **VARIANTS[name]()), seed=0, total=STEPS)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for real in batches()[0, STEPS // 2 :]:
        second.train_step(real)
    for a, b in _pairs(nn.ModuleDict(whole.networks), nn.ModuleDict(second.networks)):
        assert torch.equal(a, b)
    assert torch.equal(whole.sample(4), second.sample(4))


def asks_for_more(D: nn.Module, real: Tensor, fake: Tensor, *, gamma: Tensor) -> Tensor:
    return gamma * D(fake).mean()


def by_place(D: nn.Module, real: Tensor, fake: Tensor, gamma: float = 0.0) -> Tensor:
    return gamma * D(fake).mean()


def of_more(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """And of centres that latents are drawn around."""
    return torch.optim.SGD([*parameters, nn.Parameter(torch.zeros(2))], lr=0.1)


class AsksForMore(nn.Module):
    """A loss that is a module."""

    def forward(self, D: nn.Module, real: Tensor, fake: Tensor, *, gamma: Tensor) -> Tensor:
        return asks_for_more(D, real, fake, gamma=gamma)


def test_a_module_is_handed_what_its_forward_asks_for() -> None:
    losses = []
    for loss in (asks_for_more, AsksForMore()):
        trainer = Trainer(game(g_loss=loss, schedule={"gamma": lambda done: 2.0}), seed=0)
        losses.append(float(trainer.train_step(batches()[0, 0])["g_loss"]))
    assert losses[0] == losses[1] != 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"g_loss": asks_for_more}, "asks for 'gamma', which is none of latent"),
        ({"g_loss": conditional_d_loss}, "asks for 'labels', which is none of latent"),
        ({"average": 1.5}, "average must lie between 0 and 1, got 1.5"),
        ({"simultaneous": True, "d_updates": 2}, "simultaneous updates are of one d_loss"),
        ({"extragradient": True, "d_updates": 2}, "simultaneous updates are of one d_loss"),
        ({"discriminator": None}, "without a discriminator d_loss and d_optimizer must be None"),
        ({"more": {"G": nn.Linear(1, 1)}}, "more must have other names than 'G'"),
        ({"schedule": {"weight": 3}}, "schedule must be a function of (share), got 3"),
        ({"after_d": 3}, "after_d must be a function of (D), got 3"),
        ({"schedule": {"lr": lambda done: 1 - done}}, "schedule has 'lr', which no loss asks for"),
        ({"g_loss": by_place, "schedule": {"gamma": float}}, "take it behind a *, as in (D, real,"),
        ({"g_optimizer": of_more}, "returned an optimizer of more than the networks' parameters"),
    ],
)
def test_what_cannot_be_is_said(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError) as raised:
        Trainer(game(**fields), seed=0)
    assert message in str(raised.value)


def logs(*names: str) -> Callable[..., Any]:
    """A loss that logs by these names."""

    def loss(D: nn.Module, real: Tensor, fake: Tensor) -> Any:
        return D(fake).mean(), dict.fromkeys(names, D(fake).mean())

    return loss


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"d_loss": logs("step")}, "may not log 'step', which each row has anyway"),
        ({"g_loss": logs("train_seconds")}, "may not log 'train_seconds', which each row has any"),
        ({"g_loss": logs("d_accuracy")}, "it must be a scalar tensor of a name of its own"),
        ({"g_loss": logs("a\nb")}, "must name each scalar by a printable text"),
        ({"d_loss": logs("gap"), "g_loss": logs("gap")}, "d_loss and g_loss both log 'gap'"),
    ],
)
def test_nothing_that_is_logged_takes_the_place_of_other_numbers(
    fields: dict[str, Any], message: str
) -> None:
    trainer = Trainer(game(**fields), seed=0)
    with pytest.raises(ContractError) as raised:
        trainer.train_step(batches()[0, 0])
    assert message in str(raised.value)


def test_several_losses_of_d_may_log_their_mean() -> None:
    trainer = Trainer(game(d_loss=[logs("value"), logs("value")]), seed=0)
    log = trainer.train_step(batches()[0, 0])
    assert float(log["value"]) == pytest.approx(float(log["d_loss"]), rel=1e-6)
