"""How fast an entry trains on a task, where its time goes, and what the machine could do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ganbench.core import GAN
from ganbench.engine.precision import fast_products
from ganbench.engine.trainer import Trainer
from ganbench.env import Env
from ganbench.errors import InputError
from ganbench.harness import machine
from ganbench.harness.spec import Job, Spec, build, check_room, look_up
from ganbench.harness.train import rehearse, rehearse_apart
from ganbench.randomness import generator
from ganbench.results.schema import Machine, Precision
from ganbench.system import processes
from ganbench.system.devices import waiter
from ganbench.system.leftovers import held_folder
from ganbench.system.threads import one_thread

TASKS = ("gaussian", "quadratic", "sine", "mnist")  # of the published systems
PARTS = ("noise", "D", "G", "optimizers")  # of a Game's step
PROBE = 20  # steps, which warm caches up and are the first to tell how long they take
ENOUGH = 0.3  # of the time asked for, to tell how many steps fill it
SIDE = 1024  # of the square matrices whose products show what the machine can do
LONG = 0.5  # seconds of such products


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What was measured of one entry on one task; nothing of it depends on how well it learns.

    `seed_steps_per_second` are training steps of all `seeds` together, on all `workers` at once,
    data and harness included. `shares` of that time, of one seed by itself, add up to 1: dealing
    data; the trainer's noise, D, G and optimizers (of a GAN that is no Game, all is `training`);
    and the harness. `run_seconds` is how long a run of the task's steps would take from its first
    seed on, by its parts: warm-up, steps, and evaluations, timed on real samples; `share_of_run` is
    the steps' share of it. `gflops` is the rate, in 10^9 operations per second, of the matrix
    products inside, `matmul_gflops` that of products of 1024 x 1024 float32 matrices on all
    workers.
    """

    baseline: str
    hparams: Mapping[str, Any]
    task: str
    seeds: int
    workers: int
    device: str
    precision: Precision
    steps: int
    seed_steps_per_second: float
    run_seconds: float
    share_of_run: float
    shares: dict[str, float]
    gflops: float
    matmul_gflops: float
    peak_memory_bytes: int
    machine: Machine

    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {**vars(self), "machine": self.machine.model_dump(mode="json")}


@dataclass(frozen=True, kw_only=True)
class _Worked:
    """One worker's rates, and the most memory it held."""

    seconds: dict[str, float]
    steps_per_second: float
    matmul_gflops: float
    peak_memory_bytes: int


def measure(
    spec: Spec,
    *,
    seeds: int = 1,
    workers: int = 1,
    seconds: float = 2.0,
    report: Callable[[str], None] = lambda line: None,
) -> Bench:
    """Train so many `seeds` for about `seconds` each, unscored, on `workers` processes.

    They may be more steps than the task's own, but never more than `spec.steps`. Nothing is written
    that stays; `report` is told what is done next. Raises InputError for unknown names, and for a
    GAN that breaks its contract or diverges.
    """
    job = look_up(spec)
    spec, workers = job.spec, min(workers, seeds)
    with held_folder() as folder:
        job = job.in_folder(folder)
        shares = [range(seeds)[i::workers] for i in range(workers)]
        report(f"{spec.task}: building, compiling, trying how long a step takes")
        steps = _steps_of(job, shares[0], seconds)
        _check_room(job, seeds, steps)
        report(f"{spec.task}: {steps:,} steps of {seeds} seeds, workers: {workers}")
        worked = _work_all(job, shares, steps)
        report(f"{spec.task}: where the time of a step goes")
        eager = rehearse_apart(job, 0, min(steps, 2 * PROBE))
        flops = _flops(job, 0)
        report(f"{spec.task}: how long an evaluation takes")
        evaluating = _evaluation_seconds(job, max(map(len, shares)))
    rate = sum(each.steps_per_second for each in worked)
    training = job.budget.steps * seeds / rate
    whole = max(each.seconds["warmup"] for each in worked) + training + evaluating
    return Bench(
        baseline=spec.baseline,
        hparams=spec.hparams,
        task=spec.task,
        seeds=seeds,
        workers=workers,
        device=spec.device,
        precision=spec.precision,
        steps=steps,
        seed_steps_per_second=rate,
        run_seconds=whole,
        share_of_run=training / whole,
        shares=_shares(worked[0].seconds, eager),
        gflops=flops * rate / 1e9,
        matmul_gflops=sum(each.matmul_gflops for each in worked),
        peak_memory_bytes=sum(each.peak_memory_bytes for each in worked),
        machine=machine.describe(spec.device),
    )


def rate(job: Job, seeds: Sequence[int], seconds: float = 2.0) -> float:
    """Steps per second of all those seeds together in this process, tried for about `seconds`."""
    with held_folder() as folder:
        steps, took = _tried(job.in_folder(folder), seeds, seconds)
    return len(seeds) * (steps - 1) / took


def _evaluation_seconds(job: Job, seeds: int) -> float:
    """How long the evaluations of that many seeds' runs take, by those of real samples."""
    task, rounds = job.task, job.budget.rounds
    env = Env(task, budget=job.budget, device=job.spec.device, thorough=False)
    samples = task.sample(job.budget.evaluation_size, generator(0, "examples"))

    def seconds(round: int) -> float:
        env.round = round
        start = time.perf_counter()
        env.evaluate_all([samples] * seeds)
        return time.perf_counter() - start

    seconds(rounds - 1)  # imports, and makes of the reference, what is then there
    return seconds(rounds - 1) + ((rounds - 1) * seconds(0) if rounds > 1 else 0.0)


