"""State in places where nobody looks for it: a GAN that has any is never stacked in silence."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from ganbench import registry
from ganbench.core import Task
from ganbench.engine.noise import Call, SuppliedNoise, UnsuppliedError
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.engine.unstackable import UnstackableError

from .test_styles import FILE, SIZE

TEN = "return on(D(real)) + (10.0 if {} > 200 else 1.0) * off(D(fake))"
STATE = {
    "an attribute of a class, counted on in its instance": (
        f"""
class Warm:
    n = 0
    def __call__(self, D, real, fake): self.n += 1; {TEN.format("self.n")}
d_loss = Warm()
""",
        "changes d_loss.n",
    ),
    "the same of a base class": (
        f"""
class Base: n = 0
class Warm(Base):
    def loss(self, D, real, fake): self.n += 1; {TEN.format("self.n")}
d_loss = Warm().loss
""",
        "changes d_loss.self.n",
    ),
    "a data class": (
        f"""
from dataclasses import dataclass
@dataclass
class State: step: int = 0
STATE = State()
def d_loss(D, real, fake): STATE.step += 1; {TEN.format("STATE.step")}
""",
        "changes d_loss's global STATE.step",
    ),
    "an attribute of a module's class": (
        """
class Net(nn.Module):
    calls = 0
    def __init__(s): super().__init__(); s.a = nn.Linear(2, 1)
    def forward(s, x): s.calls += 1; return s.a(x) * (2.0 if s.calls > 600 else 1.0)
D = Net
""",
        "changes discriminator.calls",
    ),
    "an argument and a default in one place": (
        f"""
def f(S, D, real, fake, table=(1.0, 10.0)): S[0] += 1; {TEN.format("S[0]")}
d_loss = partial(f, [0])
""",
        "changes d_loss[0][0]",
    ),
    "a dict that a cache keeps": (
        f"""
@lru_cache(None)
def state(): return {{"n": 0}}
def d_loss(D, real, fake): s = state(); s["n"] += 1; {TEN.format('s["n"]')}
""",
        "changes d_loss's global state.cached[",
    ),
    "the same of a bounded cache": (
        f"""
@lru_cache
def state(): return {{"n": 0}}
def d_loss(D, real, fake): s = state(); s["n"] += 1; {TEN.format('s["n"]')}
""",
        "changes d_loss's global state.cached[",
    ),
    "random numbers that a cache keeps": (
        """
@lru_cache(None)
def turn(): return torch.randn(2, 2)
def d_loss(D, real, fake): return on(D(real @ turn())) + off(D(fake @ turn()))
""",
        " keeps random numbers",
    ),
    "a generator that has begun": (
        f"""
def ticks():
    n = 0
    while True: n += 1; yield n
TICK = ticks(); next(TICK)
def d_loss(D, real, fake): {TEN.format("next(TICK)")}
""",
        "changes d_loss's global TICK.n",
    ),
    "a bound method of a counter": (
        f"""
import itertools
TICK = itertools.count().__next__
def d_loss(D, real, fake): {TEN.format("TICK()")}
""",
        "changes d_loss's global TICK.self",
    ),
    "bound methods of a list": (
        f"""
SEEN = []
def make(add=SEEN.append, length=SEEN.__len__):
    def d_loss(D, real, fake): add(1); {TEN.format("length()")}
    return d_loss
d_loss = make()
""",
        "changes d_loss.add.self",
    ),
    "an attribute of a dict": (
        f"""
class Config(dict): step = 0
CFG = Config(w=1.0)
def d_loss(D, real, fake): CFG.step += 1; {TEN.format("CFG.step")}
""",
        "changes d_loss's global CFG.step",
    ),
    "an attribute of a list": (
        f"""
class History(list): n = 0
H = History()
def d_loss(D, real, fake): H.n += 1; {TEN.format("H.n")}
""",
        "changes d_loss's global H.n",
    ),
    "an attribute of a number": (
        f"""
class Weight(float): n = 0
W = Weight(1.0)
def d_loss(D, real, fake): W.n += 1; {TEN.format("W.n")}
""",
        "changes d_loss's global W.n",
    ),
    "an attribute of a tensor": (
        f"""
