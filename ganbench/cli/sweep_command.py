"""`ganbench sweep`: a whole board, run from where it stands."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.board.text import with_interval
from ganbench.board.watch import unwatched
from ganbench.cli.crew import Crew, asked, crew_options
from ganbench.cli.options import json_option, leaderboard_option, out_option, quiet_option
from ganbench.cli.progress import IMPORTING, watch, working
from ganbench.cli.run_commands import stopping
from ganbench.errors import InputError
from ganbench.system.words import duration, many

if TYPE_CHECKING:
    from ganbench.harness.sweep import Ended, Item

Say = Callable[[str], None]
TRUSTED = 600.0  # seconds for which an estimate is believed, whatever the first entries take
BAD = ("failed", "diverged", "interrupted")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--plan", "only_plan", is_flag=True, help="Say what is to be done, and do nothing.")
@click.option("--publish", is_flag=True, help="Put source and samples beside each whole result.")
@crew_options
@leaderboard_option
@out_option
@json_option
@quiet_option
def sweep(
    file: Path,
    only_plan: bool,
    publish: bool,
    crew: Crew,
    root: Path,
    out: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run every baseline on every task that a TOML FILE names, but what is done already.

    Goes on from where it was stopped. The board of the repository is leaderboard/board.toml.
    """
    quiet = quiet or as_json
    crew.prepare()
    with working(IMPORTING, quiet=quiet):
        from ganbench.harness import sweep as sweeps
        from ganbench.harness import sweep_file

        wanted = sweep_file.wanted(file)
    look = unwatched if quiet else watch
    say: Say = (lambda line: None) if as_json else partial(click.echo, file=sys.stdout)
    ended: list[Ended] = []
    with crew.hired() as nodes:
        items = [
            sweeps.plan(spec, range(seeds), root)
            for spec, seeds in look("looking for what is done", wanted)
        ]
        left, speeds = [item for item in items if not item.done], sweeps.Speeds(out, root)
        seconds = [
            crew.seconds(item, speeds, nodes) for item in look("trying how fast they train", left)
        ]
        _say_plan(items, seconds, say)
        if not only_plan:
            _declare_trials(items, say)
            with stopping() as stop:
                train = partial(crew.train, leaderboard=root, out=out, stop=stop, quiet=quiet)
                with closing(train(left, seconds, nodes)) as became:
                    for one in _said(became, left, seconds, say):
                        ended.append(_published(one, root, out) if publish else one)
                if stop.is_set():
                    say("stopped; the same command goes on")
            if publish:
                ended += _published_before(items, root, out)
    if as_json:
        click.echo(json.dumps(_document(items, ended), allow_nan=False))
    sys.exit(_report_failures(ended))


def _report_failures(ended: Sequence[Ended]) -> int:
    """A line for each entry that did not end well; the exit code, 1 if there is one."""
    failed = [each for each in ended if each.error or _bad_seeds(each)]
    for each in failed:
        reason = each.error or "; ".join(_bad_seeds(each))
        click.echo(f"{each.item.name} on {each.item.task}: {reason}", err=True)
    return 1 if failed else 0


def _said(
    became: Iterator[Ended], left: Sequence[Item], seconds: Sequence[float | None], say: Say
) -> Iterator[Ended]:
    """What became of each, with a line of it and how long the rest takes."""
    watched, places = _TimeLeft(seconds), {id(item): place for place, item in enumerate(left)}
    for number, one in enumerate(became, 1):
        head = f"[{number}/{len(left)}]"
        say(f"{head:9} {_line(one)}{watched.after(places[id(one.item)])}")
        yield one


class _TimeLeft:
    """How long the rest takes, by how the time of what is done compares with its estimate."""

    def __init__(self, seconds: Sequence[float | None]) -> None:
        self._left = [each or 0.0 for each in seconds]
        self._total, self._begun = sum(self._left), time.monotonic()

    def after(self, place: int) -> str:
        """`; left: 12 min` once what is at a place is done too; "" where nothing is left."""
        self._left[place] = 0.0
        rest = sum(self._left)
        thought = self._total - rest
        took = time.monotonic() - self._begun
        slower = (took + TRUSTED) / (thought + TRUSTED)
        return f"; left: {duration(rest * slower)}" if rest else ""


