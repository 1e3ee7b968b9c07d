"""The README and the pages of docs/ say what is so: their code runs, their links lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from ganbench import __version__, registry
from ganbench.cli import main
from ganbench.engine.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md"))
}
MOST_LINES = 170
MOST_BYTES = 150_000
MAIN_JOB = (
    "python -m venv .venv && .venv/bin/pip install -c constraints.txt -e . && "
    ".venv/bin/ganbench run baselines/mlp_gan --task sine"
)
TESTS = (
    "python -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[test]' && "
    ".venv/bin/python -m pytest -n 2"
)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


# Code


def marked(mark: str, pages: dict[str, str] = PAGES) -> list[tuple[str, str]]:
    """Page and code of each Python block that stands under the comment `<!-- test: mark -->`."""
    block = rf"<!-- test: {mark} -->\n```python\n(.*?)```"
    return [
        (page, code) for page, text in pages.items() for code in re.findall(block, text, re.DOTALL)
    ]


def commands(pages: dict[str, str] = PAGES) -> list[tuple[str, str]]:
    """Page and line of each command of ganbench in a block of shell code."""
    return [
        (page, line)
        for page, text in pages.items()
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("ganbench ")
    ]


def names_of(entries: list[tuple[str, str]]) -> list[str]:
    return [f"{page}-{text.strip().splitlines()[0]}" for page, text in entries]


def by_hand() -> str:
    found = [code for _, code in marked("example") if "ganbench.make(" in code]
    assert len(found) == 1
    return found[0]


def test_every_mark_is_known() -> None:
    """A mark with a typing error would be a block that nobody runs."""
    marks = [mark for text in PAGES.values() for mark in re.findall(r"<!-- test: (.*?) -->", text)]
    assert len(marks) == len(marked("example")) + len(marked("losses"))
    assert len(marked("losses")) == 1


EXAMPLES = marked("example")


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("page", "code"), EXAMPLES, ids=names_of(EXAMPLES))
def test_example_runs(
    page: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, page, "exec"), names)
    if code == by_hand():
        info = names["info"]
        assert info["step"] == 50
        assert math.isfinite(info["score"])
        assert all(math.isfinite(value) for value in info["metrics"].values())
    elif "gymnasium.make(" in code:
        observation, _ = names["env"].reset(seed=0)
        assert names["env"].observation_space.contains(observation)


def test_training_by_hand_is_short() -> None:
    lines = [line for line in by_hand().splitlines() if line.strip()]
    assert len([line for line in lines if "import" not in line]) <= 18


@pytest.mark.usefixtures("one_thread")
def test_losses_of_the_readme_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("new", "my_gan").exit_code == 0
    file = tmp_path / "my_gan.py"
    ((_, losses),) = marked("losses")
    # Defined again below the former ones, they take the place of these.
    file.write_text(f"{file.read_text(encoding='utf-8')}\n\n{losses}", encoding="utf-8")
    task = registry.load_task("ring8")
    trainer = Trainer(registry.load("baselines", str(file))(task), seed=0)
    logs = [trainer.train_step(task.reference[:64]) for _ in range(3)]
    # Hinge losses of networks that know nothing yet are about 2; two cross-entropies about 1.4.
    assert float(logs[0]["d_loss"]) == pytest.approx(2, abs=0.3)
    assert all(math.isfinite(loss) for log in logs for loss in log.values())


COMMANDS = commands()


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=names_of(COMMANDS))
def test_command_is_understood(page: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command is parsed, its options and values with it; none is carried out."""
    parsed: list[click.Command] = []
    monkeypatch.setattr(click.Command, "invoke", lambda self, context: parsed.append(self))
    arguments = shlex.split(line, comments=True)[1:]
    result = invoke(*arguments)
    assert result.exit_code == 0, f"{page}: {line}\n{result.output}"
    assert not isinstance(parsed[-1], click.Group)


@pytest.mark.parametrize("command", [MAIN_JOB, TESTS])
def test_readme_gives_the_command_as_one_line(command: str) -> None:
    assert command in README.splitlines()


def test_ci_runs_the_readme_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert TESTS in [line.strip() for line in script.splitlines()]


# Links


