"""Folders that are made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ganbench.system import files


def test_folders_are_made_however_deep(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a"] * 1500)
    for _ in range(2):  # the second time they are there
        files.make_folder(deep)
        assert deep.is_dir()
    subprocess.run(["rm", "-r", tmp_path / "a"], check=True)  # shutil.rmtree recurses


@pytest.mark.parametrize("above", [".", "new"])
def test_a_file_in_its_way_is_an_error(tmp_path: Path, above: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        files.make_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        files.make_folder(tmp_path / "file" / above / "folder")
