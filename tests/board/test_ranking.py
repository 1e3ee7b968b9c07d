"""The board: who is ranked, in which order, and what two entries differ by."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ganbench.board import comparison, overall, ranking, sound
from ganbench.board.entry import board_entry
from ganbench.board.standard import age, standard_of, why_apart
from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.results import schema, stats
from ganbench.scoring import VIEWS

from ..made import a_machine, a_result, a_seed


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


def with_samples(name, hashes, created, *, local=False):
    made = an_entry(name, 0.2, seeds=len(hashes)).model_copy(update={"created_at": created})
    for place, digest in enumerate(hashes):
        made.seeds[place] = made.seeds[place].model_copy(update={"samples_sha256": digest})
    return board_entry(made, local=local)


def test_whose_samples_are_those_of_an_entry_before_is_not_ranked():
    own, other = [f"{seed:064x}" for seed in range(10)], [f"{seed:064x}" for seed in range(10, 20)]
    entries = [
        with_samples("a_copy_of_one_seed", [own[3], *other[1:]], "2026-01-03"),
        with_samples("copy", own, "2026-01-02"),
        with_samples("original", own, "2026-01-01"),
        with_samples("original", own, "2026-01-01", local=True),  # the same run, made again
        with_samples("without_hashes", [None] * 10, "2026-01-04"),
    ]
    (board,) = ranking.boards(entries)
    assert {row.entry.name for row in board.ranked} == {"original", "without_hashes"}
    assert {row.entry.name: (row.apart, row.entry.wrong) for row in board.apart} == {
        "a_copy_of_one_seed": ("fails the check", "has the same samples as original"),
        "copy": ("fails the check", "has the same samples as original"),
        "original.local": ("local", None),
    }
    elsewhere = replace(entries[1], task="another", created="2025-01-01")
    assert len(ranking.boards([*entries, elsewhere])[1].ranked) == 2


def test_only_what_takes_a_rank_can_keep_another_from_it():
    own = [f"{seed:064x}" for seed in range(10)]
    whole = with_samples("whole", own, "2026-01-02")
    older = replace(whole, created="2026-01-01")
    others = [
        with_samples("three_of_its_seeds", own[:3], "2026-01-01"),
        replace(older, name="fails_itself", wrong="summary of score does not follow"),
        replace(older, name="of_an_older_task", version=0),
        replace(older, name="quick", budget="quick"),
        replace(older, name="refuted", refuted=True),
    ]
    (board,) = ranking.boards([*others, whole])
    assert [row.entry.name for row in board.ranked] == ["whole"]
    assert {row.entry.name for row in board.apart if row.entry.wrong} == {"fails_itself"}
    reference = replace(older, name="reference", reference=True)
    (board,) = ranking.boards([whole, reference])
    assert [row.entry.wrong for row in board.apart] == ["has the same samples as reference"]


def test_the_older_entry_is_found_by_dates_as_by_hours_of_any_zone():
    dates = {
        "noon in London": "2026-01-01T12:00:00+00:00",
        "earlier, in Tokyo": "2026-01-01T20:00:00+09:00",
        "later, in Honolulu": "2026-01-01T03:00:00-10:00",
        "without a zone": "2026-01-01T11:30:00",
        "no date": "",
        "nor this": "0001-01-01T00:00:00+23:00 or so",
    }
    ordered = sorted(dates, key=lambda name: age(dates[name], name))
    assert ordered == [
        "earlier, in Tokyo",
        "without a zone",
        "noon in London",
        "later, in Honolulu",
        "no date",
        "nor this",
    ]


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
        seed.machine = a_machine(cpu=cpu)
    entry = result.entry.model_copy(update={"tuning_trials": trials})
    return result.model_copy(update={"entry": entry})


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


def test_the_horizon_is_of_the_seeds_that_are_compared():
    """What else an entry ran, on a slow machine, moves no one's time on another."""
    made = [with_times("steady", *[5.0] * 10), with_times("fast", *[1.0] * 9, None)]
    slow = with_times("steady", *[900.0] * 10, cpu="d")
    for seed in slow.seeds:
        seed.seed, seed.timing.train_seconds = seed.seed + 10, 1000.0
        seed.metrics["mmd"] += 0.001
    both = made[0].model_copy(update={"seeds": [*made[0].seeds, *slow.seeds]})
    for entries in (made, [both, made[1]]):
        found = {each.hardware: each for each in boards(entries, track="time")}["c, 1 cores"]
        times = {row.entry.name: row.time.restricted_mean for row in found.ranked}
        assert times == pytest.approx({"fast": 0.9 * 1 + 0.1 * 10, "steady": 5.0})


