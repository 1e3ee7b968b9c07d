"""Steps per second of ganbench against the published systems' own loops, in alternation.

    python tests/benchmarks/keras_ratio.py [--python OTHER/bin/python] [--json ratios.json]

Each side is a process of its own, on the same one core; they run blocks in turn, and the ratio is
the median over rounds of ganbench's rate by the source's in the same round. Both sides pick the
batch and draw the noise within the time, at the source's batch size; the first blocks, which
compile and warm up, do not count. `--python` names interpreters to look for Keras backends in that
this one lacks. Rows:

- Keras on each backend found: the source's loop, `train_on_batch` and `predict`;
- the same with `predict_on_batch`, which a source in a hurry might have used;
- `quadratic` in a TensorFlow 1 graph and session, as its source runs it;
- `gaussian`, whose framework is no longer made, as the same loop in plain PyTorch.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loops import make_steps

ROOT = Path(__file__).parents[2]
SYSTEMS = ("sine", "quadratic", "gaussian", "mnist", "mnist_batchnorm")
BACKENDS = ("torch", "tensorflow", "jax")


def work(side: str, system: str, threads: int) -> None:
    """A worker: reads numbers of steps, answers with the seconds and CPU seconds they took."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries may print
    limit_threads(side, threads)
    run = make_steps(side, system)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        run(int(line))
        print(time.perf_counter() - wall, time.process_time() - cpu, file=answers, flush=True)


def limit_threads(side: str, threads: int) -> None:
    """So many threads for the library of that side; 0 leaves it alone."""
    if not threads:
        return
    if side.startswith("tensorflow"):
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    elif not side.startswith("jax"):
        import torch

        torch.set_num_threads(threads)


class Worker:
    """The process of one side, which runs steps when told to."""

    def __init__(self, side: str, system: str, python: str, threads: int) -> None:
        self.side = side
        arguments = ["--work", side, "--systems", system, "--threads", str(threads)]
        self.process = subprocess.Popen(
            [python, str(Path(__file__)), *arguments],
            env=environment(side, threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("VERBOSE") else subprocess.DEVNULL,
            text=True,
            preexec_fn=pin if threads == 1 else None,
        )

    def run(self, steps: int) -> tuple[float, float]:
        """Seconds and CPU seconds of so many steps."""
        assert self.process.stdin
        assert self.process.stdout
        print(steps, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().split()
        if not answer:
            raise RuntimeError(f"{self.side} ended early: set VERBOSE=1 to see why")
        seconds, cpu = map(float, answer)
        return seconds, cpu

    def warm_up(self, seconds: float) -> int:
        """Run ever more steps until some take that long; returns how many do."""
        self.run(1)
        steps = 1
        while (taken := self.run(steps)[0]) < seconds / 2:
            steps = max(steps + 1, int(steps * min(10, seconds / max(taken, 1e-6))))
        return max(1, round(steps * seconds / taken))

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def environment(side: str, threads: int) -> dict[str, str]:
    """The worker's environment variables."""
    known = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    known["KERAS_BACKEND"] = side.split()[0] if side.split()[0] in BACKENDS else "torch"
    if threads == 1:
        known["OMP_NUM_THREADS"] = "1"
        known["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return known


def pin() -> None:
    """One core for the whole process, where the system allows it: some pools heed nothing else."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@contextmanager
def working(side: str, system: str, python: str, threads: int) -> Iterator[Worker]:
    """A worker that is ended afterwards."""
    worker = Worker(side, system, python, threads)
    try:
        yield worker
    finally:
        worker.close()


def compare(
    ours: Worker, theirs: Worker, *, rounds: int, seconds: float, steps: int | None
) -> dict[str, float]:
    """Rates of both in alternation; blocks last `seconds`, or have so many `steps`."""
    workers = (ours, theirs)
    counts = [steps or worker.warm_up(seconds) for worker in workers]
    rates, cpus = [], []
    for _ in range(rounds):
        taken = [worker.run(count) for worker, count in zip(workers, counts, strict=True)]
        rates.append([count / wall for count, (wall, _) in zip(counts, taken, strict=True)])
        cpus.append([cpu / wall for wall, cpu in taken])
    ratios = [mine / other for mine, other in rates]
    return {
        "ganbench": statistics.median(mine for mine, _ in rates),
        "source": statistics.median(other for _, other in rates),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "ganbench_cores": statistics.median(mine for mine, _ in cpus),
        "source_cores": statistics.median(other for _, other in cpus),
    }


def sides_of(system: str, pythons: dict[str, str]) -> list[tuple[str, str]]:
    """What to compare with on a system, each with its interpreter."""
    if system == "gaussian":
        return [("plain torch", sys.executable)]
    found = [(backend, pythons[backend]) for backend in BACKENDS if backend in pythons]
    sides = [
        (f"{backend}{how}", python)
        for backend, python in found
        for how in ("", " predict_on_batch")
    ]
    if system == "quadratic" and "tensorflow" in pythons:
        sides.append(("tensorflow 1", pythons["tensorflow"]))
    return sides


def interpreters(backends: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """For each Keras backend the first interpreter that has it."""
    check = "import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
    return {
        backend: python
        for backend in backends
        for python in reversed((sys.executable, *others))
        if subprocess.run([python, "-c", check, "keras", backend], check=False).returncode == 0
    }


def main() -> None:
    """Compare and print a row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--systems", nargs="+", default=SYSTEMS, choices=SYSTEMS)
    add("--backends", nargs="+", default=BACKENDS, choices=BACKENDS)
    add("--python", nargs="+", default=(), help="further interpreters that have a backend")
    add("--threads", type=int, default=1, help="0 for each library's default (default 1)")
    add("--rounds", type=int, default=9)
    add("--seconds", type=float, default=2.0, help="length of a block")
    add("--steps", type=int, help="steps in a block, instead of --seconds and of warming up")
    add("--json", type=Path, help="write the rows there, too")
    add("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.systems[0], options.threads)
        return
    pythons = interpreters(options.backends, options.python)
    blocks = {"rounds": options.rounds, "seconds": options.seconds, "steps": options.steps}
    rows = []
    print(
        f"{'system':16}{'source':28}{'ganbench':>10}{'source':>10}{'ratio':>8}  range        cores"
    )
    for system in options.systems:
        with working("ganbench", system, sys.executable, options.threads) as ours:
            for side, python in sides_of(system, pythons):
                with working(side, system, python, options.threads) as theirs:
                    row = compare(ours, theirs, **blocks)
                rows.append({"system": system, "side": side, "threads": options.threads, **row})
                print(line_of(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def line_of(row: dict[str, Any]) -> str:
    """A row of the table; rates in steps a second, cores as CPU time by time."""
    spread = f"{row['ratio_min']:.1f} to {row['ratio_max']:.1f}"
    cores = f"{row['ganbench_cores']:.1f}, {row['source_cores']:.1f}"
    rates = f"{row['ganbench']:10.1f}{row['source']:10.1f}{row['ratio']:8.2f}"
    return f"{row['system']:16}{row['side']:28}{rates}  {spread:18}{cores}"


if __name__ == "__main__":
    main()
