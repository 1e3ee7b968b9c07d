"""When a run pauses: rows, points, samples, and steps that are looked into."""

from __future__ import annotations

from ganbench.core import Budget, Recording
from ganbench.harness.schedule import Schedule


def stops(schedule: Schedule, round_steps: int) -> list[int]:
    found, step = [], 0
    while step < schedule.steps:
        start = step // round_steps * round_steps
        end = min(start + round_steps, schedule.steps)
        step = schedule.next_stop(step, start, end)
        found.append(step)
    return found


def test_stops_are_at_rows_points_samples_and_round_ends() -> None:
    schedule = Schedule(steps=40, point_every=6, row_every=10, sample_steps=[13])
    assert stops(schedule, 20) == [1, 6, 10, 12, 13, 20, 26, 30, 32, 40]
    assert [s for s in range(1, 41) if schedule.has_row(s)] == [10, 20, 30, 40]
    assert [s for s in range(1, 21) if schedule.has_point(s, 0, 20)] == [6, 12, 20]
    assert [s for s in range(1, 41) if schedule.has_samples(s)] == [13, 40]


def test_a_watched_step_is_trained_alone() -> None:
    schedule = Schedule(steps=30, point_every=30, row_every=30, sample_steps=[10, 20], watches=True)
    assert stops(schedule, 30) == [1, 9, 10, 19, 20, 30]


def test_without_sample_steps_there_are_no_samples() -> None:
    schedule = Schedule(steps=4, point_every=2, row_every=2)
    assert not any(schedule.has_samples(step) for step in range(1, 5))


BUDGET = Budget(steps=100, batch_size=4, evaluations=4, evaluation_size=100, log_every=25)


def test_the_user_comes_before_the_source_and_the_source_before_the_budget() -> None:
    source = Recording(log_every=10, sample_steps=range(40, 101, 40))
    assert Schedule.of(BUDGET, Recording()).row_every == 25
    assert not Schedule.of(BUDGET, Recording()).sample_steps
    by_source = Schedule.of(BUDGET, source)
    assert (by_source.row_every, list(by_source.sample_steps)) == (10, [40, 80])
    asked = Schedule.of(BUDGET, source, log_every=7, sample_every=30)
    assert (asked.row_every, list(asked.sample_steps)) == (7, [30, 60, 90])
    assert asked.point_every == by_source.point_every == 25


def test_rows_are_printed_when_asked_for_or_few() -> None:
    assert not Schedule.of(BUDGET, Recording(log_every=10)).tells_rows
    assert Schedule.of(BUDGET, Recording(log_every=50)).tells_rows
    assert Schedule.of(BUDGET, Recording(), log_every=1).tells_rows
