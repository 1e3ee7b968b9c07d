"""Losses of a run: averaged over windows of steps, and written row by row to `log.jsonl`.

The metrics of its evaluations are, in the same way, in `metrics.jsonl`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganbench.engine.logs import Column, wrong_name
from ganbench.errors import InputError, ResumeError, shown
from ganbench.system.files import naming, read_text, write_atomically
from ganbench.system.modules import describe

LOSSES, METRICS = "log.jsonl", "metrics.jsonl"  # in a seed's folder
MOST = 2**30  # bytes of a log


class Window:
    """Means since the last `take`: of each name over the steps that reported it."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Column]) -> None:
        """Add some steps' values."""
        for name, array in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(array.sum())
            self.counts[name] = self.counts.get(name, 0) + len(array)

    def take(self) -> dict[str, float]:
        """The means; the window is empty afterwards."""
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


class Log:
    """The rows of a log, one JSON object a line: step, train_seconds, and losses or metrics.

    Rows of an earlier run of the same seed are kept up to step `after`, from where a resumed run
    goes on; none are with 0.
    """

    def __init__(self, path: Path, *, after: int) -> None:
        try:
            kept = [line for line, row in _rows(path) if row["step"] <= after] if after else []
        except InputError as error:
            raise ResumeError(f"{error}: run without --resume") from error
        write_atomically(path, "".join(kept).encode())
        self._path, self._file = path, path.open("a", encoding="utf-8")

    def write(self, step: int, train_seconds: float, values: Mapping[str, float]) -> None:
        """Add a row of finite values."""
        row = {"step": step, "train_seconds": round(train_seconds, 6), **values}
        with naming(self._path):
            self._file.write(json.dumps(row, allow_nan=False) + "\n")

    def flush(self) -> None:
        """Hand the rows to the system, before a checkpoint counts on them."""
        with naming(self._path):
            self._file.flush()

    def close(self) -> None:
        """Write what is left."""
        with naming(self._path):
            self._file.close()


class Tail:
    """Reads what has been added to a log, which need not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path, self._read, self._lines = path, 0, 0

    def rows(self) -> list[dict[str, float]]:
        """The whole rows since the last call; InputError for lines that are none."""
        if not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            lines = file.read(MOST).splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        self._read += sum(map(len, lines))
        first, self._lines = self._lines + 1, self._lines + len(lines)
        texts = (line.decode(errors="replace") for line in lines)
        return [_row(self._path, number, text) for number, text in enumerate(texts, first)]


def read_log(path: Path) -> dict[str, Column]:
    """The columns of a log, all of one length, NaN where a row lacks a value; {} without a file.

    InputError for lines that are no rows.
    """
    rows = [row for _, row in _rows(path)]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def _rows(path: Path) -> list[tuple[str, dict[str, float]]]:
    """The whole lines and what they hold; a killed run may have left half of one at the end."""
    if not path.is_file():
        return []
    text = read_text(path, most=MOST)
    lines = text[: text.rfind("\n") + 1].split("\n")[:-1]
    return [(f"{line}\n", _row(path, number, line)) for number, line in enumerate(lines, 1)]


def _row(path: Path, number: int, line: str) -> dict[str, float]:
    try:
        row = json.loads(line)
        if isinstance(row, dict) and "step" in row and all(map(_is_number, row.values())):
            return row
    except (ValueError, RecursionError, OverflowError):
        pass  # which is said below
    raise InputError(f"{path} is damaged: line {number} is no row of a log")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def columns(logs: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """Each name's values over the steps that reported it; InputError for what is no scalar."""
    found: dict[str, list[Any]] = {}
    try:
        for log in logs:
            for name, value in log.items():
                found.setdefault(name, []).append(value)
    except Exception as error:
        raise InputError(f"the log of train_step cannot be read: {describe(error)}") from error
    if not found:
        return {}
    for name in found:
        if wrong := wrong_name(name):
            raise InputError(f"train_step {wrong}")
    flat = [value for column in found.values() for value in column]
    if not all(type(value) is Tensor and value.ndim == 0 and _is_real(value) for value in flat):
        flat = [_scalar(name, value) for name, column in found.items() for value in column]
    # One stack and one transfer: rows of ten steps must not cost more than the steps.
    values = torch.stack(flat).detach().cpu().double().numpy()
    ends = np.cumsum([len(column) for column in found.values()])
    return dict(zip(found, np.split(values, ends[:-1]), strict=True))


def _scalar(name: str, value: Any) -> Tensor:
    try:
        made = torch.as_tensor(value).detach().cpu().reshape(()).as_subclass(Tensor)
        if not _is_real(made):
            raise TypeError("no real number in memory")
    except Exception as error:  # of an author's own class, any
        shape = getattr(value, "shape", None)
        what = f" of shape {tuple(shape)}" if shape else f"={shown(value)}"
        raise InputError(f"train_step must return named scalars, got {name}{what}") from error
    return made


def _is_real(value: Tensor) -> bool:
    """Whether a value is a number in memory."""
    return value.layout is torch.strided and not value.is_meta and not value.is_complex()
