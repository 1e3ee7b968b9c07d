"""`ganbench sweep`: what is to be done, where it goes on, what it makes of failures."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ganbench import registry
from ganbench.board import checking, submission
from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.harness import stored, sweep, sweep_file
from ganbench.harness.spec import Spec
from ganbench.results import schema, store

FILE = """
seeds = 2
budget = "smoke"
tasks = ["gaussian", "ring8"]
baselines = ["moment_matching", "own.py"]
[settings.own]
set = {size = 2.0}
tuning_trials = 3
[[more]]
tasks = ["gaussian"]
baselines = ["oracle"]
seeds = 1
"""
OWN = """
import torch
from ganbench.errors import InputError

class GAN:
    def __init__(self, task, *, device="cpu", size=1.0):
        if task.name == "ring8":
            raise InputError("not for rings")
        self.size, self.seen = size, torch.zeros(())

    def train_step(self, real):
        self.seen += 1
        return {"seen": self.seen}

    def sample(self, n):
        return self.size * torch.randn(n, 2)
"""
SLOW = OWN.replace("self.seen += 1", "self.seen += 1\n        __import__('time').sleep(0.03)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "board.toml").write_text(FILE)
    return tmp_path / "board.toml"


def command(path: Path, *more: str) -> Result:
    folder = path.parent
    given = ["sweep", str(path), "--leaderboard", str(folder / "lb"), "--out", str(folder / "runs")]
    return CliRunner().invoke(main, [*given, "--workers", "1", *more])


def planned(path: Path) -> list[sweep.Item]:
    wanted = sweep_file.wanted(path)
    return [sweep.plan(spec, range(count), path.parent / "lb") for spec, count in wanted]


def run(item: sweep.Item, path: Path, stop: Any = None, report: Any = None) -> sweep.Ended:
    return sweep.run(
        item,
        workers=1,
        leaderboard=path.parent / "lb",
        out=path.parent / "runs",
        report=report or (lambda progress: None),
        stop=stop or threading.Event(),
    )


def test_order_and_settings(path: Path) -> None:
    """By task, in their order; baselines' paths are relative to the file."""
    wanted = sweep_file.wanted(path)
    own = str(path.parent / "own.py")
    assert [(spec.task, spec.baseline, count) for spec, count in wanted] == [
        ("gaussian", "moment_matching", 2),
        ("gaussian", own, 2),
        ("ring8", "moment_matching", 2),
        ("ring8", own, 2),
        ("gaussian", "oracle", 1),
    ]
    (spec, _) = wanted[1]
    assert spec == Spec(
        task="gaussian", baseline=own, hparams={"size": 2.0}, tuning_trials=3, budget="smoke"
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seeds = 2", "seeds = 0", "seeds: must be greater than or equal to 1"),
        ("seeds = 2", "seeds = '2'", "seeds: must be a valid integer"),
        ("seeds = 2", "seed = 2", "seed: no such key: did you mean 'seeds'?"),
        ('"smoke"', '"tiny"', "budget: must be 'full', 'quick' or 'smoke'"),
        ('["gaussian", "ring8"]', "[]", "tasks: must have at least 1 item"),
        ('"ring8"', '"ring9"', "tasks: unknown task 'ring9': did you mean 'ring8'"),
        ('"moment_matching"', '"./moment.py"', "baselines: no baseline file"),
        ('"oracle"', '"oracle2"', "more[0].baselines: no baseline file"),
        (
            "size",
            "sizes",
            "settings.own.set: own has no hyper-parameter 'sizes': did you mean 'size'",
        ),
        ("2.0", "'wide'", "settings.own.set: own: size must be a float, got 'wide'"),
        ("tuning_trials = 3", "trials = 3", "settings.own.trials: no such key"),
        ("settings.own", "settings.other", "settings.other: none of its baselines is called so"),
        ("[[more]]", "[[much]]", "much: no such key"),
        ("seeds = 1", "seats = 1", "more[0].seats: no such key"),
        ("seeds = 2", "seeds = ", "is no TOML: "),
    ],
)
def test_a_wrong_file_is_one_line(path: Path, old: str, new: str, says: str) -> None:
    path.write_text(FILE.replace(old, new, 1))
    found = command(path, "--quiet")  # else what takes long is said, too
    assert found.exit_code == 2
    (line,) = found.stderr.strip().splitlines()
    assert line.startswith("Error: ") and "board.toml" in line and says in line


