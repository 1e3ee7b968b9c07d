"""Disks that are full, and folders that cannot be written: the line names the path."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ganbench.errors import InputError
from ganbench.harness import log
from ganbench.results import store
from ganbench.system import files

from ..made import a_result, content
from . import oracle
from .parsers import BOARD
from .scale import long_form, times

ROOT = Path(__file__).parents[2]
MOUNT = {
    "read-only": 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"',
    "full": 'mount -t tmpfs -o size=64k none "$1"',
}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk without room: no file may become larger, and who writes more is told so."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def mounted(how: str, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command of ganbench where a folder is mounted so, for itself alone."""
    given = ["sh", "-c", f'{MOUNT[how]} && shift && exec "$@"', "sh", str(folder)]
    if subprocess.run(["unshare", "-rm", *given, "true"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    run = ["unshare", "-rm", *given, sys.executable, "-m", "ganbench", *command]
    where = {"PYTHONPATH": str(ROOT), "GANBENCH_CACHE": str(folder.parent / "cache")}
    return subprocess.run(run, capture_output=True, text=True, env={**os.environ, **where})


def test_whatever_is_written_whole_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    files.write_atomically(path, b"whole")
    with files_of_at_most(100), pytest.raises(OSError, match="File too large") as caught:
        files.write_atomically(path, bytes(1000))
    assert caught.value.filename == str(path)
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]
    assert path.read_bytes() == b"whole"


def test_a_full_device_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").touch()
    written = log.Log(tmp_path / "log.jsonl", after=0)
    written._file.close()
    with Path("/dev/full").open("a") as written._file:
        written.write(1, 0.5, {"d_loss": 1.0})
        with pytest.raises(OSError) as caught:
            written.flush()
        with pytest.raises(OSError):
            written.close()
    assert (caught.value.errno, caught.value.filename) == (
        errno.ENOSPC,
        str(tmp_path / "log.jsonl"),
    )


@pytest.mark.slow
def test_a_run_without_room(tmp_path: Path, tried: Counter[str]) -> None:
    """Whichever of its files it is that does not fit, the line names it, and none is a half."""
    before = a_result(name="other")
    store.add(before, tmp_path / "board")
    whole = content(tmp_path / "board")
    how = ["--task", "dirac", "--steps", "4", "--quiet", "--leaderboard", str(tmp_path / "board")]
    sizes = [8_000]
    for size in sizes if times() == 1 else range(0, 40_000, 40_000 // (20 * times())):
        with files_of_at_most(size):
            done = oracle.command(["run", "mlp_gan", *how, "--out", str(tmp_path / "runs")])
        assert done.exit_code == 2 and f"Error: {tmp_path}/" in done.stderr, (size, done.stderr)
        assert "File too large" in done.stderr
        assert content(tmp_path / "board").items() >= whole.items()
        assert not [path for path in tmp_path.rglob(".*") if path.is_file()]
        tried["runs without room"] += 1
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)


@pytest.mark.parametrize("command", ["new my_gan", "leaderboard migrate --leaderboard board"])
def test_without_room(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tried: Counter[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(BOARD / "ring8", "board/ring8")
    path = Path("board/ring8/mlp_gan.json")
    path.write_text(path.read_text().replace('"schema_version": 2', '"schema_version": 1', 1))
    whole = content(tmp_path)
    with files_of_at_most(10):
        done = oracle.command(command.split(), tmp_path)
    assert done.exit_code == 2 and content(tmp_path) == whole, done.output
    tried["commands without room"] += 1


@pytest.mark.slow
def test_a_site_without_room(tmp_path: Path) -> None:
    """There is none, or the former one, and nothing beside it."""
    shutil.copytree(BOARD / "moons", tmp_path / "board" / "moons")
    out = tmp_path / "site"
    how = ["--leaderboard", str(tmp_path / "board"), "--out", str(out), "--quiet", "--workers", "1"]
    with files_of_at_most(30_000):
        done = oracle.command(["leaderboard", "site", *how])
    assert done.exit_code == 2 and f"Error: {tmp_path}/" in done.stderr, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"board"}


@long_form
@pytest.mark.slow
@pytest.mark.parametrize("how", MOUNT)
def test_a_run_into_such_a_folder(how: str, tmp_path: Path, tried: Counter[str]) -> None:
    (tmp_path / "runs").mkdir()
    where = ["--leaderboard", str(tmp_path / "board"), "--out", str(tmp_path / "runs")]
    done = mounted(
        how, tmp_path / "runs", "run", "mlp_gan", "--task", "ring8", "--steps", "4", *where
    )
    said = {"read-only": "Read-only file system", "full": "No space left on device"}[how]
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and last.startswith("Error: ") and said in last, done.stderr
    assert str(tmp_path / "runs") in last and "Traceback" not in done.stderr
    tried["runs in folders mounted otherwise"] += 1


def test_a_new_gan_in_a_read_only_folder(tmp_path: Path, tried: Counter[str]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    done = mounted("read-only", folder, "new", str(folder / "my_gan.py"))
    assert done.returncode == 2
    assert done.stderr == f"Error: {folder}/my_gan.py: Read-only file system\n"
    tried["files in folders mounted otherwise"] += 1


def test_a_folder_that_is_checked_before_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"cannot write to folder '{tmp_path}/file/x'"):
        files.check_writable(tmp_path / "file" / "x")
