"""One file a baseline: each defines GAN."""
