"""Training a source that is somebody else's: in a confined process, whose result is looked at.

Nothing of the source is executed in the process that calls `run`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ganbench import registry
from ganbench.board.checking import inconsistencies
from ganbench.core import Task
from ganbench.errors import InputError, one_line
from ganbench.harness import composed, entries
from ganbench.harness.spec import (
    Progress,
    Report,
    Spec,
    Stop,
    budget_of,
    own_task_sha256,
    plain_task_of,
)
from ganbench.results import schema
from ganbench.results.schema import Result, SeedResult
from ganbench.system import cell, files
from ganbench.system.cell import CellError
from ganbench.system.inmate import Tell
from ganbench.system.modules import execute
from ganbench.system.sandbox import Limits, Rules
from ganbench.system.threads import one_thread

BOARD, RUNS = "leaderboard", "runs"  # in the folder of a confined run
MOST_TEXT = 500  # characters of what a result or a report says
Count = Annotated[int, Field(ge=0, lt=2**53)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]


def _plain(text: str) -> str:
    """A stranger's text as it may stand in a line of a terminal: brackets would be markup."""
    return one_line(text, MOST_TEXT).replace("[", "(").replace("]", ")")


Text = Annotated[str, AfterValidator(_plain)]


class _Told(BaseModel):
    """A report as it may come from a confined process: of a `Progress`, in bounds."""

    model_config = ConfigDict(extra="forbid")

    label: Text
    seed: Count
    step: Count
    steps: Count
    train_seconds: Seconds
    losses: dict[Text, float] = Field(max_length=100)
    tracked: Text
    position: float | None
    line: bool
    line_seconds: Seconds
    epochs: tuple[Count, Count] | None
    note: Text


