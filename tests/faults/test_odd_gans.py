"""GANs that do what nobody expects: harmless, or an end in one line, with nothing of another seed.

A case says where it does it: as the file is imported, as the GAN is made, at the third step, or as
samples are made; or what its step logs.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ganbench.cli import main
from ganbench.harness import pictures

from ..tiers import every

SOURCE = """
import builtins, decimal, gc, json, locale, os, random, resource, signal, sys, threading, time
import warnings
from collections.abc import Mapping
import numpy as np
import torch

class Quiet(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *_):
        raise RuntimeError("no")

class Short(torch.Tensor):
    shape = (1024, 1)

class Words(torch.Tensor):
    def detach(self):
        return self
    def float(self):
        return "numbers"

class Mine(BaseException):
    pass

class Mute(Exception):
    def __str__(self):
        return 1 / 0

class Shy:
    def __repr__(self):
        raise RuntimeError
    __float__ = __repr__

class Closed(Mapping):
    def __getitem__(self, name):
        raise RuntimeError("closed")
    def __iter__(self):
        yield "loss"
    def __len__(self):
        return 1

{module}

class GAN:
    def __init__(self, task, *, device="cpu"):
        self.shape, self.steps = task.shape, 0
        {init}

    def train_step(self, real):
        self.steps += 1
        if self.steps == 3:
            {step}
        return {log}

    def sample(self, n):
        x = torch.randn(n, *self.shape, dtype=torch.float32, device="cpu")
        {sample}
        return x
"""
NOTHING = {"module": "", "init": "pass", "step": "pass", "sample": "pass", "log": "{'loss': 1.0}"}
NUMBERS = "must return a dense tensor of numbers on task 'dirac', got "
SCALARS = "train_step must return named scalars, got loss"
NAMED = "train_step must name each scalar by a printable text of up to 100 characters, got "
# where: by what: words of the line; none for what does no harm
Cases = dict[str, dict[str, str | None]]
FAST: Cases = {
    "sample": {
        "x = x.to_sparse()": f"{NUMBERS}layout torch.sparse_coo",
        "x = torch.complex(x, x)": f"{NUMBERS}torch.complex64",
        "x = x[:5].as_subclass(Short)": "must return shape (1024, 1) on task 'dirac', got (5, 1)",
    },
    "log": {
        "{1: 1.0}": f"{NAMED}1",
        "{'loss': 1j}": f"{SCALARS}=1j",
        "{'step': 1.0}": "train_step may not log 'step', which each row has anyway",
    },
    "step": {
        "raise KeyboardInterrupt": "KeyboardInterrupt in GAN.train_step (odd.py:",
        "raise Mute": "Mute in GAN.train_step (odd.py:",
    },
}
SLOW: Cases = {
    "sample": {
        "x = x.to_sparse_csr()": f"{NUMBERS}layout torch.sparse_csr",
        "x = x.to_mkldnn()": f"{NUMBERS}layout torch._mkldnn",
        "x = x.to('meta')": f"{NUMBERS}one without data, on device meta",
        "x = torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)": f"{NUMBERS}torch.qint8",
        "x = torch.nested.nested_tensor(list(x))": f"{NUMBERS}a nested one",
        "x = x.double() * 1e300": "samples hold NaN or Inf after round 1",
        "raise Mine": "Mine in GAN.sample (odd.py:",
        "x = torch.complex(x, -x).conj().imag": None,
        "x = x.as_subclass(Quiet)": None,
        "x = x.as_subclass(Words)": None,
        "x = torch.nn.Parameter(x)": None,
        "x = x.double()": None,
    },
    "log": {
        "{None: 1.0}": f"{NAMED}None",
        "{(1, 2): 1.0}": f"{NAMED}(1, 2)",
        "{'a\\n[red]': 1.0}": f"{NAMED}'a\\n[red]'",
        "{'k' * 1000: 1.0}": f"{NAMED}'kkk",
        "{'loss': torch.tensor(1.0, device='meta')}": f"{SCALARS}=tensor(",
        "{'loss': torch.tensor(1.0).to_sparse()}": f"{SCALARS}=tensor(",
        "{'loss': Shy()}": f"{SCALARS}=a Shy",
        "{'loss': 10**5000}": f"{SCALARS}=a int",
        "Closed()": "the log of train_step cannot be read: RuntimeError",
        "{'loss': float('nan')}": "loss is nan at step 1",
        "{f'loss{self.steps}': 1.0}": None,
    },
    "init": {
        "raise Mine": "Mine in GAN.__init__ (odd.py:",
        "self.n = b'x' * 50_000_000": None,
        "self.n = torch.zeros(12_500_000)": None,
        "self.n = 10**5000": None,
        "self.n = torch.eye(3).to_sparse()": None,
        "self.n = torch.eye(3).to('meta')": None,
        "self.n = torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8)": None,
        "self.n = np.zeros(3, np.longdouble)": None,
        "self.n = np.zeros(3, '>f4')": None,
        "self.n = []; self.n.append(self.n)": None,
        "self.n = threading.Lock()": None,
    },
    "step": {
        "raise GeneratorExit": "GeneratorExit in GAN.train_step (odd.py:",
        "raise Mine": "Mine in GAN.train_step (odd.py:",
        "sys.exit()": "SystemExit in GAN.train_step (odd.py:",
        "os._exit(0)": "its process has ended (exit code 0)",
        "signal.alarm(1); time.sleep(3)": "its process has ended (SIGALRM)",
        "json.dumps = None": "its process has ended (exit code 0)",
        "os.closerange(0, 200)": "its process has ended (exit code ",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))": ": File too large",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))": ": Too many open files",
        "torch.set_default_dtype(torch.float64)": None,
        "torch.set_num_threads(7)": None,
        "torch.set_grad_enabled(False)": None,
        "torch.manual_seed(0); random.seed(0); np.random.seed(0)": None,
        "os.chdir('/')": None,
        "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')": None,
        "os.umask(0o777)": None,
        "locale.setlocale(locale.LC_ALL, 'C')": None,
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)": None,
        "sys.stdout = sys.stderr = None": None,
        "os.close(0), os.close(1), os.close(2)": None,
        "warnings.simplefilter('error')": None,
        "sys.setrecursionlimit(100)": None,
        "os.environ.clear(), sys.path.clear()": None,
        "os.fork()": None,
        "os.fork() or time.sleep(600)": None,
        "threading.Thread(target=time.sleep, args=(600,)).start()": None,
        "print('y' * 5_000_000)": None,
    },
    "module": {
        "raise Mine": "odd.py cannot be imported: Mine in <module> (odd.py:",
        "os._exit(0)": "odd.py cannot be imported: SystemExit in <module> (odd.py:",
        "raise GeneratorExit": "odd.py cannot be imported: GeneratorExit in <module> (odd.py:",
        "os.chdir('/')": None,
        "os.umask(0o777)": None,
        "torch.set_default_dtype(torch.float64)": None,
        "sys.stdout = sys.stderr = None": None,
        "sys.path.clear()": None,
        "signal.signal(signal.SIGINT, signal.SIG_IGN)": None,
        "warnings.simplefilter('error')": None,
    },
}


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, **what: str) -> tuple[Any, list[Any]]:
    """What a command says of two seeds, and these: status, step, samples, metrics and curve."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(pictures, "draw", lambda *_: [])
    Path("odd.py").write_text(SOURCE.format(**{**NOTHING, **what}))
    how = ["--task", "dirac", "--steps", "10", "--quiet", "--workers", "1", "--seeds", "2"]
    done = CliRunner().invoke(main, ["run", "odd.py", *how])
    found = []
    for path in sorted(Path("runs").rglob("result.json")):
        seed = json.loads(path.read_text())
        known = ("seed", "status", "samples_sha256", "metrics", "score")
        found.append([*(seed[name] for name in known), [each["metrics"] for each in seed["curve"]]])
    return done, found


