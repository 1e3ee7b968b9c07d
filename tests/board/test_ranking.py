"""The board: who is ranked, in which order, and what two entries differ by."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ganbench.board import comparison, ranking
from ganbench.board.entry import board_entry
from ganbench.board.standard import standard_of, why_apart
from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.results import schema

from ..made import a_result, a_seed


def an_entry(name, mean, *, seeds=10, rng=0, spread=0.02, **options):
    values = mean + spread * np.random.default_rng(rng).normal(size=seeds)
    made = [a_seed(i, value=float(value)) for i, value in enumerate(values)]
    return a_result(*made, name=name, budget=options.pop("budget", "full"), **options)


def boards(made, **options):
    return ranking.boards([board_entry(result) for result in made], **options)


def test_copies_share_a_group_and_the_worse_does_not():
    (board,) = boards([an_entry("copy", 0.2), an_entry("worse", 0.5), an_entry("original", 0.2)])
    assert [(row.entry.name, row.group, row.rank) for row in board.ranked] == [
        ("copy", 1, (1, 2)),
        ("original", 1, (1, 2)),
        ("worse", 2, (3, 3)),
    ]
    assert board.apart == []


def test_no_strict_order_inside_a_group():
    """Of ten seeds nine alike: the t-test is more careful than the replicates, and has its way."""
    skewed = an_entry("skewed", 0.3, spread=0.01)
    skewed.seeds[4] = a_seed(4, value=2.0)
    skewed.seeds[5] = a_seed(5, value=3.0)
    skewed.seeds[6] = a_seed(6, value=4.0)
    rows = boards([an_entry("even", 0.2, spread=0.01), skewed])[0].ranked
    assert {row.group for row in rows} == {1}
    assert {row.rank for row in rows} == {(1, 2)}


def test_what_is_not_comparable_stands_apart():
    odd = {
        "few": (an_entry("few", 0.1, seeds=4), "4 of 10 seeds"),
        "quick": (an_entry("quick", 0.1, budget="quick"), "quick"),
        "steps": (an_entry("steps", 0.1, budget="custom"), "1 steps"),
        "old": (an_entry("old", 0.1, version=0), "version 0 of the task"),
        "own": (an_entry("own", 0.1, version=7, budget="quick"), "version 7 of the task"),
        "changed": (
            an_entry("changed", 0.1).model_copy(update={"official": False}),
            "another task",
        ),
    }
    stopped = an_entry("stopped", 0.1)
    stopped.seeds[3] = a_seed(3, "interrupted")
    odd["stopped"] = (stopped, "interrupted")
    told = an_entry("told", 0.1)
    told.seeds[:] = [each.model_copy(update={"labels": True}) for each in told.seeds]
    odd["told"] = (told, "told the labels")
    (board,) = boards([an_entry("whole", 0.9), *(result for result, _ in odd.values())])
    assert [(row.entry.name, row.rank) for row in board.ranked] == [("whole", (1, 1))]
    assert {row.entry.name: row.apart for row in board.apart} == {
        name: reason for name, (_, reason) in odd.items()
    }


def test_three_seeds_rank_on_mnist_on_a_cpu_alone():
    reasons = []
    for name, device in (("mnist", "cpu"), ("mnist", "cuda"), ("toy", "cpu")):
        result = an_entry("three", 0.1, seeds=3)
        task = result.task.model_copy(update={"name": name})
        protocol = result.protocol.model_copy(update={"device": device})
        result = result.model_copy(update={"task": task, "protocol": protocol})
        entry = board_entry(result)
        reasons.append(why_apart(entry, standard_of("none", [entry])))
    assert reasons == [None, "3 of 10 seeds", "3 of 10 seeds"]


def test_boards_are_of_a_task_each():
    other = an_entry("other", 0.3)
    other = other.model_copy(update={"task": other.task.model_copy(update={"name": "arc"})})
    found = boards([an_entry("one", 0.2), other, an_entry("two", 0.9)])
    assert [(board.task, [row.entry.name for row in board.ranked]) for board in found] == [
        ("arc", ["other"]),
        ("toy", ["one", "two"]),
    ]


def test_time_to_quality():
    """Seconds of training at the first evaluation that shows it; other runs are censored."""
    result = an_entry("timed", 0.2)
    for i, seed in enumerate(result.seeds):
        seed.timing.train_seconds = 10.0
        seed.curve[:] = [
            schema.Point(step=step, train_seconds=float(step), losses={}, metrics={"mmd": value})
            for step, value in ((2, 0.8), (5, 0.4 if i else 0.9), (10, 0.2 if i else 0.9))
        ]
    (row,) = boards([result], quality=0.6)[0].ranked
    assert row.time.reached == pytest.approx(0.9)
    assert row.time.restricted_mean == pytest.approx(0.9 * 5 + 0.1 * 10)
    assert row.time.par2 == pytest.approx(0.9 * 5 + 0.1 * 20)
    assert boards([result], quality=0.95)[0].ranked[0].time.reached == 0


def with_times(name, *times, device="cpu", cpu="c", trials=0):
    """An entry whose seeds score 0.8 at these seconds, or never."""
    result = an_entry(name, 0.2)
    for seed, time in zip(result.seeds, times, strict=True):
        seed.timing.train_seconds = 10.0
        at = [(1.0, 0.9)] if time is None else [(1.0, 0.9), (time, 0.2)]
        seed.curve[:] = [
            schema.Point(step=int(t), train_seconds=t, losses={}, metrics={"mmd": v}) for t, v in at
        ]
    machine = result.machine.model_copy(update={"cpu": cpu})
    entry = result.entry.model_copy(update={"tuning_trials": trials})
    return result.model_copy(update={"machine": machine, "entry": entry})


def test_the_track_of_time_ranks_by_seconds_on_each_hardware():
    made = [
        with_times("slow", *[6.0 + 0.01 * i for i in range(10)]),
        with_times("fast", *[2.0 + 0.01 * i for i in range(10)]),
        with_times("copy", *[2.0 + 0.01 * i for i in range(10)]),
        with_times("never", *[None] * 10),
        with_times("elsewhere", *[1.0 + 0.01 * i for i in range(10)], cpu="d"),
    ]
    found = {board.hardware: board for board in boards(made, track="time")}
    assert [(r.entry.name, r.rank, r.group) for r in found["c, 1 cores"].ranked] == [
        ("copy", (1, 2), 1),
        ("fast", (1, 2), 1),
        ("slow", (3, 3), 2),
        ("never", (4, 4), 3),
    ]
    assert [r.entry.name for r in found["d, 1 cores"].ranked] == ["elsewhere"]
    assert found["c, 1 cores"].document("name")["entries"][0]["entry"] == "copy"
    assert {board.hardware for board in boards(made)} == {None}


def test_a_run_that_never_got_there_is_not_fast_because_it_ended_early():
    """Nine of ten diverge after a second: the one that reaches the quality does not lead."""
    result = with_times("lucky", 5.0, *[None] * 9)
    for seed in result.seeds[1:]:
        seed.timing.train_seconds = 1.0
    found = boards([result, with_times("steady", *[7.0] * 10)], track="time")[0]
    assert [row.entry.name for row in found.ranked] == ["steady", "lucky"]
    assert found.ranked[1].time.restricted_mean == pytest.approx(0.1 * 5 + 0.9 * 10)


def test_tuned_entries_and_others_can_be_ranked_apart():
    made = [with_times("tuned", *[1.0] * 10, trials=7), with_times("default", *[2.0] * 10)]
    names = {
        tuning: [row.entry.name for row in boards(made, tuning=tuning)[0].rows]
        for tuning in ranking.TUNINGS
    }
    assert names == {"any": ["default", "tuned"], "default": ["default"], "tuned": ["tuned"]}


def compare(made, a, b):
    return comparison.compare([board_entry(result) for result in made], a, b)


def test_compare():
    a, b = an_entry("a", 0.2), an_entry("b", 0.5, rng=1)
    found, skipped = compare([a, b], "a", "b")
    assert list(found) == ["toy"] and skipped == []
    assert found["toy"].difference == pytest.approx(0.3, abs=0.03)
    assert found["toy"].improvement == 1
    far = [each.model_copy(deep=True) for each in (a, b)]
    for each in far:
        each.task.name = "far"
    found, _ = compare([a, b, *far], "b", "a")
    assert list(found) == ["far", "toy", "all"]
    assert found["all"].p_value < found["toy"].p_value < 0.05


def test_what_does_not_compare_is_said():
    a, b = an_entry("a", 0.2), an_entry("b", 0.5, version=2)
    with pytest.raises(InputError, match="toy: of different versions of the task"):
        compare([a, b], "a", "b")
    with pytest.raises(InputError, match="no entry 'c' on the board"):
        compare([a, b], "a", "c")
    short = an_entry("b", 0.5, seeds=1)
    with pytest.raises(InputError, match="1 seeds in common"):
        compare([a, short], "a", "b")


@pytest.fixture
def folder(tmp_path):
    for result in (
        an_entry("good", 0.2),
        an_entry("poor", 0.5),
        an_entry("near", 0.21, rng=3),
        an_entry("quick_one", 0.1, budget="quick"),
    ):
        path = tmp_path / "toy" / f"{result.entry.name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(schema.dumps(result))
    return tmp_path


def show(folder: Path, *options: str) -> str:
    done = CliRunner().invoke(main, ["leaderboard", "show", "--leaderboard", str(folder), *options])
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def test_show_in_every_form(folder):
    table = show(folder)
    assert table.index("good") < table.index("poor") < table.index("quick_one")
    assert "trials" not in table and "device" in table
    lines = list(csv.DictReader(io.StringIO(show(folder, "--csv", "--sort", "name"))))
    assert [line["entry"] for line in lines] == ["good", "near", "poor", "quick_one"]
    assert [(line["rank_low"], line["rank_high"]) for line in lines] == [
        ("1", "2"),
        ("1", "2"),
        ("3", "3"),
        ("", ""),
    ]
    assert [line["unranked"] for line in lines] == ["", "", "", "quick"]
    markdown = show(folder, "--markdown").splitlines()
    assert {line.replace("\\|", "").count("|") for line in markdown} == {markdown[0].count("|")}
    (board,) = json.loads(show(folder, "--json"))
    assert [entry["group"] for entry in board["entries"]] == [1, 1, 2, None]
    assert board["entries"][0]["metrics"]["mmd"]["floor"] == 0


@pytest.mark.parametrize("track", ranking.TRACKS)
@pytest.mark.parametrize("tuning", ranking.TUNINGS)
def test_show_on_every_track(folder, track, tuning):
    found = json.loads(show(folder, "--json", "--track", track, "--tuning", tuning))
    assert [board["track"] for board in found] == ([] if tuning == "tuned" else [track])
    if found and track == "time":
        for form in ((), ("--csv",), ("--markdown",)):
            assert "c, 1 cores" in show(folder, "--track", track, "--tuning", tuning, *form)


def test_all_metrics_between_floor_and_ceiling(folder):
    lines = list(csv.DictReader(io.StringIO(show(folder, "--csv", "--metrics"))))
    assert [round(float(line["mmd_position"]), 1) for line in lines] == [0.8, 0.8, 0.5, 0.9]
    table = show(folder, "--metrics").split("1 is real data, 0 a naive sampler")[1]
    assert re.search(r"mmd +│ +0\.\d{3} │ +0\.\d{3} │ +0\.\d{3} │ +0\.\d{3} │", table)


def test_a_quality_that_is_no_number_is_refused(folder):
    arguments = ["leaderboard", "show", "--leaderboard", str(folder), "--quality", "nan"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2 and "expected a finite number, got nan" in done.stderr


def test_trials_are_shown_where_there_are_any(folder):
    tuned = an_entry("tuned", 0.4)
    tuned.entry.tuning_trials = 12
    (folder / "toy" / "tuned.json").write_text(schema.dumps(tuned))
    assert re.search(r"trials.*tuned +│ +12 │", show(folder), re.DOTALL)


def test_a_table_shows_the_first_rows_and_says_so(folder):
    table = show(folder, "--top", "2")
    assert "poor" not in table and "2 more: --top 4" in table


def test_compare_prints_a_verdict(folder):
    arguments = ["leaderboard", "compare", "good", "poor", "--leaderboard", str(folder)]
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "A is better" in done.stdout
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert json.loads(done.stdout)["tasks"]["toy"]["improvement"] == 1
