"""The DiracGAN: each method does what theory says, step by step what is worked out by hand."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ganbench import dirac, registry
from ganbench.dirac import methods, recursion
from ganbench.dirac.methods import CRITICAL, GAMMA, JOINT, METHODS, NOISE, SLOPE
from ganbench.dirac.play import RATE, START, STEPS, Slope, game, trajectory, ways
from ganbench.dirac.theory import THEORY, Array, Updates, classify

PLAYED = list(THEORY)


played_ways = functools.cache(ways)


def radius(jacobian: Array) -> float:
    return float(np.abs(np.linalg.eigvals(jacobian)).max())


def jacobian(method: str, updates: Updates, rate: float = RATE) -> Array:
    """That of a step at the equilibrium, by differences."""
    tiny = 1e-5
    columns = [
        recursion.step(method, updates, tiny * axis, rate)
        - recursion.step(method, updates, -tiny * axis, rate)
        for axis in np.eye(2)
    ]
    return np.array(columns).T / (2 * tiny)


def test_every_method_is_played_both_ways() -> None:
    for updates in ("simultaneous", "alternating"):
        assert {method for method, how in PLAYED if how == updates} == METHODS.keys()
    assert METHODS.keys() == recursion.FIELDS.keys()


@pytest.mark.slow
@pytest.mark.parametrize(("method", "updates"), PLAYED)
def test_it_does_what_theory_says(method: str, updates: Updates) -> None:
    assert classify(played_ways()[method, updates]) == THEORY[method, updates].behaviour


@pytest.mark.slow
@pytest.mark.parametrize(("method", "updates"), PLAYED)
def test_the_whole_way_is_that_worked_out_by_hand(method: str, updates: Updates) -> None:
    found, due = (
        played_ways()[method, updates],
        recursion.trajectory(method, updates, START, RATE, STEPS),
    )
    assert found.shape == (STEPS + 1, 2) and tuple(found[0]) == START
    np.testing.assert_allclose(found, due, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("method", "updates"), PLAYED)
def test_each_step_is_that_worked_out_by_hand(method: str, updates: Updates) -> None:
    start = (-0.7, 0.4)
    found = trajectory(game(method, updates, start, rate=0.3), steps=20)
    due = recursion.trajectory(method, updates, start, 0.3, 20)
    np.testing.assert_allclose(found, due, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_the_size_of_a_batch_makes_no_difference(method: str) -> None:
    one, four = (trajectory(game(method), steps=5, batch_size=n) for n in (1, 4))
    np.testing.assert_allclose(four, one, rtol=1e-12)


def test_a_wrong_sign_is_found() -> None:
    played = game("gan")
    turned = replace(played, g_loss=lambda D, real, fake: -played.g_loss(D, real, fake))
    found = trajectory(turned, steps=1)
    due = recursion.trajectory("gan", "simultaneous", START, RATE, 1)
    assert np.abs(found - due).max() > 0.1


def test_a_penalty_of_the_wrong_sign_does_not_converge() -> None:
    def d_loss(D: nn.Module, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return 2 * methods.cross_entropy(D, real, fake) - methods.r1(D, real, fake)

    assert classify(trajectory(replace(game("r1"), d_loss=d_loss), steps=100)) != "converges"


def test_the_eigenvalues_are_those_of_theory() -> None:
    """h = 0.2, f'(0) = 1/2 (1 of WGAN): of the field as the paper has them, of a step as due."""
    a, unit = RATE / 2, RATE
    assert radius(jacobian("gan", "simultaneous")) == pytest.approx(np.hypot(1, a))
    assert radius(jacobian("nsgan", "simultaneous")) == pytest.approx(np.hypot(1, a))
    assert radius(jacobian("wgan", "simultaneous")) == pytest.approx(np.hypot(1, unit))
    for method in ("gan", "nsgan", "wgan"):
        assert radius(jacobian(method, "alternating")) == pytest.approx(1)
    assert radius(jacobian("gan", "extragradient")) == pytest.approx(np.hypot(1 - a**2, a))
    assert radius(jacobian("wgan", "extragradient")) == pytest.approx(np.hypot(1 - unit**2, unit))
    noise = NOISE**2 / 4
    of_field = {
        "r1": -GAMMA / 2 + np.emath.sqrt(GAMMA**2 / 4 - 1 / 4),
        "nsgan_r1": -GAMMA / 2 + np.emath.sqrt(GAMMA**2 / 4 - 1 / 4),
        "r1_critical": -CRITICAL / 2,
        "instance_noise": -noise + np.emath.sqrt(noise**2 - 1 / 4),
        "consensus": -JOINT / 4 + 0.5j,
    }
    for method, eigenvalue in of_field.items():
        due = abs(1 + RATE * eigenvalue)
        assert radius(jacobian(method, "simultaneous")) == pytest.approx(due, rel=1e-5) and due < 1


