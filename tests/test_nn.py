"""Keras's initialiser, optimiser and loss, against formulas written out in NumPy."""

from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch.nn import functional

from ganbench import nn


def test_dense_is_glorot_uniform_with_zero_bias() -> None:
    torch.manual_seed(0)
    layer = nn.dense(300, 200)
    limit = math.sqrt(6 / 500)
    weight = layer.weight.detach().double()
    assert weight.shape == (200, 300)
    assert 0.999 * limit < float(weight.abs().max()) <= limit * (1 + 1e-6)
    # 60,000 uniform draws: the variance is limit^2 / 3, and a quarter lies in each quarter.
    assert float(weight.var()) == pytest.approx(limit**2 / 3, rel=0.02)
    quarters = torch.histc(weight.float(), 4, -limit, limit) / weight.numel()
    assert quarters.tolist() == pytest.approx([0.25] * 4, abs=0.01)
    assert not layer.bias.any()


def test_dense_with_normal_weights() -> None:
    torch.manual_seed(0)
    layer = nn.dense(300, 200, init=nn.normal(0.02))
    assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert not layer.bias.any()


def test_mlp_puts_activation_and_dropout_after_hidden_layers_only() -> None:
    layers = nn.mlp([4, 8, 6, 2], activation="relu", dropout=0.4)
    kinds = [type(layer).__name__ for layer in layers]
    assert kinds == ["Linear", "ReLU", "Dropout"] * 2 + ["Linear"]
    assert [layer.in_features for layer in layers[::3]] == [4, 8, 6]
    assert layers[2].p == 0.4
    assert [type(layer).__name__ for layer in nn.mlp([4, 2])] == ["Linear"]
    assert layers(torch.zeros(5, 4)).shape == (5, 2)


@pytest.mark.parametrize("name", sorted(nn.ACTIVATIONS))
def test_activations(name: str) -> None:
    x = torch.linspace(-2, 2, 9)
    formulas = {
        "elu": torch.where(x > 0, x, x.exp() - 1),
        "leaky_relu": torch.where(x > 0, x, 0.2 * x),
        "relu": x.clamp(min=0),
        "silu": x / (1 + (-x).exp()),
        "tanh": (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
    }
    assert torch.allclose(nn.ACTIVATIONS[name]()(x), formulas[name], atol=1e-6)


def test_affine() -> None:
    scale, shift = torch.tensor([2.0, 0.5]), torch.tensor([1.0, -1.0])
    layer = nn.Affine(scale, shift)
    assert layer(torch.tensor([[3.0, 4.0]])).tolist() == [[7.0, 1.0]]
    assert not list(layer.parameters())
    back = nn.Affine(1 / scale, -shift / scale)
    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(back(layer(x)), x, atol=1e-6)


def test_margin_is_softmax_cross_entropy() -> None:
    logits = 3 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    margin = nn.Margin()(logits)
    assert margin.shape == (50, 1)
    for label, loss in ((1, functional.softplus(-margin)), (0, functional.softplus(margin))):
        target = torch.full((50,), label)
        assert torch.allclose(loss.mean(), functional.cross_entropy(logits, target), rtol=1e-6)


def gradients(scale: float) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [scale * torch.randn(6, generator=rng) for _ in range(20)]


def train(optimizer: torch.optim.Optimizer, param: torch.nn.Parameter, grads: list) -> None:
    for grad in grads:
        param.grad = grad.clone()
        optimizer.step()


def adam_by_keras(grads: list, lr: float, betas: tuple[float, float], epsilon: float) -> np.ndarray:
    """As Keras's `Adam.update_step` does it, in float64."""
    w, m, v = np.ones(6), np.zeros(6), np.zeros(6)
    for t, grad in enumerate(grads, start=1):
        g = grad.double().numpy()
        alpha = lr * np.sqrt(1 - betas[1] ** t) / (1 - betas[0] ** t)
        m += (g - m) * (1 - betas[0])
        v += (g**2 - v) * (1 - betas[1])
        w -= m * alpha / (np.sqrt(v) + epsilon)
    return w


@pytest.mark.parametrize("scale", [1.0, 1e-6])
@pytest.mark.parametrize(
    ("lr", "betas", "epsilon"), [(1e-3, (0.9, 0.999), 1e-7), (2e-4, (0.5, 0.999), 1e-8)]
)
def test_adam_is_that_of_keras(
    scale: float, lr: float, betas: tuple[float, float], epsilon: float
) -> None:
    """With gradients of 1e-6 epsilon counts."""
    param = torch.nn.Parameter(torch.ones(6))
    optimizer = nn.Adam([param], lr=lr, betas=betas, epsilon=epsilon)
    train(optimizer, param, gradients(scale))
    expected = adam_by_keras(gradients(scale), lr, betas, epsilon)
    assert param.detach().numpy() == pytest.approx(expected, abs=1e-6)


def test_adam_of_torch_differs_where_epsilon_counts() -> None:
    """Which is why there is one of our own: the steps are 20 and more times longer."""
    ours, theirs = (torch.nn.Parameter(torch.zeros(6)) for _ in range(2))
    train(nn.Adam([ours]), ours, gradients(1e-7)[:1])
    train(torch.optim.Adam([theirs], eps=1e-7), theirs, gradients(1e-7)[:1])
    assert float((theirs / ours).detach().min()) > 3


def test_adam_defaults_are_keras_s() -> None:
    (group,) = nn.Adam([torch.nn.Parameter(torch.ones(1))]).param_groups
    assert (group["lr"], group["betas"], group["epsilon"]) == (1e-3, (0.9, 0.999), 1e-7)


def test_adam_goes_on_from_a_state_dict() -> None:
    grads = gradients(1e-6)
    param = torch.nn.Parameter(torch.ones(6))
    optimizer = nn.Adam([param])
    train(optimizer, param, grads[:10])
    copy = torch.nn.Parameter(param.detach().clone())
    resumed = nn.Adam([copy], lr=0.5)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))  # else both share their moments
    train(optimizer, param, grads[10:])
    train(resumed, copy, grads[10:])
    assert torch.equal(param, copy)