def test_every_mistake_has_its_line(path: Path) -> None:
    wrong = FILE.replace("ring8", "ring9").replace("oracle", "oracel").replace("size", "sizes")
    path.write_text(wrong)
    found = command(path, "--plan")
    keys = [line.removeprefix("Error: ").split(": ")[1] for line in found.stderr.splitlines()]
    assert keys == ["tasks", "more[0].baselines", "settings.own.set"]
    path.write_text(FILE.replace("seeds", "seed"))
    keys = [
        line.removeprefix("Error: ").split(": ")[1] for line in command(path).stderr.splitlines()
    ]
    assert sorted(keys) == ["more[0].seed", "seed"]


def test_two_baselines_of_one_name(path: Path) -> None:
    (path.parent / "oracle.py").write_text(OWN)
    path.write_text(FILE.replace('"moment_matching"', '"./oracle.py"'))
    with pytest.raises(
        InputError, match=r"more\[0\]\.baselines: 'oracle' is called as '.*oracle.py'"
    ):
        sweep_file.load(path)


def test_of_what_is_asked_for_twice_there_are_the_more_seeds(path: Path) -> None:
    path.write_text(FILE.replace('["oracle"]\nseeds = 1', '["own.py"]\nseeds = 5'))
    counts = {(spec.task, Path(spec.baseline).stem): n for spec, n in sweep_file.wanted(path)}
    assert counts[("gaussian", "own")] == 5 and counts[("ring8", "own")] == 2


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^no file .*board\.toml"):
        sweep_file.load(tmp_path / "board.toml")


@pytest.mark.slow
def test_a_sweep_and_the_next_one(path: Path) -> None:
    plan = command(path, "--plan")
    assert plan.exit_code == 0
    assert "left out  ring8          own.py: not for rings" in plan.stdout
    assert plan.stdout.splitlines()[-1].startswith("0 done, 4 to do, about ")
    assert not (path.parent / "lb").exists()
    first = command(path)
    assert first.exit_code == 0, first.output
    lines = [line for line in first.stdout.splitlines() if line.startswith("[")]
    assert [line.split()[1:3] for line in lines] == [
        ["gaussian", "moment_matching-smoke"],
        ["gaussian", "own-size=2.0-smoke"],
        ["ring8", "moment_matching-smoke"],
        ["gaussian", "oracle-smoke"],
    ]
    assert "; left: " in lines[0] and "left" not in lines[-1]
    again = command(path)
    assert again.stdout.splitlines()[-1] == "4 done, 0 to do, 1 left out"
    document = json.loads(command(path, "--json").stdout)
    assert [each["missing"] for each in document["entries"]] == [[], [], [], [0, 1], []]
    result = schema.load_result(path.parent / "lb/gaussian/own-size=2.0-smoke.json")
    assert result.entry.tuning_trials == 3 and len(result.seeds) == 2
    for trials, said in ((9, "own-size=2.0-smoke.json declares 9 trials now"), (4, "")):
        path.write_text(FILE.replace("tuning_trials = 3", f"tuning_trials = {trials}"))
        assert "declares" not in command(path, "--plan").stdout
        lines = [line for line in command(path).stdout.splitlines() if "declares" in line]
        assert (len(lines), said in "".join(lines)) == (bool(said), True)
    later = schema.load_result(path.parent / "lb/gaussian/own-size=2.0-smoke.json")
    assert later.entry.tuning_trials == 9 and later.seeds == result.seeds


