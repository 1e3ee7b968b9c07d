"""Processes that are killed at any moment: nothing is half-written, and what is left goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganbench.board import checking
from ganbench.harness import stored
from ganbench.results import schema, store
from ganbench.system import files, leftovers, processes

from ..made import a_result, a_seed, content
from .scale import long_form, times

ROOT = Path(__file__).parents[2]
KILLS = {1: 2}.get(times(), max(200, 10 * times()))  # in the fast share, and in the long form
WRITERS = 32
TIMES_OF_ITS_OWN = {"timing", "curve", "peak_memory_bytes", "engine_note"}


COMMAND = """
import os, sys
os.setsid()
sys.stdout = sys.stderr = open({said!r}, "w")
from ganbench.cli import main
main({arguments!r})
"""  # as text, since a process of the server's cannot import this file


GAN = """
import torch
class GAN:
    '''Learns the mean, in noisy steps; no Game, since tracing takes longer than all else.'''
    def __init__(self, task, *, device="cpu"):
        self.mean, self.shape = torch.zeros(task.shape), task.shape
    def train_step(self, real):
        step = real.mean(0) - self.mean + 0.1 * torch.randn(self.shape)
        self.mean += 0.1 * step
        return {"distance": step.norm()}
    def sample(self, n):
        return self.mean + torch.randn(n, *self.shape)
"""


def started(folder: Path, *more: str) -> Any:
    """A run of two seeds, in a process that is forked where torch has been imported already."""
    how = ["--task", "dirac", "--steps", "12", "--seeds", "2", "--quiet", *more]
    where = ["--out", str(folder / "runs"), "--leaderboard", str(folder / "board")]
    folder.mkdir(exist_ok=True)
    (folder / "mean.py").write_text(GAN)
    arguments = ["run", str(folder / "mean.py"), *how, *where]
    code = COMMAND.format(said=f"{folder}.txt", arguments=arguments)
    run = processes.CONTEXT.Process(target=exec, args=(code,))
    run.start()
    return run


def ended(folder: Path, *more: str) -> None:
    """Such a run to its end, which is a good one."""
    run = started(folder, *more)
    run.join()
    assert run.exitcode == 0, Path(f"{folder}.txt").read_text()


def figures(folder: Path) -> list[dict[str, Any]]:
    """What the seeds of a finished run have come to, without what differs from time to time."""
    (path,) = store.result_files(folder / "board")
    seeds = [seed.model_dump() for seed in schema.load_result(path).seeds]
    return [
        {
            **{name: value for name, value in seed.items() if name not in TIMES_OF_ITS_OWN},
            "curve": [(each["step"], each["losses"], each["metrics"]) for each in seed["curve"]],
        }
        for seed in seeds
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], float]:
    """The figures of a run that nobody kills, and its seconds."""
    folder = tmp_path_factory.mktemp("undisturbed")
    processes.prepare()
    server = processes.CONTEXT.Process(target=exec, args=("pass",))
    server.start()  # which waits until torch has been imported
    server.join()
    begun = time.monotonic()
    ended(folder)
    return figures(folder), time.monotonic() - begun


def check_whole(folder: Path) -> None:
    """Whatever lies there under its own name can be read to its end."""
    readers = {".json": lambda path: json.loads(path.read_text()), ".npy": np.load}
    readers |= {".safetensors": stored.load_state, ".npz": np.load}
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in readers and not path.name.startswith("."):
            readers[path.suffix](path)
    if (folder / "board").is_dir():
        assert checking.check(folder / "board")[1] == []


@pytest.mark.slow
def test_a_run_that_is_killed(
    undisturbed: tuple[list[dict[str, Any]], float], tmp_path: Path, tried: Counter[str]
) -> None:
    expected, seconds = undisturbed
    rng = random.Random(int(os.environ.get("GANBENCH_FAULTS_SEED", "0")))
    for number in range(KILLS):
        folder = tmp_path / str(number)
        workers = ["--workers", str(1 + number % 2)]
        run = started(folder, *workers)
        run.join(timeout=rng.uniform(0.0, 1.2) * seconds)
        run.kill()
        run.join()
        check_whole(folder)
        before = len(list(folder.rglob("checkpoint.safetensors")))
        ended(folder, *workers, "--resume")
        assert figures(folder) == expected, number
        check_whole(folder)
        tried["kills of a run"] += 1
        tried["kills of a run that had a checkpoint"] += before > 0


SLOW = """
import time, torch
class GAN:
    def __init__(self, task, *, device="cpu"):
        self.shape = task.shape
    def train_step(self, real):
        open({begun!r}, "w").close()
        time.sleep(0.1)
        return {{"mean": real.mean()}}
    def sample(self, n):
        return torch.zeros(n, *self.shape)
