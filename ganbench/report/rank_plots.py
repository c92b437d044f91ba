"""Variants across datasets, drawn: the critical-difference diagram and the performance profiles."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ganbench.report.colours import Colour
from ganbench.report.leaderboard import Ranked, ranking
from ganbench.report.ranks import profiles, ranks
from ganbench.report.style import DASHES, drawing, logarithmic, titled
from ganbench.report.verdicts import p_text
from ganbench.report.words import clean, short


def critical_difference(ranked: Ranked, colours: dict[str, Colour]) -> Figure | None:
    """Mean ranks on a line, bars joining variants that Nemenyi's test does not tell apart (Demšar 2006, figure 1).

    None where nothing is tested. `colours` are the variants'.
    """
    found = ranks(ranked)
    if found is None or not found.pairs:
        return None
    from scikit_posthocs import critical_difference_diagram  # takes a second to import

    names = list(found.mean)
    told = pd.DataFrame(1.0, index=names, columns=names)
    for (one, other), p in found.pairs.items():
        # Without Friedman's word that there is a difference, no pair is told apart.
        told.at[one, other] = told.at[other, one] = p if found.differ else 1.0
    looks = {clean(variant): colour for variant, colour in colours.items()}
    with drawing():
        figure = Figure(figsize=(9.6, 1.9 + 0.2 * len(names)), layout="constrained")
        axes = figure.subplots()
        # A width first: the diagram places its labels by it.
        axes.set_xlim(1, len(names))
        drawn = critical_difference_diagram(
            pd.Series(found.mean), told, ax=axes,
            label_fmt_left="{label}  {rank:.2f}", label_fmt_right="{rank:.2f}  {label}",
            label_props={"fontsize": 10}, marker_props={"s": 42, "edgecolors": "black"},
            crossbar_props={"color": "black", "linewidth": 3}, color_palette={name: looks[name] for name in names},
        )  # fmt: skip
        # Each bar is drawn from point to point of a set, in another order in every process.
        for bar in itertools.chain.from_iterable(drawn["crossbars"]):
            bar.set_xdata(sorted(bar.get_xdata()))
        axes.grid(visible=False)
        friedman = f"Friedman {p_text(found.p)}" + ("" if found.differ else ": they are not told apart")
        titled(
            axes,
            f"mean ranks over {len(found.datasets)} datasets",
            f"1 is best; bars join what Nemenyi's test does not tell apart at 5 % "
            f"(critical difference {found.critical:.2f}); {friedman}",
        )
    return figure


def performance_profile(ranked: Ranked, colours: dict[str, Colour]) -> Figure | None:
    """The share of problems that each variant solves within a ratio to the best; None where there are no profiles."""
    found = profiles(ranked)
    if not found:
        return None
    looks = {clean(variant): colour for variant, colour in colours.items()}
    metric = ranking(ranked.tables).metric
    end = 1.05 * max(float(each.at[-1]) for each in found.values())
    with drawing():
        figure = Figure(figsize=(9.6, 4.8), layout="constrained")
        axes = figure.subplots()
        for place, (variant, each) in enumerate(found.items()):
            x, share = np.append(each.at, end), np.append(each.share, each.share[-1])
            dashes = DASHES[place % len(DASHES)]
            style = (0, dashes) if dashes else "-"
            label = short(variant, 40)
            axes.step(x, share, where="post", color=looks[variant], linestyle=style, linewidth=2, label=label)
        if end > 1.2:
            logarithmic(axes, "x")
        axes.set_xlim(1, end)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        worse = "" if ranking(ranked.tables).lower else ", inverted as higher is better"
        axes.set(xlabel=f"{metric} as a multiple of the best{worse}", ylabel="seeds on datasets within it")
        titled(
            axes,
            "performance profiles of the variants",
            "their best configurations; at 1: how often each is the best; a cell without a score is never reached",
        )
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        sns.despine(ax=axes)
    return figure