def test_optimistic_wgan_comes_nearer_by_its_largest_eigenvalue() -> None:
    way = recursion.trajectory("wgan", "optimistic", START, RATE, STEPS)
    distance = np.hypot(*way.T)
    due = np.abs(np.roots([1, -1 - 2j * RATE, 1j * RATE])).max()
    assert distance[500] / distance[400] == pytest.approx(due**100, rel=1e-6) and due < 1


@pytest.mark.parametrize(("method", "updates"), PLAYED)
def test_it_does_the_same_from_where_the_paper_starts(method: str, updates: Updates) -> None:
    """Whose psi has the other sign."""
    way = recursion.trajectory(method, updates, (1.0, -1.0), RATE, STEPS)
    assert classify(way) == THEORY[method, updates].behaviour


@pytest.mark.parametrize("method", METHODS)
def test_it_does_the_same_where_g_is_updated_first(method: str) -> None:
    """As in the paper's own code; here D is."""
    field, places = recursion.FIELDS[method], [(1.0, -1.0)]
    for _ in range(STEPS):
        theta, psi = places[-1]
        theta = theta + RATE * field(theta, psi)[0]
        psi = psi + RATE * field(theta, psi)[1]
        places.append((theta, np.clip(psi, -1, 1) if method == "wgan_clip" else psi))
    assert classify(np.array(places)) == THEORY[method, "alternating"].behaviour


def test_non_saturating_leaves_the_equilibrium_for_a_circle() -> None:
    """As theory has it nearby, whence it comes to the same circle as from far away."""
    near = recursion.trajectory("nsgan", "simultaneous", (0.05, 0.05), RATE, 4_000)
    assert classify(near[:501]) == "spirals out"
    far = recursion.trajectory("nsgan", "simultaneous", START, RATE, 4_000)
    ends = np.hypot(*near[-60:].T), np.hypot(*far[-60:].T)
    assert ends[0].mean() == pytest.approx(ends[1].mean(), rel=1e-3)
    assert ends[0].mean() == pytest.approx(np.sqrt(2 * RATE), rel=0.02)


def test_non_saturating_creeps_as_the_root_of_the_steps() -> None:
    way = recursion.trajectory("nsgan", "alternating", START, RATE, 40_000)
    distance = np.hypot(*way.T)
    assert distance[10_000:10_100].max() / distance[39_900:].max() == pytest.approx(2, rel=0.02)


def test_alternating_wgan_stays_on_an_ellipse() -> None:
    theta, psi = recursion.trajectory("wgan", "alternating", START, RATE, STEPS).T
    kept = theta**2 + psi**2 - RATE * theta * psi
    np.testing.assert_allclose(kept, kept[0])


@pytest.mark.parametrize(
    ("power", "due"),
    [(-2.0, "converges"), (-0.5, "creeps in"), (0.0, "cycles"), (0.5, "spirals out")],
)
def test_a_way_is_classified_by_itself(power: float, due: str) -> None:
    steps = np.arange(1, 502.0)
    way = steps[:, None] ** power * np.stack([np.cos(steps / 5), np.sin(steps / 5)], 1)
    assert classify(way) == due


def test_the_losses_are_those_of_the_baselines() -> None:
    """What is shown to converge or not is what the baselines train."""
    D, rng = Slope(0.7), torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 8, 1, dtype=torch.float64, generator=rng)
    for method, baseline, settings in (
        ("gan", "saturating", {}),
        ("nsgan", "mlp_gan", {}),
        ("wgan", "wgan", {}),
        ("wgan_gp", "wgan_gp", {"weight": SLOPE / 2}),
        ("nsgan_r1", "r1", {"gamma": GAMMA}),
    ):
        module = registry.load_baseline(baseline).module
        played = METHODS[method]
        theirs = module.d_loss(D, real, fake, **settings)
        torch.testing.assert_close(played.d_loss(D, real, fake), theirs)
        torch.testing.assert_close(played.g_loss(D, real, fake), module.g_loss(D, real, fake))


@pytest.mark.slow
def test_the_table_has_a_row_for_each() -> None:
    rows = dirac.table(played_ways())
    assert [(row.updates, row.theory) for row in rows] == [
        (updates, THEORY[method, updates].behaviour) for method, updates in PLAYED
    ]
    assert all(row.agrees for row in rows)


@pytest.mark.slow
def test_the_page_has_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text(encoding="utf-8")
    for row in dirac.table(played_ways()):
        (line,) = [line for line in page.splitlines() if line.startswith(f"| {row.method} |")]
        assert f"| {row.ours}, {row.distance:.2g} |" in line


def test_the_picture_is_written_whole(tmp_path: Path) -> None:
    few = {("gan", "alternating"): np.array([[1.0, 1.0], [2.0, 9.0]] * 5)}
    dirac.picture(tmp_path / "dirac.png", few)
    with Image.open(tmp_path / "dirac.png") as image:
        assert image.format == "PNG" and image.width > 800
