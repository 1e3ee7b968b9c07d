"""Seeds trained at once: as each by itself, as the eager trainer, compiled as not."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import nn as torch_nn
from torch.nn.functional import softplus
from torch.nn.utils import parametrizations

from ganbench import nn, penalties
from ganbench.core import Game
from ganbench.engine.graph import MAX_STEPS, _parts
from ganbench.engine.noise import (
    CHUNK,
)
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.engine.unstackable import UnstackableError
from ganbench.harness.spec import Job, Progress, Spec, look_up
from ganbench.harness.train import train_seeds
from ganbench.randomness import stream
from ganbench.registry import load_baseline, load_task
from ganbench.system.threads import one_thread

from ..tiers import every

CPU = torch.device("cpu")
N = 8  # in a batch of the small games
Make = Callable[[], Game]


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def noise(n: int, rng: torch.Generator) -> Tensor:
    return torch.randn(n, 2, generator=rng, device=rng.device)


def d_loss(D, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-D(real)).mean() + softplus(D(fake)).mean()


def g_loss(D, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-D(fake)).mean()


def small(**changes: object) -> Game:
    game = Game(
        generator=nn.mlp([2, 6, 2]),
        discriminator=nn.mlp([2, 6, 1]),
        latent=noise,
        d_loss=d_loss,
        g_loss=g_loss,
        d_optimizer=nn.Adam,
        g_optimizer=nn.Adam,
    )
    return replace(game, **changes)  # type: ignore[arg-type]


def trainers(make: Make, seeds: list[int], **options: str) -> list[Trainer]:
    made = []
    for seed in seeds:
        torch.manual_seed(stream(seed, "init"))
        made.append(Trainer(make(), seed=seed, **options))  # type: ignore[arg-type]
    return made


def data(seeds: list[int], steps: int, *shape: int) -> Tensor:
    drawn = [torch.randn(steps, *shape, generator=torch.Generator().manual_seed(s)) for s in seeds]
    return torch.stack(drawn) + 1


def weights(trainer: Trainer) -> Tensor:
    state = {**trainer.generator.state_dict(), **trainer.discriminator.state_dict()}
    return torch.cat([value.flatten().double() for value in state.values()])


PRESETS = [
    ("mlp_gan", "gaussian", 50),
    ("mlp_gan", "quadratic", 50),
    ("mlp_gan", "sine", 50),
    ("mlp_gan", "ring8", 50),
    ("mlp_gan", "mnist", 5),
    ("mlp_gan_batchnorm", "ring8", 20),
]
# Which takes a minute each, so that all but one are long; that left out has no layer of its own.
COMPILED = [each for each in PRESETS[::-1] if each[:2] != ("mlp_gan", "ring8")]


@pytest.mark.slow
@pytest.mark.parametrize(("baseline", "task", "steps"), PRESETS)
def test_together_as_alone(baseline: str, task: str, steps: int) -> None:
    """The same data, noise and masks: the losses of a seed do not depend on the others."""
    target, baseline = load_task(task), load_baseline(baseline)
    shape = (target.budget.batch_size, *target.shape)

    def logs(seeds: list[int]) -> list[dict[str, np.ndarray]]:
        stack = Stack(trainers(lambda: baseline.make(target), seeds), shape)
        return stack.train(data(seeds, steps, *shape).clamp(-1, 1))

    together, (alone,) = logs([3, 5, 7]), logs([5])
    assert together[1].keys() == alone.keys() == together[0].keys()
    for name, values in alone.items():
        assert len(values) == steps
        assert np.abs(together[1][name] - values).max() < 1e-4, name
    assert not np.allclose(together[0]["d_loss"], together[1]["d_loss"])


def two_losses() -> list[Callable[..., Tensor]]:
    return [
        lambda D, real, fake: softplus(-D(real)).mean(),
        lambda D, real, fake: softplus(D(fake)).mean(),
    ]


OFFSET = torch.tensor(0.3)


def penalised(D, real: Tensor, fake: Tensor) -> Tensor:
    """WGAN-GP's, whose penalty is on points between real and fake."""
    share = torch.rand(len(real), 1)
    between = share * real + (1 - share) * fake
    slope = torch.func.grad(lambda x: D(x).sum())(between)
    return D(fake).mean() - D(real).mean() + 10 * (slope.norm(dim=1) - 1).square().mean()


