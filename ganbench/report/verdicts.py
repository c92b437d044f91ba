"""Which variant beats which on each dataset, in one line each: the best configurations of two, seed by seed."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import pandas as pd

from ganbench.report.contenders import Contender, contenders
from ganbench.report.leaderboard import Ranked, ranking
from ganbench.report.sentences import measured
from ganbench.report.statistics import FEWEST_TESTED, holm, paired, probability
from ganbench.report.words import clean, for_csv

#: A corrected p below it settles a comparison.
LEVEL = 0.05


class Verdict(NamedTuple):
    """One comparison of two variants on a dataset: the columns of ``comparisons.csv``.

    ``a`` has the better scores of the two, by the mean over the seeds that both have, and by name where that ties.
    ``difference`` is that mean of a - b with its 95 % Student t interval (NaN where there is none), ``n`` the number of
    these seeds of the ``planned`` ones that both were to have. ``p`` is the paired t test's (NaN for n < 5), ``p_holm``
    the same corrected for all tests on the dataset. a is better with ``wins`` of the seeds, as good with ``ties``;
    ``probability`` that it is better has a Clopper-Pearson interval. ``verdict`` is ``beats``, ``not settled``,
    ``ahead`` (the interval leaves out 0, but seeds are too few for a test), ``one seed`` or ``not compared``.
    """

    dataset: str
    metric: str
    point: str
    direction: str
    a: str
    a_configuration: str
    b: str
    b_configuration: str
    difference: float
    low: float
    high: float
    n: int
    planned: int
    p: float
    p_holm: float
    wins: int
    ties: int
    probability: float
    probability_low: float
    probability_high: float
    verdict: str
    sentence: str


def verdicts(ranked: Ranked) -> list[Verdict]:
    """Every two variants on every dataset: datasets by name, in each the leader's comparisons first."""
    return ranked.kept(_verdicts)


def _verdicts(ranked: Ranked) -> list[Verdict]:
    judged = []
    for several in contenders(ranked).values():
        found = [_compared(ranked, one, other) for one, other in itertools.combinations(several, 2)]
        corrected = holm([each.p for each in found])
        judged += [_judged(each._replace(p_holm=p)) for each, p in zip(found, corrected, strict=True)]
    return judged


def of_leaders(ranked: Ranked) -> dict[str, list[Verdict]]:
    """Dataset -> the comparisons of its leader with every other variant."""
    leads = {clean(dataset): several[0].variant for dataset, several in contenders(ranked).items()}
    found: dict[str, list[Verdict]] = {}
    for each in verdicts(ranked):
        if leads[each.dataset] in (each.a, each.b):
            found.setdefault(each.dataset, []).append(each)
    return found


def _compared(ranked: Ranked, one: Contender, other: Contender) -> Verdict:
    """The numbers of one comparison; `one` is the better by the leaderboard."""
    by = ranking(ranked.tables)
    shared = sorted(one.scores.keys() & other.scores.keys())
    a, b = one, other
    total = sum(one.scores[seed] - other.scores[seed] for seed in shared)
    if (total > 0) if by.lower else (total < 0):
        a, b = other, one
    found = paired([a.scores[seed] for seed in shared], [b.scores[seed] for seed in shared])
    gains = [(b.scores[seed] - a.scores[seed]) * (1 if by.lower else -1) for seed in shared]
    wins, ties = sum(gain > 0 for gain in gains), sum(gain == 0 for gain in gains)
    missing = [f"{each.variant}: {each.missing}" for each in (a, b) if each.missing]
    return Verdict(
        a.dataset, by.metric, by.at, "lower" if by.lower else "higher",
        a.variant, a.configuration, b.variant, b.configuration,
        found.mean, found.low, found.high, found.n, len(a.planned & b.planned), found.p, math.nan,
        wins, ties, *probability(wins + ties / 2, found.n),
        verdict="", sentence="; ".join(missing),
    )  # fmt: skip


def _judged(each: Verdict) -> Verdict:
    """The verdict by the stated rule, and its sentence; `each.sentence` says so far which cells have no score."""
    a, b, where = each.a, each.b, f"on {each.dataset}"
    word = {"lower": "lower", "higher": "higher"}[each.direction]
    size = (
        measured([abs(each.difference), *_ends(each)], neutral=0) if each.n and math.isfinite(each.difference) else ""
    )
    told = f"{each.metric} {word} by {size}"
    count = f"n = {each.n}" if each.n == each.planned else f"n = {each.n} of {each.planned} shared seeds"
    won = f"better with {each.wins} of {each.n}"
    lost = f" ({each.sentence})" if each.sentence and each.n < each.planned else ""
    if not each.n:
        why = f": {each.sentence}" if each.sentence else ": they have no seed in common"
        return each._replace(verdict="not compared", sentence=clean(f"{a} and {b} {where} are not compared{why}"))
    if each.n == 1:
        return each._replace(
            verdict="one seed",
            sentence=clean(f"one seed does not settle {a} against {b} {where}: {told}, {count}{lost}"),
        )
    if not math.isnan(each.p):
        # An interval that leaves out 0 beside a p that settles nothing: the correction is the reason.
        alone = f"; alone {p_text(each.p)}" if each.p < LEVEL <= each.p_holm else ""
        shown = f"{told}, {count}, {p_text(each.p_holm)} (Holm{alone}), {won}{lost}"
        if each.p_holm < LEVEL:
            return each._replace(verdict="beats", sentence=clean(f"{a} beats {b} {where}: {shown}"))
        text = f"these {each.n} seeds do not settle {a} against {b} {where}: {shown}"
        return each._replace(verdict="not settled", sentence=clean(text))
    shown = f"{told}, {count}, {won}{lost}"
    if each.low > 0 or each.high < 0:
        few = f"a p-value needs {FEWEST_TESTED} seeds"
        text = f"{a} is ahead of {b} {where} with these {each.n} seeds: {shown}; {few}"
        return each._replace(verdict="ahead", sentence=clean(text))
    text = f"these {each.n} seeds do not settle {a} against {b} {where}: {shown}"
    return each._replace(verdict="not settled", sentence=clean(text))


def _ends(each: Verdict) -> tuple[float, float]:
    """The ends of the interval as those of a's advantage."""
    return (each.low, each.high) if each.difference >= 0 else (-each.high, -each.low)


def p_text(p: float) -> str:
    """``p = 0.012``, ``p < 0.001``."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.2g}" if p >= 0.01 else f"p = {p:.3f}"


def csv(ranked: Ranked) -> str:
    """Every comparison in full precision; empty where there are none."""
    found = verdicts(ranked)
    if not found:
        return ""
    table = pd.DataFrame(found, columns=list(Verdict._fields))
    for column in ("dataset", "metric", "a", "a_configuration", "b", "b_configuration", "sentence"):
        table[column] = [for_csv(str(text)) for text in table[column]]
    return table.to_csv(index=False, lineterminator="\n")
