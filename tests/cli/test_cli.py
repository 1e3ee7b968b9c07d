"""The command line, through click's runner and as real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result

from ganbench.cli import main
from ganbench.cli.options import parse_settings
from ganbench.cli.progress import BEFORE_STEPS, DRAWING, IMPORTING, SCORING
from ganbench.results import schema
from ganbench.system import processes

ROOT = Path(__file__).parents[2]
WORKING = {IMPORTING, BEFORE_STEPS, SCORING, DRAWING}  # which a busy machine makes a command say

PLAIN_GAN = """
import torch
from torch import nn


class GAN:
    def __init__(self, task, *, device="cpu", lr=1e-3, hidden=32):
        width = torch.Size(task.shape).numel()
        self.shape = task.shape
        self.G = nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.D = nn.Sequential(nn.Linear(width, hidden), nn.Dropout(0.1), nn.Linear(hidden, 1))
        self.g_opt = torch.optim.Adam(self.G.parameters(), lr=lr)
        self.d_opt = torch.optim.Adam(self.D.parameters(), lr=lr)
        self.loss = nn.BCEWithLogitsLoss()

    def train_step(self, real):
        n = len(real)
        one, zero = torch.ones(n, 1), torch.zeros(n, 1)
        fake = self.G(torch.randn(n, 4))
        d_loss = self.loss(self.D(real.flatten(1)), one) + self.loss(self.D(fake.detach()), zero)
        self.d_opt.zero_grad()
        d_loss.backward()
        self.d_opt.step()
        g_loss = self.loss(self.D(fake), one)
        self.g_opt.zero_grad()
        g_loss.backward()
        self.g_opt.step()
        return {"d_loss": d_loss.item(), "g_loss": g_loss}

    def sample(self, n):
        return self.G(torch.randn(n, 4)).view(n, *self.shape)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every test runs in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def process(*arguments: str, **more: bool) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "ganbench", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **more,
    )


def gan_file(body: str, name: str = "my_gan.py") -> str:
    Path(name).write_text(body)
    return name


def steady(path: str) -> list[dict]:
    """The seeds of a result without what may differ from run to run: the times."""
    seeds = json.loads(Path(path).read_text())["seeds"]
    for seed in seeds:
        del seed["timing"], seed["peak_memory_bytes"]
        for point in seed["curve"]:
            del point["train_seconds"]
    return seeds


def assert_usage_error(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line not in WORKING]
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]


@pytest.mark.slow
def test_run_writes_result_pictures_and_table():
    result = invoke("run", "mlp_gan", "--task", "gaussian", "--budget", "smoke")
    assert result.exit_code == 0, result.output
    assert "distribution │" in result.stdout and "wasserstein ↓" in result.stdout
    assert "leaderboard/gaussian/mlp_gan-smoke.json" in result.stdout
    document = json.loads(Path("leaderboard/gaussian/mlp_gan-smoke.json").read_text())
    assert document["seeds"][0]["status"] == "ok"
    assert document["official"] is False
    run = Path("runs/gaussian/mlp_gan-smoke")
    assert {p.name for p in run.iterdir()} >= {
        "real_vs_generated.png",
        "training.png",
        "samples.gif",
    }


@pytest.mark.slow
def test_result_follows_its_schema():
    invoke("run", "oracle", "--task", "ring8", "--budget", "smoke", "--quiet")
    schema = json.loads(invoke("leaderboard", "schema").stdout)
    document = json.loads(Path("leaderboard/ring8/oracle-smoke.json").read_text())
    jsonschema.validate(document, schema)
    document["seeds"][0]["status"] = "fine"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


@pytest.mark.slow
def test_json_is_one_document():
    result = invoke("run", "oracle", "--task", "gaussian", "--steps", "4", "--json")
    assert json.loads(result.stdout)["protocol"]["budget"] == "custom"
    assert result.stderr == ""


