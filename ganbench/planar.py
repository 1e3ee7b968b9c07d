"""What tasks of points share: their metrics, their default budget, Gaussian mixtures.

Points lie in the plane, and those of mixtures in as many dimensions as their centres.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from ganbench import metrics
from ganbench.core import AtOnce, Budget, Metric, Modes, Sampler, Task
from ganbench.metrics._kept import part
from ganbench.metrics.curves import Curve
from ganbench.randomness import REFERENCE_SEED
from ganbench.scoring import Direction

T = TypeVar("T")

BUDGET = Budget(steps=20_000, batch_size=256, evaluations=20, evaluation_size=4096, log_every=500)
VIEWS = {
    "fidelity": "precision",
    "diversity": "coverage",
    "distribution": "mmd",
    "test": "discriminator_accuracy",
}
F1 = "precision_recall_f1"
X_RANGE = (-50.0, 50.0)
EIGHTHS = 8  # parts of a curve along x, its classes
# Tasks that were measured otherwise at their version 1, and whose files rely on being 2 now.
SECOND = (
    "checkerboard",
    "cosine",
    "cubic",
    "gaussian",
    "grid25",
    "moons",
    "pinwheel",
    "quadratic",
    "ring8",
    "ring8_wide",
    "spirals",
    "swiss_roll",
    "two_curves",
)


def covariance_metrics(mean: Tensor, covariance: Tensor) -> dict[str, Metric]:
    """The moment errors of any task, against its exact `mean` (d,) and `covariance` (d, d)."""
    return {
        "mean_error": partial(metrics.mean_error, mean=mean, covariance=covariance),
        "covariance_error": partial(metrics.covariance_error, mean=mean, covariance=covariance),
    }


def distance_metrics(
    sample: Sampler,
    covariance: Tensor,
    *,
    finest: float | None = None,
    neighbours: Metric = metrics.precision_recall,
) -> dict[str, Metric]:
    """The metrics of any task: distances, precision and recall, and the two-sample test.

    All see the data divided by each coordinate's true standard deviation, so that a wide
    coordinate cannot hide a narrow one. `finest` is the smallest scale that matters, unscaled.
    `neighbours` gives precision, recall and coverage.
    """
    scale = covariance.diagonal().sqrt().float()
    reference = sample(1024, torch.Generator().manual_seed(REFERENCE_SEED)) / scale
    in_units = float(scale.mean())
    widths = metrics.kernel_widths(reference, finest=finest / in_units if finest else None)

    in_scale = ("divided", *scale.tolist())

    def scaled(metric: Callable[[Tensor, Tensor], T]) -> Callable[[Tensor, Tensor], T]:
        def measure(real: Tensor, fake: Tensor) -> T:
            def divided() -> Tensor:
                return real / scale.to(real.device)

            return metric(part(real, in_scale, divided), fake / scale.to(fake.device))

        return measure

    return {
        "mmd": scaled(partial(metrics.mmd, widths=widths)),
        "energy": scaled(metrics.energy),
        "wasserstein": scaled(metrics.wasserstein),
        "sliced_wasserstein": scaled(metrics.sliced_wasserstein),
        "precision": scaled(neighbours),
        "discriminator_accuracy": AtOnce(
            scaled(metrics.discriminator_test), scaled(metrics.discriminator_tests)
        ),
    }


def balanced(real: Tensor, fake: Tensor) -> Mapping[str, float]:
    """Precision, recall and the rest, and the harmonic mean of these two: 0 if either is.

    In many dimensions the centre of a mode lies in the balls of all of its real samples, so that
    coverage calls the centres alone diverse; and the balls of noise are so large that recall
    calls noise so. The mean is fooled by neither.
    """
    found = metrics.precision_recall(real, fake)
    both = found["precision"] + found["recall"]
    return {**found, F1: 2 * found["precision"] * found["recall"] / both if both else 0.0}


# What is asked of a mixture in more dimensions than two.
HIGH: dict[str, Any] = {
    "views": {**VIEWS, "diversity": F1},
    "directions": {F1: "higher"},
    "neighbours": balanced,
}


def planar_task(
    name: str,
    sample: Sampler,
    *,
    mean: Tensor,
    covariance: Tensor,
    version: int | None = None,
    more: Mapping[str, Metric] | None = None,
    directions: Mapping[str, Direction] | None = None,
    views: Mapping[str, str] = VIEWS,
    neighbours: Metric = metrics.precision_recall,
    modes: Modes | None = None,
    label: Callable[[Tensor], Tensor] | None = None,
    classes: int | None = None,
    log_density: Callable[[Tensor], Tensor] | None = None,
    budget: Budget = BUDGET,
    pool: int | None = None,
    shuffle: bool = False,
    naive: Sequence[Literal["uniform", "gaussian"] | Sampler] = ("uniform", "gaussian"),
) -> Task:
    """A task of points, each round measured by MMD; `more` adds metrics of its own.

    `directions` says of quantities that are not in `ganbench.metrics` which way they are better.
    A new task starts at version 1; whoever changes a number of it gives it the next `version`.
    """
    # The distance of two samples of a mode grows with the root of the dimensions.
    finest = modes.sigma * math.sqrt(modes.dimensions / 2) if modes else None
    distances = distance_metrics(sample, covariance, finest=finest, neighbours=neighbours)
    return Task(
        name=name,
        version=version or (2 if name in SECOND else 1),
        shape=(len(mean),),
        sample=sample,
        metrics={**distances, **covariance_metrics(mean, covariance), **(more or {})},
        budget=budget,
        views=views,
        mean=mean,
        covariance=covariance,
        modes=modes,
        label=label,
        classes=classes,
        log_density=log_density,
        pool=pool,
        shuffle=shuffle,
        directions=directions or {},
        naive=naive,
    )


def mixture_task(
    name: str,
    centers: Tensor,
    sigma: float,
    *,
    weights: Tensor | None = None,
    extent: int | None = None,
    version: int | None = None,
    budget: Budget = BUDGET,
) -> Task:
    """A mixture of round Gaussians: `centers` (K, d), standard deviation `sigma`.

    The `weights` (K,) add up to 1; None stands for equal ones. With an `extent` below d the modes
    are flat: only their first `extent` coordinates vary, and there is no density. In more than
    two dimensions diversity is seen by `balanced`.
    """
    modes = Modes(centers=centers, sigma=sigma, weights=weights, extent=extent)
    width, extent = centers.shape[1], modes.dimensions

    def sample(n: int, rng: torch.Generator) -> Tensor:
        if weights is None:
            which = torch.randint(len(centers), (n,), generator=rng, device=rng.device)
        else:
            which = modes.due.to(rng.device).multinomial(n, replacement=True, generator=rng)
        points = centers.to(rng.device)[which]
        points[:, :extent] += sigma * torch.randn(n, extent, generator=rng, device=rng.device)
        return points

    def log_density(points: Tensor) -> Tensor:
        normaliser = width / 2 * math.log(2 * math.pi * sigma**2)
        return torch.logsumexp(log_parts(modes, points), dim=1) - normaliser

    mean, covariance = mixture_moments(modes)
    return planar_task(
        name,
        sample,
        mean=mean,
        covariance=covariance,
        version=version,
        more={"modes": partial(metrics.mixture_modes, **vars(modes))},
        modes=modes,
        label=lambda points: log_parts(modes, points).argmax(1),
        classes=len(centers),
        log_density=log_density if extent == width else None,
        budget=budget,
        **(HIGH if width > 2 else {}),
    )


def log_parts(modes: Modes, points: Tensor) -> Tensor:
    """Logarithms of the modes' parts (n, K) of the density at `points` (n, d), up to a constant.

    Flat modes are taken as round, in all d: as likely each sample is of the same one.
    """
    squared = torch.cdist(points.double(), modes.centers.to(points.device).double()).square()
    return modes.due.to(points.device).log() - squared / (2 * modes.sigma**2)


def mixture_moments(modes: Modes) -> tuple[Tensor, Tensor]:
    """The exact mean (d,) and covariance (d, d) of a mixture, in float64."""
    exact, equal = modes.centers.double(), modes.weights is None
    mean = exact.mean(0) if equal else modes.due @ exact
    between = torch.cov(exact.T, correction=0, aweights=None if equal else modes.due)
    within = (torch.arange(len(mean)) < modes.dimensions).double().diag()
    return mean, between + modes.sigma**2 * within


def curve_task(
    name: str,
    *curves: Curve,
    mean_y: float,
    mean_y2: float,
    mean_xy: float,
    version: int | None = None,
    budget: Budget = BUDGET,
) -> Task:
    """Points (x, f(x)), x uniform on [-50, 50), f one of `curves` with equal chance.

    The exact E y, E y^2 and E xy over that law are given by the task.
    """

    def sample(n: int, rng: torch.Generator) -> Tensor:
        # The source draws 100 (u - 1/2); kept so, bit for bit, rather than rescaled.
        x = 100 * (torch.rand(n, generator=rng, device=rng.device) - 0.5)
        y = torch.stack([curve(x) for curve in curves])
        which = torch.randint(len(curves), (1, n), generator=rng, device=rng.device)
        return torch.stack([x, y.gather(0, which)[0]], 1)

    def label(points: Tensor) -> Tensor:
        """Which eighth of the curve, along x."""
        low, high = X_RANGE
        return ((points[:, 0] - low) / (high - low) * EIGHTHS).long().clamp(0, EIGHTHS - 1)

    residual = partial(metrics.curve_residual, curves=curves, x_range=X_RANGE)
    var_x = 100**2 / 12
    covariance = [[var_x, mean_xy], [mean_xy, mean_y2 - mean_y**2]]
    return planar_task(
        name,
        sample,
        mean=torch.tensor([0.0, mean_y], dtype=torch.float64),
        covariance=torch.tensor(covariance, dtype=torch.float64),
        version=version,
        more={"curve_residual": residual},
        label=label,
        classes=EIGHTHS,
        budget=budget,
    )


def uniform_power(power: int) -> float:
    """E x^power for x uniform on [-50, 50]."""
    return 0.0 if power % 2 else 50.0**power / (power + 1)
