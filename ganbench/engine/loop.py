"""Makes of a traced step a loop of steps that do not wait for Python.

On the CPU it is one function of torch's compiler, whose body is compiled once, however many steps
are run; on a GPU a captured step is replayed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from ganbench.engine import kept_code

aten = torch.ops.aten
FEW = 8  # terms that the compiler unrolls
WARM_UPS = 3  # calls before a capture, in which libraries choose their kernels and get their memory

Step = Callable[..., tuple[Tensor]]
"""A function of the memory, which it changes in place, and of a cycle's inputs: its value."""

Cycle = Callable[..., tuple[()]]
"""A function of an index, the inputs of all cycles, their values, and the memory: it takes the
cycle at the index, and changes values and memory in place."""


@dataclass(frozen=True)
class Slots:
    """Where tensors are among those that a loop is given: its `inputs`, the values, the memory."""

    inputs: int

    @property
    def values(self) -> int:
        """The place of the values."""
        return self.inputs

    def memory(self, place: int = 0) -> int:
        """The place of what is at a place of the memory."""
        return self.inputs + 1 + place

    def cycle(self, step: Step) -> Cycle:
        """A step on the inputs at an index, whose value is put there."""

        def cycle(index: Tensor, *given: Tensor) -> tuple[()]:
            at = index.reshape(1)
            inputs = [each.index_select(0, at)[0] for each in given[: self.inputs]]
            (value,) = step(*given[self.memory() :], *inputs)
            given[self.values].index_copy_(0, at, value.unsqueeze(0))
            return ()

        return cycle


@dataclass(frozen=True, kw_only=True)
class Body:
    """A step as a graph without changes in place.

    It returns the value first, then what the tensors at the places `changed` of the memory become.
    Called, it changes them in place.
    """

    graph: fx.GraphModule
    changed: Sequence[int]

    def __call__(self, *given: Tensor) -> tuple[Tensor]:
        """Its value."""
        value, *new = self.graph(*given)
        for place, tensor in zip(self.changed, new, strict=True):
            given[place].copy_(tensor)
        return (value,)


class Loop:
    """Up to `cycles` calls of a traced `step`, one after the other, none waiting for Python.

    `step` takes the tensors of a memory, which it changes in place, and the inputs of a cycle, and
    returns one tensor; all `memories` are alike, and a call is of one of them. Compiled, the CPU
    runs a loop in C++; a GPU replays what was captured once as a CUDA graph, compiled or not.
    """

    def __init__(
        self,
        step: fx.GraphModule,
        memories: Sequence[Sequence[Tensor]],
        inputs: Sequence[Tensor],
        cycles: int,
        *,
        compiled: bool = True,
    ) -> None:
        if compiled:
            step, constants = with_constants_given(step, len(memories[0]))
            memories = [[*memory, *constants] for memory in memories]
        self._inputs = [torch.zeros(cycles, *each.shape).to(each) for each in inputs]
        value = step.graph.output_node().all_input_nodes[0].meta["val"]
        self._values = torch.zeros(cycles, *value.shape, dtype=value.dtype, device=value.device)
        given = [[*self._inputs, self._values, *memory] for memory in memories]
        slots = Slots(len(inputs))
        self._runs: Sequence[Callable[[int], None]]
        if not compiled:
            self._runs = [Replay(slots.cycle(step), each) for each in given]
            return
        make = partial(_body, step, [*memories[0], *inputs])
        if value.device.type == "cpu":
            loop = WhileLoop(step, make, slots, given[0])
            self._runs = [partial(loop.run, each) for each in given]
        else:
            cycle = compiled_cycle(make(), slots, given[0])
            self._runs = [Replay(cycle, each) for each in given]

    def __call__(self, inputs: Sequence[Tensor], place: int = 0) -> Tensor:
        """What each cycle returns, of the memory at `place`; `inputs` have the cycles in front."""
        count = len(inputs[0])
        for mine, new in zip(self._inputs, inputs, strict=True):
            mine[:count] = new
        self._runs[place](count)
        return self._values[:count].clone()


class WhileLoop:
    """A while loop in C++ around cycles of a `step` that torch's compiler has compiled; on the CPU.

    It is compiled, if no such code is kept, for tensors like the `examples`, of what `make` makes
    of the step, and then run with any such.
    """

    def __init__(
        self,
        step: fx.GraphModule,
        make: Callable[[], Body],
        slots: Slots,
        examples: Sequence[Tensor],
    ) -> None:
        counted = [torch.tensor(0), *examples]
        self._loop = kept_code.compiled(step, counted, lambda: _while(make(), slots, counted))

    def run(self, given: Sequence[Tensor], count: int) -> None:
        """Take so many cycles, from the first."""
        self._loop([torch.tensor(count), *given])