@pytest.mark.slow
def test_precision_is_part_of_the_entry():
    arguments = ("--task", "gaussian", "--steps", "4", "--precision", "bf16", "--json")
    document = json.loads(invoke("run", "mlp_gan", *arguments).stdout)
    assert document["entry"]["name"] == "mlp_gan-4steps-bf16"
    assert document["protocol"]["precision"] == "bf16"
    assert_usage_error(invoke("run", "oracle", *arguments), "precision bf16 is for a ganbench.Game")


@pytest.mark.slow
def test_same_command_twice_gives_the_same_bits():
    arguments = ("run", gan_file(PLAIN_GAN), "--task", "moons", "--budget", "smoke")
    assert invoke(*arguments).exit_code == 0
    first = steady("leaderboard/moons/my_gan-smoke.json")
    assert invoke(*arguments).exit_code == 0
    assert steady("leaderboard/moons/my_gan-smoke.json") == first


@pytest.mark.slow
@pytest.mark.parametrize("baseline", ["mlp_gan", "my_gan.py"])
def test_killed_and_resumed_gives_the_same_bits(baseline):
    gan_file(PLAIN_GAN)
    arguments = ("run", baseline, "--task", "sine", "--steps", "300", "--quiet")
    name = f"{Path(baseline).stem}-300steps"
    assert invoke(*arguments).exit_code == 0
    whole = steady(f"leaderboard/sine/{name}.json")

    other = ("--leaderboard", "lb2", "--out", "runs2")
    running = process(*arguments, *other)
    frames = Path(f"runs2/sine/{name}/seed-0/frames")
    wait_for(lambda: frames.is_dir() and len(list(frames.iterdir())) >= 3, running)
    running.kill()
    running.communicate()
    assert not Path(f"lb2/sine/{name}.json").exists()

    assert invoke(*arguments, *other, "--resume").exit_code == 0
    assert steady(f"lb2/sine/{name}.json") == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "seeds"),
    [(signal.SIGTERM, "1"), (signal.SIGINT, "2")],  # in this process, and in two
)
def test_interrupted_run_is_written_and_resumed(number: signal.Signals, seeds: str):
    given = ("--steps", "4000", "--seeds", seeds, "--workers", seeds)
    arguments = ("run", "mlp_gan", "--task", "gaussian", *given)
    running = process(*arguments)
    frames = Path("runs/gaussian/mlp_gan-4000steps/seed-0/frames")
    wait_for(lambda: frames.is_dir() and any(frames.iterdir()), running)
    running.send_signal(number)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 1, errors
    path = "leaderboard/gaussian/mlp_gan-4000steps.json"
    seed = steady(path)[0]
    assert seed["status"] == "interrupted"
    assert seed["score"] is None
    assert len(seed["curve"]) >= 1
    assert len(steady(path)) == int(seeds)
    assert invoke(*arguments, "--resume").exit_code == 0
    assert steady(path)[0]["status"] == "ok"


@pytest.mark.slow
@pytest.mark.skipif(not processes.FORKED, reason="there is no server")
def test_a_signal_to_all_processes_of_a_run_loses_nothing():
    """As a batch system sends it: to workers, their server and what trains in them too."""
    arguments = ("run", "mlp_gan", "--task", "gaussian", "--steps", "4000", "--seeds", "2")
    running = process(*arguments, "--workers", "2", start_new_session=True)
    frames = Path("runs/gaussian/mlp_gan-4000steps/seed-0/frames")
    wait_for(lambda: frames.is_dir() and any(frames.iterdir()), running)
    sessions = {
        int(stat.parent.name): int(stat.read_text().rpartition(")")[2].split()[3])
        for stat in Path("/proc").glob("[0-9]*/stat")
    }
    all_of_it = [process for process, session in sessions.items() if session == running.pid]
    assert len(all_of_it) >= 6  # itself, the server, two workers of two processes each
    for process_id in all_of_it:
        os.kill(process_id, signal.SIGTERM)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 1, errors
    seeds = steady("leaderboard/gaussian/mlp_gan-4000steps.json")
    assert [seed["status"] for seed in seeds] == ["interrupted"] * 2


