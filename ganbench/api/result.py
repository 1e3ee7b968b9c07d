"""A result as a notebook wants it: a frame, a figure, a table."""

from __future__ import annotations

import html
import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from ganbench.board.text import number, with_interval
from ganbench.errors import InputError
from ganbench.harness.entries import Finished
from ganbench.results import schema, stats
from ganbench.system.words import many

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Result(schema.Result):
    """What an entry scored on a task: everything that its file on the leaderboard holds.

    `folder` is where its run lies, with pictures, samples and checkpoints, and `path` its file;
    None for what has none. `schema.Result` has the fields.

    Example:
        >>> import ganbench
        >>> result = ganbench.run("uniform_noise", task="gaussian", progress=False)
        >>> result.score < 0.5, result.task.name, len(result.seeds)
        (True, 'gaussian', 1)
    """

    _folder: Path | None = PrivateAttr(default=None)
    _path: Path | None = PrivateAttr(default=None)

    @classmethod
    def of(
        cls, found: schema.Result, *, folder: Path | None = None, path: Path | None = None
    ) -> Result:
        """A result as one of this class, with where it lies."""
        result = cls(**{name: getattr(found, name) for name in type(found).model_fields})
        result._folder, result._path = folder, path
        return result

    @classmethod
    def of_run(cls, finished: Finished, *, path: Path | None) -> Result:
        """The result of the seeds that a run has trained, without others that its file holds."""
        whole, seeds = finished.result, finished.seeds
        own = whole.model_copy(
            update={
                "seeds": seeds,
                "summary": stats.summarise(seeds, list(whole.task.metrics)),
                "views": stats.summarise_views(seeds, whole.task.views),
            }
        )
        return cls.of(own, folder=finished.folder, path=path)

    @property
    def folder(self) -> Path | None:
        """The folder of its run (runs/TASK/ENTRY)."""
        return self._folder

    @property
    def path(self) -> Path | None:
        """Its file on the leaderboard."""
        return self._path

    @property
    def score(self) -> float | None:
        """The interquartile mean over seeds: 1 is real data, 0 a naive sampler, -1 the worst.

        None if every seed was interrupted.
        """
        return self.summary["score"].iqm

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % bootstrap interval of the score; None of a single seed."""
        return self.summary["score"].ci95

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row a seed; InputError without pandas.

        Columns: `seed`, `status`, `score`, a position in -1 to 1 for each view, the value of each
        metric, `train_seconds`, `steps_per_second`, and `verdict` in a word. What is not known is
        NaN or None.
        """
        rows = [
            {
                "seed": each.seed,
                "status": each.status,
                "score": each.score,
                **each.views,
                **each.metrics,
                "train_seconds": each.timing.train_seconds,
                "steps_per_second": each.timing.steps_per_second,
                "verdict": each.verdict.kind if each.verdict else None,
            }
            for each in self.seeds
        ]
        return frame(rows)

    def plot(self) -> Figure:
        """A figure of losses, accuracies and the metric of every round over training.

        InputError if nothing of that was recorded, as of a reference that does not train.
        """
        from ganbench import registry
        from ganbench.plots import training

        figure = training.figure(registry.load_task(self.task.name), self.seeds, {})
        if figure is None:
            raise InputError(f"{self.entry.name} on {self.task.name} has no curve to draw")
        _show_in_notebooks(type(figure))
        return figure

    def __repr__(self) -> str:
        return f"Result({self._title()}, score {self._score()})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """A table for a notebook: each view's metric, value and position; and the verdicts."""
        rows = [
            {
                "view": view,
                "metric": name,
                "value": number(self.summary[name].iqm),
                "position": with_interval(self.views[view].iqm, self.views[view].ci95),
            }
            for view, name in self.task.views.items()
        ]
        verdicts = [f"seed {s.seed}: {s.verdict.text}" for s in self.seeds if s.verdict is not None]
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in verdicts)
        title = html.escape(f"{self._title()}: score {self._score()}")
        return f"<p><b>{title}</b></p>{html_table(rows)}<ul>{lines}</ul>"

    def _title(self) -> str:
        seeds = many(len(self.seeds), "seed")
        return f"{self.entry.name} on {self.task.name}, {self.protocol.budget} budget, {seeds}"

    def _score(self) -> str:
        return with_interval(self.score, self.interval)


def load_result(path: str | Path) -> Result:
    """Read the file of a result; InputError if it cannot be read or is none.

    Example:
        >>> import ganbench
        >>> run = ganbench.run("oracle", task="gaussian", progress=False)
        >>> ganbench.load_result(run.path).entry.name
        'oracle'
    """
    path = Path(path)
    return Result.of(schema.load_result(path), path=path)


def _show_in_notebooks(kind: type[Figure]) -> None:
    """Have a notebook show figures, if nothing has told it how yet."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        try:
            shell.display_formatter.formatters["image/png"].lookup_by_type(kind)
        except KeyError:
            importlib.import_module("IPython.core.pylabtools").select_figure_formats(shell, {"png"})


class Table(list[dict[str, Any]]):
    """Rows, each a dictionary by column, of which a notebook shows those `shown` as a table."""

    def __init__(self, rows: Iterable[dict[str, Any]], shown: Sequence[str]) -> None:
        super().__init__(rows)
        self.shown = shown

    def to_frame(self) -> Any:
        """A pandas DataFrame, with columns like `views.fidelity`; InputError without pandas."""
        return frame(self)

    def _repr_html_(self) -> str:
        return html_table([{name: row[name] for name in self.shown} for row in self])


def frame(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A pandas DataFrame of rows; InputError without pandas."""
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise InputError("pandas is not installed: pip install pandas") from error
    return pandas.json_normalize(list(rows))


def html_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as an HTML table, their texts escaped."""
    if not rows:
        return "<p>nothing</p>"
    head = _cells("th", rows[0])
    body = "".join(f"<tr>{_cells('td', map(_text, row.values()))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(tag: str, values: Iterable[str]) -> str:
    return "".join(f"<{tag}>{html.escape(str(value))}</{tag}>" for value in values)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return " to ".join(dict.fromkeys(map(_text, value)))
    return number(value) if isinstance(value, float) else str(value)