W = torch.tensor(1.0); W.n = 0
def d_loss(D, real, fake): W.n += 1; {TEN.format("W.n")}
""",
        "changes d_loss's global W.n",
    ),
    "an attribute of a weight": (
        f"""
def d_loss(D, real, fake):
    w = D[0].weight; w.n = getattr(w, "n", 0) + 1; {TEN.format("w.n")}
""",
        "changes discriminator.0.weight.n",
    ),
    "an object in a set": (
        f"""
class Warm: n = 0
ALL = {{Warm()}}
def d_loss(D, real, fake): (one,) = ALL; one.n += 1; {TEN.format("one.n")}
""",
        "changes d_loss's global ALL[0].n",
    ),
    "an object as a key": (
        f"""
class Warm: n = 0
ALL = {{Warm(): 1.0}}
def d_loss(D, real, fake): (one,) = ALL; one.n += 1; {TEN.format("one.n")}
""",
        "changes d_loss's global ALL[Warm].n",
    ),
    "an object in an array": (
        f"""
class Warm: n = 0
ALL = np.array([Warm()], dtype=object)
def d_loss(D, real, fake): ALL[0].n += 1; {TEN.format("ALL[0].n")}
""",
        "changes d_loss's global ALL[0].n",
    ),
    "all globals": (
        f"""
N = 0
def d_loss(D, real, fake): g = globals(); g["N"] += 1; {TEN.format('g["N"]')}
""",
        "changes d_loss's global N",
    ),
    "a class of a library": (
        f"""
nn.Module.steps = 0
def d_loss(D, real, fake): nn.Module.steps += 1; {TEN.format("nn.Module.steps")}
""",
        "changes <torch.nn.modules.module.Module>.steps",
    ),
    "the environment": (
        f"""
import os
os.environ.pop("GANBENCH_N", None)
def d_loss(D, real, fake):
    os.environ["GANBENCH_N"] = str(n := int(os.environ.get("GANBENCH_N", 0)) + 1)
    {TEN.format("n")}
""",
        "sets a variable of the environment",
    ),
    "a flag that a schedule sets": (
        """
FLAG = [False]
def w(share): FLAG[0] = share > .5; return 1.0
def d_loss(D, real, fake, *, w): return on(D(real)) + (10 if FLAG[0] else w) * off(D(fake))
def more(game, G, D): return dict(schedule={"w": w})
""",
        "w of the schedule changes",
    ),
    "a flag that a schedule sets at the end": (
        """
FLAG = [False]
def w(share): FLAG[0] = share > .99; return 1.0
def d_loss(D, real, fake, *, w): return on(D(real)) + (10 if FLAG[0] else w) * off(D(fake))
def more(game, G, D): return dict(schedule={"w": w})
""",
        "w of the schedule changes",
    ),
    "momentum that a schedule sets": (
        """
MADE = []
def optimizer(p): MADE.append(torch.optim.SGD(p, lr=1e-2, momentum=.5)); return MADE[-1]
def w(share): MADE[-1].param_groups[0]["momentum"] = .5 if share < .5 else .9; return 1.0
def d_loss(D, real, fake, *, w): return on(D(real)) + w * off(D(fake))
def more(game, G, D): return dict(schedule={"w": w})
""",
        "w of the schedule changes",
    ),
}
MEMORY = {
    "tied by data": (
        """
class Tied(nn.Module):
    def __init__(s):
        super().__init__()
        s.a, s.b, s.c = nn.Linear(2, 16), nn.Linear(16, 2, bias=False), nn.Linear(2, 1)
        s.b.weight.data = s.a.weight.data.t()
    def forward(s, x): return s.c(s.b(F.leaky_relu(s.a(x), .2)))
D = Tied
""",
        "D a.weight and D b.weight share memory",
    ),
    "a buffer that looks at a weight": (
        """
def more(game, G, D): D.register_buffer("w", D[0].weight.detach()); return {}
""",
        "D w share memory",
    ),
    "D looks at a weight of G": (
        """
def more(game, G, D): D.register_buffer("w", G[0].weight.detach()); return {}
""",
        "D w and G 0.weight share memory",
    ),
    "an attribute that looks at a weight": (
        """
