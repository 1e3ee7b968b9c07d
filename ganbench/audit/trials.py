"""One metric function tried on spoilt samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ganbench import metrics, registry
from ganbench.audit import spoil
from ganbench.core import Measure, Task
from ganbench.randomness import generator

SIZE = 1024  # samples of each side
DRAWS = 500  # pairs of the null calibration
CALIBRATION = 400  # samples of each side of such a pair
TOGETHER = 50  # pairs: of images, 125 MB
REPEATS = 24  # pairs of equal laws at each size
SHRINK = (8, 4, 2, 1)  # the size is divided by these to show a bias

GRADED = {
    "shift": spoil.shifted,
    "noise": spoil.noised,
    "drop": spoil.dropped,
    "copies": spoil.copied,
}
EXTREME = {"collapse": spoil.collapsed, "dispersal": spoil.dispersed}
MOVES = {
    "order": spoil.reordered,
    "symmetry": spoil.exchanged,
    "translation": spoil.translated,
    "rotation": spoil.rotated,
}
ONE_SIDED = {"fidelity", "coverage"}  # the outcome of both extremes together
OF_SIZE = {"unbiased", "consistent"}
OF_VECTORS = ("shift", "translation", "rotation")  # a brighter image is no shifted one


Values = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What one metric function of a task said of spoilt samples, of every quantity it returns.

    `promises` are those of each quantity; only what these need was tried. `graded` has, of each
    disturbance, its growing strengths and the values there; `extreme` the values of a collapsed
    and of an over-dispersed sample; `moved` those before and after what may not change them;
    `null` those of REPEATS independent pairs of equal laws at each size; `p_values` those of the
    two-sample test on such pairs.
    """

    task: str
    promises: Mapping[str, Sequence[str]]
    graded: Mapping[str, Sequence[tuple[float, Values]]]
    extreme: Mapping[str, Values]
    moved: Mapping[str, tuple[Values, Values]]
    null: Mapping[int, Sequence[Values]]
    p_values: Sequence[float]

    def under_null(self, quantity: str, n: int | None = None) -> list[float]:
        """A quantity under equal laws at size n, by default the largest."""
        return [values[quantity] for values in self.null[n or max(self.null)]]

    def level(self, quantity: str) -> float:
        """Mean of a quantity under equal laws, at full size."""
        return float(np.mean(self.under_null(quantity)))

    def losses(self, quantity: str, values: Sequence[float]) -> list[float]:
        """How much worse than real data each value is, in the null's standard deviations.

        Where the null has none (all modes are always found), in thousandths of its level; where
        that is 0 too, as of a single point, in thousandths of the data's unit.
        """
        sign = 1 if registry.directions()[quantity] == "lower" else -1
        level, deviation = self.level(quantity), float(np.std(self.under_null(quantity), ddof=1))
        unit = deviation or abs(level) / 1000 or 1e-3
        return [sign * (value - level) / unit for value in values]


def run(task: Task, measure: Measure, *, size: int = SIZE, draws: int = DRAWS) -> Trials:
    """Try a metric function of `task` on spoilt samples, `size` of each side."""
    real, fake = null_pair(task, size, 0)
    known = registry.promises()
    promises = {
        quantity: [word for word in known[quantity] if not (task.is_images and word in OF_VECTORS)]
        for quantity in measure(real, fake)
        if known.get(quantity)
    }
    words = {word for promised in promises.values() for word in promised}
    words.update(word for side in words & ONE_SIDED for word in EXTREME)
    sizes = [size // shrink for shrink in (SHRINK if words & OF_SIZE else (1,))]
    noisy = list(spoil.noised(task, fake))[2][1]
    before = measure(real, noisy)
    return Trials(
        task=task.name,
        promises=promises,
        graded={
            word: [(strength, measure(real, bad)) for strength, bad in spoiling(task, fake)]
            for word, spoiling in GRADED.items()
            if word in words
        },
        extreme={
            word: measure(real, make(task, size)) for word, make in EXTREME.items() if word in words
        },
        moved={
            word: (before, measure(*move(task, real, noisy)))
            for word, move in MOVES.items()
            if word in words
        },
        null={n: [measure(*null_pair(task, n, i)) for i in range(REPEATS)] for n in sizes},
        p_values=null_p_values(task, draws) if "calibrated" in words else (),
    )


def null_p_values(task: Task, draws: int) -> list[float]:
    """p-values of the two-sample test on independent pairs of equal laws, trained together."""
    found: list[float] = []
    for start in range(0, draws, TOGETHER):
        indices = range(start, min(start + TOGETHER, draws))
        pairs = [null_pair(task, CALIBRATION, index) for index in indices]
        real, fake = (
            torch.stack(side).flatten(2) / task.scale for side in zip(*pairs, strict=True)
        )
        tests = metrics.discriminator_tests(real, fake)
        found += [test["discriminator_p_value"] for test in tests]
    return found


def null_pair(task: Task, n: int, index: int) -> spoil.Pair:
    """Independent real samples, n of each side; nothing collected is on both."""
    fake = spoil.draw(task, n, f"fake-{n}", index)
    if task.held_out is None:
        return spoil.draw(task, n, f"real-{n}", index), fake
    rng = generator(index, f"audit-real-{n}")
    return task.reference[torch.randperm(len(task.reference), generator=rng)[:n]], fake
