"""A small classifier of 28 x 28 images, shipped trained, in whose features metrics compare images.

`python -m ganbench.classifier [mnist] [fashion_mnist]` trains it anew and writes the weights.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganbench.errors import InputError

CLASSES = 10
FEATURES = 64
SIDE = 28
BATCH = 128  # of what is classified at once: the widest activations then stay in cache

WEIGHTS = Path(__file__).resolve().parent / "weights"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the classifier of one data set is trained.

    Each image is turned by up to `degrees`, resized by up to the share `zoom`, moved by up to
    `shift` pixels and, with `mirror`, flipped half the time. Below `required` test accuracy the
    weights are not written.
    """

    degrees: float
    zoom: float
    shift: float
    mirror: bool
    required: float
    epochs: int = 15
    batch_size: int = 128
    lr: float = 1e-2
    weight_decay: float = 1e-4
    seed: int = 0


RECIPES = {
    "mnist": Recipe(degrees=12, zoom=0.1, shift=2, mirror=False, required=0.992),
    "fashion_mnist": Recipe(degrees=0, zoom=0.05, shift=1, mirror=True, required=0.92),
}


def features_and_probabilities(images: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Features (n, 64) and class probabilities (n, 10) of images (n, 784) or (n, 1, 28, 28).

    `name` is the data set that the classifier was trained on: mnist or fashion_mnist. Pixels are
    those of the tasks, -1 for paper and 1 for ink; what lies outside is cut off, as saving to a
    file would. The features are the activations before the last layer, after their ReLU. Both
    are float32 on the device of `images`, and the same bits on every call on one thread.
    """
    if math.prod(images.shape[1:]) != SIDE * SIDE:
        shape = tuple(images.shape)
        raise InputError(f"the classifier takes images of 28 x 28 = 784 values, got shape {shape}")
    layers = load(name, str(images.device))
    return apply(layers, images.detach().reshape(-1, 1, SIDE, SIDE))


@functools.cache
def load(name: str, device: str = "cpu") -> nn.Sequential:
    """The trained classifier of a data set, read once a process.

    Raises InputError if its weights are missing or not those that its JSON file describes.
    """
    if name not in RECIPES:
        raise InputError(f"there is no classifier {name!r}; known: {', '.join(RECIPES)}")
    path = WEIGHTS / f"{name}.safetensors"
    remedy = f"reinstall ganbench, or train it with `python -m ganbench.classifier {name}`"
    try:
        content = path.read_bytes()
        expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        kind = type(error).__name__
        raise InputError(f"the classifier {name} cannot be read ({kind}): {remedy}") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise InputError(f"{path} is not the file that {name}.json describes: {remedy}")
    with torch.random.fork_rng(devices=[]):  # a run's first evaluation must not move its streams
        layers = network()
    layers.load_state_dict(safetensors.torch.load(content))
    return layers.eval().requires_grad_(False).to(device)


@torch.no_grad()
def apply(layers: nn.Sequential, images: Tensor) -> tuple[Tensor, Tensor]:
    """Features (n, 64) and probabilities (n, 10) of images (n, 1, 28, 28) under `layers`.

    What lies outside of [-1, 1] is cut off, a batch at a time: all at once would be a copy.
    """
    features = torch.empty(len(images), FEATURES, device=images.device)
    logits = torch.empty(len(images), CLASSES, device=images.device)
    # On a GPU, TF32 would round the features to three digits, and autotuning vary them.
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        for start in range(0, len(images), BATCH):
            part = slice(start, start + BATCH)
            features[part] = layers[:-1](images[part].float().clamp(-1, 1))
            logits[part] = layers[-1](features[part])
    return features, logits.softmax(1)


def network(*, normalise: bool = False) -> nn.Sequential:
    """The untrained layers: (n, 1, 28, 28) to (n, 10) logits in 5 million multiplications.

    With `normalise`, as it is trained, batch normalisation comes before each ReLU: it also keeps
    every feature alive and of a size near 1.
    """
    # channels in and out, stride, padding: 28 x 28, then 14, 14, 7, 5
    stages = [(1, 16, 1, 1), (16, 32, 2, 1), (32, 32, 1, 1), (32, 64, 2, 1), (64, 64, 1, 0)]
    layers: list[nn.Module] = []
    for before, after, stride, padding in stages:
        layers.append(nn.Conv2d(before, after, 3, stride, padding))
        if normalise:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.ReLU())
    layers += [nn.Flatten(), nn.Linear(64 * 5 * 5, FEATURES)]
    if normalise:
        layers.append(nn.BatchNorm1d(FEATURES))
    whole = nn.Sequential(*layers, nn.ReLU(), nn.Linear(FEATURES, CLASSES))
    # The channels last in memory: twice as fast on a CPU.
    return nn.utils.convert_conv2d_weight_memory_format(whole, torch.channels_last)


def train(images: Tensor, labels: Tensor, recipe: Recipe) -> nn.Sequential:
    """A classifier of images (n, 1, 28, 28) in [-1, 1] with `labels` (n,), folded and in eval mode.

    The same seed gives the same weights on the same machine and one thread. The learning rate
    rises and falls in one cycle: Smith and Topin 2019, "Super-convergence".
    """
    rng = torch.Generator().manual_seed(recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        layers = network(normalise=True)
    optimizer = torch.optim.AdamW(
        layers.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
    )
    batches = len(images) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.lr, total_steps=recipe.epochs * batches
    )
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(images), generator=rng)[: batches * recipe.batch_size]
        total = 0.0
        for index in order.split(recipe.batch_size):
            batch = distort(images[index], recipe, rng)
            loss = nn.functional.cross_entropy(layers(batch), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1} of {recipe.epochs}: loss {total / batches:.4f}", flush=True)
    return fold(layers.eval())


def distort(images: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Images (n, 1, 28, 28), each turned, resized, moved and mirrored at random."""
    n = len(images)
    angle, zoom, right, down = 2 * torch.rand(4, n, generator=rng) - 1
    angle = angle * math.radians(recipe.degrees)
    scale = 1 + zoom * recipe.zoom
    flip = 1 - 2 * (torch.rand(n, generator=rng) < 0.5 * recipe.mirror).float()
    cos, sin = scale * angle.cos(), scale * angle.sin()
    shift = 2 * recipe.shift / SIDE  # the grid runs from -1 to 1
    rows = [cos * flip, -sin, right * shift, sin * flip, cos, down * shift]
    grid = nn.functional.affine_grid(
        torch.stack(rows, 1).reshape(n, 2, 3), list(images.shape), align_corners=False
    )
    # Padding is 0, so paper must be 0 while the image is sampled.
    return nn.functional.grid_sample(images + 1, grid, align_corners=False) - 1


def fold(layers: nn.Sequential) -> nn.Sequential:
    """A network without batch normalisation, which joins the layer before it; same outputs."""
    kept: list[nn.Module] = []
    for layer in layers:
        before = kept[-1] if kept else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            kept[-1] = nn.utils.fuse_conv_bn_eval(before, layer)
        elif isinstance(layer, nn.BatchNorm1d) and isinstance(before, nn.Linear):
            kept[-1] = nn.utils.fuse_linear_bn_eval(before, layer)
        else:
            kept.append(layer)
    return nn.Sequential(*kept)


def scaled(images: NDArray[np.uint8]) -> Tensor:
    """Pictures (n, 28, 28) of 0 to 255 as the classifier takes them: (n, 1, 28, 28), -1 to 1."""
    return torch.from_numpy(images).float().sub_(127.5).div_(127.5)[:, None]


def accuracy(layers: nn.Sequential, images: Tensor, labels: Tensor) -> float:
    """Share of images (n, 1, 28, 28) whose likeliest class is the label."""
    return float((apply(layers, images)[1].argmax(1) == labels).double().mean())


def write(layers: nn.Sequential, name: str, test_accuracy: float) -> Path:
    """Write the weights and, beside them, their checksum and how they came about."""
    state = {key: value.contiguous() for key, value in layers.state_dict().items()}
    content = safetensors.torch.save(state)
    document = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "test_accuracy": round(test_accuracy, 4),
        "parameters": sum(value.numel() for value in state.values()),
        "command": f"python -m ganbench.classifier {name}",
        "recipe": asdict(RECIPES[name]),
        "torch": torch.__version__,
    }
    WEIGHTS.mkdir(exist_ok=True)
    path = WEIGHTS / f"{name}.safetensors"
    path.write_bytes(content)
    path.with_suffix(".json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def main(names: Iterable[str]) -> None:
    """Train and write the classifiers of the named data sets, or all."""
    from ganbench import data  # only training needs the data

    torch.set_num_threads(1)  # more threads add in another order: other bits
    for name in list(names) or RECIPES:
        if name not in RECIPES:
            raise SystemExit(f"there is no classifier {name!r}; known: {', '.join(RECIPES)}")
        images, recipe = data.load(name), RECIPES[name]
        labels = torch.from_numpy(images.train_labels).long()
        layers = train(scaled(images.train_images), labels, recipe)
        labels = torch.from_numpy(images.test_labels).long()
        reached = accuracy(layers, scaled(images.test_images), labels)
        print(f"{name}: test accuracy {reached:.2%}", flush=True)
        if reached < recipe.required:
            raise SystemExit(f"{reached:.2%} is below {recipe.required:.1%}: nothing written")
        print(write(layers, name, reached))


if __name__ == "__main__":
    main(sys.argv[1:])
