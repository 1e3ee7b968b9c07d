"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from ganbench.harness.spec import Progress, Report


@contextmanager
def show_progress(*, named: bool, lines: bool, quiet: bool) -> Iterator[Report]:
    """A function that reports progress on standard error, in the way that fits.

    `named`: several entries run at once, so each line says which it is of. `lines`: print them
    above the bar too.
    """
    console = Console(stderr=True, highlight=False)
    if quiet:
        yield lambda _: None
    elif console.is_terminal:
        with _bar(console, named, lines) as report:
            yield report
    else:
        yield partial(_print_line, named)


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
    scores: dict[str, str] = {}
    with Bar(*columns, console=console) as bar:

        def report(progress: Progress) -> None:
            who = _who(progress, named)
            if who not in rows:
                rows[who] = bar.add_task(who, total=progress.steps, rate="", state="")
            if progress.note or (lines and progress.line):
                bar.console.print(_line(progress, named), soft_wrap=True)
            if progress.score is not None:
                scores[who] = f"score {progress.score:.3f}"
            state = (describe_epoch(progress), describe_losses(progress), scores.get(who, ""))
            bar.update(
                rows[who],  # type: ignore[arg-type]
                completed=progress.step,
                rate=f"{_rate(progress):,.0f} steps/s",
                state=" ".join(filter(None, state)),
            )

        yield report


def _print_line(named: bool, progress: Progress) -> None:
    if progress.note or progress.line:
        print(_line(progress, named), file=sys.stderr, flush=True)


def _line(progress: Progress, named: bool) -> str:
    if progress.note:
        return f"{_who(progress, named)}  {progress.note}"
    left = (progress.steps - progress.step) / _rate(progress) if _rate(progress) else 0.0
    parts = [
        _who(progress, named),
        describe_epoch(progress),
        f"step {progress.step:>{len(str(progress.steps))}}/{progress.steps}",
        f"{progress.line_seconds:.2f} s" if progress.score is None else "",
        f"{_rate(progress):,.0f} steps/s",
        f"left {left:.0f} s",
        f"score {progress.score:.3f}" if progress.score is not None else describe_losses(progress),
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


def describe_losses(progress: Progress) -> str:
    """`d_loss 0.31 d_accuracy 0.93 g_loss 1.62`."""
    return " ".join(f"{name} {value:.3g}" for name, value in progress.losses.items())


def _rate(progress: Progress) -> float:
    return progress.step / progress.train_seconds if progress.train_seconds else 0.0
