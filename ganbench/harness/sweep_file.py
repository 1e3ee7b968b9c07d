"""The file of a sweep: which baselines are run on which tasks, by how many seeds."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ganbench import registry
from ganbench.errors import InputError, one_line
from ganbench.harness.spec import Spec

Names = Annotated[list[str], Field(min_length=1)]
Seeds = Annotated[int, Field(ge=1)]
BudgetName = Literal["full", "quick", "smoke"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Settings(_Strict):
    """Hyper-parameters of a baseline, and how many settings were tried to find them."""

    set: dict[str, Any] = {}
    tuning_trials: Annotated[int, Field(ge=0)] = 0


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
    """Read a sweep's file; InputError, in one line, for whatever cannot be meant."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no TOML: {error}") from error
    try:
        sweep = Sweep.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = one_line(".".join(str(part) for part in first["loc"]), 200)
        raise InputError(f"{path}: {place}: {first['msg']}") from error
    known = {Path(name).stem for part in sweep.parts() for name in part.baselines or ()}
    for name in sweep.settings:
        if name not in known:
            raise InputError(f"{path}: settings.{name}: none of its baselines is called so")
    return sweep


def wanted(path: Path, *, device: str = "cpu") -> list[tuple[Spec, int]]:
    """What the file asks for, in order and each once: a spec and its number of seeds.

    A baseline's path is relative to the file. InputError for names that are not known, and for
    settings that the baseline does not have.
    """
    sweep = load(path)
    found: dict[tuple[str, str, str], tuple[Spec, int]] = {}
    for part in sweep.parts():
        for task in part.tasks or ():
            for name in part.baselines or ():
                baseline = _beside(path, name)
                settings = sweep.settings.get(Path(name).stem, Settings())
                try:
                    registry.check(task=task, baseline=baseline, hparams=settings.set)
                except InputError as error:
                    raise InputError(f"{path}: {error}") from error
                spec = Spec(
                    task=task,
                    baseline=baseline,
                    hparams=settings.set,
                    tuning_trials=settings.tuning_trials,
                    budget=part.budget or "full",
                    device=device,
                )
                found.setdefault((task, baseline, spec.budget), (spec, part.seeds or 1))
    return list(found.values())


def _beside(path: Path, name: str) -> str:
    """A bundled baseline's name as it is, else the path of a file beside the sweep's."""
    if name in registry.names("baselines"):
        return name
    return str((path.parent / name).resolve())
