"""The published systems in Keras, built and trained step by step as their sources do it.

Needs Keras and NumPy alone, on any backend: the parity tests compare with it, the benchmark times
it. The sources compile D, freeze it, and compile G with the frozen D behind it. Their Keras noted
at `compile` what a model trains; Keras 3 looks when it trains, so D is thawed around its update.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras.layers import BatchNormalization, Dense, Dropout, LeakyReLU, Reshape

Array = np.ndarray
Logs = dict[str, float]
Noise = Callable[[], Array]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A published system: `gan` is `generator` with the frozen `discriminator` behind it.

    `step(self, real, noise)` is one step of its loop on a batch of `batch_size`; `noise()` draws
    the generator's input as often as the source does, `latent(n, rng)` is its law. `make_fakes`
    is `predict` in the sources; the benchmark also tries what is faster.
    """

    generator: keras.Sequential
    discriminator: keras.Sequential
    gan: keras.Sequential
    step: Callable[[Source, Array, Noise], Logs]
    latent: Callable[[int, np.random.Generator], Array]
    batch_size: int
    make_fakes: Callable[[keras.Sequential, Array], Array]

    def train_step(self, real: Array, noise: Noise) -> Logs:
        """One step on `real` (batch_size, ...), in the shape of the discriminator's input."""
        return self.step(self, real, noise)

    def fakes(self, noise: Array) -> Array:
        """The generator's samples in inference mode."""
        return self.make_fakes(self.generator, noise)

    def train_d(self, batch: Array, labels: Array) -> Logs:
        """One update of the discriminator."""
        self.discriminator.trainable = True
        return self.discriminator.train_on_batch(batch, labels, return_dict=True)

    def train_g(self, noise: Array) -> Logs:
        """One update of the generator, towards label 1."""
        self.discriminator.trainable = False
        return self.gan.train_on_batch(noise, labels(1, len(noise)), return_dict=True)


def predict(generator: keras.Sequential, noise: Array) -> Array:
    """Fakes as the sources make them."""
    return generator.predict(noise, verbose=0)


def predict_on_batch(generator: keras.Sequential, noise: Array) -> Array:
    """Fakes without `predict`'s data pipeline, which costs more than the network."""
    return generator.predict_on_batch(noise)


def labels(value: float, n: int) -> Array:
    """n times that label, (n, 1)."""
    return np.full((n, 1), value, dtype=keras.config.floatx())


def compiled(
    generator: keras.Sequential,
    discriminator: keras.Sequential,
    *,
    optimizer: Callable[[], keras.optimizers.Optimizer],
    g_optimizer: Callable[[], keras.optimizers.Optimizer] | None = None,
    d_loss: object = "binary_crossentropy",
    g_loss: object = "binary_crossentropy",
    metrics: list[str] | None = None,
    **fields: object,
) -> Source:
    """Both models with an optimizer each."""
    discriminator.compile(optimizer=optimizer(), loss=d_loss, metrics=metrics)
    discriminator.optimizer.build(discriminator.trainable_variables)
    discriminator.trainable = False
    gan = keras.Sequential([generator, discriminator])
    gan.compile(optimizer=(g_optimizer or optimizer)(), loss=g_loss, metrics=metrics)
    gan.optimizer.build(gan.trainable_variables)
    fields.setdefault("make_fakes", predict)
    return Source(generator=generator, discriminator=discriminator, gan=gan, **fields)  # type: ignore[arg-type]


def network(*layers: object) -> keras.Sequential:
    """A Sequential whose first entry is the width, or the shape, of its input."""
    shape = layers[0] if isinstance(layers[0], tuple) else (layers[0],)
    return keras.Sequential([keras.Input(shape), *layers[1:]])


def small() -> keras.initializers.Initializer:
    """N(0, 0.02^2)."""
    return keras.initializers.RandomNormal(stddev=0.02)


def slow_adam() -> keras.optimizers.Optimizer:
    """The optimizer of both systems on images."""
    return keras.optimizers.Adam(learning_rate=2e-4, beta_1=0.5)


def sine(*, dropout: float = 0.4, **fields: object) -> Source:
    """The tutorial on sine curves."""
    generator = network(
        64, Dense(64), LeakyReLU(0.2), Dense(512), LeakyReLU(0.2), Dense(64, activation="tanh")
    )
    discriminator = network(
        64,
        *(Dense(64, activation="relu"), Dropout(dropout)),
        *(Dense(64, activation="relu"), Dropout(dropout)),
        Dense(1, activation="sigmoid"),
    )
    return compiled(
        generator,
        discriminator,
        optimizer=keras.optimizers.Adam,
        metrics=["accuracy"],
        step=sine_step,
        latent=lambda n, rng: rng.uniform(-5, 5, (n, 64)),
        batch_size=128,
        **fields,
    )


def sine_step(source: Source, real: Array, noise: Noise) -> Logs:
    """Real and fake in one batch; the same noise for G."""
    n, latent = len(real), noise()
    batch = np.concatenate([real, source.fakes(latent)])
    d = source.train_d(batch, np.concatenate([labels(1, n), labels(0, n)]))
    return named("d", d) | named("g", source.train_g(latent))


