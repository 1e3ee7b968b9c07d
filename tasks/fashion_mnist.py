"""Pictures of clothes in the format of MNIST: 60,000 images of 28 x 28, values in [-1, 1].

Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms", MIT licence. Fetched at first use (`ganbench data fetch fashion_mnist`).
"""

from ganbench.images import image_task

# Noise of the training images' moments lies where real ones are dense, and has better precision.
TASK = image_task("fashion_mnist", views={"fidelity": "classifier_score"})