def test_what_comes_after_the_horizon_is_not_reached_for_references_either():
    """Up to where those that compete ran; a reference that took longer had no quality by then."""
    late = with_times("late", *[50.0] * 10)
    late.entry.reference = True
    for seed in late.seeds:
        seed.timing.train_seconds = 60.0
    found = boards([with_times("steady", *[10.0] * 10), late], track="time")[0]
    (steady,), (reference,) = found.ranked, found.references
    assert (steady.time.reached, steady.time.par2) == (1, 10)
    assert (reference.time.reached, reference.time.restricted_mean) == (0, 10)
    assert reference.time.par2 == 20


def test_an_entry_of_few_seeds_leaves_the_places_of_others():
    made = [an_entry("a", 0.2), an_entry("b", 0.215, rng=1)]
    few = an_entry("few", 0.9, seeds=3, rng=2)
    alone, beside = (stats_of(entries) for entries in (made, [*made, few]))
    assert alone == [1, 2] and beside == [1, 2, 3]


def stats_of(made):
    """The groups of entries with seeds of any number, those of three among them."""
    values = [np.array([seed.score for seed in result.seeds]) for result in made]
    points, replicates = ranking.resampled_means(values, stats.resampled_iqms, 2_000)
    seeds = np.array([[*map(len, values)]])
    found = ranking.find_places(points, replicates[None], seeds=seeds)
    return [group for _, group in found]


def on_machines(name, *cpus, mean=0.2, **options):
    """An entry whose seeds ran on these machines, which differ in all that a record says."""
    result = an_entry(name, mean, seeds=len(cpus), **options)
    for place, (seed, cpu) in enumerate(zip(result.seeds, cpus, strict=True)):
        seed.machine = a_machine(cpu=cpu, os=f"Linux 6.{place}", memory_bytes=place)
        seed.timing.steps_per_second = 100.0 if cpu == "c" else 300.0
        seed.timing.train_seconds = 1.0
    return result


def test_seeds_of_two_machines_are_one_entry_whose_speeds_are_not_mixed():
    half, other = ["c"] * 5 + ["d"] * 5, on_machines("other", *["c"] * 10, mean=0.5)
    (board,) = boards([on_machines("split", *half), other])
    assert [(row.entry.name, row.group) for row in board.ranked] == [("split", 1), ("other", 2)]
    assert board.ranked[0].entry.steps_per_second("d, 1 cores") == 300
    assert board.ranked[0].document()["steps_per_second"] == 100  # those of "c", never a mean
    timed = {each.hardware: each for each in boards([on_machines("split", *half)], track="time")}
    assert {hardware: each.apart[0].apart for hardware, each in timed.items()} == {
        "c, 1 cores": "5 of 10 seeds on it",
        "d, 1 cores": "5 of 10 seeds on it",
    }


def a_reference(name, mean, **options):
    result = an_entry(name, mean, **options)
    result.entry.reference = True
    return result


def test_references_are_shown_where_they_would_stand_and_take_no_rank():
    made = [an_entry("good", 0.2), a_reference("perfect", 0.0), an_entry("poor", 0.6)]
    (board,) = boards([*made, a_reference("noise", 1.0), a_reference("middling", 0.4)])
    shown = [(row.entry.name, row.rank) for row in board.rows]
    assert shown == [
        ("perfect", None),
        ("good", (1, 1)),
        ("middling", None),
        ("poor", (2, 2)),
        ("noise", None),
    ]
    assert {row.apart for row in board.references} == {"reference"}
    (board,) = boards([a_reference("quick", 0.1, budget="quick")])
    assert (board.references, [row.apart for row in board.apart]) == ([], ["quick"])


