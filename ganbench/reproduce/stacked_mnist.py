"""PacGAN, table 2: DCGAN and its packed variants on stacked MNIST (Lin et al. 2018).

Published: 128,000 images of three random digits, 50 epochs in batches of 64, 26,000 samples read by
a classifier of digits, 10 runs. Networks and updates are those of the DCGAN code that the authors
built on (github.com/carpedm20/DCGAN-tensorflow):

- D: 5 x 5 convolutions of stride 2 to 64, 128, 256 and 512 channels, leaky ReLU 0.2, batch norm in
  all but the first, one logit. G: z (100) from U(-1, 1), linear to 512 channels of 2 x 2, 5 x 5
  convolutions back to 28 x 28, batch norm and ReLU, tanh. Padding is TensorFlow's "same".
- Weights from N(0, 0.02^2), truncated at two deviations in convolutions of D; biases 0.
- Adam at 2e-4, beta1 0.5, epsilon 1e-8 where Keras has it. A step updates D once and G twice, on
  the same latents. Batch norm keeps 0.9 of its averages, by which samples are made.
- D sees real and fake packs in batches of their own. Steps are 100,000, whatever the pack.

**Assumed**, since only the code of the plane was at hand: that a pack's members are made by calls
of their own, as there. Otherwise here: packs are made anew each epoch by a shuffle of the images,
and the classifier is ganbench's (99.65 % on MNIST).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganbench.core import Task
from ganbench.nn import Adam
from ganbench.reproduce.comparison import Figure
from ganbench.reproduce.training import Row, Training

RUNS, BATCH, LATENT = 10, 64, 100
SIZES = (28, 14, 7, 4, 2)
AT_ONCE = 1000  # samples


def padding(larger: int, smaller: int) -> tuple[int, int]:
    """What TensorFlow's "same" adds before and after for a kernel of 5 and a stride of 2."""
    whole = (smaller - 1) * 2 + 5 - larger
    return whole // 2, whole - whole // 2


class Down(nn.Conv2d):
    """A convolution from one of SIZES to the next."""

    def __init__(self, size: int, into: int, out: int) -> None:
        super().__init__(into, out, 5, 2)
        before, after = padding(size, (size + 1) // 2)
        self.around = (before, after) * 2
        nn.init.trunc_normal_(self.weight, 0.0, 0.02, -0.04, 0.04)
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return super().forward(nn.functional.pad(x, self.around))


class Up(nn.ConvTranspose2d):
    """The transpose of a convolution from `size`."""

    def __init__(self, size: int, into: int, out: int) -> None:
        super().__init__(into, out, 5, 2)
        self.before, _ = padding(size, (size + 1) // 2)
        self.size = size
        nn.init.normal_(self.weight, 0.0, 0.02)
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: D102
        inside = slice(self.before, self.before + self.size)
        return super().forward(x, output_size)[:, :, inside, inside]


def linear(into: int, out: int) -> nn.Linear:
    """A dense layer with those first weights."""
    layer = nn.Linear(into, out)
    nn.init.normal_(layer.weight, 0.0, 0.02)
    nn.init.zeros_(layer.bias)
    return layer


def norm(channels: int) -> nn.BatchNorm2d:
    """That keeps 0.9 of its averages."""
    return nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1)


def generator(width: int) -> nn.Sequential:
    """z (n, 100) to images (n, 3, 28, 28)."""
    layers: list[nn.Module] = [linear(LATENT, 8 * width * 4), nn.Unflatten(1, (8 * width, 2, 2))]
    channels = (8 * width, 4 * width, 2 * width, width, 3)
    for size, into, out in zip(SIZES[-2::-1], channels[:-1], channels[1:], strict=True):
        layers += [norm(into), nn.ReLU(), Up(size, into, out)]
    return nn.Sequential(*layers, nn.Tanh())


def discriminator(pack: int, width: int) -> nn.Sequential:
    """Packs (n, 3 * pack, 28, 28) to logits (n, 1)."""
    layers: list[nn.Module] = []
    channels = (3 * pack, width, 2 * width, 4 * width, 8 * width)
    for size, into, out in zip(SIZES[:-1], channels[:-1], channels[1:], strict=True):
        normed = [norm(out)] if layers else []
        layers += [Down(size, into, out), *normed, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), linear(8 * width * 4, 1))


