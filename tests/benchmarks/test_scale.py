"""Memory of the metrics does not grow with the pairs of samples."""

import math

import pytest

from ..tiers import every
from . import metric_scale

N = 12_000  # a matrix of all pairs in float64 would be 1,100 MiB
PAIRS = ["mmd", "energy", "precision_recall", "kid"]


def test_every_metric_is_measured():
    for name, widths in metric_scale.WIDTHS.items():
        assert callable(metric_scale.metric(name, widths[0]))


@pytest.mark.slow
@pytest.mark.parametrize("name", every(2, PAIRS[::-1]))
def test_memory_of_pairs(name):
    seconds, mib = metric_scale.measure_apart(name, N, metric_scale.WIDTHS[name][-1], 1, 300)
    assert math.isfinite(seconds)
    assert mib < 250
