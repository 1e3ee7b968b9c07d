"""Keras on PyTorch, chosen before anything imports Keras."""

import os

os.environ["KERAS_BACKEND"] = "torch"
