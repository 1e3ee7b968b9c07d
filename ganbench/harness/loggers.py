"""`Loggers`: what is noted of seeds in training, handed on to CSV, TensorBoard, Weights & Biases.

What trains knows nothing of it. Rows are read from the logs in a seed's folder, at each evaluation
and at the seed's end; those of a resumed run from the first one on, so that none is there twice.
"""

from __future__ import annotations

import csv
import importlib
import io
import math
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ganbench.engine.logs import OWN
from ganbench.errors import InputError, did_you_mean
from ganbench.harness.log import LOSSES, METRICS, Tail
from ganbench.harness.spec import Job, Progress, Report, Spec
from ganbench.randomness import left_where_it_was
from ganbench.results.schema import SeedResult
from ganbench.system import files
from ganbench.system.modules import describe

CSV = "log.csv"  # in a seed's folder
EVENTS = "events.out.tfevents.*"  # there, of TensorBoard
FLUSH = 10  # seconds that rows may wait for TensorBoard
PARTS = {"losses": LOSSES, "metrics": METRICS}  # of a value's name, by the log that it is from


@dataclass(frozen=True, kw_only=True)
class About:
    """A seed's folder, the name of its entry, how it is run, and its hyper-parameters."""

    folder: Path
    entry: str
    seed: int
    config: Mapping[str, Any]
    hparams: Mapping[str, Any]


class Logger(Protocol):
    """Takes the rows of one seed, in the order of steps, and at last its score, if it has one."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Take a row: `losses/d_loss`, `metrics/mmd` and the like, and `train_seconds`."""

    def close(self, score: float | None) -> None:
        """Take no more."""


class Csv:
    """One file of a seed, written as it ends: a row a step, a column a value, "" for none."""

    def __init__(self, about: About) -> None:
        self._path = about.folder / CSV
        self._rows: list[dict[str, float]] = []

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Keep a row."""
        self._rows.append({"step": step, **values})

    def close(self, score: float | None) -> None:
        """Write the file."""
        names = dict.fromkeys(name for row in self._rows for name in row)
        text = io.StringIO(newline="")
        # First what has no part in its name: step and train_seconds.
        writer = csv.DictWriter(text, sorted(names, key=lambda name: "/" in name))
        writer.writeheader()
        writer.writerows(self._rows)
        files.write_atomically(self._path, text.getvalue().encode())


class TensorBoard:
    """An event file in the seed's folder, in place of that of an earlier run."""

    def __init__(self, about: About) -> None:
        for old in about.folder.glob(EVENTS):
            old.unlink()
        self._board, self._step = importlib.import_module("torch.utils.tensorboard"), 0
        self._writer = self._board.SummaryWriter(str(about.folder), flush_secs=FLUSH)
        hparams = {f"hparams.{name}": value for name, value in about.hparams.items()}
        self._config = {**about.config, **hparams}

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to the curve of each value."""
        self._step = step
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, score: float | None) -> None:
        """Add hyper-parameters and score, and end the file."""
        plain = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in self._config.items()
        }
        scores = {} if score is None else {"score": score}
        for name, value in scores.items():
            self._writer.add_scalar(name, value, self._step)
        # As `add_hparams` does, but not in a file of its own.
        for part in self._board.summary.hparams(plain, scores):
            self._writer.file_writer.add_summary(part)
        self._writer.close()


class WandB:
    """A run of Weights & Biases a seed, grouped by entry; offline unless WANDB_MODE says otherwise.

    Its files lie in the seed's folder, in place of those of an earlier run.
    """

    def __init__(self, about: About) -> None:
        shutil.rmtree(about.folder / "wandb", ignore_errors=True)
        wandb = importlib.import_module("wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "ganbench"),
            group=about.entry,
            name=f"{about.entry} seed {about.seed}",
            config={**about.config, "hparams": dict(about.hparams)},
            dir=str(about.folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            reinit="create_new",  # seeds train side by side
            settings=wandb.Settings(console="off", silent=True),
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log a row."""
        self._run.log(dict(values), step=step)

    def close(self, score: float | None) -> None:
        """End the run, with the score in its summary."""
        if score is not None:
            self._run.summary["score"] = score
        self._run.finish()


