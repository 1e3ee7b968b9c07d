"""The verdict on a seed: one small rule for each way to fail, the most specific first.

A rule looks at the `Evidence` and returns a verdict, or None if it does not hold. Shares are
compared with what real data score (`Share.of_real`), so that no threshold depends on a task.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

from ganbench.diagnosis.facts import (
    TRIPLES,
    Evidence,
    Look,
    Moment,
    Regions,
    described,
    percent,
)
from ganbench.results.schema import Verdict

Kind = Literal[
    "healthy",
    "mode collapse",
    "under-dispersed",
    "over-dispersed",
    "oscillating",
    "diverged",
    "failed",
    "vanishing gradient",
    "memorising",
    "poor fit",
]

# Of 112 draws of real samples, 8 on each of 14 tasks, at the tasks' own sizes: what looks real is
# 0.996 or more of its floor, evenness 0.99 or more, the position of the tracked metric 0.979 or
# more, the spread 0.985 to 1.025, that within regions 0.99 to 1.075; no region is empty. So every
# threshold lies far outside of chance, and where a trained GAN begins to look wrong in pictures.
REAL = 0.9  # of the share that looks real: below, samples lie beside the target
EVEN = 0.8  # of the coverage that such fidelity allows: below, samples leave real ones out
FAIR = 0.7  # the same where the tracked metric sees nothing wrong
TIGHT = 0.8  # of the spread of real samples within a region: below, regions are not filled
SHARP = 1.008  # of the share within 3 sigma of a mode: 5 standard errors more than real ones have
SLIGHT = 0.95  # of even coverage: what such sharpness costs at least
CLOSE = 0.95  # position of the tracked metric: above, what balls of precision miss is slight
POOR = 0.8  # position of the tracked metric: below, something is wrong whatever the shares say
FIT = 0.7  # score: below, a seed is not healthy, whatever it is
# Collapse.
SOME_REAL = 0.3  # of the share that looks real: below, empty classes only mean a wrong shape
HALF_REAL = 0.5  # the same of modes of a mixture: clusters that lie beside them leave them empty
MOST_REAL = 0.6  # the same of regions that are our own cut: noise in a box leaves some empty at 0.3
SLACK = 0.6  # of these, at an evaluation before: quality wavers, what is missing stays missing
LOST = 0.1  # share of real samples in such regions that are empty: fewer may be a thin tail
FAR_FROM_EVEN = 0.25  # by evenness alone, where there are no samples; thin ones have 0.26 too
ONE_POINT = 0.1  # of the spread of real samples: below, all samples are alike
LAW = 0.3  # Kolmogorov-Smirnov distance of frequency or phase to its law; real: up to 0.022
NARROW = 0.05  # of the range of frequencies: within, they are one frequency
# Training.
SWING = 0.3  # of the position, between two evaluations or over several
SWINGS = 4  # up, down, up, down, in the second half: fewer are learning and one accident
CALM = 0.25  # of the training, without a swing: the oscillation is over
JUMP = 0.5  # share of samples that changed region between two evaluations
CERTAIN, NO_LOSS = 0.99, 0.05  # D's accuracy and its loss in nats: nothing is left for G to learn
LONG = 0.25  # of the training, at its end
STUCK, HALF_WAY = 0.1, 0.5  # gain of the position meanwhile, and where it ends
# Copies.
COPIES = 0.1  # share of samples; real ones: up to 0.004, on a bare curve some 0.04
MEMORISED = 0.9  # chance to be nearer to the training set than held-out data; real: 0.5

LONGEST = 200  # characters of a verdict


Rule = Callable[[Evidence], Verdict | None]
Sign = Callable[[Look], str | None]  # what samples show of a failure, in words


def diagnose(evidence: Evidence) -> Verdict:
    """The verdict of the first rule that holds; healthy if none does."""
    for rule in RULES:
        verdict = rule(evidence)
        if verdict is not None:
            return verdict
    score = None if evidence.score is None else f"score {evidence.score:.2f}"
    return said("healthy", None, "; ".join(filter(None, (described(evidence.look), score))))


def ended_early(evidence: Evidence) -> Verdict | None:
    """It diverged or failed, by its status; or it was stopped before anything was known."""
    unknown = evidence.look == Look() and not evidence.positions
    if evidence.status not in ("diverged", "failed") and not unknown:
        return None
    kind: Kind = "diverged" if evidence.status == "diverged" else "failed"
    reason = evidence.reason or f"{evidence.status} before its first evaluation"
    told = re.search(r"at step (\d+)", reason)
    last = evidence.moments[-1].step if evidence.moments else None
    return said(kind, int(told[1]) if told else last, reason)


def memorising(evidence: Evidence) -> Verdict | None:
    """Samples are copies of training samples, or, as varied as real ones, nearly so."""
    if evidence.copies is not None and evidence.copies >= COPIES:
        why = f"{percent(evidence.copies)} of {evidence.look.noun} are copies of training samples"
        return said("memorising", None, why)
    look = evidence.look
    # Narrow samples are near to training samples too, so this is for varied ones alone.
    if (look.memorisation or 0.0) < MEMORISED or (look.evenness or 0.0) < EVEN:
        return None
    why = f"{percent(look.memorisation or 0.0)} of {look.noun} are nearer to training samples "
    return said("memorising", None, why + "than held-out ones are; 50 % would be right")


def vanishing_gradient(evidence: Evidence) -> Verdict | None:
    """D was certain over a long last stretch, in which G stayed poor and gained nothing."""
    stretch: list[Moment] = []
    for moment in reversed(evidence.moments):
        if moment.d_accuracy is None or moment.d_loss is None:
            break
        if moment.d_accuracy < CERTAIN or not 0 <= moment.d_loss <= NO_LOSS:  # below 0: no nats
            break
        stretch.insert(0, moment)
    inside = [each.position for each in stretch if each.position is not None]
    if not inside or stretch[-1].step - stretch[0].step < LONG * stretch[-1].step:
        return None
    if inside[-1] >= HALF_WAY or inside[-1] - inside[0] >= STUCK:
        return None
    losses = [each.d_loss for each in stretch if each.d_loss is not None]
    rates = [each.d_accuracy for each in stretch if each.d_accuracy is not None]
    right, loss = percent(sum(rates) / len(rates)), sum(losses) / len(losses)
    why = f"D is right on {right} with a loss of {loss:.2g}, and G gains nothing"
    return said("vanishing gradient", stretch[0].step, f"{why}: {described(evidence.look)}")


def oscillating(evidence: Evidence) -> Verdict | None:
    """Its quality goes up and down to the end, or its samples jump between regions."""
    return _swinging(evidence) or _jumping(evidence)


def _swinging(evidence: Evidence) -> Verdict | None:
    turns = turning_points(evidence.positions)
    if not turns:
        return None
    end = evidence.moments[-1].step
    chain: list[tuple[int, float]] = []
    for step, height in reversed(turns):
        if (chain[0][0] if chain else end) - step > CALM * end:
            break
        chain.insert(0, (step, height))
    late = [height for step, height in chain if step >= end / 2]
    if len(late) - 1 < SWINGS:
        return None
    why = (
        f"the position of {evidence.tracked} swings {len(late) - 1} times in the second half, "
        f"between {min(late):.2f} and {max(late):.2f}, and ends at {evidence.positions[-1][1]:.2f}"
    )
    return said("oscillating", chain[0][0], why)


def _jumping(evidence: Evidence) -> Verdict | None:
    """Samples that have collapsed, but on other regions from evaluation to evaluation."""
    now = evidence.look.regions
    if now is None or not now.shares or not _empty(now):
        return None
    seen = [(step, look.regions.shares) for step, look in evidence.earlier() if look.regions]
    moved = [
        (later, sum(abs(x - y) for x, y in zip(a, b, strict=True)) / 2)
        for (later, a), (_, b) in pairwise(seen)
    ]
    jumps = 0
    while jumps < len(moved) and moved[jumps][1] >= JUMP:
        jumps += 1
    if jumps < SWINGS:
        return None
    mean = percent(sum(share for _, share in moved[:jumps]) / jumps)
    why = f"{mean} of {evidence.look.noun} change {now.word} between evaluations, now {now}"
    return said("oscillating", moved[jumps - 1][0], why)


def mode_collapse(evidence: Evidence) -> Verdict | None:
    """What there is looks real, but whole regions are missing, or all samples are alike."""
    return _seen(evidence, "mode collapse", _collapsed, before=partial(_collapsed, slack=SLACK))


def _collapsed(look: Look, *, slack: float = 1.0) -> str | None:
    if look.spread is not None and look.spread < ONE_POINT:
        return f"all {look.noun} are nearly alike, {percent(look.spread)} as far apart as real ones"
    if look.lifelike is not None and look.lifelike < slack * _least(look):
        return None
    if look.law is not None:
        return _collapsed_curves(look) if look.law >= LAW else None
    if look.regions is not None:
        # Of samples that may lie elsewhere empty cells say nothing, nor what digits noise is.
        known = look.regions.natural or look.lifelike is not None
        if look.regions.word == TRIPLES and look.position is not None:
            known = look.position > 0
        return _collapsed_regions(look, look.regions) if known else None
    uneven = look.evenness is not None and look.evenness < FAR_FROM_EVEN
    return described(look) if uneven else None


def _least(look: Look) -> float:
    """How real samples must look for what is missing to be missing from something."""
    if look.trait == "lie in a mode":
        return HALF_REAL
    natural = look.law is not None or (look.regions is not None and look.regions.natural)
    return SOME_REAL if natural else MOST_REAL


def _collapsed_regions(look: Look, regions: Regions) -> str | None:
    if not _empty(regions):
        return None
    where = f"only {regions} with a tenth of their due or more"
    if regions.word == TRIPLES:
        where = f"only {regions} have a sample"
    elif not regions.natural:
        where = f"{where}; {percent(regions.lost)} of real ones lie elsewhere"
    return "; ".join(filter(None, (where, described(look, regions=False))))


def _collapsed_curves(look: Look) -> str:
    why = described(look, regions=False)
    if look.band is None:
        return f"{why}; their frequencies or phases are {look.law:.2f} off the law"
    if look.band < NARROW:
        return f"{why}; all have one frequency"
    return f"{why}; 9 in 10 have frequencies within {percent(look.band)} of the range"


def _empty(regions: Regions) -> bool:
    """Whether so much is missing that no chance and no narrowness explains it."""
    if regions.natural:
        return regions.lost > 0
    return regions.lost >= LOST and regions.lost_widened >= regions.lost / 3


def under_dispersed(evidence: Evidence) -> Verdict | None:
    """Nothing is missing, but samples spread too little around what they have."""
    return _seen(evidence, "under-dispersed", _narrow)


def _narrow(look: Look) -> str | None:
    if look.lifelike is not None and look.lifelike < REAL:
        return None
    natural = look.regions is not None and look.regions.natural
    uneven = look.evenness is not None and look.evenness < (FAIR if _close(look) else EVEN)
    tight = look.within is not None and look.within < TIGHT
    why = f"with {look.recall} of real ones within reach" if look.recall else ""
    small = look.spread is not None and look.spread < TIGHT
    if small and not natural:
        why = f"{percent(look.spread or 0.0)} as far apart as real ones"
    elif tight and (natural or uneven):
        word = look.regions.word if look.regions else "regions"
        why = f"{percent(look.within or 0.0)} as far apart as real ones within {word}"
    elif _sharp(look):
        why = "nearer to their centres than real ones"
    elif not uneven:
        return None
    return "; ".join(filter(None, (described(look), why)))


def _sharp(look: Look) -> bool:
    """Whether modes are too narrow, by the counts alone, where there are no samples to measure."""
    if look.within is not None or look.trait != "lie in a mode" or look.fidelity is None:
        return False
    return look.fidelity.of_real > SHARP and (look.evenness or 0.0) < SLIGHT


def over_dispersed(evidence: Evidence) -> Verdict | None:
    """Samples lie around the target or between its modes, and real ones lie within their reach."""
    return _seen(evidence, "over-dispersed", _wide)


def _wide(look: Look) -> str | None:
    if look.lifelike is None or look.lifelike >= REAL or _close(look):
        return None
    if look.recall is not None and look.recall.of_real < HALF_WAY:
        return None
    why = _beside(look)
    return why if look.recall is None else f"{why}; {look.recall} of real ones within their reach"


def _beside(look: Look) -> str:
    if look.offset is not None or look.fidelity is None:
        return described(look)
    beside = {"are sines": "are no sines", "lie in a mode": "lie outside the modes"}
    share = percent(1 - look.fidelity.value)
    return f"{share} of {look.noun} {beside.get(look.trait, 'lie beside the real ones')}"


def poor_fit(evidence: Evidence) -> Verdict | None:
    """None of the above, and yet not like the real ones."""
    verdict, look = _seen(evidence, "poor fit", _unlike), evidence.look
    if verdict is None:
        if evidence.score is None or evidence.score >= FIT:
            return None
        views = sorted(evidence.views.items(), key=lambda each: each[1])
        low = ", ".join(f"{view} {position:.2f}" for view, position in views[:2])
        return said("poor fit", None, f"score {evidence.score:.2f}, {low}; {described(look)}")
    known = described(look)
    if known and (look.lifelike or 0.0) >= REAL:
        known += ", but in wrong proportions"
    return said("poor fit", verdict.since, "; ".join(filter(None, (evidence.told, known))))


def _unlike(look: Look) -> str | None:
    off = look.position is not None and look.position < POOR
    unreal = look.lifelike is not None and look.lifelike < REAL and not _close(look)
    return "unlike" if off or unreal else None


RULES: tuple[Rule, ...] = (
    ended_early,
    memorising,
    vanishing_gradient,
    oscillating,
    mode_collapse,
    under_dispersed,
    over_dispersed,
    poor_fit,
)


def turning_points(heights: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Highs and lows (step, height) by turns, each SWING or more from the next; none if calm."""
    turns: list[tuple[int, float]] = []
    low = high = heights[0] if heights else (0, 0.0)
    for here in heights:
        if not turns:
            low, high = min(low, here, key=_height), max(high, here, key=_height)
            if high[1] - low[1] >= SWING:
                turns = sorted((low, high))
            continue
        rising, change = turns[-1][1] > turns[-2][1], here[1] - turns[-1][1]
        if (change > 0) == rising:
            turns[-1] = here
        elif abs(change) >= SWING:
            turns.append(here)
    return turns


def _height(point: tuple[int, float]) -> float:
    return point[1]


def said(kind: Kind, since: int | None, why: str) -> Verdict:
    """A verdict with its text, one line of up to LONGEST characters."""
    head = kind if since is None else f"{kind} from step {since:,}"
    text = " ".join(f"{head}: {why}".split())
    return Verdict(kind=kind, since=since, text=shortened(text))


def shortened(text: str) -> str:
    """`text`, cut at a word if it is longer than a verdict may be."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rsplit(" ", 1)[0] + "…"


def _close(look: Look) -> bool:
    """Whether the tracked metric sees nothing wrong, where only balls tell what looks real."""
    by_balls = look.fidelity is not None and look.fidelity == look.precision
    return by_balls and look.position is not None and look.position >= CLOSE


def _seen(
    evidence: Evidence, kind: Kind, sign: Sign, *, before: Sign | None = None
) -> Verdict | None:
    """The verdict if the last samples show the sign, since the sign, or `before`, has held."""
    why = sign(evidence.look)
    if why is None:
        return None
    since = None
    for step, look in evidence.earlier():
        # The last evaluation is what is judged: of fewer samples it may fall on the other side.
        if since is not None and (before or sign)(look) is None:
            break
        since = step
    return said(kind, since, why)
