"""Each variant's losses and their gradients, for fixed weights and batches, against NumPy.

The formulas are written here a second time, from the papers, in NumPy and float64; gradients are
central differences of these.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from torch import nn
from torch.nn.functional import softplus as softplus_of

from ganbench import registry

Array = NDArray[np.float64]
N, HIDDEN = 6, 5
SCALE = np.array([0.5, 2.0])  # of the two coordinates, in which slopes are measured
SIZES = ((HIDDEN, 2), (HIDDEN,), (1, HIDDEN), (1,))  # of D's weights


def softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


def unflatten(theta: Array) -> list[Array]:
    ends = np.cumsum([int(np.prod(size)) for size in SIZES])
    parts = np.split(theta, ends[:-1])
    return [part.reshape(size) for part, size in zip(parts, SIZES, strict=True)]


def D(theta: Array, x: Array) -> Array:  # noqa: N802 - as in the losses
    """A discriminator of one hidden layer: (n, 2) to (n,)."""
    a, b, c, d = unflatten(theta)
    return (np.tanh(x @ a.T + b) @ c.T + d)[:, 0]


def slopes(theta: Array, x: Array) -> Array:
    """Its gradient (n, 2) at each x, by the chain rule, in units of SCALE."""
    a, b, c, _ = unflatten(theta)
    return ((1 - np.tanh(x @ a.T + b) ** 2) * c) @ a * SCALE


def squared(x: Array) -> Array:
    return (x**2).sum(1)


def one_sided(theta: Array, x: Array) -> float:
    return float(((np.sqrt(squared(slopes(theta, x))) - 1) ** 2).mean())


def mixed(x: Array, y: Array) -> Array:
    """Points between, with the shares that torch draws under seed 0."""
    torch.manual_seed(0)
    share = torch.rand(N, 1).numpy()
    return share * x + (1 - share) * y


def around(x: Array) -> Array:
    torch.manual_seed(0)
    noise = torch.rand(N, 2).numpy()
    return x + 0.5 * (x / SCALE).std(ddof=1) * SCALE * noise


def cross_entropy(t: Array, x: Array, y: Array) -> float:
    return float(softplus(-D(t, x)).mean() + softplus(D(t, y)).mean())


def non_saturating(t: Array, x: Array, y: Array) -> float:
    return float(-np.log(1 / (1 + np.exp(-D(t, y)))).mean())


def critic(t: Array, x: Array, y: Array) -> float:
    return float(D(t, y).mean() - D(t, x).mean())


def relativistic_average(t: Array, x: Array, y: Array) -> float:
    a, b = D(t, x) - D(t, y).mean(), D(t, y) - D(t, x).mean()
    return float(-np.log(1 / (1 + np.exp(-a))).mean() - np.log(1 - 1 / (1 + np.exp(-b))).mean())


# By name: arguments of the losses, D's loss, G's.
Formula = Callable[[Array, Array, Array], float]
LOSSES: dict[str, tuple[dict[str, Any], Formula, Formula]] = {
    "mlp_gan": ({}, cross_entropy, non_saturating),
    "saturating": (
        {},
        cross_entropy,
        lambda t, x, y: float(np.log(1 - 1 / (1 + np.exp(-D(t, y)))).mean()),
    ),
    "lsgan": (
        {},
        lambda t, x, y: float(((D(t, x) - 1) ** 2 / 2).mean() + (D(t, y) ** 2 / 2).mean()),
        lambda t, x, y: float(((D(t, y) - 1) ** 2 / 2).mean()),
    ),
    "wgan": ({}, critic, lambda t, x, y: float(-D(t, y).mean())),
    "wgan_gp": (
        {"weight": 3.0},
        lambda t, x, y: critic(t, x, y) + 3 * one_sided(t, mixed(x, y)),
        lambda t, x, y: float(-D(t, y).mean()),
    ),
    "dragan": (
        {"weight": 3.0},
        lambda t, x, y: cross_entropy(t, x, y) + 3 * one_sided(t, around(x)),
        non_saturating,
    ),
    "hinge_sn": (
        {},
        lambda t, x, y: float(
            np.maximum(0, 1 - D(t, x)).mean() + np.maximum(0, 1 + D(t, y)).mean()
        ),
        lambda t, x, y: float(-D(t, y).mean()),
    ),
    "ragan": ({}, relativistic_average, lambda t, x, y: relativistic_average(t, y, x)),
    "r1": (
        {"gamma": 3.0},
        lambda t, x, y: cross_entropy(t, x, y) + 1.5 * float(squared(slopes(t, x)).mean()),
        non_saturating,
    ),
    "r3gan": (
        {"gamma": 3.0},
        lambda t, x, y: float(
            softplus(D(t, y) - D(t, x)).mean()
            + 1.5 * (squared(slopes(t, x)).mean() + squared(slopes(t, y)).mean())
        ),
        lambda t, x, y: float(softplus(D(t, x) - D(t, y)).mean()),
    ),
}


def differences(function: Callable[[Array], float], at: Array) -> Array:
    """The gradient by central differences."""
    found = np.zeros(at.size)
    for i in range(at.size):
        step = np.zeros(at.size)
        step[i] = 1e-6
        step = step.reshape(at.shape)
        found[i] = (function(at + step) - function(at - step)) / 2e-6
    return found


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """All in float64, as NumPy is."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def batches() -> tuple[Array, Array, Array]:
    """D's weights, a real batch and a fake one."""
    draw = np.random.default_rng(0)
    theta = draw.normal(size=sum(int(np.prod(size)) for size in SIZES))
    return theta, draw.normal(size=(N, 2)), 1 + 2 * draw.normal(size=(N, 2))


