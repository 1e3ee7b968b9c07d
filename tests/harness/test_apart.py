"""A worker's two processes: what a GAN does to its own, the one that judges it has no part in."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ganbench.errors import InputError
from ganbench.harness import apart
from ganbench.harness.apart import Overseen
from ganbench.harness.spec import Spec, look_up, task_of
from ganbench.harness.train import Slot, slots_of, train_seeds
from ganbench.harness.workers import train_all
from ganbench.results.schema import SeedResult
from ganbench.system.limits import LONGEST

from ..made import a_seed

GAN = """
import ctypes, gc, os, sys, time
from multiprocessing.connection import Connection
import torch
from ganbench.core import Task

class Uniform:
    def __init__(self, task):
        self.task, self.steps = task, 0

    def train_step(self, real):
        self.steps += 1
        if self.steps == 5:
            {what}
        return {{"loss": torch.tensor(1.0)}}

    def sample(self, n):
        return torch.rand(n, *self.task.shape)

def GAN(task, *, device="cpu"):
    return Uniform(task)
"""


def spec_of(folder: Path, what: str = "pass", **more: Any) -> Spec:
    """A GAN of uniform samples that does something at the fifth of its 20 steps."""
    folder.mkdir(exist_ok=True)
    path = folder / "uniform.py"
    path.write_text(GAN.format(what=what))
    return Spec(task="dirac", steps=20, baseline=str(path), folder=folder / "run", **more)


def trained(spec: Spec, seeds: range = range(1)) -> list[SeedResult]:
    found = train_all([look_up(spec)], seeds, 1, lambda _: None, None, apart=True)
    return sorted((seed for _, seed in found), key=lambda seed: seed.seed)


def figures(seed: SeedResult) -> dict[str, Any]:
    """All of a result but for the clock's and the memory's, and who has judged it."""
    kept = seed.model_dump(exclude={"timing", "peak_memory_bytes", "judged_apart"})
    kept["curve"] = [{**point, "train_seconds": 0} for point in kept["curve"]]
    return kept


@pytest.mark.parametrize("baseline", ["mlp_gan", "oracle", "replay"])
@pytest.mark.slow
def test_judged_apart_as_in_one_process(tmp_path: Path, baseline: str) -> None:
    spec = Spec(task="gaussian", baseline=baseline, steps=40, compiled=False)
    alone, both = (look_up(spec).in_folder(tmp_path / name) for name in ("alone", "both"))
    one = list(train_seeds(alone, [0, 1]))
    other = trained(both.spec, range(2))
    assert [figures(seed) for seed in one] == [figures(seed) for seed in other]
    assert not any(seed.judged_apart for seed in one)
    assert all(seed.judged_apart for seed in other)


def test_a_limit_may_be_longer_than_the_system_can_wait(tmp_path: Path) -> None:
    (seed,) = trained(spec_of(tmp_path, time_limit=LONGEST))
    assert seed.status == "ok", seed.reason


CHANGES = {
    "the metrics": "Task.evaluate_all = lambda self, *_: [dict.fromkeys(self.bounds, 0.0)]",
    "the bounds": "self.task.bounds.update(dict.fromkeys(self.task.bounds, None))",
    "the score": "import ganbench.scoring as s; s.mean = lambda known: 1.0",
    "the judge": "from ganbench.harness import judge; judge.Judge.complete = None",
}


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.slow
def test_what_is_patched_changes_no_figure(tmp_path: Path, how: str) -> None:
    (honest,) = trained(spec_of(tmp_path / "honest"))
    (patched,) = trained(spec_of(tmp_path / "patched", CHANGES[how]))
    assert honest.status == "ok"
    assert figures(patched) == figures(honest)


ENDS = {
    "os._exit(0)": "its process has ended (exit code 0)",
    "os._exit(3)": "its process has ended (exit code 3)",
    "ctypes.string_at(0)": "its process has ended (SIGSEGV)",
    "os.abort()": "its process has ended (SIGABRT)",
    "sys.exit(0)": "step 5: SystemExit in Uniform.train_step (uniform.py:14): 0",
    "self.task.reference": (
        "step 5: a GAN may not look at task.reference, which it is judged against"
    ),
    "self.task.sample(3, torch.default_generator)": (
        "step 5: a GAN may not call task.sample: it learns from the batches it is dealt"
    ),
}


@pytest.mark.parametrize("what", ENDS)
@pytest.mark.slow
def test_a_seed_that_ends_its_process_has_failed_and_the_others_go_on(
    tmp_path: Path, what: str
) -> None:
    mark = repr(str(tmp_path / "once"))
    once = f"os.path.exists({mark}) or (open({mark}, 'w').close(), {what})"
    first, second = trained(spec_of(tmp_path, once), range(2))
    assert (first.status, first.score, first.reason) == ("failed", -1.0, ENDS[what])
    assert (second.status, second.reason) == ("ok", None)


LATER = "vars(sys.modules['ganbench.harness.messages']).update(receive=lambda _: os._exit(3))"


@pytest.mark.slow
def test_a_seed_whose_process_ends_while_it_is_judged_has_failed(tmp_path: Path) -> None:
    """The judge's answer then reaches nobody; no seed vanishes for that."""
    spec = replace(spec_of(tmp_path), task="gaussian")
    path = Path(spec.baseline)
    mark = repr(str(tmp_path / "once"))
    once = f"os.path.exists({mark}) or (open({mark}, 'w').close(), {LATER})"
    last = f"self.steps == 20 and ({once})"
    path.write_text(path.read_text().replace("(self, n):", f"(self, n):\n        {last}"))
    first, second = trained(spec, range(2))
    assert (first.status, first.reason) == ("failed", ENDS["os._exit(3)"])
    assert (second.status, second.reason) == ("ok", None)


