"""Whatever one file says, it is shown, or named and left out: nothing in it stops the board."""

from __future__ import annotations

import copy
import csv
import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganbench.board import index
from ganbench.board.standard import FAILS
from ganbench.cli import main
from ganbench.results import schema
from ganbench.scoring import VIEWS

from ..tiers import every

BOARD = Path(__file__).parents[2] / "leaderboard"
HONEST = ["r3gan", "wgan"]
GIVEN = "mlp_gan"
DOCUMENT = json.loads((BOARD / "ring8" / f"{GIVEN}.json").read_text())
NASTY = "\x1b[2J[/b][bold]:smile:|,\r\n\"'</td>{{ 7 }}" + "x" * 200
Change = Callable[[dict[str, Any]], None]


def renamed(key: str, to: str) -> Change:
    """A metric called otherwise wherever it stands."""

    def change(document: dict[str, Any]) -> None:
        for holder in every_metrics(document):
            if key in holder:
                holder_items = [(to if k == key else k, v) for k, v in holder.items()]
                holder.clear()
                holder.update(holder_items)

    return change


def every_metrics(document: dict[str, Any]) -> list[dict[str, Any]]:
    curves = [point["metrics"] for seed in document["seeds"] for point in seed["curve"]]
    seeds = [seed["metrics"] for seed in document["seeds"]]
    return [document["task"]["metrics"], document["summary"], *seeds, *curves]


def without(key: str) -> Change:
    return lambda document: [m.pop(key, None) for m in every_metrics(document)] and None


def first(key: str) -> Change:
    """Another metric ranks."""

    def change(document: dict[str, Any]) -> None:
        metrics = document["task"]["metrics"]
        document["task"]["metrics"] = {key: metrics.pop(key), **metrics}

    return change


def extra(document: dict[str, Any]) -> None:
    document["task"]["metrics"]["more"] = document["task"]["metrics"]["mmd"]
    document["summary"]["more"] = document["summary"]["mmd"]
    for seed in document["seeds"]:
        seed["metrics"]["more"] = 1.0


def bound(metric: str, **values: float) -> Change:
    return lambda document: document["task"]["metrics"][metric].update(values)


def in_seeds(**values: Any) -> Change:
    return lambda document: [seed.update(values) for seed in document["seeds"]] and None


def in_timing(**values: Any) -> Change:
    return lambda document: [seed["timing"].update(values) for seed in document["seeds"]] and None


def in_machines(**values: Any) -> Change:
    return lambda document: [seed["machine"].update(values) for seed in document["seeds"]] and None


def in_points(**values: Any) -> Change:
    def change(document: dict[str, Any]) -> None:
        for seed in document["seeds"]:
            for point in seed["curve"]:
                point.update(values)

    return change


def at(place: str, value: Any) -> Change:
    """A value at `machine.cpu` or the like."""

    def change(document: dict[str, Any]) -> None:
        *path, last = place.split(".")
        for key in path:
            document = document[key]
        document[last] = value

    return change


