"""`ganbench sweep --engine ray`, on a cluster of three nodes of one core each on this machine.

Whatever happens to nodes, to the command, or to an entry, its results are those of a local sweep.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ganbench.cli import main
from ganbench.harness.sweep import SPEEDS

ROOT = Path(__file__).parents[2]
NODE = {"object_store_memory": 80 * 2**20}
PATIENCE = 300.0  # seconds that anything may take
OWN = """
import os
import time
import torch
from beside import WIDTH

class GAN:
    def __init__(self, task, *, device="cpu"):
        self.seen = torch.zeros(())

    def train_step(self, real):
        self.seen += 1
        if self.seen == 1:
            with open(os.environ["GANBENCH_TEST_PIDS"], "a") as file:
                file.write(f"{os.getpid()}\\n")
        time.sleep(0.03)
        return {"seen": self.seen, "drawn": torch.randn(())}

    def sample(self, n):
        return WIDTH * torch.randn(n, 2)
"""
POISONED = """
import os

class GAN:
    def __init__(self, task, *, device="cpu"):
        pass

    def train_step(self, real):
        DEADLY

    def sample(self, n):
        return real
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without cores, and three nodes of one core; gone afterwards, with all their files."""
    utils = pytest.importorskip("ray.cluster_utils")
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets need a short path
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else others of this machine come first
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("TMPDIR", folder)
        patch.setenv("GANBENCH_TEST_PIDS", str(Path(folder, "pids")))
        soon = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
        Path(folder, "ray").mkdir()  # where Ray notes which cluster is here
        head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": folder}
        made = utils.Cluster(
            initialize_head=True, head_node_args={**NODE, **head, "_system_config": soon}
        )
        try:
            for _ in range(3):
                made.add_node(num_cpus=1, **NODE)
            yield made
        finally:
            made.shutdown()
            within_patience(lambda: not processes_of(folder))
            shutil.rmtree(folder)


def sweep_of(folder: Path, *baselines: str, seeds: int) -> Path:
    """A sweep of these on one task, in a folder with a GAN of our own and a module beside it."""
    (folder / "own.py").write_text(OWN)
    (folder / "beside.py").write_text("WIDTH = 2.0\n")
    path, names = folder / "board.toml", list(baselines)
    path.write_text(
        f"seeds = {seeds}\nbudget = 'smoke'\ntasks = ['gaussian']\nbaselines = {names}\n"
    )
    return path


@pytest.fixture(scope="module")
def undisturbed(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep of a GAN that trains a seed at a time, and one that trains all at once.

    It was run locally.
    """
    folder = tmp_path_factory.mktemp("undisturbed")
    made = locally(sweep_of(folder, "own.py", "mlp_gan", seeds=3))
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture
def board(undisturbed: Path, tmp_path: Path) -> Path:
    """The same again, to be run on the cluster; how fast its entries train is known."""
    (tmp_path / "runs").mkdir()
    shutil.copy(undisturbed / "runs" / SPEEDS, tmp_path / "runs")
    return sweep_of(tmp_path, "own.py", "mlp_gan", seeds=3)


def processes_of(folder: str) -> list[int]:
    """The processes on whose command line a folder stands."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if folder in path.read_text():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it has ended since
    return found


def within_patience(holds: Callable[[], Any]) -> None:
    """Wait until something holds; an error if it does not come to."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "waited for nothing"
        time.sleep(0.02)


def arguments(board: Path, *more: str) -> list[str]:
    folder = board.parent
    where = ["--leaderboard", str(folder / "lb"), "--out", str(folder / "runs")]
    return ["sweep", str(board), *where, *more]


def locally(board: Path) -> Result:
    """The sweep in processes of this machine."""
    return CliRunner().invoke(main, arguments(board, "--workers", "1"))


