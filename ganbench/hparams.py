"""Hyper-parameters: the keyword-only arguments of a `GAN`, checked, made one type, kept as JSON."""

from __future__ import annotations

import ast
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

EMPTY = inspect.Parameter.empty
JSON = "a number, a text, true, false, null or a list of such"
ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")  # in what repr says of some objects, another each time
BOUND = ("GAN", ast.Store)
LONGEST = 200  # characters that are kept of such


@dataclass(frozen=True, kw_only=True)
class HParam:
    """One keyword-only argument; without annotation or default these are `EMPTY`."""

    annotation: Any
    default: Any

    def take(self, value: Any) -> Any:
        """A value as the argument's type: 1 as 1.0 for a float, a list as a tuple for a tuple.

        Raises ValueError, which says what is expected. A default that is no JSON may be given by
        the name that `stored` keeps of it.
        """
        if value is self.default or self._is_named(value):
            return self.default
        if not is_json(value):
            raise ValueError(f"must be {JSON}, got {value!r}")
        found = False
        if self.annotation is not EMPTY:
            found, value = _by_annotation(self.annotation, value, self.default)
        value = value if found else self._by_default(value)
        return self.default if self._is_default(value) else value

    def _is_default(self, value: Any) -> bool:
        alike = isinstance(value, bool) == isinstance(self.default, bool)
        return alike and is_json(self.default) and bool(value == self.default)

    def _is_named(self, value: Any) -> bool:
        named = isinstance(value, str | list) and not is_json(self.default)
        return named and value == stored(self.default)

    def _by_default(self, value: Any) -> Any:
        default, value = self.default, _like(value, self.default)
        if default is None or default is EMPTY:
            return value
        if isinstance(default, float) and type(value) is int:
            return _as_float(value)
        is_bool = isinstance(value, bool), isinstance(default, bool)
        if not isinstance(value, type(default)) or is_bool[0] != is_bool[1]:
            raise ValueError(f"must be {wanted(type(default))}, got {value!r}")
        return value


def of(make: Callable[..., Any]) -> tuple[dict[str, HParam], bool]:
    """The hyper-parameters of a `GAN` by name, and whether it takes any others too."""
    parameters = inspect.signature(make).parameters.values()
    function = inspect.unwrap(make)
    names = getattr(function, "__globals__", None) or getattr(
        getattr(function, "__init__", None), "__globals__", {}
    )
    found = {
        each.name: HParam(annotation=_evaluated(each.annotation, names), default=each.default)
        for each in parameters
        if each.kind is each.KEYWORD_ONLY and each.name != "device"
    }
    return found, any(each.kind is each.VAR_KEYWORD for each in parameters)


def in_text(text: bytes) -> dict[str, str] | None:
    """The hyper-parameters in the text of a GAN's file by name, each with its default's text.

    None if the text does not say all of them: the GAN takes any others too, is decorated or bound
    to something else, or is no function or class that is written there.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # which executing the file says better
        return None
    if any(isinstance(n, ast.Name) and (n.id, type(n.ctx)) == BOUND for n in ast.walk(tree)):
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "GAN" and not node.decorator_list:
            inits = [each for each in node.body if isinstance(each, ast.FunctionDef)]
            node = next((each for each in inits if each.name == "__init__"), node)
        elif not (isinstance(node, ast.FunctionDef) and node.name == "GAN"):
            continue
        if isinstance(node, ast.FunctionDef) and not (node.decorator_list or node.args.kwarg):
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            return {a.arg: ast.unparse(d) if d else "" for a, d in pairs if a.arg != "device"}
    return None


def is_json(value: Any) -> bool:
    """Whether JSON holds a value as it is, but for tuples, which become lists."""
    if isinstance(value, list | tuple):
        return all(map(is_json, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, bool | int | str) and not isinstance(value, Enum))


def stored(value: Any) -> Any:
    """A value as JSON: itself, tuples as lists, else its name: a class's, or what repr says."""
    if isinstance(value, list | tuple):
        return [stored(each) for each in value]
    if is_json(value):
        return value
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str):
        module = getattr(value, "__module__", None) or ""
        # That of an executed file has a name of ours, which holds its place on this machine.
        return name if module in ("", "builtins") or module[0] == "_" else f"{module}.{name}"
    return ADDRESS.sub("", " ".join(repr(value).split()))[:LONGEST]


def wanted(kind: Any) -> str:
    """A type in words: `a float`, `a list of int or a str`, `one of 'a', 'b'`."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(wanted(each) for each in inside if each is not types.NoneType)
    if origin is typing.Literal:
        return f"one of {', '.join(map(repr, inside))}"
    if origin is typing.Annotated:
        return f"{wanted(inside[0])} that fits {', '.join(map(str, inside[1:]))}"
    if isinstance(origin, type) and issubclass(origin, Sequence) and len({*inside} - {...}) == 1:
        plain = isinstance(inside[0], type) and not typing.get_args(inside[0])
        return f"a list of {inside[0].__name__ if plain else inside[0]}"
    if isinstance(kind, type) and not inside:
        return f"{'an' if kind.__name__[0] in 'aeiou' else 'a'} {kind.__name__}"
    return re.sub(r"\b(typing|collections\.abc)\.", "", str(kind))


def _evaluated(annotation: Any, names: Mapping[str, Any]) -> Any:
    """An annotation that stands as text, as under `from __future__ import annotations`, evaluated.

    EMPTY if that fails, as where its names are imported for the type checker alone.
    """
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(names))
    except Exception:
        return EMPTY


def _by_annotation(annotation: Any, value: Any, default: Any) -> tuple[bool, Any]:
    """Whether pydantic knows the type, and then the value as that type; ValueError if it is not."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

    try:
        known: TypeAdapter[Any] = TypeAdapter(
            annotation, config=ConfigDict(arbitrary_types_allowed=True)
        )
        for form in (_like(value, default), _deep(value, tuple), _deep(value, list)):
            with suppress(ValidationError):
                return True, known.validate_python(form, strict=True)
    except (PydanticUserError, NameError):  # a type that it has no schema for, or that is not whole
        return False, value
    raise ValueError(f"must be {wanted(annotation)}, got {value!r}")


def _like(value: Any, default: Any) -> Any:
    """A list as a tuple where the default is one, and the reverse."""
    if isinstance(value, list) and isinstance(default, tuple):
        return tuple(value)
    return list(value) if isinstance(value, tuple) and isinstance(default, list) else value


def _deep(value: Any, kind: Callable[[list[Any]], Any]) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return kind([_deep(each, kind) for each in value])


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"must be a float, got an int of {len(str(value))} digits") from None
