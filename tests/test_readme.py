"""What the README shows is run, word for word."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAIN_JOB = (
    "python -m venv .venv && .venv/bin/pip install -c constraints.txt -e . && "
    ".venv/bin/ganbench run baselines/mlp_gan --task sine"
)
TESTS = (
    "python -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[test]' && "
    ".venv/bin/python -m pytest -n 2"
)


def example() -> str:
    found = re.findall(r"<!-- test: example -->\n```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(found) == 1
    return found[0]


@pytest.mark.usefixtures("one_thread")
def test_example_trains_a_gan_by_hand() -> None:
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(example(), "README.md", "exec"), names)
    info = names["info"]
    assert isinstance(info, dict)
    assert info["step"] == 50
    assert math.isfinite(info["score"])
    assert all(math.isfinite(value) for value in info["metrics"].values())


def test_example_is_short() -> None:
    lines = [line for line in example().splitlines() if line.strip()]
    assert len([line for line in lines if "import" not in line]) <= 18


@pytest.mark.parametrize("command", [MAIN_JOB, TESTS])
def test_readme_gives_the_command_as_one_line(command: str) -> None:
    assert command in README.splitlines()


def test_ci_runs_the_readme_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert TESTS in [line.strip() for line in script.splitlines()]


def test_every_task_and_baseline_is_in_the_readme() -> None:
    for folder in ("tasks", "baselines"):
        for path in (ROOT / folder).glob("[!_]*.py"):
            assert f"`{path.stem}`" in README, f"{folder}/{path.name} is missing"


def test_every_module_is_in_the_architecture_section() -> None:
    section = README.split("## Architecture", 1)[1]
    for path in (ROOT / "ganbench").glob("[!_]*.py"):
        assert path.name in section, f"{path.name} is missing"