def tried_one(
    where: str, what: str, words: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, found = run(folder / "odd", monkeypatch, **{where: what})
    assert "Traceback" not in done.output, done.output
    if words is None:
        honest, plain = run(folder / "plain", monkeypatch)
        assert done.exit_code == honest.exit_code == 0, done.output
        assert [seed[1] for seed in plain] == ["ok", "ok"]
        if "imag" not in what:
            assert found == plain
        return
    lines = done.stderr.splitlines()
    assert len(lines) == (2 if done.exit_code == 1 else 1), lines  # one for each seed
    assert done.exit_code in (1, 2) and all(words in line for line in lines), lines
    assert all(seed[1] in ("failed", "diverged") for seed in found)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["sys.exit(0)", "os._exit(0)"])
def test_a_gan_that_exits_is_no_success(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, found = run(tmp_path / "odd", monkeypatch, step=f"self.n == 5 and {what}")
    assert done.exit_code == 1, done.output
    assert [seed[1:2] + seed[4:5] for seed in found] == [["failed", -1.0]] * 2


def listed(cases: Cases) -> list[tuple[str, str, str | None]]:
    return [(where, what, words) for where, each in cases.items() for what, words in each.items()]


@pytest.mark.parametrize(("where", "what", "words"), listed(FAST))
def test_an_odd_gan(
    where: str,
    what: str,
    words: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tried: Counter[str],
) -> None:
    tried_one(where, what, words, tmp_path, monkeypatch)
    tried["odd GANs"] += 1


@pytest.mark.slow
@pytest.mark.parametrize(("where", "what", "words"), every(3, listed(SLOW)))
def test_an_odder_gan(
    where: str,
    what: str,
    words: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tried: Counter[str],
) -> None:
    tried_one(where, what, words, tmp_path, monkeypatch)
    tried["odd GANs"] += 1
