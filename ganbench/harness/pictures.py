"""The pictures of a run, from what its seeds left in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganbench import plots, registry
from ganbench.core import Task
from ganbench.errors import InputError
from ganbench.harness.log import LOSSES, read_log
from ganbench.harness.spec import own_task_sha256
from ganbench.results.samples import read_arrays, read_frames, step_of
from ganbench.results.schema import SeedResult
from ganbench.system import files

Array = np.ndarray[Any, Any]


def draw(task: Task, folder: Path, seeds: Sequence[SeedResult]) -> list[Path]:
    """The pictures of a run, from what its seeds left in the folder.

    InputError for what no run of the task has left.
    """
    places = {seed.seed: folder / f"seed-{seed.seed}" for seed in seeds}
    return plots.save_pictures(
        task,
        {seed: _frames(task, place / "frames") for seed, place in places.items()},
        seeds,
        folder,
        kept={seed: _frames(task, place / "samples") for seed, place in places.items()},
        logs={seed: read_log(place / LOSSES) for seed, place in places.items()},
        features={seed: read_features(place / "features") for seed, place in places.items()},
    )


def redraw(folder: Path) -> list[Path]:
    """The pictures of a finished run once more; InputError if the folder is no run."""
    marker = folder / registry.MARKER
    try:
        known = files.read_object(marker)
        task = registry.load_task(str(known["task"]))
        changed = known.get("task_source") != own_task_sha256(str(known["task"]))
        paths = sorted(folder.glob("seed-*/result.json"))
        seeds = [SeedResult.model_validate_json(files.read_bytes(path)) for path in paths]
    except InputError:
        raise
    except (OSError, ValueError, KeyError) as error:
        kind = type(error).__name__
        raise InputError(f"{str(folder)!r} is no folder of a run ({kind}): see runs/") from error
    if changed or known.get("version") != task.version:
        raise InputError(f"{task.name} has changed since {folder} was trained on it")
    if not seeds:
        raise InputError(f"no seed of {str(folder)!r} has been finished yet")
    seeds.sort(key=lambda seed: seed.seed)
    return draw(task, folder, seeds)


def _frames(task: Task, folder: Path) -> list[tuple[int, Array]]:
    """(step, samples) of a folder's files, samples of the task each."""
    frames = read_frames(folder)
    for step, each in frames:
        if each.dtype != np.float32 or not each.size or each.shape[1:] != task.shape:
            raise InputError(
                f"{folder}: those of step {step} are no samples of {task.name!r}: "
                f"expected float32 of shape (n, {str(task.shape)[1:]}, got {each.dtype} of shape "
                f"{each.shape}"
            )
    return frames


def read_features(folder: Path) -> list[tuple[int, dict[str, Array]]]:
    """(step, snapshot) of every .npz file, in order; InputError for what no run has written."""
    return [(step_of(path), _snapshot(path)) for path in sorted(folder.glob("*.npz"))]


def _snapshot(path: Path) -> dict[str, Array]:
    found = read_arrays(path)
    if len({each.shape[1:] for each in found.values()}) > 1 or not all(
        each.ndim == 2 and each.size and each.dtype.kind == "f" for each in found.values()
    ):
        raise InputError(f"{path} holds no activations of a layer: (m, features) of floats")
    return found
