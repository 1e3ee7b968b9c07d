"""`Judge`: scores what the seeds of a run make, and completes their results.

It holds the reference, the bounds and the metrics. `ganbench.harness.apart` keeps it in a process
that has never run the GAN's code.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ganbench.core import Task
from ganbench.diagnosis.evidence import of_result, of_run
from ganbench.diagnosis.rules import diagnose
from ganbench.env import Env
from ganbench.harness.recorder import EndedError
from ganbench.results import leak
from ganbench.results.samples import read_frames, sha256_of
from ganbench.results.schema import SeedResult, Verdict
from ganbench.scoring import score_of, views_of
from ganbench.system.threads import one_thread

RUNAWAY = 1e6  # samples this many times larger than any real one have diverged
JUDGED = ("ok", "interrupted")  # seeds of which metrics are known

Worth = Mapping[str, float] | EndedError
"""Of samples: their metrics, or that their seed has diverged."""


class Scorer(Protocol):
    """What a seed in training has its samples scored by."""

    def begin(self, seed: int) -> None:
        """A seed is about to be trained, or the rest of it that a checkpoint has left."""

    def score(self, round: int, samples: Mapping[int, Tensor]) -> Mapping[int, Worth]:
        """Of seeds' samples at the end of a round, from 0: the metrics due, or what ends a seed."""

    def complete(self, result: SeedResult, samples: Tensor | None) -> SeedResult:
        """The result of a seed that has ended, with all that its last `samples` are worth."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The samples of a round by their hash, the step they were made at, and their metrics."""

    sha256: str
    step: int
    metrics: Mapping[str, float]


class Judge:
    """Scores the seeds of one job, whose `folder` is where their frames are kept."""

    def __init__(self, task: Task, *, device: str, folder: Path) -> None:
        self._task, self._budget, self._folder = task, task.budget, folder
        self._env = Env(task, device=device, thorough=False)
        self._rounds: dict[int, dict[int, Scored]] = {}  # by seed and round

    def begin(self, seed: int) -> None:
        """Make place for what is seen of a seed."""
        self._rounds[seed] = {}

    def score(self, round: int, samples: Mapping[int, Tensor]) -> Mapping[int, Worth]:
        """Of (evaluation_size, *task.shape) samples the first metric, at last all; or what ends."""
        worth: dict[int, Worth] = {}
        whole: dict[int, Tensor] = {}
        for seed, made in samples.items():
            if reason := self._why_diverged(made):
                worth[seed] = EndedError("diverged", f"{reason} after round {round + 1}")
            else:
                whole[seed] = made
        self._env.round = round
        found = self._env.evaluate_all(list(whole.values())) if whole else []
        step = min((round + 1) * self._budget.steps_per_round, self._budget.steps)
        for (seed, made), metrics in zip(whole.items(), found, strict=True):
            scored = Scored(sha256=sha256_of(made), step=step, metrics=metrics)
            self._rounds[seed][round] = scored
            worth[seed] = metrics
        return worth

    def _why_diverged(self, samples: Tensor) -> str | None:
        if not bool(torch.isfinite(samples).all()):
            return "samples hold NaN or Inf"
        largest = float(self._task.reference.abs().max()) or 1.0  # there may be nothing but 0
        runs_away = float(samples.abs().max()) > RUNAWAY * largest
        return "samples run away to infinity" if runs_away else None

    def complete(self, result: SeedResult, samples: Tensor | None) -> SeedResult:
        """A result with metrics, views, score, hash and verdict by what this judge has seen itself.

        Rounds of a run before it was resumed were seen by another; the last is scored again. A seed
        whose samples are copies of the reference has failed.
        """
        start = time.perf_counter()
        rounds = self._rounds.setdefault(result.seed, {})
        if samples is not None and self._why_diverged(samples):
            samples = None
        if result.status == "ok" and (wrong := self._why_not_ok(samples)):
            result = result.model_copy(update={"status": "failed", "reason": wrong})
        task = self._task
        known: Mapping[str, float] = {}
        if result.status == "ok" and samples is not None:
            known = self._last(result.seed, samples).metrics
        elif result.status == "interrupted":
            known = rounds[max(rounds)].metrics if rounds else _present(result.metrics)
        metrics = {name: known.get(name) for name in task.bounds}
        positions = task.positions(known) if result.status == "ok" else None
        views = views_of(result.status, task.views, positions)
        seen = {each.step: dict(each.metrics) for each in rounds.values()}
        curve = [
            point.model_copy(update={"metrics": seen.get(point.step, point.metrics)})
            for point in result.curve
        ]
        changed = {
            "metrics": metrics,
            "views": views,
            "score": score_of(views),
            "curve": curve,
            "samples_sha256": None if samples is None else sha256_of(samples),
        }
        completed = result.model_copy(update=changed)
        if result.status != "interrupted":
            completed.verdict = self._verdict(completed, samples)
        seconds, timing = time.perf_counter() - start, result.timing
        completed.timing = timing.model_copy(
            update={
                "evaluation_seconds": timing.evaluation_seconds + seconds,
                "wall_seconds": timing.wall_seconds + seconds,
            }
        )
        return completed

    def _why_not_ok(self, samples: Tensor | None) -> str | None:
        """Why a seed with these last samples, which have not diverged, cannot have ended well."""
        if samples is None:
            return "it has ended without samples that can be judged"
        with one_thread():
            return leak.leak_of(self._task, samples)

    def _last(self, seed: int, samples: Tensor) -> Scored:
        """The last round of a finished seed, which these samples are of."""
        last, sha256 = self._budget.rounds - 1, sha256_of(samples)
        rounds = self._rounds[seed]
        if last not in rounds or rounds[last].sha256 != sha256:
            self.score(last, {seed: samples})
        return rounds[last]

    def _verdict(self, result: SeedResult, samples: Tensor | None) -> Verdict:
        """What became of a seed, by its result and its samples, in words."""
        task = self._task
        evidence = of_result(
            _present(result.metrics),
            task.ordered_bounds,
            result.curve,
            views=result.views,
            status=result.status,
            reason=result.reason,
        )
        frames = read_frames(self._folder / f"seed-{result.seed}" / "frames")
        with one_thread():
            training = None if samples is None else task.draw_pool(result.seed)
            return diagnose(
                of_run(task, evidence, samples=samples, frames=frames, training=training)
            )


def _present(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if value is not None}
