"""Statistics: agreement with scipy and statsmodels, and by simulation that intervals and tests hold what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ganbench.report.ranks import friedman_nemenyi, profile, rank_table, to_best
from ganbench.report.statistics import holm, interval, intervals, p_value, paired, probability

RNG = np.random.default_rng(0)
RUNS = 20_000  # of a simulation: the standard error of a share of 0.05 is 0.0015


# --- intervals and the t test -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 5, 10])
def test_printed_intervals_cover_as_often_as_they_say(n):
    found = np.array(intervals(RNG.normal(5, 2, (RUNS, n))))
    covered = np.mean((found[:, 1] <= 5) & (found[:, 2] >= 5))
    assert 0.945 < covered < 0.955


@pytest.mark.parametrize("n", [5, 10])
def test_paired_p_values_are_below_the_level_as_often_as_they_say(n):
    differences = RNG.normal(0, 3, (RUNS, n))
    found = [p_value(each, n) for each in intervals(differences)]
    assert 0.045 < np.mean(np.array(found) < 0.05) < 0.055


@pytest.mark.parametrize("n", [2, 5, 30])
def test_paired_differences_are_scipys(n):
    a, b = RNG.normal(1, 1, n), RNG.normal(0, 2, n)
    found, scipys = paired(a, b), stats.ttest_rel(a, b)
    low, high = scipys.confidence_interval(0.95)
    assert found[:4] == pytest.approx((n, np.mean(a - b), low, high))
    assert p_value(interval(a - b), n) == pytest.approx(scipys.pvalue)
    assert math.isnan(found.p) == (n < 5)


def test_values_that_are_all_equal_have_a_p_of_one_or_zero():
    assert paired([1.0] * 5, [1.0] * 5).p == 1
    assert paired([2.0] * 5, [1.0] * 5).p == 0


def test_pairs_must_match():
    with pytest.raises(ValueError, match="zip"):
        paired([1, 2], [1])


# --- the probability that one beats the other -------------------------------------------------------------------------


@pytest.mark.parametrize(("better", "n"), [(0, 3), (3, 3), (2, 5), (9, 10)])
def test_probability_is_scipys_exact_interval(better, n):
    exact = stats.binomtest(better, n).proportion_ci(0.95, method="exact")
    assert probability(better, n) == pytest.approx((better / n, exact.low, exact.high))


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("truth", [0.5, 0.8, 0.97])
def test_probability_covers_at_least_as_often_as_it_says(n, truth):
    wins = np.arange(n + 1)
    ends = [probability(k, n) for k in wins]
    weights = stats.binom.pmf(wins, n, truth)
    assert sum(w for w, (_, low, high) in zip(weights, ends, strict=True) if low <= truth <= high) >= 0.95


def test_ties_count_a_half_and_nothing_is_nothing():
    mean, low, high = probability(2.5, 5)
    assert mean == 0.5
    assert low == pytest.approx(1 - high)
    assert all(map(math.isnan, probability(0, 0)))


# --- many tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_holm_is_statsmodels(n):
    values = RNG.uniform(0, 1, n) ** 3
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])


def test_holm_passes_over_what_was_not_friedman_nemenyi():
    assert holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)
    assert holm([]) == []


def test_holm_keeps_the_chance_of_any_false_effect_at_the_level():
    # Ten comparisons of five variants with equal scores: they share scores, and so depend on each other.
    scores = RNG.normal(0, 1, (2_000, 5, 5))
    pairs = [(a, b) for a in range(5) for b in range(a)]
    values = np.array([[p_value(each, 5) for each in intervals(scores[:, :, a] - scores[:, :, b])] for a, b in pairs]).T
    assert np.mean(values.min(axis=1) < 0.05) > 0.15  # uncorrected
    assert np.mean([min(holm(row)) < 0.05 for row in values]) < 0.06


# --- across datasets --------------------------------------------------------------------------------------------------


def test_ranks_share_ties_and_put_last_what_has_no_score():
    table = rank_table(np.array([[3.0, 1.0, 1.0, math.nan], [math.nan, 2.0, math.nan, 1.0]]), lower=True)
    assert table.tolist() == [[3, 1.5, 1.5, 4], [3.5, 2, 3.5, 1]]
    assert rank_table(np.array([[1.0, 2.0]]), lower=False).tolist() == [[2, 1]]


def test_critical_difference_is_demsars():
    # Demšar 2006, table 5: q of 4 classifiers at 0.05 is 2.569; and his example of section 3.2.3: CD = 1.25.
    ranks = np.array([[4, 1, 2, 3]] * 14, float)
    p, critical, between = friedman_nemenyi(ranks)
    assert critical == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), rel=1e-3)
    assert critical == pytest.approx(1.25, abs=0.01)
    assert p == pytest.approx(stats.friedmanchisquare(*ranks.T).pvalue)
    assert between == pytest.approx(posthoc_nemenyi_friedman(ranks).to_numpy())


def test_equal_ranks_everywhere_are_no_difference():
    assert friedman_nemenyi(np.full((6, 4), 2.5))[0] == 1


@pytest.mark.parametrize(("datasets", "variants"), [(5, 3), (5, 5), (10, 4)])
def test_friedmans_test_is_not_liberal_at_few_datasets(datasets, variants):
    ranks = RNG.normal(size=(RUNS, datasets, variants)).argsort(axis=2).argsort(axis=2) + 1.0
    statistic = (
        12
        * datasets
        / (variants * (variants + 1))
        * ((ranks.mean(axis=1) ** 2).sum(axis=1) - variants * (variants + 1) ** 2 / 4)
    )
    assert stats.chi2.sf(statistic[0], variants - 1) == pytest.approx(friedman_nemenyi(ranks[0])[0])
    assert np.mean(stats.chi2.sf(statistic, variants - 1) < 0.05) < 0.052


def test_profiles_are_shares_of_problems_within_a_ratio():
    scores = np.array([[1.0, 2.0], [6.0, 3.0], [2.0, math.nan], [5.0, 5.0]])
    ratios = to_best(scores, lower=True)
    assert ratios.tolist() == [[1, 2], [2, 1], [1, math.inf], [1, 1]]
    one, other = profile(ratios[:, 0]), profile(ratios[:, 1])
    assert (one.at.tolist(), one.share.tolist()) == ([1, 2], [0.75, 1])
    assert (other.at.tolist(), other.share.tolist()) == ([1, 2], [0.5, 0.75])  # the failure is never reached
    assert to_best(scores, lower=False).tolist() == [[2, 1], [1, 2], [1, math.inf], [1, 1]]
    assert to_best(np.array([[0.0, 1.0]]), lower=True) is None
    assert to_best(np.array([[math.nan, math.nan]]), lower=True).tolist() == [[math.inf, math.inf]]
