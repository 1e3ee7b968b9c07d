"""Forged entries that hang together, made of published ones: what catches each, and the honest.

`leaderboard check` reads, `verify` scores the samples anew, `verify --rerun` trains new seeds. The
kinds of `test_conduct` are caught by the first already.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ganbench import registry
from ganbench.board import checking, claim, submission
from ganbench.results import samples, schema, store
from ganbench.system.files import file_sha256

from .test_conduct import BOARD, FORGERIES, Document, summarised

TASK, NAME = "gaussian", "mlp_gan"
N, K = 4096, 5
TIMES = ("train", "warmup", "evaluation", "sampling", "data", "saving", "other", "wall")


class Entry:
    """A published entry, copied to be forged: its document, and the folder of its files."""

    def __init__(self, root: Path, name: str = NAME) -> None:
        self.path = store.path_of(root, TASK, name)
        self.folder = store.attached(self.path)
        published = store.path_of(BOARD, TASK, name)
        shutil.copytree(store.attached(published), self.folder, dirs_exist_ok=True)
        self.document: Document = json.loads(published.read_text())
        self.document["hidden"] = None  # a forger leaves out what would tell

    @property
    def seeds(self) -> list[Document]:
        seeds: list[Document] = self.document["seeds"]
        return seeds

    def write(self) -> None:
        self.path.write_text(schema.dumps(summarised(self.document)))

    def samples(self) -> dict[int, torch.Tensor]:
        return dict(samples.read_seeds(self.folder / store.SAMPLES))

    def give(self, made: torch.Tensor, *, hashed: bool) -> None:
        """Put other samples of seed 0 beside it, also as the result's own."""
        samples.write_seeds(self.folder / store.SAMPLES, {0: made})
        if hashed:
            self.seeds[0]["samples_sha256"] = samples.sha256_of(made)


def measured(seed: Document, **metrics: float) -> None:
    """Other metrics, at the end of the curve too."""
    for place in (seed["metrics"], seed["curve"][-1]["metrics"]):
        place.update(metrics)


def towards_the_floor(seed: Document, share: float, *, whole: bool) -> None:
    """Each view's metric nearer to real data, and the curve with it; also as whole counts."""
    bounds = published()["task"]["metrics"]
    mmd = 1 - share * (1 - bounds["mmd"]["floor"] / seed["metrics"]["mmd"])
    for point in seed["curve"]:
        if "mmd" in point["metrics"]:
            point["metrics"]["mmd"] *= mmd
    found = {}
    for name in ("precision", "coverage"):
        value = seed["metrics"][name]
        value += share * (bounds[name]["floor"] - value)
        found[name] = round(value * N) / N if whole else value
    measured(seed, mmd=seed["curve"][-1]["metrics"]["mmd"], **found)


def published(name: str = NAME) -> Document:
    document: Document = json.loads(store.path_of(BOARD, TASK, name).read_text())
    return document


def fresh(seed: Document, number: int) -> None:
    """Another hash, as of samples that nobody has."""
    seed["samples_sha256"] = f"{random.Random(number).getrandbits(256):064x}"


# What reads as an honest one but for one thing: `leaderboard check`


def swapped_hashes(entry: Entry) -> None:
    a, b = entry.seeds[:2]
    a["samples_sha256"], b["samples_sha256"] = b["samples_sha256"], a["samples_sha256"]


def reordered_seeds(entry: Entry) -> None:
    for seed in entry.seeds:
        seed["seed"] = 9 - seed["seed"]


def permuted_samples(entry: Entry) -> None:
    entry.give(entry.samples()[0].flip(0), hashed=False)


def another_entrys_samples(entry: Entry) -> None:
    entry.give(Entry(entry.path.parents[1] / "x", "flow_matching").samples()[0], hashed=False)
    shutil.rmtree(entry.path.parents[1] / "x")


def another_entry_renamed(entry: Entry) -> None:
    other = Entry(entry.path.parents[1], "flow_matching")
    other.write()
    entry.document["seeds"] = copy.deepcopy(other.seeds)
    (entry.folder / store.SAMPLES).unlink()


def another_entrys_metrics(entry: Entry) -> None:
    """Its samples moved by a unit in the last place, which no metric sees."""
    another_entry_renamed(entry)
    for number, seed in enumerate(entry.seeds):
        fresh(seed, number)


def a_seed_with_another_count(entry: Entry) -> None:
    first = entry.seeds[0]
    entry.document["seeds"] = [{**copy.deepcopy(first), "seed": number} for number in range(10)]
    for number, seed in enumerate(entry.seeds):
        fresh(seed, number)
        measured(seed, coverage=(seed["metrics"]["coverage"] * 4096 - number) / 4096)
        for point in seed["curve"]:
            point["losses"] = {k: v * (1 + 1e-6 * number) for k, v in point["losses"].items()}


