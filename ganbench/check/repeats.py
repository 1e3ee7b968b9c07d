"""Whether a GAN does the same again: its latent law, its steps, and after a checkpoint."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten_with_path

from ganbench.check.subject import Said, Subject, fails, finite, note, ok, steps_of
from ganbench.core import GAN
from ganbench.engine import contract
from ganbench.engine.state import ImpureError
from ganbench.engine.trainer import Trainer
from ganbench.engine.unstackable import UnstackableError
from ganbench.harness.checkpoint import AGAIN, Kept, gan_state, hint, own_tensors, restore_gan
from ganbench.harness.stored import UnsaveableError, load_state, save_state
from ganbench.randomness import EAGER_LATENT, generator, random_state, restore_random
from ganbench.system.modules import describe
from ganbench.system.places import named

PART = 64  # rows; torch's normal numbers come in sixteens
SAMPLES = 64


def draws(subject: Subject) -> Iterator[Said]:
    """That latents are drawn from the stream that is handed in, and from no other."""
    gan = subject.build()
    if not isinstance(gan, Trainer):
        return
    law, where = gan.game.latent, named("latent", gan.game.latent)

    def drawn(index: int, sizes: Sequence[int] = (2 * PART,)) -> Tensor:
        rng = generator(0, EAGER_LATENT, index)
        return torch.cat([contract.draw(law, n, rng) for n in sizes])

    before = random_state()
    first = drawn(0)
    if streams := _changed(before, random_state()):
        yield fails(
            f"{where} draws from the global stream of {' and '.join(streams)}: "
            "draw from the rng that it is handed (generator=rng)"
        )
        return
    if not finite(first):
        yield fails(f"{where} holds NaN or Inf")
    elif not torch.equal(first, drawn(0)):
        yield fails(f"{where} gives other numbers for the same state of rng")
    elif torch.equal(first, drawn(1)):
        yield note(f"{where} gives the same numbers whatever its rng, at every step")
    elif not torch.equal(first, drawn(0, (PART, PART))):
        yield note(
            f"{where}: rows depend on how many are drawn, so latents are drawn a batch at a time"
        )
    else:
        yield ok(f"latents {tuple(first.shape[1:])} come from rng alone, row by row")


def repeats(subject: Subject) -> Iterator[Said]:
    """That the same seed gives the same bits."""
    one, other = subject.build(), subject.build()
    count = steps_of(one)
    states = [_state(each) for each in (one, other)]
    if what := differing(*states):
        yield fails(f"two GANs built of one seed differ in {what}: draw from torch's random stream")
        return
    ends = [_end(subject, subject.build) for _ in range(2)]
    if what := differing(*ends):
        yield fails(
            f"two runs of one seed differ in {what}: "
            f"{_why(subject) or 'the clock or a stream that is not seeded has a part in it'}"
        )
    else:
        yield ok(f"two runs of one seed are the same, bit by bit, for {count} steps")


def resumes(subject: Subject) -> Iterator[Said]:
    """That a run goes on from its checkpoint as if it had not been stopped."""
    gan = subject.build()
    kept, built = Kept(gan), own_tensors(gan)
    gan = subject.trained(gan)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.safetensors"
        try:
            save_state(path, {"gan": gan_state(gan, built), "random": random_state()})
        except UnsaveableError as error:
            yield note(f"{error}, or a stopped run begins again")
            return
        saved, now = load_state(path), random_state()

    def resumed() -> GAN:
        new = subject.build()
        restore_gan(new, saved["gan"])
        restore_random(saved["random"])
        return new

    def goes_on() -> GAN:
        restore_random(now)
        return gan

    if what := differing(_end(subject, goes_on), _end(subject, resumed)):
        stack = subject.stack if isinstance(gan, Trainer) else None
        if isinstance(stack, UnstackableError) and stack.keeps:
            yield note(f"{stack}: {AGAIN}; {hint(gan)}")
            return
        if isinstance(gan, Trainer) and (said := _unsaved(kept, gan)):
            yield note(f"{said}, or a stopped run begins again")
            return
        yield fails(
            f"after --resume {what} is another than without, as some state is in no checkpoint "
            f"({_why(subject) or 'an attribute, or a global'}): {hint(gan)}"
        )
    else:
        yield ok("a run that is resumed from its checkpoint goes on with the same bits")


def _unsaved(kept: Kept, gan: GAN) -> str | None:
    """What a run would say, and store no checkpoint, of a GAN that has been trained."""
    try:
        kept.check(gan)
    except UnsaveableError as error:
        return str(error)
    return None


def copies(subject: Subject) -> Iterator[Said]:
    """That a copy of a Game goes on as it does, which a stack is held against."""
    gan = subject.trained(subject.build())
    if not isinstance(gan, Trainer):
        return
    now = random_state()
    try:
        copied = gan.copy()
    except Exception as error:
        yield note(f"its networks cannot be copied, so it is not stacked: {describe(error)}")
        return
    ends = []
    for each in (gan, copied):
        restore_random(now)
        ends.append(_end(subject, lambda each=each: each))  # type: ignore[misc]
    if what := differing(*ends):
        yield note(f"a copy of it goes on otherwise, in {what}, so it is not stacked")
    else:
        yield ok("a copy of it goes on with the same bits")


def differing(one: Any, other: Any) -> str | None:
    """The first place in two nested states that differs, bit by bit; None if there is none."""
    ours, theirs = _leaves(one), _leaves(other)
    if ours.keys() != theirs.keys():
        return min(ours.keys() ^ theirs.keys())
    return next((name for name, leaf in ours.items() if not _same(leaf, theirs[name])), None)


def _end(subject: Subject, made: Callable[[], GAN]) -> dict[str, Any]:
    """What a GAN logs in its next steps, and its state and samples after them."""
    gan = made()
    logs = {
        f"{name} at step {number}": value
        for number, real in enumerate(subject.batches(steps_of(gan)), 1)
        for name, value in subject.step(gan, real).items()
    }
    return {**logs, **_state(gan), f"sample({SAMPLES})": subject.sample(gan, SAMPLES)}


def _why(subject: Subject) -> str:
    """What a step of a Game depends on besides its tensors, and where; "" if that is not known."""
    stack = subject.stack if isinstance(subject.build(), Trainer) else None
    known = isinstance(stack, UnstackableError) and isinstance(stack.__cause__, ImpureError)
    return str(stack) if known else ""


def _state(gan: GAN) -> dict[str, Any]:
    """All that a checkpoint would hold, if it can; as it is now."""
    try:
        return {"state": copy.deepcopy(gan_state(gan, own_tensors(gan)))}
    except UnsaveableError:
        return {}


def _leaves(tree: Any) -> dict[str, Any]:
    """What is at the ends of a nested state, by the way there: `state.G.bias`."""
    found, _ = tree_flatten_with_path(tree)
    return {
        ".".join(str(getattr(step, "key", getattr(step, "idx", step))) for step in path): leaf
        for path, leaf in found
    }


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        same = one.shape == other.shape and one.dtype == other.dtype
        return same and torch.equal(one.nan_to_num(), other.nan_to_num())
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    return bool(one == other or (one != one and other != other))


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The global streams that have moved."""
    return [name for name, state in before.items() if not _same(state, after[name])]