def _say_plan(items: Sequence[Item], seconds: Sequence[float | None], say: Say) -> None:
    """What is done, what has nothing to do with a task, and what is left."""
    unsuited = [item for item in items if item.unsuited]
    left = [item for item in items if not item.done]
    done = len(items) - len(unsuited) - len(left)
    for item in unsuited:
        say(f"left out  {item.task:14} {item.unsuited}")
    for item, took in zip(left, seconds, strict=True):
        say(f"to do     {item.task:14} {item.name:24} {asked(item, took)}")
    total = sum(each or 0.0 for each in seconds)
    about = f", about {duration(total)}" if left else ""
    say(f"{done} done, {len(left)} to do{about}, {len(unsuited)} left out")


def _declare_trials(items: Sequence[Item], say: Say) -> None:
    """Have results that are done declare the trials that the file has counted since."""
    from ganbench.results import store

    for item in items:
        trials = item.spec.tuning_trials
        if item.whole is not None and store.declare(item.whole, trials):
            say(f"{item.whole} declares {many(trials, 'trial')} now")


def _publish(item: Item, root: Path, out: Path) -> str | None:
    """Make an entry's result a published one; the line that says why not, if it is refused."""
    from ganbench.board import submission

    try:
        submission.publish(item.name, item.task, root=root, runs=out)
    except InputError as error:
        return f"not published: {error}"
    return None


def _published(ended: Ended, root: Path, out: Path) -> Ended:
    """What became of an entry, whose result is published if it is whole."""
    if ended.finished is None or _bad_seeds(ended, of=("interrupted",)):
        return ended
    return replace(ended, error=_publish(ended.item, root, out))


def _published_before(items: Sequence[Item], root: Path, out: Path) -> list[Ended]:
    """Publish the results that were whole before; those of which that is refused."""
    from ganbench.harness.sweep import Ended
    from ganbench.results import store

    waiting = [item for item in items if item.whole and not store.is_published(item.whole)]
    refused = {id(item): _publish(item, root, out) for item in waiting}
    return [Ended(item=item, error=refused[id(item)]) for item in waiting if refused[id(item)]]


def _bad_seeds(ended: Ended, of: Sequence[str] = BAD) -> list[str]:
    """A line for each of its seeds that did not end well, and for those that were not begun."""
    if ended.finished is None:
        return []
    seeds, left = ended.finished.seeds, ended.finished.not_begun
    lines = [f"seed {s.seed} {s.status}: {s.reason}" for s in seeds if s.status in of]
    return [*lines, f"stopped: {many(left, 'seed')} not begun"] if left else lines


def _line(ended: Ended) -> str:
    item = ended.item
    what = f"{item.task:14} {item.name:24}"
    if ended.finished is None:
        return f"{what} {ended.error}"
    found = ended.finished.result.summary["score"]
    score = with_interval(found.iqm, found.ci95)
    new, whole = len(ended.finished.seeds), len(ended.finished.result.seeds)
    seeds = f"{new} seeds" if new == whole else f"{new} more seeds, {whole} in all,"
    return f"{what} {score}, {seeds} in {duration(ended.seconds)}"


def _document(items: Sequence[Item], ended: Sequence[Ended]) -> dict[str, Any]:
    """What `--json` prints."""
    became = {id(each.item): each for each in ended}
    rows = []
    for item in items:
        each = became.get(id(item))
        path = each.finished.path if each and each.finished else item.whole
        rows.append(
            {
                "task": item.task,
                "entry": item.name,
                "seeds": len(item.seeds),
                "missing": list(item.missing),
                "why": item.why,
                "unsuited": item.unsuited,
                "result": None if path is None else str(path),
                "error": each.error if each else None,
            }
        )
    return {"entries": rows}


COMMANDS = (sweep,)