"""


def marked(mark: str) -> list[int]:
    """The processes with this word in their environment, however they were started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # of others, or gone by now
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="no /proc here")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_no_process(number: int, tmp_path: Path, tried: Counter[str]) -> None:
    """Neither a worker, nor what trains beside it, nor the server of them."""
    begun, source = tmp_path / "begun", tmp_path / "slow.py"
    source.write_text(SLOW.format(begun=str(begun)))
    how = ["--task", "dirac", "--steps", "600", "--seeds", "2", "--workers", "2"]
    mark = {"GANBENCH_MARK": str(tmp_path)}
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(
            [sys.executable, "-m", "ganbench", "run", source.name, *how],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **mark},
            stderr=said,
        )
    with run:
        while run.poll() is None and not begun.exists():
            time.sleep(0.05)
        assert len(marked(str(tmp_path))) >= 4, (tmp_path / "said").read_text()
        run.send_signal(number)
    until = time.monotonic() + 60
    while marked(str(tmp_path)) and time.monotonic() < until:
        time.sleep(0.05)
    assert marked(str(tmp_path)) == []
    tried["runs whose processes were counted"] += 1


def write_for_ever(path: str) -> str:
    """Code that writes a file of a megabyte again and again, until it is killed."""
    return (
        "from pathlib import Path; from ganbench.system.files import write_atomically\n"
        f"while True: write_atomically(Path({path!r}), b'a' * 2**20 + b'z')\n"
    )


@contextmanager
def killed_later(code: str, seconds: float) -> Iterator[None]:
    run = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        time.sleep(seconds)
        yield
    finally:
        run.kill()
        run.wait()


def aged(path: Path, seconds: float) -> None:
    """Make a file that much older."""
    found = path.stat()
    os.utime(path, (found.st_atime - seconds, found.st_mtime - seconds))