def test_one_that_raises_at_once_ranks_below_all_that_finish():
    """Failed seeds are the worst: a GAN that ends far off is still better."""
    failed = an_entry("raises", 0.2)
    failed.seeds[:] = [a_seed(i, "failed") for i in range(10)]
    failed = schema.loads(schema.dumps(failed), "it")
    failed.summary["score"] = stats.summarise(failed.seeds, ["mmd"])["score"]
    (board,) = boards([failed, an_entry("awful", 1e6, spread=1.0), an_entry("fair", 0.5)])
    assert [row.entry.name for row in board.ranked] == ["fair", "awful", "raises"]
    assert board.ranked[1].score == pytest.approx(-1, abs=1e-5)
    assert board.ranked[2].score == -1


def with_metrics(name, mean, **values):
    """An entry measured by more metrics, each with ten values."""
    result = an_entry(name, mean)
    document = result.model_dump()
    for metric, (info, own) in values.items():
        document["task"]["metrics"][metric] = info
        document["summary"][metric] = stats.summarise_values(own).model_dump()
        for seed, value in zip(document["seeds"], own, strict=True):
            seed["metrics"][metric] = value
    return schema.Result.model_validate(document)


COVERAGE = {"direction": "higher", "floor": 1.0, "ceiling": 0.0, "noise": 0.01}
FLAT = {"direction": "lower", "floor": 0.0, "ceiling": 0.0, "noise": 0.01}
TENTHS = [0.01 * i for i in range(10)]


def test_any_metric_ranks():
    made = [
        with_metrics("narrow", 0.1, coverage=(COVERAGE, [0.2 + t for t in TENTHS])),
        with_metrics("wide", 0.4, coverage=(COVERAGE, [0.7 + t for t in TENTHS])),
        an_entry("old", 0.2),
    ]
    (board,) = boards(made, by="coverage")
    assert [(row.entry.name, row.rank) for row in board.ranked] == [
        ("wide", (1, 1)),
        ("narrow", (2, 2)),
    ]
    assert board.ranked[0].score == pytest.approx(0.745)
    assert [(row.entry.name, row.apart) for row in board.apart] == [
        ("old", "no coverage that compares")
    ]
    assert boards(made, by="distribution")[0].ranked[0].entry.name == "narrow"
    with pytest.raises(InputError, match=r"no metric 'covrage' on the board.*'coverage'"):
        boards(made, by="covrage")
    with pytest.raises(InputError, match="'flat' cannot rank: real data and a naive sampler"):
        boards([with_metrics("any", 0.1, flat=(FLAT, TENTHS))], by="flat")


def test_a_metric_more_unranks_nobody_and_another_version_of_a_view_does():
    new = with_metrics("new", 0.1, coverage=(COVERAGE, TENTHS))
    (board,) = boards([an_entry("old", 0.2), new])
    assert [row.entry.name for row in board.ranked] == ["new", "old"]
    changed = an_entry("changed", 0.05)
    changed.task.metrics["mmd"].version = 2
    (board,) = boards([an_entry("old", 0.2), an_entry("older", 0.3), changed])
    assert [(row.entry.name, row.apart) for row in board.apart] == [("changed", "version 2 of mmd")]


def test_the_share_of_seeds_that_hold_all_modes():
    info = {"direction": "higher", "floor": 8.0, "ceiling": 6.0, "noise": 0.0}
    made = with_metrics("ring", 0.1, modes_10pct=(info, [8.0] * 7 + [7.0, 1.0, 7.0]))
    assert board_entry(made).all_modes == 0.7
    assert board_entry(an_entry("other", 0.2)).all_modes is None


def on_tasks(name, **means):
    """The results of an entry on several tasks."""
    made = [an_entry(name, mean, rng=i) for i, mean in enumerate(means.values())]
    return [
        each.model_copy(update={"task": each.task.model_copy(update={"name": task})})
        for task, each in zip(means, made, strict=True)
    ]


