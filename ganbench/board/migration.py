"""Result files as they were written before made anew as they are now; nothing is trained again.

The first schema had one machine for all seeds, one engine, no views, hyper-parameters as they were
given, and a score that was the position of the task's first metric on a scale without a bottom.
Of the present one, curves are shortened to what results keep of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ganbench import registry
from ganbench.board.watch import Watch, unwatched
from ganbench.diagnosis.evidence import of_result
from ganbench.diagnosis.rules import diagnose
from ganbench.errors import InputError
from ganbench.results import curves, schema, stats, store
from ganbench.results.schema import MetricInfo, Result, SeedResult, TaskInfo
from ganbench.scoring import read_frozen, score_of, views_of, why_no_views
from ganbench.system import files

Document = dict[str, Any]


def migrate(root: Path, *, watch: Watch = unwatched) -> tuple[list[Path], list[str]]:
    """Renew every result file that is of the first schema, or whose curves are longer than needed.

    Those files, and a line for each that is no result. A file is replaced whole or not at all.
    """
    done, problems = [], []
    for path in watch("renewing results", store.result_files(root)):
        try:
            with files.locked(path):
                if _renew(path):
                    done.append(path)
        except InputError as error:
            problems.append(str(error))
    return done, problems


def _renew(path: Path) -> bool:
    """Whether a file was otherwise than results are now, as which it has been written."""
    text = schema.read_text(path)
    former = schema.is_former(text)
    before = _of_former(text, path) if former else schema.loads(text, str(path))
    seeds = [each.model_copy(update={"curve": curves.thinned(each.curve)}) for each in before.seeds]
    result = before.model_copy(update={"seeds": seeds})
    if not former and result == before:
        return False
    files.write_atomically(path, schema.dumps(result).encode())
    return True


def _of_former(text: str, path: Path) -> Result:
    """The result in a file of the first schema."""
    try:
        new = renewed(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path} is no result of the first schema: {what[:200]}") from error
    return schema.loads(json.dumps(new), str(path))


def renewed(old: Document) -> Document:
    """A document of the first schema in the present one."""
    task = TaskInfo(**old["task"], views=_views(old["task"]))
    seeds = [_seed(seed, task, old) for seed in old["seeds"]]
    known = [_judged(SeedResult.model_validate(seed), task) for seed in seeds]
    summary = stats.summarise(known, list(task.metrics))
    views = stats.summarise_views(known, task.views)
    return {
        **{name: value for name, value in old.items() if name != "machine"},
        "schema_version": schema.SCHEMA,
        "task": task.model_dump(),
        "entry": {**old["entry"], **_facts(old["entry"], old["task"]["name"])},
        "protocol": {name: value for name, value in old["protocol"].items() if name != "engine"},
        "seeds": [seed.model_dump() for seed in known],
        "summary": {name: each.model_dump() for name, each in summary.items()},
        "views": {name: each.model_dump() for name, each in views.items()},
    }


def _views(task: Document) -> dict[str, str]:
    """The views of the bundled task of that name; of others the first metric is the only one."""
    bounds = {name: MetricInfo(**each).bounds for name, each in task["metrics"].items()}
    if task["name"] in registry.names("tasks"):
        views = read_frozen(registry.folder("tasks") / f"{task['name']}.json").views
        if why_no_views(views, bounds) is None:
            return views
    return {"distribution": next(iter(bounds))}


def _seed(seed: Document, task: TaskInfo, old: Document) -> Document:
    """A seed with its views, its score, its engine and its machine."""
    views = views_of(seed["status"], task.views, task.positions(seed["metrics"]))
    return {
        "engine": old["protocol"]["engine"],
        **seed,
        "views": views,
        "score": score_of(views),
        "machine": old["machine"],
    }


def _judged(seed: SeedResult, task: TaskInfo) -> SeedResult:
    """The seed with a verdict from its result alone, without a step of onset."""
    if seed.status == "interrupted":
        return seed
    evidence = of_result(
        seed.metrics,
        task.metrics,
        seed.curve,
        views=seed.views,
        status=seed.status,
        reason=seed.reason,
    )
    return seed.model_copy(update={"verdict": diagnose(evidence)})


def _facts(entry: Document, task: str) -> Document:
    """Whether an entry is a reference, and the hyper-parameters that were really used.

    Both as far as the source that ran is the bundled one.
    """
    name = Path(entry["source"]).stem
    if entry["source"] != f"baselines/{name}.py" or name not in registry.names("baselines"):
        return {}
    baseline = registry.load_baseline(name)
    facts: Document = {"reference": baseline.reference}
    if baseline.sha256 == entry["sha256"]:
        used = baseline.resolve(registry.bundled_task(task), entry["hparams"])
        facts["hparams"] = baseline.stored(used)
    return facts
