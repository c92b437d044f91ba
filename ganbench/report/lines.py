"""Drawing of learning curves: a panel per metric, all with the same lines, and one legend beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ganbench.report.axes import AXES
from ganbench.report.leaderboard import REAL
from ganbench.report.study import Curve, Study
from ganbench.report.style import Look, counted, drawing, logarithmic, titled
from ganbench.report.words import folded, number, short

#: Up to so many evaluations each is marked with a point.
_MARKED = 25
#: With more lines than this only every few evaluations, not the same of neighbouring lines.
_CROWD = 10
#: More plain lines than this are drawn as one artist: one each, of thousands, takes seconds in every panel.
_MANY = 100
REAL_LINE: dict[str, Any] = {"color": "black", "linestyle": (0, (4, 3)), "linewidth": 1.2}


@dataclass(frozen=True)
class Line:
    """The curves of one line of a figure by metric, and how it looks. Without a `label` it has no legend entry."""

    curves: Mapping[str, Curve]
    look: Look
    label: str = ""
    width: float = 1.8
    alpha: float = 1.0
    band: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but a line."""
        return not (self.label or self.look.marker or self.look.dashes or self.band)


def panels(
    study: Study,
    dataset: str,
    metrics: Sequence[str],
    lines: Sequence[Line],
    *,
    title: str,
    explanation: str,
    legend: str = "",
    far_bound: bool = False,
) -> Figure | None:
    """A figure with a panel for each of `metrics` that one of `lines` has; the first lines lie above the others.

    None where no line has any. `legend` is the title of the legend. The score of real images is a line in a panel;
    where it would leave the curves less than two thirds of the panel it is only said in the legend, unless `far_bound`.
    """
    shown = [metric for metric in metrics if any(metric in line.curves for line in lines)]
    if not shown:
        return None
    columns = 1 if len(shown) < 3 else 2
    rows = math.ceil(len(shown) / columns)
    entries = sum(bool(line.label) for line in lines) + 2
    height = max(4.8 if rows == 1 else 3.9 * rows, 1.2 + 0.22 * entries)
    with drawing():
        figure = Figure(figsize=(9.6 if columns == 1 else 15, height), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).flat
        bounds: list[Line2D] = []
        for axes, metric in zip(grid, shown, strict=False):
            drawn = [line for line in lines if metric in line.curves]
            plain = [line for line in drawn if line.is_plain]
            together = plain if len(plain) > _MANY else []
            for position, line in enumerate(drawn):
                if not (together and line.is_plain):
                    _plot(axes, line, line.curves[metric], position, len(drawn))
            if together:
                _plot_together(axes, [(line, line.curves[metric]) for line in reversed(together)])
            real = study.real(dataset, metric)
            lower = study.ranking.directions[metric] == "lower"
            is_log = lower and all(line.curves[metric].low.min() > 0 for line in drawn) and (real is None or real > 0)
            if real is not None:
                near = far_bound or _is_near(real, [line.curves[metric].mean for line in drawn], is_log)
                bounds.append(_bound(axes, real, f"{metric} " if len(shown) > 1 else "", near))
            if is_log:
                logarithmic(axes, "y")
            axes.set(xlabel=AXES[study.axis], ylabel=f"{metric} ({'lower' if lower else 'higher'} is better)")
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
            axes.xaxis.set_major_formatter(FuncFormatter(counted))
            sns.despine(ax=axes)
        for axes in list(grid)[len(shown) :]:
            axes.remove()
        titled(figure.axes[0], f"{short(dataset)}: {title}", explanation)
        handles = [*(_handle(line) for line in lines if line.label), *bounds]
        figure.legend(handles=handles, loc="outside right upper", title=legend or None, alignment="left")
    return figure


def _plot(axes: Axes, line: Line, curve: Curve, position: int, count: int) -> None:
    """Draw the line at `position` of `count`, the first uppermost."""
    look, points, zorder = line.look, len(curve.x), 3 - position / (count + 1)
    every = 1 if points <= _MARKED and count <= _CROWD else math.ceil(points / 7)
    axes.plot(
        curve.x, curve.mean, color=look.colour, linestyle=look.linestyle, linewidth=line.width, alpha=line.alpha,
        marker=look.marker or None, markersize=5, markeredgecolor="white", markeredgewidth=0.6,
        markevery=(position % every, every), zorder=zorder,
    )  # fmt: skip
    if line.band and curve.n > 1:
        axes.fill_between(curve.x, curve.low, curve.high, color=look.colour, alpha=0.13, linewidth=0, zorder=zorder - 1)


def _plot_together(axes: Axes, lines: Sequence[tuple[Line, Curve]]) -> None:
    """Draw plain lines as one artist, the last uppermost, just above the bands of others."""
    axes.add_collection(
        LineCollection(
            [np.column_stack([curve.x, curve.mean]) for _, curve in lines],
            colors=[to_rgba(line.look.colour, line.alpha) for line, _ in lines],
            linewidths=[line.width for line, _ in lines],
            capstyle="projecting", joinstyle="round", zorder=2.001,
        )
    )  # fmt: skip


def _is_near(real: float, means: Sequence[np.ndarray], is_log: bool) -> bool:
    """Whether an axis that reaches `real` leaves the curves two thirds of it."""
    low, high = min(mean.min() for mean in means), max(mean.max() for mean in means)
    if is_log:
        low, high, real = math.log(low), math.log(high), math.log(real)
    return max(high, real) - min(low, real) <= 1.5 * (high - low)


def _bound(axes: Axes, real: float, metric: str, near: bool) -> Line2D:
    """The score of the real images as a line, or only in the legend. Returns its entry there."""
    if not near:
        return Line2D([], [], linestyle="none", label=f"{REAL}: {metric}{number(real)}")
    axes.axhline(real, **REAL_LINE, zorder=1.5)
    return Line2D([], [], label=f"{REAL}: {metric}{number(real)}" if metric else REAL, **REAL_LINE)


def _handle(line: Line) -> Line2D:
    look = line.look
    handle = Line2D([], [], color=look.colour, linestyle=look.linestyle, linewidth=line.width, alpha=line.alpha)
    handle.set_label(folded(line.label, 40))
    if look.marker:
        handle.set(marker=look.marker, markersize=5, markeredgecolor="white", markeredgewidth=0.75)
    return handle