def quadratic(**fields: object) -> Source:
    """The tutorial on a parabola: there in TensorFlow 1, by hand.

    Its D loss is the mean on real plus the mean on fake, twice the mean over both. Its RMSProp
    (`tf.train.RMSPropOptimizer`) starts its mean squares at 1, Keras's at 0.
    """
    generator = network(2, Dense(16), LeakyReLU(0.2), Dense(16), LeakyReLU(0.2), Dense(2))
    discriminator = network(
        2, Dense(16), LeakyReLU(0.2), Dense(16), LeakyReLU(0.2), Dense(2), Dense(1)
    )
    on_logits = keras.losses.BinaryCrossentropy(from_logits=True)
    source = compiled(
        generator,
        discriminator,
        optimizer=lambda: keras.optimizers.RMSprop(1e-3, rho=0.9, epsilon=1e-10),
        d_loss=lambda label, logit: 2 * on_logits(label, logit),
        g_loss=on_logits,
        step=sine_step,
        latent=lambda n, rng: rng.uniform(-1, 1, (n, 2)),
        batch_size=256,
        **fields,
    )
    for model in (source.discriminator, source.gan):
        for mean_square in model.optimizer._velocities:
            mean_square.assign(np.ones(mean_square.shape))
    return source


def gaussian(**fields: object) -> Source:
    """The tutorial on a Gaussian as its loop would be in Keras, for the benchmark alone.

    Its D has two class logits, and its framework is no longer made.
    """
    generator = network(2, Dense(2, kernel_initializer=small()))
    discriminator = network(
        2,
        *(Dense(width, activation="tanh", kernel_initializer=small()) for width in (5, 3)),
        Dense(2, kernel_initializer=small()),
    )
    on_logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return compiled(
        generator,
        discriminator,
        optimizer=lambda: keras.optimizers.Adam(0.05, epsilon=1e-8),
        g_optimizer=lambda: keras.optimizers.Adam(0.01, epsilon=1e-8),
        d_loss=lambda label, logits: 2 * on_logits(label, logits),
        g_loss=on_logits,
        metrics=["accuracy"],
        step=sine_step,
        latent=lambda n, rng: rng.normal(size=(n, 2)),
        batch_size=4,
        **fields,
    )


def mnist(*, dropout: float = 0.3, **fields: object) -> Source:
    """The tutorial on MNIST with smoothed labels; images are rows of 784 numbers."""
    generator = network(
        100,
        *(Dense(256, kernel_initializer=small()), LeakyReLU(0.2)),
        *(Dense(512), LeakyReLU(0.2), Dense(1024), LeakyReLU(0.2)),
        Dense(784, activation="tanh"),
    )
    discriminator = network(
        784,
        *(Dense(1024, kernel_initializer=small()), LeakyReLU(0.2), Dropout(dropout)),
        *(Dense(512), LeakyReLU(0.2), Dropout(dropout)),
        *(Dense(256), LeakyReLU(0.2), Dropout(dropout)),
        Dense(1, activation="sigmoid"),
    )
    return compiled(
        generator,
        discriminator,
        optimizer=slow_adam,
        step=mnist_step,
        latent=lambda n, rng: rng.normal(size=(n, 100)),
        batch_size=128,
        **fields,
    )


def mnist_step(source: Source, real: Array, noise: Noise) -> Logs:
    """Real (label 0.9) and fake in one batch; fresh noise for G."""
    n = len(real)
    batch = np.concatenate([real, source.fakes(noise())])
    d = source.train_d(batch, np.concatenate([labels(0.9, n), labels(0, n)]))
    return named("d", d) | named("g", source.train_g(noise()))


def mnist_batchnorm(**fields: object) -> Source:
    """The tutorial on MNIST with batch normalisation in G; images are (28, 28, 1)."""

    def block(width: int) -> list[keras.layers.Layer]:
        return [Dense(width), LeakyReLU(0.2), BatchNormalization(momentum=0.8)]

    generator = network(
        100,
        *(*block(256), *block(512), *block(1024)),
        *(Dense(784, activation="tanh"), Reshape((28, 28, 1))),
    )
    discriminator = network(
        (28, 28, 1),
        *(keras.layers.Flatten(), Dense(512), LeakyReLU(0.2), Dense(256), LeakyReLU(0.2)),
        Dense(1, activation="sigmoid"),
    )
    return compiled(
        generator,
        discriminator,
        optimizer=slow_adam,
        metrics=["accuracy"],
        step=mnist_batchnorm_step,
        latent=lambda n, rng: rng.normal(size=(n, 100)),
        batch_size=128,
        **fields,
    )


def mnist_batchnorm_step(source: Source, real: Array, noise: Noise) -> Logs:
    """D twice, on real and then on fake, its logs the means of the two; fresh noise for G."""
    n = len(real)
    fake = source.fakes(noise())
    on_real = source.train_d(real, labels(1, n))
    on_fake = source.train_d(fake, labels(0, n))
    d = {name: (on_real[name] + on_fake[name]) / 2 for name in on_real}
    return named("d", d) | named("g", source.train_g(noise()))


def named(network: str, logs: Logs) -> Logs:
    """Keras's logs under ganbench's names, d_loss and so on."""
    return {f"{network}_{name}": float(value) for name, value in logs.items()}


SYSTEMS: dict[str, Callable[..., Source]] = {
    "sine": sine,
    "quadratic": quadratic,
    "mnist": mnist,
    "mnist_batchnorm": mnist_batchnorm,
}
