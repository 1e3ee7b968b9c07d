"""Submitting, checking and verifying: what is honest passes, what is not is named."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ganbench import registry
from ganbench.board import attachments, checking, claim, power, submission
from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.results import samples, schema, store

from ..made import a_result

NAME = "moment_matching-4steps"


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder in which an entry was run and submitted."""
    root = tmp_path_factory.mktemp("world")
    arguments = ["moment_matching", "--task", "ring8", "--steps", "4", "--seeds", "2", "--quiet"]
    folders = ["--leaderboard", str(root / "leaderboard"), "--out", str(root / "runs")]
    done = CliRunner().invoke(main, ["run", *arguments, "--workers", "1", *folders])
    assert done.exit_code == 0, done.output
    made = submit(root)
    assert made.notes == [f"{NAME} will be shown, but not ranked: 4 steps"]
    return root


def submit(root: Path, to: str = "submission") -> submission.Submission:
    return submission.submit(
        NAME, "ring8", root=root / "leaderboard", runs=root / "runs", to=root / to
    )


@pytest.fixture
def given(world: Path, tmp_path: Path) -> Path:
    """A copy of what was submitted, to be spoilt; the result's file."""
    shutil.copytree(world / "submission", tmp_path / "board")
    return tmp_path / "board" / "ring8" / f"{NAME}.json"


@pytest.mark.slow
def test_what_was_submitted_is_verified(given: Path):
    folder = given.with_suffix("")
    assert sorted(path.name for path in folder.iterdir()) == ["samples.safetensors", "source.py"]
    assert checking.check(given.parents[1]) == (1, [])
    assert list(submission.verify(given)) == []
    done = CliRunner().invoke(main, ["verify", str(given)])
    said = f"{given}: nothing wrong with its files; --rerun tests the scores\n"
    assert (done.exit_code, done.stdout) == (0, said)


@pytest.mark.slow
def test_new_seeds_are_compared_with_the_claimed(given: Path, monkeypatch):
    """Then the scores of all seeds are raised alike, which only new seeds can tell."""
    monkeypatch.setattr(power, "ALPHA", 0.1)  # at which four seeds are enough for two
    outcome = submission.rerun(given, 4)
    assert outcome.verdict == "consistent", outcome.line
    assert "would have been found (9 times in 10); 4 new seeds score" in outcome.line
    result = schema.load_result(given)
    for seed in result.seeds:
        seed.score = (seed.score or 0) + 0.3
    given.write_text(schema.dumps(result))
    outcome = submission.rerun(given, 4)
    assert outcome.verdict == "exaggerated", outcome.line
    assert outcome.p_value == pytest.approx(1 / 15)


@pytest.mark.slow
def test_a_run_that_has_judged_itself_is_not_taken(world: Path, tmp_path: Path):
    shutil.copytree(world / "leaderboard", tmp_path / "leaderboard")
    path = tmp_path / "leaderboard" / "ring8" / f"{NAME}.json"
    result = schema.load_result(path)
    assert all(seed.judged_apart for seed in result.seeds)
    result.seeds[1].judged_apart = False
    path.write_text(schema.dumps(result))
    (tmp_path / "runs").symlink_to(world / "runs")
    with pytest.raises(InputError, match="seed 1 was judged by the process that ran its GAN: run"):
        submit(tmp_path)
    assert not (tmp_path / "submission").exists()


def no_training(*_: object, **__: object) -> claim.Outcome:
    raise AssertionError("seeds were trained")


def test_too_few_new_seeds_are_refused_before_any_training(given: Path, monkeypatch):
    monkeypatch.setattr(submission.confined, "run", no_training)
    words = "12 new seeds cannot tell 2 claimed seeds from exaggerated ones"
    with pytest.raises(InputError, match=words):
        submission.rerun(given, 12)
    done = CliRunner().invoke(main, ["verify", str(given), "--rerun", "12"])
    line = f"Error: {words}, whatever they score: it takes --rerun 13 or more\n"
    assert (done.exit_code, done.output) == (2, line)


