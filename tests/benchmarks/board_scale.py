"""How long the board takes as entries are added.

    python tests/benchmarks/board_scale.py RESULT.json [--entries 100 1000 10000]

Copies of a real result with scores of their own are shown by `ganbench leaderboard show`, in a
process of its own. Prints the seconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ganbench import results, stats


def fill(folder: Path, real: results.Result, entries: int) -> None:
    """Write so many results, some better, some worse."""
    rng = np.random.default_rng(0)
    info = real.task.metrics[real.ranking]
    folder.mkdir(parents=True)
    text = results.dumps(real)
    for place in range(entries):
        result = results.loads(text, "the given result")
        result.entry.name = f"entry_{place}"
        level = rng.normal(0.5, 0.3)
        for seed in result.seeds:
            seed.score = float(level + 0.05 * rng.normal())
            seed.metrics[real.ranking] = info.ceiling - seed.score * (info.ceiling - info.floor)
        result.summary["score"] = stats.summarise_values([seed.score for seed in result.seeds])
        (folder / f"entry_{place}.json").write_text(results.dumps(result))


def main() -> None:
    """Fill boards, show them, print a row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", type=Path, help="a real result of ten seeds")
    parser.add_argument("--entries", type=int, nargs="*", default=[100, 1000, 10_000])
    options = parser.parse_args()
    real = results.load_result(options.result)
    print("entries   show, s   again, s")
    for entries in options.entries:
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder) / real.task.name, real, entries)
            seconds = []
            for _ in range(2):
                command = [sys.executable, "-m", "ganbench", "leaderboard", "show", "--json"]
                start = time.perf_counter()
                done = subprocess.run(
                    [*command, "--leaderboard", folder], check=True, capture_output=True
                )
                seconds.append(time.perf_counter() - start)
            assert len(json.loads(done.stdout)[0]["entries"]) == entries
            print(f"{entries:7}{seconds[0]:10.2f}{seconds[1]:11.2f}", flush=True)


if __name__ == "__main__":
    main()
