"""The environments under Gymnasium: registered, checked by its own checker, vectorised."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import ganbench.gym  # registers
from ganbench import registry
from ganbench.core import Task
from ganbench.env import Env, make
from ganbench.errors import InputError


def title(task_name: str) -> str:
    return f"ganbench/{''.join(part.capitalize() for part in task_name.split('_'))}-v0"


def made(name: str) -> gymnasium.Env:
    return gymnasium.make(name, budget="smoke")


def check_without_a_warning(env: gymnasium.Env) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    assert [str(warning.message) for warning in caught] == []


def test_ids_are_registered(task_name: str) -> None:
    assert title(task_name) in gymnasium.registry


def test_no_id_is_left_over() -> None:
    ours = {name for name in gymnasium.registry if name.startswith("ganbench/")}
    assert ours == {title(name) for name in registry.names("tasks")}
    assert "ganbench/TwoCurves-v0" in ours


@pytest.mark.slow
def test_checker_of_gymnasium(task_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every task, with an evaluation that costs nothing; the next test has a real one.

    Of few samples, for the checker draws, copies and compares actions of full size.
    """
    load_task = registry.load_task

    def load_small(name: str) -> Task:
        task = load_task(name)
        return replace(task, budget=replace(task.budget, evaluation_size=256))

    def evaluate(env: Env, samples: Any) -> dict[str, float]:
        env.task.check(samples, env.budget.evaluation_size, "sample")
        return {name: bound.ceiling for name, bound in env.task.bounds.items()}

    monkeypatch.setattr(Env, "evaluate", evaluate)
    monkeypatch.setattr(registry, "load_task", load_small)
    check_without_a_warning(made(title(task_name)))


@pytest.mark.slow
def test_checker_of_gymnasium_with_real_evaluation() -> None:
    check_without_a_warning(made("ganbench/Gaussian-v0"))


def test_module_in_the_id() -> None:
    env = gymnasium.make("ganbench.gym:ganbench/Sine-v0", budget="smoke").unwrapped
    assert isinstance(env, ganbench.gym.GanEnv)
    assert env.observation_space.shape == (25, 128, 64)
    assert env.action_space.shape == (4096, 64)
    assert env.observation_space.dtype == env.action_space.dtype == np.float32


@pytest.mark.slow
def test_images_have_a_range_of_their_own() -> None:
    env = made("ganbench/Mnist-v0")
    env.reset(seed=0)
    for space in (env.observation_space, env.action_space):
        assert (space.low.min(), space.high.max()) == (-1, 1)  # type: ignore[attr-defined]
    images = registry.load_task("mnist").reference.numpy()
    for wrong in (127.5 * (images + 1), (127.5 * (images + 1)).astype(np.uint8)):
        with pytest.raises(InputError, match=r"^step\(action\): images .* x / 127.5 - 1$"):
            env.unwrapped.step(wrong)


def test_evaluation_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    env = made("ganbench/Gaussian-v0")
    env.reset(seed=0)
    threads: list[int] = []

    def measure(real: torch.Tensor, fake: torch.Tensor) -> float:
        threads.append(torch.get_num_threads())
        return 0.0

    task = replace(env.unwrapped.env.task, metrics={"mmd": measure})
    monkeypatch.setattr(env.unwrapped.env, "task", task)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        env.step(registry.load_task("gaussian").reference.numpy())
        assert (threads, torch.get_num_threads()) == ([1], 3)
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_episode_of_real_samples() -> None:
    env = made("ganbench/Gaussian-v0")
    observation, info = env.reset(seed=4)
    assert info == {"step": 0, "steps": 25}
    assert observation in env.observation_space
    task = registry.load_task("gaussian")
    samples = task.reference.numpy()
    total = 0.0
    for step in (25, 50):
        observation, reward, terminated, truncated, info = env.step(samples)
        assert observation in env.observation_space
        assert isinstance(reward, float)
        assert isinstance(terminated, bool)
        assert info["step"] == step
        assert info["steps"] == (25 if step == 25 else 0)
        total += reward
    assert terminated
    assert truncated
    assert total == pytest.approx(task.bounds["mmd"].ceiling - info["metrics"]["mmd"])


