"""Conformance of every bundled baseline, and what each promises."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from ganbench import nn, registry
from ganbench.core import GAN, Game
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.errors import InputError
from ganbench.harness.spec import Spec, build, look_up
from ganbench.harness.train import train_seeds
from ganbench.randomness import stream

SHAPES = ["ring8", "sine", "quadratic", "gaussian", "mnist", "stacked_mnist"]


REFUSED = {  # by a baseline: what it is for, and the tasks among SHAPES that are not so
    "dcgan": ("images of 28 x 28", ("ring8", "sine", "quadratic", "gaussian")),
    "cgan": ("tasks with classes", ("sine", "gaussian", "stacked_mnist")),
}


@pytest.mark.slow
@pytest.mark.parametrize("target", SHAPES)
@pytest.mark.parametrize("name", registry.names("baselines"))
def test_trains_and_samples(name, target):
    task, job = registry.load_task(target), look_up(Spec(task=target, baseline=name))
    what, refused = REFUSED.get(name, ("", ()))
    if target in refused:
        with pytest.raises(InputError, match=f"for {what}, which '{target}' has not"):
            build(job, 0)
        return
    gan = build(job, 0)
    assert isinstance(gan, GAN)
    real = task.sample(48, torch.Generator().manual_seed(0))
    log = gan.train_step(real)
    assert all(torch.isfinite(torch.as_tensor(value)) for value in log.values())
    samples = gan.sample(33)
    assert samples.shape == (33, *task.shape)
    assert torch.isfinite(samples).all()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["ring8", "sine"])
@pytest.mark.parametrize("name", sorted({*registry.names("baselines")} - {*REFUSED}))
def test_same_seed_same_weights_other_seed_others(name, target):
    task = registry.load_task(target)
    job = look_up(Spec(task=target, baseline=name))
    real = task.sample(64, torch.Generator().manual_seed(0))

    def samples(seed: int) -> torch.Tensor:
        gan = build(job, seed)
        gan.train_step(real)
        gan.train_step(real)
        return gan.sample(8)

    assert torch.equal(samples(0), samples(0))
    assert not torch.equal(samples(0), samples(1))


@pytest.mark.parametrize("name", registry.names("baselines"))
def test_is_one_short_file(name):
    """The published systems aside, which hold their presets."""
    lines = registry.find("baselines", name).read_text().splitlines()
    assert len(lines) <= 60 or name in ("mlp_gan", "mlp_gan_batchnorm")


@pytest.mark.parametrize("target", ["ring8", "sine", "gaussian"])
def test_variants_share_the_networks_of_mlp_gan(target):
    """So that only the loss and its settings differ: the same first weights, and no others."""
    task = registry.load_task(target)

    def weights(name: str, part: str) -> list[torch.Tensor]:
        torch.manual_seed(0)
        made = registry.load_baseline(name).make(task, device="cpu")
        network = getattr(made, part, None) or getattr(made, part[0].upper())
        return [p.detach() for p in network.parameters()]

    alike = {
        "generator": "saturating lsgan wgan wgan_gp dragan hinge_sn ragan r1 r3gan pacgan bigan "
        "mmd_gan gmmn drifting began unrolled",
        "discriminator": "saturating lsgan wgan wgan_gp dragan ragan r1 r3gan unrolled",
    }
    for part, names in alike.items():
        theirs = weights("mlp_gan", part)
        for name in names.split():
            mine = weights(name, part)
            assert [p.shape for p in mine] == [p.shape for p in theirs], name
            assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True)), name


GAMES = sorted(
    {*registry.names("baselines")}
    - {"began", "unrolled", "flow_matching", "ddpm", "dcgan"}
    - {"gaussian_mixture", "kde", "moment_matching", "oracle", "replay", "uniform_noise"}
)


@pytest.mark.slow
@pytest.mark.parametrize("name", GAMES)
def test_seeds_are_trained_at_once(name):
    """A line says why not of all others, which play their steps themselves."""
    task, baseline = registry.load_task("ring8"), registry.load_baseline(name)
    trainers = []
    for seed in (0, 1):
        torch.manual_seed(stream(seed, "init"))
        trainers.append(Trainer(baseline.make(task, device="cpu"), seed=seed, total=50))
    shape = (8 * trainers[0].game.pack, *task.shape)
    real = task.sample(2 * 10 * shape[0], torch.Generator().manual_seed(0)).view(2, 10, *shape)
    stack = Stack(trainers, shape)  # UnstackableError, if it takes other steps than alone
    logs = stack.train(real)
    assert all(np.isfinite(log["g_loss"]).all() for log in logs)


def sizes(module: torch.nn.Module) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for p in module.parameters() if p.ndim == 2]


@pytest.mark.parametrize(
    ("target", "generator", "discriminator"),
    [
        ("sine", [(64, 64), (512, 64), (64, 512)], [(64, 64), (64, 64), (1, 64)]),
        ("quadratic", [(16, 2), (16, 16), (2, 16)], [(16, 2), (16, 16), (2, 16), (1, 2)]),
        ("gaussian", [(2, 2)], [(5, 2), (3, 5), (2, 3)]),
        (
            "mnist",
            [(256, 100), (512, 256), (1024, 512), (784, 1024)],
            [(1024, 784), (512, 1024), (256, 512), (1, 256)],
        ),
    ],
)
def test_presets_have_the_published_layers(target, generator, discriminator):
    game = registry.load_baseline("mlp_gan").make(registry.load_task(target), device="cpu")
    assert isinstance(game, Game)
    assert sizes(game.generator) == generator
    assert sizes(game.discriminator) == discriminator
    assert game.reuse_latent is (target != "mnist")


def test_batchnorm_has_the_published_layers():
    make = registry.load_baseline("mlp_gan_batchnorm").make
    game = make(registry.load_task("mnist"), device="cpu")
    assert sizes(game.generator) == [(256, 100), (512, 256), (1024, 512), (784, 1024)]
    assert sizes(game.discriminator) == [(512, 784), (256, 512), (1, 256)]
    norms = [layer for layer in game.generator.modules() if isinstance(layer, nn.BatchNorm)]
    assert [len(layer.running_mean) for layer in norms] == [256, 512, 1024]
    assert [round(layer.momentum, 12) for layer in norms] == [0.2] * 3  # Keras's 0.8
    assert game.inference_fakes and not game.reuse_latent and len(game.d_losses) == 2


def steps_of(baseline: str, target: str) -> list[int]:
    task = registry.load_task(target)
    game = registry.load_baseline(baseline).make(task, device="cpu")
    return list(game.recording.sample_steps)


def test_published_systems_draw_at_their_own_steps():
    epochs = [step / 256 - 1 for step in steps_of("mlp_gan", "sine")]
    assert epochs == [3, 13, 23, 33, 43, 53, 63]  # counted from 0
    assert steps_of("mlp_gan", "quadratic") == list(range(1000, 100_001, 1000))
    assert [step / 468 for step in steps_of("mlp_gan", "mnist")] == [1, 20, 40]
    assert [step / 250 for step in steps_of("mlp_gan", "gaussian")] == list(range(1, 11))
    assert steps_of("mlp_gan_batchnorm", "mnist") == list(range(50, 23_401, 50))


def test_presets_have_the_published_noise():
    make = registry.load_baseline("mlp_gan").make
    rng = torch.Generator().manual_seed(0)
    wide = make(registry.load_task("sine"), device="cpu").latent(20_000, rng)
    assert wide.shape == (20_000, 64)
    assert 4.99 < wide.max() <= 5
    assert -5 <= wide.min() < -4.99
    assert len(torch.unique(wide[:, 0])) < 16_000  # drawn from a pool, with replacement
    flat = make(registry.load_task("quadratic"), device="cpu").latent(20_000, rng)
    assert 0.99 < flat.max() <= 1
    normal = make(registry.load_task("gaussian"), device="cpu").latent(20_000, rng)
    assert normal.std() == pytest.approx(1, abs=0.02)


@pytest.mark.slow
def test_gaussian_gan_follows_the_published_trajectory_and_loses_to_moment_matching(tmp_path):
    """As one published run does, seeds differ, and after an epoch rounding alone makes them.

    So its first accuracy is held against the spread of ten, the others against their median.
    """

    def train(baseline: str):
        spec = Spec(task="gaussian", baseline=baseline, folder=tmp_path / baseline)
        return list(train_seeds(look_up(spec), range(10)))

    gan, moments = train("mlp_gan"), train("moment_matching")
    curves = [[point.losses["d_accuracy"] for point in seed.curve] for seed in gan]
    accuracy = np.median(curves, 0).tolist()
    first = np.array(curves)[:, 0]
    published = [0.76, 0.64, 0.55, 0.52, 0.50, 0.50, 0.50, 0.52, 0.50, 0.50]
    assert first.std(ddof=1) < 0.03
    assert first.mean() == pytest.approx(published[0], abs=3 * first.std(ddof=1) * 1.1**0.5)
    assert accuracy == pytest.approx(published, abs=0.06)
    assert np.mean(accuracy[-4:]) == pytest.approx(0.5, abs=0.03)
    assert all(seed.score >= 0.97 for seed in moments)  # as real data, each view with its noise
    assert np.median([seed.score for seed in gan]) < min(seed.score for seed in moments) - 0.1


@pytest.mark.slow
@pytest.mark.parametrize("target", registry.names("tasks"))
def test_oracle_scores_1_and_noise_about_0(target):
    task = registry.load_task(target)
    bound = task.bounds[task.tracked]

    def score(baseline: str, n: int) -> float:
        spec = Spec(task=target, baseline=baseline)
        gan = build(look_up(spec), 3)
        return bound.position(tracked_value(task, gan.sample(n)))

    noise, n = bound.noise / abs(bound.ceiling - bound.floor), task.budget.evaluation_size
    assert score("oracle", n) == pytest.approx(1, abs=6 * noise)
    if "uniform" in task.naive:  # else it is exact
        assert score("uniform_noise", min(n, 4096)) < 0.1


def tracked_value(task, samples: torch.Tensor) -> float:
    value = task.metrics[task.tracked](task.reference, samples)
    return float(value[task.tracked] if isinstance(value, Mapping) else value)
