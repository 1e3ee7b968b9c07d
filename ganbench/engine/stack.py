"""Trains one Game for many seeds at once: their tensors stacked, a step traced into one graph.

Each seed's modules and optimisers look at their slices of the stacked memory, so that sampling,
looking at features and checkpoints know nothing of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor

from ganbench.engine.fidelity import STEPS, TRIALS, Expected, UnfaithfulError
from ganbench.engine.graph import MAX_STEPS, PART_BYTES, Graph
from ganbench.engine.inputs import Inputs
from ganbench.engine.logs import Column, joined
from ganbench.engine.noise import Call, SuppliedNoise, drawn, latent_source, number_source
from ganbench.engine.optimizers import rule_of
from ganbench.engine.purity import (
    check_alike,
    check_pure,
    first_alike,
    numbers_of,
    same_tensors,
    torn_apart,
)
from ganbench.engine.same_steps import check_same_steps
from ganbench.engine.settings import Settings
from ganbench.engine.state import ImpureError
from ganbench.engine.trainer import Trainer
from ganbench.engine.unstackable import UnstackableError, reasons
from ganbench.randomness import generator
from ganbench.system import processes
from ganbench.system.devices import STACKED


class Stack:
    """Trainers of one Game for several seeds, which have all taken as many steps.

    `batch_shape` is (batch_size, *task.shape). `examples(n)` draws n real samples, on which the
    stack is held against the eager player before it takes over. `during(part)` is entered for the
    noise. What cannot be executed `anew` is first tried in a copy of this process, so that it
    begins as its author left it. A cycle is the steps up to one that updates G, written as a tuple:
    for each step whether it does.

    Raises UnstackableError, before anything has changed, for what cannot be traced or stacked:
    games that differ in their parts, optimisers that `optimizers` does not know, draws from torch's
    global stream, control flow that depends on data, steps that depend on more than their tensors;
    and for whatever else does not end where the eager player does.
    """

    def __init__(
        self,
        trainers: Sequence[Trainer],
        batch_shape: Sequence[int],
        examples: Callable[[int], Tensor] | None = None,
        *,
        anew: bool = True,
    ) -> None:
        first = trainers[0]
        self.trainers, self.steps = trainers, first.steps
        self._ahead = 0  # steps by which the noise is, in a trial
        self.during: Callable[[str], AbstractContextManager[None]] = lambda part: nullcontext()
        self._game, self._batch_shape = first.game, tuple(batch_shape)
        self._device = next(first.generator.parameters()).device
        if self._device.type not in STACKED:
            raise UnstackableError(f"no stack has been tried on {self._device.type}")
        self._examples = self._drawn_examples(examples)
        self._expected: dict[int, Expected] = {}  # by trial, from where the stack stands
        with reasons():
            tensors = same_tensors(trainers)
            aliases, numbers = check_alike(trainers)
            self._torn = torn_apart(tensors, aliases)
            self._like, self._settings = first_alike(trainers), Settings(numbers)
            self._calls = self._probed({True, self._game.d_updates == 1}, anew=anew)
            self._check_same_steps()
            seeds = [each.seed for each in trainers]
            self._latents = latent_source(
                [each.game.latent for each in trainers],
                seeds,
                each=self._batch_shape[0],
                per_step=self._game.latents_a_step,
                device=self._device,
            )
        drawing = self._calls[True]
        self._numbers = {each.slot: number_source(each, seeds, self._device) for each in drawing}
        with torch.no_grad():
            self._memory = {key: torch.stack(each) for key, each in tensors.items()}
        self._graphs: dict[tuple[bool, ...], Graph] = {
            (which,): self._trace((which,)) for which in self._calls
        }
        self._whole: tuple[bool, ...] = ()
        if self._device.type == "cuda":
            with reasons("a CUDA graph cannot capture it: "):
                self.loop(compiled=False)
        with reasons(str(self._settings)):
            self._hold()
        for key, each in tensors.items():
            for tensor, mine in zip(each, self._memory[key], strict=True):
                tensor.data = mine  # so that the trainers look at it

    def compile(self) -> None:
        """Have torch's compiler make a loop of the steps, for where many are left.

        Raises UnstackableError if it cannot; the stack is then as it was.
        """
        before = dict(self._graphs), self._whole
        try:
            with reasons("torch's compiler fails: "):
                self.loop(compiled=True)
            with reasons("compiled, "):
                self._hold()
        except UnstackableError:
            self._graphs, self._whole = before
            raise

    def loop(self, *, compiled: bool) -> None:
        """Take cycles, the steps up to G's next update, in a loop without Python."""
        updates = self._game.d_updates
        whole = tuple((i + 1) % updates == 0 for i in range(updates))
        if compiled and self._device.type == "cpu":
            graph = self._trace(whole, part_bytes=PART_BYTES)
        else:
            graph = self._graphs.get(whole) or self._trace(whole)
        graph.loop(compiled=compiled)
        self._graphs[whole], self._whole = graph, whole

    @property
    def steps_at_once(self) -> int:
        """As many steps as a call of `train` should be given: more are more memory, not speed."""
        return self._graphs[self._whole].cycles * len(self._whole) if self._whole else MAX_STEPS

    def train(
        self, real: Tensor, *, stopped: Callable[[], bool] = lambda: False
    ) -> list[dict[str, Column]]:
        """Train on the batches `real` (seeds, steps, batch_size, *shape); each seed's logs.

        A log has the values of each name over the steps that have one, fewer once `stopped`.
        """
        self._expected.clear()
        logs = self._play(real, stopped)
        self._tell_trainers()
        return logs

    def _play(self, real: Tensor, stopped: Callable[[], bool]) -> list[dict[str, Column]]:
        """Take steps with the stack alone."""
        done = 0
        values: dict[str, list[Tensor]] = {}
        while done < real.shape[1] and not stopped():
            cycle = self._next_cycle(real.shape[1] - done)
            graph, of_each = self._graphs[cycle], len(cycle)
            count = of_each * min(graph.cycles, (real.shape[1] - done) // of_each)
            inputs = self._inputs(cycle, real[:, done : done + count])
            found = graph(inputs)
            for name, which in graph.places.items():
                values.setdefault(name, []).append(found[:, which].flatten(0, 1))
            self.steps += count
            done += count
        logs = {name: torch.cat(each).double().cpu().numpy() for name, each in values.items()}
        return [
            {name: log[:, seed] for name, log in logs.items()} for seed in range(len(self.trainers))
        ]

    def train_apart(self, real: Tensor) -> list[dict[str, Column]]:
        """Train one step of `real` (seeds, 1, ...) seed by seed, so that these may look."""
        self._expected.clear()
        logs = self._step_apart(self.trainers, real)
        self.steps += 1
        return logs

    def _step_apart(self, trainers: Sequence[Trainer], real: Tensor) -> list[dict[str, Column]]:
        """Have each of the trainers take its next step with the stack's noise."""
        inputs = self._inputs(((self.steps + 1) % self._game.d_updates == 0,), real)
        logs: list[dict[str, Column]] = []
        for place, trainer in enumerate(trainers):
            trainer.handed = list(inputs.latents[0, place, 0])
            mine = {slot: drawn[0, place, 0] for slot, drawn in inputs.numbers.items()}
            with SuppliedNoise(lambda call, mine=mine: mine[call.slot]):  # type: ignore[misc]
                log = trainer.train_step(real[place, 0])
            logs.append({name: value.double().cpu().numpy()[None] for name, value in log.items()})
        return logs

    def _drawn_examples(self, draw: Callable[[int], Tensor] | None) -> Tensor:
        """Batches (trials, seeds, steps, batch_size, *shape) to be held against each other on.

        Enough steps for a whole cycle from wherever in one the stack stands.
        """
        updates, size = self._game.d_updates, self._batch_shape[0]
        steps = -self.steps % updates + updates * math.ceil(STEPS / updates)
        shape = (TRIALS, len(self.trainers), steps, *self._batch_shape)
        if draw is None:
            rng = generator(0, "examples")
            return torch.randn(shape, generator=rng).to(self._device)
        return draw(math.prod(shape[:3]) * size).to(self._device).view(shape)

    def _hold(self) -> None:
        """UnfaithfulError if the stack does not take steps as the eager player does.

        One trial may fail: rounding can carry an activation over its kink. Then others must not.
        """
        try:
            self._try(0)
        except UnfaithfulError:
            for number in range(1, TRIALS):
                self._try(number)
        for key, what in self._torn.items():
            if any(key in each.changed for each in self._expected.values()):
                raise UnfaithfulError(what)

    def _try(self, number: int) -> None:
        """Take the steps on some examples, compare, and be again where the stack was."""
        real = self._examples[number]
        before, memory = self.steps, {key: each.clone() for key, each in self._memory.items()}
        self._ahead = number * real.shape[1]
        try:
            if number not in self._expected:
                play = partial(self._play_apart, real)
                self._expected[number] = Expected(self.trainers, play)
            logs = self._play(real, lambda: False)
            self._expected[number].check(self._memory, logs)
        finally:
            self._ahead, self.steps = 0, before
            for key, each in memory.items():
                self._memory[key].copy_(each)

    def _play_apart(self, real: Tensor, trainers: Sequence[Trainer]) -> list[dict[str, Column]]:
        """Steps on batches, seed by seed, with trainers that stand where the stack's do."""
        before, logs = self.steps, []
        for batch in real.split(1, dim=1):
            logs.append(self._step_apart(trainers, batch.clone()))
            self.steps += 1
        self.steps = before
        return [joined(each) for each in zip(*logs, strict=True)]

    def _next_cycle(self, most: int) -> tuple[bool, ...]:
        """The steps that a graph takes at once next, a whole cycle or a part: which update G."""
        updates = self._game.d_updates
        if 0 < len(self._whole) <= most and self.steps % updates == 0:
            return self._whole
        return ((self.steps + 1) % updates == 0,)

    def _tell_trainers(self) -> None:
        """Tell the trainers and their optimisers what steps have been taken."""
        d_count, g_count = self._updates()
        for trainer in self.trainers:
            trainer.steps = self.steps
            for who, optimizer in trainer.optimizers.items():
                for group in optimizer.param_groups:
                    if "steps" in group:
                        group["steps"] = d_count if who == "D" else g_count

    def _probe(self, updates_g: bool) -> list[Call]:
        """The random calls of a step; InputError for one that depends on more than its tensors."""
        calls: list[Call] = []
        first = self.trainers[0]
        trainer, law = first.copy(), first.game.latent
        real = self._examples[0, 0, 0]  # on zeros, what is a mean of them would seem to stay

        def play() -> list[Call]:
            calls.clear()
            rng = generator(first.seed, "latents", device=str(self._device))
            trainer.handed = [law(len(real), rng) for _ in range(self._game.latents_a_step)]

            def give(call: Call) -> Tensor:
                calls.append(call)
                return drawn(call, rng, call.shape)

            with SuppliedNoise(give):
                trainer.play(real, updates_g=updates_g)
            return [*calls]

        check_pure(first, trainer, play)
        return calls

    def _probed(self, updates: Collection[bool], *, anew: bool) -> dict[bool, list[Call]]:
        """The random calls of both kinds of steps."""

        def found() -> tuple[str, bool] | None:
            try:
                for which in updates:
                    self._probe(which)
            except ImpureError as error:
                return str(error), error.keeps
            except Exception:  # which this process comes to as well
                return None
            return None

        tries = not anew and self._device.type == "cpu"  # where a copy can compute
        if tries and (said := processes.in_a_copy(found)):
            raise ImpureError(said[0], keeps=said[1])
        return {which: self._probe(which) for which in updates}

    def _check_same_steps(self) -> None:
        """UnstackableError if more differs than rates and settings."""
        with reasons(str(self._settings)):
            shape, updates = self._batch_shape, [*self._calls]
            check_same_steps(self.trainers, self._like, self._settings, shape, updates)

    def _draw(self, cycle: Sequence[bool], cycles: int) -> dict[int, Tensor]:
        """The numbers of these cycles: of each slot (seeds, steps that have it, *shape)."""
        steps, first = list(enumerate([*cycle] * cycles)), self.steps + self._ahead
        drawing = {
            call.slot: [first + i for i, which in steps if call in self._calls[which]]
            for call in self._calls[True]
        }
        return {slot: self._numbers[slot].take(those) for slot, those in drawing.items() if those}

    def _rates(self, cycle: Sequence[bool], cycles: int) -> Tensor:
        """The learning rates of these cycles' updates, in the order in which they are made.

        (cycles, updates), or (cycles, seeds, updates) where the seeds' differ. Computed in a graph,
        they would be computed once for each number that is updated.
        """
        of_each = {
            place: self._rates_of(self.trainers[place], cycle, cycles) for place in set(self._like)
        }
        rates = torch.tensor([of_each[place] for place in self._like], device=self._device)
        rates = rates.view(len(self._like), cycles, -1).movedim(0, 1)
        return rates if len(of_each) > 1 else rates[:, 0]

    def _rates_of(self, first: Trainer, cycle: Sequence[bool], cycles: int) -> list[float]:
        """The learning rates of one trainer's updates in so many cycles."""
        game = self._game
        d_count, g_count = self._updates()
        rates: list[float] = []
        rules = {who: rule_of(each) for who, each in first.optimizers.items()}
        learning = {who: [(rules[each], each) for each in first.learners(who)] for who in "DG"}
        groups = {who: first.settings(who, self.steps + 1) for who in rules}

        def update(who: str, count: int) -> list[float]:
            pairs = [(rule, group) for rule, each in learning[who] for group in groups[each]]
            return [rate for rule, group in pairs for rate in rule.rates(group, count)]

        for step, updates_g in enumerate([*cycle] * cycles, start=self.steps + 1):
            if game.schedule:
                rates += first.scheduled(step).values()
                groups = {who: first.settings(who, step) for who in rules}
            for _ in range(game.turns):
                for _ in game.d_losses:
                    d_count += 1
                    rates += update("D", d_count)
                if updates_g:
                    g_count += 1
                    rates += update("G", g_count)
            if updates_g and game.average is not None:
                rates += [1 - first.kept(step // game.d_updates)]
        return rates

    def _updates(self) -> tuple[int, int]:
        """How often D and G have been updated."""
        game = self._game
        d_count = self.steps * len(game.d_losses)
        return game.turns * d_count, game.turns * (self.steps // game.d_updates)

    def _inputs(self, cycle: Sequence[bool], real: Tensor) -> Inputs:
        """What the next cycles need on batches (seeds, steps, batch_size, *shape)."""
        cycles = real.shape[1] // len(cycle)
        with self.during("noise"):
            first = self.steps + self._ahead
            noise = self._latents.take(range(first, first + real.shape[1]))
            drawn = self._draw(cycle, cycles)

        def in_cycles(each: Tensor) -> Tensor:
            return each.view(len(each), cycles, -1, *each.shape[2:]).movedim(1, 0)

        return Inputs(
            self._rates(cycle, cycles),
            in_cycles(real),
            in_cycles(noise),
            {slot: in_cycles(each) for slot, each in drawn.items()},
            self._settings.values(cycles, self._device),
        )

    def _trace(self, cycle: tuple[bool, ...], part_bytes: float = math.inf) -> Graph:
        shape = (len(self.trainers), len(cycle), *self._batch_shape)
        with reasons(str(self._settings)):
            inputs = self._inputs(cycle, torch.zeros(shape, device=self._device))
            copy = self.trainers[0].copy()  # as layers may keep what they see while they are traced
            with self._settings.in_place(numbers_of(copy) if self._settings.differing else {}):
                args = (copy, cycle, self._memory, inputs, self._settings)
                return Graph(*args, part_bytes=part_bytes)
