"""`train_seed`, the only training loop: one seed of one entry on one task.

Each seed runs on one thread: its bits then do not depend on how many seeds or workers run beside
it, and for small networks a second thread gains nothing.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganbench import checkpoint, machine, registry
from ganbench.core import Recording, stream
from ganbench.engine import Trainer
from ganbench.env import Env
from ganbench.errors import InputError, first_line
from ganbench.losses import Log, Window, stacked
from ganbench.randomness import own_randomness
from ganbench.results import Point, SeedResult, Status, Timing
from ganbench.samples import sha256_of, write_arrays, write_npy
from ganbench.schedule import Schedule
from ganbench.spec import Progress, Report, Spec, Stop, build
from ganbench.threads import one_thread

FRAME_SIZE, IMAGE_FRAME_SIZE = 1024, 100  # samples that are kept for the pictures
RUNAWAY = 1e6  # samples this many times larger than any real one have diverged


class EndedError(Exception):
    """The run of a seed ends early, with a status and a reason."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def train_seed(
    spec: Spec, seed: int, *, report: Report = lambda _: None, stop: Stop | None = None
) -> SeedResult:
    """Train one seed to the end of its budget, or of its resumed rest, and score it.

    Diverging, failing and being stopped end the run at the round where they happen; what was
    done until then is in the result. Raises InputError for what breaks the GAN's contract.
    """
    with one_thread():
        return Run(spec, seed, report, stop).train()


