"""`Training`: a protocol whose rows are GANs, trained and judged in the harness like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

from ganbench.core import Budget, Task
from ganbench.harness.entries import circumstances
from ganbench.harness.spec import Spec
from ganbench.reproduce import comparison, picture, trials
from ganbench.reproduce.comparison import Figure, Line
from ganbench.reproduce.protocol import Asked, Found, check_rows
from ganbench.reproduce.trials import Trials


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a published table: a variant on a task, and what it had there by quantity.

    `batch` is its own where it is not the protocol's.
    """

    name: str
    task: str
    hparams: Mapping[str, Any] = field(default_factory=dict)
    batch: int | None = None
    published: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Training:
    """A published protocol of trainings; its `file` defines their `GAN` too.

    `steps` of a `batch`, dealt from a `pool` of samples drawn once a run (None: drawn afresh), with
    replacement or (`shuffle`) each once an epoch; after each of `evaluations` rounds `judged`
    samples are scored. The table has `quantities`, of those that the task's `metric` gives, and
    what is `derived` of them run by run; `counts` says in words what makes a mode. `changes` makes
    the published target of the registered task, and `floors` are what real data have there, where
    that is not what they have on that task. `runs` were published for each of the `rows`; `hours`
    is what one takes on a core, about.
    """

    name: str
    source: str
    summary: str
    file: str
    rows: Sequence[Row]
    runs: int
    steps: int
    batch: int
    pool: int | None = None
    shuffle: bool = False
    judged: int
    evaluations: int
    metric: str = "modes"
    quantities: Sequence[str] = ("modes", "high_quality", "reverse_kl")
    derived: Mapping[str, Callable[[Mapping[str, float]], float]] = field(default_factory=dict)
    counts: str
    changes: Callable[[Task], Task] | None = None
    floors: Mapping[str, float] = field(default_factory=dict)
    hours: float

    def conditions(self, task: Task, row: str) -> Task:
        """A registered task as this protocol has it in a row.

        Floors and ceilings are the registered task's, of as many samples where it has them so.
        """
        (chosen,) = self.chosen([row])
        changed = task if self.changes is None else self.changes(task)
        bounds = {}
        for name in self.quantities:
            bound = task.bounds.get(f"{name}_{self.judged}", task.bounds[name])
            bounds[name] = replace(bound, floor=self.floors.get(name, bound.floor))
        return replace(
            changed,
            metrics={self.quantities[0]: changed.metrics[self.metric]},
            views={"distribution": self.quantities[0]},
            bounds=bounds,
            pool=self.pool,
            shuffle=self.shuffle,
            budget=Budget(
                steps=self.steps,
                batch_size=chosen.batch or self.batch,
                evaluations=self.evaluations,
                evaluation_size=self.judged,
                log_every=self.steps // self.evaluations,
            ),
        )

    def chosen(self, names: Sequence[str]) -> list[Row]:
        """The rows of those names, all where there are none; InputError for another."""
        check_rows(self.name, [row.name for row in self.rows], names)
        return [row for row in self.rows if not names or row.name in names]

    def duration(self) -> str:
        """How long all of it takes, in words."""
        hours = self.hours * self.runs * len(self.rows)
        return (
            f"{hours:,.0f} h on a core: {len(self.rows)} rows, {self.runs} runs each, "
            f"{self.hours:g} h a run"
        )

    def run(self, asked: Asked) -> Found:
        """Train what is asked for, from where it stopped; ours beside the published."""
        rows = self.chosen(asked.only)
        seeds = range(self.runs if asked.seeds is None else asked.seeds)
        out = asked.out / "reproduce" / self.name
        notes: list[str] = []
        jobs = {}
        with ExitStack() as held:
            for row in rows:
                spec = Spec(
                    task=row.task,
                    baseline=self.file,
                    hparams=row.hparams,
                    protocol=row.name,
                    time_limit=None,
                    **asked.how,
                )
                jobs[row.name] = trials.prepare(spec, row.name, out, notes, held)
            done = trials.run(jobs, seeds, asked)
        first = jobs[rows[0].name]
        trial = first.budget.name != "full"
        lines = [
            line
            for row, each in zip(rows, done, strict=True)
            for line in self._lines(row, each, trial=trial)
        ]
        path = out / f"{'-'.join(['samples', *circumstances(first)])}.png"
        drawn = picture.draw(done, path)
        ended = [note for each in done for note in each.notes()]
        return Found(
            title=f"{self.name}: {self.source}",
            table=[line.cells() for line in lines],
            notes=[*notes, *ended, *comparison.notes(lines, self.runs)],
            pictures=[path] if drawn else [],
            document=self._document(first.budget, done, lines),
            whole=sum(len(each.values(self.quantities)) for each in done) == len(rows) * len(seeds),
        )

    def _lines(self, row: Row, done: Trials, *, trial: bool) -> list[Line]:
        real = {name: done.job.task.bounds[name].floor for name in self.quantities}
        own: dict[str, Callable[[Mapping[str, float]], float]] = {
            name: itemgetter(name) for name in self.quantities
        }
        return [
            Line(
                row=row.name,
                quantity=name,
                ours=Figure.of([value(run) for run in done.values(self.quantities)]),
                published=row.published.get(name),
                real=value(real),
                speed=done.speed,
                trial=trial,
            )
            for name, value in {**own, **self.derived}.items()
        ]

    def _document(
        self, budget: Budget, done: Sequence[Trials], lines: Sequence[Line]
    ) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "protocol": self.name,
            "source": self.source,
            "counts": self.counts,
            "steps": budget.steps,
            "trial": budget.name != "full",
            "rows": [
                {
                    **each.document(),
                    "quantities": {
                        line.quantity: line.document() for line in lines if line.row == each.name
                    },
                }
                for each in done
            ],
        }
