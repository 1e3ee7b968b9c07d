"""The commands of the leaderboard, and submit and verify."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ganbench.cli.options import (
    folder_option,
    json_option,
    leaderboard_option,
    out_option,
    quality_option,
    seed_or_fresh,
    seeds_or_auto,
    track_option,
    tuning_option,
    workers_option,
)
from ganbench.cli.progress import confined, show_progress, watch, working
from ganbench.errors import MOST_LINE, InputError, one_line, printable
from ganbench.system import processes
from ganbench.system.limits import MOST_SEEDS

if TYPE_CHECKING:
    from ganbench.board.claim import Outcome
    from ganbench.board.ranking import TrackName, Tuning


INCONCLUSIVE = 3  # the exit code where nothing was found, and nothing could have been


@click.command()
@click.argument("entry")
@click.option("--task", required=True, help="The task that it ran.")
@click.option(
    "--samples",
    "most",
    type=click.IntRange(1, MOST_SEEDS),
    metavar="N",
    help="Take the samples of the first N seeds.  [default: of as many as 16 MiB hold]",
)
@folder_option("--to", default="submission", help="Folder for the files, laid out as the board.")
@leaderboard_option
@out_option
def submit(entry: str, task: str, most: int | None, to: Path, root: Path, out: Path) -> None:
    """Collect an ENTRY's result, source and samples into one folder, for a pull request."""
    from ganbench.board import submission

    with working("trying what `ganbench check` tries"):  # which runs the source
        done = submission.submit(entry, task, root=root, runs=out, to=to, most=most)
    for note in done.notes:
        click.echo(note, err=True)
    for path in done.files:
        click.echo(printable(path))


@click.command()
@click.argument("result", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--rerun",
    callback=seeds_or_auto,
    is_flag=False,
    flag_value="auto",
    metavar="[SEEDS|auto]",
    help="Train so many new seeds too, or as many as the claim needs. This runs the source that "
    "came with the result, confined.",
)
@click.option(
    "--hidden",
    callback=seed_or_fresh,
    is_flag=False,
    flag_value="fresh",
    metavar="[SEED|fresh]",
    help="Train them on hidden parameters of the task: of this seed, or drawn afresh.",
)
@click.option("--attach", is_flag=True, help="Keep the gap to the hidden scores in RESULT.")
@workers_option
@click.option("--quiet", is_flag=True, help="No progress.")
def verify(
    result: Path,
    rerun: int | Literal["auto"] | None,
    hidden: int | Literal["fresh"] | None,
    attach: bool,
    workers: int | None,
    quiet: bool,
) -> None:
    """Check the files of a submitted RESULT (JSON) and compute the metrics of its samples anew.

    Exit code 1: something is wrong. 3: new seeds were trained, and do not tell.
    """
    from ganbench.board import submission
    from ganbench.board.watch import unwatched

    if hidden is not None and rerun is None:
        raise click.UsageError("--hidden is of new seeds: give --rerun too")
    if attach and hidden is None:
        raise click.UsageError("--attach keeps the gap to hidden scores: give --hidden too")
    plan = submission.plan(result, None if rerun == "auto" else rerun) if rerun else None
    findings = list(submission.verify(result, watch=unwatched if quiet else watch))
    for finding in findings:
        click.echo(one_line(f"{result}: {finding}", MOST_LINE))
    if findings:
        sys.exit(1)
    if plan is None:
        click.echo(f"{printable(result)}: nothing wrong with its files; --rerun tests the scores")
        return
    if not quiet:
        click.echo(plan.line, err=True)
    count = processes.workers(workers, plan.seeds, forked=False)
    if hidden is None:
        with confined(result), show_progress(named=False, lines=False, quiet=quiet) as report:
            outcome = submission.rerun(result, plan.seeds, workers=count, report=report)
    else:
        seed = None if hidden == "fresh" else hidden
        outcome = _rerun_hidden(result, plan.seeds, seed, attach, count, quiet)
    click.echo(printable(f"{result}: {outcome.line}"))
    if outcome.verdict != "consistent":
        sys.exit(INCONCLUSIVE if outcome.verdict == "inconclusive" else 1)


