"""Distances of images in the features of a small classifier: this is NOT Inception FID.

The classifier of `ganbench.classifier` was trained on the very data set, so these numbers can be
compared with each other but with no published FID, KID or inception score.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.classifier import features_and_probabilities
from ganbench.metrics._inputs import checked
from ganbench.metrics._pairs import mean_between, mean_within

QUANTITIES = {
    "frechet": ("lower", "Frechet distance in a small classifier's features; not Inception FID"),
    "kid": ("lower", "unbiased MMD^2 there, cubic kernel; not Inception KID"),
    "classifier_score": ("higher", "exp of the mean KL(p(y|x) || p(y)), from 1 to the classes"),
    "class_kl": ("lower", "KL divergence of the fakes' class shares from the real ones', in nats"),
}


def image_features(real: Tensor, fake: Tensor, *, name: str) -> dict[str, float]:
    """The four quantities of this file for images (n, 784) or (n, 1, 28, 28) in [-1, 1].

    `name` is the classifier's data set: mnist or fashion_mnist. Each side is classified once.
    """
    real_features, real_probabilities = features_and_probabilities(real, name)
    fake_features, fake_probabilities = features_and_probabilities(fake, name)
    return {
        "frechet": frechet(real_features, fake_features),
        "kid": kid(real_features, fake_features),
        "classifier_score": classifier_score(real_probabilities, fake_probabilities),
        "class_kl": class_kl(real_probabilities, fake_probabilities),
    }


def frechet(real: Tensor, fake: Tensor) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of features (m, d) and (n, d).

    That is the squared 2-Wasserstein distance of the Gaussians with the same moments. In float64,
    with unbiased covariances C; the estimate is biased upwards, by less the larger the samples,
    so only values at equal sizes compare. Other features than Inception's: NOT the FID of
    papers. Formula: Heusel et al. 2017, "GANs trained by a two time-scale update rule", eq. 6.
    """
    real, fake = checked(real, fake)
    x, y = real.double(), fake.double()
    gap = x.mean(0) - y.mean(0)
    real_covariance, fake_covariance = torch.cov(x.T), torch.cov(y.T)
    # (C1 C2)^(1/2) has the eigenvalues of (A C2 A)^(1/2) with A = C1^(1/2), which is symmetric.
    variances, axes = torch.linalg.eigh(real_covariance)
    root = axes * variances.clamp(min=0).sqrt() @ axes.T
    cross = torch.linalg.eigvalsh(root @ fake_covariance @ root).clamp(min=0).sqrt().sum()
    trace = real_covariance.trace() + fake_covariance.trace()
    return float(gap.square().sum() + trace - 2 * cross)


def kid(real: Tensor, fake: Tensor) -> float:
    """Unbiased MMD^2 with the kernel (x.y / d + 1)^3 over all pairs of features (m, d) and (n, d).

    Near 0 for equal laws, and then negative about half the time. No subsets are drawn, so there
    is no randomness. Other features than Inception's: NOT the KID of papers. Formula:
    Binkowski et al. 2018, "Demystifying MMD GANs", section 4.
    """
    real, fake = checked(real, fake)
    real, fake = real.double(), fake.double()
    within = mean_within(real, _cubic) + mean_within(fake, _cubic)
    return within - 2 * mean_between(real, fake, _cubic)


def classifier_score(real: Tensor, fake: Tensor) -> float:
    """exp E KL(p(y|x) || p(y)) of class probabilities `fake` (n, K): 1 at worst, K at best.

    The inception score with another network, hence NOT comparable with published ones. p(y) is
    the mean of p(y|x) over all n, with no splits. It knows nothing of `real`, which is not looked
    at: one perfect image a class scores K. Salimans et al. 2016, "Improved techniques for
    training GANs", section 4.
    """
    p = fake.double()
    divergence = torch.xlogy(p, p).sum(1) - torch.xlogy(p, p.mean(0)).sum(1)
    return float(divergence.mean().exp())


def class_kl(real: Tensor, fake: Tensor) -> float:
    """KL(q || p) = sum q log(q / p), in nats, of class shares q of `fake` and p of `real`.

    Both are class probabilities (n, K), of which the likeliest class counts. Shares are
    (count + 1) / (n + K), so a class that one side lacks costs much but not infinity. As
    `reverse_kl` does, it punishes most what is made too often.
    """
    p, q = _class_shares(real), _class_shares(fake)
    return float((q * (q / p).log()).sum())


def _class_shares(probabilities: Tensor) -> Tensor:
    n, classes = probabilities.shape
    counts = torch.bincount(probabilities.argmax(1), minlength=classes).double()
    return (counts + 1) / (n + classes)


def _cubic(rows: Tensor, columns: Tensor) -> Tensor:
    base = (rows @ columns.T).div_(rows.shape[1]).add_(1)
    return (base * base).mul_(base)
