"""Seconds and memory of each metric as the samples grow.

    python tests/benchmarks/metric_scale.py [--metrics mmd kid] [--sizes 1000 10000 100000]

Each measurement is a process of its own: `MiB` is its largest resident memory during the metric
less that before, when both samples (n, d) in float32 were there. `power` is the growth of the time
from the size before: 2 for pairs, 1 and a little for sorting. A process that takes longer than
`--limit` seconds is given up.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ganbench import metrics

# The dimensions that our tasks, or the features of their images, have for each metric.
WIDTHS = {
    "mmd": (2, 64, 784),
    "energy": (2, 64),
    "wasserstein": (2, 64),
    "sliced_wasserstein": (2, 64),
    "precision_recall": (2, 64),
    "discriminator_test": (2, 64, 784, 2352),
    "mean_error": (2, 64),
    "covariance_error": (2, 64),
    "mixture_modes": (2,),
    "curve_residual": (2,),
    "sine_fit": (64,),
    "frechet": (64, 192),
    "kid": (64, 192),
    "image_features": (784,),
    "stacked_images": (2352,),
    "triangle_fit": (784,),
    "memorisation": (784,),
}


def metric(name: str, d: int) -> Callable[[Tensor, Tensor], object]:
    """The metric with plain facts about d coordinates."""
    facts: dict[str, dict[str, object]] = {
        "mmd": {"widths": [2**i * math.sqrt(d) for i in (-3, -2, -1, 0, 1)]},
        "mean_error": {"mean": torch.zeros(d).double(), "covariance": torch.eye(d).double()},
        "covariance_error": {"mean": torch.zeros(d).double(), "covariance": torch.eye(d).double()},
        "mixture_modes": {"centers": torch.randn(25, d), "sigma": 0.1},
        "curve_residual": {"curves": [torch.square], "x_range": (-5.0, 5.0)},
        "sine_fit": {"x": torch.linspace(-5, 5, d), "b_range": (0.5, 2.0), "c_range": (0.0, 3.1)},
        "image_features": {"name": "mnist"},
        "memorisation": {"training": lambda: torch.zeros(60_000, d)},
    }
    return partial(getattr(metrics, name), **facts.get(name, {}))


def largest_memory() -> float:
    """Largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def work(name: str, n: int, d: int, threads: int) -> tuple[float, float]:
    """Seconds and MiB of one call, after one on a few samples to warm up."""
    torch.set_num_threads(threads)
    measure = metric(name, d)
    measure(torch.randn(200, d), torch.randn(200, d))
    real, fake = torch.randn(n, d), torch.randn(n, d).mul_(1.1)
    before, start = largest_memory(), time.perf_counter()
    measure(real, fake)
    return time.perf_counter() - start, largest_memory() - before


def measure_apart(name: str, n: int, d: int, threads: int, limit: float) -> tuple[float, float]:
    """The same in a process of its own; NaN where it takes longer than `limit` seconds."""
    task = json.dumps([name, n, d, threads])
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--work", task],
            capture_output=True,
            text=True,
            check=True,
            timeout=limit,
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
        )
    except subprocess.TimeoutExpired:
        return math.nan, math.nan
    seconds, mib = json.loads(done.stdout)
    return seconds, mib


def main() -> None:
    """Measure and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--metrics", nargs="+", choices=WIDTHS, default=list(WIDTHS))
    add("--sizes", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    add("--threads", nargs="+", type=int, default=[1, 2])
    add("--limit", type=float, default=600)
    add("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(*json.loads(options.work))))
        return
    print(f"{'metric':20}{'d':>6}{'threads':>9}{'n':>9}{'seconds':>10}{'power':>7}{'MiB':>7}")
    for name in options.metrics:
        for d in WIDTHS[name]:
            for threads in options.threads:
                before, fewer = math.nan, 1
                for n in options.sizes:
                    seconds, mib = measure_apart(name, n, d, threads, options.limit)
                    power = math.log(seconds / before) / math.log(n / fewer)
                    print(
                        f"{name:20}{d:6}{threads:9}{n:9}{seconds:10.3f}{power:7.2f}{mib:7.0f}",
                        flush=True,
                    )
                    before, fewer = seconds, n


if __name__ == "__main__":
    main()