def network(theta: Array) -> nn.Sequential:
    module = nn.Sequential(nn.Linear(2, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1)).double()
    with torch.no_grad():
        for p, value in zip(module.parameters(), unflatten(theta), strict=True):
            p.copy_(torch.from_numpy(value))
    return module


def functions(name: str) -> Any:
    return registry.load_baseline(name).module


@pytest.mark.parametrize("name", LOSSES)
def test_discriminator_loss_and_gradient(name: str, batches: tuple[Array, Array, Array]) -> None:
    theta, x, y = batches
    given, formula, _ = LOSSES[name]
    if given:
        given = given | {"scale": torch.from_numpy(SCALE)}
    module = network(theta)
    torch.manual_seed(0)
    loss = functions(name).d_loss(module, torch.from_numpy(x), torch.from_numpy(y), **given)
    assert loss.item() == pytest.approx(formula(theta, x, y), rel=1e-10)
    loss.backward()
    found = torch.cat([p.grad.flatten() for p in module.parameters()]).numpy()
    expected = differences(lambda t: formula(t, x, y), theta)
    assert np.abs(expected).max() > 0.01
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_generator_loss_and_gradient(name: str, batches: tuple[Array, Array, Array]) -> None:
    theta, x, y = batches
    *_, formula = LOSSES[name]
    fake = torch.from_numpy(y).requires_grad_()
    loss = functions(name).g_loss(network(theta), torch.from_numpy(x), fake)
    assert loss.item() == pytest.approx(formula(theta, x, y), rel=1e-10)
    (gradient,) = torch.autograd.grad(loss, fake)
    expected = differences(lambda fakes: formula(theta, x, fakes), y)
    assert np.abs(expected).max() > 0.01
    assert gradient.flatten().numpy() == pytest.approx(expected, abs=1e-6)


def rational(x: Array, y: Array) -> Array:
    far = ((x[:, None] - y[None]) ** 2).sum(2)
    return np.mean([(1 + far / (2 * a)) ** -a for a in (0.2, 0.5, 1, 2, 5)], axis=0)


def gaussian(x: Array, y: Array, widths: tuple[float, ...]) -> Array:
    far = ((x[:, None] - y[None]) ** 2).sum(2)
    return np.mean([np.exp(-far / (2 * width**2)) for width in widths], axis=0)


def mmd2(kernel: Callable[[Array, Array], Array], x: Array, y: Array) -> float:
    """Gretton et al. 2012, equation 3: the sums over pairs of different samples."""
    off = ~np.eye(N, dtype=bool)
    pairs = kernel(x, x)[off].mean() + kernel(y, y)[off].mean()
    return float(pairs - 2 * kernel(x, y).mean())


