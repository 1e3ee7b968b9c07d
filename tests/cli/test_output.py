"""What a command says where: its document on standard output, all else on standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from torch import Tensor

import ganbench
from ganbench import registry
from ganbench.cli import main, progress
from ganbench.cli.progress import BEFORE_STEPS, DRAWING, SCORING, show_progress, working
from ganbench.core import Task
from ganbench.harness import bench, pictures
from ganbench.harness.spec import Spec

TALKATIVE = """
print("while importing")
class GAN:
    def __init__(self, task, *, device="cpu", width=None):
        print("while building")
        self.shape = task.shape
    def train_step(self, real):
        print("while training")
        return {}
    def sample(self, n):
        print("while sampling")
        return __import__("torch").zeros(n, *self.shape)
def resolve(task, **hparams):
    print("while resolving")
    return {"width": hparams["width"] or 3}
"""
SAID = [f"while {what}" for what in ("importing", "resolving", "building", "training", "sampling")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_gan.py").write_text(TALKATIVE)


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    return result


def own_task() -> str:
    """A task file that prints when it is imported and when it is judged by."""
    source = registry.find("tasks", "gaussian")
    extra = """
from dataclasses import replace
print("task imported")
METRICS = {"mmd": lambda real, fake: print("task judges") or TASK_MMD(real, fake)}
TASK_MMD = TASK.metrics["mmd"]
TASK = replace(TASK, metrics={**TASK.metrics, **METRICS})
"""
    Path("mine.py").write_text(source.read_text() + extra)
    Path("mine.json").write_bytes(source.with_suffix(".json").read_bytes())
    return "mine.py"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_a_gan_prints_is_no_part_of_the_document(workers: str) -> None:
    """In a process of its own: workers write to the standard error that their server began with.

    Several at once, so that where nothing is buffered a line may start within another one's.
    """
    run = ("run", "my_gan.py", "--task", "gaussian", "--steps", "2", "--seeds", "2", "--json")
    command = [sys.executable, "-m", "ganbench", *run, "--workers", workers]
    environment = {**os.environ, "PYTHONPATH": str(Path(ganbench.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert len(json.loads(done.stdout)["seeds"]) == 2
    assert [line for line in SAID if line not in done.stderr] == []


def test_what_a_gan_prints_while_it_is_timed() -> None:
    result = invoke("bench", "my_gan.py", "--task", "gaussian", "--seconds", "0.1", "--json")
    assert json.loads(result.stdout)["task"] == "gaussian"
    assert result.stderr.splitlines()[0] == "while importing"


@pytest.mark.slow
def test_what_a_task_prints_is_no_part_of_the_document() -> None:
    task = own_task()
    np.save("points.npy", np.random.default_rng(0).normal(size=(200, 2)))
    result = invoke("evaluate", "points.npy", "--task", task, "--json")
    assert json.loads(result.stdout)["task"] == "gaussian"
    assert {"task imported", "task judges"} <= set(result.stderr.splitlines())
    listed = invoke("list", "baselines", "--task", task, "--json")
    assert len(json.loads(listed.stdout)) == len(registry.names("baselines"))
    assert "task imported" in listed.stderr
    run = invoke("run", "oracle", "--task", task, "--steps", "2", "--json")
    assert json.loads(run.stdout)["task"]["name"] == "gaussian"
    audited = invoke("audit", "mean_error", "--task", task, "--size", "128", "--draws", "20")
    assert "task imported" not in audited.stdout
    drawn = invoke("plot", "runs/gaussian/oracle-2steps-changed")
    assert "task imported" in drawn.stderr
    assert all(Path(line).exists() for line in drawn.stdout.splitlines())


def test_list_shows_what_is_used_on_a_task() -> None:
    by_task = invoke("list", "baselines").stdout
    assert "--set lr=by task, g_lr=by task" in by_task
    on_ring = invoke("list", "baselines", "--task", "ring8").stdout
    assert "--set latent_dim=8, g_hidden=[128, 128, 128]" in on_ring
    assert "g_lr=0.0005" in on_ring
    assert "latent_dim=64" in invoke("list", "baselines", "--task", "sine").stdout
    refused = CliRunner().invoke(main, ["list", "metrics", "--task", "sine"])
    assert refused.exit_code == 2
    assert "--task is for baselines, not for metrics" in refused.stderr


def test_long_work_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    with working("first") as tell:
        print("of the user")
        wait_for("first", capsys)
        tell("second")
        tell("third")
        wait_for("third", capsys)
    assert capsys.readouterr() == ("", "")
    assert not timers()


def timers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if isinstance(each, threading.Timer)]


def wait_for(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """That the line is said on standard error, nothing but the user's before it."""
    heard = ""
    end = time.monotonic() + 30
    while line not in heard:
        assert time.monotonic() < end
        time.sleep(0.01)
        captured = capsys.readouterr()
        assert captured.out == ""
        heard += captured.err
    assert heard.replace("of the user\n", "") == f"{line}\n"


