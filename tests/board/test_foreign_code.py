"""What came with a result is read and hashed, never executed, whatever it is called.

But for a rerun, and a run of it, which are confined.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ganbench import registry
from ganbench.board import confined, power, submission
from ganbench.board import foreign as foreign_runs
from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.harness import entries
from ganbench.harness.spec import Progress, Spec
from ganbench.results import samples, schema, store
from ganbench.results.beside import result_beside
from ganbench.system import cell
from ganbench.system.cell import CellError
from ganbench.system.files import file_sha256
from ganbench.system.leftovers import held_folder
from ganbench.system.sandbox import Limits, Rules

from ..made import a_result, a_seed

BOMB = """
import os
from pathlib import Path

Path(os.environ["EXECUTED"]).touch()
TASK = GAN = None
"""
COMMANDS = [
    ("leaderboard", "check"),
    ("leaderboard", "show", "--metrics"),
    ("leaderboard", "compare", "one", "two"),
    ("leaderboard", "site", "--quiet", "--out", "site"),
]


def submitted(root: Path, name: str, task: str) -> Path:
    """A result in order, but for the name of its task, with its source and its samples."""
    made = {seed: torch.randn(100, 2) for seed in (0, 1)}
    seeds = [a_seed(seed) for seed in made]
    for seed in seeds:
        seed.samples_sha256 = samples.sha256_of(made[seed.seed])
    path = store.path_of(root, task, name)
    source = store.attached(path) / "source.py"
    source.parent.mkdir(parents=True)
    source.write_text(BOMB)
    result = a_result(*seeds, name=name, sha=file_sha256(source))
    result.task.name, result.entry.source = task, f"{task}.py"
    path.write_text(schema.dumps(result))
    samples.write_seeds(source.with_name("samples.safetensors"), made)
    return path


@pytest.fixture(autouse=True)
def one_seed_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it can tell: here it is looked at what a seed's training may do."""
    monkeypatch.setattr(power, "fewest", lambda claimed: 1)


@pytest.fixture(params=["source", "mine", "mine.py", "ring8"])
def given(request, tmp_path: Path, monkeypatch) -> Path:
    """Two such results; the working directory holds a file that is called as their task is."""
    task, root = request.param, tmp_path / "board"
    monkeypatch.setenv("EXECUTED", str(tmp_path / "executed"))
    submitted(root, "two", task)
    path = submitted(root, "one", task)
    folder = store.attached(path) if task == "source" else tmp_path
    file = (folder / task).with_suffix(".py")
    file.write_text(BOMB)
    file.with_suffix(".json").write_text('{"version": 1, "metrics": {}}')
    monkeypatch.chdir(folder)
    return path


@pytest.mark.slow
def test_no_command_executes_it(given: Path, tmp_path: Path):
    board = ("--leaderboard", str(given.parents[1]))
    commands = [(*command, *board) for command in COMMANDS]
    commands += [("verify", str(given)), ("verify", str(given), "--rerun", "1")]
    for command in commands:
        done = CliRunner().invoke(main, list(command))
        assert isinstance(done.exception, SystemExit | None), done.exception
        assert not (tmp_path / "executed").exists(), command
    assert (tmp_path / "board" / given.parent.name / "one" / "source.py").is_file()


@pytest.mark.slow
def test_verify_says_that_the_task_is_not_bundled(given: Path):
    lines = "\n".join(submission.verify(given))
    task = given.parent.name
    if task == "ring8":
        assert "ships with ganbench" not in lines and "mmd is" in lines
        return
    assert f"'{task}' is no task that ships with ganbench" in lines
    with pytest.raises(InputError, match="no task that ships with ganbench"):
        submission.rerun(given, 1)


@pytest.mark.parametrize("name", ["ring8.py", "./ring8", "tasks/ring8", "no_task", "", "_private"])
def test_bundled_tasks_go_by_bare_names_alone(name: str):
    with pytest.raises(InputError, match="no task that ships with ganbench"):
        registry.bundled_task(name)
    assert registry.bundled_task("ring8").name == "ring8"


# Confined

