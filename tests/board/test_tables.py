"""Tables of a terminal: what they leave out and say, where they show a dash, and why."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from ganbench import registry
from ganbench.board import text
from ganbench.board.overall import declared
from ganbench.cli import fitting, main, tables
from ganbench.errors import one_line
from ganbench.harness.entries import Finished
from ganbench.results import schema, store
from ganbench.results.schema import LOCAL

BOARD = Path(__file__).parents[2] / "leaderboard"
VIEWS_IN_ORDER = ("fidelity", "diversity", "distribution", "test")
VIEWS = ("test", "distribution", "diversity", "fidelity")
SPARE = ("group", "device", "steps/s", "s to mmd 0.5", "verdict", "seeds", *VIEWS)
PUBLISHED = [path for path in BOARD.glob("*/*.json") if not store.is_local(path)]
NAMES = {path.stem for path in PUBLISHED}


@pytest.fixture(scope="module")
def index_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all these tests: they change no file of the board, which takes long to rank."""
    return tmp_path_factory.mktemp("index")


def show(*options: str, columns: int | None = None) -> str:
    arguments = ["leaderboard", "show", "--leaderboard", str(BOARD), *options]
    environment = {"COLUMNS": None if columns is None else str(columns)}
    done: Result = CliRunner().invoke(main, arguments, env=environment)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("columns", [60, 70, 80, 90, 100, 130, 161, 170, 171, 200])
def test_columns_that_do_not_fit_are_left_out_and_named(columns: int):
    shown = show("--task", "sine", columns=columns)
    assert "…" not in shown
    frame = [line for line in shown.splitlines() if line[:1] in "┏┃┡│└"]
    assert all(cell_len(line) <= columns for line in frame)
    heads = [cell.strip() for cell in frame[1].split("┃")[1:-1]]
    (left_out,) = [line for line in shown.splitlines() if "left out" in line] or [""]
    gone = [head for head in SPARE if head not in heads]
    assert gone == list(SPARE[: len(gone)])
    assert {"rank", "entry", "score (IQM, 95 %)"} <= set(heads)
    whole = max(cell_len(line) for line in show("--task", "sine", columns=400).splitlines()[1:4])
    assert bool(gone) == bool(left_out) == (columns < whole)
    if gone:
        expected = f"columns are too few: {', '.join(gone)}; --csv prints them"
        assert expected in " ".join(shown.split())


def test_the_time_that_ranks_is_never_left_out():
    assert "s to mmd 0.5" in show("--task", "sine", "--track", "time", columns=70)


