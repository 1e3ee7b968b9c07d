"""Coverage-guided fuzzing of the readers by atheris, for as long as one likes.

`python tests/faults/coverage_guided.py npz -max_total_time=3600 [CORPUS]`: one of `PARSERS`, or
`all`, of which the first byte of an input chooses one; then options of libFuzzer. An input that
breaks it is left as `crash-*` in the working folder. Needs `pip install atheris`.
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
    parsers = list(PARSERS.values()) if name == "all" else [PARSERS[name]]
    marks = [bytes([number]) if name == "all" else b"" for number in range(len(parsers))]
    with tempfile.TemporaryDirectory() as valid:
        for mark, parser in zip(marks, parsers, strict=True):
            for number, content in enumerate(parser.valid()):
                (Path(valid) / f"{mark.hex()}-{number}").write_bytes(mark + content)
        limits = ["-rss_limit_mb=3000", "-timeout=20", "-max_len=65536"]
        paths = [each for each in options if not each.startswith("-")]
        flags = [each for each in options if each.startswith("-")]
        own = paths or [tempfile.mkdtemp(prefix="corpus-")]
        arguments = [sys.argv[0], *limits, *flags, *own, valid]

        def one(content: bytes) -> None:
            chosen = content[0] % len(parsers) if name == "all" and content else 0
            attempt(parsers[chosen], content[len(marks[0]) :])

        atheris.Setup(arguments, one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
