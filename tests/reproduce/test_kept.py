"""What has been reproduced in full is kept, and the documentation says what was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganbench import reproduce
from ganbench.reproduce.comparison import Figure, Line
from ganbench.reproduce.training import Training

DOCS = Path(__file__).parents[2] / "docs"
KEPT = sorted((DOCS / "reproductions").glob("*.json"))


def test_there_are_some() -> None:
    assert KEPT


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_the_page_says_what_was_found(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    protocol = reproduce.load(document["protocol"])
    assert isinstance(protocol, Training)
    assert document["steps"] == protocol.steps
    page = (DOCS / "reproduce.md").read_text(encoding="utf-8")
    for kept in document["rows"]:
        (row,) = protocol.chosen([kept["row"]])
        assert [seed["status"] for seed in kept["seeds"]] == ["ok"] * len(kept["seeds"])
        for quantity in protocol.quantities:
            line = Line(
                row=row.name,
                quantity=quantity,
                ours=Figure.of([seed["metrics"][quantity] for seed in kept["seeds"]]),
                published=row.published[quantity],
                real=kept["quantities"][quantity]["real_data"],
                speed=kept["seed_steps_per_second"],
                trial=False,
            )
            assert f"| {' | '.join(line.cells().values())} |" in page