EXIT = "import ctypes; ctypes.CDLL(None)._exit(0)"
HONEST = """
import torch


class Net:
    def __init__(self, task):
        self.shape = task.shape

    def train_step(self, real):
        return {"loss": real.mean()}

    def sample(self, n):
        return 0.5 * torch.randn(n, *self.shape)


def GAN(task, *, device):
    return Net(task)
"""
TOUCH = "open({outside!r}, 'w')"
# What a source does, what is said of it, and limits.
ATTACKS: dict[str, tuple[str, str, dict[str, float]]] = {
    "connects": ("import socket; socket.create_connection(('127.0.0.1', {port}))", "Error", {}),
    "resolves": ("import socket; socket.getaddrinfo('example.com', 80)", "gaierror", {}),
    "writes outside": (TOUCH, "PermissionError", {}),
    "writes outside by a program": (
        "import subprocess; subprocess.run(['touch', {outside!r}], check=True)",
        "CalledProcessError",
        {},
    ),
    "reads a secret": ("import os; print(os.environ['MY_TOKEN'])", "KeyError", {}),
    "reads its parent's": ("print(open('/proc/{pid}/environ').read())", "Error", {}),
    "takes 100 GB": ("bytearray(100 * 10**9)", "MemoryError", {}),
    "takes shared memory": (
        "import mmap\nm = mmap.mmap(-1, 2**32)\nfor i in range(0, 2**32, 4096): m[i] = 1",
        "of memory, more than",
        {"memory_bytes": 2**30},
    ),
    "forks": (
        "import os, time\nfor _ in range(10_000):\n    if not os.fork(): time.sleep(60)",
        "more than 40 processes",
        {"processes": 40},
    ),
    "never ends": ("while True: pass", "ran longer than 20 s", {"seconds": 20.0}),
    "exits": (EXIT, "it ended before it was done", {}),
    "dies": ("import ctypes; ctypes.string_at(0)", "SIGSEGV", {}),
    "shouts": ("import sys; sys.stderr.write('\\x1b[2J'); 1 / 0", "ZeroDivisionError", {}),
}


def foreign(root: Path, source: str) -> Path:
    """A result of `ring8` that came with a source."""
    path = store.path_of(root, "ring8", "theirs")
    file = store.attached(path) / "source.py"
    file.parent.mkdir(parents=True)
    file.write_text(source)
    result = a_result(a_seed(), name="theirs", sha=file_sha256(file), budget="custom")
    result.task.name = "ring8"
    path.write_text(schema.dumps(result))
    return path


def need(*subjects: str) -> None:
    """Skip, with its reason, what this system cannot keep from a confined process."""
    said: list[str] = []
    with held_folder() as folder:
        rules = Rules(writable=[folder])
        target = "builtins:print"
        cell.call(target, folder, scratch=folder, rules=rules, hear=print, say=said.append)
    for line in said:
        if line.removeprefix("not confined: ").partition(":")[0] in (*subjects, "everything"):
            pytest.skip(line)


@pytest.mark.slow
@pytest.mark.parametrize("how", ATTACKS)
def test_a_rerun_is_confined(how: str, tmp_path: Path, monkeypatch, capfd):
    need("network", "files", "processes")
    monkeypatch.setenv("MY_TOKEN", "s3cret")
    outside = tmp_path / "outside"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        code, words, limits = ATTACKS[how]
        port = server.getsockname()[1]
        attack = code.format(outside=str(outside), port=port, pid=os.getpid())
        path = foreign(tmp_path / "board", f"{attack}\n{HONEST}")
        before = set(tmp_path.rglob("*"))
        with pytest.raises((CellError, InputError)) as error:
            submission.rerun(path, 1, limits=Limits(**{"seconds": 100.0, **limits}))
        with pytest.raises(TimeoutError):
            server.accept()
    line = str(error.value)
    assert words in line and "\n" not in line
    assert set(tmp_path.rglob("*")) == before
    captured = capfd.readouterr()
    assert captured.out == "" and "s3cret" not in captured.err and "\x1b" not in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.slow
def test_a_run_of_a_submission_is_confined(tmp_path: Path, monkeypatch):
    """Known by where it lies; one line, exit code 1, and nothing is kept."""
    need("files")
    monkeypatch.chdir(tmp_path)
    path = foreign(tmp_path / "leaderboard", f"{EXIT}\n{HONEST}")
    source = str(store.attached(path).relative_to(tmp_path) / "source.py")
    done = CliRunner().invoke(main, ["run", source, "--task", "ring8", "--steps", "1", "--quiet"])
    assert (done.exit_code, done.stdout) == (1, "")
    line = "the confined run of its source failed: it ended before it was done"
    assert done.stderr.splitlines()[-1] == f"{source}: {line}"
    assert not any((tmp_path / "runs").iterdir())
    assert store.result_files(tmp_path / "leaderboard") == [path]


