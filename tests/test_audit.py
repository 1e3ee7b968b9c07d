"""The audit passes every metric that is sound, and finds those that are not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

from ganbench import audit, metrics, registry
from ganbench.audit import checks, spoil, trials
from ganbench.cli import main
from ganbench.core import Task
from ganbench.errors import InputError

SMALL = {"size": 512, "draws": 100}
Values = Mapping[str, float]


def broken(name: str, metric: Callable[[Tensor, Tensor], Values]) -> set[tuple[str, str]]:
    """The promises that a metric function breaks on a task."""
    tried = trials.run(registry.load_task(name), metric, **SMALL)
    return {(f.quantity, f.promise) for f in checks.judge(tried) if not f.kept}


@pytest.mark.slow
def test_every_promise_is_kept(tmp_path: Path) -> None:
    findings, pictures = audit.audit_task("ring8", **SMALL, folder=tmp_path)
    assert [f for f in findings if not f.kept] == []
    task = registry.load_task("ring8")
    assert {f.quantity for f in findings} == {
        name
        for name in task.bounds
        if not name.endswith("_2500")  # of so many samples
    }
    assert len(pictures) == len(task.metrics)
    for picture in pictures:
        with Image.open(picture) as image:
            assert image.width > 300


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metric", "size"),
    [
        ("quadratic", "curve_residual", 512),
        ("sine", "sine_rmse", 512),
        ("mnist", "frechet", 256),
        ("mnist", "memorisation", 256),
        ("polygons", "triangle_precision", 256),
    ],
)
def test_what_other_tasks_have_of_their_own(
    name: str, metric: str, size: int, tmp_path: Path
) -> None:
    findings, (picture,) = audit.audit_task(name, only=metric, size=size, folder=tmp_path)
    assert metric in {f.quantity for f in findings}
    assert [f for f in findings if not f.kept] == []
    assert picture == tmp_path / name / f"{metric}.png"


def test_every_quantity_promises_what_is_known() -> None:
    promises = registry.promises()
    assert promises.keys() == registry.directions().keys()
    for name, words in promises.items():
        assert len(set(words)) == len(words)
        assert words or name.endswith("_2500")  # as without it, of fewer samples
        assert set(words) <= set(checks.CHECKS)


def test_the_tasks_have_every_quantity() -> None:
    measured = {name for task in audit.TASKS for name in registry.load_task(task).bounds}
    assert measured == set(registry.directions())
    assert audit.tasks_for(None) == list(audit.TASKS)
    assert audit.tasks_for("mmd") == ["ring8"]
    assert audit.tasks_for("kid") == ["mnist"]


def test_swapped_precision_and_recall_are_found() -> None:
    """As in several public tools."""
    found = broken("ring8", lambda real, fake: metrics.precision_recall(fake, real))
    assert {("precision", "fidelity"), ("recall", "coverage"), ("recall", "drop")} <= found


def test_a_biased_estimator_is_found() -> None:
    def biased(real: Tensor, fake: Tensor) -> Values:
        """V-statistic: a share of 1 / n of the kernel's diagonal is left in."""
        value = metrics.mmd(real, fake, widths=(0.01, 0.5))
        return {"mmd": value + 2 / len(real) + 2 / len(fake)}

    assert broken("ring8", biased) == {("mmd", "unbiased")}


def test_a_mode_counted_twice_is_found() -> None:
    """`linspace(0, 2 pi, 8)` gives seven centres, the first of them twice."""
    angles = torch.linspace(0, 2 * torch.pi, 8)
    centers = torch.stack([angles.cos(), angles.sin()], 1)
    found = broken(
        "ring8", lambda real, fake: metrics.mixture_modes(real, fake, centers=centers, sigma=0.01)
    )
    assert ("modes", "drop") in found or ("high_quality", "fidelity") in found
    assert found


def test_a_kernel_that_is_blind_inside_modes_is_found() -> None:
    found = broken("ring8", lambda real, fake: {"mmd": metrics.mmd(real, fake, widths=(50.0,))})
    assert ("mmd", "dispersal") in found


def test_what_depends_on_the_order_is_found() -> None:
    found = broken("ring8", lambda real, fake: {"energy": metrics.energy(real[:64], fake[:64])})
    assert ("energy", "order") in found


def test_what_ignores_the_fakes_is_found() -> None:
    found = broken("ring8", lambda real, fake: {"frechet": float(real.var())})
    assert {("frechet", word) for word in ("noise", "drop", "collapse", "symmetry")} <= found


