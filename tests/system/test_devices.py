"""Devices: what is refused, how one is waited for, and that MPS is handed nothing in float64.

No MPS device is needed, and none has been at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganbench import randomness
from ganbench.cli import main
from ganbench.core import Task
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.engine.unstackable import UnstackableError
from ganbench.env import Env
from ganbench.errors import InputError
from ganbench.harness import machine
from ganbench.harness.entries import circumstances
from ganbench.harness.log import columns
from ganbench.harness.spec import Spec, build, look_up
from ganbench.registry import load_task
from ganbench.system import devices

# Of the bundled ones; docs/training.md names them.
IN_FLOAT64 = {"moment_matching", "gaussian_mixture", "kde", "cgan"}


@pytest.fixture
def mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


def test_a_device_that_is_not_there_is_a_line(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    done = CliRunner().invoke(main, ["run", "mlp_gan", "--task", "gaussian", "--device", "mps"])
    assert done.exit_code == 2
    wanted = "Error: device 'mps' asked for, but torch sees no Metal GPU: use --device cpu"
    assert done.stderr.splitlines() == [wanted]
    assert not list(tmp_path.glob("runs/**/seed-*"))


@pytest.mark.usefixtures("mps")
def test_mps_is_taken_where_it_is_asked_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.resolve_device("mps") == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.resolve_device("auto") == "cpu"
    with pytest.raises(InputError, match="got 'cuda:1': say by CUDA_VISIBLE_DEVICES which GPU"):
        devices.resolve_device("cuda:1")
    for wrong in ("tpu", "", "mps2", "cpu:0"):
        with pytest.raises(InputError, match="must be auto, cpu, cuda or mps"):
            devices.resolve_device(wrong)
    with pytest.raises(InputError, match="tf32 is a CUDA device's"):
        look_up(Spec(task="gaussian", baseline="mlp_gan", device="mps", precision="tf32"))


def test_each_device_is_waited_for_by_its_own_means() -> None:
    assert devices.waiter(torch.device("mps")) is torch.mps.synchronize
    second = devices.waiter(torch.device("cuda:1"))
    assert isinstance(second, partial) and second.func is torch.cuda.synchronize
    assert second.args == (torch.device("cuda:1"),)
    assert devices.waiter(torch.device("cpu"))() is None


def test_samples_are_judged_where_there_is_float64() -> None:
    task = load_task("gaussian")
    on_mps = Env(task, device="mps", thorough=False)
    assert on_mps.judging == torch.device("cpu")
    on_mps.round = 0
    assert on_mps.evaluate(task.reference)["mmd"] < 0.1
    for device in ("cpu", "cuda:1"):
        assert Env(task, device=device).judging == torch.device(device)


def test_a_game_on_another_device_is_trained_step_by_step() -> None:
    trainer = build(look_up(Spec(task="gaussian", baseline="mlp_gan")), 0)
    assert isinstance(trainer, Trainer)
    trainer.generator.to("meta")
    with pytest.raises(UnstackableError, match="no stack has been tried on meta"):
        Stack([trainer], (8, 2))


def test_a_result_says_where_it_was_trained(mps: None) -> None:
    described = machine.describe("mps")
    assert described.accelerator is not None and described.accelerator.endswith("(MPS)")
    assert described.driver is None
    assert machine.describe("cpu").accelerator is None
    for device, named in ("mps", ["mps"]), ("cpu", []):
        job = look_up(Spec(task="gaussian", baseline="mlp_gan", device=device))
        assert circumstances(job) == named


@pytest.mark.usefixtures("mps")
def test_the_random_stream_of_the_device_is_kept_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = [torch.tensor([1])]
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: stream[0])
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda state: stream.__setitem__(0, state))
    with randomness.left_where_it_was():
        stream[0] = torch.tensor([2])
    assert stream[0] == 1


class Calls(TorchFunctionMode):
    """The names of what is called of torch inside."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


def test_logged_values_leave_the_device_before_they_become_float64() -> None:
    with Calls() as calls:
        found = columns([{"loss": torch.tensor(0.1)}, {"loss": torch.tensor(0.2)}])
    assert calls.names.index("cpu") < calls.names.index("double")
    assert found["loss"].tolist() == [float(torch.tensor(0.1)), float(torch.tensor(0.2))]


class Kinds(TorchDispatchMode):
    """What kinds of numbers are computed inside."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[torch.dtype] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        self.found |= {each.dtype for each in tree_leaves(made) if isinstance(each, torch.Tensor)}
        return made


@pytest.mark.usefixtures("one_thread")
def test_which_baselines_compute_in_float64(baseline_name: str, suited: Task) -> None:
    gan = build(look_up(Spec(task=suited.name, baseline=baseline_name, steps=2)), 0)
    rng = torch.Generator().manual_seed(0)
    batches = [suited.sample(8, rng) for _ in range(2)]
    with Kinds() as kinds:
        for real in batches:
            gan.train_step(real)
        gan.sample(7)
    assert torch.float32 in kinds.found or not isinstance(gan, nn.Module | Trainer)
    assert (torch.float64 in kinds.found) == (baseline_name in IN_FLOAT64)


def test_the_documentation_names_them() -> None:
    text = (Path(__file__).parents[2] / "docs/training.md").read_text(encoding="utf-8")
    section = text.partition("## Apple's GPUs")[2].partition("\n## ")[0]
    assert {name for name in IN_FLOAT64 if f"`{name}`" in section} == IN_FLOAT64
