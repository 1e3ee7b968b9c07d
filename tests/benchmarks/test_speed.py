"""Timings, for pytest-benchmark; run with `--benchmark-enable --benchmark-only`."""

import subprocess
import sys

import pytest
import torch

from ganbench import registry
from ganbench.spec import Spec, build

METRICS = [("ring8", name) for name in registry.load_task("ring8").metrics]
METRICS += [("quadratic", "curve_residual"), ("sine", "sine_fit"), ("sine", "mmd")]


@pytest.mark.parametrize("target", ["gaussian", "quadratic", "sine", "ring8"])
def test_step(benchmark, target):
    task = registry.load_task(target)
    gan = build(registry.load_entry("mlp_gan"), Spec(task=target, baseline="mlp_gan"), task, 0)
    real = task.sample(task.budget.batch_size, torch.Generator().manual_seed(0))
    assert "d_loss" in benchmark(gan.train_step, real)


@pytest.mark.parametrize(("target", "metric"), METRICS)
def test_metric(benchmark, target, metric):
    task = registry.load_task(target)
    fake = task.sample(task.budget.evaluation_size, torch.Generator().manual_seed(0))
    assert benchmark(task.metrics[metric], task.reference, fake) is not None


@pytest.mark.parametrize("arguments", [["-c", "import ganbench"], ["-m", "ganbench", "--help"]])
def test_start(benchmark, arguments):
    root = registry.folder("tasks").parent
    done = benchmark(subprocess.run, [sys.executable, *arguments], cwd=root, capture_output=True)
    assert done.returncode == 0
