"""Executing a file by its path: its neighbours, which of them are its own, what is left behind."""

from __future__ import annotations

import hashlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ganbench import registry
from ganbench.errors import InputError
from ganbench.system import files
from ganbench.system.modules import execute, execute_again

GAN = "from nets_of_mine import LR\ndef GAN(task, *, device='cpu', lr=LR): ...\n"


def write(folder: Path, **texts: str) -> Path:
    """Files by their names, `__` for a slash, START for `__init__`; the path of the first."""
    paths = []
    for name, text in texts.items():
        place = name.replace("__", "/").replace("START", "__init__")
        paths.append(folder / f"{place}.py")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_text(text)
    return paths[0]


def names_of(path: Path) -> list[str]:
    module, sources = execute(path)
    assert all(file == path.parent / name for name, file in sources.items())
    assert Path(str(module.__file__)) == path
    return list(sources)


def lr_of(path: Path) -> Any:
    return registry.load_baseline(str(path)).hparams["lr"]


def test_a_file_alone(tmp_path: Path) -> None:
    write(tmp_path, nets_of_mine="raise SystemExit")
    assert names_of(write(tmp_path, a="import json\nimport torch\n")) == ["a.py"]


def test_neighbours_are_found(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        a="from nets_of_mine import X\nimport folder_of_mine.deep.layer\n"
        "from loose_folder import g\n",
        nets_of_mine="import further_of_mine\nX = 1",
        further_of_mine="import nets_of_mine",
        folder_of_mine__START="",
        folder_of_mine__deep__START="from . import other",
        folder_of_mine__deep__other="",
        folder_of_mine__deep__layer="",
        folder_of_mine__unused="",
        loose_folder__g="",
        unused="",
    )
    first, *others = names_of(path)
    assert first == "a.py"
    assert sorted(others) == [
        "folder_of_mine/__init__.py",
        "folder_of_mine/deep/__init__.py",
        "folder_of_mine/deep/layer.py",
        "folder_of_mine/deep/other.py",
        "further_of_mine.py",
        "loose_folder/g.py",
        "nets_of_mine.py",
    ]


def test_neighbours_are_found_again_and_as_they_are_now(tmp_path: Path) -> None:
    path = write(tmp_path, a=GAN, nets_of_mine="LR = 0.5")
    for lr in (0.5, 0.5, 0.25, 0.125):
        write(tmp_path, nets_of_mine=f"LR = {lr}")
        assert names_of(path) == ["a.py", "nets_of_mine.py"]
        assert lr_of(path) == lr


def test_neighbours_of_a_file_beside_are_not_its_own(tmp_path: Path) -> None:
    first = write(tmp_path, a=GAN, nets_of_mine="LR = 0.5")
    second = write(tmp_path, b="import further_of_mine\nGAN = 1", further_of_mine="")
    assert names_of(first) == ["a.py", "nets_of_mine.py"]
    assert names_of(second) == ["b.py", "further_of_mine.py"]
    assert names_of(first) == ["a.py", "nets_of_mine.py"]


def test_each_folder_has_its_own_neighbours(tmp_path: Path) -> None:
    one = write(tmp_path / "one", a=GAN, nets_of_mine="LR = 0.5")
    other = write(tmp_path / "other", a=GAN, nets_of_mine="LR = 0.25")
    without = write(tmp_path / "without", a=GAN)
    assert (lr_of(one), lr_of(other), lr_of(one)) == (0.5, 0.25, 0.5)
    with pytest.raises(InputError, match="No module named 'nets_of_mine'"):
        execute(without)


def test_called_later_it_has_the_neighbours_that_it_had(tmp_path: Path) -> None:
    """Whatever has been executed since, in this folder or another one."""
    text = "import nets_of_mine\ndef GAN(task, *, device='cpu'): return nets_of_mine.LR\n"
    one = write(tmp_path / "one", a=text, nets_of_mine="LR = 0.5")
    other = write(tmp_path / "other", a=text, nets_of_mine="LR = 0.25")
    first, second = (registry.load_baseline(str(path)) for path in (one, other))
    execute(write(tmp_path / "third", a=""))
    before = set(sys.modules)
    assert (first.make(None), second.make(None), first.make(None)) == (0.5, 0.25, 0.5)
    assert set(sys.modules) == before


def test_executed_again_its_neighbours_are_too(tmp_path: Path) -> None:
    """Modules, packages with a file and without, those inside of them."""
    path = write(
        tmp_path,
        main="import counter, deep.inner as inner\nfrom flat.part import N\ndef all(): "
        "return counter.N, inner.N, N, inner.counter is counter",
        counter="N = [0]",
        deep__inner="import counter\nfrom .other import N",
        deep__other="N = [0]",
        deep__START="",
        flat__part="N = [0]",
    )
    module, _ = execute(path)
    one = execute_again(module)
    for each in one.all()[:3]:
        each.append(1)
    two = execute_again(module)
    assert one.all() == ([0, 1], [0, 1], [0, 1], True)
    assert two.all() == ([0], [0], [0], True)
    assert module.all() == ([0], [0], [0], True)