@pytest.mark.slow
def test_why_an_entry_is_run_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(planned(path)[1], path)
    (file,) = (path.parent / "lb").glob("*/*.json")
    before = file.read_text()

    def why(**changes: Any) -> tuple[list[int], str]:
        document = json.loads(before)
        for place, value in changes.items():
            *parts, last = place.split("__")
            inside = document
            for part in parts:
                inside = inside[part]
            inside[last] = value
        file.write_text(json.dumps(document))
        item = planned(path)[1]
        return list(item.missing), item.why

    assert why() == ([], "")
    assert why(task__version=1) == ([0, 1], "version 1 of the task")
    assert why(entry__sha256="0" * 64) == ([0, 1], "another source")
    assert why(entry__hparams={"size": 3.0}) == ([0, 1], "other hyper-parameters")
    assert why(protocol__steps=51) == ([0, 1], "another protocol")
    document = json.loads(before)
    document["task"]["metrics"]["mmd"]["version"] = 7
    assert why(task=document["task"]) == ([0, 1], "measured otherwise")
    seeds = json.loads(before)["seeds"]
    assert why(seeds=seeds[:1]) == ([1], "1 of 2 seeds")
    none = {name: dict.fromkeys(seeds[1][name]) for name in ("views", "metrics")}
    stopped = {**seeds[1], **none, "status": "interrupted", "score": None, "reason": "stopped"}
    stopped |= {"verdict": None}
    assert why(seeds=[seeds[0], stopped])[0] == [1]
    worst = dict.fromkeys(none["views"], -1.0)
    failed = {**stopped, "status": "failed", "score": -1.0, "views": worst}
    assert why(seeds=[seeds[0], failed])[0] == []


@pytest.mark.slow
def test_goes_on_where_it_was_stopped(path: Path) -> None:
    """In the middle of its first seed, with what came before from its checkpoint."""
    (path.parent / "own.py").write_text(SLOW)
    item, stop = planned(path)[1], threading.Event()
    ended = run(item, path, stop, lambda progress: progress.step >= 25 and stop.set())
    assert ended.finished is not None
    assert {seed.status for seed in ended.finished.seeds} == {"interrupted"}
    item = planned(path)[1]
    assert item.missing == [0, 1] and item.why == "0 of 2 seeds"
    steps: list[int] = []
    ended = run(item, path, report=lambda p: steps.append(p.step) if p.seed == 0 else None)
    assert ended.finished is not None and min(steps) > 25
    assert planned(path)[1].done
    elsewhere = path.parent / "elsewhere"
    whole = run(sweep.plan(item.spec, range(2), elsewhere / "lb"), elsewhere / "board.toml")
    assert whole.finished is not None
    scores = [seed.score for seed in ended.finished.seeds]
    assert [seed.score for seed in whole.finished.seeds] == scores


@pytest.mark.slow
@pytest.mark.parametrize("how", ["damaged", "measured otherwise"])
def test_begins_anew_where_it_cannot_go_on(path: Path, how: str) -> None:
    """A checkpoint that is damaged, or holds metrics that are measured otherwise by now."""
    (path.parent / "own.py").write_text(SLOW)
    item, stop = planned(path)[1], threading.Event()
    run(item, path, stop, lambda progress: progress.step >= 25 and stop.set())
    file = path.parent / "runs/gaussian/own-size=2.0-smoke/seed-0/checkpoint.safetensors"
    if how == "damaged":
        file.write_bytes(file.read_bytes()[:100])
    else:
        state = stored.load_state(file)
        state["run"]["metrics"]["mmd"] += 1
        stored.save_state(file, state)
    steps: list[int] = []
    ended = run(
        planned(path)[1], path, report=lambda p: steps.append(p.step) if p.seed == 0 else None
    )
    assert ended.finished is not None and min(steps) == 25
    assert planned(path)[1].done


