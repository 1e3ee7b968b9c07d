"""The training loops that `peers.py` times: ganbench's, and those of the published systems.

Each takes a number of steps and runs them, batches and noise included. A library is imported by
the loop that needs it, so that any interpreter can run the loops of the libraries that it has.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

IMAGES = 60_000

Steps = Callable[[int], dict[str, float]]  # the losses of the last step, or of all
Draw = Callable[[], np.ndarray]


def make_steps(side: str, system: str, seeds: Sequence[int]) -> Steps:
    """The loop of a side: "ganbench", "torch", "jax predict_on_batch", "jax scan", ...

    ganbench and "jax scan" train all the `seeds` in a step, the others one seed.
    """
    if side.startswith("ganbench"):
        return ganbench_steps(system, seeds, compiled=side == "ganbench")
    if side == "jax scan":
        import jax_scan

        return jax_scan.make_steps(system, len(seeds))
    if side == "plain torch":
        return plain_torch_steps()
    if side == "tensorflow 1":
        return tensorflow1_steps()
    return keras_steps(system, side.partition(" ")[2] or "predict")


def ganbench_steps(system: str, seeds: Sequence[int], *, compiled: bool) -> Steps:
    """The harness's own way: each seed's batches are dealt, then trained on all at once."""
    import torch

    from ganbench import registry
    from ganbench.engine.stack import Stack
    from ganbench.engine.trainer import Trainer
    from ganbench.env import Env

    task = registry.load_task("mnist" if "mnist" in system else system)
    if task.is_images:
        images = noise_images()
        task = replace(task, training_set=lambda: images, held_out=lambda: images[:16])
    baseline = registry.load_baseline(
        "mlp_gan_batchnorm" if system == "mnist_batchnorm" else "mlp_gan"
    )
    envs = []
    for seed in seeds:
        envs.append(Env(task, budget=replace(task.budget, steps=1, evaluations=1)))
        envs[-1].reset(seed=seed)
    stack = Stack(
        [Trainer(baseline.make(task), seed=seed) for seed in seeds],
        (task.budget.batch_size, *task.shape),
    )
    if compiled:
        stack.compile()

    def run(steps: int) -> dict[str, float]:
        log = stack.train(torch.stack([env.deal(steps) for env in envs]))[0]
        return {name: float(values.mean()) for name, values in log.items()}

    return run


def noise_images() -> Any:
    """Images (IMAGES, 1, 28, 28) of uniform noise: what they show does not change the time."""
    import torch

    return 2 * torch.rand(IMAGES, 1, 28, 28) - 1


def keras_steps(system: str, fakes: str) -> Steps:
    """The source's loop; the backend is that of KERAS_BACKEND."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))
    import sources

    make = sources.gaussian if system == "gaussian" else sources.SYSTEMS[system]
    source = make(make_fakes=getattr(sources, fakes))
    rng = np.random.default_rng(0)
    n = source.batch_size
    real = keras_batches(system, n, source.discriminator.input_shape[1:], rng)
    noise = noise_draws(system, n, source.latent, rng)

    def run(steps: int) -> dict[str, float]:
        for _ in range(steps):
            log = source.train_step(real(), noise)
        return log

    return run


