"""Small Games put together at random: networks, losses, penalties, optimisers, latents.

`recipe(number)` draws what a Game is made of, and always draws the same; a recipe makes the Game
anew for each seed, with weights from torch's global stream. About one in six is impure, or what no
stack can do, on purpose.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from ganbench import nn as gnn
from ganbench.core import Game, Loss, MakeOptimizer, Sampler

Rng = random.Random
Layers = list[nn.Module]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.2),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "mish": nn.Mish,
    "prelu": nn.PReLU,
}


class Residual(nn.Module):
    """x + inner(x)."""

    def __init__(self, *inner: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(width, width), nn.Linear(width, width)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.one(x).tanh())


class Spread(nn.Module):
    """A batch beside how far it is spread (minibatch standard deviation)."""

    def forward(self, x: Tensor) -> Tensor:
        spread = (x.var(0, unbiased=False) + 1e-6).sqrt().mean()
        return torch.cat([x, spread.expand(len(x), 1)], 1)


class Noise(nn.Module):
    """Adds noise with a learnt size."""

    def __init__(self) -> None:
        super().__init__()
        self.size = nn.Parameter(torch.tensor(0.1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.size * torch.randn_like(x)


class Spare(nn.Linear):
    """With a weight that nothing is computed from."""

    def __init__(self, wide: int, out: int) -> None:
        super().__init__(wide, out)
        self.spare = nn.Parameter(torch.ones(3))


class Average(nn.Module):
    """Subtracts a running mean that is a buffer of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(x.mean(0), 0.1)
        return x - self.mean


def linear(rng: Rng, wide: int, out: int, said: list[str], *, norms: bool = True) -> nn.Module:
    layer: nn.Module = nn.Linear(wide, out, bias=rng.random() < 0.8)
    kind = rng.random()
    if norms and kind < 0.08:
        said.append("spectral norm")
        return parametrizations.spectral_norm(layer)
    if norms and kind < 0.16:
        said.append("weight norm")
        return parametrizations.weight_norm(layer)
    if 0.16 <= kind < 0.2:
        said.append("spare weight")
        return Spare(wide, out)
    if kind > 0.95:
        said.append("frozen")
        layer.weight.requires_grad_(False)
    return layer


def norm(rng: Rng, width: int, said: list[str]) -> Layers:
    name = rng.choice([*[None] * 6, "batch", "layer", "group", "keras batch", "average"])
    if name is None:
        return []
    said.append(f"{name} norm")
    if name == "batch":
        momentum, tracks = rng.choice([0.1, 0.3]), rng.random() < 0.8
        return [nn.BatchNorm1d(width, momentum=momentum, track_running_stats=tracks)]
    if name == "group":
        return [nn.GroupNorm(rng.choice([n for n in (1, 2, 3) if width % n == 0]), width)]
    if name == "average":
        return [Average(width)]
    return [nn.LayerNorm(width) if name == "layer" else gnn.BatchNorm(width, momentum=0.8)]


