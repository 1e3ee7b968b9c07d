"""No metric gives a number for samples that it cannot judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import pytest
import torch
from torch import Tensor

from ganbench import metrics, registry
from ganbench.errors import InputError
from ganbench.metrics import kernel_widths
from ganbench.metrics._inputs import checked, thinned


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def samples(width: int) -> tuple[Tensor, Tensor]:
    """20 rows of each side; what is 10 wide are the probabilities of classes."""
    real, fake = normal(20, width), normal(20, width, 1)
    return (real.softmax(1), fake.softmax(1)) if width == 10 else (real, fake)


def training() -> Tensor:
    return normal(30, 2)


X = torch.linspace(-5, 5, 64)
MOMENTS = {"mean": torch.zeros(2).double(), "covariance": torch.eye(2).double()}
METRICS: dict[str, tuple[Callable[..., float | Mapping[str, float]], int]] = {
    "mmd": (partial(metrics.mmd, widths=(1.0,)), 2),
    "energy": (metrics.energy, 2),
    "wasserstein": (metrics.wasserstein, 2),
    "sliced_wasserstein": (metrics.sliced_wasserstein, 2),
    "discriminator": (metrics.discriminator_test, 2),
    "mean_error": (partial(metrics.mean_error, **MOMENTS), 2),
    "covariance_error": (partial(metrics.covariance_error, **MOMENTS), 2),
    "mixture": (partial(metrics.mixture_modes, centers=torch.eye(2), sigma=0.1), 2),
    "precision_recall": (metrics.precision_recall, 2),
    "memorisation": (partial(metrics.memorisation, training=training), 2),
    "curve": (
        partial(metrics.curve_residual, curves=[torch.square], x_range=(-5.0, 5.0)),
        2,
    ),
    "dirac_distance": (metrics.dirac_distance, 2),
    "sine": (partial(metrics.sine_fit, x=X, b_range=(0.5, 2.0), c_range=(0.0, math.pi)), 64),
    "frechet": (metrics.frechet, 3),
    "kid": (metrics.kid, 3),
    "classifier_score": (metrics.classifier_score, 10),
    "class_kl": (metrics.class_kl, 10),
    "image_features": (partial(metrics.image_features, name="mnist"), 784),
    "stacked": (metrics.stacked_images, 3 * 784),
    "triangles": (metrics.triangle_fit, 784),
}


def spoilt(value: float) -> Callable[[Tensor], Tensor]:
    def spoil(samples: Tensor) -> Tensor:
        samples = samples.clone()
        samples[-1, -1] = value
        return samples

    return spoil


BAD: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "empty": (lambda s: s[:0], "at least|from 1 to"),
    "NaN": (spoilt(math.nan), "holds NaN or Inf"),
    "Inf": (spoilt(math.inf), "holds NaN or Inf"),
    "-Inf": (spoilt(-math.inf), "holds NaN or Inf"),
    "wide": (lambda s: torch.cat([s, s[:, :1]], 1), "equally wide|must have|have 3 x 28"),
    "integers": (lambda s: (10 * s).long(), "floating-point numbers"),
    "bytes": (lambda s: s.to(torch.uint8), "floating-point numbers"),
    "flat": (lambda s: s[:, 0], "shape"),
    "list": (lambda s: s.tolist(), "must be a tensor"),
}


def test_every_quantity_is_of_a_metric_here() -> None:
    """A new metric must be added above."""
    found: set[str] = set()
    for name, (metric, width) in METRICS.items():
        value = metric(*samples(width))
        found |= set(value) if isinstance(value, Mapping) else {name}
    many = {name for name in registry.directions() if name.endswith("_2500")}  # of so many samples
    assert found == set(registry.directions()) - many


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", METRICS)
def test_bad_samples_are_refused_on_either_side(name: str, bad: str) -> None:
    metric, width = METRICS[name]
    spoil, message = BAD[bad]
    good, other = samples(width)[0], spoil(samples(width)[1])
    for sides in ((good, other), (other, good)):
        with pytest.raises(InputError, match=message) as caught:
            metric(*sides)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["one row", "constant", "the same constant", "far away"])
@pytest.mark.parametrize("name", METRICS)
def test_odd_samples_have_a_value_or_are_refused(name: str, kind: str) -> None:
    metric, width = METRICS[name]
    real, fake = samples(width)
    sides = {
        "one row": (real, fake[:1]),
        "constant": (real, torch.full_like(fake, 0.1)),
        "the same constant": (torch.full_like(real, 0.1), torch.full_like(fake, 0.1)),
        "far away": (real, 1e18 * fake),
    }[kind]
    try:
        value = metric(*sides)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        values = value.values() if isinstance(value, Mapping) else [value]
        assert all(math.isfinite(v) for v in values)


@pytest.mark.parametrize("metric", [metrics.classifier_score, metrics.class_kl])
def test_what_are_no_probabilities_is_refused(metric: Callable[[Tensor, Tensor], float]) -> None:
    with pytest.raises(InputError, match="class probabilities"):
        metric(samples(10)[0], normal(20, 10))


def test_widths_of_a_constant_reference() -> None:
    with pytest.raises(InputError, match="different samples"):
        kernel_widths(torch.ones(50, 2))


def test_halves_are_taken_as_floats_and_doubles_stay() -> None:
    half, double = normal(4, 3).half(), normal(4, 3).double()
    assert [side.dtype for side in checked(half, double)] == [torch.float32, torch.float64]
    assert checked(half[:, :, None], double)[0].shape == (4, 3)


def test_gradients_are_left_behind() -> None:
    real = normal(4, 3).requires_grad_()
    assert not checked(real, real)[0].requires_grad


def test_thinned_is_a_fixed_choice() -> None:
    samples = torch.arange(1000.0)[:, None]
    chosen = thinned(samples, 100)
    assert torch.equal(chosen, thinned(samples, 100))
    assert len(chosen.unique()) == 100
    assert 400 < float(chosen.mean()) < 600
    assert thinned(samples, 1000) is samples