@pytest.mark.parametrize("quiet", [False, True])
def test_short_work_is_not_said(
    quiet: bool, as_for_users: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with working("first", quiet=quiet) as tell:
        tell("second")
    assert capsys.readouterr() == ("", "")
    assert not timers()


def test_on_a_terminal_the_line_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    before = sys.stdout, sys.stderr
    with working("first") as tell:
        heard, end = "", time.monotonic() + 30
        while "first" not in heard:
            assert time.monotonic() < end
            time.sleep(0.01)
            heard += capsys.readouterr().err
        tell("second")
    assert (sys.stdout, sys.stderr) == before
    assert not timers()
    ending = capsys.readouterr().err
    assert "\x1b[2K" in ending or "\x1b[?25h" in ending  # erased, and the cursor is back


@pytest.mark.slow
def test_before_the_first_step_a_run_says_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = TALKATIVE.replace('print("while building")', "__import__('time').sleep(1)")
    Path("my_gan.py").write_text(slow)
    monkeypatch.setattr(progress, "PATIENCE", 0.2)
    lines = invoke("run", "my_gan.py", "--task", "gaussian", "--steps", "2").stderr.splitlines()
    assert lines.count(BEFORE_STEPS) == 1
    (step,) = [place for place, line in enumerate(lines) if "step 2/2" in line and "mmd at" in line]
    assert lines.index(BEFORE_STEPS) < step


@pytest.mark.slow
def test_after_the_last_step_a_run_says_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.2)
    monkeypatch.setattr(pictures, "draw", lambda *_: time.sleep(1) or [])
    evaluate = Task.evaluate

    def slowly(self: Task, real: Tensor, fake: Tensor) -> dict[str, float]:
        time.sleep(1)
        return evaluate(self, real, fake)

    monkeypatch.setattr(Task, "evaluate", slowly)
    lines = invoke("run", "oracle", "--task", "gaussian", "--steps", "1").stderr.splitlines()
    assert lines.count(SCORING) == lines.count(DRAWING) == 1
    (score,) = [place for place, line in enumerate(lines) if "mmd at " in line]
    assert lines.index(SCORING) < score < lines.index(DRAWING)


def test_progress_is_silent_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(named=False, lines=True, quiet=True) as report:
        report(None)  # type: ignore[arg-type]
    assert capsys.readouterr() == ("", "")


def test_bench_reports_its_parts() -> None:
    said: list[str] = []
    bench.measure(Spec(task="gaussian", baseline="oracle"), seconds=0.1, report=said.append)
    assert [line.split(":")[0] for line in said] == ["gaussian"] * 4
    assert "trying how long a step takes" in said[0]
    assert "steps of 1 seeds, workers: 1" in said[1]
    assert "where the time of a step goes" in said[2]
    assert "how long an evaluation takes" in said[3]
