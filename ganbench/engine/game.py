"""`Game`: a GAN as its networks and its losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ganbench.engine.logs import Recording
from ganbench.randomness import Sampler

Loss = Callable[..., "Tensor | tuple[Tensor, Mapping[str, Tensor]]"]
MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


@dataclass(frozen=True, kw_only=True)
class Game:
    """A GAN written as its networks and its losses; the engine does the rest.

    `latent(n, rng)` draws the generator's input on the device of `rng`. `d_loss(D, real, fake)`
    and `g_loss(D, real, fake)` return scalars and touch nothing else, so that the engine may
    stack and compile them. Several `d_loss` make an update each, in turn. The optimizer fields
    take parameters and return an optimizer. Without a discriminator (None, as its loss and
    optimizer then are) `g_loss` gets None for it: Li et al. 2015 (GMMN).

    A loss asks for more by keyword-only arguments: a network of `more`, a scalar of `schedule`,
    `latent`, that of its fakes, or `labels`: `def d_loss(D, real, fake, *, E, gamma, latent)`. It
    may return `(loss, {"name": scalar})` to have scalars of its own logged.

    `labels(real)` gives the classes of real samples, as `task.label` does where a task knows them.
    A conditional GAN draws those of its fakes in its latent: Mirza and Osindero 2014. An entry with
    labels is on a track of its own: shown, but not ranked among those that learn without.

    The generator is updated at every `d_updates`-th step. With `reuse_latent` it is updated on
    the latent of the very fakes that the discriminator has just learned from, otherwise on a
    fresh one. With `inference_fakes` the discriminator learns from fakes that the generator makes
    in inference mode, as `predict` does in Keras. With `simultaneous` both learn from where both
    stand before the step: Mescheder et al. 2017. With `extragradient` they do so twice: a first
    update of both looks ahead, and by the gradients that it finds there, on the same batch and a
    fresh latent, both are updated from where they stood: Gidel et al. 2019. `decision` is the
    discriminator output above which a sample counts as taken for real; None for a critic.

    `more` are further networks by name, which learn with the generator from its loss, by an
    optimizer of their own, made as its is: Donahue et al. 2017 (BiGAN). `schedule` holds functions
    of the share of the run's steps that is done, from 0: what they return at a step is handed to
    losses that ask for it; of "d_lr" and "g_lr" it multiplies the learning rates. `after_d` and
    `after_g` change D and G in place after each of their updates, as weight clipping does:
    Arjovsky et al. 2017. With `average`, say 0.999, samples come from an exponential moving average
    of G's weights, which keeps that share of itself at an update, less in the beginning,
    (1 + t) / (10 + t) of t updates: Karras et al. 2018.

    With a `pack` of 2 or more a step gets so many times the task's batch, and the losses batches of
    (batch_size, pack * shape[0], *shape[1:]), so that D judges several samples at once: Lin et al.
    2018 (PacGAN).

    `features(D, batch)` gives the activations (n, k) of the discriminator's feature layer, for
    the pictures. `recording` is what the source of a published system prints and draws.

    Example:
        >>> import ganbench
        >>> from ganbench.registry import load_baseline
        >>> game = load_baseline("wgan").make(ganbench.load_task("ring8"))
        >>> isinstance(game, ganbench.Game), game.d_updates, game.decision
        (True, 5, None)
    """

    generator: nn.Module
    discriminator: nn.Module | None
    latent: Sampler
    d_loss: Loss | Sequence[Loss] | None
    g_loss: Loss
    d_optimizer: MakeOptimizer | None
    g_optimizer: MakeOptimizer
    d_updates: int = 1
    reuse_latent: bool = False
    inference_fakes: bool = False
    simultaneous: bool = False
    extragradient: bool = False
    decision: float | None = 0.0
    more: Mapping[str, nn.Module] = field(default_factory=dict)
    schedule: Mapping[str, Callable[[float], float]] = field(default_factory=dict)
    after_d: Callable[[nn.Module], object] | None = None
    after_g: Callable[[nn.Module], object] | None = None
    average: float | None = None
    labels: Callable[[Tensor], Tensor] | None = None
    pack: int = 1
    features: Callable[[nn.Module, Tensor], Tensor] | None = None
    recording: Recording = field(default_factory=Recording)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All networks: D if there is one, G, and those of `more`."""
        own = {} if self.discriminator is None else {"D": self.discriminator}
        return {**own, "G": self.generator, **self.more}

    @property
    def d_losses(self) -> Sequence[Loss]:
        """The discriminator's losses, one an update."""
        if self.d_loss is None:
            return ()
        return (self.d_loss,) if callable(self.d_loss) else self.d_loss

    def packed(self, batch: Tensor) -> Tensor:
        """A batch as the losses get it."""
        if self.pack == 1:
            return batch
        n, first, *rest = batch.shape
        return batch.reshape(n // self.pack, self.pack * first, *rest)

    @property
    def at_once(self) -> bool:
        """Whether D and G are updated together."""
        return self.simultaneous or self.extragradient

    @property
    def turns(self) -> int:
        """How often a step updates each."""
        return 2 if self.extragradient else 1

    @property
    def latents_a_step(self) -> int:
        """How many latents are drawn for a step that updates G."""
        return self.turns * (1 if self.reuse_latent or self.discriminator is None else 2)