def scaled(D, real: Tensor, fake: Tensor, *, scale: Tensor) -> Tensor:
    """A penalty in units, of which there are two constant tensors."""
    slope = penalties.gradient_penalty(D, real, fake, scale)
    return d_loss(D, real, fake) + slope + (D(real / scale) - OFFSET).square().mean()


def reaching_in(D, real: Tensor, fake: Tensor) -> Tensor:
    return (D[0](real).mean(0) - D[0](fake).mean(0)).square().sum() + 1e-3 * D(fake).mean()


def noisy(D, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-D(fake + 0.1 * torch.randn_like(fake))).mean()


def slope_by_weights(D, real: Tensor, fake: Tensor) -> Tensor:
    """How steep the loss is by what D has to learn."""
    learnt = [p for p in D.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(d_loss(D, real, fake), learnt, create_graph=True)
    return d_loss(D, real, fake) + 0.1 * sum(each.square().sum() for each in slopes)


def matching(D, real: Tensor, fake: Tensor) -> Tensor:
    """G's loss, and how far fakes would lead D's weights."""
    slopes = torch.autograd.grad(D(fake).mean(), list(D.parameters()), create_graph=True)
    return g_loss(D, real, fake) + 0.1 * sum(each.square().sum() for each in slopes)


def frozen(*sizes: int) -> torch_nn.Module:
    net = nn.mlp(sizes)
    net[0].weight.requires_grad_(False)
    return net


def spectral(normalise: Callable[[torch_nn.Module], torch_nn.Module]) -> torch_nn.Module:
    first, activation, last = nn.mlp([2, 6, 1])
    return torch_nn.Sequential(normalise(first), activation, normalise(last))


def convolutions() -> tuple[torch_nn.Module, torch_nn.Module]:
    G = torch_nn.Sequential(
        nn.dense(2, 16), torch_nn.Unflatten(1, (1, 4, 4)), torch_nn.ConvTranspose2d(1, 1, 1)
    )
    D = torch_nn.Sequential(
        torch_nn.Conv2d(1, 3, 3), torch_nn.LeakyReLU(0.2), torch_nn.Flatten(), nn.dense(12, 1)
    )
    return G, D


def one_dimensional(*more: torch_nn.Module) -> torch_nn.Module:
    """Whose gradients have other strides than a trace shows."""
    to, back = torch_nn.Unflatten(1, (1, 6)), torch_nn.Flatten()
    convolution = torch_nn.Conv1d(1, 2, 3, padding=1)
    return torch_nn.Sequential(
        nn.dense(2, 6), to, convolution, *more, back, torch_nn.Softplus(), nn.dense(12, 1)
    )


def with_convolutions() -> Game:
    G, D = convolutions()
    return small(generator=G, discriminator=D)


GAMES: dict[str, Make] = {
    "plain": small,
    "reused latent": lambda: small(reuse_latent=True),
    "three updates of D": lambda: small(d_updates=3),
    "three updates, reused": lambda: small(d_updates=3, reuse_latent=True),
    "rmsprop": lambda: small(d_optimizer=nn.RMSprop, g_optimizer=partial(nn.RMSprop, initial=1.0)),
    "torch's Adam": lambda: small(
        d_optimizer=partial(torch.optim.Adam, lr=0.01, weight_decay=0.1),
        g_optimizer=partial(torch.optim.AdamW, lr=0.01, betas=(0.5, 0.9)),
    ),
    "torch's SGD and RMSprop": lambda: small(
        d_optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1),
        g_optimizer=partial(torch.optim.RMSprop, momentum=0.5, weight_decay=0.1),
    ),
    "plain SGD": lambda: small(
        d_optimizer=partial(torch.optim.SGD, lr=0.1), g_optimizer=torch.optim.RMSprop
    ),
    "two losses": lambda: small(d_loss=two_losses()),
    "a critic": lambda: small(decision=None),
    "batch norm": lambda: small(
        generator=nn.mlp([2, 6, 2], norm="batch"), discriminator=nn.mlp([2, 6, 1], norm="batch")
    ),
    "torch's batch norm": lambda: small(
        generator=torch_nn.Sequential(
            torch_nn.Linear(2, 6, bias=False), torch_nn.BatchNorm1d(6), nn.dense(6, 2)
        )
    ),
    "inference fakes": lambda: small(
        generator=nn.mlp([2, 6, 2], norm="batch"), inference_fakes=True, reuse_latent=True
    ),
    "layer norm": lambda: small(discriminator=nn.mlp([2, 6, 1], norm="layer")),
    "dropout": lambda: small(
        generator=nn.mlp([2, 6, 2], dropout=0.3), discriminator=nn.mlp([2, 6, 1], dropout=0.5)
    ),
    "dropout, three updates": lambda: small(
        discriminator=nn.mlp([2, 6, 1], dropout=0.5), d_updates=3
    ),
    "gradient penalty": lambda: small(d_loss=penalised, d_updates=2, decision=None),
    "tensors in losses": lambda: small(
        d_loss=partial(scaled, scale=torch.tensor([0.5, 2.0])), d_updates=2, decision=None
    ),
    "features of D": lambda: small(g_loss=reaching_in),
    "noise in a loss": lambda: small(g_loss=noisy),
    "frozen weights": lambda: small(discriminator=frozen(2, 6, 1), generator=frozen(2, 6, 2)),
    "slope by weights": lambda: small(discriminator=frozen(2, 6, 1), d_loss=slope_by_weights),
    "spectral norm": lambda: small(discriminator=spectral(parametrizations.spectral_norm)),
    "spectral norm by hooks": lambda: small(discriminator=spectral(torch_nn.utils.spectral_norm)),
    "slope of D's weights in G's loss": lambda: small(g_loss=matching),
    "dropout of channels": lambda: small(discriminator=one_dimensional(torch_nn.Dropout1d(0.4))),
    "convolutions": with_convolutions,
    "a convolution before softplus": lambda: small(discriminator=one_dimensional()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GAMES)
def test_as_the_eager_trainer(name: str) -> None:
    """With the same numbers; `train_apart` has each trainer take its own steps."""
    make, seeds, steps = GAMES[name], [0, 4], 14
    shape = (N, 1, 4, 4) if name == "convolutions" else (N, 2)
    real = data(seeds, steps, *shape)
    graph, eager = (Stack(trainers(make, seeds), shape) for _ in range(2))
    logs = graph.train(real)
    parts = [eager.train_apart(real[:, i : i + 1]) for i in range(steps)]
    for place in range(len(seeds)):
        apart = {
            key: np.concatenate([part[place][key] for part in parts if key in part[place]])
            for key in set().union(*(part[place] for part in parts))
        }
        more = logs[place].keys() ^ apart.keys()  # a stack tells the verdicts of more batches apart
        assert more <= {"d_accuracy", "g_accuracy"} and more <= logs[place].keys()
        for key, values in apart.items():
            assert logs[place][key] == pytest.approx(values, abs=2e-5), key
        mine, theirs = graph.trainers[place], eager.trainers[place]
        assert torch.allclose(weights(mine), weights(theirs), atol=2e-5)
        assert mine.steps == theirs.steps == steps


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "three updates, reused", "torch's Adam"])
def test_replaying_changes_no_bit(name: str) -> None:
    """As a GPU replays what it has captured; here the same functions are called."""
    seeds = [0, 4]
    real = data(seeds, 70, N, 2)
    plain, replayed = (Stack(trainers(GAMES[name], seeds), (N, 2)) for _ in range(2))
    replayed.loop(compiled=False)
    assert replayed._graphs[replayed._whole].cycles == MAX_STEPS // len(replayed._whole)
    for mine, theirs in zip(replayed.train(real), plain.train(real), strict=True):
        assert all(np.array_equal(mine[key], theirs[key]) for key in theirs)
    for mine, theirs in zip(replayed.trainers, plain.trainers, strict=True):
        assert torch.equal(weights(mine), weights(theirs))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("compiled", [False, True])
