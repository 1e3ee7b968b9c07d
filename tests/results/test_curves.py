"""The curve that a result keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganbench import registry
from ganbench.results import curves, schema, store
from ganbench.results.schema import Point


def a_curve(points: int, every: int) -> list[Point]:
    """`points` 10 steps apart, evaluated at each `every`th."""
    return [
        Point(
            step=10 * n,
            train_seconds=0.5 * n,
            losses={"d_loss": float(n)},
            metrics={} if n % every else {"mmd": 0.1 * n},
        )
        for n in range(1, points + 1)
    ]


def test_evaluations_are_kept_with_the_mean_losses_since_the_one_before() -> None:
    curve = a_curve(40, every=4)
    kept = curves.thinned(curve)
    assert [point.step for point in kept] == list(range(40, 401, 40))
    assert [point.metrics for point in kept] == [point.metrics for point in curve if point.metrics]
    assert [point.train_seconds for point in kept] == [2.0 * n for n in range(1, 11)]
    assert [point.losses["d_loss"] for point in kept[:2]] == [2.5, 6.5]
    assert curves.thinned(kept) == kept
    assert len(curve) == 40 and curve[3].losses == {"d_loss": 4.0}  # as it was


def test_losses_are_weighted_by_steps_and_may_be_missing() -> None:
    curve = a_curve(20, every=2)
    curve[0] = curve[0].model_copy(update={"step": 5, "losses": {"d_loss": 1.0, "g_loss": 7.0}})
    first = curves.thinned(curve)[0]
    assert first.losses == {"d_loss": 1.75, "g_loss": 7.0}  # 5 steps of 1, 15 of 2


def test_what_a_run_that_ended_early_saw_last_is_kept() -> None:
    kept = curves.thinned(a_curve(43, every=4))
    assert [point.step for point in kept[-2:]] == [400, 430]
    assert kept[-1].losses == {"d_loss": 42.0} and kept[-1].metrics == {}


@pytest.mark.parametrize("curve", [[], a_curve(36, every=4), a_curve(12, every=1)])
def test_few_evaluations_or_nothing_else_stay(curve: list[Point]) -> None:
    assert curves.thinned(curve) == curve


def test_the_board_of_the_repository_is_small() -> None:
    root = Path(registry.folder("tasks")).parent / "leaderboard"
    files = [path for path in root.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 60e6
    for path in store.result_files(root):
        if not store.is_local(path):
            for seed in schema.load_result(path).seeds:
                assert curves.thinned(seed.curve) == seed.curve, path