@pytest.mark.slow
def test_goes_on_after_a_kill(path: Path) -> None:
    """By a signal that no process can catch, in the middle of an entry's seeds."""
    (path.parent / "own.py").write_text(SLOW)
    path.write_text(FILE.replace('"gaussian", "ring8"', '"gaussian"'))
    folder = path.parent
    given = ["sweep", str(path), "--leaderboard", str(folder / "lb"), "--out", str(folder / "runs")]
    program = [sys.executable, "-m", "ganbench", *given, "--workers", "1"]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        waiting = folder / "runs/gaussian/own-size=2.0-smoke/seed-0/checkpoint.safetensors"
        while not waiting.is_file() and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert [item.done for item in planned(path)] == [True, False, False]
    again = command(path)
    assert again.exit_code == 0 and "own-size=2.0-smoke seed 0  step 25/50" not in again.stderr
    assert all(item.done for item in planned(path))


@pytest.mark.slow
def test_what_kills_its_process_and_what_is_no_python_stop_nothing(path: Path) -> None:
    """Tried, planned and run apart; with one worker too."""
    (path.parent / "own.py").write_text(OWN.replace("self.seen += 1", "__import__('os')._exit(3)"))
    (path.parent / "torn.py").write_text("class GAN(:")
    path.write_text(FILE.replace('"moment_matching"', '"torn.py"').replace(', "ring8"', ""))
    found = command(path)
    assert found.exit_code == 1
    assert "torn on gaussian: torn.py cannot be imported: SyntaxError" in found.stderr
    ended = "own.py cannot be trained: its process has ended (exit code 3)"
    assert f"own-size=2.0-smoke on gaussian: {ended}" in found.stderr
    assert [file.stem for file in (path.parent / "lb").glob("*/*.json")] == ["oracle-smoke"]


@pytest.mark.slow
def test_what_a_file_does_to_the_process_that_plans_is_undone(path: Path) -> None:
    """A baseline that changes the folder when it is executed, asked and made."""
    away = "__import__('os').chdir('/')"
    (path.parent / "own.py").write_text(
        OWN.replace("import torch", f"{away}\nimport torch", 1).replace(
            "self.size,", f"{away}\n        self.size,"
        )
    )
    with (path.parent / "own.py").open("a") as file:
        file.write(f"\n\ndef resolve(task, size):\n    {away}\n    return {{'size': size}}\n")
    here = Path.cwd()
    items = planned(path)
    assert [item.broken for item in items] == [None] * len(items) and Path.cwd() == here


@pytest.mark.slow
def test_one_failure_stops_nothing(path: Path) -> None:
    (path.parent / "own.py").write_text(OWN.replace("self.seen += 1", "raise ValueError('no')"))
    found = command(path)
    assert found.exit_code == 1
    assert "own-size=2.0-smoke on gaussian: own.py cannot be trained" in found.stderr
    assert (
        "to do     gaussian       own-size=2.0-smoke       2 of 2 seeds, new: cannot"
        in found.stdout
    )
    names = {file.stem for file in (path.parent / "lb").glob("*/*.json")}
    assert names == {"moment_matching-smoke", "oracle-smoke"}


@pytest.mark.slow
def test_publishes_what_is_whole(path: Path) -> None:
    """A new source takes the published one's place; what is no full budget is refused."""
    refused = command(path, "--publish")
    assert refused.exit_code == 1
    assert "not published: " in refused.stderr and "is not of the whole budget" in refused.stderr
    path.write_text(FILE.replace('"smoke"', '"full"').replace('"gaussian", "ring8"', '"gaussian"'))
    board = path.parent / "lb"
    for text in (OWN, OWN + "# changed"):
        (path.parent / "own.py").write_text(text)
        assert command(path).exit_code == 0
        assert command(path, "--publish").exit_code == 0  # what an earlier one has left
        target = store.path_of(board, "gaussian", "own-size=2.0")
        assert (store.attached(target) / "source.py").read_text() == text
        assert checking.inconsistencies(schema.load_result(target), target) == []
        assert not target.with_name("own-size=2.0.local.json").exists()
        assert not list(board.glob(".publish-*"))
    assert all(item.done for item in planned(path))
    before = target.read_text()
    (path.parent / "own.py").write_text(OWN + "# changed again")
    path.write_text(path.read_text().replace("seeds = 2", "seeds = 1"))
    fewer = command(path, "--publish")
    assert fewer.exit_code == 1 and "own-size=2.0.json has 2 seeds, " in fewer.stderr
    assert target.read_text() == before


