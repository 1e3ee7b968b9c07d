"""The marker `faults`, how much is tried, and a count of that in the last lines."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from . import scale

HERE = Path(__file__).parent
ELSEWHERE = (
    *("board/test_any_result.py", "board/test_claim.py", "board/test_conduct.py"),
    *("board/test_forgeries.py", "board/test_foreign_code.py", "board/test_gap.py"),
    *("board/test_power.py", "board/test_submission.py", "cli/test_broken_gans.py"),
    *("harness/test_apart.py", "harness/test_hidden.py", "harness/test_nodes.py"),
    *("results/test_leak.py", "system/test_processes.py", "system/test_sandbox.py"),
)  # forgery, foreign code, cheating and lost machines, tried beside what they are tried on
TRIED = "inputs tried"
SKIPPED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    if config.option.markexpr == "faults":
        os.environ.setdefault(scale.VARIABLE, str(scale.LONG))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    modules = [HERE.parent / name for name in ELSEWHERE]
    assert all(module.is_file() for module in modules)
    for item in items:
        if HERE in item.path.parents or item.path in modules:
            item.add_marker(pytest.mark.faults)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note for `tried` whether a test has been skipped while it ran."""
    report = yield
    if call.when == "call":
        item.stash[SKIPPED] = report.skipped
    return report


@pytest.fixture
def tried(
    request: pytest.FixtureRequest, record_property: Callable[..., None]
) -> Iterator[Counter]:
    """Counts what a test has tried, by kind; a test that is not skipped must try something."""
    count: Counter[str] = Counter()
    yield count
    assert count or request.node.stash.get(SKIPPED, False), "nothing was tried"
    for kind, number in count.items():
        record_property(f"{TRIED}: {kind}", number)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") != "teardown":  # when they are whole
                continue
            for name, number in getattr(report, "user_properties", ()):
                if name.startswith(TRIED):
                    counts[name.removeprefix(f"{TRIED}: ")] += number
    for kind, number in sorted(counts.items()):
        terminalreporter.write_line(f"{TRIED}: {number:,} {kind}")
