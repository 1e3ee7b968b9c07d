"""Options that several commands share, and the values of `--set`."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def folder_option(*names: str, default: str, help: str) -> Callable[[F], F]:
    """An option that takes a folder, which need not exist."""
    kind = click.Path(path_type=Path, file_okay=False)
    return click.option(*names, type=kind, default=Path(default), show_default=True, help=help)


leaderboard_option = folder_option(
    "--leaderboard", "root", default="leaderboard", help="Folder of the results."
)
out_option = folder_option(
    "--out", default="runs", help="Folder for pictures, samples and checkpoints."
)
workers_option = click.option(
    "--workers", type=click.IntRange(1), help="Processes; one a core by default."
)
settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="K=V[,V...]",
    help="Set a hyper-parameter; of several values, each is run.",
)
compile_option = click.option(
    "--compile",
    "compiled",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    callback=lambda context, option, value: {"on": True, "off": False}.get(value),
    help="Compile the steps of a Game; auto does for runs of 10,000 steps or more.",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["float32", "tf32", "bf16"]),
    default="float32",
    show_default=True,
    help="Of products while training: tf32 on a GPU, or bfloat16.",
)


def _finite(context: click.Context, option: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter(f"expected a finite number, got {value}")
    return value


track_option = click.option(
    "--track",
    type=click.Choice(["quality", "time"]),
    default="quality",
    show_default=True,
    help="Rank by the score, or by the time of training to the score --quality.",
)
tuning_option = click.option(
    "--tuning",
    type=click.Choice(["any", "default", "tuned"]),
    default="any",
    show_default=True,
    help="Who competes: entries with default hyper-parameters, those that were tuned, or both.",
)
quality_option = click.option(
    "--quality",
    type=float,
    default=0.5,
    show_default=True,
    metavar="SCORE",
    callback=_finite,
    help="The score to which the time of training is taken.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def parse_settings(settings: tuple[str, ...]) -> list[dict[str, Any]]:
    """`("lr=1e-3,3e-3", "g_hidden=[32,32]")` to one dictionary for each combination of values."""
    choices: dict[str, list[Any]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        parts = split_values(text)
        if not equals or not name or not all(parts):
            raise click.UsageError(f"--set takes NAME=VALUE or NAME=VALUE,VALUE, got {setting!r}")
        choices[name] = [parse_value(part) for part in parts]
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


def split_values(text: str) -> list[str]:
    """The parts between commas that stand in no bracket: `[32,32],[64]` to `[32,32]`, `[64]`."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def parse_value(text: str) -> Any:
    """A Python value, or the text itself if it is none."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()
