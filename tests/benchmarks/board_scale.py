"""How long the board takes as entries are added.

    python tests/benchmarks/board_scale.py RESULT.json [--entries 100 1000 10000]

Copies of a real result with scores of their own, spread over `--tasks` tasks. `ganbench
leaderboard show`, `check` and `site` run in processes of their own; `first` is without an index of
the files, `again` with it. Prints the seconds, the most memory of a process that a command started
first (MB), and the size of the files, of their index and of the site (MB).
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


def cost_of(*arguments: str, cache: Path) -> tuple[float, float]:
    """Seconds and MB of memory of a `ganbench leaderboard` command, which may find something."""
    command = [sys.executable, "-m", "ganbench", "leaderboard", *arguments]
    environment = {**os.environ, "GANBENCH_CACHE": str(cache)}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 1), process.returncode
    return time.perf_counter() - start, used.ru_maxrss / 1000


def megabytes(folder: Path) -> float:
    """Size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


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
    print(
        "entries  show first   MB  again  check first   MB  again  site first   MB  again", end=""
    )
    print("  files MB  index MB  site MB")
    for entries in options.entries:
        with tempfile.TemporaryDirectory() as scratch:
            root, out, caches = (Path(scratch) / name for name in ("board", "site", "caches"))
            fill(root, real, entries, options.tasks)
            board = ["--leaderboard", str(root)]
            show = ["show", *board]
            check = ["check", *board]
            site = ["site", *board, "--out", str(out), "--quiet"]
            row = f"{entries:7}"
            for name, command in (("a", show), ("b", check), ("c", site)):
                first, memory = cost_of(*command, cache=caches / name)
                again, _ = cost_of(*command, cache=caches / name)
                row += f"{first:12.2f}{memory:5.0f}{again:7.2f}"
            pages = sum(1 for _ in out.rglob("*.html"))
            assert pages == entries + options.tasks + 3, pages
            sizes = (megabytes(root), megabytes(caches / "a"), megabytes(out))
            print(row + "{:10.1f}{:10.1f}{:9.1f}".format(*sizes), flush=True)


if __name__ == "__main__":
    main()