@pytest.mark.slow
def test_a_writer_that_is_killed(tmp_path: Path, tried: Counter[str]) -> None:
    """The file is whole; the temporary that is left is cleared by whoever comes next, once old."""
    path, left = tmp_path / "result.json", []
    for number in range(1 if times() == 1 else KILLS // 4):
        with killed_later(write_for_ever(str(path)), 0.6 + 0.037 * (number % 10)):
            pass
        assert not path.exists() or path.read_bytes() == b"a" * 2**20 + b"z"
        left = [each for each in tmp_path.iterdir() if each != path]
        assert all(leftovers.TEMPORARY.fullmatch(each.name) for each in left)
        files.check_writable(tmp_path)
        assert all(each.exists() for each in left)  # it may just be being made
        for each in left:
            aged(each, leftovers.FRESH)
        files.check_writable(tmp_path)
        assert not any(each.exists() for each in left)
        tried["kills of a writer"] += 1


def test_what_somebody_holds_stays(tmp_path: Path) -> None:
    """However old it is."""
    held, free = (tmp_path / f".x.json.{digit * 32}" for digit in "ab")
    other, linked = tmp_path / ".other.json", tmp_path / f".l.{'c' * 32}"
    for path in (held, free, other):
        path.touch()
        aged(path, 1e6)
    linked.symlink_to(other)
    with held.open("rb") as file:
        assert leftovers.hold(file.fileno())
        leftovers.clear_in(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {held.name, other.name, linked.name}
    leftovers.clear_in(tmp_path)
    assert not held.exists() and other.exists() and linked.is_symlink()


@pytest.mark.parametrize("prefix", ["ganbench-", ".publish-", ".confined-"])
def test_folders_that_were_left(prefix: str, tmp_path: Path) -> None:
    left = tmp_path / f"{prefix}abcd1234"
    (left / "inside").mkdir(parents=True)
    aged(left, 1e6)
    with leftovers.held_folder(tmp_path, prefix) as mine:
        assert not left.exists() and mine.is_dir()
        aged(mine, 1e6)
        with leftovers.held_folder(tmp_path, prefix):
            assert mine.is_dir()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("prefix", [".*-", ".[a-z]*-", ".**-"])
def test_a_name_is_no_pattern(prefix: str, tmp_path: Path) -> None:
    """A site that is asked for as `*` would have somebody's hidden folder removed."""
    other = tmp_path / ".mine-abcd1234"
    other.mkdir()
    aged(other, 1e6)
    with leftovers.held_folder(tmp_path, prefix):
        assert other.is_dir()
    assert list(tmp_path.iterdir()) == [other]


def test_the_folder_of_a_confined_process_is_no_leftover() -> None:
    """It may have been there for hours: what is written lies deeper."""
    with leftovers.held_folder() as folder:
        aged(folder, 1e6)
        with leftovers.held_folder(folder.parent):
            assert folder.is_dir()


def test_a_live_lock_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "toy" / "x.json"
    lock = path.with_name(".x.json.lock")
    with files.locked(path):
        leftovers.clear_in(path.parent)
        assert lock.exists()
    assert not lock.exists()
    lock.touch()  # of a process that was killed
    files.check_writable(path.parent)
    assert not lock.exists()


def test_many_writers_of_one_entry(tmp_path: Path, tried: Counter[str]) -> None:
    """Each with a seed of its own, while locks come and go; in threads, each with its own lock."""
    with ThreadPoolExecutor(WRITERS) as pool:
        done = [pool.submit(store.add, a_result(a_seed(i)), tmp_path) for i in range(WRITERS)]
    assert not [each for each in done if each.exception()]
    (path,) = store.result_files(tmp_path)
    assert [seed.seed for seed in schema.load_result(path).seeds] == list(range(WRITERS))
    assert set(content(tmp_path)) == {"toy/my_gan.json"}
    tried["writers at once, threads"] += WRITERS


ADD = """
import sys; from pathlib import Path; sys.path.insert(0, {tests!r})
from made import a_result, a_seed; from ganbench.results import store
for seed in range(int(sys.argv[1]), 96, 32): store.add(a_result(a_seed(seed)), Path({root!r}))
"""


ADD_FOR_EVER = """
import sys; from pathlib import Path; sys.path.insert(0, {tests!r})
from made import a_result, a_seed; from ganbench.results import store
for seed in range(int(sys.argv[1]), 10**6, 8):
    store.add(a_result(a_seed(seed)), Path({root!r})); print(seed, flush=True)
"""


@pytest.mark.slow
def test_writers_of_one_entry_that_are_killed(tmp_path: Path, tried: Counter[str]) -> None:
    """What one has been told is there stays there, and nobody waits for the dead."""
    code = ADD_FOR_EVER.format(tests=str(ROOT / "tests"), root=str(tmp_path))
    rng, told = random.Random(0), set()
    for first in range(0, 8 * (1 if times() == 1 else 20), 8):
        run = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(100_000 + 1_000 * first + number)],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(8)
        ]
        for each in run:
            assert each.stdout is not None
            told.add(int(each.stdout.readline()))
        for each in run:
            time.sleep(rng.uniform(0.0, 0.2))
            each.kill()
            told |= {int(line) for line in each.communicate()[0].split()}
        tried["kills of a writer of an entry"] += len(run)
    store.add(a_result(a_seed(0)), tmp_path)
    (path,) = store.result_files(tmp_path)
    assert {0, *told} <= {seed.seed for seed in schema.load_result(path).seeds}
    tried["seeds added beside kills"] += len(told)


@long_form
@pytest.mark.slow
def test_many_processes_of_one_entry(tmp_path: Path, tried: Counter[str]) -> None:
    code = ADD.format(tests=str(ROOT / "tests"), root=str(tmp_path))
    run = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number)], env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        for number in range(WRITERS)
    ]
    assert [each.wait() for each in run] == [0] * WRITERS
    (path,) = store.result_files(tmp_path)
    assert [seed.seed for seed in schema.load_result(path).seeds] == list(range(3 * WRITERS))
    assert set(content(tmp_path)) == {"toy/my_gan.json"}
    tried["writers at once, processes"] += WRITERS
