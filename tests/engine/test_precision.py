"""Products by oneDNN: where, how exact, and that they leave no trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch.nn.functional import softplus

from ganbench import nn
from ganbench.core import Game
from ganbench.engine import precision
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.system import cpu
from ganbench.system.threads import one_thread

N = 64  # in a batch
ZEN_5 = {"vendor_id": "AuthenticAMD", "cpu family": "26", "flags": "fma avx512f avx512bw"}
CAPABILITY = "torch.backends.cpu.get_cpu_capability"
without_amx = pytest.mark.skipif(
    not hasattr(torch.backends.mkldnn, "matmul")
    or any(each.startswith("amx") for each in cpu.described().get("flags", "").split()),
    reason="oneDNN has bfloat16 for float32 here, or this torch does not ask it",
)


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


@pytest.fixture
def by_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """All products of a compiled stack are oneDNN's."""
    monkeypatch.setattr(precision, "_mkl_is_slow", lambda: True)
    monkeypatch.setattr(precision, "MANY", 0)
    monkeypatch.setattr("ganbench.engine.stack.PART_BYTES", 1)


@without_amx
@pytest.mark.parametrize("shape", [(32, 16, 48), (128, 128, 128), (1, 300, 20), (500, 2, 64)])
def test_products_are_exact_to_float32(shape: tuple[int, int, int], by_onednn: None) -> None:
    m, k, n = shape
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(3, m, k, generator=rng), torch.randn(3, k, n, generator=rng)
    with precision.fast_products(0):
        found = torch.bmm(a, b)
    # Each of k terms and sums is rounded once, by half an ulp at most.
    most = k * torch.finfo(torch.float32).eps * torch.bmm(a.abs(), b.abs())
    assert ((found - torch.bmm(a.double(), b.double())).abs() <= most).all()
    halved = torch.bmm(a.bfloat16().double(), b.bfloat16().double())
    assert ((halved - torch.bmm(a.double(), b.double())).abs() > most).any()


def setting() -> str:
    return torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined, no-any-return]


@without_amx
def test_nothing_is_left_changed(by_onednn: None) -> None:
    before = setting()
    with pytest.raises(ZeroDivisionError), precision.fast_products(0):
        assert setting() != before
        _ = 1 / 0
    assert setting() == before


@without_amx
def test_small_products_are_left_to_mkl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_mkl_is_slow", lambda: True)
    before = setting()
    with precision.fast_products(precision.MANY - 1):
        assert setting() == before
    with precision.fast_products(precision.MANY):
        assert setting() != before


@without_amx
@pytest.mark.parametrize(
    ("changes", "slow"),
    [
        ({}, True),
        ({"cpu family": "25"}, False),
        ({"cpu family": ""}, False),
        ({"vendor_id": "GenuineIntel"}, False),
        ({"flags": "fma avx512f amx_tile amx_bf16"}, False),
    ],
)
def test_of_which_cpus(
    changes: Mapping[str, str], slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "described", lambda: ZEN_5 | changes)
    monkeypatch.setattr(CAPABILITY, lambda: "AVX512")
    assert precision._mkl_is_slow.__wrapped__() is slow
    monkeypatch.setattr(CAPABILITY, lambda: "AVX2")  # as it can be asked for
    assert not precision._mkl_is_slow.__wrapped__()


def test_a_cpu_of_which_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "described", dict)
    assert not precision._mkl_is_slow.__wrapped__()


@without_amx
def test_products_that_are_rounded_to_bfloat16_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "described", lambda: ZEN_5)
    monkeypatch.setattr(CAPABILITY, lambda: "AVX512")
    assert precision._mkl_is_slow.__wrapped__()
    monkeypatch.setattr(
        torch.Tensor, "__matmul__", lambda a, b: (a.bfloat16().mm(b.bfloat16())).float()
    )
    assert not precision._mkl_is_slow.__wrapped__()


def game() -> Game:
    return Game(
        generator=nn.mlp([2, 40, 24, 2]),
        discriminator=nn.mlp([2, 40, 1]),
        latent=lambda n, rng: torch.randn(n, 2, generator=rng),
        d_loss=lambda D, real, fake: (softplus(-D(real)) + softplus(D(fake))).mean(),
        g_loss=lambda D, real, fake: softplus(-D(fake)).mean(),
        d_optimizer=nn.Adam,
        g_optimizer=nn.Adam,
    )


def stack_of(seeds: list[int]) -> Stack:
    trainers = []
    for seed in seeds:
        torch.manual_seed(seed)
        trainers.append(Trainer(game(), seed=seed))
    return Stack(trainers, (N, 2))


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_the_largest_product_of_a_seed(seeds: list[int]) -> None:
    (graph,) = stack_of(seeds)._graphs.values()
    assert graph._largest_product() == N * 40 * 24


@without_amx
@pytest.mark.slow
def test_a_compiled_stack_takes_them(by_onednn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = []
    enter = precision._by_onednn

    @contextmanager
    def counted() -> Iterator[None]:
        entered.append(1)
        with enter():
            yield

    monkeypatch.setattr(precision, "_by_onednn", counted)
    rng = torch.Generator().manual_seed(9)
    real, learnt = torch.randn(2, 50, N, 2, generator=rng), []
    for compiled in (False, True):
        stack = stack_of([0, 1])
        assert not entered
        if compiled:
            stack.compile()
            entered.clear()  # of its trials
        stack.train(real)
        networks = [each.generator for each in stack.trainers]
        learnt.append(torch.cat([p.flatten() for each in networks for p in each.parameters()]))
    assert entered
    assert learnt[1].detach() == pytest.approx(learnt[0].detach(), abs=1e-4)


@without_amx
@pytest.mark.slow
def test_seeds_that_share_a_part_do_without(
    by_onednn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganbench.engine.stack.PART_BYTES", 2**30)
    stack = stack_of([0])
    stack.compile()
    graph = stack._graphs[stack._whole]
    assert graph._products is nullcontext
