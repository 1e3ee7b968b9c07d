"""Unrolled GAN: G plays against a D that has learnt some steps more (Metz et al. 2017)."""

from collections.abc import Mapping
from math import sqrt

from _parts import OwnSteps, descend
from torch import Tensor
from torch.autograd import grad
from torch.func import functional_call
from torch.nn.functional import softplus

from ganbench.core import Task
from ganbench.nn import Adam

B1, B2, EPSILON = 0.5, 0.999, 1e-7  # of Adam
Learnt = tuple[dict[str, Tensor], list[Tensor], list[Tensor], int]  # D, and what Adam remembers


class GAN(OwnSteps):
    """The task's `mlp_gan` without dropout; G's gradient goes through `steps` updates of D."""

    def __init__(
        self, task: Task, *, device: str = "cpu", lr: float = 5e-4, steps: int = 5
    ) -> None:
        super().__init__(task, device, dropout=0.0)
        self.adam, self.lr, self.steps = Adam(self.G.parameters(), lr, (B1, B2)), lr, steps
        leaves = {n: w.detach().clone().requires_grad_() for n, w in self.D.named_parameters()}
        means, squares = ([0 * w.detach() for w in leaves.values()] for _ in range(2))
        self.learnt: Learnt = leaves, means, squares, 0

    def learn(self, learnt: Learnt, real: Tensor, fake: Tensor) -> tuple[Learnt, Tensor]:
        """D after a step of Adam, as a function of the fakes, and the loss before it."""
        weights, means, squares, count = learnt
        on_real, on_fake = (functional_call(self.D, weights, (x,)) for x in (real, fake))
        loss = softplus(-on_real).mean() + softplus(on_fake).mean()
        slopes = grad(loss, list(weights.values()), create_graph=True)
        means = [B1 * m + (1 - B1) * g for m, g in zip(means, slopes, strict=True)]
        squares = [B2 * s + (1 - B2) * g**2 for s, g in zip(squares, slopes, strict=True)]
        rate = self.lr * sqrt(1 - B2 ** (count + 1)) / (1 - B1 ** (count + 1))
        moves = [m / ((s + 1e-30).sqrt() + EPSILON) for m, s in zip(means, squares, strict=True)]
        moved = {name: w - rate * x for (name, w), x in zip(weights.items(), moves, strict=True)}
        return (moved, means, squares, count + 1), loss

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """D learns; G then learns against what D will be."""
        fake = self.fakes(len(real))
        (weights, means, squares, count), d_loss = self.learn(self.learnt, real, fake.detach())
        leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
        self.learnt = leaves, [m.detach() for m in means], [s.detach() for s in squares], count
        ahead = self.learnt
        for _ in range(self.steps):
            ahead, _ = self.learn(ahead, real, fake)
        descend(self.adam, g_loss := softplus(-functional_call(self.D, ahead[0], (fake,))).mean())
        return {"d_loss": d_loss.detach(), "g_loss": g_loss.detach()}
