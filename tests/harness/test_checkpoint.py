"""Checkpoints: any state comes back the same, a GAN goes on as if it had never stopped."""

from __future__ import annotations

import math
import random
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganbench import nn, randomness
from ganbench.core import Task
from ganbench.engine.trainer import Trainer
from ganbench.errors import InputError
from ganbench.harness import checkpoint, stored
from ganbench.harness.stored import UnsaveableError
from ganbench.randomness import generator
from ganbench.registry import load_baseline, load_task


def through_a_file(state: Any, folder: Path) -> Any:
    path = folder / "state.safetensors"
    stored.save_state(path, state)
    return stored.load_state(path)


def equal(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


STATES = {
    "nothing": {},
    "scalars": [None, True, False, 0, -7, 2**100, 0.1, -0.0, math.inf, "text", "", "\u00e9\n"],
    "keys": {1: "int", "1": "str", -2: {"nested": {0: ()}}},
    "tuples": ((), (1,), [(), [2, (3.5,)]], {"t": (1, [2])}),
    "tensors": {
        "float": torch.randn(3, 4),
        "empty": torch.zeros(0, 2),
        "scalar": torch.tensor(3),
        "bool": torch.tensor([True, False]),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "half": torch.tensor([1.5], dtype=torch.bfloat16),
        "double": [torch.tensor([math.pi], dtype=torch.float64)],
        "strided": torch.arange(12).view(3, 4).T[::2],
    },
    "arrays": {"int": np.arange(4), "f": (np.zeros((2, 0)), np.array(1.5, dtype=np.float32))},
    "bit generator": np.random.default_rng(3).bit_generator.state,
    "mersenne twister": np.random.Generator(np.random.MT19937(3)).bit_generator.state,
    "lookalikes": {"tensor": "0", "dict": [["a", 1]], "list": {"tuple": [1]}},
}


@pytest.mark.parametrize("name", sorted(STATES))
def test_state_comes_back(name: str, tmp_path: Path) -> None:
    assert equal(through_a_file(STATES[name], tmp_path), STATES[name])


def test_nan_comes_back(tmp_path: Path) -> None:
    assert math.isnan(through_a_file([math.nan], tmp_path)[0])


def test_array_scalars_come_back_as_numbers(tmp_path: Path) -> None:
    back = through_a_file([np.float64(0.1), np.int32(4), np.bool_(True)], tmp_path)
    assert equal(back, [0.1, 4, True])


def test_shared_tensors_and_graphs_are_no_obstacle(tmp_path: Path) -> None:
    shared = torch.ones(2, requires_grad=True)
    back = through_a_file([shared, shared, shared * 2], tmp_path)
    assert equal(back, [torch.ones(2), torch.ones(2), 2 * torch.ones(2)])


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), 1j], ids=lambda v: type(v).__name__)
def test_what_cannot_be_stored(value: Any, tmp_path: Path) -> None:
    with pytest.raises(UnsaveableError, match=f"cannot store a {type(value).__name__}"):
        stored.save_state(tmp_path / "state", {"a": [value]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "value",
    [np.complex64(1j), np.array(["text"]), np.array([None])],
    ids=["complex", "text", "object"],
)
def test_what_numpy_holds_and_a_file_cannot(value: Any, tmp_path: Path) -> None:
    with pytest.raises(UnsaveableError):
        stored.save_state(tmp_path / "state", {"a": value})


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "state"
    stored.save_state(path, {"a": torch.arange(100)})
    whole = path.read_bytes()
    for damaged in (b"", b"text", whole[:50], whole[:-1], b"\xff" * 8 + whole[8:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"is damaged .*: run without --resume"):
            stored.load_state(path)


def test_files_of_others_are_damaged_too(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / "state")
    with pytest.raises(InputError, match="is damaged"):
        stored.load_state(tmp_path / "state")


def test_saving_replaces_the_former_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "state"
    stored.save_state(path, {"a": 1})
    with pytest.raises(UnsaveableError):
        stored.save_state(path, {"a": object()})
    assert stored.load_state(path) == {"a": 1}
    stored.save_state(path, {"a": 2})
    assert stored.load_state(path) == {"a": 2}
    assert [file.name for file in path.parent.iterdir()] == ["state"]


class Plain:
    """Learns to shift noise; every kind of attribute that a GAN may have."""

    def __init__(self, task: Task | None = None) -> None:
        self.task = task
        self.net = nn.mlp([2, 4, 2])
        self.optimizer = nn.Adam(self.net.parameters())
        self.rng = generator(0, "plain")
        self.numpy_rng = np.random.default_rng(0)
        self.loss = torch.nn.functional.mse_loss
        self.total = torch.zeros(2)
        self.history: list[tuple[int, float]] = []
        self.seen = {0: np.zeros(2)}
        self.label: str | None = None

    def train_step(self, real: Tensor) -> dict[str, Tensor]:
        noise = torch.randn(real.shape, generator=self.rng) + self.numpy_rng.normal()
        loss = self.loss(self.net(noise), real)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.total += real.sum(0)
        self.history.append((len(self.history), float(loss.detach())))
        self.seen[0] += 1
        return {"loss": loss.detach()}

    def sample(self, n: int) -> Tensor:
        with torch.no_grad():
            return self.net(torch.randn(n, 2, generator=self.rng)) + self.total


class Module(torch.nn.Module):
    """The same as a module: its own state_dict would forget the optimiser."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.mlp([2, 4, 2])
        self.register_buffer("total", torch.zeros(2))
        self.optimizer = nn.Adam(self.parameters())
        self.rng = generator(0, "module")
        self.steps = 0

    def train_step(self, real: Tensor) -> dict[str, Tensor]:
        loss = (self.net(torch.randn(real.shape, generator=self.rng)) - real).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.total += real.sum(0)
        self.steps += 1
        return {"loss": loss.detach()}

    def sample(self, n: int) -> Tensor:
        with torch.no_grad():
            return self.net(torch.randn(n, 2, generator=self.rng)) + self.total + self.steps


class HeldByOptimizer:
    """Parameters in a plain tensor, in a list, in a dict: an optimiser holds these very ones."""

    def __init__(self) -> None:
        self.shift = torch.zeros(2, requires_grad=True)
        self.layers = [torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)]
        self.named = {"scale": (torch.ones(2, requires_grad=True),)}
        self.optimizer = torch.optim.SGD([self.shift, *self.layers, *self.named["scale"]], lr=0.1)

    def train_step(self, real: Tensor) -> dict[str, Tensor]:
        scale = self.layers[0] * self.layers[1] * self.named["scale"][0]
        loss = (real * scale + self.shift).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    def sample(self, n: int) -> Tensor:
        return (torch.ones(n, 2) * self.layers[0] * self.named["scale"][0] + self.shift).detach()


class ParameterList(Plain):
    """A list of a module's parameters, kept for clipping or for `backward(inputs=)`."""

    def __init__(self) -> None:
        super().__init__()
        self.parameters = list(self.net.parameters())

    def train_step(self, real: Tensor) -> dict[str, Tensor]:
        log = super().train_step(real)
        with torch.no_grad():
            for parameter in self.parameters:
                parameter.clamp_(-0.5, 0.5)
        return log


class Replaced(Plain):
    """Tensors that are one when it is built, and that steps replace, each by one of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.center = CENTER
        self.mean = self.fast = self.slow = CENTER
        self.pair = [self.mean, self.mean]

    def train_step(self, real: Tensor) -> dict[str, Tensor]:
        self.mean = real.mean(0)
        self.fast = 0.5 * self.fast + 0.5 * self.mean
        self.slow = 0.9 * self.slow + 0.1 * self.mean
        self.pair = [self.pair[0] + self.fast, self.pair[1] - self.slow]
        return {**super().train_step(real), "mean": self.mean.sum()}

    def sample(self, n: int) -> Tensor:
        return super().sample(n) + self.fast - 2 * self.slow + 3 * self.pair[0] + 5 * self.pair[1]


CENTER = torch.tensor([1.0, 2.0])  # a task's, say


class SpeaksForItself:
    """Has state of a kind that could not be stored, and says what matters of it."""

    def __init__(self) -> None:
        self.queue: deque[float] = deque(maxlen=3)

    def state_dict(self) -> dict[str, Any]:
        return {"queue": self.queue}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.queue.extend(state["queue"])

    def train_step(self, real: Tensor) -> dict[str, Tensor]:
        self.queue.append(float(real.sum()))
        return {}

    def sample(self, n: int) -> Tensor:
        return torch.full((n, 2), sum(self.queue))


def small_game() -> Trainer:
    task = load_task("gaussian")
    return Trainer(load_baseline("mlp_gan").make(task, g_hidden=[4]), seed=0)


GANS = {
    "plain": Plain,
    "module": Module,
    "held by an optimiser": HeldByOptimizer,
    "list of parameters": ParameterList,
    "replaced": Replaced,
    "speaks for itself": SpeaksForItself,
    "trainer": small_game,
}


def built(name: str) -> Any:
    torch.manual_seed(0)
    return GANS[name]()


@pytest.mark.parametrize("name", sorted(GANS))
def test_gan_goes_on_with_the_same_bits(name: str, tmp_path: Path) -> None:
    real = torch.randn(12, 4, 2, generator=torch.Generator().manual_seed(1))
    gan = built(name)
    tensors = checkpoint.own_tensors(gan)
    for batch in real[:6]:
        gan.train_step(batch)
    state = through_a_file(checkpoint.gan_state(gan, tensors), tmp_path)
    resumed = built(name)
    checkpoint.restore_gan(resumed, state)
    for batch in real[6:]:
        assert equal(dict(resumed.train_step(batch)), dict(gan.train_step(batch)))
    assert torch.equal(resumed.sample(5), gan.sample(5))
    assert CENTER.tolist() == [1, 2]


def test_baselines_can_be_stored(baseline_name: str, suited: Task, tmp_path: Path) -> None:
    def build() -> Any:
        torch.manual_seed(0)
        made = load_baseline(baseline_name).make(suited)
        return made if hasattr(made, "train_step") else Trainer(made, seed=0)

    gan, resumed = build(), build()
    tensors = checkpoint.own_tensors(gan)
    real = suited.sample(12, torch.Generator().manual_seed(1)).view(3, 4, *suited.shape)
    gan.train_step(real[0])
    gan.train_step(real[1])
    checkpoint.restore_gan(resumed, through_a_file(checkpoint.gan_state(gan, tensors), tmp_path))
    for each in (gan, resumed):
        torch.manual_seed(2)
        each.train_step(real[2])
    torch.manual_seed(3)
    samples = gan.sample(5)
    torch.manual_seed(3)
    assert torch.equal(resumed.sample(5), samples)


def test_plain_attributes_come_back(tmp_path: Path) -> None:
    gan = Plain(load_task("gaussian"))
    tensors = checkpoint.own_tensors(gan)
    gan.label = "trained"
    gan.train_step(torch.ones(4, 2))
    state = through_a_file(checkpoint.gan_state(gan, tensors), tmp_path)
    assert not {"task", "loss"} & state.keys()
    resumed = Plain(load_task("gaussian"))
    checkpoint.restore_gan(resumed, state)
    assert resumed.label == "trained"
    assert resumed.history == gan.history
    assert resumed.seen[0].tolist() == [1, 1]
    assert resumed.total.tolist() == [4, 4]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], None),
        ((), 3),
        ([1], [1, 2]),
        ({}, None),
        ({"a": 1}, "text"),
        (None, [1]),
        (torch.zeros(2), None),
        (torch.zeros(2), torch.full((2,), 1 / 3, dtype=torch.float64)),
        (torch.zeros(2), torch.ones(3)),
        ([torch.zeros(2)], (torch.ones(2),)),
        (3, {"a": torch.ones(1)}),
    ],
    ids=str,
)
def test_attributes_may_change_their_kind(before: Any, after: Any, tmp_path: Path) -> None:
    gan, resumed = SimpleNamespace(value=after), SimpleNamespace(value=before)
    checkpoint.restore_gan(resumed, through_a_file(checkpoint.gan_state(gan, {}), tmp_path))
    assert equal(resumed.value, after)


@pytest.mark.parametrize(
    "value",
    [deque([1]), {1, 2}, b"bytes", random.Random(0), {(1, 2): 3}],
    ids=lambda v: type(v).__name__,
)
def test_odd_attributes_are_named(value: Any) -> None:
    gan = Plain()
    gan.odd = value  # type: ignore[attr-defined]
    with pytest.raises(UnsaveableError) as caught:
        checkpoint.gan_state(gan, {})
    assert str(caught.value) == (
        f"no checkpoints: cannot store attribute 'odd' ({type(value).__name__}) of Plain; "
        "define state_dict and load_state_dict"
    )


def test_global_streams_come_back(tmp_path: Path) -> None:
    def numbers() -> list[float]:
        return [float(torch.rand(())), np.random.rand(), random.random(), random.gauss(0, 1)]

    numbers()
    state = through_a_file(randomness.random_state(), tmp_path)
    expected = numbers()
    numbers()
    randomness.restore_random(state)
    assert numbers() == expected


class Unwilling:
    """Whose state cannot be had, or not be put back."""

    def state_dict(self) -> dict[str, Any]:
        raise KeyError("none")

    def load_state_dict(self, state: Any) -> None:
        raise ValueError("not mine")


def test_errors_of_an_authors_own_state_are_lines() -> None:
    with pytest.raises(UnsaveableError, match=r"no checkpoints: KeyError.*'none'"):
        checkpoint.gan_state(Unwilling(), {})
    with pytest.raises(InputError, match=r"cannot resume: ValueError.*not mine: run without --res"):
        checkpoint.restore_gan(Unwilling(), {})
