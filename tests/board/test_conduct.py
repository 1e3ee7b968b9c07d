"""Official results that no run leaves behind: each forgery is named, and the honest pass."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ganbench import registry
from ganbench.board import checking, index
from ganbench.board.entry import board_entry, marks
from ganbench.board.standard import FAILS, standard_of, why_apart
from ganbench.cli import main
from ganbench.results import schema, stats

from ..made import a_result, a_seed

BOARD = Path(registry.folder("tasks")).parent / "leaderboard"
HONEST = json.loads((BOARD / "gaussian" / "mlp_gan.json").read_text()) | {"hidden": None}
Document = dict[str, Any]


def each_seed(change: Callable[[Document, int], object]) -> Callable[[Document], None]:
    def forge(document: Document) -> None:
        for place, seed in enumerate(document["seeds"]):
            change(seed, place)

    return forge


def protocol(**changed: object) -> Callable[[Document], None]:
    return lambda document: document["protocol"].update(changed)


def numbered(numbers: list[int]) -> Callable[[Document], None]:
    return each_seed(lambda seed, place: seed.update(seed=numbers[place]))


def timing(**changed: float) -> Callable[[Document], None]:
    return each_seed(lambda seed, place: seed["timing"].update(changed))


def one_seed_ten_times(document: Document) -> None:
    first = document["seeds"][0]
    document["seeds"] = [{**copy.deepcopy(first), "seed": place} for place in range(10)]


def other_hashes(document: Document) -> None:
    one_seed_ten_times(document)
    for place, seed in enumerate(document["seeds"]):
        seed["samples_sha256"] = f"{place:064x}"


def better(seed: Document, place: int) -> None:
    """Each metric a little nearer to its floor than the curve says."""
    for name, value in seed["metrics"].items():
        floor = HONEST["task"]["metrics"][name]["floor"]
        seed["metrics"][name] = value + 0.5 * (floor - value)


def backwards(seed: Document, place: int) -> None:
    seed["curve"][2]["train_seconds"] = seed["curve"][4]["train_seconds"] + 1


FORGERIES: dict[str, tuple[Callable[[Document], object], str]] = {
    "one seed ten times": (one_seed_ten_times, "seed 1 is seed 0 once more"),
    "with other hashes": (other_hashes, "seed 1 is seed 0 once more"),
    "seeds of choice": (numbered([100 + 7 * n for n in range(10)]), "of seeds 100, 107, 114, ..."),
    "seeds below 0": (numbered(list(range(-10, 0))), "of seeds -10, -9, -8, ..."),
    "a seed left out": (numbered([0, 1, 2, 3, 4, 5, 6, 7, 8, 10]), "not 0 to 9"),
    "larger batches": (protocol(batch_size=400), "of batch_size 400, not 4"),
    "more samples": (protocol(evaluation_size=100), "of evaluation_size 100, not 4096"),
    "more evaluations": (protocol(evaluations=1000), "of evaluations 1000, not 10"),
    "more steps": (protocol(steps=10**6), "of steps 1000000, not 2500"),
    "another device": (protocol(device="cuda"), "its machine has another device than cuda"),
    "another budget": (protocol(budget="quick"), "of budget quick"),
    "less than nothing": (
        timing(train_seconds=50.0, other_seconds=-49.0),
        "its parts took longer than all of it",
    ),
    "no curve": (each_seed(lambda seed, _: seed.update(curve=[])), "not the task's 10 evaluations"),
    "half a curve": (each_seed(lambda seed, _: seed["curve"].pop(3)), "not the task's 10"),
    "better metrics": (each_seed(better), "its curve does not end at its "),
    "back in time": (each_seed(backwards), "its curve goes back in time"),
    "no time at all": (timing(train_seconds=1e-6), "in 1e-06 seconds are not possible"),
    "less time": (timing(train_seconds=0.5), "its curve does not end at its seconds of training"),
    "a faster wall": (timing(wall_seconds=0.1), "its seconds do not add up"),
    "more speed": (timing(steps_per_second=1e9), "its steps per second are not those"),
}


def summarised(document: Document) -> schema.Result:
    """With views, scores and summaries that follow from the metrics, as a forger has them."""
    result = schema.loads(json.dumps(document), "a forgery")
    seeds = []
    for seed in result.seeds:
        views = result.task.positions(seed.metrics)
        assert views is not None
        score = sum(views.values()) / len(views)
        seeds.append(seed.model_copy(update={"views": views, "score": score}))
    summary = stats.summarise(seeds, list(result.task.metrics))
    views = stats.summarise_views(seeds, result.task.views)
    return result.model_copy(update={"seeds": seeds, "summary": summary, "views": views})


def written(result: schema.Result, root: Path) -> Path:
    path = root / "gaussian" / "mlp_gan.json"
    path.parent.mkdir()
    path.write_text(schema.dumps(result))
    return path


def test_what_readers_take_otherwise_is_named(tmp_path: Path) -> None:
    """A name twice in an object, files that differ in case alone, a board.toml that is none."""
    path = written(summarised(copy.deepcopy(HONEST)), tmp_path)
    whole = path.read_text()
    path.write_text(whole.replace('"entry": {', '"entry": {"tuning_trials": 0, ', 1))
    assert checking.check(tmp_path) == (1, [f"{path}: says tuning_trials twice"])
    assert checking.repeated('{"a": ' + 5_000 * "9" + "}") is None
    path.write_text(whole)
    other = path.with_name("MLP_gan.json")
    other.write_text(whole)
    assert f"{path}: is {other} but for upper and lower case" in checking.check(tmp_path)[1]
    other.unlink()
    (tmp_path / "board.toml").write_text("overall = ")
    assert ["board.toml is no TOML" in each for each in checking.check(tmp_path)[1]] == [True]


def test_the_honest_one_passes(tmp_path: Path) -> None:
    written(summarised(copy.deepcopy(HONEST)), tmp_path)
    assert checking.check(tmp_path) == (1, [])


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_named(forgery: str, tmp_path: Path) -> None:
    forge, says = FORGERIES[forgery]
    document = copy.deepcopy(HONEST)
    forge(document)
    path = written(summarised(document), tmp_path)
    _, findings = checking.check(tmp_path)
    assert any(says in line and str(path) in line for line in findings), findings


REASONS = {
    "one seed ten times": "a seed twice",
    "with other hashes": "a seed twice",
    "seeds of choice": "other seeds",
    "seeds below 0": "other seeds",
    "a seed left out": "other seeds",
    "another budget": "quick",
}  # of all others that they fail the check


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_not_ranked(forgery: str, tmp_path: Path) -> None:
    document = copy.deepcopy(HONEST)
    FORGERIES[forgery][0](document)
    written(summarised(document), tmp_path)
    with index.opened() as kept:
        (entry,), _ = kept.entries(tmp_path)
    reason = why_apart(entry, standard_of("gaussian", [entry]))
    assert reason == REASONS.get(forgery, FAILS)
    if reason == FAILS:
        assert entry.wrong and any(entry.wrong in line for line in checking.check(tmp_path)[1])


def test_why_it_fails_is_said_below_the_table(tmp_path: Path) -> None:
    document = copy.deepcopy(HONEST)
    FORGERIES["larger batches"][0](document)
    written(summarised(document), tmp_path)
    where = ["--task", "gaussian", "--leaderboard", str(tmp_path)]
    said = CliRunner().invoke(main, ["leaderboard", "show", *where]).stdout
    assert "fails the check: gaussian/mlp_gan: official, but of batch_size 400, not 4\n" in said


@pytest.mark.parametrize(
    ("by", "says"), [(0.3, "seed 1: score 1.0 should be 0.7"), (5, "less than or equal to 1")]
)
def test_scores_that_are_raised_without_their_metrics_are_named(
    by: float, says: str, tmp_path: Path
) -> None:
    """Of all seeds but the first, whose samples are there."""
    document = copy.deepcopy(HONEST)
    for seed in document["seeds"][1:]:
        seed["score"] = min(1.0, seed["score"] + by) if by < 1 else seed["score"] + by
    (tmp_path / "gaussian").mkdir()
    (tmp_path / "gaussian" / "mlp_gan.json").write_text(json.dumps(document))
    _, findings = checking.check(tmp_path)
    assert any(says in line for line in findings), findings
    with index.opened() as kept:
        entries, problems = kept.entries(tmp_path)
    assert problems or [each.wrong for each in entries] != [None]


@pytest.mark.parametrize(("noise", "own"), [(0.0, False), (0.01, True)])
def test_the_points_of_a_point_are_anybodys(noise: float, own: bool) -> None:
    """Two perfect seeds of data without noise are not one, nor is such an entry another's."""
    info = schema.MetricInfo(direction="lower", floor=0.0, ceiling=1.0, noise=noise)
    seeds = [a_seed(seed, value=0.0) for seed in (0, 1)]
    for seed in seeds:
        seed.samples_sha256 = "0" * 64
    result = a_result(*seeds, metrics={"mmd": info})
    assert bool(marks(result)) is board_entry(result).repeated is own
