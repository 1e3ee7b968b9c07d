"""Environments for Gymnasium: import this module, then `gymnasium.make("ganbench/Sine-v0")`.

`gymnasium.make("ganbench.gym:ganbench/Sine-v0")` does both at once.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.utils import EzPickle

from ganbench import registry
from ganbench.env import check_values, make
from ganbench.errors import InputError

Float32Array = np.ndarray[Any, np.dtype[np.float32]]


class GanEnv(gymnasium.Env[Float32Array, Float32Array], EzPickle):
    """One episode is one training run; see `ganbench.Env` for what the parts mean.

    Observation: float32 (steps_per_round, batch_size, *shape), the real batches of the next
    round. In the last round, which may be shorter, `info["steps"]` of them count.
    Action: float32 (evaluation_size, *shape), samples of the generator.

    The `budget` is "full", "quick" or "smoke"; an episode terminates where the task's first metric
    has the position `threshold` (by default the task's); metrics are computed on the `device`.
    `render_mode="rgb_array"` draws the last action beside real samples. A pickled environment is
    made anew, and waits for `reset`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012 - as Gymnasium has it

    def __init__(
        self,
        task: str,
        *,
        budget: str = "full",
        threshold: float | None = None,
        device: str = "cpu",
        render_mode: str | None = None,
    ) -> None:
        EzPickle.__init__(
            self,
            task,
            budget=budget,
            threshold=threshold,
            device=device,
            render_mode=render_mode,
        )
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(f"render_mode must be 'rgb_array' or None, got {render_mode!r}")
        self.render_mode = render_mode
        self.env = make(task, budget=budget, device=device)
        if threshold is not None:
            self.env.threshold = threshold
        spec, shape = self.env.budget, self.env.task.shape
        # Images have values in [-1, 1]; elsewhere these are finite, as Gymnasium asks for, and
        # no real draw comes near them: 20 deviations.
        reach = float((self.env.task.center.abs() + 20 * self.env.task.scale).max())
        reach = 1.0 if self.env.task.is_images else reach
        self.observation_space: Any = _box(reach, (spec.steps_per_round, spec.batch_size, *shape))
        self.action_space: Any = _box(reach, (spec.evaluation_size, *shape))
        self._shown: Float32Array | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32Array, dict[str, Any]]:
        """Start the run of a seed, which deals what `ganbench.Env` deals for it.

        Without a seed, one is drawn from the environment's own stream. There are no `options`:
        InputError for any.
        """
        if options:
            raise InputError(f"reset takes no options, got {', '.join(map(repr, options))}")
        super().reset(seed=seed)
        self._shown = None
        info = self.env.start(int(self.np_random.integers(2**31)) if seed is None else seed)
        return self._observe(), {**info, "steps": self.env.budget.steps_in(0)}

    def step(self, action: Float32Array) -> tuple[Float32Array, float, bool, bool, dict[str, Any]]:
        """Score the round's samples; deal the next round."""
        samples = torch.tensor(np.asarray(action))
        note = check_values(self.env.task, samples, "step(action)")
        if note is not None:
            gymnasium.logger.warn(note)
        reward, terminated, truncated, info = self.env.score_round(samples)
        self._shown = samples.numpy().astype(np.float32)
        steps = 0 if truncated else self.env.budget.steps_in(self.env.round)
        return self._observe(), reward, terminated, truncated, {**info, "steps": steps}

    def render(self) -> Any:
        """The last action beside real samples, uint8 (height, width, 3), of one size for a task.

        None without a render mode. Before the first action there are only real samples.
        """
        if self.render_mode is None:
            return None
        from ganbench import plots

        step = min(self.env.round * self.env.budget.steps_per_round, self.env.budget.steps)
        return plots.frame(self.env.task, step, self._shown)

    def _observe(self) -> Float32Array:
        return self.env.deal(self.env.budget.steps_per_round).cpu().numpy().astype(np.float32)


def _box(reach: float, shape: tuple[int, ...]) -> spaces.Box:
    """The box from -reach to reach, whose bounds hold one number each, not one a coordinate."""
    box = spaces.Box(-reach, reach, shape, np.float32)
    for name in ("low", "high", "bounded_below", "bounded_above"):
        value = getattr(box, name).flat[0]
        setattr(box, name, np.broadcast_to(value, shape))
    return box


def register() -> None:
    """Register every bundled task as `ganbench/<Task>-v0`: two_curves as TwoCurves."""
    for name in registry.names("tasks"):
        title = "".join(part.capitalize() for part in name.split("_"))
        gymnasium.register(
            id=f"ganbench/{title}-v0", entry_point="ganbench.gym:GanEnv", kwargs={"task": name}
        )


register()