def test_a_long_name_is_folded_and_not_cut(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    name = "my_gan-" + "x" * 80
    rows = [({"rank": "1", "entry": name, "score": "0.123 [0.100, 0.140]"}, None)]
    fitting.print_table(fitting.console(), "board", rows, words=("entry",))
    lines = capsys.readouterr().out.splitlines()
    assert "0.123 [0.100, 0.140]" in "\n".join(lines)
    assert "".join(line.split("│")[2].strip() for line in lines if line[:1] == "│") == name


@pytest.mark.parametrize("columns", [60, 900])
def test_entries_that_do_not_fit_a_table_of_metrics_are_named(columns: int):
    shown = show("--task", "ring8", "--metrics", columns=columns)
    (head,) = [line for line in shown.splitlines() if line.startswith("┃ position of ")]
    board = json.loads(show("--task", "ring8", "--json"))[0]
    gone = [each["entry"] for each in board["entries"] if f" {each['entry']} " not in head]
    named = re.findall(r"too few: ([\w, ]+); --csv --metrics prints them", " ".join(shown.split()))
    assert sorted(gone) == sorted(name for line in named for name in line.split(", "))
    assert bool(gone) is (columns == 60)


def test_csv_has_plain_numbers_each_in_a_column():
    found = csv.DictReader(io.StringIO(show("--csv", "--metrics")))
    every = [line for line in found if not line["entry"].endswith(LOCAL)]  # of the README's run
    lines = [line for line in every if line["task"] != "all"]
    assert len(every) - len(lines) == len(NAMES)
    assert len(lines) == len(PUBLISHED)
    words = {"task", "track", "unranked", "entry", "metric", "budget", "device", "hardware", "by"}
    for line in every:
        for head, cell in line.items():
            if head not in words and cell:
                float(cell)
    for line in lines:
        path = BOARD / line["task"] / f"{line['entry']}.json"
        result = schema.load_result(path)
        assert float(line["score"]) == result.summary["score"].iqm
        assert (float(line["score_low"]), float(line["score_high"])) == result.summary["score"].ci95
        known = result.summary[line["metric"]].iqm  # as another machine has rounded it
        assert float(line["value"]) == pytest.approx(known, rel=1e-12)
        assert int(line["failed"]) == sum(seed.status != "ok" for seed in result.seeds)
        assert bool(line["seconds_to_quality"]) == (float(line["reached"]) > 0)
    ring = {line["entry"]: line for line in lines if line["task"] == "ring8"}["mlp_gan"]
    assert ring["recall_value"] and not ring["recall_position"] and ring["precision_position"]


def test_a_dash_and_the_reason_where_a_metric_gives_no_position():
    """A recall of 0.94 on the ring was shown as 12.11: there uniform noise is better than real."""
    shown = show("--task", "ring8", "--metrics", columns=900)
    (row,) = [line for line in shown.splitlines() if line.startswith("│ recall ")]
    assert [cell.strip() for cell in row.split("│")[2:-1]] == ["-"] * len(
        list((BOARD / "ring8").glob("*.json"))
    )
    (line,) = [line for line in shown.splitlines() if line.startswith("no position: ")]
    assert "recall (a naive sampler scores better than real data)" in line
    assert "covariance_error (real data" not in line and "covariance_error," in line
    (board,) = json.loads(show("--task", "ring8", "--json"))
    for entry in board["entries"]:
        recall, precision = (entry["metrics"][name] for name in ("recall", "precision"))
        assert recall["position"] is None and "naive sampler scores better" in recall["unplaced"]
        assert precision["position"] is not None and precision["unplaced"] is None


def test_so_it_is_where_a_run_or_an_evaluation_is_shown(capsys):
    result = schema.load_result(BOARD / "ring8" / "mlp_gan.json")
    finished = Finished(
        folder=Path("runs"),
        seeds=result.seeds,
        result=result,
        path=Path("x"),
        pictures=[],
        notes=[],
    )
    tables.print_result(finished, every=True)
    task = registry.load_task("ring8")
    metrics = {name: {"value": 0.9185, **vars(bound)} for name, bound in task.bounds.items()}
    views = {view: {"metric": name, "position": 0.5} for view, name in task.views.items()}
    document = {"task": "ring8", "n": 5, "score": 0.5, "views": views, "metrics": metrics}
    tables.print_evaluation(document, every=True)
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith("│ recall ")]
    assert [row.split("│")[-3].strip() for row in rows] == ["-", "-"]
    assert out.count("recall (a naive sampler scores better than real data)") == 2
    rows = [line for line in out.splitlines() if line.startswith("│ precision ")]
    assert [row.split("│")[-2].strip() for row in rows] == ["fidelity", "fidelity"]
    assert "-" not in [row.split("│")[-3].strip() for row in rows]


def test_somebodys_text_is_one_line_of_what_can_be_printed():
    assert one_line("a\x1b[2J\nb\t\N{BELL}c") == "a�[2J�b�🔔c"
    assert one_line("x" * 100, 10) == "x" * 9 + "…"
    with pytest.raises(Exception, match="is not a valid result") as caught:
        schema.loads('{"\\u001b[2J\\n": 1}', "it")
    assert str(caught.value).isprintable()


def test_bars_and_curves_of_characters():
    assert [text.bar(each) for each in (1.0, 0.5, 0.06, 0.0, None)] == [
        "█" * 10,
        "█" * 5,
        "▋",
        "",
        "",
    ]
    assert text.bar(-0.5) == "-" + "█" * 5
    assert [text.height(each) for each in (1.0, 0.5, 0.0, -0.1, None)] == ["█", "▅", "▁", "x", "·"]
    assert text.spark([-1.0, -0.5, 0.0, 0.5, 1.0]) == "▁▃▅▇█"


def test_a_short_table_shows_a_tasks_own_metrics_first():
    names = ["mmd", "energy", "recall", "of_mine", "modes", "precision", "mean_error", "kid"]
    assert text.headlines(names, ["mmd", "precision"]) == [
        *("of_mine", "modes", "kid", "recall", "mean_error")
    ]


