"""What is noted of a seed in training: its log, its curve, its samples, where its time went."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ganbench.core import Recording
from ganbench.engine.logs import Column
from ganbench.env import Clock
from ganbench.harness.log import LOSSES, METRICS, Log, Window
from ganbench.harness.schedule import Block, Schedule
from ganbench.harness.spec import Job, Progress, Report
from ganbench.results.curves import rounded
from ganbench.results.samples import write_arrays, write_npy
from ganbench.results.schema import Number, Point, Rate, Seconds, Status, Timing

FRAME_SIZE, IMAGE_FRAME_SIZE = 1024, 100  # samples that are kept for the pictures
WAITING = "waiting"  # what the clock of a seed in a stack charges while others are at work
PARTS = ("warmup", "building", "evaluation", "sampling", "data", "saving")


class _Notes(BaseModel):
    """What a checkpoint holds of the notes: a row's sums and counts, and the rest by its name."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
    curve: Annotated[list[Point], Field(min_length=1)]
    row: tuple[dict[str, float], dict[str, Annotated[int, Field(ge=1)]]]
    block_ms: list[Rate]
    seconds: dict[str, Seconds]
    metrics: dict[str, Number]
    samples: Tensor | None


class EndedError(Exception):
    """The run of a seed ends early, with a status and a reason.

    `at_once`: its first step, or the first time that it was to make samples, has ended it.
    """

    def __init__(self, status: Status, reason: str, *, at_once: bool = False) -> None:
        super().__init__(reason)
        self.status, self.reason, self.at_once = status, reason, at_once


