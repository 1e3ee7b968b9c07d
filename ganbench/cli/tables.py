"""What runs, evaluations, audits and benchmarks found, as tables for a terminal."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ganbench.board.text import (
    ARROWS,
    BAR,
    bar,
    headlines,
    number,
    score,
    spark,
    unplaced,
    with_interval,
)
from ganbench.cli.fitting import Styled, console, print_table
from ganbench.errors import printable
from ganbench.results.schema import Result, SeedResult, Summary, mean_speed
from ganbench.scoring import VIEWS, clear_position, only_bounds
from ganbench.system.words import duration, many

if TYPE_CHECKING:
    from rich.console import Console

    from ganbench.audit import Finding
    from ganbench.harness.bench import Bench
    from ganbench.harness.entries import Finished

BOUNDS = ("floor (real)", "ceiling (naive)")
HINT = "; --json prints them"
SCALE = "1 is real data, 0 a naive sampler, -1 the worst"


def print_result(finished: Finished, *, every: bool) -> None:
    """The score of a finished run with its views, its metrics, and where everything lies.

    Metrics beside the views are the most telling few, or `every` one.
    """
    result, out = finished.result, console()
    info = result.task.metrics
    budget = result.protocol.budget
    seeds = many(len(result.seeds), "seed")
    title = f"{result.entry.name} on {result.task.name}: {seeds}, {budget}"
    positions = {view: found.iqm for view, found in result.views.items()}
    values = {name: _iqm(result.summary[name]) for name in info}
    _print_views(out, f"{title} budget", result.task.views, positions, values)
    found = result.summary["score"]
    out.print(f"score {with_interval(found.iqm, found.ci95)}: {SCALE}")
    out.print(_learning(result))
    metrics = {
        name: {**each.bounds, "value": result.summary[name].iqm} for name, each in info.items()
    }
    _print_metrics(out, metrics, values, result.task.views, every=every)
    if len(result.seeds) > 1:
        out.print("value: the interquartile mean over seeds that finished, with 95 % interval")
    if failed := sum(seed.status in ("failed", "diverged") for seed in result.seeds):
        out.print(f"views and score count {many(failed, 'seed')} that did not finish as -1")
    for line in verdict_lines(result.seeds):
        out.print(line, soft_wrap=True)
    speed = mean_speed(finished.seeds)
    if speed is not None:
        how = f"{result.protocol.device}, one thread a seed, {finished.seeds[0].engine}"
        out.print(f"{speed:,.0f} steps/s on {how}")
    out.print(f"seconds a seed: {_spent(finished.seeds)}")
    out.print(f"result    {printable(finished.path)}", soft_wrap=True)
    for picture in finished.pictures:
        out.print(f"picture   {printable(picture)}", soft_wrap=True)


def _learning(result: Result) -> str:
    """How the metric of every round went: the median over seeds, a character a round."""
    info, rounds = result.task.metrics[result.tracked], dict[int, list[float]]()
    for point in (point for seed in result.seeds for point in seed.curve):
        value = point.metrics.get(result.tracked)
        if value is not None and info.floor != info.ceiling:
            rounds.setdefault(point.step, []).append(info.position(value))
    levels = [statistics.median(rounds[step]) for step in sorted(rounds)]
    if not levels:
        return f"{result.tracked}: never evaluated"
    ends = f"{levels[0]:.2f} to {levels[-1]:.2f}"
    return f"{result.tracked} over training {spark(levels)} {ends}, from -1 to 1"


def verdict_lines(seeds: Sequence[SeedResult]) -> list[str]:
    """What became of the seeds, a line for each kind, the most frequent first."""
    kinds: dict[str, list[SeedResult]] = {}
    for seed in seeds:
        if seed.verdict is not None:
            kinds.setdefault(seed.verdict.kind, []).append(seed)
    lines = []
    for own in sorted(kinds.values(), key=len, reverse=True):
        first = own[0].verdict
        assert first is not None
        several = "" if len(own) == 1 else f"{len(own)} of {len(seeds)} seeds, as "
        lines.append(f"verdict   {several}seed {own[0].seed}: {first.text}")
    return lines


def _spent(seeds: Sequence[SeedResult]) -> str:
    """What training and sampling took, the mean over seeds."""
    timings = [seed.timing for seed in seeds]
    training = sum(each.train_seconds + each.warmup_seconds for each in timings) / len(timings)
    sampling = sum(each.sampling_seconds for each in timings) / len(timings)
    return f"{training:.1f} training, {sampling:.1f} making the samples that were scored"


def print_evaluation(document: Mapping[str, Any], *, every: bool) -> None:
    """What `ganbench evaluate` found."""
    out, metrics = console(), document["metrics"]
    title = f"{document['n']} samples on {document['task']}"
    values = {name: number(m["value"]) for name, m in metrics.items()}
    views = {view: found["metric"] for view, found in document["views"].items()}
    positions = {view: found["position"] for view, found in document["views"].items()}
    _print_views(out, title, views, positions, values)
    out.print(f"score {score(document['score'])}: {SCALE}")
    _print_metrics(out, metrics, values, views, every=every)


def _print_views(
    out: Console,
    title: str,
    views: Mapping[str, str],
    positions: Mapping[str, float | None],
    values: Mapping[str, str],
) -> None:
    """The views of a score: each a question, the metric that answers it, and where that lies."""
    rows: list[Styled] = [
        (
            {
                "view": view,
                "question": VIEWS[view],
                "metric": name,
                "value": values[name],
                "position": score(positions[view]),
                "0 naive, 1 real": bar(positions[view]).ljust(BAR + 1),
            },
            None,
        )
        for view, name in views.items()
    ]
    spare = ("question", "value", "metric")
    print_table(
        out, title, rows, spare=spare, words=("question", "metric", "0 naive, 1 real"), hint=HINT
    )


def _print_metrics(
    out: Console,
    metrics: Mapping[str, Mapping[str, Any]],
    values: Mapping[str, str],
    views: Mapping[str, str],
    *,
    every: bool,
) -> None:
    """Metrics between floor and ceiling; those behind the views are marked among all."""
    judged = {name: view for view, name in views.items()}
    chosen = list(metrics) if every else headlines(metrics, judged)
    rows: list[Styled] = []
    for name in chosen:
        m = metrics[name]
        place = clear_position(m["value"], only_bounds(m))
        cells = {
            "metric": f"{name} {ARROWS[m['direction']]}",
            "value": values[name],
            "floor (real)": number(m["floor"]),
            "ceiling (naive)": number(m["ceiling"]),
            "position": score(place),
            "view": judged.get(name, ""),
        }
        if not every:
            del cells["view"]
        rows.append((cells, "bold" if name in judged else None))
    if rows:
        title = "all metrics" if every else "more metrics"
        print_table(out, title, rows, spare=BOUNDS, words=("view",), hint=HINT)
    if line := unplaced({name: metrics[name] for name in chosen}):
        out.print(line, soft_wrap=True)
    left = len(metrics) - len(chosen) - len(judged)
    if left > 0 and not every:
        out.print(f"{left} more metrics: --all")


def print_sweep(finished: Sequence[Finished]) -> None:
    """Settings of one baseline beside one another: quality, stability, time."""
    first = finished[0].result
    title = f"{first.task.name}: {len(finished)} settings"
    metric = f"{first.tracked} {ARROWS[first.task.metrics[first.tracked].direction]}"
    best = max(finished, key=lambda each: _or_lowest(each.result.summary["score"].iqm))
    rows: list[Styled] = []
    for each in finished:
        found, seeds = each.result.summary["score"], each.result.seeds
        speed = mean_speed(seeds)
        cells = {
            "entry": each.result.entry.name,
            "score (IQM, 95 %)": with_interval(found.iqm, found.ci95),
            "std": number(found.std),
            metric: number(each.result.summary[first.tracked].iqm),
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
        out.print(f"result    {printable(each.path)}", soft_wrap=True)


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
    seeds = many(first.seeds, "seed")
    title = f"{first.baseline}: {seeds} on {first.device}, workers: {first.workers}"
    parts = list(dict.fromkeys(part for each in found for part in each.shares))
    rows: list[Styled] = []
    for each in found:
        settings = ", ".join(f"{key}={value}" for key, value in each.hparams.items())
        cells = {
            "task": f"{each.task} {settings}".strip(),
            "seed-steps/s": f"{each.seed_steps_per_second:,.0f}",
            "GFLOP/s": f"{each.gflops:.3g}",
            "of matmul": f"{each.gflops / each.matmul_gflops:.1%}",
            "run": duration(each.run_seconds),
            "of a run": f"{each.share_of_run:.0%}",
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
    out.print("run: what a run of the task's steps would take, and the steps' share of it")
    out.print("on the right, shares of the time of one seed by itself")


def _or_lowest(value: float | None) -> float:
    return -math.inf if value is None else value


def _meets(summary: Summary, best: Summary) -> bool:
    if summary is best:
        return True
    return bool(summary.ci95 and best.ci95 and summary.ci95[1] >= best.ci95[0])


def _iqm(summary: Summary) -> str:
    """What is placed between floor and ceiling, and its interval."""
    between = "" if summary.ci95 is None else f" [{', '.join(map(number, summary.ci95))}]"
    return number(summary.iqm) + between
