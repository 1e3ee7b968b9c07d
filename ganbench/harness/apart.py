"""A worker as two processes: the judge's, and one that trains, which it starts and ends.

The judge's has never run the GAN's code. It holds the reference, the bounds, the metrics and a
clock, scores the samples that the other sends, and answers for the results.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from ganbench.core import Task
from ganbench.errors import InputError, first_line
from ganbench.harness import machine, messages
from ganbench.harness.judge import Judge
from ganbench.harness.messages import Ends, GarbledError
from ganbench.harness.recorder import EndedError
from ganbench.harness.seed_run import TRACEBACK
from ganbench.harness.spec import Progress, Spec, look_up, task_of
from ganbench.harness.train import train_seeds
from ganbench.results.schema import SeedResult, Timing
from ganbench.system import processes
from ganbench.system.devices import resolve_device
from ganbench.system.files import write_atomically
from ganbench.system.modules import describe
from ganbench.system.threads import one_thread
from ganbench.system.words import duration

PROGRESS = TypeAdapter(Progress)
LONGEST_WAIT = 1e6  # seconds, of which the system takes some 2 million at once
GRACE = 5.0  # seconds that a process has to end by itself
SLACK, SHARE = 3.0, 0.2  # seconds, and a share, by which two honest clocks may differ
DIED = "a worker died, perhaps for want of memory: go on with --workers 1 (and `run` with --resume)"
# From outside, or for want of memory.
ENDED_BY = (getattr(signal, "SIGKILL", signal.SIGTERM), signal.SIGTERM)

ERROR = ("type", "text", "traceback")  # what is said of one

Tell = Callable[[str, Any], None]  # "progress", "seed", "error" or "left", and what of it
Stop = Any  # an event of processes.CONTEXT


class DiedError(InputError):
    """A worker's process was ended from outside, or for want of memory."""


def train_apart(
    spec: Spec, seeds: Sequence[int], tell: Tell, inherited: Connection, stop: Stop
) -> None:
    """Train and judge seeds, in a worker; what comes of it is told.

    "left" names the seeds that another worker must train, as this one's process has ended before:
    one that trains eagerly does so after each seed, so that what a GAN changes of its process is
    not there for the next. `inherited` is the end of a pipe that the process that trains must not
    have.
    """
    spec = replace(spec, folder=spec.folder.absolute())  # wherever a GAN goes
    task = task_of(spec)
    with one_thread():
        if task.training_set is not None:
            task.training_set()  # which both then have in one place of the memory
        ours, theirs = messages.between()
        trainer = processes.fork(_train, spec, seeds, theirs, (*ours, inherited), stop)
        theirs.close()
        processes.end_with_parent()
        overseen = Overseen(spec, task, seeds, tell, stop)
        ended = False
        try:
            overseen.follow(ours, trainer)
            ended = True
        finally:
            processes.end(trainer, grace=GRACE if ended and not overseen.left else 0.0)
        if overseen.left:
            tell("left", overseen.left)


