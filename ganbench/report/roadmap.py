"""The roadmap: what the study says to start from, each sentence with its numbers, and what it cannot say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from ganbench.contracts import Tables
from ganbench.report.advice import advice, seen_from
from ganbench.report.boards import coverage, score
from ganbench.report.leaderboard import Ranked
from ganbench.report.limits import limits
from ganbench.report.matched import Comparison, comparisons, csv
from ganbench.report.pairs import BEST, VARIANT, Group, groups, settings
from ganbench.report.sentences import Voice, answer, count, effect, place, title, value, voice
from ganbench.report.verdicts import Verdict, of_leaders
from ganbench.report.words import MISSING, clean, for_markdown, listed, number

FILES = ("matched.csv", "roadmap.md")
_VARIANTS = (VARIANT, BEST)
Row = Mapping[Any, Any]


class Matched(NamedTuple):
    """All matched comparisons, and what they say: the roadmap as Markdown, empty where there is nothing to compare."""

    comparisons: list[Comparison]
    roadmap: str

    @property
    def files(self) -> dict[str, str]:
        """Name -> content; none where there is nothing to compare."""
        return dict(zip(FILES, (csv(self.comparisons), self.roadmap), strict=True)) if self.comparisons else {}


def matched(tables: Tables | Ranked) -> Matched:
    """Compare whatever the plan of `tables` has in pairs."""
    ranked = Ranked.of(tables)
    cells = groups(ranked.tables)
    found = comparisons(ranked, cells)
    return Matched(found, _markdown(ranked, found, cells) if found else "")


def files(tables: Tables) -> dict[str, str]:
    """Name -> content of the files about matched comparisons; none where there is nothing to compare."""
    return matched(tables).files


def roadmap(tables: Tables) -> str:
    """The roadmap as Markdown; empty where there is nothing to compare."""
    return matched(tables).roadmap


def _markdown(ranked: Ranked, found: list[Comparison], cells: list[Group]) -> str:
    tables, boards = ranked.tables, ranked.leaderboards
    speaking = voice(tables, found)
    statuses = settings(cells)
    datasets = sorted({each.dataset for each in found if each.dataset})
    parts = [_header(tables, speaking)]
    leaders = of_leaders(ranked)
    for dataset in datasets:
        here = [each for each in found if each.dataset == dataset]
        table = boards[[clean(name) == dataset for name in boards["dataset"]]]
        lines = [*_best(here, table, speaking), *_verdicts(leaders.get(dataset, []))]
        lines += _questions(here, speaking, statuses)
        parts += [f"## {for_markdown(dataset)}", "\n".join(lines)]
    parts += ["## Overall", "\n".join([*_leaders(found, boards, speaking), *_overall(found, speaking)])]
    parts += ["## What this study cannot say", "\n".join(limits(tables, found, boards, speaking))]
    return "\n\n".join(parts) + "\n"


def _header(tables: Tables, voice: Voice) -> str:
    cells = tables.cells[tables.cells["status"] != "skipped"]
    done, seeds = int((cells["status"] == "done").sum()), sorted(set(cells["seed"]))
    ratios = [metric for metric, direction in voice.ranking.directions.items() if direction == "lower"]
    differences = [metric for metric in voice.ranking.directions if metric not in ratios]
    kinds = [f"{kind} of {for_markdown(listed(names))}" for kind, names in
             (("ratios (×)", ratios), ("differences", differences)) if names]  # fmt: skip
    return "\n\n".join(
        [
            f"# Roadmap of {for_markdown(clean(tables.run['name']))}",
            f"From {done} of {len(cells)} planned cells that are done, with "
            + (f"seeds {listed(seeds)}" if len(seeds) > 1 else f"one seed ({seeds[0]})")
            + ". `matched.csv` has every comparison in full precision.",
            "A pair is two cells that differ in one parameter alone: variant, dataset, seed and all other parameters "
            f"are the same. It is compared at the last point that both have reached, here at {voice.axes[voice.axis]} "
            f"where a sentence names no other axis. Effects are {listed(kinds)}: means over n pairs"
            + (" with [95 % Student t intervals]" if len(seeds) > 1 else ", without intervals because of the one seed")
            + "; a context is one setting of the other parameters.",
            "The verdict follows from the interval: where it leaves out the ratio 1 (the difference 0) the value "
            "**helps** or **hurts**, otherwise it has **no clear effect**; with fewer than three pairs, or pairs of "
            "one seed only, there are **too few pairs**. A value to start from is one that no other beats, with the "
            "best mean effect over the others.",
        ]
    )


# --- one dataset ------------------------------------------------------------------------------------------------------


def _best(here: Sequence[Comparison], table: pd.DataFrame, voice: Voice) -> list[str]:
    """Which variant to start from: the best configuration of each, and the leader's effect over each other one."""
    rows = [row for row in table.to_dict("records") if row["row"] == "configuration" and not pd.isna(row["rank"])]
    best = {clean(row["variant"]): row for row in reversed(rows)}
    if not rows:
        return ["- **Variant**: no cell has a score."]
    first = clean(rows[0]["variant"])
    against = [seen_from(each, first) for each in here if first in (each.a, each.b) and each.parameter in _VARIANTS]
    chosen = [each for each in against if each.parameter == BEST and each.metric == voice.ranking.metric]
    verdicts = {each.verdict for each in chosen}
    name = for_markdown(rows[0]["configuration"])
    if len(best) == 1:
        opening = f"only {for_markdown(first)} was run. Its best configuration is **{name}**"
    elif "helps" in verdicts:
        opening = f"start from **{name}**"
    else:
        opening = f"no variant is shown to be the best; **{name}** has the best mean"
    lines = [f"- **Variant**: {opening}: {_score(rows[0], voice)}{_real(table, voice)}."]
    for other, row in best.items():
        if other != first:
            pairs = [each for each in chosen if each.a == other]
            told = "".join(f"; the leader against it: {effect(each)} ({count(each)})" for each in pairs if each.n)
            lines.append(f"  - {for_markdown(row['configuration'])}: {_score(row, voice)}{told}.")
    ranked = [each for each in against if each.parameter == VARIANT and each.metric == voice.ranking.metric]
    for each in ranked:
        if each.axis == voice.axis and each.n:
            lines.append(
                f"  - With all shared parameters equal, {for_markdown(each.b)} has {effect(each)} against "
                f"{for_markdown(each.a)} ({count(each)})."
            )
    return lines


