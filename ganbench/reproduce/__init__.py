"""Published figures, measured again under the protocols that they were published with.

A protocol is a file here that defines `PROTOCOL`: anything with `name`, `source`, `summary`,
`duration()` and `run(asked)` (`ganbench.reproduce.protocol.Protocol`). What it finds is no entry of
the leaderboard, whose tasks have other budgets.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ganbench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from ganbench.reproduce.protocol import Protocol

NAMES = (
    *("dirac", "pacgan-table1", "alpha-gan"),
    *("veegan-table1", "unrolled-ring", "wgan-gp-toy", "stacked-mnist"),
)


def check(name: str) -> None:
    """InputError for a protocol that there is not, told without importing torch."""
    if name not in NAMES:
        hint = did_you_mean(name, NAMES)
        raise InputError(f"unknown protocol {name!r}{hint}; there are {', '.join(NAMES)}")


def load(name: str) -> Protocol:
    """The protocol of that name."""
    check(name)
    protocol: Protocol = import_module(f"ganbench.reproduce.{name.replace('-', '_')}").PROTOCOL
    return protocol
