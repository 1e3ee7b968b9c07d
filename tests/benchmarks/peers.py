"""Seed-steps per second of ganbench's engine against its peers, in alternation.

    python tests/benchmarks/peers.py [--python OTHER/bin/python] [--json ratios.json]

ganbench trains its seeds stacked and compiled, some in a process of its own on each core. The two
sides of a row run blocks in turn, and the ratio is the median over rounds of ganbench's rate by
the peer's in the same round. Both pick the batch and draw the noise within the time, at the
source's batch size; the first blocks, which compile and warm up, do not count. `--python` names
interpreters to look for JAX and for Keras's backends in that this one lacks. Peers:

- `jax scan`: hand-written JAX, `jit` of `vmap` over all the seeds of a `lax.scan`, on all cores;
- Keras on each backend found: the source's loop, `train_on_batch` and `predict`, in a process on
  each core, of one seed at a time;
- the same with `predict_on_batch`, which a source in a hurry might have used;
- `quadratic` in a TensorFlow 1 graph and session, as its source runs it;
- `gaussian`, whose framework is no longer made, as the same loop in plain PyTorch, and in Keras.
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
SYSTEMS = ("gaussian", "quadratic", "sine", "mnist", "mnist_batchnorm")
BACKENDS = ("torch", "tensorflow", "jax")
SCANNED = SYSTEMS[:4]  # those that `jax_scan` has


def work(side: str, system: str, seeds: Sequence[int]) -> None:
    """A worker: reads numbers of steps, and answers when they are done."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries may print
    limit_threads(side)
    run = make_steps(side, system, seeds)
    for line in sys.stdin:
        run(int(line))
        print("done", file=answers, flush=True)


def limit_threads(side: str) -> None:
    """One thread for the library of that side; JAX is limited by the cores of its process."""
    if side.startswith("tensorflow"):
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    elif not side.startswith("jax"):
        import torch

        torch.set_num_threads(1)


class Side:
    """The processes of one side, which run steps when told to, all at once."""

    def __init__(self, name: str, system: str, python: str, seeds: int, cores: Sequence[int]):
        self.name = name
        together = name == "jax scan"
        shares = [cores] if together else [[core] for core in cores]
        stacked = name.startswith("ganbench") or together
        # Of what trains one seed at a time, a step on each core is as many seed-steps.
        of_each = [list(range(seeds))[i :: len(shares)] for i in range(len(shares))]
        of_each = [each if stacked else [i] for i, each in enumerate(of_each) if each]
        self.seeds = sum(map(len, of_each))
        self.processes = [
            self._start(system, python, each, share)
            for each, share in zip(of_each, shares, strict=False)
        ]

    def _start(
        self, system: str, python: str, seeds: Sequence[int], cores: Sequence[int]
    ) -> subprocess.Popen[str]:
        options = ["--work", self.name, "--systems", system, "--share", *map(str, seeds)]
        return subprocess.Popen(
            [python, str(Path(__file__)), *options],
            env=environment(self.name, alone=len(cores) == 1),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("VERBOSE") else subprocess.DEVNULL,
            text=True,
            preexec_fn=lambda: pin(cores),
        )

    def run(self, steps: int) -> float:
        """Seconds of so many steps of each process."""
        start = time.perf_counter()
        for process in self.processes:
            print(steps, file=process.stdin, flush=True)
        for process in self.processes:
            assert process.stdout
            if not process.stdout.readline():
                raise RuntimeError(f"{self.name} ended early: set VERBOSE=1 to see why")
        return time.perf_counter() - start

    def warm_up(self, seconds: float) -> int:
        """Run ever more steps until some take that long; returns how many do, after one such."""
        self.run(1)
        steps = 1
        while (taken := self.run(steps)) < seconds / 2:
            steps = max(steps + 1, int(steps * min(10, seconds / max(taken, 1e-6))))
            self.run(steps)  # which may compile for that number
        steps = max(1, round(steps * seconds / taken))
        self.run(steps)
        return steps

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            assert process.stdin
            process.stdin.close()
            process.wait()