def test_the_board_over_all_tasks():
    made = [
        *on_tasks("best", arc=0.1, toy=0.2),
        *on_tasks("copy", arc=0.1, toy=0.2),
        *on_tasks("poor", arc=0.3, toy=0.9),
        *on_tasks("lucky", toy=0.05),
        *[result.model_copy(deep=True) for result in on_tasks("real", arc=0.0, toy=0.0, far=0.0)],
    ]
    for result in made[-3:]:
        result.entry.reference = True
    found = overall.overall(boards(made))
    assert found.tasks == ["arc", "toy"]  # no competitor has run `far`
    assert [(row.name, row.rank, row.group) for row in found.ranked] == [
        ("best", (1, 2), 1),
        ("copy", (1, 2), 1),
        ("poor", (3, 3), 2),
    ]
    best, _, poor = found.ranked
    own = [boards(on_tasks("best", arc=0.1, toy=0.2))[i].ranked[0].score for i in (0, 1)]
    assert best.score == pytest.approx(sum(own) / 2)
    low, high = best.interval
    assert low < best.score < high < low + 0.05
    # `lucky` leads alone on toy; on arc the two cannot be told apart.
    assert [(r.won, r.tied, r.lost) for r in (best, poor)] == [(0, 1, 1), (0, 0, 2)]
    assert best.profile == [1.0, pytest.approx(0.5, abs=0.3)]
    assert [(row.name, row.lacks, row.score, row.rank) for row in found.apart] == [
        ("lucky", ["arc"], None, None)
    ]
    assert [row.name for row in found.rows] == ["real", "best", "copy", "poor", "lucky"]


def test_one_name_of_two_sources_has_no_mean_over_tasks():
    made = [*on_tasks("other", arc=0.1, toy=0.2), *on_tasks("same", arc=0.3, toy=0.3)]
    made[0].entry.sha256 = "f" * 64
    found = overall.overall(boards(made))
    assert [row.name for row in found.ranked] == ["same"]
    (other,) = found.apart
    assert (other.name, other.lacks, other.score, other.apart) == ("other", [], None, "2 sources")
    assert set(other.scores) == {"arc", "toy"}
    of_each, skipped = compare(made, "other", "same")
    assert list(of_each) == ["arc", "toy"]
    assert skipped == ["all: other has 2 sources, one on some of the tasks"]


def test_a_task_that_lacks_views_counts_only_beside_its_like():
    made = on_tasks("one", point=0.1, plane=0.2)
    found = boards(made)
    assert overall.overall(found).tasks == ["plane", "point"]
    whole = next(board for board in found if board.task == "plane")
    whole.standard.views.update(dict.fromkeys(VIEWS, "mmd"))
    assert overall.overall(found).tasks == ["plane"]


def test_a_board_s_own_file_names_the_tasks_of_the_board_over_all(tmp_path):
    made = on_tasks("one", arc=0.1, toy=0.2) + on_tasks("two", arc=0.3)
    assert overall.declared(tmp_path) is None
    file = tmp_path / "board.toml"
    file.write_text("tasks = ['arc']\n")
    assert overall.declared(tmp_path) is None
    file.write_text("overall = ['arc', 'never']\n")
    tasks = overall.declared(tmp_path)
    found = overall.overall(boards(made), tasks=tasks)
    assert (found.tasks, len(found.ranked)) == (["arc"], 2)
    assert [row.name for row in overall.overall(boards(made)).apart] == ["two"]
    for wrong, says in (("overall = 3", "overall must be a list of tasks"), ("a", "is no TOML")):
        file.write_text(wrong)
        with pytest.raises(InputError, match=says):
            overall.declared(tmp_path)


def test_without_competitors_references_are_shown_over_all_tasks():
    (result,) = on_tasks("real", arc=0.0)
    result.entry.reference = True
    found = overall.overall(boards([result]))
    assert (found.tasks, [row.name for row in found.references]) == (["arc"], ["real"])
    assert overall.overall([]).rows == []


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
    edited = an_entry("b", 0.5)
    edited.task.sha256 = "b" * 64
    with pytest.raises(InputError, match="toy: of different files of the task"):
        compare([a, edited], "a", "b")
    short = an_entry("b", 0.5, seeds=1)
    with pytest.raises(InputError, match="1 seeds in common"):
        compare([a, short], "a", "b")


