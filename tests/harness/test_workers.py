"""Seeds spread over worker processes; what the command line does with them is in `test_cli`."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganbench.harness.log import read_log
from ganbench.harness.spec import Progress, Spec, look_up
from ganbench.harness.workers import train_all


@pytest.mark.slow
def test_workers_end_with_what_watches_them(tmp_path: Path) -> None:
    """An interrupted command would otherwise wait until all their work is done."""
    spec = Spec(task="gaussian", baseline="mlp_gan", steps=5_000, compiled=False, folder=tmp_path)

    def interrupted(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(train_all([look_up(spec)], [0, 1], 2, interrupted, None))
    for seed in (0, 1):
        steps = read_log(tmp_path / f"seed-{seed}" / "log.jsonl").get("step", [])
        assert all(step < 5_000 for step in steps)
