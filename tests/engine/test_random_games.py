"""Games put together at random are trained as written: stacked as eagerly, or not stacked."""

from __future__ import annotations

import copy
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganbench.engine.noise import Call, SuppliedNoise, latent_source, number_source
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.engine.unstackable import UnstackableError
from ganbench.harness import checkpoint
from ganbench.randomness import stream
from ganbench.system.threads import one_thread

from ..tiers import every
from .random_games import IMPURE, Recipe, recipe

CPU = torch.device("cpu")
ULP = 2.0**-23
MOVED = 4  # players whose numbers are moved by a unit in the last place
FACTOR = 8.0  # as far as these, a stack may be away
LAST_PLACES = 16 * ULP  # of a tensor's largest number, besides
GRADIENT_ULPS = 4  # of the largest gradient's, that gradients are moved by
TOTAL = 20  # steps of a run, by which schedules go
SMALL = 4
GAMES = int(os.environ.get("GANBENCH_GAMES", "16"))  # more for a change of the engine
RESUMED = range(0, GAMES, 6)
COMPILED = (47,)  # which takes half a minute each


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def pure(number: int) -> Recipe:
    """The first recipe from a number on whose Game is to be stacked, and is any seed's."""
    recipes = map(recipe, itertools.count(number))
    return next(each for each in recipes if not each.impure and not each.differs)


def trainers_of(made: Recipe, salt: str = "init") -> list[Trainer]:
    trainers = []
    for seed in made.seeds:
        torch.manual_seed(stream(seed, salt))
        trainers.append(Trainer(made.game(), seed=seed, total=TOTAL))
    return trainers


def batches(made: Recipe, steps: int) -> Tensor:
    """(seeds, steps, batch_size, *shape)."""
    drawn = [
        torch.randn(steps, *made.batch_shape, generator=torch.Generator().manual_seed(seed))
        for seed in made.seeds
    ]
    return torch.stack(drawn) * 0.7 + 0.5


