"""How every plot looks: one colour per variant, safe for the colour-blind, and the same bytes for the same records."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import matplotlib
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ganbench.report.colours import Colour
from ganbench.report.words import folded

DPI = 144
GREY = "#6b6b6b"
DASHES: tuple[Any, ...] = ("", (6, 1.5), (1.5, 1.2), (6, 1.5, 1.5, 1.5), (10, 2))
MARKERS = ("o", "s", "^", "D", "v")
_RC = {
    **sns.axes_style("whitegrid"),
    "axes.edgecolor": "#b0b0b0",
    "axes.titlelocation": "left",
    "font.size": 10,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    # Names are text: a dollar sign in one is no formula.
    "text.parse_math": False,
    # Text that can be selected, in fonts that publishers take.
    "pdf.fonttype": 42,
    # Without these an SVG file would differ from run to run.
    "svg.hashsalt": "ganbench",
}


class Look(NamedTuple):
    colour: Any
    dashes: Any = ""
    marker: str = ""

    @property
    def linestyle(self) -> Any:
        return (0, self.dashes) if self.dashes else "-"


@contextmanager
def drawing() -> Iterator[None]:
    """The house style inside the block, the caller's settings untouched outside."""
    with matplotlib.rc_context(_RC):
        yield


def looks(variant_of: Mapping[str, str], colours: Mapping[str, Colour]) -> dict[str, Look]:
    """Configuration -> how its line looks: its variant's hue, in shades where the variant has several.

    `variant_of` maps the configurations of one plot to their variants.
    """
    found = {}
    for variant in set(variant_of.values()):
        labels, colour = sorted(label for label in variant_of if variant_of[label] == variant), colours[variant]
        ends = [sns.utils.set_hls_values(colour, l=lightness) for lightness in (0.15, 0.66)]
        shades = [colour] if len(labels) == 1 else sns.blend_palette([ends[0], colour, ends[1]], len(labels))
        for position, (label, shade) in enumerate(zip(labels, shades, strict=True)):
            kind = position % len(DASHES)
            found[label] = Look(shade, DASHES[kind], MARKERS[kind])
    return found


#: Colours that stay apart on thin lines; with black and four kinds of dashes so many lines can be told apart.
_LINES = (0, 1, 2, 3, 4, 9)
DISTINCT = 28


def distinct_looks(count: int) -> list[Look]:
    """Looks for `count` lines of equal standing: first all solid ones, then dashed ones, and so on."""
    palette = sns.color_palette("colorblind")
    colours = [*(palette[index] for index in _LINES), (0.15, 0.15, 0.15)]
    return [
        Look(
            colours[index % len(colours)],
            DASHES[index // len(colours) % len(DASHES)],
            MARKERS[index % len(MARKERS)],
        )
        for index in range(count)
    ]


def value_looks(count: int, *, ordered: bool) -> list[Look]:
    """Looks for `count` values of a parameter: from dark to light where they have an order, else distinct."""
    if not ordered:
        return distinct_looks(count)
    colours = matplotlib.colormaps["viridis"]([0.76 * index / max(count - 1, 1) for index in range(count)])
    markers = [MARKERS[index % len(MARKERS)] for index in range(count)]
    return [Look(tuple(colour[:3]), "", marker) for colour, marker in zip(colours.tolist(), markers, strict=True)]


def titled(axes: Axes, title: str, explanation: str) -> None:
    """A title, and below it in grey what the marks mean."""
    axes.set_title(f"{folded(title, 52)}\n", fontweight="bold", fontsize=12)
    place: dict[str, Any] = {"xy": (0, 1), "xycoords": "axes fraction", "xytext": (0, 6), "textcoords": "offset points"}
    axes.annotate(explanation, **place, fontsize=8.5, color=GREY, va="bottom")


def logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make one axis logarithmic, with plain numbers, and enough of them when it spans less than a decade."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axis.get_view_interval())
    span = high / low
    if span > 1e4:
        axis.set_major_locator(LogLocator(numticks=9))
    elif span > 1.6:
        subs = (1.0, 2.0, 5.0) if span > 12 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
        axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    else:
        axis.set_major_locator(MaxNLocator(6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_formatter(NullFormatter())


def counted(value: float, _: object = None) -> str:
    """A tick of an axis that counts: ``7.5``, ``12,000``, ``400k``, ``1.2M``."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= max(size, 1e5):
            return f"{value / size:,.6g}{letter}"
    return f"{value:,.6g}"


def png(figure: Figure) -> bytes:
    """The picture as PNG; the same bytes for the same picture."""
    content = io.BytesIO()
    with drawing():
        # Not `savefig`, which draws everything twice and lays it out each time: half the time of a report.
        figure.set_dpi(DPI)
        FigureCanvasAgg(figure).print_png(content, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return content.getvalue()


#: The formats that figures are written in where nothing else is asked for; ``pdf`` is for papers.
FIGURES = ("png", "svg")


def saved(figure: Figure, formats: Sequence[str] = FIGURES) -> dict[str, bytes]:
    """Suffix -> content of the picture in each of `formats` (``png``, ``svg``, ``pdf``), all with the PNG's layout."""
    found = {"png": png(figure)}
    with drawing():
        figure.set_layout_engine("none")
        for suffix in formats:
            content = io.BytesIO()
            if suffix == "svg":
                FigureCanvasSVG(figure).print_svg(content, metadata={"Date": None})  # type: ignore[no-untyped-call]
            elif suffix == "pdf":
                facts = {"CreationDate": None, "Creator": None, "Producer": None}
                FigureCanvasPdf(figure).print_pdf(content, metadata=facts)  # type: ignore[no-untyped-call]
            else:
                continue
            found[suffix] = content.getvalue()
    return {suffix: found[suffix] for suffix in formats}