def wait_for(ready, running: subprocess.Popen[str], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


@pytest.mark.slow
def test_workers_give_the_same_bits_as_one_process():
    gan_file(PLAIN_GAN)
    arguments = (
        "run",
        "my_gan.py",
        "--task",
        "gaussian",
        "--steps",
        "20",
        "--seeds",
        "2",
        "--quiet",
    )
    assert invoke(*arguments, "--workers", "1").exit_code == 0
    running = process(*arguments, "--workers", "2", "--leaderboard", "lb2", "--out", "runs2")
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    name = "gaussian/my_gan-20steps.json"
    assert steady(f"lb2/{name}") == steady(f"leaderboard/{name}")
    assert [seed["seed"] for seed in steady(f"lb2/{name}")] == [0, 1]


@pytest.mark.slow
def test_more_seeds_merge():
    arguments = ("run", "oracle", "--task", "gaussian", "--steps", "10", "--quiet")
    invoke(*arguments)
    invoke(*arguments, "--first-seed", "1", "--seeds", "1")
    seeds = steady("leaderboard/gaussian/oracle-10steps.json")
    assert [seed["seed"] for seed in seeds] == [0, 1]


@pytest.mark.slow
def test_changed_source_sets_the_old_result_aside():
    arguments = ("run", gan_file(PLAIN_GAN), "--task", "gaussian", "--steps", "10")
    invoke(*arguments)
    gan_file(PLAIN_GAN + "# changed\n")
    result = invoke(*arguments)
    assert result.exit_code == 0
    assert "kept in" in result.stderr
    old = Path("leaderboard/gaussian/old/my_gan-10steps.json")
    new = Path("leaderboard/gaussian/my_gan-10steps.json")
    assert schema.load_result(old).entry.sha256 != schema.load_result(new).entry.sha256
    assert Path("runs/gaussian/my_gan-10steps.old/run.json").exists()


@pytest.mark.slow
def test_hyper_parameters_name_their_own_entry():
    run = ("run", "mlp_gan", "--task", "gaussian", "--steps", "10", "--quiet")
    result = invoke(*run, "--set", "lr=1e-4", "--set", "d_hidden=[8,8]")
    assert result.exit_code == 0, result.stderr
    path = "leaderboard/gaussian/mlp_gan-d_hidden=_8_8_-lr=0.0001-10steps.json"
    path_found = next(Path("leaderboard/gaussian").glob("mlp_gan-*.json"))
    hparams = json.loads(path_found.read_text())["entry"]["hparams"]
    assert (hparams["g_lr"], hparams["d_lr"], hparams["d_hidden"]) == (1e-4, 1e-4, [8, 8]), path
    assert (hparams["latent_dim"], hparams["d_activation"]) == (2, "tanh")  # really used
    assert "lr" not in hparams


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["lr=5e-4", "g_lr=0.0005", "latent_dim=8"])
def test_a_setting_that_is_the_default_makes_no_second_entry(setting):
    run = ("run", "mlp_gan", "--task", "ring8", "--steps", "5", "--quiet", "--workers", "1")
    assert invoke(*run).exit_code == 0
    assert invoke(*run, "--set", setting, "--first-seed", "1").exit_code == 0
    (path,) = Path("leaderboard/ring8").glob("*.json")
    document = json.loads(path.read_text())
    assert document["entry"]["name"] == "mlp_gan-5steps"
    assert [seed["seed"] for seed in document["seeds"]] == [0, 1]
    hparams = document["entry"]["hparams"]
    assert (hparams["g_lr"], hparams["d_lr"], hparams["latent_dim"]) == (5e-4, 5e-4, 8)
    assert [name for name, value in hparams.items() if value is None] == ["norm"]


@pytest.mark.slow
def test_defaults_that_are_no_json_are_stored_by_name():
    body = PLAIN_GAN.replace("hidden=32", "hidden=32, layer=nn.Linear, more={}, top=float('inf')")
    run = ("run", gan_file(body), "--task", "gaussian", "--steps", "5", "--json")
    document = json.loads(invoke(*run).stdout)
    hparams = document["entry"]["hparams"]
    assert hparams["layer"] == "torch.nn.modules.linear.Linear"
    assert (hparams["more"], hparams["top"]) == ("{}", "inf")


