"""What the networks of a GAN give, and whether all of their parameters learn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.check.subject import (
    Said,
    Subject,
    fails,
    finite,
    networks_of,
    note,
    ok,
    several,
    steps_of,
)
from ganbench.core import GAN
from ganbench.engine.trainer import Trainer
from ganbench.engine.verdicts import verdicts_of
from ganbench.randomness import MODULE_INTERNALS, attributes
from ganbench.system.places import named

LARGE = 50.0  # of a logit, whose sigmoid is 0 or 1 in float32 long before
BOUNDED = ("SigmoidBackward", "SoftmaxBackward", "HardsigmoidBackward")
SHAPES_ONLY = ("View", "Reshape", "Squeeze", "Unsqueeze", "Clamp", "Select", "Slice", "Expand")
CONTAINERS = {
    "list": "nn.ModuleList or nn.Sequential",
    "tuple": "nn.ModuleList or nn.Sequential",
    "set": "nn.ModuleList or nn.Sequential",
    "dict": "nn.ModuleDict",
}


def says(subject: Subject) -> Iterator[Said]:
    """What G makes and D says before they have learned anything."""
    gan = subject.build()
    if not isinstance(gan, Trainer):
        return
    fake: list[Tensor] = []
    hook = gan.generator.register_forward_hook(lambda module, given, made: fake.append(made))
    with verdicts_of(gan.discriminator) as verdicts:
        heard: list[Tensor] = []

        def listen(part: str) -> AbstractContextManager[None]:
            if part == "optimizers" and not heard:  # the first, so nothing has been learned
                heard.extend(verdict for _, verdict in verdicts if verdict.numel())
            return nullcontext()

        gan.during = listen
        gan.play(subject.batches(1)[0], updates_g=True)
    hook.remove()
    made = f"G makes {tuple(fake[0].shape)}"
    if fake[0].dtype != torch.float32:
        yield note(f"{made} of {fake[0].dtype}, where the real batches are of torch.float32")
    if not heard:
        yield ok(made)
        return
    low = min(float(each.detach().min()) for each in heard)
    high = max(float(each.detach().max()) for each in heard)
    shapes = dict.fromkeys(str(tuple(each.shape)) for each in heard)
    span = f"D gives {' and '.join(shapes)}, from {low:.3g} to {high:.3g} before training"
    if not all(finite(each) for each in heard):
        yield fails(f"{span}: NaN or Inf before it has learned anything")
    elif 0 <= low <= high <= 1 and gan.game.decision == 0 and any(map(_is_bounded, heard)):
        yield note(
            f"{span}: looks like a sigmoid, so all counts as taken for real; set "
            "decision=0.5, or leave the sigmoid to the losses (D then gives logits)"
        )
    elif max(-low, high) > LARGE:
        yield note(f"{span}: that large, gradients vanish or explode; scale D's input")
    else:
        yield ok(f"{made}; {span}")


def reaches(subject: Subject) -> Iterator[Said]:
    """That a D and a G update give every parameter a gradient."""
    gan = subject.build()
    if not isinstance(gan, Trainer):
        yield from _changes(subject, gan)
        return
    steepest: dict[str, float] = {}
    frozen = []
    for who, network in gan.networks.items():
        for name, p in network.named_parameters():
            if not p.requires_grad:
                frozen.append(f"{who}.{name}")
                continue
            steepest[f"{who}.{name}"] = -1.0
            p.register_post_accumulate_grad_hook(_noting(steepest, f"{who}.{name}"))
    for real in subject.batches(gan.game.d_updates):
        subject.step(gan, real)
    if missed := [name for name, most in steepest.items() if most == -1.0]:
        yield fails(
            f"no gradient reaches {several(missed)}: use it in what the loss is computed from, "
            "leave it out, or set requires_grad=False"
        )
    if broken := [name for name, most in steepest.items() if not most < float("inf")]:
        yield fails(f"the first gradient of {several(broken)} is NaN or Inf")
    for who in gan.networks:
        mine = [most for name, most in steepest.items() if name.startswith(f"{who}.")]
        if mine and max(mine) == 0:
            yield note(f"all gradients of {who} are 0 at the first update: it does not learn")
    if frozen:
        yield note(f"frozen by requires_grad=False: {several(frozen)}")
    elif not missed and not broken:
        updates = "a D and a G update reach" if "D" in gan.networks else "a G update reaches"
        yield ok(f"{updates} {_count(len(steepest))}")


def registers(subject: Subject) -> Iterator[Said]:
    """That the networks know all that is to be trained in them."""
    gan = subject.build()
    networks = networks_of(gan)
    known = {id(p) for network in networks.values() for p in network.parameters()}
    for _, optimizer in attributes(gan):
        if isinstance(optimizer, torch.optim.Optimizer):
            known |= {id(p) for group in optimizer.param_groups for p in group["params"]}
    lines = [line for who, network in networks.items() for line in _hidden(who, network, known)]
    yield from (fails(line) for line in dict.fromkeys(lines))
    if networks and not lines:
        yield ok("no layers or parameters hide in plain lists, dicts or tensors")


def _noting(steepest: dict[str, float], name: str) -> Any:
    """A hook that notes the largest number of a gradient; NaN is larger than all."""

    def see(p: Tensor) -> None:
        gradient = p.grad
        if gradient is not None and gradient.numel():
            most = float(gradient.detach().abs().max())
            steepest[name] = max(steepest[name], most if most == most else float("inf"))
        else:
            steepest[name] = max(steepest[name], 0.0)

    return see


def _changes(subject: Subject, gan: GAN) -> Iterator[Said]:
    """What the steps of an object change of its networks, whose losses cannot be seen."""
    networks, steps = networks_of(gan), steps_of(gan)
    parameters = {
        id(p): (f"{who}.{name}", p, p.detach().clone())
        for who, network in networks.items()
        for name, p in network.named_parameters()
    }
    subject.trained(gan)
    still = [
        name
        for name, p, before in parameters.values()
        if p.requires_grad and p.grad is None and torch.equal(p, before)
    ]
    if still:
        yield note(f"{steps} steps leave {several(still)} as before, and without a gradient")
    elif parameters:
        yield ok(f"{steps} steps change {_count(len(parameters))} or give them a gradient")


def _hidden(who: str, network: nn.Module, known: set[int]) -> Iterator[str]:
    """A line for each attribute that holds what is to be trained and is not registered."""
    for module in network.modules():
        for name, value in vars(module).items():
            if name in MODULE_INTERNALS or not (found := _unregistered(value, known)):
                continue
            where, kind = named(who, type(module)), type(value).__name__
            if isinstance(value, Tensor):
                yield f"{where}: self.{name} is a plain tensor: use nn.Parameter"
            elif isinstance(found, nn.Module):
                use = CONTAINERS[kind]
                yield f"{where}: layers in a plain {kind} (self.{name}) are not trained: use {use}"
            else:
                use = "nn.ParameterDict" if kind == "dict" else "nn.ParameterList"
                yield f"{where}: tensors in a plain {kind} (self.{name}) are not trained: use {use}"


def _unregistered(value: Any, known: set[int]) -> Any:
    """The first layer or tensor inside that is to be trained and not among those known."""
    if isinstance(value, Tensor):
        trained = value.requires_grad and value.is_leaf and id(value) not in known
        return (value,) if trained else None
    if isinstance(value, nn.Module):
        return value if any(_unregistered(p, known) for p in value.parameters()) else None
    if isinstance(value, list | tuple | set | dict):
        inside = value.values() if isinstance(value, dict) else value
        return next(filter(None, (_unregistered(each, known) for each in inside)), None)
    return None


def _is_bounded(verdict: Tensor) -> bool:
    """Whether the last thing that was done to it, but for its shape, is a sigmoid or a softmax."""
    node = verdict.grad_fn
    while node is not None and node.name().startswith(SHAPES_ONLY):
        node = node.next_functions[0][0]
    return node is not None and node.name().startswith(BOUNDED)


def _count(parameters: int) -> str:
    return f"all {parameters} parameters" if parameters != 1 else "the one parameter"
