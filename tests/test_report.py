"""Reports: what the leaderboards say, what the files hold, and that nothing in the records can break them."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console
from scipy import stats

from ganbench.aside import aside, halved
from ganbench.errors import GanbenchError, UserError
from ganbench.mirror import Mirror
from ganbench.report import files, interval, leaderboards, pictures, terminal
from ganbench.report import write as write_report
from ganbench.report.words import for_csv, for_markdown, number, ranges
from ganbench.store import Store
from ganbench.testing.records import METRICS, Records


def write(store: Store) -> list[Path]:
    return write_report(store.tables(), store.root)


def _configurations(store: Store) -> pd.DataFrame:
    table = leaderboards(store.tables())
    return table[table["row"] == "configuration"]


def _printed(store: Store, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    terminal(store.tables(), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _markdown(store: Store) -> str:
    return files.markdown(store.tables())


# --- statistics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_interval_is_scipys_student_t_interval(confidence):
    values = [3.1, 2.7, 4.4, 3.9, 3.0]
    low, high = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert interval(values, confidence) == pytest.approx((np.mean(values), low, high))


def test_interval_covers_the_true_mean_as_often_as_it_claims():
    samples = np.random.default_rng(0).normal(5, 2, (2000, 3))
    covered = [low <= 5 <= high for _, low, high in map(interval, samples)]
    assert 0.935 < np.mean(covered) < 0.965


def test_one_value_has_a_mean_but_no_interval_and_none_has_neither():
    mean, low, high = interval([7.0])
    assert mean == 7
    assert math.isnan(low)
    assert math.isnan(high)
    assert all(map(math.isnan, interval([])))


def test_impossible_confidence_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        interval([1, 2], confidence=95)


# --- order, coverage, labels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("metric", "first"), [("fcd", "b-gan"), ("cs", "a-gan")])
def test_direction_of_the_ranked_metric_decides_the_order(tmp_path, metric, first):
    records = Records(tmp_path, metric=metric)
    for seed in range(2):
        records.cell("a-gan", seed, {"fcd": 9 + seed, "cs": 8 + seed})
        records.cell("b-gan", seed, {"fcd": 2 + seed, "cs": 3 + seed})
    table = _configurations(records.written())
    assert table["variant"].iloc[0] == first
    assert list(table["rank"]) == [1, 2]


def test_ranking_at_last_uses_the_last_scores(tmp_path):
    records = Records(tmp_path, at="last")
    records.cell("a-gan", 0, {"fcd": 1}, last={"fcd": 50})
    records.cell("b-gan", 0, {"fcd": 2}, last={"fcd": 3})
    assert list(_configurations(records.written())["variant"]) == ["b-gan", "a-gan"]


def test_equal_means_share_a_rank(tmp_path):
    records = Records(tmp_path)
    for variant, value in (("a-gan", 2.0), ("b-gan", 2.0), ("c-gan", 3.0)):
        records.cell(variant, 0, {"fcd": value})
    assert list(_configurations(records.written())["rank"]) == [1, 1, 3]


def test_failed_and_diverged_seeds_show_in_coverage_and_never_in_the_mean(tmp_path):
    records = Records(tmp_path)
    records.cell("a-gan", 0, {"fcd": 4.0})
    records.cell("a-gan", 1, {"fcd": 900.0}, status="diverged", reason="loss is NaN")
    records.cell("a-gan", 2, None, status="failed", reason="boom")
    records.cell("b-gan", 0, None, status="failed", reason="boom")
    records.cell("b-gan", 1, None, status="oom", reason="8 GiB")
    store = records.written()
    table = _configurations(store)
    first, second = table.to_dict("records")
    assert (first["fcd_best_mean"], first["n"], first["planned"]) == (4.0, 1, 3)
    assert second["variant"] == "b-gan"
    assert pd.isna(second["rank"])
    text = _markdown(store)
    assert r"4.000\* (n=1)" in text
    assert "1/3 seeds: 1 diverged, 1 failed" in text
    assert "0/2 seeds: 1 failed, 1 oom" in text
    assert "mean over fewer seeds than planned" in text
    assert "4 cells failed" in text
    assert "loss is NaN" in _printed(store)


def test_complete_configurations_carry_no_mark(tmp_path):
    records = Records(tmp_path)
    for seed, value in enumerate((4.0, 5.0, 6.0)):
        records.cell("a-gan", seed, {"fcd": value})
    text = _markdown(records.written())
    assert "5.00 ± 2.48 |" in text
    assert "3/3" in text
    assert "fewer seeds" not in text


def test_a_nan_score_is_missing_and_not_a_mean(tmp_path):
    records = Records(tmp_path)
    records.cell("a-gan", 0, {"fcd": 4.0})
    records.cell("a-gan", 1, {"fcd": math.nan})
    store = records.written()
    assert _configurations(store)["fcd_best_mean"].iloc[0] == 4.0
    assert "1/2 seeds: 1 without fcd" in _printed(store)


def test_labels_name_the_parameters_that_differ_by_symbol_where_there_is_one(tmp_path):
    records = Records(tmp_path)
    symbols = {"batch_size": "BS"}
    for size in (16, 32):
        params = {"batch_size": size, "upsample": "nearest", "lr": 0.1, "n_critic": size // 16}
        records.cell("dcgan", 0, {"fcd": size}, params=params, symbols=symbols)
    records.cell("wgan", 0, {"fcd": 99}, params={"batch_size": 64}, symbols=symbols)
    labels = list(_configurations(records.written())["configuration"])
    assert labels == ["dcgan BS=16 n_critic=1", "dcgan BS=32 n_critic=2", "wgan"]


def test_skipped_configurations_are_listed_with_their_reason(tmp_path):
    records = Records(tmp_path)
    records.cell("a-gan", 0, {"fcd": 1})
    records.cell("cgan", 0, None, skip="needs labels, digits has none")
    store = records.written()
    assert "skipped: cgan: needs labels, digits has none" in _markdown(store)
    assert "skipped: cgan: needs labels" in _printed(store)
    assert "0/0" not in _printed(store)


def test_overlap_with_the_leader_is_said_in_words(tmp_path):
    records = Records(tmp_path)
    for seed in range(3):
        records.cell("a-gan", seed, {"fcd": 1 + seed})
        records.cell("b-gan", seed, {"fcd": 1.5 + seed})
        records.cell("c-gan", seed, {"fcd": 90 + seed})
    assert "the interval of rank 2 overlaps that of rank 1" in _printed(records.written())


@pytest.mark.parametrize(
    ("numbers", "said"),
    [([4], "4"), ([1, 2], "1 and 2"), ([2, 3, 4, 5], "2 to 5"), ([1, 3, 4, 5, 7, 8, 11, 12, 13],
     "1, 3 to 5, 7, 8 and 11 to 13"), ([2, 2, 3], "2, 2 and 3")],
)  # fmt: skip
def test_numbers_that_follow_each_other_are_a_range(numbers, said):
    assert ranges(numbers) == said


def test_real_rows_and_classifier_accuracy_are_shown(tmp_path):
    records = Records(tmp_path)
    records.cell("a-gan", 0, {"fcd": 5, "cs": 7})
    records.dataset(real={"fcd": 1.25, "cs": 9.5})
    store = records.written()
    real = leaderboards(store.tables()).query("row == 'real'").to_dict("records")
    assert [(row["fcd_best_mean"], row["fcd_last_mean"], row["cs_best_mean"]) for row in real] == [(1.25, 1.25, 9.5)]
    for text in (_printed(store), _markdown(store)):
        assert "classifier test accuracy 0.9722" in text
        line = next(line for line in text.splitlines() if "real test images" in line)
        assert "1.250" in line
        assert "360 images" in line


def test_unavailable_metrics_say_why(tmp_path):
    records = Records(tmp_path, metrics={**METRICS, "fid": {"direction": "lower"}})
    records.cell("a-gan", 0, {"fcd": 5}, unavailable={"fid": "no weights; run\nganbench fetch inception"})
    records.dataset(real={"fcd": 1}, unavailable={"fid": "no weights; run ganbench fetch inception"})
    text = _markdown(records.written())
    assert text.count("fid: unavailable: no weights; run ganbench fetch inception") == 1
    assert "fid ↓" not in text


# --- files ------------------------------------------------------------------------------------------------------------


def _study(root: Path) -> Records:
    """Two variants, one of them with two configurations, curves, sheets, and a failure."""
    records, random = Records(root), np.random.default_rng(0)
    for index, (variant, size) in enumerate((("dcgan", 16), ("dcgan", 32), ("wgan", 64))):
        for seed in range(3):
            end = 5.0 + 3 * index + random.normal()
            curve = {step: {"fcd": end + 400 / step, "cs": 9 - end / 3 - 20 / step} for step in range(20, 101, 20)}
            sheet = Image.fromarray(random.integers(0, 255, (102, 102), dtype=np.uint8))
            params = {"batch_size": size}
            records.cell(variant, seed, curve[80], last=curve[100], curve=curve, params=params, sheet=sheet)
    records.cell("wgan", 3, None, status="failed", reason="boom", params={"batch_size": 64})
    real = records.dataset(real={"fcd": 1.5, "cs": 9.1})
    Image.new("L", (102, 102), 90).save(real / "real.png")
    return records


def test_every_file_is_written_and_every_picture_opens(tmp_path):
    paths = write(_study(tmp_path).written())
    names = {str(path.relative_to(tmp_path)) for path in paths}
    plots = ("curves-digits-fcd", "curves-digits-cs", "experiment-digits-dcgan", "highlight-digits-dcgan-batch_size")
    plots += ("architectures-digits", "comparison-digits")
    pictures = {f"report/{plot}.{suffix}" for plot in plots for suffix in ("png", "svg")}
    pictures |= {f"report/{sheet}.png" for sheet in ("samples-digits", "last-digits-dcgan", "last-digits-wgan")}
    assert names >= {"leaderboard.csv", "leaderboard.md", "results.parquet"}
    assert {name for name in names if name.startswith("report/")} == pictures
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
                assert min(image.size) > 200


def test_writing_twice_gives_the_same_bytes_and_drops_pictures_of_what_is_gone(tmp_path):
    store = _study(tmp_path).written()
    first = {path: path.read_bytes() for path in write(store)}
    stale = tmp_path / "report" / "curves-gone-fcd.png"
    stale.write_bytes(b"old")
    assert {path: path.read_bytes() for path in write(store)} == first
    assert not stale.exists()


def test_pictures_drawn_by_other_processes_are_the_same(tmp_path, monkeypatch):
    tables = _study(tmp_path).written().tables()
    forked = []

    def counted(*arguments):
        forked.append(arguments)
        return aside(*arguments)

    monkeypatch.setattr(pictures, "aside", counted)
    monkeypatch.setattr(pictures, "cores", lambda: 3)

    def written(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in write_report(tables, folder)}

    alone = written(tmp_path / "alone")
    assert len(forked) == 0
    monkeypatch.setattr(pictures, "_FEW", 0)
    assert written(tmp_path / "forks") == alone
    assert len(forked) == 3
    monkeypatch.setattr(pictures, "_HUGE", 0)
    assert written(tmp_path / "huge") == alone
    assert len(forked) == 5
    monkeypatch.setattr(pictures, "cores", lambda: 1)
    assert written(tmp_path / "one core") == alone
    assert len(forked) == 6
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "report").symlink_to(tmp_path)
    with pytest.raises(UserError, match="is a link"):
        written(tmp_path / "linked")


def test_work_aside_returns_raises_or_says_that_it_died():
    number = 6
    assert aside(lambda: 7 * number, "")() == 42
    with pytest.raises(UserError, match="so it was"):
        aside(raised, "")()
    with pytest.raises(GanbenchError, match=r"exit code -9 .*do without"):
        aside(lambda: os.kill(os.getpid(), signal.SIGKILL), "do without")()


def raised():
    raise UserError("so it was")


def test_nothing_is_forked_once_a_store_is_open(tmp_path, monkeypatch):
    assert aside(os.getpid, "")() != os.getpid()
    with closing(Mirror(f"file://{tmp_path}/store")):
        assert aside(os.getpid, "")() == os.getpid()


def test_work_that_is_halved_is_in_order_and_raises_here(monkeypatch):
    monkeypatch.setattr("ganbench.aside.LARGE", 0)

    def twice(numbers: range) -> tuple[list[int], int]:
        if 13 in numbers:
            raise UserError("not 13")
        if 100 in numbers and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return [2 * number for number in numbers], os.getpid()

    here = os.getpid()
    found = list(halved(twice, range(20, 55), chunk=10))
    assert [value for values, _ in found for value in values] == [2 * number for number in range(20, 55)]
    assert [pid == here for _, pid in found] == [True, False, True, False]
    with pytest.raises(UserError, match="not 13"):
        list(halved(twice, range(40), chunk=10))
    assert [pid for _, pid in halved(twice, range(95, 125), chunk=5)] == [here] * 6  # what was killed is done here


def test_csv_repeats_the_numbers_of_the_markdown_table(tmp_path):
    store = _study(tmp_path).written()
    text = _markdown(store)
    table = pd.read_csv(io.StringIO(files.csv(store.tables())))
    assert list(table["row"]) == ["configuration"] * 3 + ["real"]
    for row in table.to_dict("records"):
        line = next(line for line in text.splitlines() if f"| {row['configuration']} " in line)
        shown = [cell.strip().replace("\\", "") for cell in line.split("|")[3:6]]
        assert shown == [row["fcd_best"], row["fcd_last"], row["cs_best"]]
        half = row["fcd_best_high"] - row["fcd_best_mean"]
        assert shown[0].split("*")[0] == number(row["fcd_best_mean"], half)


def test_csv_means_are_those_of_the_long_table(tmp_path):
    store = _study(tmp_path).written()
    long = pd.read_parquet(io.BytesIO(files.parquet(store.tables())))
    best = long[(long["point"] == "best") & (long["metric"] == "fcd")].groupby("configuration")["value"].mean()
    table = pd.read_csv(io.StringIO(files.csv(store.tables()))).set_index("configuration")["fcd_best_mean"]
    assert best.to_dict() == pytest.approx(table.drop("real test images").to_dict())


def test_long_table_keeps_cells_without_scores_and_has_params_as_json(tmp_path):
    store = _study(tmp_path).written()
    long = pd.read_parquet(io.BytesIO(files.parquet(store.tables())))
    failed = long[long["status"] == "failed"]
    assert list(failed["reason"]) == ["boom"]
    assert failed["metric"].isna().all()
    assert json.loads(failed["params"].iloc[0]) == {"batch_size": 64}
    assert len(long) == 9 * (5 + 2) * 2 + 1


def test_sample_sheet_of_the_best_snapshot_is_shown_enlarged_by_whole_pixels(tmp_path):
    records = Records(tmp_path)
    records.cell("a-gan", 0, {"fcd": 9}, sheet=Image.new("RGB", (102, 102), (200, 0, 0)))
    best = records.cell("a-gan", 1, {"fcd": 1}, sheet=Image.new("RGB", (102, 102), (0, 0, 200)))
    Image.new("RGB", (102, 102), (0, 200, 0)).save(best / "samples" / "00000100.png")
    write(records.written())
    with Image.open(tmp_path / "report" / "samples-digits.png") as page:
        counts = {colour: count for count, colour in page.convert("RGB").getcolors(1 << 20)}
    assert counts[(0, 0, 200)] == (3 * 102) ** 2
    assert (200, 0, 0) not in counts
    assert (0, 200, 0) not in counts


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_missing_and_damaged_sheets_do_not_break_the_report(tmp_path, damage):
    from ganbench.report.sheets import compose, samples
    from ganbench.report.study import Study

    store = _study(tmp_path).written()
    for path in tmp_path.rglob("*.png"):
        path.unlink() if damage == "missing" else path.write_bytes(path.read_bytes()[:60])
    panels = samples(Study(store.tables()), "digits")
    assert [panel.title for panel in panels] == ["real images", "dcgan batch_size=16", "wgan"]
    assert min(compose(panels).size) > 200


# --- runs with little in them -----------------------------------------------------------------------------------------


def test_run_without_cells_is_reported(tmp_path):
    store = Records(tmp_path).written()
    assert not [path for path in write(store) if path.suffix in (".png", ".svg")]
    assert leaderboards(store.tables()).empty
    _printed(store)


def test_run_before_its_first_cell_ended_is_reported(tmp_path):
    records = Records(tmp_path)
    records.cell("a-gan", 0, None, status="running")
    records.cell("a-gan", 1, None, status="planned")
    store = records.written()
    write(store)
    assert "0/2 seeds: 1 running, 1 planned" in _printed(store)


def test_run_in_which_everything_failed_is_reported(tmp_path):
    records = Records(tmp_path)
    records.cell("a-gan", 0, None, status="timeout", reason="after 60 s")
    records.dataset(status="failed", reason="digits.npz is truncated", shape=None, classes=None, train=None, test=None)
    store = records.written()
    write(store)
    assert "1 cell failed:" in _printed(store)
    assert "dataset failed: digits.npz is truncated" in _printed(store)


def test_run_with_one_seed_and_one_evaluation_is_plotted_without_intervals(tmp_path):
    records = Records(tmp_path)
    records.cell("a-gan", 0, {"fcd": 3.0}, curve={100: {"fcd": 3.0}})
    store = records.written()
    assert {path.name for path in write(store)} >= {"curves-digits-fcd.png", "comparison-digits.svg"}
    assert "±" not in next(line for line in _printed(store).splitlines() if "a-gan" in line)
    assert "3.000 (n=1)" in _printed(store)


def test_run_whose_metrics_are_all_unavailable_is_reported(tmp_path):
    records = Records(tmp_path)
    records.cell("a-gan", 0, {}, unavailable={"fcd": "no labels", "cs": "no labels"})
    store = records.written()
    write(store)
    assert "fcd: unavailable: no labels" in _printed(store)
    assert "0/1 seeds: 1 without fcd" in _printed(store)


def test_many_configurations_and_negative_scores_are_plotted(tmp_path):
    records = Records(tmp_path)
    for index in range(12):
        curve = {step: {"fcd": index - step / 10} for step in (10, 20)}
        records.cell("dcgan", 0, curve[20], curve=curve, params={"lr": index / 7})
    assert {path.name for path in write(records.written())} >= {"curves-digits-fcd.png", "comparison-digits.png"}


# --- hostile records --------------------------------------------------------------------------------------------------


def test_hostile_strings_stay_text_everywhere(tmp_path):
    hostile = "=cmd()|<script>alert(1)</script>[red]x[/nope] $\\frac$ \x1b[31m\nline"
    records = Records(tmp_path)
    for value in (hostile, "@SUM(1)"):
        records.cell("=dcgan", 0, {"fcd": 2.0}, params={"mode": value}, curve={1: {"fcd": 2.0}}, dataset="@digits|[b]")
    records.cell("wgan", 0, None, status="failed", reason=hostile, dataset="@digits|[b]")
    records.cell("cgan", 0, None, skip=hostile, dataset="@digits|[b]")
    store = records.written()
    printed = _printed(store, width=400)
    assert "[red]x[/nope]" in printed
    assert "\x1b" not in printed
    write(store)
    text = (tmp_path / "leaderboard.md").read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    for section in text.split("\n## "):
        assert len({line.replace("\\|", "").count("|") for line in section.splitlines() if line.startswith("|")}) <= 1
    table = pd.read_csv(tmp_path / "leaderboard.csv", keep_default_na=False)
    for column in ("dataset", "variant", "configuration", "params", "reason"):
        assert not table[column].str.startswith(("=", "+", "-", "@")).any()
    assert set(table["variant"]) >= {"'=dcgan"}


def test_formulas_are_defused_and_other_text_is_left_alone():
    assert [for_csv(text) for text in ("=1", "+1", "-1", "@x", "dcgan", "")] == [
        "'=1",
        "'+1",
        "'-1",
        "'@x",
        "dcgan",
        "",
    ]
    assert for_markdown("n_critic=5 | _x_ <b>") == r"n_critic=5 \| \_x\_ &lt;b&gt;"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((12.3456, 0.6191), "12.35 ± 0.62"),
        ((0.98765, 0.00012), "0.9877 ± 0.0001"),
        ((98.1234, 0.0003), "98.1234 ± 0.0003"),
        ((1234.56, 78.9), "1235 ± 79"),
        ((5.2871, 9.0861), "5.29 ± 9.09"),
        ((0.001, 0.0019634), "0.00100 ± 0.00196"),
        ((12.3456, math.nan), "12.35"),
        ((0.0, 0.02), "0.00 ± 0.02"),
        ((2.5e8, 3e6), "2.500e+08 ± 3.0e+06"),
        ((math.nan, math.nan), "–"),
    ],
)
def test_numbers_are_shown_with_as_many_digits_as_they_mean(value, text):
    assert number(*value) == text


def test_report_imports_no_torch_and_the_terminal_needs_no_seaborn():
    code = "import sys, ganbench.report; assert not {'torch', 'seaborn'} & set(sys.modules)"
    subprocess.run(
        [sys.executable, "-c", code + "; import ganbench.report.plots; assert 'torch' not in sys.modules"], check=True
    )


def test_drawing_leaves_the_callers_matplotlib_alone(tmp_path):
    import matplotlib
    from matplotlib import pyplot

    from ganbench.report.plots import comparison, curves
    from ganbench.report.study import Study
    from ganbench.report.style import saved

    study = Study(_study(tmp_path).written().tables())
    before = dict(matplotlib.rcParams)
    for figure in (curves(study, "digits", "fcd"), comparison(study, "digits")):
        assert figure is not None
        saved(figure)
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_a_classifier_that_nothing_was_there_to_test_has_no_accuracy_in_the_caption(tmp_path):
    records = Records(tmp_path)
    records.cell("dcgan", 0, {"fcd": 1.0})
    records.dataset(extractors={"classifier": {"test_accuracy": None, "seed": 0}})
    text = files.markdown(records.written().tables())
    assert "360 test images" in text
    assert "accuracy" not in text