@pytest.mark.parametrize(
    ("baseline", "setting", "line"),
    [
        ("mlp_gan", "lr=abc", "Error: mlp_gan: lr must be a float, got 'abc'"),
        ("my_gan.py", "lr=abc", "Error: my_gan: lr must be a float, got 'abc'"),
        ("my_gan.py", "lr={'a': 1}", "Error: my_gan: lr must be a number, a text, "),
        ("my_gan.py", "lr=1e999", "Error: my_gan: lr must be a number, a text, "),
        ("my_gan.py", "hidden=1.5", "Error: my_gan: hidden must be an int, got 1.5"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_before_training(baseline, setting, line):
    gan_file(PLAIN_GAN)
    run = ("run", baseline, "--task", "gaussian", "--steps", "5", "--quiet", "--set", setting)
    assert_usage_error(invoke(*run), line)
    assert not list(Path().rglob("*.json"))


@pytest.mark.slow
def test_a_list_of_values_is_a_sweep():
    arguments = ("run", gan_file(PLAIN_GAN), "--task", "gaussian", "--steps", "10", "--quiet")
    swept = invoke(*arguments, "--set", "lr=1e-2,3e-3", "--set", "hidden=8,16", "--workers", "1")
    assert swept.exit_code == 0, swept.output
    names = [
        f"my_gan-hidden={hidden}-lr={lr}-10steps" for lr in (0.01, 0.003) for hidden in (8, 16)
    ]
    assert sorted(path.stem for path in Path("leaderboard/gaussian").glob("*.json")) == sorted(
        names
    )
    for name in names:
        assert swept.stdout.count(name) == 2  # in the table, and as a path
    assert swept.stdout.count("1/1") == 4
    alone = invoke(*arguments, "--set", "lr=3e-3", "--set", "hidden=8", "--leaderboard", "lb2")
    assert alone.exit_code == 0
    path = "gaussian/my_gan-hidden=8-lr=0.003-10steps.json"
    assert steady(f"lb2/{path}") == steady(f"leaderboard/{path}")


@pytest.mark.slow
def test_sweep_as_json_is_a_list():
    arguments = ("run", gan_file(PLAIN_GAN), "--task", "gaussian", "--steps", "10", "--json")
    document = json.loads(invoke(*arguments, "--set", "lr=1e-3,3e-3").stdout)
    assert [one["entry"]["hparams"]["lr"] for one in document] == [1e-3, 3e-3]
    assert [one["entry"]["tuning_trials"] for one in document] == [2, 2]


@pytest.mark.slow
def test_tuning_trials_are_declared_and_those_of_a_sweep_counted():
    arguments = ("run", gan_file(PLAIN_GAN), "--task", "gaussian", "--steps", "10", "--json")
    trials = []
    for more in ((), ("--tuning-trials", "5"), ("--tuning-trials", "5", "--set", "lr=1e-3,3e-3")):
        document = json.loads(invoke(*arguments, *more, "--leaderboard", f"lb{len(trials)}").stdout)
        first = document[0] if isinstance(document, list) else document
        trials.append(first["entry"]["tuning_trials"])
    assert trials == [0, 5, 7]


def test_settings_of_a_sweep():
    assert parse_settings(("a=1,2", "b=[3,4],[5]")) == [
        {"a": a, "b": b} for a in (1, 2) for b in ([3, 4], [5])
    ]
    assert parse_settings(("activation=tanh,relu",)) == [
        {"activation": "tanh"},
        {"activation": "relu"},
    ]
    assert parse_settings(("d_hidden=(32,32)",)) == [{"d_hidden": (32, 32)}]
    assert parse_settings(()) == [{}]


@pytest.mark.parametrize("setting", ["lr", "lr=", "=3", "lr=1e-3,", "lr=,1e-3"])
def test_a_setting_without_a_value_is_refused(setting):
    result = invoke("run", "mlp_gan", "--task", "gaussian", "--set", setting)
    assert result.exit_code == 2
    assert f"--set takes NAME=VALUE or NAME=VALUE,VALUE, got {setting!r}" in result.stderr


def test_the_same_setting_twice_is_refused():
    arguments = ("run", "oracle", "--task", "gaussian", "--steps", "10")
    file = gan_file(PLAIN_GAN)
    for values, name in (("1e-2,0.01", "lr=0.01"), ("1,1.0", "lr=1.0"), ("1e-3,0.001", "my_gan")):
        result = invoke("run", file, *arguments[2:], "--set", f"lr={values}")
        assert_usage_error(result, "twice", name)
    assert not list(Path("leaderboard").rglob("*.json"))


@pytest.mark.slow
def test_a_seed_that_breaks_the_contract_loses_no_other():
    body = PLAIN_GAN.replace(
        "self.shape = task.shape", "self.shape = task.shape; self.bad = lr > 1"
    )
    body = body.replace('return {"d_loss"', 'return 3 if self.bad else {"d_loss"')
    arguments = ("run", gan_file(body), "--task", "gaussian", "--steps", "10", "--quiet")
    for workers in ("1", "2"):
        result = invoke(*arguments, "--set", "lr=1e-2,3.0", "--workers", workers)
        line = "train_step (my_gan.py:16) must return a mapping of named scalars"
        assert_usage_error(result, line, "got int")
        path = Path("leaderboard/gaussian/my_gan-lr=0.01-10steps.json")
        assert json.loads(path.read_text())["seeds"][0]["status"] == "ok"
        path.unlink()


def test_diverged_seed_is_found_at_its_round_and_exits_1():
    broken = PLAIN_GAN.replace(
        'return {"d_loss": d_loss.item()',
        'self.t = getattr(self, "t", 0) + 1\n        if self.t == 17:\n'
        '            d_loss = d_loss * float("nan")\n        return {"d_loss": d_loss.item()',
    )
    result = invoke("run", gan_file(broken), "--task", "gaussian", "--steps", "50", "--quiet")
    assert result.exit_code == 1
    assert "diverged: d_loss is nan at step 17" in result.stderr
    seed = steady("leaderboard/gaussian/my_gan-50steps.json")[0]
    assert (seed["status"], seed["score"]) == ("diverged", -1.0)
    assert 0 < seed["curve"][-1]["step"] < 17


def test_failing_later_is_a_failed_seed():
    start = "        n = len(real)\n"
    late = f"{start}        self.t = getattr(self, 't', 0) + 1\n        1 / (2 - self.t)\n"
    broken = PLAIN_GAN.replace(start, late)
    result = invoke("run", gan_file(broken), "--task", "gaussian", "--steps", "50", "--quiet")
    assert result.exit_code == 1
    where = "ZeroDivisionError in GAN.train_step (my_gan.py:19)"
    assert f"failed: step 2: {where}: division by zero" in result.stderr
    assert steady("leaderboard/gaussian/my_gan-50steps.json")[0]["status"] == "failed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "mlp_gan", "--task", "sin"), ("unknown task 'sin'", "did you mean 'sine'?")),
        (("run", "mpl_gan", "--task", "sine"), ("unknown baseline", "did you mean 'mlp_gan'?")),
        (("run", "no/such.py", "--task", "sine"), ("no baseline file 'no/such.py'",)),
        (("run", "mlp_gan", "--task", "sine", "--set", "lrr=1"), ("'lrr'", "did you mean 'lr'?")),
        (
            ("run", "mlp_gan", "--task", "ring8", "--device", "cpu", "--precision", "tf32"),
            ("precision tf32 is a CUDA device's",),
        ),
        (("evaluate", "none.npy", "--task", "sine"), ("no file 'none.npy'",)),
        (("evaluate", "a.txt", "--task", "sine"), (".npy, .npz or .safetensors",)),
        (("leaderboard", "show"), ("no leaderboard folder 'leaderboard'",)),
        (("plot", "nothing"), ("'nothing' is no folder of a run",)),
        (("new", "no-name"), ("no Python name",)),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(arguments, words):
    assert_usage_error(invoke(*arguments), *words)
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "raise RuntimeError('boom\\nmore')",
            ("my_gan.py cannot be imported: RuntimeError in <module> (my_gan.py:1): boom",),
        ),
        (
            "import sys; sys.exit(3)",
            ("cannot be imported: SystemExit in <module> (my_gan.py:1): 3",),
        ),
        ("x = (", ("cannot be imported: SyntaxError",)),
        ("x = 1", ("defines no GAN",)),
        ("GAN = 3", ("GAN must be callable",)),
        ("def GAN(task, *, device): return 7", ("must return a ganbench.Game or an object",)),
        (
            "def GAN(task, *, device): raise OSError('x')",
            ("GAN(...) raised OSError in GAN (my_gan.py:1): x",),
        ),
        (
            PLAIN_GAN.replace(".view(n, *self.shape)", "[:5]"),
            ("sample(4096) must return shape (4096, 2) on task 'ring8', got (5, 2)",),
        ),
        (PLAIN_GAN.replace('return {"d_loss": d_loss.item(), ', "return 3 #"), ("mapping", "int")),
    ],
)
def test_bad_baseline_file_gives_one_line_and_exit_code_2(body, words):
    run = ("run", gan_file(body), "--task", "ring8", "--budget", "smoke", "--quiet")
    assert_usage_error(invoke(*run), *words)


