"""Positions between floor and ceiling, and where there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganbench import registry
from ganbench.scoring import clear_position, placed, position, why_unplaced

ALIKE = "real data and a naive sampler score alike"
BETTER = "a naive sampler scores better than real data"


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
    assert why_unplaced(floor, ceiling, noise, direction) == reason
    found = clear_position(0.25, floor, ceiling, noise, direction)
    assert found == (None if reason else position(0.25, floor, ceiling))
    assert placed(0.25, floor, ceiling, noise, direction) == {"position": found, "unplaced": reason}
    assert clear_position(None, floor, ceiling, noise, direction) is None


@given(
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
    st.floats(0, 1e6),
    st.sampled_from(["lower", "higher"]),
)
def test_where_there_are_positions_real_data_is_better(floor, ceiling, noise, direction):
    if why_unplaced(floor, ceiling, noise, direction) is None:
        assert (floor < ceiling) == (direction == "lower")
        assert clear_position(floor, floor, ceiling, noise, direction) == 1
        assert clear_position(ceiling, floor, ceiling, noise, direction) == 0


def test_bundled_bounds_that_stand_the_wrong_way():
    """Uniform noise over the ring has better recall than real data; it copies no digit."""

    def reason(task: str, metric: str) -> str | None:
        path = registry.folder("tasks") / f"{task}.json"
        return why_unplaced(**json.loads(path.read_text())["metrics"][metric])

    assert reason("ring8", "recall") == reason("mnist", "memorisation") == BETTER
    assert reason("ring8", "mean_error") == ALIKE
    assert reason("ring8", "mmd") is reason("mnist", "frechet") is None


@pytest.mark.parametrize(
    "path", sorted(registry.folder("tasks").glob("*.json")), ids=lambda p: p.stem
)
def test_the_metric_that_ranks_always_gives_positions(path: Path):
    metrics = json.loads(path.read_text())["metrics"]
    assert why_unplaced(**next(iter(metrics.values()))) is None
