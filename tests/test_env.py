"""The environment: what it deals, what it pays, when it ends, what it refuses."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

import ganbench
from ganbench import metrics, planar
from ganbench.core import Bound, Budget, Task
from ganbench.env import Clock, Env, make
from ganbench.errors import InputError

MEAN, COVARIANCE = torch.zeros(2).double(), torch.eye(2).double()
BUDGET = Budget(steps=10, batch_size=4, evaluations=4, evaluation_size=100, log_every=2)


def draw(n: int, rng: torch.Generator) -> Tensor:
    return torch.randn(n, 2, generator=rng)


def error(real: Tensor, fake: Tensor) -> float:
    return metrics.mean_error(real, fake, mean=MEAN, covariance=COVARIANCE)["mean_error"]


def toy(**changes: object) -> Task:
    task = Task(
        name="toy",
        version=1,
        shape=(2,),
        sample=draw,
        metrics={"mean_error": error},
        budget=BUDGET,
        mean=MEAN,
        covariance=COVARIANCE,
        bounds={"mean_error": Bound(direction="lower", floor=0.1, ceiling=2.1, noise=0.1)},
    )
    return replace(task, **changes)  # type: ignore[arg-type]


def at(distance: float) -> Tensor:
    """Samples whose mean error is `distance`."""
    return torch.tensor([distance * math.sqrt(2), 0.0]).repeat(100, 1)


def test_episode() -> None:
    env = Env(toy())
    real, info = env.reset(seed=1)
    assert real.shape == (3, 4, 2)  # ten steps in four rounds: 3, 3, 3, 1
    assert info == {"step": 0}
    seen = []
    for distance in (4.1, 1.1, 0.6):
        real, reward, terminated, truncated, info = env.step(at(distance))
        assert info["metrics"] == {"mean_error": pytest.approx(distance)}
        position = (2.1 - distance) / (max(2.1, distance) - 0.1)
        assert info["position"] == info["score"] == pytest.approx(position)
        assert not terminated
        assert not truncated
        seen.append((info["step"], len(real), reward))
    assert seen == [
        (3, 3, pytest.approx(-2.0)),
        (6, 3, pytest.approx(3.0)),
        (9, 1, pytest.approx(0.5)),
    ]
    real, _, terminated, truncated, info = env.step(at(0.1))
    assert (terminated, truncated, info["step"]) == (False, True, 10)
    assert real.shape == (0, 4, 2)
    with pytest.raises(InputError, match=r"^the episode is over: call reset\(\)$"):
        env.step(at(0.1))
    env.reset(seed=1)
    env.step(at(0.1))


@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_rewards_add_up_to_the_way_from_the_ceiling(direction: str) -> None:
    floor, ceiling = (0.1, 2.1) if direction == "lower" else (2.1, 0.1)
    bound = Bound(direction=direction, floor=floor, ceiling=ceiling, noise=0.1)  # type: ignore
    env = Env(toy(bounds={"mean_error": bound}))
    env.reset(seed=0)
    distances = [3.0, 0.2, 1.7, 0.9]
    total = sum(env.step(at(distance))[1] for distance in distances)
    way = ceiling - distances[-1] if direction == "lower" else distances[-1] - ceiling
    assert total == pytest.approx(way)


def test_threshold_terminates() -> None:
    env = Env(toy(), threshold=0.9)
    env.reset(seed=0)
    assert env.step(at(0.31))[2] is False
    assert env.step(at(0.29))[2] is True
    never = Env(toy())
    never.reset(seed=0)
    assert never.step(at(0.0))[2] is False


def test_wrong_samples_are_refused() -> None:
    env = ganbench.make("ring8", budget="smoke")
    env.reset(seed=0)
    with pytest.raises(InputError) as caught:
        env.step(torch.zeros(5, 2))
    expected = "sample(4096) must return shape (4096, 2) on task 'ring8', got (5, 2)"
    assert str(caught.value) == expected
    with pytest.raises(InputError) as caught:
        env.step(torch.zeros(4096, 2).numpy())
    assert str(caught.value) == "sample(4096) must return a tensor on task 'ring8', got ndarray"
    for value in (math.nan, math.inf):
        samples = torch.zeros(4096, 2)
        samples[7, 1] = value
        with pytest.raises(InputError) as caught:
            env.step(samples)
        assert str(caught.value) == "samples hold NaN or Inf on task 'ring8'"
    assert env.round == 0  # a refused step is none


@pytest.mark.parametrize("thorough", [False, True])
def test_evaluation_has_one_thread_and_its_callers_keep_theirs(thorough: bool) -> None:
    seen: list[int] = []

    def watching(real: Tensor, fake: Tensor) -> float:
        seen.append(torch.get_num_threads())
        return error(real, fake)

    env = Env(toy(metrics={"mean_error": watching}), thorough=thorough)
    env.reset(seed=0)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for ends in (env.step, env.score_round):
            ends(at(1.0))
            assert torch.get_num_threads() == 3
        with pytest.raises(InputError, match="NaN"):
            env.step(at(math.nan))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1]


def images(**changes: object) -> Env:
    env = Env(toy(shape=(1, 2, 2), metrics={"mean_error": lambda real, fake: 1.0}, **changes))
    env.reset(seed=0)
    return env


def draw_images(n: int, rng: torch.Generator) -> Tensor:
    return 2 * torch.rand(n, 1, 2, 2, generator=rng) - 1


FRACTIONS = torch.rand(100, 1, 2, 2, generator=torch.Generator().manual_seed(0))
SIGNED = 2 * FRACTIONS - 1


@pytest.mark.parametrize(
    ("samples", "got"),
    [
        (255 * FRACTIONS, "floats from 0.[0-9]+ to 25[0-9.]+: convert them with x / 127.5 - 1"),
        ((255 * FRACTIONS).byte(), "integers from 0 to 25[0-9]: convert them with x / 127.5 - 1"),
        ((2 * FRACTIONS).long(), "integers from 0 to 1: convert them with 2 [*] x - 1"),
        (SIGNED.round().long(), "integers from -1 to 1: scale or clip them"),
        (3 * SIGNED, "floats from -2.[0-9]+ to 2.[0-9]+: scale or clip them"),
        (300 * FRACTIONS, "floats from 0.[0-9]+ to 29[0-9.]+: scale or clip them"),
    ],
)
def test_images_out_of_range_are_refused(samples: Tensor, got: str) -> None:
    env = images(sample=draw_images)
    with pytest.raises(InputError) as caught:
        env.step(samples)
    lead = r"^step\(samples\): images of task 'toy' must be floats in \[-1, 1\], got "
    assert re.match(lead + got + "$", str(caught.value)), str(caught.value)
    assert env.round == 0  # a refused step is none


def test_images_between_0_and_1_are_noted() -> None:
    env = images(sample=draw_images)
    with pytest.warns(UserWarning, match=r"all values lie in \[0, 1\].*2 \* x - 1"):
        env.step(FRACTIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.step(SIGNED * (1 + 1e-6))


def test_only_images_have_a_range() -> None:
    env = Env(toy())
    env.reset(seed=0)
    env.step(255 * at(1.0))
    env.step(at(1.0).long())
    scored = images(sample=draw_images).score_round(3 * SIGNED)  # as of a GAN in training
    assert scored[0] == pytest.approx(1.1)


def test_samples_of_other_kinds_are_taken() -> None:
    env = Env(toy())
    env.reset(seed=0)
    *_, info = env.step(at(1.0).double().requires_grad_())
    assert math.isfinite(info["score"])


def test_episodes_follow_from_one_another() -> None:
    env = Env(toy(pool=None))
    first, second = env.reset()[0], env.reset()[0]
    assert torch.equal(env.reset(seed=0)[0], first)
    assert torch.equal(env.reset()[0], second)
    assert not torch.equal(first, second)


def test_step_before_reset() -> None:
    with pytest.raises(InputError, match="call reset"):
        Env(toy()).step(at(0.1))


@pytest.mark.parametrize("pool", [None, 7])
@pytest.mark.parametrize("shuffle", [False, True])
def test_data_of_a_round_do_not_depend_on_the_start(pool: int | None, shuffle: bool) -> None:
    env = Env(toy(pool=pool, shuffle=shuffle))
    dealt = [env.reset(seed=5)[0]] + [env.step(at(1.0))[0] for _ in range(3)]
    for round, real in enumerate(dealt):
        resumed, info = Env(toy(pool=pool, shuffle=shuffle)).reset(seed=5, round=round)
        assert torch.equal(resumed, real)
        assert info == {"step": 3 * round}
    assert not torch.equal(dealt[0], dealt[1])
    assert not torch.equal(env.reset(seed=6)[0], dealt[0])


def test_data_do_not_depend_on_the_samples() -> None:
    env = Env(toy())
    env.reset(seed=5)
    first = env.step(at(1.0))[0]
    env.reset(seed=5)
    torch.manual_seed(3)
    assert torch.equal(env.step(at(2.0))[0], first)


def test_rounds_deal_the_whole_budget() -> None:
    env = make("quadratic")
    budget = env.budget
    assert (budget.steps, budget.rounds, budget.steps_per_round) == (100_001, 20, 5_001)
    assert sum(budget.steps_in(round) for round in range(budget.rounds)) == 100_001
    assert budget.steps_in(19) == 4_982
    real, info = env.reset(seed=0, round=19)
    assert real.shape == (4_982, 256, 2)
    assert info == {"step": 19 * 5_001}


def test_make() -> None:
    env = make("sine", budget="smoke")
    assert env.task.name == "sine"
    assert env.threshold == env.task.threshold == 0.98
    assert (env.budget.steps, env.budget.rounds) == (50, 2)
    assert env.reset(seed=0)[0].shape == (25, 128, 64)
    with pytest.raises(InputError, match="budget 'huge' is none of full, quick, smoke"):
        make("sine", budget="huge")
    with pytest.raises(InputError, match="unknown task 'sin': did you mean 'sine'"):
        make("sin")


def test_real_samples_score_near_one() -> None:
    env = make("moons", budget="smoke")
    env.reset(seed=0)
    samples = env.task.sample(4096, torch.Generator().manual_seed(9))
    _, reward, terminated, _, info = env.step(samples)
    assert info["score"] == pytest.approx(1, abs=0.1)
    assert terminated == (info["position"] >= 0.98)
    assert reward == pytest.approx(env.task.bounds["mmd"].ceiling - info["metrics"]["mmd"])
    assert info["metrics"].keys() == env.task.bounds.keys()


def test_clock_charges_one_label_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("ganbench.env.time", SimpleNamespace(perf_counter=lambda: now[0]))
    waits: list[float] = []
    clock = Clock(lambda: waits.append(now[0]))

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    pass_time(1)
    assert clock.switch("training") == "other"
    pass_time(2)
    with clock.during("evaluation"):
        pass_time(4)
        with clock.during("data"):
            pass_time(8)
        pass_time(16)
    pass_time(32)
    with pytest.raises(KeyError), clock.during("saving"):
        pass_time(64)
        raise KeyError
    clock.switch("other")
    assert dict(clock.seconds) == {
        "other": 1,
        "training": 34,
        "evaluation": 20,
        "data": 8,
        "saving": 64,
    }
    assert len(waits) == 8


def test_clock_charges_training_between_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("ganbench.env.time", SimpleNamespace(perf_counter=lambda: now[0]))
    env = Env(toy())
    env.reset(seed=0)
    now[0] += 5
    env.step(at(1.0))
    now[0] += 2
    env.clock.switch("other")
    assert env.clock.seconds["training"] == 7
    assert sum(env.clock.seconds.values()) == 7


def test_a_score_takes_all_views_and_rounds_before_the_last_have_one() -> None:
    env = Env(make("moons", budget="smoke").task, thorough=False)
    env.budget = env.budget.reduced("smoke")
    env.reset(seed=0)
    samples = env.task.sample(4096, torch.Generator().manual_seed(9))
    *_, first = env.step(samples)
    *_, last = env.step(samples)
    assert (first["metrics"].keys(), first["score"]) == ({"mmd"}, None)
    assert first["position"] == last["position"]
    views = [
        env.task.bounds[name].position(last["metrics"][name]) for name in planar.VIEWS.values()
    ]
    assert last["score"] == pytest.approx(sum(views) / 4)
