"""Timings, for pytest-benchmark; run with `--benchmark-enable --benchmark-only`."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ganbench import registry
from ganbench.harness.spec import Spec, build, look_up

METRICS = [("ring8", name) for name in registry.load_task("ring8").metrics]
METRICS += [("quadratic", "curve_residual"), ("sine", "sine_fit"), ("sine", "mmd")]


@pytest.mark.parametrize("target", ["gaussian", "quadratic", "sine", "ring8"])
def test_step(benchmark, target):
    task = registry.load_task(target)
    gan = build(look_up(Spec(task=target, baseline="mlp_gan")), 0)
    real = task.sample(task.budget.batch_size, torch.Generator().manual_seed(0))
    assert "d_loss" in benchmark(gan.train_step, real)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.long
def test_engine_scale(tmp_path):
    """The script that draws cost against seeds and width, at its smallest."""
    script = Path(__file__).with_name("engine_scale.py")
    picture = tmp_path / "cost.png"
    options = ["--seeds", "1", "--widths", "8", "--compile", "off", "--seconds", "0.1"]
    done = subprocess.run(
        [sys.executable, str(script), "--task", "ring8", *options, "--out", str(picture)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["seeds", "1"],
        ["width", "8"],
    ]
    assert picture.stat().st_size > 10_000