def test_value_that_the_gan_refuses_gives_one_line_and_exit_code_2():
    run = ("run", "mlp_gan", "--task", "sine", "--quiet", "--set", "activation=x")
    assert_usage_error(invoke(*run), "resolve(...) raised ValueError: g_activation 'x' is none of")


def test_unwritable_folder_is_found_before_training():
    Path("file").write_text("in the way")
    run = ("run", "oracle", "--task", "sine", "--quiet")
    assert_usage_error(invoke(*run, "--out", "file/x"), "cannot write to folder 'file/x")
    assert_usage_error(invoke(*run, "--leaderboard", "file/x"), "cannot write to folder 'file/x")


@pytest.mark.slow
def test_corrupt_leaderboard_file_harms_nothing():
    run = ("run", "oracle", "--task", "gaussian", "--steps", "5", "--quiet")
    invoke(*run)
    bad = Path("leaderboard/gaussian/bad.json")
    bad.write_text('{"schema_version": 2, "score": NaN')
    shown = invoke("leaderboard", "show")
    assert_usage_error(shown, "bad.json is not a valid result")
    assert "oracle-5steps" in shown.stdout
    assert bad.read_text().endswith("NaN")
    checked = invoke("leaderboard", "check")
    assert checked.exit_code == 1
    assert "2 files checked, 1 findings" in checked.stdout
    Path("leaderboard/gaussian/oracle-5steps.json").write_text("{}")
    assert_usage_error(invoke(*run), "is not a valid result")
    assert Path("leaderboard/gaussian/oracle-5steps.json").read_text() == "{}"