class _Finished(BaseModel):
    """What a confined run tells at its end: the names of its results, why it was refused."""

    model_config = ConfigDict(extra="forbid")

    results: list[schema.EntryName] = Field(max_length=10_000)
    refused: str | None
    note: str


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a confined process is to train."""

    specs: Sequence[Spec]
    seeds: Sequence[int]
    workers: int


@dataclass(kw_only=True)
class _Listener:
    """Hears a confined run: passes on its reports, keeps what it tells at its end."""

    report: Report
    finished: list[_Finished] = field(default_factory=list)

    def hear(self, message: dict[str, Any]) -> None:
        """CellError for what is no message of such a run."""
        try:
            if "progress" in message:
                told = _Told.model_validate(message["progress"])
                self.report(Progress(**told.model_dump()))
            else:
                self.finished.append(_Finished.model_validate(message))
        except ValidationError as error:
            raise CellError("what it told is no report of a run") from error


def run(
    specs: Sequence[Spec],
    *,
    seeds: Sequence[int],
    folder: Path,
    workers: int = 1,
    report: Report = lambda _: None,
    stop: Stop | None = None,
    limits: Limits | None = None,
) -> tuple[list[Result], InputError | None]:
    """What `harness.entries.run` makes of specs, in a confined process that may write in `folder`.

    All of a source must lie in there. The CPU is what it is trained on: the driver of a GPU would
    be another way out. Results are checked against what was asked for; what they claim beyond that
    is the source's own word. Says on standard error what cannot be kept from it on this system.
    Returns also what `entries.run` has raised of an entry that it refused. Raises CellError, of
    one line, where the process ends in any other way.
    """
    if any(spec.device not in ("auto", "cpu") for spec in specs):
        raise InputError("a source of others is trained on the CPU: use --device cpu")
    task = plain_task_of(specs[0])
    inside = _task_inside(specs[0].task, folder)
    specs = [replace(spec, device="cpu", task=inside) for spec in specs]
    with one_thread():
        _ = task.reference  # for which data may have to be fetched: there is no network inside
    listener = _Listener(report=report)
    cache = files.cache_folder().resolve()
    cell.call(
        f"{__name__}:train",
        Asked(specs=specs, seeds=seeds, workers=workers),
        scratch=folder,
        rules=Rules(writable=[folder], readable=[cache], limits=limits or Limits()),
        hear=listener.hear,
        say=lambda line: print(line, file=sys.stderr, flush=True),
        stop=stop,
        environment={"GANBENCH_CACHE": str(cache)},
    )
    if not listener.finished:
        raise CellError("it ended without a result")
    told = listener.finished[-1]
    whole = told.refused is None and not (stop is not None and stop.is_set())
    expected = _Expected(task=task, specs=specs, seeds=seeds, whole=whole)
    return expected.results(folder, told.results), _refusal(told)


def _task_inside(name: str, folder: Path) -> str:
    """What a task is called in a confined process: one that is not bundled is copied for it."""
    path = registry.find("tasks", name)
    if registry.is_bundled("tasks", path):
        return name
    frozen = path.with_suffix(".json")
    _, sources = execute(path)
    return str(copied({**sources, frozen.name: frozen}, folder / "task")[0])


def _refusal(told: _Finished) -> InputError | None:
    """What was raised of an entry that was refused; of none trained at all, too."""
    if told.refused is None and told.results:
        return None
    error = InputError(_plain(told.refused or "stopped before anything was done"))
    if told.note:
        error.add_note("\n".join(_plain(line) for line in told.note.splitlines()[:200]))
    return error


def train(asked: Asked, tell: Tell, stop: Stop) -> None:
    """What the confined process does, in the folder that it may write in."""

    def report(progress: Progress) -> None:
        tell({"progress": asdict(progress)})

    refused, note = None, ""
    try:
        entries.run(
            asked.specs,
            seeds=asked.seeds,
            workers=asked.workers,
            leaderboard=BOARD,
            out=RUNS,
            report=report,
            stop=stop,
            apart=True,
        )
    except InputError as error:
        refused, note = str(error), "\n".join(getattr(error, "__notes__", ()))
    made = sorted(path.stem for path in Path(BOARD).glob("*/*.json"))
    tell({"results": made, "refused": refused, "note": note})


@dataclass(frozen=True, kw_only=True)
class _Expected:
    """What a confined run was asked for, which its results are held against.

    A `whole` run was neither stopped nor refused in part: it has all results, and all seeds.
    """

    task: Task
    specs: Sequence[Spec]
    seeds: Sequence[int]
    whole: bool

    def results(self, folder: Path, names: Sequence[str]) -> list[Result]:
        """The results of these names that the run left; CellError if they are not of it."""
        names = list(dict.fromkeys(names))
        if len(names) > len(self.specs) or (self.whole and len(names) < len(self.specs)):
            raise CellError(f"it left {len(names)} results, not {len(self.specs)}")
        return [self.read(folder, name) for name in names]

    def read(self, folder: Path, name: str) -> Result:
        """A result that the run left, its texts made printable; CellError if it is not of it."""
        place = folder.resolve() / BOARD / self.task.name / f"{name}.json"
        if place.resolve() != place:
            raise CellError("its result is a link")
        try:
            result = schema.load_result(place)
        except InputError as error:
            raise CellError(f"its result cannot be read: {_plain(str(error))}") from error
        for line in self._wrong(result, name):
            raise CellError(f"its result: {_plain(line)}")
        return result.model_copy(update={"seeds": [_printable(seed) for seed in result.seeds]})

    def _wrong(self, result: Result, name: str) -> Iterator[str]:
        """What is not as it was asked for."""
        spec, entry = self.specs[0], result.entry
        own = own_task_sha256(spec.task)
        stem = Path(spec.baseline).stem
        if entry.name != name or not (f"{name}-").startswith(f"{stem}-"):
            yield "is of another entry"
        if result.hidden is not None:
            yield "says what it scores on hidden parameters"
        if entry.reference:
            yield "says of itself that it is a reference"
        if result.task != composed.task_info(self.task, own):
            yield "is not of the task as it is"
        if result.protocol != composed.protocol_of(spec, budget_of(spec, self.task)):
            yield "is not of the budget that was given"
        numbers = {seed.seed for seed in result.seeds}
        if not numbers <= set(self.seeds) or (self.whole and numbers != set(self.seeds)):
            yield "is of other seeds"
        if result.official and not (
            result.protocol.budget == "full" and spec.hidden is None and own is None
        ):
            yield "says that it is official"
        place = Path(self.task.name) / f"{name}.json"
        yield from inconsistencies(result.model_copy(update={"official": False}), place)


def _printable(seed: SeedResult) -> SeedResult:
    """A seed's result with its texts as they may stand in a line."""
    verdict = seed.verdict and seed.verdict.model_copy(update={"text": _plain(seed.verdict.text)})
    texts = {
        name: None if (text := getattr(seed, name)) is None else _plain(text)
        for name in ("reason", "engine_note")
    }
    return seed.model_copy(update={**texts, "verdict": verdict})


def copied(source: Mapping[str, Path], folder: Path) -> list[Path]:
    """Copy the files of a source into a folder under their names; returns the copies."""
    for name, file in source.items():
        files.make_folder((folder / name).parent)
        shutil.copyfile(file, folder / name)
    return [folder / name for name in source]