@pytest.mark.slow
def test_publishes_samples_where_there_is_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one entry are 32 kB: the second one's are left out, and nothing is amiss."""
    monkeypatch.setattr(submission, "ROOM_OF_TASK", 2**15 + 2**14)
    path.write_text("seeds = 2\ntasks = ['gaussian']\nbaselines = ['oracle', 'moment_matching']")
    assert command(path, "--publish").exit_code == 0
    board = path.parent / "lb"
    assert [file.parent.name for file in board.glob("*/*/*.safetensors")] == ["oracle"]
    assert {file.parent.name for file in board.glob("*/*/source.py")} == {
        "oracle",
        "moment_matching",
    }
    assert checking.check(board) == (2, [])
    assert all(item.done for item in planned(path))


def test_the_board_of_the_repository_is_a_sweep() -> None:
    path = Path(registry.folder("tasks")).parent / "leaderboard" / "board.toml"
    wanted = sweep_file.wanted(path)
    assert {spec.budget for spec, _ in wanted} == {"full"}
    on_board = {(file.parent.name, file.stem) for file in path.parent.glob("*/*.json")}
    asked = {(spec.task, Path(spec.baseline).stem) for spec, _ in wanted}
    published = {each for each in on_board if not each[1].endswith(".local")}
    assert published <= asked


def test_speeds_that_were_not_measured_are_in_proportion() -> None:
    """The median of what each of the others, and each own task, says."""
    measured = {
        "first": {"sine": 100.0, "ring8": 50.0, "grid25": 40.0},
        "other": {"sine": 10.0, "ring8": 1.0},
        "slow": {"sine": 20.0},
    }
    assert sweep.in_proportion(measured, "slow", "sine") == 20.0
    assert sweep.in_proportion(measured, "slow", "grid25") == 8.0
    assert sweep.in_proportion(measured, "slow", "ring8") == 6.0  # between 10 and 2
    assert sweep.in_proportion(measured, "slow", "moons") is None
    assert sweep.in_proportion(measured, "new", "sine") is None


def test_an_estimate_measures_little(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry once and the first on every task, references apart; what is damaged is anew."""
    tried: list[tuple[str, str]] = []

    def rate(spec: Spec, seeds: range) -> float:
        tried.append((spec.task, Path(spec.baseline).stem))
        return 1000.0 if spec.task == "ring8" else 500.0

    monkeypatch.setattr(sweep, "_rate_apart", rate)
    path.write_text(
        "seeds = 1\ntasks = ['gaussian', 'ring8', 'grid25']\n"
        "baselines = ['oracle', 'mlp_gan', 'replay', 'lsgan', 'hinge_sn']"
    )
    runs, board = path.parent / "runs", path.parent / "lb"
    runs.mkdir()
    (runs / sweep.SPEEDS).write_text('{"gaussian/oracle": 3.0}')
    for again in range(2):
        speeds = sweep.Speeds(runs, board)
        found = [speeds.seconds_left(item, 1) for item in planned(path)]
        # full budgets of 2,500 and 20,000 steps
        assert found == [5.0] * 5 + [20.0] * 5 + [40.0] * 5
        once = [("gaussian", name) for name in ("oracle", "mlp_gan", "replay", "lsgan", "hinge_sn")]
        every = [(task, name) for task in ("ring8", "grid25") for name in ("oracle", "mlp_gan")]
        assert tried == once + every, again
