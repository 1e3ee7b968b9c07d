"""Loggers: the rows of seeds in CSV files, TensorBoard and Weights & Biases, and nothing else."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ganbench
from ganbench.cli import main
from ganbench.cli.options import SPEC_OPTIONS
from ganbench.errors import InputError
from ganbench.harness import entries, loggers, pictures
from ganbench.harness.entries import Finished
from ganbench.harness.log import Tail, read_log
from ganbench.harness.spec import Progress, Spec

STEPS = 20  # ten evaluations, a row of losses every other one


class Drawing:
    """A GAN whose every step draws from the global streams, which all that happens moves on."""

    def __init__(self, task: ganbench.Task, *, device: str, steps: int = 3) -> None:
        self.seen = torch.zeros(task.width)

    def train_step(self, real: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen = 0.9 * self.seen + torch.randn(2) + np.random.rand()
        return {"size": self.seen.norm(), "mmd": self.seen.sum()}

    def sample(self, n: int) -> torch.Tensor:
        return self.seen + torch.randn(n, 2)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pictures, "draw", lambda *given, **more: [])  # which take longer than all


def train(*log: str, out: str = "runs", seed: int = 0, **more: Any) -> Finished:
    report = more.pop("report", lambda _: None)
    stop = more.pop("stop", None)
    spec = Spec(
        task="gaussian",
        baseline="Drawing",
        function=Drawing,
        steps=STEPS,
        log_every=4,
        log=log,
        **more,
    )
    (finished,) = entries.run([spec], seeds=[seed], out=out, report=report, stop=stop)
    return finished


def rows_of(finished: Finished, seed: int = 0) -> list[dict[str, str]]:
    with (finished.folder / f"seed-{seed}" / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def events_of(finished: Finished) -> EventAccumulator:
    (file,) = (finished.folder / "seed-0").glob("events.*")
    return EventAccumulator(str(file)).Reload()


class Kept:
    """What a fake package of Weights & Biases was told."""

    def __init__(self) -> None:
        self.inits: list[dict[str, Any]] = []
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.summary: dict[str, float] = {}
        self.ended = 0

    def init(self, **given: Any) -> Kept:
        self.inits.append(given)
        Path(given["dir"], "wandb").mkdir()
        return self

    def log(self, values: dict[str, float], *, step: int) -> None:
        self.rows.append((step, values))

    def finish(self) -> None:
        self.ended += 1


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Kept:
    for name in ("WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    kept = Kept()
    package = SimpleNamespace(init=kept.init, Settings=lambda **given: given)
    monkeypatch.setitem(sys.modules, "wandb", package)  # type: ignore[arg-type]
    return kept


def test_a_file_has_the_losses_and_the_metrics_of_each_step() -> None:
    finished = train("csv")
    rows, log = rows_of(finished), read_log(finished.folder / "seed-0" / "log.jsonl")
    assert list(rows[0])[:2] == ["step", "train_seconds"]
    assert [int(row["step"]) for row in rows] == [*range(2, STEPS + 1, 2)]
    known = {int(row["step"]): row["losses/size"] for row in rows if row["losses/size"]}
    assert known == {
        int(step): str(size) for step, size in zip(log["step"], log["size"], strict=True)
    }
    for row, point in zip(rows, finished.seeds[0].curve, strict=True):
        for name, value in point.metrics.items():
            assert float(row[f"metrics/{name}"]) == pytest.approx(value, rel=1e-5)
    # A loss may be called as a metric is.
    assert rows[-1]["losses/mmd"] != rows[-1]["metrics/mmd"]
    assert float(rows[-1]["metrics/mmd"]) == finished.seeds[0].metrics["mmd"]
    assert rows[0]["metrics/precision"] == ""


class Disturbing:
    """A logger that draws from the global streams, as packages may for the name of a run."""

    def __init__(self, about: loggers.About) -> None:
        torch.randn(3)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        torch.randn(5)
        np.random.rand(7)

    def close(self, score: float | None) -> None:
        torch.randn(1)


@pytest.mark.slow
def test_what_is_trained_is_the_same(monkeypatch: pytest.MonkeyPatch, wandb: Kept) -> None:
    alone = train(out="alone").seeds[0]
    logged = train("csv", "tensorboard", "wandb", out="logged").seeds[0]
    monkeypatch.setattr(loggers, "LOGGERS", {"csv": Disturbing})
    disturbed = train("csv", out="disturbed").seeds[0]
    for seed in (logged, disturbed):
        assert seed.samples_sha256 == alone.samples_sha256
        assert [point.losses for point in seed.curve] == [point.losses for point in alone.curve]
    assert train(out="other", seed=1).seeds[0].samples_sha256 != alone.samples_sha256


def test_tensorboard_has_curves_settings_and_the_score() -> None:
    finished = train("tensorboard", hparams={"steps": 5})
    events = events_of(finished)
    assert {"losses/size", "metrics/mmd", "score", "train_seconds"} <= {*events.Tags()["scalars"]}
    assert [each.step for each in events.Scalars("losses/size")] == [4, 8, 12, 16, 20]
    (score,) = events.Scalars("score")
    assert score.step == STEPS
    assert score.value == pytest.approx(finished.seeds[0].score)
    assert "_hparams_/session_start_info" in events.PluginTagToContent("hparams")
    told = str(events.PluginTagToContent("hparams")["_hparams_/session_start_info"])
    assert "hparams.steps" in told


@pytest.mark.slow
def test_wandb_is_offline_with_a_run_a_seed(wandb: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = train("wandb", seed=3)
    (given,) = wandb.inits
    assert given["mode"] == "offline"
    assert (given["project"], given["group"]) == ("ganbench", finished.folder.name)
    assert given["dir"] == str(finished.folder / "seed-3")
    told = {"task": "gaussian", "seed": 3, "budget": "custom", "steps": STEPS}
    assert told.items() <= given["config"].items()
    assert given["config"]["hparams"] == {"steps": 3}
    assert [step for step, _ in wandb.rows] == [*range(2, STEPS + 1, 2)]
    assert {"losses/size", "metrics/mmd", "metrics/precision"} <= wandb.rows[-1][1].keys()
    assert wandb.summary == {"score": finished.seeds[0].score}
    assert wandb.ended == 1
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    train("wandb", seed=3)  # whose folder is not in the way
    assert (wandb.inits[1]["mode"], wandb.inits[1]["project"]) == ("online", "mine")


def test_rows_come_with_each_evaluation(wandb: Kept) -> None:
    seen: list[tuple[int, int]] = []

    def report(progress: Progress) -> None:
        if progress.position is not None:
            seen.append((progress.step, len(wandb.rows)))

    train("wandb", report=report)
    assert seen == [(step, step // 2 - 1) for step in range(2, STEPS + 1, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("log", ["csv", "tensorboard", "wandb"])
def test_a_resumed_run_has_each_row_once(log: str, wandb: Kept) -> None:
    stop = threading.Event()

    def report(progress: Progress) -> None:
        if progress.step >= 10:
            stop.set()

    broken_off = train(log, report=report, stop=stop)
    assert [seed.status for seed in broken_off.seeds] == ["interrupted"]
    assert not wandb.rows or wandb.rows[-1][0] == 10
    wandb.rows.clear()
    whole, straight = train(log, resume=True), train("csv", out="straight")
    steps = [int(row["step"]) for row in rows_of(straight)]
    if log == "csv":
        found, wanted = rows_of(whole), rows_of(straight)
        for row in (*found, *wanted):
            del row["train_seconds"]
        assert found == wanted
    elif log == "wandb":
        assert [step for step, _ in wandb.rows] == steps
    else:
        assert [each.step for each in events_of(whole).Scalars("metrics/mmd")] == steps


@pytest.mark.slow
def test_a_finished_run_can_be_handed_on_later() -> None:
    train()
    assert len(rows_of(train("csv", resume=True))) == STEPS // 2


@pytest.mark.parametrize("where", ["open", "write", "close"])
def test_a_logger_that_fails_is_a_line(
    where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[str] = []

    def failing(name: str) -> Callable[..., None]:
        def call(*given: object) -> None:
            calls.append(name)
            if name == where:
                raise OSError(28, "No space left")

        return call

    class Failing:
        __init__, write, close = failing("open"), failing("write"), failing("close")  # type: ignore

    monkeypatch.setattr(loggers, "LOGGERS", {**loggers.LOGGERS, "wandb": Failing})
    monkeypatch.setattr(loggers, "NEEDS", {**loggers.NEEDS, "wandb": "csv"})
    finished = train("wandb", "csv")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("--log wandb: seed 0: OSError") and "No space left" in line
    assert line.endswith("the run goes on without it")
    assert calls.count(where) == 1
    assert finished.seeds[0].status == "ok"
    assert len(rows_of(finished)) == STEPS // 2


def test_a_seed_that_fails_leaves_the_rows_that_it_had() -> None:
    class Ending(Drawing):
        def train_step(self, real: torch.Tensor) -> dict[str, torch.Tensor]:
            self.steps = getattr(self, "steps", 0) + 1
            return {"size": torch.tensor(float("nan") if self.steps > 9 else 1.0)}

    result = ganbench.run(Ending, "gaussian", steps=STEPS, log="csv", progress=False)
    assert result.seeds[0].status == "diverged"
    assert result.folder is not None
    with (result.folder / "seed-0" / "log.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)][-1] == "8"


def test_a_package_that_is_missing_is_said_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # type: ignore[arg-type]
    arguments = ["run", "mlp_gan", "--task", "gaussian", "--budget", "smoke", "--log", "wandb"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: --log wandb needs a package: pip install 'ganbench[wandb]'")
    assert not Path("runs").exists()


def test_an_unknown_logger_is_a_line() -> None:
    with pytest.raises(InputError, match=r"no logger 'tensorbord': did you mean 'tensorboard'\?"):
        train("tensorbord")


def test_the_command_knows_all_loggers() -> None:
    @SPEC_OPTIONS["log"]
    def command() -> None: ...

    (option,) = command.__click_params__  # type: ignore[attr-defined]
    assert [*option.type.choices] == [*loggers.LOGGERS] == [*loggers.NEEDS]


@pytest.mark.slow
def test_seeds_of_two_workers_have_a_file_each() -> None:
    arguments = "run mlp_gan --task gaussian --budget smoke --seeds 2 --workers 2 --log csv --json"
    done = CliRunner().invoke(main, arguments.split())
    assert done.exit_code == 0, done.stderr
    for seed in json.loads(done.stdout)["seeds"]:
        path = Path("runs/gaussian/mlp_gan-smoke", f"seed-{seed['seed']}", "log.csv")
        with path.open(newline="") as file:
            last = [*csv.DictReader(file)][-1]
        assert (last["step"], float(last["metrics/mmd"])) == ("50", seed["metrics"]["mmd"])


@pytest.mark.slow
def test_nothing_of_them_is_imported_unless_asked_for() -> None:
    code = (
        "import sys; from ganbench.harness import entries; from ganbench.harness.spec import Spec\n"
        "entries.run([Spec(task='gaussian', baseline='uniform_noise', steps=2, log={log})])\n"
        "print([name for name in ('tensorboard', 'wandb') if name in sys.modules])"
    )
    for log, found in ((), "[]"), (("csv",), "[]"), (("tensorboard",), "['tensorboard']"):
        command = [sys.executable, "-c", code.format(log=log)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == found


def test_a_tail_reads_whole_rows_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    tail = Tail(path)
    assert tail.rows() == []
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert tail.rows() == [{"step": 1}, {"step": 2}]
    with path.open("a") as file:
        file.write('ep": 3}\n{"step": "x"}\n')
    with pytest.raises(InputError, match="line 4 is no row"):
        tail.rows()
