"""Hyper-parameters: which values are taken, as what, what is used on a task, what is stored."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ganbench import hparams, registry
from ganbench.core import Task
from ganbench.errors import InputError
from ganbench.registry import Baseline
from ganbench.results.schema import EntryInfo

RING8 = registry.load_task("ring8")

PLAIN = """
class GAN:
    def __init__(self, task, extra=None, *, device="cpu", lr=1e-3, width=8, tied=False,
                 sizes=(1, 2), layers=[3], name="a", seed=None):
        self.lr = lr
"""
ANNOTATED = """
from __future__ import annotations
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal
from annotated_types import Gt
if TYPE_CHECKING:
    from somewhere import Unknown
def GAN(task: Unknown, *, device: str = "cpu", lr: float | None = None, rate: float = 1,
        hidden: Sequence[int] | None = None, pair: tuple[tuple[int, int], ...] = (),
        kind: Literal["a", "b"] = "a", share: Annotated[float, Gt(0)] = 0.5, steps: Unknown = 3,
        flag: bool | None = None, mixed: int | str = 1): ...
"""


def baseline_of(folder: Path, text: str) -> Baseline:
    path = folder / "mine.py"
    path.write_text(text)
    return registry.load_baseline(str(path))


def resolved(folder: Path, text: str, given: dict[str, Any]) -> dict[str, Any]:
    return baseline_of(folder, text).resolve(RING8, given)


def refused(folder: Path, text: str, given: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        resolved(folder, text, given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"lr": 1}, 1.0),
        ({"width": 4}, 4),
        ({"tied": True}, True),
        ({"sizes": [3]}, (3,)),
        ({"layers": (4, 5)}, [4, 5]),
        ({"name": ""}, ""),
        ({"seed": 3}, 3),
        ({"seed": [1, "x", None]}, [1, "x", None]),
    ],
    ids=str,
)
def test_values_that_fit_a_default(given: dict[str, Any], taken: Any, tmp_path: Path) -> None:
    (name,) = given
    used = resolved(tmp_path, PLAIN, given)
    assert (type(used[name]), used[name]) == (type(taken), taken)
    assert {**used, name: None} == {**baseline_of(tmp_path, PLAIN).hparams, name: None}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": "fast"}, "mine: lr must be a float, got 'fast'"),
        ({"lr": True}, "mine: lr must be a float, got True"),
        ({"lr": None}, "mine: lr must be a float, got None"),
        ({"lr": 10**400}, "mine: lr must be a float, got an int of 401 digits"),
        ({"width": True}, "mine: width must be an int, got True"),
        ({"width": 8.5}, "mine: width must be an int, got 8.5"),
        ({"tied": 1}, "mine: tied must be a bool, got 1"),
        ({"sizes": 3}, "mine: sizes must be a tuple, got 3"),
        ({"name": 3}, "mine: name must be a str, got 3"),
        ({"lrr": 1}, "mine has no hyper-parameter 'lrr': did you mean 'lr'?"),
        (
            {"zzz": 1},
            "mine has no hyper-parameter 'zzz'; known: lr, width, tied, sizes, layers, name, seed",
        ),
        (
            {"extra": 1},
            "mine has no hyper-parameter 'extra'; "
            "known: lr, width, tied, sizes, layers, name, seed",
        ),
        ({"device": "cuda"}, None),
        ({"lr": math.inf}, f"mine: lr must be {hparams.JSON}, got inf"),
        ({"seed": math.nan}, f"mine: seed must be {hparams.JSON}, got nan"),
        ({"seed": [1, [math.inf]]}, f"mine: seed must be {hparams.JSON}, got [1, [inf]]"),
        ({"seed": {"a": 1}}, f"mine: seed must be {hparams.JSON}, got {{'a': 1}}"),
        ({"seed": float}, f"mine: seed must be {hparams.JSON}, got <class 'float'>"),
        ({"seed": b"x"}, f"mine: seed must be {hparams.JSON}, got b'x'"),
    ],
    ids=str,
)
def test_values_that_do_not_fit_a_default(
    given: dict[str, Any], message: str | None, tmp_path: Path
) -> None:
    said = refused(tmp_path, PLAIN, given)
    assert message is None or said == message


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"lr": 1}, 1.0),
        ({"lr": None}, None),
        ({"rate": 2}, 2.0),
        ({"hidden": [8, 8]}, [8, 8]),
        ({"hidden": (8,)}, (8,)),
        ({"pair": [[1, 2], [3, 4]]}, ((1, 2), (3, 4))),
        ({"kind": "b"}, "b"),
        ({"share": 1}, 1.0),
        ({"steps": 4}, 4),
        ({"flag": True}, True),
        ({"mixed": "x"}, "x"),
    ],
    ids=str,
)
def test_values_that_fit_an_annotation(given: dict[str, Any], taken: Any, tmp_path: Path) -> None:
    (name,) = given
    used = resolved(tmp_path, ANNOTATED, given)
    assert (type(used[name]), used[name]) == (type(taken), taken)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": "abc"}, "mine: lr must be a float, got 'abc'"),
        ({"rate": "abc"}, "mine: rate must be a float, got 'abc'"),
        ({"hidden": 64}, "mine: hidden must be a list of int, got 64"),
        ({"hidden": [64, 0.5]}, "mine: hidden must be a list of int, got [64, 0.5]"),
        ({"hidden": "64"}, "mine: hidden must be a list of int, got '64'"),
        ({"pair": [[1, 2, 3]]}, "mine: pair must be a list of tuple[int, int], got [[1, 2, 3]]"),
        ({"kind": "c"}, "mine: kind must be one of 'a', 'b', got 'c'"),
        ({"share": -1}, "mine: share must be a float that fits Gt(gt=0), got -1"),
        ({"steps": 0.5}, "mine: steps must be an int, got 0.5"),
        ({"flag": 1}, "mine: flag must be a bool, got 1"),
        ({"mixed": 0.5}, "mine: mixed must be an int or a str, got 0.5"),
    ],
    ids=str,
)
def test_values_that_do_not_fit_an_annotation(
    given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    assert refused(tmp_path, ANNOTATED, given) == message


def test_a_value_equal_to_the_default_is_the_default(tmp_path: Path) -> None:
    mine = baseline_of(tmp_path, ANNOTATED)
    assert type(mine.resolve(RING8, {})["rate"]) is int  # as its author wrote it
    for rate in (1, 1.0):
        assert mine.differing(RING8, {"rate": rate}) == {}
    assert baseline_of(tmp_path, PLAIN).differing(RING8, {"sizes": [1, 2], "lr": 2}) == {"lr": 2.0}


def test_numbers_that_are_alike_name_one_entry(tmp_path: Path) -> None:
    for text in (PLAIN, ANNOTATED):
        mine = baseline_of(tmp_path, text)
        one, other = (mine.differing(RING8, {"lr": value}) for value in (1, 1.0))
        assert json.dumps(one) == json.dumps(other) == '{"lr": 1.0}'


def test_open_ended_hparams(tmp_path: Path) -> None:
    mine = baseline_of(tmp_path, "def GAN(task, *, device='cpu', lr=0.1, **more): ...")
    assert mine.hparams == {"lr": 0.1}
    assert mine.resolve(RING8, {"other": [1]}) == {"lr": 0.1, "other": [1]}
    assert mine.differing(RING8, {"other": [1], "lr": 0.1}) == {"other": [1]}
    with pytest.raises(InputError, match=r"^mine: lr must be a float"):
        mine.resolve(RING8, {"lr": "x"})
    with pytest.raises(InputError, match=r"^mine: other must be a number, "):
        mine.resolve(RING8, {"other": math.inf})


def test_a_hparam_without_a_default_must_be_given(tmp_path: Path) -> None:
    text = "def GAN(task, *, device, width: int): ..."
    said = refused(tmp_path, text, {})
    assert said == "mine: width has no default: give it a value (--set)"
    assert resolved(tmp_path, text, {"width": 3}) == {"width": 3}
    assert baseline_of(tmp_path, text).differing(RING8, {"width": 3}) == {"width": 3}


def test_no_hparams(tmp_path: Path) -> None:
    said = refused(tmp_path, "def GAN(task, *, device='cpu'): ...", {"lr": 1})
    assert said == "mine has no hyper-parameter 'lr'"


NO_JSON = """
import functools
import math
import torch
class Own: ...
def GAN(task, *, device="cpu", adam=torch.optim.Adam, own=Own, clip=math.inf, more={"a": 1},
        part=functools.partial(print, 1), call=lambda x: x, sizes=((1, 2), 3), dtype=torch.float32):
    assert callable(adam)
