"""Which cases are tried in every run of the tests, and which with `-m long` alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def every(nth: int, cases: Iterable[Any]) -> list[Any]:
    """Cases, as tuples where they are of several arguments; every `nth` is tried in every run."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=[] if place % nth == 0 else pytest.mark.long,
        )
        for place, case in enumerate(cases)
    ]
