"""A published system trained on recorded data by its source, here in Keras, and by ganbench."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import torch
from torch import Tensor, nn

from ganbench import registry
from ganbench.core import Game, Task
from ganbench.engine.trainer import Trainer

from . import sources
from .sources import Source

STEPS = 20
NETWORKS = ("generator", "discriminator")
load_task = functools.cache(registry.load_task)
load_baseline = functools.cache(registry.load_baseline)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run started from, what it said at each step, and where it ended."""

    initial: Mapping[str, Tensor]
    logs: Sequence[Mapping[str, float]]
    final: Mapping[str, Tensor]


@functools.cache
def keras_run(system: str) -> Run:
    """The source's run, in float64."""
    keras.utils.set_random_seed(0)
    source = source_of(system)
    initial = copied(weights_of(source))
    draws = (noise.double().numpy() for noise in noises(source))
    shape = source.discriminator.input_shape[1:]
    logs = [
        source.train_step(real.double().numpy().reshape(-1, *shape), lambda: next(draws))
        for real in batches(system)
    ]
    return Run(initial=initial, logs=logs, final=copied(weights_of(source)))


def ganbench_run(
    game: Game, initial: Mapping[str, Tensor], real: Iterable[Tensor], noise: Iterable[Tensor]
) -> Run:
    """Our run from those weights; in the precision of `real`."""
    batches = list(real)
    for network in (game.generator, game.discriminator):
        network.to(batches[0].dtype)
    with torch.no_grad():
        for weight, start in zip(tensors_of(game).values(), initial.values(), strict=True):
            weight.copy_(start)
    trainer = Trainer(replace(game, latent=handing_out(noise)), seed=0)
    logs = [
        {name: float(value) for name, value in trainer.train_step(batch).items()}
        for batch in batches
    ]
    return Run(initial=initial, logs=logs, final=copied(tensors_of(game)))


def source_of(system: str) -> Source:
    """The system in Keras without dropout."""
    dropout = {"dropout": 0.0} if system in ("sine", "mnist") else {}
    return sources.SYSTEMS[system](**dropout)


def game_of(system: str, dropout: float | None = 0.0) -> Game:
    """The system in ganbench; None is the source's dropout."""
    task = task_of(system)
    if system == "mnist_batchnorm":
        made = load_baseline("mlp_gan_batchnorm").make(task)
    else:
        made = load_baseline("mlp_gan").make(task, dropout=dropout)
    assert isinstance(made, Game)
    return made


def task_of(system: str) -> Task:
    """The system's task; that of images has random strokes, so that no test needs its data."""
    if "mnist" in system:
        return replace(load_task("mnist"), sample=strokes, training_set=None, held_out=None)
    return load_task(system)


def strokes(n: int, rng: torch.Generator) -> Tensor:
    """Images (n, 1, 28, 28) in [-1, 1] of which nine tenths are background, -1."""
    return (20 * torch.rand(n, 1, 28, 28, generator=rng) - 19).clamp(min=-1)


def batches(system: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """Real data for every step, (STEPS, batch_size, *shape)."""
    task = task_of(system)
    real = task.sample(STEPS * task.budget.batch_size, torch.Generator().manual_seed(0))
    return real.view(STEPS, -1, *task.shape).to(dtype)


def noises(source: Source, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Noise from the source's law, enough for two draws a step, exact in float32."""
    rng = np.random.default_rng(0)
    drawn = [source.latent(source.batch_size, rng) for _ in range(2 * STEPS)]
    return [torch.tensor(noise, dtype=torch.float32).to(dtype) for noise in drawn]


def handing_out(noise: Iterable[Tensor]) -> Callable[[int, torch.Generator], Tensor]:
    """A latent sampler that returns the recorded draws, one after the other."""
    draws = iter(noise)

    def latent(n: int, rng: torch.Generator) -> Tensor:
        drawn = next(draws)
        assert len(drawn) == n
        return drawn

    return latent


def weights_of(source: Source) -> dict[str, Tensor]:
    """Weights and moving averages in Keras, by the number of their layer."""
    return {
        f"{name} {i} {weight.name}": weight.value.detach()
        for name in NETWORKS
        for i, layer in enumerate(layer for layer in getattr(source, name).layers if layer.weights)
        for weight in layer.weights
    }


def tensors_of(game: Game) -> dict[str, Tensor]:
    """The same of a Game, under the same names and in Keras's layout, without copying."""
    kept = (nn.Linear, nn.BatchNorm1d)
    return {
        f"{name} {i} {key}": tensor.detach()
        for name in NETWORKS
        for i, module in enumerate(m for m in getattr(game, name).modules() if isinstance(m, kept))
        for key, tensor in parts(module)
    }


def parts(module: nn.Linear | nn.BatchNorm1d) -> Iterator[tuple[str, Tensor]]:
    """A module's tensors under Keras's names."""
    if isinstance(module, nn.Linear):
        yield from (("kernel", module.weight.T), ("bias", module.bias))
        return
    assert module.running_mean is not None
    assert module.running_var is not None
    yield from (("gamma", module.weight), ("beta", module.bias))
    yield from (("moving_mean", module.running_mean), ("moving_variance", module.running_var))


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those tensors as they are now."""
    return {name: tensor.clone() for name, tensor in tensors.items()}