class Overseen:
    """Seeds that a process trains, as the judge sees them; `left` are those without a result."""

    def __init__(
        self, spec: Spec, task: Task, seeds: Sequence[int], tell: Tell, stop: Stop
    ) -> None:
        device = resolve_device(spec.device)
        self._spec, self._task, self._tell, self._device = spec, task, tell, device
        self._stop, self._asked = stop, len(seeds)
        self._judge = Judge(task, device=device, folder=spec.folder)
        self.left = list(seeds)
        self._begun: dict[int, float] = {}  # when, on a clock that the GAN has no hand in
        self._together: dict[int, int] = {}  # how many seeds a seed's time was shared by
        self._held: list[SeedResult] = []  # of seeds whose time others share that are in work
        self._since = time.monotonic()  # the start, or the last result
        self._steps: dict[int, int] = {}  # that seeds are known to have taken

    def follow(self, ends: Ends, trainer: BaseProcess) -> None:
        """Do what the process that trains asks for until it ends, or is ended.

        Seeds that it had not begun are left to another.
        """
        death = processes.death(trainer)
        while True:
            left = self._seconds_left()
            at_most = None if left is None else min(left, LONGEST_WAIT)
            ready = wait([ends.source, death], timeout=at_most)
            if not ready and at_most != left:
                continue
            if not ready:
                assert self._spec.time_limit is not None
                limit = duration(self._spec.time_limit)
                return self._fail(f"it has taken longer than the limit of {limit} a seed")
            if ends.source in ready:
                try:
                    if self._answer(ends):
                        continue
                except EOFError:
                    pass  # it has ended, or closed its side
                except GarbledError as error:
                    return self._fail(f"what its process sent is no message: {error}")
                except InputError as error:  # of samples, or of files that it has left
                    return self._fail(str(error))
            if self.left and not self._goes_on:
                trainer.join(GRACE)
                self._ended(trainer.exitcode)
            return None

    def _seconds_left(self) -> float | None:
        """How long the seeds in work may still take; None without a limit."""
        if self._spec.time_limit is None:
            return None
        together = max(1, len(self._in_work))
        return max(0.0, self._since + together * self._spec.time_limit - time.monotonic())

    @property
    def _in_work(self) -> list[int]:
        return [seed for seed in self.left if seed in self._begun]

    def _answer(self, ends: Ends) -> bool:
        """Do what one message asks for; whether there may be more."""
        kind, body, samples = messages.receive(ends.source)
        try:
            do = self._meant(kind, body, samples, ends.to)
        except (ValidationError, KeyError, TypeError, ValueError) as error:
            raise GarbledError(first_line(error)) from error
        do()
        return kind != "end"

    def _meant(
        self, kind: str, body: Mapping[str, Any], samples: Tensor | None, to: Connection
    ) -> Callable[[], None]:
        """What a message asks for; GarbledError, or what checks raise, for what it may not."""
        if kind == "begin":
            return partial(self._begin, self._known(body["seed"], self.left))
        if kind == "progress":
            return partial(self._pass_on, PROGRESS.validate_python(body))
        if kind == "score" and samples is not None:
            seed = self._known(body["seed"], self._in_work)
            round = self._known(body["round"], range(self._task.budget.rounds))
            return partial(self._score, seed, round, samples, to)
        if kind == "result":
            result = SeedResult.model_validate(body["result"])
            self._known(result.seed, self._in_work)
            result.at_once = body["at_once"] is True
            return partial(self._complete, result, samples)
        if kind == "error":
            return partial(self._give_up, *(str(body[name]) for name in ERROR))
        if kind == "end":
            return self._end
        raise GarbledError(f"of kind {kind[:40]!r}")

    def _known(self, number: Any, known: Collection[int]) -> int:
        if not isinstance(number, int) or number not in known:
            raise GarbledError(f"of number {str(number)[:40]!r}")
        return number

    def _end(self) -> None:
        """Leave the other seeds, of which none is in work, to another worker or to the stop."""
        self._release()
        if self._stop.is_set():
            self.left.clear()

    @property
    def _goes_on(self) -> bool:
        """Whether seeds are left that nothing has gone wrong with."""
        return len(self.left) < self._asked and not self._in_work

    def _give_up(self, kind: str, text: str, trace: str) -> None:
        """End all for what a user is to mend; any other error is the end of the seeds in work."""
        self._release()
        if kind in input_errors():
            self._tell("error", (kind, text, trace))
            self.left.clear()
        else:
            self._fail(f"its process has failed: {text}", trace)

    def _begin(self, seed: int) -> None:
        self._begun[seed] = time.monotonic()
        for each in self._in_work:
            self._together[each] = max(len(self._in_work), self._together.get(each, 0))
        self._judge.begin(seed)

    def _pass_on(self, progress: Progress) -> None:
        self._steps[progress.seed] = max(progress.step, self._steps.get(progress.seed, 0))
        self._tell("progress", progress)

    def _score(self, seed: int, round: int, samples: Tensor, to: Connection) -> None:
        try:
            metrics = self._judge.score(seed, round, samples)
        except EndedError as ended:
            answer: dict[str, Any] = {"status": ended.status, "reason": str(ended)}
        else:
            answer = {"metrics": dict(metrics)}
        messages.send(to, "scored", answer)

    def _complete(self, result: SeedResult, samples: Tensor | None) -> None:
        result = self._judge.complete(result, samples)
        result.judged_apart = True
        self._held.append(result)
        self.left.remove(result.seed)
        self._since = time.monotonic()
        if not self._in_work:
            self._release()

    def _release(self) -> None:
        """Tell of seeds that were trained together, if their clocks show the time that it took.

        In sum: what holds all of them up is on the clock of the one that was at work just then.
        """
        held, self._held = self._held, []
        if not held:
            return
        together = max(self._together[each.seed] for each in held)
        elapsed = time.monotonic() - min(self._begun[each.seed] for each in held)
        took = elapsed * len(held) / together
        claimed = sum(each.timing.wall_seconds for each in held)
        for result in held:
            if claimed < (1 - SHARE) * took - SLACK:
                reason = f"its clock shows {claimed:.1f} s where the judge's shows {took:.1f} s"
                result = self._failed(result.seed, reason)
            self._tell("seed", result)

    def _ended(self, code: int | None) -> None:
        """Say what became of seeds whose process has ended before them."""
        if code is None:
            self._fail("its process has fallen silent")
        elif -code in ENDED_BY:
            self._give_up(DiedError.__name__, DIED, "")
        else:
            how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
            self._fail(f"its process has ended ({how})")

    def _fail(self, reason: str, trace: str = "") -> None:
        """Have the seeds in work, or the first that was to be, fail for one reason."""
        self._release()
        for seed in self._in_work or self.left[:1]:
            if trace:
                path = self._spec.folder / f"seed-{seed}" / TRACEBACK
                write_atomically(path, trace.encode(errors="replace"))
            self._tell("seed", self._failed(seed, reason))
            self.left.remove(seed)

    def _failed(self, seed: int, reason: str) -> SeedResult:
        seconds = time.monotonic() - self._begun.setdefault(seed, self._since)
        result = SeedResult(
            seed=seed,
            status="failed",
            reason=reason,
            metrics=dict.fromkeys(self._task.bounds),
            views=dict.fromkeys(self._task.views),
            score=None,
            curve=[],
            timing=Timing.of_which_nothing_is_known(seconds),
            machine=machine.describe(self._device),
            peak_memory_bytes=0,
            samples_sha256=None,
            judged_apart=True,
        )
        result = self._judge.complete(result, None)
        result.at_once = self._steps.get(seed, 0) == 0
        return result