def more(game, G, D): D[0].w = D[0].weight.detach(); return {}
""",
        "discriminator.0.w ",
    ),
    "a closure over what looks at a weight": (
        """
def more(game, G, D):
    w = D[0].weight.detach()
    return dict(d_loss=lambda D, real, fake: on(D(real)) + off(D(fake)) + w.norm())
""",
        "d_loss.w ",
    ),
}


@pytest.fixture(scope="module")
def task() -> Task:
    return registry.load_task("ring8")


def trainers_of(source: str, task: Task, folder: Path, seeds: int) -> list[Trainer]:
    path = folder / "my_gan.py"
    path.write_text(FILE.format(source=source.strip()))
    baseline = registry.load_baseline(str(path))
    trainers = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        trainers.append(Trainer(baseline.make(task), seed=seed, total=300))
    return trainers


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("name", STATE | MEMORY)
def test_is_trained_eagerly_and_why(name: str, seeds: int, task: Task, tmp_path: Path) -> None:
    source, why = (STATE | MEMORY)[name]
    with pytest.raises(UnstackableError) as raised:
        Stack(trainers_of(source, task, tmp_path, seeds), (SIZE, 2))
    assert why in str(raised.value)


def test_hooks_of_every_module(task: Task, tmp_path: Path) -> None:
    hook = register_module_forward_hook(lambda module, given, made: None)
    try:
        with pytest.raises(UnstackableError, match="torch has been given hooks of every module"):
            Stack(trainers_of("", task, tmp_path, 1), (SIZE, 2))
    finally:
        hook.remove()


def test_constants_may_share_memory(task: Task, tmp_path: Path) -> None:
    source = """
SCALE = torch.tensor([2.0, 3.0])
def d_loss(D, real, fake): return on(D(real / SCALE)) + off(D(fake / SCALE))
def more(game, G, D):
    for net in (G, D): net.register_buffer("scale", SCALE.view(1, 2))
    return {}
"""
    Stack(trainers_of(source, task, tmp_path, 2), (SIZE, 2))


def test_seeds_with_alike_objects_in_sets_are_stacked(task: Task, tmp_path: Path) -> None:
    """Whose texts, with their addresses, differ from seed to seed."""
    source = """
class Weight: value = 2.0
ALL, BY = {Weight()}, {Weight(): 2.0}
def d_loss(D, real, fake):
    (one,), (w,) = ALL, BY.values()
    return one.value * on(D(real)) + w * off(D(fake))
"""
    real = task.sample(2 * 5 * SIZE, torch.Generator().manual_seed(0)).view(2, 5, SIZE, 2)
    (log, _) = Stack(trainers_of(source, task, tmp_path, 2), (SIZE, 2)).train(real)
    assert len(log["d_loss"]) == 5


@pytest.mark.parametrize(
    ("layer", "shape"), [(torch.nn.Dropout, (4, 6)), (torch.nn.Dropout2d, (4, 6, 2, 2))]
)
def test_dropout_in_place_changes_what_it_is_given(layer: type, shape: tuple[int, ...]) -> None:
    given = torch.ones(shape)

    def every_other(call: Call) -> torch.Tensor:
        return (torch.arange(math.prod(call.shape)) % 2).view(call.shape).to(call.dtype)

    with SuppliedNoise(every_other):
        made = layer(0.5, inplace=True)(given)
    assert made.data_ptr() == given.data_ptr()
    assert sorted(set(given.flatten().tolist())) == [0.0, 2.0]


@pytest.mark.parametrize(
    "options", [{"out": torch.zeros(3)}, {"requires_grad": True}], ids=["out", "requires_grad"]
)
def test_options_of_a_draw_that_would_be_lost_are_refused(options: dict[str, object]) -> None:
    with SuppliedNoise(lambda call: torch.zeros(call.shape)):
        with pytest.raises(UnsuppliedError, match=f"draws numbers with {next(iter(options))}"):
            torch.rand(3, **options)  # type: ignore[call-overload]
        assert torch.rand(3, device="cpu", requires_grad=False).shape == (3,)
