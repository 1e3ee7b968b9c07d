"""Writes docs/generated: a page for each task, family of metrics and baseline, and references.

All that they say comes from the code, from the published board and from CITATION.cff.
"""

from __future__ import annotations

import ast
import importlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

import ganbench
from ganbench import plots, registry
from ganbench.board.text import number, with_interval
from ganbench.core import Task
from ganbench.errors import InputError
from ganbench.plots.paper import png
from ganbench.results.schema import Result, SeedResult, json_schema, load_result

BEST = 8  # entries of a task's board that its page shows


def write(root: Path) -> None:
    """Write all pages into `docs/generated` of a checkout, which is made anew."""
    folder = root / "docs/generated"
    shutil.rmtree(folder, ignore_errors=True)
    pages = {
        **dict(_tasks(root, folder)),
        **dict(_metrics()),
        **dict(_baselines(root)),
        "api": _api(),
        "cli": _cli(),
        "schema": _schema(),
        "performance": _performance(root),
        "citing": _citing(root),
    }
    for name, text in pages.items():
        path = folder / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _said(kind: str, name: str) -> str:
    """The docstring of a bundled file."""
    text = (registry.folder(kind) / f"{name}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(text)) or ""


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def _index(title: str, text: str, names: Sequence[str]) -> str:
    listed = "\n".join(names)
    return f"# {title}\n\n{text}\n\n```{{toctree}}\n:maxdepth: 1\n{listed}\n```\n"


def _tasks(root: Path, folder: Path) -> Iterator[tuple[str, str]]:
    names = registry.names("tasks")
    yield (
        "tasks/index",
        _index("Each task", "What is real, what it is judged by, who is best.", names),
    )
    for name in names:
        task = registry.load_task(name)
        text = f"# {name}\n\n{_said('tasks', name)}\n\n"
        text += _picture(task, folder / "tasks")
        text += _facts(task)
        text += "## Metrics\n\nThose of the four views first: what real data and the better of two "
        text += "naive samplers score.\n\n" + _bounds(task)
        text += "## The best\n\n" + _best(root, name)
        yield f"tasks/{name}", text


def _picture(task: Task, folder: Path) -> str:
    """A picture of real samples; nothing of data that are not on this machine."""
    try:
        image = plots.frame(task, 0, None)
    except InputError:
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{task.name}.png").write_bytes(png(image))
    return f"![real samples of {task.name}]({task.name}.png)\n\n"


def _facts(task: Task) -> str:
    budget = task.budget
    dealt = "drawn afresh" if task.pool is None else f"from {task.pool:,} drawn once a run"
    if task.training_set is not None:
        dealt = "from the training set"
    shape = " x ".join(map(str, task.shape))
    return (
        f"A sample has the shape {shape}. Batches of {budget.batch_size} are {dealt}; the full "
        f"budget is {budget.steps:,} steps and {budget.evaluations} evaluations of "
        f"{budget.evaluation_size:,} samples. This is version {task.version} of the task.\n\n"
        f"```sh\nganbench run mlp_gan --task {task.name}\n```\n\n"
    )


def _bounds(task: Task) -> str:
    of_views = {metric: view for view, metric in task.views.items()}
    order = [*of_views, *(name for name in task.ordered_bounds if name not in of_views)]
    rows = []
    for name in order:
        bound = task.bounds[name]
        values = (number(each) for each in (bound.floor, bound.noise, bound.ceiling))
        rows.append([f"`{name}`", of_views.get(name, ""), bound.direction, *values])
    head = ["metric", "view", "better", "floor (real)", "its deviation", "ceiling (naive)"]
    return _table(head, rows) + "\n"


def _best(root: Path, task: str) -> str:
    if not (root / "leaderboard" / task).is_dir():
        return "Nothing is published yet.\n"
    board = ganbench.leaderboard(task, root=root / "leaderboard")
    rows = [[_link(row), _rank(row), with_interval(row["score"], row["interval"])] for row in board]
    return _table(["entry", "rank", "score"], rows[:BEST])


def _link(row: Mapping[str, Any]) -> str:
    name = row["entry"]
    return f"[`{name}`](../baselines/{name}.md)" if name in registry.names("baselines") else name


def _rank(row: Mapping[str, Any]) -> str:
    if row["rank"] is None:
        return str(row.get("apart") or "")
    first, last = row["rank"]
    return str(first) if first == last else f"{first} to {last}"


def _metrics() -> Iterator[tuple[str, str]]:
    files = registry.names("metrics")
    text = "One page a family: what each quantity is, what it promises, and its function."
    yield "metrics/index", _index("Each metric", text, files)
    for file in files:
        module = importlib.import_module(f"ganbench.metrics.{file}")
        title, _, rest = _said("metrics", file).partition("\n\n")
        text = f"# {file}\n\n{title}\n\n{rest}\n\n"
        rows = [
            [f"`{row.name}`", row.summary, row.details["better"], row.details.get("source", "")]
            for row in registry.listing("metrics")
            if row.name in module.QUANTITIES
        ]
        text += _table(["quantity", "what it is", "better", "source"], rows) + "\n"
        promised = [
            [f"`{name}`", ", ".join(module.PROMISES.get(name, ())) or "-"]
            for name in module.QUANTITIES
        ]
        text += "What each promises, which `ganbench audit` tries "
        text += "([the words](../../metrics.md#can-they-be-trusted)):\n\n"
        text += _table(["quantity", "promises"], promised) + "\n"
        text += f"```{{eval-rst}}\n.. automodule:: ganbench.metrics.{file}\n   :members:\n```\n"
        yield f"metrics/{file}", text


def _baselines(root: Path) -> Iterator[tuple[str, str]]:
    names = registry.names("baselines")
    text = "What it is, its row on each board, the command that reproduces it, and the file itself."
    yield "baselines/index", _index("Each baseline", text, names)
    boards = {
        folder.name: ganbench.leaderboard(folder.name, root=root / "leaderboard")
        for folder in sorted((root / "leaderboard").iterdir())
        if folder.is_dir()
    }
    details = {row.name: row.details["hyper-parameters"] for row in registry.listing("baselines")}
    for name in names:
        text = f"# {name}\n\n{_said('baselines', name)}\n\n"
        text += f"Hyper-parameters: {f'`{details[name]}`' if details[name] else 'none'}\n\n"
        rows = [
            [
                f"[`{task}`](../tasks/{task}.md)",
                _rank(row),
                with_interval(row["score"], row["interval"]),
                row["seeds"],
                f"`ganbench run {name} --task {task} --seeds {row['seeds']}`",
            ]
            for task, board in boards.items()
            for row in board
            if row["entry"] == name
        ]
        head = ["task", "rank", "score", "seeds", "reproduced by"]
        text += "## On the board\n\n" + (_table(head, rows) if rows else "Nothing yet.\n")
        text += f"\n## The file\n\n```{{literalinclude}} ../../../baselines/{name}.py\n"
        text += ":language: python\n```\n"
        yield f"baselines/{name}", text


def _api() -> str:
    text = "# Python\n\nAll of it is in `ganbench` itself: [From Python](../python.md).\n\n"
    for name in ganbench.__all__:
        found = getattr(ganbench, name)
        kind = "autoclass" if isinstance(found, type) else "autofunction"
        members = "\n   :members:" if kind == "autoclass" and name != "Result" else ""
        text += f"## {name}\n\n```{{eval-rst}}\n.. {kind}:: ganbench.{name}{members}\n```\n\n"
    return text


def _cli() -> str:
    return (
        "# Command line\n\n```{eval-rst}\n.. click:: ganbench.cli:main\n   :prog: ganbench\n"
        "   :nested: full\n```\n"
    )


def _schema() -> str:
    schema = json_schema()
    text = "# Result files\n\nA result is one JSON document, whose parts these are; "
    text += "`ganbench leaderboard schema` prints its JSON Schema.\n\n"
    for name, part in {"Result": schema, **schema["$defs"]}.items():
        if "properties" not in part:
            continue
        rows = [[f"`{field}`", _kind(each)] for field, each in part["properties"].items()]
        said = part.get("description", "")
        text += f"## {name}\n\n{said}\n\n" + _table(["field", "what it holds"], rows) + "\n"
    return text


def _kind(each: Mapping[str, Any]) -> str:
    """A field's type in words of JSON Schema."""
    if "$ref" in each:
        return each["$ref"].rpartition("/")[2]
    if "anyOf" in each:
        return " or ".join(_kind(option) for option in each["anyOf"])
    if "enum" in each or "const" in each:
        return ", ".join(
            f"`{json.dumps(value)}`" for value in each.get("enum", [each.get("const")])
        )
    kind = str(each.get("type", "anything"))
    if kind == "array" and isinstance(each.get("items"), Mapping):
        return f"array of {_kind(each['items'])}"
    if kind == "object" and isinstance(each.get("additionalProperties"), Mapping):
        return f"object of {_kind(each['additionalProperties'])}"
    return kind


PERFORMANCE = """# Performance

How long the published results of the board trained, read from their files: nothing was measured for
this page. A seed notes its machine, but not what else ran on it: several trainings may have shared
it, so figures of one machine are alike in kind, not exact. `ganbench bench`
([Measure speed](../training.md#measure-speed)) gives exact ones, of your own machine;
[Published systems](../published_systems.md) has speed beside Keras and JAX, and
[Metrics](../metrics.md) what metrics cost.

Figures are of one seed, in the mean over the seeds of an entry on a machine. Each was trained on
one thread; seeds that are trained at once are each charged their share of the time. Columns: steps
a second, seconds of training, seconds in all, with making samples, judging and saving; and how the
steps were taken (`eager`, one by one in Python; `stacked`, of many seeds at once; `compiled`, as
compiled code). References, which do not train, are left out.

"""


def _performance(root: Path) -> str:
    """Speeds and times of what is published: of each task a table a machine, the fastest first."""
    text, head = PERFORMANCE, ["entry", "steps/s", "training, s", "in all, s", "engine", "seeds"]
    for folder in sorted(each for each in (root / "leaderboard").iterdir() if each.is_dir()):
        paths = [each for each in folder.glob("*.json") if not each.name.endswith(".local.json")]
        tables: dict[str, list[tuple[float, list[Any]]]] = {}
        for path in paths:
            for where, speed, cells in _speeds(load_result(path)):
                tables.setdefault(where, []).append((speed, cells))
        text += f"## {folder.name}\n\n" if tables else ""
        for where, rows in sorted(tables.items()):
            fastest = [cells for _, cells in sorted(rows, key=lambda row: -row[0])]
            text += f"{where}:\n\n" + _table(head, fastest) + "\n"
    text += "## Tutorials\n\nHow long the notebooks took as these pages were built, on a machine "
    return text + "that others may have used too.\n\n```{nb-exec-table}\n```\n"


def _speeds(result: Result) -> Iterator[tuple[str, float, list[Any]]]:
    """An entry on each machine that has trained seeds of it: where, steps per second, cells."""
    if result.entry.reference:
        return
    groups: dict[str, list[SeedResult]] = {}
    for seed in result.seeds:
        if seed.status == "ok" and seed.timing.steps_per_second:
            groups.setdefault(seed.machine.hardware, []).append(seed)
    for machine, seeds in groups.items():
        speed = fmean(seed.timing.steps_per_second for seed in seeds)
        training = fmean(seed.timing.train_seconds for seed in seeds)
        whole = fmean(seed.timing.wall_seconds for seed in seeds)
        engines = ", ".join(sorted({seed.engine for seed in seeds}))
        link = _link({"entry": result.entry.name}).replace("../baselines/", "baselines/")
        cells = [link, f"{speed:,.0f}", f"{training:,.1f}", f"{whole:,.1f}", engines, len(seeds)]
        yield f"{result.protocol.steps:,} steps on {machine}", speed, cells


def _citing(root: Path) -> str:
    """How to cite ganbench, from CITATION.cff."""
    said = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    authors = [each["name"] for each in said["authors"]]
    fields = {
        "title": said["title"],
        "author": " and ".join(f"{{{name}}}" for name in authors),
        "version": said["version"],
        "license": said["license"],
        "url": said["repository-code"],
    }
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return (
        f"# How to cite\n\n{said['message']} In words:\n\n> {', '.join(authors)}. {said['title']}. "
        f"Version {said['version']}. <{said['repository-code']}>\n\nIn BibTeX:\n\n"
        f"```bibtex\n@software{{ganbench,\n{lines}}}\n```\n\nBoth are made from "
        "`CITATION.cff`, which GitHub and reference managers read. Please cite the papers "
        "of the methods and metrics that you use, too: each [baseline](baselines/index.md) and "
        "each [metric](metrics/index.md) names its own. For results to be found again, give the "
        "versions of the tasks, which every result file holds.\n"
    )
