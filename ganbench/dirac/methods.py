"""The methods as losses: formulas of any discriminator, of which the DiracGAN tells apart some.

D says how real a sample is, as everywhere here. Mescheder et al. 2018 have it the other way round:
their psi is minus this one, their fields are these upside down, and their start is (1, -1) here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganbench import penalties
from ganbench.core import Loss
from ganbench.penalties import Discriminator

Cost = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""A loss that asks for nothing but D, real and fake."""

# As in the notebook that drew the paper's pictures.
GAMMA, CRITICAL = 0.3, 1.0  # of penalties; above the second nothing turns near the equilibrium
JOINT = 1.0  # gamma of consensus optimisation
SLOPE = 0.7  # weight of WGAN-GP's penalty
NOISE = 0.7  # standard deviation
LIMIT = 1.0  # of the critic's weight, which is its slope
REACH, POINTS = 8.0, 33  # of the sum that stands for an integral over normal noise


def cross_entropy(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-log s(D(real)) - log(1 - s(D(fake))), s the sigmoid."""
    return softplus(-D(real)).mean() + softplus(D(fake)).mean()


def saturating(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """log(1 - s(D(fake))): Goodfellow et al. 2014, equation 1."""
    return -softplus(D(fake)).mean()


def non_saturating(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-log s(D(fake)): Goodfellow et al. 2014, section 3."""
    return softplus(-D(fake)).mean()


def critic(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """D(fake) - D(real): Arjovsky et al. 2017 (WGAN)."""
    return D(fake).mean() - D(real).mean()


def against_critic(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-D(fake)."""
    return -D(fake).mean()


@torch.no_grad()
def clip(D: nn.Module) -> None:
    """Every weight into [-1, 1]: Arjovsky et al. 2017."""
    for weight in D.parameters():
        weight.clamp_(-LIMIT, LIMIT)


def wgan_gp(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """The critic's + weight/2 (|grad D| - 1)^2 between both: Gulrajani et al. 2017."""
    return critic(D, real, fake) + SLOPE / 2 * penalties.gradient_penalty(D, real, fake)


def r1(D: nn.Module, real: Tensor, fake: Tensor, gamma: float = GAMMA) -> Tensor:
    """Cross-entropy + gamma/2 |grad D(real)|^2: Mescheder et al. 2018."""
    return cross_entropy(D, real, fake) + gamma / 2 * penalties.r1(D, real)


def r1_critical(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """The same with the gamma that ends turning."""
    return r1(D, real, fake, CRITICAL)


def r2(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy + gamma/2 |grad D(fake)|^2: Mescheder et al. 2018."""
    return cross_entropy(D, real, fake) + GAMMA / 2 * penalties.r2(D, fake)


def zero_centered(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy + gamma/2 |grad D|^2 between both: Thanh-Tung et al. 2019."""
    return cross_entropy(D, real, fake) + GAMMA / 2 * penalties.zero_centered(D, real, fake)


def noisy(loss: Cost, D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """What the loss is on average under normal noise on D's input: Sønderby et al. 2017.

    The average is a sum over evenly spaced noises, exact to rounding for smooth losses, so that no
    luck is in it.
    """
    noises = torch.linspace(-REACH, REACH, POINTS).to(real)
    weights = torch.softmax(-noises.square() / 2, 0)
    losses = torch.vmap(lambda each: loss(D, real + NOISE * each, fake + NOISE * each))(noises)
    return weights @ losses


def consensus(loss: Cost, D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """The loss + gamma/2 |v|^2, v the gradients of both players: Mescheder et al. 2017.

    Written for a generator that makes the same of any latent, whose gradient is the sum of those
    of its fakes: so it needs no generator, which losses are not given.
    """
    made = fake if fake.requires_grad else fake.detach().requires_grad_()
    (of_g,) = torch.autograd.grad(saturating(D, real, made), made, create_graph=True)
    weights = list(D.parameters())
    of_d = torch.autograd.grad(cross_entropy(D, real, made), weights, create_graph=True)
    squares = of_g.sum(0).square().sum() + sum(each.square().sum() for each in of_d)
    return loss(D, real, made) + JOINT / 2 * squares


@dataclass(frozen=True, kw_only=True)
class Method:
    """The losses of D and G, and what changes D after its updates."""

    title: str
    d_loss: Loss
    g_loss: Loss = saturating
    after_d: Callable[[nn.Module], object] | None = None


METHODS: Mapping[str, Method] = {
    "gan": Method(title="GAN", d_loss=cross_entropy),
    "nsgan": Method(title="non-saturating GAN", d_loss=cross_entropy, g_loss=non_saturating),
    "wgan": Method(title="WGAN, not clipped", d_loss=critic, g_loss=against_critic),
    "wgan_clip": Method(title="WGAN, clipped", d_loss=critic, g_loss=against_critic, after_d=clip),
    "wgan_gp": Method(title="WGAN-GP", d_loss=wgan_gp, g_loss=against_critic),
    "instance_noise": Method(
        title="instance noise",
        d_loss=partial(noisy, cross_entropy),
        g_loss=partial(noisy, saturating),
    ),
    "r1": Method(title="R1", d_loss=r1),
    "r1_critical": Method(title="R1, critical gamma", d_loss=r1_critical),
    "nsgan_r1": Method(title="non-saturating GAN, R1", d_loss=r1, g_loss=non_saturating),
    "r2": Method(title="R2", d_loss=r2),
    "zero_centered": Method(title="zero-centred penalty", d_loss=zero_centered),
    "consensus": Method(
        title="consensus optimisation",
        d_loss=partial(consensus, cross_entropy),
        g_loss=partial(consensus, saturating),
    ),
}
