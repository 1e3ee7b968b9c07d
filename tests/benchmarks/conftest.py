"""Keras on PyTorch, chosen before anything imports Keras, as in tests/parity."""

import os

os.environ["KERAS_BACKEND"] = "torch"
