"""Whether samples are copies of the reference that they are judged against, which no run is shown.

The reference and as many fresh real samples are drawn from one law, and an honest run knows
neither: whatever its samples are, each row of the two is as likely as any other to be among those
that lie nearest to a sample. Were the reference copied, its rows are nearest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganbench.core import Task
from ganbench.metrics.memorisation import nearest_distances
from ganbench.results.samples import sha256_of

ALPHA = 1e-8  # the chance that honest samples are called copies
FEWEST = 32  # rows that are nearest: by chance all of them are the reference's once in 2^32
ROWS = 4096  # of the reference, and fresh ones
SEARCHED = 2**14  # samples among which the nearest are looked for
WIDE = 32  # coordinates, above which rows are projected to so many: a copy stays one
# Root mean square of the differences of two images' pixels, in [-1, 1], that makes them one. Of the
# 8,192 reference images of both data sets a single one is as near to a training image.
COPY = 0.02


@dataclass(frozen=True, kw_only=True)
class Leak:
    """How much nearer samples lie to the reference than to fresh real samples.

    `share` is how much more of the reference than of fresh real samples lies near to a sample (0
    for honest ones, give or take), and `p_value` the chance that honest samples would show as much.
    `same` are the rows of a reference of collected data that a sample is the same as.
    """

    share: float
    p_value: float
    same: int = 0

    @property
    def found(self) -> bool:
        """Whether samples are copies of the reference."""
        return self.p_value <= ALPHA or self.same >= FEWEST

    def __str__(self) -> str:
        if self.same >= FEWEST:
            why = f"{self.same:,} of its images are among them"
        else:
            why = f"{self.share:.1%} more of it than of fresh real samples lie close to them "
            why += f"(p = {self.p_value:.1e})"
        return f"samples are copies of the reference: {why}"


def leak_of(task: Task, samples: Tensor) -> str | None:
    """A line if the samples (n, *task.shape) of a run are copies of the task's reference.

    They must be finite. A task that is one point has nothing to copy.
    """
    found = look(task, samples)
    return str(found) if found.found else None


def look(task: Task, samples: Tensor) -> Leak:
    """How the samples (n, *task.shape) of a run lie to the task's reference.

    Fresh real samples are drawn from a stream that follows from the hash of the samples, so that
    nobody can have copied these too. Of collected data there are only so many: whoever copied all
    of them would be as near to the fresh ones, so images that are the same are counted too. Long
    rows are projected to few coordinates at random, in which a copy remains one.
    """
    rng = torch.Generator().manual_seed(int(sha256_of(samples.float())[:15], 16))
    held = _rows(task, _some(task.reference, ROWS, rng))
    fresh = _rows(task, task.sample(len(held), rng))
    made = _rows(task, _some(samples, SEARCHED, rng))
    if made.shape[1] > WIDE:
        onto = torch.randn(made.shape[1], WIDE, generator=rng) / math.sqrt(WIDE)
        held, fresh, made = held @ onto, fresh @ onto, made @ onto
    distances = nearest_distances(torch.cat([held, fresh]), made).numpy()
    found = compared(distances[: len(held)], distances[len(held) :])
    if task.held_out is None:
        return found
    near = COPY * math.sqrt(task.width)
    return replace(found, same=int((distances[: len(held)] <= near).sum()))


def compared(held: NDArray[np.float64], fresh: NDArray[np.float64]) -> Leak:
    """The leak by equally many distances of reference rows and of fresh ones to the samples.

    Of the K smallest of both the reference's number is hypergeometric under the null hypothesis,
    whatever the distances and however many are the same; K doubles from `FEWEST` on, and the
    smallest p-value is multiplied by the number of trials (Bonferroni).
    """
    from scipy import stats  # slow to import

    rows = len(held)
    ends = np.sort(np.concatenate([held, fresh]))
    ranks = [FEWEST * 2**i for i in range(20) if FEWEST * 2**i <= rows] or [rows]
    limits = ends[np.array(ranks) - 1]
    of_held, of_fresh = (
        np.searchsorted(np.sort(side), limits, side="right") for side in (held, fresh)
    )
    p = stats.hypergeom.sf(of_held - 1, 2 * rows, rows, of_held + of_fresh)
    return Leak(
        share=float((of_held - of_fresh).max() / rows),
        p_value=float(min(1.0, p.min() * len(ranks))),
    )


def _some(samples: Tensor, most: int, rng: torch.Generator) -> Tensor:
    """At most so many of the rows, drawn at random."""
    if len(samples) <= most:
        return samples.detach().cpu().float()
    return samples.detach().cpu().float()[torch.randperm(len(samples), generator=rng)[:most]]


def _rows(task: Task, samples: Tensor) -> Tensor:
    """Samples as rows (n, d), in units of each coordinate's true deviation where that is known."""
    return samples.flatten(1) / task.scale
