"""The result of an entry on a task: one strict JSON file, written whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from ganbench import scoring
from ganbench.errors import InputError, one_line
from ganbench.scoring import Bounds
from ganbench.system import files

Engine = Literal["eager", "stacked", "compiled"]  # one step at a time, or seeds at once
Precision = Literal["float32", "tf32", "bf16"]  # of products while training
Status = Literal["ok", "diverged", "failed", "interrupted"]
MOST_BYTES = 2**23  # of a result file
SCHEMA: Literal[2] = 2
FORMER = re.compile(r'\A\s*\{\s*"schema_version"\s*:\s*1\b')
LARGEST = 1e100  # metric or score
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._=+,-]{0,99}$")]
"""A name of an entry or a task: may be a file's name anywhere, and needs no escaping on a page."""
LOCAL = ".local"  # ends the name of the file of a result that lies beside a published one


def _not_local(name: str) -> str:
    if name.endswith(LOCAL):
        raise ValueError(f"must not end in {LOCAL!r}, which is of results beside published ones")
    return name


EntryName = Annotated[Name, AfterValidator(_not_local)]


def _stays_inside(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or set(path) & set("\\:\0"):
        raise ValueError("must be a path that does not lead outside")
    return path


Digest = Annotated[str, Field(pattern=r"^[0-9a-z]{1,64}$")]
Inside = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_stays_inside)]


def _moderate(value: float) -> float:
    if abs(value) > LARGEST:
        raise ValueError(f"must be at most {LARGEST:g} in size")
    return value