def environment(side: str, *, alone: bool) -> dict[str, str]:
    """The environment variables of a worker that has one core `alone`, or all of them."""
    known = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    known["KERAS_BACKEND"] = side.split()[0] if side.split()[0] in BACKENDS else "torch"
    if alone:
        known["OMP_NUM_THREADS"] = "1"
        known["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return known


def all_cores() -> list[int]:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(cores: Sequence[int]) -> None:
    """The cores of the whole process, where that can be set: some pools heed nothing else."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


@contextmanager
def working(
    name: str, system: str, python: str, seeds: int, cores: Sequence[int]
) -> Iterator[Side]:
    """A side whose processes are ended afterwards."""
    side = Side(name, system, python, seeds, cores)
    try:
        yield side
    finally:
        side.close()


def compare(
    ours: Side, theirs: Side, *, rounds: int, seconds: float, steps: int | None
) -> dict[str, float]:
    """Rates of both in alternation; blocks last `seconds`, or have so many `steps`."""
    sides = (ours, theirs)
    counts = [steps or side.warm_up(seconds) for side in sides]
    rates = [
        [side.seeds * count / side.run(count) for side, count in zip(sides, counts, strict=True)]
        for _ in range(rounds)
    ]
    ratios = [mine / other for mine, other in rates]
    return {
        "ganbench": statistics.median(mine for mine, _ in rates),
        "peer": statistics.median(other for _, other in rates),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def sides_of(system: str, pythons: dict[str, str]) -> list[tuple[str, str]]:
    """What to compare with on a system, each with its interpreter."""
    sides = []
    if "jax" in pythons and system in SCANNED:
        sides.append(("jax scan", pythons["jax"]))
    if system == "gaussian":
        sides.append(("plain torch", sys.executable))
    found = [(backend, pythons[backend]) for backend in BACKENDS if backend in pythons]
    sides += [
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
    add("--only", nargs="+", help="peers, by name")
    add("--python", nargs="+", default=(), help="further interpreters that have a backend")
    add("--seeds", type=int, default=10)
    add("--cores", type=int, help="how many (default all)")
    add("--uncompiled", action="store_true", help="ganbench's steps traced, but not compiled")
    add("--rounds", type=int, default=9)
    add("--seconds", type=float, default=2.0, help="length of a block")
    add("--steps", type=int, help="steps in a block, instead of --seconds and of warming up")
    add("--json", type=Path, help="write the rows there, too")
    add("--work", help=argparse.SUPPRESS)
    add("--share", type=int, nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.systems[0], options.share)
        return
    pythons = interpreters(options.backends, options.python)
    blocks = {"rounds": options.rounds, "seconds": options.seconds, "steps": options.steps}
    cores = all_cores()[: options.cores]
    our_side = "ganbench uncompiled" if options.uncompiled else "ganbench"
    rows = []
    print(f"{'system':16}{'peer':28}{'ganbench':>10}{'peer':>10}{'ratio':>8}  range")
    for system in options.systems:
        peers = [
            peer for peer in sides_of(system, pythons) if peer[0] in (options.only or [peer[0]])
        ]
        with working(our_side, system, sys.executable, options.seeds, cores) as ours:
            for name, python in peers:
                with working(name, system, python, options.seeds, cores) as theirs:
                    row = compare(ours, theirs, **blocks)
                of = {"seeds": options.seeds, "cores": len(cores)}
                rows.append({"system": system, "peer_name": name, **of, **row})
                print(line_of(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def line_of(row: dict[str, Any]) -> str:
    """A row of the table; rates in seed-steps a second."""
    rates = f"{row['ganbench']:10.1f}{row['peer']:10.1f}{row['ratio']:8.2f}"
    return (
        f"{row['system']:16}{row['peer_name']:28}{rates}  "
        f"{row['ratio_min']:.2f} to {row['ratio_max']:.2f}"
    )


if __name__ == "__main__":
    main()