@pytest.mark.slow
def test_verify_says_in_a_line_how_a_rerun_ended(tmp_path: Path, monkeypatch):
    def ended(*_: object, **__: object) -> float:
        raise CellError("it ran longer than 1 s")

    monkeypatch.setattr(submission, "verify", lambda *_, **__: iter(()))
    monkeypatch.setattr(submission, "rerun", ended)
    path = foreign(tmp_path, HONEST)
    done = CliRunner().invoke(main, ["verify", str(path), "--rerun", "1", "--quiet"])
    assert (done.exit_code, done.stdout) == (1, "")
    line = "the confined run of its source failed: it ran longer than 1 s"
    assert done.stderr == f"{path}: {line}\n"


@pytest.mark.slow
def test_an_honest_source_has_the_same_bits(tmp_path: Path):
    source = registry.find("baselines", "mlp_gan").read_text()
    path = foreign(tmp_path / "leaderboard", source)
    file = store.attached(path) / "source.py"
    spec = Spec(task="ring8", baseline=str(file), steps=4, device="cpu")
    (plain,) = entries.run(
        [spec], seeds=[0, 1], leaderboard=tmp_path / "plain", out=tmp_path / "runs"
    )
    (made,) = foreign_runs.run(
        [spec],
        beside=path,
        seeds=[0, 1],
        workers=2,
        leaderboard=tmp_path / "confined",
        out=tmp_path / "confined_runs",
    )
    for one, other in zip(plain.seeds, made.seeds, strict=True):
        assert one.samples_sha256 == other.samples_sha256 is not None
        assert one.metrics == other.metrics and one.score == other.score
        assert [point.losses for point in one.curve] == [point.losses for point in other.curve]
    assert made.result.entry == plain.result.entry
    assert made.result.task == plain.result.task
    assert made.result.protocol == plain.result.protocol
    assert schema.load_result(made.path) == made.result
    assert [picture.exists() for picture in made.pictures] == [True] * len(plain.pictures)
    assert not list((tmp_path / "confined_runs").glob(".confined*"))
    assert "run confined" in made.notes[0]


LIES = {
    "another name": (lambda d: d["entry"].update(name="mlp_gan"), "another entry"),
    "a reference": (lambda d: d["entry"].update(reference=True), "that it is a reference"),
    "easier bounds": (lambda d: d["task"]["metrics"]["mmd"].update(ceiling=9.0), "of the task"),
    "more steps": (lambda d: d["protocol"].update(steps=9), "not of the budget"),
    "other seeds": (lambda d: d["seeds"][0].update(seed=9), "other seeds"),
    "an honour": (lambda d: d.update(official=True), "that it is official"),
    "a better score": (lambda d: d["seeds"][0].update(score=1.0), "score 1.0 should be"),
    "no result": (lambda d: d.clear(), "cannot be read"),
}


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> tuple[Path, Spec]:
    """What a confined run leaves in its folder, and what it was asked for."""
    folder = tmp_path_factory.mktemp("honest").resolve()
    (folder / "theirs.py").write_text(HONEST)
    spec = Spec(task="ring8", baseline=str(folder / "theirs.py"), steps=2, device="cpu")
    entries.run([spec], seeds=[0], leaderboard=folder / confined.BOARD, out=folder / confined.RUNS)
    return folder, spec


@pytest.mark.slow
@pytest.mark.parametrize("how", LIES)
def test_a_result_that_is_not_of_the_run_is_refused(how: str, honest, tmp_path: Path):
    folder, spec = honest
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / confined.BOARD / "ring8" / "theirs-2steps.json"
    expected = confined._Expected(
        task=registry.load_task("ring8"), specs=[spec], seeds=[0], whole=True
    )
    assert expected.read(tmp_path, "theirs-2steps").seeds[0].status == "ok"
    with pytest.raises(CellError, match="0 results, not 1"):
        expected.results(tmp_path, [])
    with pytest.raises(CellError, match="other seeds"):  # some were left out
        replace(expected, seeds=[0, 1]).read(tmp_path, "theirs-2steps")
    document = json.loads(path.read_text())
    change, words = LIES[how]
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(CellError, match=words):
        expected.read(tmp_path, "theirs-2steps")


