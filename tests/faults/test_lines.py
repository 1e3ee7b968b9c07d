"""What was found once, a case of each kind: the line that it must come to."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ganbench import registry
from ganbench.data import routes
from ganbench.errors import InputError, ResumeError
from ganbench.harness import log, pictures, spec, sweep_file
from ganbench.harness.seed_run import SeedRun
from ganbench.results import samples
from ganbench.system import files

from . import oracle


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["run", "a\0b", "--task", "sine"], "an argument holds a NUL character"),
        (["evaluate", "x" * 5000 + ".npy", "--task", "sine"], "File name too long"),
        (["run", "kde", "--task", "sine", "--set", "x=" + "1," * 2000 + "1"], "at most 1,000"),
        (["run", "mlp_gan", "--task", "sine", "--set", "g_lr=" + "-" * 20_000 + "1"], "g_lr must"),
        (["bench", "kde", "--seconds", "nan"], "expected a finite number, got nan"),
        (["leaderboard", "show", "--quality", "inf"], "not in the range"),
        (["leaderboard", "show", "--leaderboard", "loop"], "no leaderboard folder 'loop'"),
        (["run", "mlp_gan", "--task", "ring8", "--steps", "1000000000"], "GiB, and this machine"),
    ],
)
def test_arguments(
    line: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    done = oracle.command(line, tmp_path)
    assert done.exit_code == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: ") and says in last and len(last) <= 1000
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_batches_that_no_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a pool its places are kept, else the samples; of all seeds at once."""
    job = spec.look_up(spec.Spec(task="ring8", baseline="kde"))
    budget = job.budget
    each = 8 if job.task.pool else 4 * 2
    one = each * budget.steps_per_round * budget.batch_size
    monkeypatch.setattr(spec, "memory_bytes", lambda: 3 * one)
    spec.check_room(job, 3)
    with pytest.raises(InputError, match=r"of 4 seeds, .*: ask for fewer steps, seeds or seconds"):
        spec.check_room(job, 4)


ROWS = ["3", "{}", '{"step": "1"}', '{"step": 1, "d_loss": NaN}', "[" * 10**5, "x"]


@pytest.mark.parametrize("row", [*ROWS, '{"step": true}'])
def test_rows_that_are_none(row: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f'{{"step": 1, "train_seconds": 0.5}}\n{row}\n')
    with pytest.raises(InputError, match=r"log\.jsonl is damaged: line 2 is no row of a log"):
        log.read_log(path)
    with pytest.raises(ResumeError, match="run without --resume"):
        log.Log(path, after=1)
    assert path.read_text().count("\n") == 2  # as it was


def test_a_header_of_odd_python(tmp_path: Path) -> None:
    """The reader of numpy raises what Python's own tokenizer does."""
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((2, 2), np.float32))
    path.write_bytes(path.read_bytes().replace(b"'shape': (2, 2)", b"'shape': ((((((("))
    with pytest.raises(InputError, match="its header cannot be read"):
        samples.read(path)


def test_a_frame_of_another_task(tmp_path: Path) -> None:
    task = registry.load_task("ring8")
    (tmp_path / "frames").mkdir()
    path = tmp_path / "frames" / "000000001.npy"
    for array in (np.zeros((3, 5), np.float32), np.zeros((0, 2), np.float32), np.zeros((3, 2))):
        np.save(path, array)
        with pytest.raises(InputError, match=r"step 1 are no samples of 'ring8': expected float32"):
            pictures._frames(task, path.parent)
    path.rename(path.with_name("first.npy"))
    with pytest.raises(InputError, match=r"must be called after its step"):
        samples.read_frames(path.parent)


@pytest.mark.parametrize("shapes", [[(2, 3), (2, 4)], [(3,)], [(0, 3)]])
def test_a_snapshot_of_nothing(shapes: list[tuple[int, ...]], tmp_path: Path) -> None:
    arrays = {str(place): np.zeros(shape, np.float32) for place, shape in enumerate(shapes)}
    samples.write_arrays(tmp_path / "000000001.npz", arrays)
    with pytest.raises(InputError, match="holds no activations of a layer"):
        pictures.read_features(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tasks = " + "[" * 5000, "nested too deeply"),
        ("seeds = " + "9" * 5000, "is no TOML"),
        ('tasks = ["sine"]\nbaselines = ["kde"]\nseeds = 1000000000', "seeds: must be less than"),
    ],
)
def test_files_of_sweeps(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        sweep_file.load(path)
    assert len(str(caught.value).splitlines()) == 1


def test_an_idx_that_expands_without_end(tmp_path: Path) -> None:
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(routes.MOST + 1), 1))
    with pytest.raises(ValueError, match="has more than 67,108,864 bytes"):
        routes._read_one(tmp_path, "t10k-labels-idx1-ubyte")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_an_idx_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(InputError, match="is no regular file"):
        routes._read_one(tmp_path, "t10k-labels-idx1-ubyte")


NOTES = {
    "curve": [{"step": 1, "train_seconds": 0.5, "losses": {}, "metrics": {}}],
    "row": [{"d_loss": 1.0}, {"d_loss": 1}],
    "block_ms": [1.0],
    "seconds": {"training": 1.0},
    "metrics": {},
    "samples": None,
}
DAMAGES: dict[str, Callable[[dict[str, object]], object]] = {
    "no curve": lambda notes: notes.update(curve=[]),
    "a count of none": lambda notes: notes.update(row=[{"d_loss": 1.0}, {"d_loss": 0}]),
    "a sum without a count": lambda notes: notes.update(row=[{"d_loss": 1.0}, {}]),
    "seconds below zero": lambda notes: notes.update(seconds={"training": -1.0}),
    "times that are none": lambda notes: notes.update(block_ms=["x"]),
    "more": lambda notes: notes.update(x=1),
}


@pytest.mark.parametrize("how", [None, *DAMAGES])
def test_notes_of_a_checkpoint(how: str | None, tmp_path: Path) -> None:
    job = spec.look_up(spec.Spec(task="ring8", baseline="kde", folder=tmp_path))
    run = SeedRun(job, 0, lambda _: None, threading.Event())
    notes = json.loads(json.dumps(NOTES))
    if how is None:
        run.recorder.restore(notes)
        assert run.recorder.state()["row"] == notes["row"]
        return
    DAMAGES[how](notes)
    with pytest.raises(ValueError):
        run.recorder.restore(notes)
    assert not run.recorder.curve


def test_links_in_a_circle_are_somewhere(tmp_path: Path) -> None:
    """Path.resolve raises RuntimeError."""
    (tmp_path / "loop").symlink_to("loop")
    assert files.resolved(tmp_path / "loop") == tmp_path / "loop"
