"""How fast an entry trains on a task, where its time goes, and what the machine could do."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from ganbench import machine, registry
from ganbench.core import GAN
from ganbench.errors import InputError
from ganbench.results import Machine
from ganbench.spec import Spec, build
from ganbench.threads import one_thread
from ganbench.training import Run

TASKS = ("gaussian", "quadratic", "sine", "mnist")  # of the published systems
PARTS = ("noise", "D", "G", "optimizers")  # of a Game's step
PROBE = 20  # steps, which warm caches up and tell how many fill the time asked for
SIDE = 1024  # of the square matrices whose products show what the machine can do
LONG = 0.5  # seconds of such products


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What was measured of one entry on one task; nothing of it depends on how well it learns.

    `seed_steps_per_second` are training steps of all `seeds` together, on all `workers` at once,
    data and harness included. `shares` of that time, of one seed by itself, add up to 1: dealing
    data; the trainer's noise, D, G and optimizers (of a GAN that is no Game, all is `training`);
    and the harness. `gflops` is the rate, in 10^9 operations per second, of the matrix products
    inside, `matmul_gflops` that of products of 1024 x 1024 float32 matrices on all workers.
    """

    baseline: str
    hparams: Mapping[str, Any]
    task: str
    seeds: int
    workers: int
    device: str
    steps: int
    seed_steps_per_second: float
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

    steps_per_second: float
    matmul_gflops: float
    peak_memory_bytes: int


def measure(spec: Spec, *, seeds: int = 1, workers: int = 1, seconds: float = 2.0) -> Bench:
    """Train so many `seeds` for about `seconds` each, unscored, on `workers` processes.

    Steps are never more than the task's own. Nothing is written that stays. Raises InputError for
    unknown names, and for a GAN that breaks its contract or diverges.
    """
    workers = min(workers, seeds)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        spec = replace(spec, folder=Path(folder))
        probe = _rehearse(spec, 0, PROBE)
        most = spec.budget_of(registry.load_task(spec.task)).steps
        steps = max(2, min(most, round(seconds * (PROBE - 1) / _counted(probe))))
        shares = _shares(_rehearse(spec, 0, steps), _rehearse(spec, 0, steps, watched=True))
        worked = _work_all(spec, [range(seeds)[i::workers] for i in range(workers)], steps)
        flops = _flops(spec, 0)
    rate = sum(each.steps_per_second for each in worked)
    return Bench(
        baseline=spec.baseline,
        hparams=spec.hparams,
        task=spec.task,
        seeds=seeds,
        workers=workers,
        device=spec.device,
        steps=steps,
        seed_steps_per_second=rate,
        shares=shares,
        gflops=flops * rate / 1e9,
        matmul_gflops=sum(each.matmul_gflops for each in worked),
        peak_memory_bytes=sum(each.peak_memory_bytes for each in worked),
        machine=machine.describe(spec.device),
    )


def _rehearse(spec: Spec, seed: int, steps: int, *, watched: bool = False) -> dict[str, float]:
    return Run(spec, seed, lambda _: None, None).rehearse(steps, watched=watched)


def _counted(seconds: dict[str, float]) -> float:
    """All that comes again with every step, of which the first is warm-up."""
    return sum(seconds.values()) - seconds["warmup"]


def _shares(plain: dict[str, float], watched: dict[str, float]) -> dict[str, float]:
    """Shares of the plain run; those inside of training from the watched one, which is slower."""
    inside = {part: watched[part] for part in PARTS if part in watched}
    # What of a Game's training is in none of these is the trainer's own.
    split: dict[str, float] = {**inside, "harness" if inside else "training": watched["training"]}
    whole = sum(split.values())
    seconds = {"data": plain["data"]}
    seconds.update({part: plain["training"] * value / whole for part, value in split.items()})
    seconds["harness"] = seconds.get("harness", 0.0) + plain["other"] + plain.get("saving", 0.0)
    total = sum(seconds.values())
    return {part: value / total for part, value in seconds.items()}


def _work_all(spec: Spec, shares: Sequence[Sequence[int]], steps: int) -> list[_Worked]:
    """Each share of the seeds in a process of its own, all at the same time."""
    if len(shares) == 1:
        return [_work(spec, shares[0], steps, lambda: None)]
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(shares))
    with ProcessPoolExecutor(
        len(shares), mp_context=context, initializer=_start, initargs=(barrier,)
    ) as pool:
        futures = [pool.submit(_work_in_process, spec, seeds, steps) for seeds in shares]
        errors = [error for error in (future.exception() for future in futures) if error]
        if errors:  # rather the cause is raised than that others then waited in vain
            raise min(errors, key=lambda error: not isinstance(error, InputError))
        return [future.result() for future in futures]


_process: dict[str, Any] = {}  # this process's end of the barrier, set once when it starts


def _start(barrier: Any) -> None:
    _process["barrier"] = barrier


def _work_in_process(spec: Spec, seeds: Sequence[int], steps: int) -> _Worked:
    folder = spec.folder / str(seeds[0])
    try:
        with one_thread():
            spec = replace(spec, folder=folder)
            _rehearse(spec, seeds[0], min(steps, PROBE))  # warms up what this process has not used
            return _work(spec, seeds, steps, _process["barrier"].wait)
    except BaseException:
        _process["barrier"].abort()
        raise


def _work(spec: Spec, seeds: Sequence[int], steps: int, together: Callable[[], Any]) -> _Worked:
    """The rates of one worker; `together` waits for the others."""
    together()
    seconds = sum(_counted(_rehearse(spec, seed, steps)) for seed in seeds)
    memory = machine.peak_memory_bytes(spec.device)
    together()
    return _Worked(
        steps_per_second=len(seeds) * (steps - 1) / seconds,
        matmul_gflops=_matmul_gflops(spec.device),
        peak_memory_bytes=memory,
    )


def _matmul_gflops(device: str) -> float:
    a, b = torch.randn(2, SIDE, SIDE, device=device)
    out, cuda = a @ b, device.startswith("cuda")
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < LONG:
        torch.mm(a, b, out=out)
        if cuda:
            torch.cuda.synchronize()
        count += 1
    return count * 2 * SIDE**3 / (time.perf_counter() - start) / 1e9


def _flops(spec: Spec, seed: int) -> int:
    """Operations of a training step's matrix products; 0 of what is not torch's."""
    task = registry.load_task(spec.task)
    gan: GAN = build(registry.load_entry(spec.baseline), spec, task, seed)
    real = task.reference[: task.budget.batch_size].to(spec.device)
    with FlopCounterMode(display=False) as counter:
        gan.train_step(real)
    return int(counter.get_total_flops())