def test_gmmn_is_the_unbiased_mmd(batches: tuple[Array, Array, Array]) -> None:
    _, x, y = batches
    widths = (0.5, 2.0)

    def formula(fakes: Array) -> float:
        scaled = tuple(width * 2**0.5 for width in widths)  # of two dimensions
        return mmd2(lambda a, b: gaussian(a, b, scaled), x / SCALE, fakes / SCALE)

    fake = torch.from_numpy(y).requires_grad_()
    loss = functions("gmmn").g_loss(
        None, torch.from_numpy(x), fake, widths=widths, scale=torch.from_numpy(SCALE)
    )
    assert loss.item() == pytest.approx(formula(y), rel=1e-9)
    (gradient,) = torch.autograd.grad(loss, fake)
    assert gradient.flatten().numpy() == pytest.approx(differences(formula, y), abs=1e-6)


def test_mmd_gan(batches: tuple[Array, Array, Array]) -> None:
    theta, x, y = batches

    def distance(t: Array, fakes: Array) -> float:
        return mmd2(rational, D(t, x)[:, None], D(t, fakes)[:, None])

    def penalty(t: Array) -> float:
        def witness(points: Array) -> Array:
            near = [rational(D(t, points)[:, None], D(t, z)[:, None]).mean(1) for z in (x, y)]
            return np.asarray(near[0] - near[1])

        middle, steep = mixed(x, y), np.zeros((N, 2))
        for i in range(2):
            step = 1e-5 * np.eye(2)[i]
            steep[:, i] = (witness(middle + step) - witness(middle - step)) / 2e-5
        return float(((np.sqrt(squared(steep * SCALE)) - 1) ** 2).mean())

    module, of = network(theta), functions("mmd_gan")
    torch.manual_seed(0)
    real, fake = torch.from_numpy(x), torch.from_numpy(y).requires_grad_()
    loss = of.d_loss(module, real, fake.detach(), weight=3.0, scale=torch.from_numpy(SCALE))
    assert loss.item() == pytest.approx(3 * penalty(theta) - distance(theta, y), rel=1e-7)
    loss.backward()
    found = torch.cat([p.grad.flatten() for p in module.parameters()]).numpy()
    expected = differences(lambda t: 3 * penalty(t) - distance(t, y), theta)
    assert found == pytest.approx(expected, abs=1e-4)
    loss = of.g_loss(module, real, fake)
    assert loss.item() == pytest.approx(distance(theta, y), rel=1e-9)
    (gradient,) = torch.autograd.grad(loss, fake)
    expected = differences(lambda fakes: distance(theta, fakes), y)
    assert gradient.flatten().numpy() == pytest.approx(expected, abs=1e-6)


def test_drifting_moves_fakes_by_its_field(batches: tuple[Array, Array, Array]) -> None:
    """Deng et al. 2026: the gradient is -2 V / n, V the weighted mean of differences."""
    _, x, y = batches
    t = 0.3

    def far(a: Array, b: Array) -> Array:
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(2))

    logits = -np.concatenate([far(y, x), far(y, y) + 1e9 * np.eye(N)], 1) / (t * 2**0.5)
    k = np.exp(logits)
    k = np.sqrt(k / k.sum(1, keepdims=True) * (k / k.sum(0)))
    field = np.zeros((N, 2))
    for i in range(N):
        for p in range(N):
            for q in range(N):
                field[i] += k[i, p] * k[i, N + q] * (x[p] - y[q])
    fake = torch.from_numpy(y).requires_grad_()
    loss = functions("drifting").g_loss(None, torch.from_numpy(x), fake, temperatures=(t,))
    assert loss.item() == pytest.approx(float(squared(field).mean()), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, fake)
    assert gradient.numpy() == pytest.approx(-2 * field / N, abs=1e-6)


def test_drifting_rests_where_both_are_the_same(batches: tuple[Array, Array, Array]) -> None:
    many = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 2000, 2)))
    drift = functions("drifting").drift
    resting = drift(many[0], many[1], 0.5).norm(dim=1).mean()
    assert resting < 0.1 * drift(many[0] + 2, many[1], 0.5).norm(dim=1).mean()


