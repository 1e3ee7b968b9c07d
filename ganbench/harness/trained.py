"""A trained GAN in hand again: built anew from what its run has left, to make samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ganbench import registry
from ganbench.core import GAN, Task
from ganbench.engine.generators import generators_of, own_randomness
from ganbench.errors import InputError
from ganbench.harness import checkpoint, stored
from ganbench.harness.in_memory import MakeGAN
from ganbench.harness.spec import Spec, build, look_up
from ganbench.randomness import stream
from ganbench.system import files
from ganbench.system.threads import one_thread
from ganbench.system.words import many


class TrainedGenerator:
    """A GAN as a run has left it.

    `task` is what it was trained on, `gan` the whole of it, and `module` its generator in
    inference mode: an `nn.Module`, of a Game the one that its samples come from; None if a GAN of
    another kind has none by the name `generator`. `rounds` are those that it has trained, which may
    be fewer than its run's: then `unfinished` says so, else it is None.

    Example:
        >>> import ganbench
        >>> result = ganbench.run("mlp_gan", task="gaussian", steps=2, progress=False)
        >>> trained = ganbench.load_generator(result)
        >>> trained, trained.sample(3, seed=1).shape
        (TrainedGenerator(gaussian, 2 rounds, Trainer), torch.Size([3, 2]))
    """

    def __init__(self, task: Task, gan: GAN, rounds: int, unfinished: str | None = None) -> None:
        self.task, self.gan, self.rounds, self.unfinished = task, gan, rounds, unfinished
        self.module = checkpoint.generator_of(gan)
        if self.module is not None:
            self.module.eval()

    def sample(self, n: int, *, seed: int = 0) -> Tensor:
        """n samples, float32 of shape (n, *task.shape): the same for the same seed.

        Raises InputError if the GAN makes something else, or n is less than 1.
        """
        if n < 1:
            raise InputError(f"n must be at least 1, got {n}")
        with one_thread(), own_randomness(generators_of(self.gan), stream(seed, "sample")):
            return self.task.check(self.gan.sample(n), n, f"sample({n})")

    def __repr__(self) -> str:
        rounds = many(self.rounds, "round")
        return f"TrainedGenerator({self.task.name}, {rounds}, {type(self.gan).__name__})"


def load(folder: Path, seed: int = 0, *, function: MakeGAN | None = None) -> TrainedGenerator:
    """The GAN of a seed of the run in a folder (runs/TASK/ENTRY), from its checkpoint.

    Its source is executed. A GAN that was no file, but a `function` or class, has to be given
    again. Raises InputError for a folder without a checkpoint of that seed, and if the source is
    not what was trained any more, or the task not what it was trained on.
    """
    path = folder / f"seed-{seed}" / checkpoint.FILE
    marker = files.read_object(folder / registry.MARKER)
    if not marker:
        raise InputError(f"{str(folder)!r} is no folder of a run: see runs/")
    if not path.is_file():
        raise InputError(f"{path} does not exist: seed {seed} has no checkpoint")
    if not marker.get("sources") and function is None:
        raise InputError(f"{folder} is of a function or class, not of a file: give it as gan=")
    state = stored.load_state(path)
    try:
        spec = _spec(marker, state["run"], function)
        rounds, source = int(state["round"]), state["run"]["source"]
        steps, evaluations = map(int, state["run"]["budget"])
        name, version, *variant = state["run"]["task"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no checkpoint of a run: {error!r:.100}") from error
    job = look_up(spec)
    if job.baseline.sha256 != source:
        raise InputError(f"{job.baseline.path} has changed since {folder} was trained of it")
    own = next((each for each in variant if isinstance(each, str)), None)
    if (name, version, own) != (job.task.name, job.task.version, job.task_sha256):
        raise InputError(f"{job.task.name} has changed since {folder} was trained on it")
    planned = replace(job.budget, steps=steps, evaluations=evaluations).rounds
    short = f"seed {seed} stands where its last checkpoint is: after {rounds} of {planned} rounds"
    with one_thread():
        gan = build(job, seed)
        checkpoint.restore_gan(gan, state["gan"])
    return TrainedGenerator(job.task, gan, rounds, short if rounds < planned else None)


def _spec(marker: dict[str, Any], identity: dict[str, Any], function: MakeGAN | None) -> Spec:
    """What was asked of the run that has left a marker and a checkpoint of this identity."""
    file = next(iter(marker["sources"].values()), "")
    return Spec(
        task=str(marker["task"]),
        baseline=str(file) or str(marker["baseline"]),
        hparams=dict(identity["hparams"]),
        steps=int(identity["budget"][0]),
        function=None if file else function,
    )
