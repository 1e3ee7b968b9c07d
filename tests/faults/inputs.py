"""Hostile inputs: documents with places changed, bytes changed, and what nobody would type."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

from hypothesis import strategies as st

NASTY = "\x1b[2J[/b][bold]:smile:|,\r\n\"'</td>{{ 7 }}" + "x" * 200
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 1e-320, 1e99, 1e308, math.inf, math.nan, 10**30, 2**63, 10**400]),
    st.sampled_from(["", "x", NASTY, "quick", "interrupted", "cuda", "\ud800", "\0", "../x", "/"]),
    st.sampled_from([[], {}, [None], {"mmd": 1.0}, [[]], [1e400], {"": {}}]),
)


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """A document with one to three places changed, removed, doubled or added to."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        holder: Any = document
        while isinstance(holder, dict | list) and holder:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key = draw(st.sampled_from(keys))
            if isinstance(holder[key], dict | list) and draw(st.integers(0, 4)):
                holder = holder[key]
                continue
            _change(draw, holder, key)
            break
    return document


def _change(draw: st.DrawFn, holder: Any, key: Any) -> None:
    how = draw(st.integers(0, 6))
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[draw(st.sampled_from([NASTY, "", "more", "\ud800"]))] = holder[key]
    elif how == 1:
        holder.append(holder[key])
    else:
        holder[key] = copy.deepcopy(draw(SCALARS))  # which may itself be changed afterwards


@st.composite
def damaged(draw: st.DrawFn, contents: list[bytes]) -> bytes:
    """Valid bytes with a few changed, cut out, put in, doubled; or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([1, 1, 1, 2, 4, 8, 64]))
        how = draw(st.integers(0, 4))
        if how == 0:
            content[place : place + length] = draw(st.binary(min_size=length, max_size=length))
        elif how == 1:
            del content[place : place + length]
        elif how == 2:
            content[place:place] = draw(st.sampled_from(WORDS))
        elif how == 3:
            content[place:place] = content[place : place + length]
        else:
            del content[place:]
    return bytes(content)


WORDS = [
    *(bytes([each]) for each in b'\x00\xff{}[]",:()'),
    *(b"\xff" * 4, b"\x7f" + b"\xff" * 7, b"\xff" * 8, b"\x00" * 8, b"\x01" + b"\x00" * 7),
    *(b"1e400", b"-1", b"9" * 30, b"NaN", b"null", b"[" * 2000, b'{"a":' * 500, b"9" * 5000),
    *(b"'descr': '|O'", b"F64", b"BF16", b"F8_E4M3", b"seed-0", b"skeleton", b"PK\x01\x02"),
]
