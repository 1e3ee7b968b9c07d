"""The gap between a claim and seeds on hidden parameters: found, kept, checked and shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ganbench import site
from ganbench.board import checking, claim, gap, index, power, submission
from ganbench.board.entry import board_entry
from ganbench.board.standard import standard_of, why_apart
from ganbench.cli import main
from ganbench.results import schema
from ganbench.results.schema import HiddenRun

from ..made import a_result, a_seed

TIGHT = [0.25 + 0.01 * i for i in range(10)]
CHEAT = '''"""Knows the public task, and learns nothing."""

import torch

from ganbench import registry


class GAN:
    def __init__(self, task, *, device="cpu"):
        self.task = registry.load_task(task.name)

    def train_step(self, real):
        return {}

    def sample(self, n):
        return self.task.sample(n, torch.default_generator)
'''


def judged(by: float, new: int = 5) -> tuple[claim.Outcome, HiddenRun | None]:
    """Of ten claimed seeds, when new ones score lower by so much: a score is one less the value."""
    claimed = [a_seed(i, value=value) for i, value in enumerate(TIGHT)]
    hidden = [a_seed(10 + i, value=value + by) for i, value in enumerate(TIGHT[2 : 2 + new])]
    return gap.judged(claimed, hidden, new, seed=7, known=-0.3)


def test_a_large_gap_refutes_the_claim():
    outcome, run = judged(0.5)
    assert (outcome.verdict, run.verdict, run.seed, run.known) == ("refuted", "refuted", 7, -0.3)
    assert run.gap == pytest.approx(0.495, abs=0.01)
    assert run.ci95[0] < run.gap < run.ci95[1]
    assert outcome.line.startswith("refuted: 5 new seeds on hidden parameters 7 score 0.2")
    assert "real samples of the public task score -0.3 there" in outcome.line


@pytest.mark.parametrize("by", [-0.2, 0.0, 0.06])
def test_a_gap_that_a_variant_may_make_refutes_nothing(by: float):
    """Of 0.06 chance alone would be refused, as the scores vary little."""
    outcome, run = judged(by)
    assert outcome.verdict == "consistent", outcome.line
    assert "or more would have been found (9 times in 10)" in outcome.line
    assert run.gap == pytest.approx(by, abs=0.02)
    x, y = [1 - value for value in TIGHT], run.scores
    assert (power.p_values(x, y)[0] <= power.ALPHA) == (by > 0)


def test_where_no_gap_would_have_been_found_none_is_denied():
    rng = np.random.default_rng(0)
    claimed = [a_seed(i, value=value) for i, value in enumerate(rng.uniform(0, 2, 5))]
    outcome, run = gap.judged(claimed, claimed[:4], 4, seed=7, known=0.0)
    assert (outcome.verdict, run.verdict) == ("inconclusive", "inconclusive")
    assert "no gap that is possible would have been found" in outcome.line


def test_without_all_scores_nothing_is_said_or_kept():
    outcome, run = gap.judged([a_seed(0)], [a_seed(1, status="interrupted")], 2, seed=7, known=0.0)
    assert (outcome.verdict, run) == ("inconclusive", None)
    assert "0 of 1 claimed seed and 2 of 2 new seeds have no score" in outcome.line


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The file of a result that is refuted by what it holds."""
    path = tmp_path / "toy" / "my_gan.json"
    path.parent.mkdir()
    seeds = [a_seed(i, value=value) for i, value in enumerate(TIGHT)]
    path.write_text(schema.dumps(a_result(*seeds)))
    assert "hidden" not in json.loads(path.read_text())
    gap.attach(path, judged(0.5)[1])
    return path


def test_what_is_kept_is_read_again_and_follows(kept: Path):
    result = schema.load_result(kept)
    assert result.hidden.verdict == "refuted"
    assert checking.inconsistencies(result, kept) == []
    gap.attach(kept, judged(0.0)[1])
    assert schema.load_result(kept).hidden.verdict == "consistent"


