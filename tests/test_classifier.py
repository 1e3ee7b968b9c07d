"""The shipped classifiers: as good as they say, checked when read, the same bits every time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ganbench import classifier, data
from ganbench.classifier import RECIPES, features_and_probabilities
from ganbench.errors import InputError

NAMES = list(RECIPES)
PLAIN = replace(RECIPES["mnist"], degrees=0, zoom=0, shift=0)


def images(n: int, seed: int = 0) -> Tensor:
    return 2 * torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(seed)) - 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the weights, which may be spoilt."""
    copy = tmp_path / "weights"
    shutil.copytree(classifier.WEIGHTS, copy)
    monkeypatch.setattr(classifier, "WEIGHTS", copy)
    classifier.load.cache_clear()
    yield copy
    classifier.load.cache_clear()


@pytest.fixture
def stripes(monkeypatch: pytest.MonkeyPatch) -> data.Images:
    """A data set in the place of MNIST: class k has a bright row at 2 k + 4."""
    labels = np.arange(1280, dtype=np.uint8) % 10
    pictures = np.random.default_rng(0).integers(0, 100, (1280, 28, 28), dtype=np.uint8)
    pictures[np.arange(1280), 2 * labels + 4] = 255
    found = data.Images(
        train_images=pictures,
        train_labels=labels,
        test_images=pictures[:200],
        test_labels=labels[:200],
    )
    monkeypatch.setattr(data, "load", lambda name: found)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_accuracy_is_what_the_file_says(name: str) -> None:
    document = json.loads((classifier.WEIGHTS / f"{name}.json").read_text())
    test = data.load(name)
    _, probabilities = features_and_probabilities(classifier.scaled(test.test_images), name)
    right = (probabilities.argmax(1).numpy() == test.test_labels).mean()
    assert right >= RECIPES[name].required
    assert right == pytest.approx(document["test_accuracy"], abs=2e-4)


def test_what_is_required_of_mnist() -> None:
    assert RECIPES["mnist"].required >= 0.992


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_small_and_described(name: str) -> None:
    path = classifier.WEIGHTS / f"{name}.safetensors"
    document = json.loads(path.with_suffix(".json").read_text())
    layers = classifier.load(name)
    parameters = list(layers.parameters())
    assert path.stat().st_size < 1_000_000
    assert document["parameters"] == sum(p.numel() for p in parameters) < 250_000
    assert not layers.training
    assert not any(p.requires_grad for p in parameters)


def test_shapes_flat_or_square() -> None:
    square = images(300)
    features, probabilities = features_and_probabilities(square, "mnist")
    assert features.shape == (300, classifier.FEATURES)
    assert probabilities.shape == (300, 10)
    assert features.dtype == probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(1), torch.ones(300))
    for same in (square.flatten(1), square[:, 0]):
        assert torch.equal(features_and_probabilities(same, "mnist")[0], features)


def test_same_bits_on_every_call_and_no_gradient() -> None:
    square = images(200).requires_grad_()
    first, again = (features_and_probabilities(square, "mnist")[0] for _ in range(2))
    assert torch.equal(first, again)
    assert not first.requires_grad


def test_batches_do_not_matter() -> None:
    square = images(classifier.BATCH + 3)
    together, _ = features_and_probabilities(square, "mnist")
    alone, _ = features_and_probabilities(square[-1:], "mnist")
    torch.testing.assert_close(together[-1:], alone, rtol=1e-4, atol=1e-4)


def test_pixels_beyond_paper_and_ink_are_cut_off() -> None:
    square = 1e6 * images(20)
    expected, _ = features_and_probabilities(square.sign(), "mnist")
    assert torch.equal(features_and_probabilities(square, "mnist")[0], expected)


def test_no_images() -> None:
    features, probabilities = features_and_probabilities(images(0), "mnist")
    assert features.shape == (0, classifier.FEATURES)
    assert probabilities.shape == (0, 10)


