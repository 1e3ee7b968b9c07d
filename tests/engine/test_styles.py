"""GANs as people write them: stacked as they are, or trained eagerly with a line that says why."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ganbench import registry
from ganbench.cli import main
from ganbench.core import Task
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.engine.unstackable import UnstackableError
from ganbench.harness.spec import Progress, Spec, look_up
from ganbench.harness.train import train_seeds

FILE = """
import copy, math, random, time
from functools import lru_cache, partial
import numpy as np, torch
from torch import nn
from torch.nn import functional as F
from ganbench import nn as gnn
from ganbench.core import Game
def on(x): return F.softplus(-x).mean()
def off(x): return F.softplus(x).mean()
def d_loss(D, real, fake): return on(D(real)) + off(D(fake))
def g_loss(D, real, fake): return on(D(fake))
def latent(n, rng): return torch.randn(n, 4, generator=rng)
def optimizer(p): return torch.optim.Adam(p, lr=1e-3)
def G(): return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
def D(): return nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(.2), nn.Linear(16, 1))
def more(game, G, D): return {{}}
{source}
def GAN(task, *, device="cpu"):
    made = G(), D()
    game = dict(generator=made[0], discriminator=made[1], latent=latent, d_loss=d_loss,
        g_loss=g_loss, d_optimizer=optimizer, g_optimizer=lambda p: torch.optim.Adam(p, lr=1e-3))
    return Game(**{{**game, **more(game, *made)}})
"""

STACKED = {
    "plain": "",
    "forward hook": """
def more(game, G, D): D[0].register_forward_hook(lambda m, i, o: o * 2); return {}
""",
    "names of types, through a module": """
import typing as t, types
from collections.abc import Callable
A, B, C, X = torch.Tensor | float, Callable[[int], int], t.Optional[int], t.TypeVar("X")
Y, Z, W = t.Any, t.Callable[..., int], list[int]
self = types.SimpleNamespace(A=A, B=B, C=C, X=X, Y=Y, Z=Z, W=W, scale=2.0)
def d_loss(D, real, fake): return on(D(real)) + off(D(fake)) * self.scale
def g_loss(D, real, fake): A, B, C, X, Y, Z, W; return on(D(fake))
""",
    "antithetic latents": """
