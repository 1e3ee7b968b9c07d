"""How much is tried: a little in every run of the tests, far more by `pytest -m faults`."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

VARIABLE = "GANBENCH_FAULTS"  # how many times the fast share
LONG = 20  # times it is by `pytest -m faults`, if the variable does not say


def times() -> int:
    """How many times the fast share."""
    return int(os.environ.get(VARIABLE, "1"))


def tries(count: int, *, slow: bool = False) -> settings:
    """Of hypothesis: so many examples in the fast share; none is made simpler if that is slow."""
    return settings(
        max_examples=count * times(),
        deadline=None,  # the oracle has its own
        print_blob=True,
        phases=[Phase.explicit, Phase.reuse, Phase.generate, *([] if slow else [Phase.shrink])],
        suppress_health_check=list(HealthCheck),
    )


long_form = pytest.mark.skipif(times() == 1, reason="a part of the long form, `pytest -m faults`")