@pytest.mark.slow
def test_check_finds_an_edited_metric():
    invoke("run", "oracle", "--task", "gaussian", "--steps", "5", "--quiet")
    assert invoke("leaderboard", "check").exit_code == 0
    path = Path("leaderboard/gaussian/oracle-5steps.json")
    document = json.loads(path.read_text())
    document["seeds"][0]["metrics"]["mmd"] += 0.1
    path.write_text(json.dumps(document))
    result = invoke("leaderboard", "check")
    assert result.exit_code == 1
    assert "seed 0: score" in result.stdout
    assert "summary of mmd does not follow" in result.stdout


@pytest.mark.slow
def test_evaluate_scores_a_file_that_numpy_alone_made():
    rng = np.random.default_rng(0)
    b, c = rng.uniform(0.5, 2, (5000, 1)), rng.uniform(0, np.pi, (5000, 1))
    np.savez("curves.npz", samples=np.sin(b * np.linspace(-5, 5, 64) + c))
    result = invoke("evaluate", "curves.npz", "--task", "sine", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["task"], document["n"]) == ("sine", 4096)
    assert document["score"] == pytest.approx(1, abs=0.02)
    assert document["metrics"]["sine_fitted"]["value"] == 1.0
    bounds = {"floor", "ceiling", "noise", "direction", "version"}
    assert set(document["metrics"]["mmd"]) == {"value", "position", "unplaced", *bounds}
    assert "position" in invoke("evaluate", "curves.npz", "--task", "sine").stdout


