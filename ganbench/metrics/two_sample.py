"""The classifier two-sample test: can a fresh network tell fake from real?"""

from __future__ import annotations

import math
from contextlib import nullcontext
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ganbench.errors import InputError
from ganbench.metrics._inputs import checked
from ganbench.system.threads import one_thread

QUANTITIES = {
    "discriminator_accuracy": ("lower", "held-out accuracy of a fresh classifier; 0.5 is ideal"),
    "discriminator_p_value": ("higher", "p-value of that accuracy if real and fake were one law"),
}
SOURCES = {
    "discriminator_accuracy": "Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests",
    "discriminator_p_value": "Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests",
}
PROMISES = {
    "discriminator_accuracy": ("shift", "noise", "drop", "collapse", "dispersal", "unbiased"),
    "discriminator_p_value": ("calibrated",),
}

FEWEST = 8  # rows of a sample: three to learn from, one to stop by, four to judge by
HIDDEN = (32, 32, 32)  # sees more in the plane than two layers of 64, at a lower cost
LOOK = 20  # steps from one look at the rows to stop by to the next
PATIENCE = 8  # looks that find nothing better, after which a network is done
ROWS = 1024  # of a sample at a time; as many are enough to stop by, and for the scales
FAR = 10.0  # standard deviations; beyond lies less than 1 % of any law
FEW = 2**18  # numbers in a batch, below which a second thread costs more than it gives
GROUP = 2**20  # numbers in a batch of all networks that train together: 4 MiB, to stay in cache

_Layers = list[tuple[Tensor, Tensor]]
"""Matrices and biases of all networks, first layer first."""


class _Side(NamedTuple):
    """Samples (S, n, d) of one kind, their rows by use, and the scales (S, d) of real."""

    samples: Tensor
    learn: Tensor
    stop: Tensor
    judge: Tensor
    center: Tensor
    scale: Tensor

    def rows(self, nets: Tensor, index: Tensor) -> Tensor:
        """Standardised rows (k, b, d) of the samples `nets` (k,), at `index` (b,).

        Cut far out: neither a fake of 1e20, nor noise where real is constant, upsets a network.
        """
        net = nets[:, None]
        rows = (self.samples[net, index] - self.center[net]).div_(self.scale[net])
        return rows.clamp_(-FAR, FAR).float()


def discriminator_test(
    real: Tensor, fake: Tensor, *, steps: int = 600, batch_size: int = 256, seed: int = 0
) -> dict[str, float]:
    """Held-out accuracy of a classifier trained to tell `real` (m, d) from `fake` (n, d).

    See `discriminator_tests`, of which it is one. Raises InputError for fewer than eight rows.
    """
    real, fake = checked(real, fake, fewest=FEWEST)
    return _tested(real[None], fake[None], steps, batch_size, seed)[0]


