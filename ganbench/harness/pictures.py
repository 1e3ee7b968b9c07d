"""The pictures of a run, from what its seeds left in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganbench import plots, registry
from ganbench.core import Task
from ganbench.errors import InputError
from ganbench.harness.log import read_log
from ganbench.results.samples import read_frames
from ganbench.results.schema import SeedResult
from ganbench.system import files


def draw(task: Task, folder: Path, seeds: Sequence[SeedResult]) -> list[Path]:
    """The pictures of a run, from what its seeds left in the folder."""
    places = {seed.seed: folder / f"seed-{seed.seed}" for seed in seeds}
    return plots.save_pictures(
        task,
        {seed: read_frames(place / "frames") for seed, place in places.items()},
        seeds,
        folder,
        kept={seed: read_frames(place / "samples") for seed, place in places.items()},
        logs={seed: read_log(place / "log.jsonl") for seed, place in places.items()},
        features={seed: read_features(place / "features") for seed, place in places.items()},
    )


def redraw(folder: Path) -> list[Path]:
    """The pictures of a finished run once more; InputError if the folder is no run."""
    marker = folder / "run.json"
    try:
        task = registry.load_task(str(files.read_object(marker)["task"]))
        paths = sorted(folder.glob("seed-*/result.json"))
        seeds = [SeedResult.model_validate_json(files.read_bytes(path)) for path in paths]
    except InputError:
        raise
    except (OSError, ValueError, KeyError) as error:
        kind = type(error).__name__
        raise InputError(f"{str(folder)!r} is no folder of a run ({kind}): see runs/") from error
    if not seeds:
        raise InputError(f"no seed of {str(folder)!r} has been finished yet")
    seeds.sort(key=lambda seed: seed.seed)
    return draw(task, folder, seeds)


def read_features(folder: Path) -> list[tuple[int, dict[str, np.ndarray[Any, Any]]]]:
    """(step, snapshot) of every .npz file, in order."""
    snapshots = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            snapshots.append((int(path.stem), dict(arrays)))
    return snapshots
