"""What a Game must keep: checked when its trainer is made and at every step.

Each check raises ContractError, which names the part and where its author has written it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.engine.game import Game
from ganbench.engine.logs import wrong_name
from ganbench.errors import ContractError, one_line
from ganbench.randomness import Sampler
from ganbench.system.modules import describe
from ganbench.system.places import named, within

OPTIONAL = ("features", "labels", "after_d", "after_g")
TAKEN = ("G", "D", "average", "real", "fake", "latent", "labels")  # names
LOGGED = ("d_loss", "g_loss", "d_accuracy", "g_accuracy")
FACTORY = "give a function of the parameters, e.g. partial(torch.optim.Adam, lr=1e-3)"
ARGUMENTS = {
    "latent": "n, rng",
    "d_loss": "D, real, fake",
    "g_loss": "D, real, fake",
    "features": "D, batch",
    "labels": "real",
    "after_d": "D",
    "after_g": "G",
    "schedule": "share",
    "d_optimizer": "parameters",
    "g_optimizer": "parameters",
}


def checked(game: Game) -> Game:
    """The game, if its fields are what they must be."""
    _check_network("generator", game.generator)
    if game.discriminator is not None:
        _check_network("discriminator", game.discriminator)
    elif game.d_loss is not None or game.d_optimizer is not None:
        raise ContractError("without a discriminator d_loss and d_optimizer must be None too")
    for name, network in game.more.items():
        if not name.isidentifier() or name in TAKEN:
            raise ContractError(f"more must have other names than {name!r}")
        _check_network(name, network)
    if game.at_once and (len(game.d_losses) > 1 or game.d_updates != 1):
        raise ContractError("simultaneous updates are of one d_loss, and with d_updates of 1")
    if game.average is not None and not 0 < game.average < 1:
        raise ContractError(f"average must lie between 0 and 1, got {game.average!r:.50}")
    for field in ("d_optimizer", "g_optimizer"):
        if isinstance(made := getattr(game, field), torch.optim.Optimizer):
            raise ContractError(f"{field} is an optimizer, {type(made).__name__}(...): {FACTORY}")
    for field, part in _functions(game):
        takes = ARGUMENTS[field]
        if not callable(part):
            raise ContractError(f"{field} must be a function of ({takes}), got {_shown(part)}")
        if not field.endswith("_loss"):
            check_arguments(field, part, takes)
    wanted = {name for loss in (*game.d_losses, game.g_loss) for name in asked(loss, game)}
    for name in game.schedule:
        if name not in {"d_lr", "g_lr", *wanted}:
            raise ContractError(
                f"schedule has {name!r}, which no loss asks for: take it behind a *, as in "
                f"(D, real, fake, *, {name}); learning rates are d_lr and g_lr"
            )
    for field in ("d_updates", "pack"):
        count: Any = getattr(game, field)
        if not isinstance(count, int) or count < 1:
            raise ContractError(f"{field} must be an int of at least 1, got {count!r:.50}")
    return game


def asked(loss: Callable[..., Any], game: Game) -> tuple[str, ...]:
    """The names that a loss asks for by keyword-only arguments, if the game knows them."""
    what = "g_loss" if loss is game.g_loss else "d_loss"
    try:
        function = loss.forward if isinstance(loss, nn.Module) else loss
        arguments = inspect.signature(function).parameters.values()
    except ValueError:
        return ()  # of a function in C, which shows no arguments
    keywords = [each for each in arguments if each.kind is each.KEYWORD_ONLY]
    labels = () if game.labels is None else ("labels",)
    known = ("latent", *labels, *game.more, *game.schedule)
    names = tuple(each.name for each in keywords if each.name in known)
    for each in keywords:
        if each.name not in known and each.default is each.empty:
            raise ContractError(
                f"{named(what, loss)} asks for {each.name!r}, which is none of {', '.join(known)}"
            )
    check_arguments(what, loss, ARGUMENTS[what], names)
    return names


def check_arguments(
    what: str, function: Callable[..., Any], takes: str, keywords: Sequence[str] = ()
) -> None:
    """That a function can be called with the arguments that it `takes`, by position."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        return  # of a function in C, which shows no arguments
    try:
        signature.bind(*takes.split(", "), **dict.fromkeys(keywords))
    except TypeError as error:
        where, shown = named(what, function), one_line(str(signature))
        raise ContractError(f"{where} must take ({takes}), not {shown}") from error


