"""Seeds of entries, spread over the nodes of a Ray cluster, which need share no files.

What goes to a node are a spec, the sources that it has not, and some seeds; what comes back is what
a worker says, and with the result of a seed all files of its folder. A node runs the same two
processes as a local worker. Nothing here imports ray before a cluster is asked for.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ganbench
from ganbench import registry
from ganbench.errors import InputError, first_line
from ganbench.harness.apart import DiedError
from ganbench.harness.spec import Job, Progress, Spec, Stop
from ganbench.harness.train import slots_of
from ganbench.harness.workers import Said, spread
from ganbench.results.schema import SeedResult
from ganbench.system import files, leftovers
from ganbench.system.modules import execute

TRIES = 3  # of seeds whose worker or node is lost
PATIENCE = 5.0  # seconds that a head node has to answer, and tasks that are given up to end
AHEAD = 2  # tasks for each core, so that none waits for the next
HINT = "start one with `ray start --head` and give its address with --address HOST:PORT"

Files = Mapping[str, bytes]  # by their names relative to a folder


@dataclass(frozen=True, kw_only=True)
class Task:
    """Some seeds of a spec for a node: with the files of what is not bundled, by their names.

    `code` is the hash of the ganbench that asks, which must be the node's too.
    """

    spec: Spec
    entry: str
    seeds: list[int]
    baseline: Files
    task: Files
    code: str


class OtherCodeError(InputError):
    """A node has another ganbench than the one that asks."""


@dataclass(kw_only=True)
class _Sent:
    """Seeds of a job that are on a node, or wait for one: those `left`, and what lost them last."""

    place: int
    job: Job
    left: list[int]
    tries: int = 0
    lost: InputError | None = None


@dataclass(frozen=True, kw_only=True)
class Over:
    """Nothing more comes of some seeds of a job that were given together."""


@contextmanager
def connected(address: str | None, most: int | None) -> Iterator[Nodes]:
    """The nodes of a running cluster, of which at most so many cores are used.

    InputError where ray is not installed, or no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray
    except ImportError as error:
        raise InputError("--engine ray needs Ray: pip install 'ganbench[ray]'") from error
    address = address or os.environ.get("RAY_ADDRESS") or "auto"
    _check_address(address)
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except Exception as error:  # of many kinds
        raise InputError(f"no Ray cluster at {address!r} ({first_line(error)}): {HINT}") from error
    try:
        yield Nodes(most)
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """InputError where nothing listens, which Ray itself would wait for, for minutes."""
    if address == "auto":
        return
    found = re.fullmatch(r"(.+):(\d{1,5})", address)
    if not found or "/" in address:
        raise InputError(f"{address!r} is no address of a head node: expected HOST:PORT")
    try:
        socket.create_connection((found[1].strip("[]"), int(found[2])), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster at {address!r} ({error}): {HINT}") from error


class Nodes:
    """The nodes of the cluster that this process is connected to."""

    def __init__(self, most: int | None) -> None:
        self._most, self._code = most, code_sha256()

    @property
    def cores(self) -> int:
        """How many cores there are by now, or as many as are to be used; at least 1."""
        import ray

        resources: Callable[[], dict[str, float]] = ray.cluster_resources
        there = int(resources().get("CPU", 0))
        return max(1, there if self._most is None else min(there, self._most))

    def spread(
        self, work: Iterator[tuple[int, Job, list[int]]], stop: Stop
    ) -> Generator[tuple[int, Said | Over], None, None]:
        """(place of a job, what a node says of its seeds), and that some given seeds are over.

        `work` are places, jobs and seeds that are to be trained together, taken as cores get free.
        Seeds whose worker or node is lost are tried again, `TRIES` times in all; then there is an
        error. What a seed left is in the job's folder before its result is said. A stop gives up
        what is being trained. InputError where a node has another ganbench, or none.
        """
        import ray

        again: deque[_Sent] = deque()
        running: dict[Any, _Sent] = {}
        begin = ray.remote(num_cpus=1, max_retries=0, num_returns="streaming")(train)
        try:
            while not stop.is_set():
                most = self.cores if self._most else AHEAD * self.cores
                while len(running) < most and (sent := _next(again, work)):
                    running[begin.remote(_packed(sent, self._code))] = sent
                if not running:
                    return
                ready, _ = ray.wait(list(running), timeout=0.5, fetch_local=False)
                for each in ready:
                    yield from self._hear(each, running, again)
        finally:
            _give_up(list(running))

    def _hear(
        self, node: Any, running: dict[Any, _Sent], again: deque[_Sent]
    ) -> Iterator[tuple[int, Said | Over]]:
        """Take what a node says, or that it has ended."""
        import ray

        sent = running[node]
        try:
            said, left = ray.get(next(node))
        except StopIteration:
            del running[node]
            yield from _ended(sent, again)
            return
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, OtherCodeError | ImportError):
                raise InputError(f"a node of the cluster: {first_line(error.cause)}") from error
            what = f"{type(error.cause).__name__}: {first_line(error.cause)}"
            sent.lost = InputError(f"a node failed: {what}")
            return
        except ray.exceptions.RayError as error:
            sent.lost = InputError(f"a worker or its node was lost ({type(error).__name__})")
            return
        if isinstance(said, DiedError):
            sent.lost = said
            return
        if isinstance(said, SeedResult):
            _write(sent.job.spec.folder / f"seed-{said.seed}", left)
            sent.left.remove(said.seed)
        elif isinstance(said, Exception):
            sent.left.clear()
        yield sent.place, said