def _while(body: Body, slots: Slots, counted: Sequence[Tensor]) -> fx.GraphModule:
    """The loop as a graph, of a count of cycles and of what they are given."""
    cycle = slots.cycle(body)

    def unfinished(index: Tensor, count: Tensor, *given: Tensor) -> Tensor:
        return index < count

    def one(index: Tensor, count: Tensor, *given: Tensor) -> tuple[Tensor]:
        cycle(index, *given)
        return (index + 1,)

    first = torch.tensor(0)
    condition, step = (traced(each, [first, *counted]) for each in (unfinished, one))
    mutated = [slots.values, *map(slots.memory, body.changed)]
    places = ",".join(str(2 + place) for place in mutated)  # behind the index and the count

    def loop(*counted: Tensor) -> tuple[Tensor]:
        index = torch.zeros((), dtype=torch.int64)  # made in the loop, which may hold no tensor
        (index,) = torch.ops.higher_order.while_loop(
            condition, step, (index,), counted, mutated_arg_indices=places
        )
        return (index,)

    return traced(loop, counted)


def compiled_cycle(body: Body, slots: Slots, examples: Sequence[Tensor]) -> Cycle:
    """A compiled cycle of tensors like the `examples`, to be replayed; for a GPU."""
    index = torch.zeros((), dtype=torch.int64, device=examples[0].device)
    one: Cycle = _compiled(traced(slots.cycle(body), [index, *examples]), [index, *examples])
    return one


class Replay:
    """Takes cycles of the tensors `given` one by one; a GPU replays what it captured of one."""

    def __init__(self, cycle: Cycle, given: Sequence[Tensor]) -> None:
        index = torch.zeros((), dtype=torch.int64, device=given[0].device)

        def one() -> None:
            cycle(index, *given)
            index.add_(1)

        self._index = index
        self._one = _captured(one, given) if index.is_cuda else one

    def __call__(self, count: int) -> None:
        """Take so many cycles, from the first."""
        self._index.zero_()
        for _ in range(count):
            self._one()


def _captured(function: Callable[[], None], changed: Sequence[Tensor]) -> Callable[[], None]:
    """The function as one launch; what capturing it has `changed` is put back."""
    before = [each.clone() for each in changed]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    for each, old in zip(changed, before, strict=True):
        each.copy_(old)
    return graph.replay


def _compiled(function: fx.GraphModule, examples: Sequence[Tensor]) -> Callable[..., Any]:
    from torch._inductor import standalone_compile  # slow to import

    return standalone_compile(function, list(examples))


def with_constants_given(step: fx.GraphModule, place: int) -> tuple[fx.GraphModule, list[Tensor]]:
    """A step that is given its constant tensors, as placeholders from `place` on; and these.

    A loss that refers to a tensor makes it such a constant, which no trace of a trace may hold.
    """
    graph = copy.deepcopy(step.graph)
    following = graph.find_nodes(op="placeholder")[place]
    constants: list[Tensor] = []
    for node in graph.find_nodes(op="get_attr"):
        constant = getattr(step, str(node.target))
        if not isinstance(constant, Tensor):
            continue
        with graph.inserting_before(following):
            given = graph.placeholder(f"constant_{len(constants)}")
        given.meta = node.meta
        node.replace_all_uses_with(given)
        graph.erase_node(node)
        constants.append(constant)
    return fx.GraphModule(step, graph), constants


def _body(step: fx.GraphModule, examples: Sequence[Tensor]) -> Body:
    """What is compiled of a traced step."""
    body = functional(step, examples)
    reshape_products(body.graph)
    return body


def functional(step: fx.GraphModule, examples: Sequence[Tensor]) -> Body:
    """A traced step without changes in place, of tensors like the `examples`."""
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
    return Body(graph=pure, changed=list(new))


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
    for node in graph.find_nodes(op="call_function", target=aten.view.default):
        node.target = aten.reshape.default  # as a transposed product has other strides
    _tidy(module)


def _node(graph: fx.Graph, target: Any, *args: Any) -> fx.Node:
    """A new node at the place where the graph is being changed, with its example value."""
    node = graph.call_function(target, args)
    node.meta["val"] = target(*fx.node.map_arg(args, lambda each: each.meta["val"]))
    return node


def _one_by_one(function: Callable[..., Tensor], *, scale: str = "") -> Callable[..., list[Tensor]]:
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
    aten._foreach_add.Scalar: _one_by_one(torch.add),
    aten._foreach_addcdiv.Scalar: _one_by_one(torch.addcdiv, scale="value"),
    aten._foreach_addcmul.Scalar: _one_by_one(torch.addcmul, scale="value"),
    aten._foreach_div.List: _one_by_one(torch.div),
    aten._foreach_lerp.Scalar: _one_by_one(torch.lerp),
    aten._foreach_mul.Scalar: _one_by_one(torch.mul),
    aten._foreach_sqrt.default: _one_by_one(torch.sqrt),
}
