"""A step of each published system in Keras on PyTorch, to be set beside `test_step`.

    python -m pytest --benchmark-enable --benchmark-only tests/benchmarks/test_keras.py

For ratios, which want both sides in alternation and other peers too, run `peers.py`.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ..parity import sources
from . import loops

# Keras's torch backend converts with np.array(tensor), which torch 2.13 and NumPy 2.4 warn about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("system", sources.SYSTEMS)
def test_step_in_keras(benchmark, system):
    source, rng = sources.SYSTEMS[system](), np.random.default_rng(0)
    n, shape = source.batch_size, source.discriminator.input_shape[1:]
    real = rng.uniform(-1, 1, (n, *shape)).astype("float32")
    log = benchmark(source.train_step, real, lambda: source.latent(n, rng).astype("float32"))
    assert np.isfinite(list(log.values())).all()


@pytest.mark.slow
@pytest.mark.parametrize("side", ["ganbench uncompiled", "torch", "torch predict_on_batch"])
@pytest.mark.parametrize("system", ["gaussian", *sources.SYSTEMS])
def test_loops(side, system, monkeypatch):
    """What the script times, two steps of each."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(loops, "IMAGES", 256)
    log = loops.make_steps(side, system, seeds=[0, 1])(2)
    assert {"d_loss", "g_loss"} <= log.keys()
    assert np.isfinite(list(log.values())).all()


@pytest.mark.slow
def test_script():
    script = Path(__file__).with_name("peers.py")
    options = ["--systems", "gaussian", "--only", "plain torch", "--uncompiled"]
    options += ["--seeds", "3", "--cores", "2", "--rounds", "1", "--steps", "1"]
    done = subprocess.run(
        [sys.executable, str(script), *options], capture_output=True, text=True, check=True
    )
    (row,) = done.stdout.splitlines()[1:]
    assert row.startswith("gaussian        plain torch ")
