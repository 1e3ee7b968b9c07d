"""Turns templates into files of the site."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

import ganbench
from ganbench import registry
from ganbench.board import text
from ganbench.site.content import Facts
from ganbench.system.files import write

REPOSITORY = "https://github.com/ganbench/ganbench"


class Renderer:
    """Writes pages into a folder."""

    def __init__(self, folder: Path, facts: Facts) -> None:
        self.folder = folder
        self._environment = _environment(facts)

    def page(self, template: str, path: str, **content: Any) -> None:
        """Render a template into a file of the folder."""
        up = "../" * path.count("/")
        text = self._environment.get_template(template).render(up=up, **content)
        write(self.folder / path, text.encode())


def _environment(facts: Facts) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ganbench.site"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    filters: dict[str, Callable[[Any], str]] = {
        "score": text.score,
        "breakable": lambda value: markupsafe.escape(value).replace(
            "_", markupsafe.Markup("_<wbr>")
        ),
        "capitalize_first": lambda value: value[:1].upper() + value[1:],
        "count": lambda value: "-" if value is None else f"{value:,.0f}",
        "number": text.number,
        "ranks": text.ranks,
        "share": text.share,
        "height": text.height,
        "verdicts": text.verdicts_text,
        "time": text.time_text,
    }
    environment.filters |= filters
    environment.globals |= {
        "version": ganbench.__version__,
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "quality": f"{facts.quality:g}",
        "replicates": f"{facts.replicates:,}",
        "tracks": facts.tracks,
        "page": "",
        "repository": REPOSITORY,
        "metric_facts": {row.name: row for row in registry.listing("metrics")},
    }
    return environment
