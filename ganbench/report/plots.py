"""Learning curves, and the variants side by side."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ganbench.contracts import Tables
from ganbench.report.configurations import labelled
from ganbench.report.leaderboard import REAL, finished, leaderboards, ranking
from ganbench.report.style import GREY, Colour, drawing, logarithmic, looks, titled, variant_colours
from ganbench.report.words import folded, short

#: With more configurations than the first number only the second number of them stand out.
_MANY, _BOLD = 10, 3
#: Up to so many evaluations each is marked with a point.
_MARKED = 25
_REAL_LINE: dict[str, Any] = {"color": "black", "linestyle": (0, (4, 3)), "linewidth": 1.2}


def curves(tables: Tables, dataset: str, metric: str) -> Figure | None:
    """One line per configuration against generator updates: the mean over seeds in a band from lowest to highest.

    None where no cell that is done has such scores. With more than ten configurations the best three stand out.
    """
    scores = _scores(tables, dataset, metric, "curve")
    if scores.empty:
        return None
    table = _configurations(tables, dataset)
    table = table[table["configuration"].isin(scores["configuration"])].set_index("configuration")
    bold = list(table.index[:_BOLD] if len(table) > _MANY else table.index)
    lines = pd.concat([on_common_updates(group) for _, group in scores.groupby("configuration")], ignore_index=True)
    colours = variant_colours(list(tables.cells["variant"]))
    real = _real(tables, dataset, metric)
    lower = ranking(tables).directions[metric] == "lower"
    with drawing():
        figure = Figure(figsize=(9, 4.8), layout="constrained")
        axes = figure.subplots()
        handles = _bold_lines(axes, lines[lines["configuration"].isin(bold)], table.loc[bold], colours)
        faint = lines[~lines["configuration"].isin(bold)]
        if not faint.empty:
            # The means beforehand: seaborn takes a second for a hundred lines if it has to make them.
            faint = faint.groupby(["configuration", "generator_updates"])["value"].mean().reset_index()
            palette = {name: colours[str(table.at[name, "variant"])] for name in table.index[_BOLD:]}
            sns.lineplot(
                faint, x="generator_updates", y="value", hue="configuration", palette=palette, ax=axes, legend=False,
                estimator=None, alpha=0.3, linewidth=0.9, zorder=1,
            )  # fmt: skip
            handles.append(Line2D([], [], color=GREY, alpha=0.4, label=f"the other {len(table) - len(bold)}"))
        if real is not None:
            axes.axhline(real, **_REAL_LINE)
            handles.append(Line2D([], [], label=REAL, **_REAL_LINE))
        # Only now, so that seaborn takes the mean of the values and not of their logarithms.
        if lower and lines["value"].min() > 0 and (real is None or real > 0):
            logarithmic(axes, "y")
        axes.set(xlabel="generator updates", ylabel=f"{metric} ({'lower' if lower else 'higher'} is better)")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        titled(
            axes,
            f"{short(dataset)}: {metric} during training",
            "line: mean over n finished seeds; band: lowest to highest seed",
        )
        sns.despine(ax=axes)
        figure.legend(handles=handles, loc="outside right upper")
    return figure


def _bold_lines(axes: Axes, lines: pd.DataFrame, table: pd.DataFrame, colours: dict[str, Colour]) -> list[Line2D]:
    """Draw the lines that can be told apart; `table` has a row for each, best first. Returns their legend."""
    styles = looks(dict(zip(table.index, table["variant"], strict=True)), colours)
    look = {str(name): styles[str(name)] for name in table.index}
    few = lines["generator_updates"].nunique() <= _MARKED
    order = list(look)[::-1]  # the best is drawn last, above the others
    sns.lineplot(
        lines, x="generator_updates", y="value", ax=axes, legend=False, errorbar=("pi", 100),
        hue="configuration", style="configuration", hue_order=order, style_order=order,
        palette={name: look[name].colour for name in look}, dashes={name: look[name].dashes for name in look},
        markers={name: look[name].marker for name in look} if few else False, markersize=5,
        err_kws={"alpha": 0.13, "linewidth": 0}, linewidth=1.8,
    )  # fmt: skip
    seeds = lines.groupby("configuration")["seed"].nunique()
    handles = []
    for name, planned in table["planned"].items():
        colour, dashes, marker = look[str(name)]
        style: Any = (0, dashes) if dashes else "-"
        label = folded(f"{name} ({_count(seeds[str(name)], planned)})", 36)
        handle = Line2D([], [], color=colour, linestyle=style, linewidth=1.8, label=label)
        if few:
            handle.set(marker=marker, markersize=5, markeredgecolor="white", markeredgewidth=0.75)
        handles.append(handle)
    return handles


def comparison(tables: Tables, dataset: str) -> Figure | None:
    """The best configuration of every variant at the ranked point: each seed a dot, the mean with its interval."""
    ranked_by = ranking(tables)
    table = _configurations(tables, dataset)
    best = table[table["rank"].notna()].drop_duplicates("variant").set_index("configuration")
    if best.empty:
        return None
    scores = _scores(tables, dataset, ranked_by.metric, ranked_by.at)
    scores = scores[scores["configuration"].isin(best.index)]
    colours = variant_colours(list(tables.cells["variant"]))
    palette = {str(name): colours[variant] for name, variant in best["variant"].items()}
    real = _real(tables, dataset, ranked_by.metric)
    shown = [*scores["value"], *([] if real is None else [real])]
    with drawing():
        figure = Figure(figsize=(9, 1.5 + 0.55 * len(best)), layout="constrained")
        axes = figure.subplots()
        sns.stripplot(
            scores, x="value", y="configuration", order=list(best.index), hue="configuration", palette=palette,
            legend=False, jitter=False, alpha=0.5, size=8, linewidth=0, ax=axes,
        )  # fmt: skip
        labels = []
        for position, (name, row) in enumerate(best.iterrows()):
            mean, low, high = (row[f"{ranked_by.metric}_{ranked_by.at}_{part}"] for part in ("mean", "low", "high"))
            shown += [end for end in (low, high) if not math.isnan(end)]
            axes.errorbar(
                mean, position, xerr=None if math.isnan(low) else high - mean, fmt="D", color=palette[str(name)],
                markersize=5.5, markeredgecolor="black", markeredgewidth=0.8, capsize=4, elinewidth=1.6, zorder=5,
            )  # fmt: skip
            labels.append(f"{folded(name, 28)}\n{_count(row['n'], row['planned'])}")
        if real is not None:
            axes.axvline(real, **_REAL_LINE)
        if ranked_by.lower and min(shown) > 0 and max(shown) > 8 * min(shown):
            logarithmic(axes, "x")
        better = "lower" if ranked_by.lower else "higher"
        axes.set(xlabel=f"{ranked_by.metric} at {ranked_by.at} ({better} is better)", ylabel="")
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


def on_common_updates(scores: pd.DataFrame) -> pd.DataFrame:
    """The curves of one configuration's seeds at the updates where all of them have a value, interpolated.

    Seeds under a budget of minutes are evaluated at different updates; a mean over whichever seed happens to be there
    would jump from seed to seed. Where the seeds share no stretch at all, their points stay as they are.
    """
    wide = scores.pivot_table(index="generator_updates", columns="seed", values="value")
    shared = wide.interpolate(method="index", limit_area="inside").dropna()
    long = (wide if shared.empty else shared).melt(ignore_index=False).dropna().reset_index()
    return long.assign(configuration=scores["configuration"].iloc[0])


def _scores(tables: Tables, dataset: str, metric: str, point: str) -> pd.DataFrame:
    """The finite scores of done cells, each with its configuration."""
    scores = finished(tables)
    chosen = (scores["dataset"] == dataset) & (scores["metric"] == metric) & (scores["point"] == point)
    names = labelled(tables.cells).set_index("key")["configuration"]
    return scores[chosen].assign(configuration=lambda table: table["key"].map(names))


def _configurations(tables: Tables, dataset: str) -> pd.DataFrame:
    """The rows of the leaderboard of `dataset`, best first."""
    table = leaderboards(tables)
    return table[(table["dataset"] == dataset) & (table["row"] == "configuration")]


def _real(tables: Tables, dataset: str, metric: str) -> float | None:
    rows = tables.references[(tables.references["dataset"] == dataset) & (tables.references["metric"] == metric)]
    values = rows["value"].dropna()
    return float(values.iloc[0]) if len(values) else None


def _count(n: int, planned: int) -> str:
    return f"n={n}" if n == planned else f"n={n} of {planned}"