CHANGES: dict[str, Change] = {
    "the ranking metric renamed": renamed("mmd", "xmd"),
    "another metric renamed": renamed("recall", "recall2"),
    "a metric called as markup": renamed("recall", NASTY),
    "a metric called as a column": renamed("recall", "position of"),
    "the ranking metric called as markup": renamed("mmd", NASTY),
    "a metric without a name": renamed("mmd", ""),
    "the ranking metric missing": without("mmd"),
    "a metric missing": without("coverage"),
    "a metric more": extra,
    "another metric first": first("precision"),
    "another direction": bound("mmd", direction="higher"),
    "floor and ceiling meet": bound("mmd", floor=0.5, ceiling=0.5),
    "floor and ceiling nearly meet": bound("mmd", floor=0.0, ceiling=1e-300),
    "far bounds": bound("mmd", floor=-1e100, ceiling=1e100),
    "noise below zero": bound("mmd", noise=-1.0),
    "a newer version": at("task.version", 99),
    "an older version": at("task.version", -3),
    "another task": at("task.name", "other"),
    "another name": at("entry.name", HONEST[0]),
    "no steps": at("protocol.steps", 0),
    "steps below zero": at("protocol.steps", -5),
    "steps without end": at("protocol.steps", 10**400),
    "memory without end": in_seeds(peak_memory_bytes=10**400),
    "huge scores": in_seeds(score=1e99),
    "scores just too large": in_seeds(score=1.0000001),
    "tiny scores": in_seeds(score=1e-320),
    "equal scores": in_seeds(score=0.5),
    "scores too large": in_seeds(score=1e101),
    "no scores": in_seeds(score=None),
    "no metrics": in_seeds(metrics={}),
    "null metrics": in_seeds(metrics=dict.fromkeys(DOCUMENT["task"]["metrics"])),
    "empty curves": in_seeds(curve=[]),
    "all failed": in_seeds(status="failed", score=-1.0, views=dict.fromkeys(VIEWS, -1.0)),
    "all interrupted": in_seeds(status="interrupted", score=None),
    "one seed ten times": in_seeds(seed=0),
    "seeds below zero": in_seeds(seed=-(2**62)),
    "one seed": lambda document: document["seeds"].__delitem__(slice(1, None)),
    "no seeds": at("seeds", []),
    "negative seconds": in_timing(train_seconds=-1.0),
    "no seconds": in_timing(train_seconds=0.0),
    "endless seconds": in_timing(train_seconds=1e300),
    "seconds beyond floats": in_timing(train_seconds=1.7e308),
    "many seconds": in_timing(train_seconds=1e9),
    "no speed": in_timing(steps_per_second=None),
    "too much speed": in_timing(steps_per_second=1e99),
    "speed below zero": in_timing(steps_per_second=-1.0),
    "points before the start": in_points(train_seconds=-1.0),
    "points at once": in_points(train_seconds=0.0),
    "huge points": in_points(metrics={"mmd": 1e308}, losses={"loss": 1e308}),
    "points far below": in_points(metrics={"mmd": -1e308}),
    "infinite losses": in_points(losses={"loss": 1e309}),
    "a loss called as markup": in_points(losses={NASTY: 1.0}),
    "a summary of nothing": lambda document: document["summary"]["score"].update(
        mean=None, std=None, iqm=None, ci95=None
    ),
    "an interval the wrong way": lambda document: document["summary"]["score"].update(ci95=[2, -3]),
    "a device of markup": at("protocol.device", NASTY),
    "hardware of markup": in_machines(accelerator=NASTY),
    "a processor of markup": in_machines(cpu=NASTY),
    "a verdict of markup": in_seeds(verdict={"kind": NASTY, "since": 1, "text": NASTY}),
    "a verdict in markup": in_seeds(verdict={"kind": "odd", "since": 1, "text": NASTY[:300]}),
    "a view of nothing": at("task.views.fidelity", "nothing"),
    "a view more": at("task.views.more", "mmd"),
    "no views": at("task.views", {}),
    "a view less": lambda document: document["task"]["views"].pop("test") and None,
    "views of one metric": at("task.views", dict.fromkeys(VIEWS, "mmd")),
    "another version of a metric": bound("coverage", version=7),
    "a reference": at("entry.reference", True),
    "hyper-parameters of markup": at("entry.hparams", {NASTY: NASTY, "deep": [[[NASTY]]]}),
    "a hash that leads elsewhere": at("entry.sha256", "../../x\0"),
    "a date of markup": at("created_at", NASTY),
    "many trials": at("entry.tuning_trials", 2**62),
    "a field more": in_machines(**{NASTY: 1}),
}
COMMANDS = [
    ("show",),
    ("show", "--metrics"),
    ("show", "--csv", "--metrics"),
    ("show", "--markdown", "--metrics"),
    ("show", "--json"),
    ("show", "--track", "time"),
    ("show", "--csv", "--track", "time", "--sort", "speed"),
    ("compare", *HONEST),
    ("compare", GIVEN, HONEST[0]),
    ("compare", GIVEN, HONEST[0], "--json"),
    ("check",),
    ("check", "--json"),
]


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> Path:
    """A board of two entries with what lies beside them, and room for a third."""
    root = tmp_path_factory.mktemp("honest")
    for name in HONEST:
        shutil.copytree(BOARD / "ring8" / name, root / "ring8" / name)
        shutil.copy(BOARD / "ring8" / f"{name}.json", root / "ring8")
    return root


def with_change(root: Path, change: Change) -> Path:
    document = json.loads(json.dumps(DOCUMENT))
    change(document)
    path = root / "ring8" / f"{GIVEN}.json"
    path.write_text(json.dumps(document))
    return path


def invoke(root: Path, command: tuple[str, ...]) -> tuple[str, str]:
    """What the command says: it ends as commands do, in lines that can be printed."""
    arguments = ["leaderboard", *command, "--leaderboard", str(root)]
    done = CliRunner().invoke(main, arguments)
    assert isinstance(done.exception, SystemExit | None), (command, done.exception)
    for line in done.output.splitlines():
        assert line.isprintable() and "\x1b" not in line, line
    return done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("how", every(3, CHANGES))
