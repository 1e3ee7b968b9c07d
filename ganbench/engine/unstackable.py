"""Why a Game has to be trained seed by seed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ganbench.engine.state import ImpureError
from ganbench.errors import ContractError, InputError, first_line
from ganbench.system.modules import place_of


class UnstackableError(InputError):
    """A Game that has to be trained seed by seed; the message says why."""

    @property
    def keeps(self) -> bool:
        """Whether that is state of its own, which no checkpoint holds."""
        return isinstance(self.__cause__, ImpureError) and self.__cause__.keeps


@contextmanager
def reasons(what: str = "") -> Iterator[None]:
    """Whatever goes wrong inside is a reason not to stack, not an end."""
    try:
        with warnings.catch_warnings():
            # What torch takes seed by seed, and what its compiler imports, is no user's concern.
            warnings.simplefilter("ignore")
            yield
    except (ContractError, UnstackableError):  # kept by no training seed by seed, or said already
        raise
    except (Exception, SystemExit) as error:
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        where = place_of(error)
        says = f"{what}{kind}{first_line(error)}"
        raise UnstackableError(f"{says}, in {where}" if where else says) from error
