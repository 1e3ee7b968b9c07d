"""Result files of the first schema: renewed by a command, with nothing lost and nothing made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ganbench.board import checking
from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.results import schema, store
from ganbench.scoring import VIEWS

from ..made import a_result

OLD = json.loads(Path(__file__).with_name("first_schema.json").read_text())


def write(root: Path, document: dict[str, Any], name: str = "oracle") -> Path:
    path = root / document["task"]["name"] / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def migrate(root: Path) -> Result:
    return CliRunner().invoke(main, ["leaderboard", "migrate", "--leaderboard", str(root)])


def changed(**seed: Any) -> dict[str, Any]:
    document = json.loads(json.dumps(OLD))
    document["seeds"][1].update(seed)
    return document


def test_a_file_of_the_first_schema_says_what_renews_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`ganbench leaderboard migrate` renews it"):
        schema.load_result(write(tmp_path, OLD))


def test_renewed_files_hold_all_that_they_held(tmp_path: Path) -> None:
    path = write(tmp_path, OLD)
    done = migrate(tmp_path)
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{path}\n", "1 files renewed\n")
    new = json.loads(path.read_text())
    wrong = checking.inconsistencies(schema.load_result(path), path)
    assert all("its curve has not the task's" in line for line in wrong)  # shortened, to be here
    assert new["schema_version"] == 2
    for before, after in zip(OLD["seeds"], new["seeds"], strict=True):
        kept = before.keys() - {"score", "timing"}
        assert after["timing"].items() >= before["timing"].items()
        assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
        assert after["machine"] == OLD["machine"]
        assert after["engine"] == before.get("engine", OLD["protocol"]["engine"])
        assert after["views"].keys() == VIEWS.keys()
        assert (after["verdict"]["kind"], after["verdict"]["since"]) == ("healthy", None)
        assert after["score"] == pytest.approx(sum(after["views"].values()) / 4)
    for name, info in OLD["task"]["metrics"].items():
        assert new["task"]["metrics"][name] == {**info, "version": 1}
    assert new["entry"] == {**OLD["entry"], "tuning_trials": 0, "reference": True}
    assert "machine" not in new and "engine" not in new["protocol"]


def test_files_of_the_present_schema_are_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path, OLD)
    migrate(tmp_path)
    before = path.read_bytes()
    assert migrate(tmp_path).stderr == "0 files renewed\n"
    assert path.read_bytes() == before


def test_long_curves_are_shortened(tmp_path: Path) -> None:
    result = a_result()
    result.seeds[0].curve[:] = [
        schema.Point(
            step=n, train_seconds=1.0, losses={"d": n}, metrics={} if n % 2 else {"mmd": 0.5}
        )
        for n in range(1, 21)
    ]
    path = store.add(result, tmp_path).path
    assert migrate(tmp_path).stdout == f"{path}\n"
    after = schema.load_result(path)
    kept = [(point.step, point.losses["d"]) for point in after.seeds[0].curve]
    assert kept[:2] == [(2, 1.5), (4, 3.5)]
    assert after.summary == result.summary and after.seeds[0].score == result.seeds[0].score
    assert migrate(tmp_path).stderr == "0 files renewed\n"


def test_failed_seeds_become_the_worst_and_interrupted_ones_have_no_score(tmp_path: Path) -> None:
    none = dict.fromkeys(OLD["task"]["metrics"])
    for status, score, expected in (("failed", 0.0, -1.0), ("interrupted", None, None)):
        document = changed(status=status, metrics=none, score=score, reason="x")
        path = write(tmp_path, document)
        assert migrate(tmp_path).exit_code == 0
        seed = schema.load_result(path).seeds[1]
        assert (seed.score, set(seed.views.values())) == (expected, {expected})


def test_a_task_of_ones_own_is_scored_by_its_first_metric(tmp_path: Path) -> None:
    document = json.loads(json.dumps(OLD))
    document["task"]["name"] = "mine"
    path = write(tmp_path, document)
    assert migrate(tmp_path).exit_code == 0
    assert schema.load_result(path).task.views == {"distribution": "mmd"}


def test_hyper_parameters_become_those_that_were_used(tmp_path: Path) -> None:
    """As far as the very source is at hand."""
    from ganbench import registry

    document = json.loads(json.dumps(OLD))
    given = {"lr": None, "g_hidden": [7], "activation": "relu"}
    source = {"name": "mlp_gan", "source": "baselines/mlp_gan.py", "hparams": given}
    document["entry"].update(source)
    path = write(tmp_path, document, "mlp_gan")
    migrate(tmp_path)
    assert schema.load_result(path).entry.hparams == given  # of another source
    document["entry"]["sha256"] = registry.load_baseline("mlp_gan").sha256
    path = write(tmp_path, document, "mlp_gan")
    migrate(tmp_path)
    used = schema.load_result(path).entry.hparams
    assert (used["g_hidden"], used["d_activation"], used["g_lr"]) == ([7], "relu", 0.0005)


def without(key: str) -> str:
    return json.dumps({name: value for name, value in OLD.items() if name != key})


NO_RESULTS = [without(key) for key in ("task", "seeds", "machine", "protocol", "entry")]
NO_RESULTS += [f'{json.dumps(OLD)[:-1]}, "more": {"[" * 100_000}']  # deeper than Python goes


@pytest.mark.parametrize("before", NO_RESULTS, ids=[*"tsmpe", "deep"])
def test_what_is_no_result_is_named_and_stays(tmp_path: Path, before: str) -> None:
    path = tmp_path / "ring8" / "bad.json"
    write(tmp_path, OLD)
    path.write_text(before)
    done = migrate(tmp_path)
    assert done.exit_code == 2
    assert "bad.json is no result of the first schema" in done.stderr
    assert path.read_text() == before
    assert schema.load_result(tmp_path / "ring8" / "oracle.json").entry.reference
