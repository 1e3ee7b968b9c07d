"""What a checkpoint of one's own GAN would not hold: then there is none, and a line says so."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ganbench.harness import checkpoint
from ganbench.harness.spec import Progress, Spec, look_up
from ganbench.harness.train import train_seeds
from ganbench.results.schema import SeedResult

FILE = """
import itertools
from collections import Counter, namedtuple
import torch
from torch import nn
{head}
class GAN:
    def __init__(self, task, *, device="cpu"):
        self.mean, self.net = torch.zeros(task.shape), nn.Linear(2, 2)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)
        {init}
    def train_step(self, real):
        {step}
        self.mean += w * (real.mean(0) - self.mean) / 100
    def sample(self, n):
        return self.mean + torch.randn(n, 2)
"""
FORGOTTEN = {
    "an object that is called": (
        "class Warm:\n    n = 0\n    def __call__(self): self.n += 1; return self.n",
        "self.warm = Warm()",
        "w = self.warm()",
        "gan.warm.n",
    ),
    "a closure": (
        "def make():\n    n = [0]\n    def f(): n[0] += 1; return n[0]\n    return f",
        "self.warm = make()",
        "w = self.warm()",
        "gan.warm.n[0]",
    ),
    "a bound method": ("", "self.warm = itertools.count().__next__", "w = self.warm()", "gan.warm"),
    "an attribute of the class": ("", "pass", "GAN.n = w = getattr(GAN, 'n', 0) + 1", "gan.n"),
    "a global": ("N = 0", "pass", "global N; N += 1; w = N", "gan.train_step:N"),
    "an attribute of a network": (
        "class Net(nn.Linear): n = 0",
        "self.net = Net(2, 2)",
        "self.net.n += 1; w = self.net.n",
        "gan.net.n",
    ),
    "a buffer that a network does not keep": (
        "",
        "self.net.register_buffer('n', torch.zeros(()), persistent=False)",
        "self.net.n += 1; w = self.net.n",
        "gan.net.n",
    ),
    "an attribute of an optimiser": (
        "class Counting(torch.optim.SGD): n = 0",
        "self.optimizer = Counting(self.net.parameters(), lr=0.1)",
        "self.optimizer.n += 1; w = self.optimizer.n",
        "gan.optimizer.n",
    ),
    "names of one list": (
        "",
        "self.a = self.b = [1]",
        "self.a[0] += 1; w = self.b[0]",
        "b and a of GAN are one object",
    ),
    "names of one tensor that a step made": (
        "",
        "self.a = self.b = torch.ones(1)",
        "self.a = self.b = self.a.clone(); self.a += 1; w = self.b",
        "a and b of GAN are one object",
    ),
    "an array and a view of it": (
        "import numpy as np",
        "self.a = np.ones(3); self.b = self.a[:-3:-1]",
        "self.a[1] += 1; w = float(self.b[-1])",
        "a and b of GAN are one object",
    ),
    "an array and a tensor of its numbers": (
        "import numpy as np",
        "self.a = np.ones(3); self.b = torch.from_numpy(self.a)",
        "self.a[1] += 1; w = self.b[1]",
        "b and a of GAN are one object",
    ),
    "a parameter that a step made": (
        "",
        "self.w = torch.ones(1, requires_grad=True)",
        "self.w = self.w.detach().clone(); self.optimizer.param_groups[0]['params'] = [self.w]; "
        "w = self.w",
        "a parameter of optimizer (0) and w of GAN are one object",
    ),
    "a kind of dict": (
        "",
        "self.c = Counter()",
        "self.c['n'] += 1; w = self.c['n']",
        "'c' (Counter)",
    ),
    "a kind of tuple": (
        "P = namedtuple('P', 'x')",
        "self.p = P(1)",
        "self.p = P(self.p.x + 1); w = self.p.x",
        "'p' (P)",
    ),
}


def run(folder: Path, head: str, init: str, step: str) -> list[str]:
    """The notes of a run of two rounds, which ends well."""
    source = folder / "my_gan.py"
    source.write_text(FILE.format(head=head, init=init, step=step))
    notes = []

    def report(progress: Progress) -> None:
        notes.append(progress.note)

    job = look_up(Spec(task="gaussian", baseline=str(source), steps=2, folder=folder))
    (result,) = train_seeds(job, [0], report=report)
    assert result.status == "ok"
    return [note for note in notes if note]


@pytest.mark.parametrize("name", FORGOTTEN)
def test_is_not_saved_and_why(name: str, tmp_path: Path) -> None:
    head, init, step, what = FORGOTTEN[name]
    (note,) = run(tmp_path, head, init, step)
    assert note.startswith("no checkpoints: ") and what in note
    assert not (tmp_path / "seed-0" / checkpoint.FILE).exists()


LATER = """
import torch
from torch import nn
class Grows(nn.Linear):
    alpha = 0.0
