"""Executing a Python file by its path, and telling which files of its folder came with it."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, NoReturn

from ganbench.errors import InputError, first_line, one_line

PREFIX = "_ganbench_"  # of the names of executed files, which nobody imports by name
INSTALLED = {"site-packages", "dist-packages"}  # whose modules are nobody's neighbours
MARK = "__ganbench_neighbour__"  # in a module that an executed file has brought in
CODE = "__ganbench_code__"  # in an executed module: what was executed
BESIDE = "__ganbench_beside__"  # and which modules it has brought in, by name
OWN = "ganbench"  # a checkout's folder holds the package too
NOTE = "ganbench: in "  # begins a note that says in which part of a GAN an error was raised
LIBRARIES = tuple(  # where no author's file lies, but for those that are executed here
    f"{folder}/"
    for folder in {
        *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
        str(Path(__file__).parents[1]),
    }
)


def execute(path: Path) -> tuple[ModuleType, dict[str, Path]]:
    """Execute a file as a script would be, its folder first on the path; InputError if it fails.

    Returns the module, and the files that were loaded from its folder by their names relative to
    it: its own first, then its neighbours (modules and packages), each as it is on the disk now.
    Those that a function of these files imports when it is called count too.
    """
    name = f"{PREFIX}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up
    process = os.getpid()
    with _neighbourhood(path.parent) as (neighbours, modules), _not_left():
        try:
            code = spec.loader.get_code(name)  # type: ignore[attr-defined]
            setattr(module, CODE, code)
            setattr(module, BESIDE, modules)
            exec(code, vars(module))
            if os.getpid() != process:
                os._exit(0)  # a copy of this process, which the file has made
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            sys.modules.pop(name, None)
            raise InputError(f"{path.name} cannot be imported: {describe(error)}") from error
    return module, _with_later_imports({path.name: path, **neighbours}, path.parent)


def is_authors(module: str, file: str) -> bool:
    """Whether code of a module, in a file, is an author's, not a library's or the engine's."""
    return module.startswith(PREFIX) or not file.startswith(
        ("<frozen", "<eval_with_key", *LIBRARIES)
    )


def place(code: CodeType, line: int | None = None) -> str:
    """A function and its line as a message names them: `d_loss (my_gan.py:12)`."""
    return f"{code.co_qualname} ({Path(code.co_filename).name}:{line or code.co_firstlineno})"


def place_of(error: BaseException) -> str | None:
    """The innermost place in an author's code that an error came through; None if in none."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if authors_frame(frame):
            found = place(frame.f_code, line)
    return found


def where(error: BaseException) -> str | None:
    """`place_of` an error and whence it was called, or what `ganbench.system.places.within` noted.

    `Net.forward (my_gan.py:7), called in d_loss (my_gan.py:12)`.
    """
    for note in getattr(error, "__notes__", ()):
        if note.startswith(NOTE):
            return str(note.removeprefix(NOTE))
    trace = traceback.walk_tb(error.__traceback__)
    places = [place(frame.f_code, line) for frame, line in trace if authors_frame(frame)]
    if not places or places[0].partition(" (")[0] == places[-1].partition(" (")[0]:
        return place_of(error)
    return f"{places[-1]}, called in {places[0]}"


def describe(error: BaseException) -> str:
    """An error as a line tells it: `RuntimeError in d_loss (my_gan.py:12): shapes do not fit`."""
    found, text = where(error), one_line(first_line(error), 240)
    return f"{type(error).__name__}{f' in {found}' if found else ''}: {text}"


def authors_frame(frame: FrameType) -> bool:
    """Whether a frame executes an author's code."""
    return is_authors(str(frame.f_globals.get("__name__")), frame.f_code.co_filename)


def execute_again(module: ModuleType) -> ModuleType:
    """An executed file with its globals as they were at first, whatever the file is by now.

    Its neighbours are executed again too, also when another file has been executed since.
    """
    fresh = ModuleType(module.__name__)
    for name in ("__file__", "__spec__", "__loader__", "__builtins__", CODE, BESIDE):
        setattr(fresh, name, getattr(module, name, None))
    sys.modules[module.__name__] = fresh
    beside = getattr(module, BESIDE)
    before = {name: sys.modules.pop(name, None) for name in beside}
    made = {name for name, each in beside.items() if hasattr(each, CODE) or not _has_file(each)}
    again = _Again({name: beside[name] for name in made})
    sys.modules.update({name: each for name, each in beside.items() if name not in made})
    sys.meta_path.insert(0, again)
    try:
        exec(getattr(module, CODE), vars(fresh))
    finally:
        sys.meta_path.remove(again)
        for name, other in before.items():
            sys.modules.pop(name, None)
            if other is not None:
                sys.modules[name] = other
    return fresh


