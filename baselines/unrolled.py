"""Unrolled GAN: G plays against a D that has learnt some steps more (Metz et al. 2017)."""

from collections.abc import Mapping

import torch
from mlp_gan import GAN as mlp_gan
from mlp_gan import resolve_rates as resolve
from torch import Tensor
from torch.autograd import grad
from torch.func import functional_call
from torch.nn.functional import softplus

from ganbench.core import Task
from ganbench.nn import Adam

__all__ = ["GAN", "resolve"]
BETA1, BETA2, EPSILON = 0.5, 0.999, 1e-7
Learnt = tuple[list[Tensor], list[Tensor], list[Tensor], int]  # D's weights, and Adam's memory


class GAN:
    """The task's `mlp_gan` without dropout; the gradient of G goes through D's next updates."""

    def __init__(
        self,
        task: Task,
        *,
        device: str = "cpu",
        g_lr: float | None = None,
        d_lr: float | None = None,
        unrolled: int = 5,
    ) -> None:
        rates = resolve(task, g_lr=g_lr, d_lr=d_lr)
        game = mlp_gan(task, device=device, dropout=0.0)
        assert game.discriminator is not None
        self.G, self.latent = game.generator.to(device), game.latent
        self.D, self.lr, self.steps = game.discriminator.to(device), rates["d_lr"], unrolled
        weights = [w.detach() for w in self.D.parameters()]
        zeros = [torch.zeros_like(w) for w in weights]
        self.learnt: Learnt = weights, zeros, zeros, 0
        self.adam = Adam(self.G.parameters(), rates["g_lr"], (BETA1, BETA2))
        self.rng = torch.Generator(device).manual_seed(torch.initial_seed())

    def judge(self, weights: list[Tensor], x: Tensor) -> Tensor:
        """D(x) with those weights."""
        names = (name for name, _ in self.D.named_parameters())
        logits: Tensor = functional_call(self.D, dict(zip(names, weights, strict=True)), (x,))
        return logits

    def learn(self, learnt: Learnt, real: Tensor, fake: Tensor) -> tuple[Learnt, Tensor]:
        """D after a step of Adam, as a function of the fakes, and the loss before it."""
        weights, means, squares, count = learnt
        weights = [w if w.requires_grad else w.requires_grad_() for w in weights]
        on_real, on_fake = self.judge(weights, real), self.judge(weights, fake)
        loss = softplus(-on_real).mean() + softplus(on_fake).mean()
        slopes = grad(loss, weights, create_graph=True)
        means = [BETA1 * m + (1 - BETA1) * g for m, g in zip(means, slopes, strict=True)]
        squares = [BETA2 * s + (1 - BETA2) * g**2 for s, g in zip(squares, slopes, strict=True)]
        rate = self.lr * (1 - BETA2 ** (count + 1)) ** 0.5 / (1 - BETA1 ** (count + 1))
        steps = [m / (s + EPSILON**2).sqrt() for m, s in zip(means, squares, strict=True)]
        weights = [w - rate * step for w, step in zip(weights, steps, strict=True)]
        return (weights, means, squares, count + 1), loss

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """D learns; then it is looked ahead from there, and G learns against what it will be."""
        fake = self.G(self.latent(len(real), self.rng))
        (*tensors, count), d_loss = self.learn(self.learnt, real, fake.detach())
        self.learnt = *([each.detach() for each in part] for part in tensors), count
        ahead = self.learnt
        for _ in range(self.steps):
            ahead, _ = self.learn(ahead, real, fake)
        g_loss = softplus(-self.judge(ahead[0], fake)).mean()
        self.adam.zero_grad()
        g_loss.backward(inputs=list(self.G.parameters()))
        self.adam.step()
        return {"d_loss": d_loss.detach(), "g_loss": g_loss.detach()}

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n samples."""
        fake: Tensor = self.G(self.latent(n, self.rng))
        return fake
