"""The published systems of `mlp_gan` written by hand in JAX: jit of vmap over seeds of a scan.

Batches and noise are drawn within. The mark for ganbench's engine; `peers.py` runs both in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp

Layers = list[tuple[jax.Array, jax.Array]]


def leaky_relu(x: jax.Array) -> jax.Array:
    """Keras's, of slope 0.2 as the systems have it."""
    return jax.nn.leaky_relu(x, negative_slope=0.2)


@dataclass(frozen=True, kw_only=True)
class System:
    """Sizes, optimiser and laws of one system."""

    g: Sequence[int]
    d: Sequence[int]
    batch: int
    g_lr: float
    d_lr: float
    pool: int
    g_out: Callable[[jax.Array], jax.Array] = lambda x: x
    d_activation: Callable[[jax.Array], jax.Array] = leaky_relu
    linear_layers: int = 1  # at D's end
    dropout: float = 0.0
    beta1: float = 0.9
    rmsprop: bool = False
    label: float = 1.0
    fresh_latent: bool = False
    latents: int = 0  # vectors in a fixed pool; 0 draws normal ones


SYSTEMS = {
    "gaussian": System(
        g=(2, 2), d=(2, 5, 3, 1), batch=4, g_lr=0.01, d_lr=0.05, pool=1_000, d_activation=jnp.tanh
    ),
    "quadratic": System(
        g=(2, 16, 16, 2),
        d=(2, 16, 16, 2, 1),
        batch=256,
        g_lr=1e-3,
        d_lr=1e-3,
        pool=100_000,
        linear_layers=2,
        rmsprop=True,
    ),
    "sine": System(
        g=(64, 64, 512, 64),
        d=(64, 64, 64, 1),
        batch=128,
        g_lr=1e-3,
        d_lr=1e-3,
        pool=32_768,
        g_out=jnp.tanh,
        d_activation=jax.nn.relu,
        dropout=0.4,
        latents=32_768,
    ),
    "mnist": System(
        g=(100, 256, 512, 1024, 784),
        d=(784, 1024, 512, 256, 1),
        batch=128,
        g_lr=2e-4,
        d_lr=2e-4,
        pool=60_000,
        g_out=jnp.tanh,
        dropout=0.3,
        beta1=0.5,
        label=0.9,
        fresh_latent=True,
    ),
}


def dense(sizes: Sequence[int], key: jax.Array) -> Layers:
    """Glorot-uniform weights and zero biases."""
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        key, part = jax.random.split(key)
        limit = (6 / (fan_in + fan_out)) ** 0.5
        weight = jax.random.uniform(part, (fan_in, fan_out), minval=-limit, maxval=limit)
        layers.append((weight, jnp.zeros(fan_out)))
    return layers


def generate(system: System, g: Layers, z: jax.Array) -> jax.Array:
    """Fakes of latents."""
    for weight, bias in g[:-1]:
        z = leaky_relu(z @ weight + bias)
    return system.g_out(z @ g[-1][0] + g[-1][1])


def judge(system: System, d: Layers, x: jax.Array, key: jax.Array) -> jax.Array:
    """Logits of a batch."""
    hidden = len(d) - system.linear_layers
    for i, (weight, bias) in enumerate(d):
        x = x @ weight + bias
        if i < hidden:
            x = system.d_activation(x)
            if system.dropout:
                key, part = jax.random.split(key)
                kept = jax.random.bernoulli(part, 1 - system.dropout, x.shape)
                x = jnp.where(kept, x / (1 - system.dropout), 0.0)
    return x


def update(
    system: System, lr: float, layers: Layers, grads: Layers, state: Any, t: jax.Array
) -> Any:
    """Adam or RMSProp, in Keras's forms."""
    mean, square = state
    if system.rmsprop:
        square = jax.tree.map(lambda s, g: 0.9 * s + 0.1 * g * g, square, grads)
        new = jax.tree.map(lambda p, g, s: p - lr * g / jnp.sqrt(s + 1e-10), layers, grads, square)
        return new, (mean, square)
    beta1, beta2 = system.beta1, 0.999
    mean = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, mean, grads)
    square = jax.tree.map(lambda s, g: beta2 * s + (1 - beta2) * g * g, square, grads)
    rate = lr * jnp.sqrt(1 - beta2**t) / (1 - beta1**t)
    new = jax.tree.map(lambda p, m, s: p - rate * m / (jnp.sqrt(s) + 1e-7), layers, mean, square)
    return new, (mean, square)


def step(system: System, pool: jax.Array, latents: jax.Array, carry: Any, _: Any) -> Any:
    """One update of D, then one of G."""
    g, d, g_state, d_state, key, t = carry
    key, for_real, for_z, for_z2, for_d1, for_d2, for_g = jax.random.split(key, 7)
    t = t + 1
    n = system.batch
    real = pool[jax.random.randint(for_real, (n,), 0, len(pool))]

    def latent(key: jax.Array) -> jax.Array:
        if system.latents:
            return latents[jax.random.randint(key, (n,), 0, len(latents))]
        return jax.random.normal(key, (n, system.g[0]))

    z = latent(for_z)
    fake = generate(system, g, z)

    def d_loss(d: Layers) -> jax.Array:
        on_real, on_fake = judge(system, d, real, for_d1), judge(system, d, fake, for_d2)
        smooth = (1 - system.label) * on_real
        return (jax.nn.softplus(-on_real) + smooth).mean() + jax.nn.softplus(on_fake).mean()

    def g_loss(g: Layers) -> jax.Array:
        fake = generate(system, g, latent(for_z2) if system.fresh_latent else z)
        return jax.nn.softplus(-judge(system, d, fake, for_g)).mean()

    d_value, grads = jax.value_and_grad(d_loss)(d)
    d, d_state = update(system, system.d_lr, d, grads, d_state, t)
    g_value, grads = jax.value_and_grad(g_loss)(g)
    g, g_state = update(system, system.g_lr, g, grads, g_state, t)
    return (g, d, g_state, d_state, key, t), jnp.stack([d_value, g_value])


def make_steps(name: str, seeds: int) -> Callable[[int], dict[str, float]]:
    """A function that trains all seeds for so many steps, and compiles for each new number."""
    system = SYSTEMS[name]
    keys = jax.random.split(jax.random.key(0), seeds)
    pool = jnp.tanh(jax.random.normal(jax.random.key(1), (system.pool, system.d[0])))
    shape = (max(1, system.latents), system.g[0])
    latents = jax.random.uniform(jax.random.key(2), shape, minval=-5, maxval=5)

    def start(key: jax.Array) -> Any:
        for_g, for_d, key = jax.random.split(key, 3)
        g, d = dense(system.g, for_g), dense(system.d, for_d)
        zeros = partial(jax.tree.map, jnp.zeros_like)
        return g, d, (zeros(g), zeros(g)), (zeros(d), zeros(d)), key, jnp.zeros(())

    carry = jax.vmap(start)(keys)

    @partial(jax.jit, static_argnums=1, donate_argnums=0)
    def train(carry: Any, steps: int) -> Any:
        one = partial(step, system, pool, latents)
        return jax.vmap(lambda each: jax.lax.scan(one, each, None, steps))(carry)

    def run(steps: int) -> dict[str, float]:
        nonlocal carry
        carry, losses = train(carry, steps)
        d_loss, g_loss = losses.mean((0, 1))
        return {"d_loss": float(d_loss), "g_loss": float(g_loss)}

    return run