class GAN:
    """DCGAN, or with a `pack` of 2 or more PacDCGAN; `width` is that of the 14 x 14 layers."""

    def __init__(self, task: Task, *, device: str = "cpu", pack: int = 1, width: int = 64) -> None:
        self.pack = pack
        self.G = generator(width).to(device)
        self.D = discriminator(pack, width).to(device)
        self.adams = [
            Adam(net.parameters(), 2e-4, (0.5, 0.999), epsilon=1e-8) for net in (self.G, self.D)
        ]
        self.rng = torch.Generator(device).manual_seed(torch.initial_seed())

    def latent(self, n: int) -> Tensor:
        """z (n, 100) from U(-1, 1)."""
        return 2 * torch.rand(n, LATENT, generator=self.rng, device=self.rng.device) - 1

    def packs(self, latents: list[Tensor]) -> Tensor:
        """Fakes (n, 3 * pack, 28, 28), a pack's members made by calls of their own."""
        return torch.cat([self.G(z) for z in latents], 1)

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """An update of D and two of G, from a batch (n * pack, 3, 28, 28)."""
        n = len(real) // self.pack
        adam_g, adam_d = self.adams
        latents = [self.latent(n) for _ in range(self.pack)]
        with torch.no_grad():
            fake = self.packs(latents)
        real = real.reshape(n, -1, *real.shape[2:])
        d_loss = softplus(-self.D(real)).mean() + softplus(self.D(fake)).mean()
        adam_d.zero_grad()
        d_loss.backward()
        adam_d.step()
        for _ in range(2):
            g_loss = softplus(-self.D(self.packs(latents))).mean()
            adam_g.zero_grad()
            g_loss.backward(inputs=list(self.G.parameters()))
            adam_g.step()
        return {"d_loss": d_loss.detach(), "g_loss": g_loss.detach()}

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n images (n, 3, 28, 28), by the averages of batch norm."""
        self.G.eval()
        found = torch.cat([self.G(z) for z in self.latent(n).split(AT_ONCE)])
        self.G.train()
        return found


def row(pack: int, modes: Figure, kl: Figure) -> Row:
    """A row of the table."""
    return Row(
        name=f"pacdcgan{pack}" if pack > 1 else "dcgan",
        task="stacked_mnist",
        hparams={"pack": pack},
        batch=BATCH * pack,
        published={"stacked_modes": modes, "stacked_kl": kl},
    )


ALL = Figure(mean=1000.0, error=0.0, runs=RUNS)

PROTOCOL = Training(
    name="stacked-mnist",
    source="Lin et al. 2018 (PacGAN), table 2",
    summary="modes and KL divergence of DCGAN and PacDCGAN2 to 4 on stacked MNIST",
    file=__file__,
    rows=[
        row(1, Figure(mean=78.9, error=6.5, runs=RUNS), Figure(mean=4.50, error=0.13, runs=RUNS)),
        row(2, ALL, Figure(mean=0.06, error=0.003, runs=RUNS)),
        row(3, ALL, Figure(mean=0.06, runs=RUNS)),
        row(4, ALL, Figure(mean=0.06, runs=RUNS)),
    ],
    runs=RUNS,
    steps=100_000,
    batch=BATCH,
    pool=128_000,
    shuffle=True,
    judged=26_000,
    evaluations=50,
    metric="frechet",
    quantities=("stacked_modes", "stacked_kl"),
    counts="a triple of digits that one of 26,000 samples is read as",
    hours=28,
)