COPIES = {
    "a task of its own": "from ganbench import registry; task = registry.load_task('ring8')",
    "what its process holds": "task = next(o for o in gc.get_objects() if type(o) is Task)",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", COPIES)
def test_copies_of_the_reference_have_failed_however_it_was_got(tmp_path: Path, how: str) -> None:
    what = f"{COPIES[how]}; self.sample = lambda n: task.reference[:n]"
    (seed,) = trained(replace(spec_of(tmp_path, what), task="ring8"))
    assert (seed.status, seed.score) == ("failed", -1.0)
    assert seed.reason is not None and seed.reason.startswith("samples are copies of the reference")


@pytest.mark.slow
def test_a_seed_that_hangs_is_ended(tmp_path: Path) -> None:
    (seed,) = trained(spec_of(tmp_path, "time.sleep(600)", time_limit=4.0))
    reason = "it has taken longer than the limit of 4 s a seed"
    assert (seed.status, seed.score, seed.reason) == ("failed", -1.0, reason)


@pytest.mark.slow
def test_a_clock_that_stands_still_is_found(tmp_path: Path) -> None:
    stopped = "now = time.perf_counter(); time.perf_counter = lambda: now; time.sleep(8)"
    (seed,) = trained(spec_of(tmp_path, stopped))
    assert seed.status == "failed"
    assert seed.reason is not None
    assert seed.reason.startswith("its clock shows ")


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ((30.0, 30.0, 30.0), "diverged"),
        ((1.0, 88.0, 1.0), "diverged"),  # all were stopped while the second was at work
        ((30.0, 1.0, 30.0), "failed"),
        ((1.0, 1.0, 1.0), "failed"),
    ],
)
def test_seeds_that_share_a_clock_are_timed_together(
    monkeypatch: pytest.MonkeyPatch, claims: tuple[float, ...], status: str
) -> None:
    """A stack of three takes 90 s."""
    told: list[tuple[str, tuple[Slot, SeedResult]]] = []
    spec = Spec(task="dirac", baseline="mlp_gan")
    slots = slots_of(range(3))
    overseen = Overseen({0: spec}, task_of(spec), slots, lambda *said: told.append(said), Event())
    now = 0.0
    monkeypatch.setattr(apart.time, "monotonic", lambda: now)
    for slot in slots:
        overseen._begin(slot)
    now = 90.0
    for slot, claimed in zip(slots, claims, strict=True):
        assert told == []
        result = a_seed(slot.seed, "diverged")
        result.timing.wall_seconds = claimed
        overseen._complete(slot, result, None)
    assert [slot for _, (slot, _) in told] == slots
    assert {seed.status for _, (_, seed) in told} == {status}
    if status == "failed":
        reason = told[0][1][1].reason
        assert reason is not None and reason.endswith(" s where the judge's shows 90.0 s")
    assert not overseen.left


