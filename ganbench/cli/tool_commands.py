"""The commands beside training: list, evaluate, audit, data, new, check."""

from __future__ import annotations

import importlib.util
import json
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import click

from ganbench import registry
from ganbench.cli.options import (
    Asked,
    form_options,
    json_option,
    out_option,
    quiet_option,
    spec_options,
)
from ganbench.cli.progress import IMPORTING, Tell, working
from ganbench.errors import InputError, printable
from ganbench.registry import Listing
from ganbench.results.beside import refuse_of_others
from ganbench.system.files import write_atomically


@click.command("list")
@click.argument("kind", type=click.Choice(["tasks", "baselines", "metrics"]), required=False)
@click.option("--task", help="Show the hyper-parameters that baselines use on this task.")
@json_option
def list_command(kind: str | None, task: str | None, as_json: bool) -> None:
    """List the tasks, baselines and metrics, with a line of explanation each."""
    if task is not None and kind not in (None, "baselines"):
        raise click.UsageError(f"--task is for baselines, not for {kind}")
    registry.check(task=task)
    kinds = [kind] if kind else ["tasks", "baselines", "metrics"]
    rows = {k: registry.listing(k) for k in kinds}
    if task is not None:
        with working(IMPORTING):
            rows["baselines"] = [resolved_on(task, row) for row in rows["baselines"]]
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


def resolved_on(task: str, row: Listing) -> Listing:
    """The line of a baseline with the hyper-parameters that it really uses on a task."""
    baseline = registry.load_baseline(row.name)
    used = baseline.stored(baseline.resolve(registry.load_task(task), {}))
    shown = ", ".join(f"{name}={value!r}" for name, value in used.items())
    return replace(row, details={"hyper-parameters": shown})


def print_listing(name: str, summary: str, details: Mapping[str, str], width: int) -> None:
    """One aligned line, and one below it for each further detail."""
    better = details.get("better")
    click.echo(f"  {name:<{width}}  {summary}" + (f" ({better} is better)" if better else ""))
    hparams = details.get("hyper-parameters")
    if hparams:
        click.echo(f"  {'':<{width}}  --set {hparams}")


@click.command()
@click.argument("samples", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--task", required=True, help="A task's name, or the path of a task file.")
@form_options
@quiet_option
def evaluate(samples: Path, task: str, form: str | None, quiet: bool) -> None:
    """Score a .npy, .npz (array `samples`, or its only one) or .safetensors file of samples."""
    from ganbench.results import samples as files

    registry.check(task=task)
    with working(IMPORTING, quiet=quiet) as tell:
        read = files.read(samples)  # before it imports torch it has found what is wrong
        from ganbench.cli import tables
        from ganbench.harness import evaluate

        tell(f"scoring {samples} on {task}")
        document = evaluate.evaluate(read, task)
    for note in document["notes"]:
        click.echo(note, err=True)
    if form == "json":
        click.echo(json.dumps(document, allow_nan=False))
    else:
        tables.print_evaluation(document, every=form == "all")


@click.command()
@click.argument("metric", required=False)
@click.option("--task", help="A task's name, or the path of a task file.")
@click.option(
    "--size",
    type=click.IntRange(128, 2**14),
    default=1024,
    show_default=True,
    help="Samples of each side.",
)
@click.option(
    "--draws",
    type=click.IntRange(20, 10**6),
    default=500,
    show_default=True,
    help="Pairs of equal laws for the two-sample test's false positives.",
)
@out_option
@json_option
@quiet_option
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
    registry.check(task=task, metric=None if task else metric)
    quiet = quiet or as_json
    with working(IMPORTING, quiet=quiet):
        from ganbench import audit as audits
        from ganbench.cli import tables

        names = [task] if task else audits.tasks_for(metric)
    findings = []
    for name in names:
        with working(f"{name}: making ready", quiet=quiet) as tell:

            def report(line: str, tell: Tell = tell) -> None:
                tell("")
                click.echo(line, err=True)

            found, pictures = audits.audit_task(
                name,
                only=metric,
                size=size,
                draws=draws,
                folder=out / "audit",
                report=None if quiet else report,
            )
        findings += found
        if not as_json:
            tables.print_audit(name, found)
            for picture in pictures:
                click.echo(f"picture   {printable(picture)}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    broken = sum(not finding.kept for finding in findings)
    click.echo(f"{len(findings)} promises tried, {broken} broken", err=True)
    if broken:
        sys.exit(1)


@click.group("data")
def data_group() -> None:
    """Fetch the data sets that tasks need."""


@data_group.command("fetch")
@click.argument("name")
@quiet_option
def data_fetch(name: str, quiet: bool) -> None:
    """Fetch a data set (mnist, fashion_mnist) into the cache, verify it, print its folder."""
    from ganbench import data

    click.echo(printable(data.fetch(name, quiet=quiet)))


@click.command()
@click.argument("name")
def new(name: str) -> None:
    """Write NAME.py, a small GAN of your own that runs at once."""
    target = Path(name if name.endswith(".py") else f"{name}.py")
    if not target.stem.isidentifier():
        raise InputError(f"{target.stem!r} is no Python name: use letters, digits and _")
    if target.stem != "__main__" and importlib.util.find_spec(target.stem):
        raise InputError(f"{target.name} would hide the module {target.stem}: choose another name")
    if target.exists():
        raise InputError(f"{target} exists: choose another name, or remove it")
    if not target.parent.is_dir():
        raise InputError(f"no folder {str(target.parent)!r} to write {target.name} into")
    write_atomically(target, Path(__file__).with_name("scaffold.py").read_bytes())
    named = printable(target)
    click.echo(f"{named} written; try: ganbench run {named} --task ring8 --budget quick")
    click.echo(f"after each change: ganbench check {named}")


COLORS = {"ok": "green", "note": "yellow", "fails": "red"}


@click.command()
@spec_options("baseline", "hparams")
@click.option(
    "--task", default="ring8", show_default=True, help="A task's name, or the path of a task file."
)
@click.option("--compile", "compiled", is_flag=True, help="Compile it too, for half a minute.")
@json_option
@quiet_option
def check(asked: Asked, task: str, compiled: bool, as_json: bool, quiet: bool) -> None:
    """Try whether BASELINE (a name, or the path of a file) keeps what a GAN must, and its speed.

    A line for each check: ok, a note of something to know, or what fails; exit code 1 if any does.
    """
    if len(asked.hparams) > 1:
        raise click.UsageError("--set takes one value each here: a GAN is checked, not a sweep")
    asked.check(task=task)
    refuse_of_others(asked.fields["baseline"])
    with working(IMPORTING, quiet=quiet) as tell:
        from ganbench import check as checker

        tell("checking")
        (spec,) = asked.specs(task=task)
        found = list(checker.check(spec, compiled=compiled))
    if click.get_current_context().find_root().params["debug"]:
        for each in found:
            if each.error is not None:
                traceback.print_exception(each.error)
    if as_json:
        lines = [{"check": f.check, "verdict": f.verdict, "says": f.says} for f in found]
        click.echo(json.dumps(lines))
    else:
        width = max(len(each.check) for each in found)
        for each in found:
            verdict = click.style(f"{each.verdict:<5}", fg=COLORS[each.verdict])
            click.echo(f"{verdict}  {each.check:<{width}}  {each.says}")
    if any(each.verdict == "fails" for each in found):
        sys.exit(1)


COMMANDS = (list_command, evaluate, audit, data_group, new, check)
