"""What converges on the DiracGAN, by theory and by the engine (Mescheder et al. 2018)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ganbench import dirac
from ganbench.dirac.play import RATE, STEPS, ways
from ganbench.errors import InputError
from ganbench.reproduce.protocol import Asked, Found, check_rows
from ganbench.system.files import make_folder


@dataclass(frozen=True)
class DiracGAN:
    """Every method with each of its updates, from (1, 1): one trajectory, without chance."""

    name: str = "dirac"
    source: str = "Mescheder, Geiger and Nowozin 2018, figure 1, sections 2 and 3"
    summary: str = "which training methods converge where data and generator are one point each"

    def duration(self) -> str:
        """How long it takes."""
        return "20 s"

    def run(self, asked: Asked) -> Found:
        """The table of all methods, or of those asked for, and the picture of all their fields.

        InputError for what has no part in it, as a number of seeds.
        """
        usual = {"seeds": None, "workers": None, "budget": "full", "steps": None, "compiled": None}
        given = {**asked.how, "seeds": asked.seeds, "workers": asked.workers}
        if moot := [name for name, value in usual.items() if given.get(name, value) != value]:
            raise InputError(f"{self.name} has nothing to do with {moot[0]}: its steps are fixed")
        found = ways()
        rows = dirac.table(found)
        check_rows(self.name, list(dict.fromkeys(row.method for row in rows)), asked.only)
        rows = [row for row in rows if not asked.only or row.method in asked.only]
        path = asked.out / "reproduce" / self.name / "fields.png"
        make_folder(path.parent)
        dirac.picture(path, found)
        agrees = Counter(row.agrees for row in rows)
        return Found(
            title=f"{self.name}: {self.source}",
            table=[
                {
                    "method": row.method,
                    "updates": row.updates,
                    "theory": row.theory,
                    "ours": row.ours,
                    "distance at the end": f"{row.distance:.3g}",
                }
                for row in rows
            ],
            notes=[
                f"{agrees[True]} of {len(rows)} as theory says; {STEPS} steps at a rate of {RATE}"
            ],
            pictures=[path],
            document={
                "protocol": self.name,
                "rows": [{**row._asdict(), "agrees": row.agrees} for row in rows],
            },
            whole=not agrees[False],
        )


PROTOCOL = DiracGAN()
