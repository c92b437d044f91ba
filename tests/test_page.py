"""The page of a report: opened in a real browser, its numbers beside those of the files, and what it leaves out."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import MINI
from pages import HOSTILE, browser, study
from PIL import Image

from ganbench import report
from ganbench.cli import main
from ganbench.report import page as pages
from ganbench.report.colours import hexadecimal, variant_colours
from ganbench.report.page import images, methods, render, selection
from ganbench.report.page.logs import excerpt
from ganbench.report.watch import watched
from ganbench.store import Store
from ganbench.testing.records import Records, axes

WAIT = 10.0  # seconds for the page to do what it was asked


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of 200 cells with their report, but for the figures."""
    root = tmp_path_factory.mktemp("big") / "two-hundred"
    store = study(root).written()
    for name, text in report.roadmap.files(store.tables()).items():
        (root / name).write_text(text)
    (root / "leaderboard.csv").write_text(report.files.csv(store.tables()))
    report.write_page(store.tables(), root)
    return root


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    driver = browser()
    yield driver
    driver.quit()


@pytest.fixture
def look(chromium: Any, big: Path) -> Callable[..., Any]:
    """Open the page of 200 cells, or another one, afresh."""

    def opened(path: Path | None = None) -> Any:
        chromium.get_log("browser")
        chromium.get_log("performance")
        chromium.get((path or big / "report" / "index.html").as_uri())
        return chromium

    return opened


def until(driver: Any, script: str) -> Any:
    """What `script` returns once that is true."""
    ends = time.monotonic() + WAIT
    while not (found := driver.execute_script(script)):
        assert time.monotonic() < ends, f"never true: {script}"
        time.sleep(0.03)
    return found


def choose(driver: Any, selector: str, value: str) -> None:
    driver.execute_script(
        "const s = document.querySelector(arguments[0]); s.value = arguments[1];"
        "s.dispatchEvent(new Event('change', {bubbles: true}));",
        selector,
        value,
    )


def click(driver: Any, selector: str) -> None:
    element = driver.find_element("css selector", selector)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    element.click()


def drawn(driver: Any, name: str) -> list[dict[str, Any]]:
    """The traces of a chart, once it is there."""
    driver.execute_script("document.getElementById(arguments[0]).scrollIntoView({block: 'center'})", name)
    script = f"const p = document.getElementById('{name}'); return p.data && p.data.length"
    until(driver, script)
    return driver.execute_script(
        f"return document.getElementById('{name}').data.map(({{x, y, name, mode, line, text, customdata}}) => "
        "({x: [...x], y: [...y], name, mode, line, text, customdata}))"
    )


def names(driver: Any, table: str = "leaderboard-digits") -> list[str]:
    """The configurations in a table, from top to bottom."""
    return driver.execute_script(
        f"return [...document.querySelectorAll('table[data-name=\"{table}\"] tbody tr')]"
        ".filter(r => r.cells.length > 1).map(r => r.cells[1].textContent)"
    )


