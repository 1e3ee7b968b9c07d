"""The command line: parses, calls one function, prints. Imports torch only where it is needed."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click

from ganbench import __version__
from ganbench.errors import InputError


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


leaderboard_option = click.option(
    "--leaderboard",
    "root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("leaderboard"),
    show_default=True,
    help="Folder of the results.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


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
@click.option("--workers", type=click.IntRange(1), help="Processes; one a core by default.")
@click.option(
    "--compile",
    "compiled",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    help="torch.compile for the networks of a Game; auto is off.",
)
@click.option("--set", "settings", multiple=True, metavar="K=V", help="Set a hyper-parameter.")
@leaderboard_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Folder for pictures, samples and checkpoints.",
)
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
    compiled: str,
    settings: tuple[str, ...],
    root: Path,
    out: Path,
    resume: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train BASELINE (a name, or the path of a file) on a task and score it."""
    from ganbench import harness, tables
    from ganbench.progress import show_progress

    numbers = range(first_seed, first_seed + seeds)
    with stopping() as stop, show_progress(len(numbers), quiet=quiet or as_json) as report:
        finished = harness.run(
            baseline,
            task,
            seeds=numbers,
            budget=budget,
            steps=steps,
            device=device,
            workers=workers or min(seeds, os.cpu_count() or 1),
            compiled=compiled == "on",
            hparams=parse_settings(settings),
            leaderboard=root,
            out=out,
            resume=resume,
            report=report,
            stop=stop,
        )
    if as_json:
        click.echo(json.dumps(finished.result.model_dump(mode="json"), allow_nan=False))
    else:
        tables.print_result(finished)
    for note in finished.notes:
        click.echo(note, err=True)
    bad = [seed for seed in finished.seeds if seed.status != "ok"]
    for seed in bad:
        click.echo(f"seed {seed.seed} {seed.status}: {seed.reason}", err=True)
    if bad:
        sys.exit(1)


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
    from ganbench import samples as files
    from ganbench import tables

    document, notes = files.score(files.read(samples), task)
    for note in notes:
        click.echo(note, err=True)
    if as_json:
        click.echo(json.dumps(document, allow_nan=False))
    else:
        tables.print_evaluation(document)


@main.group("leaderboard")
def leaderboard_group() -> None:
    """Show and check the results."""


@leaderboard_group.command("show")
@click.option("--task", help="Only this task.")
@leaderboard_option
@json_option
def leaderboard_show(task: str | None, root: Path, as_json: bool) -> None:
    """Show every entry with its score and interval, reduced budgets apart."""
    from ganbench import leaderboard, tables

    valid, problems = leaderboard.read(root, task)
    if as_json:
        click.echo(json.dumps([result.model_dump(mode="json") for result in valid]))
    else:
        tables.print_board(valid)
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        sys.exit(2)


@leaderboard_group.command("check")
@leaderboard_option
@json_option
def leaderboard_check(root: Path, as_json: bool) -> None:
    """Check every file: its schema, and that scores and summary follow from the metrics."""
    from ganbench import leaderboard

    count, findings = leaderboard.check(root)
    if as_json:
        click.echo(json.dumps({"files": count, "findings": findings}))
    else:
        for finding in findings:
            click.echo(finding)
        click.echo(f"{count} files checked, {len(findings)} findings")
    if findings:
        sys.exit(1)


@leaderboard_group.command("schema")
def leaderboard_schema() -> None:
    """Print the JSON Schema of a result file."""
    from ganbench import results

    click.echo(json.dumps(results.schema(), indent=1))


@main.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def plot(folder: Path) -> None:
    """Draw the pictures of a run's folder (runs/TASK/ENTRY) again."""
    from ganbench import harness

    for picture in harness.redraw(folder):
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


def parse_settings(settings: tuple[str, ...]) -> dict[str, Any]:
    """`("lr=1e-4", "g_hidden=[32,32]")` to a dictionary of Python values."""
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--set takes NAME=VALUE, got {setting!r}")
        try:
            values[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[name] = text
    return values


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
