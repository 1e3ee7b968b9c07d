"""Ours beside the published: means, standard errors, and what is said of them."""

from __future__ import annotations

import math

import pytest

from ganbench.reproduce.comparison import Figure, Line, deviation, notes, uncertainty


def line(ours: Figure | None, published: Figure | None, **changes: object) -> Line:
    known = {"row": "gan", "quantity": "modes", "real": 8.0, "speed": 50.0, "trial": False}
    return Line(ours=ours, published=published, **{**known, **changes})


def test_a_mean_and_its_standard_error() -> None:
    found = Figure.of([6.0, 7.0, 8.0])
    assert found is not None
    assert (found.mean, found.runs) == (7.0, 3)
    assert found.error == pytest.approx(1 / math.sqrt(3))
    assert found.text(percent=False) == "7.00 ± 0.58"
    assert Figure(mean=0.982, error=0.002).text(percent=True) == "98.2 ± 0.2 %"


def test_of_one_run_there_is_no_standard_error_and_of_none_nothing() -> None:
    assert Figure.of([6.0]) == Figure(mean=6.0, error=None, runs=1)
    assert Figure.of([]) is None


def test_deviations_are_in_standard_errors_of_the_difference() -> None:
    published = Figure(mean=6.3, error=0.3)
    assert deviation(Figure(mean=7.3, error=0.4), published) == pytest.approx(2.0)
    assert deviation(Figure(mean=7.3, error=0.4), Figure(mean=6.3)) == pytest.approx(2.5)
    assert deviation(Figure(mean=7.3), published) is None
    assert deviation(Figure(mean=8.0, error=0.0), Figure(mean=8.0)) == 0.0
    assert deviation(Figure(mean=7.0, error=0.0), Figure(mean=8.0)) is None


def test_of_a_trial_no_deviation_is_told() -> None:
    ours, published = Figure(mean=7.3, error=0.4, runs=10), Figure(mean=6.3, error=0.3)
    whole, trial = line(ours, published), line(ours, published, trial=True)
    assert whole.cells()["deviation"] == "+2.0 s.e."
    assert trial.deviation is None and trial.cells()["deviation"] == "-"
    assert trial.cells()["published"] == "6.30 ± 0.30"
    assert "trial" in notes([trial], 10)[0] and not notes([whole], 10)


def test_what_is_said_of_few_runs() -> None:
    published = Figure(mean=6.3, error=0.3)
    assert uncertainty(3) == pytest.approx(0.5)
    (said,) = notes([line(Figure(mean=7.0, error=0.5, runs=3), published)], 10)
    assert said.startswith("3 runs, where 10 were published") and "50%" in said
    (said,) = notes([line(Figure(mean=7.0, runs=1), published)], 10)
    assert "single run" in said
    (said,) = notes([line(Figure(mean=7.0, error=0.5, runs=10), Figure(mean=7.0))], 10)
    assert "without standard errors" in said