def test_verdicts_are_counted():
    assert text.verdicts_text(["healthy"] * 3) == "healthy"
    counted = text.verdicts_text(["healthy", "mode collapse", None, "mode collapse"])
    assert counted == "2 mode collapse, 1 healthy"
    assert text.verdicts_text([None]) == "-"
    assert text.verdicts_text(["memorising"] * 10) == "memorising"


def test_a_run_shows_its_score_with_the_views_and_then_five_metrics(capsys):
    result = schema.load_result(BOARD / "sine" / "mlp_gan.json")
    finished = Finished(
        folder=Path("runs"),
        seeds=result.seeds,
        result=result,
        path=Path("x"),
        pictures=[],
        notes=[],
    )
    tables.print_result(finished, every=False)
    out = capsys.readouterr().out
    rows = [line.split("│")[1].strip() for line in out.splitlines() if line[:1] == "│"]
    assert rows[:4] == list(VIEWS_IN_ORDER)
    assert rows[4:] == ["sine_fitted ↑", "sine_rmse ↓", "sine_b_ks ↓", "wasserstein ↓", "recall ↑"]
    assert "score -0.214 [-0.223, -0.205]: 1 is real data, 0 a naive sampler, -1 the worst" in out
    assert re.search(r"mmd over training ▁{10,} -0\.9\d to -0\.90, from -1 to 1", out)
    assert "12 more metrics: --all" in out
    fitted = result.summary["sine_fitted"]
    assert fitted.iqm is not None and fitted.ci95 is not None
    of_fitted = f"{text.number(fitted.iqm)} [{', '.join(map(text.number, fitted.ci95))}]"
    assert any("sine_fitted" in line and of_fitted in line for line in out.splitlines())
    assert "value: the interquartile mean over seeds that finished" in out
    seen = "verdict   9 of 10 seeds, as seed 0: mode collapse from step 6,144: 96 % of curves are"
    assert seen in out


def test_real_data_are_at_the_top_of_every_board_and_naive_samplers_at_naught():
    for board in json.loads(show("--json"))[1:]:
        scores = {entry["entry"]: entry["score"] for entry in board["entries"]}
        assert scores["oracle"] >= 0.98, board["task"]
        if board["task"] == "dirac":  # of whose point box and moments say all
            assert scores["uniform_noise"] == scores["moment_matching"] == 1
            continue
        assert scores["uniform_noise"] <= 0.03
        # The one is exact where the other is not.
        assert scores["moment_matching"] >= 0.98 or scores["moment_matching"] <= 0.03
        assert (scores["moment_matching"] >= 0.98) == (board["task"] == "gaussian")


def test_the_board_over_all_tasks_is_what_show_shows():
    shown = show()
    order = [line.split("│")[3].strip() for line in shown.splitlines() if line[:1] == "│"]
    first = json.loads(show("--json"))[0]
    assert shown.startswith(f"mean over {len(first['tasks'])} tasks")
    assert set(first["tasks"]) <= set(declared(BOARD) or ())
    assert order == [each["entry"] for each in first["entries"]] and set(order) == NAMES
    assert order[0] == "oracle"
    (row,) = [line for line in shown.splitlines() if " mlp_gan " in line]
    (scores,) = [each["scores"] for each in first["entries"] if each["entry"] == "mlp_gan"]
    marks = "".join(text.height(scores[task]) for task in first["tasks"])
    assert marks in row
    assert "sine, version 2" in show("--each") and "sine, version 2" not in shown
    assert "of the position of coverage" in show("--by", "coverage")
    head, _, *rows = show("--markdown").splitlines()
    assert head.count("|") == rows[0].count("|") and "| sine |" in head and len(rows) == len(NAMES)


@pytest.mark.parametrize("options", [(), ("--task", "sine"), ("--each",), ("--track", "time")])
def test_an_empty_board_says_so(tmp_path: Path, options: tuple[str, ...]):
    done = CliRunner().invoke(
        main, ["leaderboard", "show", "--leaderboard", str(tmp_path), *options]
    )
    assert (done.exit_code, done.stdout) == (0, "no results yet\n")
