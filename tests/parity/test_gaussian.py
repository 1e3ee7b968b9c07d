"""The tutorial on correlated points, whose framework is no longer made, against NumPy.

Forward and backward passes are written out, softmax cross-entropy on two class logits as in the
source, where ganbench has sigmoid cross-entropy on their difference.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from . import runs

Array = np.ndarray
Params = list[Array]
Grads = list[Array]

FAKE, REAL = 0, 1
BATCH = 4
# In float64 any difference in formula shows. D's weights are tiny, and its gradients on real and
# fake cancel: the first are 1e-6, a float32 is 1e-3 off there, and Adam makes full steps of them.
TOLERANCE = {"float64": 1e-10, "float32": 5e-3}


@pytest.mark.parametrize("precision", TOLERANCE)
def test_same_training(precision: str) -> None:
    dtype, allowed = getattr(torch, precision), TOLERANCE[precision]
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(runs.STEPS, BATCH, 2, generator=rng).to(dtype)
    real = runs.batches("gaussian", dtype)
    assert real.shape == noise.shape
    torch.manual_seed(0)
    game = runs.game_of("gaussian")
    initial = {name: weight.double() for name, weight in runs.tensors_of(game).items()}
    ours = runs.ganbench_run(game, initial, real, noise)
    params = [weight.numpy().copy() for weight in initial.values()]
    theirs = train(params, real.double().numpy(), noise.double().numpy())
    for step, (log, expected) in enumerate(zip(ours.logs, theirs, strict=True)):
        log = {name: log[name] for name in expected}
        assert log == pytest.approx(expected, rel=0, abs=allowed), f"step {step}"
    for (name, got), expected_weight in zip(ours.final.items(), params, strict=True):
        np.testing.assert_allclose(got, expected_weight, rtol=0, atol=allowed, err_msg=name)


def test_initial_weights() -> None:
    """N(0, 0.02^2) and zero bias; 35 weights a system, so many systems."""
    torch.manual_seed(0)
    drawn = [runs.tensors_of(runs.game_of("gaussian")) for _ in range(200)]
    values = {name: torch.stack([weights[name] for weights in drawn]) for name in drawn[0]}
    kernels = torch.cat([v.flatten() for name, v in values.items() if name.endswith("kernel")])
    assert len(kernels) == 200 * (4 + 10 + 15 + 6)
    assert float(kernels.std()) == pytest.approx(0.02, rel=0.03)
    assert abs(float(kernels.mean())) < 3 * 0.02 / len(kernels) ** 0.5
    assert float(kernels.abs().max()) > 3 * 0.02
    assert not any(v.any() for name, v in values.items() if name.endswith("bias"))


def train(params: Params, real: Array, noise: Array) -> list[dict[str, float]]:
    """Updates `params` in place, G's kernel and bias and then D's; returns the logs."""
    g_params, d_params = params[:2], params[2:]
    g_adam, d_adam = Adam(g_params, lr=0.01), Adam(d_params, lr=0.05)
    logs = []
    for x, z in zip(real, noise, strict=True):
        fake = z @ g_params[0] + g_params[1]
        real_loss, real_right, real_grads, _ = backward(d_params, x, REAL)
        fake_loss, fake_right, fake_grads, _ = backward(d_params, fake, FAKE)
        d_adam.step([a + b for a, b in zip(real_grads, fake_grads, strict=True)])
        g_loss, taken, _, slope = backward(d_params, fake, REAL)
        g_adam.step([z.T @ slope, slope.sum(0)])
        logs.append(
            {
                "d_loss": real_loss + fake_loss,
                "d_accuracy": (real_right + fake_right) / 2,
                "g_loss": g_loss,
                "g_accuracy": taken,
            }
        )
    return logs


def backward(params: Params, x: Array, label: int) -> tuple[float, float, Grads, Array]:
    """D's mean cross-entropy and accuracy, its gradients, and the loss's slope at x.

    `params` are kernel and bias of each layer in turn; all layers but the last end in a tanh.
    """
    kernels, biases = params[::2], params[1::2]
    seen = [x]
    for i, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        out = seen[-1] @ kernel + bias
        seen.append(out if i == len(kernels) - 1 else np.tanh(out))
    logits = seen[-1]
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    loss = -np.log(chances[:, label]).mean()
    right = (logits.argmax(1) == label).mean()
    slope = (chances - np.eye(2)[label]) / len(x)
    grads: Grads = []
    for i, (before, after) in reversed(list(enumerate(pairwise(seen)))):
        if i < len(kernels) - 1:
            slope = slope * (1 - after**2)
        grads = [before.T @ slope, slope.sum(0), *grads]
        slope = slope @ kernels[i].T
    return float(loss), float(right), grads, slope


class Adam:
    """With the bias correction folded into the learning rate, and epsilon beside sqrt(v)."""

    def __init__(self, params: Params, lr: float) -> None:
        self.params, self.lr, self.steps = params, lr, 0
        self.m = [np.zeros_like(p) for p in params]
        self.v = [np.zeros_like(p) for p in params]

    def step(self, grads: Grads) -> None:
        """One update of the parameters in place."""
        self.steps += 1
        rate = self.lr * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for p, m, v, g in zip(self.params, self.m, self.v, grads, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g**2 - v)
            p -= rate * m / (np.sqrt(v) + 1e-8)
