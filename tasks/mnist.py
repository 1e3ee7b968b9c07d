"""Handwritten digits: 60,000 images of 28 x 28, values in [-1, 1]; a target of tutorial GANs.

LeCun, Cortes and Burges, "The MNIST database of handwritten digits", CC BY-SA 3.0. Fetched at
first use (`ganbench data fetch mnist`).
"""

from ganbench.images import image_task

TASK = image_task("mnist")
