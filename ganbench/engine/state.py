"""The Python state that functions and modules can reach, so that a change of it is seen.

Reached are closures, defaults, the globals that code names, attributes, elements, what caches keep,
and the classes and modules of authors; of those of libraries only the numbers in them.
"""

from __future__ import annotations

import dis
import functools
import gc
import random
import sys
import types
import typing
import weakref
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from ganbench.core import Task
from ganbench.engine.digests import held_numbers, of_code
from ganbench.errors import InputError
from ganbench.system.modules import is_authors

MOST = 100_000  # objects that are looked at
PLAIN: tuple[type, ...] = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type(None),
    type(...),
    slice,
    range,
)
PLAIN += (torch.dtype, torch.device, torch.Size, np.dtype, np.generic)
NUMBERS = (bool, int, float, complex)
BOUND = (types.BuiltinFunctionType, types.MethodWrapperType)  # as `[].append`
OPAQUE: tuple[type, ...] = (Task, types.GetSetDescriptorType)
OPAQUE += (types.MemberDescriptorType, types.WrapperDescriptorType, types.MethodDescriptorType)
OPAQUE += (types.ClassMethodDescriptorType, torch.jit.ScriptFunction)
# What annotations are made of, among a file's own globals or those of a module that it imports.
OPAQUE += (types.UnionType, types.GenericAlias, typing.TypeVar)
OPAQUE += (type(typing.List[int]),)  # noqa: UP006 - of which typing's Union and Callable are kinds


# The streams that everybody draws from, which are looked after by themselves.
GLOBAL = (random._inst, np.random.mtrand._rand, torch.default_generator)


class ImpureError(InputError):
    """A step that depends on more than its tensors; the message says on what, and where.

    `keeps` says whether that is state of its own, which no checkpoint holds.
    """

    def __init__(self, message: str, *, keeps: bool = False) -> None:
        super().__init__(message)
        self.keeps = keeps


class UnwatchableError(Exception):
    """Something whose state cannot be seen."""


class State:
    """What can be reached from `roots`, by the path on which it was found first, as digests.

    `seen` has all of it by identity.
    Of tensors among `known` only the attributes count; `met` has the paths that have come to them,
    `aliases` those to other tensors in the memory of one, and where that is; `numbers` has those
    found, by path, with what each is a part of, and its name there. Raises UnwatchableError.
    """

    def __init__(self, roots: Mapping[str, Any], known: Collection[Tensor] = ()) -> None:
        self.digests: dict[str, str] = {}
        self.met: list[str] = []
        self.aliases: list[tuple[str, int | None]] = []
        self.numbers: dict[str, Found] = {}
        self._known, self.seen = {id(each) for each in known}, dict[int, Any]()  # kept alive
        self._memory = {memory_of(each) for each in known} - {None}
        for name, root in roots.items():
            self._walk(name, root, roots)

    def changed(self, later: State) -> list[str]:
        """The paths that are not in both, or not the same."""
        both = {**self.digests, **later.digests}
        return [path for path in both if self.digests.get(path) != later.digests.get(path)]

    def _walk(self, path: str, root: Any, roots: Mapping[str, Any]) -> None:
        waiting = deque([(path, root, (roots, path))])
        while waiting:
            path, value, (owner, part) = waiting.popleft()
            if is_known := id(value) in self._known:
                self.met.append(path)
            elif isinstance(value, PLAIN) or value is NOTHING:
                noted = self._note(path, repr(value))
                if type(value) is int or type(value) is float:
                    self.numbers[noted] = Found(value, owner, part)
                if not hasattr(value, "__dict__"):
                    continue
            if id(value) in self.seen:
                continue
            self.seen[id(value)] = value
            if len(self.seen) > MOST:
                raise UnwatchableError(f"more than {MOST:,} objects")
            if is_known or isinstance(value, PLAIN):
                parts = _attributes(value)
            else:
                if isinstance(value, Tensor) and (memory := memory_of(value)) in self._memory:
                    self.aliases.append((path, memory))
                digest, parts = self._look(value, path)
                self._note(path, digest)
            for name, each in parts:
                inner = name if name.startswith("<") else f"{path}{name}"
                waiting.append((inner, each, (value, name)))

    def _look(self, value: Any, path: str) -> tuple[str, Parts]:
        return looked_at(value, path)

    def _note(self, path: str, digest: str) -> str:
        """By a name of its own: an attribute of an object and of its class have one path."""
        name, number = path, 1
        while name in self.digests:
            number += 1
            name = f"{path} ({number})"
        self.digests[name] = digest
        return name