def test_evaluate_refuses_unusable_samples():
    def evaluate(array, **more) -> Result:
        np.savez("s.npz", samples=array, **more)
        return invoke("evaluate", "s.npz", "--task", "ring8")

    points = np.random.default_rng(0).normal(size=(200, 2))
    assert_usage_error(evaluate(points[:, :1]), "must return shape (200, 2)", "got (200, 1)")
    assert_usage_error(evaluate(np.where(points > 2, np.nan, points)), "NaN or Inf")
    assert_usage_error(evaluate(points[:5]), "too few")
    assert_usage_error(evaluate(points.astype(str)), "expected numbers")
    np.savez("s.npz", a=points, b=points)
    assert_usage_error(invoke("evaluate", "s.npz", "--task", "ring8"), "'samples' or just one")
    np.save("o.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert_usage_error(invoke("evaluate", "o.npy", "--task", "ring8"), "cannot be read")
    Path("t.npz").write_bytes(b"PK\x03\x04 cut off")
    assert_usage_error(invoke("evaluate", "t.npz", "--task", "ring8"), "cannot be read")


@pytest.mark.slow
def test_evaluate_wants_images_in_their_range():
    images = np.random.default_rng(0).integers(0, 256, (150, 1, 28, 28), dtype=np.uint8)

    def evaluate(array) -> Result:
        np.save("images.npy", array)
        return invoke("evaluate", "images.npy", "--task", "mnist", "--json")

    for wrong in (images, images.astype(float), images.astype(np.int64)):
        assert_usage_error(evaluate(wrong), "must be floats in [-1, 1]", "with x / 127.5 - 1")
    assert_usage_error(evaluate(images // 128), "got integers from 0 to 1", "with 2 * x - 1")
    noted, right = evaluate(images / 255), evaluate(images / 127.5 - 1)
    line = "all values lie in [0, 1], where images of task 'mnist' have [-1, 1]"
    assert line in noted.stderr
    assert line in json.loads(noted.stdout)["notes"][0]
    assert line not in right.stdout + right.stderr
    assert json.loads(right.stdout)["notes"] == [
        "scored 150 samples: floors and ceilings are those of 4096"
    ]


def test_list_names_come_first_in_json():
    rows = json.loads(invoke("list", "tasks", "--json").stdout)
    assert [next(iter(row)) for row in rows] == ["name"] * len(rows)
    assert {"gaussian", "sine", "ring8", "two_curves"} <= {row["name"] for row in rows}
    metrics = {row["name"]: row for row in json.loads(invoke("list", "metrics", "--json").stdout)}
    assert metrics["modes"]["better"] == "higher"
    assert "lr=" in invoke("list", "baselines").stdout


@pytest.mark.slow
def test_new_runs_at_once_and_never_overwrites():
    assert invoke("new", "my_idea").exit_code == 0
    run = ("run", "my_idea.py", "--task", "pinwheel", "--budget", "smoke", "--set", "width=16")
    assert invoke(*run).exit_code == 0
    assert_usage_error(invoke("new", "my_idea"), "exists")


@pytest.mark.slow
def test_plot_draws_a_run_again():
    invoke("run", "oracle", "--task", "ring8", "--steps", "4", "--quiet")
    picture = Path("runs/ring8/oracle-4steps/real_vs_generated.png")
    picture.unlink()
    assert invoke("plot", "runs/ring8/oracle-4steps").exit_code == 0
    assert picture.is_file()


def test_help_and_list_do_not_import_torch():
    code = (
        "import sys; from click.testing import CliRunner; from ganbench.cli import main; "
        "run = CliRunner().invoke; assert run(main, ['--help']).exit_code == 0; "
        "assert run(main, ['list']).exit_code == 0; assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
