"""Looks at samples: on which regions of a target they fall, how far they spread, what they copy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganbench.core import Task
from ganbench.diagnosis.facts import Look, Regions
from ganbench.diagnosis.figures import look_of
from ganbench.metrics._inputs import thinned
from ganbench.metrics.memorisation import nearest_distances
from ganbench.metrics.mixture import reach
from ganbench.metrics.sine import fit_sines

CELLS = 24  # of a target that has no modes: some 40 real samples of 1,024 in each
ROUNDS = 8  # of k-means: the cells need not be the best ones
REAL_SIZE = 2048  # real samples that make the cells
IMAGES = 1000  # that are classified: 4 ms each
FITTED = 256  # curves that are fitted
ASKED = 256  # samples whose nearest training sample is looked for
COPY = 0.05  # of the usual distance of held-out samples to the training set: nearer is a copy
SUSPECT = 0.6  # memorisation of images, below which no copies are looked for: it takes a second
DUE = 5.0  # samples due in a region: of fewer, none may be chance
TENTH = 0.1  # of its due share: below, a region is missing, as in metrics.mixture


class Ground:
    """What real samples of a task are like: their regions, shares and spreads."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._bounds = task.ordered_bounds

    def seen(self, samples: Tensor, look: Look) -> Look:
        """`look` with what the samples (n, *task.shape) themselves show.

        Beside real ones that are all one point it shows nothing: that has no regions and no spread.
        """
        if float(_variance(self._real)) == 0:
            return look
        samples = samples.detach().float().cpu()
        if self.task.is_images:
            samples = thinned(samples, IMAGES)
        flat = self._flat(samples)
        spread = float(_variance(flat).sqrt()) / float(_variance(self._real).sqrt())
        where = self._where(samples, flat)
        regions = look.regions if self._counted_elsewhere else self._regions(flat, where, spread)
        return replace(
            look,
            regions=regions,
            spread=spread,
            within=self._within(flat, where),
            band=self._band(samples) if look.law is not None else None,
        )

    def frame(self, frame: np.ndarray[Any, Any], position: float | None) -> Look:
        """The look at the samples of an evaluation before the last."""
        samples = torch.from_numpy(np.ascontiguousarray(frame, dtype=np.float32))
        if len(samples) <= DUE:  # too few for any neighbours
            return look_of({}, self._bounds, position)
        values = self._frame_metrics(samples)
        return self.seen(samples, look_of(values, self._bounds, position))

    def _frame_metrics(self, samples: Tensor) -> dict[str, float]:
        """The metrics of the task that the rules ask for and that so few samples allow."""
        metrics, found = self.task.metrics, dict[str, float]()
        real = self.task.reference[: len(samples)]  # equal sizes, or coverage would not compare
        for name in ("precision", "curve_residual", "modes"):
            if name in metrics:
                found.update(_values(metrics[name](real, samples)))
        if "sine_fit" in metrics:
            found.update(_values(metrics["sine_fit"](real, samples[:FITTED])))
        if "triangle_fit" in metrics:
            values = _values(metrics["triangle_fit"](real, samples[:FITTED]))
            found["triangle_precision"] = values["triangle_precision"]  # so few have no recall
        if self.task.is_images and "frechet" in metrics:
            # Of 100 fakes among 4,096 real ones only the fakes' own share means the same.
            every = _values(metrics["frechet"](self.task.reference, samples))
            found.update({name: every[name] for name in ("precision",) if name in every})
        return found

    @property
    def _counted_elsewhere(self) -> bool:
        """Whether a metric counts regions that a thousand samples cannot show."""
        return "stacked_modes" in self.task.bounds

    @cached_property
    def _samples(self) -> Tensor:
        reference = self.task.reference.detach().float().cpu()
        return thinned(reference, IMAGES if self.task.is_images else REAL_SIZE)

    @cached_property
    def _real(self) -> Tensor:
        return self._flat(self._samples)

    @cached_property
    def _cells(self) -> Tensor:
        """Centres (CELLS, d) of cells of every second real sample, from where these lie in order.

        The others tell what is due in each: in many dimensions new samples leave cells empty.
        """
        half = self._real[::2]
        centers = half[:: max(1, len(half) // CELLS)][:CELLS].clone()
        for _ in range(ROUNDS):
            nearest = torch.cdist(half, centers).argmin(1)
            sums = torch.zeros_like(centers).index_add_(0, nearest, half)
            counts = torch.bincount(nearest, minlength=len(centers))[:, None]
            centers = torch.where(counts > 0, sums / counts.clamp(min=1), centers)
        return centers

    @cached_property
    def _real_where(self) -> Tensor:
        return self._where(self._samples, self._real)

    @cached_property
    def _due(self) -> Tensor:
        """Share of real samples in each region (K,)."""
        if self.task.modes is not None:
            return self.task.modes.due
        if self._word == "regions":
            return _shares(self._real_where[1::2], len(self._cells))
        return _shares(self._real_where, int(self._real_where.max()) + 1)

    @property
    def _word(self) -> str:
        if self.task.modes is not None:
            return "modes"
        if not self.task.is_images or self.task.label is None:
            return "regions"
        return "digits" if self.task.name == "mnist" else "classes"

    def _flat(self, samples: Tensor) -> Tensor:
        """Samples (n, d), each coordinate by its true standard deviation."""
        return samples.flatten(1) / self.task.scale

    def _where(self, samples: Tensor, flat: Tensor) -> Tensor:
        """The region (n,) of each sample; -1 between modes."""
        if self.task.modes is not None:
            centers, sigma = self.task.modes.centers, self.task.modes.sigma
            distance, nearest = torch.cdist(samples.flatten(1), centers).min(1)
            return torch.where(distance <= reach(self.task.modes.dimensions) * sigma, nearest, -1)
        if self._word == "regions":
            return torch.cdist(flat, self._cells).argmin(1)
        assert self.task.label is not None
        labels: Tensor = self.task.label(samples)
        return labels

    def _regions(self, flat: Tensor, where: Tensor, spread: float) -> Regions | None:
        due, n = self._due, len(flat)
        natural = self._word != "regions"
        if float(due.max()) * n < DUE and natural:
            return None
        held = _shares(where, len(due))
        missing = (held < TENTH * due) & (due * n >= DUE)
        lost = lost_widened = float(due[missing].sum())
        if not natural and 0 < spread < 1:
            wide = self._stretched(flat, spread)
            wide_held = _shares(torch.cdist(wide, self._cells).argmin(1), len(due))
            lost_widened = float(due[wide_held < TENTH * due].sum())
        return Regions(
            word=self._word,
            count=len(due),
            missing=int(missing.sum()),
            lost=lost,
            lost_widened=lost_widened,
            natural=natural,
            shares=tuple(held.tolist()),
        )

    def _stretched(self, flat: Tensor, spread: float) -> Tensor:
        """Samples stretched to the covariance of real ones, in the plane, or else to their spread.

        About their own mean: a whole target that is only too narrow then fills all of it, and a
        part of one does not.
        """
        center = flat.mean(0)
        if flat.shape[1] != 2:
            return center + (flat - center) / spread
        roots = [torch.linalg.cholesky(_covariance(side)) for side in (self._real, flat)]
        away = torch.linalg.solve_triangular(roots[1], (flat - center).double().T, upper=False)
        wide: Tensor = center + (roots[0] @ away).T.float()
        return wide

    @cached_property
    def _real_within(self) -> Tensor:
        return self._variances(self._real, self._real_where)

    def _variances(self, flat: Tensor, where: Tensor) -> Tensor:
        """Mean variance of a coordinate in each region (K,): in the plane, the geometric mean.

        That sees a band that has become a line, but is nothing on a task that is a line.
        """
        if flat.shape[1] != 2 or "curve_residual" in self.task.metrics:
            return _in_each(flat, where, len(self._due), lambda x: x.var(0, correction=0).mean())
        return _in_each(flat, where, len(self._due), _area)

    def _within(self, flat: Tensor, where: Tensor) -> float | None:
        """Spread of samples within regions as a part of real ones', where there are enough."""
        if self.task.is_images:
            return None
        own = self._variances(flat, where)
        weight = torch.where(own.isnan() | self._real_within.isnan(), 0.0, self._due)
        if float(weight.sum()) == 0.0:
            return None
        ratio = (own / self._real_within.clamp(min=1e-300)).nan_to_num()
        return math.sqrt(float((weight * ratio).sum() / weight.sum()))

    def _band(self, samples: Tensor) -> float | None:
        """The part of the range of frequencies that holds nine in ten of the fitted ones."""
        metric = self.task.metrics.get("sine_fit")
        if not isinstance(metric, partial):
            return None
        low, high = metric.keywords["b_range"]
        frequencies = fit_sines(samples[:FITTED].flatten(1), **metric.keywords).b
        ends = torch.quantile(frequencies, torch.tensor([0.05, 0.95], dtype=torch.float64))
        part: float = float(ends[1] - ends[0]) / (high - low)
        return part


def ground(task: Task) -> Ground:
    """What real samples of a task are like, found once for its seeds."""
    known = _grounds.get(id(task))
    if known is None or known.task is not task:
        _grounds.clear()  # a process trains one task after the other
        known = _grounds[id(task)] = Ground(task)
    return known


_grounds: dict[int, Ground] = {}


def copies(task: Task, samples: Tensor, training: Tensor, look: Look) -> float | None:
    """Share of samples that lie on a training sample, beyond that of held-out ones that do.

    None for images of which a metric already says that they are no nearer than held-out ones, and
    of discrete data, of which most coincide.
    """
    if task.is_images and look.memorisation is not None and look.memorisation < SUSPECT:
        return None
    fake, real = (
        thinned(side.detach().float().cpu().flatten(1), ASKED) for side in (samples, task.reference)
    )
    known = training.detach().float().cpu().flatten(1)
    distances = nearest_distances(real, known)
    reach = COPY * float(distances.median())
    chance = float((distances <= reach).double().mean())
    if reach == 0:
        return None
    share = float((nearest_distances(fake, known) <= reach).double().mean())
    return max(0.0, (share - chance) / (1 - chance))


def _values(found: float | Mapping[str, float]) -> dict[str, float]:
    return dict(found) if isinstance(found, Mapping) else {}


def _variance(flat: Tensor) -> Tensor:
    """The sum of the variances of all coordinates."""
    return flat.double().var(0, correction=0).sum()


def _covariance(flat: Tensor) -> Tensor:
    """Covariance (d, d), of a line made a little wide, so that it can be inverted."""
    found = torch.cov(flat.double().T, correction=0)
    return found + 1e-9 * (1e-30 + found.trace()) * torch.eye(len(found), dtype=found.dtype)


def _shares(where: Tensor, count: int) -> Tensor:
    """Share of all samples in each of `count` regions."""
    inside = where[(where >= 0) & (where < count)]
    return torch.bincount(inside, minlength=count).double() / max(1, len(where))


def _in_each(flat: Tensor, where: Tensor, count: int, of: Callable[[Tensor], Tensor]) -> Tensor:
    """The number that `of` has for the samples of each region, NaN for no more than DUE of them."""
    found = torch.full((count,), math.nan, dtype=torch.float64)
    for region in range(count):
        inside = flat[where == region].double()
        if len(inside) > DUE:
            found[region] = of(inside)
    return found


def _area(points: Tensor) -> Tensor:
    """The root of the determinant of the covariance of points in the plane."""
    return torch.cov(points.T, correction=0).det().clamp(min=0).sqrt()