class Eager:
    """One seed, trained step by step on the noise that a stack has for it, drawn anew.

    `moved` by a number, all that enters a step is moved by up to a unit in the last place, as
    rounding may: weights, batches, latents and what layers make; and the gradients of weights and
    layers by some of the largest that a backward pass has met, as where large ones cancel (behind
    a batch norm) what is left is their rounding. It has another sign in one of two opposite moves.
    """

    def __init__(self, trainer: Trainer, n: int, *, moved: int | None = None) -> None:
        self.trainer, self._moved = copy.deepcopy(trainer), moved is not None
        self._latents = latent_source(
            [trainer.game.latent],
            [trainer.seed],
            each=n,
            per_step=trainer.game.latents_a_step,
            device=CPU,
        )
        self._sources: dict[int, Any] = {}
        self._ulp = ULP * (-1) ** (moved or 0)  # of two players, one is moved the other way
        self._largest = 0.0  # of the gradients since something was last made
        self._rng = np.random.default_rng((moved or 0) // 2)  # as torch's draws are supplied
        if self._moved:
            for network in (self.trainer.generator, self.trainer.discriminator):
                for p in network.parameters():
                    if p.requires_grad:
                        p.register_hook(self._gradient)
                for module in network.modules():
                    module.register_forward_hook(self._made)

    def stand_at(self, other: Trainer) -> None:
        """Take another trainer's numbers, of all that this one has."""
        mine, theirs = numbers_of(self.trainer), numbers_of(other)
        with torch.no_grad():
            for key, tensor in mine.items():
                tensor.copy_(theirs[key])

    def step(self, real: Tensor) -> dict[str, float]:
        """The log of a step on `real` (batch_size, *shape)."""
        trainer, step, real = self.trainer, self.trainer.steps, real.clone()
        trainer.handed = list(self._latents.take([step])[0, 0])
        if self._moved:
            real, *trainer.handed = map(self._nudged, (real, *trainer.handed))
            for network in (trainer.generator, trainer.discriminator):
                for p in network.parameters():
                    p.data = self._nudged(p.data)

        def give(call: Call) -> Tensor:
            source = self._sources.setdefault(call.slot, number_source(call, [trainer.seed], CPU))
            numbers: Tensor = source.take([step])[0, 0]
            assert tuple(numbers.shape) == call.shape
            return numbers

        with SuppliedNoise(give):
            return {name: float(value) for name, value in trainer.train_step(real).items()}

    def _nudged(self, x: Tensor) -> Tensor:
        return x * (1 + self._ulp * self._uniform(x))

    def _made(self, module: nn.Module, given: Any, made: Tensor) -> Tensor:
        made, self._largest = self._nudged(made), 0.0
        if made.requires_grad:
            made.register_hook(self._gradient)
        return made

    def _gradient(self, grad: Tensor) -> Tensor:
        if grad.numel():
            self._largest = max(self._largest, float(grad.detach().abs().max()))
        return grad + GRADIENT_ULPS * self._ulp * self._largest * self._uniform(grad)

    def _uniform(self, like: Tensor) -> Tensor:
        return torch.from_numpy(self._rng.uniform(-1, 1, tuple(like.shape))).float()


Numbers = dict[str, Tensor]


def numbers_of(trainer: Trainer) -> Numbers:
    """The tensors of a trainer themselves, as a checkpoint names them."""
    found: Numbers = {}
    for who, network in trainer.networks.items():
        found |= {f"{who}.{key}": tensor for key, tensor in network.state_dict().items()}
        for i, state in trainer.optimizers[who].state_dict()["state"].items():
            found |= {f"{who}.{i}.{key}": tensor for key, tensor in state.items()}
    if trainer.averaged is not None:
        found |= {f"average.{key}": each for key, each in trainer.averaged.state_dict().items()}
    return found


def copies_of(trainer: Trainer) -> Numbers:
    return {key: tensor.detach().clone() for key, tensor in numbers_of(trainer).items()}


@dataclass
class Found:
    """What became of a recipe."""

    made: Recipe
    refused: str | None = None
    worst: float = 0.0  # how far apart, in what is allowed
    where: str = ""

    def compare(self, what: str, got: Tensor, wanted: Tensor, moved: Sequence[Tensor]) -> None:
        """Note it if this is what is furthest apart."""
        largest = float(wanted.double().abs().nan_to_num(posinf=0).max()) if wanted.numel() else 0.0
        allowed = FACTOR * max(apart(each, wanted) for each in moved) + LAST_PLACES * largest
        gap = apart(got, wanted)
        ratio = gap / allowed if allowed else (np.inf if gap else 0.0)
        if ratio > self.worst:
            self.worst, self.where = ratio, f"{what} is {gap:.2g} away, allowed are {allowed:.2g}"


def apart(a: Tensor, b: Tensor) -> float:
    """The largest difference; infinite where only one is NaN."""
    if not a.numel():
        return 0.0
    gap = (a.double() - b.double()).abs()
    gap[(a == b) | (a.isnan() & b.isnan())] = 0
    return float(gap.nan_to_num(nan=torch.inf).max())


def held(found: Found, stacked: Stack, before: Sequence[Trainer], real: Tensor, each: int) -> Found:
    """The stack's steps, `each` at once, against eager ones from where it stood before them.

    From there, as what rounding may do grows with every step; that the stack stands where it ought
    to follows step by step.
    """
    n = found.made.batch_shape[0]
    rows = [[Eager(one, n, moved=i) for i in (None, *range(MOVED))] for one in before]
    for first in range(0, real.shape[1], each):
        if first:
            for place, row in enumerate(rows):
                for player in row:
                    player.stand_at(stacked.trainers[place])
        batches = real[:, first : first + each]
        logs = stacked.train(batches)
        for place, row in enumerate(rows):
            plays = [[player.step(batch) for batch in batches[place]] for player in row]
            one = f"step {first + each} of seed {place}"
            compare_logs(found, one, logs[place], plays)
            compare_ends(found, one, stacked.trainers[place], [player.trainer for player in row])
    return found


def compare_logs(found: Found, where: str, log: Any, plays: Sequence[Any]) -> None:
    """Accuracies apart, which are of a few verdicts; a stack knows them of more batches."""
    names = {name for step in plays[0] for name in step}
    assert names <= set(log)
    assert all(name.endswith("accuracy") for name in set(log) - names)
    for name in names - {"d_accuracy", "g_accuracy"}:
        expected, *moved = (
            torch.tensor([step[name] for step in play if name in step]) for play in plays
        )
        found.compare(f"{name}, {where}", torch.from_numpy(log[name]), expected, moved)


def compare_ends(found: Found, where: str, trainer: Trainer, eager: Sequence[Trainer]) -> None:
    mine, (expected, *moved) = copies_of(trainer), map(copies_of, eager)
    assert trainer.steps == eager[0].steps
    for key in mine.keys() - expected.keys():  # of what no gradient has reached
        assert not mine[key].any(), key
    for key, value in expected.items():
        values = mine[key], value, *(other[key] for other in moved)
        if "sq" in key.rpartition(".")[2]:  # means of squares, which are held against each other
            values = tuple(each.sqrt() for each in values)  # by what they are means of
        found.compare(f"{key}, {where}", values[0], values[1], values[2:])


def resume(made: Recipe, steps: int) -> None:
    """Interrupted in the middle, stored and restored: the same bits as without."""
    real = batches(made, steps)
    whole, half = (Stack(trainers_of(made), made.batch_shape) for _ in range(2))
    logs, first = whole.train(real), half.train(real[:, : steps // 2])
    fresh = trainers_of(made, "another")
    for trainer, trained in zip(fresh, half.trainers, strict=True):
        checkpoint.restore_gan(trainer, copy.deepcopy(checkpoint.gan_state(trained, {})))
    later = Stack(fresh, made.batch_shape)
    second = later.train(real[:, steps // 2 :])
    for a, b in zip(whole.trainers, later.trainers, strict=True):
        one, other = copies_of(a), copies_of(b)
        assert one.keys() == other.keys()
        for key in one:
            assert torch.equal(one[key].nan_to_num(), other[key].nan_to_num()), key
    for log, *parts in zip(logs, first, second, strict=True):
        for key in log:
            found = np.concatenate([part[key] for part in parts if key in part])
            assert np.array_equal(log[key], found, equal_nan=True), key


def examine(made: Recipe, steps: int) -> Found:
    """Stack it, unless it is refused, and hold it against what its author wrote."""
    trainers = trainers_of(made)
    before = [] if made.impure else [copy.deepcopy(each) for each in trainers]
    try:
        stacked = Stack(trainers, made.batch_shape)
    except UnstackableError as error:
        return Found(made, refused=str(error))
    return (
        Found(made) if made.impure else held(Found(made), stacked, before, batches(made, steps), 1)
    )


def judge(found: Found, tally: Counter[str], record: Callable[[str, object], None]) -> None:
    """A Game that is impure must be refused, any other must be stacked, as its author wrote it."""
    kind = "impure" if found.made.impure else "pure"
    tally[f"{kind}, {'refused' if found.refused else 'stacked'}"] += 1
    record("game", str(found.made))
    record("refused", found.refused)
    if found.made.impure:
        assert found.refused, found.made
        return
    assert found.refused is None, f"{found.made}: {found.refused}"
    assert found.worst <= 1, f"{found.made}: {found.where}"


@pytest.fixture(scope="module")
def tally() -> Iterator[Counter[str]]:
    """How many there were of each kind; `pytest -s` shows it."""
    counts: Counter[str] = Counter()
    yield counts
    print(f"\n{dict(counts)}")


@pytest.mark.parametrize("number", range(SMALL))
def test_a_small_game(
    number: int, tally: Counter[str], record_property: Callable[[str, object], None]
) -> None:
    judge(examine(recipe(number, small=True), 4), tally, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("number", every(2, range(GAMES)))
def test_a_game(
    number: int, tally: Counter[str], record_property: Callable[[str, object], None]
) -> None:
    judge(examine(recipe(number), 12), tally, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("impure", IMPURE)
def test_an_impure_game_is_refused(impure: str) -> None:
    found = examine(recipe(3, small=True, impure=impure), 6)
    assert found.refused is not None and found.refused.strip()


@pytest.mark.slow
@pytest.mark.parametrize("number", RESUMED)
def test_resumed_to_the_bit(number: int) -> None:
    resume(pure(number), 10)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("number", COMPILED)
def test_a_compiled_game(number: int) -> None:
    """A whole cycle against the eager player; many cycles at once as one by one, to the bit."""
    made = pure(number)
    trainers = trainers_of(made)
    before = [copy.deepcopy(each) for each in trainers]
    stacked = Stack(trainers, made.batch_shape)
    stacked.compile()
    cycle = trainers[0].game.d_updates
    real = batches(made, 6 * cycle)
    memory = {key: each.clone() for key, each in stacked._memory.items()}
    stacked.train(real)
    at_once = [copies_of(each) for each in trainers]
    for key, each in memory.items():
        stacked._memory[key].copy_(each)
    stacked.steps = 0
    found = held(Found(made), stacked, before, real, cycle)
    assert found.worst <= 1, f"{made}: {found.where}"
    for trainer, numbers in zip(trainers, at_once, strict=True):
        for key, tensor in copies_of(trainer).items():
            assert torch.equal(tensor.nan_to_num(), numbers[key].nan_to_num()), key
