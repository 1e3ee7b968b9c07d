"""Pages of the documentation that are made of the board and of CITATION.cff say what these say."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from ganbench.results import schema
from ganbench.results.schema import load_result

from .made import a_result, a_seed

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    pytest.importorskip("yaml")
    path = ROOT / "docs/generated_pages.py"
    spec = importlib.util.spec_from_file_location("generated_pages", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timed(seed: int, seconds: float, cpu: str = "c") -> schema.SeedResult:
    made = a_seed(seed)
    timing = {"steps_per_second": 100 / seconds, "train_seconds": seconds, "wall_seconds": 9.0}
    machine = made.machine.model_copy(update={"cpu": cpu})
    return made.model_copy(
        update={"timing": made.timing.model_copy(update=timing), "machine": machine}
    )


def test_speeds_are_means_over_the_seeds_of_a_machine(pages: ModuleType) -> None:
    failed = timed(4, 1e3).model_copy(update={"status": "failed"})
    result = a_result(timed(0, 1.0), timed(1, 3.0), timed(2, 10.0, "d"), a_seed(3), failed)
    first, second = pages._speeds(result)
    assert first[0] == f"{result.protocol.steps:,} steps on c, 1 cores"
    assert first[2] == ["my_gan", "67", "2.0", "9.0", "eager", 2]
    assert second[0].endswith("on d, 1 cores")
    assert second[2] == ["my_gan", "10", "10.0", "9.0", "eager", 1]
    reference = result.entry.model_copy(update={"reference": True})
    assert [*pages._speeds(result.model_copy(update={"entry": reference}))] == []


def test_the_page_has_a_row_of_each_published_entry_that_trains(pages: ModuleType) -> None:
    text = pages._performance(ROOT)
    parts = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## )", text, re.DOTALL | re.MULTILINE))
    tasks = {path.name for path in (ROOT / "leaderboard").iterdir() if path.is_dir()}
    assert parts.keys() == tasks
    for task, table in parts.items():
        shown = {*re.findall(r"^\| \[?`?([\w=.,-]+)", table, re.MULTILINE)} - {"entry", "---"}
        files = (ROOT / "leaderboard" / task).glob("*.json")
        results = [load_result(path) for path in files if ".local." not in path.name]
        assert shown == {each.entry.name for each in results if not each.entry.reference}
    assert "nothing was measured for" in text and "may have shared" in text


def test_the_citation_is_that_of_its_file(pages: ModuleType) -> None:
    text, said = pages._citing(ROOT), (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for field in ("version", "license"):
        (value,) = re.findall(rf"^{field}: (.*)$", said, re.MULTILINE)
        assert f"  {field} = {{{value}}},\n" in text
    (title,) = re.findall(r'^title: "(.*)"$', said, re.MULTILINE)
    assert f"  title = {{{title}}},\n" in text
    assert "year" not in text  # which nothing says yet
