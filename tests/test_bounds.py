"""Freezing the floors and ceilings of a task of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ganbench import bounds, registry

TASK = """
import torch
from ganbench.core import Budget
from ganbench.planar import planar_task

print("of the author")

def sample(n, rng):
    points = torch.randn(n, 2, generator=rng)  # on a circle: their covariance is the unit matrix
    return 2**0.5 * points / points.norm(dim=1, keepdim=True)

def spread(real, fake):
    return {{"spread": float(fake.std()), "height": {height}}}

TASK = planar_task("{name}", sample, mean=torch.zeros(2).double(),
    covariance=torch.eye(2).double(), more={{"spread": spread}}, {more}
    budget=Budget(steps={steps}, batch_size=4, evaluations=1, evaluation_size=300, log_every=1))
"""

Freeze = Callable[..., tuple[int, str, str]]


@pytest.fixture
def freeze(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Freeze:
    """Runs `python -m ganbench.bounds` on a task; its code, its output, its errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bounds, "PAIRS", 2)

    def run(
        more: str, height: str = "1.0", name: str = "mine", steps: int = 10
    ) -> tuple[int, str, str]:
        source = TASK.format(more=more, height=height, name=name, steps=steps)
        Path("mine.py").write_text(source)
        code = bounds.main(["mine.py"])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_metric_of_ones_own_needs_a_direction(freeze: Freeze) -> None:
    code, out, errors = freeze("")
    assert (code, out) == (2, "")
    assert errors.splitlines() == [
        "measuring 2 pairs of draws of mine.py",
        "of the author",
        "Error: task 'mine': nothing says which way 'spread' is better: "
        "give its Task directions={'spread': 'lower'} or 'higher'",
    ]
    _, _, errors = freeze("directions={'spread': 'lower'},")
    assert "nothing says which way 'height' is better" in errors
    _, _, errors = freeze("directions={'spread': 'up', 'height': 'lower'},")
    assert "directions['spread'] must be 'lower' or 'higher', got 'up'" in errors
    assert not Path("mine.json").exists()


def test_directions_are_frozen(freeze: Freeze) -> None:
    code, out, errors = freeze("directions={'spread': 'higher', 'height': 'lower'},")
    assert (code, out) == (0, "mine.json\n"), errors
    metrics = json.loads(Path("mine.json").read_text())["metrics"]
    assert metrics["spread"]["direction"] == "higher"
    assert metrics["height"]["direction"] == "lower"
    assert metrics["mmd"]["direction"] == "lower"
    task = registry.load_task("mine.py")
    # Of two naive samplers the better: the one with the greater value, as a Gaussian's is here,
    # for uniform noise over the bounding box of a circle spreads less.
    naive = json.loads(Path("mine.json").read_text())["first_pair"]
    assert naive["gaussian"]["spread"] > naive["uniform"]["spread"]
    assert 0.95 < task.bounds["spread"].ceiling < 1.1
    assert task.bounds["spread"].direction == "higher"


@pytest.mark.parametrize(
    ("naive", "measured"),
    [
        ("('uniform',)", {"uniform"}),
        ("('gaussian',)", {"gaussian"}),
        ("(lambda n, rng: torch.zeros(n, 2), 'uniform')", {"own", "uniform"}),
    ],
)
def test_a_task_says_which_naive_samplers_count(
    freeze: Freeze, naive: str, measured: set[str]
) -> None:
    both = "directions={'spread': 'higher', 'height': 'lower'}, "
    code, _, errors = freeze(f"{both}naive={naive},")
    assert code == 0, errors
    document = json.loads(Path("mine.json").read_text())
    assert document["first_pair"].keys() == {"real"} | measured
    if "own" in measured:
        assert document["first_pair"]["own"]["spread"] == 0


@pytest.mark.parametrize(
    ("naive", "said"),
    [
        ("()", "without a naive sampler there is no ceiling"),
        (
            "('normal',)",
            "naive must hold 'uniform', 'gaussian' or a function of (n, rng), got 'normal'",
        ),
        (
            "(lambda n, rng: torch.zeros(n, 2), lambda n, rng: torch.ones(n, 2))",
            "naive may hold one function of its own, got 2",
        ),
    ],
)
def test_naive_samplers_that_are_none_are_said(freeze: Freeze, naive: str, said: str) -> None:
    both = "directions={'spread': 'higher', 'height': 'lower'}, "
    code, _, errors = freeze(f"{both}naive={naive},")
    assert code == 2 and errors.endswith(f"Error: task 'mine': {said}\n")
    assert not Path("mine.json").exists()


