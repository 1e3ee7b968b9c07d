"""`Run`: one seed in training, what it deals, notes, keeps and returns.

It has its blocks of batches trained by whoever runs its rounds: by itself, or all of a stack.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ganbench import randomness, registry
from ganbench.core import Recording
from ganbench.engine.graph import MAX_STEPS
from ganbench.engine.trainer import Trainer
from ganbench.env import Batches, Env
from ganbench.errors import InputError, first_line
from ganbench.harness import checkpoint, machine
from ganbench.harness.log import Array, Log, Window, stacked
from ganbench.harness.schedule import Schedule
from ganbench.harness.spec import Progress, Report, Spec, Stop, build
from ganbench.randomness import own_randomness, stream
from ganbench.results.samples import sha256_of, write_arrays, write_npy
from ganbench.results.schema import Engine, Point, SeedResult, Status, Timing

FRAME_SIZE, IMAGE_FRAME_SIZE = 1024, 100  # samples that are kept for the pictures
RUNAWAY = 1e6  # samples this many times larger than any real one have diverged
WAITING = "waiting"  # what the clock of a run in a stack charges while others are at work
PARTS = ("warmup", "building", "evaluation", "data", "saving")


class EndedError(Exception):
    """The run of a seed ends early, with a status and a reason."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True, kw_only=True)
class Block:
    """Batches to be trained on before anything is noted.

    `step` are those done before. `watched`, the trainer takes a snapshot of its features.
    """

    real: Batches
    step: int
    watched: bool

    @property
    def label(self) -> str:
        """What the clock charges."""
        return "warmup" if self.step == 0 else "training"


T = TypeVar("T")
Answer = Mapping[str, Array] | EndedError  # to a Block: logs by name, or what ends the run
Rounds = Generator[Block, Answer, T]


def failure(where: str, error: Exception) -> EndedError:
    """What ends a run whose GAN raised this."""
    return EndedError("failed", f"{where}: {type(error).__name__}: {first_line(error)}")