def latent(n, rng): z = torch.randn(n // 2, 4, generator=rng); return torch.cat([z, -z])
""",
    "evenly spaced latents": """
def latent(n, rng): return torch.linspace(-1, 1, n)[:, None].expand(n, 4)
""",
    "gradient penalty": """
def d_loss(D, real, fake):
    a = torch.rand(len(real), 1)
    mid = (a * real + (1 - a) * fake).requires_grad_(True)
    g = torch.autograd.grad(D(mid).sum(), mid, create_graph=True)[0]
    return D(fake).mean() - D(real).mean() + 10 * ((g.norm(2, dim=1) - 1) ** 2).mean()
def more(game, G, D): return dict(d_updates=5, decision=None)
""",
    "two outputs": """
class Two(nn.Module):
    def __init__(s): super().__init__(); s.a = nn.Linear(2, 16); s.b = nn.Linear(16, 1)
    def forward(s, x): h = F.leaky_relu(s.a(x), .2); return s.b(h), h
D = Two
def d_loss(D, real, fake): return on(D(real)[0]) + off(D(fake)[0])
def g_loss(D, real, fake): return (D(real)[1].mean(0) - D(fake)[1].mean(0)).square().sum()
""",
    "one joined batch": """
def d_loss(D, real, fake):
    y = torch.cat([torch.ones(len(real), 1), torch.zeros(len(fake), 1)])
    return F.binary_cross_entropy_with_logits(D(torch.cat([real, fake])), y)
""",
    "instance noise": """
def noisy(x): return x + .1 * torch.randn_like(x)
def d_loss(D, real, fake): return on(D(noisy(real))) + off(D(noisy(fake)))
def g_loss(D, real, fake): return on(D(noisy(fake)))
""",
    "packed by hand": """
def D(): return nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(.2), nn.Linear(16, 1))
def pack(x): return x.view(len(x) // 2, -1)
def d_loss(D, real, fake): return on(D(pack(real))) + off(D(pack(fake)))
def g_loss(D, real, fake): return on(D(pack(fake)))
""",
    "weights clamped in the loss": """
def d_loss(D, real, fake):
    with torch.no_grad():
        for p in D.parameters(): p.clamp_(-.01, .01)
    return D(fake).mean() - D(real).mean()
def more(game, G, D): return dict(decision=None)
""",
    "parametrised weights": """
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
def D(): return nn.Sequential(
    spectral_norm(nn.Linear(2, 16)), nn.LeakyReLU(.2), weight_norm(nn.Linear(16, 1)))
""",
    "cached labels": """
@lru_cache
def ones(n): return torch.ones(n, 1)
bce = F.binary_cross_entropy_with_logits
def d_loss(D, real, fake): return bce(D(real), ones(len(real))) + bce(D(fake), 0 * ones(len(fake)))
""",
    "random labels of torch": """
def d_loss(D, real, fake):
    y = .7 + .5 * torch.rand(len(real), 1)
    return F.binary_cross_entropy_with_logits(D(real), y) + off(D(fake))
""",
    "parameter groups": """
def optimizer(p):
    p = list(p)
    groups = [dict(params=p[:2], lr=1e-2), dict(params=p[2:], weight_decay=.3)]
    return torch.optim.AdamW(groups, lr=1e-3)
""",
    "attention": """
class Attention(nn.Module):
    def __init__(s):
        super().__init__()
        s.e, s.o = nn.Linear(1, 8), nn.Linear(8, 1)
        s.a = nn.MultiheadAttention(8, 2, batch_first=True)
    def forward(s, x): h = s.e(x[..., None]); return s.o(s.a(h, h, h)[0].mean(1))
D = Attention
""",
}

EAGER = {
    "unrolled": (
        """
def g_loss(D, real, fake):
    D2 = copy.deepcopy(D); opt = torch.optim.SGD(D2.parameters(), lr=.01)
    for _ in range(2): opt.zero_grad(); d_loss(D2, real, fake.detach()).backward(); opt.step()
    return on(D2(fake))
""",
        "in g_loss (my_gan.py:19)",
    ),
    "draws of NumPy": (
        """
def d_loss(D, real, fake): return on(D(real)) * (np.random.rand() < .9) + off(D(fake))
""",
        "d_loss (my_gan.py:18) draws from numpy.random",
    ),
    "draws of Python": (
        """
def d_loss(D, real, fake): return on(D(real)) * random.random() + off(D(fake))
""",
        "d_loss (my_gan.py:18) draws random numbers outside of torch",
    ),
    "a NumPy generator": (
        """
R = np.random.default_rng(0)
def d_loss(D, real, fake):
    return on(D(real)) + off(D(fake + torch.from_numpy(R.normal(size=fake.shape)).float()))
""",
        "d_loss (my_gan.py:20) changes d_loss's global R",
    ),
    "counter in a class of typing's": (
        """
import typing
class Config(typing.Any): step = 0
def d_loss(D, real, fake):
    Config.step += 1
    return on(D(real)) + off(D(fake)) * (1 + Config.step / 10)
""",
        "d_loss (my_gan.py:21) changes d_loss's global Config.step",
    ),
    "counter": (
        """
STEP = 0
def d_loss(D, real, fake):
    global STEP
    STEP += 1
    return on(D(real)) + off(D(fake)) * (1 + STEP / 10)
""",
        "d_loss (my_gan.py:21) changes d_loss's global STEP",
    ),
    "running mean of what is 0 at first": (
        """
MEAN = torch.zeros(2)
def d_loss(D, real, fake):
    MEAN.mul_(.9).add_(real.mean(0) / 10)
    return on(D(real - MEAN)) + off(D(fake - MEAN))
""",
        "d_loss (my_gan.py:20) changes d_loss's global MEAN",
    ),
    "annealing object": (
        """
class Anneal:
    def __init__(self): self.t = 0
    def __call__(self, D, real, fake):
        self.t += 1
        return on(D(real + torch.randn_like(real) / self.t)) + off(D(fake))
d_loss = Anneal()
""",
        "Anneal.__call__ (my_gan.py:21) changes d_loss.t",
    ),
    "annealed weight": (
        """
def more(game, G, D):
    w = [1.0]
    def d_loss(D, real, fake):
        w[0] *= .99
        return on(D(real)) + w[0] * off(D(fake))
    return dict(d_loss=d_loss)
""",
        "d_loss (my_gan.py:21) changes d_loss.w[0]",
    ),
    "replay buffer": (
        """
OLD = []
def d_loss(D, real, fake):
    OLD.append(fake); OLD[:] = OLD[-5:]
    return on(D(real)) + off(D(torch.cat(OLD)))
""",
        "d_loss (my_gan.py:20) changes d_loss's global OLD",
    ),
    "clipping optimiser": (
        """
class Clip(torch.optim.RMSprop):
    def step(self, closure=None):
        super().step()
        for g in self.param_groups:
            for p in g["params"]: p.data.clamp_(-.01, .01)
def optimizer(p): return Clip(p, lr=5e-5)
""",
        "Clip, so set up, has no update for graphs",
    ),
    "clipping optimiser of ours": (
        """
class Clip(gnn.Adam):
    def step(self, closure=None):
        super().step()
        for g in self.param_groups:
            for p in g["params"]: p.data.clamp_(-.01, .01)
def optimizer(p): return Clip(p, lr=5e-5)
""",
        "Clip, so set up, has no update for graphs",
    ),
    "step hook": (
        """
def optimizer(p):
    p = list(p); o = torch.optim.Adam(p, lr=1e-3)
    o.register_step_post_hook(lambda *_: [each.data.clamp_(-.01, .01) for each in p])
    return o
""",
        "Adam has hooks of its step",
    ),
    "scheduler": (
        """
SCHEDULERS = []
def optimizer(p):
    o = torch.optim.Adam(p, lr=1e-3)
    SCHEDULERS.append(torch.optim.lr_scheduler.ExponentialLR(o, .9)); return o
def g_loss(D, real, fake): SCHEDULERS[-1].step(); return on(D(fake))
""",
        "Adam has a step of its own, as under a scheduler",
    ),
    "parameter hook": (
        """
def more(game, G, D): D[0].weight.register_hook(lambda g: g.clamp(-1e-3, 1e-3)); return {}
""",
        "discriminator.0.weight has hooks of its gradient",
    ),
    "backward hook": (
        """
def more(game, G, D): D[0].register_full_backward_hook(lambda m, a, b: None); return {}
""",
        "discriminator.0 has hooks of its backward pass",
    ),
    "Sobol latents": (
        """
class Sobol:
    def __init__(s): s.e = torch.quasirandom.SobolEngine(4, scramble=True, seed=0)
    def __call__(s, n, rng): return s.e.draw(n)
latent = Sobol()
""",
        "Sobol.__call__ (my_gan.py:20) changes latent.e.quasi",
    ),
    "latents without rng": (
        """
def latent(n, rng): return torch.randn(n, 4)
""",
        "latent (my_gan.py:18) draws from torch's global stream",
    ),
    "features kept in D": (
        """
class Keeps(nn.Module):
    def __init__(s): super().__init__(); s.a = nn.Linear(2, 16); s.b = nn.Linear(16, 1)
    def forward(s, x): s.h = F.leaky_relu(s.a(x), .2); return s.b(s.h)
D = Keeps
def g_loss(D, real, fake):
    D(real); h = D.h; D(fake); return (h.mean(0) - D.h.mean(0)).square().sum()
""",
        "Keeps.forward (my_gan.py:20) changes discriminator.h",
    ),
    "clock": (
        """
def d_loss(D, real, fake): return on(D(real)) + off(D(fake)) * (1 + 1e-9 * time.time())
""",
        "d_loss (my_gan.py:18) looks at the clock",
    ),
    "closure over D": (
        """
def more(game, G, D): return dict(g_loss=lambda _, real, fake: on(D(fake)))
""",
        "g_loss.D.0.weight is of a network that is trained, not of the one handed over",
    ),
    "third network": (
        """
def more(game, G, D):
    E = nn.Linear(2, 4); opt = torch.optim.Adam(E.parameters())
    def g_loss(D, real, fake):
        l = E(fake.detach()).square().mean(); opt.zero_grad(); l.backward(); opt.step()
        return on(D(fake))
    return dict(g_loss=g_loss)
""",
        "g_loss.E.weight differs from seed to seed",
    ),
    "a constant of each seed": (
        """
def more(game, G, D):
    P = torch.randn(2, 2)
    def g_loss(D, real, fake): return on(D(fake)) + ((real - fake) @ P).mean(0).square().sum()
    return dict(g_loss=g_loss)
""",
        "g_loss.P differs from seed to seed",
    ),
    "initialised by its first batch": (
        """
class ActNorm(nn.Module):
    def __init__(s): super().__init__(); s.s = nn.Parameter(torch.ones(2)); s.ready = False
    def forward(s, x):
        if not s.ready: s.s.data = 1 / x.std(0); s.ready = True
        return x * s.s
def D(): return nn.Sequential(ActNorm(), nn.Linear(2, 16), nn.LeakyReLU(.2), nn.Linear(16, 1))
""",
        "changes discriminator.0.ready",
    ),
    "prints": (
        """
def d_loss(D, real, fake): print("loss"); return on(D(real)) + off(D(fake))
""",
        "d_loss (my_gan.py:18) prints",
    ),
    "branches on data": (
        """
def d_loss(D, real, fake):
    l = on(D(real)) + off(D(fake))
    return l if l.item() > .1 else l * 0
""",
        "in d_loss (my_gan.py:20)",
    ),
    "shuffles": (
        """
def d_loss(D, real, fake): return on(D(real[torch.randperm(len(real))])) + off(D(fake))
""",
        "draws by randperm, in d_loss (my_gan.py:18)",
    ),
    "recurrent": (
        """
class Recurrent(nn.Module):
    def __init__(s): super().__init__(); s.r = nn.GRU(1, 8, batch_first=True); s.o = nn.Linear(8, 1)
    def forward(s, x): return s.o(s.r(x[..., None])[0][:, -1])
D = Recurrent
""",
        "in Recurrent.forward (my_gan.py:20)",
    ),
}

SIZE = 16  # of a batch


@pytest.fixture(scope="module")
def task() -> Task:
    return registry.load_task("ring8")


def trainers_of(source: str, task: Task, folder: Path) -> list[Trainer]:
    path = folder / "my_gan.py"
    path.write_text(FILE.format(source=source.strip()))
    baseline = registry.load_baseline(str(path))
    trainers = []
    for seed in range(3):
        torch.manual_seed(seed)
        trainers.append(Trainer(baseline.make(task), seed=seed))
    return trainers


@pytest.mark.parametrize("name", STACKED)
def test_is_stacked(name: str, task: Task, tmp_path: Path) -> None:
    trainers = trainers_of(STACKED[name], task, tmp_path)
    real = task.sample(3 * 5 * SIZE, torch.Generator().manual_seed(0)).view(3, 5, SIZE, 2)
    (log, *_) = Stack(trainers, (SIZE, 2)).train(real)
    known = ["d_accuracy", "g_accuracy"] if trainers[0].game.decision is not None else []
    assert set(log) == {"d_loss", "g_loss", *known}


@pytest.mark.parametrize("name", EAGER)
def test_is_trained_eagerly_and_why(name: str, task: Task, tmp_path: Path) -> None:
    source, why = EAGER[name]
    with pytest.raises(UnstackableError) as raised:
        Stack(trainers_of(source, task, tmp_path), (SIZE, 2))
    assert why in str(raised.value)


@pytest.mark.parametrize("quiet", ["--quiet", "--json", "--workers=1"])
def test_the_line_is_said_and_stored(
    quiet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_gan.py").write_text(FILE.format(source=EAGER["counter"][0].strip()))
    run = ["run", "my_gan.py", "--task", "gaussian", "--steps", "2", "--workers", "1", quiet]
    done = CliRunner().invoke(main, run)
    assert done.exit_code == 0, done.output
    line = (
        "one seed after the other: d_loss (my_gan.py:21) changes d_loss's global STEP; "
        "no checkpoint holds that, so a seed that is stopped begins again"
    )
    assert done.stderr.count(line) == 1
    stored = json.loads(Path("leaderboard/gaussian/my_gan-2steps.json").read_text())
    assert [seed["engine"] for seed in stored["seeds"]] == ["eager"]
    assert [seed["engine_note"] for seed in stored["seeds"]] == [line]


def test_seeds_do_not_share_the_globals_of_a_file(tmp_path: Path) -> None:
    """A counter in a module begins anew for every seed, whoever was trained or tried before."""
    path = tmp_path / "my_gan.py"
    path.write_text(FILE.format(source=EAGER["counter"][0].strip()))
    job = look_up(Spec(task="gaussian", baseline=str(path), steps=3, folder=tmp_path / "both"))
    both = list(train_seeds(job, [0, 1]))
    (alone,) = train_seeds(job.in_folder(tmp_path / "alone"), [1])
    assert both[1].samples_sha256 == alone.samples_sha256


NADAM = "def optimizer(p): return torch.optim.NAdam(p, lr=1e-3)"
SAVED = {
    EAGER["draws of Python"][0]: True,
    EAGER["unrolled"][0]: True,
    NADAM: True,
    EAGER["counter"][0]: False,
    EAGER["counter"][0] + NADAM: False,
    """
class Ahead(torch.optim.Adam):
    def __init__(self, p): super().__init__(p, lr=1e-3); self.n = 0
    def step(self, closure=None): self.n += 1; super().step() if self.n % 2 else None
optimizer = Ahead
""": False,
    """
import threading
N, LOCK = [0], threading.Lock()
def d_loss(D, real, fake):
    with LOCK: N[0] += 1
    return on(D(real)) + off(D(fake)) * (1 + N[0] / 10)
""": False,
    """
def more(game, G, D): D[0].weight.register_hook(lambda g: g * 2); return {}
class Net(nn.Linear):
    n = 0
    def forward(self, x): self.n += 1; return super().forward(x) * (2 if self.n > 4 else 1)
def D(): return nn.Sequential(Net(2, 16), nn.LeakyReLU(.2), nn.Linear(16, 1))
""": False,
}


@pytest.mark.slow
@pytest.mark.parametrize(("source", "saves"), SAVED.items())
def test_a_stopped_seed_begins_again_where_no_checkpoint_holds_its_state(
    source: str, saves: bool, tmp_path: Path
) -> None:
    """Else a counter would go on from 0; a draw of Python's goes on from where it stood."""
    path, stop = tmp_path / "my_gan.py", threading.Event()
    path.write_text(FILE.format(source=source.strip()))
    spec = Spec(task="gaussian", baseline=str(path), steps=4, folder=tmp_path / "whole")
    (whole,) = train_seeds(look_up(spec), [0])
    spec = replace(spec, folder=tmp_path / "stopped", resume=True)

    def after_a_round(progress: Progress) -> None:
        if progress.position is not None:
            stop.set()

    (stopped,) = train_seeds(look_up(spec), [0], report=after_a_round, stop=stop)
    assert stopped.status == "interrupted"
    assert (tmp_path / "stopped/seed-0/checkpoint.safetensors").is_file() == saves
    (resumed,) = train_seeds(look_up(spec), [0])
    assert resumed.status == "ok"
    assert resumed.samples_sha256 == whole.samples_sha256