def convolution(rng: Rng, width: int, said: list[str]) -> tuple[Layers, int]:
    """A detour over a picture or a sequence, and the width at its end."""
    channels = rng.choice([1, 2, 3])
    if width % (4 * channels) == 0 and rng.random() < 0.6:
        said.append("conv2d")
        shape: tuple[int, ...] = (channels, 2, width // channels // 2)
        layer: nn.Module = nn.Conv2d(channels, rng.choice([2, 3]), 3, padding=1)
        if rng.random() < 0.5:
            layer = nn.ConvTranspose2d(channels, 2, 2, stride=2)
    else:
        said.append("conv1d")
        channels = channels if width % channels == 0 else 1
        shape = (channels, width // channels)
        layer = nn.Conv1d(channels, 2, 3, padding=1)
    steps: Layers = [nn.Unflatten(1, shape), layer]
    out = nn.Sequential(*steps)(torch.zeros(1, width))
    if out.ndim == 4 and rng.random() < 0.3:
        said.append("batch norm 2d")
        steps.append(nn.BatchNorm2d(out.shape[1]))
    if rng.random() < 0.2:
        said.append("dropout of channels")
        steps.append(nn.Dropout1d(0.3) if out.ndim == 3 else nn.Dropout2d(0.3))
    return [*steps, nn.Flatten()], out.numel()


def hidden(rng: Rng, width: int, said: list[str], depths: Sequence[int]) -> tuple[Layers, int]:
    """Hidden layers behind `width` numbers, and how wide they end."""
    layers: Layers = []
    for _ in range(rng.choice(depths)):
        kind = rng.random()
        if kind < 0.1:
            said.append("residual")
            act = rng.choice(list(ACTIVATIONS))
            layers.append(
                Residual(nn.Linear(width, width), ACTIVATIONS[act](), *norm(rng, width, said))
            )
            continue
        if kind < 0.15:
            said.append("tied")
            layers.append(Tied(width))
            continue
        if kind < 0.3 and width >= 4:
            more, width = convolution(rng, width, said)
            layers += more
        else:
            out = rng.choice([4, 5, 6, 7, 8, 9, 12])
            layers.append(linear(rng, width, out, said))
            width = out
        act = rng.choice(list(ACTIVATIONS))
        said.append(act)
        parts = [[ACTIVATIONS[act]()], norm(rng, width, said)]
        rng.shuffle(parts)
        layers += itertools.chain(*parts)
        if rng.random() < 0.15:
            said.append("dropout")
            layers.append(nn.Dropout(rng.choice([0.2, 0.5])))
        if rng.random() < 0.05:
            said.append("noise layer")
            layers.append(Noise())
    return layers, width


def generator(
    rng: Rng, wide: int, shape: Sequence[int], said: list[str], depths: Sequence[int]
) -> nn.Module:
    layers, width = hidden(rng, wide, said, depths)
    layers.append(linear(rng, width, math.prod(shape), said, norms=False))
    if rng.random() < 0.2:
        layers.append(nn.Tanh())
    if len(shape) > 1:
        layers.append(nn.Unflatten(1, tuple(shape)))
    return nn.Sequential(*layers)


def discriminator(
    rng: Rng, shape: Sequence[int], said: list[str], depths: Sequence[int]
) -> nn.Module:
    layers: Layers = [nn.Flatten()] if len(shape) > 1 else []
    more, width = hidden(rng, math.prod(shape), said, depths)
    layers += more
    if rng.random() < 0.1:
        said.append("minibatch spread")
        layers.append(Spread())
        width += 1
    return nn.Sequential(*layers, linear(rng, width, 1, said))


# Losses.


def on(x: Tensor) -> Tensor:
    return functional.softplus(-x).mean()


def off(x: Tensor) -> Tensor:
    return functional.softplus(x).mean()


def bce(logits: Tensor, label: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, label)


def saturating(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return -off(D(fake))


def d_bce_smoothed(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    a, b = D(real), D(fake)
    return bce(a, torch.full_like(a, 0.9)) + bce(b, torch.zeros_like(b))


def d_bce_random(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    a, b = D(real), D(fake)
    return bce(a, 0.8 + 0.2 * torch.rand(len(real), 1)) + bce(b, 0.2 * torch.rand_like(b))


def d_joined(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    labels = torch.cat([torch.ones(len(real), 1), torch.zeros(len(fake), 1)])
    return bce(D(torch.cat([real, fake])), labels)


def relativistic(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    a, b = D(real), D(fake)
    return on(a - b.mean()) + off(b - a.mean())


def features(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Means and deviations of the layer before the last."""
    a, b = D[:-1](real).flatten(1), D[:-1](fake).flatten(1)
    return (a.mean(0) - b.mean(0)).square().sum() + (a.std(0) - b.std(0)).square().sum()


def g_bce_np(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    b = D(fake + 0.05 * torch.randn_like(fake))
    return bce(b, torch.ones_like(b))


LOSSES: dict[str, tuple[Loss, Loss]] = {
    "non-saturating": (lambda D, r, f: on(D(r)) + off(D(f)), lambda D, r, f: on(D(f))),
    "saturating": (lambda D, r, f: on(D(r)) + off(D(f)), saturating),
    "lsgan": (
        lambda D, r, f: ((D(r) - 1) ** 2).mean() + (D(f) ** 2).mean(),
        lambda D, r, f: ((D(f) - 1) ** 2).mean(),
    ),
    "hinge": (
        lambda D, r, f: functional.relu(1 - D(r)).mean() + functional.relu(1 + D(f)).mean(),
        lambda D, r, f: -D(f).mean(),
    ),
    "wasserstein": (lambda D, r, f: D(f).mean() - D(r).mean(), lambda D, r, f: -D(f).mean()),
    "relativistic average": (relativistic, lambda D, r, f: relativistic(D, f, r)),
    "relativistic pairing": (
        lambda D, r, f: functional.softplus(D(f) - D(r)).mean(),
        lambda D, r, f: functional.softplus(D(r) - D(f)).mean(),
    ),
    "smoothed labels": (d_bce_smoothed, lambda D, r, f: on(D(f))),
    "random labels": (d_bce_random, g_bce_np),
    "joined": (d_joined, lambda D, r, f: on(D(f))),
    "feature statistics": (
        lambda D, r, f: on(D(r)) + off(D(f)),
        lambda D, r, f: features(D, r, f) + 0.1 * on(D(f)),
    ),
}


# Penalties.


def slopes(D: nn.Module, at: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(D(at).sum(), at, create_graph=True)
    return slope.flatten(1)


def between(real: Tensor, fake: Tensor) -> Tensor:
    share = torch.rand(len(real), *[1] * (real.ndim - 1))
    return (share * real + (1 - share) * fake).requires_grad_(True)


def gradient_penalty(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return (slopes(D, between(real, fake)).norm(dim=1) - 1).square().mean()


def r1(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return slopes(D, real.detach().requires_grad_(True)).square().sum(1).mean()


def r2(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return slopes(D, fake.detach().requires_grad_(True)).square().sum(1).mean()


def dragan(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    at = (real + 0.5 * real.std() * torch.randn_like(real)).requires_grad_(True)
    out = D(at)
    (slope,) = torch.autograd.grad(out, at, torch.ones_like(out), create_graph=True)
    return (slope.flatten(1).square().sum(1) + 1e-8).sqrt().sub(1).square().mean()


def functional_penalty(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    share = torch.rand(len(real), *[1] * (real.ndim - 1))
    slope = torch.func.grad(lambda x: D(x).sum())(share * real + (1 - share) * fake)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def zero_centred(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return slopes(D, between(real, fake)).square().sum(1).mean()


def weights_norm(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return sum((p.square().sum() for p in D.parameters()), torch.zeros(()))


def weights_slope(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """How steep the loss is by D's own parameters."""
    learnt = [p for p in D.parameters() if p.requires_grad]
    found = torch.autograd.grad(
        D(real).square().mean() + D(fake).mean(), learnt, create_graph=True, allow_unused=True
    )
    return sum((g.square().sum() for g in found if g is not None), torch.zeros(()))


PENALTIES: dict[str, Loss] = {
    "gradient penalty": gradient_penalty,
    "r1": r1,
    "r2": r2,
    "dragan": dragan,
    "torch.func penalty": functional_penalty,
    "zero-centred": zero_centred,
    "norm of weights": weights_norm,
    "slope by weights": weights_slope,
}


def penalised(loss: Loss, penalty: Loss, weight: float) -> Loss:
    return lambda D, real, fake: loss(D, real, fake) + weight * penalty(D, real, fake)


# Optimisers.


def groups(make: Callable[..., torch.optim.Optimizer], rates: Sequence[float]) -> MakeOptimizer:
    """The first parameters at one rate, the others at another."""

    def made(params: Any) -> torch.optim.Optimizer:
        params = list(params)
        half = max(1, len(params) // 2)
        parts = [part for part in (params[:half], params[half:]) if part]
        return make([{"params": p, "lr": r} for p, r in zip(parts, rates, strict=False)])

    return made


def half(make: Callable[..., torch.optim.Optimizer]) -> MakeOptimizer:
    """Of the last parameters alone."""

    def made(params: Any) -> torch.optim.Optimizer:
        params = list(params)
        return make(params[len(params) // 2 :])

    return made


def optimizer(rng: Rng, said: list[str]) -> MakeOptimizer:
    rate = rng.choice([1e-3, 3e-3, 1e-2])
    decay = rng.choice([0.0, 0.0, 0.1])
    betas = rng.choice([(0.9, 0.999), (0.5, 0.9), (0.0, 0.99), (0.5, 0.999)])
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "Adam": partial(torch.optim.Adam, lr=rate, betas=betas, weight_decay=decay),
        "AdamW": partial(torch.optim.AdamW, lr=rate, betas=betas, weight_decay=0.1),
        "SGD": partial(torch.optim.SGD, lr=5 * rate, weight_decay=decay),
        "momentum": partial(torch.optim.SGD, lr=rate, momentum=0.9, weight_decay=decay),
        "RMSprop": partial(torch.optim.RMSprop, lr=rate, momentum=rng.choice([0.0, 0.5])),
        "Keras's Adam": partial(gnn.Adam, lr=rate, betas=betas),
        "Keras's RMSprop": partial(gnn.RMSprop, lr=rate, initial=rng.choice([0.0, 1.0])),
    }
    name = rng.choice(["Adam", "Adam", "Adam", *kinds])
    said.append(name)
    if not name.startswith("Keras") and rng.random() < 0.2:
        said.append("groups")
        return groups(kinds[name], (rate, rate / 5))
    if rng.random() < 0.08:
        said.append("of half")
        return half(kinds[name])
    return kinds[name]


# Latents.


def antithetic(n: int, rng: torch.Generator, width: int) -> Tensor:
    half = torch.randn(-(-n // 2), width, generator=rng)
    return torch.cat([half, -half])[:n]


def pooled(n: int, rng: torch.Generator, width: int) -> Tensor:
    pool = torch.linspace(-1, 1, 7 * width).view(7, width)
    return pool[torch.randint(7, (n,), generator=rng)]


LATENTS: dict[str, Callable[..., Tensor]] = {
    "normal": lambda n, rng, width: torch.randn(n, width, generator=rng),
    "uniform": lambda n, rng, width: torch.rand(n, width, generator=rng) * 2 - 1,
    "antithetic": antithetic,
    "linspace": lambda n, rng, width: torch.linspace(-1, 1, n).view(n, 1).expand(n, width),
    "pool": pooled,
}


def latent(rng: Rng, width: int, said: list[str]) -> Sampler:
    name = rng.choice(["normal", "normal", *LATENTS])
    said.append(f"{name} latents")
    return partial(LATENTS[name], width=width)


# What no stack can train.


class Clipped(torch.optim.Adam):
    def step(self, closure: Any = None) -> None:
        super().step()
        for group in self.param_groups:
            for p in group["params"]:
                p.data.clamp_(-0.01, 0.01)


class Counts(nn.Module):
    """Numbers its own calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * (1 + self.calls / 100)


def scaled(game: Game, scale: Callable[[], Any]) -> Game:
    """The game with a generator's loss that is scaled by something."""
    loss = game.g_loss
    return replace(game, g_loss=lambda D, real, fake: loss(D, real, fake) * scale())


def _counter(game: Game) -> Game:
    count = [0]

    def more() -> float:
        count[0] += 1
        return 1 + count[0] / 10

    return scaled(game, more)


def _tensor_counter(game: Game) -> Game:
    count = torch.zeros(())
    return scaled(game, lambda: 1 + count.add_(1) / 10)


def _object_counter(game: Game) -> Game:
    held = SimpleNamespace(count=0)

    def more() -> float:
        held.count += 1
        return 1 + held.count / 10

    return scaled(game, more)


def _iterator(game: Game) -> Game:
    numbers = itertools.count()
    return scaled(game, lambda: 1 + next(numbers) / 10)


def _range(game: Game) -> Game:
    numbers = iter(range(10_000))
    return scaled(game, lambda: 1 + next(numbers) / 10)


def _attribute(game: Game) -> Game:
    def more() -> float:
        more.count = getattr(more, "count", 0) + 1  # type: ignore[attr-defined]
        return 1 + more.count / 10  # type: ignore[attr-defined]

    return scaled(game, more)


def _generator(game: Game) -> Game:
    def numbers() -> Any:
        i = 0
        while True:
            i += 1
            yield 1 + i / 10

    running = numbers()
    return scaled(game, lambda: next(running))


def _python_generator(game: Game) -> Game:
    own = random.Random(0)
    return scaled(game, lambda: 1 + own.random())


def _numpy_generator(game: Game) -> Game:
    own = np.random.default_rng(0)
    return scaled(game, lambda: 1 + float(own.random()))


def _torch_generator(game: Game) -> Game:
    own = torch.Generator().manual_seed(0)
    return scaled(game, lambda: 1 + torch.rand((), generator=own))


def _closure(game: Game) -> Game:
    D = game.discriminator
    return replace(game, g_loss=lambda _, real, fake: -D(fake).mean())


def _generator_in_loss(game: Game) -> Game:
    """D's loss on fakes that it makes itself."""
    G, loss = game.generator, game.d_loss
    width = game.latent.keywords["width"]  # type: ignore[attr-defined]

    def own(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        return loss(D, real, G(torch.randn(len(real), width)).detach())  # type: ignore[operator]

    return replace(game, d_loss=own)


def _hook_of_step(game: Game) -> Game:
    make = game.d_optimizer

    def made(params: Any) -> torch.optim.Optimizer:
        params = list(params)
        new = make(params)
        new.register_step_post_hook(lambda *_: [p.data.clamp_(-0.1, 0.1) for p in params])
        return new

    return replace(game, d_optimizer=made)


def _scheduler(game: Game) -> Game:
    kept: list[Any] = []

    def made(params: Any) -> torch.optim.Optimizer:
        new = game.g_optimizer(params)
        kept.append(torch.optim.lr_scheduler.ExponentialLR(new, 0.9))
        return new

    return replace(game, g_optimizer=made)


def _hook_of_parameter(game: Game) -> Game:
    next(iter(game.generator.parameters())).register_hook(lambda grad: grad.clamp(-1e-4, 1e-4))
    return game


def _hook_of_backward(game: Game) -> Game:
    game.discriminator[-1].register_full_backward_hook(  # type: ignore[index]
        lambda module, of_input, of_output: (2 * of_input[0],)
    )
    return game


def _deaf_latent(game: Game) -> Game:
    width = game.latent.keywords["width"]  # type: ignore[attr-defined]
    return replace(game, latent=lambda n, rng: torch.randn(n, width))


def _branch(game: Game) -> Game:
    loss = game.g_loss

    def branching(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        value = loss(D, real, fake)
        return value if value > 0.7 else 2 * value

    return replace(game, g_loss=branching)


def _item(game: Game) -> Game:
    loss = game.g_loss

    def read(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        return loss(D, real, fake) / (1 + real.std().item())

    return replace(game, g_loss=read)


def _mask(game: Game) -> Game:
    return replace(game, g_loss=lambda D, real, fake: -D(fake[fake.flatten(1)[:, 0] > 0]).sum())


def _constant_of_seed(game: Game) -> Game:
    constant = torch.randn(())
    return scaled(game, lambda: constant)


def _numbers_of_seed(game: Game) -> Game:
    """A weight, and Adam's betas if D learns by any optimizer."""
    weight, betas = 0.5 + float(torch.rand(())), (0.5 * float(torch.rand(())), 0.9)
    game = scaled(game, lambda: weight)
    adam = partial(torch.optim.Adam, lr=1e-3, betas=betas)
    return game if game.d_optimizer is None else replace(game, d_optimizer=adam)


def _inner_training(game: Game) -> Game:
    """A third network, which is nobody's."""
    net = nn.Linear(1, 1)

    def learn() -> Tensor:
        with torch.no_grad():
            net.weight.mul_(0.99)
        return 1 + net.weight.detach().sum()

    return scaled(game, learn)


def _average_of_fakes(game: Game) -> Game:
    """A mean of past fakes kept in a closure."""
    kept: dict[str, Tensor] = {}
    loss = game.g_loss

    def against(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        mean = fake.detach().mean()
        kept["mean"] = 0.9 * kept.get("mean", mean) + 0.1 * mean
        return loss(D, real, fake) + (fake.mean() - kept["mean"]).square()

    return replace(game, g_loss=against)


def _shared_layer(game: Game) -> Game:
    """A generator that trains the discriminator's bias too."""
    G, D = game.generator, game.discriminator
    last = [layer for layer in G if isinstance(layer, nn.Linear)][-1]  # type: ignore[union-attr]
    last.bias = nn.Parameter(torch.zeros(last.out_features))
    D.append(Offset(last.bias))  # type: ignore[operator]
    return game


class Offset(nn.Module):
    """Adds the mean of somebody's bias."""

    def __init__(self, bias: nn.Parameter) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias.mean()


IMPURE: dict[str, Callable[[Game], Game]] = {
    "counter": _counter,
    "counter in a tensor": _tensor_counter,
    "counter in an object": _object_counter,
    "counter in C": _iterator,
    "range": _range,
    "counter in a function": _attribute,
    "python's generator function": _generator,
    "a random.Random": _python_generator,
    "a NumPy generator": _numpy_generator,
    "a torch.Generator": _torch_generator,
    "draws of NumPy": lambda game: scaled(game, lambda: 0.9 + 0.2 * np.random.rand()),
    "draws of Python": lambda game: scaled(game, lambda: 0.9 + 0.2 * random.random()),
    "clock": lambda game: scaled(game, lambda: 1 + time.time() % 1),
    "bernoulli": lambda game: scaled(game, lambda: torch.bernoulli(torch.tensor(0.5))),
    "closure over D": _closure,
    "closure over G": _generator_in_loss,
    "hook of a step": _hook_of_step,
    "scheduler": _scheduler,
    "clip": lambda game: replace(game, d_optimizer=partial(Clipped, lr=1e-3)),
    "Adagrad": lambda game: replace(game, g_optimizer=torch.optim.Adagrad),
    "amsgrad": lambda game: replace(game, g_optimizer=partial(torch.optim.Adam, amsgrad=True)),
    "nesterov": lambda game: replace(
        game, g_optimizer=partial(torch.optim.SGD, momentum=0.9, nesterov=True)
    ),
    "hook of a parameter": _hook_of_parameter,
    "hook of a backward pass": _hook_of_backward,
    "deaf latent": _deaf_latent,
    "branch": _branch,
    "item": _item,
    "mask": _mask,
    "constant of a seed": _constant_of_seed,
    "third network": _inner_training,
    "mean of past fakes": _average_of_fakes,
    "counts calls": lambda game: replace(
        game,
        discriminator=nn.Sequential(*game.discriminator, Counts()),  # type: ignore[misc]
    ),
    "shared between the networks": _shared_layer,
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a Game is made of, in words; how many seeds are trained on what batches."""

    number: int
    small: bool
    seeds: Sequence[int]
    batch_shape: tuple[int, ...]
    impure: str | None
    differs: bool  # in numbers, from seed to seed
    words: Sequence[str] = field(default=())

    def game(self) -> Game:
        """The Game anew, with weights from torch's global stream."""
        game, _ = _made(self.number, self.batch_shape, self.small)
        game = _numbers_of_seed(game) if self.differs else game
        return IMPURE[self.impure](game) if self.impure else game

    def __str__(self) -> str:
        impure = f"{self.impure.upper()}, " if self.impure else ""
        impure += "numbers of a seed's own, " if self.differs else ""
        return f"{self.number} {self.batch_shape}: {impure}{', '.join(self.words)}"


def recipe(number: int, *, small: bool = False, impure: str | None = None) -> Recipe:
    """The recipe of that number; a small one has a hidden layer, two seeds, and is traced sooner.

    With what makes it `impure`, where that is given.
    """
    rng = Rng(number)
    n = rng.choice([5, 7, 8, 9, 13, 16, 17, 21, 33])
    shape = rng.choice([(1,), (2,), (2,), (3,), (5,), (1, 4, 4), (2, 3)])
    seeds = rng.sample(range(100), 2 if small else rng.choice([2, 2, 3, 4]))
    if impure is None and rng.random() < 1 / 6:
        impure = rng.choice(list(IMPURE))
    with torch.random.fork_rng():
        _, words = _made(number, (n, *shape), small)
    return Recipe(
        number=number,
        small=small,
        seeds=seeds,
        batch_shape=(n, *shape),
        impure=impure,
        differs=impure is None and number % 3 == 0,
        words=words,
    )


def _made(number: int, batch_shape: Sequence[int], small: bool) -> tuple[Game, list[str]]:
    rng, said = Rng(f"game {number}"), list[str]()
    shape, wide = batch_shape[1:], rng.choice([1, 2, 3, 5])
    depths = [1] if small else [1, 1, 2, 2, 3]
    draw = latent(rng, wide, said)
    G = generator(rng, wide, shape, said, depths)
    said.append("|")
    D = discriminator(rng, shape, said, depths)
    said.append("|")
    d_loss, g_loss = losses(rng, D, said)
    d_updates = 1 if small else rng.choice([1, 1, 1, 2, 3])
    reuse, inference = rng.random() < 0.3, rng.random() < 0.15
    said += [f"{d_updates} updates"] * (d_updates > 1)
    said += ["reused latents"] * reuse + ["inference fakes"] * inference
    game = Game(
        latent=draw,
        generator=G,
        discriminator=D,
        d_loss=d_loss,
        g_loss=g_loss,
        d_optimizer=optimizer(rng, said),
        g_optimizer=optimizer(rng, said),
        d_updates=d_updates,
        reuse_latent=reuse,
        inference_fakes=inference,
        decision=None if rng.random() < 0.2 else 0.0,
    )
    return asking(Rng(f"asks {number}"), game, said), said


def asking(rng: Rng, game: Game, said: list[str]) -> Game:
    """The Game, with some of what else one may ask of it."""
    asks: dict[str, Any] = {}
    if rng.random() < 0.2:
        asks["schedule"] = {"d_lr": lambda done: 1 - done / 2}
    if rng.random() < 0.2:
        asks["schedule"] = {**asks.get("schedule", {}), "g_lr": lambda done: 0.5 + done}
    if rng.random() < 0.2:
        asks["average"] = rng.choice([0.5, 0.9])
    if rng.random() < 0.15:
        asks["after_d"] = clip
    if game.d_updates == 1 and callable(game.d_loss) and rng.random() < 0.25:
        asks[rng.choice(["simultaneous", "extragradient"])] = True
    said += asks
    return replace(game, **asks)


def clip(network: nn.Module) -> None:
    for p in network.parameters():
        p.clamp_(-0.5, 0.5)


def losses(rng: Rng, D: nn.Module, said: list[str]) -> tuple[Loss | list[Loss], Loss]:
    """The losses of D, perhaps with a penalty, and of G."""
    name = rng.choice(list(LOSSES))
    said.append(name)
    d_loss, g_loss = LOSSES[name]
    if rng.random() < 0.35:
        penalty, weight = rng.choice(list(PENALTIES)), rng.choice([0.01, 0.1, 1.0])
        if penalty == "torch.func penalty" and next(D.buffers(), None) is not None:
            penalty = "gradient penalty"  # torch.func takes no module that writes to its buffers
        said.append(f"{weight} {penalty}")
        d_loss = penalised(d_loss, PENALTIES[penalty], weight)
    if rng.random() < 0.1:
        other = rng.choice(list(LOSSES))
        said.append(f"then {other}")
        return [d_loss, LOSSES[other][0]], g_loss
    return d_loss, g_loss