def _next(again: deque[_Sent], work: Iterator[tuple[int, Job, list[int]]]) -> _Sent | None:
    """What was lost first, then what is new."""
    if again:
        return again.popleft()
    for place, job, seeds in work:
        return _Sent(place=place, job=job, left=list(seeds))
    return None


def _ended(sent: _Sent, again: deque[_Sent]) -> Iterator[tuple[int, Said | Over]]:
    """What follows from the end of a node's task: seeds that it has lost are tried again."""
    sent.tries += 1
    if sent.lost is not None and sent.left and sent.tries < TRIES:
        again.append(sent)
        yield sent.place, _note(sent)
        sent.lost = None
        return
    if sent.lost is not None and sent.left:
        yield sent.place, sent.lost
    yield sent.place, Over()


def _note(sent: _Sent) -> Progress:
    """What is said of seeds that are tried again."""
    return Progress(
        label=sent.job.spec.folder.name,
        seed=sent.left[0],
        step=0,
        steps=sent.job.budget.steps,
        train_seconds=0.0,
        losses={},
        note=f"{sent.lost}: seeds {', '.join(map(str, sent.left))} are tried again",
    )


def _give_up(running: list[Any]) -> None:
    """Have tasks end, and clear up behind them."""
    import ray

    for each in running:
        ray.cancel(each)
    if running:
        done = [each.completed() for each in running]
        ray.wait(done, num_returns=len(done), timeout=PATIENCE, fetch_local=False)


def _packed(sent: _Sent, code: str) -> Task:
    """What a node needs to train these seeds."""
    job, task = sent.job, registry.find("tasks", sent.job.spec.task)
    baseline = {} if job.baseline.bundled else job.baseline.sources
    own = {} if registry.is_bundled("tasks", task) else _task_files(task)
    return Task(
        spec=replace(job.spec, task=task.stem, baseline=job.baseline.name, resume=False),
        entry=job.spec.folder.name,
        seeds=list(sent.left),
        baseline={name: path.read_bytes() for name, path in baseline.items()},
        task={name: path.read_bytes() for name, path in own.items()},
        code=code,
    )


def _task_files(path: Path) -> dict[str, Path]:
    """A task's files by their names: its own, its neighbours, its floors and ceilings."""
    frozen = path.with_suffix(".json")
    return {**execute(path)[1], frozen.name: frozen}


def train(task: Task) -> Iterator[tuple[Said, Files]]:
    """Train seeds on this node: what their worker says, with a result what the seed left."""
    if task.code != code_sha256():
        place = Path(ganbench.__file__).parent
        raise OtherCodeError(f"{place} is not the ganbench that asks: install the same there")
    with leftovers.held_folder() as scratch:
        spec = _unpacked(task, scratch)
        work = spread([spec], [slots_of(task.seeds)], 1, threading.Event())
        with closing(work):
            for _, said in work:
                if isinstance(said, SeedResult):
                    yield said, _read(spec.folder / f"seed-{said.seed}")
                else:
                    yield said, {}


def _unpacked(task: Task, scratch: Path) -> Spec:
    """The spec of a task, whose sources are put into a folder."""
    spec = replace(task.spec, folder=scratch / "runs" / task.entry)
    if task.baseline:
        spec = replace(spec, baseline=_put(task.baseline, scratch / "baseline"))
    if task.task:
        spec = replace(spec, task=_put(task.task, scratch / "task"))
    return spec


def _put(content: Files, folder: Path) -> str:
    """Put files into a folder; the path of the first."""
    for name, each in content.items():
        files.write(folder / name, each)
    return str(folder / next(iter(content)))


def _read(folder: Path) -> Files:
    """All files of a folder."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _write(folder: Path, content: Files) -> None:
    """Put files into a folder, whose former ones are of an earlier run."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, each in content.items():
        files.write(folder / name, each)


def code_sha256() -> str:
    """Hash of the ganbench that runs here: modules, tasks, baselines and weights by their names."""
    package = Path(ganbench.__file__).parent
    folders = (package, registry.folder("tasks"), registry.folder("baselines"))
    found = {path for each in folders for path in each.rglob("*") if _is_code(path)}
    digest = hashlib.sha256()
    for path in sorted(found, key=lambda path: (path.parent.name, path.name)):
        digest.update(f"{path.parent.name}/{path.name} {files.file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _is_code(path: Path) -> bool:
    return path.suffix in (".py", ".json", ".safetensors") and "__pycache__" not in path.parts
