"""Makes of a traced step a loop of steps in one function of torch's compiler.

No step waits for Python, and the body is compiled once, however many steps are run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from ganbench.hoist import hoisting

aten = torch.ops.aten
FEW = 8  # terms that the compiler unrolls


class Loop:
    """Up to `rounds` calls of a traced `step`, one after the other, compiled.

    `step` takes the tensors of the `memory`, which it changes in place, and the inputs of a round,
    and returns one tensor.
    """

    def __init__(
        self, step: fx.GraphModule, memory: Sequence[Tensor], inputs: Sequence[Tensor], rounds: int
    ) -> None:
        from torch._inductor import standalone_compile  # slow to import

        body, changed = functional(step, [*memory, *inputs])
        reshape_products(body)
        self._inputs = [torch.zeros(rounds, *each.shape).to(each) for each in inputs]
        value = body.graph.output_node().all_input_nodes[0].meta["val"]
        self._values = torch.zeros(rounds, *value.shape, dtype=value.dtype, device=value.device)
        examples: list[Any] = [torch.tensor(0), *self._inputs, self._values, *memory]
        loop = _looped(body, changed, len(inputs), examples)
        patches = {
            "cpp_wrapper": memory[0].device.type == "cpu",
            "assert_indirect_indexing": False,  # checks of the loop's index in every element
        }
        with hoisting():
            self._run = standalone_compile(loop, examples, options={"config_patches": patches})

    def __call__(self, memory: Sequence[Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """What each round returns, stacked; `inputs` have the rounds in front."""
        count = len(inputs[0])
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine[:count] = given
        self._run(torch.tensor(count), *self._inputs, self._values, *memory)
        return self._values[:count].clone()


def _looped(
    body: fx.GraphModule, changed: Sequence[int], inputs: int, examples: Sequence[Tensor]
) -> fx.GraphModule:
    """A while loop around the body, of (count, inputs of all rounds, values to fill, memory)."""

    def unfinished(index: Tensor, count: Tensor, *flat: Tensor) -> Tensor:
        return index < count

    def one(index: Tensor, count: Tensor, *flat: Tensor) -> tuple[Tensor]:
        at = index.reshape(1)
        given = [each.index_select(0, at)[0] for each in flat[:inputs]]
        values, memory = flat[inputs], flat[inputs + 1 :]
        value, *new = body(*memory, *given)
        for place, tensor in zip(changed, new, strict=True):
            memory[place].copy_(tensor)
        values.index_copy_(0, at, value.unsqueeze(0))
        return (index + 1,)

    index = torch.tensor(0)
    condition, step = (traced(function, [index, *examples]) for function in (unfinished, one))
    before = 2 + inputs  # the index and the count come first
    mutated = ",".join(str(before + place) for place in (0, *(1 + place for place in changed)))

    def loop(*given: Tensor) -> tuple[Tensor]:
        (index,) = torch.ops.higher_order.while_loop(
            condition, step, (torch.tensor(0),), given, mutated_arg_indices=mutated
        )
        return (index,)

    return traced(loop, examples)


def functional(
    step: fx.GraphModule, examples: Sequence[Tensor]
) -> tuple[fx.GraphModule, list[int]]:
    """The same without changes in place, and the places of the arguments that it would change.

    It returns the value first, then what these arguments become.
    """
    pure = traced(torch.func.functionalize(step), examples, EACH)
    graph = pure.graph
    places = {node: i for i, node in enumerate(graph.find_nodes(op="placeholder"))}
    new: dict[int, fx.Node] = {}
    for node in graph.find_nodes(op="call_function", target=aten.copy_.default):
        new[places[node.args[0]]] = node.args[1]
        graph.erase_node(node)
    output = graph.output_node()
    (value,) = output.all_input_nodes
    output.args = ((value, *new.values()),)
    _tidy(pure)
    return pure, list(new)


def traced(
    function: Callable[..., Any], examples: Sequence[Tensor], table: Any = None
) -> fx.GraphModule:
    """The function's operations on tensors like the `examples`, decomposed by the `table`."""
    trace = make_fx(
        function, decomposition_table=table, tracing_mode="fake", _allow_non_fake_inputs=True
    )
    module: fx.GraphModule = trace(*examples)
    return module


def _tidy(module: fx.GraphModule) -> None:
    """Compute nothing twice, and nothing that is not used."""
    from torch._functorch.compile_utils import fx_graph_cse

    for node in module.graph.find_nodes(op="call_function", target=aten.permute.default):
        if list(node.args[1]) == sorted(node.args[1]):  # vmap leaves many that change nothing
            node.replace_all_uses_with(node.args[0])
    module.graph = fx_graph_cse(module.graph)
    module.graph.eliminate_dead_code()
    module.recompile()


def reshape_products(module: fx.GraphModule) -> None:
    """Products in the form in which they cost least.

    Those over a few terms become sums, which the compiler fuses with what is around them, as it
    does with a bias that is added; those with a few columns are computed transposed, for which
    the library takes half the time.
    """
    graph = module.graph
    for node in list(graph.nodes):
        if node.target not in (aten.bmm.default, aten.baddbmm.default):
            continue
        given: Any = node.args
        *bias, left, right = given
        (_, rows, terms), columns = left.meta["val"].shape, right.meta["val"].shape[2]
        with graph.inserting_before(node):
            if terms <= FEW:
                of_left = _node(graph, aten.unsqueeze.default, left, 3)
                of_right = _node(graph, aten.unsqueeze.default, right, 1)
                each = _node(graph, aten.mul.Tensor, of_left, of_right)
                product = _node(graph, aten.sum.dim_IntList, each, [2])
            elif columns <= FEW < rows:
                flipped = [_node(graph, aten.transpose.int, side, 1, 2) for side in (right, left)]
                product = _node(graph, aten.bmm.default, *flipped)
                product = _node(graph, aten.transpose.int, product, 1, 2)
            else:
                product = _node(graph, aten.bmm.default, left, right)
            if bias:
                product = _node(graph, aten.add.Tensor, product, bias[0])
        node.replace_all_uses_with(product)
        graph.erase_node(node)
    _tidy(module)


def _node(graph: fx.Graph, target: Any, *args: Any) -> fx.Node:
    """A new node at the place where the graph is being changed, with its example value."""
    node = graph.call_function(target, args)
    node.meta["val"] = target(*fx.node.map_arg(args, lambda each: each.meta["val"]))
    return node


def _each(function: Callable[..., Tensor], *, scale: str = "") -> Callable[..., list[Tensor]]:
    """A function of lists of tensors as one call for each; `scale` is what the fourth is named."""

    def each(*args: Any) -> list[Tensor]:
        named = {scale: args[3]} if scale and len(args) > 3 else {}
        rows = [
            [arg[i] if isinstance(arg, (list, tuple)) else arg for arg in args[:3]]
            for i in range(len(args[0]))
        ]
        return [function(*row, **named) for row in rows]

    return each


# Operations on lists, which are quicker to call, but which a loop cannot have.
EACH = {
    aten._foreach_add.Scalar: _each(torch.add),
    aten._foreach_addcdiv.Scalar: _each(torch.addcdiv, scale="value"),
    aten._foreach_addcmul.Scalar: _each(torch.addcmul, scale="value"),
    aten._foreach_div.Tensor: _each(torch.div),
    aten._foreach_lerp.Scalar: _each(torch.lerp),
    aten._foreach_mul.Scalar: _each(torch.mul),
    aten._foreach_sqrt.default: _each(torch.sqrt),
}