def test_what_the_board_refuses_does_not_compare():
    honest = board_entry(an_entry("a", 0.5))
    for what, line in (
        ({"wrong": "the score is not that of its views"}, "b the score is not that"),
        ({"refuted": True}, "b is refuted on hidden parameters"),
    ):
        forged = replace(board_entry(an_entry("b", 0.1)), **what)
        with pytest.raises(InputError, match=line):
            comparison.compare([honest, forged], "a", "b")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sound, "why_unfit", lambda result: None)  # no run has left these
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


def read(table: str, task: str = "toy") -> list[dict[str, str]]:
    return [line for line in csv.DictReader(io.StringIO(table)) if line["task"] == task]


def test_show_in_every_form(folder):
    table = show(folder, "--task", "toy")
    assert table.index("good") < table.index("poor") < table.index("quick_one")
    assert "trials" not in table and "device" in table
    lines = read(show(folder, "--csv", "--sort", "name"))
    assert [line["entry"] for line in lines] == ["good", "near", "poor", "quick_one"]
    assert [(line["rank_low"], line["rank_high"]) for line in lines] == [
        ("1", "2"),
        ("1", "2"),
        ("3", "3"),
        ("", ""),
    ]
    assert [line["unranked"] for line in lines] == ["", "", "", "quick"]
    for options in (("--task", "toy"), ()):
        markdown = show(folder, "--markdown", *options).splitlines()
        assert {line.replace("\\|", "").count("|") for line in markdown} == {markdown[0].count("|")}
    _, board = json.loads(show(folder, "--json"))
    assert [entry["group"] for entry in board["entries"]] == [1, 1, 2, None]
    assert board["entries"][0]["metrics"]["mmd"]["floor"] == 0


@pytest.mark.parametrize("track", ranking.TRACKS)
@pytest.mark.parametrize("tuning", ranking.TUNINGS)
def test_show_on_every_track(folder, track, tuning):
    found = json.loads(show(folder, "--json", "--track", track, "--tuning", tuning))
    own = [board for board in found if board["task"] != "all"]
    assert len(found) - len(own) == (track == "quality")
    assert [board["track"] for board in own] == ([] if tuning == "tuned" else [track])
    if found and track == "time":
        for form in ((), ("--csv",), ("--markdown",)):
            assert "c, 1 cores" in show(folder, "--track", track, "--tuning", tuning, *form)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["--track", "time", "--by", "mmd"], "--by is of the track of quality"),
        (["--sort", "name"], "--sort is of a task's board"),
    ],
)
def test_what_would_have_no_effect_is_refused(folder, given, line):
    done = CliRunner().invoke(main, ["leaderboard", "show", "--leaderboard", str(folder), *given])
    assert done.exit_code == 2 and line in done.stderr


def test_positions_are_not_called_scores(folder):
    for given in ([], ["--task", "toy"]):
        table = show(folder, "--by", "mmd", "--markdown", *given)
        assert "position of mmd" in table and "score" not in table
    lines = list(csv.DictReader(io.StringIO(show(folder, "--by", "mmd", "--csv"))))
    assert {line["task"] for line in lines} == {"all", "toy"}
    assert {line["by"] for line in lines} == {"mmd"}


def test_all_metrics_between_floor_and_ceiling(folder):
    lines = read(show(folder, "--csv", "--metrics"))
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
    assert re.search(r"trials.*tuned +│ +12 │", show(folder, "--task", "toy"), re.DOTALL)


def test_a_table_shows_the_first_rows_and_says_so(folder):
    table = show(folder, "--task", "toy", "--top", "2")
    assert "poor" not in table and "2 more: --top 4" in table


def test_compare_prints_a_verdict(folder):
    arguments = ["leaderboard", "compare", "good", "poor", "--leaderboard", str(folder)]
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "A is better" in done.stdout
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert json.loads(done.stdout)["tasks"]["toy"]["improvement"] == 1