def test_on_a_gpu(compiled: bool) -> None:
    """Captured steps as the trainers' own, and nothing waits for the device inside a round."""
    seeds, steps = [0, 4], 14
    real = data(seeds, steps, N, 2).cuda()
    graph, eager = (Stack(trainers(small, seeds, device="cuda"), (N, 2)) for _ in range(2))
    if compiled:
        graph.compile()
    logs = graph.train(real)
    parts = [eager.train_apart(real[:, i : i + 1]) for i in range(steps)]
    for place in range(len(seeds)):
        apart = np.concatenate([part[place]["g_loss"] for part in parts])
        assert logs[place]["g_loss"] == pytest.approx(apart, abs=1e-4)
    inputs = graph._inputs((True,), real)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        graph._graphs[(True,)](inputs)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "gradient penalty", "convolutions"])
def test_bfloat16(name: str) -> None:
    """Of products alone: losses near those of float32, and weights that stay float32."""
    seeds, steps = [0, 4], 3
    shape = (N, 1, 4, 4) if name == "convolutions" else (N, 2)
    real = data(seeds, steps, *shape)
    lower, eager, full = (
        Stack(trainers(GAMES[name], seeds, precision=precision), shape)
        for precision in ("bf16", "bf16", "float32")
    )
    logs, exact = lower.train(real), full.train(real)
    parts = [eager.train_apart(real[:, i : i + 1]) for i in range(steps)]
    for place in range(len(seeds)):
        mine, theirs = logs[place]["d_loss"], exact[place]["d_loss"]
        assert 1e-5 < np.abs(mine - theirs).max() < 0.02 * np.abs(theirs).max()
        apart = np.concatenate([part[place]["d_loss"] for part in parts])
        assert mine == pytest.approx(apart, rel=0.02)
    kinds = {each.dtype for each in lower.trainers[0].generator.parameters()}
    assert kinds == {torch.float32}


