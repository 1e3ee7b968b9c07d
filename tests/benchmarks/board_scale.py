"""How long the board takes as entries are added.

    python tests/benchmarks/board_scale.py [--entries 100 1000 10000]

Copies of the published results of mlp_gan, of each task in turn, with values of the metric that is
tracked, and so scores, of their own. `ganbench leaderboard show`, `check` and `site` run in
processes of their own; `first` is without an index of the files, `again` with it. Prints seconds on
the clock, on cores (CPU), the most memory of the process (MB), and the size of the files, of their
index and of the site (MB).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ganbench.results import schema, stats
from ganbench.scoring import score_of

BOARD = Path(__file__).parents[2] / "leaderboard"


def fill(folder: Path, texts: Sequence[str], entries: int) -> None:
    """Write so many results, some better, some worse, that can be ranked."""
    rng = np.random.default_rng(0)
    for place in range(entries):
        result = schema.loads(texts[place % len(texts)], "a published result")
        result.entry.name = f"entry_{place // len(texts)}"
        level, tracked = rng.normal(), result.tracked
        for seed in result.seeds:
            value = seed.metrics[tracked] * float(np.exp(level + 0.1 * rng.normal()))
            seed.metrics[tracked] = seed.curve[-1].metrics[tracked] = value
            seed.views = result.task.positions(seed.metrics)
            seed.score = score_of(seed.views)
        result.summary = stats.summarise(result.seeds, list(result.task.metrics))
        result.views = stats.summarise_views(result.seeds, result.task.views)
        path = folder / result.task.name / f"{result.entry.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(schema.dumps(result))


def cost_of(*arguments: str, cache: Path) -> str:
    """What a `ganbench leaderboard` command takes, which may find something: seconds, CPU, MB."""
    command = [sys.executable, "-m", "ganbench", "leaderboard", *arguments]
    environment = {**os.environ, "GANBENCH_CACHE": str(cache)}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 1), process.returncode
    seconds, cores = time.perf_counter() - start, used.ru_utime + used.ru_stime
    return f"{seconds:8.1f}{cores:8.1f}{used.ru_maxrss / 1000:6.0f}"


def megabytes(folder: Path) -> float:
    """Size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    """Fill boards, show them and make their sites, print a row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entries", type=int, nargs="*", default=[100, 1000, 10_000])
    options = parser.parse_args()
    texts = [path.read_text() for path in sorted(BOARD.glob("*/mlp_gan.json"))]
    print("entries command     first: s, CPU s, MB     again: s, CPU s, MB")
    for entries in options.entries:
        with tempfile.TemporaryDirectory() as scratch:
            root, out, caches = (Path(scratch) / name for name in ("board", "site", "caches"))
            fill(root, texts, entries)
            board = ["--leaderboard", str(root)]
            show = ["show", *board]
            check = ["check", *board]
            site = ["site", *board, "--out", str(out), "--quiet"]
            for name, command in (("show", show), ("check", check), ("site", site)):
                first, again = (cost_of(*command, cache=caches / name) for _ in range(2))
                print(f"{entries:7} {name:8}{first}  {again}", flush=True)
            pages = sum(1 for _ in out.rglob("*.html"))
            assert pages == entries + len(texts) + 3, pages
            sizes = (megabytes(root), megabytes(caches / "show"), megabytes(out))
            print("{:7} files {:.1f} MB, index {:.1f} MB, site {:.1f} MB".format(entries, *sizes))


if __name__ == "__main__":
    main()
