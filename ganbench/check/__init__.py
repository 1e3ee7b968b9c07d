"""Whether a GAN keeps what it must and how it will be trained, told to its author in lines."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping

from ganbench.check import contract, networks, repeats, shapes, speed
from ganbench.check.subject import Check, Finding, Subject
from ganbench.engine.generators import own_randomness
from ganbench.engine.precision import products
from ganbench.errors import InputError
from ganbench.harness.spec import Spec, look_up
from ganbench.system.modules import describe
from ganbench.system.threads import one_thread

TASK = "ring8"  # on which a step of small networks costs a millisecond, and building nothing
STEPS = "steps"  # that do not raise
CHECKS: Mapping[str, tuple[Check, str]] = {  # each with the check that it needs not to fail
    "contract": (contract.builds, ""),
    "settings": (contract.keeps_settings, "contract"),
    "registered": (networks.registers, "contract"),
    "latent": (repeats.draws, "contract"),
    "training": (contract.trains, "contract"),
    "outputs": (networks.says, STEPS),
    "gradients": (networks.reaches, STEPS),
    "sampling": (contract.samples, "training"),
    "broadcasting": (shapes.broadcasts, "training"),
    "repeats": (repeats.repeats, "training"),
    "checkpoint": (repeats.resumes, "repeats"),
    "copy": (repeats.copies, "repeats"),
}
ENGINES: Mapping[str, tuple[Check, str]] = {
    "stacks": (speed.stacks, "training"),
    "bits": (speed.own_bits, "training"),
    "speed": (speed.takes, "training"),
}
COMPILED: Mapping[str, tuple[Check, str]] = {"compiles": (speed.compiles, "training")}


def check(spec: Spec, *, engines: bool = True, compiled: bool = False) -> Iterator[Finding]:
    """What there is to say of the GAN of a spec, check by check; InputError for a wrong spec.

    With `engines` also whether its seeds can be trained at once, `compiled` too if that is asked
    for, and what a step costs.
    """
    subject = Subject(look_up(spec))
    checks = {**CHECKS, **(ENGINES if engines else {}), **(COMPILED if compiled else {})}
    failed, without = set(), []
    with one_thread(), products(spec.precision), own_randomness([], 0), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a step warns of, a run shows
        for name, (look, needed) in checks.items():
            if needed in failed:
                failed.add(name)
                without.append(name)
                continue
            for finding in _findings(name, look, subject):
                failed |= {name} if finding.verdict == "fails" else set()
                failed |= {STEPS} if name in ("contract", "training") and finding.error else set()
                yield finding
    if without:
        says = f"{', '.join(without)}, which need what fails above"
        yield Finding(check="not tried", verdict="note", says=says)


def _findings(name: str, look: Check, subject: Subject) -> Iterator[Finding]:
    """What one check says; whatever it raises, fails it."""
    try:
        for said in look(subject):
            yield Finding(check=name, verdict=said.verdict, says=said.says)
    except (Exception, SystemExit) as error:
        says = str(error) if isinstance(error, InputError) else describe(error)
        yield Finding(check=name, verdict="fails", says=says, error=error)
