"""What a result file says of the seeds of a job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import ganbench
from ganbench.core import Budget, Task
from ganbench.harness.spec import Job, Spec
from ganbench.results import curves, stats
from ganbench.results.schema import EntryInfo, MetricInfo, Protocol, Result, SeedResult, TaskInfo


def compose(job: Job, entry: EntryInfo, seeds: Sequence[SeedResult]) -> Result:
    """The result file's content for these seeds, their curves thinned."""
    spec, budget = job.spec, job.budget
    seeds = [seed.model_copy(update={"curve": curves.thinned(seed.curve)}) for seed in seeds]
    empty = without_seeds(job, entry)
    changed = spec.protocol or spec.hidden or job.task_sha256
    whole = all(seed.status != "interrupted" for seed in seeds)
    return Result(
        ganbench_version=ganbench.__version__,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        task=empty.task,
        entry=empty.entry,
        protocol=empty.protocol,
        official=whole and budget.name == "full" and not changed,
        seeds=seeds,
        summary=stats.summarise(seeds, list(empty.task.metrics)),
        views=stats.summarise_views(seeds, job.task.views),
    )


def without_seeds(job: Job, entry: EntryInfo) -> Result:
    """What is known of a result before there is any: task, entry and protocol. It is no valid one.

    What `Result.fits` and `Result.identity` look at.
    """
    return Result.model_construct(
        task=task_info(job.task, job.task_sha256),
        entry=entry,
        protocol=protocol_of(job.spec, job.budget),
    )


def task_info(task: Task, sha256: str | None) -> TaskInfo:
    """A task as a result tells it, with the hash of one's own."""
    metrics = {key: MetricInfo(**vars(bound)) for key, bound in task.ordered_bounds.items()}
    views = dict(task.views)
    return TaskInfo(
        name=task.name, version=task.version, sha256=sha256, views=views, metrics=metrics
    )


def protocol_of(spec: Spec, budget: Budget) -> Protocol:
    """What is spent, and how it is run, as a result tells it."""
    return Protocol(
        steps=budget.steps,
        batch_size=budget.batch_size,
        evaluations=budget.rounds,
        evaluation_size=budget.evaluation_size,
        budget=budget.name,  # type: ignore[arg-type]
        precision=spec.precision,
        device=spec.device,
        threads=1,
    )
