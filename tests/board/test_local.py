"""A run of an entry that is published: its result lies beside, and can be used everywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ganbench.board import checking, comparison, index
from ganbench.board.entry import board_entry
from ganbench.board.standard import standard_of, why_apart
from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.results import schema, store

from ..made import a_result, a_seed, content

pytestmark = pytest.mark.slow  # all but two begin from runs that are published

RUN = ("run", "moment_matching", "--task", "ring8", "--steps", "4", "--quiet", "--workers", "1")
NAME = "moment_matching-4steps"
BESIDE = f"<figcaption>Real samples, {NAME}&#39;s beside them"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A folder in which two seeds were run and published, and then run again."""
    root = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert invoke(*RUN, "--seeds", "2").exit_code == 0
        assert invoke("submit", NAME, "--task", "ring8", "--to", "leaderboard2").exit_code == 0
        shutil.rmtree("leaderboard")
        Path("leaderboard2").rename("leaderboard")
        before = content(root / "leaderboard")
        again = invoke(*RUN, "--seeds", "2")
        assert again.exit_code == 0 and f"leaderboard/ring8/{NAME}.local.json" in again.stdout
        after = content(root / "leaderboard")
        del after[f"ring8/{NAME}.local.json"]
        assert after == before
    return root


@pytest.fixture
def world(published: Path, tmp_path: Path, monkeypatch) -> Path:
    """A copy of that folder, and in it."""
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_finds_nothing_though_the_samples_are_the_published_ones(world: Path):
    assert checking.check(world / "leaderboard") == (2, [])


def test_show_names_it_local_and_does_not_rank_it(world: Path):
    shown = invoke("leaderboard", "show")
    (line,) = [line for line in shown.stdout.splitlines() if f"{NAME}.local" in line]
    assert line.split("│")[1].strip() == "local"
    assert "`ganbench submit` takes it" in shown.stdout
    _, board = json.loads(invoke("leaderboard", "show", "--json").stdout)
    reasons = {entry["entry"]: entry["apart"] for entry in board["entries"]}
    assert reasons == {NAME: "4 steps", f"{NAME}.local": "local"}


def test_a_local_result_is_unranked_for_that_reason_alone():
    result = a_result(*(a_seed(i, value=0.2 + i / 100) for i in range(10)), budget="full")
    plain, local = board_entry(result), board_entry(result, local=True)
    assert local.name == "my_gan.local"
    standard = standard_of("toy", [plain, local])
    assert [why_apart(each, standard) for each in (plain, local)] == [None, "local"]


def test_compare_takes_it(world: Path):
    compared = invoke("leaderboard", "compare", NAME, f"{NAME}.local", "--json")
    assert json.loads(compared.stdout)["tasks"]["ring8"]["difference"] == 0


def test_the_site_has_a_page_of_it(world: Path):
    assert invoke("leaderboard", "site", "--quiet").exit_code == 0
    page = (world / "site" / "entry" / "ring8" / f"{NAME}.local.html").read_text()
    assert "Not ranked: local" in page and "No samples came with this result" in page
    assert f"<title>{NAME}.local on ring8" in page
    assert f"entry/ring8/{NAME}.local.html" in (world / "site" / "results.html").read_text()


@pytest.mark.parametrize("asked", [NAME, f"{NAME}.local"])
def test_submit_makes_a_publication_of_it(world: Path, asked: str):
    local = store.place(world / "leaderboard", "ring8", NAME)
    text = local.read_text().replace('"created_at": "', '"created_at": "now ')
    local.write_text(text)
    done = invoke("submit", asked, "--task", "ring8")
    assert done.exit_code == 0, done.output
    assert ("is submitted" in done.stderr) is (asked == NAME)
    made = world / "submission" / "ring8" / f"{NAME}.json"
    assert made.read_text() == text
    names = {path.name for path in store.attached(made).iterdir()}
    assert names == {"source.py", "samples.safetensors"}
    assert invoke("verify", str(made)).exit_code == 0


def test_without_a_local_result_the_published_one_is_submitted(world: Path):
    store.place(world / "leaderboard", "ring8", NAME).unlink()
    done = invoke("submit", NAME, "--task", "ring8")
    assert (done.exit_code, "is submitted" in done.stderr) == (0, False)
    asked = invoke("submit", f"{NAME}.local", "--task", "ring8", "--to", "again")
    assert asked.exit_code == 2 and f"did you mean '{NAME}'?" in asked.stderr


def test_a_file_whose_entry_would_be_called_local_is_refused_before_training(world: Path):
    Path("x.local.py").write_text("def GAN(task, *, device): raise RuntimeError('trained')")
    done = invoke("run", "x.local.py", "--task", "ring8", "--quiet")
    assert done.exit_code == 2 and "'x.local' is no name for an entry" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# What lies beside a published result and is another's.


def spoil(world: Path, name: str) -> None:
    file = world / "leaderboard" / "ring8" / NAME / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "reason"), [("samples.safetensors", "other samples"), ("source.py", "other source")]
)
def test_what_is_anothers_is_not_paired(world: Path, name: str, reason: str):
    with index.opened() as kept:
        kept.entries(world / "leaderboard")
    spoil(world, name)
    with index.opened() as kept:
        entries, problems = kept.entries(world / "leaderboard")
    assert problems == []
    assert [entry.unpaired for entry in entries] == [reason, None]
    assert why_apart(entries[0], standard_of("ring8", entries)) == reason
    with pytest.raises(InputError, match=f"ring8: {NAME} has {reason} beside it"):
        comparison.compare(entries, NAME, f"{NAME}.local")
    _, findings = checking.check(world / "leaderboard")
    (finding,) = findings
    assert name in finding and "SHA-256 differs" in finding


def test_the_site_draws_no_samples_of_another_result(world: Path):
    invoke("leaderboard", "site", "--quiet")
    page = world / "site" / "entry" / "ring8" / f"{NAME}.html"
    assert BESIDE in page.read_text()
    spoil(world, "samples.safetensors")
    invoke("leaderboard", "site", "--quiet")
    assert BESIDE not in page.read_text()
    assert "The samples cannot be shown" in page.read_text()


def test_a_local_result_has_nothing_beside_it(world: Path):
    """Not even where somebody puts something: it would be published otherwise."""
    local = store.place(world / "leaderboard", "ring8", NAME)
    store.attached(local).mkdir()
    (store.attached(local) / "source.py").write_text("1 / 0")
    result = schema.load_result(local)
    assert checking.attachments.findings(result, local) == []
    _, (finding,) = checking.check(world / "leaderboard")
    assert finding.endswith("source.py: is no part of a result")
