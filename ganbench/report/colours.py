"""One colour per variant, safe for the colour-blind, in every picture and on the page; light to import."""

from __future__ import annotations

from collections.abc import Sequence

Colour = tuple[float, float, float]
#: seaborn's palette "colorblind" from its most to its least distinct colours (its brown and pink resemble its orange).
_PALETTE = (
    "#0173b2", "#de8f05", "#029e73", "#cc78bc", "#56b4e9", "#d55e00", "#ece133", "#949494", "#ca9161", "#fbafe4",
)  # fmt: skip


def variant_colours(variants: Sequence[str]) -> dict[str, Colour]:
    """A colour per variant, by name, so that it is the same in every plot of a run."""
    names = sorted(set(variants))
    if len(names) > len(_PALETTE):
        import seaborn as sns  # takes a second to import

        # The colour-blind palette has ten; beyond them evenly spaced hues are the lesser evil to repeating one.
        return dict(zip(names, sns.color_palette("husl", len(names)), strict=True))
    return {name: _rgb(_PALETTE[position]) for position, name in enumerate(names)}


def hexadecimal(colour: Colour) -> str:
    """``#0173b2``, as a page writes it."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)


def _rgb(text: str) -> Colour:
    red, green, blue = (int(text[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue
