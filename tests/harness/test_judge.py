"""The judge: what several seeds make is scored at once, each as if it were alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ganbench import registry
from ganbench.core import AtOnce, Value
from ganbench.harness import train
from ganbench.harness.hidden import Hidden, variant
from ganbench.harness.judge import Judge, Worth
from ganbench.harness.recorder import EndedError
from ganbench.harness.spec import Spec, look_up
from ganbench.harness.train import judge_of, train_seeds
from ganbench.randomness import generator


@pytest.mark.parametrize("name", ["gaussian", "sine"])
def test_several_are_evaluated_as_each_alone(name: str) -> None:
    task, rng = registry.load_task(name), torch.Generator().manual_seed(0)
    real = task.reference[:1024]
    fakes = torch.stack([scale * task.sample(1024, rng) for scale in (1.0, 1.5, 0.1)])
    assert task.evaluate_all(real, fakes) == [task.evaluate(real, fake) for fake in fakes]


TOGETHER = [name for name in registry.names("tasks") if name not in ("dirac", "veegan1200")]


@pytest.mark.parametrize("name", TOGETHER)
def test_classifiers_of_every_task_train_together(name: str) -> None:
    metric = registry.load_bare_task(name).metrics["discriminator_accuracy"]
    assert isinstance(metric, AtOnce)


@pytest.mark.parametrize("hidden", [False, True])
def test_what_several_can_share_is_asked_for_once(hidden: bool) -> None:
    task = registry.load_task("gaussian")
    metric = task.metrics["discriminator_accuracy"]
    assert isinstance(metric, AtOnce)
    asked = []

    def several(real: Tensor, fakes: Tensor) -> Sequence[Value]:
        asked.append(tuple(fakes.shape))
        return metric.several(real, fakes)

    watched = {**task.metrics, "discriminator_accuracy": AtOnce(metric.one, several)}
    task = replace(task, metrics=watched)
    if hidden:
        task = variant(task, Hidden(seed=3))
    fakes = torch.stack([task.sample(512, generator(seed, "examples")) for seed in range(3)])
    found = task.evaluate_all(task.reference[:512], fakes)
    assert asked == [(3, 512, 2)]
    assert found == [task.evaluate(task.reference[:512], fake) for fake in fakes]
    assert len(asked) == 1


@pytest.mark.parametrize("round", [0, 19])
def test_seeds_that_diverge_leave_the_others_their_scores(tmp_path: Path, round: int) -> None:
    task = registry.load_task("ring8")
    good = task.sample(4096, torch.Generator().manual_seed(0))
    judge = Judge(task, device="cpu", folder=tmp_path)
    made = {3: good * torch.nan, 5: good, 2: 1e9 * good, 4: good + 1}
    for seed in made:
        judge.begin(seed)
    outcomes = judge.score(round, made)
    assert {seed: str(each) for seed, each in outcomes.items() if isinstance(each, EndedError)} == {
        3: f"samples hold NaN or Inf after round {round + 1}",
        2: f"samples run away to infinity after round {round + 1}",
    }
    for seed in (5, 4):
        assert outcomes[seed] == judge.score(round, {seed: made[seed]})[seed]
    assert judge.score(round, {3: made[3]}).keys() == {3}


class Counting:
    """A judge that says whose samples came together."""

    def __init__(self, judge: Judge) -> None:
        self._judge, self.asked = judge, list[list[int]]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._judge, name)

    def score(self, round: int, samples: Mapping[int, Tensor]) -> Mapping[int, Worth]:
        self.asked.append(list(samples))
        return self._judge.score(round, samples)


@pytest.mark.parametrize(
    ("numbers", "together"), [(2**24, [[0, 1, 2]]), (2 * 2 * 4096, [[0, 1], [2]])]
)
def test_as_many_as_fit_are_scored_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: int, together: list[list[int]]
) -> None:
    monkeypatch.setattr(train, "NUMBERS", numbers)
    spec = Spec(task="gaussian", baseline="mlp_gan", steps=20, compiled=False, folder=tmp_path)
    job = look_up(spec)
    judge = Counting(judge_of(job))
    results = list(train_seeds(job, [0, 1, 2], judge=judge))
    rounds = job.budget.rounds
    assert judge.asked == together * rounds
    assert [each.status for each in results] == ["ok"] * 3
    (alone,) = train_seeds(look_up(spec), [1])
    assert (alone.metrics, alone.score) == (results[1].metrics, results[1].score)
