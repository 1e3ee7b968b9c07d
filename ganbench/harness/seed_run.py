"""`SeedRun`: one seed in training, from its first batch, or its checkpoint, to its result."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor

from ganbench.core import Recording
from ganbench.engine.generators import Own, generators_of, own_randomness
from ganbench.engine.logs import Column
from ganbench.engine.trainer import Trainer
from ganbench.env import Batches, Env
from ganbench.errors import ContractError, InputError, ResumeError
from ganbench.harness import checkpoint, machine, stored
from ganbench.harness.judge import JUDGED, Scorer, Worth
from ganbench.harness.recorder import WAITING, EndedError, Recorder
from ganbench.harness.schedule import Block, Schedule
from ganbench.harness.spec import Job, Report, Stop, build
from ganbench.randomness import random_state, restore_random, stream
from ganbench.results.schema import Engine, SeedResult
from ganbench.system.files import write_atomically
from ganbench.system.modules import describe
from ganbench.system.places import named, within

ENGINES: TypeAdapter[Engine] = TypeAdapter(Engine)
NOTE_LENGTH = 500  # characters of why a Game is not trained by the engine asked for
CHECKPOINT = 3  # of the layout of a checkpoint
TRACEBACK = "traceback.txt"  # in a seed's folder, of the error that ended it

Outcome = Mapping[str, Column] | EndedError  # of a block: what was logged, or what ends the run


def failure(where: str, error: BaseException, *, at_once: bool) -> EndedError:
    """What ends a run whose GAN raised this."""
    what = str(error) if isinstance(error, ContractError) else describe(error)
    ended = EndedError("failed", f"{where}: {what}", at_once=at_once)
    ended.__cause__ = error
    return ended


class SeedRun:
    """One seed in training: its environment, its GAN, and the recorder of what happens.

    Made, it stands where its last checkpoint left it if the run is resumed, else at the start.
    Its clock runs only inside its methods and while it is trained; in between it waits.
    `ended` says what has ended it early. Without a `judge` its rounds are neither scored nor saved.
    """

    def __init__(
        self, job: Job, seed: int, report: Report, stop: Stop, judge: Scorer | None = None
    ) -> None:
        self.job, self.seed, self.stop = job, seed, stop
        self.env = Env(job.task, budget=job.budget, device=job.spec.device, thorough=False)
        self.engine: Engine = "eager"
        self.engine_note: str | None = None
        self.ended: EndedError | None = None
        self.judge, self._started, self._sampled = judge, False, False
        self.saves = True  # checkpoints
        self._kept: checkpoint.Kept | None = None  # what each of them is tried on
        self._real: Batches | None = None
        self._before = 0.0
        with self.env.clock.during("building"):
            self.gan = build(job, seed)
            self._built = checkpoint.own_tensors(self.gan)
            if isinstance(self.gan, Trainer):
                size = job.budget.batch_size * self.gan.game.pack
                self.env.budget = replace(job.budget, batch_size=size)
            self._plan(report)
            self.first_round = self._restore() if job.spec.resume else self._start_afresh()
        self.env.clock.switch(WAITING)

    def _plan(self, report: Report) -> None:
        """When to note what: the user's wish, else the published system's, else the task's."""
        game = self.gan.game if isinstance(self.gan, Trainer) else None
        recording = game.recording if game else Recording()
        self.schedule = Schedule.of(
            self.job.budget,
            recording,
            log_every=self.job.spec.log_every,
            sample_every=self.job.spec.sample_every,
            watches=game is not None and game.features is not None,
        )
        self.recorder = Recorder(
            self.job,
            self.seed,
            clock=self.env.clock,
            schedule=self.schedule,
            recording=recording,
            report=report,
        )

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Have the clock run inside."""
        self.env.clock.switch("other")
        try:
            yield
        finally:
            self.env.clock.switch(WAITING)

    def blocks(self) -> Iterator[Block]:
        """All blocks that are left to be trained."""
        return self.schedule.blocks(self.job.budget, self.first_round)

    def start(self) -> None:
        """Make what must be there before the first block: the pool and the logs."""
        with self.at_work():
            self._started = True
            (self.recorder.folder / TRACEBACK).unlink(missing_ok=True)
            if self.judge is not None and self.saves and self.engine == "eager":
                self._kept = checkpoint.Kept(self.gan, of_file=self.job.spec.function is None)
            self.env.start(self.seed, round=self.first_round)
            self.recorder.open(self.first_round * self.job.budget.steps_per_round)

    def begin(self, block: Block) -> None:
        """Deal the batches of a round at its first block."""
        if not self._started:
            self.start()
        with self.at_work():
            if block.begins_round:
                with self.env.clock.during("data"):
                    self._real = self.env.batches()
            if block.watched and isinstance(self.gan, Trainer):
                self.gan.snapshot = {}
            self._before = self.env.clock.seconds[block.label]

    def batches(self, block: Block) -> Batches:
        """The real batches of a block, one a step."""
        assert self._real is not None
        return self._real.part(block.first - block.start, block.last - block.start)

    def note(self, block: Block, outcome: Outcome) -> None:
        """Note what a trained block logged."""
        with self._noting():
            if isinstance(outcome, EndedError):
                raise outcome
            if block.first == 0:
                self._note_first(outcome)
            seconds = self.env.clock.seconds[block.label] - self._before
            self.recorder.note_block(block, outcome, seconds)
            if self.schedule.has_samples(block.last):
                with self.env.clock.during("saving"):
                    self._keep_samples(block.last)

    def samples(self) -> Tensor | None:
        """The samples of the round for the judge; None if that has ended the run."""
        with self._noting(), self.env.clock.during("sampling"):
            seed = stream(self.seed, "evaluation", self.env.round)
            made = self._sample(self.job.budget.evaluation_size, seed)
            return made.to(self.env.judging)
        return None

    def end_round(self, samples: Tensor, scored: Worth) -> None:
        """Note what the samples of the round are worth, and save where the run stands."""
        with self._noting():
            if isinstance(scored, EndedError):
                raise scored
            *_, info = self.env.end_round(scored)
            with self.env.clock.during("saving"):
                self.recorder.note_round(samples, info)
                self._save()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Have the clock run inside, and an EndedError there end the run."""
        with self.at_work():
            try:
                yield
            except EndedError as ended:
                self.ended = ended
                if ended.__cause__ is not None:
                    text = "".join(traceback.format_exception(ended.__cause__))
                    write_atomically(self.recorder.folder / TRACEBACK, text.encode())

    def _note_first(self, outcome: Mapping[str, Column]) -> None:
        """Say so if the first step of a Game did not show how often D is right."""
        game = self.gan.game if isinstance(self.gan, Trainer) else None
        judged = game is not None and game.discriminator is not None and game.decision is not None
        if judged and "d_accuracy" not in outcome:
            note = "d_accuracy is not known: no call of D gives a verdict each of `real` and `fake`"
            self.recorder.tell(0, {}, note=note)
            self.engine_note = "; ".join(filter(None, (self.engine_note, note)))[:NOTE_LENGTH]

    def close(self) -> None:
        """End the logs."""
        self.recorder.close()

    def result(self) -> SeedResult:
        """What came of the run, which has ended, for the judge; all its files are written."""
        status = self.ended.status if self.ended else "ok"
        notes, views = self.recorder, self.job.task.views
        known = notes.metrics if status in JUDGED else {}
        with self.at_work():
            notes.flush()
            notes.write_final_samples()
        result = SeedResult(
            seed=self.seed,
            status=status,
            reason=self.ended.reason if self.ended else None,
            metrics={name: known.get(name) for name in self.job.task.bounds},
            views=dict.fromkeys(views),
            score=None,
            curve=notes.curve,
            timing=notes.timing(),
            machine=machine.describe(self.job.spec.device),
            peak_memory_bytes=machine.peak_memory_bytes(self.job.spec.device),
            engine=self.engine,
            engine_note=self.engine_note,
            labels=isinstance(self.gan, Trainer) and self.gan.game.labels is not None,
            samples_sha256=None,
        )
        result.at_once = self.ended is not None and self.ended.at_once
        return result

    def _keep_samples(self, step: int) -> None:
        """Have samples kept for the pictures of a step, with the features seen there."""
        samples = self._sample(self.recorder.picture_size, stream(self.seed, "picture", step))
        seen: Mapping[str, Tensor] = {}
        if isinstance(self.gan, Trainer):
            seen, self.gan.snapshot = self.gan.snapshot or {}, None
        self.recorder.keep_samples(step, samples, seen)

    def _sample(self, n: int, seed: int) -> Tensor:
        first = self.first_round == 0 and not self._sampled
        try:
            with own_randomness(self._generators(), seed), within("sample", self.gan.sample):
                samples = self._checked(self.gan.sample(n), n)
        except (Exception, SystemExit) as error:
            breach = isinstance(error, ContractError)
            if breach and first:
                raise
            where = f"round {self.env.round + 1}" if breach else f"sample({n})"
            raise failure(where, error, at_once=first) from error
        self._sampled = True
        return samples

    def _generators(self) -> Sequence[Own]:
        """Those that samples may draw from; where seeds are stacked, only that of latents."""
        if isinstance(self.gan, Trainer) and self.engine != "eager":
            return [self.gan.rng]
        return generators_of(self.gan)

    def _checked(self, made: Tensor, n: int) -> Tensor:
        """`made`, if it is n samples of the task; else ContractError, with what has made it."""
        try:
            return self.job.task.check(made, n, f"sample({n})")
        except InputError as error:
            who = self.gan.generator if isinstance(self.gan, Trainer) else self.gan.sample
            where = named("generator" if isinstance(self.gan, Trainer) else "sample", who)
            raise ContractError(f"{error}: see {where}") from error

    def _save(self) -> None:
        """Checkpoint the finished round; said once, and given up, if the GAN cannot be stored.

        The last one stays: what it does not hold had not changed then.
        """
        if not self.saves:
            return
        try:
            gan = checkpoint.gan_state(self.gan, self._built)
            if self._kept is not None:
                self._kept.check(self.gan)
            state = {
                "run": self.identity(),
                "round": self.env.round,
                "engine": self.engine,
                "gan": gan,
                "random": random_state(),
                "notes": self.recorder.state(),
            }
            stored.save_state(self.recorder.folder / checkpoint.FILE, state)
            if self.env.round == self.job.budget.rounds:
                checkpoint.save_generator(self.recorder.folder / checkpoint.GENERATOR, self.gan)
        except stored.UnsaveableError as error:
            self.saves = False
            self.recorder.tell(self.recorder.curve[-1].step, {}, note=str(error))

    def _start_afresh(self) -> int:
        """Remove what an earlier run of the same seed left."""
        shutil.rmtree(self.recorder.folder, ignore_errors=True)
        return 0

    def _restore(self) -> int:
        """Put the last checkpoint back; returns the round to go on with, 0 without one."""
        path = self.recorder.folder / checkpoint.FILE
        if not path.is_file():
            return 0
        state = stored.load_state(path)
        if not isinstance(state, dict) or state.get("run") != self.identity():
            raise ResumeError(
                f"{path} is of another source, budget or hyper-parameters: run without --resume"
            )
        try:
            checkpoint.restore_gan(self.gan, state["gan"])
            restore_random(state["random"])
            self.recorder.restore(state["notes"])
            self.engine = ENGINES.validate_python(state["engine"])
            return self._round_of(state["round"])
        except InputError:
            raise
        except Exception as error:
            raise ResumeError(
                f"{path} is damaged ({describe(error)}): run without --resume"
            ) from error

    def _round_of(self, found: object) -> int:
        """The round to go on with; ValueError for what is none."""
        if not isinstance(found, int) or not 0 < found <= self.job.budget.rounds:
            raise ValueError(f"it stands at round {found!r} of {self.job.budget.rounds}")
        return found

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the run that goes on from it."""
        job = self.job
        variant = [] if job.spec.hidden is None else [job.spec.hidden.seed]
        own = [] if job.task_sha256 is None else [job.task_sha256]
        return {
            "checkpoint": CHECKPOINT,
            "source": job.baseline.sha256,
            "hparams": job.baseline.stored(job.hparams),
            "task": [job.task.name, job.task.version, *variant, *own],
            "metrics": {name: bound.version for name, bound in job.task.ordered_bounds.items()},
            "budget": [job.budget.steps, job.budget.evaluations],
            "seed": self.seed,
            "compiled": job.compiles,
            "precision": job.spec.precision,
        }
