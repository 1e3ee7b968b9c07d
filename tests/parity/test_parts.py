"""Layers, initialisers, optimisers and losses, one by one, against those of Keras."""

from __future__ import annotations

import inspect
import math

import keras
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from ganbench import nn

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_backend() -> None:
    assert keras.config.backend() == "torch"


@pytest.mark.parametrize("name", sorted(nn.ACTIVATIONS))
def test_activations(name: str) -> None:
    slope = {"negative_slope": 0.2} if name == "leaky_relu" else {}
    x = torch.linspace(-4, 4, 101)
    expected = getattr(keras.activations, name)(x, **slope)
    assert torch.allclose(nn.ACTIVATIONS[name]()(x), expected, rtol=0, atol=1e-6)


def test_dense_has_keras_s_bounds() -> None:
    """Glorot's limit, by Keras's own draws and by its formula."""
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)
    theirs = keras.layers.Dense(300)
    theirs.build((None, 200))
    ours = nn.dense(200, 300)
    limit = math.sqrt(6 / 500)
    for weights in (theirs.kernel.value, ours.weight):
        largest = float(weights.detach().abs().max())
        assert 0.9999 * limit < largest <= limit * (1 + 1e-6)
    assert not ours.bias.any()
    assert not theirs.bias.value.any()


def test_small_normal_weights() -> None:
    """Untruncated, as Keras's RandomNormal is."""
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)
    theirs = keras.initializers.RandomNormal(stddev=0.02)((500, 500))
    ours = nn.dense(500, 500, init=nn.normal(0.02)).weight.detach()
    for weights in (theirs, ours):
        assert float(weights.std()) == pytest.approx(0.02, rel=0.005)
        assert float(weights.abs().max()) > 4 * 0.02


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [
        (nn.Adam, keras.optimizers.Adam, {"lr": "learning_rate", "epsilon": "epsilon"}),
        (
            nn.RMSprop,
            keras.optimizers.RMSprop,
            {"lr": "learning_rate", "decay": "rho", "epsilon": "epsilon"},
        ),
        (
            nn.BatchNorm,
            keras.layers.BatchNormalization,
            {"momentum": "momentum", "epsilon": "epsilon"},
        ),
    ],
)
def test_defaults(ours: type, theirs: type, names: dict[str, str]) -> None:
    our, their = (inspect.signature(each).parameters for each in (ours, theirs))
    for name, keras_name in names.items():
        assert our[name].default == their[keras_name].default, name


def test_default_betas() -> None:
    default = keras.optimizers.Adam()
    betas = inspect.signature(nn.Adam).parameters["betas"].default
    assert betas == (default.beta_1, default.beta_2)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("name", ["Adam", "RMSprop", "RMSprop from 1"])
def test_optimizers(name: str, scale: float) -> None:
    """20 steps on gradients of that size; epsilon counts in the small ones."""
    rng = torch.Generator().manual_seed(0)
    ours = torch.nn.Parameter(torch.zeros(50))
    theirs = keras.Variable(np.zeros(50, dtype="float32"))
    if name == "Adam":
        our, their = nn.Adam([ours]), keras.optimizers.Adam()
        their.build([theirs])
    else:
        initial = 1.0 if name.endswith("1") else 0.0
        our, their = nn.RMSprop([ours], initial=initial), keras.optimizers.RMSprop()
        their.build([theirs])
        their._velocities[0].assign(np.full(50, initial))
    for _ in range(20):
        ours.grad = scale * torch.randn(50, generator=rng)
        our.step()
        with torch.no_grad():
            their.apply([ours.grad.clone()])
    # Keras's own rounding of 1 - beta^t is 1e-5 of the way.
    way = float(ours.detach().abs().max())
    assert torch.allclose(ours.detach(), theirs.value.detach(), rtol=0, atol=3e-5 * way)


@pytest.mark.parametrize("momentum", [0.8, 0.99])
def test_batch_norm(momentum: float) -> None:
    """Output and gradient in training, moving averages, then output in inference."""
    ours = nn.BatchNorm(4, momentum=momentum)
    theirs = keras.layers.BatchNormalization(momentum=momentum)
    theirs.build((None, 4))
    rng = torch.Generator().manual_seed(0)
    gamma, beta = torch.randn(2, 4, generator=rng)
    with torch.no_grad():
        ours.weight.copy_(gamma)
        ours.bias.copy_(beta)
    theirs.gamma.assign(gamma)
    theirs.beta.assign(beta)

    def both(training: bool) -> None:
        # Of five rows: then an unbiased variance is a quarter more.
        x = (0.1 * torch.randn(5, 4, generator=rng) + 0.2).requires_grad_()
        ours.train(training)
        got, expected = ours(x), theirs(x, training=training)
        assert torch.allclose(got, expected, rtol=0, atol=1e-5)
        slopes = [torch.autograd.grad((y**3).sum(), x)[0] for y in (got, expected)]
        assert torch.allclose(*slopes, rtol=1e-4, atol=1e-4)

    for _ in range(5):
        both(training=True)
    assert torch.allclose(ours.running_mean, theirs.moving_mean.value.detach(), atol=1e-6)
    assert torch.allclose(ours.running_var, theirs.moving_variance.value.detach(), atol=1e-6)
    both(training=False)


def test_losses_come_from_logits() -> None:
    """Else a discriminator that is sure of itself would teach the generator nothing.

    Keras on torch clips probabilities to [1e-7, 1 - 1e-7], where the slope is 0. The sources ran
    on TensorFlow, where Keras looks up the sigmoid's logits and has ours, -1 at a logit of -20.
    """
    logit = torch.tensor([[-20.0]], requires_grad=True)
    real = torch.ones(1, 1)
    cross_entropy = keras.losses.BinaryCrossentropy()
    clipped = cross_entropy(real, keras.activations.sigmoid(logit))
    assert clipped.item() == pytest.approx(-math.log(1e-7), rel=1e-3)
    assert float(slope(clipped, logit)) == 0
    ours = softplus(-logit).mean()
    assert ours.item() == pytest.approx(20, rel=1e-6)
    assert float(slope(ours, logit)) == pytest.approx(-1, abs=1e-6)


@pytest.mark.parametrize("label", [0.0, 0.9, 1.0])
def test_losses_where_nothing_is_clipped(label: float) -> None:
    """Value and slope, smoothed labels included."""
    logit = torch.linspace(-6, 6, 25).view(-1, 1).requires_grad_()
    target = torch.full_like(logit, label)
    theirs = keras.losses.BinaryCrossentropy()(target, keras.activations.sigmoid(logit))
    ours = (softplus(-logit) + (1 - label) * logit).mean()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert torch.allclose(slope(ours, logit), slope(theirs, logit), atol=1e-6)


def slope(value: Tensor, at: Tensor) -> Tensor:
    return torch.autograd.grad(value, at)[0]
