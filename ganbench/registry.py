"""From a name or a path to what that file defines; the folders are the registry.

Nothing here imports torch: listing reads the files' text, only loading executes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from ganbench import hparams
from ganbench.errors import InputError, did_you_mean, first_line
from ganbench.hparams import HParam, in_text
from ganbench.scoring import read_frozen, why_no_views
from ganbench.system.files import file_sha256
from ganbench.system.modules import execute, execute_again
from ganbench.system.texts import defined, literals, summary

if TYPE_CHECKING:
    from ganbench.core import Task

Kind = Literal["tasks", "baselines"]
DEFINES = {"tasks": "TASK", "baselines": "GAN"}
SINGULAR = {"tasks": "task", "baselines": "baseline", "metrics": "metric"}
MAIN = "source.py"  # what a baseline's own file is called beside a result
MARKER = "run.json"  # in the folder of a run: of which source it is
ANYTHING = HParam(annotation=hparams.EMPTY, default=hparams.EMPTY)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One line of `ganbench list`: a name, its explanation, and further columns."""

    name: str
    summary: str
    details: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A baseline file, executed: `make(task, device=..., **hparams)` builds what is trained.

    `sources` are the files of its folder that it consists of, by their names relative to it: its
    own first, then the modules beside it that it imports; `sha256` is their hash of when they were
    loaded. `resolver` is the file's `resolve`, if
    it defines one: `resolve(task, **hparams)` returns the hyper-parameters that are really used,
    without shorthands (which are None by default) and with what depends on the task filled in.
    """

    name: str
    path: Path
    module: ModuleType
    parameters: Mapping[str, HParam]
    accepts_any: bool
    sources: Mapping[str, Path]
    sha256: str
    resolver: Callable[..., Any] | None = None

    def make(self, task: Task, **hparams: Any) -> Any:
        """What the file's `GAN` returns, its globals as they were when it was loaded."""
        return execute_again(self.module).GAN(task, **hparams)

    @property
    def hparams(self) -> dict[str, Any]:
        """The defaults."""
        return {k: p.default for k, p in self.parameters.items() if p.default is not hparams.EMPTY}

    @property
    def bundled(self) -> bool:
        """Whether the file ships with ganbench."""
        return is_bundled("baselines", self.path)

    @property
    def reference(self) -> bool:
        """Whether it is there to be compared with, as a bundled file may say of itself."""
        return self.bundled and bool(getattr(self.module, "REFERENCE", False))

    def resolve(self, task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
        """The hyper-parameters that are really used on a task, which `make` is called with.

        Raises InputError for a name or a value that does not fit, and for what the file's own
        `resolve` raises or returns.
        """
        used = {**self.hparams, **self.checked(given)}
        if missing := [name for name in self.parameters if name not in used]:
            raise InputError(f"{self.name}: {missing[0]} has no default: give it a value (--set)")
        if self.resolver is None:
            return used
        found = self._resolved(task, used)
        if self.stored(self._resolved(task, {**self.hparams, **found})) != self.stored(found):
            raise InputError(
                f"{self.path.name}: resolve(...) of what it returned must return the same again"
            )
        return found

    def differing(self, task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
        """The given hyper-parameters that change what is used on a task, sorted by name."""
        kept = dict(sorted(self.checked(given).items()))
        used = self.stored(self.resolve(task, kept))
        for name in list(kept):
            if self.parameters.get(name, ANYTHING).default is hparams.EMPTY:
                continue
            fewer = {each: value for each, value in kept.items() if each != name}
            if self.stored(self.resolve(task, fewer)) == used:
                kept = fewer
        return kept

    def stored(self, resolved: Mapping[str, Any]) -> dict[str, Any]:
        """Hyper-parameters as a result holds them: JSON, or the name of what is none."""
        return {name: hparams.stored(value) for name, value in resolved.items()}

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The given hyper-parameters as their types; InputError for what does not fit."""
        return {name: self._take(name, value, self.name) for name, value in given.items()}

    def _take(self, name: str, value: Any, who: str) -> Any:
        if not self.accepts_any:
            _check_known(name, self.parameters, who)
        try:
            return self.parameters.get(name, ANYTHING).take(value)
        except ValueError as error:
            raise InputError(f"{who}: {name} {error}") from error

    def _resolved(self, task: Task, used: Mapping[str, Any]) -> dict[str, Any]:
        """What the file's `resolve` makes of hyper-parameters, checked."""
        assert self.resolver is not None
        who = f"{self.path.name}: resolve(...)"
        try:
            found = self.resolver(task, **used)
        except (Exception, SystemExit) as error:
            raise InputError(f"{who} raised {type(error).__name__}: {first_line(error)}") from error
        if not isinstance(found, Mapping):
            raise InputError(f"{who} must return a mapping, got {type(found).__name__}")
        for name, default in self.hparams.items():
            if name not in found and default is not None:
                raise InputError(
                    f"{who} leaves out {name}: only a shorthand, of default None, may be left out"
                )
        return {name: self._returned(name, value, who) for name, value in found.items()}

    def _returned(self, name: str, value: Any, who: str) -> Any:
        """A value of the file's `resolve`, which may be no JSON."""
        return self._take(name, value, who) if hparams.is_json(value) else value


def folder(kind: str) -> Path:
    """Where the bundled files of a kind lie: in the package when installed, beside it else."""
    package = Path(__file__).resolve().parent
    inside = package / kind
    return inside if inside.is_dir() else package.parent / kind


def names(kind: str) -> list[str]:
    """Bundled names of a kind, sorted."""
    files = folder(kind).glob("*.py")
    return sorted(path.stem for path in files if not path.stem.startswith("_"))


def is_bundled(kind: str, path: Path) -> bool:
    """Whether a file is one of the bundled ones."""
    return path.resolve().parent == folder(kind).resolve()


def find(kind: Kind, name: str) -> Path:
    """The file that `name` stands for.

    A bare name is a bundled file, else a file of the working directory; anything with a folder
    or an ending is a path, and `baselines/mlp_gan` also works where no such folder is.
    """
    given = Path(name)
    if not 0 < len(given.name) <= 200:
        what = SINGULAR[kind]
        raise InputError(f"{name[:50]!r} is no name of a {what} (see `ganbench list {kind}`)")
    path = given if given.suffix == ".py" else given.with_name(given.name + ".py")
    bundled = folder(kind) / path.name
    bare = given.name == name and given.suffix != ".py"
    if bare and bundled.is_file() and not path.stem.startswith("_"):
        return bundled
    if path.is_file():
        return path.resolve()
    if given.parent == Path(kind) and bundled.is_file():
        return bundled
    what = SINGULAR[kind]
    if not bare and given.parent != Path(kind):
        raise InputError(f"no {what} file {name!r}: give a path that exists, or a bundled name")
    hint = did_you_mean(path.stem, names(kind))
    raise InputError(f"unknown {what} {name!r}{hint} (see `ganbench list {kind}`)")


def check(
    *,
    task: str | None = None,
    baseline: str | None = None,
    hparams: Iterable[str] = (),
    metric: str | None = None,
) -> None:
    """InputError for names that cannot be meant, told from the files' text in no time.

    What only executing the files can tell, `load_task` and `load_baseline` say.
    """
    if baseline is not None:
        path = find("baselines", baseline)
        if (known := in_text(path.read_bytes())) is not None:
            for name in hparams:
                _check_known(name, known, path.stem)
    if task is not None:
        _bounds_beside(find("tasks", task), task)
    if metric is not None and metric not in directions():
        hint = did_you_mean(metric, directions())
        raise InputError(f"unknown metric {metric!r}{hint} (see `ganbench list metrics`)")


def _check_known(name: str, known: Collection[str], who: str) -> None:
    if name not in known:
        hint = did_you_mean(name, known)
        raise InputError(f"{who} has no hyper-parameter {name!r}{hint}")


def _bounds_beside(path: Path, name: str) -> Path:
    frozen = path.with_suffix(".json")
    if not frozen.is_file():
        raise InputError(
            f"{path.name} has no floors and ceilings beside it: "
            f"make them with `python -m ganbench.bounds {name}`"
        )
    return frozen


def load(kind: Kind, name: str) -> Any:
    """Execute the file that `name` stands for and return its `TASK` or its `GAN`."""
    path = find(kind, name)
    return _defined(kind, execute(path)[0], path)


def _defined(kind: Kind, module: ModuleType, path: Path) -> Any:
    wanted = DEFINES[kind]
    if not hasattr(module, wanted):
        raise InputError(f"{path.name} defines no {wanted}: a {SINGULAR[kind]} file must")
    return getattr(module, wanted)


def load_task(name: str) -> Task:
    """The task that a name or path stands for, with its floors and ceilings; or InputError.

    Example:
        >>> import ganbench
        >>> ganbench.load_task("sine").shape
        (64,)
    """
    task, path = load_bare_task(name), find("tasks", name)
    return replace(task, bounds=read_bounds(_bounds_beside(path, name), task))


def load_bare_task(name: str) -> Task:
    """The task that `name` stands for as its file defines it: without floors and ceilings."""
    from ganbench.core import Task

    task, path = load("tasks", name), find("tasks", name)
    if not isinstance(task, Task):
        raise InputError(f"{path.name}: TASK must be a ganbench.Task, got {type(task).__name__}")
    return task


def read_bounds(path: Path, task: Task) -> dict[str, Any]:
    """The floors and ceilings that `python -m ganbench.bounds` wrote for a task."""
    from ganbench.core import Bound

    frozen = read_frozen(path)
    if frozen.version != task.version:
        raise InputError(
            f"{path.name} is of version {frozen.version}, the task of version {task.version}: "
            f"run `python -m ganbench.bounds {task.name}`"
        )
    if task.tracked not in frozen.metrics:
        raise InputError(f"{path.name} knows nothing of {task.tracked!r}, the task's first metric")
    if reason := why_no_views(task.views, frozen.metrics):
        raise InputError(f"task {task.name!r}: {reason}")
    return {name: Bound(**each) for name, each in frozen.metrics.items()}


def is_unchanged(name: str) -> bool:
    """Whether a task is bundled and its file is the one whose bounds were frozen."""
    path = find("tasks", name)
    if not is_bundled("tasks", path):
        return False
    frozen = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return bool(frozen["source_sha256"] == file_sha256(path))


def load_baseline(name: str) -> Baseline:
    """The baseline that `name` stands for, with the hyper-parameters of its `GAN`."""
    path = find("baselines", name)
    module, sources = execute(path)
    make, resolver = _defined("baselines", module, path), getattr(module, "resolve", None)
    for what, value in (("GAN", make), ("resolve", resolver)):
        if not callable(value) and value is not None:
            raise InputError(f"{path.name}: {what} must be callable, got {type(value).__name__}")
    try:
        parameters, accepts_any = hparams.of(make)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path.name}: GAN(...) shows no arguments: {error}") from error
    if len(sources) > 1 and MAIN in sources and path.name != MAIN:
        raise InputError(
            f"{path.name} imports {MAIN}: rename that module, which is what its own "
            "copy is called beside a result"
        )
    return Baseline(
        name=path.stem,
        path=path,
        module=module,
        parameters=parameters,
        accepts_any=accepts_any,
        sources=sources,
        sha256=sources_sha256(sources),
        resolver=resolver,
    )


def sources_sha256(sources: Mapping[str, Path]) -> str:
    """Hash of a baseline's files by name, its own first: of one file, that of its content.

    Of several, SHA-256 of the sorted lines `<SHA-256 of the content>  <name>`, each ending in a
    newline, in which the first is called `source.py`, as beside a result.
    """
    hashes = [file_sha256(file) for file in sources.values()]
    if len(hashes) == 1:
        return hashes[0]
    called = [MAIN, *list(sources)[1:]]
    lines = sorted(f"{digest}  {name}\n" for digest, name in zip(hashes, called, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def listing(kind: str) -> list[Listing]:
    """What `ganbench list` shows of a kind, read from the files' text without executing them."""
    if kind == "metrics":
        return _metric_listing()
    rows = []
    for name in names(kind):
        text = (folder(kind) / f"{name}.py").read_bytes()
        details = {"hyper-parameters": _defaults_in(text)} if kind == "baselines" else {}
        rows.append(Listing(name=name, summary=summary(text), details=details))
    return rows


def _defaults_in(text: bytes) -> str:
    """`lr=0.001, width=by task` from the text of a baseline; nothing is executed."""
    resolves = "resolve" in defined(text)
    return ", ".join(
        f"{name}={'by task' if default == 'None' and resolves else default}"
        for name, default in (in_text(text) or {}).items()
    )


def _metric_listing() -> list[Listing]:
    sources = _of_metrics("SOURCES")
    rows = []
    for name, (direction, line, *_) in _of_metrics("QUANTITIES").items():
        details = {"better": direction, **({"source": sources[name]} if name in sources else {})}
        rows.append(Listing(name=name, summary=line, details=details))
    return rows


def _of_metrics(name: str) -> dict[str, Any]:
    """The entries of the dictionaries of that name in the text of all metrics."""
    return literals((folder("metrics") / f"{file}.py" for file in names("metrics")), name)


def promises() -> dict[str, tuple[str, ...]]:
    """What each quantity of the bundled metrics promises, in the words of `ganbench.audit`."""
    return _of_metrics("PROMISES")


def directions() -> dict[str, str]:
    """Which way each quantity of the bundled metrics is better."""
    return {name: direction for name, (direction, *_) in _of_metrics("QUANTITIES").items()}


def metric_versions() -> dict[str, int]:
    """Which definition of each quantity is the present one: 1, or what its entry ends in."""
    quantities = _of_metrics("QUANTITIES").items()
    return {name: version[0] if version else 1 for name, (_, _, *version) in quantities}


def bundled_task(name: str) -> Task:
    """A task that ships with ganbench, for names that come from somebody's file.

    Never a path or a file of the working directory; InputError for any other name.
    """
    if name not in names("tasks"):
        hint = did_you_mean(name, names("tasks"))
        raise InputError(f"{name!r} is no task that ships with ganbench{hint}")
    return load_task(name)