class Run:
    """One seed in training: the environment, the GAN, and what has been noted so far."""

    def __init__(self, spec: Spec, seed: int, report: Report, stop: Stop | None) -> None:
        self.spec, self.seed, self.report, self.stop = spec, seed, report, stop
        self.task = registry.load_task(spec.task)
        self.entry = registry.load_entry(spec.baseline)
        self.env = Env(self.task, budget=spec.budget_of(self.task), device=spec.device)
        self.folder = spec.folder / f"seed-{seed}"
        self.curve: list[Point] = []
        self.row, self.point = Window(), Window()
        self.told = 0.0
        self.block_ms: list[float] = []
        self.metrics: dict[str, float] = {}
        self.samples: Tensor | None = None
        self.can_save = True
        self.earlier: dict[str, float] = {}

    def train(self) -> SeedResult:
        """The loop: deal, train, score, save, until the budget is spent."""
        with self.env.clock.during("building"):
            self.gan = build(self.entry, self.spec, self.task, self.seed)
            self._plan()
            first = self._restore() if self.spec.resume else self._start_afresh()
        if first >= self.env.budget.rounds:
            return self._result("ok", None)
        self.log = Log(self.folder / "log.jsonl", after=first * self.env.budget.steps_per_round)
        status: Status = "ok"
        reason: str | None = None
        try:
            self._train_rounds(first)
        except EndedError as end:
            status, reason = end.status, end.reason
        finally:
            self.log.close()
        self.env.clock.switch("other")
        return self._result(status, reason)

    def rehearse(self, steps: int, *, watched: bool = False) -> dict[str, float]:
        """Train that many steps of a first round, unscored; the seconds of each part, by the clock.

        `warmup` is the first step. `watched`, those of a Game's trainer are told apart.
        """
        clock = self.env.clock
        self.env.budget = replace(self.env.budget, steps=steps, evaluations=1)
        self.gan = build(self.entry, self.spec, self.task, self.seed)
        if watched and isinstance(self.gan, Trainer):
            self.gan.during = clock.during
        self._plan()
        self._start_afresh()
        self.log = Log(self.folder / "log.jsonl", after=0)
        self.env.reset(seed=self.seed)  # makes the pool, which is no part of a step
        clock.switch("other")
        clock.seconds.clear()
        try:
            with clock.during("data"):
                real = self.env.deal()
            self._train_round(real, 0)
        except EndedError as end:
            raise InputError(f"seed {self.seed} {end.status}: {end.reason}") from end
        finally:
            self.log.close()
        clock.switch("other")
        return dict(clock.seconds)

    def _plan(self) -> None:
        """When to note what: the user's wish, else the published system's, else the task's."""
        game = self.gan.game if isinstance(self.gan, Trainer) else None
        self.recording = game.recording if game else Recording()
        self.schedule = Schedule.of(
            self.env.budget,
            self.recording,
            log_every=self.spec.log_every,
            sample_every=self.spec.sample_every,
            watches=game is not None and game.features is not None,
        )

    def _train_rounds(self, first: int) -> None:
        real, info = self.env.reset(seed=self.seed, round=first)
        done = False
        while not done:
            self._train_round(real, info["step"])
            with self.env.clock.during("evaluation"):
                samples = self._evaluated_samples()
            real, _, _, done, info = self.env.step(samples)
            with self.env.clock.during("saving"):
                self._note_round(samples, info)
                self.log.flush()
                self._save()

    def _train_round(self, real: Tensor, start: int) -> None:
        """Train on a round's batches, in blocks that end where something is to be noted."""
        step, end = start, start + len(real)
        while step < end:
            until = self.schedule.next_stop(step, start, end)
            watched = self._watch(step, until)
            label = "warmup" if step == 0 else "training"
            before = self.env.clock.seconds[label]
            with self.env.clock.during(label):
                logs = [self._train_step(real[i - start], i) for i in range(step, until)]
            seconds = self.env.clock.seconds[label] - before
            with self.env.clock.during("other"):
                if step > 0 and not watched:
                    self.block_ms.append(1000 * seconds / (until - step))
                self._note_block(logs, step, until)
                self._note_point(until, start, end)
            if self.schedule.has_samples(until):
                with self.env.clock.during("saving"):
                    self._keep_samples(until)
            step = until

    def _watch(self, step: int, until: int) -> bool:
        """Have the trainer look into the next step, if it leads to kept samples."""
        due = self.schedule.watches and until == step + 1 and self.schedule.has_samples(until)
        if due and isinstance(self.gan, Trainer):
            self.gan.snapshot = {}
        return due

    def _train_step(self, real: Tensor, step: int) -> Mapping[str, Any]:
        if self.stop is not None and self.stop.is_set():
            raise EndedError("interrupted", f"stopped before step {step + 1}")
        try:
            log = self.gan.train_step(real)
        except Exception as error:
            kind = type(error).__name__
            raise EndedError("failed", f"step {step + 1}: {kind}: {first_line(error)}") from error
        if log is None:
            return {}
        if not isinstance(log, Mapping):
            kind = type(log).__name__
            raise InputError(f"train_step must return a mapping of named scalars, got {kind}")
        return log

    def _note_block(self, logs: Sequence[Mapping[str, Any]], start: int, step: int) -> None:
        """Add a block's logs to row and point; a loss not finite ends the run at its step."""
        values = stacked(logs)
        for name, array in values.items():
            bad = np.flatnonzero(~np.isfinite(array))
            if len(bad):
                place = start + int(bad[0]) + 1 if len(array) == len(logs) else step
                raise EndedError("diverged", f"{name} is {array[bad[0]]} at step {place}")
        self.row.add(values)
        self.point.add(values)
        if self.schedule.has_row(step):
            losses = self.row.take()
            self.log.write(step, self._trained(), losses)
            if self.schedule.tells_rows:
                self._tell(step, losses)

    def _note_point(self, step: int, start: int, end: int) -> None:
        if self.schedule.has_point(step, start, end):
            losses, seconds = self.point.take(), self._trained()
            self.curve.append(Point(step=step, train_seconds=seconds, losses=losses, metrics={}))
            self._tell(step, losses, line=not self.schedule.tells_rows)

    def _evaluated_samples(self) -> Tensor:
        """This round's samples for the judge."""
        n, round = self.env.budget.evaluation_size, self.env.round + 1
        samples = self._sample(n, stream(self.seed, "evaluation", self.env.round))
        if not bool(torch.isfinite(samples).all()):
            raise EndedError("diverged", f"samples hold NaN or Inf after round {round}")
        if float(samples.abs().max()) > RUNAWAY * float(self.task.reference.abs().max()):
            raise EndedError("diverged", f"samples run away to infinity after round {round}")
        return samples

    def _sample(self, n: int, seed: int) -> Tensor:
        with own_randomness(self.gan, seed):
            try:
                made = self.gan.sample(n)
            except Exception as error:
                kind = type(error).__name__
                raise EndedError("failed", f"sample({n}): {kind}: {first_line(error)}") from error
        return self.task.check(made, n, f"sample({n})")

    def _note_round(self, samples: Tensor, info: Mapping[str, Any]) -> None:
        self.samples, self.metrics = samples, dict(info["metrics"])
        self.curve[-1].metrics.update(self.metrics)
        frame = samples[: self._frame_size()].cpu().numpy()
        write_npy(self.folder / "frames" / f"{info['step']:09d}.npy", frame)
        self._tell(info["step"], self.curve[-1].losses, score=info["score"])

    def _keep_samples(self, step: int) -> None:
        """Samples, and what the trainer saw of its features, for the pictures of this step."""
        n = self.recording.sample_size or self._frame_size()
        samples = self._sample(n, stream(self.seed, "picture", step)).cpu().numpy()
        write_npy(self.folder / "samples" / f"{step:09d}.npy", samples)
        if isinstance(self.gan, Trainer) and self.gan.snapshot:
            arrays = {name: seen.cpu().numpy() for name, seen in self.gan.snapshot.items()}
            write_arrays(self.folder / "features" / f"{step:09d}.npz", arrays)
            self.gan.snapshot = None

    def _frame_size(self) -> int:
        return IMAGE_FRAME_SIZE if self.task.is_images else FRAME_SIZE

    def _tell(
        self,
        step: int,
        losses: Mapping[str, float],
        *,
        score: float | None = None,
        line: bool = True,
        note: str = "",
    ) -> None:
        seconds, epoch, steps = self._trained(), self.recording.epoch, self.env.budget.steps
        self.report(
            Progress(
                label=self.spec.folder.name,
                seed=self.seed,
                step=step,
                steps=steps,
                train_seconds=seconds,
                losses=losses,
                score=score,
                line=line,
                line_seconds=seconds - self.told,
                epochs=(math.ceil(step / epoch), math.ceil(steps / epoch)) if epoch else None,
                note=note,
            )
        )
        if line and score is None:
            self.told = seconds

    def _trained(self) -> float:
        return self.env.clock.seconds["training"] + self.earlier.get("training", 0.0)

    def _save(self) -> None:
        """Checkpoint the finished round; said once, and given up, if the GAN cannot be stored."""
        if not self.can_save:
            return
        try:
            state = {
                "round": self.env.round,
                "run": self.identity(),
                "gan": checkpoint.gan_state(self.gan),
                "random": checkpoint.random_state(),
                "curve": [point.model_dump() for point in self.curve],
                "row": [self.row.sums, self.row.counts],
                "block_ms": self.block_ms,
                "seconds": self._seconds(),
                "metrics": self.metrics,
                "samples": self.samples,
            }
            checkpoint.save_state(self.folder / "checkpoint.safetensors", state)
        except checkpoint.UnsaveableError as error:
            self.can_save = False
            self._tell(self.curve[-1].step, {}, note=str(error))

    def _start_afresh(self) -> int:
        """Remove what an earlier run of the same seed left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        return 0

    def _restore(self) -> int:
        """Put the last checkpoint back; returns the round to go on with, 0 without one."""
        path = self.folder / "checkpoint.safetensors"
        if not path.is_file():
            return 0
        state = checkpoint.load_state(path)
        if state["run"] != self.identity():
            raise InputError(
                f"{path} is of another source, budget or hyper-parameters: run without --resume"
            )
        checkpoint.restore_gan(self.gan, state["gan"])
        checkpoint.restore_random(state["random"])
        self.curve = [Point(**point) for point in state["curve"]]
        self.row.sums, self.row.counts = state["row"]
        self.block_ms, self.metrics = state["block_ms"], state["metrics"]
        self.samples, self.earlier = state["samples"], state["seconds"]
        self.told = self._trained()
        return int(state["round"])

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the run that goes on from it."""
        return {
            "source": self.entry.sha256,
            "hparams": dict(self.entry.check_hparams(self.spec.hparams)),
            "task": [self.task.name, self.task.version],
            "budget": [self.env.budget.steps, self.env.budget.evaluations],
            "seed": self.seed,
            "compiled": self.spec.compiled,
        }

    def _seconds(self) -> dict[str, float]:
        now = self.env.clock.seconds
        names = {*now, *self.earlier}
        return {name: now.get(name, 0.0) + self.earlier.get(name, 0.0) for name in names}

    def _result(self, status: Status, reason: str | None) -> SeedResult:
        names = list(self.task.bounds)
        finished = status == "ok"
        values = {
            name: self.metrics.get(name) if status in ("ok", "interrupted") else None
            for name in names
        }
        score = self.task.score(self.metrics) if finished else 0.0
        samples = self.samples
        if samples is not None:
            write_arrays(self.folder / "samples.npz", {"samples": samples.cpu().numpy()})
        return SeedResult(
            seed=self.seed,
            status=status,
            reason=reason,
            metrics=values,
            score=None if status == "interrupted" else score,
            curve=self.curve,
            timing=self._timing(),
            peak_memory_bytes=machine.peak_memory_bytes(self.spec.device),
            samples_sha256=None if samples is None else sha256_of(samples),
        )

    def _timing(self) -> Timing:
        self.env.clock.switch("other")
        seconds = self._seconds()
        trained = seconds.get("training", 0.0)
        steps = max(0, (self.curve[-1].step if self.curve else 0) - 1)
        known = {name: seconds.get(name, 0.0) for name in PARTS}
        wall = sum(seconds.values())
        blocks = self.block_ms
        return Timing(
            steps_per_second=steps / trained if trained > 0 and steps else None,
            step_ms_median=float(np.median(blocks)) if blocks else None,
            step_ms_p95=float(np.percentile(blocks, 95)) if blocks else None,
            train_seconds=trained,
            warmup_seconds=known["warmup"] + known["building"],
            evaluation_seconds=known["evaluation"],
            data_seconds=known["data"],
            saving_seconds=known["saving"],
            other_seconds=wall - trained - math.fsum(known.values()),
            wall_seconds=wall,
        )


PARTS = ("warmup", "building", "evaluation", "data", "saving")
