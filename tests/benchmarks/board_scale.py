"""How long the board takes as entries are added.

    python tests/benchmarks/board_scale.py RESULT.json [--entries 100 1000 10000]

Copies of a real result with scores of their own, spread over `--tasks` tasks. `ganbench
leaderboard show` and `site` run in processes of their own; `first` is without an index of the
files, `again` with it. Prints the seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ganbench.results import schema, stats


def fill(folder: Path, real: schema.Result, entries: int, tasks: int) -> None:
    """Write so many results, some better, some worse."""
    rng = np.random.default_rng(0)
    text = schema.dumps(real)
    for place in range(entries):
        result = schema.loads(text, "the given result")
        result.entry.name = f"entry_{place // tasks}"
        result.task.name = real.task.name if place % tasks == 0 else f"task_{place % tasks}"
        level = rng.normal(0.5, 0.3)
        for seed in result.seeds:
            seed.score = float(np.clip(level + 0.05 * rng.normal(), -1, 1))
            seed.views = dict.fromkeys(seed.views, seed.score)
        result.summary["score"] = stats.summarise_values([seed.score for seed in result.seeds])
        path = folder / result.task.name / f"{result.entry.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(schema.dumps(result))


def seconds_of(*arguments: str, cache: Path) -> float:
    """Of a `ganbench leaderboard` command."""
    command = [sys.executable, "-m", "ganbench", "leaderboard", *arguments]
    start = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        env={**os.environ, "GANBENCH_CACHE": str(cache)},
    )
    return time.perf_counter() - start


def main() -> None:
    """Fill boards, show them and make their sites, print a row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", type=Path, help="a real result of ten seeds")
    parser.add_argument("--entries", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--tasks", type=int, default=1)
    options = parser.parse_args()
    real = schema.load_result(options.result)
    print("entries  show first  again  site first  again")
    for entries in options.entries:
        with tempfile.TemporaryDirectory() as scratch:
            root, out, caches = (Path(scratch) / name for name in ("board", "site", "caches"))
            fill(root, real, entries, options.tasks)
            board = ["--leaderboard", str(root)]
            show = ["show", *board]
            site = ["site", *board, "--out", str(out), "--quiet"]
            seconds = [
                seconds_of(*command, cache=caches / name)
                for name, command in (("a", show), ("a", show), ("b", site), ("b", site))
            ]
            pages = sum(1 for _ in out.rglob("*.html"))
            assert pages == entries + options.tasks + 3, pages
            print("{:7}{:12.2f}{:7.2f}{:12.2f}{:7.2f}".format(entries, *seconds), flush=True)


if __name__ == "__main__":
    main()
