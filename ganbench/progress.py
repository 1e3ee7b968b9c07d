"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from ganbench.training import Progress, Report


@contextmanager
def show_progress(seeds: int, *, quiet: bool) -> Iterator[Report]:
    """A function that reports progress on standard error, in the way that fits."""
    console = Console(stderr=True, highlight=False)
    if quiet:
        yield lambda _: None
    elif console.is_terminal:
        with _bar(console) as report:
            yield report
    else:
        yield _print_line


@contextmanager
def _bar(console: Console) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
    )
    rows: dict[int, int] = {}
    scores: dict[int, str] = {}
    with Bar(*columns, console=console) as bar:

        def report(progress: Progress) -> None:
            seed = progress.seed
            if seed not in rows:
                label = f"seed {seed}"
                rows[seed] = bar.add_task(label, total=progress.steps, rate="", state="")
            if progress.note:
                bar.console.print(f"seed {seed}: {progress.note}")
            if progress.score is not None:
                scores[seed] = f"score {progress.score:.3f}"
            state = " ".join(filter(None, (describe_losses(progress), scores.get(seed, ""))))
            rate = f"{_rate(progress):,.0f} steps/s"
            bar.update(rows[seed], completed=progress.step, rate=rate, state=state)  # type: ignore[arg-type]

        yield report


def _print_line(progress: Progress) -> None:
    if progress.note:
        print(f"seed {progress.seed}  {progress.note}", file=sys.stderr, flush=True)
        return
    left = (progress.steps - progress.step) / _rate(progress) if _rate(progress) else 0.0
    parts = [
        f"seed {progress.seed}",
        f"step {progress.step:>{len(str(progress.steps))}}/{progress.steps}",
        f"{_rate(progress):,.0f} steps/s",
        f"left {left:.0f} s",
        f"score {progress.score:.3f}" if progress.score is not None else describe_losses(progress),
    ]
    print("  ".join(filter(None, parts)), file=sys.stderr, flush=True)


def describe_losses(progress: Progress) -> str:
    """`d_loss 0.31 d_accuracy 0.93 g_loss 1.62`."""
    return " ".join(f"{name} {value:.3g}" for name, value in progress.losses.items())


def _rate(progress: Progress) -> float:
    return progress.step / progress.train_seconds if progress.train_seconds else 0.0
