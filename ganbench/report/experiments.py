"""The figures of one experiment (a variant on a dataset): all its configurations, and the effect of each parameter."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from ganbench.report.configurations import canonical, unused
from ganbench.report.lines import Line, panels
from ganbench.report.plots import count
from ganbench.report.study import Configuration, Study, balanced, mean_curve
from ganbench.report.style import DASHES, DISTINCT, GREY, MARKERS, Look, distinct_looks, value_looks
from ganbench.report.words import clean

#: Up to so many lines each lies in the band of its seeds; more bands would hide the lines.
_BANDS = 5
_BEST = 3


def experiment(study: Study, dataset: str, variant: str) -> Figure | None:
    """CS, FCD and every other metric of every configuration of a variant, best first in the legend."""
    shown = study.experiment(dataset, variant)
    few = len(shown) <= _BANDS
    told, rest = shown[:DISTINCT], shown[DISTINCT:]
    lines = [
        Line(each.curves, look, _entry(each, each.settings), width=1.6, band=few)
        for each, look in zip(told, distinct_looks(len(told)), strict=True)
    ]
    lines += [Line(each.curves, Look(GREY), width=0.8, alpha=0.3) for each in rest]
    if rest:
        lines.append(Line({}, Look(GREY), f"the other {len(rest)}", width=0.9, alpha=0.5))
    return panels(
        study, dataset, study.metrics, lines,
        title=f"{variant} during training",
        explanation=f"line: {_over(shown)}" + ("; band: lowest to highest seed" if few else ""),
        legend=f"best first, by {study.ranking.metric} at {study.ranking.at}",
    )  # fmt: skip


def highlight(study: Study, dataset: str, variant: str, name: str) -> Figure | None:
    """The curves of an experiment, coloured by the value of the parameter `name` alone.

    A bold line per value is its configurations' mean, only where all values have the same other settings: elsewhere it
    would show the effect of those.
    """
    groups = _by_value(study.experiment(dataset, variant), name)
    ordered = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value, _ in groups)
    if ordered:
        groups.sort(key=lambda group: group[0])
    is_fair = balanced([group for _, group in groups], name)
    single = all(len(group) == 1 for _, group in groups)
    bold: list[Line] = []
    thin: list[Line] = []
    legend: list[Line] = []
    for (_, group), look in zip(groups, value_looks(len(groups), ordered=ordered), strict=True):
        plain = look._replace(marker="")
        width = 1.8 if single else 1.1 if is_fair else 1.4
        thin += [Line(each.curves, plain, width=width, alpha=0.8) for each in group]
        if is_fair and not single:
            shared = set.intersection(*(set(each.curves) for each in group))
            means = {metric: mean_curve([each.curves[metric][:2] for each in group]) for metric in shared}
            bold.append(Line(means, look, width=2.6))
        text = clean(group[0].labels.get(name, "")) or unused(name, group[0].symbols)
        legend.append(Line({}, look if bold else plain, text, width=2.6 if bold else 1.8))
    everyone = [each for _, group in groups for each in group]
    explanation = f"line: a configuration, {_over(everyone)}"
    if bold:
        explanation = f"bold: mean per value over equal other settings; thin: configurations, {_over(everyone)}"
    elif not is_fair:
        explanation += "; other settings differ between the values"
    symbol = clean(groups[0][1][0].symbols.get(name) or name)
    return panels(
        study, dataset, study.metrics, [*bold, *thin, *legend],
        title=f"{variant} by {symbol}", explanation=explanation, legend=clean(name),
    )  # fmt: skip


def _by_value(configurations: list[Configuration], name: str) -> list[tuple[Any, list[Configuration]]]:
    """The values of a parameter, each with its configurations, in order of their best one."""
    groups: dict[str, tuple[Any, list[Configuration]]] = {}
    for each in configurations:
        value = each.params.get(name)
        groups.setdefault(canonical(value), (value, []))[1].append(each)
    return list(groups.values())


def architectures(study: Study, dataset: str) -> Figure | None:
    """The three best configurations of every variant, coloured by variant. None with fewer than two variants."""
    best = {variant: each[:_BEST] for variant, each in study.experiments(dataset).items()}
    if len(best) < 2:
        return None
    lines = [
        Line(each.curves, Look(study.colours[variant], DASHES[place], MARKERS[place]), _entry(each, each.name))
        for variant, chosen in best.items()
        for place, each in enumerate(chosen)
    ]
    return panels(
        study, dataset, study.metrics, lines,
        title="the three best configurations of each variant",
        explanation=f"line: {_over([each for chosen in best.values() for each in chosen])}; "
        f"solid, dashed, dotted: first, second, third by {study.ranking.metric}",
    )  # fmt: skip


def _entry(each: Configuration, name: str) -> str:
    """A configuration in a legend; with how many seeds only where some are missing."""
    return name if each.seeds == each.planned else f"{name} ({count(each.seeds, each.planned)})"


def _over(configurations: list[Configuration]) -> str:
    """``mean over 3 seeds``, ``mean over 2 to 3 seeds``, ``one seed``: what the lines are."""
    counts = sorted({each.seeds for each in configurations})
    if counts == [1]:
        return "one seed"
    return f"mean over {' to '.join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))} seeds"
