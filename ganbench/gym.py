"""Environments for Gymnasium: import this module, then `gymnasium.make("ganbench/Sine-v0")`.

`gymnasium.make("ganbench.gym:ganbench/Sine-v0")` does both at once.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from ganbench import registry
from ganbench.env import check_values, make

Float32Array = np.ndarray[Any, np.dtype[np.float32]]


class GanEnv(gymnasium.Env[Float32Array, Float32Array]):
    """One episode is one training run; see `ganbench.Env` for what the parts mean.

    Observation: float32 (steps_per_round, batch_size, *shape), the real batches of the next
    round. In the last round, which may be shorter, `info["steps"]` of them count.
    Action: float32 (evaluation_size, *shape), samples of the generator.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(self, task: str, *, budget: str = "full") -> None:
        self.env = make(task, budget=budget)
        spec, shape = self.env.budget, self.env.task.shape
        # Images have values in [-1, 1]; elsewhere these are finite, as Gymnasium asks for, and
        # no real draw comes near them: 20 deviations.
        reach = float((self.env.task.center.abs() + 20 * self.env.task.scale).max())
        reach = 1.0 if self.env.task.is_images else reach
        batches = (spec.steps_per_round, spec.batch_size, *shape)
        self.observation_space = spaces.Box(-reach, reach, batches, np.float32)
        self.action_space = spaces.Box(-reach, reach, (spec.evaluation_size, *shape), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32Array, dict[str, Any]]:
        """Start a run; without a seed, one is drawn from the environment's own stream."""
        super().reset(seed=seed)
        info = self.env.start(int(self.np_random.integers(2**31)))
        return self._observe(), {**info, "steps": self.env.budget.steps_in(0)}

    def step(self, action: Float32Array) -> tuple[Float32Array, float, bool, bool, dict[str, Any]]:
        """Score the round's samples; deal the next round."""
        samples = torch.tensor(np.asarray(action))
        note = check_values(self.env.task, samples, "step(action)")
        if note is not None:
            gymnasium.logger.warn(note)
        reward, terminated, truncated, info = self.env.score_round(samples)
        steps = 0 if truncated else self.env.budget.steps_in(self.env.round)
        return self._observe(), reward, terminated, truncated, {**info, "steps": steps}

    def _observe(self) -> Float32Array:
        return self.env.deal(self.env.budget.steps_per_round).numpy().astype(np.float32)


def register() -> None:
    """Register every bundled task as `ganbench/<Task>-v0`: two_curves as TwoCurves."""
    for name in registry.names("tasks"):
        title = "".join(part.capitalize() for part in name.split("_"))
        gymnasium.register(
            id=f"ganbench/{title}-v0", entry_point="ganbench.gym:GanEnv", kwargs={"task": name}
        )


register()