def _verdicts(leader: Sequence[Verdict]) -> list[str]:
    """The leaderboard's verdicts on the leader, which are about differences and not ratios."""
    return [f"  - As a difference: {for_markdown(each.sentence)}." for each in leader]


def _score(row: Row, voice: Voice) -> str:
    metric, at = voice.ranking.metric, voice.ranking.at
    shown = f"{metric} {score(row, metric, at)} at {at}, {coverage(row, metric)}"
    return for_markdown(shown if "seed" in shown else f"{shown} seeds")


def _real(table: pd.DataFrame, voice: Voice) -> str:
    for row in table[table["row"] == "real"].to_dict("records"):
        shown = number(row[f"{voice.ranking.metric}_{voice.ranking.at}_mean"])
        if shown != MISSING:
            return f"; real test images have {shown}"
    return ""


def _questions(here: Sequence[Comparison], voice: Voice, statuses: Mapping[Any, Any]) -> list[str]:
    """One line per parameter and variant."""
    asked: dict[tuple[str, str], list[Comparison]] = {}
    for each in here:
        if each.parameter not in _VARIANTS:
            asked.setdefault((each.variant, each.parameter), []).append(each)
    lines = []
    for (variant, parameter), group in sorted(asked.items(), key=lambda item: (place(item[1][0].question), item[0])):
        question = group[0].question
        text = f"- **{title(question)}**, {for_markdown(variant)}: {answer(group, voice)}"
        lines.append(text + _diverged(question, statuses[group[0].dataset, variant, parameter]))
    return lines