def test_bigan_judges_pairs() -> None:
    """With D(x, z) = x + 2 z and E(x) = 3 x, by hand."""
    of = functions("bigan")
    joint, encoder = nn.Linear(2, 1), nn.Linear(1, 1)
    with torch.no_grad():
        joint.weight.copy_(torch.tensor([[1.0, 2.0]]))
        encoder.weight.fill_(3.0)
        joint.bias.zero_(), encoder.bias.zero_()
    real, fake, latent = (torch.tensor([[value]]) for value in (0.1, -0.2, 0.5))
    on_real, on_fake = 0.1 + 2 * 0.3, -0.2 + 2 * 0.5
    loss = of.d_loss(joint, real, fake, E=encoder, latent=latent)
    assert loss.item() == pytest.approx(np.logaddexp(0, -on_real) + np.logaddexp(0, on_fake))
    loss.backward()
    assert encoder.weight.grad is None
    loss = of.g_loss(joint, real, fake, E=encoder, latent=latent)
    assert loss.item() == pytest.approx(np.logaddexp(0, on_real) + np.logaddexp(0, -on_fake))
    (slope,) = torch.autograd.grad(loss, encoder.weight)
    assert slope.item() == pytest.approx(2 * 0.1 / (1 + np.exp(-on_real)))


def built(name: str, **hparams: Any) -> tuple[Any, torch.Tensor]:
    task = registry.load_task("ring8")
    torch.manual_seed(0)
    gan = registry.load_baseline(name).make(task, device="cpu", **hparams)
    return gan, task.sample(64, torch.Generator().manual_seed(0)).double()


def test_spectral_norm_divides_each_layer() -> None:
    game, real = built("hinge_sn")
    for _ in range(1000):
        game.discriminator(real)
    for layer in game.discriminator.modules():
        if isinstance(layer, nn.Linear):
            assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=1e-3)


def test_wgan_clips_its_critic() -> None:
    game, _ = built("wgan", limit=0.03)
    game.after_d(game.discriminator)
    largest = max(p.abs().max().item() for p in game.discriminator.parameters())
    assert largest == pytest.approx(0.03)


@pytest.mark.parametrize("pack", [2, 3])
def test_pacgan_packs_what_mlp_gan_trains(pack: int) -> None:
    game, real = built("pacgan", pack=pack)
    assert game.pack == pack
    packed = game.packed(real[: 6 * pack])
    assert torch.equal(packed[1], real[pack : 2 * pack].flatten())
    assert game.discriminator(packed).shape == (6, 1)
    # Its first layer sees standardised numbers, all of one sample as those of the next.
    assert torch.allclose(game.discriminator[0].scale.view(pack, 2), 1 / game.generator[1].scale)


def test_began_keeps_its_balance() -> None:
    """Berthelot et al. 2017: k rises by lambda (gamma L(x) - L(G(z))), and stays in [0, 1]."""
    gan, real = built("began", diversity=0.7, control_rate=0.1)
    gan.k = torch.tensor(0.4)
    twin, fakes = copy.deepcopy(gan.D), []
    gan.G.register_forward_hook(lambda *given: fakes.append(given[2].detach()))
    log = gan.train_step(real)

    def error(D: nn.Module, batch: torch.Tensor) -> float:
        x = gan.units(batch)
        return (x - D(x)).abs().mean().item()

    on_real, on_fake = error(twin, real), error(twin, fakes[0])
    assert log["d_loss"].item() == pytest.approx(on_real)
    assert gan.k.item() == pytest.approx(0.4 + 0.1 * (0.7 * on_real - on_fake))
    assert log["g_loss"].item() == pytest.approx(error(gan.D, fakes[0]))


