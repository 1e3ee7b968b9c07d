"""Distances of images in the features of a small classifier: this is NOT Inception FID.

The classifier of `ganbench.classifier` was trained on the very data set, so these numbers can be
compared with each other but with no published FID, KID or inception score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, MutableMapping

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from ganbench.classifier import features_and_probabilities
from ganbench.errors import InputError
from ganbench.metrics._inputs import checked
from ganbench.metrics._pairs import mean_between, mean_within
from ganbench.metrics.moments import mean_and_covariance
from ganbench.metrics.neighbours import precision_recall

QUANTITIES = {
    "frechet": ("lower", "Frechet distance in a small classifier's features; not Inception FID"),
    "kid": ("lower", "unbiased MMD^2 there, cubic kernel; not Inception KID"),
    "classifier_score": ("higher", "exp of the mean KL(p(y|x) || p(y)), from 1 to the classes"),
    "class_kl": ("lower", "KL divergence of the fakes' class shares from the real ones', in nats"),
}
SOURCES = {
    "frechet": "Heusel et al. 2017, GANs trained by a two time-scale update rule",
    "kid": "Binkowski et al. 2018, Demystifying MMD GANs",
    "classifier_score": "Salimans et al. 2016, Improved techniques for training GANs",
}
PROMISES = {
    "frechet": ("noise", "drop", "collapse", "dispersal", "order", "symmetry", "consistent"),
    "kid": ("noise", "drop", "collapse", "dispersal", "order", "symmetry", "unbiased"),
    "classifier_score": ("drop", "collapse", "dispersal", "order"),
    "class_kl": ("drop", "collapse", "order", "consistent"),
}

FEW = 128  # features, of which all products of three fit into 9 MB
ROWS = 128  # of features whose products of two are at hand at once

Classified = tuple[Tensor, Tensor]
Classify = Callable[[Tensor, str], Classified]
State = tuple[Classify, str, int, float]


def image_features(real: Tensor, fake: Tensor, *, name: str) -> dict[str, float]:
    """The four quantities of this file, and those of `precision_recall` in the same features.

    Images are (n, 784) or (n, 1, 28, 28), in [-1, 1]; `name` is the classifier's data set: mnist
    or fashion_mnist. Each side is classified once, and a tensor that comes again as `real`,
    unchanged, not anew.
    """
    checked(real, fake)
    real_features, real_probabilities = classified_once(features_and_probabilities, real, name)
    fake_features, fake_probabilities = features_and_probabilities(fake, name)
    return {
        "frechet": frechet(real_features, fake_features),
        "kid": kid(real_features, fake_features),
        "classifier_score": classifier_score(real_probabilities, fake_probabilities),
        "class_kl": class_kl(real_probabilities, fake_probabilities),
        **precision_recall(real_features, fake_features),
    }


# What was made of a tensor that is still in use: far smaller than it, and gone when it is.
_classified: MutableMapping[Tensor, tuple[State, Classified]] = WeakIdKeyDictionary()


def classified_once(classify: Classify, real: Tensor, name: str) -> Classified:
    """`classify(real, name)`, kept for as long as that very tensor lives and is not changed.

    An evaluation brings the same reference as the one before, whose features take as long as the
    fakes'. The result is shared: do not change it.
    """
    if real.is_inference():  # it counts no changes
        return classify(real, name)
    # The sum tells of changes that torch does not count: through NumPy, or through `.data`.
    state = (classify, name, real._version, float(real.sum()))
    kept = _classified.get(real)
    if kept is None or kept[0] != state:
        kept = _classified[real] = state, classify(real, name)
    return kept[1]


def frechet(real: Tensor, fake: Tensor) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of features (m, d) and (n, d).

    That is the squared 2-Wasserstein distance of the Gaussians with the same moments. In float64,
    with unbiased covariances C; the estimate is biased upwards, by less the larger the samples,
    so only values at equal sizes compare. Other features than Inception's: NOT the FID of
    papers. Formula: Heusel et al. 2017, "GANs trained by a two time-scale update rule", eq. 6.
    """
    (real_mean, real_covariance), (fake_mean, fake_covariance) = map(
        mean_and_covariance, checked(real, fake)
    )
    gap = real_mean - fake_mean
    # (C1 C2)^(1/2) has the eigenvalues of (A C2 A)^(1/2) with A = C1^(1/2), which is symmetric.
    variances, axes = torch.linalg.eigh(real_covariance)
    root = axes * variances.clamp(min=0).sqrt() @ axes.T
    cross = torch.linalg.eigvalsh(root @ fake_covariance @ root).clamp(min=0).sqrt().sum()
    trace = real_covariance.trace() + fake_covariance.trace()
    return float(gap.square().sum() + trace - 2 * cross)


