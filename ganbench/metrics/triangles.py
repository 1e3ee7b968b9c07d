"""Triangles: how they are drawn, which one an image is closest to, precision and recall by that.

Lucic et al. 2018, "Are GANs Created Equal?", measure precision as the share of samples that lie
close to a manifold known exactly, and recall as the share of the manifold that the samples reach.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganbench.errors import InputError
from ganbench.metrics._inputs import checked

QUANTITIES = {
    "triangle_precision": ("higher", "share of images within 2 grey levels of a triangle"),
    "triangle_recall": ("higher", "share of real ones within 4.5 grey levels of a triangle made"),
    "triangle_f1": ("higher", "harmonic mean of triangle_precision and triangle_recall"),
}
PROMISES = {
    "triangle_precision": ("noise", "fidelity", "order"),
    "triangle_recall": ("collapse", "order"),
    "triangle_f1": ("noise", "order"),
}

SIDE = 28  # pixels
CORNERS = (3.0, 24.0)  # where they lie, in x and y
HEIGHT = 5.0  # pixels, the least: no triangle is a sliver
NEAR = 2.0  # to a triangle: the root of the sum of squared differences, of levels from 0 to 1
REACH = 4.5  # between triangles, as before: 96 in 100 have one among 4,096
SLACK = 0.5  # pixels, by which the triangle nearest to an image may be outside of these
STEPS = 12  # of Gauss and Newton's method, at most
ROWS = 512  # images at a time: some 60 MB on their way, whatever n is
PART = 4096  # images of real at a time, held against those of fake
TURNS = torch.arange(3, dtype=torch.float64) * (2 * math.pi / 3)


def triangle_fit(real: Tensor, fake: Tensor) -> dict[str, float]:
    """Precision and recall of images `fake` (n, 784) in [-1, 1] against the triangles `real`.

    Only samples that are triangles count for recall. Raises InputError for what `checked` refuses
    and for images that are not 28 x 28.
    """
    real, fake = checked(real, fake, fewest=1)
    if real.shape[1] != SIDE**2:
        raise InputError(f"triangles are {SIDE} x {SIDE} images, got {real.shape[1]} pixels")
    levels = (fake.float().clamp(-1, 1) + 1) / 2
    corners, distance = closest(levels)
    low, high = CORNERS[0] - SLACK, CORNERS[1] + SLACK
    inside = ((corners >= low) & (corners <= high)).flatten(1).all(1)
    good = levels[(distance <= NEAR) & inside & (height(corners) >= HEIGHT - SLACK)]
    precision = len(good) / len(fake)
    recall = 0.0
    if len(good):
        parts = ((real.float() + 1) / 2).split(PART)
        away = torch.cat([torch.cdist(part, good).amin(1) for part in parts])
        recall = float((away <= REACH).double().mean())
    both = precision + recall
    return {
        "triangle_precision": precision,
        "triangle_recall": recall,
        "triangle_f1": 2 * precision * recall / both if both else 0.0,
    }


def draw(corners: Tensor) -> Tensor:
    """Grey levels (n, 784) from 0 to 1 of triangles with `corners` (n, 3, 2), x and y in pixels.

    A level is the distance inwards from the nearest side, plus a half: 0 to 1 within half a pixel
    of it. Corners go round with a positive area; the middle of the first pixel is (0, 0).
    """
    inwards, _, _ = _sides(corners)
    return (inwards.amin(1) + 0.5).clamp(0, 1)


def height(corners: Tensor) -> Tensor:
    """Shortest heights (n,) of triangles, in pixels; negative if their corners go the other way."""
    along = corners.roll(-1, 1) - corners
    doubled = along[:, 0, 0] * along[:, 1, 1] - along[:, 0, 1] * along[:, 1, 0]
    shortest: Tensor = doubled / along.norm(dim=2).amax(1)
    return shortest


def closest(levels: Tensor) -> tuple[Tensor, Tensor]:
    """The triangle nearest to each image (n, 784), as corners (n, 3, 2), and the distance (n,).

    A triangle is known by its moments to the third order, with which Gauss and Newton's method
    begins: exact for what is a triangle. Of others 1 in 100 ends up to a tenth too far.
    """
    parts = [_follow(part, by_moments(part)) for part in levels.split(ROWS)]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def by_moments(levels: Tensor) -> Tensor:
    """Corners (n, 3, 2) of the triangle with an image's mass, mean, covariance and third moment.

    Whitened, a triangle is equilateral; of E[z^3] of its points, as complex numbers, the angle is
    three times that of a corner. Resized about its centre to the image's mass. A faint ground,
    which has much of the moments, is left out.
    """
    levels = (2 * levels - 0.5).clamp(0, 1)
    points = _pixels(levels)
    mass = levels.sum(1).clamp(min=1e-3)
    weights = levels / mass[:, None]
    mean = weights @ points
    away = points - mean[:, None]
    covariance = torch.einsum("np,npi,npj->nij", weights, away, away)
    root = torch.linalg.cholesky(covariance + 1e-2 * torch.eye(2).to(levels))
    white = torch.linalg.solve_triangular(root, away.mT, upper=False)
    third = (weights * torch.complex(white[:, 0], white[:, 1]) ** 3).sum(1)
    turns = third.angle()[:, None] / 3 + TURNS.to(levels)
    corners = math.sqrt(8) * torch.stack([turns.cos(), turns.sin()], 2) @ root.mT
    area = 1.5 * math.sqrt(3) * 4 * root.diagonal(dim1=1, dim2=2).prod(1)
    size = (mass / area).sqrt().clamp(0.5, 2)[:, None, None]
    return torch.add(mean[:, None], size * corners)


def _follow(levels: Tensor, corners: Tensor) -> tuple[Tensor, Tensor]:
    """Corners that come nearer to the images by damped steps, and the distances they end at."""
    best = (draw(corners) - levels).square().sum(1)
    damping = torch.full_like(best, 1e-2)
    for _ in range(STEPS):
        slopes, missing = _linear(corners, levels)
        normal = slopes.mT @ slopes
        ridge = damping[:, None] * (normal.diagonal(dim1=1, dim2=2) + 1e-3)
        step = torch.linalg.solve(normal + ridge.diag_embed(), slopes.mT @ missing[:, :, None])
        moved = corners + step.view_as(corners).clamp(-3, 3)
        found = (draw(moved) - levels).square().sum(1)
        better = found < best
        corners = torch.where(better[:, None, None], moved, corners)
        best = torch.where(better, found, best)
        damping = torch.where(better, damping / 5, damping * 5).clamp(1e-6, 1e6)
    return corners, best.sqrt()


def _linear(corners: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes (n, 784, 6) of the levels by the corners, and what is missing of an image (n, 784).

    A side from a to b moves with its ends: the distance d = normal (p - a) of a point at the
    share s of the way has the slopes -(1 - s) normal by a and -s normal by b.
    """
    inwards, shares, normals = _sides(corners)
    nearest, side = inwards.min(1)
    on_edge = (nearest.abs() < 0.5).to(levels)
    share = shares.gather(1, side[:, None])[:, 0]
    normal = normals.gather(1, side[:, :, None].expand(-1, -1, 2)) * on_edge[:, :, None]
    slopes = levels.new_zeros(len(levels), levels.shape[1], 3, 2)
    for end, part in ((side, 1 - share), ((side + 1) % 3, share)):
        where = end[:, :, None, None].expand(-1, -1, 1, 2)
        slopes.scatter_(2, where, -(part[:, :, None] * normal)[:, :, None])
    return slopes.flatten(2), levels - (nearest + 0.5).clamp(0, 1)


def _sides(corners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distances inwards and shares of the way of pixels by side (n, 3, 784); normals (n, 3, 2)."""
    along = corners.roll(-1, 1) - corners
    length = along.norm(dim=2, keepdim=True).clamp(min=1e-3)
    tangents = along / length
    normals = torch.stack([-tangents[..., 1], tangents[..., 0]], 2)
    points = _pixels(corners)
    inwards = normals @ points.T - (normals * corners).sum(2, keepdim=True)
    shares = (tangents @ points.T - (tangents * corners).sum(2, keepdim=True)) / length
    return inwards, shares, normals


def _pixels(like: Tensor) -> Tensor:
    """The middles (784, 2) of the pixels, x and y, row by row."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return torch.stack([columns, rows], 2).view(-1, 2).to(like)
