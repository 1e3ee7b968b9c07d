"""Penalties of a discriminator's gradient, to be added to its loss with a weight of one's own.

`D` gives a logit a sample; `real` and `fake` are batches (n, *shape). Each returns a scalar.
Lengths are measured in `scale`, a number or a tensor that broadcasts with a sample: that of data
whose coordinates differ in their units is `task.scale.view(task.shape)`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.linalg import vector_norm

Discriminator = Callable[[Tensor], Tensor]
Scale = Tensor | float


def gradient_penalty(D: Discriminator, real: Tensor, fake: Tensor, scale: Scale = 1) -> Tensor:
    """How far the gradient's norm is from 1 between the two: Gulrajani et al. 2017 (WGAN-GP)."""
    return (norms(D, between(real, fake), scale) - 1).square().mean()


def zero_centered(D: Discriminator, real: Tensor, fake: Tensor, scale: Scale = 1) -> Tensor:
    """The squared norm of the gradient between the two: Thanh-Tung et al. 2019."""
    return gradients(D, between(real, fake), scale).square().sum(1).mean()


def r1(D: Discriminator, real: Tensor, scale: Scale = 1) -> Tensor:
    """The squared norm of the gradient on real samples: Mescheder et al. 2018, there gamma / 2."""
    return gradients(D, real, scale).square().sum(1).mean()


def r2(D: Discriminator, fake: Tensor, scale: Scale = 1) -> Tensor:
    """The same on fake samples: Mescheder et al. 2018."""
    return gradients(D, fake, scale).square().sum(1).mean()


def dragan(D: Discriminator, real: Tensor, scale: Scale = 1) -> Tensor:
    """How far the gradient's norm is from 1 around real samples: Kodali et al. 2017, algorithm 1.

    At the perturbed samples, as there; their notebook has points between these and real ones.
    """
    around = real + 0.5 * (real / scale).std() * scale * torch.rand_like(real)
    return (norms(D, around, scale) - 1).square().mean()


def between(real: Tensor, fake: Tensor) -> Tensor:
    """A point on the line between each real sample and a fake one, anywhere alike."""
    share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
    return torch.lerp(fake, real, share.to(real.dtype))


def norms(D: Discriminator, batch: Tensor, scale: Scale = 1) -> Tensor:
    """Norms (n,) of D's gradient; where that is nothing, theirs is nothing too."""
    norms: Tensor = vector_norm(gradients(D, batch, scale), dim=1)
    return norms


def gradients(D: Discriminator, batch: Tensor, scale: Scale = 1) -> Tensor:
    """D's gradient (n, d) at each sample, to be differentiated further."""
    points = batch.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(D(points).sum(), points, create_graph=True)
    return (gradient * scale).flatten(1)