def discriminator_tests(
    real: Tensor, fakes: Tensor, *, steps: int = 600, batch_size: int = 256, seed: int = 0
) -> list[dict[str, float]]:
    """The test of S pairs at once: `fakes` (S, n, d), and `real` (S, m, d) or, for all, (m, d).

    A network learns on one half of each sample, in `steps` batches at most, and is judged by the
    other half; an eighth of the first says when to stop and which weights to keep. The accuracy is
    the mean of the shares of real and of fake that it calls so. Networks train together, yet each
    as it would alone: to the last bit on one thread, while more may round otherwise. One `seed`
    gives all the same split, first weights and batches, whatever the global random state, which
    stays untouched. Raises InputError as `discriminator_test` does.
    Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests", ICLR.
    """
    real, fakes = _stacks(real, fakes)
    size = max(1, GROUP // _numbers(fakes[:1], batch_size))
    tests = []
    for group in zip(real.split(size), fakes.split(size), strict=True):
        tests += _tested(*group, steps, batch_size, seed)
    return tests


def _stacks(real: Tensor, fakes: Tensor) -> tuple[Tensor, Tensor]:
    """Both as (S, m, d) and (S, n, d), every pair checked; a `real` for all is not copied."""
    if not isinstance(fakes, Tensor) or fakes.ndim < 3 or len(fakes) == 0:
        got = tuple(fakes.shape) if isinstance(fakes, Tensor) else type(fakes).__name__
        raise InputError(f"fakes must have shape (S, n, d), got {got}")
    shared = not isinstance(real, Tensor) or real.ndim < fakes.ndim
    if not shared and len(real) != len(fakes):
        raise InputError(f"real must be one sample or {len(fakes)}, got {len(real)}")
    for i, fake in enumerate(fakes):
        checked(real if shared else real[i], fake, fewest=FEWEST)
    real = real.expand(len(fakes), *real.shape) if shared else real
    return real.detach().flatten(2), fakes.detach().flatten(2)


def _numbers(fakes: Tensor, batch_size: int) -> int:
    """How many a step works on, roughly, of the rows of `fakes` (S, n, d) and what is inside."""
    return len(fakes) * batch_size * max(fakes.shape[2], 4 * max(HIDDEN))


@torch.no_grad()
def _tested(
    real: Tensor, fake: Tensor, steps: int, batch_size: int, seed: int
) -> list[dict[str, float]]:
    rng = torch.Generator().manual_seed(seed)
    with one_thread() if _numbers(fake, batch_size) < FEW else nullcontext():
        sides = _sides(real, fake, rng)
        start = _start(real.shape[2], rng).to(real.device)
        half = max(1, min(batch_size // 2, *(len(side.learn) for side in sides)))
        order = [torch.randint(len(side.learn), (steps, half), generator=rng) for side in sides]
        weights = _trained(sides, [index.to(real.device) for index in order], start)
        called = [_called_real(side, weights) for side in sides]
    judged = [len(side.judge) for side in sides]
    return [_verdict(*counts, *judged) for counts in zip(*called, strict=True)]


def _sides(real: Tensor, fake: Tensor, rng: torch.Generator) -> list[_Side]:
    """Real and fake, each split at random."""
    parts = []
    for samples in (real, fake):
        first, judge = torch.randperm(samples.shape[1], generator=rng).tensor_split(2)
        count = min(ROWS, max(1, len(first) // 8))
        parts.append([part.to(samples.device) for part in (first[count:], first[:count], judge)])
    # In float64, so that a network alone and one among others get the same to the last bit.
    some = real[:, parts[0][0][:ROWS]].double()
    dtype = torch.promote_types(real.dtype, torch.float32)
    center, scale = some.mean(1).to(dtype), some.std(1).clamp(min=1e-12).to(dtype)
    return [
        _Side(samples, learn, stop, judge, center, scale)
        for samples, (learn, stop, judge) in zip((real, fake), parts, strict=True)
    ]


def _trained(sides: list[_Side], order: list[Tensor], start: Tensor) -> Tensor:
    """Weights (S, P) of networks that begin with `start` (P,), each as it was at its best look.

    A running mean of the weights is looked at. It is better than they are, and no rate need fall
    by a schedule, which would have to know the last step. Networks that are done leave the others.
    """
    nets = torch.arange(len(sides[0].samples), device=start.device)
    chosen = start.repeat(len(nets), 1)
    weights, average = chosen.clone(), chosen.clone()
    first, second = torch.zeros_like(weights), torch.zeros_like(weights)
    best, stale = torch.full_like(nets, math.inf, dtype=torch.float64), torch.zeros_like(nets)
    width = sides[0].samples.shape[2]
    layers, average_layers = _layers(weights, width), _layers(average, width)
    for step, batch in enumerate(zip(*order, strict=True), start=1):
        rows = [side.rows(nets, side.learn[i]) for side, i in zip(sides, batch, strict=True)]
        _adam(weights, first, second, _gradient(layers, torch.cat(rows, 1)), step)
        average.lerp_(weights, max(0.03, 1 / step))
        if step % LOOK and step < len(order[0]):
            continue
        error = _error(average_layers, sides, nets)
        better = error < best
        chosen[nets[better]] = average[better]
        best, stale = torch.minimum(best, error), torch.where(better, 0, stale + 1)
        going = stale < PATIENCE
        if not going.any():
            break
        if not going.all():
            state = (nets, weights, average, first, second, best, stale)
            nets, weights, average, first, second, best, stale = (part[going] for part in state)
            layers, average_layers = _layers(weights, width), _layers(average, width)
    return chosen


def _adam(weights: Tensor, first: Tensor, second: Tensor, gradient: Tensor, step: int) -> None:
    """A step of Adam at rate 0.01, in place; its second moment forgets in 100 steps, not 1,000."""
    first.lerp_(gradient, 0.1)
    second.lerp_(gradient.square_(), 0.01)
    rate = 0.01 * math.sqrt(1 - 0.99**step) / (1 - 0.9**step)
    weights.addcdiv_(first, second.sqrt().add_(1e-8), value=-rate)


def _error(layers: _Layers, sides: list[_Side], nets: Tensor) -> Tensor:
    """Squared error (S,) of the probabilities for the rows to stop by.

    Not the logistic loss, which a few sure mistakes make rise while the accuracy still does.
    """
    real, fake = (_log_odds(layers, side.rows(nets, side.stop))[0] for side in sides)
    return _probability(-real).square().mean(1) + _probability(fake).square().mean(1)


def _gradient(layers: _Layers, rows: Tensor) -> Tensor:
    """Gradient (S, P) of the mean logistic loss on `rows` (S, n, d), whose first half is real.

    By hand: for networks this small, autograd would double the time.
    """
    log_odds, inputs = _log_odds(layers, rows)
    slope = _probability(log_odds).div_(rows.shape[1]).float()
    slope[:, : rows.shape[1] // 2] -= 1 / rows.shape[1]
    slopes = torch.stack([-slope, slope], 2)
    parts: list[Tensor] = []
    for matrix, _ in reversed(layers):
        given = inputs.pop()
        parts += [slopes.sum(1), torch.bmm(given.mT, slopes).flatten(1)]
        if inputs:
            slopes = torch.bmm(slopes, matrix.mT).mul_(given.sign_())
    return torch.cat(parts[::-1], 1)


def _log_odds(layers: _Layers, rows: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Log-odds (S, n) that `rows` (S, n, d) are real, and the inputs of every layer."""
    inputs: list[Tensor] = []
    for matrix, bias in layers:
        inputs.append(rows.relu_() if inputs else rows)
        rows = torch.baddbmm(bias, rows, matrix)
    return rows[..., 1] - rows[..., 0], inputs


def _probability(log_odds: Tensor) -> Tensor:
    """In float64: torch's float32 sigmoid rounds otherwise for the last few rows of a batch."""
    return log_odds.double().sigmoid_()


def _layers(weights: Tensor, width: int) -> _Layers:
    """Matrices (S, in, out) and biases (S, 1, out), views of the weights (S, P).

    Two outputs, of which the difference counts: with one, a network alone would go through another
    routine of the BLAS, that rounds otherwise.
    """
    layers, at = [], 0
    for size in _sizes(width):
        bias = at + math.prod(size)
        end = bias + size[1]
        layers.append((weights[:, at:bias].unflatten(1, size), weights[:, bias:end].unsqueeze(1)))
        at = end
    return layers


def _start(width: int, rng: torch.Generator) -> Tensor:
    """First weights (P,): He's, of variance 2 / inputs, and no biases."""
    parts = []
    for size in _sizes(width):
        parts.append(math.sqrt(2 / size[0]) * torch.randn(math.prod(size), generator=rng))
        parts.append(torch.zeros(size[1]))
    return torch.cat(parts)


def _sizes(width: int) -> list[tuple[int, int]]:
    return list(pairwise((width, *HIDDEN, 2)))


def _called_real(side: _Side, weights: Tensor) -> list[int]:
    """How many of its rows to judge by each network calls real."""
    nets = torch.arange(len(weights), device=weights.device)
    called, layers = torch.zeros_like(nets), _layers(weights, side.samples.shape[2])
    for index in side.judge.split(ROWS):
        called += (_log_odds(layers, side.rows(nets, index))[0] > 0).sum(1)
    return called.tolist()


def _verdict(real: int, fake: int, of_real: int, of_fake: int) -> dict[str, float]:
    """Accuracy and one-sided p-value, given how many of how many were called real.

    The p-value is the two-proportion z-test's. Lopez-Paz and Oquab's N(1/2, 1 / (4 n_test)) is it
    for a network that calls half of all rows real; calling a share s, the variance under the null
    is s (1 - s) / n_test, and theirs is conservative. Without variance, all rows being called
    the same, the p-value is 1/2: that of any accuracy of 1/2.
    """
    gap = real / of_real - fake / of_fake
    share = (real + fake) / (of_real + of_fake)
    deviation = math.sqrt(share * (1 - share) * (1 / of_real + 1 / of_fake))
    p_value = math.erfc(gap / deviation / math.sqrt(2)) / 2 if deviation else 0.5
    return {"discriminator_accuracy": (1 + gap) / 2, "discriminator_p_value": p_value}
