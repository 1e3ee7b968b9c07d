"""The file of a sweep: which baselines are run on which tasks, by how many seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ganbench import registry
from ganbench.errors import InputError, did_you_mean, one_line
from ganbench.harness.spec import Spec
from ganbench.results.beside import refuse_of_others
from ganbench.system import files
from ganbench.system.limits import MOST_SEEDS, MOST_TRIALS
from ganbench.system.unchanged import unchanged

Names = Annotated[list[str], Field(min_length=1)]
Seeds = Annotated[int, Field(ge=1, le=MOST_SEEDS)]
BudgetName = Literal["full", "quick", "smoke"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Settings(_Strict):
    """Hyper-parameters of a baseline, and how many settings were tried to find them."""

    set: dict[str, Any] = {}
    tuning_trials: Annotated[int, Field(ge=0, le=MOST_TRIALS)] = 0


class Part(_Strict):
    """Further combinations; what is not given is the file's."""

    tasks: Names | None = None
    baselines: Names | None = None
    seeds: Seeds | None = None
    budget: BudgetName | None = None


class Sweep(_Strict):
    """Each of `baselines` on each of `tasks` by seeds 0 to `seeds` - 1, then what is in `more`.

    Tasks are taken in their order, and of each the baselines in theirs. `settings` are those of a
    baseline by its name. In a leaderboard's folder, as board.toml, its `overall` are the tasks of
    the board over all tasks (`ganbench.board.overall.declared`).
    """

    tasks: Names
    baselines: Names
    seeds: Seeds = 10
    budget: BudgetName = "full"
    overall: Names | None = None
    settings: dict[str, Settings] = {}
    more: list[Part] = []

    def parts(self) -> Iterator[Part]:
        """All parts, whole."""
        mine = {"tasks": self.tasks, "baselines": self.baselines}
        own = Part(**mine, seeds=self.seeds, budget=self.budget)
        yield own
        for part in self.more:
            yield own.model_copy(update=part.model_dump(exclude_none=True))


def load(path: Path) -> Sweep:
    """Read a sweep's file; InputError, with a line for each mistake, for what cannot be meant."""
    given = files.read_toml(path)
    try:
        sweep = Sweep.model_validate(given)
    except ValidationError as error:
        _refuse(path, [_said(each["loc"], each["type"], each["msg"]) for each in error.errors()])
        raise
    _refuse(path, list(_unknown(sweep, path)))
    return sweep


def _refuse(path: Path, mistakes: Sequence[str]) -> None:
    """InputError with these lines, if there are any."""
    if mistakes:
        raise InputError("\n".join(f"{path}: {line}" for line in dict.fromkeys(mistakes)))


def _said(place: tuple[str | int, ...], kind: str, message: str) -> str:
    """A line for what pydantic has found, by its key."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    where = one_line("".join(parts).removeprefix("."), 200)
    if kind != "extra_forbidden":
        return f"{where}: {message.replace('Input should', 'must').replace('List should', 'must')}"
    known = _KEYS.get(str(place[0]) if len(place) > 1 else "", Sweep).model_fields
    return f"{where}: no such key{did_you_mean(str(place[-1]), known)}"


_KEYS: dict[str, type[BaseModel]] = {"more": Part, "settings": Settings}  # of what is inside


def _unknown(sweep: Sweep, path: Path) -> Iterator[str]:
    """A line for each name that nothing is called, or that two baselines are called."""
    given = [(f"more[{place}].", part) for place, part in enumerate(sweep.more)]
    parts = [("", Part(tasks=sweep.tasks, baselines=sweep.baselines)), *given]
    called, files = set[str](), dict[str, str]()
    for where, part in parts:
        for task in part.tasks or ():
            yield from _wrong(f"{where}tasks", task=task)
        for name in part.baselines or ():
            file = _beside(path, name)
            wrong = list(_wrong(f"{where}baselines", baseline=file))
            yield from wrong
            called.add(Path(name).stem)
            if wrong:
                continue
            file = str(registry.find("baselines", file))
            if (other := files.setdefault(Path(name).stem, file)) != file:
                yield f"{where}baselines: {name!r} is called as {other!r} is: rename it"
    for task in sweep.overall or ():
        yield from _wrong("overall", task=task)
    for name, settings in sweep.settings.items():
        where = one_line(f"settings.{name}", 200)
        if name not in called:
            yield f"{where}: none of its baselines is called so{did_you_mean(name, called)}"
        elif name in files:
            yield from _wrong_settings(where, files[name], settings.set)


def _wrong(where: str, **names: str) -> Iterator[str]:
    try:
        registry.check(**names)
        if "baseline" in names:
            refuse_of_others(names["baseline"])
    except InputError as error:
        yield f"{where}: {error}"


def _wrong_settings(where: str, baseline: str, given: Mapping[str, Any]) -> Iterator[str]:
    """A line for each hyper-parameter that a baseline has not, or not of such a value."""
    try:
        with unchanged():
            known = registry.load_baseline(baseline)
    except InputError:
        return  # it cannot be run, which stops no other
    for name, value in given.items():
        try:
            known.checked({name: value})
        except InputError as error:
            yield f"{where}.set: {error}"


def wanted(path: Path, *, device: str = "cpu") -> list[tuple[Spec, int]]:
    """What the file asks for, in order and each once: a spec and its number of seeds.

    A baseline's path is relative to the file. What is asked for twice has the more seeds.
    InputError as by `load`.
    """
    sweep = load(path)
    found: dict[tuple[str, str, str], tuple[Spec, int]] = {}
    for part in sweep.parts():
        for task, name in product(part.tasks or (), part.baselines or ()):
            settings = sweep.settings.get(Path(name).stem, Settings())
            spec = Spec(
                task=task,
                baseline=_beside(path, name),
                hparams=settings.set,
                tuning_trials=settings.tuning_trials,
                budget=part.budget or "full",
                device=device,
            )
            key = (task, str(registry.find("baselines", spec.baseline)), spec.budget)
            before = found[key][1] if key in found else 0
            found[key] = (spec, max(before, part.seeds or 1))
    return list(found.values())


def _beside(path: Path, name: str) -> str:
    """A bundled baseline's name as it is, else the path of a file beside the sweep's."""
    if name in registry.names("baselines"):
        return name
    return str(files.resolved(path.parent / name))