def test_began_teaches_d_by_the_controlled_loss() -> None:
    gan, real = built("began")
    gan.k = torch.tensor(0.4)
    twin, fakes = copy.deepcopy(gan.D), []
    gan.G.register_forward_hook(lambda *given: fakes.append(given[2].detach()))
    gan.d_adam = torch.optim.SGD(gan.D.parameters(), 1.0)
    gan.train_step(real)
    x, y = gan.units(real), gan.units(fakes[0])
    loss = (x - twin(x)).abs().mean() - 0.4 * (y - twin(y)).abs().mean()
    slopes = torch.autograd.grad(loss, list(twin.parameters()))
    for before, after, slope in zip(twin.parameters(), gan.D.parameters(), slopes, strict=True):
        assert torch.allclose(after, before - slope)


def learnt(gan: Any, real: torch.Tensor, fake: torch.Tensor) -> Any:
    """D after a step, as a state of its own."""
    (weights, *others), _ = gan.learn(gan.learnt, real, fake)
    leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
    return leaves, *([each.detach() for each in part] for part in others[:2]), others[2]


def test_unrolled_gradient_goes_through_the_updates() -> None:
    """G's loss after two steps of D, as a function of one fake, by central differences."""
    gan, real = built("unrolled")
    fake = gan.fakes(64).detach()
    gan.learnt = learnt(gan, real, fake)

    def after(value: torch.Tensor) -> torch.Tensor:
        moved = torch.cat([value[None], fake[1:]])
        ahead = gan.learnt
        for _ in range(2):
            ahead, _ = gan.learn(ahead, real, moved)
        return softplus_of(-torch.func.functional_call(gan.D, ahead[0], (moved,))).mean()

    point = fake[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(after(point), point)
    for i in range(2):
        step = 1e-6 * torch.eye(2)[i]
        found = (after(fake[0] + step) - after(fake[0] - step)).item() / 2e-6
        assert gradient[i].item() == pytest.approx(found, rel=1e-4)


def test_unrolled_g_learns_against_what_d_will_be() -> None:
    gan, real = built("unrolled", steps=2)
    state, fake = gan.rng.get_state(), gan.fakes(64).detach()
    ahead = learnt(gan, real, fake)
    for _ in range(2):
        ahead, _ = gan.learn(ahead, real, fake)
    expected = softplus_of(-torch.func.functional_call(gan.D, ahead[0], (fake,))).mean().item()
    gan.rng.set_state(state)
    assert gan.train_step(real)["g_loss"].item() == pytest.approx(expected)


def test_unrolled_discriminator_learns_as_adam_has_it() -> None:
    gan, real = built("unrolled")
    torch.manual_seed(0)
    game = registry.load_baseline("mlp_gan").make(
        registry.load_task("ring8"), device="cpu", dropout=0.0
    )
    adam = game.d_optimizer(game.discriminator.parameters())
    for _ in range(3):
        fake = gan.fakes(64).detach()
        gan.learnt = learnt(gan, real, fake)
        adam.zero_grad()
        game.d_loss(game.discriminator, real, fake).backward()
        adam.step()
    for name, theirs in game.discriminator.named_parameters():
        assert torch.allclose(gan.learnt[0][name], theirs, atol=1e-8)


def test_flow_matching_carries_noise_along_straight_lines() -> None:
    """The velocity that its loss asks for, from N(0, 1) to a point c, is (c - x) / (1 - t)."""
    gan, real = built("flow_matching")
    c = torch.tensor([0.3, -0.4])
    gan.see = lambda x, t: (c - x) / (1 - t)
    assert torch.allclose(gan.inside(gan.sample(100)), c.expand(100, 2), atol=0.05)
    log = gan.train_step
    gan.learn = lambda loss: {"loss": loss}
    at_a_point = gan.back(c.expand(64, 2))
    assert log(at_a_point)["loss"].item() == pytest.approx(0, abs=1e-10)
    torch.manual_seed(1)
    wrong = log(at_a_point + 1)["loss"].item()
    assert wrong > 0.1 and real.shape == (64, 2)


def test_ddpm_takes_noise_off_as_algorithm_2_has_it() -> None:
    """Of data N(0, 1) the noise in x is sqrt(1 - kept) x: what is sampled is N(0, 1) again."""
    gan, _ = built("ddpm")
    assert gan.kept[-1] < 1e-3 and len(gan.betas) == 100
    gan.noise_in = lambda x, level: (1 - gan.kept[level, None]).sqrt() * x
    torch.manual_seed(0)
    x = gan.inside(gan.sample(20_000))
    assert x.mean(0).abs().max() < 0.03
    assert x.var(0) == pytest.approx(torch.ones(2), abs=0.05)


def test_gaussian_mixture_improves_as_scikit_learn_does() -> None:
    gan, _ = built("gaussian_mixture", components=3)
    draw = np.random.default_rng(0)
    rows = np.concatenate([draw.normal(size=(200, 2)), 3 + 0.5 * draw.normal(size=(200, 2))])
    gan.rows = torch.from_numpy(rows)
    torch.manual_seed(0)
    gan.begin()
    theirs = GaussianMixture(
        3,
        weights_init=gan.weights.numpy(),
        means_init=gan.means.numpy(),
        precisions_init=torch.linalg.inv(gan.spreads).numpy(),
        reg_covar=1e-7,
        tol=0,
        max_iter=5,
    )
    with pytest.warns(match="did not converge"):
        theirs.fit(rows)
    for _ in range(5):
        gan.improve()
    assert gan.weights.numpy() == pytest.approx(theirs.weights_, abs=1e-6)
    assert gan.means.numpy() == pytest.approx(theirs.means_, abs=1e-6)
    assert gan.spreads.numpy() == pytest.approx(theirs.covariances_, abs=1e-6)


def test_kde_likelihood_is_that_of_scikit_learn() -> None:
    gan, _ = built("kde")
    rows = np.random.default_rng(0).normal(size=(500, 2))
    gan.rows[:500], gan.count = torch.from_numpy(rows), 500
    for width, likely in zip((1.0, 0.5, 0.25, 0.125), gan.likelihoods(), strict=False):
        density = KernelDensity(bandwidth=width).fit(rows[250:])
        theirs = density.score(rows[:250]) / 250
        assert likely - np.log(250) - np.log(2 * np.pi) == pytest.approx(theirs, rel=1e-5)


def test_kde_is_not_likely_under_copies_of_its_own_data() -> None:
    """Data that are dealt again leave no trace: only their others count."""
    gan, _ = built("kde")
    rows = np.random.default_rng(0).normal(size=(250, 2)).astype(np.float32)
    gan.rows[:500], gan.count = torch.from_numpy(np.concatenate([rows, rows])), 500
    squared = ((rows[:, None] - rows).astype(float) ** 2).sum(-1)[~np.eye(250, dtype=bool)]
    found = gan.likelihoods()
    for width, likely in zip((1.0, 0.5), found, strict=False):
        fits = np.log(np.exp(squared.reshape(250, 249) / (-2 * width**2)).sum(1))
        assert likely == pytest.approx(fits.mean() - 2 * np.log(width), rel=1e-5)
    assert np.argmax(found) < 4


def test_cgan_tells_both_the_class() -> None:
    """With D(x, c) = x + 2 c0 + 3 c1, by hand: the real one of class 1, the fake one of class 0."""
    of = functions("cgan")
    joint = nn.Linear(3, 1)
    with torch.no_grad():
        joint.weight.copy_(torch.tensor([[1.0, 2.0, 3.0]]))
        joint.bias.zero_()
    real, fake, labels = torch.tensor([[0.1]]), torch.tensor([[-0.2]]), torch.tensor([1])
    latent = torch.tensor([[0.7, 1.0, 0.0]])
    loss = of.d_loss(joint, real, fake, labels=labels, latent=latent, classes=2)
    assert loss.item() == pytest.approx(np.logaddexp(0, -3.1) + np.logaddexp(0, 1.8))
    loss = of.g_loss(joint, real, fake, latent=latent, classes=2)
    assert loss.item() == pytest.approx(np.logaddexp(0, -1.8))


def test_cgan_draws_all_classes_alike() -> None:
    game, real = built("cgan")
    drawn = game.latent(8_000, torch.Generator().manual_seed(0))[:, -8:]
    assert torch.equal(drawn.sum(1), torch.ones(8_000)) and drawn.max() == 1
    assert (drawn.mean(0) - 1 / 8).abs().max() < 5 * (7 / 64 / 8_000) ** 0.5
    assert torch.equal(game.labels(real), registry.load_task("ring8").label(real))
