"""The DiracGAN: which training methods converge where data and generator are one point each.

Mescheder, Geiger and Nowozin 2018. The data lie at 0, the generator makes theta of any latent, the
discriminator is D(x) = psi x; the equilibrium is (theta, psi) = (0, 0).
"""

from ganbench.dirac.picture import picture
from ganbench.dirac.play import Row, table

__all__ = ["Row", "picture", "table"]
