"""Loops of traced steps: the same as the steps one by one, changes in place included."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from ganbench.engine import hoist, kept_code
from ganbench.engine import loop as loops
from ganbench.engine.loop import Loop, functional, reshape_products

aten = torch.ops.aten
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]
PRODUCTS = (aten.bmm.default, aten.baddbmm.default)


def step(weight, count, x):
    """Changes both tensors of its memory, the second without ever reading the first."""
    torch._foreach_mul_([weight], 0.5)
    weight.addcmul_(x, x)
    count += 1
    return ((weight * count).sum(1),)


def traced(function, *examples):
    module = make_fx(function, tracing_mode="fake")(*examples)
    module.graph.eliminate_dead_code()
    return module


def test_functional():
    examples = [torch.ones(2, 3), torch.zeros(2, 1), torch.rand(2, 3)]
    body = functional(traced(step, *examples), examples)
    before = [each.clone() for each in examples]
    value, *new = body.graph(*examples)
    assert body.changed == [0, 1]
    assert all(map(torch.equal, examples, before))
    (expected,) = step(*examples)
    assert torch.equal(value, expected)
    assert all(map(torch.equal, new, examples[:2]))


class ReplayedLoop:
    """In the place of the CPU's own loop, what a GPU has."""

    def __init__(self, step, make, slots, examples):
        self.cycle = loops.compiled_cycle(make(), slots, examples)

    def run(self, given, count):
        loops.Replay(self.cycle, given)(count)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what torch's compiler imports
@pytest.mark.parametrize("how", ["while", "replayed", "compiled and replayed"])
@pytest.mark.parametrize("device", DEVICES)
def test_loop(device, how, monkeypatch):
    if how == "compiled and replayed":  # as a GPU does anyway
        monkeypatch.setattr(loops, "WhileLoop", ReplayedLoop)
    memory = [torch.ones(2, 3, device=device), torch.zeros(2, 1, device=device)]
    by_hand = [each.clone() for each in memory]
    x = torch.rand(7, 2, 3, device=device)
    module = traced(step, *memory, x[0])
    loop = Loop(module, [memory], [x[0]], cycles=4, compiled=how != "replayed")
    values = torch.cat([loop([x[:4]]), loop([x[4:]])])
    expected = torch.stack([step(*by_hand, each)[0] for each in x])
    assert torch.allclose(values, expected, rtol=1e-6)
    assert all(map(torch.allclose, memory, by_hand))


COUNTING = """
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from ganbench.engine.loop import Loop

def step(weight, x):
    weight += x
    return (weight.sum(1),)

memory, x = [torch.zeros(2, 16)], torch.ones(3, 2, 16)
module = make_fx(step, tracing_mode="fake")(*memory, x[0])
Loop(module, [memory], [x[0]], cycles=3)([x])
print(int((memory[0] == 3).sum()))
"""


@pytest.mark.slow
@pytest.mark.long
def test_another_instruction_set_gets_code_of_its_own(tmp_path: Path) -> None:
    """Of two CPUs that share the compiler's cache, both take every step of every number."""
    other = "default" if torch.backends.cpu.get_cpu_capability() == "AVX2" else "avx2"
    for changes in ({}, {"ATEN_CPU_CAPABILITY": other}):
        caches = dict.fromkeys(("TORCHINDUCTOR_CACHE_DIR", "GANBENCH_CACHE"), str(tmp_path))
        environment = {**os.environ, **caches, **changes}
        command = [sys.executable, "-c", COUNTING]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.stdout == "32\n", done.stderr


