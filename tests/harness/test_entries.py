"""Runs of entries: what a resumed one leaves, how often names are looked up."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from ganbench import registry
from ganbench.errors import InputError, ResumeError
from ganbench.harness import entries, pictures, trained
from ganbench.harness.spec import Progress, Spec, look_up
from ganbench.results import schema
from ganbench.system import files, leftovers

SPEC = Spec(task="gaussian", baseline="mlp_gan", budget="smoke")


def run(folder: Path, spec: Spec, seeds: range, **changes: object) -> entries.Finished:
    (finished,) = entries.run(
        [replace(spec, **changes)], seeds=seeds, leaderboard=folder / "board", out=folder / "runs"
    )
    return finished


@pytest.mark.slow
@pytest.mark.parametrize("first", [range(2), range(1)], ids=["finished", "half-finished"])
def test_a_resumed_entry_is_the_entry(first: range, tmp_path: Path) -> None:
    """With seeds that are at their end: in the engine that trained them, nothing set aside."""
    whole = run(tmp_path / "whole", SPEC, range(2)).result
    run(tmp_path, SPEC, first)
    resumed = run(tmp_path, SPEC, range(2), resume=True)
    assert [seed.engine for seed in resumed.seeds] == ["stacked", "stacked"]
    assert not (tmp_path / "board" / "gaussian" / "old").exists()
    for mine, other in zip(resumed.result.seeds, whole.seeds, strict=True):
        assert mine.samples_sha256 == other.samples_sha256
        assert mine.metrics == other.metrics
    assert schema.load_result(resumed.path) == resumed.result


@pytest.mark.slow
def test_names_are_looked_up_once_however_many_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: Counter[str] = Counter()
    execute = registry.execute

    def counted(path: Path) -> tuple[object, dict[str, Path]]:
        counts[path.stem] += 1
        return execute(path)

    monkeypatch.setattr(registry, "execute", counted)
    run(tmp_path, replace(SPEC, baseline="oracle"), range(3))
    assert counts == {"gaussian": 1, "oracle": 1}


def test_files_in_other_letters_are_entries_of_their_own(tmp_path: Path) -> None:
    names = []
    for name in ("mlp_gan", "Élan", "Ülan", "_"):
        path = tmp_path / f"{name}.py"
        path.write_bytes(registry.find("baselines", "moment_matching").read_bytes())
        job = look_up(replace(SPEC, baseline=str(path)))
        names.append(entries.entry_name(job).removesuffix("-smoke"))
    assert names[0] == "mlp_gan" and names[3] == "_"
    assert len({*names}) == 4 and all(name.isascii() for name in names)


@pytest.mark.parametrize("name", ["gan:2.py", f"{'a' * 100}/{'b' * 100}/{'c' * 100}.py"])
def test_a_path_that_no_result_may_hold_is_refused_before_any_training(
    tmp_path: Path, name: str
) -> None:
    """Of a file in a repository, that is its path inside."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(registry.find("baselines", "moment_matching").read_bytes())
    with pytest.raises(InputError, match="cannot be an entry with source"):
        run(tmp_path, replace(SPEC, baseline=str(path)), range(1))
    assert not (tmp_path / "runs").exists()


def test_a_file_is_what_it_was_when_it_was_loaded(tmp_path: Path) -> None:
    """What is edited while a run goes on is neither what the result names nor trained in it."""
    path = tmp_path / "own.py"
    path.write_bytes(registry.find("baselines", "moment_matching").read_bytes())
    job = look_up(replace(SPEC, baseline=str(path))).in_folder(tmp_path)
    before = job.baseline.sha256
    path.write_text(path.read_text() + "# edited\n")
    assert job.baseline.sha256 == before == entries.entry_info(job).sha256
    with pytest.raises(InputError, match=r"own\.py was changed while the run went on"):
        look_up(job.spec)
    assert look_up(replace(SPEC, baseline=str(path))).baseline.sha256 != before


