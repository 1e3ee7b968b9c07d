"""Penalties against discriminators whose gradients are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ganbench import penalties

REAL = torch.randn(32, 3, generator=torch.Generator().manual_seed(0))
FAKE = torch.randn(32, 3, generator=torch.Generator().manual_seed(1)) + 2
W = torch.tensor([1.0, -2.0, 2.0])  # of norm 3
A = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.0, 1.0]])


def linear(x: Tensor) -> Tensor:
    return (x @ W)[:, None]


def quadratic(x: Tensor) -> Tensor:
    return 0.5 * ((x @ A) * x).sum(1)


def test_of_a_linear_discriminator_the_gradient_is_its_weights() -> None:
    assert penalties.gradient_penalty(linear, REAL, FAKE).item() == pytest.approx((3 - 1) ** 2)
    assert penalties.dragan(linear, REAL).item() == pytest.approx((3 - 1) ** 2)
    assert penalties.zero_centered(linear, REAL, FAKE).item() == pytest.approx(9)
    assert penalties.r1(linear, REAL).item() == pytest.approx(9)
    assert penalties.r2(linear, FAKE).item() == pytest.approx(9)


def test_of_a_quadratic_discriminator_it_depends_on_where() -> None:
    on_real = float((REAL @ A).square().sum(1).mean())
    on_fake = float((FAKE @ A).square().sum(1).mean())
    assert penalties.r1(quadratic, REAL).item() == pytest.approx(on_real, rel=1e-5)
    assert penalties.r2(quadratic, FAKE).item() == pytest.approx(on_fake, rel=1e-5)


def test_the_places_between_are_drawn_a_sample_at_a_time() -> None:
    """On the segment of each pair, uniformly: E |x(t)|^2 over t is known."""
    real, fake = REAL.repeat(500, 1), FAKE.repeat(500, 1)
    torch.manual_seed(0)
    points = penalties.between(real, fake)
    share = (points - fake) / (real - fake)
    assert torch.allclose(share[:, 0], share[:, 1], atol=1e-3)
    assert float(share[:, 0].mean()) == pytest.approx(0.5, abs=0.02)
    assert float(share[:, 0].var()) == pytest.approx(1 / 12, abs=0.01)


def test_around_real_samples_means_by_half_a_deviation() -> None:
    torch.manual_seed(0)
    seen: list[Tensor] = []

    def spy(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return linear(x)

    penalties.dragan(spy, REAL)
    away = (seen[0] - REAL) / REAL.std()
    assert float(away.min()) >= 0 and float(away.max()) <= 0.5


def test_images_have_one_norm_each() -> None:
    weights = torch.randn(2, 4, 4)
    norm = float(weights.norm())
    found = penalties.r1(lambda x: (x * weights).sum((1, 2, 3)), torch.randn(5, 2, 4, 4))
    assert found.item() == pytest.approx(norm**2, rel=1e-5)


def test_they_teach_the_discriminator() -> None:
    """Their gradient for its weights is that of autograd's double backward, written out."""
    D = nn.Linear(3, 1)
    penalties.r1(D, REAL).backward()
    assert D.weight.grad is not None
    assert torch.allclose(D.weight.grad, 2 * D.weight.detach())


def test_where_the_gradient_is_nothing_there_is_something_to_learn_from() -> None:
    scale = torch.zeros(1, requires_grad=True)
    penalties.gradient_penalty(lambda x: scale * linear(x), REAL, FAKE).backward()
    assert scale.grad is not None and bool(torch.isfinite(scale.grad).all())