def test_a_version_keeps_its_budget(freeze: Freeze) -> None:
    both = "directions={'spread': 'higher', 'height': 'lower'}, "
    assert freeze(both)[0] == 0
    before = Path("mine.json").read_text()
    code, _, errors = freeze(both, steps=20)
    assert code == 2 and "was frozen: raise the task's version" in errors
    assert "the budget is {'steps': 20, " in errors and "and was {'steps': 10, " in errors
    assert Path("mine.json").read_text() == before
    assert freeze(f"{both}version=2,", steps=20)[0] == 0


def test_a_version_keeps_its_naive_samplers(freeze: Freeze) -> None:
    both = "directions={'spread': 'higher', 'height': 'lower'}, "
    assert freeze(both)[0] == 0
    before = Path("mine.json").read_text()
    with_own = "(lambda n, rng: torch.zeros(n, 2), 'uniform')"
    for now, listed in (("('uniform',)", "uniform"), (with_own, "own, uniform")):
        code, _, errors = freeze(f"{both}naive={now},")
        assert code == 2 and errors.endswith(
            f"Error: naive samplers are {listed}, and were uniform, gaussian when version 1 was "
            "frozen: raise the task's version, or remove mine.json if no result relies on it\n"
        )
    assert Path("mine.json").read_text() == before


def test_a_metric_that_is_no_number_is_said(freeze: Freeze) -> None:
    code, _, errors = freeze("directions={'spread': 'lower', 'height': 'lower'},", "float('nan')")
    assert code == 2
    assert errors.endswith("Error: task 'mine': 'height' is nan on real samples\n")


def test_what_is_no_task_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("TASK = 3")
    assert bounds.main(["mine.py"]) == 2
    assert capsys.readouterr().err.endswith(
        "Error: mine.py: TASK must be a ganbench.Task, got int\n"
    )


@pytest.mark.parametrize(
    ("name", "more", "version"),
    [("mine", "", 1), ("mine", "version=3,", 3), ("ring8", "", 2), ("ring8", "version=5,", 5)],
)
def test_a_new_task_starts_at_version_1(name: str, more: str, version: int, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(TASK.format(more=more, height="1.0", name=name, steps=10))
    assert registry.load_bare_task(str(path)).version == version


def test_evaluation_is_frozen_on_one_thread(freeze: Freeze) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        both = "directions={'spread': 'lower', 'height': 'higher'},"
        code, _, _ = freeze(both, height="__import__('torch').get_num_threads()")
        assert code == 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    first = json.loads(Path("mine.json").read_text())["first_pair"]
    assert [of["height"] for of in first.values()] == [1, 1, 1]


def test_a_task_whose_naive_sampler_is_exact_gives_no_score(freeze: Freeze) -> None:
    Path("mine.json").write_text("{}")
    more = "directions={'spread': 'lower', 'height': 'lower'}, views={'test': 'height'},"
    code, out, errors = freeze(more)
    assert (code, out) == (2, "")
    assert errors.endswith(
        "Error: task 'mine': the view 'test' is to be 'height', which has no position: "
        "real data and a naive sampler score alike\n"
    )
    assert Path("mine.json").read_text() == "{}"  # the former bounds stay


BOTH = "directions={'spread': 'lower', 'height': 'lower'},"


def test_what_was_frozen_stays_and_only_new_metrics_are_added(freeze: Freeze) -> None:
    assert freeze(BOTH)[0] == 0
    path = Path("mine.json")
    document = json.loads(path.read_text())
    frozen = document["metrics"]["mmd"]
    frozen["floor"] += 1e-5  # as measured on another machine
    del document["metrics"]["height"]
    path.write_text(json.dumps(document))
    assert freeze(BOTH)[0] == 0
    again = json.loads(path.read_text())["metrics"]
    assert again["mmd"] == frozen
    assert again["height"]["floor"] == 1.0


def test_a_task_that_has_changed_needs_a_new_version(freeze: Freeze) -> None:
    assert freeze(BOTH)[0] == 0
    before = Path("mine.json").read_bytes()
    code, _, errors = freeze(BOTH, height="2.0")
    assert code == 2
    assert errors.endswith(
        "Error: 'height' of real samples is 2, and was 1 when version 1 was frozen: raise the "
        "task's version, or remove mine.json if no result relies on it\n"
    )
    assert Path("mine.json").read_bytes() == before
    assert freeze(f"version=2, {BOTH}", height="2.0")[0] == 0
