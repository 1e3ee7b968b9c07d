"""Ten Gaussians that extend in 700 of 1,200 dimensions, standard deviation 1 (VEEGAN, 2017).

Srivastava et al. 2017, "VEEGAN", section 4.1: ten modes, 700 of 1,200 dimensions, 2,500 samples
judged. The paper does not say where the modes lie; code of its first author does (a gist,
akashgit/2a11806b, November 2017): all 1,200 coordinates of a centre are one of LEVELS, and the
last 500 do not vary.

The paper counts samples within 10 standard deviations of a centre. Real ones lie sqrt(700) = 26
from theirs, so none would count: here the distance is the one that holds as many as 3 in the
plane, 28.1. The budget is ganbench's own, and what is measured too: neighbours among 1,024
samples of each side, and the classifier sees their distances to the centres, nearest first, beside
the coordinates. Without these it cannot tell ten points from real samples.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ganbench import metrics
from ganbench.core import Task
from ganbench.metrics._inputs import thinned
from ganbench.planar import BUDGET, balanced, mixture_task

LEVELS = (-1.0, -0.5, 0.0, 0.5, -2.0, -2.5, 10.0, 0.25, -13.0, -5.5)
WIDTH, EXTENT, NEAR = 1200, 700, 1024
CENTERS = torch.tensor(LEVELS)[:, None].repeat(1, WIDTH)


def seen(task: Task) -> Task:
    """The task with the metrics that 1,200 dimensions allow."""

    def neighbours(real: Tensor, fake: Tensor) -> Mapping[str, float]:
        return balanced(*(scaled(thinned(side, NEAR)) for side in (real, fake)))

    def test(real: Tensor, fake: Tensor) -> Mapping[str, float]:
        return metrics.discriminator_test(told(real), told(fake))

    def told(samples: Tensor) -> Tensor:
        centers = CENTERS.to(samples.device).double()
        away = torch.cdist(samples.double(), centers).sort(1).values
        return torch.cat([scaled(samples), away.float()], 1)

    def scaled(samples: Tensor) -> Tensor:
        return samples / task.scale.to(samples.device)

    changed = {"precision": neighbours, "discriminator_accuracy": test}
    return replace(task, metrics={**task.metrics, **changed})


TASK = seen(
    mixture_task(
        "veegan1200",
        CENTERS,
        sigma=1.0,
        extent=EXTENT,
        # A round of 500 batches is 154 MB of memory.
        budget=replace(BUDGET, batch_size=64, evaluations=40, evaluation_size=2_500),
    )
)