def filtering(weight, kernel, x):
    """Products and views, buffers that are used again, and a kernel that makes its own output."""
    torch._foreach_mul_([weight, kernel], 0.5)
    hidden = torch.bmm(x, weight).tanh()
    hidden = torch.bmm(hidden, weight.transpose(1, 2)).tanh()
    filtered = torch.nn.functional.conv1d(hidden, kernel).sort(2).values
    kernel += filtered.mean((0, 2)).reshape(-1, 1, 1)
    weight += torch.bmm(x.transpose(1, 2), hidden)
    return (filtered.sum(2),)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_hoisting_changes_no_bit(monkeypatch, tmp_path):
    found = []
    for context in (hoist.hoisting, nullcontext):
        monkeypatch.setattr(kept_code, "hoisting", context)
        monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / str(len(found))))
        torch.manual_seed(0)
        memory = [torch.rand(2, 16, 16), torch.rand(16, 16, 3)]
        x = torch.rand(5, 2, 16, 16)
        loop = Loop(traced(filtering, *memory, x[0]), [memory], [x[0]], cycles=5)
        found.append([loop([x]), loop([x[:3]]), *memory])
    assert all(map(torch.equal, *found))
    assert all(bool(each.isfinite().all()) for each in found[0])


VIEW = "wrap_with_raii_handle_if_needed(reinterpret_tensor_wrapper({}, 1, int_array_0, 0L))"
ARRAY = "static constexpr int64_t int_array_0[] = {2L, };\n"
OWN = """\
AtenTensorHandle o_handle;
convolve(x, &o_handle);
RAIIAtenTensorHandle o(o_handle);
"""


def buffer(name, how):
    return f"""\
AtenTensorHandle {name}_handle;
CHECK(aoti_torch_{how}, &{name}_handle));
RAIIAtenTensorHandle {name}({name}_handle);
"""


def test_hoisted():
    before = ARRAY + buffer("a", "empty_strided(1") + buffer("x", "assign_tensors_out(arg")
    turn = buffer("i", "assign_tensors_out(index") + buffer("j", "empty_strided(0") + OWN
    code = f"""\
while (1) {{
{before}{turn}fused(a, x, i);
auto v = {VIEW.format("a")}; a.reset();  // reuse
auto w = {VIEW.format("o")};  // alias
auto b = std::move(v);  // reuse
product(b, {VIEW.format("x")}, {VIEW.format("o")});
b.reset();
o.reset();
index.reset();
index = std::move(j);
}}
return index;"""
    assert (
        hoist.hoisted(code)
        == f"""\
{before}auto v = {VIEW.format("a")};
auto& b = v;
auto view_0 = {VIEW.format("x")};
while (1) {{
{turn}fused(a, x, i);
auto w = {VIEW.format("o")};  // alias
product(b, view_0, {VIEW.format("o")});
o.reset();
index.reset();
index = std::move(j);
}}
return index;"""
    )


@pytest.mark.slow
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("rows", "terms", "columns", "how"),
    [
        (16, 3, 16, "a sum"),
        (16, 32, 2, "transposed"),
        (2, 32, 16, "as it is"),
        (4, 9, 4, "as it is"),
    ],
)
def test_thin_products(rows, terms, columns, how, bias):
    multiply = torch.baddbmm if bias else torch.bmm
    given = [torch.rand(5, rows, terms), torch.rand(5, terms, columns)]
    given = [torch.rand(5, 1, columns), *given] if bias else given
    module = traced(multiply, *given)
    reshape_products(module)
    assert torch.allclose(module(*given), multiply(*given), rtol=1e-5)
    shapes = [node.meta["val"].shape[1:] for node in module.graph.nodes if node.target in PRODUCTS]
    assert (
        shapes
        == {
            "a sum": [],
            "transposed": [(columns, rows)],
            "as it is": [(rows, columns)],
        }[how]
    )


def test_hoisting_is_off_where_it_was_not_tried(monkeypatch):
    """The code of another torch may be written otherwise: none is touched, nor kept apart."""
    from torch._inductor.codegen import common

    common.init_backend_registration()
    plain = common.device_codegens["cpu"]
    with hoist.hoisting():
        assert common.device_codegens["cpu"] is not plain
    monkeypatch.setattr(torch, "__version__", "2.99.0+cpu")
    with hoist.hoisting():
        assert common.device_codegens["cpu"] is plain


@pytest.mark.parametrize(
    ("version", "tried"),
    [("2.13.0", True), ("2.13.1+cpu", True), ("2.1", False), ("2.130.0", False), ("3.13", False)],
)
def test_versions(version, tried):
    assert hoist.is_tried(version) is tried
