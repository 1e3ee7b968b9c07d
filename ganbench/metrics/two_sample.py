"""The classifier two-sample test: can a fresh network tell fake from real?"""

from __future__ import annotations

import math

import torch
from scipy import stats
from torch import Tensor, nn

QUANTITIES = {
    "discriminator_accuracy": ("lower", "held-out accuracy of a fresh classifier; 0.5 is ideal"),
    "discriminator_p_value": ("higher", "p-value of that accuracy if real and fake were one law"),
}


def discriminator_test(
    real: Tensor,
    fake: Tensor,
    *,
    hidden: int = 64,
    steps: int = 400,
    batch_size: int = 256,
    seed: int = 0,
) -> dict[str, float]:
    """Held-out accuracy of a classifier trained to tell `real` (n, d) from `fake` (n, d).

    A network of two hidden ReLU layers learns on one half of each sample and is judged on the
    other. Inputs are standardised by the training half of `real`. Under the null the accuracy is
    N(1/2, 1 / (4 n_test)), which gives the one-sided p-value. The same `seed` gives the same
    split, weights and batches, whatever the global random state; which stays untouched.
    Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests", ICLR.
    """
    n = min(len(real), len(fake))
    rng = torch.Generator().manual_seed(seed)
    train, test = torch.randperm(n, generator=rng).to(real.device).tensor_split(2)
    center, scale = real[train].mean(0), real[train].std(0).clamp(min=1e-12)
    data = (torch.cat([real[train], fake[train]]) - center) / scale
    label = torch.cat([torch.ones(len(train)), torch.zeros(len(train))]).to(real.device)

    layers = _classifier(data.shape[1], hidden, rng).to(real.device)
    optimizer = torch.optim.Adam(layers.parameters(), lr=3e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    order = torch.randint(len(data), (steps, batch_size), generator=rng).to(real.device)
    with torch.enable_grad():
        for index in order:
            logit = layers(data[index]).squeeze(1)
            loss = nn.functional.binary_cross_entropy_with_logits(logit, label[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

    with torch.no_grad():
        taken_for_real = (layers((real[test] - center) / scale) > 0).double().mean()
        seen_through = (layers((fake[test] - center) / scale) <= 0).double().mean()
    accuracy = float(taken_for_real + seen_through) / 2
    z = (accuracy - 0.5) * math.sqrt(4 * 2 * len(test))
    return {"discriminator_accuracy": accuracy, "discriminator_p_value": float(stats.norm.sf(z))}


def _classifier(width: int, hidden: int, rng: torch.Generator) -> nn.Sequential:
    sizes = [(width, hidden), (hidden, hidden), (hidden, 1)]
    layers: list[nn.Module] = []
    for fan_in, fan_out in sizes:
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        with torch.no_grad():
            linear.weight.normal_(0, math.sqrt(2 / fan_in), generator=rng)
            linear.bias.zero_()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
