"""Variants across datasets: mean ranks with Friedman's and Nemenyi's tests, and performance profiles."""

from __future__ import annotations

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from ganbench.report.contenders import contenders, everywhere, matrix
from ganbench.report.leaderboard import Ranked, ranking
from ganbench.report.verdicts import LEVEL, p_text
from ganbench.report.words import listed

#: Nothing is tested on fewer datasets, or with fewer variants.
FEWEST_DATASETS, FEWEST_VARIANTS = 5, 3


class Ranks(NamedTuple):
    """Mean ranks of variants over `datasets` (1 is best; ties share the mean of their ranks), best first.

    A variant without a score on a dataset has the last rank there: `unscored` says where. `left_out` were not planned
    on every dataset. `p` is Friedman's, NaN where datasets or variants are too few; `critical` is Nemenyi's critical
    difference of two mean ranks, and `pairs` has the p-values of his test; there are none where nothing is tested.
    """

    mean: dict[str, float]
    datasets: list[str]
    unscored: dict[str, list[str]]
    left_out: list[str]
    p: float
    critical: float
    pairs: dict[tuple[str, str], float]

    @property
    def differ(self) -> bool:
        """Whether Friedman's test says that the variants differ at all."""
        return self.p < LEVEL

    def apart(self) -> list[tuple[str, str]]:
        """The pairs of variants that Nemenyi's test tells apart, the better first; none unless Friedman's does."""
        return [two for two, p in self.pairs.items() if self.differ and p < LEVEL]


def ranks(ranked: Ranked) -> Ranks | None:
    """Ranks of the best configurations by their mean ranked score; None with one dataset or one variant."""
    return ranked.kept(_ranks)


def _ranks(ranked: Ranked) -> Ranks | None:
    found = contenders(ranked)
    variants, left_out = everywhere(found)
    if len(found) < 2 or len(variants) < 2:
        return None
    scores = matrix(found, variants)
    table = rank_table(scores.to_numpy(), lower=ranking(ranked.tables).lower)
    mean = dict(sorted(zip(variants, table.mean(axis=0).tolist(), strict=True), key=lambda item: item[1]))
    unscored = {
        variant: [str(dataset) for dataset in scores.index[scores[variant].isna()]]
        for variant in variants
        if scores[variant].isna().any()
    }
    p, critical, pairs = math.nan, math.nan, {}
    if len(found) >= FEWEST_DATASETS and len(variants) >= FEWEST_VARIANTS:
        p, critical, between = friedman_nemenyi(table)
        order = np.argsort(table.mean(axis=0), kind="stable")
        pairs = {(variants[one], variants[other]): float(between[one, other]) for one, other in combinations(order, 2)}
    return Ranks(mean, list(found), unscored, left_out, p, critical, pairs)


def rank_table(scores: np.ndarray, *, lower: bool) -> np.ndarray:
    """The ranks in every row of `scores`, datasets × variants: 1 is best, ties share their mean, NaN come last."""
    table = pd.DataFrame(scores if lower else -scores)
    return table.rank(axis=1, method="average", na_option="bottom").to_numpy()


