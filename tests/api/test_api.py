"""ganbench from Python: every public name, its example, and what becomes of a run."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import softplus

import ganbench
from ganbench.cli import main
from ganbench.engine.generators import generators_of, own_randomness
from ganbench.harness import stored
from ganbench.randomness import stream

PUBLIC = [name for name in ganbench.__all__ if not name.startswith("_")]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tiny(task: ganbench.Task, *, device: str, hidden: int = 16) -> ganbench.Game:
    """A GAN as somebody writes it in a cell of a notebook."""
    adam = partial(torch.optim.Adam, lr=1e-3)
    return ganbench.Game(
        generator=nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, task.width)),
        discriminator=nn.Sequential(nn.Linear(task.width, hidden), nn.ReLU(), nn.Linear(hidden, 1)),
        latent=lambda n, rng: torch.randn(n, 4, generator=rng, device=rng.device),
        d_loss=lambda D, real, fake: (softplus(-D(real)) + softplus(D(fake))).mean(),
        g_loss=lambda D, real, fake: softplus(-D(fake)).mean(),
        d_optimizer=adam,
        g_optimizer=adam,
    )


STEPS = [0]


def counting(task: ganbench.Task, *, device: str) -> ganbench.Game:
    """One that counts its steps, and logs them."""

    def d_loss(D: nn.Module, real: torch.Tensor, fake: torch.Tensor) -> Any:
        STEPS[0] += 1
        value = (softplus(-D(real)) + softplus(D(fake))).mean()
        return value, {"count": torch.tensor(float(STEPS[0]))}

    return replace(tiny(task, device=device), d_loss=d_loss)


class Echo:
    """A GAN that is no Game, and has a generator."""

    def __init__(self, task: ganbench.Task, *, device: str) -> None:
        self.generator = nn.Linear(2, task.width)

    def train_step(self, real: torch.Tensor) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            self.generator.bias.copy_(real.mean(0))
        return {}

    def sample(self, n: int) -> torch.Tensor:
        with torch.no_grad():
            return self.generator(torch.randn(n, 2))


quiet = partial(ganbench.run, task="gaussian", budget="smoke", progress=False)


def examples(name: str) -> Iterator[doctest.DocTest]:
    found = getattr(ganbench, name)
    for test in doctest.DocTestFinder(recurse=False).find(found, name):
        if test.examples:
            yield test


def test_the_public_names() -> None:
    assert sorted(PUBLIC) == PUBLIC
    assert {"run", "evaluate", "load_result", "leaderboard", "compare", "list_tasks"} <= {*PUBLIC}
    assert {"list_baselines", "list_metrics", "sample", "load_generator", "Result"} <= {*PUBLIC}
    assert {*PUBLIC} <= {*dir(ganbench)}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_says_what_it_is(name: str) -> None:
    text = getattr(ganbench, name).__doc__
    assert text is not None
    assert len(text) > 60


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC)
def test_its_example_holds(name: str) -> None:
    tried = [doctest.DocTestRunner().run(test) for test in examples(name)]
    assert tried, "it has no example"
    assert sum(each.failed for each in tried) == 0


def test_every_public_name_has_an_example() -> None:
    assert len(PUBLIC) >= 22
    assert [name for name in PUBLIC if not next(examples(name), None)] == []


def test_what_is_public_of_a_class_is_explained() -> None:
    """Methods and properties too, which a page lists by their docstrings."""
    classes = [found for name in PUBLIC if isinstance(found := getattr(ganbench, name), type)]
    silent = [
        f"{each.__name__}.{name}"
        for each in classes
        for name, member in vars(each).items()
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
        if not (member.__doc__ or "").strip()
    ]
    assert len(classes) >= 10 and silent == []


@pytest.mark.slow
def test_the_result_is_that_of_the_command(elsewhere: Path) -> None:
    mine = quiet("mlp_gan", seeds=[0, 1])
    arguments = ["run", "mlp_gan", "--task", "gaussian", "--budget", "smoke", "--seeds", "2"]
    done = CliRunner().invoke(main, [*arguments, "--json", "--leaderboard", "other", "--out", "o"])
    theirs = json.loads(done.stdout)
    assert mine.model_dump(mode="json")["summary"] == theirs["summary"]
    assert [seed.judged_apart for seed in mine.seeds] == [True, True]
    assert mine.score == theirs["summary"]["score"]["iqm"]
    assert mine.folder is not None
    assert mine.path is not None
    assert ganbench.load_result(mine.path).seeds == mine.seeds


@pytest.mark.slow
def test_a_result_is_of_the_seeds_asked_for_though_its_file_has_more() -> None:
    both = [quiet("moment_matching", seeds=[seed]) for seed in (0, 1)]
    assert [[seed.seed for seed in each.seeds] for each in both] == [[0], [1]]
    assert both[1].path is not None
    assert [seed.seed for seed in ganbench.load_result(both[1].path).seeds] == [0, 1]
    assert both[1].summary["score"].iqm == both[1].seeds[0].score


@pytest.mark.slow
def test_a_gan_of_a_cell_is_trained_like_its_file(elsewhere: Path) -> None:
    file = elsewhere / "tiny.py"
    text = Path(__file__).read_text()
    start, end = text.index("def tiny"), text.index("class Echo")
    head = "from functools import partial\nimport ganbench, torch\nfrom torch import nn\n"
    head += "from torch.nn.functional import softplus\n"
    file.write_text(head + text[start:end].replace("def tiny", "def GAN"))
    cell, own = (quiet(gan, seeds=2, hidden=8) for gan in (tiny, file))
    assert [s.samples_sha256 for s in cell.seeds] == [s.samples_sha256 for s in own.seeds]
    assert cell.summary == own.summary
    assert cell.path is None
    assert cell.entry.hparams == {"hidden": 8}
    assert not (elsewhere / "leaderboard/gaussian/tiny-hidden=8-smoke.json").samefile(file)
    assert [path.name for path in (elsewhere / "leaderboard").rglob("*.json")] == [
        "tiny-hidden=8-smoke.json"  # the file's
    ]


@pytest.mark.slow
@pytest.mark.parametrize("baseline", ["mlp_gan", "flow_matching", tiny, Echo])
def test_a_generator_makes_the_very_samples_that_were_scored(baseline: Any) -> None:
    result = quiet(baseline, seeds=[3])
    assert result.folder is not None
    gan = baseline if callable(baseline) else None
    trained = ganbench.load_generator(result, seed=3, gan=gan)
    own, last = generators_of(trained.gan), 1  # of two rounds
    with own_randomness(own, stream(3, "evaluation", last)):
        again = trained.gan.sample(4096).numpy()
    scored = np.load(result.folder / "seed-3/samples.npz")["samples"]
    assert np.array_equal(again, scored)
    assert torch.equal(trained.sample(5, seed=1), trained.sample(5, seed=1))
    assert not torch.equal(trained.sample(5, seed=1), trained.sample(5, seed=2))
    assert trained.sample(5).shape == (5, 2)


@pytest.mark.slow
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_generators_weights_have_its_own_names(average: float) -> None:
    result = quiet("mlp_gan", average=average)
    assert result.folder is not None
    module = ganbench.load_generator(result).module
    assert module is not None
    weights = load_file(result.folder / "seed-0/generator.safetensors")
    assert {*weights} == {*module.state_dict()}
    assert all(torch.equal(weights[name], each) for name, each in module.state_dict().items())


@pytest.mark.slow
def test_a_source_that_has_changed_is_told(elsewhere: Path) -> None:
    file = elsewhere / "own.py"
    source = Path(ganbench.__file__).with_name("cli") / "scaffold.py"
    file.write_text(source.read_text())
    result = quiet(file)
    assert ganbench.load_generator(result).sample(2).shape == (2, 2)
    assert result.folder is not None
    checkpoint = result.folder / "seed-0/checkpoint.safetensors"
    state = stored.load_state(checkpoint)
    stored.save_state(checkpoint, {**state, "round": 1})
    with pytest.warns(UserWarning, match="seed 0 stands where .*: after 1 of 2 rounds"):
        ganbench.load_generator(result)
    told = CliRunner().invoke(main, ["sample", str(result.folder), "--out", "few.npz"])
    assert told.exit_code == 0 and "after 1 of 2 rounds" in told.stderr
    file.write_text(source.read_text() + "\n# changed\n")
    with pytest.raises(ganbench.InputError, match=r"own\.py has changed since"):
        ganbench.load_generator(result)


@pytest.mark.slow
def test_wrong_input_is_told() -> None:
    result = quiet(tiny)
    for call, said in (
        (lambda: ganbench.load_generator(result, seed=7, gan=tiny), "seed 7 has no checkpoint"),
        (lambda: ganbench.load_generator(result), "give it as gan="),
        (lambda: ganbench.load_generator("nowhere"), "no folder of a run"),
        (lambda: ganbench.load_generator(result, gan=tiny).sample(0), "at least 1"),
        (lambda: quiet("mlp_gam"), "did you mean 'mlp_gan'"),
        (lambda: quiet(3), "got int"),  # type: ignore[arg-type]
        (lambda: quiet(tiny, seeds=0), "seeds must be 1 to"),
        (lambda: quiet(tiny, seeds=[1, 1]), "each once"),
        (lambda: quiet(tiny, seeds=[-1]), "from 0 to"),
        (lambda: quiet(tiny, compile="maybe"), "auto, on, off"),  # type: ignore[arg-type]
        (lambda: quiet(tiny, depth=3), "no hyper-parameter 'depth'"),
        (lambda: ganbench.sample("ring8", 0), "at least 1"),
        (lambda: ganbench.evaluate(np.zeros((4096, 3)), task="ring8"), "shape"),
        (lambda: ganbench.compare("a", "b"), "no leaderboard folder"),
    ):
        with pytest.raises(ganbench.InputError, match=said):
            call()


@pytest.mark.slow
def test_what_a_notebook_shows() -> None:
    result = quiet(tiny, seeds=2)
    assert repr(result).startswith("Result(tiny-smoke on gaussian, smoke budget, 2 seeds, score ")
    page = result._repr_html_()
    assert page.count("<tr>") == 5
    assert "discriminator_accuracy" in page
    assert len(result.plot().axes) == 3
    frame = result.to_frame()
    assert list(frame["seed"]) == [0, 1]
    assert list(frame["score"]) == [seed.score for seed in result.seeds]
    quiet("oracle")
    board = ganbench.leaderboard("gaussian")
    assert [row["entry"] for row in board] == ["oracle-smoke"]
    assert "<td>oracle-smoke</td>" in board._repr_html_()
    assert board.to_frame().loc[0, "views.fidelity"] == board[0]["views"]["fidelity"]


@pytest.mark.slow
def test_a_damaged_file_is_left_out_with_a_warning(elsewhere: Path) -> None:
    quiet("oracle")
    (elsewhere / "leaderboard/gaussian/bad.json").write_text("{")
    with pytest.warns(UserWarning, match=r"bad\.json is not a valid result"):
        assert len(ganbench.leaderboard("gaussian")) == 1


@pytest.mark.slow
def test_a_script_needs_no_guard_of_its_main_part(elsewhere: Path) -> None:
    """Its processes do not execute it once more."""
    script = elsewhere / "script.py"
    script.write_text(
        "import ganbench\nprint('begun')\n"
        "result = ganbench.run('mlp_gan', 'gaussian', budget='smoke', seeds=2, workers=2)\n"
        "print(result.score)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    begun, score = done.stdout.splitlines()
    assert begun == "begun"
    assert float(score) == quiet("mlp_gan", seeds=2).score


@pytest.mark.slow
def test_samples_by_the_command(elsewhere: Path) -> None:
    result = quiet("mlp_gan")
    run = CliRunner()
    arguments = ["sample", str(result.folder), "-n", "7", "--draw", "2"]
    for name in ("a.npz", "b.npy"):
        done = run.invoke(main, [*arguments, "--out", name])
        assert (done.exit_code, done.stdout) == (0, f"{name}: float32 of shape (7, 2)\n")
    expected = ganbench.load_generator(result).sample(7, seed=2).numpy()
    assert np.array_equal(np.load("a.npz")["samples"], expected)
    assert np.array_equal(np.load("b.npy"), expected)
    for wrong, said in (
        (["--out", "a.npz"], "a.npz exists"),
        (["--out", "a.txt"], "must end in .npz or .npy"),
        (["--seed", "4"], "seed 4 has no checkpoint"),
        (["-n", "999999999"], "2,147,483,648 at most"),
    ):
        done = run.invoke(main, [*arguments[:2], *wrong])
        assert done.exit_code == 2
        assert said in done.stderr
    assert sorted(path.name for path in elsewhere.glob("*.np*")) == ["a.npz", "b.npy"]


class Counts(Echo):
    """One that counts its steps beside its state."""

    def train_step(self, real: torch.Tensor) -> dict[str, torch.Tensor]:
        STEPS[0] += 1
        return super().train_step(real)


def test_what_counts_in_a_cell_goes_on_in_the_next_seed_with_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "STEPS", [0])
    ganbench.run(Counts, "gaussian", steps=3, seeds=2)
    assert STEPS == [6]
    assert "the next seed may go on with it, as it is of no file" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="no copies of a process here")
def test_a_cells_state_is_as_it_was_when_training_begins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a step changes any is tried in a copy of this process."""
    monkeypatch.setitem(globals(), "STEPS", [0])
    result = ganbench.run(counting, "gaussian", steps=3, seeds=2)
    assert [each.engine for each in result.seeds] == ["eager", "eager"]
    assert [point.losses["count"] for each in result.seeds for point in each.curve] == [
        *range(1, 7)
    ]
    assert "the next seed goes on with it, as it is of no file" in capsys.readouterr().err