def anchors(text: str) -> set[str]:
    """What a page's headings are called in addresses, as GitHub does it."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead to no file of the repository, or to no heading of one."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        found = target.exists() and ROOT in (target, *target.parents)
        if found and anchor:
            found = anchor in anchors(target.read_text(encoding="utf-8"))
        if not found:
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    assert broken_links(ROOT / page) == []


def test_broken_links_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "a.md").write_text("# A heading, with `code`\n[up](#a-heading-with-code)\n")
    (tmp_path / "b.md").write_text("[a](a.md#a-heading-with-code) [no](a.md#other) ![no](no.png)")
    assert broken_links(tmp_path / "a.md") == []
    assert broken_links(tmp_path / "b.md") == ["a.md#other", "no.png"]


def test_every_page_is_linked_from_the_readme() -> None:
    for path in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{path.name})" in README, f"docs/{path.name} is missing"


# What is where


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= MOST_LINES


def test_every_task_is_in_the_tables(task_name: str) -> None:
    for page in ("README.md", "docs/tasks.md"):
        assert f"\n| `{task_name}` | " in PAGES[page], f"{page} lacks {task_name}"


def test_every_baseline_is_named(baseline_name: str) -> None:
    assert f"`{baseline_name}`" in README
    assert f"\n| `{baseline_name}` | " in PAGES["docs/training.md"]


def test_every_metric_is_in_the_lists() -> None:
    for metric in registry.listing("metrics"):
        name = re.sub(r"_axis\d$", "", metric.name)
        for page in ("README.md", "docs/metrics.md"):
            assert f"`{name}`" in PAGES[page], f"{page} lacks {name}"


def tree(page: str) -> set[str]:
    """The modules of ganbench/ that the drawing of its files names, as `folder/file.py`."""
    drawing = page.split("```\nganbench/\n", 1)[1].split("```", 1)[0]
    found, folder = set(), ""
    for line in drawing.splitlines():
        name, inside = line.split()[0], (len(line) - len(line.lstrip())) // 2
        if inside == 0:
            break
        if inside == 1:
            folder = name if name.endswith("/") else ""
        if name.endswith(".py"):
            found.add(folder + name)
    return found


def test_architecture_names_every_module_and_no_other() -> None:
    package = ROOT / "ganbench"
    modules = {path.relative_to(package).as_posix() for path in package.glob("**/[!_]*.py")}
    assert tree(PAGES["docs/architecture.md"]) == modules


def test_citation_is_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation


# The board


def cell(entry: dict[str, Any] | None) -> str:
    """A score as the README's table has it; with the interval, but of references."""
    if entry is None:
        return "-"
    low, high = entry["interval"]
    interval = "" if entry["reference"] else f" [{low:.3f}, {high:.3f}]"
    return f"{entry['score']:.3f}{interval}"


def test_scores_of_the_readme_are_those_of_the_board() -> None:
    result = invoke("leaderboard", "show", "--leaderboard", str(ROOT / "leaderboard"), "--json")
    assert result.exit_code == 0, result.output
    published = {
        (board["task"], entry["entry"]): entry
        for board in json.loads(result.stdout)
        if board["task"] != "all"
        for entry in board["entries"]
        if (ROOT / "leaderboard" / board["task"] / entry["entry"]).is_dir()
    }
    head, rows = re.findall(r"^\| (task \|.*) \|\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.M)[0]
    columns = [name.strip("`") for name in head.split(" | ")[2:]]
    for row in rows.splitlines():
        task, _, *scores = row.strip("| ").split(" | ")
        entries = [published.get((task.strip("`"), name)) for name in columns]
        assert scores == [cell(entry) for entry in entries], task
        assert all(entry["seeds"] == 10 for entry in entries if entry)


def test_picture_of_the_readme_is_drawn_from_the_board(tmp_path: Path) -> None:
    folder = ROOT / "docs" / "pictures"
    spec = importlib.util.spec_from_file_location("draw", folder / "draw.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.draw(tmp_path / "drawn.png")
    for path in (tmp_path / "drawn.png", folder / "real_vs_generated.png"):
        assert 10_000 < path.stat().st_size < MOST_BYTES
