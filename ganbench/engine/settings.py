"""Numbers in which the players of one stack differ, as inputs of the graph that they share.

While a step is traced, a `Setting` stands wherever the first player's code has such a number: in a
closure, a default, a partial, an attribute, an optimiser's group. Arithmetic with numbers makes
other settings of it, and beside a tensor it is one, of each seed's own number.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from ganbench.engine.noise import RANDOM
from ganbench.engine.state import Found
from ganbench.errors import InputError
from ganbench.nn import Group

Number = int | float
# Random calls, whose law would be the first seed's, and powers, which torch computes otherwise.
REFUSED = RANDOM | {torch.pow, Tensor.pow, Tensor.pow_, Tensor.__pow__, Tensor.__rpow__}


def _both(operation: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    """The methods for an operation of arithmetic, with a setting on its left and on its right."""

    def left(setting: Setting, other: Any) -> Any:
        return setting.with_(operation, other)

    def right(setting: Setting, other: Any) -> Any:
        return setting.with_(lambda mine, its: operation(its, mine), other)

    return left, right


def _said(comparison: Callable[[Any, Any], bool]) -> Any:
    """The method for a comparison."""
    return lambda setting, other: setting.agreed(comparison, other)


class Setting(float):
    """A number of each seed's own, in place of the one that code has, which it is for the rest.

    Its `values` are known, one a seed, and `now` gives them as float64 to compute with. What code
    asks of it besides, as `math.sqrt` and `str` do, it asks of the number of the seed at `place`:
    whether that is the same to the others `same_steps` sees. Once no longer `of` use, it is that
    number to all.
    """

    values: tuple[float, ...]
    now: Callable[[], Tensor]
    place: int
    of: Settings

    def __new__(  # noqa: D102
        cls, values: Sequence[float], now: Callable[[], Tensor], place: int, of: Settings
    ) -> Setting:
        if {*map(type, values)} != {float}:
            raise InputError("it becomes something else than a number")
        self = super().__new__(cls, values[place])
        self.values, self.now, self.place, self.of = tuple(values), now, place, of
        return self

    def with_(self, operation: Callable[[Any, Any], Any], other: Any) -> Any:
        """What the operation makes of it and a number."""
        if (others := self._beside(other)) is None:
            return NotImplemented
        if not self.of.used:
            return operation(self.values[self.place], others[self.place])
        theirs = other.now if isinstance(other, Setting) else lambda: other
        values = [*map(operation, self.values, others)]
        return Setting(values, lambda: operation(self.now(), theirs()), self.place, self.of)

    def agreed(self, operation: Callable[[Any, Any], bool], other: Any) -> Any:
        """What a comparison with a number says of all seeds; InputError if they differ in it."""
        if (others := self._beside(other)) is None:
            return NotImplemented
        found = [*map(operation, self.values, others)]
        if self.of.used and len({*found}) > 1:
            raise InputError("it decides what is done")
        return found[self.place]

    def _beside(self, other: Any) -> Sequence[float] | None:
        if isinstance(other, Setting):
            return other.values
        return [other] * len(self.values) if type(other) in (bool, int, float) else None

    __add__, __radd__ = _both(operator.add)
    __sub__, __rsub__ = _both(operator.sub)
    __mul__, __rmul__ = _both(operator.mul)
    __truediv__, __rtruediv__ = _both(operator.truediv)
    __pow__, __rpow__ = _both(operator.pow)
    __eq__, __ne__ = _said(operator.eq), _said(operator.ne)
    __lt__, __le__ = _said(operator.lt), _said(operator.le)
    __gt__, __ge__ = _said(operator.gt), _said(operator.ge)
    __hash__ = float.__hash__

    def __neg__(self) -> Any:
        return self.with_(operator.mul, -1)

    def __bool__(self) -> bool:
        return bool(self.agreed(operator.ne, 0))


def named(path: str) -> str:
    """A path of `state` as a message names it."""
    return path.replace(":", "'s global ", 1)


class OfAnOptimizer(NamedTuple):
    """A number among the settings of a group of a network's optimizer, perhaps in a tuple."""

    who: str
    group: int
    name: str
    place: int | None

    def __str__(self) -> str:
        """As a message names it."""
        return f"{self.name} of {self.who}'s optimizer"


Where = str | OfAnOptimizer  # a path of `state`, or of an optimizer