def test_the_board_stands(honest: Path, how: str):
    with_change(honest, CHANGES[how])
    for command in COMMANDS:
        out, err = invoke(honest, command)
        if command[0] == "show":
            assert all(name in out for name in HONEST), command
            assert GIVEN in out + err, command
        if command == ("compare", *HONEST):
            assert "A is better" in out
    (board,) = [
        b for b in json.loads(invoke(honest, ("show", "--json"))[0]) if b["task"] == "ring8"
    ]
    entries = {entry["entry"]: entry for entry in board["entries"]}
    assert [entries[name]["apart"] for name in HONEST] == [None, None]
    better, worse = (entries[name]["group"] for name in HONEST)
    assert better < worse
    lines = list(csv.DictReader(io.StringIO(invoke(honest, ("show", "--csv"))[0])))
    assert {line["entry"] for line in lines} >= set(HONEST)


RANKED = {
    "a date of markup",
    "a loss called as markup",
    "a metric called as a column",
    "a metric called as markup",
    "a metric more",
    "a processor of markup",
    "a verdict in markup",
    "another metric renamed",
    "hyper-parameters of markup",
    "many trials",
    "no speed",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", sorted(CHANGES.keys() - RANKED))
def test_what_is_of_another_task_is_not_ranked(honest: Path, how: str):
    with_change(honest, CHANGES[how])
    boards = json.loads(invoke(honest, ("show", "--json"))[0])
    rows = {row["entry"]: row for board in boards for row in board["entries"]}
    if GIVEN in rows:
        row = rows[GIVEN]
        assert row["rank"] is None and row["apart"]
        assert row["apart"] != FAILS or row["wrong"]


@pytest.mark.slow
@pytest.mark.parametrize("how", every(6, CHANGES))
def test_the_site_stands(honest: Path, how: str, tmp_path: Path, monkeypatch):
    from ganbench import site

    monkeypatch.setattr(site.pages, "assets", lambda folder: folder.mkdir())
    with_change(honest, CHANGES[how])
    with index.opened() as kept:
        built = site.build(honest, tmp_path / "site", kept, quality=0.5)
    pages = {path.stem for path in (tmp_path / "site" / "entry").rglob("*.html")}
    assert pages >= set(HONEST)
    assert GIVEN in pages or any(f"{GIVEN}.json" in line for line in built.problems)
    for page in (tmp_path / "site").rglob("*.html"):
        assert "</td>{{" not in page.read_text() and "\x1b[2J[/b]<" not in page.read_text()


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 1e-320, 1e99, 1e101, 1e308, math.inf, math.nan, 10**30, 10**400]),
    st.sampled_from(["", "x", NASTY, "quick", "interrupted", "cuda", "\ud800", "\0"]),
    st.sampled_from([[], {}, [None], {"mmd": 1.0}, [[]]]),
)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """The result with one to three places changed, removed or added to."""
    document = json.loads(json.dumps(DOCUMENT))
    document["seeds"] = document["seeds"][: draw(st.integers(1, 10))]
    for seed in document["seeds"]:
        seed["curve"] = seed["curve"][-2:]
    for _ in range(draw(st.integers(1, 3))):
        holder: Any = document
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if not isinstance(holder[key], dict | list) or draw(st.integers(0, 4)) == 0:
                if draw(st.integers(0, 4)) == 0:
                    del holder[key]
                else:
                    holder[key] = copy.deepcopy(draw(SCALARS))  # which may be changed in turn
                break
            holder = holder[key]
    return document


@pytest.mark.slow
@given(document=mutated())
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_board_stands_whatever_is_changed(honest: Path, document: dict[str, Any]):
    (honest / "ring8" / f"{GIVEN}.json").write_text(json.dumps(document))
    for command in (("show", "--metrics"), ("show", "--csv", "--track", "time"), ("check",)):
        out, err = invoke(honest, command)
        assert command[0] == "check" or all(name in out for name in HONEST)
        assert GIVEN in out + err or command[0] == "check"


def test_the_unchanged_result_is_ranked(honest: Path):
    path = with_change(honest, lambda document: None)
    assert schema.load_result(path).entry.name == GIVEN
    _, board = json.loads(invoke(honest, ("show", "--json"))[0])
    assert [row["rank"] is not None for row in board["entries"]] == [True] * 3