@contextmanager
def begun(board: Path, cluster: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The sweep on the cluster, in a process of its own; what it says is in a file beside."""
    given = arguments(board, "--engine", "ray", "--address", cluster.address)
    program = [sys.executable, "-m", "ganbench", *given]
    with (board.parent / "said").open("w") as file:
        process = subprocess.Popen(program, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(board: Path) -> str:
    return (board.parent / "said").read_text()


def results(folder: Path) -> dict[str, Any]:
    """All of the results that does not depend on the clock or on the time of day."""
    found = {}
    for path in sorted((folder / "lb").glob("*/*.json")):
        document = json.loads(path.read_text())
        for seed in document["seeds"]:
            for timed in ("timing", "peak_memory_bytes"):
                del seed[timed]
            for point in seed["curve"]:
                del point["train_seconds"]
        del document["created_at"]
        found[path.stem] = document
    return found


def left(folder: Path) -> dict[str, bytes | None]:
    """The files of the runs that have a result; of samples the content too."""
    runs = folder / "runs" / "gaussian"
    return {
        path.relative_to(runs).as_posix(): path.read_bytes() if path.suffix == ".npz" else None
        for name in results(folder)
        for path in sorted((runs / name).rglob("*"))
        if path.is_file()
    }


def check_same(folder: Path, other: Path) -> None:
    """That two sweeps have left the same, and that all seeds were judged apart."""
    assert results(folder) == results(other)
    assert left(folder) == left(other)
    seeds = [seed for each in results(folder).values() for seed in each["seeds"]]
    assert seeds and all(seed["judged_apart"] for seed in seeds)


@pytest.mark.slow
def test_a_node_dies_in_the_middle(board: Path, undisturbed: Path, cluster: Any) -> None:
    """Its seeds are trained on the others."""
    dying = sorted(cluster.worker_nodes, key=lambda node: node.node_id)[0]
    with begun(board, cluster) as process:
        within_patience(lambda: said(board).count("step 25/50") >= 2 or process.poll() is not None)
        cluster.remove_node(dying, allow_graceful=False)
        process.wait(PATIENCE)
    cluster.add_node(num_cpus=1, **NODE)
    assert process.returncode == 0, said(board)
    assert "are tried again" in said(board)
    check_same(board.parent, undisturbed)


@pytest.mark.slow
@pytest.mark.long
def test_the_command_is_killed_and_begun_again(
    board: Path, undisturbed: Path, cluster: Any
) -> None:
    """What it trained ends with it; seeds that were done by then are not trained again."""
    result = board.parent / "lb/gaussian/own-smoke.json"
    with begun(board, cluster) as process:
        within_patience(lambda: result.is_file() or process.poll() is not None)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    done = {seed["seed"] for seed in json.loads(result.read_text())["seeds"]}
    assert 0 < len(done) < 3
    pids = Path(os.environ["GANBENCH_TEST_PIDS"]).read_text().split()
    within_patience(lambda: not any(Path("/proc", pid).exists() for pid in pids))
    with begun(board, cluster) as process:
        process.wait(PATIENCE)
    assert process.returncode == 0, said(board)
    assert f"{3 - len(done)} of 3 seeds, {len(done)} of 3 seeds" in said(board)
    trained = {seed for seed in range(3) if f"own-smoke seed {seed}  step" in said(board)}
    assert trained == {0, 1, 2} - done
    check_same(board.parent, undisturbed)


@pytest.mark.slow
@pytest.mark.long
def test_a_poisoned_entry_stops_nothing(tmp_path: Path, cluster: Any) -> None:
    """One that ends its process, one that kills it, one that is no Python."""
    boards = []
    for place in ("ray", "local"):
        (tmp_path / place).mkdir()
        for name, deadly in (("exits", "os._exit(3)"), ("killed", "os.kill(os.getpid(), 9)")):
            text = POISONED.replace("DEADLY", deadly)
            (tmp_path / place / f"{name}.py").write_text(text)
        (tmp_path / place / "torn.py").write_text("class GAN(:")
        names = ("exits.py", "killed.py", "torn.py", "moment_matching")
        boards.append(sweep_of(tmp_path / place, *names, seeds=1))
    local = locally(boards[1])
    with begun(boards[0], cluster) as process:
        process.wait(PATIENCE)
    lines = [line for line in local.stderr.splitlines() if " on gaussian: " in line]
    assert [line.split()[0] for line in lines] == ["exits-smoke", "killed-smoke", "torn"]
    assert local.exit_code == process.returncode == 1
    assert set(lines) <= set(said(boards[0]).splitlines())
    assert said(boards[0]).count("killed-smoke seed 0  a worker died") == 2  # tries, then gives up
    assert list(results(boards[0].parent)) == ["moment_matching-smoke"]
    check_same(boards[0].parent, boards[1].parent)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--address", "127.0.0.1:1"], "--address is of a Ray cluster: give --engine ray too"),
        (["--engine", "ray", "--address", "127.0.0.1:1"], "no Ray cluster at '127.0.0.1:1'"),
        (["--engine", "ray", "--address", "ray://here:1"], "'ray://here:1' is no address"),
    ],
)
def test_where_there_is_no_cluster(tmp_path: Path, more: list[str], line: str) -> None:
    pytest.importorskip("ray")
    made = CliRunner().invoke(main, arguments(sweep_of(tmp_path, "own.py", seeds=1), *more))
    assert made.exit_code == 2 and line in made.stderr


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    board = sweep_of(tmp_path, "own.py", seeds=1)
    made = CliRunner().invoke(main, arguments(board, "--engine", "ray"))
    assert made.exit_code == 2
    assert made.stderr == "Error: --engine ray needs Ray: pip install 'ganbench[ray]'\n"
