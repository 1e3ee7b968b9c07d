"""Other people's code that is hard to import."""

from __future__ import annotations

import sys
from types import ModuleType


def torch_fidelity() -> ModuleType:
    """The package torch-fidelity, all of whose metrics of features work.

    It imports torchvision, for images only. The wheel of that on PyPI is built for CUDA builds of
    torch and raises RuntimeError under others: modules with no more than the names that are
    imported then stand in for it, and are gone afterwards.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        return _imported_without_torchvision()
    import torch_fidelity

    return torch_fidelity


def _imported_without_torchvision() -> ModuleType:
    datasets, functional = (
        ModuleType(f"torchvision.{name}") for name in ("datasets", "transforms.functional")
    )
    vars(datasets).update(dict.fromkeys(("CIFAR10", "CIFAR100", "STL10"), object))
    transforms = ModuleType("torchvision.transforms")
    transforms.functional = functional
    stubs = [ModuleType("torchvision"), datasets, transforms, functional]
    sys.modules.update({stub.__name__: stub for stub in stubs})
    try:
        import torch_fidelity
    finally:
        for stub in stubs:
            del sys.modules[stub.__name__]
    return torch_fidelity
