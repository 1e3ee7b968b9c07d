"""The options of a run and the spec that they make."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from ganbench.cli import main, run_commands
from ganbench.cli.options import SPEC_OPTIONS
from ganbench.errors import InputError
from ganbench.harness import bench, entries
from ganbench.harness.spec import Spec

GIVEN = {
    "task": "sine",
    "budget": "quick",
    "steps": 7,
    "device": "cuda",
    "compile": "off",
    "precision": "bf16",
    "tuning-trials": 3,
    "log-every": 5,
    "sample-every": 6,
    "log": "csv",
    "time-limit": 60.0,
}
SPEC = Spec(
    baseline="mlp_gan",
    task="sine",
    budget="quick",
    steps=7,
    device="cuda",
    compiled=False,
    precision="bf16",
    hparams={"lr": 0.1},
    tuning_trials=3,
    log_every=5,
    sample_every=6,
    log=("csv",),
    time_limit=60.0,
    resume=True,
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a command would have had trained or timed."""
    seen: list[Any] = []

    def run(specs: Sequence[Spec], **more: Any) -> None:
        seen.append((list(specs), more))
        raise InputError("enough")

    def measure(spec: Spec, **more: Any) -> None:
        seen.append((spec, more))
        raise InputError("enough")

    monkeypatch.setattr(entries, "run", run)
    monkeypatch.setattr(bench, "measure", measure)
    return seen


def invoke(*arguments: str) -> None:
    result = CliRunner().invoke(main, list(arguments))
    assert result.stderr == "Error: enough\n", result.output


def as_options(given: dict[str, Any]) -> list[str]:
    return [f"--{name}={value}" for name, value in given.items()]


def test_options_are_fields_of_a_spec() -> None:
    known = {each.name for each in fields(Spec)}
    assert SPEC_OPTIONS.keys() <= known
    # All but where a run leaves its files, which follows from the entry's name, whether it is under
    # a published protocol, which is a command of its own, hidden parameters, which are drawn by
    # verify, a GAN that is no file, and the hashes of what is trained, and on what.
    hashes = {"source", "task_sha256"}
    assert known - SPEC_OPTIONS.keys() == {"folder", "protocol", "hidden", "function", *hashes}


def test_every_option_reaches_the_spec(asked: list[Any]) -> None:
    others = ("--seeds=4", "--first-seed=2", "--workers=1", "--leaderboard=lb", "--out=o")
    invoke("run", "mlp_gan", *as_options(GIVEN), "--set=lr=0.1", "--resume", "--quiet", *others)
    ((specs, more),) = asked
    assert specs == [SPEC]
    assert (more["seeds"], more["workers"]) == (range(2, 6), 1)
    assert (str(more["leaderboard"]), str(more["out"])) == ("lb", "o")


def test_without_options_a_spec_has_its_defaults(asked: list[Any]) -> None:
    invoke("run", "oracle", "--task", "sine")
    ((specs, more),) = asked
    assert specs == [Spec(task="sine", baseline="oracle", device="auto")]
    assert more["seeds"] == range(1)


def test_choices_of_values_are_specs_and_count_as_trials(asked: list[Any]) -> None:
    invoke("run", "mlp_gan", *as_options(GIVEN), "--set=lr=0.1,0.2", "--resume", "--quiet")
    ((specs, _),) = asked
    assert specs == [replace(SPEC, hparams={"lr": lr}, tuning_trials=5) for lr in (0.1, 0.2)]


def test_bench_has_its_own_tasks(asked: list[Any]) -> None:
    invoke("bench", "--device=cpu", "--compile=on", "--set=lr=0.1", "--seeds=3", "--workers=2")
    ((spec, more),) = asked
    assert spec == Spec(
        task="gaussian", baseline="mlp_gan", device="cpu", compiled=True, hparams={"lr": 0.1}
    )
    assert (more["seeds"], more["workers"], more["seconds"]) == (3, 2, 2.0)


def test_no_command_copies_options() -> None:
    for command in run_commands.COMMANDS:
        assert isinstance(command, click.Command)
        written = inspect.unwrap(command.callback)  # type: ignore[arg-type]
        assert len(inspect.signature(written).parameters) <= 8, command.name