@pytest.mark.parametrize("value", ["0", "2.5", "all", ""])
def test_other_than_a_number_of_seeds_is_refused(given: Path, value: str):
    done = CliRunner().invoke(main, ["verify", str(given), f"--rerun={value}"])
    assert done.exit_code == 2
    assert f"expected a number of seeds from 1 on, or auto, got {value!r}" in done.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verdict", "code"),
    [("consistent", 0), ("exaggerated", 1), ("another", 1), ("inconclusive", 3)],
)
def test_each_verdict_has_its_exit_code(given: Path, verdict: str, code: int, monkeypatch):
    asked = []

    def trained(path: Path, seeds: int, **_: object) -> claim.Outcome:
        asked.append(seeds)
        return claim.Outcome(verdict=verdict, line=f"{verdict}: so")

    monkeypatch.setattr(submission, "rerun", trained)
    for how in (["--rerun"], ["--rerun", "40"])[: 2 if code == 0 else 1]:
        done = CliRunner().invoke(main, ["verify", str(given), *how])
        assert (done.exit_code, done.stdout) == (code, f"{given}: {verdict}: so\n")
        assert f"{asked[-1]} new seeds: an exaggeration of" in done.stderr
    assert asked == [13, 40][: len(asked)]


@pytest.mark.slow
def test_copies_of_the_reference_are_found(given: Path):
    """As a submission whose hashes and metrics are those of the copies."""
    task = registry.load_task("ring8")
    noise = torch.randn(4096, 2, generator=torch.Generator().manual_seed(0))
    made = task.reference + 1e-4 * noise
    samples.write_seeds(given.with_suffix("") / "samples.safetensors", {0: made})
    hashed = samples.sha256_of(made)
    edited(given, lambda d: d["seeds"][0].update(samples_sha256=hashed))
    lines = list(submission.verify(given))
    assert any(line.startswith("seed 0: samples are copies of the reference") for line in lines)


@pytest.mark.slow
def test_a_bundled_source_need_not_come_with_it(given: Path):
    (given.with_suffix("") / "source.py").unlink()
    bundled = registry.find("baselines", "moment_matching")
    source = attachments.source_of(schema.load_result(given), given)
    assert source == {"source.py": bundled}
    edited(given, lambda d: d["entry"].update(sha256="0" * 64))
    assert attachments.source_of(schema.load_result(given), given) is None
    with pytest.raises(InputError, match="nothing to run"):
        submission.rerun(given, 1)


