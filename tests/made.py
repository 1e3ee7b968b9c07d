"""Results made up for tests."""

from __future__ import annotations

from pathlib import Path

from ganbench.results import schema, stats
from ganbench.scoring import position

TIMING = {
    name: 0.0
    for name in schema.Timing.model_fields
    if name not in ("steps_per_second", "step_ms_median", "step_ms_p95")
} | {"steps_per_second": None, "step_ms_median": None, "step_ms_p95": None}


def a_machine(**other: object) -> schema.Machine:
    known = {
        "cpu": "c",
        "cores": 1,
        "memory_bytes": 1,
        "accelerator": None,
        "driver": None,
        "os": "o",
        "python": "3",
        "torch": "2",
        "numpy": "2",
    }
    return schema.Machine(**{**known, **other})


def a_seed(seed: int = 0, status: str = "ok", value: float = 0.25) -> schema.SeedResult:
    score = {"ok": position(value, 0.0, 1.0), "interrupted": None}.get(status, -1.0)
    return schema.SeedResult(
        seed=seed,
        status=status,
        reason=None,
        metrics={"mmd": value if status == "ok" else None},
        views={"distribution": score},
        score=score,
        curve=[schema.Point(step=1, train_seconds=0.5, losses={"d_loss": 1.0}, metrics={})],
        timing=schema.Timing(**TIMING),
        machine=a_machine(),
        peak_memory_bytes=1,
        samples_sha256=None,
    )


def a_result(
    *seeds: schema.SeedResult,
    name: str = "my_gan",
    sha: str = "ab",
    budget: str = "smoke",
    **task: object,
) -> schema.Result:
    info = schema.MetricInfo(direction="lower", floor=0.0, ceiling=1.0, noise=0.01)
    seeds = seeds or (a_seed(),)
    return schema.Result(
        ganbench_version="0",
        created_at="2026-01-01T00:00:00+00:00",
        task=schema.TaskInfo(
            **{
                "name": "toy",
                "version": 1,
                "views": {"distribution": "mmd"},
                "metrics": {"mmd": info},
                **task,
            }
        ),
        entry=schema.EntryInfo(
            name=name, source="x.py", sha256=sha, hparams={"lr": 0.1}, git_commit=None, dirty=None
        ),
        protocol=schema.Protocol(
            steps=1,
            batch_size=1,
            evaluations=1,
            evaluation_size=1,
            budget=budget,
            device="cpu",
            threads=1,
        ),
        official=budget == "full",
        seeds=list(seeds),
        summary=stats.summarise(seeds, ["mmd"]),
        views=stats.summarise_views(seeds, ["distribution"]),
    )


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but the locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
