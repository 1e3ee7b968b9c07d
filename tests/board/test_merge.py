"""`ganbench leaderboard merge`: the boards of several machines become one."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from ganbench.cli import main
from ganbench.results import schema, store

from ..made import a_result, a_seed, content


def merge(root: Path, *others: Path) -> Result:
    given = ["leaderboard", "merge", *map(str, others), "--leaderboard", str(root)]
    return CliRunner().invoke(main, given)


def boards(tmp_path: Path) -> list[Path]:
    """Two machines' boards: seeds 0 and 1 of an entry, and 1 and 2, of which 1 is better."""
    folders = [tmp_path / "jobs" / name for name in ("0", "1")]
    store.add(a_result(a_seed(0), a_seed(1)), folders[0])
    store.add(a_result(a_seed(1, value=0.125), a_seed(2)), folders[1])
    return folders


def test_seeds_of_an_entry_become_one(tmp_path: Path) -> None:
    """Of the same seed that which came last. Once more changes nothing; the others stay."""
    others = boards(tmp_path)
    before = content(tmp_path / "jobs")
    path = tmp_path / "board/toy/my_gan.json"
    for counts in ((2, 3), (3, 3)):
        found = merge(tmp_path / "board", *others)
        assert found.exit_code == 0
        assert found.stdout.splitlines() == [f"{path}: {n} seeds" for n in counts]
        seeds = {seed.seed: seed.metrics["mmd"] for seed in schema.load_result(path).seeds}
        assert seeds == {0: 0.25, 1: 0.125, 2: 0.25}
    assert content(tmp_path / "jobs") == before


def test_an_entry_keeps_the_date_of_its_first_seeds(tmp_path: Path) -> None:
    """By which the board knows the older of two with the same samples."""
    dates = ("2026-01-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00")
    for seed, date in enumerate(dates):
        made = a_result(a_seed(seed)).model_copy(update={"created_at": date})
        found = store.add(made, tmp_path).result
    assert [seed.seed for seed in found.seeds] == [0, 1]
    assert found.created_at == dates[0]


def test_what_does_not_fit_is_set_aside(tmp_path: Path) -> None:
    others = boards(tmp_path)
    store.add(a_result(a_seed(5), sha="another"), tmp_path / "board")
    found = merge(tmp_path / "board", *others)
    assert "the former is in " in found.stdout.splitlines()[0]
    aside = schema.load_result(tmp_path / "board/toy/old/my_gan.json")
    assert [seed.seed for seed in aside.seeds] == [5]


def test_a_damaged_file_is_named_and_stops_nothing(tmp_path: Path) -> None:
    others = boards(tmp_path)
    damaged = others[0] / "toy/my_gan.json"
    damaged.write_text("{")
    found = merge(tmp_path / "board", *others)
    assert found.exit_code == 2 and str(damaged) in found.stderr
    assert len(schema.load_result(tmp_path / "board/toy/my_gan.json").seeds) == 2


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    found = merge(tmp_path / "board", tmp_path / "none")
    assert found.exit_code == 2 and "no leaderboard folder" in found.stderr