def rmsprop_by_formula(grads: list, lr: float, epsilon: float, initial: float) -> np.ndarray:
    """As TensorFlow's RMSPropOptimizer (initial 1) and Keras's RMSprop (initial 0), in float64."""
    w, square = np.ones(6), np.full(6, initial)
    for grad in grads:
        g = grad.double().numpy()
        square = 0.9 * square + 0.1 * g**2
        w -= lr * g / np.sqrt(square + epsilon)
    return w


@pytest.mark.parametrize("scale", [1.0, 1e-4])
@pytest.mark.parametrize(("epsilon", "initial"), [(1e-10, 1.0), (1e-7, 0.0)])
def test_rmsprop_is_that_of_tensorflow(scale: float, epsilon: float, initial: float) -> None:
    """With gradients of 1e-4 the place of epsilon counts, and where the squares start."""
    param = torch.nn.Parameter(torch.ones(6))
    optimizer = nn.RMSprop([param], lr=1e-2, epsilon=epsilon, initial=initial)
    train(optimizer, param, gradients(scale))
    expected = rmsprop_by_formula(gradients(scale), 1e-2, epsilon, initial)
    assert param.detach().numpy() == pytest.approx(expected, abs=1e-6)
    assert float(abs(param.detach() - 1).max()) > 1e-6


def test_rmsprop_goes_on_from_a_state_dict() -> None:
    whole, first, second = (torch.nn.Parameter(torch.ones(6)) for _ in range(3))
    train(nn.RMSprop([whole], initial=1.0), whole, gradients(1.0))
    before = nn.RMSprop([first], initial=1.0)
    train(before, first, gradients(1.0)[:7])
    after = nn.RMSprop([second], initial=1.0)
    after.load_state_dict(before.state_dict())
    second.data.copy_(first.data)
    train(after, second, gradients(1.0)[7:])
    assert torch.equal(whole, second)


def test_batch_norm_keeps_moving_averages_as_keras_does() -> None:
    """Momentum is the share kept, the variance the biased one: torch's differs by n / (n - 1)."""
    x = 3 * torch.randn(5, 2, generator=torch.Generator().manual_seed(0)) + 1
    layer = nn.BatchNorm(2, momentum=0.8)
    y = layer(x)
    variance = x.var(0, correction=0)
    assert torch.allclose(y, (x - x.mean(0)) / (variance + 1e-3).sqrt(), atol=1e-6)
    assert torch.allclose(layer.running_mean, 0.2 * x.mean(0), atol=1e-6)
    assert torch.allclose(layer.running_var, 0.8 + 0.2 * variance, rtol=1e-5)
    layer.eval()
    expected = (x - layer.running_mean) / (layer.running_var + 1e-3).sqrt()
    assert torch.allclose(layer(x), expected, atol=1e-6)


def test_batch_norm_learns() -> None:
    layer = nn.BatchNorm(2)
    layer(torch.randn(4, 2)).square().sum().backward()
    assert layer.weight.grad is not None and float(layer.weight.grad.abs().max()) > 0


@pytest.mark.parametrize("name", list(nn.NORMS))
def test_mlp_puts_the_norm_after_the_activation(name: str) -> None:
    kind = type(nn.NORMS[name](3))
    layers = nn.mlp([2, 3, 3, 1], norm=name, dropout=0.5)
    kinds = [type(layer) for layer in layers]
    hidden = [torch.nn.Linear, torch.nn.LeakyReLU, kind, torch.nn.Dropout]
    assert kinds == [*hidden, *hidden, torch.nn.Linear]


def test_mlp_starts_the_first_layer_by_a_law_of_its_own() -> None:
    layers = nn.mlp([2, 300, 300, 1], first_init=nn.normal(0.02))
    assert float(layers[0].weight.detach().std()) == pytest.approx(0.02, rel=0.15)
    assert float(layers[2].weight.detach().std()) == pytest.approx(math.sqrt(1 / 300), rel=0.05)
