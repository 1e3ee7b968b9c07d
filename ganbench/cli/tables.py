"""What runs, evaluations, audits and benchmarks found, as tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ganbench.board.text import ARROWS, number, score, unplaced, with_interval
from ganbench.cli.fitting import Styled, console, print_table
from ganbench.results.schema import SeedResult, Summary, mean_speed
from ganbench.scoring import clear_position

if TYPE_CHECKING:
    from rich.console import Console

    from ganbench.audit import Finding
    from ganbench.harness.bench import Bench
    from ganbench.harness.entries import Finished

BOUNDS = ("floor (real)", "ceiling (naive)")
HINT = "; --json prints them"


def print_result(finished: Finished) -> None:
    """The metrics of a finished run between floor and ceiling, then where everything lies."""
    result, out = finished.result, console()
    count = len(result.seeds)
    budget = result.protocol.budget
    title = f"{result.entry.name} on {result.task.name}: {_seeds(count)}, {budget} budget"
    metrics = {
        name: {**info.model_dump(), "value": result.summary[name].iqm}
        for name, info in result.task.metrics.items()
    }
    shown = {name: _with_std(result.summary[name]) for name in metrics}
    _print_metrics(out, title, metrics, shown, bold=result.ranking)
    found = result.summary["score"]
    out.print(f"score {with_interval(found.iqm, found.ci95)}: 1 is real data, 0 a naive sampler")
    speed = mean_speed(finished.seeds)
    if speed is not None:
        how = f"{result.protocol.device}, one thread a seed, {result.protocol.engine}"
        out.print(f"{speed:,.0f} steps/s on {how}")
    out.print(f"seconds a seed: {_spent(finished.seeds)}")
    out.print(f"result    {finished.path}", soft_wrap=True)
    for picture in finished.pictures:
        out.print(f"picture   {picture}", soft_wrap=True)


def _spent(seeds: Sequence[SeedResult]) -> str:
    """What training and sampling took, the mean over seeds."""
    timings = [seed.timing for seed in seeds]
    training = sum(each.train_seconds + each.warmup_seconds for each in timings) / len(timings)
    sampling = sum(each.sampling_seconds for each in timings) / len(timings)
    return f"{training:.1f} training, {sampling:.1f} making the samples that were scored"


def print_evaluation(document: Mapping[str, Any]) -> None:
    """What `ganbench evaluate` found."""
    out, metrics = console(), document["metrics"]
    title = f"{document['n']} samples on {document['task']}"
    _print_metrics(out, title, metrics, {name: number(m["value"]) for name, m in metrics.items()})
    out.print(f"score {score(document['score'])}: 1 is real data, 0 a naive sampler")


def _print_metrics(
    out: Console,
    title: str,
    metrics: Mapping[str, Mapping[str, Any]],
    shown: Mapping[str, str],
    *,
    bold: str | None = None,
) -> None:
    """Metrics between floor and ceiling, with their values as they are shown."""
    rows: list[Styled] = []
    for name, m in metrics.items():
        place = clear_position(m["value"], m["floor"], m["ceiling"], m["noise"], m["direction"])
        cells = {
            "metric": f"{name} {ARROWS[m['direction']]}",
            "value": shown[name],
            "floor (real)": number(m["floor"]),
            "ceiling (naive)": number(m["ceiling"]),
            "position": score(place),
        }
        rows.append((cells, "bold" if name == bold else None))
    print_table(out, title, rows, spare=BOUNDS, hint=HINT)
    if line := unplaced(metrics):
        out.print(line, soft_wrap=True)


def print_sweep(finished: Sequence[Finished]) -> None:
    """Settings of one baseline beside one another: quality, stability, time."""
    first = finished[0].result
    title = f"{first.task.name}: {len(finished)} settings, {_seeds(len(finished[0].seeds))} each"
    metric = f"{first.ranking} {ARROWS[first.task.metrics[first.ranking].direction]}"
    best = max(finished, key=lambda each: _or_lowest(each.result.summary["score"].iqm))
    rows: list[Styled] = []
    for each in finished:
        found, seeds = each.result.summary["score"], each.seeds
        speed = mean_speed(seeds)
        cells = {
            "entry": each.result.entry.name,
            "score (IQM, 95 %)": with_interval(found.iqm, found.ci95),
            "std": number(found.std),
            metric: number(each.result.summary[first.ranking].iqm),
            "ok": f"{sum(seed.status == 'ok' for seed in seeds)}/{len(seeds)}",
            "steps/s": "-" if speed is None else f"{speed:,.0f}",
            "seconds": f"{sum(seed.timing.train_seconds for seed in seeds) / len(seeds):.1f}",
        }
        style = "bold" if _meets(found, best.result.summary["score"]) else None
        rows.append((cells, style))
    out = console()
    print_table(out, title, rows, spare=("std", "seconds", "steps/s", metric), hint=HINT)
    out.print("bold: the best score, and those whose interval meets its own; seconds a seed")
    for each in finished:
        out.print(f"result    {each.path}", soft_wrap=True)


def print_audit(task: str, findings: Sequence[Finding]) -> None:
    """Every promise of the metrics on one task, whether it was kept, and what was seen."""
    rows: list[Styled] = []
    before = None
    for finding in findings:
        cells = {
            "metric": finding.quantity if finding.quantity != before else "",
            "promise": finding.promise,
            "kept": "yes" if finding.kept else "NO",
            "seen": finding.seen,
        }
        before = finding.quantity
        rows.append((cells, None if finding.kept else "bold red"))
    print_table(console(), f"audit on {task}", rows, words=("seen",))


def print_bench(found: Sequence[Bench]) -> None:
    """Speeds, how much of the machine's own rate of products they take, and where time goes."""
    first = found[0]
    title = f"{first.baseline}: {_seeds(first.seeds)} on {first.device}, workers: {first.workers}"
    parts = list(dict.fromkeys(part for each in found for part in each.shares))
    rows: list[Styled] = []
    for each in found:
        settings = ", ".join(f"{key}={value}" for key, value in each.hparams.items())
        cells = {
            "task": f"{each.task} {settings}".strip(),
            "seed-steps/s": f"{each.seed_steps_per_second:,.0f}",
            "GFLOP/s": f"{each.gflops:.3g}",
            "of matmul": f"{each.gflops / each.matmul_gflops:.1%}",
            "MiB": f"{each.peak_memory_bytes / 2**20:,.0f}",
        }
        shares = {
            part: f"{each.shares[part]:.1%}" if part in each.shares else "-" for part in parts
        }
        rows.append(({**cells, **shares}, None))
    out = console()
    print_table(out, title, rows, spare=parts[::-1], hint=HINT)
    rate = max(each.matmul_gflops for each in found)
    out.print(f"matmul: {rate:.3g} GFLOP/s, products of 1024 x 1024 float32 matrices")
    out.print("on the right, shares of the time of one seed by itself")


def _or_lowest(value: float | None) -> float:
    return -math.inf if value is None else value


def _meets(summary: Summary, best: Summary) -> bool:
    if summary is best:
        return True
    return bool(summary.ci95 and best.ci95 and summary.ci95[1] >= best.ci95[0])


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _with_std(summary: Summary) -> str:
    spread = "" if summary.std is None else f" ± {summary.std:.2g}"
    return number(summary.mean) + spread