class Found(NamedTuple):
    """A number, what it is a part of, and its name there."""

    number: int | float
    owner: Any
    name: str


def memory_of(tensor: Tensor) -> int | None:
    """Where the memory begins that a tensor may share with others; None where it has none."""
    try:
        return tensor.untyped_storage().data_ptr() or None
    except (NotImplementedError, RuntimeError):  # as of sparse ones
        return None


NOTHING: tuple[()] = ()  # which there is only one of, wherever it is found first
CACHED = ".cached"  # is in the paths to what a cache of functools has kept
Parts = Iterable[tuple[str, Any]]


def looked_at(value: Any, path: str) -> tuple[str, Parts]:
    """A digest of the value itself, and what else it leads to."""
    kind = type(value).__qualname__
    if any(value is each for each in GLOBAL):
        return kind, ()
    if (numbers := held_numbers(value)) is not None:
        return numbers, [*_inside(value), *_attributes(value)]
    if isinstance(value, OPAQUE):
        return f"{kind} {getattr(value, '__qualname__', '')}", ()
    if isinstance(value, BOUND):
        return value.__qualname__, [(".self", value.__self__)]
    if isinstance(value, types.FunctionType):
        code = value.__code__
        return f"{code.co_qualname} {code.co_firstlineno} {of_code(code)}", _of_function(value)
    if isinstance(value, types.MethodType):
        return kind, [("", value.__func__), (".self", value.__self__)]
    if isinstance(value, functools.partial):
        keywords = [(f".{name}", each) for name, each in value.keywords.items()]
        return kind, [("", value.func), *_listed(value.args), *keywords]
    if isinstance(value, functools._lru_cache_wrapper):
        return kind, [("", value.__wrapped__), *_cached(value)]
    if isinstance(value, (staticmethod, classmethod)):
        return kind, [("", value.__func__)]
    if isinstance(value, weakref.ref):
        return kind, [("", value())]
    if isinstance(value, property):
        return kind, [("", each) for each in (value.fget, value.fset, value.fdel) if each]
    if isinstance(value, types.ModuleType):
        return kind, _of_module(value)
    if isinstance(value, type):
        return value.__qualname__, _of_class(value)
    if isinstance(value, Mapping):
        return f"{kind} {len(value)}", [*_items(value), *_attributes(value)]
    if isinstance(value, (list, tuple, deque)):
        return f"{kind} {len(value)}", [*_listed(value), *_attributes(value)]
    if isinstance(value, Set):
        plain = sorted(repr(each) for each in value if isinstance(each, PLAIN))
        return f"{kind} {plain}", [*_members(value), *_attributes(value)]
    if isinstance(value, torch.optim.Optimizer):
        groups = [{**group, "params": None} for group in value.param_groups]
        return kind, [(".param_groups", groups), *own_of(value)]
    return kind, _of_object(value, path)


def _inside(value: Any) -> Parts:
    """What an array of objects or a generator that has begun holds."""
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return _listed(value.flat)
    if isinstance(value, types.GeneratorType) and value.gi_frame:
        inner = [] if value.gi_yieldfrom is None else [(".from", value.gi_yieldfrom)]
        return [*((f".{name}", each) for name, each in value.gi_frame.f_locals.items()), *inner]
    return ()


def _cached(function: Any) -> Parts:
    """What a cache of functools holds, which only Python's collector of garbage tells."""
    known = (vars(function), function.__wrapped__)
    kept = [each for each in gc.get_referents(function) if not any(each is one for one in known)]
    kept = [each for each in kept if not (type(each) is dict and _links(each))]
    return [(f"{CACHED}{name}", each) for name, each in _listed(kept)]


def _links(table: dict[Any, Any]) -> bool:
    """Whether a dict is the index of a bounded cache, whose content is told beside it."""
    return any(type(each).__name__ == "_lru_list_elem" for each in table.values())