class _Again(Loader, MetaPathFinder):
    """Imports modules anew by the code that they had, and packages without a file."""

    def __init__(self, modules: Mapping[str, ModuleType]) -> None:
        self._modules = modules

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        """How to import one of them."""
        if (former := self._modules.get(name)) is None:
            return None
        inside, file = getattr(former, "__path__", None), getattr(former, "__file__", None)
        spec = ModuleSpec(name, self if file else None, origin=file, is_package=inside is not None)
        spec.has_location = file is not None
        if inside is not None:
            spec.submodule_search_locations = [*inside]
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Execute it."""
        setattr(module, MARK, True)
        exec(getattr(self._modules[module.__name__], CODE), vars(module))


@contextmanager
def _not_left() -> Iterator[None]:
    """Inside, `os._exit` raises SystemExit: it would end this process without a word.

    In a copy of this process it does what it always does.
    """
    process, leave = os.getpid(), os._exit

    def leave_by_name(status: int) -> NoReturn:
        if os.getpid() != process:
            leave(status)
        raise SystemExit(f"os._exit({status})")

    os._exit = leave_by_name
    try:
        yield
    finally:
        if os._exit is leave_by_name:
            os._exit = leave


@contextmanager
def _neighbourhood(folder: Path) -> Iterator[tuple[dict[str, Path], dict[str, ModuleType]]]:
    """Import from `folder` first inside; afterwards one dictionary holds what was, by its place.

    The other has the modules by their names.

    No module of that folder, or of another executed file's, is taken over from before: the one
    may be older than its file, the other is another's. What the host program has imported from the
    folder by itself is put back.
    """
    found: dict[str, Path] = {}
    modules: dict[str, ModuleType] = {}
    for module_name, module in list(sys.modules.items()):
        if MARK in _names_in(module):
            del sys.modules[module_name]
    hosts = {each: sys.modules.pop(each) for each in _loaded_from(folder)}
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        yield found, modules
    except BaseException:
        for module_name in _loaded_from(folder):
            del sys.modules[module_name]
        raise
    finally:
        with suppress(ValueError):  # a file may have changed it
            sys.path.remove(str(folder))
        for module_name, file in _loaded_from(folder).items():
            modules[module_name] = sys.modules[module_name]
            setattr(modules[module_name], MARK, True)
            if (code := _code_of(modules[module_name])) is not None:
                setattr(modules[module_name], CODE, code)
            if file is not None:
                found[file.relative_to(folder).as_posix()] = file
        sys.modules.update(hosts)


def _loaded_from(folder: Path) -> dict[str, Path | None]:
    """The modules that lie in a folder, at the place of their name; None for one without a file."""
    if folder.name in INSTALLED:
        return {}
    tops = {each.name.partition(".")[0] for each in folder.iterdir()} - {OWN}
    loaded: dict[str, Path | None] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in tops:
            continue
        inside, names = folder.joinpath(*name.split(".")), _names_in(module)
        file = names.get("__file__")
        if file is None:
            if any(_same(inside, Path(part)) for part in names.get("__path__", ())):
                loaded[name] = None
        elif (place := _place(inside, Path(file))) is not None:
            loaded[name] = place
    return loaded


def _code_of(module: ModuleType) -> CodeType | None:
    """What was executed as a module; None of one without a file, or not in Python."""
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return loader.get_code(module.__name__) if isinstance(loader, SourceFileLoader) else None


def _has_file(module: ModuleType) -> bool:
    return getattr(module, "__file__", None) is not None


def _place(inside: Path, file: Path) -> Path | None:
    """Where a module's file lies if it is folder/a/b.py or folder/a/b/__init__.py of module a.b."""
    is_package = file.name.partition(".")[0] == "__init__"
    place = inside / file.name if is_package else inside.with_name(file.name)
    named = is_package or file.name.partition(".")[0] == inside.name
    return place if named and _same(place, file) else None


def _same(a: Path, b: Path) -> bool:
    return a.exists() and b.exists() and a.samefile(b)


def _names_in(module: object) -> Mapping[str, Any]:
    """A module's own names; some put other objects in `sys.modules`, or make names when asked."""
    return getattr(module, "__dict__", {})


def _with_later_imports(sources: dict[str, Path], folder: Path) -> dict[str, Path]:
    """Add the files of the folder that functions in these files import when they are called."""
    own = _loaded_from(folder)
    unread = [] if folder.name in INSTALLED else list(sources)
    while unread:
        place = unread.pop()
        if not place.endswith(".py"):
            continue
        for name in _imported_in_functions(sources[place], place):
            top = name.partition(".")[0]
            if top == OWN or (top in sys.modules and top not in own):
                continue  # another module is known by that name
            for file in _files_of(name, folder):
                key = file.relative_to(folder).as_posix()
                if key not in sources:
                    sources[key] = file
                    unread.append(key)
    return sources


def _imported_in_functions(file: Path, place: str) -> Iterator[str]:
    """The dotted names of what is imported inside functions of a file, relative ones made whole."""
    package = place.split("/")[:-1]
    for outer in ast.walk(ast.parse(file.read_bytes())):
        if not isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(outer):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                base = [*base, *((node.module or "").split(".") if node.module else [])]
                yield from (".".join([*base, alias.name]) for alias in node.names)


def _files_of(name: str, folder: Path) -> Iterator[Path]:
    """The files of a folder that importing a dotted name executes."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        inside = folder.joinpath(*parts[:count])
        for file in (inside / "__init__.py", inside.parent / f"{inside.name}.py"):
            if file.is_file():
                yield file
                break