def keras_batches(system: str, n: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draw:
    """Batches of n as the source picks them: from a pool with replacement, or drawn afresh."""
    if system == "quadratic":

        def fresh() -> np.ndarray:
            x = 100 * (rng.random(n, dtype=np.float32) - np.float32(0.5))
            return np.stack([x, 10 + x**2], 1)

        return fresh
    if system == "sine":
        b, c = rng.uniform(0.5, 2, (32_768, 1)), rng.uniform(0, np.pi, (32_768, 1))
        pool = np.sin(b * np.linspace(-5, 5, 64) + c).astype(np.float32)
    elif system == "gaussian":
        pool = rng.standard_normal((1000, 2), dtype=np.float32)
    else:
        pool = 2 * rng.random((IMAGES, *shape), dtype=np.float32) - 1
    return lambda: pool[rng.integers(len(pool), size=n)]


def noise_draws(
    system: str,
    n: int,
    latent: Callable[[int, np.random.Generator], np.ndarray],
    rng: np.random.Generator,
) -> Draw:
    """Noise for n samples; on `sine` from a fixed pool."""
    if system != "sine":
        return lambda: latent(n, rng).astype(np.float32)
    pool = latent(32_768, rng).astype(np.float32)
    return lambda: pool[rng.integers(len(pool), size=n)]


def tensorflow1_steps() -> Steps:
    """`quadratic` in TensorFlow 1: two `session.run` a step."""
    import tensorflow.compat.v1 as tf

    tf.disable_eager_execution()
    real, latent = (tf.placeholder(tf.float32, [None, 2]) for _ in range(2))
    d_loss, g_loss = tensorflow1_losses(real, latent)
    train_d, train_g = (
        tf.train.RMSPropOptimizer(1e-3).minimize(loss, var_list=tf.global_variables(scope))
        for loss, scope in ((d_loss, "D/"), (g_loss, "G/"))
    )
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    limits = {"intra_op_parallelism_threads": threads, "inter_op_parallelism_threads": threads}
    session = tf.Session(config=tf.ConfigProto(**limits))
    session.run(tf.global_variables_initializer())
    rng = np.random.default_rng(0)
    batch = keras_batches("quadratic", 256, (2,), rng)

    def run(steps: int) -> dict[str, float]:
        for _ in range(steps):
            noise = rng.uniform(-1, 1, (256, 2))
            _, of_d = session.run([train_d, d_loss], {real: batch(), latent: noise})
            _, of_g = session.run([train_g, g_loss], {latent: noise})
        return {"d_loss": of_d, "g_loss": of_g}

    return run


def tensorflow1_losses(real: Any, latent: Any) -> tuple[Any, Any]:
    """D's and G's, as graphs over two placeholders."""
    import tensorflow.compat.v1 as tf

    def dense(x: Any, name: str, fan_in: int, fan_out: int) -> Any:
        init = tf.glorot_uniform_initializer()
        kernel = tf.get_variable(f"{name}/kernel", [fan_in, fan_out], initializer=init)
        bias = tf.get_variable(f"{name}/bias", [fan_out], initializer=tf.zeros_initializer())
        return x @ kernel + bias

    def body(x: Any) -> Any:
        for i, fan_in in enumerate((2, 16)):
            x = tf.nn.leaky_relu(dense(x, f"hidden{i}", fan_in, 16), 0.2)
        return dense(x, "hidden2", 16, 2)

    def judge(x: Any) -> Any:
        with tf.variable_scope("D", reuse=tf.AUTO_REUSE):
            return dense(body(x), "out", 2, 1)

    def cross_entropy(logit: Any, label: float) -> Any:
        target = tf.fill(tf.shape(logit), label)
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logit)

    with tf.variable_scope("G"):
        fake = body(latent)
    on_real, on_fake = judge(real), judge(fake)
    d_loss = tf.reduce_mean(cross_entropy(on_real, 1.0) + cross_entropy(on_fake, 0.0))
    return d_loss, tf.reduce_mean(cross_entropy(on_fake, 1.0))


def plain_torch_steps() -> Steps:
    """`gaussian` as one would write its source's loop in PyTorch."""
    import torch
    from torch import nn

    generator = nn.Linear(2, 2)
    discriminator = nn.Sequential(
        nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 2)
    )
    for parameter in (*generator.parameters(), *discriminator.parameters()):
        nn.init.normal_(parameter, 0, 0.02)
    g_adam = torch.optim.Adam(generator.parameters(), lr=0.01)
    d_adam = torch.optim.Adam(discriminator.parameters(), lr=0.05)
    cross_entropy = nn.CrossEntropyLoss()
    is_fake, is_real = (torch.full((4,), label) for label in (0, 1))
    pool = torch.randn(1000, 2) @ torch.tensor([[1.0, 2.0], [-0.1, 0.5]]) + torch.tensor([1.0, 2.0])

    def run(steps: int) -> dict[str, float]:
        order = torch.cat([torch.randperm(1000) for _ in range(steps // 250 + 1)])
        for which in order.split(4)[:steps]:
            real = pool[which]
            fake = generator(torch.randn(4, 2))
            d_adam.zero_grad()
            on_real, on_fake = discriminator(real), discriminator(fake.detach())
            loss = cross_entropy(on_real, is_real) + cross_entropy(on_fake, is_fake)
            loss.backward()
            d_adam.step()
            right = (on_real.argmax(1) == 1).sum() + (on_fake.argmax(1) == 0).sum()
            g_adam.zero_grad()
            cross_entropy(discriminator(fake), is_real).backward()
            g_adam.step()
            right.item()
        return {"d_loss": loss.item()}

    return run
