"""The two samplers that know nothing of a GAN: every ceiling is the better of them."""

from __future__ import annotations

import torch
from torch import Tensor


def uniform_box(reference: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Uniform noise over the bounding box of `reference` (m, *shape); returns (n, *shape)."""
    low, high = reference.amin(0), reference.amax(0)
    noise = torch.rand(n, *reference.shape[1:], generator=rng, device=rng.device)
    box: Tensor = low + (high - low) * noise.to(reference.device)
    return box


def matched_gaussian(mean: Tensor, covariance: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """The Gaussian of that `mean` (d,) and `covariance` (d, d); returns (n, d), float32.

    Works for a singular covariance, as that of curves on a grid is.
    """
    variances, axes = torch.linalg.eigh(covariance.double())
    root = axes * variances.clamp(min=0).sqrt()
    noise = torch.randn(n, len(mean), generator=rng, dtype=torch.float64, device=rng.device)
    fake: Tensor = (mean + noise.to(root.device) @ root.T).float()
    return fake