@pytest.mark.slow
def test_what_is_refused_to_be_resumed_stays_as_it_is(tmp_path: Path) -> None:
    """So the next run sets it aside, and nothing takes its weights for those of the new source."""
    path, folder = tmp_path / "own.py", tmp_path / "runs" / "gaussian" / "own-smoke"
    path.write_bytes(registry.find("baselines", "mlp_gan").read_bytes())
    spec = replace(SPEC, baseline=str(path))
    run(tmp_path, spec, range(1))
    path.write_text(path.read_text() + "# edited\n")
    with pytest.raises(ResumeError, match="is of another source: run without --resume"):
        run(tmp_path, spec, range(1), resume=True)
    with pytest.raises(InputError, match="has changed since"):
        trained.load(folder)
    assert run(tmp_path, spec, range(1)).notes == [
        f"the former run was of another source: kept in {folder}.old",
        f"the former own-smoke.json was of another run: kept in "
        f"{tmp_path / 'board' / 'gaussian' / 'old' / 'own-smoke.json'}",
    ]
    assert (folder.with_name("own-smoke.old") / "seed-0" / "checkpoint.safetensors").is_file()


def test_what_a_changed_task_has_trained_is_no_seed_of_the_entry(tmp_path: Path) -> None:
    for suffix in (".py", ".json"):
        file = registry.find("tasks", "gaussian").with_suffix(suffix)
        shutil.copy(file, tmp_path)
    own = tmp_path / "gaussian.py"
    same = look_up(replace(SPEC, task=str(own)))
    assert entries.entry_name(same) == "mlp_gan-smoke-changed"  # none of another file is official
    assert entries.entry_name(look_up(SPEC)) == "mlp_gan-smoke"


def test_seeds_of_a_task_that_has_changed_are_of_another_entry(tmp_path: Path) -> None:
    """Though its version is what it was."""
    for suffix in (".py", ".json"):
        shutil.copy(registry.find("tasks", "gaussian").with_suffix(suffix), tmp_path)
    own = tmp_path / "gaussian.py"
    spec = replace(SPEC, task=str(own), baseline="moment_matching", budget="full", steps=20)
    first = run(tmp_path, spec, range(2))
    assert first.result.task.sha256 == files.file_sha256(own)
    job = look_up(spec).in_folder(tmp_path / "of_a_worker")
    own.write_text(own.read_text() + "\n# changed\n")
    with pytest.raises(InputError, match="task 'gaussian' was changed while the run went on"):
        look_up(job.spec)
    again = run(tmp_path, spec, range(2, 4))
    assert [seed.seed for seed in again.result.seeds] == [2, 3]
    assert [note.partition(" was of another ")[0] for note in again.notes] == [
        "the former run",
        "the former moment_matching-20steps-changed.json",
    ]
    assert [seed.seed for seed in run(tmp_path, spec, range(4, 5)).result.seeds] == [2, 3, 4]
    folder = tmp_path / "runs/gaussian/moment_matching-20steps-changed"
    assert pictures.redraw(folder) and trained.load(folder, 4).sample(2).shape == (2, 2)
    own.write_text(own.read_text() + "# again\n")
    with pytest.raises(ResumeError, match="is of another source: run without --resume"):
        run(tmp_path, spec, range(2, 4), resume=True)
    for use in (pictures.redraw, lambda path: trained.load(path, 4)):
        with pytest.raises(InputError, match=r"gaussian has changed since .* was trained on it"):
            use(folder)


def test_a_run_that_is_stopped_says_what_it_has_not_begun(tmp_path: Path) -> None:
    stop = threading.Event()
    (finished,) = entries.run(
        [replace(SPEC, baseline="moment_matching")],
        seeds=range(3),
        leaderboard=tmp_path / "board",
        out=tmp_path / "runs",
        report=lambda progress: stop.set() if progress.step == 50 else None,
        stop=stop,
    )
    assert [seed.status for seed in finished.seeds] == ["ok"]
    assert finished.not_begun == 2


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks")
def test_a_folder_in_which_a_run_goes_on_is_not_set_aside(tmp_path: Path) -> None:
    """Whoever edits a file and starts it again would have two runs write into one another's."""
    path = tmp_path / "own.py"
    path.write_bytes(registry.find("baselines", "moment_matching").read_bytes())
    spec, folder = replace(SPEC, baseline=str(path)), tmp_path / "runs" / "gaussian" / "own-smoke"
    seen: list[bool] = []

    def edited(progress: Progress) -> None:
        path.write_text(path.read_text() + "# edited\n")
        with pytest.raises(InputError, match="another run goes on in"):
            run(tmp_path, spec, range(1))
        seen.append(leftovers.in_use(folder))

    entries.run(
        [spec], leaderboard=tmp_path / "board", out=tmp_path / "runs", seeds=[0], report=edited
    )
    assert seen and all(seen) and not leftovers.in_use(folder)
    assert run(tmp_path, spec, range(1)).notes[0] == (
        f"the former run was of another source: kept in {folder}.old"
    )
