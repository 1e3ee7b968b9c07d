"""Hidden parameters: variants of a task, drawn from a seed, on which knowing the task is no use.

A GAN that learns from its data alone scores there as on the task itself; one that has the task's
parameters in a table does not. A variant is the task moved by an isometry: its samples are judged
after they were moved back, so that metrics, floors and ceilings are those of the task. Only sine
curves have no such motion that changes them enough: they get other ranges of b and c, and floors
and ceilings of their own.
"""

from __future__ import annotations

import functools
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ganbench import metrics
from ganbench.bounds import measured
from ganbench.core import AtOnce, Bound, Metric, Task, Value
from ganbench.errors import InputError
from ganbench.planar import covariance_metrics, distance_metrics
from ganbench.randomness import generator
from ganbench.system.threads import one_thread

COMMENSURATE = 2.0  # how much wider than another a coordinate may be, that both are mixed
FAR = 0.25  # score of real samples of the task on a variant of it, at most
TRIES = 100  # seeds that may be drawn until one's variant is far enough
MOST = 2**31  # seeds
B_SHIFT = 0.25  # of the range of frequencies, up or down
C_SHIFT = (math.pi / 2, 3 * math.pi / 2)  # of the range of phases
SINES = "sine_fit"  # the metric that a task of sine curves has

Motion = Callable[[Tensor], Tensor]
Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """Which variant of a task: the seed that it is drawn from, and its bounds if they are its own.

    In plain values, so that another process can make the same variant.
    """

    seed: int
    bounds: Mapping[str, Bound] | None = None


