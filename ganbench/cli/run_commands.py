"""The commands that train: run and bench; and plot, which draws what a run left."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from ganbench import registry
from ganbench.cli.options import (
    Asked,
    Finite,
    form_options,
    json_option,
    leaderboard_option,
    out_option,
    quiet_option,
    spec_options,
    workers_option,
)
from ganbench.cli.progress import IMPORTING, confined, show_progress, working
from ganbench.errors import InputError, printable
from ganbench.results.beside import refuse_of_others, result_beside
from ganbench.system import processes
from ganbench.system.limits import LAST_SEED, LONGEST_BENCH, MOST_SEEDS
from ganbench.system.words import many

if TYPE_CHECKING:
    from ganbench.harness.entries import Finished


@click.command()
@spec_options(
    "baseline",
    "task",
    "budget",
    "steps",
    "device",
    "compiled",
    "precision",
    "hparams",
    "tuning_trials",
    "log_every",
    "sample_every",
    "log",
    "time_limit",
    "resume",
)
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1, MOST_SEEDS))
@click.option("--first-seed", default=0, show_default=True, type=click.IntRange(0, LAST_SEED))
@workers_option
@leaderboard_option
@out_option
@form_options
@quiet_option
def run(
    asked: Asked,
    seeds: int,
    first_seed: int,
    workers: int | None,
    root: Path,
    out: Path,
    form: str | None,
    quiet: bool,
) -> None:
    """Train BASELINE (a name, or the path of a file) on a task and score it."""
    asked.check()
    quiet, lines = quiet or form == "json", asked.fields["log_every"] is not None
    count, numbers = len(asked.hparams) * seeds, range(first_seed, first_seed + seeds)
    submitted = result_beside(asked.fields["baseline"], root)
    if not submitted:
        processes.prepare()  # while this process imports: even one worker is a process of its own
    workers = processes.workers(workers, count, forked=not submitted)
    with working(IMPORTING, quiet=quiet):
        from ganbench.cli import tables
        from ganbench.harness import entries

        specs = asked.specs()
        train: Callable[..., list[Finished]] = partial(entries.run, apart=True)
        if submitted:
            from ganbench.board import foreign

            train = partial(foreign.run, beside=submitted)
    progress = show_progress(named=len(specs) > 1, lines=lines, quiet=quiet)
    with confined(specs[0].baseline), stopping() as stop, progress as report:
        finished = train(
            specs,
            seeds=numbers,
            workers=workers,
            leaderboard=root,
            out=out,
            report=report,
            stop=stop,
        )
    if form == "json":
        documents = [each.result.model_dump(mode="json") for each in finished]
        click.echo(json.dumps(documents if len(specs) > 1 else documents[0], allow_nan=False))
    elif len(specs) > 1:
        tables.print_sweep(finished)
    else:
        tables.print_result(finished[0], every=form == "all")
    sys.exit(report_trouble(finished, engines=quiet))


def report_trouble(finished: Sequence[Finished], *, engines: bool) -> int:
    """Say on standard error what did not go as it should; the exit code, 1 for a bad seed.

    Also why `engines` are not those asked for, where the progress has not said so.
    """
    from ganbench.harness import entries  # which imports torch

    code, debug = 0, click.get_current_context().find_root().params["debug"]
    for each in finished:
        name = f"{each.result.entry.name}: " if len(finished) > 1 else ""
        why = dict.fromkeys(seed.engine_note for seed in each.seeds if seed.engine_note)
        for note in [*each.notes, *(why if engines else ())]:
            click.echo(f"{name}{note}", err=True)
        if each.not_begun:
            code = 1
            click.echo(f"{name}stopped: {many(each.not_begun, 'seed')} not begun", err=True)
        for seed in each.seeds:
            if seed.status != "ok":
                code = 1
                if debug:
                    click.echo(entries.traceback_of(each.folder, seed), err=True, nl=False)
                click.echo(f"{name}seed {seed.seed} {seed.status}: {seed.reason}", err=True)
    return code


@click.command()
@click.argument("baseline", default="mlp_gan")
@click.option("--task", help="A task's name or file.  [default: the published systems' four]")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1, MOST_SEEDS))
@workers_option
@spec_options("device", "compiled", "precision", "hparams")
@click.option(
    "--seconds",
    default=2.0,
    show_default=True,
    type=Finite(0.1, LONGEST_BENCH),
    help="How long each seed trains, about.",
)
@json_option
@quiet_option
def bench(
    asked: Asked,
    baseline: str,
    task: str | None,
    seeds: int,
    workers: int | None,
    seconds: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure how fast BASELINE trains, where its time goes, and what the machine could do."""
    asked.check(task=task, baseline=baseline)
    refuse_of_others(baseline)
    workers = processes.workers(workers, seeds)
    with working(IMPORTING, quiet=quiet) as tell:
        from ganbench.cli import tables
        from ganbench.harness import bench as benches

        specs = [
            spec
            for name in ([task] if task else benches.TASKS)
            for spec in asked.specs(baseline=baseline, task=name)
        ]
        found = [
            benches.measure(spec, seeds=seeds, workers=workers, seconds=seconds, report=tell)
            for spec in specs
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
    if not (folder / registry.MARKER).is_file():
        raise InputError(f"{str(folder)!r} is no folder of a run: see runs/")
    with working(f"drawing the pictures of {folder}"):
        from ganbench.harness import pictures

        drawn = pictures.redraw(folder)
    for picture in drawn:
        click.echo(printable(picture))


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("-n", "count", default=10_000, show_default=True, type=click.IntRange(1, 10**9))
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2 * LAST_SEED),
    help="Which of the run's seeds.",
)
@click.option(
    "--draw",
    default=0,
    show_default=True,
    type=click.IntRange(0, LAST_SEED),
    help="Another draw of samples.",
)
@click.option(
    "--out",
    "target",
    default=Path("samples.npz"),
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .npz or .npy file, which must not exist.",
)
def sample(folder: Path, count: int, seed: int, draw: int, target: Path) -> None:
    """Make samples with the trained GAN of a run's folder (runs/TASK/ENTRY).

    This executes the source that the run was of.
    """
    if target.suffix not in (".npz", ".npy"):
        raise InputError(f"{target} must end in .npz or .npy")
    if target.exists():
        raise InputError(f"{target} exists: choose another name, or remove it")
    with working(IMPORTING) as tell:
        from ganbench.harness import trained
        from ganbench.results import samples

        tell(f"making {count:,} samples")
        gan = trained.load(folder, seed)
        if (size := 4 * count * gan.task.width) > samples.MOST:
            raise InputError(f"{count:,} samples take {size:,} bytes, and {samples.MOST:,} at most")
        made = gan.sample(count, seed=draw).cpu().numpy()
        if target.suffix == ".npz":
            samples.write_arrays(target, {"samples": made})
        else:
            samples.write_npy(target, made)
    if gan.unfinished:
        click.echo(gan.unfinished, err=True)
    click.echo(f"{printable(target)}: float32 of shape {made.shape}")


class stopping:  # noqa: N801 - used as a context manager
    """Ctrl-C or SIGTERM ask the run to stop and write what was done; a second ends it at once."""

    def __enter__(self) -> threading.Event:
        event = threading.Event()

        def ask(number: int, frame: FrameType | None) -> None:
            if event.is_set():
                raise KeyboardInterrupt
            event.set()
            click.echo("stopping after this step (again: at once)", err=True)

        self.before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
        return event

    def __exit__(self, *error: object) -> None:
        for each, handler in self.before.items():
            signal.signal(each, handler)


COMMANDS = (run, bench, plot, sample)
