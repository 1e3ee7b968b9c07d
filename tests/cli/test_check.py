"""`ganbench check`: nothing fails of what ships, and each kind of mistake has its line.

A case replaces a piece of a GAN that works. A marked line, `# HERE`, is one that the command's line
must name.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from ganbench import check
from ganbench.check import shapes
from ganbench.check.repeats import differing
from ganbench.cli import main
from ganbench.engine import graph
from ganbench.harness import pictures
from ganbench.harness.spec import Spec
from ganbench.randomness import random_state

GAME = """
import random, time
from functools import partial
import numpy as np, torch
from torch import nn
from torch.nn import functional as F
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

def GAN(task, *, device="cpu", act=0):
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
import random, time
import torch
from torch import nn

class GAN:
    def __init__(self, task, *, device="cpu"):
        self.G = nn.Linear(4, 2)
        self.adam = torch.optim.Adam(self.G.parameters())

    def train_step(self, real):
        fake = self.G(torch.randn(len(real), 4))
        loss = (fake.mean(0) - real.mean(0)).square().sum()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        return {"loss": loss}

    def sample(self, n):
        return self.G(torch.randn(n, 4)).detach()
"""
HERE = "  # HERE"
D_LOSS = "return softplus(-D(real)).mean() + softplus(D(fake)).mean()"
LATENT = "    return torch.randn(n, 4, generator=rng)"
LATENT_DEF = f"def latent(n, rng):\n{LATENT}"
LAYERS = "self.layers = nn.Sequential(nn.Linear(size, 8), nn.ReLU(), nn.Linear(8, out))"
INIT = f"    def __init__(self, size, out):\n        super().__init__()\n        {LAYERS}"
FORWARD = "        return self.layers(x)"
ACT = "act=0"
D_DEF = f"def d_loss(D, real, fake):\n    {D_LOSS}"
COUNTED = f"STEPS.append(1){HERE}\n    {D_LOSS} * len(STEPS)"
ANNEALED = f"STEPS = []\ndef d_loss(D, real, fake):\n    {COUNTED}"
SAMPLE = "return self.G(torch.randn(n, 4)).detach()"

# name: (source, what is replaced, by what, verdict and check, words of the line)
Case = tuple[str, str, str, str, str]
CASES: dict[str, Case] = {
    "a constructor that raises": (
        GAME,
        "generator=Net(4, 2)",
        f"generator=Net(4, task.no),{HERE}\n        average=None",
        "fails contract",
        "GAN(...) raised AttributeError in GAN (my_gan.py:{line})",
    ),
    "a loss that raises": (
        GAME,
        D_LOSS,
        f"return D(real).no{HERE}",
        "fails training",
        "AttributeError in d_loss (my_gan.py:{line})",
    ),
    "a loss of NaN": (
        GAME,
        D_LOSS,
        f"{D_LOSS} * float('nan')",
        "fails training",
        "d_loss is nan at step 1",
    ),
    "settings that cannot be given again": (
        GAME,
        "def GAN(",
        f"def resolve(task, act):\n    return {{'act': {{0: abs, abs: abs}}[act]}}{HERE}\ndef GAN(",
        "fails settings",
        "cannot be given again: my_gan: act must be an int, got 'abs'",
    ),
    "a default that is no JSON": (
        GAME,
        ACT,
        "act=F.relu",
        "note settings",
        "only the name of act, which is no JSON",
    ),
    "latents of even number only": (
        GAME,
        LATENT_DEF,
        f"def latent(n, rng):{HERE}\n    z = torch.randn(n // 2, 4, generator=rng)\n"
        "    return torch.cat([z, -z])",
        "fails sampling",
        "latent (my_gan.py:{line}) must return a tensor of n = 1 rows, got shape (0, 4)",
    ),
    "samples of NaN": (
        OBJECT,
        SAMPLE,
        f"{SAMPLE} / 0 * 0",
        "fails sampling",
        "sample(1) holds NaN or Inf after 3 steps",
    ),
    "a sigmoid": (
        GAME,
        FORWARD,
        "        y = self.layers(x)\n        return y if y.shape[1] > 1 else y.sigmoid()",
        "note outputs",
        "looks like a sigmoid",
    ),
    "large logits": (
        GAME,
        FORWARD,
        "        y = self.layers(x)\n        return y if y.shape[1] > 1 else 1e4 * y",
        "note outputs",
        "that large, gradients vanish or explode",
    ),
    "an unused layer": (
        GAME,
        LAYERS,
        f"{LAYERS}\n        self.more = nn.Linear(2, 2)",
        "fails gradients",
        "no gradient reaches D.more.weight, D.more.bias, G.more.weight and 1 more",
    ),
    "a frozen layer": (
        GAME,
        LAYERS,
        f"{LAYERS}\n        self.layers[0].requires_grad_(out > 1)",
        "note gradients",
        "frozen by requires_grad=False: D.layers.0.weight, ",
    ),
    "a gradient of NaN": (
        GAME,
        D_LOSS,
        f"{D_LOSS} + 0 * (D(real) * 0).square().sum().sqrt()",
        "fails gradients",
        "the first gradient of D.layers.0.weight, D.layers.0.bias, ",
    ),
    "an object that does not learn": (
        OBJECT,
        "        loss.backward()\n        self.adam.step()\n",
        "",
        "note gradients",
        "3 steps leave G.weight, G.bias as before, and without a gradient",
    ),
    "layers in a plain list": (
        GAME,
        f"{INIT}\n\n    def forward(self, x):\n{FORWARD}",
        f"    def __init__(self, size, out):{HERE}\n        super().__init__()\n        {LAYERS}\n"
        "        self.more = [nn.Linear(out, out)]\n\n    def forward(self, x):\n"
        "        return self.more[0](self.layers(x))",
        "fails registered",
        "G Net.__init__ (my_gan.py:{line}): layers in a plain list (self.more) are not trained",
    ),
    "a tensor that is no parameter": (
        GAME,
        LAYERS,
        f"{LAYERS}\n        self.scale = torch.ones(1, requires_grad=True)",
        "fails registered",
        "self.scale is a plain tensor: use nn.Parameter",
    ),
    "targets of the wrong shape": (
        GAME,
        D_LOSS,
        f"return (D(real) - torch.ones(len(real))).square().mean() + D(fake).mean(){HERE}",
        "fails broadcasting",
        "sub in d_loss (my_gan.py:{line}) makes (256, 256) of (256, 1) and (256,)",
    ),
    "targets of the wrong shape in a loss of torch": (
        GAME,
        D_LOSS,
        f"return F.mse_loss(D(real), torch.ones(len(real))) + D(fake).mean(){HERE}",
        "fails broadcasting",
        "mse_loss in d_loss (my_gan.py:{line})",
    ),
    "latents of the global stream": (
        GAME,
        LATENT_DEF,
        f"def latent(n, rng):{HERE}\n    return torch.randn(n, 4)",
        "fails latent",
        "latent (my_gan.py:{line}) draws from the global stream of torch",
    ),
    "latents of a stream of their own": (
        GAME,
        LATENT_DEF,
        "R = torch.Generator().manual_seed(0)\ndef latent(n, rng):\n"
        "    return torch.randn(n, 4, generator=R)",
        "fails latent",
        "gives other numbers for the same state of rng",
    ),
    "rows that depend on one another": (
        GAME,
        LATENT,
        "    z = torch.randn(n, 4, generator=rng)\n    return z - z.mean(0)",
        "note latent",
        "so latents are drawn a batch at a time",
    ),
    "a step by the clock": (
        GAME,
        D_LOSS,
        f"{D_LOSS} * (1 + time.perf_counter() % 1){HERE}",
        "fails repeats",
        "differ in d_loss at step 1: d_loss (my_gan.py:{line}) looks at the clock",
    ),
    "weights of another stream": (
        OBJECT,
        "self.G = nn.Linear(4, 2)",
        "self.G = nn.Linear(4, 2); nn.init.constant_(self.G.bias, random.SystemRandom().random())",
        "fails repeats",
        "two GANs built of one seed differ in state.G.bias",
    ),
    "a counter that no checkpoint holds": (
        GAME,
        D_DEF,
        ANNEALED,
        "note checkpoint",
        "d_loss (my_gan.py:{line}) changes d_loss's global STEPS: no checkpoint holds that, so a "
        "seed that is stopped begins again",
    ),
    "an attribute that cannot be stored": (
        OBJECT,
        "self.G = nn.Linear(4, 2)",
        "self.G = nn.Linear(4, 2); self.seen = {1, 2}",
        "note checkpoint",
        "cannot store attribute 'seen' (set) of GAN",
    ),
    "a step that is not stacked": (
        GAME,
        D_LOSS,
        f"return (softplus(-D(real)).mean() + softplus(D(fake)).mean()) * np.random.rand(){HERE}",
        "note stacks",
        "d_loss (my_gan.py:{line}) draws from numpy.random",
    ),
}

SHOWS_TWICE = (
    "a loss of NaN",
    "a gradient of NaN",
    "latents of a stream of their own",
    "layers in a plain list",
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in an empty folder of its own, and draws nothing, which takes seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pictures, "draw", lambda *_: [])


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def findings(name: str, task: str = check.TASK, *, engines: bool = False) -> list[str]:
    spec = Spec(task=task, baseline=name)
    return [found.line for found in check.check(spec, engines=engines)]


def failing(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("fails ")]


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_has_its_line(name: str) -> None:
    source, old, new, verdict, words = CASES[name]
    assert source.count(old) == 1, source.count(old)
    text = source.replace(old, new)
    Path("my_gan.py").write_text(text)
    marked = [str(n) for n, line in enumerate(text.splitlines(), 1) if line.endswith(HERE)]
    found = findings("my_gan.py", engines=verdict == "note stacks")
    expected = words.replace("{line}", "".join(marked))
    assert [line for line in found if line.startswith(f"{verdict}: ") and expected in line], found
    kind = verdict.split()[0]
    others = [line for line in failing(found) if not line.startswith(verdict)]
    assert kind == "note" or name in SHOWS_TWICE or not others, others


@pytest.mark.parametrize("source", [GAME, OBJECT], ids=["game", "object"])
def test_what_the_cases_are_made_of_is_in_order(source: str) -> None:
    """Else the table above could not fail."""
    Path("my_gan.py").write_text(source)
    assert [line for line in findings("my_gan.py") if not line.startswith("ok ")] == []


FAST = (
    ("mlp_gan", "gaussian"),
    ("mlp_gan", "quadratic"),
    ("moment_matching", "ring8"),
    ("oracle", "ring8"),
    ("uniform_noise", "ring8"),
)


@pytest.mark.parametrize(("name", "task"), FAST)
def test_nothing_fails_of_a_baseline(name: str, task: str) -> None:
    assert failing(findings(name, task)) == []


@pytest.mark.slow
def test_nothing_fails_of_any_baseline(baseline_name: str) -> None:
    assert failing(findings(baseline_name, "mnist" if baseline_name == "dcgan" else "ring8")) == []


@pytest.mark.slow
@pytest.mark.parametrize("task", ["sine", "mnist"])
@pytest.mark.parametrize("name", ["mlp_gan", "mlp_gan_batchnorm", "replay", "r3gan", "pacgan"])
def test_nothing_fails_on_curves_and_images(name: str, task: str) -> None:
    assert failing(findings(name, task)) == []


@pytest.mark.slow
def test_nothing_fails_of_a_baseline_on_any_task(task_name: str) -> None:
    assert failing(findings("mlp_gan", task_name)) == []


@pytest.mark.slow
def test_all_is_well_with_the_scaffold() -> None:
    told = invoke("new", "my_gan")
    assert told.stdout.splitlines()[-1] == "after each change: ganbench check my_gan.py"
    done = invoke("check", "my_gan.py", "--set", "width=16", "--quiet")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", name] for name in (*check.CHECKS, *check.ENGINES)
    ]
    assert len({line.index(line.split(maxsplit=2)[2]) for line in lines}) == 1  # aligned
    assert "the 20,000 steps of ring8 take " in lines[-1]


@pytest.mark.slow
@pytest.mark.long
def test_it_is_compiled_if_that_is_asked_for() -> None:
    Path("my_gan.py").write_text(GAME)
    done = invoke("check", "my_gan.py", "--compile", "--quiet")
    cost, bits = done.stdout.splitlines()[-2:]
    assert cost.startswith("ok     compiles      compiled, a step of each")
    assert (
        bits
        == "ok     compiles      compiled, a seed trains to the same bits alone as beside others"
    )


@pytest.mark.slow
@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="computes nothing in vectors"
)
def test_bits_that_depend_on_the_other_seeds_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "own_bits", lambda step: step)
    Path("my_gan.py").write_text(GAME)
    found = findings("my_gan.py", "gaussian", engines=True)  # of batches of four, no whole vector
    (line,) = [each for each in found if " bits: " in each]
    assert line.startswith("note bits: a seed's bits depend on how many are trained beside it")


def test_a_failure_is_exit_code_1_and_a_document() -> None:
    Path("my_gan.py").write_text(GAME.replace(D_LOSS, "return D(real)"))
    done = invoke("check", "my_gan.py", "--json", "--quiet")
    assert (done.exit_code, done.stderr) == (1, "")
    document = json.loads(done.stdout)
    assert all(set(each) == {"check", "verdict", "says"} for each in document)
    (failed,) = [each for each in document if each["verdict"] == "fails"]
    assert failed["check"] == "training"
    assert failed["says"].startswith("d_loss (my_gan.py:10) must return a scalar tensor")
    assert document[-1]["check"] == "not tried"


def test_debug_shows_the_traceback_of_what_fails() -> None:
    Path("my_gan.py").write_text(GAME.replace(D_LOSS, "return D(real).no"))
    quiet = invoke("check", "my_gan.py", "--quiet")
    loud = invoke("--debug", "check", "my_gan.py", "--quiet")
    assert "Traceback" not in quiet.output
    assert 'my_gan.py", line 11, in d_loss' in loud.stderr
    assert quiet.stdout == loud.stdout


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        (GAME, ("--set", "act=1,2"), "--set takes one value each here"),
        (GAME, ("--set", "act=1.5"), "act must be an int"),
        ("import no_such", (), "my_gan.py cannot be imported: ModuleNotFoundError"),
    ],
)
def test_wrong_usage_is_exit_code_2(text: str, more: tuple[str, ...], words: str) -> None:
    Path("my_gan.py").write_text(text)
    done = invoke("check", "my_gan.py", "--quiet", *more)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr


def test_what_a_gan_prints_is_no_part_of_the_document() -> None:
    Path("my_gan.py").write_text(OBJECT.replace("loss.backward()", "loss.backward(); print('hm')"))
    done = invoke("check", "my_gan.py", "--json", "--quiet")
    assert "hm" in done.stderr
    assert json.loads(done.stdout)


def test_random_streams_and_threads_are_left_as_they_were() -> None:
    Path("my_gan.py").write_text(OBJECT)
    before, threads = random_state(), torch.get_num_threads()
    findings("my_gan.py")
    assert differing(random_state(), before) is None
    assert torch.get_num_threads() == threads


def test_what_fails_is_not_submitted() -> None:
    Path("my_gan.py").write_text(GAME.replace(LATENT, "    return torch.randn(n, 4)"))
    options = ("--task", "ring8", "--steps", "2", "--quiet", "--workers", "1")
    assert invoke("run", "my_gan.py", *options).exit_code == 0
    done = invoke("submit", "my_gan-2steps", "--task", "ring8")
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert "my_gan.py cannot be submitted (see `ganbench check`): fails latent: latent (my_" in line
    assert not Path("submission").exists()


def test_what_a_layer_has_of_each_shape_is_no_meeting() -> None:
    """Gradients of weights (n, 1), (n,) and (n, n), whatever the batch."""
    weights = [torch.randn(shape, requires_grad=True) for shape in ((4, 1), (4,), (4, 4))]
    with shapes.Meetings() as meetings:
        torch.autograd.grad(sum(weight.sum() for weight in weights), weights)
        assert meetings.found == {}
        weights[0] - weights[1]
    assert list(meetings.found.values()) == [4]


@pytest.mark.slow
def test_a_pack_is_given_whole_batches() -> None:
    """Of three, that do not divide the task's batch."""
    spec = Spec(task="ring8", baseline="pacgan", hparams={"pack": 3})
    lines = [found.line for found in check.check(spec)]
    assert failing(lines) == []
    assert any("3 steps of 768 real samples" in line for line in lines)