class Recorder:
    """Notes of one seed: the curve, the metrics and samples of its last round, rows of its log.

    `earlier` are the seconds of the run that a checkpoint goes on from.
    """

    def __init__(
        self,
        job: Job,
        seed: int,
        *,
        clock: Clock,
        schedule: Schedule,
        recording: Recording,
        report: Report,
    ) -> None:
        self._job, self._seed, self._clock, self._report = job, seed, clock, report
        self._schedule, self._recording = schedule, recording
        self.folder = job.spec.folder / f"seed-{seed}"
        self.curve: list[Point] = []
        self.metrics: dict[str, float] = {}
        self.samples: Tensor | None = None
        self._earlier: dict[str, float] = {}
        self._logs: dict[str, Log] = {}
        self._row, self._point = Window(), Window()
        self._block_ms: list[float] = []
        self._told, self._trained = 0.0, 0  # seconds, steps

    def open(self, step: int) -> None:
        """Begin the logs, after the rows of a run that goes on from `step`."""
        for name in (LOSSES, METRICS):
            self._logs[name] = Log(self.folder / name, after=step)

    def flush(self) -> None:
        """Hand the rows to the system, before somebody counts on them."""
        for log in self._logs.values():
            log.flush()

    def close(self) -> None:
        """End the logs."""
        for log in self._logs.values():
            log.close()

    def note_block(self, block: Block, values: Mapping[str, Column], seconds: float) -> None:
        """Add what a block logged to row and point; EndedError at a loss that is not finite."""
        self._trained = block.last
        if block.first > 0 and not block.watched:
            self._block_ms.append(1000 * seconds / (block.last - block.first))
        check_finite(block, values)
        self._row.add(values)
        self._point.add(values)
        if self._schedule.has_row(block.last):
            losses = self._row.take()
            self._logs[LOSSES].write(block.last, self.train_seconds, losses)
            if self._schedule.tells_rows:
                self.tell(block.last, losses)
        if self._schedule.has_point(block.last, block.start, block.end):
            losses = {name: rounded(value) for name, value in self._point.take().items()}
            seconds = rounded(self.train_seconds)
            point = Point(step=block.last, train_seconds=seconds, losses=losses, metrics={})
            self.curve.append(point)
            self.tell(block.last, losses, line=not self._schedule.tells_rows)

    def note_round(self, samples: Tensor, info: Mapping[str, Any]) -> None:
        """Keep the samples of a round, and what the judge said of them; all rows are then there."""
        self.samples, self.metrics = samples, dict(info["metrics"])
        self.curve[-1].metrics.update(self.metrics)
        finite = {name: value for name, value in self.metrics.items() if math.isfinite(value)}
        self._logs[METRICS].write(info["step"], self.train_seconds, finite)
        self.flush()
        frame = samples[: self._frame_size].cpu().numpy()
        write_npy(self.folder / "frames" / f"{info['step']:09d}.npy", frame)
        self.tell(info["step"], self.curve[-1].losses, position=info["position"])

    @property
    def picture_size(self) -> int:
        """Samples to be drawn for the pictures of a step."""
        return self._recording.sample_size or self._frame_size

    def keep_samples(self, step: int, samples: Tensor, features: Mapping[str, Tensor]) -> None:
        """Write the samples of a step, and the features that the trainer saw there, if any."""
        write_npy(self.folder / "samples" / f"{step:09d}.npy", samples.cpu().numpy())
        if features:
            arrays = {name: seen.cpu().numpy() for name, seen in features.items()}
            write_arrays(self.folder / "features" / f"{step:09d}.npz", arrays)

    def write_final_samples(self) -> None:
        """Write the samples of the last round, if there was one."""
        if self.samples is not None:
            write_arrays(self.folder / "samples.npz", {"samples": self.samples.cpu().numpy()})

    def tell(
        self,
        step: int,
        losses: Mapping[str, float],
        *,
        position: float | None = None,
        line: bool = True,
        note: str = "",
    ) -> None:
        """Report how far the run has come."""
        seconds, epoch, steps = self.train_seconds, self._recording.epoch, self._job.budget.steps
        self._report(
            Progress(
                label=self._job.spec.folder.name,
                seed=self._seed,
                step=step,
                steps=steps,
                train_seconds=seconds,
                losses=losses,
                tracked=self._job.task.tracked,
                position=position,
                line=line,
                line_seconds=seconds - self._told,
                epochs=(math.ceil(step / epoch), math.ceil(steps / epoch)) if epoch else None,
                note=note,
            )
        )
        if line and position is None:
            self._told = seconds

    @property
    def train_seconds(self) -> float:
        """Seconds of training so far, those before a resumption included."""
        return self._clock.seconds["training"] + self._earlier.get("training", 0.0)

    def seconds(self) -> dict[str, float]:
        """Seconds by label so far, those before a resumption included, without waiting."""
        now = self._clock.seconds
        names = {*now, *self._earlier} - {WAITING}
        return {name: now.get(name, 0.0) + self._earlier.get(name, 0.0) for name in names}

    def timing(self) -> Timing:
        """Where the time of the run went."""
        seconds = self.seconds()
        trained = seconds.get("training", 0.0)
        steps = max(0, self._trained - 1)
        known = {name: seconds.get(name, 0.0) for name in PARTS}
        wall, blocks = sum(seconds.values()), self._block_ms
        return Timing(
            steps_per_second=steps / trained if trained > 0 and steps else None,
            step_ms_median=float(np.median(blocks)) if blocks else None,
            step_ms_p95=float(np.percentile(blocks, 95)) if blocks else None,
            train_seconds=trained,
            warmup_seconds=known["warmup"] + known["building"],
            evaluation_seconds=known["evaluation"],
            sampling_seconds=known["sampling"],
            data_seconds=known["data"],
            saving_seconds=known["saving"],
            other_seconds=wall - trained - math.fsum(known.values()),
            wall_seconds=wall,
        )

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of the notes."""
        return {
            "curve": [point.model_dump() for point in self.curve],
            "row": [self._row.sums, self._row.counts],
            "block_ms": self._block_ms,
            "seconds": self.seconds(),
            "metrics": self.metrics,
            "samples": self.samples,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` returned; ValueError for what it cannot have."""
        notes, task = _Notes.model_validate(state), self._job.task
        sums, counts = notes.row
        if sums.keys() != counts.keys():
            raise ValueError("the notes do not fit together")
        if notes.samples is not None and notes.samples.shape[1:] != task.shape:
            raise ValueError(f"samples have shape {tuple(notes.samples.shape)}")
        self.curve, self._row.sums, self._row.counts = notes.curve, sums, counts
        self._block_ms, self.metrics = notes.block_ms, notes.metrics
        self.samples, self._earlier = notes.samples, notes.seconds
        self._told, self._trained = self.train_seconds, self.curve[-1].step

    @property
    def _frame_size(self) -> int:
        return IMAGE_FRAME_SIZE if self._job.task.is_images else FRAME_SIZE


def check_finite(block: Block, values: Mapping[str, Column]) -> None:
    """EndedError for a loss of a block that is not finite, at its step where each step has one."""
    for name, column in values.items():
        bad = np.flatnonzero(~np.isfinite(column))
        if len(bad):
            every_step = len(column) == block.last - block.first
            step = block.first + int(bad[0]) + 1 if every_step else block.last
            reason = f"{name} is {column[bad[0]]} at step {step}"
            raise EndedError("diverged", reason, at_once=step == 1)
