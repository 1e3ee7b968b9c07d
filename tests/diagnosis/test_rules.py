"""Each rule on evidence made up for it: where it begins to hold, and which of two comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import pytest

from ganbench.diagnosis import rules
from ganbench.diagnosis.evidence import of_result
from ganbench.diagnosis.facts import Evidence, Look, Moment, Regions, Share, percent
from ganbench.diagnosis.rules import Kind, diagnose, turning_points
from ganbench.results.schema import MetricInfo, Point


def share(value: float) -> Share:
    return Share(value=value, floor=1.0)


def modes(missing: int, count: int = 25, **more: object) -> Regions:
    lost = missing / count
    made = {"word": "modes", "natural": True, "lost": lost, "lost_widened": lost}
    return Regions(**{**made, "count": count, "missing": missing, **more})


REAL = Look(
    fidelity=share(0.99),
    precision=share(0.99),
    recall=share(0.99),
    coverage=share(0.97),
    position=1.0,
    regions=modes(0),
    spread=1.0,
    within=1.0,
)
CELLS = Regions(word="regions", count=24, missing=6, lost=0.25, lost_widened=0.25, natural=False)


def like(**changes: object) -> Look:
    return replace(REAL, **changes)


def seed(look: Look = REAL, *, status: str = "ok", **more: object) -> Evidence:
    return Evidence(**{"status": status, "look": look, "told": "mmd is 0.5", **more})


def history(*looks: Look) -> list[tuple[int, Look]]:
    return [(100 * (n + 1), look) for n, look in enumerate(looks)]


def curve(*positions: float, **losses: float) -> list[Moment]:
    return [
        Moment(step=100 * (n + 1), position=position, **losses)
        for n, position in enumerate(positions)
    ]


def kind(look: Look, **more: object) -> str:
    return diagnose(seed(look, **more)).kind


def test_real_samples_are_healthy() -> None:
    verdict = diagnose(seed(views={"fidelity": 1.0, "test": 0.9}))
    assert (verdict.kind, verdict.since) == ("healthy", None)
    assert verdict.text == (
        "healthy: 99 % of samples look real, they cover 97 % of real ones, 25 of 25 modes; "
        "score 0.95"
    )


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_status_is_a_verdict_with_its_reason(status: str) -> None:
    reason = "d_loss is nan at step 1234"
    verdict = diagnose(seed(Look(), status=status, reason=reason, moments=curve(0.5)))
    assert (verdict.kind, verdict.since) == (status, 1234)
    assert verdict.text == f"{status} from step 1,234: {reason}"
    verdict = diagnose(seed(Look(), status=status, reason="NaN or Inf", moments=curve(0.5, 0.6)))
    assert verdict.since == 200


def test_what_was_stopped_is_judged_by_what_there_is() -> None:
    assert kind(REAL, status="interrupted") == "healthy"
    verdict = diagnose(seed(Look(), status="interrupted"))
    assert verdict.text == "failed: interrupted before its first evaluation"


def test_missing_modes_are_a_collapse_even_if_only_some_samples_look_real() -> None:
    verdict = diagnose(seed(like(regions=modes(9), fidelity=share(0.5))))
    assert verdict.kind == "mode collapse"
    assert "only 16 of 25 modes" in verdict.text and "50 % of samples look real" in verdict.text
    assert kind(like(regions=modes(1))) == "mode collapse"
    assert kind(like(regions=modes(9), fidelity=share(0.29))) == "over-dispersed"
    mixture = like(regions=modes(9), trait="lie in a mode")
    assert kind(replace(mixture, fidelity=share(0.5))) == "mode collapse"
    assert kind(replace(mixture, fidelity=share(0.49))) == "over-dispersed"


def test_regions_that_we_have_cut_must_hold_much_that_is_missing() -> None:
    verdict = diagnose(seed(like(regions=CELLS)))
    assert verdict.kind == "mode collapse"
    where = (
        "only 18 of 24 regions with a tenth of their due or more; 25 % of real ones lie elsewhere"
    )
    assert where in verdict.text
    assert kind(like(regions=replace(CELLS, lost=0.09, lost_widened=0.09))) == "healthy"
    assert kind(like(regions=replace(CELLS, lost_widened=0.08))) == "healthy"  # narrow
    assert kind(like(regions=CELLS, fidelity=share(0.59))) == "over-dispersed"


def test_samples_that_are_all_alike_have_collapsed_wherever_they_lie() -> None:
    nowhere = like(spread=0.02, fidelity=share(0.0), precision=share(0.0), coverage=share(0.0))
    verdict = diagnose(seed(nowhere))
    assert verdict.kind == "mode collapse"
    assert "nearly alike, 2 % as far apart" in verdict.text


def test_curves_collapse_onto_frequencies() -> None:
    sines = like(
        noun="curves", trait="are sines", fidelity=share(0.96), coverage=share(0.01), law=0.58
    )
    verdict = diagnose(seed(replace(sines, band=0.02)))
    assert verdict.text == (
        "mode collapse: 96 % of curves are sines, they cover 1 % of real ones; "
        "all have one frequency"
    )
    assert "within 35 % of the range" in diagnose(seed(replace(sines, band=0.35))).text
    assert "0.58 off the law" in diagnose(seed(sines)).text
    assert kind(like(law=0.29)) == "healthy"


def test_without_samples_coverage_alone_tells_of_a_collapse() -> None:
    alone = like(regions=None, spread=None, within=None, position=0.5)
    assert kind(replace(alone, coverage=share(0.2))) == "mode collapse"
    assert kind(replace(alone, coverage=share(0.0))) == "mode collapse"
    assert kind(replace(alone, coverage=share(0.6))) == "under-dispersed"


def test_narrow_modes_are_under_dispersed_though_the_score_is_good() -> None:
    verdict = diagnose(seed(like(within=0.5, coverage=share(0.6))))
    assert verdict.kind == "under-dispersed"
    assert "50 % as far apart as real ones within modes" in verdict.text
    assert kind(like(within=0.81)) == "healthy"
    sharp = like(trait="lie in a mode", fidelity=share(1.01), coverage=share(0.88), within=None)
    assert "nearer to their centres than real ones" in diagnose(seed(sharp)).text
    assert kind(replace(sharp, fidelity=share(1.007))) == "healthy"
    assert kind(replace(sharp, coverage=share(0.96))) == "healthy"


def test_uneven_coverage_is_under_dispersion() -> None:
    cells = replace(CELLS, missing=0, lost=0.0, lost_widened=0.0)
    thin = like(regions=cells, coverage=share(0.7), recall=share(0.8), position=0.9)
    verdict = diagnose(seed(thin))
    assert verdict.kind == "under-dispersed"
    assert "80 % of real ones within reach" in verdict.text
    assert kind(replace(thin, coverage=share(0.8))) == "healthy"
    assert kind(replace(thin, position=0.96)) == "healthy"  # the score sees nothing
    assert kind(replace(thin, position=0.96, coverage=share(0.6))) == "under-dispersed"
    assert kind(replace(thin, spread=0.75, coverage=share(0.9))) == "under-dispersed"


def test_samples_between_modes_are_over_dispersed() -> None:
    wide = like(trait="lie in a mode", fidelity=share(0.8), regions=modes(0))
    verdict = diagnose(seed(wide))
    assert verdict.text.startswith("over-dispersed: 20 % of samples lie outside the modes; ")
    assert verdict.text.endswith("99 % of real ones within their reach")
    assert kind(replace(wide, fidelity=share(0.91))) == "healthy"
    assert kind(replace(wide, recall=share(0.4))) == "poor fit"


def test_a_curve_is_judged_by_the_distance_to_it() -> None:
    line = like(offset=0.02, fidelity=share(0.33), precision=share(0.33), coverage=share(0.38))
    assert "off the curve by 2 %" in diagnose(seed(line)).text
    assert kind(line) == "healthy"
    assert kind(replace(line, offset=0.3, position=0.5)) == "over-dispersed"


def test_what_looks_real_and_reaches_all_may_still_fit_poorly() -> None:
    verdict = diagnose(seed(like(position=0.7)))
    assert verdict.kind == "poor fit"
    assert verdict.text.startswith("poor fit: mmd is 0.5; 99 % of samples look real")
    assert verdict.text.endswith("in wrong proportions")
    assert kind(like(position=0.81)) == "healthy"


def test_no_seed_is_healthy_whose_score_is_low() -> None:
    """Samples near a curve, of which balls around real ones hold few."""
    views = {"fidelity": 0.14, "diversity": 0.25, "distribution": 0.97, "test": 0.62}
    verdict = diagnose(seed(like(offset=0.02), views=views))
    assert verdict.text.startswith("poor fit: score 0.49, fidelity 0.14, diversity 0.25; samples")
    assert kind(REAL, views={"fidelity": 0.71}) == "healthy"


def test_copies_are_found_among_perfect_samples() -> None:
    verdict = diagnose(seed(copies=0.1))
    assert verdict.text == "memorising: 10 % of samples are copies of training samples"
    assert kind(REAL, copies=0.09) == "healthy"
    near = like(memorisation=0.97)
    assert "97 % of samples are nearer" in diagnose(seed(near)).text
    assert kind(like(memorisation=0.89)) == "healthy"
    assert kind(replace(near, coverage=share(0.6), position=0.5)) == "under-dispersed"


def test_a_gradient_vanishes_where_d_stays_certain_and_g_gains_nothing() -> None:
    poor = like(position=-0.9, fidelity=share(0.0), precision=share(0.0))
    certain = {"d_accuracy": 1.0, "d_loss": 0.001}

    def found(moments: Sequence[Moment]) -> bool:
        return kind(poor, moments=moments) == "vanishing gradient"

    stuck = curve(*[-0.9] * 8, **certain)
    verdict = diagnose(seed(poor, moments=stuck))
    assert (verdict.kind, verdict.since) == ("vanishing gradient", 100)
    assert "D is right on 100 % with a loss of 0.001" in verdict.text
    late = [*curve(*[-0.9] * 5, d_accuracy=0.8, d_loss=0.5), *stuck[5:]]
    assert diagnose(seed(poor, moments=late)).since == 600
    assert not found(curve(*[-0.9] * 8))  # no losses
    assert not found([*late[:5], *stuck[5:6]])  # too short
    assert not found(curve(*[-0.9] * 8, d_accuracy=0.98, d_loss=0.001))
    assert not found(curve(*[-0.9] * 8, d_accuracy=1.0, d_loss=0.06))
    assert not found(curve(*[-0.9] * 8, d_accuracy=1.0, d_loss=-3.2))  # a critic's
    assert not found(curve(-0.9, -0.6, -0.3, 0.0, 0.1, 0.2, 0.3, 0.4, **certain))
    assert not found(curve(*[0.6] * 8, **certain))


def test_swings_to_the_end_are_an_oscillation() -> None:
    up_down = curve(0.1, 0.2, 0.2, 0.2, 0.8, 0.2, 0.8, 0.2, 0.8, 0.2)
    verdict = diagnose(seed(moments=up_down))
    assert (verdict.kind, verdict.since) == ("oscillating", 500)
    assert (
        "the position of quality swings 5 times" in verdict.text and "ends at 0.20" in verdict.text
    )
    assert kind(REAL, moments=curve(0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.8, 0.4, 0.9, 0.9)) == "healthy"
    slight = curve(*[0.7, 0.95] * 8)
    assert kind(REAL, moments=slight) == "healthy"
    assert kind(REAL, moments=curve(*[0.2, 0.8] * 5, *[0.95] * 5)) == "healthy"  # it is over


def test_a_collapse_that_moves_is_an_oscillation() -> None:
    def on(first: int) -> Look:
        shares = tuple(0.5 if mode in (first, first + 1) else 0.0 for mode in range(8))
        return like(regions=modes(6, 8, shares=shares))

    moving = [on(0), on(2), on(4), on(6), on(0), on(4)]
    verdict = diagnose(seed(moving[-1], earlier=lambda: reversed(history(*moving))))
    assert verdict.text == (
        "oscillating from step 200: 100 % of samples change modes between evaluations, "
        "now 2 of 8 modes"
    )
    still = [on(0), on(2), on(4), on(4), on(4), on(4)]
    assert diagnose(seed(still[-1], earlier=lambda: reversed(history(*still)))).since == 100


def test_the_onset_is_the_first_evaluation_from_which_the_finding_held() -> None:
    lost = like(regions=modes(9))
    looks = history(lost, REAL, lost, lost, lost)
    verdict = diagnose(seed(lost, earlier=lambda: reversed(looks)))
    assert verdict.since == 300
    assert verdict.text.startswith("mode collapse from step 300: only 16 of 25 modes")
    # Of the last evaluation all samples are judged, and its frame holds but some.
    looks = history(lost, lost, REAL)
    assert diagnose(seed(lost, earlier=lambda: reversed(looks))).since == 100


def test_healthy_seeds_are_not_looked_back_on() -> None:
    def never() -> None:
        raise AssertionError

    assert diagnose(seed(earlier=never)).kind == "healthy"


def test_the_most_specific_verdict_comes_first() -> None:
    """Everything wrong at once: each rule in turn is the first that still holds."""
    worst = like(regions=modes(9), within=0.5, coverage=share(0.3), position=0.1)
    moments = curve(*[0.1, 0.8] * 5, d_accuracy=1.0, d_loss=0.0)
    evidence = seed(worst, status="diverged", reason="x", copies=1.0, moments=moments)
    found = [diagnose(evidence).kind]
    evidence = replace(evidence, status="ok")
    found.append(diagnose(evidence).kind)
    evidence = replace(evidence, copies=0.0)
    found.append(diagnose(evidence).kind)
    evidence = replace(evidence, moments=())
    found.append(diagnose(evidence).kind)
    evidence = replace(evidence, look=replace(worst, regions=modes(0)))
    found.append(diagnose(evidence).kind)
    expected = ["diverged", "memorising", "oscillating", "mode collapse", "under-dispersed"]
    assert found == expected
    names = [rule.__name__ for rule in rules.RULES]
    assert names.index("vanishing_gradient") < names.index("mode_collapse")


def test_a_text_is_one_line_of_limited_length() -> None:
    verdict = diagnose(seed(Look(), status="failed", reason="word\n" * 100))
    assert "\n" not in verdict.text and len(verdict.text) <= rules.LONGEST
    assert verdict.text.endswith("word…")
    assert verdict.kind in get_args(Kind)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 %"),
        (1e-8, "0 %"),
        (0.002, "0.2 %"),
        (0.0049, "0.5 %"),
        (0.35, "35 %"),
        (0.996, "99.6 %"),
        (0.9999, "100 %"),
        (2.13, "213 %"),
    ],
)
def test_percentages_do_not_round_to_all_or_nothing(value: float, text: str) -> None:
    assert percent(value) == text


def test_turning_points_are_highs_and_lows_by_turns() -> None:
    heights = [0.5, 0.6, 0.4, 0.9, 0.7, 0.95, 0.2, 0.3]
    found = turning_points(list(enumerate(heights)))
    assert found == [(2, 0.4), (5, 0.95), (6, 0.2)]
    assert turning_points([(0, 0.5), (1, 0.6)]) == turning_points([]) == []


def test_evenness_is_one_for_what_looks_real_and_falls_like_it() -> None:
    for p in (0.1, 0.5, 1.0):
        coverage = (1 - (1 + p) ** -5) / (1 - 2.0**-5)
        look = like(precision=share(p), coverage=share(coverage))
        assert look.evenness == pytest.approx(1)
    assert like(precision=share(0.04)).evenness is None


def test_a_result_alone_is_enough_for_a_verdict() -> None:
    bounds = {
        "mmd": MetricInfo(direction="lower", floor=0.0, ceiling=0.1, noise=0.001),
        "precision": MetricInfo(direction="higher", floor=0.99, ceiling=0.0, noise=0.001),
        "coverage": MetricInfo(direction="higher", floor=0.97, ceiling=0.0, noise=0.001),
        "modes_10pct": MetricInfo(direction="higher", floor=8.0, ceiling=0.0, noise=0.0),
    }
    good = {"mmd": 0.001, "precision": 0.99, "coverage": 0.96, "modes_10pct": 8.0}
    point = Point(step=10, train_seconds=0, losses={"d_accuracy": 0.5}, metrics={"mmd": 0.001})

    def verdict(**metrics: float | None) -> rules.Verdict:
        values = {**good, **metrics}
        evidence = of_result(values, bounds, [point], views={}, status="ok", reason=None)
        return diagnose(evidence)

    assert verdict().kind == "healthy"
    assert verdict(modes_10pct=5.0).text.startswith("mode collapse: only 5 of 8 modes")
    assert verdict(mmd=None, precision=None, coverage=None, modes_10pct=None).kind == "healthy"


def test_triples_of_digits_are_as_many_as_are_there() -> None:
    """Up to a hundredth chance leaves out; what counts is one sample, not a tenth of the due."""
    bounds = {
        "frechet": MetricInfo(direction="lower", floor=0.1, ceiling=40.0, noise=0.01),
        "stacked_modes": MetricInfo(direction="higher", floor=1000.0, ceiling=351.0, noise=0.0),
    }

    def text(modes: float) -> str:
        values = {"frechet": 0.1, "stacked_modes": modes}
        return diagnose(of_result(values, bounds, [], views={}, status="ok", reason=None)).text

    assert "991 of 1000 triples" in text(991.0) and text(991.0).startswith("healthy")
    assert text(351.0) == "mode collapse: only 351 of 1000 triples of digits have a sample"


def test_what_digits_noise_is_says_nothing_of_modes() -> None:
    one = modes(999, 1000, word="triples of digits")
    assert kind(Look(noun="images", regions=one, position=0.4, spread=0.5)) == "mode collapse"
    assert kind(Look(noun="images", regions=one, position=0.0, spread=0.5)) == "poor fit"
