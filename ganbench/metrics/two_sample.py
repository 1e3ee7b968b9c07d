"""The classifier two-sample test: can a fresh network tell fake from real?"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from scipy import stats
from torch import Tensor

from ganbench.errors import InputError
from ganbench.metrics._inputs import checked

QUANTITIES = {
    "discriminator_accuracy": ("lower", "held-out accuracy of a fresh classifier; 0.5 is ideal"),
    "discriminator_p_value": ("higher", "p-value of that accuracy if real and fake were one law"),
}

FEWEST = 8  # rows of a sample: three to learn from, one to stop by, four to be judged by
HIDDEN = (32, 32, 32)  # sees more than two layers of 64, at a lower cost
LOOK = 20  # steps from one look at the rows to stop by to the next
PATIENCE = 8  # looks that find nothing better, after which a network is done
ROWS = 1024  # of a sample at once; and as many suffice to stop by, or for the scales
FAR = 10.0  # standard deviations; beyond lies less than 1 % of any law
GROUP = 2**20  # numbers in a layer of all networks that train together: they stay in cache


class _Side(NamedTuple):
    """Samples (S, n, d) of one kind, the rows of each part, and the scales (S, d)."""

    samples: Tensor
    learn: Tensor
    stop: Tensor
    judge: Tensor
    center: Tensor
    scale: Tensor

    def rows(self, nets: Tensor, index: Tensor) -> Tensor:
        """Those rows of those networks' samples, standardised, (len(nets), len(index), d).

        Cut far out, so that no fake of 1e20, nor of noise where real is constant, upsets a network.
        """
        net = nets[:, None]
        rows = (self.samples[net, index] - self.center[net]).div_(self.scale[net])
        return rows.clamp_(-FAR, FAR).float()


def discriminator_test(
    real: Tensor, fake: Tensor, *, steps: int = 600, batch_size: int = 256, seed: int = 0
) -> dict[str, float]:
    """Held-out accuracy of a classifier trained to tell `real` (m, d) from `fake` (n, d).

    `discriminator_tests` of one pair. Raises InputError for fewer than eight rows.
    """
    real, fake = checked(real, fake, fewest=FEWEST)
    return _tested(real[None], fake[None], steps, batch_size, seed)[0]


def discriminator_tests(
    real: Tensor, fakes: Tensor, *, steps: int = 600, batch_size: int = 256, seed: int = 0
) -> list[dict[str, float]]:
    """The tests of S pairs at once: `fakes` (S, n, d), `real` (S, m, d) or (m, d) for all.

    A network learns on one half of each sample, for `steps` batches at most, and is judged by the
    other: the accuracy is the mean of the shares of real and fake that it calls so. An eighth of
    the first half tells when to stop, and which weights to keep. All networks train together, yet
    each as it would alone. The same `seed` gives every pair the same split, first weights and
    batches, whatever the global random state; which stays untouched.
    Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests", ICLR.
    """
    if not isinstance(fakes, Tensor) or fakes.ndim < 3:
        got = tuple(fakes.shape) if isinstance(fakes, Tensor) else type(fakes).__name__
        raise InputError(f"fakes must have shape (S, n, d), got {got}")
    real = real.expand(len(fakes), *real.shape) if real.ndim < fakes.ndim else real
    if len(real) != len(fakes):
        raise InputError(f"real must be one sample or {len(fakes)} of them, got {len(real)}")
    for pair in zip(real, fakes, strict=True):
        checked(*pair, fewest=FEWEST)
    real, fakes = real.detach().flatten(2), fakes.detach().flatten(2)
    size = max(1, GROUP // (batch_size * max(fakes.shape[2], 4 * max(HIDDEN))))
    tests = []
    for group in zip(real.split(size), fakes.split(size), strict=True):
        tests += _tested(*group, steps, batch_size, seed)
    return tests


@torch.no_grad()
def _tested(
    real: Tensor, fake: Tensor, steps: int, batch_size: int, seed: int
) -> list[dict[str, float]]:
    rng = torch.Generator().manual_seed(seed)
    sides = _sides(real, fake, rng)
    start = _start(real.shape[2], rng).to(real.device)
    half = min(batch_size // 2, *(len(side.learn) for side in sides))
    order = [torch.randint(len(side.learn), (steps, half), generator=rng) for side in sides]
    batches = [side.learn[index.to(real.device)] for side, index in zip(sides, order, strict=True)]
    weights = _trained(sides, batches, start)
    called = [_called_real(side, weights) for side in sides]
    return [
        _verdict(*counts, *(len(side.judge) for side in sides))
        for counts in zip(*called, strict=True)
    ]


def _sides(real: Tensor, fake: Tensor, rng: torch.Generator) -> list[_Side]:
    """Both kinds, split at random, on the scales of those real rows that are learnt from."""
    splits = []
    for samples in (real, fake):
        order = torch.randperm(samples.shape[1], generator=rng).to(samples.device)
        first, judge = order.tensor_split(2)
        count = min(ROWS, max(1, len(first) // 8))
        splits.append((samples, first[count:], first[:count], judge))
    some = real[:, splits[0][1][:ROWS]]
    some = some.to(torch.promote_types(some.dtype, torch.float32))
    center, scale = some.mean(1), some.std(1).clamp(min=1e-12)
    return [_Side(*split, center, scale) for split in splits]


def _trained(sides: list[_Side], batches: list[Tensor], start: Tensor) -> Tensor:
    """Weights (S, P) of networks that begin with `start` (P,), each as it was at its best look.

    What is looked at is a running mean of Adam's weights: better than they are, and no rate has to
    fall by a schedule, which would have to know the last step. A network that is done leaves the
    others.
    """
    nets = torch.arange(len(sides[0].samples), device=start.device)
    chosen = start.repeat(len(nets), 1)
    weights, average = chosen.clone(), chosen.clone()
    first, second = torch.zeros_like(weights), torch.zeros_like(weights)
    best, stale = weights.new_full((len(nets),), math.inf), torch.zeros_like(nets)
    for step, indices in enumerate(zip(*batches, strict=True), start=1):
        rows = [side.rows(nets, index) for side, index in zip(sides, indices, strict=True)]
        gradient = _gradient(weights, torch.cat(rows, 1))
        first.lerp_(gradient, 0.1)
        second.lerp_(gradient.square_(), 0.01)
        rate = 0.01 * math.sqrt(1 - 0.99**step) / (1 - 0.9**step)
        weights.addcdiv_(first, second.sqrt().add_(1e-8), value=-rate)
        average.lerp_(weights, max(0.03, 1 / step))
        if step % LOOK and step < len(batches[0]):
            continue
        error = _error(average, sides, nets)
        better = error < best
        chosen[nets[better]] = average[better]
        best, stale = torch.minimum(best, error), torch.where(better, 0, stale + 1)
        going = stale < PATIENCE
        if not going.any():
            break
        if not going.all():
            state = (nets, weights, average, first, second, best, stale)
            nets, weights, average, first, second, best, stale = (part[going] for part in state)
    return chosen


def _error(weights: Tensor, sides: list[_Side], nets: Tensor) -> Tensor:
    """Squared error (S,) of the probabilities for the rows to stop by.

    Not the logistic loss, which a few sure mistakes make rise while the accuracy still does.
    """
    real, fake = (_log_odds(weights, side.rows(nets, side.stop))[0] for side in sides)
    return real.neg().sigmoid().square().mean(1) + fake.sigmoid().square().mean(1)


def _log_odds(weights: Tensor, rows: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Log-odds (S, n) that rows (S, n, d) are real, and what each layer was given."""
    given = [rows]
    *layers, (matrix, bias) = _layers(weights, rows.shape[2])
    for hidden in layers:
        given.append(torch.baddbmm(hidden[1], given[-1], hidden[0]).relu_())
    output = torch.baddbmm(bias, given[-1], matrix)
    return output[..., 1] - output[..., 0], given