"""


def test_defaults_that_are_no_json_are_used_as_they_are_and_stored_by_name(tmp_path: Path) -> None:
    mine = baseline_of(tmp_path, NO_JSON)
    used = mine.resolve(RING8, {})
    assert all(used[name] is default for name, default in mine.hparams.items())
    stored = mine.stored(used)
    assert stored == {
        "adam": "torch.optim.adam.Adam",
        "own": "Own",
        "clip": "inf",
        "more": "{'a': 1}",
        "part": "functools.partial(<built-in function print>, 1)",
        "call": "<lambda>",
        "sizes": [[1, 2], 3],
        "dtype": "torch.float32",
    }
    EntryInfo(
        name="a", source="b.py", sha256="c", hparams=stored, git_commit=None, dirty=None
    )  # as the schema wants it
    again = mine.resolve(RING8, {**stored, "sizes": [[1, 2], 3]})
    assert all(again[name] is default for name, default in mine.hparams.items() if name != "sizes")
    assert mine.stored(again) == stored
    assert mine.differing(RING8, stored) == {}


def test_names_of_defaults_hold_no_address_and_no_path(tmp_path: Path) -> None:
    text = """
class Own:
    def __call__(self): ...
def GAN(task, *, device="cpu", own=Own(), long=["x" * 1000, {}]): ...
"""
    mine = baseline_of(tmp_path, text)
    stored = mine.stored(mine.resolve(RING8, {}))
    assert " at 0x" not in stored["own"]
    assert stored["long"] == ["x" * 1000, "{}"]
    assert stored == baseline_of(tmp_path, text).stored(mine.resolve(RING8, {}))


RESOLVING = """
def GAN(task, *, device="cpu", lr=None, g_lr=None, d_lr=None, width=None, norm=None, depth=2): ...
def resolve(task, **hparams):
    lr = hparams.pop("lr", None)
    for name, default in (("g_lr", lr or 0.001), ("d_lr", lr or 0.001), ("width", task.width * 4)):
        if hparams[name] is None:
            hparams[name] = default
    if hparams["width"] < 0:
        raise ValueError(f"width must be positive, got {hparams['width']}\\nmore")
    return hparams
