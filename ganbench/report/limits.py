"""What a study cannot say, read off its records: what never varied, too few seeds or pairs, what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ganbench.contracts import Tables
from ganbench.report.boards import coverage
from ganbench.report.matched import FEWEST, Comparison
from ganbench.report.pairs import AXES, BEST, VARIANT
from ganbench.report.sentences import STANDARD, Voice, place, title, value
from ganbench.report.statistics import FEWEST_TESTED, Interval, holm, p_value
from ganbench.report.verdicts import LEVEL
from ganbench.report.words import clean, for_markdown, listed
from ganbench.tables import budget_text

#: So many lines of one kind are shown; the rest is counted.
_SHOWN = 20


def limits(tables: Tables, found: Sequence[Comparison], boards: pd.DataFrame, voice: Voice) -> list[str]:
    """One line of Markdown per limit."""
    asked = [each for each in found if each.parameter not in (VARIANT, BEST) and not each.is_pooled]
    ranked = [each for each in asked if each.metric == voice.ranking.metric and each.axis == voice.axis]
    lines = [
        *_seeds(tables),
        *_budget(tables),
        *_never_varied(tables, ranked),
        *_few_pairs(ranked),
        *_one_case(ranked),
        *_left_out(asked, voice),
        *_chance(ranked),
        *_searched(boards, found),
        "Every effect holds at the settings of the other parameters that this study has, and for its networks; pairs "
        "that share a seed or those settings are not fully independent, so intervals over them are somewhat narrow.",
        *_missing(boards, voice),
    ]
    return [f"- {line}" for line in lines]


def _seeds(tables: Tables) -> list[str]:
    seeds = tables.cells.loc[tables.cells["status"] != "skipped", "seed"].nunique()
    if seeds >= FEWEST:
        return []
    if seeds == 1:
        return ["One seed: nothing here says how much another seed would change, so there is no interval."]
    return [f"{seeds} seeds: the spread between seeds is hardly known."]


def _budget(tables: Tables) -> list[str]:
    budgets = tables.run.get("budgets") or [tables.run.get("budget")]
    named = [budget_text(budget) for budget in budgets if budget]
    last = tables.scores[tables.scores["point"] == "last"]
    ends = []
    for axis in AXES if len(last) else ():
        low, high = float(last[axis].min()), float(last[axis].max())
        if math.isfinite(low):
            span = f"{low:,.4g}" if axis == "epochs" else f"{low:,.0f}"
            most = f"{high:,.4g}" if axis == "epochs" else f"{high:,.0f}"
            ends.append(f"{span if span == most else f'{span} to {most}'} {axis.replace('_', ' ')}")
    many = len(named) > 1
    budget = f"The budget{'s were' if many else ' was'} {listed(named)}" if named else "No budget is on record"
    reached = f" (cells ended at {listed(ends)})" if ends else ""
    apart = " Where variants had different ones, their best configurations are compared all the same." if many else ""
    return [f"{for_markdown(budget + reached)}: what overtakes after that is not seen.{apart}"]


def _never_varied(tables: Tables, ranked: Sequence[Comparison]) -> list[str]:
    """The standard questions that no cell asks, with the value that all cells have, then those not asked everywhere."""
    varied = {each.question for each in ranked}
    fixed: dict[str, dict[str, None]] = {symbol: {} for symbol in STANDARD if symbol not in varied}
    named = zip(tables.cells["symbols"].tolist(), tables.cells["labels"].tolist(), strict=True)
    for symbols, labels in {(id(symbols), id(labels)): (symbols, labels) for symbols, labels in named}.values():
        for name, symbol in symbols.items():
            if symbol in fixed:
                fixed[symbol][clean(labels.get(name) or f"no {symbol}")] = None
    lines = [
        f"{title(symbol)} never varied within a variant"
        + (f": {for_markdown(' or '.join(sorted(values)))}." if values else ": no variant here has it.")
        for symbol, values in fixed.items()
    ]
    for dataset in sorted({each.dataset for each in ranked}):
        here = {each.question for each in ranked if each.dataset == dataset}
        absent = [title(question) for question in sorted(varied - here, key=place)]
        if absent:
            lines.append(f"On {for_markdown(dataset)} these never varied: {', '.join(absent)}.")
    return lines


def _few_pairs(ranked: Sequence[Comparison]) -> list[str]:
    few: dict[tuple[str, str, str], list[Comparison]] = {}
    for each in ranked:
        if each.verdict == "too few pairs":
            few.setdefault((each.question, each.dataset, each.variant), []).append(each)
    texts = []
    for (question, dataset, variant), group in sorted(few.items(), key=lambda item: (place(item[0][0]), item[0])):
        pairs = [f"{value(question, each.a)} and {value(question, each.b)} (n={each.n})" for each in group if each.a]
        what = "; ".join(pairs) if pairs else "never differs alone (n=0)"
        texts.append(f"{title(question)}, {for_markdown(f'{variant} on {dataset}')}: {what}")
    return _listed("Too few pairs for a verdict", texts)


def _one_case(ranked: Sequence[Comparison]) -> list[str]:
    cases: dict[str, set[tuple[str, str]]] = {}
    for each in ranked:
        if each.n:
            cases.setdefault(each.question, set()).add((each.variant, each.dataset))
    texts = []
    for question, where in sorted(cases.items(), key=lambda item: place(item[0])):
        variants, datasets = ({case[side] for case in where} for side in (0, 1))
        only = [f"{kind} {min(names)}" for kind, names in (("variant", variants), ("dataset", datasets))
                if len(names) == 1]  # fmt: skip
        if only:
            texts.append(f"{title(question)} ({for_markdown(', '.join(only))})")
    return (
        [f"Compared in one variant or on one dataset only, so not shown to hold elsewhere: {', '.join(texts)}."]
        if (texts)
        else []
    )


def _left_out(asked: Sequence[Comparison], voice: Voice) -> list[str]:
    texts = []
    for axis, name in voice.axes.items():
        here = [each for each in asked if each.axis == axis and each.metric == voice.ranking.metric]
        if left_out := sum(each.left_out for each in here):
            texts.append(f"{left_out} of {sum(each.planned for each in here)} at {name}")
    what = "Pairs of done cells left out, because one has no finite, and for a ratio positive, score where the other is"
    return [f"{what}: {', '.join(texts)}."] if texts else []


def _chance(ranked: Sequence[Comparison]) -> list[str]:
    judged = [each for each in ranked if each.verdict != "too few pairs"]
    if len(judged) < 2:
        return []
    text = (
        f"{len(judged)} comparisons above have a verdict; about one in twenty would have an effect by chance if no "
        "parameter had any, and nothing here corrects for that."
    )
    tested = [each for each in judged if each.n >= FEWEST_TESTED]
    effects = sum(each.verdict in ("helps", "hurts") for each in tested)
    if effects:
        corrected = holm([p_value(Interval(each.mean, each.low, each.high), each.n) for each in tested])
        kept = sum(p < LEVEL for p in corrected)
        text += (
            f" Of the {len(tested)} with {FEWEST_TESTED} pairs or more {effects} have an effect, and {kept} after "
            "Holm's correction."
        )
    return [text]


def _searched(boards: pd.DataFrame, found: Iterable[Comparison]) -> list[str]:
    """The best of many is lucky: how many configurations each variant's best one was chosen from."""
    datasets = {each.dataset for each in found if each.parameter == BEST and each.dataset}
    rows = boards[(boards["row"] == "configuration") & boards["rank"].notna()]
    texts = []
    for dataset, group in rows.groupby("dataset"):
        counts = group["variant"].value_counts().sort_index()
        if clean(dataset) in datasets and counts.max() > 1:
            tried = [f"{clean(variant)} {many}" for variant, many in counts.items()]
            texts.append(for_markdown(f"{', '.join(tried)} on {clean(dataset)}"))
    if not texts:
        return []
    return [
        "Variants are compared by their best configurations, chosen by the scores that are then compared: the more "
        f"were tried, the luckier the best. Configurations with a score: {'; '.join(texts)}."
    ]


def _missing(boards: pd.DataFrame, voice: Voice) -> list[str]:
    rows = boards[(boards["row"] == "configuration") & (boards["n"] < boards["planned"])]
    texts = [_coverage(row, voice) for row in rows.to_dict("records")]
    return _listed("Not in the numbers", texts)


def _coverage(row: Mapping[Any, Any], voice: Voice) -> str:
    return for_markdown(clean(f"{row['configuration']} on {row['dataset']}, {coverage(row, voice.ranking.metric)}"))


def _listed(what: str, texts: Sequence[str]) -> list[str]:
    if not texts:
        return []
    rest = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return [f"{what}: {'; '.join(texts[:_SHOWN])}{rest}."]