def optimizer(field: str, game: Game, module: nn.Module) -> torch.optim.Optimizer:
    """What the field's function returns for a network's parameters: an optimizer of them."""
    make = getattr(game, field)
    try:
        made: Any = make(module.parameters())
    except Exception as error:
        raise ContractError(f"{named(field, make)} raised {describe(error)}") from error
    if not isinstance(made, torch.optim.Optimizer):
        raise ContractError(
            f"{named(field, make)} must return a torch.optim.Optimizer, got {_shown(made)}"
        )
    mine = set(module.parameters())
    if not any(p in mine for group in made.param_groups for p in group["params"]):
        raise ContractError(
            f"{named(field, make)} returned an optimizer of none of the parameters that it was "
            "given: pass them on, e.g. torch.optim.Adam(parameters, lr=1e-3)"
        )
    known = {p for network in game.networks.values() for p in network.parameters()}
    if any(p not in known for group in made.param_groups for p in group["params"]):
        raise ContractError(
            f"{named(field, make)} returned an optimizer of more than the networks' parameters, "
            "which would neither be trained nor kept: give what they belong to as one of `more`"
        )
    return made


def draw(latent: Sampler, n: int, rng: torch.Generator) -> Tensor:
    """A latent of n rows."""
    with within("latent", latent):
        drawn: Any = latent(n, rng)
    if not isinstance(drawn, Tensor) or drawn.shape[:1] != (n,):
        raise ContractError(
            f"{named('latent', latent)} must return a tensor of n = {n} rows, got {_shown(drawn)}"
        )
    return drawn


