"""What came with a result is read and hashed, never executed, whatever it is called."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ganbench import registry
from ganbench.board import submission
from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.results import samples, schema, store
from ganbench.system.files import file_sha256

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
