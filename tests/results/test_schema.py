"""Results: round trips, atomic writes, merging, summaries."""

import json
import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from ganbench.board import checking
from ganbench.errors import InputError
from ganbench.results import schema, stats, store
from ganbench.system import files

from ..made import a_result, a_seed

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.slow
@given(value=FINITE, losses=st.dictionaries(st.text(), FINITE, max_size=4), text=st.text())
@settings(deadline=None)
def test_round_trip_is_exact(value, losses, text):
    seed = a_seed(value=value if abs(value) < schema.LARGEST else 0.0)
    seed.curve[0].losses.update(losses)
    result = a_result(seed)
    result.seeds[0].reason = text.encode("utf-8", "ignore").decode()
    assert schema.loads(schema.dumps(result), "here") == result


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_never_written_or_read(bad):
    result = a_result()
    result.seeds[0].metrics["mmd"] = bad
    # pydantic writes a non-finite float as null, which is then no valid score's metric; the
    # field itself refuses it at construction.
    with pytest.raises(ValueError, match="finite"):
        schema.SeedResult(**{**a_seed().model_dump(), "metrics": {"mmd": bad}})
    text = schema.dumps(a_result()).replace("0.25", "NaN")
    with pytest.raises(InputError, match="not a valid result"):
        schema.loads(text, "here")


def test_unknown_fields_are_refused():
    document = json.loads(schema.dumps(a_result()))
    document["extra"] = 1
    with pytest.raises(InputError, match="extra"):
        schema.loads(json.dumps(document), "here")


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    files.write_atomically(path, b"old")

    def fail(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_concurrent_additions_lose_nothing(tmp_path):
    def work(seed: int) -> None:
        store.add(a_result(a_seed(seed)), tmp_path)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    merged = schema.load_result(tmp_path / "toy" / "my_gan.json")
    assert [seed.seed for seed in merged.seeds] == list(range(8))
    assert checking.inconsistencies(merged, tmp_path / "toy" / "my_gan.json") == []


def test_an_interrupted_seed_never_replaces_a_finished_one(tmp_path):
    store.add(a_result(a_seed(0)), tmp_path)
    added = store.add(a_result(a_seed(0, "interrupted"), a_seed(1, "diverged")), tmp_path)
    assert [(s.seed, s.status) for s in added.result.seeds] == [(0, "ok"), (1, "diverged")]


def test_trials_that_were_declared_stay_declared(tmp_path):
    tuned = a_result(a_seed(0))
    tuned.entry.tuning_trials = 9
    store.add(tuned, tmp_path)
    added = store.add(a_result(a_seed(1)), tmp_path)
    assert added.set_aside is None
    assert (len(added.result.seeds), added.result.entry.tuning_trials) == (2, 9)


def test_a_summary_of_other_metrics_is_no_result():
    text = schema.dumps(a_result()).replace('"score": {', '"scored": {')
    with pytest.raises(InputError, match=r"x is not .*summary must be of the task's metrics"):
        schema.loads(text, "x")


def test_another_source_is_set_aside(tmp_path):
    store.add(a_result(sha="one"), tmp_path)
    store.add(a_result(sha="two"), tmp_path)
    added = store.add(a_result(sha="three"), tmp_path)
    kept = sorted((tmp_path / "toy" / "old").iterdir())
    assert [schema.load_result(path).entry.sha256 for path in kept] == ["two", "one"]
    assert added.set_aside == kept[0]


def test_failed_seeds_count_as_the_worst_and_interrupted_ones_not_at_all():
    seeds = [a_seed(0), a_seed(1, "diverged"), a_seed(2, "failed"), a_seed(3, "interrupted")]
    summary = stats.summarise(seeds, ["mmd"])
    assert summary["score"].mean == pytest.approx((0.75 - 1 - 1) / 3)
    assert summary["mmd"].mean == 0.25
    assert summary["mmd"].ci95 is None


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=12))
@settings(deadline=None, max_examples=30)
def test_interval_holds_the_iqm_and_lies_within_the_data(values):
    summary = stats.summarise_values(values)
    low, high = summary.ci95
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert summary.iqm == pytest.approx(scipy_stats.trim_mean(values, 0.25))
    assert summary.std == pytest.approx(np.std(values, ddof=1))


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        counts = stats.resampled([20], rng=rng)
        low, high = stats.interval(stats.resampled_iqms(rng.normal(size=20), counts))
        hits += low <= 0 <= high
    assert 170 <= hits <= 200  # the percentile bootstrap of 20 values covers about 92 %


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda r: r.seeds.append(r.seeds[0]), "holds a seed twice"),
        (lambda r: setattr(r.seeds[0], "score", 0.9), "should be 0.75"),
        (lambda r: r.seeds[0].metrics.update(mmd=0.1), "summary of mmd"),
        (lambda r: r.seeds[0].metrics.update(other=0.1), "metrics are not those"),
        (lambda r: setattr(r, "official", True), "no bundled task"),
        (lambda r: setattr(r.entry, "name", "other"), "'other' on 'toy'"),
    ],
)
def test_inconsistencies_are_found(tmp_path, change, finding):
    result = a_result()
    path = tmp_path / "toy" / "my_gan.json"
    assert checking.inconsistencies(result, path) == []
    change(result)
    assert finding in "\n".join(checking.inconsistencies(result, path))