"""
DEFAULTS = {"g_lr": 0.001, "d_lr": 0.001, "width": 8, "norm": None, "depth": 2}


def test_a_file_may_say_what_is_really_used(tmp_path: Path) -> None:
    mine = baseline_of(tmp_path, RESOLVING)
    assert mine.resolve(RING8, {}) == DEFAULTS
    assert mine.resolve(registry.load_task("sine"), {})["width"] == 256
    assert mine.resolve(RING8, {"lr": 0.5, "d_lr": 0.1}) == {**DEFAULTS, "g_lr": 0.5, "d_lr": 0.1}
    assert mine.resolve(RING8, mine.resolve(RING8, {"lr": 0.5})) == mine.resolve(RING8, {"lr": 0.5})


@pytest.mark.parametrize(
    ("given", "differing"),
    [
        ({"lr": 0.001}, {}),
        ({"g_lr": 0.001, "d_lr": 0.002}, {"d_lr": 0.002}),
        ({"lr": 0.5}, {"lr": 0.5}),
        ({"lr": 0.5, "g_lr": 0.1, "d_lr": 0.2}, {"d_lr": 0.2, "g_lr": 0.1}),
        ({"width": 8, "depth": 2}, {}),
        ({"width": 9, "depth": 3}, {"depth": 3, "width": 9}),
    ],
    ids=str,
)
def test_what_changes_nothing_names_no_entry(
    given: dict[str, Any], differing: dict[str, Any], tmp_path: Path
) -> None:
    mine = baseline_of(tmp_path, RESOLVING)
    for order in (given, dict(reversed(given.items()))):
        assert list(mine.differing(RING8, order).items()) == list(differing.items())


@pytest.mark.parametrize(
    ("change", "given", "message"),
    [
        (
            ("", ""),
            {"width": -1},
            "mine.py: resolve(...) raised ValueError: width must be positive, got -1",
        ),
        (("task.width", "task.no"), {}, "mine.py: resolve(...) raised AttributeError: "),
        (
            ("return hparams", "return 3"),
            {},
            "mine.py: resolve(...) must return a mapping, got int",
        ),
        (
            ("return hparams", "return {**hparams, 'zidth': 1}"),
            {},
            "mine.py: resolve(...) has no hyper-parameter 'zidth': did you mean 'width'?",
        ),
        (
            ("return hparams", "return {**hparams, 'depth': 'x'}"),
            {},
            "mine.py: resolve(...): depth must be an int, got 'x'",
        ),
        (
            ("return hparams", "del hparams['depth']; return hparams"),
            {},
            "mine.py: resolve(...) leaves out depth: "
            "only a shorthand, of default None, may be left out",
        ),
        (
            ("return hparams", "return {**hparams, 'width': hparams['width'] + 1}"),
            {},
            "mine.py: resolve(...) of what it returned must return the same again",
        ),
        (
            ("def resolve", "resolve = 3\ndef other"),
            {},
            "mine.py: resolve must be callable, got int",
        ),
    ],
)
def test_what_a_file_makes_of_them_is_checked(
    change: tuple[str, str], given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    assert refused(tmp_path, RESOLVING.replace(*change), given).startswith(message)


@pytest.mark.slow
def test_every_baseline_on_every_task(baseline: Baseline, task: Task) -> None:
    used = baseline.resolve(task, {})
    assert used.keys() <= baseline.parameters.keys()
    stored = baseline.stored(used)
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert baseline.resolve(task, used) == used
    assert baseline.stored(baseline.resolve(task, stored)) == stored
    assert baseline.differing(task, stored) == {}
    if baseline.resolver is not None:
        file_says = baseline.resolver(task, **baseline.hparams)
        assert file_says == used == baseline.resolver(task, **{**baseline.hparams, **file_says})


@pytest.mark.parametrize(
    ("target", "width"), [("ring8", 128), ("sine", 64), ("gaussian", 5), ("quadratic", 16)]
)
def test_mlp_gan_has_the_presets_of_the_task(target: str, width: int) -> None:
    mlp_gan, task = registry.load_baseline("mlp_gan"), registry.load_task(target)
    used = mlp_gan.resolve(task, {})
    assert used["d_hidden"][0] == width
    assert not used.keys() & {"lr", "activation"}
    assert [name for name, value in used.items() if value is None] == ["norm"]


def test_mlp_gan_by_its_shorthands() -> None:
    mlp_gan = registry.load_baseline("mlp_gan")
    assert mlp_gan.differing(RING8, {"lr": 5e-4, "g_hidden": [128] * 3}) == {}
    used = mlp_gan.resolve(RING8, {"lr": 1, "d_lr": 0.5, "activation": "tanh"})
    assert (used["g_lr"], used["d_lr"]) == (1.0, 0.5)
    assert (used["g_activation"], used["d_activation"]) == ("tanh", "tanh")
    with pytest.raises(InputError) as caught:
        mlp_gan.resolve(RING8, {"norm": "x"})
    assert str(caught.value) == (
        "mlp_gan.py: resolve(...) raised ValueError: norm 'x' is none of batch, layer"
    )