class Settings(TorchFunctionMode):
    """The numbers in which seeds differ, each seed's, by where the players have their own.

    Entered, torch's functions take a Setting for the tensor that it is `being`; as `plain` ones for
    the number of its seed.
    """

    def __init__(self, differing: Mapping[Where, Sequence[Number]]) -> None:
        super().__init__()
        self.differing = differing
        self.used = self.plain = False
        self._now: Tensor | None = None

    def __str__(self) -> str:
        """What a reason not to stack them begins with."""
        first = next(iter(self.differing), None)
        return f"{named(str(first))} differs from seed to seed: " if first else ""

    def values(self, cycles: int, device: torch.device) -> Tensor | None:
        """Float64 (cycles, seeds, numbers), if there are any."""
        if not self.differing:
            return None
        columns = [*self.differing.values()]
        rows = torch.tensor(columns, dtype=torch.float64, device=device).T
        return rows.expand(cycles, *rows.shape)

    @contextmanager
    def being(self, *values: Tensor) -> Iterator[None]:
        """Inside, a number is what is at its place of `values` (numbers, ...), if there are any."""
        if not values:
            yield
            return
        (self._now,) = values
        with self:
            yield

    @contextmanager
    def in_place(self, numbers: Mapping[str, Found], place: int = 0) -> Iterator[None]:
        """Inside, Settings stand for the `numbers`, by path, of the player at a place."""
        with ExitStack() as undone:
            self.used = True
            undone.callback(setattr, self, "used", False)
            for where in self.differing:
                if isinstance(where, str):
                    undone.callback(_put(numbers[where], self._of(where, place)))
            yield

    def group(self, who: str, place: int, group: Group) -> Group:
        """A group of a network's optimizer, with Settings where the first's differ."""
        for where in self.differing:
            if isinstance(where, OfAnOptimizer) and where[:2] == (who, place):
                setting = _with(group[where.name], where.place, self._of(where, 0))
                group = {**group, where.name: setting}
        return group

    def _of(self, where: Where, place: int) -> Setting:
        column = [*self.differing].index(where)

        def now() -> Tensor:
            assert self._now is not None
            return self._now[column]

        return Setting([float(each) for each in self.differing[where]], now, place, self)

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = (tuple(args), dict(kwargs or {}))
        leaves = tree_leaves(given)
        if not any(isinstance(each, Setting) for each in leaves):
            return func(*given[0], **given[1])
        if self.plain:
            args, kwargs = tree_map_only(Setting, lambda each: each.values[each.place], given)
            return func(*args, **kwargs)
        kinds = [each.dtype for each in leaves if isinstance(each, Tensor)]
        kind = next((each for each in kinds if each.is_floating_point), torch.float32)
        if func in REFUSED or kind not in (torch.float32, torch.float64):
            raise InputError(f"as a tensor it is not for {func.__name__} of {kind}")
        return _called(func, *tree_map_only(Setting, lambda each: each.now().to(kind), given))


def _called(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A function of torch on tensors where it may be one that takes numbers there."""
    name = func.__name__
    if name.startswith("_foreach_"):
        one = getattr(Tensor, name.removeprefix("_foreach_"))
        rows = (
            [each[i] if isinstance(each, (list, tuple)) else each for each in args]
            for i in range(len(args[0]))
        )
        return [_called(one, row, kwargs) for row in rows]
    if name in ("addcmul", "addcmul_"):
        x, a, b, *weight = args
        weight += kwargs.values()
        return func(x, weight[0] * a, b)
    return func(*args, **kwargs)


def _with(number: Any, place: int | None, setting: Setting) -> Any:
    if place is None:
        return setting
    return (*number[:place], setting, *number[place + 1 :])


def _put(found: Found, setting: Setting) -> Callable[[], object]:
    """Put a setting in the place of a number; returns what undoes that."""
    places = [place for place in _places(found.owner, found.name) if place[2]() is found.number]
    if len(places) != 1:  # as in a tuple, or where two parts have one name
        raise InputError("it is in what cannot change")
    ((put, undo, _),) = places
    put(setting)
    return partial(undo, found.number)


Place = tuple[Callable[[Any], object], Callable[[Any], object], Callable[[], Any]]


def _places(owner: Any, name: str) -> Iterator[Place]:
    """Where a part of that name may be: what changes it, and what reads it."""
    key: Any = name[1:]
    if isinstance(owner, types.FunctionType):
        cells = zip(owner.__code__.co_freevars, owner.__closure__ or (), strict=True)
        for free, cell in cells:
            if name == f".{free}":
                yield _attribute(cell, "cell_contents")
        for i in range(len(owner.__defaults__ or ())):
            if name == f"[{i}]":
                yield _default(owner, i)
        if name[0] == ":":
            yield from _item(owner.__globals__, key)
        else:
            yield from _item(owner.__kwdefaults__ or {}, key)
            yield from _item(vars(owner), key)
    elif isinstance(owner, partial):
        yield from _item(owner.keywords, key)
        yield from _item(vars(owner), key)
    elif isinstance(owner, dict):
        for each in owner:
            if f"[{each!r}]" == name:
                yield from _item(owner, each)
    elif isinstance(owner, list):
        yield from _item(owner, int(name[1:-1])) if name[0] == "[" else ()
    elif isinstance(owner, type):
        if name[0] == "." and key in vars(owner):
            yield _attribute(owner, key)
    elif name[0] == ".":
        yield from _item(getattr(owner, "__dict__", {}), key)


def _attribute(owner: Any, name: str) -> Place:
    put = partial(setattr, owner, name)
    return put, put, partial(getattr, owner, name)


def _item(owner: Any, key: Any) -> Iterator[Place]:
    if isinstance(owner, list) or (isinstance(owner, dict) and key in owner):
        put = partial(operator.setitem, owner, key)
        yield put, put, partial(operator.getitem, owner, key)


def _default(function: types.FunctionType, place: int) -> Place:
    def put(value: Any) -> None:
        function.__defaults__ = _with(function.__defaults__, place, value)

    return put, put, lambda: (function.__defaults__ or ())[place]


def of_optimizers(optimizers: Sequence[Mapping[str, Optimizer]]) -> dict[Where, Sequence[Number]]:
    """Numbers in which optimisers differ besides learning rates; InputError for other settings."""
    found: dict[Where, Sequence[Number]] = {}
    for who, first in optimizers[0].items():
        for place, mine in enumerate(first.param_groups):
            groups = [each[who].param_groups[place] for each in optimizers]
            for name in {**mine, **{key: None for group in groups for key in group}}:
                values = [group.get(name) for group in groups]
                if name in ("params", "lr") or all(each == values[0] for each in values):
                    continue
                several = isinstance(values[0], tuple)
                columns = zip(*values, strict=True) if several else [values]
                for i, column in enumerate(columns):
                    if not {*map(type, column)} <= {int, float}:
                        raise InputError(f"{name} of an optimizer differs from seed to seed")
                    if len({*column}) > 1:
                        where = OfAnOptimizer(who, place, name, i if several else None)
                        found[where] = list(column)
    return found
