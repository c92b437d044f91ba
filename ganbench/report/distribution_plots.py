"""Pictures of a dataset: samples, classes, and what its pixels are like."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from ganbench.data import Prepared
from ganbench.report.distribution import VALUES, Distribution, channel_names
from ganbench.report.style import DPI, GREY, drawing, logarithmic, titled
from ganbench.report.words import short
from ganbench.sheets import COLUMNS, ROWS, real_sheet

_SHEET = 1000  # width that a sheet of samples is enlarged to, about, in pixels
_MARGINS = (150, 110, 30, 30)  # left, top, right, bottom of the sheet, in pixels
#: More classes than the first number are drawn as steps and not as bars; up to the second each has its number below.
_BARS, _NUMBERED = 40, 30
#: Probabilities below it look alike in a heat map.
_RAREST = 1e-5
#: With so few different values a heat map would be thin lines on white.
_FEW = 64


def samples(prepared: Prepared) -> Figure:
    """Images of the train split: ten of each of the first ten classes in a row, or the first hundred."""
    images, labels, *_ = prepared.splits["train"]
    number, size = prepared.spec.classes, prepared.spec.size
    with Image.open(io.BytesIO(real_sheet(images, labels, number))) as file:
        sheet = np.asarray(file)
    gap = (sheet.shape[1] - COLUMNS * size) // (COLUMNS + 1)
    sheet = sheet[gap:-gap, gap:-gap]
    height, width = sheet.shape[:2]
    # By a whole number, so that every pixel of a small image is as large as the others.
    scale = max(1, round(_SHEET / width)) if width < 1.5 * _SHEET else _SHEET / width
    left, top, right, bottom = _MARGINS if labels is not None else (30, *_MARGINS[1:])
    page = (left + width * scale + right, top + height * scale + bottom)
    with drawing():
        figure = Figure(figsize=(page[0] / DPI, page[1] / DPI))
        place = (left / page[0], bottom / page[1], width * scale / page[0], height * scale / page[1])
        axes = figure.add_axes(place)
        axes.imshow(sheet, interpolation="nearest" if scale >= 1 else "antialiased", aspect="auto")
        _bare(axes)
        what = f"the first {min(len(images), ROWS * COLUMNS)} images of the train split"
        if labels is not None:
            rows = min(number, ROWS)
            counts = np.bincount(labels, minlength=number)
            names = [f"{label}  ({counts[label]:,})" for label in range(rows)]
            axes.set_yticks(np.arange(rows) * (size + gap) + (size - 1) / 2, names)
            shown = f"{rows} classes" if rows == number else f"first {rows} of {number} classes"
            what = f"train split, {shown}; beside each row the class and its number of images"
        titled(axes, f"{short(prepared.name)}: samples", what)
    return figure


def classes(name: str, counts: Mapping[str, np.ndarray]) -> Figure:
    """Images per class; `counts` has int64 K for each split."""
    number = len(next(iter(counts.values())))
    palette = sns.color_palette("colorblind")
    with drawing():
        figure = Figure(figsize=(9, 4), layout="constrained")
        axes = figure.subplots()
        for position, (split, count) in enumerate(counts.items()):
            style: dict[str, Any] = {"color": palette[position], "label": f"{split} ({count.sum():,})"}
            if number > _BARS:
                axes.stairs(count, np.arange(number + 1) - 0.5, linewidth=1.4, **style)
            else:
                width = 0.8 / len(counts)
                middle = np.arange(number) + width * (position - (len(counts) - 1) / 2)
                axes.bar(middle, count, width, linewidth=0, **style)
        axes.set(xlabel="class", ylabel="images", xlim=(-0.6, number - 0.4))
        axes.set_ylim(bottom=0)
        if number <= _NUMBERED:
            axes.set_xticks(range(number))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid(False, axis="x")
        sns.despine(ax=axes)
        titled(axes, f"{short(name)}: images per class", "in brackets the images of the split")
        figure.legend(loc="outside right upper")
    return figure


def pixels(name: str, distribution: Distribution) -> Figure:
    """Maps of the mean and the variance of every pixel, a pair for each channel."""
    channels = len(distribution.mean)
    with drawing():
        figure = Figure(figsize=(9, 4.3) if channels == 1 else (9, 6.2), layout="compressed")
        # The pair of grey images is side by side; of colour images each channel has a column.
        grid = figure.subplots(*((1, 2) if channels == 1 else (2, channels)), squeeze=False)
        for what, maps, row in (
            ("mean", distribution.mean, grid.reshape(2, channels)[0]),
            ("variance", distribution.variance, grid.reshape(2, channels)[1]),
        ):
            for channel, axes in enumerate(row):
                colours = "gray" if what == "mean" else "rocket"
                drawn = axes.imshow(maps[channel], cmap=colours, vmin=maps.min(), vmax=maps.max())
                _bare(axes)
                axes.set_title(what if channels == 1 else f"{what}, {channel_names(channels)[channel]}", fontsize=10)
            place = row[-1].inset_axes((1.05, 0, 0.06, 1))
            bar = figure.colorbar(drawn, cax=place, label=f"{what} (of values 0 to 255)")
            bar.outline.set_visible(False)
            bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        about = f"{distribution.images:,} images of the train split; colours reach from lowest to highest"
        _headed(figure, f"{short(name)}: mean and variance of every pixel", about)
    return figure


def values(name: str, distribution: Distribution) -> Figure:
    """The probability of each value 0 to 255, over all pixels and of the centre pixel, a line per channel."""
    channels, height, width = distribution.mean.shape
    panels = (
        ("all pixels", distribution.values),
        (f"centre pixel (row {height // 2}, column {width // 2})", distribution.centre),
    )
    with drawing():
        figure = Figure(figsize=(9, 6.6), layout="constrained")
        for axes, (title, counts) in zip(figure.subplots(2, 1), panels, strict=True):
            probability = counts / counts.sum(1, keepdims=True)
            for channel, (label, colour) in enumerate(zip(channel_names(channels), _colours(channels), strict=True)):
                style: dict[str, Any] = {"fill": True, "alpha": 0.8} if channels == 1 else {"linewidth": 1.2}
                axes.stairs(probability[channel], np.arange(VALUES + 1) - 0.5, color=colour, label=label, **style)
            seen = probability[probability > 0]
            scale = "linear scale"
            axes.set_ylim(0, 1.05 * float(seen.max()))
            # On a linear scale one value that dwarfs the others would leave them at the floor.
            if seen.max() > 10 * np.median(seen):
                axes.set_ylim(float(seen.min()) / 2, min(1.5, 2 * float(seen.max())))
                logarithmic(axes, "y")
                scale = "logarithmic scale; values without a mark never occur"
            axes.set(xlabel="value", ylabel="probability", xlim=(-1.5, VALUES + 0.5))
            axes.set_xticks([0, 32, 64, 96, 128, 160, 192, 224, 255])
            sns.despine(ax=axes)
            titled(axes, f"{short(name)}: {title}", f"{distribution.images:,} images of the train split; {scale}")
        if channels > 1:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def columns(name: str, distribution: Distribution) -> Figure:
    """How the values of a column near the edge and of the centre column are distributed, row by row of the image."""
    channels, _, width = distribution.mean.shape
    probabilities = {column: counts / distribution.images for column, counts in distribution.columns.items()}
    seen = np.concatenate([probability[probability > 0] for probability in probabilities.values()])
    # A decade at least: where nothing varies there is only one probability.
    norm = LogNorm(min(max(seen.min(), _RAREST), seen.max() / 10), seen.max())
    occurring = np.flatnonzero(distribution.values.sum(0))
    about = f"{distribution.images:,} images of the train split; columns counted from 0 to {width - 1}; white: never"
    drawn_as = np.arange(VALUES)
    if len(occurring) <= _FEW:
        drawn_as = occurring[np.abs(drawn_as[:, None] - occurring).argmin(1)]
        about += f"; the {len(occurring)} values that occur are widened"
    rows = len(probabilities)
    with drawing():
        figure = Figure(figsize=(9, 4.6) if channels == 1 else (9, 1.2 + 3.1 * rows), layout="constrained")
        grid = figure.subplots(*((1, rows) if channels == 1 else (rows, channels)), squeeze=False, sharex=True)
        for (column, probability), row in zip(probabilities.items(), grid.reshape(rows, channels), strict=True):
            for channel_name, shown, axes in zip(channel_names(channels), probability, row, strict=True):
                shown = np.where(shown > 0, shown, np.nan)[:, drawn_as]
                drawn = axes.imshow(shown, norm=norm, cmap="mako_r", aspect="auto", interpolation="nearest")
                axes.grid(False)
                axes.set_xticks([0, 64, 128, 192, 255] if channels == 1 else [0, 128, 255])
                axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
                axes.set_title(f"column {column}" if channels == 1 else f"column {column}, {channel_name}", fontsize=10)
        for axes in grid[-1]:
            axes.set_xlabel("value")
        for axes in grid[:, 0]:
            axes.set_ylabel("row of the image")
        bar = figure.colorbar(drawn, ax=grid.ravel().tolist(), label="probability of the value", aspect=30, pad=0.02)
        bar.outline.set_visible(False)
        logarithmic(bar.ax, "y")
        _headed(figure, f"{short(name)}: values down two columns of pixels", about)
    return figure


def _headed(figure: Figure, title: str, explanation: str) -> None:
    """A title above all panels of a figure, and in grey below them what they show."""
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    figure.supxlabel(explanation, x=0.01, ha="left", fontsize=8.5, color=GREY)


def _bare(axes: Axes) -> None:
    """No ticks, no grid and no frame."""
    axes.grid(False)
    axes.set(xticks=[], yticks=[])
    axes.tick_params(length=0)
    sns.despine(ax=axes, left=True, bottom=True)


def _colours(channels: int) -> Sequence[Any]:
    """Grey, or the palette's red, green and blue, which the colour-blind can tell apart."""
    palette = sns.color_palette("colorblind")
    return ("#404040",) if channels == 1 else (palette[3], palette[2], palette[0])
