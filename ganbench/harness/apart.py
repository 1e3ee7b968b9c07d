"""A worker as two processes: the judge's, and one that trains, which it starts and ends.

The judge's has never run the GAN's code. It holds the reference, the bounds, the metrics and a
clock, scores the samples that the other sends, and answers for the results.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from ganbench.core import Task
from ganbench.errors import InputError, first_line
from ganbench.harness import machine, messages
from ganbench.harness.judge import Judge, Worth
from ganbench.harness.messages import ERROR, Ends, GarbledError, described, input_errors
from ganbench.harness.recorder import EndedError
from ganbench.harness.seed_run import TRACEBACK
from ganbench.harness.spec import Progress, Spec, look_up, task_of
from ganbench.harness.train import Slot, train_slots
from ganbench.results.schema import SeedResult, Timing
from ganbench.system import processes
from ganbench.system.devices import resolve_device
from ganbench.system.files import write_atomically
from ganbench.system.threads import one_thread
from ganbench.system.words import duration

PROGRESS = TypeAdapter(Progress)
LONGEST_WAIT = 1e6  # seconds, of which the system takes some 2 million at once
GRACE = 5.0  # seconds that a process has to end by itself
SLACK, SHARE = 3.0, 0.2  # seconds, and a share, by which two honest clocks may differ
DIED = "a worker died, perhaps for want of memory: go on with --workers 1 (and `run` with --resume)"
# From outside, or for want of memory.
ENDED_BY = (getattr(signal, "SIGKILL", signal.SIGTERM), signal.SIGTERM)

Tell = Callable[[str, Any], None]  # "progress", "seed", "error" or "left", and what of it
Stop = Any  # an event of processes.CONTEXT


class DiedError(InputError):
    """A worker's process was ended from outside, or for want of memory."""


