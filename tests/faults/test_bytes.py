"""Bytes that others wrote, damaged anyhow: every reader ends in time, with a line if it refuses."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given

from . import inputs
from .oracle import watched
from .parsers import PARSERS, attempt
from .scale import times, tries

COUNT = 20  # of each, in the fast share


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_valid_is_read(name: str) -> None:
    said = [attempt(PARSERS[name], content) for content in PARSERS[name].valid()]
    assert "" in said, said


@pytest.mark.parametrize("name", PARSERS)
def test_damaged_bytes(name: str, tried: Counter[str]) -> None:
    parser, refused = PARSERS[name], Counter[bool]()
    contents = parser.valid()

    @tries(COUNT)
    @given(content=inputs.damaged(contents))
    def attempts(content: bytes) -> None:
        with watched(Path(tempfile.gettempdir())):
            refused[bool(attempt(parser, content))] += 1

    attempts()
    tried[f"damaged files of {name}"] = refused.total()
    assert refused.total() >= COUNT * times() / 2
    assert refused[True] or name == "marker"
