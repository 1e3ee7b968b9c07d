"""Random numbers of stacked steps: a seed's own, by their laws, and none is missed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch import nn as torch_nn

from ganbench.core import Sampler
from ganbench.engine.noise import (
    CHUNK,
    LEVELS,
    Call,
    SuppliedNoise,
    device_source,
    latent_source,
    number_source,
)
from ganbench.errors import InputError

CPU = torch.device("cpu")


def noise(n: int, rng: torch.Generator) -> Tensor:
    return torch.randn(n, 2, generator=rng, device=rng.device)


def test_latents_do_not_depend_on_the_others_or_the_start() -> None:
    def take(seeds: list[int], step: int, count: int) -> Tensor:
        laws = [noise] * len(seeds)
        drawn = latent_source(laws, seeds, each=3, per_step=2, device=CPU)
        return drawn.take(range(step, step + count))

    whole = take([1, 2], 0, 2 * CHUNK)
    assert whole.shape == (2, 2 * CHUNK, 2, 3, 2)
    assert torch.equal(take([2], CHUNK - 2, 5)[0], whole[1, CHUNK - 2 : CHUNK + 3])
    assert len(whole.flatten(0, 3).unique(dim=0)) == whole[..., 0].numel()


def few_are_others(n: int, rng: torch.Generator) -> Tensor:
    return torch.randn(n, 2, generator=rng) * (2 if n < 10 else 1)


def antithetic(n: int, rng: torch.Generator) -> Tensor:
    half = torch.randn(n // 2, 2, generator=rng)
    return torch.cat([half, -half])


def row_by_row(n: int, rng: torch.Generator) -> Tensor:
    return torch.stack([torch.rand(2, generator=rng) for _ in range(n)])


@pytest.mark.parametrize(
    ("law", "at_once"),
    [
        (noise, True),
        (lambda n, rng: torch.rand(n, 3, generator=rng) * 2 - 1, True),
        (lambda n, rng: torch.randint(5, (n, 2), generator=rng), True),
        (few_are_others, False),
        (antithetic, False),
        (row_by_row, False),
        (lambda n, rng: torch.randn(n, 2, generator=rng) * n, False),
        (lambda n, rng: torch.randn(n, 2, generator=rng).sort(0).values, False),
    ],
)
def test_a_chunk_is_drawn_at_once_of_laws_whose_rows_follow_one_another(
    law: Sampler, at_once: bool
) -> None:
    sizes: list[int] = []

    def asked(n: int, rng: torch.Generator) -> Tensor:
        sizes.append(n)
        return law(n, rng)

    source = latent_source([asked], [1], each=4, per_step=2, device=CPU)
    sizes.clear()
    drawn = source.take(range(CHUNK))
    assert drawn.shape[:4] == (1, CHUNK, 2, 4)
    assert sizes == ([CHUNK * 8] if at_once else [4] * (CHUNK * 2))


MAKERS = [
    lambda call, seeds: number_source(call, seeds, CPU),
    lambda call, seeds: device_source(call, seeds, CPU),
]


@pytest.mark.parametrize("make", MAKERS, ids=["words", "on the device"])
@pytest.mark.parametrize("law", ["kept", "uniform", "normal"])
def test_numbers_do_not_depend_on_the_others_or_the_start(law, make) -> None:
    call = Call(0, law, (50,), dropped=LEVELS // 3)
    whole = make(call, [1, 2]).take(range(2 * CHUNK))
    assert (whole.shape, whole.dtype) == ((2, 2 * CHUNK, 50), call.dtype)
    steps = range(CHUNK - 3, CHUNK + 5, 4)
    assert torch.equal(make(call, [2]).take(steps)[0], whole[1, steps])
    other = make(replace(call, slot=1), [1, 2]).take(range(2 * CHUNK))
    assert not torch.equal(other, whole)


@pytest.mark.parametrize("make", MAKERS, ids=["words", "on the device"])
def test_numbers_follow_their_laws(make) -> None:
    def many(law, **options) -> Tensor:
        return make(Call(0, law, (100_000,), **options), [0]).take([0]).flatten().double()

    uniform = many("uniform")
    assert 0 <= float(uniform.min()) < 0.001 < 0.999 < float(uniform.max()) < 1
    assert abs(float(uniform.mean()) - 0.5) < 0.005
    assert abs(float(many("normal").var()) - 1) < 0.02
    for dropped in (0, LEVELS // 4, LEVELS):
        assert abs(float(many("kept", dropped=dropped).mean()) + dropped / LEVELS - 1) < 0.005


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
def test_dropout_keeps_its_share(p: float) -> None:
    with SuppliedNoise(lambda call: number_source(call, [0], CPU).take([0])[0, 0]):
        kept = torch_nn.functional.dropout(torch.ones(200, 500), p)
        assert torch.equal(torch_nn.functional.dropout(kept, p, training=False), kept)
    assert float(kept.ne(0).double().mean()) == pytest.approx(1 - p, abs=0.005)
    assert float(kept.double().mean()) == pytest.approx(float(p < 1), abs=0.01)


def test_dropout_of_channels_keeps_or_drops_them_whole() -> None:
    channels = torch.ones(40, 50, 3, 2)
    with SuppliedNoise(lambda call: number_source(call, [0], CPU).take([0])[0, 0]):
        kept = torch_nn.functional.dropout2d(channels, 0.3).flatten(2)
        with pytest.raises(InputError, match="3 dimensions"):
            torch_nn.functional.dropout2d(channels[0], 0.3)
    assert torch.equal(kept, kept[..., :1].expand_as(kept))
    assert float(kept.ne(0).double().mean()) == pytest.approx(0.7, abs=0.03)
    assert torch.allclose(kept[kept.ne(0)], torch.tensor(1 / 0.7), atol=1e-4)


def test_draws_that_are_not_supplied_are_refused() -> None:
    def ones(call: Call) -> Tensor:
        return torch.ones(call.shape)

    with SuppliedNoise(ones):
        assert torch.equal(torch.rand(2, 3), torch.ones(2, 3))
        assert torch.equal(torch.randn((4,)), torch.ones(4))
        for draw in (
            lambda: torch.randint(3, (2,)),
            lambda: torch.empty(2).normal_(),
            lambda: torch.rand(2, dtype=torch.float64),
            lambda: torch.rand(2, generator=torch.Generator()),
        ):
            with pytest.raises(InputError):
                draw()
        given = torch.empty(2).normal_(generator=torch.Generator().manual_seed(0))
    assert torch.equal(given, torch.empty(2).normal_(generator=torch.Generator().manual_seed(0)))
