"""From a name or a path to what that file defines; the folders are the registry.

Nothing here imports torch: listing reads the files' text, only loading executes them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from ganbench.errors import InputError, did_you_mean
from ganbench.system.files import file_sha256

if TYPE_CHECKING:
    from ganbench.core import Task

Kind = Literal["tasks", "baselines"]
DEFINES = {"tasks": "TASK", "baselines": "GAN"}
SINGULAR = {"tasks": "task", "baselines": "baseline", "metrics": "metric"}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One line of `ganbench list`: a name, its explanation, and further columns."""

    name: str
    summary: str
    details: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A baseline file: `make(task, device=..., **hparams)` builds what is trained."""

    name: str
    path: Path
    make: Callable[..., Any]
    hparams: Mapping[str, Any]
    accepts_any: bool

    @property
    def bundled(self) -> bool:
        """Whether the file ships with ganbench."""
        return is_bundled("baselines", self.path)

    @property
    def sha256(self) -> str:
        """Hash of the source file."""
        return file_sha256(self.path)

    def resolve(self, task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
        """The hyper-parameters that `make` is called with on a task, checked; all that is used."""
        return self.check_hparams(given)

    def check_hparams(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults overridden by `given`; InputError for a name or type that does not fit."""
        for name, value in given.items():
            if name not in self.hparams:
                if self.accepts_any:
                    continue
                hint = did_you_mean(name, self.hparams)
                raise InputError(f"{self.name} has no hyper-parameter {name!r}{hint}")
            default = self.hparams[name]
            if not _fits(value, default):
                wanted = type(default).__name__
                raise InputError(f"{self.name}: {name} must be {wanted}, got {value!r}")
        return {**self.hparams, **given}


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


def load(kind: Kind, name: str) -> Any:
    """Execute the file that `name` stands for and return its `TASK` or its `GAN`."""
    path = find(kind, name)
    module = _execute(path)
    wanted = DEFINES[kind]
    if not hasattr(module, wanted):
        raise InputError(f"{path.name} defines no {wanted}: a {SINGULAR[kind]} file must")
    return getattr(module, wanted)


def load_task(name: str) -> Task:
    """The task that `name` stands for, with its frozen floors and ceilings."""
    from ganbench.core import Task

    task, path = load("tasks", name), find("tasks", name)
    if not isinstance(task, Task):
        raise InputError(f"{path.name}: TASK must be a ganbench.Task, got {type(task).__name__}")
    frozen = path.with_suffix(".json")
    if not frozen.is_file():
        raise InputError(
            f"{path.name} has no floors and ceilings beside it: "
            f"make them with `python -m ganbench.bounds {name}`"
        )
    return replace(task, bounds=read_bounds(frozen, task))


def read_bounds(path: Path, task: Task) -> dict[str, Any]:
    """The floors and ceilings that `python -m ganbench.bounds` wrote for a task."""
    from ganbench.core import Bound

    try:
        document = json.loads(path.read_text())
        bounds = {
            name: Bound(
                direction=entry["direction"],
                floor=entry["floor"],
                ceiling=entry["ceiling"],
                noise=entry["noise"],
            )
            for name, entry in document["metrics"].items()
        }
        version = document["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name} is not a file of floors and ceilings: {error}") from error
    if version != task.version:
        raise InputError(
            f"{path.name} is of version {version}, the task of version {task.version}: "
            f"run `python -m ganbench.bounds {task.name}`"
        )
    return bounds


def is_unchanged(name: str) -> bool:
    """Whether a task is bundled and its file is the one whose bounds were frozen."""
    path = find("tasks", name)
    if not is_bundled("tasks", path):
        return False
    frozen = json.loads(path.with_suffix(".json").read_text())
    return bool(frozen["source_sha256"] == file_sha256(path))


