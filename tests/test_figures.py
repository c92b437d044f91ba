"""Figures: what is drawn, in which groups, against which axis, and what the legends say."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from PIL import Image

from ganbench.cli import main
from ganbench.report import AXES
from ganbench.report.axes import default_axis
from ganbench.report.experiments import architectures, experiment, highlight
from ganbench.report.pictures import begin
from ganbench.report.plots import curves
from ganbench.report.sheets import last, samples
from ganbench.report.study import Study, mean_curve, swept
from ganbench.testing.records import Records

SYMBOLS = {"batch_size": "BS", "latent_dim": "LDIM", "upsample": "UP", "label_smoothing": "SMOOTH", "beta1": "β1"}


def _legend(figure: Figure | None) -> list[str]:
    assert figure is not None
    return [text.get_text() for text in figure.legends[0].get_texts()]


def _curve(end: float, steps: tuple[int, ...] = (20, 60, 100)) -> dict[int, dict[str, float]]:
    return {step: {"fcd": end + 100 / step, "cs": 9 - end} for step in steps}


def _sweep(records: Records, variant: str = "dcgan", seeds: int = 2, **values: list[Any]) -> Records:
    """A cell for every combination and seed; the first combination is the best, and so on."""
    for place, combination in enumerate(itertools.product(*values.values())):
        params = dict(zip(values, combination, strict=True))
        unused = {"label_smoothing": ""} if params.get("label_smoothing") == 0.0 else {}
        for seed in range(seeds):
            curve = _curve(1 + place + seed / 10)
            best = curve[60]
            records.cell(variant, seed, best, curve=curve, params=params, symbols=SYMBOLS, labels=unused)
    return records


def _study(records: Records, axis: str | None = None) -> Study:
    return Study(records.written().tables(), axis)


# --- axes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "end", "label"),
    [
        ("epochs", 5, "epochs"),
        ("generator_updates", 100, "generator updates"),
        ("images", 6400, "real images seen"),
        ("seconds", 10, "seconds of training"),
    ],
)
def test_every_curve_can_be_drawn_against_every_axis(tmp_path, axis, end, label):
    study = _study(_sweep(_sweep(Records(tmp_path), batch_size=[16, 32]), "wgan", n_critic=[1, 5]), axis)
    figures = [
        curves(study, "digits", "fcd"),
        experiment(study, "digits", "dcgan"),
        highlight(study, "digits", "dcgan", "batch_size"),
        architectures(study, "digits"),
    ]
    for figure in figures:
        assert figure is not None
        for axes in figure.axes:
            assert axes.get_xlabel() == label
            assert axes.lines[0].get_xdata()[-1] == end


@pytest.mark.parametrize(
    ("run", "axis"),
    [
        ({"budget": {"unit": "epochs", "amount": 5}}, "epochs"),
        ({"budget": {"unit": "images", "amount": 5}}, "images"),
        ({"budget": {"unit": "generator_updates", "amount": 5}}, "generator_updates"),
        ({"budget": {"unit": "minutes", "amount": 5}}, "seconds"),
        ({"budgets": [{"unit": "epochs", "amount": 5}, {"unit": "epochs", "amount": 9}]}, "epochs"),
        ({"budgets": [{"unit": "epochs", "amount": 5}, {"unit": "minutes", "amount": 9}]}, "generator_updates"),
        ({}, "generator_updates"),
    ],
)
def test_axis_is_the_unit_of_the_budget_unless_budgets_have_several(run, axis):
    assert default_axis(run) == axis
    assert axis in AXES


def test_seeds_that_took_other_times_are_averaged_where_all_have_values():
    common = mean_curve([(np.array([0.0, 10.0]), np.array([10.0, 0.0])), (np.array([2.0, 12.0]), np.array([4.0, 4.0]))])
    assert common.x.tolist() == [2, 10]
    assert common.mean.tolist() == [6, 2]
    assert (common.low.tolist(), common.high.tolist(), common.n) == ([4, 0], [8, 4], 2)


def test_seeds_that_share_no_stretch_keep_their_points():
    apart = mean_curve([(np.array([0.0, 1.0]), np.array([3.0, 2.0])), (np.array([5.0]), np.array([4.0]))])
    assert (apart.x.tolist(), apart.mean.tolist()) == ([0, 1, 5], [3, 2, 4])


def test_curve_is_the_arithmetic_mean_of_the_seeds_on_its_logarithmic_axis(tmp_path):
    records = Records(tmp_path)
    for seed, value in enumerate((1.0, 100.0)):
        records.cell("a-gan", seed, {"fcd": value}, curve={step: {"fcd": value} for step in (1, 2, 3)})
    figure = curves(_study(records), "digits", "fcd")
    assert figure is not None
    assert figure.axes[0].get_yscale() == "log"
    assert list(figure.axes[0].lines[0].get_ydata()) == [50.5] * 3


# --- experiments ------------------------------------------------------------------------------------------------------


def test_an_experiment_shows_every_configuration_best_first_in_the_thesis_notation(tmp_path):
    records = _sweep(Records(tmp_path), batch_size=[32, 16], latent_dim=[12, 100], upsample=["Bilinear", "TrpConv"])
    records.dataset(real={"cs": 8.4})
    study = _study(records)
    figure = experiment(study, "digits", "dcgan")
    assert _legend(figure) == [
        "BS=32 LDIM=12 UP=Bilinear",
        "BS=32 LDIM=12 UP=TrpConv",
        "BS=32 LDIM=100 UP=Bilinear",
        "BS=32 LDIM=100 UP=TrpConv",
        "BS=16 LDIM=12 UP=Bilinear",
        "BS=16 LDIM=12 UP=TrpConv",
        "BS=16 LDIM=100 UP=Bilinear",
        "BS=16 LDIM=100 UP=TrpConv",
        "real test images: cs 8.400",
    ]
    assert figure is not None
    assert [axes.get_ylabel().split()[0] for axes in figure.axes] == ["fcd", "cs"]
    assert all(len(axes.lines) >= 8 for axes in figure.axes)


def test_twenty_lines_have_looks_of_their_own(tmp_path):
    study = _study(_sweep(Records(tmp_path), batch_size=list(range(2, 22)), seeds=1))
    figure = experiment(study, "digits", "dcgan")
    assert figure is not None
    looks = {(line.get_color(), str(line.get_linestyle()), line.get_marker()) for line in figure.axes[0].lines}
    dashes = {(line.get_color(), str(line._dash_pattern)) for line in figure.axes[0].lines}
    assert len(figure.axes[0].lines) == len(looks) == len(dashes) == 20


def test_what_is_left_out_of_names_is_named_when_nothing_else_is(tmp_path):
    study = _study(_sweep(Records(tmp_path), "cgan", label_smoothing=[0.9, 0.0]))
    assert _legend(experiment(study, "digits", "cgan")) == ["SMOOTH=0.9", "no SMOOTH"]
    assert _legend(highlight(study, "digits", "cgan", "label_smoothing")) == ["no SMOOTH", "SMOOTH=0.9"]


def test_missing_seeds_show_in_the_legend(tmp_path):
    records = _sweep(Records(tmp_path), batch_size=[16, 32])
    records.cell("dcgan", 2, None, status="diverged", params={"batch_size": 32}, symbols=SYMBOLS)
    assert _legend(experiment(_study(records), "digits", "dcgan")) == ["BS=16", "BS=32 (n=2 of 3)"]


def test_there_is_no_experiment_of_one_line_beside_other_variants(tmp_path):
    records = _sweep(_sweep(Records(tmp_path / "two"), batch_size=[16]), "wgan", n_critic=[1, 5])
    names = {path.stem for path in begin(records.written().tables(), tmp_path / "two" / "report")()}
    assert "experiment-digits-wgan" in names
    assert "experiment-digits-dcgan" not in names
    alone = _sweep(Records(tmp_path / "one"), batch_size=[16])
    names = {path.stem for path in begin(alone.written().tables(), tmp_path / "one" / "report")()}
    assert "experiment-digits-dcgan" in names
    assert "architectures-digits" not in names


def test_a_real_score_far_from_the_curves_is_said_and_does_not_flatten_them(tmp_path):
    records = _sweep(Records(tmp_path), batch_size=[16, 32])
    records.dataset(real={"fcd": 0.001})
    figure = experiment(_study(records), "digits", "dcgan")
    assert "real test images: fcd 0.001000" in _legend(figure)
    assert figure is not None
    assert figure.axes[0].get_ylim()[0] > 0.5


# --- highlights -------------------------------------------------------------------------------------------------------


def test_a_highlight_colours_by_one_parameter_and_averages_equal_other_settings(tmp_path):
    study = _study(_sweep(Records(tmp_path), batch_size=[16, 32, 64], upsample=["Nearest", "TrpConv"]))
    figure = highlight(study, "digits", "dcgan", "upsample")
    assert _legend(figure) == ["UP=Nearest", "UP=TrpConv"]
    assert figure is not None
    bold = [line for line in figure.axes[0].lines if line.get_linewidth() > 2]
    thin = [line for line in figure.axes[0].lines if line.get_linewidth() < 2]
    assert (len(bold), len(thin)) == (2, 6)
    assert len({line.get_color() for line in thin}) == 2
    nearest = [each for each in study.experiment("digits", "dcgan") if each.params["upsample"] == "Nearest"]
    expected = np.mean([each.curves["fcd"].mean for each in nearest], axis=0)
    assert bold[0].get_ydata() == pytest.approx(expected)


def test_values_with_other_settings_of_their_own_get_no_mean(tmp_path):
    records = _sweep(Records(tmp_path), batch_size=[16, 32], upsample=["Nearest"])
    records.cell(
        "dcgan", 0, {"fcd": 9}, curve=_curve(9), params={"batch_size": 16, "upsample": "TrpConv"}, symbols=SYMBOLS
    )
    study = _study(records)
    figure = highlight(study, "digits", "dcgan", "upsample")
    assert _legend(figure) == ["UP=Nearest", "UP=TrpConv"]
    assert figure is not None
    assert all(line.get_linewidth() < 2 for line in figure.axes[0].lines)
    assert len(figure.axes[0].lines) == 3
    assert any("other settings differ" in text.get_text() for text in figure.axes[0].texts)


def test_numbers_are_coloured_in_their_order_and_only_what_differs_is_highlighted(tmp_path):
    study = _study(_sweep(Records(tmp_path), batch_size=[64, 16, 128], latent_dim=[12]))
    assert swept(study.experiment("digits", "dcgan")) == ["batch_size"]
    figure = highlight(study, "digits", "dcgan", "batch_size")
    assert _legend(figure) == ["BS=16", "BS=64", "BS=128"]
    assert figure is not None
    lightness = [sum(line.get_color()) for line in figure.axes[0].lines]
    assert lightness == sorted(lightness)


def test_files_of_highlights_are_called_by_the_parameter_and_not_its_symbol(tmp_path):
    records = _sweep(Records(tmp_path), beta1=[0.0, 0.5], batch_size=[16, 32])
    names = {path.name for path in begin(records.written().tables(), tmp_path / "report")()}
    for parameter, suffix in itertools.product(("beta1", "batch_size"), ("png", "svg")):
        assert f"highlight-digits-dcgan-{parameter}.{suffix}" in names


# --- architectures ----------------------------------------------------------------------------------------------------


def test_architectures_shows_the_three_best_of_each_variant_in_its_colour(tmp_path):
    study = _study(_sweep(_sweep(Records(tmp_path), batch_size=[16, 32, 64, 128]), "wgan", n_critic=[1, 5]))
    figure = architectures(study, "digits")
    assert set(_legend(figure)) == {"dcgan BS=16", "dcgan BS=32", "dcgan BS=64", "wgan n_critic=1", "wgan n_critic=5"}
    assert figure is not None
    assert {line.get_color() for line in figure.axes[0].lines} == {study.colours["dcgan"], study.colours["wgan"]}


# --- sheets -----------------------------------------------------------------------------------------------------------


def _with_sheets(records: Records, variant: str, value: float, colour: tuple[int, int, int], **facts: Any) -> Path:
    curve = {step: {"fcd": value + step / 100} for step in (20, 40, 60, 80)}
    folder = records.cell(variant, 0, {"fcd": value}, curve=curve, params={"seed_of": value}, **facts)
    (folder / "samples").mkdir(exist_ok=True)
    for step in curve:
        Image.new("RGB", (102, 102), (*colour[:2], step)).save(folder / "samples" / f"{step:08d}.png")
    return folder


def test_last_sheets_are_the_last_three_evaluations_of_the_variants_best_cell(tmp_path):
    records = Records(tmp_path)
    _with_sheets(records, "dcgan", 1.0, (200, 0, 0))
    _with_sheets(records, "dcgan", 9.0, (0, 200, 0))
    heading, panels = last(_study(records), "digits")["dcgan"]
    assert heading == "digits: dcgan seed_of=1, seed 0"
    assert [panel.title for panel in panels] == ["epoch 2", "epoch 3", "epoch 4"]
    assert panels[2].lines == ("80 generator updates", "fcd 1.800")
    begin(records.store.tables(), tmp_path / "report")()
    with Image.open(tmp_path / "report" / "last-digits-dcgan.png") as page:
        colours = {colour for _, colour in page.convert("RGB").getcolors(1 << 20)}
    assert {(200, 0, 40), (200, 0, 60), (200, 0, 80)} <= colours
    assert not {(200, 0, 20), (0, 200, 80)} & colours


def test_a_cell_without_sheets_has_no_last_page(tmp_path):
    assert last(_study(_sweep(Records(tmp_path), batch_size=[16])), "digits") == {}


def test_rows_of_conditional_sheets_carry_their_class(tmp_path):
    records = Records(tmp_path)
    records.dataset(classes=4)
    _with_sheets(records, "cgan", 1.0, (1, 2, 3), conditional=True)
    _with_sheets(records, "dcgan", 2.0, (1, 2, 3))
    study = _study(records)
    assert list(study.tables.cells["conditional"]) == [True, False]
    real, cgan, dcgan = samples(study, "digits")
    assert real.classes == (0, 1, 2, 3)
    assert cgan.classes == (0, 1, 2, 3, 0, 1, 2, 3, 0, 1)
    assert dcgan.classes == ()
    assert last(study, "digits")["cgan"][1][0].classes == cgan.classes


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_takes_the_axis_and_refuses_others(tmp_path):
    store = _sweep(Records(tmp_path), batch_size=[16, 32]).written()
    done = CliRunner().invoke(main, ["report", str(store.root), "--x", "seconds"])
    assert done.exit_code == 0, done.output
    assert "seconds of training" in (tmp_path / "report" / "experiment-digits-dcgan.svg").read_text()
    refused = CliRunner().invoke(main, ["report", str(store.root), "--x", "rounds"])
    assert refused.exit_code == 2
    assert all(axis in refused.output for axis in AXES)


def test_a_folder_without_records_is_refused(tmp_path):
    refused = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert refused.exit_code == 2
    assert "is not a results folder" in refused.output
