"""Has a seed's numbers come out of a step with the same bits, whatever is stacked beside it.

Measured with torch 2.13 on AVX-512, AVX2 and neither: an elementwise function is computed in
vectors, and what is left over at the end of a tensor one by one. Of the functions in ELEMENTWISE
the two round differently, so that a number's bits depend on where it lies, which is where the other
seeds leave it room. Here they are given tensors of whole vectors. Products of one pair of matrices,
of which a side is 1, are computed by another routine than those of many: here they are of two.

Functions of which the two agree, as tanh, exp, log, log1p, erf and sqrt, are left as they are, and
so is what torch's compiler makes: it takes what is left over as a vector of which less is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

aten = torch.ops.aten
LANES = 64  # numbers in two vectors of the widest, of 16 bits each: what a loop takes at once

ELEMENTWISE = frozenset(
    {
        aten.atan2,
        aten.atanh,
        aten.celu,
        aten.cosh,
        aten.elu,
        aten.elu_backward,
        aten.exp2,
        aten.gelu,
        aten.gelu_backward,
        aten.lerp,
        aten.logaddexp,
        aten.logaddexp2,
        aten.mish,
        aten.mish_backward,
        aten.pow,
        aten.selu,
        aten.sigmoid,
        aten.sigmoid_backward,
        aten.silu,
        aten.silu_backward,
        aten.sinh,
        aten.softplus,
        aten.softplus_backward,
        aten.softshrink,
        aten.sub,  # with a factor: one rounding in a vector, two without
    }
)
EXACT = (2, 3)  # exponents of which torch multiplies
PRODUCTS = frozenset({aten.bmm, aten.baddbmm})


Run = Callable[..., Tensor]


def own_bits(step: fx.GraphModule) -> fx.GraphModule:
    """A traced step with those operations exchanged whose bits depend on other seeds; on the CPU.

    It is for running as it is: torch's compiler does not know what they are exchanged for.
    """
    graph = fx.Graph()
    graph.output(graph.graph_copy(step.graph, {}))
    graph.output_node().meta.update(step.graph.output_node().meta)
    for node in graph.nodes:
        run = _exchanged(node)
        if run is not None:
            node.target = run
    return fx.GraphModule(step, graph)


def _exchanged(node: fx.Node) -> Run | None:
    """What a node should call, if its bits are not a seed's own."""
    value = node.meta.get("val")
    if not isinstance(node.target, torch._ops.OpOverload) or not isinstance(value, Tensor):
        return None
    if value.device.type != "cpu":
        return None
    name = node.target._schema.name.removeprefix("aten::")
    kind = getattr(aten, name.removesuffix("_"), None)
    if kind in ELEMENTWISE and not _exact(kind, node):
        return _in_vectors(node, in_place=name.endswith("_"))
    if kind in PRODUCTS:
        return _thick(node)
    return None


def _exact(kind: Any, node: fx.Node) -> bool:
    """A plain difference, a square or a cube."""
    if kind is aten.sub:
        return "alpha" not in node.kwargs
    return kind is aten.pow and node.args[1] in EXACT


def _value(node: Any) -> Tensor:
    """What a node had for a value as it was traced."""
    value: Tensor = node.meta["val"]
    return value


def _in_vectors(node: fx.Node, *, in_place: bool) -> Run | None:
    """An elementwise function of tensors that are padded to whole vectors."""
    value = _value(node)
    given = [_value(each) for each in node.all_input_nodes]
    whole = value.numel() % LANES == 0 and value.is_contiguous()
    if whole and all(each.shape == value.shape and each.is_contiguous() for each in given):
        return None
    # In the order in which the values lie, which is kept: what comes next may view them.
    order = sorted(range(value.ndim), key=lambda dim: value.stride(dim), reverse=True)
    shape, count = [value.shape[dim] for dim in order], value.numel()
    back = [order.index(dim) for dim in range(value.ndim)]
    function: Any = _out_of_place(node.target) if in_place else node.target

    def flat(given: Any) -> Any:
        if not isinstance(given, Tensor):
            return given
        laid = given.expand(value.shape).permute(order).reshape(count)
        return functional.pad(laid, (0, -count % LANES), value=0.5)

    def in_vectors(*args: Any, **kwargs: Any) -> Tensor:
        found = function(*map(flat, args), **{name: flat(each) for name, each in kwargs.items()})
        found = found[:count].view(shape).permute(back)
        return args[0].copy_(found) if in_place else found  # type: ignore[no-any-return]

    return in_vectors


def _out_of_place(target: Any) -> Any:
    name = target._schema.name.removeprefix("aten::").removesuffix("_")
    return getattr(getattr(aten, name), target._overloadname)


def _thick(node: fx.Node) -> Run | None:
    """Products of matrices of which a side is 1."""
    left, right = (_value(each) for each in node.args[-2:])
    (seeds, rows, terms), columns = left.shape, right.shape[2]
    function: Any = node.target

    def of_two(*args: Tensor) -> Tensor:
        return function(*(each.expand(2, *each.shape[1:]) for each in args))[:1]  # type: ignore

    def as_sum(*args: Tensor) -> Tensor:
        *bias, left, right = args
        product = (left.transpose(1, 2) * right).sum(1, keepdim=True)
        return product + bias[0] if bias else product

    if rows == 1:
        return as_sum
    return of_two if seeds == 1 and (terms == 1 or columns == 1) else None
