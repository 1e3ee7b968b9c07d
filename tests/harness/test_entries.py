"""Runs of entries: what a resumed one leaves, how often names are looked up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from ganbench import registry
from ganbench.harness import entries
from ganbench.harness.spec import Spec
from ganbench.results import schema

SPEC = Spec(task="gaussian", baseline="mlp_gan", budget="smoke")


def run(folder: Path, spec: Spec, seeds: range, **changes: object) -> entries.Finished:
    (finished,) = entries.run(
        [replace(spec, **changes)], seeds=seeds, leaderboard=folder / "board", out=folder / "runs"
    )
    return finished


@pytest.mark.slow
@pytest.mark.parametrize("first", [range(2), range(1)], ids=["finished", "half-finished"])
def test_a_resumed_entry_is_the_entry(first: range, tmp_path: Path) -> None:
    """With seeds that are at their end: in the engine that trained them, nothing set aside."""
    whole = run(tmp_path / "whole", SPEC, range(2)).result
    run(tmp_path, SPEC, first)
    resumed = run(tmp_path, SPEC, range(2), resume=True)
    assert [seed.engine for seed in resumed.seeds] == ["stacked", "stacked"]
    assert not (tmp_path / "board" / "gaussian" / "old").exists()
    for mine, other in zip(resumed.result.seeds, whole.seeds, strict=True):
        assert mine.samples_sha256 == other.samples_sha256
        assert mine.metrics == other.metrics
    assert schema.load_result(resumed.path) == resumed.result


@pytest.mark.slow
def test_names_are_looked_up_once_however_many_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: Counter[str] = Counter()
    execute = registry.execute

    def counted(path: Path) -> tuple[object, dict[str, Path]]:
        counts[path.stem] += 1
        return execute(path)

    monkeypatch.setattr(registry, "execute", counted)
    run(tmp_path, replace(SPEC, baseline="oracle"), range(3))
    assert counts == {"gaussian": 1, "oracle": 1}
