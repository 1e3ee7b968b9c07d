"""Metrics: plain functions of (real, fake), one family a file.

`real` and `fake` are float tensors of shape (n, d); both sides may differ in n. Each file's
`QUANTITIES` says, for every number its functions return, which way is better and what it is.
"""

from ganbench.metrics.curves import curve_residual
from ganbench.metrics.dirac import dirac_distance
from ganbench.metrics.features import class_kl, classifier_score, frechet, image_features, kid
from ganbench.metrics.kernel import energy, kernel_widths, mmd
from ganbench.metrics.memorisation import memorisation
from ganbench.metrics.mixture import mixture_modes
from ganbench.metrics.moments import covariance_error, mean_error
from ganbench.metrics.neighbours import precision_recall
from ganbench.metrics.sine import fit_sines, sine_fit
from ganbench.metrics.stacked import stacked_counts, stacked_images
from ganbench.metrics.transport import sliced_wasserstein, wasserstein
from ganbench.metrics.triangles import triangle_fit
from ganbench.metrics.two_sample import discriminator_test, discriminator_tests

__all__ = [
    "class_kl",
    "classifier_score",
    "covariance_error",
    "curve_residual",
    "dirac_distance",
    "discriminator_test",
    "discriminator_tests",
    "energy",
    "fit_sines",
    "frechet",
    "image_features",
    "kernel_widths",
    "kid",
    "mean_error",
    "memorisation",
    "mixture_modes",
    "mmd",
    "precision_recall",
    "sine_fit",
    "sliced_wasserstein",
    "stacked_counts",
    "stacked_images",
    "triangle_fit",
    "wasserstein",
]
