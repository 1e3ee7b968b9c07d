"""What a protocol is to the command line: it is asked to run, and reports what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from typing import Protocol as Structure

from ganbench.errors import InputError, did_you_mean
from ganbench.harness.spec import Report, Stop


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What of a protocol is to be run, and how.

    `seeds` None is as many as were published, `only` are rows by name, none of them all. `how` are
    fields of a `ganbench.harness.spec.Spec`: device, budget, steps, compiled. `tell` is told lines
    before the training starts, `report` how far it has come.
    """

    out: Path = Path("runs")
    seeds: int | None = None
    only: Sequence[str] = ()
    workers: int | None = None
    how: Mapping[str, Any] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda line: None
    report: Report = lambda progress: None
    stop: Stop | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a protocol has found: a table of cells by head, lines below it, pictures.

    `document` is what `--json` prints; `whole` says whether all that was asked for has been done.
    """

    title: str
    table: Sequence[Mapping[str, str]]
    notes: Sequence[str] = ()
    pictures: Sequence[Path] = ()
    document: Mapping[str, Any]
    whole: bool = True


def check_rows(protocol: str, known: Sequence[str], only: Sequence[str]) -> None:
    """InputError for a row that a protocol does not have."""
    for name in only:
        if name not in known:
            hint = did_you_mean(name, known)
            raise InputError(f"{protocol} has no row {name!r}{hint}; there are {', '.join(known)}")


class Protocol(Structure):
    """A published measurement that can be made again."""

    @property
    def name(self) -> str:
        """How the command line calls it."""

    @property
    def source(self) -> str:
        """Authors, year, and which of their tables or figures."""

    @property
    def summary(self) -> str:
        """What is measured, in a line."""

    def duration(self) -> str:
        """How long it takes, about, in words."""

    def run(self, asked: Asked) -> Found:
        """Measure; InputError for what cannot be asked of it."""