def test_alternating_with_the_eager_trainer() -> None:
    """Both leave the optimisers where the other goes on."""
    seeds = [0, 1]
    real = data(seeds, 12, N, 2)
    one, other = (Stack(trainers(small, seeds), (N, 2)) for _ in range(2))
    one.train(real)
    for i in range(0, 12, 3):
        other.train(real[:, i : i + 2])
        other.train_apart(real[:, i + 2 : i + 3])
    for mine, theirs in zip(one.trainers, other.trainers, strict=True):
        assert torch.allclose(weights(mine), weights(theirs), atol=2e-5)


@pytest.mark.slow
def test_blocks_do_not_matter() -> None:
    real = data([2], 2 * CHUNK + 3, N, 2)
    make = GAMES["dropout, three updates"]
    whole, parts = (Stack(trainers(make, [2]), (N, 2)) for _ in range(2))
    whole.train(real)
    for start, end in ((0, 1), (1, CHUNK + 2), (CHUNK + 2, 2 * CHUNK + 3)):
        parts.train(real[:, start:end])
    assert torch.equal(weights(whole.trainers[0]), weights(parts.trainers[0]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dropout", "tensors in losses"])
def test_compiled_as_not(name: str) -> None:
    seeds = [0, 4]
    real = data(seeds, 50, N, 2)
    plain = Stack(trainers(GAMES[name], seeds), (N, 2))
    fast = Stack(trainers(GAMES[name], seeds), (N, 2))
    fast.compile()
    for expected, found in zip(plain.train(real), fast.train(real), strict=True):
        assert expected.keys() == found.keys()
        for key, values in expected.items():
            assert found[key] == pytest.approx(values, abs=1e-4), key


@pytest.mark.slow
def test_parts_of_the_seeds_learn_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = [0, 4]
    real = data(seeds, 20, N, 2)
    logs = []
    for part_bytes, parts in ((math.inf, 1), (1, 2)):
        monkeypatch.setattr("ganbench.engine.stack.PART_BYTES", part_bytes)
        stack = Stack(trainers(GAMES["dropout"], seeds), (N, 2))
        stack.compile()
        assert len(stack._graphs[stack._whole]._parts) == parts
        logs.append(stack.train(real))
    for expected, found in zip(*logs, strict=True):
        for key, values in expected.items():
            assert found[key] == pytest.approx(values, abs=1e-5), key


@pytest.mark.parametrize(("kib", "count"), [(1, 10), (200, 1), (40, 5), (79, 5), (80, 2)])
def test_parts_stay_in_cache(kib: float, count: int) -> None:
    """Of ten seeds with 16 KiB each."""
    parts = _parts([torch.empty(10, 1024), torch.empty(3, 10, 1024)], 10, 1024 * kib)
    assert len(parts) == count
    assert [i for part in parts for i in range(10)[part]] == list(range(10))


def one_ulp_up(trainer: Trainer) -> None:
    for network in (trainer.generator, trainer.discriminator):
        for p in network.parameters():
            p.data.copy_(torch.nextafter(p.data, torch.full_like(p, math.inf)))


@pytest.mark.slow
@pytest.mark.parametrize(("baseline", "task", "steps"), every(len(COMPILED), COMPILED))
def test_a_compiled_baseline_as_not(baseline: str, task: str, steps: int) -> None:
    """Losses within 1e-4, or, of a game that makes more of rounding, within three times of that.

    Which shows where the first weights are moved to the next numbers up: once, while the compiler's
    sums are rounded otherwise in every step.
    """
    target, baseline, seeds = load_task(task), load_baseline(baseline), [0, 1]
    shape = (target.budget.batch_size, *target.shape)
    batches = [
        target.sample(steps * shape[0], torch.Generator().manual_seed(seed)).view(steps, *shape)
        for seed in seeds
    ]

    def losses(change: Callable[[Stack], None]) -> np.ndarray:
        stack = Stack(trainers(lambda: baseline.make(target), seeds), shape)
        change(stack)
        logs = stack.train(torch.stack(batches))
        return np.array([[log["d_loss"], log["g_loss"]] for log in logs])

    expected = losses(lambda stack: None)
    compiled = losses(lambda stack: stack.compile())
    moved = losses(lambda stack: [one_ulp_up(each) for each in stack.trainers])
    by_rounding = np.abs(moved - expected).max()
    assert 0 < by_rounding < 0.02
    assert np.abs(compiled - expected).max() < max(1e-4, 3 * by_rounding)


def test_seeds_see_what_was_learnt() -> None:
    stack = Stack(trainers(small, [0, 1]), (N, 2))
    before = [weights(each) for each in stack.trainers]
    stack.train(data([0, 1], 3, N, 2))
    for place, each in enumerate(stack.trainers):
        assert not torch.equal(before[place], weights(each))
        state = each.optimizers["D"].state[each.discriminator[0].weight]
        assert float(state["step"]) == each.optimizers["D"].param_groups[0]["steps"] == 3
    first, second = (each.sample(5) for each in stack.trainers)
    assert not torch.equal(first, second)


def test_stops_between_steps() -> None:
    asked = iter([False, False, True])
    (log,) = Stack(trainers(small, [0]), (N, 2)).train(
        data([0], 9, N, 2), stopped=lambda: next(asked)
    )
    assert len(log["d_loss"]) == 2


def branching(D, real: Tensor, fake: Tensor) -> Tensor:
    value = softplus(-D(fake)).mean()
    return value if value > 0 else 2 * value


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"d_optimizer": torch.optim.Adagrad}, r"Adagrad, so set up, has no update for graphs"),
        ({"d_optimizer": partial(torch.optim.Adam, amsgrad=True)}, "Adam, so set up, has no upd"),
        ({"g_loss": branching}, "vmap"),
        ({"g_loss": lambda D, r, f: D(f).mean() * torch.bernoulli(torch.ones(()))}, "bernoulli"),
        ({"g_loss": lambda D, r, f: D(f).mean() * (1 / (len(f) - N))}, "ZeroDivisionError"),
    ],
)
def test_says_why_not(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(UnstackableError, match=reason):
        Stack(trainers(lambda: small(**changes), [0, 1]), (N, 2))


def sharing_a_layer() -> Game:
    shared = nn.dense(2, 2)
    return small(
        generator=torch_nn.Sequential(nn.dense(2, 2), shared),
        discriminator=torch_nn.Sequential(shared, nn.dense(2, 1)),
    )


def sharing_statistics() -> Game:
    shared = torch_nn.BatchNorm1d(2, affine=False)
    return small(
        generator=torch_nn.Sequential(nn.dense(2, 2), shared),
        discriminator=torch_nn.Sequential(shared, nn.dense(2, 1)),
    )


@pytest.mark.parametrize("make", [sharing_a_layer, sharing_statistics])
def test_networks_that_share_what_is_learnt_are_not_stacked(make: Make) -> None:
    """Each would be given its own."""
    with pytest.raises(UnstackableError, match="from what the eager player makes of it"):
        Stack(trainers(make, [0, 1]), (N, 2))


def test_a_constant_may_be_shared() -> None:
    constant = torch.ones(2)

    def make() -> Game:
        G = torch_nn.Sequential(nn.dense(2, 2), nn.Affine(constant, constant))
        return small(generator=G, discriminator=torch_nn.Sequential(G[1], nn.dense(2, 1)))

    Stack(trainers(make, [0, 1]), (N, 2))


def test_seeds_that_share_weights_are_not_stacked() -> None:
    shared = nn.mlp([2, 6, 1])
    with pytest.raises(UnstackableError, match=r"0\.weight is shared by seeds"):
        Stack(trainers(lambda: small(discriminator=shared), [0, 1]), (N, 2))


def test_widths_that_differ_are_not_stacked() -> None:
    widths = iter([4, 5])
    different = trainers(lambda: small(generator=nn.mlp([2, next(widths), 2])), [0, 1])
    with pytest.raises(UnstackableError, match="differ from seed to seed"):
        Stack(different, (N, 2))


BASELINE = '''"""A small GAN for tests."""
import torch
from functools import partial
from torch.nn.functional import softplus
from ganbench import nn, penalties
from ganbench.core import Game

def GAN(task, *, device="cpu"):
    bad = torch.initial_seed() == {bad}
    return Game(
        generator=nn.mlp([2, 4, 2]), discriminator=nn.mlp([2, 4, 1]),
        latent=lambda n, rng: torch.full((n, 2), float("nan")) if bad
            else {noise},
        d_loss=lambda D, real, fake: softplus(-D(real)).mean() + softplus(D(fake)).mean(),
        g_loss=lambda D, real, fake: softplus(-D(fake)).mean(),
        d_optimizer={optimizer}, g_optimizer={optimizer},
    )
'''
NOISE = "torch.randn(n, 2, generator=rng)"


METRICS = ("mmd", "energy", "mean_error", "covariance_error")


def run_small(tmp_path: Path, seeds: list[int], **asked: Any):
    told: list[Progress] = []
    job = small_job(tmp_path / "-".join(map(str, seeds)), **asked)
    results = sorted(train_seeds(job, seeds, report=told.append), key=lambda each: each.seed)
    return results, [each.note for each in told if each.note]


def small_job(
    folder: Path,
    *,
    bad: int = -1,
    optimizer: str = "nn.Adam",
    noise: str = NOISE,
    steps: int = 30,
    compiled: bool = False,
) -> Job:
    path = folder.parent / "small.py"
    path.write_text(BASELINE.format(bad=bad, optimizer=optimizer, noise=noise))
    spec = Spec(task="gaussian", baseline=str(path), steps=steps, folder=folder, compiled=compiled)
    return judged_by(look_up(spec), METRICS)


def judged_by(job: Job, names: Sequence[str]) -> Job:
    """A job whose task has few of its metrics: those that a test looks at, and that are fast."""
    task = job.task
    metrics, bounds = ({name: of[name] for name in names} for of in (task.metrics, task.bounds))
    kept = replace(task, metrics=metrics, bounds=bounds, views={"distribution": task.tracked})
    return replace(job, task=kept)


@pytest.mark.slow
def test_a_seed_that_diverges_leaves_the_others_alone(tmp_path: Path) -> None:
    (first, bad, last), _ = run_small(tmp_path, [0, 1, 2], bad=stream(1, "init"))
    assert (first.status, bad.status, last.status) == ("ok", "diverged", "ok")
    assert bad.reason == "d_loss is nan at step 1"
    (alone,), notes = run_small(tmp_path, [2])
    assert alone.samples_sha256 == last.samples_sha256
    assert alone.metrics == last.metrics
    assert notes == []


LATE = """
from ganbench.randomness import stream
def late(law):
    def latent(n, rng):
        if rng.initial_seed() in [stream(seed, "latents", 1) for seed in (0, 1)]:  # second block
            raise RuntimeError("out of noise")
        return law(n, rng)

    return latent
"""


ADAM = "partial(torch.optim.Adam, lr=0.01)"
UNKNOWN_ADAM = ADAM.replace("torch.optim.Adam", "type('Adam', (torch.optim.Adam,), {})")
OTHER_ADAM = ADAM.replace("lr=0.01", "lr=0.01, betas=(0.8, 0.999)")
FIXED = "torch.eye(2).repeat(n // 2, 1)"  # eagerly, other noise would be drawn

UNTRAINED = ADAM.replace("lr=0.01", "lr=1e-9")
Metrics = Callable[..., np.ndarray]


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    def of(seeds: list[int], engine: str, optimizer: str = ADAM, **options) -> np.ndarray:
        compiled = engine == "compiled"
        results, _ = run_small(tmp_path, seeds, optimizer=optimizer, compiled=compiled, **options)
        assert {each.engine for each in results} == {engine}
        return np.array([[each.metrics[name] for name in METRICS] for each in results])

    return of


@pytest.mark.slow
def test_every_engine_takes_the_same_steps(metrics: Metrics) -> None:
    """With others or alone, compiled or not, or by itself: 30 steps grow no rounding to 1e-5."""
    seeds = [0, 1, 2, 3]
    stacked = metrics(seeds, "stacked", noise=FIXED)
    compiled = metrics(seeds, "compiled", noise=FIXED)
    eager = metrics(seeds, "eager", UNKNOWN_ADAM, noise=FIXED)
    assert compiled == pytest.approx(stacked, rel=1e-5)
    assert eager == pytest.approx(stacked, rel=1e-5)
    assert metrics([2], "stacked", noise=FIXED) == pytest.approx(stacked[2:3], rel=1e-5)
    wrong = np.abs(metrics(seeds, "stacked", OTHER_ADAM, noise=FIXED) / stacked - 1)
    assert (wrong.max(1) > 1e-2).all()  # of every seed: what another engine must not differ by


@pytest.mark.slow
def test_engines_end_alike_in_distribution(metrics: Metrics) -> None:
    """Eagerly, with noise of another stream: what can be asked of the end on every machine."""
    seeds = list(range(6))
    stacked = metrics(seeds, "stacked", steps=400)

    def apart(others: np.ndarray) -> np.ndarray:
        """How many standard errors the means over seeds are from those of the stack."""
        error = np.hypot(others.std(0, ddof=1), stacked.std(0, ddof=1)) / len(seeds) ** 0.5
        return np.abs(others.mean(0) - stacked.mean(0)) / error

    assert (apart(metrics(seeds, "eager", UNKNOWN_ADAM, steps=400)) < 3).all()
    assert apart(metrics(seeds, "stacked", UNTRAINED, steps=400)).max() > 3


def test_what_fails_later_is_a_result(tmp_path: Path) -> None:
    path = tmp_path / "late.py"
    source = BASELINE.format(bad=-1, optimizer="nn.Adam", noise=NOISE) + LATE
    path.write_text(source.replace("latent=lambda n, rng: ", "latent=late(lambda n, rng: ", 1))
    path.write_text(path.read_text().replace("generator=rng),", "generator=rng)),", 1))
    spec = Spec(task="gaussian", baseline=str(path), steps=150, folder=tmp_path / "late")
    results = list(train_seeds(look_up(spec), [0, 1]))
    assert [each.status for each in results] == ["failed", "failed"]
    where = "late.<locals>.latent (late.py:23)"
    assert results[0].reason == f"step {CHUNK + 1}: RuntimeError in {where}: out of noise"


@pytest.mark.slow
def test_what_cannot_be_stacked_is_trained_in_turn_and_said_once(tmp_path: Path) -> None:
    results, notes = run_small(tmp_path, [0, 1], optimizer="torch.optim.Adagrad")
    assert [each.status for each in results] == ["ok", "ok"]
    (note,) = notes
    assert note.startswith("one seed after the other: torch.optim.adagrad.Adagrad, so set up,")


@pytest.mark.slow
def test_clocks_share_the_time_of_a_stack(tmp_path: Path) -> None:
    """Nothing of what has passed, by a clock of the test's own, is lost or counted twice."""
    job = small_job(tmp_path / "run")
    gc.collect()  # what other tests have left is not collected meanwhile
    start = time.perf_counter()
    results = list(train_seeds(job, [0, 1]))
    passed = time.perf_counter() - start
    seconds = [each.timing.train_seconds for each in results]
    assert seconds[0] == pytest.approx(seconds[1], rel=0.2)
    total = sum(each.timing.wall_seconds for each in results)
    assert total == pytest.approx(passed, rel=0.05, abs=0.2)
    for each in results:
        parts = each.timing.model_dump()
        wall = parts.pop("wall_seconds")
        assert sum(v for k, v in parts.items() if k.endswith("_seconds")) == pytest.approx(wall)
