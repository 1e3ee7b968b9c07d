"""Broken GANs: each run ends with one line that says where and what, and with nothing on the board.

A case replaces a piece of a GAN that works. A marked line, `# HERE`, is one that the command's line
must name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import ganbench
from ganbench.cli import main
from ganbench.harness import pictures

GAME = """
from functools import partial
import torch
from torch import nn
from torch.nn.functional import softplus
from ganbench.core import Game

def d_loss(D, real, fake):
    return softplus(-D(real)).mean() + softplus(D(fake)).mean()

def g_loss(D, real, fake):
    return softplus(-D(fake)).mean()

def latent(n, rng):
    return torch.randn(n, 4, generator=rng)

class Net(nn.Module):
    def __init__(self, size, out):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(size, 8), nn.ReLU(), nn.Linear(8, out))

    def forward(self, x):
        return self.layers(x)

adam = partial(torch.optim.Adam, lr=1e-3)

def GAN(task, *, device="cpu"):
    return Game(
        generator=Net(4, 2),
        discriminator=Net(2, 1),
        latent=latent,
        d_loss=d_loss,
        g_loss=g_loss,
        d_optimizer=adam,
        g_optimizer=adam,
    )
"""
OBJECT = """
import torch
from torch import nn

class GAN:
    def __init__(self, task, *, device="cpu"):
        self.G = nn.Linear(4, 2)
        self.steps = 0

    def train_step(self, real):
        self.steps += 1
        return {"loss": self.G(torch.randn(len(real), 4)).mean()}

    def sample(self, n):
        return self.G(torch.randn(n, 4)).detach()
