"""The table of what `ganbench verify --rerun` finds: `python -m ganbench.board.power_table`.

Claims are drawn with replacement from an entry's published scores, and raised; so are new seeds,
and not raised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from ganbench.board import power
from ganbench.results import schema, store

ENTRY = "mlp_gan"
TASKS = ("gaussian", "ring8", "sine")
EXAGGERATIONS = (0.05, 0.1, 0.3)
SEEDS = (5, 10, 20)


def rows(
    task: str, scores: Sequence[float]
) -> Iterator[tuple[str, int, list[float], float | None]]:
    """For each number of new seeds, the automatic one first: what EXAGGERATIONS are found with.

    Each as the task's name, marked where the number is automatic, the number, the chances, and the
    smallest exaggeration that is found with the chance `power.CHANCE`.
    """
    claimed, automatic = len(scores), power.seeds_for(scores)
    named = [] if automatic is None else [(f"`{task}`, automatic", automatic)]
    for name, new in [*named, *((f"`{task}`", new) for new in SEEDS)]:
        chances = [power.power([scores], new, more, claimed=claimed) for more in EXAGGERATIONS]
        yield name, new, chances, power.smallest([scores], new, claimed=claimed)


def table(root: Path) -> Iterator[str]:
    """The lines of the table in Markdown, of the scores under a leaderboard's folder."""
    heads = ["task", "new seeds", *(f"+{more:g}" for more in EXAGGERATIONS), "found 9 times in 10"]
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for task in TASKS:
        result = schema.load_result(store.path_of(root, task, ENTRY))
        scores = [seed.score for seed in result.seeds if seed.score is not None]
        for name, new, chances, smallest in rows(task, scores):
            cells = [name, str(new), *(f"{chance:.2f}" for chance in chances)]
            cells.append("-" if smallest is None else f"+{smallest:.3f}")
            yield f"| {' | '.join(cells)} |"


@click.command()
@click.argument("root", default="leaderboard", type=click.Path(path_type=Path, file_okay=False))
def main(root: Path) -> None:
    """Print the table of the published scores under the folder ROOT."""
    for line in table(root):
        click.echo(line)


if __name__ == "__main__":
    main()