def requests(driver: Any) -> list[str]:
    """The addresses that were asked for since the page was opened."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


# --- it opens ---------------------------------------------------------------------------------------------------------


def test_page_of_200_cells_opens_quickly_without_errors_and_without_the_network(look, big):
    driver = look()
    for part in ("curves-chart", "compare-chart", "effects-chart", "cost-chart"):
        assert drawn(driver, part)
    click(driver, "#evaluation")
    until(driver, "return document.querySelector('#generated img').naturalWidth > 1")
    first = driver.execute_script("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert first < 2000
    assert (big / "report" / "index.html").stat().st_size < 8_000_000
    assert driver.get_log("browser") == []
    asked = requests(driver)
    assert asked
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)


def test_page_of_a_real_run(look, tmp_path):
    toml = tmp_path / "bench.toml"
    toml.write_text(MINI)
    command = ["run", str(toml), "--results", str(tmp_path / "results"), "--executor", "inline"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    results = tmp_path / "results" / "mini"
    driver = look(report.write_page(Store(results).tables(), results))
    assert names(driver) == ["mlp-gan"]
    assert drawn(driver, "curves-chart")
    driver.execute_script("document.getElementById('samples').scrollIntoView()")
    until(driver, "return document.querySelector('#real img').naturalWidth > 1")
    facts = driver.find_element("css selector", ".facts").text
    assert "4 generator updates" in facts
    assert "torch 2" in facts
    assert driver.get_log("browser") == []


def test_report_folder_works_when_it_is_sent_alone(look, big, tmp_path):
    shutil.copytree(big / "report", tmp_path / "sent")
    driver = look(tmp_path / "sent" / "index.html")
    driver.execute_script("document.getElementById('samples').scrollIntoView()")
    for sheet in ("generated", "real"):
        until(driver, f"return document.querySelector('#{sheet} img').naturalWidth > 1")


def test_phone_has_no_sideways_scrolling_and_dark_is_dark(big):
    driver = browser(400, 800, dark=True)
    try:
        driver.get((big / "report" / "index.html").as_uri())
        assert driver.execute_script("return document.documentElement.scrollWidth") == 400
        colour = "return getComputedStyle(document.body).backgroundColor"
        assert driver.execute_script(colour) == "rgb(20, 23, 27)"
        click(driver, "#theme")  # auto -> light
        assert driver.execute_script(colour) == "rgb(255, 255, 255)"
    finally:
        driver.quit()


def test_everything_has_a_name_for_those_who_cannot_see_it(look):
    driver = look()
    assert (
        driver.execute_script(
            "const ids = [...document.querySelectorAll('[id]')].map(e => e.id);"
            "return ids.filter((id, at) => ids.indexOf(id) !== at)"
        )
        == []
    )
    assert driver.execute_script(
        "return [...document.querySelectorAll('input, select, button, [role=region], [role=img]')].filter(e =>"
        "!(e.labels?.length && e.labels[0].textContent.trim()) && !e.textContent.trim() && !e.ariaLabel)"
        ".map(e => e.outerHTML.slice(0, 100))"
    ) == []  # fmt: skip


# --- it does what it is asked -----------------------------------------------------------------------------------------


def test_a_click_on_a_heading_sorts_and_what_has_no_score_stays_last(look):
    driver = look()
    before = names(driver)
    head = 'table[data-name="leaderboard-digits"] th[data-key="cs_best"]'
    for ascending in (True, False):
        click(driver, head)
        until(driver, f"return document.querySelector('{head}').classList"
                      f".contains('dt-ordering-{'asc' if ascending else 'desc'}')")  # fmt: skip
        shown = driver.execute_script(
            "return [...document.querySelectorAll('table[data-name=\"leaderboard-digits\"] tbody tr')]"
            ".map(r => r.cells[5].dataset.order)"
        )
        scored = [float(value) for value in shown if value]
        assert scored == sorted(scored, reverse=not ascending)
        assert shown[len(scored) :] == [""] * 6
    assert sorted(names(driver)) == sorted(before)


def test_filters_by_variant_parameter_status_and_text(look):
    driver = look()
    choose(driver, 'select[data-filter="variant"]', "wgan")
    assert len(names(driver)) == 10
    choose(driver, 'select[data-filter="parameter batch_size"]', "BS=256")
    assert sorted(names(driver)) == ["wgan BS=256 UP=nearest", "wgan BS=256 UP=transposed"]
    choose(driver, 'select[data-filter="status"]', "partial")
    assert names(driver) == ["wgan BS=256 UP=transposed"]
    for name in ("variant", "parameter batch_size", "status"):
        choose(driver, f'select[data-filter="{name}"]', "")
    driver.find_element("css selector", '[data-search="leaderboard-digits"]').send_keys("UP=nearest")
    until(driver, "return document.querySelectorAll('table[data-name=\"leaderboard-digits\"] tbody tr').length < 41")
    assert all("UP=nearest" in name for name in names(driver))


def test_ticked_configurations_are_bold_and_values_of_a_parameter_have_colours(look):
    driver = look()
    bold = [trace for trace in drawn(driver, "curves-chart") if trace["name"]]
    assert [trace["name"].split()[0] for trace in bold] == ["dcgan", "mlp-gan", "wgan", "wgan-gp"]
    colours = {variant: hexadecimal(colour) for variant, colour in
               variant_colours(["cgan", "dcgan", "mlp-gan", "wgan", "wgan-gp"]).items()}  # fmt: skip
    assert [trace["line"]["color"] for trace in bold] == [colours[trace["name"].split()[0]] for trace in bold]
    click(driver, 'input[aria-label="bold in the charts: dcgan BS=64 UP=nearest"]')
    until(driver, "return document.querySelectorAll('#curves-legend button').length === 5")
    assert "dcgan BS=64 UP=nearest" in [trace["name"] for trace in drawn(driver, "curves-chart")]
    click(driver, '#curves-legend button[aria-label="not bold: dcgan BS=64 UP=nearest"]')
    assert not driver.find_element(
        "css selector", '[aria-label="bold in the charts: dcgan BS=64 UP=nearest"]'
    ).is_selected()
    choose(driver, 'select[data-state="highlight"]', "batch_size")
    values = driver.find_element("id", "curves-values").text.split()
    assert values == ["BS=16", "BS=32", "BS=64", "BS=128", "BS=256"]
    faint = {trace["line"]["color"] for trace in drawn(driver, "curves-chart") if not trace["name"] and trace["text"]}
    assert len(faint) == 5


def test_curves_go_by_the_chosen_metric_and_axis_and_hold_every_configuration(look, big):
    driver = look()
    drawn(driver, "curves-chart")
    choose(driver, '#curves select[data-state="metric"]', "cs")
    choose(driver, 'select[data-state="axis"]', "seconds")
    traces = drawn(driver, "curves-chart")
    shown = {name for trace in traces for name in ([trace["name"]] if trace["name"] else trace["text"] or []) if name}
    board = pd.read_csv(big / "leaderboard.csv")
    assert shown == set(board.loc[board["rank"].notna(), "configuration"])
    best = next(trace for trace in traces if trace["name"] == "dcgan BS=16 UP=transposed")
    tables = Store(big).tables()
    keys = [cell["key"] for cell in tables.cells.to_dict("records")
            if cell["variant"] == "dcgan" and cell["params"]["batch_size"] == 16
            and cell["params"]["upsample"] == "transposed"]  # fmt: skip
    scores = tables.scores[tables.scores["key"].isin(keys) & (tables.scores["metric"] == "cs")]
    means = scores[scores["point"] == "curve"].groupby("seconds")["value"].mean()
    assert best["x"] == list(means.index)
    assert best["y"] == pytest.approx(list(means), rel=1e-5)
    assert not driver.find_element("css selector", '[data-flag="log"]').is_selected()  # more is better


def test_the_slider_leads_through_training_by_mouse_and_by_keyboard(look):
    driver = look()
    driver.execute_script("document.getElementById('samples').scrollIntoView()")
    until(driver, "return document.querySelector('#generated img').naturalWidth > 1")
    source = "return document.querySelector('#generated img').getAttribute('src')"
    assert driver.execute_script(source).endswith("/00000080.png")
    assert "the chosen snapshot" in driver.find_element("id", "when").text
    slider = driver.find_element("id", "evaluation")
    slider.send_keys("\ue012\ue012")  # left, twice
    until(driver, source.replace("return ", "return (") + ").endsWith('/00000060.png')")
    said = driver.find_element("id", "when").text
    assert said.startswith("60 generator updates · epoch 3.000 · fcd ")
    assert slider.get_attribute("aria-valuetext") == said
    until(driver, "return document.querySelector('#generated img').complete")
    width, natural = driver.execute_script(
        "const i = document.querySelector('#generated img'); return [i.clientWidth, i.naturalWidth]"
    )
    assert width > natural
    assert width % natural == 0  # whole pixels
    before = driver.execute_script(source)
    click(driver, "#next")
    until(driver, f"return document.querySelector('#generated img').getAttribute('src') !== '{before}'")


def test_pareto_front_is_what_nothing_beats_in_both(look, big):
    driver = look()
    drawn(driver, "cost-chart")
    front = json.loads(driver.execute_script("return document.getElementById('cost-chart').dataset.front"))
    board = pd.read_csv(big / "leaderboard.csv")
    rows = board[board["rank"].notna()].to_dict("records")
    unbeaten = [
        row["configuration"]
        for row in rows
        if not any(
            other["fcd_best_mean"] <= row["fcd_best_mean"] and other["seconds"] <= row["seconds"] and other is not row
            for other in rows
        )
    ]
    assert sorted(front) == sorted(unbeaten)


def test_effects_show_what_is_asked_in_chart_and_table(look):
    driver = look()
    assert drawn(driver, "effects-chart")
    choose(driver, 'select[data-state="effectQuestion"]', "UP")
    choose(driver, 'select[data-state="effectWhere"]', "digits, wgan")
    (trace,) = drawn(driver, "effects-chart")
    assert len(trace["x"]) == 1
    rows = driver.find_elements("css selector", 'table[data-name="effects"] tbody tr')
    assert len(rows) == 1
    assert "transposed" in rows[0].text
    assert float(rows[0].find_elements("css selector", "td")[7].get_attribute("data-ratio")) == pytest.approx(
        trace["x"][0]
    )


# --- its numbers ------------------------------------------------------------------------------------------------------


def test_every_number_of_the_leaderboard_is_that_of_the_csv(look, big):
    driver = look()
    table = pd.read_csv(big / "leaderboard.csv").set_index("configuration")
    keys = [
        (th.get_attribute("data-key"), at)
        for at, th in enumerate(driver.find_elements("css selector", 'table[data-name="leaderboard-digits"] thead th'))
    ]
    rows = driver.execute_script(
        "return [...document.querySelectorAll('table[data-name=\"leaderboard-digits\"] tr')].slice(1)"
        ".map(r => [...r.cells].map(c => [c.textContent, {...c.dataset}]))"
    )
    assert len(rows) == len(table) == 42
    for cells in rows:
        row = table.loc[cells[1][0]]
        for key, at in keys:
            text, facts = cells[at]
            if key.endswith(("_best", "_last")):
                shown = "–" if pd.isna(row[key]) else row[key].removeprefix("'") if isinstance(row[key], str) else None
                assert text == (shown if shown is not None else text)
                for part in ("mean", "low", "high", "n"):
                    exact = row[f"{key}_{part}"]
                    if part in facts:
                        assert float(facts[part]) == float(exact)
                    else:
                        assert pd.isna(exact) or exact == 0
            elif key == "seconds" and text not in ("", "–"):
                assert float(facts["mean"]) == row["seconds"]
            elif key == "rank" and text != "–":
                assert int(text) == row["rank"]
            elif key == "n" and text:
                assert int(text) == row["n"]


def test_numbers_of_the_charts_are_those_of_the_files(look, big):
    driver = look()
    board = pd.read_csv(big / "leaderboard.csv").set_index("configuration")
    scores = driver.execute_script("return ganbench.data.configurations.map(c => [c.name, c.scores, c.seconds])")
    assert len(scores) == 41
    for name, metrics, seconds in scores:
        for metric, points in metrics.items():
            for point, values in points.items():
                exact = [board.at[name, f"{metric}_{point}_{part}"] for part in ("mean", "low", "high", "n")]
                assert [None if pd.isna(value) else value for value in exact] == values
        assert (seconds is None) == pd.isna(board.at[name, "seconds"])
        assert seconds is None or seconds == board.at[name, "seconds"]
    matched = pd.read_csv(big / "matched.csv", dtype={"a": str, "b": str}, keep_default_na=False)
    asked = ["dataset", "variant", "a", "b", "metric", "axis"]
    exact = {tuple(row[name] for name in asked): row for row in matched.to_dict("records")}
    effects = driver.execute_script("return ganbench.data.effects")
    assert len(effects) > 200
    for effect in effects:
        row = exact[tuple(effect[name] for name in asked)]
        assert [effect[part] for part in ("mean", "low", "high")] == [float(row[p]) for p in ("mean", "low", "high")]
        assert (effect["n"], effect["verdict"]) == (row["n"], row["verdict"])


def test_every_table_can_be_had_as_csv_markdown_and_latex(look, big):
    driver = look()
    tables = driver.execute_script("return [...document.querySelectorAll('table.data')].map(t => t.dataset.name)")
    assert {"grid", "leaderboard-digits", "effects", "classes-digits", "unfinished"} <= set(tables)
    assert any(name.startswith("digits-speed") for name in tables)
    for name in tables:
        made = {
            kind: driver.execute_script("return ganbench.exports.content(arguments[0], arguments[1])", name, kind)
            for kind in ("CSV", "Markdown", "LaTeX")
        }
        rows = list(csv.reader(io.StringIO(made["CSV"])))
        assert len({len(row) for row in rows}) == 1, name
        bars = [len(re.findall(r"(?<!\\)\|", line)) for line in made["Markdown"].strip().split("\n")]
        assert len(set(bars)) == 1, name
        body = made["LaTeX"].split("\\midrule")[1].split("\\bottomrule")[0].strip().split("\n")
        ends = {len(re.findall(r"(?<!\\)&", line)) for line in body}
        assert ends == {bars[0] - 2}, name
    found = pd.read_csv(
        io.StringIO(driver.execute_script("return ganbench.exports.content('leaderboard-digits', 'CSV')"))
    )
    exact = pd.read_csv(big / "leaderboard.csv").set_index("configuration")
    for row in found.to_dict("records"):
        assert row["fcd_best_mean"] == pytest.approx(
            exact.at[row["configuration"], "fcd_best_mean"], nan_ok=True, rel=1e-15
        )
    choose(driver, 'select[data-filter="variant"]', "wgan")
    filtered = driver.execute_script("return ganbench.exports.content('leaderboard-digits', 'CSV')")
    assert len(filtered.strip().split("\n")) == 1 + 10 + 1  # head, what the filter leaves, real images


# --- it hides nothing, and shows nothing that it should not -----------------------------------------------------------


def test_cells_that_failed_diverged_or_are_missing_are_all_there(look):
    driver = look()
    said = driver.find_element("css selector", ".counts").text.split("\n")
    assert said == [
        "170 done",
        "6 running",
        "6 planned",
        "6 diverged",
        "6 failed",
        "6 oom",
        "1 skipped",
        "of 201 cells",
    ]
    rows = driver.execute_script(
        "return ganbench.tables.known.unfinished.rows().nodes().toArray().map(r => r.dataset.kind)"
    )
    assert {kind: rows.count(kind) for kind in rows} == {
        "failed": 6, "oom": 6, "diverged": 6, "running": 6, "planned": 6, "skipped": 1,
    }  # fmt: skip
    board = driver.find_element("css selector", 'table[data-name="leaderboard-digits"]').text
    for coverage in (
        "4/5 seeds: 1 diverged",
        "0/5 seeds: 5 failed",
        "0/5 seeds: 5 oom",
        "5 planned",
        "skipped: digits",
    ):
        assert coverage in board


def test_hostile_names_reasons_parameters_and_logs_stay_text(look, tmp_path):
    records = Records(tmp_path)
    records.run |= {"name": HOSTILE}
    for seed in range(2):
        for value in ("plain", HOSTILE):
            facts = {"environment": {"processor": HOSTILE, "packages": HOSTILE}}
            curve = {10: {"fcd": 5.0}, 20: {"fcd": 4.0}}
            params, symbols = {HOSTILE: value}, {HOSTILE: HOSTILE}
            best = {"fcd": 3.0 + seed}
            records.cell(HOSTILE, seed, best, dataset=HOSTILE, params=params, symbols=symbols, curve=curve, **facts)
    folder = records.cell("other", 0, None, status="failed", reason=HOSTILE, dataset=HOSTILE)
    (folder / "log.txt").write_text(HOSTILE)
    records.dataset(HOSTILE, real={"fcd": 0.1})
    driver = look(report.write_page(records.written().tables(), tmp_path))
    for part in ("curves-chart", "compare-chart", "cost-chart", "effects-chart"):
        drawn(driver, part)
    assert "owned" not in driver.title.replace(HOSTILE, "")
    assert driver.execute_script("return document.querySelectorAll('img[src=x], main b b, td b').length") == 0
    assert driver.find_element("css selector", "h1").text.startswith("</script><img src=x")
    log = driver.execute_script("return document.querySelector('table[data-name=unfinished] pre').textContent")
    assert log == HOSTILE
    assert driver.execute_script("return document.querySelector('select[data-state=highlight]').options[1].text").count(
        "<img"
    )
    assert [entry for entry in driver.get_log("browser") if "owned" in entry["message"]] == []
    assert driver.get_log("browser") == []


def test_a_script_from_anywhere_else_does_not_run(look):
    driver = look()
    driver.execute_script("""
        const s = document.createElement('script'); s.textContent = "document.title = 'owned'"; document.body.append(s);
        const i = document.createElement('img'); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i);
    """)
    assert driver.title != "owned"
    refused = " ".join(entry["message"] for entry in driver.get_log("browser"))
    assert "violates the following Content Security Policy" in refused
    assert not [url for url in requests(driver) if url.startswith("http") and "ERR" in url]


@pytest.mark.parametrize("text", ["</script>", "<!--", "<script>", "&lt;"])
def test_embedded_data_can_end_no_element(text):
    made = render.embedded({"a": [text]})
    assert "<" not in made
    assert "&" not in made
    assert json.loads(made) == {"a": [text]}


def test_scripts_that_are_inlined_do_not_end_their_element():
    for name in render._SCRIPTS:
        text, _ = render.script(name)
        assert "</script" not in text.lower()
        assert "<!--" not in text


def test_roadmap_is_html_in_which_nothing_is_markup_of_others():
    made = render.markdown("## a\n\n- **b**: [x](http://e.vil) <img src=x> ![y](z)")
    assert "<h3>a</h3>" in made
    assert "<strong>b</strong>" in made
    assert "<img" not in made
    assert "<a" not in made


def test_page_has_the_same_bytes_for_the_same_records(big):
    first = (big / "report" / "index.html").read_bytes()
    report.write_page(Store(big).tables(), big)
    assert (big / "report" / "index.html").read_bytes() == first


def test_large_studies_are_shortened_and_the_page_says_by_how_much(big, tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "ROWS", 30)
    monkeypatch.setattr(selection, "CHARTED", 12)
    monkeypatch.setattr(pages.tables, "UNFINISHED", 4)
    monkeypatch.setattr(pages.tables, "COMPARISONS", 7)
    monkeypatch.setattr(images, "FILES", 50)
    text = report.write_page(Store(big).tables(), tmp_path).read_text()
    assert "11 more configurations are in leaderboard.csv" in text
    assert "configurations of the leaderboard have no curve here" in text
    assert "27 more cells that are not done are in results.parquet" in text
    assert re.search(r"\d+ more are in matched.csv", text)
    assert re.search(r"\d+ more cells have samples", text)
    assert len(list((tmp_path / "report" / "samples").rglob("*.png"))) <= 51


def test_a_run_without_cells_and_one_that_skips_all_have_a_page(tmp_path):
    records = Records(tmp_path / "none")
    assert "No cells were planned" in report.write_page(records.written().tables(), tmp_path).read_text()
    records = Records(tmp_path / "skipped")
    records.cell("cgan", 0, None, skip="no labels")
    assert "skipped: no labels" in report.write_page(records.written().tables(), tmp_path).read_text()


def test_the_best_of_every_variant_is_shown_whatever_is_left_out(monkeypatch):
    monkeypatch.setattr(selection, "ROWS", 1)
    monkeypatch.setattr(selection, "CHARTED", 1)
    board = pd.DataFrame({
        "dataset": "d", "row": "configuration", "variant": ["a"] * 40 + ["b"] * 3,
        "configuration": [f"c{number}" for number in range(43)], "rank": pd.array([*range(1, 44)], "Int64"),
    })  # fmt: skip
    found = selection.shown(board)
    assert len(found) == 20
    assert set(found["variant"]) == {"a", "b"}
    assert found["charted"].sum() == 10


# --- pictures and logs ------------------------------------------------------------------------------------------------


def _picture(path: Path, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (size, size), 100).save(path)


def test_pictures_that_are_links_or_no_pngs_are_left_alone(tmp_path):
    secret = tmp_path / "secret.png"
    _picture(secret)
    records = Records(tmp_path / "run")
    folder = records.cell("dcgan", 0, {"fcd": 1.0})
    _picture(folder / "samples" / "00000010.png")
    (folder / "samples" / "00000020.png").symlink_to(secret)
    (folder / "samples" / "00000030.png").write_text("<svg onload=alert(1)>")
    (folder / "samples" / "-5.png").write_bytes(secret.read_bytes())
    (folder / "neighbours.png").symlink_to(secret)
    _picture(folder / "interpolation.png")
    store = records.written()
    report.write_page(store.tables(), store.root)
    copied = sorted(path.name for path in (store.root / "report" / "samples").rglob("*.png"))
    assert copied == ["00000010.png", "interpolation.png"]


def test_pictures_of_what_is_gone_are_removed_and_a_linked_folder_is_not_written_to(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    _picture(elsewhere / "mine.png")
    records = Records(tmp_path / "run")
    folder = records.cell("dcgan", 0, {"fcd": 1.0})
    _picture(folder / "samples" / "00000010.png")
    store = records.written()
    report.write_page(store.tables(), store.root)
    _picture(store.root / "report" / "samples" / "old-cell" / "00000010.png")
    inside = store.root / "report" / "samples" / folder.name
    shutil.rmtree(inside)
    inside.symlink_to(elsewhere)
    report.write_page(store.tables(), store.root)
    assert [path.name for path in elsewhere.iterdir()] == ["mine.png"]
    assert sorted(path.name for path in (store.root / "report" / "samples").iterdir()) == [folder.name]
    shutil.rmtree(store.root / "report")
    (store.root / "report").symlink_to(elsewhere)
    with pytest.raises(Exception, match="is a link"):
        report.write_page(store.tables(), store.root)


def test_without_pictures_there_are_none(big, tmp_path):
    report.write(Store(big).tables(), tmp_path, pictures="none", formats=report.FORMATS)
    assert not (tmp_path / "report" / "samples").exists()
    assert 'id="samples"' not in (tmp_path / "report" / "index.html").read_text()


def test_excerpt_of_a_log_is_its_end_without_escapes_and_follows_no_link(tmp_path):
    cell = tmp_path / "run" / "cells" / "a"
    cell.mkdir(parents=True)
    (cell / "log.txt").write_text("first\n" * 10_000 + "\x1b[31mlast\x1b[0m\x07\r\nend" + "x" * 999)
    text = excerpt(cell)
    assert "\nlast\nend" in text.replace(" \n", "\n")
    assert len(text) < 5_000
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "log.txt").write_text("secret")
    (tmp_path / "run" / "cells" / "b").symlink_to(outside)
    assert excerpt(tmp_path / "run" / "cells" / "b") == ""
    (cell / "log.txt").unlink()
    (cell / "log.txt").symlink_to(outside / "log.txt")
    assert excerpt(cell) == ""


# --- methods, --open, --watch -----------------------------------------------------------------------------------------


def test_methods_say_what_the_records_say(big):
    text = (big / "report" / "index.html").read_text()
    paragraph = re.search(r'id="paragraph">(.*?)</p>', text, re.S)
    assert paragraph
    for said in ("each for 5 epochs with 5 seeds", "evaluated 10 times during training on 1,000 generated images",
                 "170 of 200 planned runs finished", "(PyTorch 2.15.0)"):  # fmt: skip
        assert said in paragraph[1]
    cited = set(re.findall(r"\[([a-z]+\d{4})\]", paragraph[1]))
    assert cited == set(re.findall(r"@\w+\{([a-z]+\d{4}),", text))
    assert set(methods._BIBTEX) >= cited


def test_open_shows_the_page_in_the_browser(big, tmp_path, monkeypatch):
    shown: list[str] = []
    monkeypatch.setattr("ganbench.report.watch.webbrowser.open", lambda url: bool(shown.append(url)) or True)
    done = CliRunner().invoke(main, ["report", str(big), "--to", str(tmp_path), "--pictures", "none", "--open"])
    assert done.exit_code == 0, done.output
    assert shown == [(tmp_path / "report" / "index.html").as_uri()]


def test_watch_writes_the_page_until_the_run_has_ended(look, tmp_path):
    records = Records(tmp_path)
    records.cell("dcgan", 0, {"fcd": 1.0}, curve={10: {"fcd": 5.0}, 20: {"fcd": 4.0}})
    records.cell("dcgan", 1, None, status="running")
    store, said, pages_seen = records.written(), [], []

    def wait(seconds: float) -> None:
        assert seconds >= 30
        pages_seen.append((tmp_path / "report" / "index.html").read_text())
        store.cell(next(name for name in records.run["cells"] if "-s1-" in name)).update(
            status="done", best=(final := {**axes(80), "metrics": {"fcd": 2.0}}), last=final, seconds={"total": 1.0},
        )  # fmt: skip

    watched([store], tmp_path, x=None, every=30, opened=False, say=said.append, wait=wait)
    assert len(pages_seen) == 1
    assert "1/2 seeds: 1 running" in pages_seen[0]
    assert "1/2 seeds" not in (tmp_path / "report" / "index.html").read_text()
    assert [line.split("  ")[-1] for line in said[1:]] == ["1 done, 1 running", "2 done"]


def test_a_page_that_loads_itself_again_keeps_what_was_chosen(look, tmp_path):
    records = Records(tmp_path)
    for seed, status in enumerate(("done", "running")):
        curve = {10: {"fcd": 5.0, "cs": 2.0}, 20: {"fcd": 4.0, "cs": 3.0}}
        records.cell("dcgan", seed, {"fcd": 1.0, "cs": 3.0} if status == "done" else None, status=status, curve=curve)
    here = report.write_page(records.written().tables(), tmp_path, live=1)
    driver = look(here)
    drawn(driver, "curves-chart")
    choose(driver, '#curves select[data-state="metric"]', "cs")
    driver.execute_script("window.before = true")
    until(driver, "return window.before === undefined && document.readyState === 'complete'")
    assert until(driver, "return document.querySelector('#curves select[data-state=metric]').value") == "cs"
    click(driver, "#pause")
    driver.execute_script("window.before = true")
    time.sleep(1.5)
    assert driver.execute_script("return window.before")
