"""What a command says on standard error while it works: only there, users' code included."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn, track
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from ganbench.harness.spec import Progress, Report

PATIENCE, PAUSE = 2.0, 10.0  # seconds that a command may be silent, at first and later
IMPORTING = "importing torch"
SCORING, DRAWING = "scoring the last samples", "keeping the results, drawing the pictures"
BEFORE_STEPS = "building, and compiling where that is worth it"

Tell = Callable[[str], None]


@contextmanager
def working(line: str, *, quiet: bool = False) -> Iterator[Tell]:
    """Say on standard error what is being done, once that has taken longer than PATIENCE.

    Yields a function that is told what is done next. On a terminal the line is gone at the end.
    What Python code prints inside, a user's above all, goes to standard error: standard output is
    for what a command was asked for.
    """
    with redirect_stdout(sys.stderr):
        if quiet:
            yield lambda line: None
            return
        console = Console(stderr=True, highlight=False, markup=False)
        slow = _Slow(console)
        slow.tell(line)
        try:
            yield slow.tell
        finally:
            slow.tell("")


@contextmanager
def confined(source: Path | str) -> Iterator[None]:
    """What ends a confined run inside is one line and exit code 1."""
    from ganbench.system.cell import CellError

    try:
        yield
    except CellError as error:
        click.echo(f"{source}: the confined run of its source failed: {error}", err=True)
        sys.exit(1)


class _Slow:
    """Says a line when nothing else has been told for PATIENCE: on a terminal beside a spinner."""

    def __init__(self, console: Console) -> None:
        self._status = console.status("") if console.is_terminal else None
        self._timer = threading.Timer(0, lambda: None)

    def tell(self, line: str) -> None:
        """Say this line if it takes long; of "" nothing, and the line that was said goes."""
        self._timer.cancel()
        if self._timer.ident is not None:
            self._timer.join()
        if self._status is not None:
            self._status.update(line)
            if not line:
                self._status.stop()
        if line:
            self._timer = threading.Timer(PATIENCE, self._say, [line])
            self._timer.daemon = True
            self._timer.start()

    def _say(self, line: str) -> None:
        if self._status is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self._status.update(line)
            self._status.start()


def watch(what: str, things: Sequence[Any]) -> Iterator[Any]:
    """Things passed on one by one, and on standard error how far that is: a bar on a terminal.

    Elsewhere a line, after `PATIENCE` and then every `PAUSE`.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(things, description=what, console=console, transient=True)
        return
    due = time.monotonic() + PATIENCE
    for place, thing in enumerate(things):
        if time.monotonic() >= due:
            print(f"{what}: {place} of {len(things)}", file=sys.stderr, flush=True)
            due = time.monotonic() + PAUSE
        yield thing


@contextmanager
def show_progress(*, named: bool, lines: bool, quiet: bool, bars: bool = True) -> Iterator[Report]:
    """A function that reports progress on standard error, in the way that fits.

    `named`: several entries run at once, so each line says which it is of. `lines`: print them
    above the bar too. Without `bars` there are lines on a terminal too, as for very many seeds.
    Otherwise as `working`, until the first step has been reported.
    """
    console = Console(stderr=True, highlight=False)
    if bars and not quiet and console.is_terminal:
        with redirect_stdout(sys.stderr), _bar(console, named, lines) as report:
            yield report
        return
    with working(BEFORE_STEPS, quiet=quiet) as tell:

        def print_line(progress: Progress) -> None:
            tell("")
            if progress.note or progress.line:
                print(_line(progress, named), file=sys.stderr, flush=True)
            if progress.step == progress.steps:
                tell(SCORING if progress.position is None else DRAWING)

        yield (lambda progress: None) if quiet else print_line


@contextmanager
def _bar(console: Console, named: bool, lines: bool) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
    )
    rows: dict[str, int] = {}
    evaluated: dict[str, str] = {}
    with Bar(*columns, console=console) as bar:
        before = bar.add_task(BEFORE_STEPS, total=None, rate="", state="")

        def report(progress: Progress) -> None:
            bar.update(before, visible=False)
            who = _who(progress, named)
            if who not in rows:
                rows[who] = bar.add_task(who, total=progress.steps, rate="", state="")
            if progress.note or (lines and progress.line):
                bar.console.print(_line(progress, named), soft_wrap=True)
            if progress.position is not None:
                evaluated[who] = describe_position(progress)
            state = (describe_epoch(progress), describe_losses(progress), evaluated.get(who, ""))
            bar.update(
                rows[who],  # type: ignore[arg-type]
                completed=progress.step,
                rate=f"{_rate(progress):,.0f} steps/s",
                state=" ".join(filter(None, state)),
            )

        yield report


def _line(progress: Progress, named: bool) -> str:
    if progress.note:
        return f"{_who(progress, named)}  {progress.note}"
    left = (progress.steps - progress.step) / _rate(progress) if _rate(progress) else 0.0
    parts = [
        _who(progress, named),
        describe_epoch(progress),
        f"step {progress.step:>{len(str(progress.steps))}}/{progress.steps}",
        f"{progress.line_seconds:.2f} s" if progress.position is None else "",
        f"{_rate(progress):,.0f} steps/s",
        f"left {left:.0f} s",
        describe_losses(progress) if progress.position is None else describe_position(progress),
    ]
    return "  ".join(filter(None, parts))


def _who(progress: Progress, named: bool) -> str:
    return f"{progress.label} seed {progress.seed}" if named else f"seed {progress.seed}"


def describe_epoch(progress: Progress) -> str:
    """`epoch  3/64`, or nothing where the source counts no epochs."""
    if progress.epochs is None:
        return ""
    now, all_ = progress.epochs
    return f"epoch {now:>{len(str(all_))}}/{all_}"


def describe_position(progress: Progress) -> str:
    """`mmd at 0.83`: where the metric of every round lies between naive (0) and real (1)."""
    return f"{progress.tracked} at {progress.position:.3f}"


def describe_losses(progress: Progress) -> str:
    """`d_loss 0.31 d_accuracy 0.93 g_loss 1.62`."""
    return " ".join(f"{name} {value:.3g}" for name, value in progress.losses.items())


def _rate(progress: Progress) -> float:
    return progress.step / progress.train_seconds if progress.train_seconds else 0.0
