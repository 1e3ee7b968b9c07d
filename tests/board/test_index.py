"""What is kept of a leaderboard's files between commands."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from click.testing import CliRunner

from ganbench.board import index, ranking
from ganbench.board.entry import BoardEntry, board_entry
from ganbench.cli import main
from ganbench.results import schema

from ..made import a_result, a_seed


@pytest.fixture
def cache():
    return index.cache_folder()


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "board [1]"  # no pattern
    for name in ("one", "two"):
        write(folder, a_result(*(a_seed(i) for i in range(3)), name=name))
    return folder


def write(folder, result):
    path = folder / result.task.name / f"{result.entry.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(schema.dumps(result))
    return path


def entries(root, task=None):
    with index.opened() as kept:
        found, problems = kept.entries(root, task)
        assert kept.problem is None
    return found, problems


def test_a_kept_digest_is_that_of_the_file(root):
    first, again = entries(root)[0], entries(root)[0]
    assert first == again == [board_entry(schema.load_result(p)) for p in sorted(root.glob("*/*"))]
    document = json.loads(json.dumps(first[0].document(), allow_nan=False))
    assert BoardEntry(**document) == first[0]


def test_unchanged_files_are_not_read_again(root, monkeypatch):
    entries(root)
    monkeypatch.setattr(schema, "load_result", lambda path: pytest.fail(f"{path} was read"))
    assert len(entries(root)[0]) == 2


def test_a_changed_file_is_read_again_whatever_its_date_says(root):
    entries(root)
    path = root / "toy" / "one.json"
    before = path.stat()
    text = path.read_text().replace('"score": 0.75', '"score": 0.85')
    assert len(text) == before.st_size
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [found.scores[0] for found in entries(root)[0]] == [0.85, 0.75]


def test_files_come_and_go(root, cache):
    entries(root)
    (root / "toy" / "one.json").unlink()
    write(root, a_result(name="three"))
    write(root, an_arc())
    assert [found.name for found in entries(root)[0]] == ["far", "three", "two"]
    assert [found.name for found in entries(root, "arc")[0]] == ["far"]
    (path,) = cache.iterdir()
    with closing(sqlite3.connect(path)) as connection:
        kept = connection.execute("select path from entries").fetchall()
    assert len(kept) == 3


def an_arc():
    result = a_result(name="far")
    return result.model_copy(update={"task": result.task.model_copy(update={"name": "arc"})})


def test_boards_side_by_side_are_not_mixed(root, tmp_path):
    write(tmp_path / "board", a_result(name="alone"))
    entries(root)
    assert [found.name for found in entries(tmp_path / "board")[0]] == ["alone"]


def test_folders_whose_names_are_no_text(tmp_path):
    """As a file system allows; each keeps its own."""
    folders = [tmp_path / os.fsdecode(name) for name in (b"\xfe", b"\xff", b"\\xff")]
    for number, folder in enumerate(folders):
        write(folder, a_result(name=f"of-{number}"))
    for _ in range(2):
        found = [entries(folder)[0] for folder in folders]
        assert [[each.name for each in one] for one in found] == [["of-0"], ["of-1"], ["of-2"]]


def test_damaged_files_are_named_each_time(root):
    (root / "toy" / "bad.json").write_text("{}")
    assert [len(part) for _ in range(2) for part in entries(root)] == [2, 1, 2, 1]


def test_numbers_that_overflow_are_named(root):
    path = root / "toy" / "one.json"
    text = path.read_text()
    path.write_text(text.replace('"mmd": 0.25', '"mmd": 1e300', 1))
    found, (problem,) = entries(root)
    assert [each.name for each in found] == ["two"]
    assert problem.endswith("must be at most 1e+100 in size")
    path.write_text(text.replace('"score": 0.75', '"score": 1.01', 1))
    _, (problem,) = entries(root)
    assert problem.endswith("less than or equal to 1")


def test_however_far_a_value_it_has_a_position(root):
    huge = a_result(a_seed(0, value=1e90))
    huge.task.metrics["mmd"].ceiling, huge.task.metrics["mmd"].noise = 1e-300, 0.0
    huge.seeds[0].curve[0].metrics["mmd"] = 1e90
    write(root, huge.model_copy(update={"entry": huge.entry.model_copy(update={"name": "one"})}))
    found, problems = entries(root)
    assert problems == [] and found[0].bests == [[[0.5, -1.0]]]


@pytest.mark.slow
def test_many_files_are_read_by_workers(root, monkeypatch):
    (root / "toy" / "bad.json").write_text("{}")
    (root / "toy" / "moved.json").write_text((root / "toy" / "one.json").read_text())
    alone, problems = entries(root)
    for path in root.glob("*/*.json"):
        path.touch()
    monkeypatch.setattr(index, "CHUNK", 3)
    monkeypatch.setattr(index, "FEW_CHUNKS", 0)
    assert entries(root) == (alone, problems)
    assert [found.name for found in alone] == ["one", "two"]
    assert "bad.json is not a valid result" in problems[0]
    assert "moved.json holds 'one' on 'toy'" in problems[1]


def test_places_are_remembered():
    asked = []

    def make():
        asked.append(1)
        return [((1, 2), 1), ((3, 3), 2)]

    for _ in range(2):
        with index.opened() as kept:
            assert kept.remember("key", make) == [((1, 2), 1), ((3, 3), 2)]
    assert asked == [1]


def test_only_so_many_boards_are_remembered(monkeypatch):
    monkeypatch.setattr(index, "MOST_PLACES", 3)
    with index.opened() as kept:
        for key in range(9):
            kept.remember(str(key), list)
        asked = []
        kept.remember("8", lambda: asked.append(8) or [])
        kept.remember("0", lambda: asked.append(0) or [])
    assert asked == [0]


def test_other_scores_are_other_places():
    keys = []

    def remember(key, make):
        keys.append(key)
        return make()

    for value in (0.25, 0.25, 0.26):
        seeds = (a_seed(i, value=value + i / 1000) for i in range(10))
        made = [board_entry(a_result(*seeds, budget="full"))]
        ranking.boards(made, remember=remember)
        ranking.boards(made, remember=remember, track="time")
    assert len(keys) == 6 and len(set(keys)) == 3


@pytest.mark.parametrize("spoil", ["no folder", "no database"])
def test_without_an_index_the_files_are_read(root, cache, spoil):
    if spoil == "no folder":
        cache.write_text("a file")
    else:
        entries(root)
        (path,) = cache.iterdir()
        path.write_bytes(b"garbage" * 1000)
        with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.Error):
            connection.execute("select * from entries")
    done = CliRunner().invoke(main, ["leaderboard", "show", "--leaderboard", str(root)])
    assert done.exit_code == 0
    assert "one" in done.stdout and "two" in done.stdout
    assert "cannot be used" in done.stderr and len(done.stderr.splitlines()) == 1


# Of which code an index is.


@pytest.fixture
def package(tmp_path):
    """A copy of the files that an index follows from."""
    for name in index.MADE_BY:
        target = tmp_path / "package" / f"{name}.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(index.PACKAGE / f"{name}.py", target)
    return tmp_path / "package"


@pytest.mark.parametrize("name", index.MADE_BY)
def test_an_index_is_of_the_code_that_made_it(package, name):
    before = index.stamp_of_code(package)
    assert before == index.stamp_of_code(index.PACKAGE)
    file = package / f"{name}.py"
    file.write_text(file.read_text() + "# changed\n")
    assert index.stamp_of_code(package) != before


def test_nothing_that_an_index_follows_from_is_left_out():
    """All of the package that is imported with it, and where samples are hashed."""
    code = (
        "import sys, ganbench.board.index, ganbench.results.samples; from pathlib import Path; "
        "own = [m for n, m in sys.modules.items() if n.partition('.')[0] == 'ganbench']; "
        "top = Path(sys.modules['ganbench'].__file__).parent; "
        "print(*(Path(m.__file__).relative_to(top).with_suffix('').as_posix() for m in own))"
    )
    environment = {**os.environ, "PYTHONPATH": str(index.PACKAGE.parent)}
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    assert set(found.stdout.split()) == set(index.MADE_BY)


def test_another_codes_index_is_not_used_and_forgotten_when_it_is_old(root, cache, monkeypatch):
    entries(root)
    (old,) = cache.iterdir()
    monkeypatch.setattr(index, "stamp_of_code", lambda package: "other")
    read = []
    load = schema.load_result
    monkeypatch.setattr(schema, "load_result", lambda path: read.append(path) or load(path))
    entries(root)
    assert len(read) == 2
    assert {path.name for path in cache.iterdir()} == {old.name, "leaderboard-other.sqlite"}
    os.utime(old, (0, 0))
    entries(root)
    assert [path.name for path in cache.iterdir()] == ["leaderboard-other.sqlite"]