def friedman_nemenyi(table: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Friedman's p, Nemenyi's critical difference at 0.05 and his p-values, of ranks datasets × variants.

    Demšar 2006, section 3.2.2. Friedman's statistic is compared with chi-square, which at few datasets errs on the
    careful side; Iman and Davenport's does on the other. Equal ranks everywhere have p = 1.
    """
    # Here and not above: these take a second to import, and few reports have so many datasets.
    from scikit_posthocs import posthoc_nemenyi_friedman
    from scipy.stats import friedmanchisquare, studentized_range

    datasets, variants = table.shape
    with np.errstate(divide="ignore", invalid="ignore"):
        p = float(friedmanchisquare(*table.T).pvalue)
    q = float(studentized_range.ppf(1 - LEVEL, variants, np.inf)) / math.sqrt(2)
    critical = q * math.sqrt(variants * (variants + 1) / (6 * datasets))
    return (1.0 if math.isnan(p) else p), critical, posthoc_nemenyi_friedman(table).to_numpy()


def sentences(ranked: Ranked) -> list[str]:
    """The ranks in words: what they are, and what they settle or why they settle nothing."""
    found = ranks(ranked)
    if found is None:
        return []
    shown = ", ".join(f"{variant} {mean:.2f}" for variant, mean in found.mean.items())
    n, k = len(found.datasets), len(found.mean)
    lines = [f"mean ranks over {n} datasets (1 is best): {shown}"]
    if found.unscored:
        who = "; ".join(f"{variant} on {listed(datasets)}" for variant, datasets in found.unscored.items())
        lines.append(f"last in rank for lack of any score: {who}")
    if found.left_out:
        lines.append(f"not planned on every dataset, so without a rank: {listed(found.left_out)}")
    if math.isnan(found.p):
        few = [f"{n} datasets are fewer than {FEWEST_DATASETS}"] if n < FEWEST_DATASETS else []
        few += [f"{k} variants fewer than {FEWEST_VARIANTS}"] if k < FEWEST_VARIANTS else []
        lines.append(f"no test of ranks and no critical-difference diagram: {listed(few)}")
    elif not found.differ:
        lines.append(f"Friedman's test does not tell the variants apart ({p_text(found.p)}, {n} datasets)")
    else:
        apart = [f"{one} from {other}" for one, other in found.apart()]
        said = f"Nemenyi's tells apart {listed(apart)}" if apart else "Nemenyi's tells no two of them apart"
        lines.append(
            f"Friedman's test says that the variants differ ({p_text(found.p)}); {said} "
            f"(critical difference {found.critical:.2f})"
        )
    return lines


# --- performance profiles ---------------------------------------------------------------------------------------------


class Profile(NamedTuple):
    """A variant's performance profile (Dolan & Moré 2002): with ratio `at` to the best, the `share` of problems.

    Both ascend; between two points the share is that of the left one. It ends below 1 where cells have no score.
    """

    at: np.ndarray
    share: np.ndarray


def profiles(ranked: Ranked) -> dict[str, Profile]:
    """Variant -> profile of its best configurations, those first that are most often the best.

    A problem is a seed on a dataset. Its ratio is score / best score of all variants (the inverse where higher is
    better), infinite without a score: a failure is never reached. Empty with fewer than two datasets or variants, and
    where a score is not positive, which has no ratio. Only of variants that were planned on every dataset.
    """
    return ranked.kept(_profiles)


def _profiles(ranked: Ranked) -> dict[str, Profile]:
    found = contenders(ranked)
    variants, _ = everywhere(found)
    if len(found) < 2 or len(variants) < 2:
        return {}
    rows = []
    for several in found.values():
        own = {each.variant: each for each in several if each.variant in variants}
        for seed in sorted(set().union(*(each.planned for each in own.values()))):
            rows.append([own[variant].scores.get(seed, math.nan) for variant in variants])
    ratios = to_best(np.array(rows, float), lower=ranking(ranked.tables).lower)
    if ratios is None:
        return {}
    made = {variant: profile(ratios[:, number]) for number, variant in enumerate(variants)}
    return dict(sorted(made.items(), key=lambda item: (-_reached(item[1], 1.0), -float(item[1].share[-1]), item[0])))


def to_best(scores: np.ndarray, *, lower: bool) -> np.ndarray | None:
    """Ratios (at least 1) of `scores`, problems × variants, to the best of their row; infinite for NaN.

    None where a score is not positive.
    """
    if (scores <= 0).any():
        return None
    costs = np.where(np.isnan(scores), np.inf, scores if lower else 1 / scores)
    best = costs.min(axis=1, keepdims=True)
    return np.where(np.isinf(costs), np.inf, costs / np.where(np.isinf(best), 1.0, best))


def profile(ratios: np.ndarray) -> Profile:
    """The profile of one variant from its ratios on all problems."""
    at = np.unique(np.concatenate([[1.0], ratios[np.isfinite(ratios)]]))
    return Profile(at, np.searchsorted(np.sort(ratios), at, side="right") / len(ratios))


def _reached(each: Profile, ratio: float) -> float:
    return float(each.share[np.searchsorted(each.at, ratio, side="right") - 1])
