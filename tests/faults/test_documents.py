"""Documents changed anyhow: results, the files of sweeps, and what lies in a run's folder."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from ganbench import site
from ganbench.harness import sweep

from . import inputs, oracle
from .parsers import BOARD
from .scale import times, tries

HONEST = ("oracle", "mlp_gan")
GIVEN = "given"
TASK = "dirac"
COMMANDS = (
    ("show", "--metrics"),
    ("show", "--csv", "--track", "time", "--task", "ring8"),
    ("show", "--json", "--by", "mmd"),
    ("compare", GIVEN, "oracle"),
    ("check", "--json"),
    ("migrate",),
)


def shortened(path: Path) -> dict[str, Any]:
    """A result of two seeds, of the first schema where it is asked for."""
    document = json.loads(path.read_text())
    document["seeds"] = document["seeds"][:2]
    for seed in document["seeds"]:
        seed["curve"] = seed["curve"][-2:]
    return {**document, "entry": {**document["entry"], "name": GIVEN}}


RESULT = shortened(BOARD / "ring8" / "mlp_gan.json")
FORMER = {
    **RESULT,
    "schema_version": 1,
    "machine": RESULT["seeds"][0]["machine"],
    "protocol": {**RESULT["protocol"], "engine": "eager"},
}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("board")
    (root / "ring8").mkdir()
    for name in HONEST:
        shutil.copy(BOARD / "ring8" / f"{name}.json", root / "ring8")
    return root


def test_results(board: Path, tried: Counter[str]) -> None:
    path = board / "ring8" / f"{GIVEN}.json"

    @tries(20)
    @given(
        document=st.one_of(inputs.mutated(RESULT), inputs.mutated(RESULT), inputs.mutated(FORMER)),
        commands=st.sets(st.sampled_from(COMMANDS), min_size=1, max_size=2),
    )
    def attempt(document: dict[str, Any], commands: set[tuple[str, ...]]) -> None:
        path.write_text(json.dumps(document))
        for command in commands:
            oracle.command(["leaderboard", *command, "--leaderboard", str(board)], board, lines=0)
            tried["results changed, each through a command of the board"] += 1

    attempt()


def test_results_as_they_are_verified_and_drawn(
    board: Path, tried: Counter[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the commands that take longer."""
    monkeypatch.setattr(site.pages, "assets", lambda folder: folder.mkdir())
    path, out = board / "ring8" / f"{GIVEN}.json", tmp_path / "site"

    @tries(2, slow=True)
    @given(document=inputs.mutated(RESULT))
    def attempt(document: dict[str, Any]) -> None:
        path.write_text(json.dumps(document))
        oracle.command(["verify", str(path)])
        where = ["--leaderboard", str(board), "--out", str(out), "--workers", "1"]
        oracle.command(["leaderboard", "site", *where], out.parent, lines=0)
        tried["results changed, verified and drawn as pages"] += 1

    attempt()


def toml(document: Mapping[str, Any]) -> str:
    """A document of two levels at most as TOML, as far as that can be said."""
    flat = {key: value for key, value in document.items() if not isinstance(value, dict)}
    lines = [f"{json.dumps(key)} = {literal(value)}" for key, value in flat.items()]
    for key, table in document.items():
        if isinstance(table, dict):
            lines += [
                f"[{json.dumps(key)}]",
                *(f"{json.dumps(k)} = {literal(v)}" for k, v in table.items()),
            ]
    return "\n".join(lines)


def literal(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{json.dumps(key)} = {literal(each)}" for key, each in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return (
        "null"
        if value is None
        else json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")
    )


SWEEP = {
    "tasks": ["dirac"],
    "baselines": ["oracle", "uniform_noise"],
    "seeds": 2,
    "budget": "smoke",
    "overall": ["ring8"],
    "settings": {"oracle": {"set": {}, "tuning_trials": 1}},
    "more": [{"tasks": ["dirac"], "seeds": 3}],
}


def test_files_of_sweeps(
    board: Path, tried: Counter[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sweep, "_rate_apart", lambda spec, seeds: 1000.0)
    path = board / "board.toml"
    where = ["--leaderboard", str(board), "--out", str(tmp_path / "runs")]

    @tries(15)
    @given(document=inputs.mutated(SWEEP))
    def attempt(document: Any) -> None:
        text = toml(document) if isinstance(document, dict) else str(document)
        path.write_text(text, encoding="utf-8", errors="replace")
        oracle.command(["sweep", str(path), "--plan", *where], board, tmp_path, lines=0)
        oracle.command(["leaderboard", "show", *where[:2]], board, lines=0)
        tried["files of sweeps changed, each through two commands"] += 1

    try:
        attempt()
    finally:
        path.unlink()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has been finished, with a checkpoint."""
    out = tmp_path_factory.mktemp("run")
    how = ["--task", TASK, "--steps", "4", "--out", str(out), "--leaderboard", str(out / "board")]
    oracle.command(["run", "mlp_gan", *how, "--quiet"], out)
    return out / TASK / "mlp_gan-4steps"


JSON = ("run.json", "seed-0/result.json", "seed-0/log.jsonl")


def test_a_runs_folder(folder: Path, tried: Counter[str], tmp_path: Path) -> None:
    """Any file of it changed, as a document or as bytes, and drawn again."""
    whole = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in (".json", ".jsonl", ".npy", ".npz")
    }
    assert set(JSON) < set(whole)

    @tries(2, slow=True)
    @given(data=st.data(), name=st.sampled_from(sorted(whole)))
    def attempt(data: st.DataObject, name: str) -> None:
        shutil.copytree(folder, tmp_path / "run", dirs_exist_ok=True)
        if name in JSON[:2] and data.draw(st.booleans()):
            text = json.dumps(data.draw(inputs.mutated(json.loads(whole[name]))))
            content = text.encode()
        else:
            content = data.draw(inputs.damaged([whole[name]]))
        (tmp_path / "run" / name).write_bytes(content)
        oracle.command(["plot", str(tmp_path / "run")], tmp_path)
        tried["runs with a file changed, drawn again"] += 1

    attempt()


def test_checkpoints(folder: Path, tried: Counter[str], tmp_path: Path) -> None:
    """One whose skeleton or whose bytes are changed: a run goes on from it, or says why not."""
    path = folder / "seed-0" / "checkpoint.safetensors"
    whole = path.read_bytes()
    tensors = load(whole)
    header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    skeleton = json.loads(header["__metadata__"]["skeleton"])
    out = folder.parents[1]
    how = ["--task", TASK, "--steps", "4", "--out", str(out), "--leaderboard", str(out / "board")]

    @tries(5, slow=True)
    @given(data=st.data(), of_skeleton=st.booleans())
    def attempt(data: st.DataObject, of_skeleton: bool) -> None:
        if of_skeleton:
            changed = json.dumps(data.draw(inputs.mutated(skeleton)))
            path.write_bytes(save(tensors, metadata={"skeleton": changed}))
        else:
            path.write_bytes(data.draw(inputs.damaged([whole])))
        oracle.command(["run", "mlp_gan", *how, "--quiet", "--resume"], out)
        tried["checkpoints changed, gone on from"] += 1

    try:
        attempt()
    finally:
        path.write_bytes(whole)
    assert tried.total() >= 2 * times()
