"""Coverage-guided fuzzing of the readers by atheris, for as long as one likes.

`python tests/faults/coverage_guided.py npz -max_total_time=3600 [CORPUS]`: one of `PARSERS`, then
options of libFuzzer. An input that breaks it is left as `crash-*` in the working folder. Needs
`pip install atheris`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ganbench", "safetensors", "numpy.lib", "zipfile"]):
    from parsers import PARSERS, attempt


def main() -> None:
    """Fuzz the reader that the first argument names, beginning with valid files."""
    name, *options = sys.argv[1:]
    parser = PARSERS[name]
    with tempfile.TemporaryDirectory() as valid:
        for number, content in enumerate(parser.valid()):
            (Path(valid) / str(number)).write_bytes(content)
        limits = ["-rss_limit_mb=3000", "-timeout=20", "-max_len=65536"]
        paths = [each for each in options if not each.startswith("-")]
        flags = [each for each in options if each.startswith("-")]
        own = paths or [tempfile.mkdtemp(prefix="corpus-")]
        arguments = [sys.argv[0], *limits, *flags, *own, valid]
        atheris.Setup(arguments, lambda content: attempt(parser, content) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
