"""Penalties of a discriminator's gradient, to be added to its loss with a weight of one's own.

`D` gives a logit a sample; `real` and `fake` are batches (n, *shape). Each returns a scalar.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.linalg import vector_norm

Discriminator = Callable[[Tensor], Tensor]


def gradient_penalty(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """How far the gradient's norm is from 1 between the two: Gulrajani et al. 2017 (WGAN-GP)."""
    return (norms(D, between(real, fake)) - 1).square().mean()


def zero_centered(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """The squared norm of the gradient between the two: Thanh-Tung et al. 2019."""
    return gradients(D, between(real, fake)).square().sum(1).mean()


def r1(D: Discriminator, real: Tensor) -> Tensor:
    """The squared norm of the gradient on real samples: Mescheder et al. 2018, there gamma / 2."""
    return gradients(D, real).square().sum(1).mean()


def r2(D: Discriminator, fake: Tensor) -> Tensor:
    """The same on fake samples: Mescheder et al. 2018."""
    return gradients(D, fake).square().sum(1).mean()


def dragan(D: Discriminator, real: Tensor) -> Tensor:
    """How far the gradient's norm is from 1 around real samples: Kodali et al. 2017."""
    around = real + 0.5 * real.std() * torch.rand_like(real)
    return (norms(D, around) - 1).square().mean()


def between(real: Tensor, fake: Tensor) -> Tensor:
    """A point on the line between each real sample and a fake one, anywhere alike."""
    share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
    return torch.lerp(fake, real, share)


def norms(D: Discriminator, batch: Tensor) -> Tensor:
    """Norms (n,) of D's gradient; where that is nothing, theirs is nothing too."""
    norms: Tensor = vector_norm(gradients(D, batch), dim=1)
    return norms


def gradients(D: Discriminator, batch: Tensor) -> Tensor:
    """D's gradient (n, d) at each sample, to be differentiated further."""
    points = batch.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(D(points).sum(), points, create_graph=True)
    return gradient.flatten(1)