def _gradient(weights: Tensor, rows: Tensor) -> Tensor:
    """Gradient (S, P) of the mean logistic loss of `rows` (S, n, d), whose first half is real.

    By hand: autograd takes twice as long for so small a network.
    """
    log_odds, given = _log_odds(weights, rows)
    slope = log_odds.sigmoid_().div_(rows.shape[1])
    slope[:, : rows.shape[1] // 2] -= 1 / rows.shape[1]
    slopes = torch.stack([-slope, slope], 2)
    parts: list[Tensor] = []
    for inputs, (matrix, _) in zip(given[::-1], _layers(weights, rows.shape[2])[::-1], strict=True):
        parts += [slopes.sum(1), torch.bmm(inputs.mT, slopes).flatten(1)]
        if inputs is not rows:
            slopes = torch.bmm(slopes, matrix.mT).masked_fill_(inputs == 0, 0.0)
    return torch.cat(parts[::-1], 1)


def _layers(weights: Tensor, width: int) -> list[tuple[Tensor, Tensor]]:
    """Matrices (S, in, out) and biases (S, 1, out): views of the weights (S, P).

    Two outputs, of which the difference counts: for one, BLAS takes another routine with another
    rounding where a network is alone.
    """
    sizes = list(pairwise((width, *HIDDEN, 2)))
    parts = weights.split([count for i, o in sizes for count in (i * o, o)], dim=1)
    matrices = [part.unflatten(1, size) for part, size in zip(parts[::2], sizes, strict=True)]
    return [(matrix, bias[:, None]) for matrix, bias in zip(matrices, parts[1::2], strict=True)]


def _start(width: int, rng: torch.Generator) -> Tensor:
    """First weights (P,), He's: the variance of a layer's matrix is two over its inputs."""
    parts = []
    for fan_in, fan_out in pairwise((width, *HIDDEN, 2)):
        parts.append(math.sqrt(2 / fan_in) * torch.randn(fan_in * fan_out, generator=rng))
        parts.append(torch.zeros(fan_out))
    return torch.cat(parts)


def _called_real(side: _Side, weights: Tensor) -> list[int]:
    """How many of the rows to judge by each network calls real."""
    nets = torch.arange(len(weights), device=weights.device)
    called = torch.zeros_like(nets)
    for index in side.judge.split(ROWS):
        called += (_log_odds(weights, side.rows(nets, index))[0] > 0).sum(1)
    return called.tolist()


def _verdict(real: int, fake: int, of_real: int, of_fake: int) -> dict[str, float]:
    """Accuracy and p-value, from how many of how many were called real."""
    gap = real / of_real - fake / of_fake
    called = (real + fake) / (of_real + of_fake)
    variance = called * (1 - called) * (1 / of_real + 1 / of_fake)
    z = gap / math.sqrt(variance) if variance > 0 else 0.0
    p_value = float(stats.norm.sf(z))
    return {"discriminator_accuracy": (1 + gap) / 2, "discriminator_p_value": p_value}