"""
D_LOSS = "    return softplus(-D(real)).mean() + softplus(D(fake)).mean()"
D_DEF = f"def d_loss(D, real, fake):\n{D_LOSS}"
G_LOSS = "    return softplus(-D(fake)).mean()"
G_DEF = f"def g_loss(D, real, fake):\n{G_LOSS}"
LATENT = "    return torch.randn(n, 4, generator=rng)"
LATENT_DEF = f"def latent(n, rng):\n{LATENT}"
LAYERS = "nn.Sequential(nn.Linear(size, 8), nn.ReLU(), nn.Linear(8, out))"
TRAIN = 'return {"loss": self.G(torch.randn(len(real), 4)).mean()}'
TRAIN_DEF = f"    def train_step(self, real):\n        self.steps += 1\n        {TRAIN}"
SAMPLE = "return self.G(torch.randn(n, 4)).detach()"
HERE = "  # HERE"

# name: (what is replaced, by what, words of the line)
Case = tuple[str, str, tuple[str, ...]]
IN_A_GAME: dict[str, Case] = {
    "layers in a plain list": (
        f"{LAYERS}\n\n    def forward(self, x):\n        return self.layers(x)",
        "[nn.Linear(size, 8), nn.Linear(8, out)]\n\n    def forward(self, x):\n"
        "        return self.layers[1](self.layers[0](x))",
        (
            "generator Net.__init__ (my_gan.py:18) has no parameters to train",
            "layers in a plain list (self.layers) are not registered",
            "use nn.ModuleList or nn.Sequential",
        ),
    ),
    "layers in a dict": (
        LAYERS,
        "{'a': nn.Linear(size, 8)}",
        ("layers in a plain dict (self.layers) are not registered: use nn.ModuleDict",),
    ),
    "a discriminator without layers": (
        "discriminator=Net(2, 1)",
        "discriminator=nn.ReLU()",
        ("my_gan.py: discriminator (ReLU) has no parameters to train",),
    ),
    "a class as a network": (
        "generator=Net(4, 2)",
        "generator=Net",
        ("my_gan.py: generator must be a torch.nn.Module, got the class Net: call it",),
    ),
    "a function as a network": (
        "generator=Net(4, 2)",
        "generator=lambda z: z[:, :2]",
        ("my_gan.py: generator must be a torch.nn.Module, got a function",),
    ),
    "an optimizer instead of its factory": (
        "d_optimizer=adam",
        "d_optimizer=torch.optim.Adam(Net(2, 1).parameters())",
        (
            "my_gan.py: d_optimizer is an optimizer, Adam(...)",
            "give a function of the parameters, e.g. partial(torch.optim.Adam, lr=1e-3)",
        ),
    ),
    "an optimizer that is a number": (
        "g_optimizer=adam",
        "g_optimizer=1e-3",
        ("my_gan.py: g_optimizer must be a function of (parameters), got 0.001",),
    ),
    "a factory that returns None": (
        "d_optimizer=adam,",
        f"d_optimizer=lambda parameters: None,{HERE}",
        ("d_optimizer (my_gan.py:{line}) must return a torch.optim.Optimizer, got None",),
    ),
    "a factory without arguments": (
        "g_optimizer=adam,",
        f"g_optimizer=lambda: adam(Net(4, 2).parameters()),{HERE}",
        ("g_optimizer (my_gan.py:{line}) must take (parameters), not ()",),
    ),
    "an optimizer of others' parameters": (
        "g_optimizer=adam,",
        f"g_optimizer=lambda parameters: adam(Net(4, 2).parameters()),{HERE}",
        ("g_optimizer (my_gan.py:{line}) returned an optimizer of none of the parameters",),
    ),
    "a learning rate that Adam refuses": (
        "lr=1e-3",
        "lr=-1.0",
        ("my_gan.py: d_optimizer (Adam) raised ValueError: Invalid learning rate: -1.0",),
    ),
    "no discriminator's loss": (
        "d_loss=d_loss",
        "d_loss=[]",
        ("my_gan.py: d_loss must be a function of (D, real, fake), got an empty list",),
    ),
    "a loss by its name": (
        "g_loss=g_loss",
        "g_loss='hinge'",
        ("my_gan.py: g_loss must be a function of (D, real, fake), got 'hinge'",),
    ),
    "a list with a loss that is none": (
        "d_loss=d_loss",
        "d_loss=[d_loss, None]",
        ("my_gan.py: d_loss must be a function of (D, real, fake), got None",),
    ),
    "a loss of two arguments": (
        D_DEF,
        f"def d_loss(real, fake):{HERE}\n    return (real - fake).mean()",
        ("d_loss (my_gan.py:{line}) must take (D, real, fake), not (real, fake)",),
    ),
    "no updates of G": (
        "g_loss=g_loss",
        "g_loss=g_loss, d_updates=0",
        ("my_gan.py: d_updates must be an int of at least 1, got 0",),
    ),
    "half an update of G": (
        "g_loss=g_loss",
        "g_loss=g_loss, d_updates=0.5",
        ("my_gan.py: d_updates must be an int of at least 1, got 0.5",),
    ),
    "a latent of the wrong number": (
        LATENT_DEF,
        f"def latent(n, rng):{HERE}\n    return torch.randn(4, n)",
        ("latent (my_gan.py:{line}) must return a tensor of n = 256 rows, got shape (4, 256)",),
    ),
    "a latent that returns None": (
        LATENT_DEF,
        f"def latent(n, rng):{HERE}\n    torch.randn(n, 4)",
        ("latent (my_gan.py:{line}) must return a tensor of n = 256 rows, got None",),
    ),
    "a latent of fixed size": (
        LATENT_DEF,
        f"def latent(n, rng):{HERE}\n    return torch.randn(256, 4)",
        ("latent (my_gan.py:{line}) must return a tensor of n = 4096 rows, got shape (256, 4)",),
    ),
    "a latent that raises": (
        LATENT,
        f"    return torch.randn(n, 4, generator=rgn){HERE}",
        ("cannot be trained: step 1: NameError in latent (my_gan.py:{line}): name 'rgn'",),
    ),
    "a latent too wide for layers of torch's": (
        "generator=Net(4, 2)",
        "generator=nn.Sequential(nn.Linear(3, 2))",
        (
            "my_gan.py cannot be trained: step 1: RuntimeError in generator (Sequential), "
            "given shape (256, 4): mat1 and mat2 shapes cannot be multiplied (256x4 and 3x2)",
        ),
    ),
    "a latent too wide for a network": (
        "        return self.layers(x)",
        f"        return self.layers(x[:, 1:]){HERE}",
        (
            "step 1: RuntimeError in Net.forward (my_gan.py:{line}), of the generator, "
            "given shape (256, 4): mat1 and mat2 shapes",
        ),
    ),
    "G of the wrong width": (
        "    def forward(self, x):\n        return self.layers(x)\n",
        f"    def forward(self, x):{HERE}\n        return self.layers(x).repeat(1, 2)[:, :3]\n",
        (
            "generator Net.forward (my_gan.py:{line}) must return shape (256, 2), "
            "that of the real batch, got shape (256, 3)",
        ),
    ),
    "G of the wrong width, of layers of torch's": (
        "generator=Net(4, 2)",
        "generator=nn.Linear(4, 3)",
        ("my_gan.py: generator (Linear) must return shape (256, 2), ", "got shape (256, 3)"),
    ),
    "G that returns a tuple": (
        "generator=Net(4, 2)",
        "generator=nn.LSTM(4, 2)",
        ("my_gan.py: generator (LSTM) must return shape (256, 2), ", "got a tuple"),
    ),
    "D of the wrong width": (
        D_LOSS,
        D_LOSS.replace("D(real)", "D(real[:, :1])") + HERE,
        (
            "step 1: RuntimeError in Net.forward (my_gan.py:23), called in "
            "d_loss (my_gan.py:{line}): mat1 and mat2",
            "(256x1 and 2x8)",
        ),
    ),
    "D of the wrong width, of layers of torch's": (
        "discriminator=Net(2, 1)",
        "discriminator=nn.Sequential(nn.Linear(3, 1))",
        ("step 1: RuntimeError in d_loss (my_gan.py:9): mat1 and mat2", "(256x2 and 3x1)"),
    ),
    "a loss that is a float": (
        D_DEF,
        f"def d_loss(D, real, fake):{HERE}\n    return D(fake).mean().item()",
        (
            "d_loss (my_gan.py:{line}) must return a scalar tensor with a gradient, got the float ",
            "leave out .item() or float(...)",
        ),
    ),
    "a loss that is None": (
        D_DEF,
        f"def d_loss(D, real, fake):{HERE}\n{D_LOSS.replace('return ', '')}",
        ("d_loss (my_gan.py:{line}) must return", "got None: is its `return` missing?"),
    ),
    "a loss that is no scalar": (
        G_DEF,
        f"def g_loss(D, real, fake):{HERE}\n    return softplus(-D(fake))",
        ("g_loss (my_gan.py:{line}) must return", "got shape (256, 1): take its mean()"),
    ),
    "a loss of integers": (
        D_DEF,
        f"def d_loss(D, real, fake):{HERE}\n    return (D(real) > 0).sum()",
        ("d_loss (my_gan.py:{line}) must return a scalar", "got dtype torch.int64"),
    ),
    "losses in a tuple": (
        D_DEF,
        f"def d_loss(D, real, fake):{HERE}\n    return D(real).mean(), D(fake).mean()",
        ("d_loss (my_gan.py:{line}) must return a scalar tensor with a gradient, got a tuple",),
    ),
    "a detached loss": (
        D_DEF,
        f"def d_loss(D, real, fake):{HERE}\n    return D(fake).mean().detach()",
        ("d_loss (my_gan.py:{line}) must return a scalar tensor with a gradient", "detach()"),
    ),
    "a loss of another name": (
        "d_loss=d_loss,",
        f"d_loss=partial(lambda D, real, fake, gamma: None, gamma=1),{HERE}",
        ("d_loss (my_gan.py:{line}) must return a scalar tensor with a gradient, got None",),
    ),
    "a method as a loss": (
        "        return self.layers(x)\n",
        f"        return self.layers(x)\n\n    def hinge(self, D, real, fake):{HERE}\n"
        "        pass\n\nd_loss = Net(2, 1).hinge\n",
        ("d_loss Net.hinge (my_gan.py:{line}) must return a scalar tensor", "got None"),
    ),
    "an object as a loss": (
        G_DEF,
        f"class Loss:\n    def __call__(self, D, real, fake):{HERE}\n        pass\ng_loss = Loss()",
        ("g_loss Loss.__call__ (my_gan.py:{line}) must return a scalar tensor", "got None"),
    ),
    "a loss of torch's": (
        "d_loss=d_loss",
        "d_loss=nn.BCEWithLogitsLoss()",
        ("cannot be trained: step 1: TypeError in d_loss (BCEWithLogitsLoss): ", "positional"),
    ),
    "fakes that G's loss detaches": (
        G_DEF,
        f"def g_loss(D, real, fake):{HERE}\n{G_LOSS.replace('D(fake)', 'D(fake.detach())')}",
        ("g_loss (my_gan.py:{line}) gives the generator no gradient: compute it from D(fake)",),
    ),
    "a loss that raises": (
        D_LOSS,
        f"    return softplus(-D(real)).mean() + softplu(D(fake)).mean(){HERE}",
        (
            "Error: my_gan.py cannot be trained: step 1: "
            "NameError in d_loss (my_gan.py:{line}): name 'softplu' is not defined",
        ),
    ),
    "a loss on shapes that do not fit": (
        D_LOSS,
        f"    return (D(real) @ D(fake)).mean(){HERE}",
        ("RuntimeError in d_loss (my_gan.py:{line}): mat1 and mat2", "(256x1 and 256x1)"),
    ),
    "a loss that asserts": (
        G_LOSS,
        f"    assert D(fake).ndim == 1{HERE}",
        ("step 1: AssertionError in g_loss (my_gan.py:{line}): no message",),
    ),
    "a backward pass that fails": (
        D_DEF,
        f"def d_loss(D, real, fake):{HERE}\n    x = D(real).exp()\n    y = (x * x).mean()\n"
        "    x.add_(1)\n    return y",
        ("step 1: RuntimeError in d_loss (my_gan.py:{line}): ", "inplace operation"),
    ),
    "an optimizer that raises": (
        "adam = ",
        f"class Lion(torch.optim.Adam):\n    def step(self):\n        self.no{HERE}\n\n"
        "adam = Lion\nunused = ",
        ("step 1: AttributeError in Lion.step (my_gan.py:{line}): 'Lion' object has no",),
    ),
    "features that raise": (
        "g_loss=g_loss,",
        f"g_loss=g_loss, features=lambda D: D,{HERE}",
        ("features (my_gan.py:{line}) must take (D, batch), not (D)",),
    ),
    "a loss that is NaN at once": (
        D_LOSS,
        f"{D_LOSS} * float('nan')",
        ("my_gan.py cannot be trained: d_loss is nan at step 1",),
    ),
    "a game without a loss": (
        "        g_loss=g_loss,\n",
        "",
        ("GAN(...) raised TypeError in GAN (my_gan.py:28): ", "argument: 'g_loss'"),
    ),
    "networks that cannot be made": (
        "        self.layers = ",
        f"        self.layers = self.width{HERE}\n        _ = ",
        ("GAN(...) raised AttributeError in Net.__init__ (my_gan.py:{line}), called in GAN (",),
    ),
}
IN_AN_OBJECT: dict[str, Case] = {
    "a step that raises": (
        TRAIN,
        f"return self.G(real){HERE}",
        (
            "Error: my_gan.py cannot be trained: step 1: RuntimeError in GAN.train_step "
            "(my_gan.py:{line}): mat1 and mat2 shapes cannot be multiplied (256x2 and 4x2)",
        ),
    ),
    "a step that exits": (
        TRAIN,
        f"raise SystemExit(3){HERE}",
        ("cannot be trained: step 1: SystemExit in GAN.train_step (my_gan.py:{line}): 3",),
    ),
    "a step without its batch": (
        TRAIN_DEF,
        f"    def train_step(self):{HERE}\n        return {{}}",
        ("train_step (my_gan.py:{line}) must take (real), not ()",),
    ),
    "a step that returns a tensor": (
        TRAIN_DEF,
        f"    def train_step(self, real):{HERE}\n        return real.mean()",
        ("(my_gan.py:{line}) must return a mapping of named scalars, got Tensor",),
    ),
    "a step that returns tensors that are no scalars": (
        TRAIN_DEF,
        f"    def train_step(self, real):{HERE}\n        return {{'loss': real}}",
        ("named scalars, got loss of shape (256, 2): see train_step (my_gan.py:{line})",),
    ),
    "no sample": (
        "def sample",
        "def samples",
        ("my_gan.py: GAN(...) must return a ganbench.Game or an object with", "got GAN"),
    ),
    "a sample that raises": (
        SAMPLE,
        f"return self.net(torch.randn(n, 4)){HERE}",
        (
            "Error: my_gan.py cannot be scored: sample(4096): AttributeError in GAN.sample "
            "(my_gan.py:{line}): 'GAN' object has no attribute 'net'",
        ),
    ),
    "a sample of the wrong shape": (
        f"    def sample(self, n):\n        {SAMPLE}",
        f"    def sample(self, n):{HERE}\n        return torch.zeros(n, 3)",
        (
            "sample(4096) must return shape (4096, 2) on task 'ring8', got (4096, 3)",
            "(my_gan.py:{line})",
        ),
    ),
    "a sample that is an array": (
        f"    def sample(self, n):\n        {SAMPLE}",
        f"    def sample(self, n):{HERE}\n        {SAMPLE}.numpy()",
        ("sample(4096) must return a tensor on task 'ring8', got ndarray", "(my_gan.py:{line})"),
    ),
    "a constructor that raises": (
        "        self.G = nn.Linear(4, 2)",
        f"        self.G = nn.Linear(4, task.size){HERE}",
        ("my_gan.py: GAN(...) raised AttributeError in GAN.__init__ (my_gan.py:{line}): 'Task'",),
    ),
    "a file that does not run": (
        "import torch\n",
        f"import torch\ntorch.no_such{HERE}\n",
        ("my_gan.py cannot be imported: AttributeError in <module> (my_gan.py:{line}): ",),
    ),
}
CASES = {
    **{name: (GAME, *case) for name, case in IN_A_GAME.items()},
    **{name: (OBJECT, *case) for name, case in IN_AN_OBJECT.items()},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in an empty folder of its own, and draws nothing, which takes seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pictures, "draw", lambda *_: [])


def write(source: str, old: str, new: str) -> str:
    """`my_gan.py` with a piece replaced; the number of its marked line."""
    assert source.count(old) == 1, source.count(old)
    text = source.replace(old, new)
    Path("my_gan.py").write_text(text)
    marked = [number for number, line in enumerate(text.splitlines(), 1) if line.endswith(HERE)]
    return str(marked[0]) if marked else "?"


def run(*more: str, task: str = "gaussian", debug: bool = False) -> Result:
    first = ("--debug", "run") if debug else ("run",)
    options = ("--task", task, "--steps", "2", "--quiet", "--workers", "1")
    return CliRunner().invoke(main, [*first, "my_gan.py", *options, *more])


def on_the_board() -> list[Path]:
    return sorted(Path("leaderboard").rglob("*.json"))


@pytest.mark.parametrize("name", CASES)
def test_a_broken_gan_gives_one_line_and_no_entry(name: str) -> None:
    source, old, new, words = CASES[name]
    line = write(source, old, new)
    result = run(task="ring8")
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert [each for each in words if each.replace("{line}", line) not in result.stderr] == []
    assert result.stdout == ""
    assert on_the_board() == []


ALSO_FINE = {
    "game": GAME,
    "object": OBJECT,
    "loss of one element": GAME.replace(D_LOSS, f"{D_LOSS}.reshape(1, 1)"),
    "several losses": GAME.replace("d_loss=d_loss", "d_loss=[d_loss, partial(d_loss)]"),
    "scale in a plain list": GAME.replace("super().__init__()", "super().__init__(); self.l = [3]"),
}


@pytest.mark.slow
@pytest.mark.parametrize("source", ALSO_FINE.values(), ids=ALSO_FINE)
def test_what_the_cases_are_made_of_works(source: str) -> None:
    """Else the table above could not fail."""
    Path("my_gan.py").write_text(source)
    result = run()
    assert result.exit_code == 0, result.output
    assert len(on_the_board()) == 1


LATER = "1 / (2 - self.steps)"
NOT_A_NUMBER = "return torch.full((n, 2), float('nan'))"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (TRAIN, LATER, "failed: step 2: ZeroDivisionError in GAN.train_step (my_gan.py:{line}): "),
        (SAMPLE, NOT_A_NUMBER, "seed 0 diverged: samples hold NaN or Inf after round 1"),
        (
            SAMPLE,
            "return torch.zeros(n, 1 + self.steps % 2)",
            "failed: round 2: sample(4096) must return shape (4096, 2) on task 'gaussian', got ",
        ),
        (
            TRAIN,
            "return {} if self.steps < 2 else 3",
            "failed: step 2: train_step (my_gan.py:10) must return a mapping of named scalars",
        ),
        (
            TRAIN,
            "return {'loss': 0 if self.steps < 2 else 'x'}",
            "failed: step 2: train_step must return named scalars, got loss='x': see train_step (",
        ),
    ],
)
def test_what_goes_wrong_later_is_a_result(old: str, new: str, words: str) -> None:
    line = write(OBJECT, old, f"{new}{HERE}")
    result = run()
    assert result.exit_code == 1
    (told,) = result.stderr.splitlines()
    assert words.replace("{line}", line) in told
    assert len(on_the_board()) == 1


STREAM = "from ganbench.randomness import stream"


def test_one_seed_that_fails_at_once_is_a_result_beside_others() -> None:
    write(f"{STREAM}{OBJECT}", TRAIN, "1 / (torch.initial_seed() != stream(0, 'init'))")
    result = run("--seeds", "2", "--json")
    assert result.exit_code == 1
    statuses = [seed["status"] for seed in json.loads(result.stdout)["seeds"]]
    assert statuses == ["failed", "ok"]
    assert "seed 0 failed: step 1: ZeroDivisionError in GAN.train_step" in result.stderr


def test_of_a_broken_gan_no_document_is_printed() -> None:
    write(OBJECT, TRAIN, "return self.G(real)")
    result = run("--json", "--seeds", "2")
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert on_the_board() == []


def test_settings_that_work_are_kept_beside_one_that_does_not() -> None:
    text = OBJECT.replace('device="cpu"', 'device="cpu", size=4')
    Path("my_gan.py").write_text(text.replace("nn.Linear(4, 2)", "nn.Linear(size, 2)"))
    result = run("--set", "size=4,5")
    assert result.exit_code == 2
    assert "my_gan-size=5-2steps: my_gan.py cannot be trained: step 1: Runtime" in result.stderr
    assert [path.stem for path in on_the_board()] == ["my_gan-2steps"]


def test_an_attempt_that_left_nothing_is_not_set_aside() -> None:
    for attempt in ("self.one", "self.two"):
        write(OBJECT, TRAIN, attempt)
        assert run().exit_code == 2
    write(OBJECT, TRAIN, LATER)
    assert run().exit_code == 1  # a result, which stays
    write(OBJECT, TRAIN, "self.three")
    assert run().exit_code == 2
    names = sorted(path.name for path in Path("runs/gaussian").iterdir())
    assert names == ["my_gan-2steps", "my_gan-2steps.old"]


def test_what_an_earlier_run_added_stays() -> None:
    Path("my_gan.py").write_text(OBJECT)
    assert run().exit_code == 0
    (path,) = on_the_board()
    before = path.read_bytes()
    write(OBJECT, TRAIN, "return self.G(real)")
    assert run().exit_code == 2
    assert on_the_board() == [path]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (TRAIN, "return self.G(real)", 2),
        (TRAIN, "return real.mean()", 2),
        (TRAIN, LATER, 1),
        (SAMPLE, "return self.no", 2),
        ("nn.Linear(4, 2)", "nn.Linear(task.no, 2)", 2),
    ],
)
def test_debug_shows_the_traceback(old: str, new: str, code: int) -> None:
    line = write(OBJECT, old, f"{new}{HERE}")
    quiet, loud = run(), run(debug=True)
    assert quiet.exit_code == loud.exit_code == code
    assert "Traceback" not in quiet.stderr
    assert "Traceback (most recent call last)" in loud.stderr
    assert loud.stderr.splitlines()[-1] == quiet.stderr.splitlines()[-1]
    if new != "return real.mean()":  # which is no error of Python's
        assert f'my_gan.py", line {line}, in ' in loud.stderr


def test_the_traceback_lies_beside_the_log_until_the_seed_trains() -> None:
    write(OBJECT, TRAIN, LATER)
    assert run().exit_code == 1
    path = Path("runs/gaussian/my_gan-2steps/seed-0/traceback.txt")
    assert "ZeroDivisionError: division by zero" in path.read_text()
    Path("my_gan.py").write_text(OBJECT)
    assert run().exit_code == 0
    assert not path.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("new", "code"), [("return self.G(real)", 2), (LATER, 1)])
def test_debug_shows_the_traceback_of_a_worker(new: str, code: int) -> None:
    line = write(OBJECT, TRAIN, f"{new}{HERE}")
    done = in_processes()
    assert done.returncode == code, done.stderr
    assert f'my_gan.py", line {line}, in train_step' in done.stderr
    assert f"in GAN.train_step (my_gan.py:{line})" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_debug_shows_the_traceback_of_a_breach_in_a_worker() -> None:
    write(OBJECT, "nn.Linear(4, 2)", "nn.Linear(task.no, 2)")
    done = in_processes()
    assert done.returncode == 2
    assert 'my_gan.py", line 7, in __init__' in done.stderr
    last = "Error: my_gan.py: GAN(...) raised AttributeError in GAN.__init__ (my_gan.py:7): "
    assert done.stderr.splitlines()[-1].startswith(last)


def in_processes() -> subprocess.CompletedProcess[str]:
    options = ("--task", "gaussian", "--steps", "2", "--quiet", "--seeds", "2", "--workers", "2")
    return subprocess.run(
        [sys.executable, "-m", "ganbench", "--debug", "run", "my_gan.py", *options],
        env={**os.environ, "PYTHONPATH": str(Path(ganbench.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
