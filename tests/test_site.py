"""The leaderboard as pages: what they say, that nothing escapes, and how they work in a browser."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner
from PIL import Image
from playwright.sync_api import sync_playwright

import ganbench
from ganbench import registry, site
from ganbench.board import index, sound
from ganbench.cli import main
from ganbench.errors import InputError
from ganbench.results import samples, schema
from ganbench.site.render import REPOSITORY

from .made import a_machine, a_result, a_seed

NAMES = ("good", "twin", "poor", "on_gpu", "few", "evil", "noise")
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def an_entry(
    name, mean, *, task="ring8", seeds=10, budget="full", trials=0, rng=0, device="cpu", last=None
):
    draws = np.random.default_rng(rng).normal(mean, 0.02, size=seeds)
    draws[-1] = draws[-1] if last is None else last
    made = [a_seed(i, value=float(value)) for i, value in enumerate(draws)]
    for seed, value in zip(made, draws, strict=True):
        seed.curve[:] = [
            schema.Point(
                step=step,
                train_seconds=step / 10,
                losses={"d_loss": 1.3, "g_loss": 0.7 + step / 100, "d_accuracy": 0.5},
                metrics={"mmd": float(value) + (20 - step) / 40},
            )
            for step in (5, 10, 20)
        ]
        seed.timing.train_seconds = 2.0
        seed.timing.steps_per_second = 10.0
    result = a_result(*made, name=name, budget=budget)
    return result.model_copy(
        update={
            "task": result.task.model_copy(update={"name": task}),
            "entry": result.entry.model_copy(update={"tuning_trials": trials}),
            "protocol": result.protocol.model_copy(update={"device": device}),
        }
    )


def write(root: Path, result: schema.Result, made: dict[int, torch.Tensor] | None = None) -> Path:
    path = root / result.task.name / f"{result.entry.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    for seed in result.seeds:
        if made and seed.seed in made:
            seed.samples_sha256 = samples.sha256_of(made[seed.seed])
    path.write_text(schema.dumps(result))
    if made:
        path.with_suffix("").mkdir()
        samples.write_seeds(path.with_suffix("") / "samples.safetensors", made)
    return path


def build(root: Path, out: Path) -> site.Built:
    with index.opened() as kept:
        return site.build(root, out, kept, quality=0.5)


@pytest.fixture(scope="module", autouse=True)
def made_up():
    """No run has left these entries, which are ranked all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sound, "why_unfit", lambda result: None)
        yield


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A leaderboard of several kinds of entries, and its site."""
    root = tmp_path_factory.mktemp("board")
    ring = registry.load_task("ring8")
    real = {0: ring.reference[:200] + 0.01, 1: ring.reference[200:400]}
    write(root, an_entry("good", 0.2), real)
    write(root, an_entry("twin", 0.2))
    write(root, an_entry("poor", 0.5, rng=1, trials=12))
    write(root, an_entry("on_gpu", 0.4, rng=2, device="cuda"))
    write(root, an_entry("few", 0.1, seeds=4))
    for name, mean in (("good", 0.3), ("poor", 0.6)):
        write(root, an_entry(name, mean, task="sine", rng=3))
    evil = an_entry("evil", 0.7)
    evil.entry.hparams[EVIL] = EVIL
    evil.seeds[0].reason = EVIL
    evil.entry.source = "x.py"
    for seed in evil.seeds:
        seed.machine = a_machine(cpu=EVIL)
        seed.verdict = schema.Verdict(kind="healthy", since=None, text=EVIL)
    write(root, evil)
    noise = an_entry("noise", 0.95, rng=5)
    noise.entry.reference = True
    write(root, noise)
    out = tmp_path_factory.mktemp("out") / "site"
    built = build(root, out)
    assert built.problems == []
    return root, out


def text_of(page: Path) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.read_text()))


@pytest.mark.slow
def test_a_page_for_each_thing(board):
    _, out = board
    pages = {path.relative_to(out).as_posix() for path in out.rglob("*.html")}
    entries = {f"entry/ring8/{n}.html" for n in NAMES}
    assert pages == entries | {
        "index.html",
        "results.html",
        "compare.html",
        "task/ring8.html",
        "task/sine.html",
        "entry/sine/good.html",
        "entry/sine/poor.html",
    }
    entry = text_of(out / "entry/ring8/few.html")
    assert "Not ranked: 4 of 10 seeds" in entry
    assert "No samples came with this result" in entry
    assert "Of seed 0" in text_of(out / "entry/ring8/good.html")
    for page in pages:
        assert f"Made by ganbench {ganbench.__version__} on" in text_of(out / page)


def test_every_link_leads_to_a_file(board):
    _, out = board
    for page in out.rglob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"]*)"', page.read_text()):
            if not link.startswith(("#", "data:", REPOSITORY)):
                target = link.partition("#")[0].partition("?")[0]
                assert (page.parent / target).resolve().is_file(), (page, link)


def test_the_only_markup_is_ours(board):
    """What came with a result stands in the text or in JSON, escaped."""
    _, out = board
    for page in out.rglob("*.html"):
        assert "<script>alert" not in page.read_text()
        assert "<img src=x" not in page.read_text()
    assert "alert(1)" in text_of(out / "entry/ring8/evil.html")


def test_charts_are_valid_for_plotly(board):
    _, out = board
    kinds = set()
    for page in out.rglob("*.html"):
        for each in figures_of(page):
            figure = go.Figure(each)
            kinds.add((page.parent.parent.name or page.parent.name, len(figure.data)))
    assert len(kinds) >= 4


@pytest.mark.slow
def test_a_former_site_is_replaced_and_nothing_else(board, tmp_path):
    root, _ = board
    build(root, tmp_path / "site")
    (tmp_path / "site" / "entry" / "stale.html").write_text("old")
    build(root, tmp_path / "site")
    assert not (tmp_path / "site" / "entry" / "stale.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("dear")
    with pytest.raises(InputError, match="holds other things"):
        build(root, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "dear"


@pytest.mark.slow
def test_a_failure_leaves_the_former_site(board, tmp_path, monkeypatch):
    root, _ = board
    build(root, tmp_path / "site")
    before = (tmp_path / "site" / "index.html").read_bytes()
    monkeypatch.setattr(site.pages, "board", lambda *each: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(root, tmp_path / "site")
    assert (tmp_path / "site" / "index.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.slow
def test_workers_write_the_same_pages(board, tmp_path, monkeypatch):
    root, out = board
    monkeypatch.setattr(site, "CHUNK", 3)
    with index.opened() as kept:
        site.build(root, tmp_path / "site", kept, quality=0.5, workers=2)
    for page in out.rglob("*.*"):
        assert (tmp_path / "site" / page.relative_to(out)).read_bytes() == page.read_bytes()


def test_damaged_files_are_named_and_the_others_shown(tmp_path):
    write(tmp_path / "board", an_entry("good", 0.2))
    bad = tmp_path / "board" / "ring8" / "bad.json"
    bad.write_text("{}")
    twice = tmp_path / "board" / "ring8" / "good_too.json"
    twice.write_text((tmp_path / "board" / "ring8" / "good.json").read_text())
    torn = write(tmp_path / "board", an_entry("torn", 0.3), {0: torch.zeros(5, 2)})
    (torn.with_suffix("") / "samples.safetensors").write_bytes(b"\x80\x04pickle")
    arguments = ["--leaderboard", str(tmp_path / "board"), "--out", str(tmp_path / "site")]
    done = CliRunner().invoke(main, ["leaderboard", "site", *arguments])
    assert done.exit_code == 2
    first, second = done.stderr.splitlines()
    assert "bad.json is not a valid result" in first
    assert "good_too.json holds 'good' on 'ring8'" in second
    assert "cannot be shown" in text_of(tmp_path / "site" / "entry/ring8/torn.html")
    assert (tmp_path / "site" / "entry/ring8/good.html").is_file()


def test_images_are_shown_as_walls(tmp_path):
    task = registry.load_task("mnist")
    made = {0: task.reference[:25].clone()}
    write(tmp_path / "board", an_entry("digits", 0.2, task="mnist"), made)
    build(tmp_path / "board", tmp_path / "site")
    page = (tmp_path / "site" / "entry/mnist/digits.html").read_text()
    assert page.count('<img src="data:image/png;base64,') == 2


def test_a_dash_and_the_reason_where_a_metric_gives_no_position(tmp_path):
    committed = Path(__file__).parents[1] / "leaderboard" / "ring8" / "mlp_gan.json"
    write(tmp_path / "board", schema.load_result(committed))
    build(tmp_path / "board", tmp_path / "site")
    for page in ("entry/ring8/mlp_gan.html", "task/ring8.html"):
        text = text_of(tmp_path / "site" / page)
        assert "No position: recall (a naive sampler scores better than real data)" in text
    entry = (tmp_path / "site" / "entry/ring8/mlp_gan.html").read_text()
    row = re.search(r'<tr><th scope="row">\s*<span[^>]*>recall<.*?</tr>', entry, re.DOTALL)
    assert row and row[0].split("<td>")[-1].startswith("-")


def test_figures_of_the_first_page_are_of_whom_they_name(tmp_path):
    """The leader's score above another's picture; only tasks of the mean; each seed on the axis."""
    root, out = tmp_path / "board", tmp_path / "site"
    write(root, an_entry("best", 0.1, last=9.0))
    ring = registry.load_task("ring8")
    write(root, an_entry("second", 0.5), {0: ring.reference[:200]})
    write(root, an_entry("best", 0.95, task="sine"))
    text = "seeds = 10\ntasks = ['ring8', 'sine']\noverall = ['ring8']\nbaselines = ['mlp_gan']\n"
    (root / "board.toml").write_text(text)
    build(root, out)
    page = (out / "index.html").read_text()
    card = page[page.index('id="tasks"') :]
    assert re.search(r"<strong>0\.8\d*</strong> best", card)
    assert re.search(r"<figcaption>(\w+)</figcaption></figure></div>", card)[1] == "second"
    _, profile = figures_of(out / "index.html")
    (own,) = (each for each in profile["data"] if each["name"] == "best")
    assert own["y"][[round(x, 2) for x in own["x"]].index(0.5)] == 0.9
    _samples, scores, _times = figures_of(out / "task" / "ring8.html")
    assert scores["layout"]["xaxis"]["range"][0] < min(scores["data"][0]["x"]) < -0.5


def figures_of(page: Path) -> list[dict]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', page.read_text())
    return [json.loads(each) for each in found]


def test_an_empty_board(tmp_path):
    (tmp_path / "board").mkdir()
    assert build(tmp_path / "board", tmp_path / "site").pages == 3
    assert "0 entries on 0 tasks" in text_of(tmp_path / "site" / "index.html")


# In a real browser: Debian's `chromium`, or the one that GANBENCH_CHROMIUM names.

CHROMIUM = os.environ.get("GANBENCH_CHROMIUM") or shutil.which("chromium")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
PAGES = ("index.html", "results.html", "task/ring8.html", "entry/ring8/good.html", "compare.html")


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, board):
    """Opens a page of the site; whatever it complains of or asks the network for is a failure."""
    complaints: list[str] = []
    contexts = []

    def complain(what):
        return lambda event: complaints.append(f"{what}: {getattr(event, 'text', event)}")

    def asked(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            complaints.append(f"request: {request.url}")

    def open_page(path, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        for event in ("console", "pageerror", "dialog", "requestfailed"):
            page.on(event, complain(event))
        page.on("request", asked)
        page.goto((board[1] / path.partition("?")[0]).as_uri() + "".join(path.partition("?")[1:]))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def column(page, name):
    """The visible texts of a column of the board."""
    heads = page.locator("table.board thead th").all_inner_texts()
    place = [head.strip() for head in heads].index(name)
    rows = page.locator("table.board tbody tr").all()
    return [row.locator("th, td").all()[place].inner_text().lstrip("★ ") for row in rows]


@pytest.mark.slow
@in_browser
def test_the_first_page_shows_the_board_over_all_tasks(visit):
    page = visit("index.html")
    rows = [row.split("\t") for row in page.locator("table.overall tbody tr").all_inner_texts()]
    assert [(row[0], row[1].lstrip("★ ")) for row in rows] == [
        ("1", "good"),
        ("2", "poor"),
        ("-", "evil 1 of 2 tasks"),
        ("-", "noise reference"),
        ("-", "on_gpu 1 of 2 tasks"),
        ("-", "twin 1 of 2 tasks"),
    ]
    assert float(rows[0][2]) == pytest.approx((0.8 + 0.7) / 2, abs=0.01) and rows[2][2] == "-"
    assert rows[0][5] == "1, 1, 0"  # alone on sine; on the ring its twin leads as well
    good = page.locator("table.overall tbody tr").first.locator(".cells a")
    names, means = zip(*(text.split(": ") for text in good.all_inner_texts()), strict=True)
    assert names == ("ring8", "sine")
    assert [float(mean) for mean in means] == pytest.approx([0.8, 0.7], abs=0.02)
    dark, light = (
        good.nth(place).evaluate("each => getComputedStyle(each).backgroundColor")
        for place in (0, 1)
    )
    assert dark != light
    assert page.locator("table.overall td:nth-child(5) a.none").count() == 4
    assert "Ranked on no task: few." in page.locator("main").inner_text()
    shown = page.locator(".cards img").evaluate_all("all => all.map(each => each.naturalWidth)")
    assert shown == [120, 120, 120]  # real ones of both tasks, and those that came with `good`


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize("path", ["index.html", "task/ring8.html"])
def test_the_score_can_be_seen_on_a_phone(visit, path):
    page = visit(path, viewport={"width": 360, "height": 740})
    cell = page.locator("table tbody tr td", has_text=re.compile(r"^0\.[78]\d\d$")).first
    box = cell.bounding_box()
    assert box["x"] + box["width"] <= 360


@pytest.mark.slow
@in_browser
def test_a_metric_says_what_it_is(visit):
    page = visit("task/ring8.html")
    name = page.locator(".tip", has_text="mmd")
    words = name.locator("[role=tooltip]")
    assert not words.is_visible()
    name.focus()
    assert words.is_visible()
    assert "maximum mean discrepancy" in words.inner_text()
    assert "Lower is better. Gretton et al. 2012" in words.inner_text()


@pytest.mark.slow
@in_browser
def test_sorting(visit):
    page = visit("task/ring8.html")
    assert column(page, "entry") == ["good", "twin", "on_gpu", "poor", "evil", "noise", "few"]
    assert column(page, "rank")[:3] == ["1-2", "1-2", "3"]
    page.get_by_role("columnheader", name="score").click()
    ascending = [float(text) for text in column(page, "score")]
    assert ascending == sorted(ascending) and len(ascending) == 7
    page.get_by_role("columnheader", name="score").click()
    assert [float(text) for text in column(page, "score")] == ascending[::-1]


@pytest.mark.slow
@in_browser
def test_sorting_by_keyboard(visit):
    page = visit("task/ring8.html")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.get_by_role("columnheader", name="entry").locator("[tabindex='0']").first.focus()
    page.keyboard.press("Enter")
    assert column(page, "entry") == ["evil", "few", "good", "noise", "on_gpu", "poor", "twin"]


@pytest.mark.slow
@in_browser
def test_filtering(visit):
    page = visit("results.html")
    assert len(column(page, "entry")) == 9
    page.get_by_role("combobox", name="Task", exact=True).select_option("sine")
    assert column(page, "entry") == ["good", "poor"]
    page.get_by_role("combobox", name="Task", exact=True).select_option("")
    page.get_by_role("combobox", name="Device", exact=True).select_option("cuda")
    assert column(page, "entry") == ["on_gpu"]
    page.get_by_role("combobox", name="Device", exact=True).select_option("")
    page.get_by_role("combobox", name="Track", exact=True).select_option(
        label="Quality, tuned hyper-parameters"
    )
    assert column(page, "entry") == ["poor", "noise"]
    assert column(page, "rank") == ["1", "reference"]
    assert page.locator("tr.leads").count() == 1  # which does not lead by quality
    page.get_by_role("combobox", name="Track", exact=True).select_option(label="Time to 0.5")
    assert "few" in column(page, "entry")
    page.get_by_label("unranked too").uncheck()
    assert "few" not in column(page, "entry")
    page.get_by_role("searchbox").fill("twi")
    assert column(page, "entry") == ["twin"]


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize(
    ("path", "charts"), [("index.html", 2), ("task/ring8.html", 3), ("entry/ring8/good.html", 4)]
)
def test_charts_are_drawn(visit, path, charts):
    page = visit(path)
    plots = page.locator(".plot.js-plotly-plot")
    plots.first.wait_for()
    assert plots.count() == page.locator("figure.chart").count() == charts
    for plot in plots.all():
        marks = plot.locator(".scatterlayer path")
        assert marks.count() > 0
        assert plot.locator("svg.main-svg").first.bounding_box()["height"] > 100


@pytest.mark.slow
@in_browser
def test_comparing(visit):
    page = visit("compare.html?a=poor")
    page.get_by_role("combobox", name="B", exact=True).select_option("good")
    assert "A = poor, B = good: B is better." in page.locator("#verdict").inner_text()
    rows = [row.split("\t") for row in page.locator("#differences tbody tr").all_inner_texts()]
    assert [row[0] for row in rows] == ["ring8", "sine", "all"]
    assert all(float(row[1]) < -0.25 and row[6] == "B is better" for row in rows)
    page.get_by_role("combobox", name="A", exact=True).select_option("twin")
    assert "not told apart" in page.locator("#verdict").inner_text()
    assert "only one of them ran it" in page.locator("#verdict").inner_text()
    assert page.locator("#seeds .scatterlayer path").count() == 20


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_in_either_scheme(visit, path, scheme):
    page = visit(path, color_scheme=scheme, viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in re.findall(r"\d+", background)[:3]) > 3 * 128
    assert light is (scheme == "light")


@pytest.mark.slow
@in_browser
def test_charts_follow_the_scheme(visit):
    page = visit("task/ring8.html", color_scheme="light")
    word = page.locator(".plot .xtitle").first
    before = word.evaluate("each => getComputedStyle(each).fill")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "before => getComputedStyle(document.querySelector('.plot .xtitle')).fill !== before",
        arg=before,
    )
    assert word.evaluate("each => getComputedStyle(each).fill") != before


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible(visit, path, scheme):
    """No rule of axe-core is broken: names, contrast, headings, tables."""
    page = visit(path, color_scheme=scheme)
    found = Axe().run(page, options={"preload": False})
    assert [(each["id"], each["nodes"][0]["html"]) for each in found.response["violations"]] == []


@pytest.mark.slow
@in_browser
def test_nothing_that_came_with_a_result_runs(visit):
    page = visit("entry/ring8/evil.html")
    assert EVIL in page.locator("dd").all_inner_texts()
    assert page.locator("img").count() == 0
    visit("index.html")


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize("entries", [0, 1])
def test_hardly_any_entries(chromium, tmp_path, entries):
    (tmp_path / "board").mkdir()
    for _ in range(entries):
        write(tmp_path / "board", an_entry("alone", 0.2))
    build(tmp_path / "board", tmp_path / "site")
    page = chromium.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for path in ("index.html", "compare.html?a=constructor"):
        page.goto((tmp_path / "site").as_uri() + f"/{path}")
        page.wait_for_load_state("load")
    assert page.locator("#verdict").inner_text() == "Choose two entries."
    page.close()
    assert complaints == []


@pytest.mark.slow
@in_browser
def test_without_scripts_the_tables_are_there(chromium, board):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((board[1] / "task/ring8.html").as_uri())
    assert column(page, "entry")[:2] == ["good", "twin"]
    context.close()


@pytest.mark.slow
@in_browser
def test_screenshots_are_kept(visit, tmp_path):
    """In GANBENCH_ARTEFACTS, if it is set: to be looked at."""
    folder = Path(os.environ.get("GANBENCH_ARTEFACTS") or tmp_path)
    for path in PAGES:
        page = visit(path, viewport={"width": 1280, "height": 900})
        page.wait_for_load_state("load")
        target = folder / f"{path.removesuffix('.html').replace('/', '-')}.png"
        page.screenshot(path=target, full_page=True)
        assert np.asarray(Image.open(target)).std() > 5