Open = Callable[[About], Logger]
LOGGERS: Mapping[str, Open] = {"csv": Csv, "tensorboard": TensorBoard, "wandb": WandB}
NEEDS = {"csv": "csv", "tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}  # to import


def check(specs: Sequence[Spec]) -> None:
    """InputError for a logger that does not exist, or whose package is not installed."""
    for name in dict.fromkeys(name for spec in specs for name in spec.log):
        if name not in LOGGERS:
            raise InputError(f"no logger {name!r:.50}{did_you_mean(name, LOGGERS)}")
        try:
            importlib.import_module(NEEDS[name])
        except ImportError as error:
            wanted = f"pip install 'ganbench[{name}]'"
            raise InputError(f"--log {name} needs a package: {wanted} ({error})") from error


class Loggers:
    """The loggers of all seeds of some jobs. One that fails is named in a line; the run goes on."""

    def __init__(self, jobs: Sequence[Job], report: Report) -> None:
        self._jobs = {job.spec.folder.name: job for job in jobs if job.spec.log}
        self._told = report
        self._feeds: dict[tuple[str, int], _Feed] = {}

    def report(self, progress: Progress) -> None:
        """Pass a report on; at an evaluation the rows up to its step, too."""
        self._told(progress)
        if progress.position is not None and progress.label in self._jobs:
            self._feed(progress.label, progress.seed).pass_on(progress.step)

    def end(self, job: Job, result: SeedResult) -> None:
        """Pass on what is left of a seed that has ended, and close its loggers."""
        if (label := job.spec.folder.name) in self._jobs:
            feed = self._feed(label, result.seed)
            if result.curve:  # without one its logs may be those of an earlier run
                feed.pass_on()
            feed.close(result.score)
            del self._feeds[label, result.seed]

    def close(self) -> None:
        """Close the loggers of seeds that have not ended."""
        for feed in self._feeds.values():
            feed.close(None)

    def _feed(self, label: str, seed: int) -> _Feed:
        if (label, seed) not in self._feeds:
            self._feeds[label, seed] = _Feed(self._jobs[label], seed)
        return self._feeds[label, seed]


class _Feed:
    """Feeds the loggers of one seed, which it opens at its first row."""

    def __init__(self, job: Job, seed: int) -> None:
        self._about = about(job, seed)
        self._tails = {part: Tail(self._about.folder / name) for part, name in PARTS.items()}
        self._rows: dict[int, dict[str, float]] = {}  # by step, of those that are still to come
        self._names = list(dict.fromkeys(job.spec.log))
        self._loggers: dict[str, Logger] = {}

    def pass_on(self, upto: float = math.inf) -> None:
        """Have the rows up to a step written."""
        if self._names and self._works(", ".join(self._names), self._read):
            due = {step: self._rows.pop(step) for step in sorted(self._rows) if step <= upto}
            for name in list(self._names):
                if not self._works(name, partial(self._write, name, due)):
                    self._names.remove(name)

    def close(self, score: float | None) -> None:
        """Close the loggers that have been opened."""
        for name, logger in self._loggers.items():
            if name in self._names:
                self._works(name, partial(logger.close, score))

    def _read(self) -> None:
        """Put what is new in both logs in one row a step."""
        for part, tail in self._tails.items():
            for row in tail.rows():
                whole = self._rows.setdefault(int(row["step"]), {})
                for name, value in row.items():
                    if name not in OWN:
                        whole[f"{part}/{name}"] = value
                whole["train_seconds"] = row["train_seconds"]

    def _write(self, name: str, due: Mapping[int, Mapping[str, float]]) -> None:
        for step, values in due.items():
            if name not in self._loggers:
                self._loggers[name] = LOGGERS[name](self._about)
            self._loggers[name].write(step, values)

    def _works(self, name: str, do: Callable[[], None]) -> bool:
        """Whether that could be done, which draws nothing from the run's random numbers."""
        try:
            with left_where_it_was():
                do()
        except Exception as error:  # of a package, a disk or a network, any
            line = f"--log {name}: seed {self._about.seed}: {describe(error)}"
            print(f"{line}: the run goes on without it", file=sys.stderr, flush=True)
            return False
        return True


def about(job: Job, seed: int) -> About:
    """What a logger is told of a seed of a job."""
    spec, budget = job.spec, job.budget
    return About(
        folder=spec.folder / f"seed-{seed}",
        entry=spec.folder.name,
        seed=seed,
        hparams=job.baseline.stored(job.hparams),
        config={
            "task": job.task.name,
            "baseline": job.baseline.name,
            "seed": seed,
            "budget": budget.name,
            "steps": budget.steps,
            "batch_size": budget.batch_size,
            "device": spec.device,
        },
    )
