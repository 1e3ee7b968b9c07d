"""What the judge makes of messages that a process which trains a GAN may send it."""

from __future__ import annotations

import json
from threading import Event, Thread
from typing import Any

import pytest
import torch
from torch import Tensor

from ganbench.harness import messages
from ganbench.harness.apart import Overseen
from ganbench.harness.messages import GarbledError
from ganbench.harness.spec import Spec, task_of
from ganbench.harness.train import Slot, slots_of
from ganbench.results.schema import SeedResult

from ..made import a_seed

SPEC = Spec(task="dirac", baseline="mlp_gan")
TASK = task_of(SPEC)
N = TASK.budget.evaluation_size


class Judging:
    """The judge of seeds 0 to 2, of which 0 and 1 are in work."""

    def __init__(self) -> None:
        self.told: list[tuple[Slot, SeedResult]] = []
        slots = slots_of(range(3))
        self.overseen = Overseen({0: SPEC}, TASK, slots, self._hear, Event())
        for seed in (0, 1):
            self.send("begin", {"seed": seed})

    def send(self, kind: str, body: dict[str, Any], samples: Tensor | None = None) -> Any:
        ours, theirs = messages.between()
        said = (theirs.to, kind, {"place": 0, **body}, samples)
        speaking = Thread(target=messages.send, args=said)  # a pipe holds little
        speaking.start()
        try:
            self.overseen._answer(ours)
            return messages.receive(theirs.source)[1] if theirs.source.poll() else None
        finally:
            speaking.join()
            ours.close()
            theirs.close()

    def _hear(self, kind: str, what: Any) -> None:
        assert kind == "seed"
        self.told.append(what)


def some(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def result(seed: int, **changed: Any) -> dict[str, Any]:
    """Of a seed that claims to be as good as real data."""
    floors = {name: bound.floor for name, bound in TASK.bounds.items()}
    views = dict.fromkeys(TASK.views, 1.0)
    made = a_seed(seed).model_copy(update={"metrics": floors, "views": views, "score": 1.0})
    return {"result": {**json.loads(made.model_dump_json()), **changed}, "at_once": False}


SCORED: dict[str, tuple[Any, tuple[int, ...]]] = {
    "a seed twice": ([0, 0], (2, N, 1)),
    "no seed": ([], (0, N, 1)),
    "a seed that has not begun": ([2], (1, N, 1)),
    "one that is not to be trained": ([0, 7], (2, N, 1)),
    "more than there are": ([0, 1, 0], (3, N, 1)),
    "a million": ([0] * 1_000_000, (1_000_000,)),
    "a text": ("01", (2, N, 1)),
    "an object": ({"0": 1}, (1, N, 1)),
    "a fraction": ([0.0], (1, N, 1)),
    "samples of one, of two": ([0, 1], (1, N, 1)),
    "samples of two, of one": ([0], (2, N, 1)),
    "no samples": ([0], (1, 0, 1)),
    "nothing at all": ([0], (1, 0)),
    "too few samples": ([0], (1, N - 1, 1)),
    "wider samples": ([0], (1, N, 2)),
    "samples without their seeds": ([0], (N, 1)),
}


@pytest.mark.parametrize("what", SCORED)
def test_what_cannot_be_scored_is_no_message(what: str) -> None:
    seeds, shape = SCORED[what]
    judging = Judging()
    samples = torch.zeros(shape[0]) if len(shape) == 1 else some(*shape)
    with pytest.raises(GarbledError):
        judging.send("score", {"seeds": seeds, "round": 0}, samples)
    assert judging.told == []
    assert len(judging.overseen.left) == 3


@pytest.mark.parametrize("body", [{"round": -1}, {"round": 10**9}, {"place": 1}, {"round": None}])
def test_nor_is_another_round_or_place(body: dict[str, Any]) -> None:
    with pytest.raises(GarbledError):
        Judging().send("score", {"seeds": [0], "round": 0, **body}, some(1, N, 1))


def test_each_seed_gets_its_own_score() -> None:
    judging, last = Judging(), TASK.budget.rounds - 1
    made = torch.stack([0.1 * some(N, 1), torch.full((N, 1), torch.nan)])
    answer = judging.send("score", {"seeds": [1, 0], "round": last}, made)
    good, diverged = answer["worth"]
    assert good == TASK.evaluate(TASK.reference, made[0])
    assert diverged == ["diverged", f"samples hold NaN or Inf after round {last + 1}"]


@pytest.mark.parametrize("shape", [(N,), (N, 2), (0, 1), (2, N, 1)])
@pytest.mark.parametrize("status", ["ok", "failed"])
def test_a_result_with_other_samples_is_no_message(shape: tuple[int, ...], status: str) -> None:
    judging = Judging()
    with pytest.raises(GarbledError, match="of samples of shape"):
        judging.send("result", result(0, status=status), some(*shape))


NOT_OK = {"no samples": None, "NaN": torch.nan, "samples far away": 1e20}


@pytest.mark.parametrize("what", NOT_OK)
def test_what_claims_to_have_ended_well_without_samples_has_failed(what: str) -> None:
    judging, value = Judging(), NOT_OK[what]
    samples = None if value is None else torch.full((N, 1), value)
    judging.send("result", result(0), samples)
    judging.send("result", result(1), 0.1 * some(N, 1))
    (_, bad), (_, good) = judging.told
    assert (bad.status, bad.score) == ("failed", -1.0)
    assert bad.reason == "it has ended without samples that can be judged"
    assert set(bad.metrics.values()) == {None}
    assert good.status == "ok"
    assert good.metrics == TASK.evaluate(TASK.reference, 0.1 * some(N, 1))
