"""Compiled code that is kept: loaded without the compiler, never trusted where it is damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from ganbench.engine import kept_code
from ganbench.system import files

LOOPING = """
import sys
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from ganbench.engine.loop import Loop

def step(weight, x):
    weight.mul_(0.5).add_(x)
    return (weight.sum(1),)

memory, x = [torch.zeros(2, 3)], torch.arange(12.0).view(2, 2, 3)
module = make_fx(step, tracing_mode="fake")(*memory, x[0])
values = Loop(module, [memory], [x[0]], cycles=2)([x])
print(values.tolist(), memory[0].tolist())
print("compiler", "torch._inductor.compile_fx" in sys.modules)
"""
LOOPED = "[[3.0, 12.0], [22.5, 36.0]] [[6.0, 7.5, 9.0], [10.5, 12.0, 13.5]]"


def looped(cache: Path) -> str:
    environment = {**os.environ, "GANBENCH_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", LOOPING], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    values, compiler = done.stdout.splitlines()
    assert values == LOOPED
    return compiler


@pytest.mark.slow
def test_code_is_loaded_without_the_compiler_and_remade_where_it_is_damaged(tmp_path: Path) -> None:
    assert looped(tmp_path) == "compiler True"
    (kept,) = (tmp_path / "code").glob("*.so")
    assert looped(tmp_path) == "compiler False"
    kept.write_bytes(kept.read_bytes()[:100_000])
    assert looped(tmp_path) == "compiler True"
    assert not kept.exists()
    assert looped(tmp_path) == "compiler False"


class Loaded:
    """In the place of the compiler and of the loader."""

    def __init__(self, monkeypatch):
        self.made = 0
        monkeypatch.setattr(kept_code, "_made", self.make)
        monkeypatch.setattr(kept_code, "_load", lambda path: path.read_bytes())

    def make(self, loop, examples, folder):
        self.made += 1
        (folder / "loop.so").write_bytes(b"code")
        return folder / "loop.so"


@pytest.fixture
def compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path))
    return Loaded(monkeypatch)


def traced(function, *examples):
    return make_fx(function)(*examples)


def doubled(factor=2.0):
    return traced(lambda x: x * factor, torch.ones(3))


def code_of(step, example=None):
    return kept_code.compiled(step, [torch.ones(3) if example is None else example], lambda: step)


def other_content(path):
    path.write_bytes(b"other")


def nothing(path):
    path.write_bytes(b"")


def link(path):
    path.rename(path.with_suffix(".own"))
    path.symlink_to(path.with_suffix(".none"))


@pytest.mark.parametrize("damage", [other_content, nothing, link])
def test_whatever_is_not_what_was_kept_is_made_anew(compiler, tmp_path, damage):
    assert code_of(doubled()) == b"code"
    assert code_of(doubled()) == b"code"
    assert compiler.made == 1
    (path,) = tmp_path.glob("code/*.so")
    damage(path)
    assert code_of(doubled()) == b"code"
    assert compiler.made == 2
    assert path.read_bytes() == b"code"


def test_another_users_file_is_not_loaded(compiler, monkeypatch):
    code_of(doubled())
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert code_of(doubled()) == b"code"
    assert compiler.made == 2


def test_where_nothing_can_be_written_it_is_compiled(compiler, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "file"))
    assert [code_of(doubled()) for _ in range(2)] == [b"code"] * 2
    assert compiler.made == 2


def test_what_is_kept_is_loaded_where_nothing_can_be_written(compiler, monkeypatch):
    def refused(*_: object) -> None:
        raise PermissionError("read-only")

    code_of(doubled())
    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr(files, "locked", refused)
    assert code_of(doubled()) == b"code"
    assert compiler.made == 1


def test_all_that_code_follows_from_is_in_its_name(compiler, monkeypatch):
    def name(step=None, example=None):
        found = kept_code._name(step or doubled(), [torch.ones(3) if example is None else example])
        assert found is not None
        return found

    names = [
        name(),
        name(doubled(3.0)),
        name(traced(lambda x: 2.0 + x, torch.ones(3))),
        name(example=torch.ones(4)),
        name(example=torch.ones(6)[::2]),
        name(example=torch.ones(3, dtype=torch.float64)),
    ]
    changes = [
        (torch, "__version__", "0"),
        (torch, "get_num_threads", lambda: 99),
        (torch.backends.cpu, "get_cpu_capability", lambda: "another"),
        (kept_code, "_cpu_features", lambda: "another"),
        (kept_code, "WRITERS", ("loop.py",)),
    ]
    for owner, attribute, value in changes:
        with monkeypatch.context() as patch:
            patch.setattr(owner, attribute, value)
            names.append(name())
    monkeypatch.setenv("CXXFLAGS", "-O0")
    names.append(name())
    assert len(set(names)) == len(names)
    monkeypatch.delenv("CXXFLAGS")
    assert name() == names[0]


def test_what_holds_a_tensor_of_its_own_is_not_kept(compiler, tmp_path):
    own = torch.ones(3)
    step = traced(lambda x: x + own, torch.ones(3))
    assert kept_code._name(step, [torch.ones(3)]) is None
    assert code_of(step) == b"code"
    assert not list(tmp_path.rglob("*.so"))


def test_what_has_not_been_used_for_longest_goes(compiler, monkeypatch, tmp_path):
    monkeypatch.setattr(kept_code, "MOST_FILES", 2)
    for age, factor in enumerate((2.0, 3.0)):
        code_of(doubled(factor))
        for path in tmp_path.glob("code/*.so"):
            os.utime(path, ns=(age, age))
    code_of(doubled(2.0))  # used just now
    code_of(doubled(4.0))
    assert compiler.made == 3
    code_of(doubled(2.0))
    assert compiler.made == 3
    code_of(doubled(3.0))
    assert compiler.made == 4
