"""What takes long says what it does, on standard error."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ganbench import registry
from ganbench.board import checking
from ganbench.cli import main, progress

BOARD = Path(__file__).parents[2] / "leaderboard"
LAST = len(list(BOARD.glob("*/*.json"))) - 1


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "PAUSE", 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("leaderboard", "check", "--json"), f"checking results: {LAST} of {LAST + 1}"),
        (("leaderboard", "show", "--csv"), f"reading results: {LAST} of {LAST + 1}"),
        (("leaderboard", "compare", "mlp_gan", "oracle"), f"reading results: {LAST} of {LAST + 1}"),
        (("verify", str(BOARD / "ring8" / "oracle.json")), "computing metrics of seeds: 0 of 1"),
    ],
)
def test_commands_that_read_many_files_say_so(impatient, command, what):
    folder = () if command[0] == "verify" else ("--leaderboard", str(BOARD))
    done = CliRunner().invoke(main, [*command, *folder])
    assert done.exit_code == 0, done.output
    assert what in done.stderr and what not in done.stdout


def test_quiet_is_quiet(impatient, tmp_path):
    for command in (
        ("verify", str(BOARD / "ring8" / "oracle.json"), "--quiet"),
        ("leaderboard", "site", "--leaderboard", str(BOARD / "none"), "--quiet"),
    ):
        done = CliRunner().invoke(main, list(command))
        assert " of " not in done.stderr


def test_what_is_quick_says_nothing(as_for_users, capsys):
    assert list(progress.watch("counting", range(3))) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_lines_come_every_so_often(as_for_users, capsys, monkeypatch):
    moments = iter([0.0, 1.0, 2.5, 2.5, 3.0, 13.0, 13.0, 14.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(moments))
    assert list(progress.watch("counting", range(5))) == list(range(5))
    assert capsys.readouterr().err == "counting: 1 of 5\ncounting: 3 of 5\n"


def test_on_a_terminal_there_is_a_bar(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert list(progress.watch("counting", range(3))) == [0, 1, 2]
    found = capsys.readouterr()
    assert "counting" in found.err and found.out == ""


@pytest.mark.slow
def test_a_check_executes_no_task(monkeypatch):
    monkeypatch.setattr(registry, "load_task", lambda name: pytest.fail(name))
    checking.bundled_task.cache_clear()
    assert checking.check(BOARD)[1] == []