def _steps_of(job: Job, seeds: Sequence[int], seconds: float) -> int:
    """How many steps fill so many seconds."""
    tried, took = _tried(job, seeds, seconds)
    steps = max(PROBE, round(seconds * (tried - 1) / took))
    return min(steps, job.spec.steps or steps)


def _tried(job: Job, seeds: Sequence[int], seconds: float) -> tuple[int, float]:
    """Some steps and how long they took: ever more of them, until that is long enough to tell."""
    steps, tried, took = PROBE, 0, 0.0
    while took < ENOUGH * seconds and tried != steps:
        _check_room(job, len(seeds), steps)
        tried, took = steps, _counted(rehearse(job, seeds, steps))
        steps = max(PROBE, round(seconds * (tried - 1) / took))
        steps = min(steps, job.spec.steps or steps)
    return tried, took


def _check_room(job: Job, seeds: int, steps: int) -> None:
    """As `check_room`, of steps that are one round."""
    check_room(replace(job, budget=replace(job.budget, steps=steps, evaluations=1)), seeds)


def _counted(seconds: Mapping[str, float]) -> float:
    """All that comes again with every step, of which the first is warm-up."""
    return sum(seconds.values()) - seconds["warmup"]


def _shares(seconds: Mapping[str, float], eager: Mapping[str, float]) -> dict[str, float]:
    """Shares of a run's time; of its training as those parts have in one seed's `eager` steps."""
    inside = {part: eager[part] for part in PARTS if part in eager}
    training = {part: value / sum(inside.values()) for part, value in inside.items()}
    spent = {"data": seconds["data"]}
    spent |= {"noise": seconds["noise"]} if "noise" in seconds else {}
    for part, share in (training or {"training": 1.0}).items():
        spent[part] = spent.get(part, 0.0) + seconds["training"] * share
    spent["harness"] = seconds["other"] + seconds.get("saving", 0.0)
    total = sum(spent.values())
    return {part: value / total for part, value in spent.items()}


def _work_all(job: Job, shares: Sequence[Sequence[int]], steps: int) -> list[_Worked]:
    """Each share of the seeds in a process of its own, all at the same time."""
    if len(shares) == 1:
        return [_work(job, shares[0], steps, lambda: None)]
    barrier = processes.CONTEXT.Barrier(len(shares))
    with processes.pool(len(shares), _start, barrier) as pool:
        futures = [pool.submit(_work_in_process, job.spec, seeds, steps) for seeds in shares]
        errors = [error for error in (future.exception() for future in futures) if error]
        if errors:  # rather the cause is raised than that others then waited in vain
            raise min(errors, key=lambda error: not isinstance(error, InputError))
        return [future.result() for future in futures]


_process: dict[str, Any] = {}  # this process's end of the barrier, set once when it starts


def _start(barrier: Any) -> None:
    _process["barrier"] = barrier


def _work_in_process(spec: Spec, seeds: Sequence[int], steps: int) -> _Worked:
    try:
        job = look_up(replace(spec, folder=spec.folder / str(seeds[0])))
        rehearse(job, seeds, PROBE)  # warms up what this process has not used
        return _work(job, seeds, steps, _process["barrier"].wait)
    except BaseException:
        _process["barrier"].abort()
        raise


def _work(job: Job, seeds: Sequence[int], steps: int, together: Callable[[], Any]) -> _Worked:
    """The rates of one worker; `together` waits for the others."""
    seconds = rehearse(job, seeds, steps, ready=together)
    memory = machine.peak_memory_bytes(job.spec.device)
    together()
    with one_thread(), fast_products(SIDE**3):
        matmul_gflops = _matmul_gflops(job.spec.device)
    return _Worked(
        seconds=seconds,
        steps_per_second=len(seeds) * (steps - 1) / _counted(seconds),
        matmul_gflops=matmul_gflops,
        peak_memory_bytes=memory,
    )


def _matmul_gflops(device: str) -> float:
    a, b = torch.randn(2, SIDE, SIDE, device=device)
    out, wait = a @ b, waiter(a.device)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < LONG:
        torch.mm(a, b, out=out)
        wait()
        count += 1
    return count * 2 * SIDE**3 / (time.perf_counter() - start) / 1e9


def _flops(job: Job, seed: int) -> float:
    """Operations of matrix products a step, over those from an update of G to the next."""
    gan: GAN = build(job, seed)
    pack, steps = (gan.game.pack, gan.game.d_updates) if isinstance(gan, Trainer) else (1, 1)
    size = job.task.budget.batch_size * pack
    real = job.task.sample(size, generator(seed, "examples")).to(job.spec.device)
    counter = _Flops()  # type: ignore[no-untyped-call]
    with counter:
        for _ in range(steps):
            gan.train_step(real)
    return counter.total / steps


class _Flops(TorchDispatchMode):
    """Counts them by torch's own formulas.

    Not torch's FlopCounterMode, which follows modules by hooks that no loss may meet in which
    `torch.autograd.grad` is called.
    """

    total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += int(formula(*args, **(kwargs or {}), out_val=out))
        return out
