"""Names and paths to files: what is found, what is refused, and with which words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ganbench import registry
from ganbench.core import Game, Task
from ganbench.engine.trainer import Trainer
from ganbench.errors import InputError
from ganbench.registry import Baseline

CLASS = """
class GAN:
    def __init__(self, task, extra=None, *, device="cpu", lr=1e-3, width=8, tied=False,
                 sizes=(1, 2), name="a", seed=None):
        self.lr = lr
"""


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def with_hparams(tmp_path: Path) -> Baseline:
    return registry.load_baseline(write(tmp_path, "mine.py", CLASS))


def test_bundled_names() -> None:
    tasks = registry.names("tasks")
    assert {"gaussian", "ring8", "sine", "two_curves"} <= set(tasks)
    assert tasks == sorted(tasks)
    assert {"mlp_gan", "oracle"} <= set(registry.names("baselines"))
    assert not [name for name in tasks if name.startswith("_")]


@pytest.mark.parametrize("kind", ["tasks", "baselines"])
def test_bundled_files_are_found_from_anywhere(kind: str, elsewhere: Path) -> None:
    for name in registry.names(kind):
        bundled = registry.folder(kind) / f"{name}.py"
        for given in (name, f"{kind}/{name}", f"{kind}/{name}.py", str(bundled)):
            assert registry.find(kind, given) == bundled  # type: ignore[arg-type]
        assert registry.is_bundled(kind, bundled)


def test_bare_names_are_bundled_first(elsewhere: Path) -> None:
    write(elsewhere, "oracle.py", CLASS)
    write(elsewhere, "mine.py", CLASS)
    assert registry.is_bundled("baselines", registry.find("baselines", "oracle"))
    assert registry.find("baselines", "mine") == elsewhere / "mine.py"
    assert registry.find("baselines", "mine.py") == elsewhere / "mine.py"
    assert registry.find("baselines", "./oracle.py") == elsewhere / "oracle.py"
    assert registry.find("baselines", "oracle.py") == elsewhere / "oracle.py"


def test_a_folder_of_that_name_comes_first(elsewhere: Path) -> None:
    write(elsewhere, "baselines/oracle.py", CLASS)
    write(elsewhere, "sub/mine.py", CLASS)
    found = registry.find("baselines", "baselines/oracle")
    assert found == elsewhere / "baselines" / "oracle.py"
    assert not registry.is_bundled("baselines", found)
    assert registry.find("baselines", "sub/mine") == elsewhere / "sub" / "mine.py"


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (
            "tasks",
            "sinus",
            "unknown task 'sinus': did you mean 'sine'? (see `ganbench list tasks`)",
        ),
        (
            "baselines",
            "baselines/mlp_gann",
            "unknown baseline 'baselines/mlp_gann': did you mean 'mlp_gan'? "
            "(see `ganbench list baselines`)",
        ),
        (
            "baselines",
            "nowhere/mine.py",
            "no baseline file 'nowhere/mine.py': give a path that exists, or a bundled name",
        ),
        (
            "baselines",
            "mine.py",
            "no baseline file 'mine.py': give a path that exists, or a bundled name",
        ),
    ],
)
def test_what_is_not_found(kind: str, given: str, message: str, elsewhere: Path) -> None:
    with pytest.raises(InputError) as caught:
        registry.find(kind, given)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_nothing_near_lists_the_choices(elsewhere: Path) -> None:
    with pytest.raises(InputError) as caught:
        registry.find("baselines", "xyzzy")
    known = ", ".join(registry.names("baselines"))
    assert str(caught.value) == (
        f"unknown baseline 'xyzzy'; known: {known} (see `ganbench list baselines`)"
    )


ODD = {"empty": "", "dot": ".", "dots": "..", "root": "/", "folder": "tasks/"}
ODD |= {"private": "__init__", "long": "a" * 300, "zero": "a\0b"}


@pytest.mark.parametrize("given", ODD.values(), ids=ODD)
def test_odd_names_are_refused(given: str, elsewhere: Path) -> None:
    with pytest.raises(InputError):
        registry.load_task(given)


@pytest.mark.slow
def test_every_task_loads(task_name: str, task: Task) -> None:
    assert isinstance(task, Task)
    assert task.bounds
    assert registry.is_unchanged(task_name)


def test_every_baseline_loads(baseline: Baseline, baseline_name: str, suited: Task) -> None:
    assert baseline.name == baseline_name
    assert baseline.bundled
    assert baseline.sha256 == registry.sources_sha256(baseline.sources)
    own, *neighbours = baseline.sources.values()
    assert own == baseline.path
    assert {file.parent for file in neighbours} <= {own.parent}
    made = baseline.make(suited, device="cpu", **baseline.resolve(suited, {}))
    gan = Trainer(made, seed=0) if isinstance(made, Game) else made
    gan.train_step(suited.reference[:4])
    assert gan.sample(3).shape == (3, *suited.shape)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise RuntimeError('first\\nsecond')", ("RuntimeError", "first")),
        ("import sys; sys.exit(3)", ("SystemExit", "3")),
        ("assert False", ("AssertionError", "no message")),
        ("import no_such_module", ("ModuleNotFoundError", "No module named 'no_such_module'")),
    ],
)
def test_files_that_raise(text: str, reason: tuple[str, str], tmp_path: Path) -> None:
    path_before, modules_before = list(sys.path), set(sys.modules)
    with pytest.raises(InputError) as caught:
        registry.load("baselines", write(tmp_path, "bad.py", text))
    kind, words = reason
    line = f"bad.py cannot be imported: {kind} in <module> (bad.py:1): {words}"
    assert str(caught.value) == line
    assert sys.path == path_before
    assert not [name for name in set(sys.modules) - modules_before if "bad" in name]


def test_files_that_are_no_python(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^bad.py cannot be imported: SyntaxError: "):
        registry.load("baselines", write(tmp_path, "bad.py", "def GAN(:"))


def test_files_that_define_something_else(tmp_path: Path) -> None:
    empty = write(tmp_path, "empty.py", "")
    with pytest.raises(InputError, match=r"^empty.py defines no GAN: a baseline file must$"):
        registry.load_baseline(empty)
    with pytest.raises(InputError, match=r"^empty.py defines no TASK: a task file must$"):
        registry.load_task(empty)
    with pytest.raises(InputError, match=r"^number.py: GAN must be callable, got int$"):
        registry.load_baseline(write(tmp_path, "number.py", "GAN = 3"))
    with pytest.raises(InputError, match=r"TASK must be a ganbench.Task, got str"):
        registry.load_task(write(tmp_path, "text.py", "TASK = 'sine'"))


def test_task_of_ones_own_needs_bounds(tmp_path: Path) -> None:
    source = registry.find("tasks", "gaussian")
    path = write(tmp_path, "mine.py", source.read_text())
    with pytest.raises(InputError, match=r"^mine.py has no floors and ceilings beside it: make"):
        registry.load_task(path)
    frozen = source.with_suffix(".json").read_text()
    write(tmp_path, "mine.json", frozen)
    assert registry.load_task(path).bounds == registry.load_task("gaussian").bounds
    assert not registry.is_unchanged(path)
    write(tmp_path, "mine.json", frozen.replace('"version": 2', '"version": 3'))
    with pytest.raises(InputError, match=r"mine.json is of version 3, the task of version 2"):
        registry.load_task(path)
    for broken in ("{", "{}", "[]", '{"metrics": {"mmd": {}}}', '{"metrics": {"mmd": 3}}'):
        write(tmp_path, "mine.json", broken)
        with pytest.raises(InputError, match=r"mine.json is not a file of floors and ceilings"):
            registry.load_task(path)


def test_hparams_of_a_class(with_hparams: Baseline) -> None:
    assert with_hparams.hparams == {
        "lr": 1e-3,
        "width": 8,
        "tied": False,
        "sizes": (1, 2),
        "name": "a",
        "seed": None,
    }
    assert not with_hparams.bundled


def test_arguments_that_cannot_be_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^bad.py: GAN\(...\) shows no arguments: "):
        registry.load_baseline(write(tmp_path, "bad.py", "GAN = dict"))


@pytest.mark.parametrize("kind", ["tasks", "baselines", "metrics"])
def test_listing(kind: str) -> None:
    rows = registry.listing(kind)
    assert rows
    for row in rows:
        assert row.summary
        assert "\n" not in row.summary
    if kind != "metrics":
        assert [row.name for row in rows] == registry.names(kind)


def test_listing_shows_what_loading_finds(baseline_name: str, baseline: Baseline) -> None:
    (row,) = [row for row in registry.listing("baselines") if row.name == baseline_name]
    shown = row.details["hyper-parameters"]
    by_task = {name for name, value in baseline.hparams.items() if value is None}
    by_task &= set(baseline.resolve(registry.load_task("ring8"), {}) if baseline.resolver else ())
    shorthands = {"lr", "activation"} if baseline_name == "mlp_gan" else set()
    assert shown == ", ".join(
        f"{name}=by task" if name in by_task | shorthands else f"{name}={value!r}"
        for name, value in baseline.hparams.items()
    )


def test_directions_of_quantities() -> None:
    directions = registry.directions()
    assert set(directions.values()) == {"lower", "higher"}
    assert directions["mmd"] == directions["reverse_kl"] == "lower"
    assert directions["modes"] == directions["sine_r2"] == "higher"


def test_listing_does_not_import_torch() -> None:
    code = (
        "import sys; from ganbench import registry; "
        "rows = [registry.listing(kind) for kind in ('tasks', 'baselines', 'metrics')]; "
        "assert all(rows); registry.directions(); "
        "sys.exit('torch is imported' if 'torch' in sys.modules else 0)"
    )
    root = Path(registry.__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