@pytest.mark.parametrize("shape", [(5, 783), (5, 3, 28, 28), (784,)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="takes images of 28 x 28 = 784 values, got shape"):
        features_and_probabilities(torch.zeros(shape), "mnist")


def test_unknown_classifier() -> None:
    with pytest.raises(InputError, match="no classifier 'cifar10'; known: mnist, fashion_mnist"):
        features_and_probabilities(images(1), "cifar10")


def test_altered_weights_are_refused_in_one_line(folder: Path) -> None:
    path = folder / "mnist.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is not the file that mnist\.json describes") as caught:
        classifier.load("mnist")
    assert "\n" not in str(caught.value)
    assert "python -m ganbench.classifier mnist" in str(caught.value)


@pytest.mark.parametrize("missing", ["mnist.safetensors", "mnist.json"])
def test_missing_weights_are_refused_in_one_line(missing: str, folder: Path) -> None:
    (folder / missing).unlink()
    with pytest.raises(InputError, match=r"cannot be read \(FileNotFoundError\)") as caught:
        classifier.load("mnist")
    assert "\n" not in str(caught.value)


def test_description_without_a_checksum(folder: Path) -> None:
    (folder / "mnist.json").write_text("{}")
    with pytest.raises(InputError, match=r"cannot be read \(KeyError\)"):
        classifier.load("mnist")


def test_folding_keeps_the_function() -> None:
    torch.manual_seed(0)
    layers = classifier.network(normalise=True)
    layers(images(64))  # moves the running averages off 0 and 1
    normalising = torch.nn.BatchNorm1d | torch.nn.BatchNorm2d
    for layer in layers:
        if isinstance(layer, normalising):
            torch.nn.init.uniform_(layer.weight, 0.5, 2)
            torch.nn.init.uniform_(layer.bias, -1, 1)
    layers.eval()
    folded = classifier.fold(layers)
    assert not any(isinstance(layer, normalising) for layer in folded)
    with torch.no_grad():
        expected = layers(images(30, seed=1))
        torch.testing.assert_close(folded(images(30, seed=1)), expected, rtol=1e-4, atol=1e-4)


def test_distortions() -> None:
    rng = torch.Generator().manual_seed(0)
    square = images(20)
    torch.testing.assert_close(classifier.distort(square, PLAIN, rng), square)
    mirrored = classifier.distort(square, replace(PLAIN, mirror=True), rng)
    flipped = (mirrored - square.flip(-1)).abs().amax((1, 2, 3)) < 1e-4
    kept = (mirrored - square).abs().amax((1, 2, 3)) < 1e-4
    assert 0 < int(flipped.sum()) < 20
    assert bool((flipped ^ kept).all())
    paper = torch.full((20, 1, 28, 28), -1.0)
    assert torch.equal(classifier.distort(paper, RECIPES["mnist"], rng), paper)


@pytest.mark.slow
def test_training_writes_what_is_read(
    folder: Path, stripes: data.Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(PLAIN, epochs=2, lr=3e-3)
    monkeypatch.setitem(RECIPES, "mnist", recipe)
    before = torch.get_rng_state()
    classifier.main(["mnist"])
    assert torch.equal(torch.get_rng_state(), before)
    document = json.loads((folder / "mnist.json").read_text())
    assert document["test_accuracy"] > 0.992
    layers = classifier.load("mnist")
    labels = torch.from_numpy(stripes.test_labels)
    right = classifier.accuracy(layers, classifier.scaled(stripes.test_images), labels)
    assert right == pytest.approx(document["test_accuracy"], abs=1e-4)
    written = (folder / "mnist.safetensors").read_bytes()
    classifier.main(["mnist"])
    assert (folder / "mnist.safetensors").read_bytes() == written


def test_training_refuses_to_write_what_is_not_good_enough(
    folder: Path, stripes: data.Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "mnist", replace(PLAIN, epochs=1, lr=1e-9))
    written = (folder / "mnist.safetensors").read_bytes()
    with pytest.raises(SystemExit, match=r"below 99\.2%: nothing written"):
        classifier.main(["mnist"])
    assert (folder / "mnist.safetensors").read_bytes() == written


def test_training_an_unknown_data_set() -> None:
    with pytest.raises(SystemExit, match="no classifier 'cifar10'; known"):
        classifier.main(["cifar10"])