def test_what_the_host_has_imported_stays_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, a=GAN, nets_of_mine="LR = 0.5")
    monkeypatch.syspath_prepend(tmp_path)
    import nets_of_mine as own  # type: ignore[import-not-found]

    try:
        write(tmp_path, nets_of_mine="LR = 0.25  # changed")
        assert names_of(path) == ["a.py", "nets_of_mine.py"]
        assert lr_of(path) == 0.25
        assert sys.modules["nets_of_mine"] is own
    finally:
        del sys.modules["nets_of_mine"]


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write(tmp_path, a=f"{GAN}1 / 0", nets_of_mine="LR = 0.5")
    before = list(sys.path), set(sys.modules)
    with pytest.raises(InputError, match=r"^a.py cannot be imported: ZeroDivisionError"):
        execute(path)
    assert (list(sys.path), set(sys.modules)) == before


def test_installed_packages_and_other_files_are_no_neighbours(tmp_path: Path) -> None:
    packages = tmp_path / "env" / "site-packages"
    write(packages, package_of_others="")
    search = f"import sys\nsys.path.append({str(packages)!r})\nimport package_of_others\n"
    assert names_of(write(tmp_path, a=search)) == ["a.py"]
    del sys.modules["package_of_others"]
    assert names_of(write(packages, b="import package_of_others")) == ["b.py"]
    sys.path.remove(str(packages))
    del sys.modules["package_of_others"]
    oracle = registry.load_baseline("oracle")
    assert list(registry.load_baseline("uniform_noise").sources) == ["uniform_noise.py"]
    assert oracle.sha256 == files.file_sha256(oracle.path)


def test_a_file_beside_the_package_itself(tmp_path: Path) -> None:
    """As in the folder of a checkout: ganbench is no neighbour of it."""
    root = Path(registry.__file__).resolve().parents[1]
    (tmp_path / "ganbench").symlink_to(root / "ganbench")
    path = write(tmp_path, a="import ganbench.quadrature\ndef f():\n    import ganbench.naive\n")
    assert names_of(path) == ["a.py"]


def test_what_functions_import_later_counts(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        a="def GAN(task, *, device):\n    from later_of_mine import x\n    import torch, json\n"
        "if __name__ == '__main__':\n    import driver_of_mine\n",
        later_of_mine="class A:\n    def f(self):\n        import folder_of_mine.layer\n",
        folder_of_mine__layer="def g():\n    from . import beside\n    from .. import nothing\n",
        folder_of_mine__beside="",
        driver_of_mine="",
        json="",
        torch="",
    )
    assert names_of(path) == [
        "a.py",
        "later_of_mine.py",
        "folder_of_mine/layer.py",
        "folder_of_mine/beside.py",
    ]


def test_classes_of_neighbours_can_be_looked_up(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        a="from nets_of_mine import Net\nGAN = Net",
        nets_of_mine="from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Net:\n    lr: float = 0.5\n",
    )
    module, _ = execute(path)
    assert "lr: float" in inspect.getsource(module.GAN)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_hash_of_several_files(tmp_path: Path) -> None:
    neighbours = {"nets_of_mine": "LR = 0.5", "zebra__stripes": ""}
    main = f"import zebra.stripes\n{GAN}"
    path = write(tmp_path / "one", my_gan=main, **neighbours)
    baseline = registry.load_baseline(str(path))
    lines = [
        f"{sha256('LR = 0.5')}  nets_of_mine.py\n",
        f"{sha256(main)}  source.py\n",
        f"{sha256('')}  zebra/stripes.py\n",
    ]
    assert baseline.sha256 == sha256("".join(sorted(lines)))
    moved = write(tmp_path / "other", source=main, **neighbours)
    assert registry.load_baseline(str(moved)).sha256 == baseline.sha256
    write(tmp_path / "one", nets_of_mine="LR = 0.25")
    assert registry.load_baseline(str(path)).sha256 != sha256("".join(sorted(lines)))
    alone = {"my_gan.py": path}
    assert registry.sources_sha256(alone) == files.file_sha256(path)


def test_a_neighbour_may_not_take_the_name_beside_a_result(tmp_path: Path) -> None:
    path = write(tmp_path, my_gan="from source import GAN", source="def GAN(task): ...")
    with pytest.raises(InputError, match=r"^my_gan.py imports source.py: rename that module"):
        registry.load_baseline(str(path))


@pytest.mark.slow
def test_a_run_hashes_the_neighbours(tmp_path: Path) -> None:
    """The command sees the same as the registry, whatever its process has imported before."""
    replay = registry.find("baselines", "replay").read_text()
    path = write(tmp_path, my_gan="from nets_of_mine import GAN", nets_of_mine=replay)
    arguments = ["run", path.name, "--task", "gaussian", "--steps", "2", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "ganbench", *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(registry.__file__).parents[1]), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    entry = json.loads(done.stdout)["entry"]
    assert entry["sha256"] == registry.load_baseline(str(path)).sha256
    assert entry["sha256"] != files.file_sha256(path)
