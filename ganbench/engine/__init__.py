"""Trains a `ganbench.Game`: one seed eagerly, or many stacked, traced and compiled."""
