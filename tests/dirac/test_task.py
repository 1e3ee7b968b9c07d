"""The task of one point runs like any other: it is drawn, scored, and judged in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from ganbench.cli import main

CONSTANT = """
import torch

class GAN:
    def __init__(self, task, *, device="cpu", at: float = 0.0):
        self.at = at
    def train_step(self, real):
        return {}
    def sample(self, n):
        return torch.full((n, 1), self.at)
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("constant.py").write_text(CONSTANT)

    def run(baseline: str, *more: str) -> dict:
        arguments = ["run", baseline, "--task", "dirac", "--budget", "smoke", *more, "--json"]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        (path,) = Path("leaderboard/dirac").glob("*.json")
        (picture,) = Path("runs").rglob("real_vs_generated.png")
        with Image.open(picture) as image:
            assert image.width > 200
        return json.loads(path.read_text())["seeds"][0]

    return run


@pytest.mark.parametrize(
    ("at", "score", "verdict"),
    [("0", 1.0, "healthy"), ("1", 0.0, "poor fit"), ("3", -2 / 3, "poor fit")],
)
def test_what_makes_one_point_is_judged_by_where_it_is(
    run, at: str, score: float, verdict: str
) -> None:
    seed = run("constant.py", "--set", f"at={at}")
    assert seed["status"] == "ok" and seed["score"] == pytest.approx(score)
    assert seed["verdict"]["kind"] == verdict, seed["verdict"]


@pytest.mark.slow
def test_the_oracle_and_a_gan_are_healthy(run) -> None:
    assert run("oracle")["score"] == 1
    Path("leaderboard/dirac/oracle-smoke.json").unlink()
    for picture in Path("runs").rglob("real_vs_generated.png"):
        picture.unlink()
    seed = run("mlp_gan")
    assert seed["status"] == "ok" and seed["score"] > 0.5