@dataclass(frozen=True, kw_only=True)
class Isometry:
    """x -> center + linear(x - center), of rows (n, d); `inverse` undoes the linear part.

    Without a center that is the origin.
    """

    linear: Motion
    inverse: Motion
    center: Tensor | None = None

    def there(self, rows: Tensor) -> Tensor:
        """Rows of the task moved to the variant."""
        return self._moved(rows, self.linear)

    def back(self, rows: Tensor) -> Tensor:
        """Rows of the variant moved to the task."""
        return self._moved(rows, self.inverse)

    def moments(self, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the variant from those of the task."""
        return self.there(mean[None])[0], self.linear(self.linear(covariance).T)

    def _moved(self, rows: Tensor, linear: Motion) -> Tensor:
        if self.center is None:
            return linear(rows)
        center = self.center.to(rows.device)
        return (center + linear(rows.double() - center)).to(rows.dtype)


def variant(task: Task, hidden: Hidden) -> Task:
    """The variant of a task, under the task's own name: all facts of it are the variant's."""
    rng = generator(hidden.seed, "hidden")
    changed = other_sines(task, rng) if SINES in task.metrics else moved(task, motion(task, rng))
    return changed if hidden.bounds is None else replace(changed, bounds=hidden.bounds)


def drawn(task: Task, seed: int | None = None) -> tuple[Hidden, float]:
    """The variant of a seed, or of a fresh one, and what real samples of the task score there.

    At most FAR, by the task's floors and ceilings: a variant that is nearer to its task tells
    little. Raises InputError if the given seed's is, or that of each of many. Floors and ceilings
    of sine curves take a few minutes.
    """
    for _ in range(TRIES if seed is None else 1):
        hidden = Hidden(seed=secrets.randbelow(MOST) if seed is None else seed)
        with one_thread():
            known = _score_of_known(task, hidden)
            if known <= FAR:
                return _with_bounds(task, hidden), known
    if seed is None:
        raise InputError(f"task {task.name!r} has no hidden parameters that change it enough")
    raise InputError(
        f"real samples of task {task.name!r} score {known:.3f} on its hidden parameters {seed}: "
        "these tell nothing, take others"
    )


def _with_bounds(task: Task, hidden: Hidden) -> Hidden:
    """With floors and ceilings of its own, where those of the task are not the variant's."""
    if SINES not in task.metrics:
        return hidden
    _, own = measured(variant(task, hidden))
    bounds = {name: Bound(**each) for name, each in own.items()}  # type: ignore[arg-type]
    return replace(hidden, bounds=bounds)


def _score_of_known(task: Task, hidden: Hidden) -> float:
    """What real samples of a task score on its variant."""
    changed = variant(task, hidden)
    known = task.sample(task.budget.evaluation_size, generator(hidden.seed, "hidden-known"))
    return changed.score(changed.evaluate(changed.reference, known))


def motion(task: Task, rng: torch.Generator) -> Isometry:
    """One that leaves the task as hard as it is for whoever learns it from data.

    Images are flipped, transposed and inverted. Points are rotated about their mean if no
    coordinate is much wider than another; else a rotation would hide the narrow one in the wide one
    from a GAN that sees each in its own units: then coordinates change places and signs, which
    networks with weights of symmetric laws do not notice. So it is with flat modes, too.
    """
    width, modes = task.width, task.modes
    if task.is_images:
        places, signs = _of_images(task.shape, rng)
        return _exchange(places, signs)
    flat = modes is not None and modes.dimensions < width
    if flat or width == 1 or float(task.scale.max() / task.scale.min()) > COMMENSURATE:
        extent = modes.dimensions if modes is not None else width
        rest = extent + torch.randperm(width - extent, generator=rng)
        places = torch.cat([torch.randperm(extent, generator=rng), rest])
        return _exchange(places, 2 * torch.randint(2, (width,), generator=rng) - 1)
    normal = torch.randn(width, width, generator=rng, dtype=torch.float64)
    Q, R = torch.linalg.qr(normal)
    Q = Q * R.diagonal().sign()  # uniform over all rotations and reflections: Mezzadri 2007
    return Isometry(
        linear=lambda rows: rows @ Q.to(rows).T,
        inverse=lambda rows: rows @ Q.to(rows),
        center=task.center.double(),
    )


def _of_images(shape: tuple[int, ...], rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Where each number of a flipped, perhaps transposed image comes from, and a sign for all."""
    count = math.prod(shape)
    places = torch.arange(count).view(shape)
    down, across, turned, inverted = torch.randint(2, (4,), generator=rng).tolist()
    places = places.flip([axis for axis, on in ((1, down), (2, across)) if on])
    if turned and shape[1] == shape[2]:
        places = places.transpose(1, 2)
    return places.flatten(), torch.full((count,), 1 - 2 * inverted)


def _exchange(places: Tensor, signs: Tensor) -> Isometry:
    """Coordinates change places and signs."""
    before = places.argsort()
    return Isometry(
        linear=lambda rows: rows[:, places.to(rows.device)] * signs.to(rows),
        inverse=lambda rows: (rows * signs.to(rows))[:, before.to(rows.device)],
    )


def moved(task: Task, isometry: Isometry) -> Task:
    """The task moved by an isometry, and judged as itself: what is judged is moved back before."""

    def there(samples: Tensor) -> Tensor:
        return isometry.there(samples.flatten(1)).view(samples.shape)

    def back(samples: Tensor) -> Tensor:
        return isometry.back(samples.flatten(1)).view(samples.shape)

    def of_moved(fact: Callable[[Tensor], Tensor] | None) -> Callable[[Tensor], Tensor] | None:
        return fact and (lambda samples: fact(back(samples)))

    def then_moved(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *given: there(draw(*given))

    def judged(metric: Metric) -> Metric:
        def one(real: Tensor, fake: Tensor) -> Value:
            return metric(back(real), back(fake))

        def several(real: Tensor, fakes: Tensor) -> Sequence[Value]:
            assert isinstance(metric, AtOnce)
            return metric.several(back(real), torch.stack([back(fake) for fake in fakes]))

        return AtOnce(one, several) if isinstance(metric, AtOnce) else one

    facts: dict[str, Tensor] = {}
    if task.mean is not None and task.covariance is not None:
        mean, covariance = isometry.moments(task.mean, task.covariance)
        facts = {"mean": mean, "covariance": covariance}
    exact, modes, kept = task.exact_moments, task.modes, task.training_set
    return replace(
        task,
        **facts,  # type: ignore[arg-type]
        sample=then_moved(task.sample),
        metrics={name: judged(metric) for name, metric in task.metrics.items()},
        exact_moments=exact and (lambda: isometry.moments(*exact())),
        training_set=kept and functools.cache(then_moved(kept)),
        held_out=task.held_out and then_moved(task.held_out),
        modes=modes and replace(modes, centers=there(modes.centers)),
        label=of_moved(task.label),
        log_density=of_moved(task.log_density),
        naive=[then_moved(each) if callable(each) else each for each in task.naive],
    )


def other_sines(task: Task, rng: torch.Generator) -> Task:
    """Sine curves with frequencies and phases from ranges as wide as the task's, elsewhere."""
    fit = task.metrics[SINES]
    assert isinstance(fit, partial)
    x = fit.keywords["x"]
    more, later = torch.rand(2, generator=rng, dtype=torch.float64).tolist()
    b = _shifted(fit.keywords["b_range"], B_SHIFT * (2 * more - 1))
    c = _shifted(fit.keywords["c_range"], C_SHIFT[0] + (C_SHIFT[1] - C_SHIFT[0]) * later)

    def sample(n: int, rng: torch.Generator) -> Tensor:
        ranges = torch.tensor([b, c], device=rng.device)[:, :, None, None]
        low, high = ranges[:, 0], ranges[:, 1]
        of_b, of_c = low + (high - low) * torch.rand(2, n, 1, generator=rng, device=rng.device)
        return torch.sin(of_b * x.to(rng.device) + of_c)

    mean, covariance = sine_moments(x.double(), b, c)
    return replace(
        task,
        sample=sample,
        metrics={
            **distance_metrics(sample, covariance),
            **covariance_metrics(mean, covariance),
            SINES: partial(metrics.sine_fit, x=x, b_range=b, c_range=c),
        },
        mean=mean,
        covariance=covariance,
    )


def sine_moments(x: Tensor, b: Range, c: Range) -> tuple[Tensor, Tensor]:
    """Mean (d,) and covariance (d, d) of sin(bx + c) for b and c uniform on these ranges, exact."""
    one = torch.ones((), dtype=torch.float64)
    mean = (_characteristic(b, x) * _characteristic(c, one)).imag
    apart = _characteristic(b, x[:, None] - x).real
    together = (_characteristic(b, x[:, None] + x) * _characteristic(c, 2 * one)).real
    return mean, (apart - together) / 2 - mean[:, None] * mean


def _characteristic(law: Range, t: Tensor) -> Tensor:
    """E exp(i u t) for u uniform on a range."""
    low, high = law
    turned = torch.polar(torch.ones_like(t), (low + high) / 2 * t)
    return turned * torch.sinc((high - low) / (2 * math.pi) * t)


def _shifted(law: Range, by: float) -> Range:
    return law[0] + by, law[1] + by
