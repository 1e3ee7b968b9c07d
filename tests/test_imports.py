"""What is imported by what every command waits for: not what only some of them use."""

from __future__ import annotations

import subprocess
import sys

import pytest

LATER = "torch._dynamo torch._inductor.compile_fx scipy.stats scipy.optimize ot gymnasium plotly"
UNWANTED = {
    "ganbench": "torch numpy scipy pydantic matplotlib click",
    "ganbench.cli": "torch numpy scipy matplotlib",
    "ganbench.harness.workers": f"{LATER} scipy.spatial scipy.special matplotlib",
    "ganbench.harness.entries": f"{LATER} scipy.spatial scipy.special",
}


@pytest.mark.parametrize("module", UNWANTED)
def test_modules_wait_until_they_are_used(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert module in done.stdout.split()
    assert not set(UNWANTED[module].split()) & set(done.stdout.split())