Number = Annotated[float, AfterValidator(_moderate)]
"""A value of a metric or a score: its square is still a float."""
Position = Annotated[float, Field(ge=-1, le=1)]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Rate = Annotated[float, Field(ge=0, le=1e12)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
HParam = bool | int | float | str | None | list[Any]


class Strict(BaseModel):
    """No unknown field, no NaN, no Infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())


class MetricInfo(Strict):
    """Which way a metric is better, what real data and the better naive sampler score.

    `noise` is the standard deviation of the floor over draws of real data, `version` that of the
    metric's definition.
    """

    direction: Literal["lower", "higher"]
    floor: Number
    ceiling: Number
    noise: Annotated[Number, Field(ge=0)]
    version: Count = 1

    def position(self, value: float) -> float:
        """1 at the floor, 0 at the ceiling, towards -1 however bad (NaN if they meet)."""
        return scoring.position(value, self.floor, self.ceiling)

    @property
    def bounds(self) -> Bounds:
        """Plain values."""
        return scoring.only_bounds(self.model_dump())


class TaskInfo(Strict):
    """The task as it was when the entry ran.

    `views` names the metric behind each view of the score; the first of `metrics` is what every
    round was measured by. `sha256` is of the files of one's own task, which no version speaks for.
    """

    name: Name
    version: Whole
    sha256: Digest | None = None
    views: dict[str, str]
    metrics: dict[str, MetricInfo] = Field(min_length=1)

    @model_validator(mode="after")
    def _scored(self) -> TaskInfo:
        known = {name: each.bounds for name, each in self.metrics.items()}
        if reason := scoring.why_no_views(self.views, known):
            raise ValueError(reason)
        return self

    def positions(self, values: Mapping[str, float | None]) -> dict[str, float] | None:
        """The position of each view; None if a value is lacking."""
        found: dict[str, float] = {}
        for view, name in self.views.items():
            if (value := values.get(name)) is None:
                return None
            found[view] = self.metrics[name].position(value)
        return found


class EntryInfo(Strict):
    """What ran. `source` is a path inside the repository, or a bundled file's.

    `hparams` are those that were really used, whatever was given. `tuning_trials` are the settings
    that were tried to find these; 0 if they are the defaults. A `reference` is there to be compared
    with, and takes no rank.
    """

    name: EntryName
    source: Inside
    sha256: Digest
    hparams: dict[str, HParam]
    git_commit: str | None
    dirty: bool | None
    tuning_trials: Count = 0
    reference: bool = False


class Protocol(Strict):
    """What the entry was given to spend, and how it ran."""

    steps: Count
    batch_size: Count
    evaluations: Count
    evaluation_size: Count
    budget: Literal["full", "quick", "smoke", "custom"]
    precision: Precision = "float32"
    device: str
    threads: Count


class Point(Strict):
    """A point of the curve: losses averaged since the last one, metrics if it was evaluated.

    That is the task's first metric, and at the end of the budget all of them.
    """

    step: Count
    train_seconds: Seconds
    losses: dict[str, float]
    metrics: dict[str, float]


class Timing(Strict):
    """Where the seconds went; the parts add up to `wall_seconds`.

    Steps are timed in blocks, without the first step, which is `warmup_seconds`. `sampling_seconds`
    are what the GAN took to make the samples that were scored, in older results a part of
    `evaluation_seconds`; `other_seconds` is the harness itself. A resumed run counts all its parts.
    """

    steps_per_second: Rate | None
    step_ms_median: Rate | None
    step_ms_p95: Rate | None
    train_seconds: Seconds
    warmup_seconds: Seconds
    evaluation_seconds: Seconds
    sampling_seconds: Seconds = 0.0
    data_seconds: Seconds
    saving_seconds: Seconds
    other_seconds: Number
    wall_seconds: Seconds

    @classmethod
    def of_which_nothing_is_known(cls, seconds: float) -> Timing:
        """Of a run that took so many seconds and has left no word of them."""
        parts = dict.fromkeys(("steps_per_second", "step_ms_median", "step_ms_p95"))
        known = ("train", "warmup", "evaluation", "sampling", "data", "saving")
        seen = {f"{name}_seconds": 0.0 for name in known}
        return cls.model_validate(
            parts | seen | {"other_seconds": seconds, "wall_seconds": seconds}
        )


class Machine(Strict):
    """What a seed ran on: no host name, no user name, no path."""

    model_config = ConfigDict(frozen=True)

    cpu: str
    cores: Count
    memory_bytes: Count
    accelerator: str | None
    driver: str | None
    os: str
    python: str
    torch: str
    numpy: str

    @property
    def hardware(self) -> str:
        """What times compare on."""
        return self.accelerator or f"{self.cpu}, {self.cores} cores"


class Verdict(Strict):
    """What became of a seed; `since` is the step from which it was so, where that is known."""

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z -]{0,39}$")]
    since: Count | None
    text: Annotated[str, Field(max_length=300)]


class SeedResult(Strict):
    """One training run, on a machine of its own.

    `score` is the mean of the positions in `views`. `engine_note` says why a Game was not trained
    by the engine asked for, `labels` whether its losses were told the classes of real samples.
    It was `judged_apart` if a process that never ran the GAN's code has scored it and timed it.
    """

    seed: Whole
    status: Status
    reason: str | None
    metrics: dict[str, Number | None]
    views: dict[str, Position | None]
    score: Position | None
    verdict: Verdict | None = None
    engine: Engine = "eager"
    engine_note: Annotated[str, Field(max_length=500)] | None = None
    labels: bool = False
    curve: list[Point]
    timing: Timing
    machine: Machine
    peak_memory_bytes: Count
    samples_sha256: Digest | None
    judged_apart: bool = False
    _at_once: bool = PrivateAttr(default=False)

    @property
    def at_once(self) -> bool:
        """Whether it ended before it had trained anything, or made any samples; not in the file."""
        return self._at_once

    @at_once.setter
    def at_once(self, value: bool) -> None:
        self._at_once = value


class Summary(Strict):
    """Over seeds: `std` and `ci95` (of the IQM) need two of them."""

    mean: Number | None
    std: Number | None
    iqm: Number | None
    ci95: tuple[Number, Number] | None


class HiddenRun(Strict):
    """What new seeds of an entry scored on hidden parameters: a variant of its task, from `seed`.

    `known` is what real samples of the task itself score there, `gap` how much higher the
    interquartile mean of the entry's own seeds is, with its interval, `verdict` what follows.
    """

    seed: Count
    known: Position
    scores: list[Position] = Field(min_length=1, max_length=1000)
    gap: Number
    ci95: tuple[Number, Number]
    verdict: Literal["consistent", "refuted", "inconclusive"]
    ganbench_version: str
    created_at: str


class Result(Strict):
    """Everything about one entry on one task; `summary` and `views` are over its seeds."""

    schema_version: Literal[2] = SCHEMA
    ganbench_version: str
    created_at: str
    task: TaskInfo
    entry: EntryInfo
    protocol: Protocol
    official: bool
    seeds: list[SeedResult] = Field(min_length=1)
    summary: dict[str, Summary]
    views: dict[str, Summary]
    hidden: HiddenRun | None = None

    @model_validator(mode="after")
    def _summarised(self) -> Result:
        if self.summary.keys() != {*self.task.metrics, "score"}:
            raise ValueError("summary must be of the task's metrics and the score")
        views = [self.views.keys(), *(seed.views.keys() for seed in self.seeds)]
        if any(found != self.task.views.keys() for found in views):
            raise ValueError("views must be those of the task")
        return self

    @property
    def tracked(self) -> str:
        """The metric that every round was measured by."""
        return next(iter(self.task.metrics))

    def fits(self, other: Result) -> bool:
        """Whether the seeds of both belong to one entry, measured alike wherever both measured."""
        mine, theirs = self.task.metrics, other.task.metrics
        alike = all(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())
        return alike and self.identity() == other.identity()

    def identity(self) -> tuple[Any, ...]:
        """What must be the same for the seeds of two results to belong to one entry."""
        entry = self.entry
        return (
            self.task.name,
            self.task.version,
            self.task.sha256,
            self.task.views,
            entry.name,
            entry.sha256,
            json.dumps(entry.hparams, sort_keys=True),
            self.protocol,
        )


def mean_speed(seeds: Sequence[SeedResult]) -> float | None:
    """Steps per second over the seeds that were timed; None if none was."""
    speeds = [s.timing.steps_per_second for s in seeds if s.timing.steps_per_second]
    return sum(speeds) / len(speeds) if speeds else None


def dumps(result: Result) -> str:
    """The result as strict JSON, in a line: a board holds many."""
    document = result.model_dump(mode="json")
    for part, name in ((document, "hidden"), (document["task"], "sha256")):
        if part[name] is None:
            del part[name]
    return json.dumps(document, allow_nan=False) + "\n"


def loads(text: str, source: str) -> Result:
    """A result from JSON; InputError, one line naming `source`, if it is not one."""
    try:
        return Result.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = one_line(".".join(str(part) for part in first["loc"]) or "document", 200)
        raise InputError(f"{source} is not a valid result: {place}: {first['msg']}") from error


def load_result(path: Path | str) -> Result:
    """Read a result file; InputError if it cannot be read, is not valid, or of the first schema."""
    text = read_text(Path(path))
    if is_former(text):
        raise InputError(
            f"{path} is of the first result schema: `ganbench leaderboard migrate` renews it"
        )
    return loads(text, str(path))


def is_former(text: str) -> bool:
    """Whether the text of a result is of the first schema."""
    return FORMER.search(text) is not None


def read_text(path: Path) -> str:
    """The text of a result file; InputError if it cannot be read or is too large."""
    return files.read_text(path, most=MOST_BYTES)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a result file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Result.model_json_schema(),
    }
