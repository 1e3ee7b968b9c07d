"""The folder of what may be fetched or computed again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """GANBENCH_CACHE, or the user's cache folder."""
    root = os.environ.get("GANBENCH_CACHE")
    return Path(root) if root else platformdirs.user_cache_path("ganbench")