def without_density(entry: Entry) -> None:
    for seed in entry.seeds:
        seed["metrics"]["density"] = None


def of_fewer_metrics(entry: Entry) -> None:
    for part in (entry.document["task"]["metrics"], entry.document["summary"]):
        del part["discriminator_p_value"]
    for seed in entry.seeds:
        for metrics in (seed["metrics"], *(point["metrics"] for point in seed["curve"])):
            metrics.pop("discriminator_p_value", None)


def another_entrys_seeds_with_noise(entry: Entry) -> None:
    noise = random.Random(0)
    entry.document["seeds"] = published("flow_matching")["seeds"]
    for number, seed in enumerate(entry.seeds):
        fresh(seed, number)
        measured(seed, coverage=seed["metrics"]["coverage"] * (1 - 1e-3 * noise.random()))
    (entry.folder / store.SAMPLES).unlink()


def rescaled_curves(entry: Entry) -> None:
    for seed in entry.seeds:
        towards_the_floor(seed, 0.5, whole=False)


def precise_without_density(entry: Entry) -> None:
    for seed in entry.seeds:
        measured(seed, density=round(0.1 * N * K) / (N * K))


def fooled_discriminator(entry: Entry) -> None:
    for number, seed in enumerate(entry.seeds):
        measured(seed, discriminator_accuracy=(N // 2 + 8 + number) / N)


def likely_discriminator(entry: Entry) -> None:
    for number, seed in enumerate(entry.seeds):
        measured(seed, discriminator_p_value=0.3 + number / 100)


def easier_bounds(entry: Entry) -> None:
    entry.document["task"]["metrics"]["coverage"]["floor"] = 0.6


def other_views(entry: Entry) -> None:
    entry.document["task"]["views"]["fidelity"] = "density"


def source_replaced(entry: Entry) -> None:
    (entry.folder / store.SOURCE).write_text("# better\n")


def hidden_trials(entry: Entry) -> None:
    other = Entry(entry.path.parents[1])
    other.path = store.path_of(entry.path.parents[1], TASK, "second")
    shutil.copytree(other.folder, store.attached(other.path))
    (store.attached(other.path) / store.SAMPLES).unlink()
    other.document["entry"].update(name="second")
    other.document["entry"]["hparams"]["g_lr"] = 0.02
    for number, seed in enumerate(other.seeds):
        fresh(seed, number)
    other.write()


def undeclared_reference(entry: Entry) -> None:
    other = Entry(entry.path.parents[1], "kde")
    other.document["entry"]["reference"] = False
    other.write()


def no_hashes(entry: Entry) -> None:
    for seed in entry.seeds:
        seed["samples_sha256"] = None
    (entry.folder / store.SAMPLES).unlink()


def one_curve(entry: Entry) -> None:
    """Of the best seed, with the end of each."""
    for seed in entry.seeds:
        seed["curve"] = [*copy.deepcopy(entry.seeds[0]["curve"][:-1]), seed["curve"][-1]]


def divided_times(entry: Entry) -> None:
    for seed in entry.seeds:
        for part in TIMES:
            seed["timing"][f"{part}_seconds"] /= 20
        seed["timing"]["steps_per_second"] *= 20
        for point in seed["curve"]:
            point["train_seconds"] /= 20


def a_gpu(entry: Entry) -> None:
    for seed in entry.seeds:
        seed["machine"].update(accelerator="NVIDIA H100", driver="13.0")


CHECKED: dict[Callable[[Entry], None], str] = {
    swapped_hashes: "those of seed 0 are not the result's",
    reordered_seeds: "those of seed 0 are not the result's",
    permuted_samples: "those of seed 0 are not the result's",
    another_entrys_samples: "those of seed 0 are not the result's",
    another_entry_renamed: "has the same samples as ",
    another_entrys_metrics: "has the same samples as ",
    a_seed_with_another_count: "seed 1 is seed 0 once more",
    without_density: "its density is missing",
    of_fewer_metrics: "its discriminator_p_value is missing",
    another_entrys_seeds_with_noise: "its coverage is no share of 4,096 samples",
    rescaled_curves: "its precision is no share of 4,096 samples",
    precise_without_density: "its precision, density and coverage are not of the same samples",
    fooled_discriminator: "its discriminator_p_value is not that of its discriminator_accuracy",
    likely_discriminator: "its discriminator_p_value is not that of its discriminator_accuracy",
    easier_bounds: "floor or ceiling of coverage is not that of the task",
    other_views: "views are not those of the task",
    source_replaced: "not the source of the entry, the SHA-256 differs",
    hidden_trials: "declares no tuning trials",
    undeclared_reference: "of a reference that does not say so",
    no_hashes: "seed 0 has no hash of its samples",
    one_curve: "seed 1 is seed 0 once more",
    divided_times: "its milliseconds a step are more than its steps per second leave",
    a_gpu: "its machine has another device than cpu",
}


@pytest.mark.parametrize("forge", CHECKED, ids=lambda forge: forge.__name__)
def test_the_check_names_it(forge: Callable[[Entry], None], tmp_path: Path) -> None:
    entry = Entry(tmp_path / "board")
    forge(entry)
    entry.write()
    _, findings = checking.check(tmp_path / "board")
    assert any(CHECKED[forge] in line for line in findings), findings


# What follows from itself throughout: its samples, scored anew


def whole_counts(entry: Entry) -> None:
    for seed in entry.seeds:
        towards_the_floor(seed, 0.9, whole=True)


def hashed_samples_of_another(entry: Entry) -> None:
    entry.give(Entry(entry.path.parents[1] / "x", "r1").samples()[0], hashed=True)
    shutil.rmtree(entry.path.parents[1] / "x")


def the_reference(entry: Entry) -> None:
    task = registry.load_task(TASK)
    entry.give(task.reference, hashed=True)
    found = task.evaluate(task.reference, task.reference)
    measured(entry.seeds[0], **found)


VERIFIED: dict[Callable[[Entry], None], str] = {
    whole_counts: "by its samples",
    hashed_samples_of_another: "by its samples",
    the_reference: "copies",
}


@pytest.mark.slow
@pytest.mark.parametrize("forge", VERIFIED, ids=lambda forge: forge.__name__)
def test_its_samples_tell(forge: Callable[[Entry], None], tmp_path: Path) -> None:
    entry = Entry(tmp_path / "board")
    forge(entry)
    entry.write()
    lines = list(submission.verify(entry.path))
    assert any(VERIFIED[forge] in line for line in lines), lines


# What no file gives away: new seeds of its source, here those that are published


def without_samples(entry: Entry) -> None:
    whole_counts(entry)
    (entry.folder / store.SAMPLES).unlink()


def another_entrys_seeds(entry: Entry) -> None:
    """With other hashes."""
    entry.document["seeds"] = published("flow_matching")["seeds"]
    for number, seed in enumerate(entry.seeds):
        fresh(seed, number)
    (entry.folder / store.SAMPLES).unlink()


def real_data(entry: Entry) -> None:
    """Drawn from the task, scored honestly, and called the samples of each seed."""
    task = registry.load_task(TASK)
    entry.document["seeds"] = published("oracle")["seeds"]
    made = task.sample(N, torch.Generator().manual_seed(7))
    entry.give(made, hashed=True)
    measured(entry.seeds[0], **task.evaluate(task.reference, made))


RERUN = (without_samples, another_entrys_seeds, real_data)


@pytest.mark.slow
@pytest.mark.parametrize("forge", RERUN, ids=lambda forge: forge.__name__)
def test_new_seeds_tell(forge: Callable[[Entry], None], tmp_path: Path) -> None:
    entry = Entry(tmp_path / "board")
    forge(entry)
    entry.write()
    assert checking.check(tmp_path / "board") == (1, [])
    nothing = "no samples.safetensors came with it: nothing to compute the metrics from"
    assert set(submission.verify(entry.path)) <= {nothing}
    claimed, honest = (
        schema.load_result(entry.path).seeds,
        schema.loads(json.dumps(published()), "published"),
    )
    assert claim.judged(claimed, honest.seeds, 10).verdict == "exaggerated"


WEAK = """
import torch

class Weak:
    def __init__(self, task):
        self.shape = task.shape

    def train_step(self, real):
        return {"loss": torch.tensor(1.0)}

    def sample(self, n):
        return torch.rand(n, *self.shape)

def GAN(task, *, device="cpu"):
    return Weak(task)
"""


@pytest.mark.slow
def test_new_seeds_tell_of_a_source_that_was_replaced_and_hashed(tmp_path: Path) -> None:
    """Trained for once, confined."""
    entry = Entry(tmp_path / "board", "flow_matching")
    shutil.rmtree(entry.folder)
    entry.folder.mkdir()
    source = entry.folder / store.SOURCE
    source.write_text(WEAK)
    entry.document["entry"].update(sha256=file_sha256(source), hparams={})
    entry.write()
    assert checking.check(tmp_path / "board") == (1, [])
    plan = submission.plan(entry.path)
    outcome = submission.rerun(entry.path, plan.seeds)
    assert outcome.verdict == "exaggerated"


def test_how_many_forgeries_there_are() -> None:
    forged = [*CHECKED, *VERIFIED, *RERUN, WEAK]
    assert len(forged) >= 20 and len(FORGERIES) == 20


@pytest.mark.slow
def test_every_published_entry_is_honest() -> None:
    kinds = Counter(schema.load_result(path).entry.reference for path in store.result_files(BOARD))
    assert checking.check(BOARD) == (sum(kinds.values()), [])
    assert kinds[False] >= 56
