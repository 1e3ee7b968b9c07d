"""Where a result goes, and that what is published is never touched by a run."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from ganbench.board import checking
from ganbench.errors import InputError
from ganbench.results import schema, stats, store

from ..made import a_machine, a_result, a_seed, content

ROOT = Path(__file__).parents[2]


def publish(root: Path, result: schema.Result, beside: str = "source.py") -> Path:
    """Put a result on the board with something beside it."""
    path = store.path_of(root, result.task.name, result.entry.name)
    store.attached(path).mkdir(parents=True, exist_ok=True)
    path.write_text(schema.dumps(result))
    (store.attached(path) / beside).write_text("what came with it")
    return path


@pytest.mark.parametrize("beside", ["source.py", "samples.safetensors"])
@pytest.mark.parametrize("sha", ["ab", "another"])
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2), (7,)])
def test_a_published_result_is_never_touched(tmp_path, beside, sha, seeds):
    """Neither by the same seeds, nor by more of them, nor by another source."""
    published = publish(tmp_path, a_result(*(a_seed(i) for i in range(3))), beside)
    before = content(tmp_path)
    added = store.add(a_result(*(a_seed(i) for i in seeds), sha=sha), tmp_path)
    assert added.path == tmp_path / "toy" / "my_gan.local.json"
    assert (added.beside, added.set_aside) == (published, None)
    after = content(tmp_path)
    assert schema.loads(after.pop("toy/my_gan.local.json").decode(), "it") == added.result
    assert [seed.seed for seed in added.result.seeds] == list(seeds)
    assert after == before


def test_a_word_on_some_seeds_is_none_on_those_of_both(tmp_path):
    """The gap to hidden parameters is of the seeds that it was measured by."""
    hidden = schema.HiddenRun(
        seed=7,
        known=0.9,
        scores=[0.5],
        gap=0.1,
        ci95=(0.0, 0.2),
        verdict="consistent",
        ganbench_version="0",
        created_at="2026-01-01T00:00:00+00:00",
    )
    new = a_result(a_seed(1)).model_copy(update={"hidden": hidden})
    assert store.merge(a_result(a_seed(1)), new).hidden == hidden
    assert store.merge(a_result(a_seed(0)), new).hidden is None


def test_samples_whose_result_is_gone_are_in_the_way_too(tmp_path):
    publish(tmp_path, a_result()).unlink()
    assert store.add(a_result(), tmp_path).path.name == "my_gan.local.json"


def test_where_nothing_is_published_the_file_is_the_entrys_own(tmp_path):
    publish(tmp_path, a_result(name="other"))
    added = store.add(a_result(), tmp_path)
    assert added.path == tmp_path / "toy" / "my_gan.json" == store.place(tmp_path, "toy", "my_gan")
    assert added.beside is None


def test_a_local_result_takes_more_seeds_and_another_source_sets_it_aside(tmp_path):
    publish(tmp_path, a_result())
    before = content(tmp_path)
    store.add(a_result(a_seed(0), sha="own"), tmp_path)
    merged = store.add(a_result(a_seed(1), sha="own"), tmp_path)
    assert [seed.seed for seed in merged.result.seeds] == [0, 1] and merged.set_aside is None
    asides = [store.add(a_result(sha=sha), tmp_path).set_aside for sha in ("two", "three")]
    folder = tmp_path / "toy" / "old"
    assert asides == [folder / "my_gan.local.json", folder / "my_gan-1.local.json"]
    assert [schema.load_result(each).entry.sha256 for each in asides] == ["own", "two"]
    assert {name: content(tmp_path)[name] for name in before} == before


def test_what_lies_beside_a_result_is_set_aside_with_it(tmp_path):
    """Under one number, though only one of the two names is taken."""
    path = publish(tmp_path, a_result(), beside="mynets.py")
    (tmp_path / "toy" / "old" / "my_gan").mkdir(parents=True)
    added = store.add(a_result(sha="another"), tmp_path)
    assert (added.path, added.set_aside) == (path, tmp_path / "toy" / "old" / "my_gan-1.json")
    assert schema.load_result(added.set_aside).entry.sha256 == "ab"
    assert (tmp_path / "toy" / "old" / "my_gan-1" / "mynets.py").is_file()
    assert not store.attached(path).exists()


def test_concurrent_additions_beside_a_published_result_lose_nothing(tmp_path):
    publish(tmp_path, a_result())
    before = content(tmp_path)
    threads = [
        threading.Thread(target=store.add, args=(a_result(a_seed(seed), sha="own"), tmp_path))
        for seed in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = content(tmp_path)
    merged = schema.loads(after.pop("toy/my_gan.local.json").decode(), "it")
    assert [seed.seed for seed in merged.seeds] == list(range(8))
    assert after == before


def test_no_entry_may_be_called_as_a_local_result_is(tmp_path):
    with pytest.raises(InputError, match=r"'x\.local' is no name for an entry.*rename the file"):
        store.place(tmp_path, "toy", "x.local")
    text = schema.dumps(a_result()).replace('"my_gan"', '"x.local"')
    with pytest.raises(InputError, match=r"entry\.name: .*must not end in '\.local'"):
        schema.loads(text, "it")
    assert store.place(tmp_path, "toy", "x.locale").name == "x.locale.json"


def test_a_local_result_is_in_its_place(tmp_path):
    path = tmp_path / "toy" / "my_gan.local.json"
    assert store.misplaced(a_result(), path) is None
    assert store.is_local(path) and not store.is_local(tmp_path / "toy" / "my_gan.json")
    assert store.misplaced(a_result(), path.with_name("other.local.json")) is not None


def test_git_ignores_local_results(tmp_path):
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    names = [
        "sine/mlp_gan.local.json",
        "sine/old/mlp_gan-1.local.json",
        "sine/mlp_gan.local/x",
        "sine/.mlp_gan.json.lock",
        "sine/mlp_gan.json",
        "sine/mlp_gan/samples.safetensors",
    ]
    paths = [f"leaderboard/{name}" for name in names]
    done = subprocess.run(
        ["git", "-C", str(tmp_path), "check-ignore", *paths], capture_output=True, text=True
    )
    assert done.stdout.split() == paths[:4]


def on_a_machine(*seeds: int, **machine: object) -> schema.Result:
    made = [a_seed(i) for i in seeds]
    return a_result(*(s.model_copy(update={"machine": a_machine(**machine)}) for s in made))


def test_seeds_of_two_machines_are_one_entry(tmp_path):
    """As the jobs of a cluster: other processors, cores, memory, kernels, versions."""
    store.add(on_a_machine(0, 1, 2, 3, 4), tmp_path)
    other = {"cpu": "d", "cores": 64, "memory_bytes": 7, "os": "Linux 7", "torch": "3"}
    added = store.add(on_a_machine(5, 6, 7, 8, 9, **other), tmp_path)
    assert added.set_aside is None
    assert [seed.seed for seed in added.result.seeds] == list(range(10))
    assert [seed.machine.cpu for seed in added.result.seeds] == ["c"] * 5 + ["d"] * 5
    assert not (tmp_path / "toy" / "old").exists()


def with_coverage(result: schema.Result, version: int = 1) -> schema.Result:
    """The result, had its task one metric more."""
    info = {"direction": "higher", "floor": 1.0, "ceiling": 0.0, "noise": 0.1, "version": version}
    document = result.model_dump()
    document["task"]["metrics"]["coverage"] = info
    for seed in document["seeds"]:
        seed["metrics"]["coverage"] = 0.5
    document["summary"]["coverage"] = stats.summarise_values([0.5] * len(result.seeds)).model_dump()
    return schema.Result.model_validate(document)


@pytest.mark.parametrize("later", [False, True])
def test_seeds_from_before_and_after_a_metric_was_added_are_one_entry(tmp_path, later):
    results = [a_result(a_seed(0)), with_coverage(a_result(a_seed(1)))]
    for result in results if later else results[::-1]:
        added = store.add(result, tmp_path)
    assert added.set_aside is None
    assert list(added.result.task.metrics) == ["mmd", "coverage"]
    assert [seed.metrics["coverage"] for seed in added.result.seeds] == [None, 0.5]
    assert added.result.summary["coverage"].mean == 0.5
    assert checking.inconsistencies(schema.load_result(added.path), added.path) == []


def test_seeds_that_were_measured_otherwise_are_not_mixed(tmp_path):
    store.add(with_coverage(a_result(a_seed(0))), tmp_path)
    added = store.add(with_coverage(a_result(a_seed(1)), version=2), tmp_path)
    assert added.set_aside == tmp_path / "toy" / "old" / "my_gan.json"
    assert [seed.seed for seed in added.result.seeds] == [1]
