"""What is kept of a reference, and what is not looked at: neither changes a value."""

from __future__ import annotations

import gc

import pytest
import torch

from ganbench import metrics, registry
from ganbench.metrics import _kept, _near, _pairs


@pytest.mark.parametrize("name", ["gaussian", "ring8", "sine"])
def test_a_kept_reference_scores_as_any_other(name):
    task = registry.load_task(name)
    kept, plain = _kept.keep(task.reference[:512].clone()), task.reference[:512].clone()
    rng = torch.Generator().manual_seed(0)
    for scale in (1.0, 1.3, 0.01, 10.0):
        fake = scale * task.sample(512, rng)
        expected = task.evaluate(plain, fake)
        assert task.evaluate(kept, fake) == expected
        assert task.evaluate(kept, fake) == expected


def test_parts_are_made_once_and_again_after_a_change():
    made, side = [], torch.ones(3, 2)

    def total() -> float:
        made.append(1)
        return float(side.sum())

    assert [_kept.part(side, "total", total) for _ in range(2)] == [6, 6]
    assert len(made) == 2  # nobody has asked for it to be kept
    _kept.keep(side)
    assert [_kept.part(side, "total", total) for _ in range(2)] == [6, 6]
    assert len(made) == 3
    side += 1
    assert _kept.part(side, "total", total) == 12


def test_nothing_is_kept_of_what_is_gone():
    before = len(_kept._PARTS)
    side = _kept.keep(torch.rand(64, 2))
    metrics.precision_recall(side, torch.rand(64, 2))
    assert len(_kept._PARTS) > before
    del side
    gc.collect()
    assert len(_kept._PARTS) == before


@pytest.mark.parametrize("spread", [0.0, 0.01, 1.0, 100.0])
@pytest.mark.parametrize("width", [1, 2, 16])
def test_rows_out_of_reach_need_not_be_looked_at(width, spread):
    rng = torch.Generator().manual_seed(1)
    x, y = (spread * torch.randn(n, width, generator=rng) for n in (700, 1100))
    looked = []

    def kernel(rows, columns):
        looked.append(len(rows) * len(columns))
        squared = _pairs.squared_distances(rows, columns).double()
        return torch.exp(-0.5 * squared) * (squared <= 49)

    for mean, sides in ((_pairs.mean_between, (x, y)), (_pairs.mean_within, (x,))):
        looked.clear()
        near, some = mean(*sides, kernel, reach=7.0), sum(looked)
        looked.clear()
        assert near == pytest.approx(mean(*sides, kernel), rel=1e-12, abs=1e-15)
        assert some < sum(looked) or spread < 100 or width == 16


@pytest.mark.parametrize("kind", ["apart", "collapsed", "copies", "outlier"])
def test_a_tree_finds_what_all_differences_do(kind, monkeypatch):
    rng = torch.Generator().manual_seed(2)
    real, fake = torch.randn(500, 2, generator=rng), torch.randn(400, 2, generator=rng)
    if kind == "collapsed":
        fake = real[:1] + 1e-3 * fake
    elif kind == "copies":
        fake = real[:7].repeat(50, 1)
    elif kind == "outlier":
        real[0] = 1e6
    by_tree = metrics.precision_recall(real, fake)
    monkeypatch.setattr(_near, "FLAT", 0)
    assert by_tree == metrics.precision_recall(real, fake)
