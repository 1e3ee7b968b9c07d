"""The published systems in ganbench against the same ones in Keras, step for step.

Both start from the same weights and get the same batches and the same noise; dropout is off, since
no two libraries draw the same masks (`test_same_layers` sees that it stands in the same places).

Keras runs in float64, which leaves no room for rounding: any difference in formula shows. In
float32 it is no yardstick: its Adam takes 1 - beta^t of float32s, 1e-5 off at the first steps, and
its batch variance is E[x^2] - E[x]^2. On `sine` its weights are 2e-4 off after 20 steps, ours 3e-7.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import keras
import numpy as np
import pytest
import torch
from keras.src.backend.common import dtypes
from torch import nn

from . import runs, sources
from .runs import game_of, ganbench_run, keras_run, source_of, tensors_of, weights_of

# Keras's torch backend converts with np.array(tensor), which torch 2.13 and NumPy 2.4 warn about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# (losses, weights) by precision. The numbers of `quadratic` are relative to the values: its
# coordinates reach 2,500 and its loss 200, where a float32 ends at 1e-5; and torch's softplus(x) is
# x from 20 on, 2e-9 off, which no other system reaches. In float32 some of the images' million
# leaky ReLUs are so near to 0 that rounding picks their slope, which jumps by 0.8: 1e-3 after 20
# steps, 1e-7 with a smooth activation instead.
TOLERANCE = {
    ("sine", "float64"): (1e-12, 1e-12),
    ("quadratic", "float64"): (1e-8, 1e-10),
    ("mnist", "float64"): (1e-12, 1e-12),
    ("mnist_batchnorm", "float64"): (1e-12, 1e-12),
    ("sine", "float32"): (1e-5, 1e-5),
    ("quadratic", "float32"): (1e-5, 1e-5),
    ("mnist", "float32"): (5e-3, 5e-3),
    ("mnist_batchnorm", "float32"): (5e-3, 5e-3),
}


@pytest.fixture(scope="module", autouse=True)
def float64() -> Iterator[None]:
    """Keras in float64, which off TensorFlow it would round to float32 in every product."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
        for choose in (keras.config.set_floatx, keras.config.set_dtype_policy):
            choose("float64")
        yield
        for choose in (keras.config.set_floatx, keras.config.set_dtype_policy):
            choose("float32")


@pytest.mark.slow
@pytest.mark.parametrize(("system", "precision"), TOLERANCE)
def test_same_training(system: str, precision: str) -> None:
    theirs, dtype = keras_run(system), getattr(torch, precision)
    noise = runs.noises(source_of(system), dtype)
    ours = ganbench_run(game_of(system), theirs.initial, runs.batches(system, dtype), noise)
    of_loss, of_weight = TOLERANCE[system, precision]
    relative = system == "quadratic"
    for step, (log, expected) in enumerate(zip(ours.logs, theirs.logs, strict=True)):
        assert {"d_loss", "g_loss"} <= expected.keys() <= log.keys()
        close = pytest.approx(expected, rel=of_loss if relative else 0, abs=of_loss)
        assert {name: log[name] for name in expected} == close, f"step {step}"
    for name, weight in theirs.final.items():
        allowed = {"rtol": of_weight if relative else 0, "atol": of_weight}
        np.testing.assert_allclose(ours.final[name], weight, **allowed, err_msg=name)


@pytest.mark.parametrize("system", sources.SYSTEMS)
def test_source_trains_each_network_by_its_own_update(system: str) -> None:
    """In Keras 3 freezing D for G's sake may freeze it for good, or not at all."""
    source = source_of(system)
    latent = runs.noises(source)[0].double().numpy()
    states = [runs.copied(weights_of(source))]
    source.train_g(latent)
    states.append(runs.copied(weights_of(source)))
    source.train_d(source.fakes(latent), sources.labels(0, len(latent)))
    states.append(runs.copied(weights_of(source)))
    for network, (before, after) in zip(runs.NETWORKS, pairwise(states), strict=True):
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed == {name for name in before if name.startswith(network)}