def train_apart(
    specs: Mapping[int, Spec],
    slots: Sequence[Slot],
    tell: Tell,
    inherited: Connection,
    stop: Stop,
) -> None:
    """Train and judge seeds of specs of one task, in a worker; what comes of it is told.

    "left" names the slots that another worker must train, as this one's process has ended before:
    one that trains eagerly does so after each seed, so that what a GAN changes of its process is
    not there for the next. `inherited` is the end of a pipe that the process that trains must not
    have.
    """
    specs = {  # wherever a GAN goes
        place: replace(spec, folder=spec.folder.absolute()) for place, spec in specs.items()
    }
    task = task_of(specs[slots[0].place])
    with one_thread():
        if task.training_set is not None:
            task.training_set()  # which both then have in one place of the memory
        ours, theirs = messages.between()
        trainer = processes.fork(_train, specs, slots, theirs, (*ours, inherited), stop)
        theirs.close()
        processes.end_with_parent()
        overseen = Overseen(specs, task, slots, tell, stop)
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
        self, specs: Mapping[int, Spec], task: Task, slots: Sequence[Slot], tell: Tell, stop: Stop
    ) -> None:
        spec = specs[slots[0].place]
        device = resolve_device(spec.device)
        self._task, self._tell, self._device = task, tell, device
        self._limit, self._stop, self._asked = spec.time_limit, stop, len(slots)
        self._folders = {place: each.folder for place, each in specs.items()}
        self._judges = {
            place: Judge(task, device=device, folder=each.folder) for place, each in specs.items()
        }
        self.left = list(slots)
        self._begun: dict[Slot, float] = {}  # when, on a clock that the GAN has no hand in
        self._together: dict[Slot, int] = {}  # how many seeds a seed's time was shared by
        self._held: dict[Slot, SeedResult] = {}  # of seeds whose time others share that are in work
        self._since = time.monotonic()  # the start, or the last result
        self._steps: dict[Slot, int] = {}  # that seeds are known to have taken
        self._rounds: dict[Slot, int] = {}  # the last that was scored

    def follow(self, ends: Ends, trainer: BaseProcess) -> None:
        """Do what the process that trains asks for until it ends, or is ended.

        Seeds that it had not begun are left to another.
        """
        with processes.death(trainer) as death:
            self._follow(ends, trainer, death)

    def _follow(self, ends: Ends, trainer: BaseProcess, death: int) -> None:
        while True:
            left = self._seconds_left()
            at_most = None if left is None else min(left, LONGEST_WAIT)
            ready = wait([ends.source, death], timeout=at_most)
            if not ready and at_most != left:
                continue
            if not ready:
                assert self._limit is not None
                limit = duration(self._limit)
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
        if self._limit is None:
            return None
        together = max(1, len(self._in_work))
        return max(0.0, self._since + together * self._limit - time.monotonic())

    @property
    def _in_work(self) -> list[Slot]:
        return [slot for slot in self.left if slot in self._begun]

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
            return partial(self._begin, self._slot(body, body["seed"], self.left))
        if kind == "progress":
            progress = PROGRESS.validate_python(body)
            place = self._known(body["place"], self._folders)
            return partial(self._pass_on, Slot(place, progress.seed), progress)
        if kind == "score" and samples is not None:
            place = self._known(body["place"], self._folders)
            seeds = self._distinct(body["seeds"], _seeds_at(place, self._in_work))
            self._check_shape(samples, len(seeds))
            round = self._known(body["round"], range(self._task.budget.rounds))
            made = dict(zip(seeds, samples, strict=True))
            for seed in seeds:
                self._once(Slot(place, seed), round)
            return partial(self._score, place, round, made, to)
        if kind == "result":
            result = SeedResult.model_validate(body["result"])
            slot = self._slot(body, result.seed, self._in_work)
            result.at_once = body["at_once"] is True
            if samples is not None:
                self._check_shape(samples)
            return partial(self._complete, slot, result, samples)
        if kind == "error":
            return partial(self._give_up, *(str(body[name]) for name in ERROR))
        if kind == "end":
            return self._end
        raise GarbledError(f"of kind {kind[:40]!r}")

    def _slot(self, body: Mapping[str, Any], seed: Any, known: Collection[Slot]) -> Slot:
        place = self._known(body["place"], self._folders)
        return Slot(place, self._known(seed, _seeds_at(place, known)))

    def _once(self, slot: Slot, round: int) -> None:
        """Each round of a seed is scored once, in order, or a GAN could ask what scores best."""
        if round != self._rounds.get(slot, round - 1) + 1:
            raise GarbledError(f"of round {round + 1}, which is not its next one")
        self._rounds[slot] = round

    def _distinct(self, numbers: Any, known: Collection[int]) -> list[int]:
        if not isinstance(numbers, list) or not 0 < len(numbers) <= len(known):
            raise GarbledError("of no list of seeds in work")
        found = [self._known(number, known) for number in numbers]
        if len(set(found)) < len(found):
            raise GarbledError("of a seed twice")
        return found

    def _check_shape(self, samples: Tensor, *seeds: int) -> None:
        shape = (*seeds, self._task.budget.evaluation_size, *self._task.shape)
        if samples.shape != shape:
            raise GarbledError(f"of samples of shape {tuple(samples.shape)}, not {shape}")

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

    def _begin(self, slot: Slot) -> None:
        self._begun[slot] = time.monotonic()
        in_work = self._in_work
        for each in in_work:
            self._together[each] = max(len(in_work), self._together.get(each, 0))
        self._judges[slot.place].begin(slot.seed)

    def _pass_on(self, slot: Slot, progress: Progress) -> None:
        self._steps[slot] = max(progress.step, self._steps.get(slot, 0))
        self._tell("progress", progress)

    def _score(self, place: int, round: int, samples: Mapping[int, Tensor], to: Connection) -> None:
        worth = self._judges[place].score(round, samples)
        answers = [
            [each.status, str(each)] if isinstance(each, EndedError) else dict(each)
            for each in (worth[seed] for seed in samples)
        ]
        with suppress(ConnectionError):  # it has ended: what follows sees that
            messages.send(to, "scored", {"worth": answers})

    def _complete(self, slot: Slot, result: SeedResult, samples: Tensor | None) -> None:
        result = self._judges[slot.place].complete(result, samples)
        result.judged_apart = True
        self._held[slot] = result
        self.left.remove(slot)
        self._since = time.monotonic()
        if not self._in_work:
            self._release()

    def _release(self) -> None:
        """Tell of seeds that were trained together, if their clocks show the time that it took.

        In sum: what holds all of them up is on the clock of the one that was at work just then.
        """
        held, self._held = self._held, {}
        if not held:
            return
        together = max(self._together[slot] for slot in held)
        elapsed = time.monotonic() - min(self._begun[slot] for slot in held)
        took = elapsed * len(held) / together
        claimed = sum(each.timing.wall_seconds for each in held.values())
        for slot, result in held.items():
            if claimed < (1 - SHARE) * took - SLACK:
                reason = f"its clock shows {claimed:.1f} s where the judge's shows {took:.1f} s"
                result = self._failed(slot, reason)
            self._tell("seed", (slot, result))

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
        for slot in self._in_work or self.left[:1]:
            if trace:
                path = self._folders[slot.place] / f"seed-{slot.seed}" / TRACEBACK
                write_atomically(path, trace.encode(errors="replace"))
            self._tell("seed", (slot, self._failed(slot, reason)))
            self.left.remove(slot)

    def _failed(self, slot: Slot, reason: str) -> SeedResult:
        seconds = time.monotonic() - self._begun.setdefault(slot, self._since)
        result = SeedResult(
            seed=slot.seed,
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
        result = self._judges[slot.place].complete(result, None)
        result.at_once = self._steps.get(slot, 0) == 0
        return result


def _seeds_at(place: int, slots: Collection[Slot]) -> list[int]:
    return [slot.seed for slot in slots if slot.place == place]


class Elsewhere:
    """A spec's judge as the process that trains sees it: at the other ends of pipes."""

    def __init__(self, judge: Ends, place: int) -> None:
        self._judge, self._place = judge, place

    def report(self, progress: Progress) -> None:
        """Tell how far a seed is."""
        self._send("progress", asdict(progress))

    def begin(self, seed: int) -> None:
        """A seed is about to be trained, or the rest of it that a checkpoint has left."""
        self._send("begin", {"seed": seed})

    def score(self, round: int, samples: Mapping[int, Tensor]) -> Mapping[int, Worth]:
        """Of seeds' samples at the end of a round: the metrics due, or what ends a seed."""
        made = torch.stack([each.cpu() for each in samples.values()])
        self._send("score", {"seeds": list(samples), "round": round}, made)
        _, answer, _ = messages.receive(self._judge.source)
        return {
            seed: each if isinstance(each, dict) else EndedError(*each)
            for seed, each in zip(samples, answer["worth"], strict=True)
        }

    def complete(self, result: SeedResult, samples: Tensor | None) -> SeedResult:
        """Hand a result over, for the judge to complete; it is as it was."""
        body = {"result": result.model_dump(mode="json"), "at_once": result.at_once}
        self._send("result", body, samples)
        return result

    def _send(self, kind: str, body: Mapping[str, Any], samples: Tensor | None = None) -> None:
        messages.send(self._judge.to, kind, {**body, "place": self._place}, samples)


def _train(
    specs: Mapping[int, Spec],
    slots: Sequence[Slot],
    judge: Ends,
    inherited: Sequence[Connection],
    stop: Stop,
) -> None:
    """Train seeds, in a process of its own, whose every word goes to the judge."""
    for each in inherited:
        each.close()
    processes.stay()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=judge.close)  # what a GAN forks has no word in it

    elsewhere = {place: Elsewhere(judge, place) for place in specs}
    with suppress(Exception):  # of the sending: the judge then sees that this process has ended
        try:
            jobs = {place: look_up(spec) for place, spec in specs.items()}
            reports = {place: each.report for place, each in elsewhere.items()}
            for result in train_slots(jobs, slots, reports, elsewhere, stop):
                if result.engine == "eager":
                    break  # the next seed is to find nothing that this one's GAN has changed
        except BaseException as error:  # a GAN's own KeyboardInterrupt too: signals are ignored
            messages.send(judge.to, "error", dict(zip(ERROR, described(error), strict=True)))
        messages.send(judge.to, "end", {})