def _rerun_hidden(
    result: Path, seeds: int, seed: int | None, attach: bool, workers: int, quiet: bool
) -> Outcome:
    """Train new seeds on hidden parameters, and keep the gap in the result if it is to be."""
    from ganbench.board import gap, submission

    with working("drawing hidden parameters, and what is needed to judge on them", quiet=quiet):
        hidden, known = submission.hidden_parameters(result, seed)
    if not quiet:
        line = (
            f"hidden parameters, which --hidden {hidden.seed} draws again: scores may be lower by "
        )
        click.echo(f"{line}{gap.ALLOWED:g}, and what exceeds that is found so", err=True)
    with confined(result), show_progress(named=False, lines=False, quiet=quiet) as report:
        outcome, run = submission.rerun_hidden(
            result, seeds, hidden, known, workers=workers, report=report
        )
    if attach and run is not None:
        gap.attach(result, run)
    return outcome


@click.group("leaderboard")
def leaderboard_group() -> None:
    """Show and check the results."""


@leaderboard_group.command("show")
@click.option("--task", help="The board of this task.  [default: over all tasks]")
@click.option("--each", is_flag=True, help="Show every task's own board too.")
@click.option("--by", metavar="METRIC", help="Rank by the position of this metric or view.")
@track_option
@tuning_option
@quality_option
@click.option(
    "--sort",
    type=click.Choice(["rank", "score", "speed", "time", "name"]),
    default="rank",
    show_default=True,
    help="What stands first; ranked entries always before others.",
)
@click.option(
    "--top",
    type=click.IntRange(1, 10**9),
    default=100,
    show_default=True,
    help="How many entries of a task a table shows.",
)
@click.option("--metrics", is_flag=True, help="Show where all metrics lie, not only the first.")
@click.option("--csv", "form", flag_value="csv", help="Print one table of comma-separated values.")
@click.option("--markdown", "form", flag_value="markdown", help="Print one table for a README.")
@leaderboard_option
@json_option
def leaderboard_show(
    task: str | None,
    each: bool,
    by: str | None,
    track: TrackName,
    tuning: Tuning,
    quality: float,
    sort: str,
    top: int,
    metrics: bool,
    form: str | None,
    root: Path,
    as_json: bool,
) -> None:
    """Show every entry with its score, and with its rank as far as the seeds can tell.

    Over all tasks, or on one. Reduced budgets, changed tasks, older versions and too few seeds
    stand below, unranked.
    """
    from ganbench.board import index, overall, ranking
    from ganbench.cli import board_tables, overall_table

    alone = task is not None or track == "time"  # times compare on one hardware and task alone
    if by is not None and track == "time":
        raise click.UsageError("--by is of the track of quality: --track time ranks by seconds")
    if sort != "rank" and not (alone or each or metrics or as_json or form == "csv"):
        raise click.UsageError("--sort is of a task's board: give --task NAME or --each")
    with index.opened() as kept:
        entries, problems = kept.entries(root, task, watch=watch)
        boards = ranking.boards(
            entries, quality=quality, track=track, tuning=tuning, by=by, remember=kept.remember
        )
    over = None if alone else overall.overall(boards, tasks=overall.declared(root))
    if as_json:
        documents = [] if over is None else [{"task": "all", **over.document()}]
        documents += [board.document(sort) for board in boards]
        click.echo(json.dumps(documents, allow_nan=False))
    elif form == "csv":
        first = [] if over is None else [overall_table.line(over, row) for row in over.rows]
        board_tables.print_csv(boards, sort, metrics=metrics, first=first)
    else:
        if over is not None:
            overall_table.print_overall(over, top, markdown=form == "markdown")
        if over is None or each or metrics or not over.tasks:
            how = board_tables.print_markdown if form else board_tables.print_boards
            how(boards, sort, top, metrics=metrics)
    report_problems(problems, kept.problem)


