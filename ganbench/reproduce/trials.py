"""The runs behind rows of a protocol: prepared, estimated, trained or gone on with, kept."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganbench.errors import InputError
from ganbench.harness import bench, checkpoint, composed, entries, stored
from ganbench.harness.spec import MANY_STEPS, Job, Spec, look_up
from ganbench.harness.workers import shared_out, train_all
from ganbench.reproduce.protocol import Asked
from ganbench.results.samples import read_arrays
from ganbench.results.schema import SeedResult, dumps, mean_speed
from ganbench.system import processes
from ganbench.system.files import read_bytes, write_atomically
from ganbench.system.words import duration

RESULT = "result.json"  # of a row


@dataclass(frozen=True, kw_only=True)
class Trials:
    """The runs of a row that there are; those that were stopped have no values yet."""

    name: str
    job: Job
    seeds: Sequence[SeedResult]

    @property
    def folder(self) -> Path:
        """Where they have left what they have."""
        return self.job.spec.folder

    @property
    def speed(self) -> float | None:
        """Seed-steps per second of a worker."""
        return mean_speed(list(self.seeds))

    def values(self, names: Sequence[str]) -> list[dict[str, float]]:
        """These quantities of the runs that have come to their end."""
        ended = [seed.metrics for seed in self.seeds if seed.status == "ok"]
        return [{name: float(run[name] or 0.0) for name in names} for run in ended]

    def samples(self, seed: SeedResult) -> Any:
        """The last samples that were judged, (n, *shape); None if there are none."""
        path = self.folder / f"seed-{seed.seed}" / "samples.npz"
        if not path.is_file():
            return None
        return read_arrays(path).get("samples")

    def notes(self) -> list[str]:
        """What became of runs that have not come to their end."""
        said = []
        for seed in self.seeds:
            if seed.status == "interrupted":
                said.append(
                    f"{self.name} seed {seed.seed}: {seed.reason}; the same command goes on"
                )
            elif seed.status != "ok":
                said.append(
                    f"{self.name} seed {seed.seed} {seed.status}: {seed.reason}; not counted"
                )
        return said

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "row": self.name,
            "task": self.job.task.name,
            "hparams": dict(self.job.hparams),
            "folder": str(self.folder),
            "seed_steps_per_second": self.speed,
            "seeds": [
                {"seed": each.seed, "status": each.status, "metrics": each.metrics}
                for each in self.seeds
            ],
        }


def prepare(spec: Spec, name: str, out: Path, notes: list[str], held: ExitStack) -> Job:
    """The job of a row, in a folder of its name; what was done with another source is set aside.

    The folder is in use until `held` is closed.
    """
    job = look_up(spec)
    folder = out / "-".join([name, *entries.circumstances(job)])
    folder, said = entries.prepare_folder(folder, job, held)
    notes += said
    job = job.in_folder(folder)
    return replace(job, spec=replace(job.spec, resume=True))


def run(jobs: Mapping[str, Job], seeds: Sequence[int], asked: Asked) -> list[Trials]:
    """Train the seeds of each row from where they stand; its result is kept as each of them ends.

    Says before how long that takes, where it is long enough to be worth measuring.
    """
    names = list(jobs)
    infos = [entries.entry_info(job, name) for name, job in jobs.items()]
    workers = processes.workers(asked.workers, len(jobs) * len(seeds))
    asked.tell(estimate(jobs, seeds, workers, asked))
    before = {name: _finished(job.spec.folder) for name, job in jobs.items()}
    done: dict[str, dict[int, SeedResult]] = {name: {} for name in jobs}
    for place, seed in train_all(list(jobs.values()), seeds, workers, asked.report, asked.stop):
        job, found = jobs[names[place]], done[names[place]]
        found[seed.seed] = seed
        entries.write_seed(job.spec.folder / f"seed-{seed.seed}", seed)
        every = before[names[place]] | found
        result = composed.compose(job, infos[place], [every[key] for key in sorted(every)])
        write_atomically(job.spec.folder / RESULT, dumps(result).encode())
    return [
        Trials(name=name, job=jobs[name], seeds=[found[key] for key in sorted(found)])
        for name, found in done.items()
    ]


def _finished(folder: Path) -> dict[int, SeedResult]:
    """The seeds of a row that commands before have left; InputError if one is damaged."""
    found = {}
    for path in folder.glob("seed-*/result.json"):
        try:
            seed = SeedResult.model_validate_json(read_bytes(path))
        except ValueError as error:
            raise InputError(f"{path} is damaged: remove {path.parent}") from error
        found[seed.seed] = seed
    return found


def estimate(jobs: Mapping[str, Job], seeds: Sequence[int], workers: int, asked: Asked) -> str:
    """How long the rest of all rows takes, by a short training of each; "" of short runs."""
    shares = shared_out(seeds, len(jobs), workers)
    lines, busy = [], [0.0] * min(workers, processes.cores())
    for name, job in jobs.items():
        left = [sum(_left(job, seed) for seed in share) for share in shares]
        if job.budget.steps < MANY_STEPS or not sum(left):
            continue
        if asked.stop is not None and asked.stop.is_set():
            return ""
        asked.tell(f"{name}: trying how fast it trains here")
        rate = bench.rate(job, range(len(shares[0])))
        for steps in left:  # each on the core that is free first
            heapq.heapreplace(busy, busy[0] + steps / rate)
        lines.append(
            f"{name}: {sum(left):,} steps left of {len(seeds)} runs, {rate:,.0f} a second on a "
            f"core: {duration(sum(left) / rate)}"
        )
    if not lines:
        return ""
    whole = f"about {duration(max(busy))} in all on {workers} workers"
    return "\n".join([*lines, f"{whole}; whenever it is stopped, the same command goes on"])


def _left(job: Job, seed: int) -> int:
    """The steps that a seed has still to take; InputError for a checkpoint that is damaged."""
    path = job.spec.folder / f"seed-{seed}" / checkpoint.FILE
    if not path.is_file():
        return job.budget.steps
    try:
        rounds = int(stored.load_state(path)["round"])
    except (InputError, KeyError, TypeError) as error:
        raise InputError(
            f"checkpoint {path} is damaged: remove {path.parent} to train that run anew"
        ) from error
    return max(0, job.budget.steps - rounds * job.budget.steps_per_round)
