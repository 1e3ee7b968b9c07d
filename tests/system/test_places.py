"""Where in an author's file something happened."""

from pathlib import Path

import pytest
import torch

from ganbench.system.modules import authors_frame, execute, place_of

SOURCE = """
import torch

def loss(x):
    return helper(x)

def helper(x):
    return torch.nn.functional.linear(
        x, torch.zeros(2, 5)
    )
"""


def test_an_error_of_torch_is_where_the_author_called_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    module, _ = execute(path)
    with pytest.raises(RuntimeError) as raised:
        module.loss(torch.zeros(3, 4))
    assert place_of(raised.value) == "helper (mine.py:8)"


def test_an_error_without_an_author_has_no_place() -> None:
    error = ValueError("nobody's")
    assert place_of(error) is None


def test_libraries_are_no_authors() -> None:
    frames = []

    class Spy(torch.nn.Module):
        def forward(self, x):
            import sys

            frame = sys._getframe()
            while frame is not None:
                frames.append(frame)
                frame = frame.f_back
            return x

    Spy()(torch.zeros(1))
    names = {frame.f_code.co_name for frame in frames if authors_frame(frame)}
    assert "forward" in names and "_call_impl" not in names
