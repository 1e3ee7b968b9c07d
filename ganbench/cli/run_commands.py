"""The commands that train: run and bench; and plot, which draws what a run left."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from ganbench.cli.options import (
    compile_option,
    json_option,
    leaderboard_option,
    out_option,
    parse_settings,
    precision_option,
    settings_option,
    workers_option,
)
from ganbench.system import processes

if TYPE_CHECKING:
    from ganbench.harness.entries import Finished
    from ganbench.results.schema import Precision


@click.command()
@click.argument("baseline")
@click.option("--task", required=True, help="A task's name, or the path of a task file.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1))
@click.option("--first-seed", default=0, show_default=True, type=click.IntRange(0))
@click.option(
    "--budget",
    type=click.Choice(["full", "quick", "smoke"]),
    default="full",
    show_default=True,
    help="The task's own, a tenth of it, or 50 steps.",
)
@click.option("--steps", type=click.IntRange(1), help="Training steps, instead of a budget's.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
@workers_option
@compile_option
@precision_option
@settings_option
@click.option(
    "--tuning-trials",
    type=click.IntRange(0),
    default=0,
    help="How many settings were tried to find these; a sweep counts its own.",
)
@click.option(
    "--log-every",
    type=click.IntRange(1),
    metavar="N",
    help="Print and log the losses every N steps.  [default: as the published system does]",
)
@click.option(
    "--sample-every",
    type=click.IntRange(1),
    metavar="N",
    help="Draw samples every N steps.  [default: as the published system does]",
)
@leaderboard_option
@out_option
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
@json_option
@click.option("--quiet", is_flag=True, help="No progress.")
def run(
    baseline: str,
    task: str,
    seeds: int,
    first_seed: int,
    budget: str,
    steps: int | None,
    device: str,
    workers: int | None,
    compiled: bool | None,
    precision: Precision,
    settings: tuple[str, ...],
    tuning_trials: int,
    log_every: int | None,
    sample_every: int | None,
    root: Path,
    out: Path,
    resume: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train BASELINE (a name, or the path of a file) on a task and score it."""
    settings_of_each = parse_settings(settings)
    workers = processes.workers(workers, len(settings_of_each) * seeds)
    from ganbench.cli import tables
    from ganbench.cli.progress import show_progress
    from ganbench.harness import entries
    from ganbench.harness.spec import Spec

    specs = [
        Spec(
            task=task,
            baseline=baseline,
            hparams=hparams,
            budget=budget,
            steps=steps,
            device=device,
            compiled=compiled,
            precision=precision,
            resume=resume,
            log_every=log_every,
            sample_every=sample_every,
            tuning_trials=tuning_trials
            + (len(settings_of_each) if len(settings_of_each) > 1 else 0),
        )
        for hparams in settings_of_each
    ]
    progress = show_progress(
        named=len(specs) > 1, lines=log_every is not None, quiet=quiet or as_json
    )
    with stopping() as stop, progress as report:
        finished = entries.run(
            specs,
            seeds=range(first_seed, first_seed + seeds),
            workers=workers,
            leaderboard=root,
            out=out,
            report=report,
            stop=stop,
        )
    if as_json:
        documents = [each.result.model_dump(mode="json") for each in finished]
        click.echo(json.dumps(documents if len(specs) > 1 else documents[0], allow_nan=False))
    elif len(specs) > 1:
        tables.print_sweep(finished)
    else:
        tables.print_result(finished[0])
    sys.exit(report_trouble(finished))


def report_trouble(finished: Sequence[Finished]) -> int:
    """Say on standard error what did not go as it should; the exit code, 1 for a bad seed."""
    code = 0
    for each in finished:
        name = f"{each.result.entry.name}: " if len(finished) > 1 else ""
        for note in each.notes:
            click.echo(f"{name}{note}", err=True)
        for seed in each.seeds:
            if seed.status != "ok":
                code = 1
                click.echo(f"{name}seed {seed.seed} {seed.status}: {seed.reason}", err=True)
    return code


@click.command()
@click.argument("baseline", default="mlp_gan")
@click.option("--task", help="A task's name or file.  [default: the published systems' four]")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1))
@workers_option
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
@compile_option
@precision_option
@settings_option
@click.option(
    "--seconds",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0.1),
    help="How long each seed trains, about.",
)
@json_option
def bench(
    baseline: str,
    task: str | None,
    seeds: int,
    workers: int | None,
    device: str,
    compiled: bool | None,
    precision: Precision,
    settings: tuple[str, ...],
    seconds: float,
    as_json: bool,
) -> None:
    """Measure how fast BASELINE trains, where its time goes, and what the machine could do."""
    workers = processes.workers(workers, seeds)
    from ganbench.cli import tables
    from ganbench.harness import bench as benches
    from ganbench.harness.spec import Spec

    found = [
        benches.measure(
            Spec(
                task=name,
                baseline=baseline,
                hparams=hparams,
                device=device,
                compiled=compiled,
                precision=precision,
            ),
            seeds=seeds,
            workers=workers,
            seconds=seconds,
        )
        for name in ([task] if task else benches.TASKS)
        for hparams in parse_settings(settings)
    ]
    if as_json:
        documents = [each.document() for each in found]
        click.echo(json.dumps(documents if len(found) > 1 else documents[0], allow_nan=False))
    else:
        tables.print_bench(found)


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def plot(folder: Path) -> None:
    """Draw the pictures of a run's folder (runs/TASK/ENTRY) again."""
    from ganbench.harness import pictures

    for picture in pictures.redraw(folder):
        click.echo(picture)


class stopping:  # noqa: N801 - used as a context manager
    """Ctrl-C asks the run to stop and write what was done; a second one ends it at once."""

    def __enter__(self) -> threading.Event:
        event = threading.Event()

        def ask(number: int, frame: FrameType | None) -> None:
            if event.is_set():
                raise KeyboardInterrupt
            event.set()
            click.echo("stopping after this step (again: at once)", err=True)

        self.before = signal.signal(signal.SIGINT, ask)
        return event

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self.before)


COMMANDS = (run, bench, plot)
