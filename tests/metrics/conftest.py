"""What tests of metrics share: a second implementation."""

from __future__ import annotations

from types import ModuleType

import pytest

from .. import peers


@pytest.fixture(scope="session")
def torch_fidelity() -> ModuleType:
    return peers.torch_fidelity()