class Elsewhere:
    """The judge as the process that trains sees it: at the other ends of pipes."""

    def __init__(self, judge: Ends) -> None:
        self._judge = judge

    def begin(self, seed: int) -> None:
        """A seed is about to be trained, or the rest of it that a checkpoint has left."""
        messages.send(self._judge.to, "begin", {"seed": seed})

    def score(self, seed: int, round: int, samples: Tensor) -> Mapping[str, float]:
        """The metrics that are due at the end of a round; EndedError for what has diverged."""
        messages.send(self._judge.to, "score", {"seed": seed, "round": round}, samples)
        _, answer, _ = messages.receive(self._judge.source)
        if "metrics" not in answer:
            raise EndedError(answer["status"], answer["reason"])
        metrics: Mapping[str, float] = answer["metrics"]
        return metrics

    def complete(self, result: SeedResult, samples: Tensor | None) -> SeedResult:
        """Hand a result over, for the judge to complete; it is as it was."""
        body = {"result": result.model_dump(mode="json"), "at_once": result.at_once}
        messages.send(self._judge.to, "result", body, samples)
        return result


def _train(
    spec: Spec, seeds: Sequence[int], judge: Ends, inherited: Sequence[Connection], stop: Stop
) -> None:
    """Train seeds, in a process of its own, whose every word goes to the judge."""
    for each in inherited:
        each.close()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=judge.close)  # what a GAN forks has no word in it

    def report(progress: Progress) -> None:
        messages.send(judge.to, "progress", asdict(progress))

    elsewhere = Elsewhere(judge)
    with suppress(Exception):  # of the sending: the judge then sees that this process has ended
        try:
            for result in train_seeds(
                look_up(spec), seeds, report=report, stop=stop, judge=elsewhere
            ):
                if result.engine == "eager":
                    break  # the next seed is to find nothing that this one's GAN has changed
        except BaseException as error:  # a GAN's own KeyboardInterrupt too: signals are ignored
            messages.send(judge.to, "error", dict(zip(ERROR, described(error), strict=True)))
        messages.send(judge.to, "end", {})


def described(error: BaseException) -> tuple[str, str, str]:
    """An error's kind, line and traceback, which do not come along otherwise."""
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, InputError):
        return type(error).__name__, str(error), trace
    if isinstance(error, OSError):  # of a disk that is full, as the command itself says it
        place = f"{error.filename}: " if error.filename else ""
        return InputError.__name__, f"{place}{error.strerror or first_line(error)}", trace
    return type(error).__name__, describe(error), trace


def input_errors() -> dict[str, type[Exception]]:
    """The kinds of errors that are a user's to mend, by name."""
    found: list[type[Exception]] = [InputError]
    for kind in found:  # which grows meanwhile
        found += kind.__subclasses__()
    return {kind.__name__: kind for kind in found}
