"""Positions between floor and ceiling, and where there are none."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganbench import registry
from ganbench.scoring import (
    Bounds,
    clear_position,
    mean,
    only_bounds,
    placed,
    position,
    why_no_views,
    why_unplaced,
)

ALIKE = "real data and a naive sampler score alike"
BETTER = "a naive sampler scores better than real data"


def bounds(direction: str, floor: float, ceiling: float, noise: float) -> Bounds:
    return only_bounds({"direction": direction, "floor": floor, "ceiling": ceiling, "noise": noise})


@pytest.mark.parametrize(
    ("direction", "floor", "ceiling", "noise", "reason"),
    [
        ("lower", 0.0, 1.0, 0.1, None),
        ("higher", 1.0, 0.0, 0.1, None),
        ("lower", 0.0, 1.0, 0.34, ALIKE),
        ("lower", 0.0, 0.0, 0.0, ALIKE),
        ("lower", 1.0, 0.0, 0.1, BETTER),
        ("higher", 0.0, 1.0, 0.1, BETTER),
        ("higher", 0.9, 1.0, 0.1, ALIKE),
    ],
)
def test_what_stands_the_wrong_way_or_too_close_gives_no_position(
    direction, floor, ceiling, noise, reason
):
    known = bounds(direction, floor, ceiling, noise)
    assert why_unplaced(known) == reason
    found = clear_position(0.25, known)
    assert found == (None if reason else position(0.25, floor, ceiling))
    assert placed(0.25, known) == {"position": found, "unplaced": reason}
    assert clear_position(None, known) is None
    metrics = {"mmd": known}
    assert (why_no_views({"distribution": "mmd"}, metrics) is None) == (reason is None)


NUMBERS = st.floats(-1e6, 1e6)


@given(NUMBERS, NUMBERS, st.floats(0, 1e6), st.sampled_from(["lower", "higher"]))
def test_where_there_are_positions_real_data_is_better(floor, ceiling, noise, direction):
    known = bounds(direction, floor, ceiling, noise)
    if why_unplaced(known) is None:
        assert (floor < ceiling) == (direction == "lower")
        assert clear_position(floor, known) == 1
        assert clear_position(ceiling, known) == 0


@pytest.mark.parametrize(
    ("value", "floor", "ceiling", "expected"),
    [
        (0.5, 0.0, 1.0, 0.5),
        (-0.1, 0.0, 1.0, 1.0),  # better than real data by chance
        (1.0, 0.0, 1.0, 0.0),
        (3.0, 0.0, 1.0, -2 / 3),  # (1 - 3) / (3 - 0)
        (1e9, 0.0, 1.0, -1.0),
        (0.75, 1.0, 0.5, 0.5),  # mirrored
        (0.0, 1.0, 0.5, -0.5),  # (0 - 0.5) / (1 - 0)
        (1.2, 1.0, 0.5, 1.0),
        (math.inf, 0.0, 1.0, -1.0),
        (-math.inf, 1.0, 0.5, -1.0),
        (math.inf, 1.0, 0.5, 1.0),
    ],
)
def test_positions_are_bounded(value, floor, ceiling, expected):
    assert position(value, floor, ceiling) == pytest.approx(expected)


@pytest.mark.parametrize(("floor", "ceiling"), [(0.0, 1.0), (1.0, 0.5), (1.0, 1.0)])
def test_what_is_no_number_has_no_position(floor, ceiling):
    assert math.isnan(position(math.nan, floor, ceiling))


@given(NUMBERS, NUMBERS, st.floats(1e-3, 1e6), st.booleans())
def test_positions_fall_from_1_towards_minus_1(one, other, span, higher):
    """Monotone, continuous at the ceiling, the same for a metric and its mirror image."""
    floor, ceiling = (0.0, -span) if higher else (0.0, span)
    better, worse = sorted([one, other], reverse=higher)
    found = [position(value, floor, ceiling) for value in (better, worse)]
    assert 1 >= found[0] >= found[1] > -1
    assert found == [position(-value, -floor, -ceiling) for value in (better, worse)]
    assert position(ceiling * (1 + 1e-9), floor, ceiling) == pytest.approx(0, abs=2e-9)


def test_a_score_is_the_mean_of_its_views():
    assert mean([1.0, 0.5, 0.0, -1.0]) == 0.125


@pytest.mark.parametrize(
    ("views", "reason"),
    [
        ({}, "no view is named"),
        ({"quality": "mmd"}, "view 'quality' is none of fidelity, diversity, distribution, test"),
        ({"test": "xmd"}, "the view 'test' is to be 'xmd', which is no quantity of the task"),
        ({"test": "flat"}, f"the view 'test' is to be 'flat', which has no position: {ALIKE}"),
    ],
)
def test_views_that_give_no_score_are_said(views, reason):
    metrics = {"mmd": bounds("lower", 0, 1, 0.1), "flat": bounds("lower", 0, 0, 0)}
    assert why_no_views(views, metrics) == reason


def test_bundled_bounds_that_stand_the_wrong_way():
    """Uniform noise over the ring has better recall than real data; it copies no digit."""

    def reason(task: str, metric: str) -> str | None:
        path = registry.folder("tasks") / f"{task}.json"
        return why_unplaced(only_bounds(json.loads(path.read_text())["metrics"][metric]))

    assert reason("ring8", "recall") == reason("mnist", "memorisation") == BETTER
    assert reason("fashion_mnist", "precision") == BETTER
    assert reason("ring8", "mean_error") == ALIKE
    assert reason("ring8", "mmd") is reason("mnist", "frechet") is None