@leaderboard_group.command("compare")
@click.argument("a")
@click.argument("b")
@click.option("--task", help="Only this task.")
@leaderboard_option
@json_option
def leaderboard_compare(a: str, b: str, task: str | None, root: Path, as_json: bool) -> None:
    """Compare the entries A and B on every task that both ran, by the seeds that both have."""
    from ganbench.board import comparison, index
    from ganbench.cli import board_tables

    with index.opened() as kept:
        entries, problems = kept.entries(root, task, watch=watch)
    found, skipped = comparison.compare(entries, a, b)
    if as_json:
        document = {name: vars(each) for name, each in found.items()}
        click.echo(json.dumps({"a": a, "b": b, "tasks": document, "skipped": skipped}))
    else:
        board_tables.print_comparison((a, b), found, skipped)
    report_problems(problems, kept.problem)


def report_problems(problems: Sequence[str], note: str | None = None) -> None:
    """A line for each damaged file, and exit code 2 if there is one; before them a mere note."""
    if note:
        click.echo(note, err=True)
    for problem in problems:
        click.echo(one_line(f"Error: {problem}", MOST_LINE), err=True)
    if problems:
        sys.exit(2)


@leaderboard_group.command("migrate")
@leaderboard_option
def leaderboard_migrate(root: Path) -> None:
    """Renew result files of older versions; nothing is trained again, and no seed is lost."""
    from ganbench.board import migration

    done, problems = migration.migrate(root, watch=watch)
    for path in done:
        click.echo(printable(path))
    click.echo(f"{len(done)} files renewed", err=True)
    report_problems(problems)


@leaderboard_group.command("merge")
@click.argument("others", nargs=-1, required=True, type=click.Path(path_type=Path))
@leaderboard_option
def leaderboard_merge(others: Sequence[Path], root: Path) -> None:
    """Add the results of OTHERS, leaderboards of further machines: seeds of an entry are merged."""
    from ganbench.results import schema, store

    problems: list[str] = []
    for path in [path for other in others for path in store.result_files(other)]:
        try:
            added = store.add(schema.load_result(path), root)
        except InputError as error:
            problems.append(str(error))
            continue
        aside = f", the former is in {added.set_aside}" if added.set_aside else ""
        click.echo(printable(f"{added.path}: {len(added.result.seeds)} seeds{aside}"))
    report_problems(problems)


@leaderboard_group.command("check")
@leaderboard_option
@json_option
def leaderboard_check(root: Path, as_json: bool) -> None:
    """Check every file: schema, sizes, hashes, duplicates; that scores follow from the metrics."""
    from ganbench.board import checking

    count, findings = checking.check(root, watch=watch)
    if as_json:
        click.echo(json.dumps({"files": count, "findings": findings}))
    else:
        for finding in findings:
            click.echo(one_line(finding, MOST_LINE))
        click.echo(f"{count} files checked, {len(findings)} findings")
    if findings:
        sys.exit(1)


@leaderboard_group.command("site")
@folder_option("--out", default="site", help="Folder of the pages; a former site is replaced.")
@quality_option
@leaderboard_option
@workers_option
@click.option("--quiet", is_flag=True, help="No progress.")
def leaderboard_site(
    out: Path, quality: float, root: Path, workers: int | None, quiet: bool
) -> None:
    """Write the board as web pages, which work from a file and offline."""
    from ganbench import site
    from ganbench.board import index
    from ganbench.board.watch import unwatched

    with index.opened() as kept:
        built = site.build(
            root,
            out,
            kept,
            quality=quality,
            workers=workers,
            watch=unwatched if quiet else watch,
        )
    click.echo(f"{built.pages} pages: {printable(out / 'index.html')}")
    report_problems(built.problems, kept.problem)


@leaderboard_group.command("schema")
def leaderboard_schema() -> None:
    """Print the JSON Schema of a result file."""
    from ganbench.results import schema

    click.echo(json.dumps(schema.json_schema(), indent=1))


COMMANDS = (leaderboard_group, submit, verify)
