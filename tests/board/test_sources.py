"""A source of several files: all of them are hashed, shipped, checked and run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ganbench import registry
from ganbench.board import attachments, checking, power, submission
from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.results import schema, store

NAME = "my_gan-4steps"
MAIN = """
import mynets
from parts.scale import SCALE


def GAN(task, *, device):
    return mynets.Net(task, SCALE)
"""
NEIGHBOUR = """
import my_gan  # as neighbours may
import torch


class Net:
    def __init__(self, task, scale):
        self.shape, self.scale = task.shape, scale

    def train_step(self, real):
        return {"loss": real.mean()}

    def sample(self, n):
        return self.scale * torch.randn(n, *self.shape)
"""


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder in which a GAN of three files was run and submitted."""
    root = tmp_path_factory.mktemp("made")
    (root / "parts").mkdir()
    (root / "my_gan.py").write_text(MAIN)
    (root / "mynets.py").write_text(NEIGHBOUR)
    (root / "parts" / "__init__.py").write_text("")
    (root / "parts" / "scale.py").write_text("SCALE = 0.5\n")
    (root / "other.py").write_text("1 / 0\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run = ("run", "my_gan.py", "--task", "ring8", "--steps", "4", "--quiet", "--workers", "1")
        done = invoke(*run, "--seeds", "2")
        assert done.exit_code == 0, done.output
        done = invoke("submit", NAME, "--task", "ring8")
        assert done.exit_code == 0, done.output
    return root


@pytest.fixture
def world(made: Path, tmp_path: Path, monkeypatch) -> Path:
    """A copy of it, and in it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def given(world: Path) -> Path:
    """The submitted result."""
    return world / "submission" / "ring8" / f"{NAME}.json"


@pytest.mark.slow
def test_every_file_is_shipped_and_is_a_part_of_the_result(given: Path):
    folder = store.attached(given)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    sources = {"source.py", "mynets.py", "parts/__init__.py", "parts/scale.py"}
    assert names == {*sources, "samples.safetensors"}
    assert (folder / "source.py").read_text() == MAIN
    assert checking.check(given.parents[1]) == (1, [])
    assert list(submission.verify(given)) == []


@pytest.mark.slow
@pytest.mark.long
def test_new_seeds_are_trained_from_all_of_them_and_nothing_is_left_beside(
    given: Path, monkeypatch
):
    monkeypatch.setattr(power, "ALPHA", 0.1)  # at which four seeds are enough for two
    before = set(given.parents[1].rglob("*"))
    assert submission.rerun(given, 4).verdict == "consistent"
    assert set(given.parents[1].rglob("*")) == before


def spoil_neighbour(folder: Path) -> None:
    (folder / "parts" / "scale.py").write_text("SCALE = 5\n")


def rename_neighbour(folder: Path) -> None:
    (folder / "mynets.py").rename(folder / "nets.py")


def add_neighbour(folder: Path) -> None:
    (folder / "more.py").write_text("")


def remove_main(folder: Path) -> None:
    (folder / "source.py").unlink()


def link_neighbour(folder: Path) -> None:
    (folder / "mynets.py").unlink()
    (folder / "mynets.py").symlink_to("/etc/passwd")


def link_folder(folder: Path) -> None:
    shutil.move(folder / "parts", folder.parents[2] / "elsewhere")
    (folder / "parts").symlink_to(folder.parents[2] / "elsewhere")


def swell_together(folder: Path) -> None:
    """Neither alone is too large."""
    for name in ("source.py", "mynets.py"):
        (folder / name).write_text("#" * (attachments.MOST_SOURCE - 100))


def name_of_no_module(folder: Path) -> None:
    (folder / "a\nb.py").write_text("")


def other_kind(folder: Path) -> None:
    (folder / "mynets.so").write_text("")


SPOILERS = {
    spoil_neighbour: "the SHA-256 differs",
    rename_neighbour: "the SHA-256 differs",
    add_neighbour: "the SHA-256 differs",
    remove_main: "came without source.py",
    link_neighbour: "mynets.py is a link",
    link_folder: "parts",
    swell_together: "more than 1,048,576",
    name_of_no_module: "no name of a Python module",
    other_kind: "is no part of a result",
}


@pytest.mark.slow
@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_what_is_wrong_with_any_of_them_is_named(given: Path, spoil):
    spoil(store.attached(given))
    _, findings = checking.check(given.parents[1])
    assert any(SPOILERS[spoil] in line for line in findings), findings
    if spoil is not other_kind:
        with pytest.raises(InputError):
            submission.rerun(given, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("file", "words"), [("mynets.py", "changed"), ("my_gan.py", "changed")])
def test_a_file_that_has_changed_since_the_run_is_not_submitted(world: Path, file: str, words: str):
    marker = world / "runs" / "ring8" / NAME / "run.json"
    made = Path(marker.read_text().split('"my_gan.py": "')[1].split('"')[0]).parent
    marker.write_text(marker.read_text().replace(str(made), str(world)))
    assert invoke("submit", NAME, "--task", "ring8", "--to", "first").exit_code == 0
    (world / file).write_text((world / file).read_text() + "# changed\n")
    done = invoke("submit", NAME, "--task", "ring8", "--to", "second")
    assert done.exit_code == 2 and words in done.stderr and file in done.stderr
    (world / file).unlink()
    done = invoke("submit", NAME, "--task", "ring8", "--to", "second")
    assert done.exit_code == 2 and "is gone since the run" in done.stderr
    assert not (world / "second").exists()


def test_the_site_shows_all_of_them(given: Path, world: Path):
    shown = invoke("leaderboard", "site", "--leaderboard", "submission", "--quiet")
    assert shown.exit_code == 0, shown.output
    (page,) = (world / "site" / "source").iterdir()
    assert page.stem == schema.load_result(given).entry.sha256
    for text in (MAIN, NEIGHBOUR, "SCALE = 0.5", "# ---- parts/scale.py"):
        assert text in page.read_text()


def test_the_hash_of_one_file_is_that_of_its_content(tmp_path: Path):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("1")
    two.write_text("2")
    alone = registry.sources_sha256({"one.py": one})
    assert alone == registry.sources_sha256({"source.py": one}) == registry.file_sha256(one)
    both = registry.sources_sha256({"one.py": one, "two.py": two})
    assert both == registry.sources_sha256({"source.py": one, "two.py": two}) != alone
    assert both != registry.sources_sha256({"source.py": two, "two.py": one})
    assert both != registry.sources_sha256({"source.py": one, "three.py": two})


# What a submission will be on the board is said when it is made.


@pytest.mark.slow
@pytest.mark.parametrize("seeds", ["1", "2"])
def test_a_submission_that_will_not_be_ranked_says_why(world: Path, seeds: str):
    done = invoke("submit", NAME, "--task", "ring8", "--to", f"again{seeds}")
    assert done.stderr.splitlines() == [f"{NAME} will be shown, but not ranked: 4 steps"]
    run = ("run", "oracle", "--task", "ring8", "--budget", "smoke", "--quiet", "--workers", "1")
    assert invoke(*run, "--seeds", seeds).exit_code == 0
    done = invoke("submit", "oracle-smoke", "--task", "ring8")
    assert "oracle-smoke will be shown, but not ranked: smoke" in done.stderr


def test_the_reason_is_that_of_the_board(world: Path):
    root, says = Path(__file__).parents[2] / "leaderboard", "will be shown, but not ranked:"
    result = schema.load_result(root / "ring8/oracle.json")
    assert submission._unranked(result, root) == [f"oracle {says} reference"]
    few = result.model_copy(update={"seeds": result.seeds[:3]})
    assert submission._unranked(few, root) == [f"oracle {says} 3 of 10 seeds"]
    entry = result.entry.model_copy(update={"name": "mine"})
    mine = result.model_copy(update={"entry": entry, "created_at": "2099-01-01T00:00:00+00:00"})
    assert submission._unranked(mine, root) == [f"mine {says} has the same samples as oracle"]


def test_an_entry_that_begins_with_the_name_is_suggested(world: Path):
    store.path_of(world / "leaderboard", "ring8", "mlp_gan").write_text("{}")
    done = invoke("submit", "my_gan", "--task", "ring8", "--to", "new")
    assert done.exit_code == 2 and f"did you mean '{NAME}'?" in done.stderr
