"""`ganbench reproduce`: what it lists, refuses, keeps, goes on with, and says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ganbench import reproduce
from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.reproduce import trials
from ganbench.reproduce.protocol import Asked, Found
from ganbench.reproduce.training import Training
from ganbench.results import schema

TINY = '''
"""A protocol whose GAN is the ring itself, but for one mode, with a step that is counted."""

from pathlib import Path

import torch

from ganbench.reproduce.comparison import Figure
from ganbench.reproduce.training import Row, Training


class GAN:
    def __init__(self, task, *, device="cpu", missing=1):
        self.task, self.missing = task, missing
        self.steps = torch.zeros(())

    def train_step(self, real):
        assert real.shape == (4, 2)
        self.steps += 1
        return {"steps": self.steps.clone()}

    def sample(self, n):
        which = torch.randint(8 - self.missing, (n,))
        return self.task.modes.centers[which] + 0.001 * torch.randn(n, 2)


PROTOCOL = Training(
    name="tiny",
    source="nobody",
    summary="nothing",
    file=__file__,
    rows=[
        Row(
            name=name,
            task="ring8",
            hparams={"missing": missing},
            published={"modes": Figure(mean=7.0, error=0.5, runs=10)},
        )
        for name, missing in (("seven", 1), ("eight", 0))
    ],
    runs=10,
    steps=8,
    batch=4,
    judged=200,
    evaluations=4,
    counts="a sample within 3 sigma",
    hours=0.1,
)
'''


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    """The protocol above, known to the command by the name "tiny"."""
    from ganbench.registry import load_baseline

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.py"
    path.write_text(TINY)
    protocol: Training = load_baseline(str(path)).module.PROTOCOL
    monkeypatch.setattr(reproduce, "NAMES", (*reproduce.NAMES, "tiny"))
    known = reproduce.load
    monkeypatch.setattr(reproduce, "load", lambda name: protocol if name == "tiny" else known(name))
    return protocol


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["reproduce", *arguments])


def test_lists_the_protocols_with_source_and_time() -> None:
    done = invoke()
    assert done.exit_code == 0
    for name in reproduce.NAMES:
        assert f"{name}\n" in done.output
    assert "Lin et al. 2018" in done.output and " h on a core" in done.output


@pytest.mark.parametrize("name", reproduce.NAMES)
def test_protocols_keep_what_they_promise(name: str) -> None:
    """Rows of tasks that there are; quantities that their metrics give, with floors."""
    from ganbench.harness.spec import Spec, look_up

    protocol = reproduce.load(name)
    assert protocol.name == name and protocol.source and protocol.summary and protocol.duration()
    if not isinstance(protocol, Training):
        return
    assert Path(protocol.file).stem == name.replace("-", "_")
    names = [row.name for row in protocol.rows]
    assert len(set(names)) == len(names)
    for row in protocol.rows:
        spec = Spec(task=row.task, baseline=protocol.file, hparams=row.hparams, protocol=row.name)
        found = look_up(spec)
        assert found.budget.steps == protocol.steps
        assert {*row.published} <= {*found.task.bounds, *protocol.derived}


def test_an_unknown_name_or_row_is_one_line_that_lists_what_there_is(tmp_path: Path) -> None:
    done = invoke("pacgan-table2")
    assert done.exit_code == 2
    assert done.output.count("\n") == 1
    assert "did you mean 'pacgan-table1'" in done.output
    done = invoke("pacgan-table1", "--only", "gan-ring", "--out", str(tmp_path))
    assert done.exit_code == 2
    assert "no row 'gan-ring'" in done.output and "pacgan4-grid25" in done.output
    assert not list(tmp_path.iterdir())


def test_ours_stands_beside_the_published(tiny: Training) -> None:
    done = invoke("tiny", "--seeds", "3", "--only", "seven", "--quiet", "--workers", "1", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    (row,) = document["rows"]
    assert (document["trial"], document["steps"], row["row"]) == (False, 8, "seven")
    assert [seed["seed"] for seed in row["seeds"]] == [0, 1, 2]
    modes = row["quantities"]["modes"]
    assert modes["ours"] == {"mean": 7.0, "error": 0.0, "runs": 3}
    assert modes["deviation"] == 0.0
    assert row["quantities"]["high_quality"]["published"] is None
    result = schema.load_result(Path(row["folder"]) / "result.json")
    assert not result.official and result.protocol.steps == 8
    assert not Path("leaderboard").exists()
    assert (Path(row["folder"]).parent / "samples.png").stat().st_size > 1000
    fewer = invoke("tiny", "--seeds", "1", "--only", "seven", "--quiet", "--workers", "1", "--json")
    assert [seed["seed"] for seed in json.loads(fewer.stdout)["rows"][0]["seeds"]] == [0]
    kept = schema.load_result(Path(row["folder"]) / "result.json")
    assert [seed.seed for seed in kept.seeds] == [0, 1, 2]


@pytest.mark.parametrize("given", ["--steps=10", "--seeds=2", "--budget=quick", "--workers=1"])
def test_what_has_no_part_in_a_protocol_is_refused(given: str, tmp_path: Path) -> None:
    done = invoke("dirac", given, "--out", str(tmp_path))
    name = given[2:].partition("=")[0]
    assert done.exit_code == 2
    assert done.stderr == f"Error: dirac has nothing to do with {name}: its steps are fixed\n"
    assert not list(tmp_path.iterdir())


def test_a_trial_is_kept_apart_and_has_no_deviation(tiny: Training) -> None:
    done = invoke("tiny", "--seeds", "2", "--steps", "4", "--quiet", "--workers", "1")
    assert done.exit_code == 0, done.output
    assert "a trial with fewer steps" in done.stdout and "s.e." not in done.stdout
    assert (Path("runs/reproduce/tiny/eight-4steps/seed-1/result.json")).is_file()


def test_goes_on_where_it_stopped(tiny: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    class Later:
        """A stop that comes at a step."""

        def __init__(self, step: int) -> None:
            self.step = step

        def is_set(self) -> bool:
            self.step -= 1
            return self.step < 0

    def run(stop: Later | None) -> Found:
        return tiny.run(Asked(seeds=1, only=["seven"], workers=1, stop=stop))

    first = run(Later(5))
    assert not first.whole and "the same command goes on" in first.notes[0]
    assert first.document["rows"][0]["quantities"]["modes"]["ours"] is None
    taken: list[int] = []
    left = trials._left
    monkeypatch.setattr(trials, "_left", lambda *given: taken.append(left(*given)) or taken[-1])
    second = run(None)
    assert taken == [4]  # of 8, in rounds of 2
    assert second.whole
    steps = Path("runs/reproduce/tiny/seven/seed-0/log.jsonl").read_text().splitlines()
    assert json.loads(steps[-1])["steps"] == 7.5  # the mean of the last two that the GAN counted
    assert run(None).document == second.document


def test_another_source_is_set_aside(tiny: Training) -> None:
    asked = Asked(seeds=1, only=["seven"], workers=1)
    tiny.run(asked)
    Path(tiny.file).write_text(f"{TINY}\n# changed\n")
    assert "another source" in tiny.run(asked).notes[0]
    assert Path("runs/reproduce/tiny/seven.old").is_dir()


def test_a_damaged_checkpoint_is_one_line(tiny: Training) -> None:
    asked = Asked(seeds=1, only=["seven"], workers=1)
    tiny.run(asked)
    path = Path("runs/reproduce/tiny/seven/seed-0/checkpoint.safetensors")
    path.write_bytes(b"no")
    with pytest.raises(InputError, match=r"damaged: remove .*seed-0"):
        tiny.run(asked)


def test_the_time_that_it_takes_is_said_before(
    tiny: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(trials, "MANY_STEPS", 1)
    monkeypatch.setattr(trials.bench, "rate", lambda job, seeds: 4.0)
    tiny.run(Asked(seeds=2, only=["seven"], workers=1, tell=told.append))
    assert told[0] == "seven: trying how fast it trains here"
    assert told[1].startswith("seven: 16 steps left of 2 runs, 4 a second on a core: 4 s\n")
    assert "about 4 s in all on 1 workers" in told[1]
    monkeypatch.setattr(trials.processes, "cores", lambda: 2)
    for workers in (2, 3):  # one of two has two; three have two cores
        told.clear()
        tiny.run(
            Asked(
                seeds=3, only=["eight"], workers=workers, out=Path(f"w{workers}"), tell=told.append
            )
        )
        assert told[1].startswith("eight: 24 steps left of 3 runs, 4 a second on a core: 6 s\n")
        assert f"about 4 s in all on {workers} workers" in told[1]
    assert [trials.duration(each) for each in (40, 720, 21_900)] == ["40 s", "12 min", "6 h 05 min"]
