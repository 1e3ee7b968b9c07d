"""What came with a published result, its source and its samples, and whether it is the result's.

Nothing that came with a result is executed, and links are not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ganbench import registry
from ganbench.errors import InputError
from ganbench.results import store
from ganbench.results.schema import Result
from ganbench.results.store import SAMPLES, SOURCE

MOST_SOURCE, MOST_SAMPLES = 2**20, 2**24  # bytes, of all files of a source together


def sources(path: Path) -> dict[str, Path]:
    """The source beside a result file by names in its folder: the main file, then neighbours."""
    folder = store.attached(path)
    files = [file for file in sorted(folder.rglob("*.py")) if file.is_file()]
    found = {file.relative_to(folder).as_posix(): file for file in files}
    return {name: found[name] for name in sorted(found, key=lambda name: name != SOURCE)}


def parts(path: Path) -> list[Path]:
    """Every file beside a published result that is a part of it."""
    folder = store.attached(path)
    if store.is_local(path) or not folder.is_dir():
        return []
    samples = folder / SAMPLES
    return [*sources(path).values(), *([samples] if samples.is_file() else [])]


def findings(result: Result, path: Path) -> list[str]:
    """What is wrong with the source and the samples that came with a result, if they did."""
    return [*wrong_source(result, path), *wrong_samples(result, path)]


def unpaired(result: Result, path: Path) -> str | None:
    """In two words, what lies beside a result and is not its own."""
    if wrong_source(result, path):
        return "other source"
    return "other samples" if wrong_samples(result, path) else None


def wrong_source(result: Result, path: Path) -> list[str]:
    """What is wrong with the source beside a result; nothing where there is none."""
    if store.is_local(path) or not (given := sources(path)):
        return []
    if links := linked(path, given):
        return links
    names = ", ".join(given)
    if SOURCE not in given:
        return [f"{names}: came without {SOURCE}"]
    if lines := unfit(given):
        return lines
    if registry.sources_sha256(given) != result.entry.sha256:
        return [f"{names}: not the source of the entry, the SHA-256 differs"]
    return []


def unfit(given: Mapping[str, Path]) -> list[str]:
    """What no source may be, given by names: not of Python modules, or too large."""
    lines = [
        f"{name!r} is no name of a Python module"
        for name in given
        if not all(part.isidentifier() for part in name.removesuffix(".py").split("/"))
        or not name.endswith(".py")
    ]
    size = sum(file.stat().st_size for file in given.values())
    if size > MOST_SOURCE:
        lines.append(f"{', '.join(given)}: {size:,} bytes, more than {MOST_SOURCE:,}")
    return lines


def wrong_samples(result: Result, path: Path) -> list[str]:
    """What is wrong with the samples beside a result; nothing where there are none."""
    file = store.attached(path) / SAMPLES
    if links := linked(path, {SAMPLES: file}):
        return links
    if store.is_local(path) or not file.is_file():
        return []
    if (size := file.stat().st_size) > MOST_SAMPLES:
        return [f"{SAMPLES} has {size:,} bytes, more than {MOST_SAMPLES:,}"]
    from ganbench.results import samples

    try:
        found = samples.hashes(file)
    except InputError as error:
        return [str(error)]
    claimed = {seed.seed: seed.samples_sha256 for seed in result.seeds}
    return [
        f"{SAMPLES}: those of seed {seed} are not the result's: their SHA-256 differs"
        for seed, digest in found.items()
        if claimed.get(seed) != digest
    ]


def source_of(result: Result, path: Path) -> Mapping[str, Path] | None:
    """The files that a result is of: what came with it, or a bundled one; None without either."""
    given = sources(path)
    if given and not wrong_source(result, path):
        return given
    bundled = Path(result.entry.source).stem
    if bundled in registry.names("baselines"):
        file = registry.folder("baselines") / f"{bundled}.py"
        if registry.sources_sha256({SOURCE: file}) == result.entry.sha256:
            return {SOURCE: file}
    return None


def linked(path: Path, given: Mapping[str, Path]) -> list[str]:
    """Which of these files beside a result are links, or lie behind one."""
    folder = store.attached(path)
    if folder.is_symlink():
        return [f"{folder.name} is a link"]
    return [
        f"{name} is a link"
        for name, file in given.items()
        if any(each.is_symlink() for each in (file, *file.parents) if each.is_relative_to(folder))
    ]
