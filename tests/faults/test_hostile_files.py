"""Files that lie, hang or are too much: a line each, and neither memory nor time."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file

from ganbench.cli import main
from ganbench.errors import InputError, ResumeError
from ganbench.harness import stored
from ganbench.results import samples, schema
from ganbench.system import files

from ..made import a_result


def header(*shape: int) -> bytes:
    """Of a .npy file that says that it holds float32 numbers of that shape."""
    content = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, described)
    return content.getvalue()


def claims_more_than_it_has(path: Path) -> None:
    path.write_bytes(header(10**12, 2) + bytes(1000))


def has_less_than_it_declares(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("samples.npy", header(1000, 2) + bytes(1000))


def bomb(path: Path) -> None:
    """Four gigabytes of zeros: the sizes in the directory are what is asked first."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples.npy", header(2**29, 2) + bytes(1000))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(content)


def encrypted(path: Path) -> None:
    np.savez(path, samples=np.zeros((200, 2), np.float32))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def deflated_and_damaged(path: Path) -> None:
    np.savez_compressed(path, samples=np.random.default_rng(0).random((200, 2)))
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)


def header_too_large(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")


def larger_than_any(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**31 + 1)  # a hole


def huge(path: Path) -> None:
    np.save(path, np.full((200, 2), 1e38, np.float32))


def beyond_float32(path: Path) -> None:
    np.save(path, np.full((200, 2), 1e300))


def objects(path: Path) -> None:
    np.save(path, np.array([{}], dtype=object))


CASES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a header of 7 TiB": (".npy", claims_more_than_it_has, "it says that it has 8,000,000,000,000"),
    "a zip that is cut short": (".npz", has_less_than_it_declares, "it says that it has 8,000"),
    "a zip bomb": (".npz", bomb, "more than 2,147,483,648"),
    "an encrypted zip": (".npz", encrypted, "is encrypted"),
    "a damaged zip": (".npz", deflated_and_damaged, "cannot be read"),
    "a header too large": (".safetensors", header_too_large, "header too large"),
    "larger than any": (".npy", larger_than_any, "2,147,483,649 bytes, more than 2,147,483,648"),
    "numbers too large": (".npy", huge, "too large to be judged"),
    "numbers beyond float32": (".npy", beyond_float32, "holds NaN or Inf"),
    "Python objects": (".npy", objects, "Python objects"),
    "nothing": (".npy", Path.touch, "cannot be read"),
    "no zip": (".npz", Path.touch, "cannot be read"),
    "no tensors": (".safetensors", Path.touch, "cannot be read"),
}
if hasattr(os, "mkfifo"):
    for ending in (".npy", ".npz", ".safetensors"):
        CASES[f"a pipe{ending}"] = (ending, os.mkfifo, "is no regular file")
    CASES["a device"] = (".npy", lambda path: path.symlink_to("/dev/zero"), "is no regular file")


def evaluate(path: Path) -> Result:
    return CliRunner().invoke(main, ["evaluate", str(path), "--task", "ring8", "--json"])


@pytest.mark.parametrize("case", CASES)
def test_samples(case: str, tmp_path: Path) -> None:
    ending, make, says = CASES[case]
    path = tmp_path / f"samples{ending}"
    make(path)
    done = evaluate(path)
    assert done.exit_code == 2, done.exception
    last = done.output.strip().splitlines()[-1]
    assert last.startswith("Error: ") and says in last and len(last) < 400


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_samples_of_few_bits_are_read(kind: torch.dtype, tmp_path: Path) -> None:
    made = torch.arange(-8, 8).view(8, 2)
    save_file({"samples": made.to(kind)}, tmp_path / "s.safetensors")
    assert torch.equal(samples.read(tmp_path / "s.safetensors"), made.float())
    save_file({"seed-0": made.to(kind)}, tmp_path / "t.safetensors")
    with pytest.raises(InputError, match=r"cannot be read|must hold finite float32"):
        samples.hashes(tmp_path / "t.safetensors")


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_what_numpy_reads(order: str, tmp_path: Path) -> None:
    made = np.asarray(np.random.default_rng(0).random((7, 3)).astype(np.float32), order=order)
    np.save(tmp_path / "s.npy", made)
    np.savez_compressed(tmp_path / "s.npz", made)
    for path in tmp_path.iterdir():
        assert np.array_equal(samples.read(path).numpy(), made)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_board_with_a_pipe_and_a_device(tmp_path: Path) -> None:
    """They are named, and the others are shown."""
    good = a_result()
    folder = tmp_path / good.task.name
    folder.mkdir()
    os.mkfifo(folder / "pipe.json")
    (folder / "zero.json").symlink_to("/dev/zero")
    (folder / f"{good.entry.name}.json").write_text(schema.dumps(good))
    for command in ("show", "check"):
        done = CliRunner().invoke(main, ["leaderboard", command, "--leaderboard", str(tmp_path)])
        assert "pipe.json is no regular file" in done.output
        assert "zero.json" in done.output
        assert command == "check" or good.entry.name in done.output


@pytest.mark.parametrize("command", ["show", "check", "site"])
def test_a_folder_in_the_place_of_a_source(command: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = a_result()
    path = tmp_path / good.task.name / f"{good.entry.name}.json"
    (path.with_suffix("") / "neighbour.py").mkdir(parents=True)
    path.write_text(schema.dumps(good))
    done = CliRunner().invoke(main, ["leaderboard", command, "--leaderboard", str(tmp_path)])
    assert "Is a directory" not in done.output
    assert command == "check" or done.exit_code == 0, done.output


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_in_the_place_of_a_gan(make: Callable[[Path], None], tmp_path: Path):
    path = tmp_path / "my_gan.py"
    make(path)
    done = CliRunner().invoke(main, ["run", str(path), "--task", "dirac", "--steps", "2"])
    assert done.exit_code == 2 and done.output.startswith("Error: "), done.output


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_in_the_place_of_a_former_result(
    make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "leaderboard" / "dirac" / "mlp_gan-2steps.json"
    path.parent.mkdir(parents=True)
    make(path)
    done = CliRunner().invoke(main, ["run", "mlp_gan", "--task", "dirac", "--steps", "2"])
    assert "no regular file" in done.output


@pytest.mark.parametrize("content", ["[]", "3", "", "{", "[" * 10**5, '"\\ud800"', "\xff"])
def test_markers_that_say_nothing(content: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(content, encoding="latin-1")
    assert files.read_object(path) == {}
    done = CliRunner().invoke(main, ["plot", str(tmp_path)])
    assert done.exit_code == 2 and "is no folder of a run" in done.output


@pytest.mark.parametrize(
    "skeleton", ["[]", "{}", '{"tensor": "5"}', '{"dict": [[1]]}', '{"a": 1, "b": 2}', "[" * 10**5]
)
def test_checkpoints_of_a_strange_shape(skeleton: str, tmp_path: Path) -> None:
    from safetensors.torch import save

    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(save({"0": torch.zeros(1)}, metadata={"skeleton": skeleton}))
    if skeleton == "[]":
        assert stored.load_state(path) == []
        return
    with pytest.raises(ResumeError, match="is damaged"):
        stored.load_state(path)
