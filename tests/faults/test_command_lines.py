"""Commands with arguments that nobody types: numbers, texts and paths of every odd kind."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ganbench import audit, check, data, site
from ganbench.board import submission
from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.harness import bench, entries
from ganbench.reproduce import dirac, trials

from . import oracle
from .scale import times, tries

NUMBERS = ["0", "1", "-1", "100000000000000000000", "1e20", "nan", "inf", "-inf", "1_0", "٣", "0x1"]
TEXTS = [
    *("", " ", "\0", "a\0b.npy", "x" * 5000, "a/" * 2000, "é\u202e\U0001f600", "\udcff", "\x1b[2J"),
    *("../..", ".", "..", "~", "*", "**", "[", "a b", "%s%n", "$(x)", "--", "-", "-h", "{}", "[]"),
    *("baselines/", ".py", "x.py/y", "mlp_gan.py", "x\ny", "con", "a" * 250, "/proc/self/mem"),
]
PATHS = [
    "file",
    "file.npy",
    "file.toml",
    "folder",
    "pipe",
    "pipe.npy",
    "pipe.py",
    "loop",
    "loop.py",
]
PATHS += [
    "dangling",
    "/dev/null",
    "/dev/full",
    "/dev/zero",
    "folder.npy",
    "broken.py",
    "broken.json",
]
SETTINGS = [
    "lr=1",
    "lr=",
    "=1",
    "lr=" + "(" * 5000,
    "lr=" + "-" * 20000 + "1",
    "lr=nan",
    "lr=1e999",
]
SETTINGS += [
    "lr=" + "9" * 5000,
    "lr=" + "1," * 2000 + "1",
    "latent_dim=" + "9" * 30,
    "x=1",
    "lr=[[[",
]
NAMES = ["mlp_gan", "oracle", "kde", "ring8", "sine", "mmd", "dirac", "fidelity", "alpha-gan"]


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, each in group.commands.items():
        if isinstance(each, click.Group):
            yield from commands(each, (*path, name))
        else:
            yield (*path, name), each


COMMANDS = dict(commands(main))


def value(parameter: click.Parameter) -> st.SearchStrategy[str]:
    """Anything, and what the parameter takes about as often."""
    odd = st.one_of(st.sampled_from(NUMBERS + TEXTS), st.sampled_from(PATHS), st.text(max_size=9))
    kind = parameter.type
    if isinstance(kind, click.Choice):
        return st.one_of(st.sampled_from(list(kind.choices)), odd)
    if isinstance(kind, click.IntRange | click.FloatRange):
        return st.one_of(
            st.sampled_from(NUMBERS), st.integers().map(str), st.floats().map(str), odd
        )
    if parameter.name == "hparams":
        return st.one_of(st.sampled_from(SETTINGS), odd)
    if parameter.name == "name":  # of what is written: nothing beside devices
        return st.one_of(st.sampled_from(NAMES), odd.filter(lambda text: "/dev" not in text))
    if isinstance(kind, click.Path):
        return st.one_of(st.sampled_from(PATHS), odd)
    return st.one_of(st.sampled_from(NAMES), odd)


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """A command, most of its arguments and some of its options, of which some come twice."""
    path = draw(st.sampled_from(sorted(COMMANDS)))
    parameters = COMMANDS[path].params
    given = []
    for each in parameters:
        if isinstance(each, click.Argument) and draw(st.integers(0, 15)):
            given.append([draw(value(each))])
    options = [each for each in parameters if isinstance(each, click.Option)]
    wanted = [each for each in options if each.required and draw(st.integers(0, 15))]
    chosen = draw(st.lists(st.sampled_from(options), max_size=4)) if options else []
    for each in wanted + chosen:
        flag = each.is_flag or each.flag_value not in (None, click.core.UNSET)  # type: ignore[attr-defined]
        given.append([each.opts[0]] if flag else [each.opts[0], draw(value(each))])
    return [*path, *(part for part_of in draw(st.permutations(given)) for part in part_of)]


def reached(*given: Any, **named: Any) -> NoReturn:
    raise InputError("all was as it should be, and much would follow")


@pytest.fixture
def nothing_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where arguments are all right, what takes long is not begun."""
    for where, name in (
        *((entries, "train_all"), (trials, "run"), (bench, "measure"), (check, "check")),
        *((audit, "audit_task"), (data, "fetch"), (dirac, "ways"), (submission, "check")),
    ):
        monkeypatch.setattr(where, name, reached, raising=False)
    monkeypatch.setattr(site.pages, "assets", lambda folder: folder.mkdir())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files of every kind, some way down, so that `../..` is a place of ours too."""
    here = tmp_path / "a" / "b" / "c"
    (here / "folder").mkdir(parents=True)
    (here / "folder.npy").mkdir()
    for name in ("file", "file.npy", "file.toml", "broken.json"):
        (here / name).write_text("x")
    (here / "broken.py").write_text("def GAN(:")
    for name in ("pipe", "pipe.npy", "pipe.py"):
        os.mkfifo(here / name)
    for name, to in (("loop", "loop"), ("loop.py", "loop.py"), ("dangling", "nowhere/x")):
        (here / name).symlink_to(to)
    monkeypatch.chdir(here)
    return tmp_path


def test_odd_arguments(
    place: Path, nothing_follows: None, tried: Counter[str], run_odd: Callable[[list[str]], None]
) -> None:
    @tries(80)
    @given(line=lines())
    @example(line=["leaderboard", "site", "--leaderboard", "\udcff"])
    @example(line=["leaderboard", "site", "--out", "\x1b"])
    @example(line=["leaderboard", "site", "--out", "**"])
    @example(line=["new", "\x1b.py"])
    @example(line=["list", "\x1b", "\x1b"])
    @example(line=["list", "--\x1b"])
    @example(line=["\x1b"])
    def attempt(line: list[str]) -> None:
        run_odd(line)
        tried[f"lines of `{line[0]}`"] += 1

    attempt()
    assert tried.total() >= 40 * times()


@pytest.fixture
def run_odd(place: Path) -> Callable[[list[str]], None]:
    def run(line: list[str]) -> None:
        several = line[0] in ("sweep", "leaderboard")
        oracle.command(line, place, lines=0 if several else 1)

    return run


def test_every_number_is_bounded() -> None:
    """What has no upper bound ends in a hang or in OverflowError."""
    for path, command in COMMANDS.items():
        for each in command.params:
            if each.type in (click.INT, click.FLOAT) or isinstance(
                each.type, click.IntRange | click.FloatRange
            ):
                assert getattr(each.type, "max", None) is not None, (path, each.name)


@pytest.mark.parametrize("seeds", ["1000000000", "100000000000000000000", "-1", "nan"])
@pytest.mark.parametrize(
    "command", ["run mlp_gan --task ring8", "bench mlp_gan", "reproduce dirac"]
)
def test_more_seeds_than_anybody_needs(command: str, seeds: str, place: Path) -> None:
    done = oracle.command([*command.split(), "--seeds", seeds], place)
    assert done.exit_code == 2 and "Invalid value for '--seeds'" in done.stderr


@pytest.mark.parametrize("name", ["/dev/null", "../x", "*", "", ".", "x/y", "x" * 300, "\x1b[2J"])
@pytest.mark.parametrize(
    "command",
    ["leaderboard show --task", "leaderboard compare a b --task", "submit a --task"],
)
def test_names_that_lead_elsewhere(command: str, name: str, place: Path) -> None:
    (place / "board" / "toy").mkdir(parents=True)
    (place / "x").mkdir()
    line = [*command.split(), name, "--leaderboard", str(place / "board")]
    done = oracle.command(line, place)
    assert done.exit_code == 2 and "is no name of a task" in done.stderr
