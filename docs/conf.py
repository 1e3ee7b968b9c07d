"""The documentation as web pages: `sphinx-build -W -c docs . build/docs`, in the checkout.

The source folder is the checkout, so that pages link as they do there. Pages of tasks, metrics and
baselines are written from the code first: `generated_pages.py`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generated_pages  # noqa: E402 - which lies beside this file

import ganbench  # noqa: E402

project, author = "ganbench", "the ganbench authors"
project_copyright = author
release = ganbench.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/tutorials/*.md",
    "docs/generated/**",
    *("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"),
]
nb_execution_mode = "force"  # tutorials are what they do today
nb_execution_raise_on_error = nb_execution_in_temp = True
nb_execution_timeout = 600  # seconds a cell
nb_execution_show_tb = True
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
html_theme, html_title = "furo", "ganbench"
html_show_sourcelink = False
highlight_language = "text"  # of blocks that name none, as what a command prints
autodoc_typehints_format = "short"
autodoc_type_aliases = {name: name for name in ("Loss", "MakeOptimizer", "Metric", "Sampler")}
maximum_signature_line_length = 80
autodoc_member_order = "bysource"
nitpicky = False


def setup(app: Sphinx) -> None:
    """Have pages written before they are read, and the front page found at the top."""
    app.connect("builder-inited", lambda app: generated_pages.write(HERE.parent))
    app.connect("build-finished", _front)
    app.connect("autodoc-process-docstring", _as_rst, priority=400)  # before napoleon


def _front(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.name == "html":
        refresh = '<meta http-equiv="refresh" content="0; url=docs/index.html">'
        page = f'<!doctype html><title>ganbench</title>{refresh}<a href="docs/index.html">here</a>'
        Path(app.outdir, "index.html").write_text(page, encoding="utf-8")


def _as_rst(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings as reStructuredText: code in double backticks, `*` and `|` as they are."""
    example = False
    for place, line in enumerate(lines):
        example = line.strip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            parts = line.split("`")
            parts[::2] = [re.sub(r"([*|])", r"\\\1", part) for part in parts[::2]]
            lines[place] = "``".join(parts)