class Run:
    """One seed in training: the environment, the GAN, and what has been noted so far."""

    def __init__(self, spec: Spec, seed: int, report: Report, stop: Stop) -> None:
        self.spec, self.seed, self.report, self.stop = spec, seed, report, stop
        self.task = registry.load_task(spec.task)
        self.baseline = registry.load_baseline(spec.baseline)
        budget = spec.budget_of(self.task)
        self.env = Env(self.task, budget=budget, device=spec.device, thorough=False)
        self.folder = spec.folder / f"seed-{seed}"
        self.curve: list[Point] = []
        self.row, self.point = Window(), Window()
        self.told = 0.0
        self.block_ms: list[float] = []
        self.metrics: dict[str, float] = {}
        self.samples: Tensor | None = None
        self.can_save = True
        self.engine: Engine = "eager"
        self.earlier: dict[str, float] = {}

    def build(self) -> None:
        """Make the GAN, as its last checkpoint left it if the run goes on."""
        with self.env.clock.during("building"):
            self.gan = build(self.baseline, self.spec, self.task, self.seed)
            self._plan()
            self.first = self._restore() if self.spec.resume else self._start_afresh()

    def train_alone(self, rounds: Rounds[T]) -> T:
        """What the run's `rounds` return, trained step by step."""
        answer: Any = None
        while True:
            try:
                block = rounds.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = self._train_block(block)

    def rounds(self) -> Rounds[SeedResult]:
        """The loop: deal, have blocks trained, score, save, until the budget is spent."""
        if self.first >= self.env.budget.rounds:
            return self._result("ok", None)
        self.log = Log(
            self.folder / "log.jsonl", after=self.first * self.env.budget.steps_per_round
        )
        status: Status = "ok"
        reason: str | None = None
        try:
            yield from self._train_rounds()
        except EndedError as end:
            status, reason = end.status, end.reason
        finally:
            self.log.close()
        self.env.clock.switch("other")
        return self._result(status, reason)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Have the clock run inside, of a run that otherwise waits for others."""
        self.env.clock.switch("other")
        yield
        self.env.clock.switch(WAITING)

    def rehearsal(self, steps: int) -> Rounds[dict[str, float]]:
        """A first round of that many steps, unscored; returns the clock's seconds."""
        clock = self.env.clock
        self.env.budget = replace(self.env.budget, steps=steps, evaluations=1)
        self._plan()
        self.log = Log(self.folder / "log.jsonl", after=0)
        self.env.start(self.seed)  # makes the pool, which is no part of a step
        clock.switch("other")
        clock.seconds.clear()
        try:
            with clock.during("data"):
                real = self.env.batches()
            yield from self._train_round(real, 0)
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

    def _train_rounds(self) -> Rounds[None]:
        info = self.env.start(self.seed, round=self.first)
        done = False
        while not done:
            with self.env.clock.during("data"):
                real = self.env.batches()
            yield from self._train_round(real, info["step"])
            with self.env.clock.during("evaluation"):
                samples = self._evaluated_samples()
            _, _, done, info = self.env.judge(samples)
            with self.env.clock.during("saving"):
                self._note_round(samples, info)
                self.log.flush()
                self._save()

    def _train_round(self, real: Batches, start: int) -> Rounds[None]:
        """Have a round's batches trained, in blocks that end where something is to be noted."""
        self.env.clock.switch("other")
        step, end = start, start + len(real)
        while step < end:
            until = self.schedule.next_stop(step, start, end)
            watched = self._watch(step, until)
            part = real.part(step - start, until - start)
            block = Block(real=part, step=step, watched=watched)
            before = self.env.clock.seconds[block.label]
            answer = yield block
            if isinstance(answer, EndedError):
                raise answer
            seconds = self.env.clock.seconds[block.label] - before
            if step > 0 and not watched:
                self.block_ms.append(1000 * seconds / (until - step))
            self._note_block(answer, step, until)
            self._note_point(until, start, end)
            if self.schedule.has_samples(until):
                with self.env.clock.during("saving"):
                    self._keep_samples(until)
            step = until

    def _train_block(self, block: Block) -> Answer:
        """Train it by itself."""
        with self.env.clock.during(block.label):
            try:
                batches = enumerate(self._gathered(block.real), start=block.step)
                return stacked([self._train_step(real, step) for step, real in batches])
            except EndedError as end:
                return end

    def _gathered(self, batches: Batches) -> Iterator[Tensor]:
        """Each of the batches; the time that gathering them takes is no training."""
        for first in range(0, len(batches), MAX_STEPS):
            with self.env.clock.during("data"):
                real = batches[first : first + MAX_STEPS]
            yield from real

    def _watch(self, step: int, until: int) -> bool:
        """Have the trainer look into the next step, if it leads to kept samples."""
        due = self.schedule.watches and until == step + 1 and self.schedule.has_samples(until)
        if due and isinstance(self.gan, Trainer):
            self.gan.snapshot = {}
        return due

    def _train_step(self, real: Tensor, step: int) -> Mapping[str, Any]:
        if self.stop.is_set():
            raise EndedError("interrupted", f"stopped before step {step + 1}")
        try:
            log = self.gan.train_step(real)
        except Exception as error:
            raise failure(f"step {step + 1}", error) from error
        if log is None:
            return {}
        if not isinstance(log, Mapping):
            kind = type(log).__name__
            raise InputError(f"train_step must return a mapping of named scalars, got {kind}")
        return log

    def _note_block(self, values: Mapping[str, Array], start: int, step: int) -> None:
        """Add a block's logs to row and point; a loss not finite ends the run at its step."""
        for name, array in values.items():
            bad = np.flatnonzero(~np.isfinite(array))
            if len(bad):
                place = start + int(bad[0]) + 1 if len(array) == step - start else step
                raise EndedError("diverged", f"{name} is {array[bad[0]]} at step {place}")
        self.row.add(values)
        self.point.add(values)
        if self.schedule.has_row(step):
            losses = self.row.take()
            self.log.write(step, self._trained(), losses)
            if self.schedule.tells_rows:
                self.tell(step, losses)

    def _note_point(self, step: int, start: int, end: int) -> None:
        if self.schedule.has_point(step, start, end):
            losses, seconds = self.point.take(), self._trained()
            self.curve.append(Point(step=step, train_seconds=seconds, losses=losses, metrics={}))
            self.tell(step, losses, line=not self.schedule.tells_rows)

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
                raise failure(f"sample({n})", error) from error
        return self.task.check(made, n, f"sample({n})")

    def _note_round(self, samples: Tensor, info: Mapping[str, Any]) -> None:
        self.samples, self.metrics = samples, dict(info["metrics"])
        self.curve[-1].metrics.update(self.metrics)
        frame = samples[: self._frame_size()].cpu().numpy()
        write_npy(self.folder / "frames" / f"{info['step']:09d}.npy", frame)
        self.tell(info["step"], self.curve[-1].losses, score=info["score"])

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

    def tell(
        self,
        step: int,
        losses: Mapping[str, float],
        *,
        score: float | None = None,
        line: bool = True,
        note: str = "",
    ) -> None:
        """Report how far the run has come."""
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
                "random": randomness.random_state(),
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
            self.tell(self.curve[-1].step, {}, note=str(error))

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
        randomness.restore_random(state["random"])
        self.curve = [Point(**point) for point in state["curve"]]
        self.row.sums, self.row.counts = state["row"]
        self.block_ms, self.metrics = state["block_ms"], state["metrics"]
        self.samples, self.earlier = state["samples"], state["seconds"]
        self.told = self._trained()
        return int(state["round"])

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the run that goes on from it."""
        return {
            "source": self.baseline.sha256,
            "hparams": self.baseline.stored(self.baseline.resolve(self.task, self.spec.hparams)),
            "task": [self.task.name, self.task.version],
            "budget": [self.env.budget.steps, self.env.budget.evaluations],
            "seed": self.seed,
            "compiled": self.spec.compiles(self.task),
            "precision": self.spec.precision,
        }

    def _seconds(self) -> dict[str, float]:
        now = self.env.clock.seconds
        names = {*now, *self.earlier} - {WAITING}
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
            engine=self.engine,
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
