"""Who trains the entries of a sweep: processes of this machine, or the nodes of a Ray cluster."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.options import workers_option
from ganbench.cli.progress import show_progress
from ganbench.system import processes
from ganbench.system.words import duration

if TYPE_CHECKING:
    from ganbench.harness.nodes import Nodes
    from ganbench.harness.spec import Stop
    from ganbench.harness.sweep import Ended, Item, Speeds


@dataclass(frozen=True, kw_only=True)
class Crew:
    """So many workers of an engine: None for one a core."""

    workers: int | None
    engine: str
    address: str | None

    def prepare(self) -> None:
        """Have processes of this machine get ready, if they are to train."""
        if self.engine == "local":
            self._count()

    @contextmanager
    def hired(self) -> Iterator[Nodes | None]:
        """The nodes of the cluster; None for processes of this machine."""
        if self.engine == "local":
            yield None
            return
        from ganbench.harness import nodes

        with nodes.connected(self.address, self.workers) as found:
            yield found

    def _count(self) -> int:
        return processes.workers(self.workers, sys.maxsize)

    def seconds(self, item: Item, speeds: Speeds, nodes: Nodes | None) -> float | None:
        """How long an entry takes, about; on nodes the share of their time."""
        if nodes is None:
            return speeds.seconds_left(item, self._count())
        took = speeds.seconds_left(item, 1)
        return None if took is None else took / nodes.cores

    def train(
        self,
        left: Sequence[Item],
        seconds: Sequence[float | None],
        nodes: Nodes | None,
        *,
        leaderboard: Path,
        out: Path,
        stop: Stop,
        quiet: bool,
    ) -> Generator[Ended, None, None]:
        """What becomes of each entry: here one after the other, on nodes as they end."""
        from ganbench.harness import sweep as sweeps

        where: dict[str, Any] = {"leaderboard": leaderboard, "out": out, "stop": stop}
        if nodes is not None:
            with show_progress(named=True, lines=False, quiet=quiet, bars=False) as report:
                yield from sweeps.run_together(left, nodes, report=report, **where)
            return
        for place, item in enumerate(left):
            if not quiet:
                what = f"{item.task} {item.name}: {asked(item, seconds[place])}"
                click.echo(f"[{place + 1}/{len(left)}] {what}", err=True)
            with show_progress(named=True, lines=False, quiet=quiet) as report:
                one = sweeps.run(item, workers=self._count(), report=report, **where)
            yield one
            if stop.is_set():
                return


def crew_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of a `Crew`, handed to a command as one, `crew`."""

    @functools.wraps(command)
    def with_crew(workers: int | None, engine: str, address: str | None, **given: Any) -> Any:
        if address is not None and engine != "ray":
            raise click.UsageError("--address is of a Ray cluster: give --engine ray too")
        return command(crew=Crew(workers=workers, engine=engine, address=address), **given)

    address = click.option(
        "--address", metavar="HOST:PORT", help="Of the cluster's head.  [default: one running here]"
    )
    engine = click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Train in processes of this machine, or on the nodes of a Ray cluster.",
    )
    decorated: Callable[..., Any] = workers_option(engine(address(with_crew)))
    return decorated


def asked(item: Item, took: float | None) -> str:
    """`6 of 10 seeds, new: 4 min`."""
    how_long = "cannot be tried" if took is None else duration(took)
    return f"{len(item.missing)} of {len(item.seeds)} seeds, {item.why}: {how_long}"
