"""Options that several commands share, and the values of `--set`."""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from ganbench import registry
from ganbench.errors import one_line
from ganbench.system.limits import (
    DAY,
    LONGEST,
    MOST_SETTINGS,
    MOST_STEPS,
    MOST_TRIALS,
    MOST_WORKERS,
)

if TYPE_CHECKING:
    from ganbench.harness.spec import Spec

F = TypeVar("F", bound=Callable[..., Any])
FARTHEST = 1e100  # position: as far as a score may be


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
    "--workers", type=click.IntRange(1, MOST_WORKERS), help="Processes; one a core by default."
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress.")


class Finite(click.FloatRange):
    """A number between bounds, as `click.FloatRange` has it, and never NaN or Inf."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; a line of what is wrong with it."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"expected a finite number, got {found}", param, ctx)
        return found


def seeds_or_auto(
    context: click.Context, option: click.Parameter, value: str | None
) -> int | Literal["auto"] | None:
    """A number of seeds, 1 or more, "auto" or nothing; anything else ends with a line."""
    if value is None or value == "auto":
        return None if value is None else "auto"
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"expected a number of seeds from 1 on, or auto, got {value!r}")
    return int(value)


def seed_or_fresh(
    context: click.Context, option: click.Parameter, value: str | None
) -> int | Literal["fresh"] | None:
    """A seed, 0 or more, "fresh" or nothing; anything else ends with a line."""
    if value is None or value == "fresh":
        return None if value is None else "fresh"
    if not value.isdecimal() or len(value) > 19 or int(value) >= 2**63:
        raise click.BadParameter(f"expected a seed from 0 on, or fresh, got {value!r:.50}")
    return int(value)


# Each is named as the field of `ganbench.harness.spec.Spec` that it sets.
SPEC_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "baseline": click.argument("baseline"),
    "task": click.option(
        "--task", required=True, help="A task's name, or the path of a task file."
    ),
    "budget": click.option(
        "--budget",
        type=click.Choice(["full", "quick", "smoke"]),
        default="full",
        show_default=True,
        help="The task's own, a tenth of it, or 50 steps.",
    ),
    "steps": click.option(
        "--steps", type=click.IntRange(1, MOST_STEPS), help="Training steps, instead of a budget's."
    ),
    "device": click.option(
        "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto"
    ),
    "compiled": click.option(
        "--compile",
        "compiled",
        type=click.Choice(["auto", "on", "off"]),
        default="auto",
        callback=lambda context, option, value: {"on": True, "off": False}.get(value),
        help="Compile the steps of a Game; auto does for runs of 10,000 steps or more.",
    ),
    "precision": click.option(
        "--precision",
        type=click.Choice(["float32", "tf32", "bf16"]),
        default="float32",
        show_default=True,
        help="Of products while training: tf32 on a GPU, or bfloat16.",
    ),
    "hparams": click.option(
        "--set",
        "hparams",
        multiple=True,
        metavar="K=V[,V...]",
        callback=lambda context, option, value: parse_settings(value),
        help="Set a hyper-parameter; of several values, each is run.",
    ),
    "tuning_trials": click.option(
        "--tuning-trials",
        type=click.IntRange(0, MOST_TRIALS),
        default=0,
        help="How many settings were tried to find these; a sweep counts its own.",
    ),
    "log_every": click.option(
        "--log-every",
        type=click.IntRange(1, MOST_STEPS),
        metavar="N",
        help="Print and log the losses every N steps.  [default: as the published system does]",
    ),
    "sample_every": click.option(
        "--sample-every",
        type=click.IntRange(1, MOST_STEPS),
        metavar="N",
        help="Draw samples every N steps.  [default: as the published system does]",
    ),
    "log": click.option(
        "--log",
        multiple=True,
        type=click.Choice(["csv", "tensorboard", "wandb"]),
        help="Hand losses and metrics on, too; may be given more than once.",
    ),
    "time_limit": click.option(
        "--time-limit",
        type=Finite(0, LONGEST, min_open=True),
        default=DAY,
        show_default=True,
        metavar="SECONDS",
        help="What a seed may take in all; one that takes longer has failed.",
    ),
    "resume": click.option("--resume", is_flag=True, help="Go on from the last checkpoint."),
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a command was asked for: fields of a `Spec`, and each choice of its `hparams`."""

    fields: Mapping[str, Any]
    hparams: Sequence[Mapping[str, Any]]

    def specs(self, **more: Any) -> list[Spec]:
        """A spec for each choice of hyper-parameters, of which all count as trials."""
        from ganbench.harness.spec import Spec  # which imports torch

        fields = {**self.fields, **more}
        if len(self.hparams) > 1:
            fields["tuning_trials"] = fields.get("tuning_trials", 0) + len(self.hparams)
        return [Spec(hparams=hparams, **fields) for hparams in self.hparams]

    def check(self, **more: str | None) -> None:
        """InputError for names that cannot be meant, told before torch is imported."""
        names = {**self.fields, **more}
        # Every choice of hyper-parameters has the same names.
        registry.check(task=names["task"], baseline=names["baseline"], hparams=self.hparams[0])


def spec_options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options of a `Spec` by its fields, handed to a command as one `Asked`, its first argument."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_asked(**given: Any) -> Any:
            fields = {name: given.pop(name) for name in names}
            return command(Asked(hparams=fields.pop("hparams", [{}]), fields=fields), **given)

        decorated: Callable[..., Any] = with_asked
        for name in reversed(names):  # the last decorator's option is the first in the help
            decorated = SPEC_OPTIONS[name](decorated)
        return decorated

    return decorate


track_option = click.option(
    "--track",
    type=click.Choice(["quality", "time"]),
    default="quality",
    show_default=True,
    help="Rank by the score, or by the time of training to --quality.",
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
    type=Finite(-FARTHEST, FARTHEST),
    default=0.5,
    show_default=True,
    metavar="POSITION",
    help="Where the metric of every round (mmd, frechet) is to lie for the time to it.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def form_options(command: F) -> F:
    """What to print of a result, as `form`: "all", "json", or None for a short table."""
    command = click.option(
        "--all", "form", flag_value="all", help="Show every metric, not only the most telling."
    )(command)
    return click.option("--json", "form", flag_value="json", help="Print one JSON document.")(
        command
    )


def parse_settings(settings: tuple[str, ...]) -> list[dict[str, Any]]:
    """`("lr=1e-3,3e-3", "g_hidden=[32,32]")` to one dictionary for each combination of values."""
    choices: dict[str, list[Any]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        parts = split_values(text)
        if not equals or not name or not all(parts):
            shown = one_line(setting)
            raise click.UsageError(f"--set takes NAME=VALUE or NAME=VALUE,VALUE, got {shown!r}")
        choices[name] = [parse_value(part) for part in parts]
    if (count := math.prod(map(len, choices.values()))) > MOST_SETTINGS:
        raise click.UsageError(f"--set asks for {count:,} settings, at most {MOST_SETTINGS:,}")
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
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # nested too deeply
        return text.strip()
