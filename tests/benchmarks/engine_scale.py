"""What a training step costs as seeds are added, and as the networks grow wider.

    python tests/benchmarks/engine_scale.py [--out cost.png] [--compile on]

Each point is `ganbench bench` in a process of its own, on `--task` with `mlp_gan`: many seeds of
the preset's networks, and ten seeds of networks with two hidden layers of equal width. Prints a
row each and draws milliseconds per seed-step.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

SEEDS = (1, 2, 4, 8, 16, 32, 64)
WIDTHS = (64, 128, 256, 512, 1024, 2048)


def measure(task: str, seeds: int, options: Sequence[str]) -> dict[str, Any]:
    """The document that `ganbench bench` prints."""
    command = [sys.executable, "-m", "ganbench", "bench", "mlp_gan", "--task", task, "--json"]
    command += ["--seeds", str(seeds), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def of_width(width: int) -> list[str]:
    """Options for hidden layers of that width in both networks."""
    return ["--set", f"g_hidden=[{width},{width}]", "--set", f"d_hidden=[{width},{width}]"]


def row(name: str, value: int, found: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a document; printed."""
    rate, share = found["seed_steps_per_second"], found["gflops"] / found["matmul_gflops"]
    mib = found["peak_memory_bytes"] / 2**20
    print(f"{name:8}{value:6}{rate:14.1f}{1000 / rate:12.3f}{share:8.2f}{mib:10.0f}", flush=True)
    return {"name": name, "value": value, "ms": 1000 / rate, "share": share, "mib": mib}


def draw(rows: Sequence[dict[str, Any]], title: str, path: Path) -> None:
    """Milliseconds per seed-step against seeds, from 0, and against width, logarithmic."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for place, (name, label) in enumerate((("seeds", "seeds"), ("width", "hidden width"))):
        mine = [each for each in rows if each["name"] == name]
        axes = figure.add_subplot(1, 2, place + 1)
        axes.plot([each["value"] for each in mine], [each["ms"] for each in mine], "o-")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log" if name == "width" else "linear")
        if name == "seeds":
            axes.set_ylim(0)
        axes.set_xticks([each["value"] for each in mine], [str(each["value"]) for each in mine])
        axes.minorticks_off()
        axes.set(xlabel=label, ylabel="ms per seed-step")
        axes.grid(visible=True, alpha=0.3)
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--task", default="sine")
    add("--seeds", type=int, nargs="*", default=SEEDS)
    add("--widths", type=int, nargs="*", default=WIDTHS)
    add("--compile", choices=("auto", "on", "off"), default="auto")
    add("--seconds", default="2", help="how long each trains, about")
    add("--out", type=Path, default=Path("cost.png"))
    options = parser.parse_args()
    shared = ["--compile", options.compile, "--seconds", options.seconds]
    print("         value  seed-steps/s  ms a step   share       MiB")
    rows = [row("seeds", n, measure(options.task, n, shared)) for n in options.seeds]
    rows += [
        row("width", width, measure(options.task, 10, [*shared, *of_width(width)]))
        for width in options.widths
    ]
    draw(rows, f"mlp_gan on {options.task}, compile {options.compile}", options.out)


if __name__ == "__main__":
    main()
