"""Names and files are checked first: whoever mistypes one need not wait for torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ganbench import registry
from ganbench.errors import InputError
from ganbench.hparams import in_text

ROOT = Path(registry.__file__).resolve().parents[1]

COMMANDS = {
    "run mlp_gna --task sine": "unknown baseline 'mlp_gna': did you mean 'mlp_gan'?",
    "run mlp_gan --task sin": "unknown task 'sin': did you mean 'sine'?",
    "run mlp_gan --task sine --set lrr=1": "mlp_gan has no hyper-parameter 'lrr': did you mean",
    "run no/such.py --task sine": "no baseline file 'no/such.py'",
    "run mlp_gan --task unfrozen.py": "unfrozen.py has no floors and ceilings beside it",
    "bench mlp_gna": "unknown baseline 'mlp_gna'",
    "bench --task sin": "unknown task 'sin'",
    "bench --set lrr=1": "no hyper-parameter 'lrr'",
    "evaluate none.npy --task sine": "no file 'none.npy'",
    "evaluate points.txt --task sine": "expected a .npy, .npz or .safetensors file",
    "evaluate points.npy --task sin": "unknown task 'sin'",
    "evaluate damaged.npz --task sine": "damaged.npz cannot be read",
    "audit precisoin": "unknown metric 'precisoin': did you mean 'precision'?",
    "audit --task sin": "unknown task 'sin'",
    "plot nothing": "'nothing' is no folder of a run",
    "list baselines --task sin": "unknown task 'sin'",
    "check mlp_gna": "unknown baseline 'mlp_gna'",
    "check mlp_gan --task sin": "unknown task 'sin'",
    "check mlp_gan --set lrr=1": "no hyper-parameter 'lrr'",
    "new no-name": "'no-name' is no Python name",
    "new torch": "torch.py would hide the module torch",
    "data fetch mnits": "unknown data set 'mnits': did you mean 'mnist'?",
}
SCRIPT = """
import sys
from click.testing import CliRunner
from ganbench.cli import main
for command, words in {commands!r}.items():
    result = CliRunner().invoke(main, command.split())
    lines = result.stderr.splitlines()
    assert (result.exit_code, len(lines)) == (2, 1), (command, result.output, result.exception)
    assert words in lines[0], (command, lines)
    assert "torch" not in sys.modules, command
    assert "multiprocessing.forkserver" not in sys.modules, command  # no workers either
from ganbench import bounds
assert bounds.main(["sine", "sin"]) == 2
assert "torch" not in sys.modules
"""


def test_what_cannot_be_meant_is_said_without_torch(tmp_path: Path) -> None:
    (tmp_path / "unfrozen.py").write_text("import torch\n")
    (tmp_path / "points.npy").touch()
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 cut off")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(commands=COMMANDS)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "GANBENCH_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "Error: unknown task 'sin': did you mean 'sine'? (see `ganbench list tasks`)"
    ]


def test_the_text_says_what_loading_finds(baseline_name: str) -> None:
    found = in_text(registry.find("baselines", baseline_name).read_bytes())
    assert found is not None
    assert list(found) == list(registry.load_baseline(baseline_name).parameters)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("def GAN(task, *, device, lr=1, width): ...", ["lr", "width"]),
        (
            "class GAN:\n    def f(self, *, x=1): ...\n    def __init__(self, t, *, lr=1): ...",
            ["lr"],
        ),
        ("def GAN(task, *, lr=1, **more): ...", None),
        ("@wrap\ndef GAN(task, *, lr=1): ...", None),
        ("@dataclass\nclass GAN:\n    lr: float = 1", None),
        ("class GAN(Other): ...", None),
        ("from nets import GAN", None),
        ("def GAN(task, *, lr=1): ...\nGAN = wrap(GAN)", None),
        ("x = (", None),
        ("\0", None),
    ],
)
def test_what_the_text_of_a_gan_says(text: str, names: list[str] | None) -> None:
    found = in_text(text.encode())
    assert names == (None if found is None else list(found))


def test_names_that_the_text_does_not_say_are_left_to_loading(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def GAN(task, *, device, lr=1): ...")
    registry.check(baseline=str(path), hparams=["lr"])
    with pytest.raises(InputError, match=r"^mine has no hyper-parameter 'lrr': did you mean 'lr'"):
        registry.check(baseline=str(path), hparams=["lr", "lrr"])
    path.write_text("def GAN(task, *, device, **more): ...")
    registry.check(baseline=str(path), hparams=["lrr"])