class GAN:
    def __init__(self, task, *, device="cpu"):
        self.net, self.steps = Grows(2, 2), 0
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)
    def train_step(self, real):
        self.steps += 1
        {step}
        self.optimizer.zero_grad()
        (self.net(real) - real).square().mean().backward()
        self.optimizer.step()
    def sample(self, n):
        return (1 + self.net.alpha) * self.net(torch.randn(n, 2)).detach()
"""


def stopped_and_whole(step: str, folder: Path, *, after: int) -> tuple[SeedResult, SeedResult, str]:
    """A run of eight steps and rounds, stopped after some and resumed; one that is not; the notes.

    A second run is as a new process would be: the file is executed anew.
    """
    source, stop, notes = folder / "my_gan.py", threading.Event(), []
    source.write_text(LATER.format(step=step))
    spec = Spec(task="gaussian", baseline=str(source), steps=8, resume=True)

    def report(progress: Progress) -> None:
        notes.append(progress.note)
        if progress.position is not None and progress.step >= after:
            stop.set()

    job = look_up(replace(spec, folder=folder / "stopped"))
    (first,) = train_seeds(job, [0], report=report, stop=stop)
    assert first.status == "interrupted"
    (resumed,) = train_seeds(job, [0])
    (whole,) = train_seeds(job.in_folder(folder / "whole"), [0])
    return resumed, whole, "".join(notes)


def test_what_changes_after_the_first_checkpoint_is_not_lost(tmp_path: Path) -> None:
    """As `alpha` of a progressive growing: the checkpoint of before it changed stays."""
    step = "self.net.alpha = max(0.0, (self.steps - 2) / 10)"
    resumed, whole, notes = stopped_and_whole(step, tmp_path, after=3)
    assert notes.startswith("no checkpoints: one would not hold gan.net.alpha")
    assert resumed.samples_sha256 == whole.samples_sha256


def test_what_is_not_trained_any_more_stays_so(tmp_path: Path) -> None:
    step = "self.net.weight.requires_grad_(self.steps % 2 == 1 if self.steps < 3 else self.net"
    step += ".weight.requires_grad)"
    resumed, whole, notes = stopped_and_whole(step, tmp_path, after=2)
    assert notes == ""
    assert resumed.samples_sha256 == whole.samples_sha256


@pytest.mark.parametrize(
    ("head", "init", "step"),
    [
        ("", "self.n = 0", "self.n += 1; w = self.n"),
        ("", "GAN.n = 0", "self.n += 1; w = self.n"),
        ("from random import gauss", "pass", "w = gauss(0, 1)"),
        (
            "import numpy as np",
            "self.x = np.float32(1)",
            "self.x *= np.float32(1.1); w = self.x.item()",
        ),
        ("", "self.rng = torch.Generator()", "w = torch.rand((), generator=self.rng)"),
        ("", "self.last = None", "self.last = real * 2; w = self.last.mean()"),
        ("SCALES = {'w': 2}", "self.f = lambda x: x * SCALES['w']", "w = self.f(1)"),
        (
            "from functools import lru_cache\n@lru_cache\ndef scale(n): return torch.ones(n)",
            "pass",
            "w = scale(2)",
        ),
        (
            "",
            "self.s = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda n: 0.9**n)",
            "self.optimizer.step(); self.s.step(); w = self.s.get_last_lr()[0]",
        ),
    ],
)
def test_what_it_holds_is_saved(head: str, init: str, step: str, tmp_path: Path) -> None:
    assert run(tmp_path, head, init, step) == []
    assert (tmp_path / "seed-0" / checkpoint.FILE).is_file()
