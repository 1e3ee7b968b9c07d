"""What all tests share: one thread, and a run over every bundled task or baseline.

A test that takes `task_name` or `baseline_name` runs once for each that the registry finds;
`task` and `baseline` are the same ones, loaded.
"""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from xdist.remote import Producer
from xdist.scheduler import WorkStealingScheduling

from ganbench import data, registry
from ganbench.board import index
from ganbench.cli import progress
from ganbench.core import Task
from ganbench.errors import InputError
from ganbench.registry import Baseline
from ganbench.system import threads

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start, beside others

PATIENCE = progress.PATIENCE
CONFORMANCE = {"task_name": "tasks", "baseline_name": "baselines"}
load_task = functools.cache(registry.load_task)
load_baseline = functools.cache(registry.load_baseline)


SUITED = {"cgan": "ring8", "dcgan": "mnist"}  # a task that a baseline is made for, if not all


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for argument, kind in CONFORMANCE.items():
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, registry.names(kind))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> WorkStealingScheduling:
    """Each process is given tests in one piece: what a module's tests share is made once."""
    return WorkStealingScheduling(config, log)


@pytest.fixture(scope="module", autouse=True)
def settled() -> Iterator[None]:
    """What a module leaves behind, gigabytes in the end, is not gone through in all the others."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture
def index_folder(tmp_path: Path) -> Path:
    """Where what is known of leaderboards is kept; a module may share one among its tests."""
    return tmp_path.with_name(f"{tmp_path.name}-cache")


@pytest.fixture(autouse=True)
def index_of_its_own(monkeypatch: pytest.MonkeyPatch, index_folder: Path) -> None:
    """No test reads or writes the user's index of leaderboards."""
    monkeypatch.setattr(index, "cache_folder", lambda: index_folder)


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as where there is no terminal, whoever runs the tests in whichever."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that say what takes them long say it on no machine, unless a test is about that."""
    monkeypatch.setattr(progress, "PATIENCE", 3600.0)


@pytest.fixture
def as_for_users(no_hurry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test of when a command says what takes it long."""
    monkeypatch.setattr(progress, "PATIENCE", PATIENCE)


@pytest.fixture(autouse=True)
def fashion_mnist_at_hand(request: pytest.FixtureRequest) -> None:
    """Skip what needs Fashion-MNIST where no route leads to it; without MNIST tests fail."""
    spec = getattr(request.node, "callspec", None)
    if spec is not None and "fashion_mnist" in spec.params.values():
        try:
            data.load("fashion_mnist")
        except InputError as error:
            pytest.skip(str(error))


@pytest.fixture
def task(task_name: str) -> Task:
    return load_task(task_name)


@pytest.fixture
def baseline(baseline_name: str) -> Baseline:
    return load_baseline(baseline_name)


@pytest.fixture
def suited(baseline_name: str) -> Task:
    """A task that the baseline can be trained on: of small batches, where that may be."""
    return load_task(SUITED.get(baseline_name, "gaussian"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For what must not round otherwise, or fight with another process for the cores."""
    with threads.one_thread():
        yield


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)
