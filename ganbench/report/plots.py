"""Learning curves of a dataset, and its variants side by side."""

from __future__ import annotations

import math

import seaborn as sns
from matplotlib.figure import Figure

from ganbench.report.leaderboard import REAL
from ganbench.report.lines import REAL_LINE, Line, panels
from ganbench.report.study import Configuration, Study
from ganbench.report.style import GREY, Look, drawing, logarithmic, looks, titled
from ganbench.report.words import folded, short

#: With more configurations than the first number only the second number of them stand out.
_MANY, _BOLD = 10, 3


def curves(study: Study, dataset: str, metric: str) -> Figure | None:
    """One line per configuration of any variant: the mean over seeds in a band from lowest to highest.

    None where no cell that is done has such scores. With more than ten configurations the best three stand out.
    """
    shown = [each for each in study.configurations(dataset) if metric in each.curves]
    bold = shown[:_BOLD] if len(shown) > _MANY else shown
    look = looks({each.name: each.variant for each in bold}, study.colours)
    lines = [
        Line(each.curves, look[each.name], f"{each.name} ({count(each.curves[metric].n, each.planned)})", band=True)
        for each in bold
    ]
    faint = [Look(study.colours[each.variant]) for each in shown[len(bold) :]]
    lines += [
        Line(each.curves, grey, width=0.9, alpha=0.3) for each, grey in zip(shown[len(bold) :], faint, strict=True)
    ]
    if faint:
        lines.append(Line({}, Look(GREY), f"the other {len(faint)}", width=0.9, alpha=0.4))
    return panels(
        study, dataset, [metric], lines, far_bound=True,
        title=f"{metric} during training",
        explanation="line: mean over n finished seeds; band: lowest to highest seed",
    )  # fmt: skip


def comparison(study: Study, dataset: str) -> Figure | None:
    """The best configuration of every variant at the ranked point: each seed a dot, the mean with its interval."""
    metric, at = study.ranking.metric, study.ranking.at
    best: dict[str, Configuration] = {}
    for each in study.configurations(dataset):
        if each.ranked:
            best.setdefault(each.variant, each)
    if not best:
        return None
    scores = study.finals
    scores = scores[(scores["dataset"] == dataset) & (scores["metric"] == metric) & (scores["point"] == at)]
    real = study.real(dataset, metric)
    with drawing():
        figure = Figure(figsize=(9, 1.5 + 0.55 * len(best)), layout="constrained")
        axes = figure.subplots()
        labels, shown = [], [] if real is None else [real]
        for position, (variant, each) in enumerate(best.items()):
            colour = study.colours[variant]
            seeds = scores.loc[scores["configuration"] == each.name, "value"]
            axes.plot(seeds, [position] * len(seeds), "o", color=colour, alpha=0.5, markersize=8, markeredgewidth=0)
            mean, low, high = (each.row[f"{metric}_{at}_{part}"] for part in ("mean", "low", "high"))
            shown += [*seeds, *(end for end in (low, high) if not math.isnan(end))]
            axes.errorbar(
                mean, position, xerr=None if math.isnan(low) else high - mean, fmt="D", color=colour,
                markersize=5.5, markeredgecolor="black", markeredgewidth=0.8, capsize=4, elinewidth=1.6, zorder=5,
            )  # fmt: skip
            labels.append(f"{folded(each.name, 28)}\n{count(each.n, each.planned)}")
        if real is not None:
            axes.axvline(real, **REAL_LINE)
        if study.ranking.lower and min(shown) > 0 and max(shown) > 8 * min(shown):
            logarithmic(axes, "x")
        better = "lower" if study.ranking.lower else "higher"
        axes.set(xlabel=f"{metric} at {at} ({better} is better)", ylabel="")
        axes.set_yticks(range(len(best)), labels)
        axes.set_ylim(len(best) - 0.5, -0.5)
        titled(
            axes,
            f"{short(dataset)}: the best configuration of each variant",
            "dots: seeds; diamond: their mean with its 95 % Student t interval"
            + ("" if real is None else f"; dashed line: {REAL}"),
        )
        axes.grid(axis="y", visible=False)
        sns.despine(ax=axes, left=True)
    return figure


def count(n: int, planned: int) -> str:
    """``n=3``, or ``n=2 of 3``."""
    return f"n={n}" if n == planned else f"n={n} of {planned}"