def _items(mapping: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if isinstance(key, PLAIN):
            yield f"[{key!r}]", value
        else:  # whose text may be an address
            yield f"[{type(key).__name__}]", key
            yield f"[{type(key).__name__}]", value


def _members(values: Set[Any]) -> Parts:
    """Those that are not plain, in an order that does not follow from addresses where it can."""
    others = [each for each in values if not isinstance(each, PLAIN)]
    others.sort(key=lambda each: getattr(each, "__qualname__", type(each).__qualname__))
    return _listed(others)


def _listed(values: Iterable[Any]) -> Parts:
    return [(f"[{i}]", each) for i, each in enumerate(values)]


def _of_function(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Closure, defaults, attributes; of an author's function also the globals that it names."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f".{name}", cell.cell_contents
        except ValueError:
            yield f".{name}", None  # not yet filled
    yield from _listed(function.__defaults__ or ())
    for name, value in chain((function.__kwdefaults__ or {}).items(), vars(function).items()):
        yield f".{name}", value
    if is_authors(function.__module__ or "", function.__code__.co_filename):
        names = dict.fromkeys(_names(function.__code__))
        if not ANY_GLOBAL.isdisjoint(names):
            names |= {name: None for name in function.__globals__ if not name.startswith("__")}
        for name in names:
            if name in function.__globals__:
                yield f":{name}", function.__globals__[name]


ANY_GLOBAL = frozenset({"globals", "eval", "exec"})  # lead to globals that code does not name


def _names(code: types.CodeType) -> Iterator[str]:
    """The names that a code object and those inside of it look up among globals."""
    for each in dis.get_instructions(code):
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"):
            yield str(each.argval)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _names(const)


def _of_module(module: types.ModuleType) -> Parts:
    file = getattr(module, "__file__", None)
    if file is None or not is_authors(module.__name__, file):
        return _numbers_among(vars(module))
    return [(f".{k}", v) for k, v in vars(module).items() if not k.startswith("__")]


def _of_class(kind: type) -> Parts:
    if not _is_authors(kind):
        return [*_numbers_among(vars(kind)), *map(_class, kind.__bases__)]
    hidden = ("__dict__", "__weakref__", "__doc__", "__module__", "_abc_impl")
    parts = [(f".{k}", v) for k, v in vars(kind).items() if k not in hidden]
    parts += [(".metaclass", type(kind))] if _is_authors(type(kind)) else []
    for base in kind.__bases__:
        name, _ = _class(base)
        parts.append((name or f".{base.__name__}", base))
    return parts


def _is_authors(kind: type) -> bool:
    module = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return module is not None and is_authors(kind.__module__, module)


def _class(kind: type) -> tuple[str, type]:
    """A class as a part of what it is the class or a base of; a library's by its own name."""
    return "" if _is_authors(kind) else f"<{kind.__module__}.{kind.__qualname__}>", kind


def _numbers_among(names: Mapping[str, Any]) -> Parts:
    """What an author may count with in a library's class or module."""
    own = [(k, v) for k, v in names.items() if isinstance(v, NUMBERS) and not k.startswith("_")]
    return [(f".{k}", v) for k, v in own]


def own_of(optimizer: torch.optim.Optimizer) -> Parts:
    """The class of an optimiser, and what an author's has beside what torch's have."""
    kept = ("state", "param_groups", "defaults", "step")
    names = [k for k in vars(optimizer) if k not in kept and not k.startswith("_")]
    return [_class(type(optimizer)), *((f".{name}", getattr(optimizer, name)) for name in names)]


def _attributes(value: Any) -> Parts:
    """Those of an object that is looked at for what it holds besides, and its class."""
    inside = getattr(value, "__dict__", None)
    own = [(f".{name}", each) for name, each in inside.items()] if inside else []
    slots = [(f".{name}", getattr(value, name)) for name in _slots_of(value)]
    return [_class(type(value)), *own, *slots]


def _slots_of(value: Any) -> list[str]:
    return [s for kind in type(value).__mro__ for s in _slots(kind) if hasattr(value, s)]


def _of_object(value: Any, path: str) -> Parts:
    """The attributes of an object, and its class."""
    slots = _slots_of(value)
    parts: list[tuple[str, Any]] = [_class(type(value))]
    parts += [(f".{name}", getattr(value, name)) for name in slots]
    inside = getattr(value, "__dict__", None)
    if isinstance(inside, dict):
        for name, each in inside.items():
            if isinstance(value, nn.Module) and name in ("_parameters", "_buffers", "_modules"):
                parts += [(f".{k}", v) for k, v in each.items()]
            elif name in _computed(value):
                continue
            elif isinstance(value, nn.Module) and name.endswith("_hooks"):  # numbered in a process
                parts += [(f".{name}{i}", v) for i, v in _listed((each or {}).values())]
            else:
                parts.append((f".{name}", each))
    elif not slots:
        try:
            parts.append(("", value.__reduce_ex__(2)[1:]))
        except TypeError as error:
            raise UnwatchableError(f"{path} ({type(value).__name__})") from error
    return parts


def _computed(value: Any) -> set[str]:
    """The attributes of a module that torch's normalisations compute anew before every call."""
    if not isinstance(value, nn.Module):
        return set()
    hooks = value._forward_pre_hooks.values()
    return {hook.name for hook in hooks if isinstance(hook, SpectralNorm | WeightNorm)}


def _slots(kind: type) -> Iterable[str]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots
