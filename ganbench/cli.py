"""The command line: parses, calls one function, prints. Imports torch only where it is needed."""

from __future__ import annotations

import atexit
import gc
import json
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ganbench import __version__
from ganbench.board_commands import leaderboard_group, submit, verify
from ganbench.errors import InputError
from ganbench.options import (
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


class Group(click.Group):
    """Turns an InputError into one line and exit code 2; `--debug` shows the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)
        except OSError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            click.echo(f"Error: {error.filename or ''}: {error.strerror or error}", err=True)
            ctx.exit(2)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="ganbench")
def main(debug: bool) -> None:
    """Train, judge and compare generative adversarial networks."""
    # Else the last collection walks all that torch has made, which takes half a second.
    atexit.register(gc.freeze)


for command in (leaderboard_group, submit, verify):
    main.add_command(command)


@main.command()
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
    from ganbench import tables
    from ganbench.harness import entries
    from ganbench.harness.spec import Spec
    from ganbench.progress import show_progress

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


@main.command("list")
@click.argument("kind", type=click.Choice(["tasks", "baselines", "metrics"]), required=False)
@json_option
def list_command(kind: str | None, as_json: bool) -> None:
    """List the tasks, baselines and metrics, with a line of explanation each."""
    from ganbench import registry

    kinds = [kind] if kind else ["tasks", "baselines", "metrics"]
    rows = {k: registry.listing(k) for k in kinds}
    if as_json:
        flat = [
            {"name": row.name, "kind": k, "summary": row.summary, **row.details}
            for k in kinds
            for row in rows[k]
        ]
        click.echo(json.dumps(flat))
        return
    for k in kinds:
        click.echo(click.style(k, bold=True))
        width = max(len(row.name) for row in rows[k])
        for row in rows[k]:
            print_listing(row.name, row.summary, row.details, width)


def print_listing(name: str, summary: str, details: Mapping[str, str], width: int) -> None:
    """One aligned line, and one below it for each further detail."""
    better = details.get("better")
    click.echo(f"  {name:<{width}}  {summary}" + (f" ({better} is better)" if better else ""))
    hparams = details.get("hyper-parameters")
    if hparams:
        click.echo(f"  {'':<{width}}  --set {hparams}")


@main.command()
@click.argument("samples", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--task", required=True, help="A task's name, or the path of a task file.")
@json_option
def evaluate(samples: Path, task: str, as_json: bool) -> None:
    """Score a .npy, .npz (array `samples`, or its only one) or .safetensors file of samples."""
    from ganbench import tables
    from ganbench.harness import evaluate
    from ganbench.results import samples as files

    document, notes = evaluate.evaluate(files.read(samples), task)
    for note in notes:
        click.echo(note, err=True)
    if as_json:
        click.echo(json.dumps(document, allow_nan=False))
    else:
        tables.print_evaluation(document)


@main.command()
@click.argument("metric", required=False)
@click.option("--task", help="A task's name, or the path of a task file.")
@click.option(
    "--size",
    type=click.IntRange(128),
    default=1024,
    show_default=True,
    help="Samples of each side.",
)
@click.option(
    "--draws",
    type=click.IntRange(20),
    default=500,
    show_default=True,
    help="Pairs of equal laws for the two-sample test's false positives.",
)
@out_option
@json_option
@click.option("--quiet", is_flag=True, help="No progress.")
def audit(
    metric: str | None,
    task: str | None,
    size: int,
    draws: int,
    out: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Try whether METRIC, or all of them, keep what they promise on samples spoilt on purpose."""
    from ganbench import audit as audits
    from ganbench import tables

    findings = []
    for name in [task] if task else audits.tasks_for(metric):
        found, pictures = audits.audit_task(
            name,
            only=metric,
            size=size,
            draws=draws,
            folder=out / "audit",
            report=None if quiet or as_json else lambda line: click.echo(line, err=True),
        )
        findings += found
        if not as_json:
            tables.print_audit(name, found)
            for picture in pictures:
                click.echo(f"picture   {picture}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    broken = sum(not finding.kept for finding in findings)
    click.echo(f"{len(findings)} promises tried, {broken} broken", err=True)
    if broken:
        sys.exit(1)


@main.command()
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
    from ganbench import tables
    from ganbench.harness import bench as benches
    from ganbench.harness import entries
    from ganbench.harness.spec import Spec

    device = entries.resolve_device(device)
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


@main.group("data")
def data_group() -> None:
    """Fetch the data sets that tasks need."""


@data_group.command("fetch")
@click.argument("name")
@click.option("--quiet", is_flag=True, help="No progress.")
def data_fetch(name: str, quiet: bool) -> None:
    """Fetch a data set (mnist, fashion_mnist) into the cache, verify it, print its folder."""
    from ganbench import data

    click.echo(data.fetch(name, quiet=quiet))


@main.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def plot(folder: Path) -> None:
    """Draw the pictures of a run's folder (runs/TASK/ENTRY) again."""
    from ganbench.harness import pictures

    for picture in pictures.redraw(folder):
        click.echo(picture)


@main.command()
@click.argument("name")
def new(name: str) -> None:
    """Write NAME.py, a small GAN of your own that runs at once."""
    target = Path(name if name.endswith(".py") else f"{name}.py")
    if not target.stem.isidentifier():
        raise InputError(f"{target.stem!r} is no Python name: use letters, digits and _")
    if target.exists():
        raise InputError(f"{target} exists: choose another name, or remove it")
    if not target.parent.is_dir():
        raise InputError(f"no folder {str(target.parent)!r} to write {target.name} into")
    shutil.copyfile(Path(__file__).with_name("scaffold.py"), target)
    click.echo(f"{target} written; try: ganbench run {target} --task ring8 --budget quick")


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
