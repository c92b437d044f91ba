"""Matched comparisons and the roadmap: what pairs are, what their intervals say, and what is never claimed."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganbench.contracts import Tables
from ganbench.params import Info
from ganbench.report import write
from ganbench.report.advice import advice, seen_from
from ganbench.report.leaderboard import leaderboards
from ganbench.report.matched import Comparison, comparisons, matched, verdict
from ganbench.report.pairs import BEST, VARIANT, find, groups
from ganbench.report.roadmap import files, roadmap
from ganbench.report.sentences import measured

EPOCH = 1000
INFOS = {
    "batch_size": Info("", "BS"),
    "upsample": Info("", "UP"),
    "n_critic": Info("", "NCRIT"),
    "smooth": Info("", "SMOOTH", off=0.0),
}
Curve = dict[int, float] | Callable[[int], float]
#: t(0.975, 2): the half-width of an interval over three values is T2 · s / √3.
T2 = 4.302652729911275


class Study:
    """Records of a run, in memory. A cell sees `images` and makes an update per batch, or per `n_critic` batches."""

    def __init__(self, *, budget: str = "epochs", metrics: Iterable[str] = ("fcd", "cs"), rank: str = "fcd") -> None:
        directions = {"fcd": "lower", "cs": "higher"}
        self.run: dict[str, Any] = {
            "name": "study",
            "rank": {"metric": rank, "at": "best"},
            "metrics": {metric: {"direction": directions[metric]} for metric in metrics},
            "budget": {"unit": budget, "amount": 4.0},
        }
        self.cells: list[dict[str, Any]] = []
        self.scores: list[dict[str, Any]] = []

    def cell(
        self,
        fcd: float | Curve,
        *,
        cs: float | Curve | None = None,
        variant: str = "dcgan",
        dataset: str = "mnist",
        seed: int = 0,
        status: str = "done",
        budget: dict[str, Any] | None = None,
        images: Iterable[int] = (1000, 2000, 3000, 4000),
        **params: Any,
    ) -> None:
        params = {"batch_size": 50, **params}
        known = {name: INFOS.get(name, Info("")) for name in params}
        key = f"{len(self.cells):08x}"
        who = {"key": key, "variant": variant, "dataset": dataset, "seed": seed}
        self.cells.append(
            {
                **who, "status": status, "reason": "", "params": params, "overrides": {}, "unavailable": {},
                "symbols": {name: info.symbol for name, info in known.items()},
                "labels": {name: info.label(name, params[name]) for name, info in known.items()},
                "seconds": 1.0, "train_seconds": 1.0, "evaluate_seconds": 0.0, "directory": Path(key),
                "generator_updates": None, "images": None, "epochs": None, "conditional": False, "components": {},
                "budget": budget or self.run["budget"], "evaluate": None, "precision": "fp32", "code": {}, "speed": {},
            }
        )  # fmt: skip
        for metric, values in (("fcd", fcd), ("cs", cs)):
            for seen in images if values is not None and metric in self.run["metrics"] else ():
                value = values(seen) if callable(values) else values[seen] if isinstance(values, dict) else values
                updates = seen / params["batch_size"] / params.get("n_critic", 1)
                at = {"generator_updates": updates, "images": seen, "epochs": seen / EPOCH, "seconds": 1.0}
                row = {**who, **at, "metric": metric, "value": value}
                self.scores.append({**row, "point": "curve"})
            if values is not None and metric in self.run["metrics"]:
                self.scores += [{**row, "point": "best"}, {**row, "point": "last"}]

    def tables(self, order: Iterable[int] | None = None) -> Tables:
        cells = [self.cells[place] for place in order] if order is not None else self.cells
        columns = ["dataset", "status", "reason", "shape", "classes", "train", "test", "extractors", "directory"]
        real = [{"dataset": "mnist", "metric": "fcd", "value": 0.5, "samples": 1000, "note": ""}]
        return Tables(
            self.run,
            pd.DataFrame(cells),
            pd.DataFrame(self.scores),
            pd.DataFrame(real),
            pd.DataFrame(columns=columns),
            pd.DataFrame(columns=["dataset", "name", "sha256", "samples", "metric", "value", "note"]),
        )


def _one(tables: Tables, parameter: str, *, axis: str = "images", metric: str = "fcd", **wanted: str) -> Comparison:
    """The comparison of `parameter` within a dataset and variant; there must be exactly one."""
    found = [
        each
        for each in comparisons(tables)
        if not each.is_pooled and (each.parameter, each.axis, each.metric) == (parameter, axis, metric)
        and all(getattr(each, name) == value for name, value in wanted.items())
    ]  # fmt: skip
    assert len(found) == 1
    return found[0]


def _pairs(tables: Tables) -> list[Any]:
    """The parameter of every pair, and the keys of its two cells."""
    cases = find(tables, groups(tables), leaderboards(tables))
    keys = tables.cells["key"].tolist()
    return [
        (case.parameter, keys[first], keys[second])
        for case in cases
        for first, second in zip(case.pairs.first, case.pairs.second, strict=True)
    ]


def _line(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"- **{start}**"))


def _three_seeds(ratios: Iterable[float] = (2.0, 4.0, 8.0), **more: Any) -> Study:
    study = Study()
    for seed, ratio in enumerate(ratios):
        study.cell(3.0, cs=5.0 + seed, seed=seed, upsample="nearest", **more)
        study.cell(3.0 * ratio, cs=4.0 - seed, seed=seed, upsample="transposed", **more)
    return study


# --- effects and intervals --------------------------------------------------------------------------------------------


def test_known_effects_are_recovered_with_their_t_interval():
    tables = _three_seeds().tables()
    found = _one(tables, "upsample")
    log2 = math.log(2)
    assert (found.a, found.b, found.n, found.seeds, found.contexts) == ("nearest", "transposed", 3, 3, 1)
    assert found.mean == pytest.approx(2 * log2)
    assert found.ratio == pytest.approx(4.0)
    half = T2 * log2 / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((2 * log2 - half, 2 * log2 + half))
    assert found.verdict == "no clear effect"
    assert _one(_three_seeds([3.0, 4.0, 5.0]).tables(), "upsample").verdict == "hurts"


def test_a_metric_of_which_higher_is_better_has_plain_differences():
    found = _one(_three_seeds().tables(), "upsample", metric="cs")
    half = T2 * 2 / math.sqrt(3)  # the differences are -1, -3 and -5
    assert (found.mean, found.low, found.high) == pytest.approx((-3, -3 - half, -3 + half))
    assert math.isnan(found.ratio)
    assert found.verdict == "no clear effect"


@pytest.mark.parametrize(
    ("low", "high", "n", "lower", "expected"),
    [
        (0.1, 0.2, 3, True, "hurts"),
        (0.1, 0.2, 3, False, "helps"),
        (-0.2, -0.1, 3, True, "helps"),
        (-0.2, -0.1, 3, False, "hurts"),
        (-0.1, 0.1, 99, True, "no clear effect"),
        (0.0, 0.1, 99, True, "no clear effect"),
        (0.1, 0.2, 2, True, "too few pairs"),
        (math.nan, math.nan, 1, True, "too few pairs"),
        (math.nan, math.nan, 12, True, "too few pairs"),
    ],
)
def test_the_verdict_follows_from_the_interval(low, high, n, lower, expected):
    assert verdict(low, high, n, lower=lower) == expected


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, "no clear effect"), (1.5, "hurts")])
def test_pairs_that_all_agree_have_an_interval_without_width(ratio, expected):
    found = _one(_three_seeds([ratio] * 3).tables(), "upsample")
    assert (found.low, found.high) == pytest.approx((math.log(ratio), math.log(ratio)))
    assert found.verdict == expected


def test_equal_curves_evaluated_at_other_places_have_no_effect():
    study = Study()
    for seed in range(3):
        study.cell(0.1 + 0.2, seed=seed, upsample="nearest")
        study.cell(0.1 + 0.2, seed=seed, upsample="transposed", images=(700, 1700, 3700))
    assert _one(study.tables(), "upsample").mean == 0.0
    assert _one(study.tables(), "upsample").verdict == "no clear effect"


@pytest.mark.parametrize("bad", [0.0, -0.5, math.nan, math.inf])
def test_a_score_without_logarithm_leaves_its_pair_out(bad):
    study = _three_seeds()
    study.cell(bad, cs=1.0, seed=3, upsample="nearest")
    study.cell(3.0, cs=1.0, seed=3, upsample="transposed")
    tables = study.tables()
    found = _one(tables, "upsample")
    assert (found.n, found.left_out, found.planned) == (3, 1, 4)
    assert found.ratio == pytest.approx(4.0)
    assert _one(tables, "upsample", metric="cs").n == 4
    assert "1 of 4" in roadmap(tables)


def test_enormous_effects_do_not_break_the_report():
    study = Study()
    for seed, (a, b) in enumerate([(1e-150, 1e150), (1e150, 1e-150), (1e-150, 1e150)]):
        study.cell(a, seed=seed, upsample="nearest")
        study.cell(b, seed=seed, upsample="transposed")
    assert "inf" in _line(roadmap(study.tables()), "Upsampling")


# --- where two curves are compared ------------------------------------------------------------------------------------


def test_curves_are_compared_at_the_last_position_that_both_reached_by_linear_interpolation_of_the_logarithm():
    study = Study()
    study.cell({1000: 8.0, 3000: 2.0}, images=(1000, 3000), upsample="nearest")
    study.cell({1000: 8.0, 2000: 1.0}, images=(1000, 2000), upsample="transposed")
    assert _one(study.tables(), "upsample").mean == pytest.approx(math.log(1.0) - math.log(4.0))


def test_nothing_is_extrapolated_before_the_first_evaluation():
    study = Study()
    study.cell(8.0, images=(2000, 3000), upsample="nearest")
    study.cell(8.0, images=(500, 1000), upsample="transposed")
    found = _one(study.tables(), "upsample")
    assert (found.n, found.left_out) == (0, 1)
    assert "too few pairs (n=0 of 1: 1 have no score at equal epochs" in roadmap(study.tables())


def _critics() -> Study:
    """At equal images n_critic = 1 is the better by far; at equal generator updates n_critic = 5 is."""
    study = Study()
    for seed in range(3):
        for n_critic, at_end in ((1, 1.0), (5, 2.0 + seed / 10)):
            study.cell(
                lambda seen, n=n_critic, end=at_end: end * (4000 / seen) ** (0.9 if n == 1 else 0.3),
                seed=seed, variant="wgan", n_critic=n_critic, images=range(100, 4001, 100),
            )  # fmt: skip
    return study


def test_the_roadmap_says_where_the_axis_changes_the_verdict():
    tables = _critics().tables()
    assert _one(tables, "n_critic").verdict == "hurts"  # 5 against 1
    assert _one(tables, "n_critic", axis="generator_updates").verdict == "helps"
    line = _line(roadmap(tables), "Critic turns per generator turn")
    assert "start from **NCRIT=1**" in line
    assert "The axis changes the verdict: at equal epochs (= equal images), which are equal critic passes" in line
    assert "NCRIT=1 helps against NCRIT=5" in line
    assert "at equal generator updates it hurts (fcd ×2.03" in line
    assert "the budget decides" in line


def test_the_axis_of_the_budget_is_that_of_the_advice():
    study = _critics()
    study.run["budget"]["unit"] = "generator_updates"
    assert "start from **NCRIT=5**" in _line(roadmap(study.tables()), "Critic turns per generator turn")


def test_the_axis_is_not_mentioned_where_it_changes_nothing():
    assert "axis changes" not in roadmap(_three_seeds([2.0, 2.1, 2.2]).tables())


def test_epochs_and_images_are_told_apart_where_they_differ():
    study = _critics()
    for row in study.scores:
        if row["key"] == "00000004":
            row["epochs"] /= 2
    assert "(= equal images)" not in roadmap(study.tables())


# --- pairs ------------------------------------------------------------------------------------------------------------


def test_cells_that_differ_in_two_parameters_are_no_pair():
    study = Study()
    for seed in range(3):
        study.cell(3.0, seed=seed, n_critic=5, clip=0.01)
        study.cell(2.0, seed=seed, n_critic=1, clip=0.99)
    tables = study.tables()
    assert _pairs(tables) == []
    for parameter in ("n_critic", "clip"):
        found = _one(tables, parameter)
        assert (found.n, found.planned, found.verdict) == (0, 0, "too few pairs")
    text = roadmap(tables)
    assert "too few pairs (n=0): it never differs alone" in _line(text, "Critic turns per generator turn")
    assert "Weight clipping" not in text  # it has no symbol here
    assert "clip" in text


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3, st.integers(0, 1)), min_size=2, max_size=20, unique=True))
def test_the_cells_of_a_pair_differ_in_one_parameter_alone(rows):
    study = Study()
    for size, upsample, smooth, seed in rows:
        study.cell(1.0 + size, seed=seed, batch_size=16 + size, upsample="abc"[upsample], smooth=smooth / 10)
    tables = study.tables()
    cells = {cell["key"]: cell for cell in study.cells}
    seen = set()
    for parameter, first, second in _pairs(tables):
        one, other = cells[first], cells[second]
        assert [name for name in one["params"] if one["params"][name] != other["params"][name]] == [parameter]
        assert one["seed"] == other["seed"]
        assert frozenset((first, second)) not in seen
        seen.add(frozenset((first, second)))
    expected = [
        (one, other)
        for one, other in itertools.combinations(rows, 2)
        if one[3] == other[3] and sum(a != b for a, b in zip(one, other, strict=True)) == 1
    ]
    assert len(seen) == len(expected)


@settings(deadline=None, max_examples=25)
@given(st.permutations(range(18)))
def test_the_order_of_the_cells_changes_nothing(order):
    random = np.random.default_rng(0)
    study = Study()
    for seed in range(3):
        for upsample in ("nearest", "bilinear", "transposed"):
            for variant in ("dcgan", "cgan"):
                value = float(np.exp(random.normal()))
                status = ("done", "diverged", "failed")[seed] if upsample == "bilinear" else "done"
                study.cell(value, cs=value, seed=seed, variant=variant, upsample=upsample, status=status)
    assert files(study.tables(order)) == files(study.tables())


def test_cells_that_are_not_done_never_enter():
    study = _three_seeds()
    before = _one(study.tables(), "upsample")
    for status in ("diverged", "failed", "oom", "timeout", "running", "planned", "interrupted"):
        study.cell(3.0, seed=7, upsample="nearest", dropout=status, batch_size=50)
        study.cell(3e9, seed=7, upsample="transposed", dropout=status, batch_size=50, status=status)
    study.cell(3.0, seed=8, upsample="nearest", status="skipped")
    after = [each for each in comparisons(study.tables()) if each.parameter == "upsample" and not each.is_pooled]
    found = next(each for each in after if each.axis == "images" and each.metric == "fcd")
    assert (found.mean, found.n, found.planned) == (before.mean, 3, 10)
    assert found.left_out == 0


def test_removing_the_record_of_one_cell_changes_coverage_and_not_the_other_pairs():
    study = Study()
    effects = iter((1.5, 1.7, 1.6, 1.9, 1.2, 1.4))
    for seed in range(3):
        for size in (16, 32):
            study.cell(2.0, seed=seed, batch_size=size, upsample="nearest")
            study.cell(2.0 * next(effects), seed=seed, batch_size=size, upsample="transposed")
    whole = _one(study.tables(), "upsample")
    assert (whole.n, whole.planned, whole.contexts) == (6, 6, 2)
    study.cells[0]["status"] = "planned"
    study.scores = [row for row in study.scores if row["key"] != study.cells[0]["key"]]
    part = _one(study.tables(), "upsample")
    assert (part.n, part.planned, part.left_out) == (5, 6, 0)
    assert part.mean == pytest.approx(np.mean(np.log([1.7, 1.6, 1.9, 1.2, 1.4])))
    text = roadmap(study.tables())
    assert "n=5 of 6 pairs" in text
    assert "Not in the numbers: dcgan BS=16 UP=nearest on mnist, 2/3 seeds: 1 planned" in text


def test_values_that_diverge_are_told_although_no_mean_can_show_it():
    study = _three_seeds()
    study.cell(1.0, seed=3, upsample="nearest")
    study.cell(1.0, seed=3, upsample="transposed", status="diverged")
    line = _line(roadmap(study.tables()), "Upsampling")
    assert "Diverged, and in no mean: 0 of 4 cells with UP=nearest and 1 of 4 cells with UP=transposed." in line


def test_cells_of_different_budgets_are_no_pair_and_their_budget_is_no_question():
    study = Study()
    budgets = [{"unit": "epochs", "amount": amount} for amount in (5, 9)]
    for budget in budgets:
        study.cell(2.0, upsample="nearest", budget=budget)
    study.cell(1.0, upsample="transposed", budget=budgets[1])
    assert [pair[:2] for pair in _pairs(study.tables())] == [("upsample", "00000001")]
    # As folders with several budgets are reported together.
    for cell in study.cells:
        cell["params"]["budget"] = f"{cell['budget']['amount']} epochs"
        cell["labels"]["budget"] = f"budget={cell['params']['budget']}"
    study.run |= {"varying": ["budget"], "budgets": budgets}
    assert [pair[:2] for pair in _pairs(study.tables())] == [("upsample", "00000001")]
    assert "The budgets were 5 epochs and 9 epochs" in roadmap(study.tables())


# --- few seeds, few pairs ---------------------------------------------------------------------------------------------


def test_two_pairs_are_too_few():
    found = _one(_three_seeds([2.0, 2.1]).tables(), "upsample")
    assert (found.n, found.verdict) == (2, "too few pairs")
    text = roadmap(_three_seeds([2.0, 2.1]).tables())
    assert "too few pairs to say" in _line(text, "Upsampling")
    assert "Too few pairs for a verdict: Upsampling, dcgan on mnist: UP=nearest and UP=transposed (n=2)" in text
    assert "2 seeds: the spread between seeds is hardly known." in text


def test_one_seed_prints_no_interval_however_many_pairs_it_has():
    study = Study()
    for size in (16, 32, 64, 128):
        for upsample, value in (("nearest", 1.0), ("transposed", 2.0 + size / 100)):
            study.cell(value, cs=value, batch_size=size, upsample=upsample)
            study.cell(value + 1, cs=value, batch_size=size, upsample=upsample, variant="cgan")
    table = matched(study.tables())
    assert table["low"].isna().all()
    assert table["high"].isna().all()
    assert set(table["verdict"]) == {"too few pairs"}
    text = roadmap(study.tables())
    assert "±" not in text
    assert "[" not in text
    line = _line(text, "Upsampling")
    assert "too few pairs to say; **UP=nearest** is ahead on average" in line
    assert "(better in 4 of 4)" in line
    assert "the seed does not vary, so no interval" in line
    assert "One seed: nothing here says how much another seed would change" in text


# --- advice -----------------------------------------------------------------------------------------------------------


def _ups(effects: dict[str, float], noise: float = 0.01) -> Study:
    study = Study()
    random = np.random.default_rng(1)
    for seed in range(4):
        for name, effect in effects.items():
            study.cell(float(np.exp(effect + noise * random.normal())), cs=8 - effect, seed=seed, upsample=name)
    return study


def test_the_advice_is_the_value_that_no_other_beats_with_its_numbers():
    line = _line(roadmap(_ups({"nearest": 0.0, "bilinear": 0.7, "transposed": 0.0}).tables()), "Upsampling")
    assert "start from **UP=" in line
    assert "UP=nearest" in line
    assert "(helps), cs +0.70 [+0.70, +0.70] (helps) against UP=bilinear (n=4 pairs, 4 seeds)" in line
    assert line.endswith("cannot be told apart.")


def test_the_advice_says_when_nothing_stands_out():
    line = _line(roadmap(_ups({"nearest": 0.0, "bilinear": 0.0}, noise=0.5).tables()), "Upsampling")
    assert "no value stands out" in line


def test_a_comparison_seen_from_its_other_side_twice_is_itself():
    found = _one(_three_seeds([3.0, 4.0, 5.0]).tables(), "upsample")
    turned = seen_from(found, found.a)
    assert (turned.b, turned.verdict, turned.better) == ("nearest", "helps", 3)
    assert turned.ratio == pytest.approx(1 / found.ratio)
    assert (turned.low, turned.high) == (-found.high, -found.low)
    assert seen_from(turned, turned.a)._replace(ratio=found.ratio) == found


def test_values_that_beat_each_other_in_a_circle_are_said_to():
    base = _one(_three_seeds().tables(), "upsample")
    circle = [base._replace(a=a, b=b, mean=0.1, verdict="hurts") for a, b in ("xy", "yz", "zx")]
    found = advice(circle)
    assert found is not None
    assert found.circular


def test_an_unused_value_is_named_by_its_symbol():
    study = Study()
    for seed in range(3):
        study.cell(2.0, seed=seed, smooth=0.0)
        study.cell(1.0 + seed / 10, seed=seed, smooth=0.1)
    line = _line(roadmap(study.tables()), "Label smoothing")
    assert "start from **SMOOTH=0.1**" in line
    assert "against no SMOOTH" in line


# --- variants, overall ------------------------------------------------------------------------------------------------


def test_variants_are_compared_by_their_best_configurations_seed_by_seed_and_with_all_else_equal():
    study = Study()
    for seed in range(3):
        for upsample, penalty in (("nearest", 0.0), ("transposed", 1.0)):
            study.cell(2.0 + penalty + seed / 10, seed=seed, upsample=upsample)
            study.cell(1.0 + penalty + seed / 20, seed=seed, upsample=upsample, variant="cgan")
    tables = study.tables()
    best = _one(tables, BEST, axis="best")
    assert (best.a, best.b, best.n) == ("cgan", "dcgan", 3)
    assert best.ratio == pytest.approx(2.0)
    equal = _one(tables, VARIANT)
    assert (equal.n, equal.contexts) == (6, 2)
    text = roadmap(tables)
    assert (
        "- **Variant**: start from **cgan UP=nearest**: fcd 1.050 ± 0.124 at best, 3/3 seeds; real test images have 0.5"
        in text
    )
    assert (
        "  - dcgan UP=nearest: fcd 2.100 ± 0.248 at best, 3/3 seeds; the leader against it: fcd ×0.50 [0.50, 0.50]"
        in text
    )
    assert "  - With all shared parameters equal, cgan has fcd" in text
    assert "cgan 2, dcgan 2 on mnist" in text


def test_a_variant_with_several_matching_cells_has_no_match():
    study = Study()
    for seed in range(3):
        study.cell(2.0, seed=seed)
        for clip in (0.01, 0.1):
            study.cell(1.0, seed=seed, variant="wgan", clip=clip)
    assert VARIANT not in {pair[0] for pair in _pairs(study.tables())}


def test_overall_pools_over_variants_and_datasets_and_says_where_a_case_differs():
    study = Study()
    for seed in range(3):
        for variant, dataset, ratio in (("dcgan", "mnist", 4.0), ("dcgan", "cifar10", 5.0), ("wgan", "mnist", 0.5)):
            study.cell(2.0, seed=seed, variant=variant, dataset=dataset, upsample="nearest")
            study.cell(2.0 * ratio + seed / 100, seed=seed, variant=variant, dataset=dataset, upsample="transposed")
    tables = study.tables()
    pooled = [each for each in comparisons(tables) if each.is_pooled and each.parameter == "upsample"]
    assert {(each.n, each.contexts, each.metric) for each in pooled} == {(9, 3, "fcd")}
    overall = roadmap(tables).split("## Overall")[1]
    line = _line(overall, "Upsampling")
    assert "over dcgan on cifar10 and dcgan on mnist and wgan on mnist" in line.replace(", ", " and ")
    assert "no value stands out" in line
    assert "Not the same everywhere: UP=nearest helps against UP=transposed in dcgan on cifar10 (fcd ×0.20" in line
    assert "UP=nearest hurts against UP=transposed in wgan on mnist (fcd ×1.98 [1.93, 2.03], n=3)." in line
    assert "wgan has the best mean on mnist" in _line(overall, "Variant")


def test_overall_points_to_the_only_case():
    overall = roadmap(_three_seeds().tables()).split("## Overall")[1]
    assert "- **Upsampling**: varied in dcgan on mnist alone; see there." in overall


# --- limits and files -------------------------------------------------------------------------------------------------


def test_the_roadmap_names_what_never_varied_and_the_budget():
    text = roadmap(_three_seeds().tables()).split("## What this study cannot say")[1]
    assert "The budget was 4 epochs (cells ended at 4 epochs, 80 generator updates and 4,000 images)" in text
    assert "Batch size never varied within a variant: BS=50." in text
    assert "Optimiser never varied within a variant: no variant here has it." in text
    assert "Upsampling never varied" not in text
    assert "Upsampling (variant dcgan, dataset mnist)" in text


def test_questions_of_one_dataset_are_missed_on_the_other():
    study = _three_seeds()
    for seed in range(3):
        for size in (16, 32):
            study.cell(2.0, seed=seed, dataset="cifar10", batch_size=size, upsample="nearest")
    text = roadmap(study.tables())
    assert "On cifar10 these never varied: Upsampling." in text
    assert "On mnist these never varied: Batch size." in text


def test_nothing_to_compare_writes_no_roadmap_and_drops_an_old_one(tmp_path):
    study = Study()
    study.cell(2.0)
    (tmp_path / "roadmap.md").write_text("of another plan")
    names = {path.name for path in write(study.tables(), tmp_path, pictures=False)}
    assert "roadmap.md" not in names
    assert not (tmp_path / "roadmap.md").exists()


def test_the_files_are_written_with_the_same_bytes_and_the_table_repeats_the_comparisons(tmp_path):
    tables = _three_seeds().tables()
    write(tables, tmp_path, pictures=False)
    first = {name: (tmp_path / name).read_bytes() for name in ("matched.csv", "roadmap.md")}
    write(tables, tmp_path, pictures=False)
    assert first == {name: (tmp_path / name).read_bytes() for name in first}
    read = pd.read_csv(io.BytesIO(first["matched.csv"]), keep_default_na=False, na_values={"mean": [""]})
    table = matched(tables)
    assert list(read.columns) == list(Comparison._fields) == list(table.columns)
    assert read["mean"].tolist() == table["mean"].tolist()


def test_hostile_names_stay_text():
    hostile = "=a|<script>[x](y) *b*\n\x1b[31m"
    study = Study()
    for seed in range(3):
        for value in (hostile, "plain"):
            study.cell(2.0 + seed, seed=seed, variant=hostile, dataset=hostile, mode=value, **{hostile: 1})
    made = files(study.tables())
    assert "<script>" not in made["roadmap.md"]
    assert "\x1b" not in made["roadmap.md"]
    assert "*b*" not in made["roadmap.md"].replace("\\*", "")
    table = pd.read_csv(io.StringIO(made["matched.csv"]), keep_default_na=False)
    assert not table[["dataset", "variant", "a", "b"]].map(lambda text: str(text).startswith("=")).any().any()


def test_a_run_without_a_done_cell_says_so():
    study = Study()
    for upsample in ("nearest", "transposed"):
        study.cell(1.0, upsample=upsample, status="failed")
    tables = study.tables()
    columns = [
        "key",
        "variant",
        "dataset",
        "seed",
        "point",
        "generator_updates",
        "images",
        "epochs",
        "seconds",
        "metric",
    ]
    text = roadmap(tables._replace(scores=pd.DataFrame(columns=[*columns, "value"]).astype({"value": float})))
    assert "too few pairs (n=0 of 1: 1 have a cell that is not done)" in text
    assert "no cell has a score" in text


@pytest.mark.parametrize(
    ("numbers", "neutral", "sign", "text"),
    [
        ((0.714, 0.62, 0.81), 1, "", "0.71 [0.62, 0.81]"),
        ((0.98, 0.961, 0.998), 1, "", "0.980 [0.961, 0.998]"),
        ((0.31, -0.004, 0.62), 0, "+", "+0.310 [-0.004, +0.620]"),
        ((1.0, 1.0, 1.0), 1, "", "1.00 [1.00, 1.00]"),
        ((2.5, math.nan, math.nan), 1, "", "2.50"),
        ((1e9, 1e3, 1e15), 1, "", "1.0e+09 [1.0e+03, 1.0e+15]"),
    ],
)
def test_numbers_have_the_decimals_that_tell_them_from_no_effect(numbers, neutral, sign, text):
    assert measured(numbers, neutral=neutral, sign=sign) == text