def _diverged(question: str, statuses: Mapping[str, Counter[str]]) -> str:
    """What the means cannot show: how often each value diverged."""
    if not any(counts["diverged"] for counts in statuses.values()):
        return ""
    shares = [
        f"{counts['diverged']} of {counts.total()} cells with {value(question, text)}"
        for text, counts in statuses.items()
    ]
    return f" Diverged, and in no mean: {listed(shares)}."


# --- overall ----------------------------------------------------------------------------------------------------------


def _leaders(found: Sequence[Comparison], boards: pd.DataFrame, voice: Voice) -> list[str]:
    ranked = boards[(boards["row"] == "configuration") & boards["rank"].notna()]
    first = ranked.drop_duplicates("dataset")
    leads: dict[str, list[str]] = {}
    for dataset, variant in zip(first["dataset"], first["variant"], strict=True):
        leads.setdefault(clean(variant), []).append(clean(dataset))
    if ranked["variant"].nunique() < 2:
        return []
    says = [f"{for_markdown(who)} has the best mean on {for_markdown(listed(on))}" for who, on in leads.items()]
    text = f"- **Variant**: {'; '.join(says)}."
    if len(first) > 1:
        pooled = [each for each in found if each.is_pooled and each.parameter == BEST]
        if best := advice(pooled):
            told = "; ".join(f"{effect(each)} against {for_markdown(each.a)} ({count(each)})" for each in best.over)
            text += f" Best configurations paired by dataset and seed: {for_markdown(best.value)} has {told}."
    return [text]


def _overall(found: Sequence[Comparison], voice: Voice) -> list[str]:
    """One line per question: pooled over variants and datasets, and where a case says the opposite."""
    at_axis = [each for each in found if each.metric == voice.ranking.metric and each.parameter not in _VARIANTS]
    cases: dict[str, list[Comparison]] = {}
    for each in at_axis:
        if not each.is_pooled and each.axis == voice.axis:
            cases.setdefault(each.question, []).append(each)
    lines = []
    for question, apart in sorted(cases.items(), key=lambda item: place(item[0])):
        pooled = [each for each in at_axis if each.is_pooled and each.question == question]
        where = sorted({(each.dataset, each.variant) for each in apart if each.n})
        line = f"- **{title(question)}**: "
        if len(where) == 1:
            lines.append(f"{line}varied in {_case(*where[0])} alone; see there.")
        elif pooled:
            lines.append(line + answer(pooled, voice, over=f"over {_cases(where)}") + _opposites(pooled, apart, voice))
        else:
            lines.append(f"{line}too few pairs (n=0): it never differs alone.")
    return lines


def _case(dataset: str, variant: str) -> str:
    return for_markdown(f"{variant} on {dataset}")


def _cases(where: Sequence[tuple[str, str]]) -> str:
    """``dcgan and wgan on mnist, dcgan on cifar10``, shorter where every variant was on every dataset."""
    datasets, variants = (sorted(set(names)) for names in zip(*where, strict=True)) if where else ([], [])
    if len(where) == len(datasets) * len(variants):
        return for_markdown(f"{listed(variants)} on {listed(datasets)}") if where else "no done pair"
    return listed([_case(*each) for each in where])


def _opposites(pooled: Iterable[Comparison], apart: Sequence[Comparison], voice: Voice) -> str:
    """The cases whose own verdict is not the pooled one, for the value that the pooled pairs recommend."""
    best = advice(each for each in pooled if each.axis == voice.axis)
    texts = []
    for over in best.over if best else []:
        same = [seen_from(each, over.b) for each in apart if {each.a, each.b} == {over.a, over.b}]
        other = [each for each in same if each.verdict in ("helps", "hurts") and each.verdict != over.verdict]
        texts += [
            f"{value(each.question, each.b)} {each.verdict} against {value(each.question, each.a)} in "
            f"{_case(each.dataset, each.variant)} ({effect(each._replace(verdict='too few pairs'))}, n={each.n})"
            for each in other
        ]
    return f" Not the same everywhere: {'; '.join(texts)}." if texts else ""