def kid(real: Tensor, fake: Tensor) -> float:
    """Unbiased MMD^2 with the kernel (x.y / d + 1)^3 over all pairs of features (m, d) and (n, d).

    Near 0 for equal laws, and then negative about half the time. No subsets are drawn, so there
    is no randomness. Up to 128 features it takes time in n, not in n^2. Other features than
    Inception's: NOT the KID of papers. Formula: Binkowski et al. 2018, "Demystifying MMD GANs",
    section 4.
    """
    real, fake = checked(real, fake)
    if real.shape[1] <= FEW:
        return _kid_of_cubes(real, fake)
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
    p = _probabilities(real, fake)[1].double()
    divergence = torch.xlogy(p, p).sum(1) - torch.xlogy(p, p.mean(0)).sum(1)
    return float(divergence.mean().exp())


def class_kl(real: Tensor, fake: Tensor) -> float:
    """KL(q || p) = sum q log(q / p), in nats, of class shares q of `fake` and p of `real`.

    Both are class probabilities (n, K), of which the likeliest class counts. Shares are
    (count + 1) / (n + K), so a class that one side lacks costs much but not infinity. As
    `reverse_kl` does, it punishes most what is made too often.
    """
    p, q = map(_class_shares, _probabilities(real, fake))
    return float((q * (q / p).log()).sum())


def _probabilities(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    real, fake = checked(real, fake, fewest=1)
    for side in (real, fake):
        if bool((side < 0).any() | ((side.sum(1) - 1).abs() > 1e-3).any()):
            raise InputError("class probabilities must not be negative and sum to 1 in each row")
    return real, fake


def _class_shares(probabilities: Tensor) -> Tensor:
    n, classes = probabilities.shape
    counts = torch.bincount(probabilities.argmax(1), minlength=classes).double()
    return (counts + 1) / (n + classes)


def _cubic(rows: Tensor, columns: Tensor) -> Tensor:
    base = (rows @ columns.T).div_(rows.shape[1]).add_(1)
    return (base * base).mul_(base)


def _kid_of_cubes(real: Tensor, fake: Tensor) -> float:
    """The cubic-kernel distance from sums over each side alone.

    With z = (x / sqrt(d), 1) the kernel is (z.z')^3, whose sum over all pairs is the product of
    the sums of the tensors z z z.
    """
    (x, x_diagonal), (y, y_diagonal) = _cubes(real), _cubes(fake)
    m, n = len(real), len(fake)
    within_real = (float((x * x).sum()) - x_diagonal) / (m * (m - 1))
    within_fake = (float((y * y).sum()) - y_diagonal) / (n * (n - 1))
    return within_real + within_fake - 2 * float((x * y).sum()) / (m * n)


def _cubes(features: Tensor) -> tuple[Tensor, float]:
    """Sum of z_i z_j z_k over the rows, i <= j, and sum of |z|^6.

    An entry with i < j stands for two, hence the root of 2.
    """
    d = features.shape[1]
    i, j = torch.triu_indices(d + 1, d + 1, device=features.device)
    twice = torch.where(i == j, 1.0, 2.0).double().sqrt()
    total = torch.zeros(len(i), d + 1, dtype=torch.float64, device=features.device)
    diagonal = 0.0
    for rows in features.split(ROWS):
        z = nn.functional.pad(rows.double() / math.sqrt(d), (0, 1), value=1.0)
        total.addmm_((z[:, i] * z[:, j]).T, z)
        diagonal += float(z.square().sum(1).pow(3).sum())
    return total * twice[:, None], diagonal
