"""A verdict in words for each trained seed: what went wrong, since when, by which figures."""