@pytest.mark.slow
def test_a_miscalibrated_p_value_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = metrics.discriminator_tests

    def boastful(real: Tensor, fakes: Tensor) -> list[dict[str, float]]:
        tests = honest(real, fakes)
        return [t | {"discriminator_p_value": t["discriminator_p_value"] / 4} for t in tests]

    monkeypatch.setattr(metrics, "discriminator_tests", boastful)
    found = broken("ring8", metrics.discriminator_test)
    assert ("discriminator_p_value", "calibrated") in found


def test_copies_are_spoilt_from_the_training_set() -> None:
    task = registry.load_task("mnist")
    fake = task.sample(40, torch.Generator().manual_seed(0))
    training = {row.tobytes() for row in task.training_set().numpy()}
    shares = [
        (share, sum(row.tobytes() in training for row in bad.numpy()) / 40)
        for share, bad in spoil.copied(task, fake)
    ]
    assert [share for share, _ in shares] == [0, 0.25, 0.5, 0.75, 1]
    assert all(found == pytest.approx(share, abs=0.03) for share, found in shares)


def test_modes_are_left_out_as_said() -> None:
    task = registry.load_task("ring8")
    assert task.label is not None
    fake = task.sample(512, torch.Generator().manual_seed(0))
    seen = [len(task.label(bad).unique()) for _, bad in spoil.dropped(task, fake)]
    assert seen == [8, 6, 4, 2]
    assert len(task.label(spoil.collapsed(task, 512)).unique()) == 1


def test_parts_of_a_task_without_modes_are_equal_slices() -> None:
    task = replace(registry.load_task("moons"), label=None)
    label, count = spoil.parts(task)
    shares = torch.bincount(label(task.reference), minlength=count) / len(task.reference)
    assert count == 8
    assert shares.tolist() == pytest.approx([1 / 8] * 8, abs=0.002)


def test_null_pairs_of_collected_data_share_nothing() -> None:
    task = registry.load_task("mnist")
    real, fake = trials.null_pair(task, 1000, 0)
    assert not {row.tobytes() for row in real.numpy()} & {row.tobytes() for row in fake.numpy()}


def run(*arguments: str, out: Path) -> tuple[int, str, str]:
    options = ["--size", "128", "--out", str(out)]
    result = CliRunner().invoke(main, ["audit", *arguments, *options])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.slow
def test_command(tmp_path: Path) -> None:
    code, out, err = run("modes", out=tmp_path)
    assert code == 0, err
    assert "audit on ring8" in out and "high_quality" in out and "fidelity" in out
    assert "17 promises tried, 0 broken" in err
    assert (tmp_path / "audit" / "ring8" / "modes.png").is_file()


@pytest.mark.slow
def test_command_in_json(tmp_path: Path) -> None:
    code, out, _ = run("curve_x_ks", "--json", out=tmp_path)
    assert code == 0
    findings = json.loads(out)
    assert {f["quantity"] for f in findings} == {"curve_residual", "curve_x_ks"}
    assert findings[0].keys() == {"task", "quantity", "promise", "kept", "seen"}


@pytest.mark.slow
def test_command_exits_1_when_a_promise_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task: Task = registry.load_task("ring8")
    modes = task.metrics["modes"]
    blind = replace(task, metrics={"modes": lambda real, fake: modes(fake, real)})
    monkeypatch.setattr(registry, "load_task", lambda name: blind)
    code, out, err = run("modes", out=tmp_path)
    assert code == 1
    assert "NO" in out
    assert "broken" in err and "0 broken" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mdm"], "unknown metric 'mdm': did you mean 'mmd'?"),
        (["sine_r2", "--task", "ring8"], "task 'ring8' does not measure 'sine_r2'"),
        (["mmd", "--task", "ring9"], "unknown task 'ring9': did you mean 'ring8'?"),
    ],
)
def test_wrong_names(arguments: list[str], message: str, tmp_path: Path) -> None:
    code, _, err = run(*arguments, out=tmp_path)
    assert code == 2
    assert message in err
    assert not any(tmp_path.iterdir())


def test_a_size_beyond_the_held_out_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'mnist' holds out 4096 samples, which is the largest"):
        audit.audit_task("mnist", only="memorisation", size=5000)


def test_metrics_of_one_s_own_promise_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"mine": lambda real, fake: 0.0, "energy": metrics.energy}
    task = replace(registry.load_task("ring8"), metrics=own)
    monkeypatch.setattr(registry, "load_task", lambda name: task)
    findings, pictures = audit.audit_task("ring8", **SMALL)
    assert {f.quantity for f in findings} == {"energy"}
    assert pictures == []


def test_unknown_metric_of_the_api() -> None:
    with pytest.raises(InputError, match="unknown metric"):
        audit.tasks_for("nothing")