@pytest.mark.slow
def test_a_result_that_is_a_link_is_refused(honest, tmp_path: Path):
    folder, spec = honest
    place = tmp_path / confined.BOARD / "ring8"
    place.mkdir(parents=True)
    kept = folder / confined.BOARD / "ring8" / "theirs-2steps.json"
    (place / kept.name).symlink_to(kept)
    expected = confined._Expected(
        task=registry.load_task("ring8"), specs=[spec], seeds=[0], whole=True
    )
    with pytest.raises(CellError, match="is a link"):
        expected.read(tmp_path, "theirs-2steps")


def test_the_folder_of_a_run_holds_plain_files_alone(tmp_path: Path):
    (tmp_path / "seed-0").mkdir()
    trace = tmp_path / "seed-0" / "traceback.txt"
    trace.write_text("a\x1b[2J\nb")
    trace.chmod(0o4777)
    foreign_runs.made_plain(tmp_path)
    assert trace.read_text() == "a\N{REPLACEMENT CHARACTER}[2J\nb\n"
    assert trace.stat().st_mode & 0o7777 == 0o644
    (tmp_path / "seed-0" / "x\n").symlink_to("/etc/passwd")
    with pytest.raises(CellError, match="is no file"):
        foreign_runs.made_plain(tmp_path)


def test_reports_are_held_within_bounds():
    heard: list[Progress] = []
    listener = confined._Listener(report=heard.append)
    fair = Progress(
        label="a[red]\x1b", seed=0, step=1, steps=2, train_seconds=1.0, losses={"d[": 1.0}
    )
    message = {"progress": vars(fair)}
    listener.hear(message)
    assert heard[0].label == "a(red)\N{REPLACEMENT CHARACTER}" and heard[0].losses == {"d(": 1.0}
    for wrong in ({"step": 10**400}, {"train_seconds": -1.0}, {"step": "x"}, {"more": 1}):
        with pytest.raises(CellError, match="no report"):
            listener.hear({"progress": {**vars(fair), **wrong}})
    for wrong in ({}, {"results": ["../../x"], "refused": None, "note": ""}):
        with pytest.raises(CellError, match="no report"):
            listener.hear(wrong)


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("leaderboard/ring8/x/source.py", True),
        ("leaderboard/ring8/x/parts/scale.py", True),
        ("named/ring8/x/source.py", True),
        ("somewhere/ring8/y/source.py", True),
        ("somewhere/ring8/x/source.py", False),
        ("mine.py", False),
        ("ring8/source.py", False),
    ],
)
def test_which_sources_came_with_a_result(place: str, found: bool, tmp_path: Path):
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    (tmp_path / "somewhere" / "ring8").mkdir(parents=True, exist_ok=True)
    (tmp_path / "somewhere" / "ring8" / "y.json").write_text("")
    beside = result_beside(str(file), tmp_path / "named")
    assert (beside is not None) == found
    assert result_beside("mlp_gan", tmp_path) is None


SWEEP = 'baselines = ["leaderboard/ring8/theirs/source.py"]\ntasks = ["ring8"]\nseeds = 1\n'


@pytest.mark.parametrize(
    "command",
    [
        ["bench", "leaderboard/ring8/theirs/source.py"],
        ["check", "leaderboard/ring8/theirs/source.py"],
        ["sweep", "board.toml", "--plan"],
    ],
    ids=lambda command: command[0],
)
def test_what_does_not_confine_refuses_a_source_of_others(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXECUTED", str(tmp_path / "executed"))
    foreign(tmp_path / "leaderboard", BOMB)
    (tmp_path / "board.toml").write_text(f"{SWEEP}[settings.source]\nset = {{ width = 3 }}\n")
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 2, done.output
    assert "only `run` and `verify --rerun` confine such a source" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "executed").exists()


def test_what_a_source_of_others_cannot_be_asked_for(tmp_path: Path):
    path = foreign(tmp_path / "leaderboard", HONEST)
    spec = Spec(task="ring8", baseline=str(store.attached(path) / "source.py"), steps=1)
    folders = {"leaderboard": tmp_path / "lb", "out": tmp_path / "runs"}
    given = (
        (replace(spec, resume=True), "--resume"),
        (replace(spec, log=("csv",)), "--log"),
        (replace(spec, device="cuda"), "cpu"),
        (replace(spec, device="mps"), "cpu"),
    )
    for wrong, words in given:
        with pytest.raises(InputError, match=words):
            foreign_runs.run([wrong], beside=path, seeds=[0], workers=1, **folders)
