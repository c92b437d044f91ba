"""The tables behind the verdicts: all comparisons of variants, and what chosen snapshots score again."""

from __future__ import annotations

import math
from typing import Any

from ganbench.report.boards import Board
from ganbench.report.leaderboard import Ranked, ranking
from ganbench.report.selection import gaps
from ganbench.report.sentences import measured
from ganbench.report.statistics import FEWEST_TESTED
from ganbench.report.verdicts import LEVEL, Verdict, p_text, verdicts
from ganbench.report.words import MISSING, clean, number

SELECTION_LEGEND = (
    "Chosen: the mean score that made snapshots the best of their training. Again: the same snapshots on fresh "
    "samples, which is what the leaderboard ranks. Gap: again - chosen per seed, with its 95 % Student t interval; it "
    "is the luck that the choice among several evaluations brings, and is in no other number."
)


def verdict_legend(ranked: Ranked) -> str:
    """What the numbers of the verdicts are."""
    tested = any(not math.isnan(each.p) for each in verdicts(ranked))
    text = (
        "Verdicts compare the best configurations of two variants seed by seed: the mean difference over the seeds "
        "that both have, with its 95 % Student t interval. P(a better): share of these seeds with which a is better, "
        "with its 95 % Clopper-Pearson interval. "
    )
    if not tested:
        return f"{text}There is no p-value for fewer than {FEWEST_TESTED} shared seeds, and so no winner."
    return (
        f"{text}p: paired t test, for {FEWEST_TESTED} seeds or more; Holm: corrected for all tests on the dataset. "
        f"a beats b where that is below {LEVEL}. The best of several configurations is chosen by the scores that are "
        "then compared, which nothing corrects."
    )


def comparisons(ranked: Ranked) -> list[Board]:
    """One table of all comparisons per dataset with two variants or more."""
    found: dict[str, list[Verdict]] = {}
    for each in verdicts(ranked):
        found.setdefault(each.dataset, []).append(each)
    return [
        Board(
            title=f"{dataset}: comparisons by {several[0].metric} at {several[0].point}",
            caption="",
            header=["a", "b", f"{several[0].metric} of a - b", "n", "P(a better)", "p", "p (Holm)", "verdict"],
            rows=[_compared(each) for each in several],
            notes=[each.sentence for each in several if each.verdict == "not compared"],
        )
        for dataset, several in found.items()
    ]


def told(mean: float, low: float, high: float, *, sign: str = "") -> str:
    """``-0.62 [-1.02, -0.21]``, an en dash where there is no mean."""
    return MISSING if math.isnan(mean) else measured([mean, low, high], neutral=0, sign=sign)


def _compared(each: Verdict) -> list[str]:
    chance = MISSING
    if each.n:
        chance = f"{each.probability:.2f} [{each.probability_low:.2f}, {each.probability_high:.2f}]"
    return [
        each.a_configuration or each.a,
        each.b_configuration or each.b,
        told(each.difference, each.low, each.high, sign="+"),
        str(each.n) if each.n == each.planned else f"{each.n} of {each.planned}",
        chance,
        *(
            MISSING if math.isnan(p) else p_text(p).removeprefix("p = ").removeprefix("p ")
            for p in (each.p, each.p_holm)
        ),
        each.verdict,
    ]


def selections(ranked: Ranked) -> list[Board]:
    """One table per dataset."""
    metric = ranking(ranked.tables).metric
    return [
        Board(
            title=clean(f"{dataset}: chosen snapshots, scored again"),
            caption="",
            header=["configuration", f"{metric} chosen", f"{metric} again", "gap", "n"],
            rows=[_chosen(row) for row in table.to_dict("records")],
            notes=[],
        )
        for dataset, table in gaps(ranked).groupby("dataset")
    ]


def _chosen(row: dict[Any, Any]) -> list[str]:
    sign = "+" if row["gap"] > 0 else ""
    told = sign + number(row["gap"], row["high"] - row["gap"]) + (" (n=1)" if row["n"] == 1 else "")
    return [str(row["configuration"]), number(row["chosen"]), number(row["again"]), told, str(row["n"])]
