"""How a line names the part of a GAN in which something went wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from ganbench.engine import contract
from ganbench.errors import InputError
from ganbench.system.modules import describe, execute
from ganbench.system.places import named, within

SOURCE = """
from torch import nn

def hinge(D, real, fake):
    return missing

class Net(nn.Module):
    def forward(self, x):
        return hinge(None, x, x)

class Loss:
    def __call__(self, D, real, fake):
        pass

    def method(self, D):
        pass

short = lambda D: D

def outer():
    def d_loss(D):
        pass
    return d_loss
"""


@pytest.fixture
def mine(tmp_path: Path) -> ModuleType:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return execute(path)[0]


def test_parts_are_named_by_where_their_author_wrote_them(mine: ModuleType) -> None:
    for part, name in (
        (mine.hinge, "d_loss hinge (mine.py:4)"),
        (partial(partial(mine.hinge, 1), 2), "d_loss hinge (mine.py:4)"),
        (mine.Net(), "d_loss Net.forward (mine.py:8)"),
        (mine.Loss(), "d_loss Loss.__call__ (mine.py:12)"),
        (mine.Loss().method, "d_loss Loss.method (mine.py:15)"),
        (mine.short, "d_loss (mine.py:18)"),
        (mine.outer(), "d_loss (mine.py:21)"),
    ):
        assert named("d_loss", part) == name
    assert named("hinge", mine.hinge) == "hinge (mine.py:4)"


def test_parts_of_libraries_are_named_by_their_kind() -> None:
    assert named("generator", nn.Sequential()) == "generator (Sequential)"
    assert named("d_optimizer", partial(torch.optim.Adam, lr=1)) == "d_optimizer (Adam)"
    assert named("d_loss", torch.dist) == "d_loss (dist)"
    assert named("d_loss", None) == "d_loss (NoneType)"


def line_of(function: Callable[..., Any], *args: Any) -> str:
    """What is told of the error that a call raises, from the call inwards: a test is no author."""
    with pytest.raises(Exception) as caught:
        function(*args)
    trace = caught.value.__traceback__
    assert trace is not None
    return describe(caught.value.with_traceback(trace.tb_next))


def test_an_error_says_where_it_was_raised_and_whence_called(mine: ModuleType) -> None:
    where = "hinge (mine.py:5), called in Net.forward (mine.py:9)"
    line = f"NameError in {where}: name 'missing' is not defined"
    assert line_of(mine.Net(), torch.zeros(1)) == line
    assert line_of(mine.hinge, 1, 2, 3) == line.replace(where, "hinge (mine.py:5)")


def test_an_error_of_a_library_says_in_which_part() -> None:
    line = line_of(contract.fakes, nn.Linear(3, 2), torch.zeros(5, 4))
    start = "RuntimeError in generator (Linear), given shape (5, 4): mat1 and mat2 shapes"
    assert line.startswith(start)


def test_an_error_in_a_part_of_an_author_says_what_it_was_given(mine: ModuleType) -> None:
    line = line_of(contract.fakes, mine.Net(), torch.zeros(5, 4))
    called = "hinge (mine.py:5), called in Net.forward (mine.py:9)"
    assert line.startswith(f"NameError in {called}, of the generator, given shape (5, 4): name")


def test_lines_for_users_stay_as_they_are() -> None:
    error = InputError("says all")
    with pytest.raises(InputError), within("generator", nn.Linear(3, 2), torch.zeros(1)):
        raise error
    assert not hasattr(error, "__notes__")


def test_a_long_message_is_cut() -> None:
    assert len(describe(ValueError("x" * 1000))) < 300
    assert describe(ValueError("first\nsecond")) == "ValueError: first"