def load_baseline(name: str) -> Baseline:
    """The baseline that `name` stands for, with the hyper-parameters of its `GAN`."""
    make, path = load("baselines", name), find("baselines", name)
    if not callable(make):
        raise InputError(f"{path.name}: GAN must be callable, got {type(make).__name__}")
    parameters = inspect.signature(make).parameters.values()
    hparams = {
        p.name: p.default
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.name != "device" and p.default is not p.empty
    }
    accepts_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return Baseline(name=path.stem, path=path, make=make, hparams=hparams, accepts_any=accepts_any)


def listing(kind: str) -> list[Listing]:
    """What `ganbench list` shows of a kind, read from the files' text without executing them."""
    if kind == "metrics":
        return _metric_listing()
    rows = []
    for name in names(kind):
        tree = ast.parse((folder(kind) / f"{name}.py").read_text())
        details = {"hyper-parameters": _hparams_in(tree)} if kind == "baselines" else {}
        rows.append(Listing(name=name, summary=_summary(tree), details=details))
    return rows


def _execute(path: Path) -> ModuleType:
    name = f"_ganbench_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up
    sys.path.insert(0, str(path.parent))  # a file may import its neighbours, as a script may
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        reason = str(error).splitlines()[0] if str(error) else "no message"
        kind = type(error).__name__
        raise InputError(f"{path.name} cannot be imported: {kind}: {reason}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _fits(value: object, default: object) -> bool:
    if default is None:
        return True
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, (int, float))
    if isinstance(default, (list, tuple)):
        return isinstance(value, (list, tuple))
    return isinstance(value, type(default))


def _summary(tree: ast.Module) -> str:
    return (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")


def _hparams_in(tree: ast.Module) -> str:
    """`lr=0.001, dropout=0.4` from the definition of GAN, whether function or class."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "GAN":
            inits = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            node = next((n for n in inits if n.name == "__init__"), node)
        elif not (isinstance(node, ast.FunctionDef) and node.name == "GAN"):
            continue
        if isinstance(node, ast.FunctionDef):
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            return ", ".join(
                f"{a.arg}={ast.unparse(d)}" for a, d in pairs if d is not None and a.arg != "device"
            )
    return ""


def _metric_listing() -> list[Listing]:
    rows = []
    for file in names("metrics"):
        tree = ast.parse((folder("metrics") / f"{file}.py").read_text())
        for name, (direction, summary) in _literal(tree, "QUANTITIES").items():
            rows.append(Listing(name=name, summary=summary, details={"better": direction}))
    return rows


def _literal(tree: ast.Module, name: str) -> dict[str, Any]:
    for node in tree.body:
        if isinstance(node, ast.AnnAssign | ast.Assign) and node.value is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and target.id == name:
                return dict(ast.literal_eval(node.value))
    return {}


def promises() -> dict[str, tuple[str, ...]]:
    """What each quantity of the bundled metrics promises, in the words of `ganbench.audit`."""
    trees = [ast.parse((folder("metrics") / f"{f}.py").read_text()) for f in names("metrics")]
    return {name: words for tree in trees for name, words in _literal(tree, "PROMISES").items()}


def directions() -> dict[str, str]:
    """Which way each quantity of the bundled metrics is better."""
    return {row.name: row.details["better"] for row in _metric_listing()}


def bundled_task(name: str) -> Task:
    """A task that ships with ganbench, for names that come from somebody's file; never a path or
    a file of the working directory."""
    if name not in names("tasks"):
        hint = did_you_mean(name, names("tasks"))
        raise InputError(f"{name!r} is no task that ships with ganbench{hint}")
    return load_task(name)


def sources_sha256(files: Mapping[str, Path]) -> str:
    """Hash of a source in hex: of its one file; of several, of their hashes and names.

    The first is the main file, whose name counts as source.py, which it is called in a submission.
    """
    first = next(iter(files))
    if len(files) == 1:
        return file_sha256(files[first])
    lines = sorted(
        f"{file_sha256(file)}  {'source.py' if name == first else name}\n"
        for name, file in files.items()
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()