@pytest.mark.parametrize(
    "change",
    [{"gap": 0.01}, {"ci95": (0.0, 0.1)}, {"verdict": "consistent"}, {"scores": [0.7] * 5}],
)
def test_what_does_not_follow_is_named(kept: Path, change: dict):
    result = schema.load_result(kept)
    edited = result.model_copy(update={"hidden": result.hidden.model_copy(update=change)})
    line = "its gap to hidden parameters does not follow from the seeds"
    assert checking.inconsistencies(edited, kept) == [line]


def test_a_refuted_entry_is_shown_and_not_ranked(kept: Path):
    entry = board_entry(schema.load_result(kept))
    assert why_apart(entry, standard_of("toy", [entry])) == "refuted on hidden parameters"
    shown = show(kept)
    assert "gap to hidden (95 %)" in shown
    assert "refuted on hidden parameters" in shown
    assert f"{entry.hidden_gap[0]:.3f} [" in shown
    row = json.loads(show(kept, "--json"))[0]["entries"][0]
    assert row["hidden_gap"] == entry.hidden_gap
    result = schema.load_result(kept).model_copy(update={"hidden": None})
    kept.write_text(schema.dumps(result))
    assert "hidden" not in show(kept)


def test_the_page_of_an_entry_has_the_gap(kept: Path, tmp_path: Path):
    result = schema.load_result(kept)
    with index.opened() as known:
        site.build(kept.parents[1], tmp_path / "site", known, quality=0.5)
    (page,) = (tmp_path / "site").rglob("my_gan*.html")
    text = page.read_text()
    assert "<dt>gap to hidden parameters</dt>" in text
    assert f"{result.hidden.gap:.3f}" in text
    assert "Not ranked: refuted on hidden parameters" in text


def show(path: Path, form: str = "--markdown") -> str:
    board = ["--leaderboard", str(path.parents[1])]
    done = CliRunner().invoke(main, ["leaderboard", "show", "--task", "toy", form, *board])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--hidden"], "--hidden is of new seeds: give --rerun too"),
        (["--rerun", "--attach"], "--attach keeps the gap to hidden scores: give --hidden too"),
        (["--rerun", "--hidden", "x"], "expected a seed from 0 on, or fresh, got 'x'"),
        (["--rerun", f"--hidden={'9' * 5000}"], "expected a seed from 0 on, or fresh, got '99999"),
        (["--rerun", f"--hidden={2**63}"], f"expected a seed from 0 on, or fresh, got '{2**63}'"),
    ],
)
def test_options_that_make_no_sense_are_refused(kept: Path, options: list[str], line: str):
    done = verify(kept, *options)
    assert done.exit_code == 2
    assert line in done.stderr


def verify(path: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["verify", str(path), *options])


@pytest.mark.slow
@pytest.mark.long
def test_a_cheat_that_knows_the_task_is_refuted(tmp_path: Path, monkeypatch):
    """It scores as real data on the task, and new seeds on the task bear that out."""
    (tmp_path / "cheat.py").write_text(CHEAT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(power, "ALPHA", 0.1)  # at which three seeds are enough for three
    run = ["run", "cheat.py", "--task", "ring8", "--steps", "4", "--seeds", "3", "--workers", "1"]
    assert CliRunner().invoke(main, [*run, "--quiet"]).exit_code == 0
    submission.submit(
        "cheat-4steps", "ring8", root=Path("leaderboard"), runs=Path("runs"), to=Path("to")
    )
    path = Path("to/ring8/cheat-4steps.json")
    public = verify(path, "--rerun", "3", "--quiet", "--workers", "1")
    assert public.exit_code == 0, public.output
    assert public.stdout.startswith(f"{path}: consistent: p = ")
    secret = verify(path, "--rerun", "3", "--hidden", "1", "--attach", "--quiet", "--workers", "1")
    assert secret.exit_code == 1, secret.output
    assert secret.stdout.startswith(
        f"{path}: refuted: 3 new seeds on hidden parameters 1 score -0.1"
    )
    run = schema.load_result(path).hidden
    assert max(run.scores) < 0 < run.known + 0.3
    assert run.gap > 1
    assert checking.check(Path("to")) == (1, [])