def labels(label: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """The class of each real sample."""
    with within("labels", label):
        found: Any = label(real)
    if not isinstance(found, Tensor) or found.shape != real.shape[:1]:
        raise ContractError(
            f"{named('labels', label)} must return a label for each of {len(real)} samples, "
            f"shape ({len(real)},), got {_shown(found)}"
        )
    return found


def fakes(generator: nn.Module, latent: Tensor) -> Any:
    """What the generator makes of a latent."""
    with within("generator", generator, latent):
        return generator(latent)


def check_fakes(generator: nn.Module, fake: object, real: Tensor) -> None:
    """That the fakes are shaped as the real batch."""
    if not isinstance(fake, Tensor) or fake.shape != real.shape:
        raise ContractError(
            f"{named('generator', generator)} must return shape {tuple(real.shape)}, that of the "
            f"real batch, got {_shown(fake)}"
        )


def scalars(
    who: str, loss: Callable[..., Any], value: object
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """A loss of D or G, if it has a gradient, and the scalars that it logs."""
    value, own = parted(value)
    for name, each in own.items():
        if wrong := wrong_name(name):
            raise ContractError(f"{_of(who, loss)} {wrong}")
        if not isinstance(each, Tensor) or each.numel() != 1 or name in LOGGED:
            raise ContractError(
                f"{_of(who, loss)} logs {name!r}: it must be a scalar tensor of a name of its own, "
                f"got {_shown(each)}"
            )
    return scalar(who, loss, value), own


def check_names_apart(of_d: Mapping[str, Tensor], of_g: Mapping[str, Tensor]) -> None:
    """That the losses of D and of G do not log by one name, of which one would be lost."""
    if both := [name for name in of_d if name in of_g]:
        raise ContractError(f"d_loss and g_loss both log {both[0]!r}: give each a name of its own")


def parted(value: Any) -> tuple[Any, Mapping[str, Any]]:
    """A loss and the scalars that it logs, without dimensions."""
    if not (isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Mapping)):
        return value, {}
    loss, own = value
    return loss, {name: _without_dimensions(each) for name, each in own.items()}


def _without_dimensions(value: Any) -> Any:
    single = isinstance(value, Tensor) and value.numel() == 1
    return value.reshape(()) if single else value


def scalar(who: str, loss: Callable[..., Any], value: object) -> Tensor:
    """A loss of D or G as a tensor without dimensions, if it has a gradient."""
    if isinstance(value, Tensor):
        if value.numel() == 1 and value.is_floating_point() and value.requires_grad:
            return value.reshape(())
        wrong = _wrong_with(value)
    elif value is None:
        wrong = "None: is its `return` missing?"
    elif isinstance(value, int | float):
        wrong = f"the {type(value).__name__} {value:.4g}: leave out .item() or float(...)"
    else:
        wrong = _shown(value)
    raise ContractError(
        f"{_of(who, loss)} must return a scalar tensor with a gradient, got {wrong}"
    )


def check_reached(who: str, loss: Callable[..., Any], params: Sequence[Tensor]) -> None:
    """That a loss of D or G has given some of the parameters that are trained a gradient."""
    if all(p.grad is None for p in params):
        network = "discriminator" if who == "D" else "generator"
        how = "D(real) and D(fake)" if who == "D" else "D(fake), where fake is not detached"
        raise ContractError(
            f"{_of(who, loss)} gives the {network} no gradient: compute it from {how}"
        )


def _of(who: str, loss: Callable[..., Any]) -> str:
    return named(f"{who.lower()}_loss", loss)


def _functions(game: Game) -> Iterator[tuple[str, Any]]:
    """The fields that are called, with what must be callable."""
    losses: Any = game.d_loss
    if isinstance(losses, Sequence) and not isinstance(losses, str) and len(losses):
        yield from (("d_loss", loss) for loss in losses)
    elif game.discriminator is not None:
        yield "d_loss", losses
    for field in ARGUMENTS:
        optional = field in OPTIONAL or (field == "d_optimizer" and game.discriminator is None)
        if field not in ("d_loss", "schedule") and not (optional and getattr(game, field) is None):
            yield field, getattr(game, field)
    yield from (("schedule", function) for function in game.schedule.values())


def _check_network(what: str, network: Any) -> None:
    if not isinstance(network, nn.Module):
        raise ContractError(f"{what} must be a torch.nn.Module, got {_shown(network)}")
    if next(network.parameters(), None) is None:
        raise ContractError(
            f"{named(what, type(network))} has no parameters to train{_hidden(network)}"
        )


def _hidden(network: nn.Module) -> str:
    """A guess why a network has no parameters: `: layers in a plain list are not registered`."""
    for each in network.modules():
        for name, value in vars(each).items():
            held = value.values() if isinstance(value, dict) else value
            if name.startswith("_") or not isinstance(value, list | tuple | dict):
                continue
            if any(isinstance(one, nn.Module) for one in held):
                kind = type(value).__name__
                use = "nn.ModuleDict" if kind == "dict" else "nn.ModuleList or nn.Sequential"
                return f": layers in a plain {kind} (self.{name}) are not registered: use {use}"
    return ""


def _wrong_with(value: Tensor) -> str:
    """What keeps a tensor from being a loss."""
    if value.numel() != 1:
        return f"shape {tuple(value.shape)}: take its mean()"
    if not value.is_floating_point():
        return f"dtype {value.dtype}, which has none: take no count and no comparison"
    return "a tensor without: leave out detach() and no_grad, and compute it from D's output"


def _shown(value: object) -> str:
    """A value as a message names it: its shape, its class, or itself where it is short."""
    if isinstance(value, Tensor):
        return f"shape {tuple(value.shape)}"
    if isinstance(value, type):
        return f"the class {value.__name__}: call it"
    if value is None or isinstance(value, int | float | str):
        return f"{value!r:.50}"
    if isinstance(value, list | tuple) and not value:
        return f"an empty {type(value).__name__}"
    return f"a {type(value).__name__}"