@pytest.mark.parametrize("system", sources.SYSTEMS)
def test_same_layers(system: str) -> None:
    """In kind, order, size and rate, with the dropout of the source."""
    source, game = sources.SYSTEMS[system](), game_of(system, dropout=None)
    for name in runs.NETWORKS:
        theirs = [kind for layer in getattr(source, name).layers for kind in kinds(layer)]
        ours = [kind for module in getattr(game, name).modules() for kind in kinds(module)]
        if name == "discriminator" and system != "quadratic":
            assert theirs.pop() == "Sigmoid"  # our losses take it in
        assert ours == theirs


def kinds(layer: object) -> list[str]:
    """What a layer of either library does, in words that both share."""
    match layer:
        case keras.layers.Dense():
            names = {"linear": [], "relu": ["ReLU"], "tanh": ["Tanh"], "sigmoid": ["Sigmoid"]}
            activation = names[layer.activation.__name__]
            return [f"Dense {layer.kernel.shape[0]} {layer.kernel.shape[1]}", *activation]
        case nn.Linear():
            return [f"Dense {layer.in_features} {layer.out_features}"]
        case keras.layers.LeakyReLU() | nn.LeakyReLU():
            return [f"LeakyReLU {layer.negative_slope}"]
        case keras.layers.Dropout():
            return [f"Dropout {layer.rate}"]
        case nn.Dropout():
            return [f"Dropout {layer.p}"]
        case keras.layers.BatchNormalization():
            return [f"BatchNorm {layer.momentum:.6g} {layer.epsilon}"]
        case nn.BatchNorm1d():
            return [f"BatchNorm {1 - layer.momentum:.6g} {layer.eps}"]
        case keras.layers.Reshape() | keras.layers.Flatten() | nn.Unflatten() | nn.Flatten():
            return []  # images lie in another shape there
        case nn.Sequential() | nn.Identity():
            return []
    return [type(layer).__name__]


@pytest.mark.slow
@pytest.mark.parametrize("system", sources.SYSTEMS)
def test_same_initial_weights(system: str) -> None:
    """Per layer: constants are equal, and random weights follow the same law.

    Of two samples of n from one law the Kolmogorov-Smirnov distance is above 2 sqrt(2 / n) in 2 of
    3,000 cases.
    """
    keras.utils.set_random_seed(0)
    torch.manual_seed(1)
    times = 1 if "mnist" in system else 50
    theirs = [weights_of(source_of(system)) for _ in range(times)]
    ours = [tensors_of(game_of(system)) for _ in range(times)]
    for name in theirs[0]:
        expected = np.concatenate([weights[name].numpy().ravel() for weights in theirs])
        got = np.concatenate([weights[name].numpy().ravel() for weights in ours])
        if name.endswith("kernel"):
            assert distance(got, expected) < 2 * (2 / len(got)) ** 0.5, name
        else:
            assert np.array_equal(got, expected), name


@pytest.mark.parametrize("system", sources.SYSTEMS)
def test_same_noise(system: str) -> None:
    source, game = source_of(system), game_of(system)
    ours = game.latent(2048, torch.Generator().manual_seed(0)).numpy()
    theirs = source.latent(2048, np.random.default_rng(0))
    assert ours.shape == theirs.shape
    for got, expected in zip(ours.T, theirs.T, strict=True):
        assert distance(got, expected) < 0.075  # exceeded in 2 of 100,000 cases of one law


def test_noise_of_sine_comes_from_a_pool() -> None:
    torch.manual_seed(0)
    latent = game_of("sine").latent(100_000, torch.Generator().manual_seed(0))
    assert len(latent[:, 0].unique()) <= 32_768


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance of two samples of one size."""
    order = np.argsort(np.concatenate([a, b]))
    return float(np.abs(np.cumsum(np.where(order < len(a), 1, -1))).max()) / len(a)