def edited(path: Path, change: Callable[[dict], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def better_metric(path: Path) -> None:
    edited(path, lambda d: d["seeds"][0]["metrics"].update(mmd=0.0))


def consistently_better(path: Path) -> None:
    """An edit that all else in the file agrees with, but the samples do not."""
    result = schema.load_result(path)
    for seed in result.seeds:
        seed.metrics["mmd"] = result.task.metrics["mmd"].floor
        seed.views = {**result.task.positions(seed.metrics)}
        seed.score = sum(seed.views.values()) / len(seed.views)
    from ganbench.results import stats

    result.summary = stats.summarise(result.seeds, list(result.task.metrics))
    result.views = stats.summarise_views(result.seeds, result.task.views)
    path.write_text(schema.dumps(result))


def other_samples(path: Path) -> None:
    made = {seed: torch.randn(4096, 2) for seed in (0, 1)}
    samples.write_seeds(path.with_suffix("") / "samples.safetensors", made)


def spoilt_samples(path: Path) -> None:
    file = path.with_suffix("") / "samples.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


class Bomb:
    def __reduce__(self):
        return (open, ("exploded", "w"))


def pickled(path: Path) -> None:
    (path.with_suffix("") / "samples.safetensors").write_bytes(pickle.dumps(Bomb()))


def nan_samples(path: Path) -> None:
    made = {0: torch.full((4096, 2), float("nan"))}
    samples.write_seeds(path.with_suffix("") / "samples.safetensors", made)


def other_source(path: Path) -> None:
    (path.with_suffix("") / "source.py").write_text("import os\n")


def outside(path: Path) -> None:
    (path.with_suffix("") / "source.py").unlink()
    (path.with_suffix("") / "source.py").symlink_to("/etc/passwd")


SPOILERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "an edited metric": (better_metric, "score"),
    "a metric edited everywhere": (consistently_better, "mmd is"),
    "other samples": (other_samples, "SHA-256 differs"),
    "a flipped bit": (spoilt_samples, "SHA-256 differs"),
    "a pickle": (pickled, "cannot be read"),
    "samples of NaN": (nan_samples, "finite float32"),
    "another source": (other_source, "not the source"),
    "a link outside": (outside, "is a link"),
    "a script as name": (
        lambda path: edited(path, lambda d: d["entry"].update(name="<script>alert(1)</script>")),
        "entry.name",
    ),
    "a name that leads outside": (
        lambda path: edited(path, lambda d: d["entry"].update(name="../../x")),
        "entry.name",
    ),
    "a source outside": (
        lambda path: edited(path, lambda d: d["entry"].update(source="../../secret")),
        "does not lead outside",
    ),
    "NaN": (
        lambda path: path.write_text(
            path.read_text().replace('"batch_size"', '"x": NaN, "batch_size"')
        ),
        "is not a valid result",
    ),
    "infinity": (
        lambda path: edited(path, lambda d: d["seeds"][0].update(score=1e400)),
        "is not a valid result",
    ),
    "too much text": (lambda path: path.write_text(" " * (2**23 + 1)), "more than"),
    "a file of 200 MB": (
        lambda path: (path.with_suffix("") / "samples.safetensors").write_bytes(bytes(200_000_000)),
        "more than",
    ),
    "a stranger": (lambda path: (path.parent / "virus.exe").touch(), "is no part of a result"),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", SPOILERS)
def test_what_is_wrong_is_named_and_harms_nothing(given: Path, how: str, monkeypatch):
    monkeypatch.chdir(given.parents[2])
    spoil, words = SPOILERS[how]
    spoil(given)
    before = {path for path in given.parents[2].rglob("*") if ".lock" not in path.name}
    _, findings = checking.check(given.parents[1])
    try:
        findings += [f"verify: {line}" for line in submission.verify(given)]
    except InputError as error:
        findings.append(str(error))
    assert any(words in line for line in findings), findings
    assert all("\n" not in line for line in findings)
    assert {path for path in given.parents[2].rglob("*") if ".lock" not in path.name} == before
    done = CliRunner().invoke(main, ["leaderboard", "check", "--leaderboard", "board"])
    assert done.exit_code == (0 if how == "a metric edited everywhere" else 1)


def test_the_same_samples_under_two_names_are_found(given: Path):
    copy = given.with_name("mine-4steps.json")
    copy.write_text(given.read_text().replace(f'"{NAME}"', '"mine-4steps"'))
    _, findings = checking.check(given.parents[1])
    (line,) = findings
    assert "has the same samples as" in line


def test_only_one_setting_of_a_source_is_without_trials(tmp_path: Path):
    for name, lr, trials, sha in (
        ("plain", 0.1, 0, "one"),
        ("again", 0.1, 0, "one"),
        ("tuned", 0.2, 7, "one"),
        ("picked", 0.2, 0, "one"),
        ("other", 0.2, 0, "two"),
    ):
        result = a_result(name=name, sha=sha)
        result.entry.hparams["lr"] = lr
        result.entry.tuning_trials = trials
        store.add(result, tmp_path)
    count, (finding,) = checking.check(tmp_path)
    assert count == 5
    assert finding.startswith(f"{tmp_path}/toy/picked.json: declares no tuning trials")


@pytest.mark.slow
def test_samples_of_the_first_seeds_are_enough(world: Path, tmp_path: Path):
    arguments = ["submit", NAME, "--task", "ring8", "--samples", "1", "--to", str(tmp_path)]
    folders = ["--leaderboard", str(world / "leaderboard"), "--out", str(world / "runs")]
    done = CliRunner().invoke(main, [*arguments, *folders])
    assert done.exit_code == 0
    path = tmp_path / "ring8" / f"{NAME}.json"
    assert list(samples.read_seeds(path.with_suffix("") / "samples.safetensors")) == [0]
    assert list(submission.verify(path)) == []


@pytest.mark.slow
def test_samples_that_are_too_large_stay_behind(world: Path, tmp_path: Path):
    folders = {"root": world / "leaderboard", "runs": world / "runs", "to": tmp_path}
    made = submission.submit(NAME, "ring8", **folders, most=1, room=32_767)  # 4,096 points: 32,768
    assert "samples of 0 seeds of 2: more are too large" in made.notes
    assert [path.name for path in made.files] == [f"{NAME}.json", "source.py"]
    assert checking.check(tmp_path) == (1, [])
    (line,) = submission.verify(made.files[0])
    assert line.startswith("no samples.safetensors came with it")


def test_a_submission_is_never_replaced(world: Path):
    with pytest.raises(InputError, match="exists already"):
        submit(world)


def test_what_has_changed_since_the_run_is_not_submitted(world: Path, tmp_path: Path):
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    with pytest.raises(InputError, match="no entry 'moment_matchin'"):
        submission.submit(
            "moment_matchin", "ring8", root=tmp_path / "leaderboard", runs=tmp_path, to=tmp_path
        )
    run = tmp_path / "runs" / "ring8" / NAME
    shutil.copy(run / "seed-0/samples.npz", run / "seed-1/samples.npz")
    with pytest.raises(InputError, match="run seed 1 again"):
        submit(tmp_path, to="again")
    shutil.rmtree(run)
    with pytest.raises(InputError, match="no run of the entry"):
        submit(tmp_path, to="again")
    assert not (tmp_path / "again").exists()