def test_seeds() -> None:
    env = made("ganbench/Moons-v0")
    first, again = env.reset(seed=1)[0], env.reset(seed=1)[0]
    assert np.array_equal(first, again)
    assert not np.array_equal(env.reset(seed=2)[0], first)
    assert not np.array_equal(env.reset()[0], env.reset()[0])


def test_observation_keeps_its_shape_in_a_shorter_last_round() -> None:
    env = gymnasium.make("ganbench/Quadratic-v0").unwrapped
    env.reset(seed=0)
    env.env.round = 18
    samples = registry.load_task("quadratic").reference.numpy()
    observation, _, _, truncated, info = env.step(samples)
    assert observation.shape == env.observation_space.shape == (5_001, 256, 2)
    assert (info["steps"], truncated) == (4_982, False)


@pytest.mark.slow
def test_make_vec() -> None:
    envs = gymnasium.make_vec("ganbench/Gaussian-v0", num_envs=2, budget="smoke")
    observations, _ = envs.reset(seed=3)
    assert observations.shape == (2, 25, 4, 2)
    assert not np.array_equal(observations[0], observations[1])
    samples = registry.load_task("gaussian").reference.numpy()
    bad = samples + np.float32(3)
    _, rewards, terminated, truncated, info = envs.step(np.stack([samples, bad]))
    assert rewards[0] > rewards[1]
    assert terminated.tolist() == [True, False]
    assert truncated.tolist() == [False, False]
    assert info["metrics"]["mmd"].shape == (2,)
    envs.close()


def test_both_interfaces_deal_the_same_data() -> None:
    env, own = made("ganbench/Moons-v0"), make("moons", budget="smoke")
    assert np.array_equal(env.reset(seed=7)[0], own.reset(seed=7)[0].numpy())


def test_options_are_refused() -> None:
    env = made("ganbench/Moons-v0")
    assert env.reset(seed=0, options={})
    with pytest.raises(InputError, match=r"^reset takes no options, got 'round'$"):
        env.reset(seed=0, options={"round": 3})


def test_arguments_of_its_own() -> None:
    env = gymnasium.make("ganbench/Moons-v0", budget="smoke", threshold=0.5, device="cpu").unwrapped
    assert env.env.threshold == 0.5
    assert (
        made("ganbench/Moons-v0").unwrapped.env.threshold == registry.load_task("moons").threshold
    )
    with pytest.raises(InputError, match="render_mode must be 'rgb_array' or None, got 'human'"):
        ganbench.gym.GanEnv("moons", render_mode="human")


def test_a_pickled_environment_is_made_anew() -> None:
    env = made("ganbench/Moons-v0").unwrapped
    again = pickle.loads(pickle.dumps(env))
    assert again.observation_space == env.observation_space
    assert np.array_equal(again.reset(seed=2)[0], env.reset(seed=2)[0])


def test_bounds_of_big_boxes_take_no_memory() -> None:
    space = gymnasium.make("ganbench/Sine-v0").unwrapped.observation_space
    assert space.shape == (1024, 128, 64)
    assert {space.low.strides, space.high.strides} == {(0, 0, 0)}
    assert space.sample().shape == space.shape


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Gaussian", "Sine", "Mixture16", "Polygons"])
def test_pictures(name: str) -> None:
    env = gymnasium.make(f"ganbench/{name}-v0", budget="smoke", render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    env.step(env.unwrapped.env.task.reference.numpy())
    after = env.render()
    assert before.dtype == after.dtype == np.uint8
    assert before.shape == after.shape == (*before.shape[:2], 3)
    assert not np.array_equal(before, after)
    env.reset(seed=0)
    assert np.array_equal(env.render(), before)
    assert made(f"ganbench/{name}-v0").unwrapped.render() is None