JUNK = {
    "send_bytes(b'junk')": "JSONDecodeError: Expecting value",
    "send_bytes(b'[1, 2, 3]')": "TypeError: a message has a kind and a body",
    "send_bytes(b'[\"score\", {}, [-1]]')": "TypeError: a shape has whole numbers",
    "send_bytes(b'[\"score\", {}, [9]]') or each.send_bytes(b'x' * 99)": "OSError: bad",
    "send_bytes(b'[\"pay\", {}, null]')": "of kind 'pay'",
    'send_bytes(b\'["progress", {"seed": []}, null]\')': "6 validation errors for Progress",
    'send_bytes(b\'["result", {"result": {}}, null]\')': "11 validation errors for SeedResult",
    "send_bytes(b'[' * 9999)": "RecursionError",
    "send(print)": "UnicodeDecodeError",
    "close()": "its process has ended (exit code 0)",
}


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.slow
def test_words_of_a_gan_s_own_are_no_messages(tmp_path: Path, junk: str) -> None:
    """It finds the pipe to the judge, and says something else there."""
    pipes = "[each for each in gc.get_objects() if isinstance(each, Connection)]"
    opened = f"[each for each in {pipes} if not each.closed and each.writable]"
    (seed,) = trained(spec_of(tmp_path, f"[each.{junk} for each in {opened}]"))
    assert seed.status == "failed"
    assert JUNK[junk] in (seed.reason or "")


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 2, 7])
def test_the_judge_answers_each_round_once(asked: int, tmp_path: Path) -> None:
    """Whoever asks it beside that, to hand in what scores best, has failed."""
    find = "next(each for each in gc.get_objects() if type(each).__name__ == 'Elsewhere')"
    ask = f"{find}.score({asked}, {{0: torch.zeros(1024, 1)}})"
    (seed,) = trained(spec_of(tmp_path, ask))
    assert seed.status == "failed"
    assert f"of round {asked + 1}, which is not its next one" in (seed.reason or "")


@pytest.mark.slow
def test_a_worker_that_is_killed_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a worker died, perhaps for want of memory: go on with"):
        trained(spec_of(tmp_path, "os.kill(os.getpid(), 9)"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc, as Linux has it")
def test_what_a_gan_has_started_ends_with_it(tmp_path: Path) -> None:
    """Even the child that holds the pipe open."""
    pid = tmp_path / "pid"
    write = f"open({str(pid)!r}, 'w').write(str(os.getpid()))"
    until = f"[time.sleep(0.01) for _ in iter(lambda: os.path.exists({str(pid)!r}), True)]"
    (seed,) = trained(spec_of(tmp_path, f"{until} if os.fork() else ({write}, time.sleep(600))"))
    assert seed.status == "ok"
    state, deadline = Path("/proc", pid.read_text(), "stat"), time.monotonic() + 10
    while state.exists() and state.read_text().split()[2] != "Z":  # where none asks after it
        assert time.monotonic() < deadline, "its child is there still"
        time.sleep(0.01)


@pytest.mark.slow
def test_errors_keep_their_kind(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    Path(spec.baseline).write_text("def GAN(task, *, device='cpu'):\n    raise OSError('broken')\n")
    with pytest.raises(InputError, match=r"uniform\.py: GAN\(\.\.\.\) raised OSError in GAN"):
        trained(spec)
