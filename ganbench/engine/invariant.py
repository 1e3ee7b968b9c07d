"""Has a seed's numbers come out of a step with the same bits, whatever is stacked beside it.

Measured with torch 2.13 on AVX-512, AVX2 and neither: an elementwise function is computed in
vectors, and what is left over at the end of a tensor one by one. Of the functions in ELEMENTWISE
the two round differently, so that a number's bits depend on where it lies, which is where the other
seeds leave it room. Here they are given tensors of whole vectors. Products of one pair of matrices,
of which a side is 1, are computed by another routine than those of many: here they are of two.

Convolutions and torch's batch norms are left as they are: there, bits may depend on the others.

Functions of which the two agree, as tanh, exp, log, log1p, erf and sqrt, are left as they are, and
so is what torch's compiler makes: it takes what is left over as a vector of which less is kept.
"""

from __future__ import annotations

import math
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
REDUCTIONS = frozenset(
    {
        aten.linalg_vector_norm,
        aten.logsumexp,
        aten.mean,
        aten.norm,
        aten.prod,
        aten.std,
        aten.sum,
        aten.var,
    }
)


Run = Callable[..., Any]


def own_bits(step: fx.GraphModule) -> fx.GraphModule:
    """A traced step with those operations exchanged whose bits depend on other seeds; on the CPU.

    It is for running as it is: torch's compiler does not know what they are exchanged for.
    """
    graph = fx.Graph()
    graph.output(graph.graph_copy(step.graph, {}))
    graph.output_node().meta.update(step.graph.output_node().meta)
    runs = {node: _exchanged(node) for node in graph.nodes if _computes(node)}
    for node, run in runs.items():
        if run is not None:
            node.target = run
        elif node.target is aten.view.default:  # perhaps of what lies otherwise now
            node.target = aten.reshape.default
    return fx.GraphModule(step, graph)


def _computes(node: fx.Node) -> bool:
    """Whether it is an operation on the CPU."""
    first = next(iter(node.all_input_nodes), None)
    return (
        isinstance(node.target, torch._ops.OpOverload)
        and first is not None
        and isinstance(_value(first), Tensor)
        and _value(first).device.type == "cpu"
    )


def _value(node: Any) -> Tensor:
    """What a node had for a value as it was traced."""
    value: Tensor = node.meta["val"]
    return value


def _exchanged(node: fx.Node) -> Run | None:
    """What a node should call, if its bits are not a seed's own."""
    kind, in_place = _kind(node.target)
    if kind in ELEMENTWISE and not _exact(kind, node):
        return _in_vectors(node, kind, in_place=in_place)
    if kind in PRODUCTS:
        return _product(node)
    if kind in REDUCTIONS:
        return _reduction(node)
    return None


def _kind(target: Any) -> tuple[Any, bool]:
    """The operation, of which the target may be the form that changes its first argument."""
    name = target._schema.name.removeprefix("aten::")
    return getattr(aten, name.removesuffix("_"), None), name.endswith("_")


def _exact(kind: Any, node: fx.Node) -> bool:
    """A plain difference, a square or a cube."""
    if kind is aten.sub:
        return "alpha" not in node.kwargs
    return kind is aten.pow and node.args[1] in EXACT


def _in_vectors(node: fx.Node, kind: Any, *, in_place: bool) -> Run | None:
    """An elementwise function of tensors that are padded to whole vectors."""
    value, given = _value(node), [_value(each) for each in node.all_input_nodes]
    if value.numel() % LANES == 0 and all(
        each.shape == value.shape and each.is_contiguous() for each in (value, *given)
    ):
        return None
    shape, count = value.shape, value.numel()
    function: Any = kind if in_place else node.target

    def flat(given: Any) -> Any:
        if not isinstance(given, Tensor):
            return given
        return functional.pad(given.expand(shape).reshape(count), (0, -count % LANES), value=0.5)

    def in_vectors(*args: Any, **kwargs: Any) -> Tensor:
        found = function(*map(flat, args), **{name: flat(each) for name, each in kwargs.items()})
        found = found[:count].view(shape)
        return args[0].copy_(found) if in_place else found  # type: ignore[no-any-return]

    return in_vectors


def _product(node: fx.Node) -> Run | None:
    """Products of matrices that lie as they do alone; and of those of which a side is 1."""
    left, right = (_value(each) for each in node.args[-2:])
    (pairs, rows, terms), columns = left.shape, right.shape[2]
    function: Any = node.target

    def as_sum(*args: Tensor) -> Tensor:
        *bias, left, right = args
        product = (left.transpose(1, 2) * right).contiguous().sum(1, keepdim=True)
        return product + bias[0] if bias else product

    def of_two(*args: Tensor) -> Tensor:
        laid = [each.reshape(-1).view(each.shape) for each in args]
        if pairs > 1:
            return function(*laid)  # type: ignore[no-any-return]
        return function(*(each.expand(2, *each.shape[1:]) for each in laid))[:1]  # type: ignore

    def in_order(*args: Tensor) -> Tensor:
        *bias, left, right = args
        laid = (each if _is_plain(each) else each.contiguous() for each in (left, right))
        return function(*bias, *laid)  # type: ignore[no-any-return]

    if rows == 1:
        return as_sum
    if terms == 1 or columns == 1:
        return of_two
    return None if _is_plain(left) and _is_plain(right) else in_order


def _is_plain(matrices: Tensor) -> bool:
    """Whether each lies in one piece, transposed or not, and behind the one before it."""
    one, apart = matrices[0], matrices.stride(0)
    in_one = one.is_contiguous() or one.T.is_contiguous()
    return in_one and (len(matrices) == 1 or apart == 0 or apart >= one.numel())


def _reduction(node: fx.Node) -> Run | None:
    """A reduction of a tensor in which a seed's numbers lie together and in order."""
    given, function = _value(node.args[0]), node.target
    over = node.args[1] if len(node.args) > 1 else None
    order = list(range(given.ndim))
    if isinstance(over, list) and 0 in over and math.prod(given.shape[dim] for dim in over) > 2:
        # Over a batch: the seeds are in a dimension with their channels.
        order.sort(key=lambda dim: dim in over)
    elif given.is_contiguous():
        return None
    back = [order.index(dim) for dim in range(given.ndim)]

    def reduction(given: Tensor, *args: Any, **kwargs: Any) -> Any:
        laid = given.permute(order).contiguous().permute(back)
        return function(laid, *args, **kwargs)  # type: ignore[operator]

    return reduction
