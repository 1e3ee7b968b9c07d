"""What every metric asks of its two samples, said in one line where it is not so."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ganbench.errors import InputError
from ganbench.metrics._kept import part

BLOCK = 4096  # rows


def checked(real: Tensor, fake: Tensor, *, fewest: int = 2) -> tuple[Tensor, Tensor]:
    """Both samples flattened to (m, d) and (n, d), detached, as they are or in float32 if shorter.

    Raises InputError for what is no tensor of floating-point numbers, has fewer than `fewest`
    rows, differs in width, or holds NaN or Inf. Integers are refused: bytes of images are not the
    values in [-1, 1] that they stand for.
    """
    real = part(real, ("rows", fewest), partial(_rows, "real", real, fewest))
    fake = _rows("fake", fake, fewest)
    if real.shape[1] != fake.shape[1]:
        raise InputError(
            f"real and fake must be equally wide, got {real.shape[1]} and {fake.shape[1]} numbers "
            "in a row"
        )
    return real, fake


def _rows(name: str, samples: Tensor, fewest: int) -> Tensor:
    if not isinstance(samples, Tensor):
        raise InputError(f"{name} must be a tensor, got {type(samples).__name__}")
    if not samples.is_floating_point():
        raise InputError(f"{name} must hold floating-point numbers, got {samples.dtype}")
    if samples.ndim < 2 or samples.shape[1:].numel() == 0:
        raise InputError(f"{name} must have shape (n, d), got {tuple(samples.shape)}")
    if len(samples) < fewest:
        raise InputError(f"{name} must have at least {fewest} rows, got {len(samples)}")
    # One NaN or Inf makes a sum one; finite float32 cannot overflow in float64, into which torch
    # copies what it sums: a block at a time.
    if not all(torch.isfinite(part.sum(dtype=torch.float64)) for part in samples.split(BLOCK)):
        raise InputError(f"{name} holds NaN or Inf")
    rows = samples.detach().flatten(1)
    return rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows


def thinned(samples: Tensor, count: int) -> Tensor:
    """`count` rows of `samples` (n, d), the same random choice every time; all of fewer.

    Not the first ones: a file may hold its samples in some order.
    """
    if len(samples) <= count:
        return samples
    chosen = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))[:count]
    return samples[chosen.to(samples.device)]
