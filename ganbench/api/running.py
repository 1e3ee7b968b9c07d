"""Training, and trained generators in hand."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from ganbench.api.result import Result
from ganbench.cli.progress import show_progress
from ganbench.errors import InputError
from ganbench.harness import entries, in_memory, trained
from ganbench.harness.spec import Spec
from ganbench.harness.trained import TrainedGenerator
from ganbench.results.schema import Precision
from ganbench.system.limits import LAST_SEED, MOST_SEEDS

COMPILE = {"auto": None, "on": True, "off": False}


def run(
    baseline: str | Path | Callable[..., Any],
    task: str | Path,
    *,
    seeds: int | Sequence[int] = 1,
    budget: Literal["full", "quick", "smoke"] = "full",
    steps: int | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    compile: Literal["auto", "on", "off"] = "auto",
    precision: Precision = "float32",
    tuning_trials: int = 0,
    log: str | Sequence[str] = (),
    workers: int = 1,
    leaderboard: str | Path = "leaderboard",
    out: str | Path = "runs",
    progress: bool = True,
    **hparams: Any,
) -> Result:
    """Train a GAN on a task and score it, as `ganbench run` does.

    Args:
        baseline: a name (`list_baselines`), the path of a file that defines `GAN`, or the function
            or class itself, called as `baseline(task, device=..., **hparams)`: of a notebook's
            cell, say.
        task: a name (`list_tasks`) or the path of a task file.
        seeds: how many, from 0 on, or which.
        budget: of training steps: the task's own, a tenth of it, or 50; `steps` says a number.
        device: "auto" takes a CUDA device if there is one.
        compile: the steps of a Game; "auto" does for 10,000 of them or more.
        precision: of products while training.
        tuning_trials: how many settings were tried to find these.
        log: "csv", "tensorboard" or "wandb", or several: what is handed losses and metrics, too,
            in the folder of each seed.
        workers: processes that train. What is no file is trained in this process alone.
        leaderboard: folder that the result file is added to, merged with seeds that lie there. A
            function's result is not, since its file would not say what it depends on.
        out: folder for pictures, samples and checkpoints.
        progress: whether to say what goes on.
        **hparams: hyper-parameters of the GAN.

    Returns:
        The result of these seeds, with its `folder` and `path`.

    Raises:
        InputError: before any training, for what cannot be meant; after it, if no seed could train.

    Example:
        >>> import ganbench
        >>> result = ganbench.run("moment_matching", task="gaussian", progress=False)
        >>> round(result.score, 1)
        1.0
    """
    if compile not in COMPILE:
        raise InputError(f"compile must be one of {', '.join(COMPILE)}, got {compile!r}")
    function = baseline if not isinstance(baseline, str | Path) else None
    spec = Spec(
        task=str(task),
        baseline=in_memory.name_of(baseline) if callable(baseline) else str(baseline),
        hparams=hparams,
        budget=budget,
        steps=steps,
        device=device,
        compiled=COMPILE[compile],
        precision=precision,
        tuning_trials=tuning_trials,
        log=(log,) if isinstance(log, str) else tuple(log),
        function=function,
    )
    place = TemporaryDirectory() if function is not None else nullcontext(str(leaderboard))
    shown = show_progress(named=False, lines=False, quiet=not progress)
    with place as folder, shown as report:
        (finished,) = entries.run(
            [spec],
            seeds=_numbers(seeds),
            workers=1 if function is not None else workers,
            leaderboard=folder,
            out=out,
            report=report,
            apart=function is None,
        )
    return Result.of_run(finished, path=finished.path if function is None else None)


def load_generator(
    run: Result | str | Path, *, seed: int = 0, gan: Callable[..., Any] | None = None
) -> TrainedGenerator:
    """The GAN that a run has trained, to make samples with.

    Args:
        run: a result of `ganbench.run`, or the folder of a run (runs/TASK/ENTRY).
        seed: which of the run's seeds.
        gan: the function or class that was trained, if it was no file.

    Returns:
        What has `sample(n, seed=0)`, float32 of shape (n, *task.shape); `module`, its generator in
        inference mode; `gan`, the whole; and `task`.

    Raises:
        InputError: for a folder without a checkpoint of the seed, and if the source has changed,
            or the task. Warns of a checkpoint that is not of the run's last round.

    Example:
        >>> import ganbench
        >>> result = ganbench.run("mlp_gan", task="gaussian", budget="smoke", progress=False)
        >>> ganbench.load_generator(result).sample(5).shape
        torch.Size([5, 2])
    """
    folder = run.folder if isinstance(run, Result) else Path(run)
    if folder is None:
        raise InputError("this result was read from a file: give the folder of its run")
    found = trained.load(folder, seed, function=gan)
    if found.unfinished:
        warnings.warn(found.unfinished, stacklevel=2)
    return found


def _numbers(seeds: int | Sequence[int]) -> list[int]:
    numbers = list(range(seeds)) if isinstance(seeds, int) else [int(each) for each in seeds]
    if not 1 <= len(numbers) <= MOST_SEEDS or len(set(numbers)) < len(numbers):
        raise InputError(f"seeds must be 1 to {MOST_SEEDS:,}, each once, got {seeds!r:.60}")
    if not all(0 <= each <= LAST_SEED for each in numbers):
        raise InputError(f"a seed must be from 0 to {LAST_SEED}, got {seeds!r:.60}")
    return numbers
