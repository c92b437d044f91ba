"""Numbers and names as text: how many digits, and what each format of file must not mistake for its own syntax."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence

MISSING = "–"


def clean(text: object) -> str:
    """`text` on one line without control characters (a reason may carry a traceback or a terminal escape)."""
    line = str(text)
    if not line.isprintable():
        line = "".join(c if c.isprintable() else " " for c in line)
    return " ".join(line.split())


def number(mean: float, half: float = math.nan) -> str:
    """``12.35 ± 0.62``: four significant digits of the mean, and the half-width with as many decimals.

    More decimals where the half-width would read as zero, fewer where it would have more than three digits of its own;
    an en dash for NaN.
    """
    if math.isnan(mean):
        return MISSING
    size = max(abs(mean), 0.0 if math.isnan(half) else half)
    if size >= 1e6 or 0 < size < 1e-4:
        return f"{mean:.3e}" if math.isnan(half) else f"{mean:.3e} ± {half:.1e}"
    decimals = 3 - _exponent(mean) if mean else 0
    if half > 0:
        decimals = min(max(decimals, -_exponent(half)), 2 - _exponent(half))
    decimals = min(max(decimals, 0), 6)
    return f"{mean:.{decimals}f}" if math.isnan(half) else f"{mean:.{decimals}f} ± {half:.{decimals}f}"


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def seconds(value: float) -> str:
    if math.isnan(value):
        return MISSING
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def listed(items: Sequence[object]) -> str:
    """``1``, ``1 and 2``, ``1, 2 and 3``; nothing of nothing."""
    texts = [str(item) for item in items]
    return "".join(texts) if len(texts) < 2 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def ranges(numbers: Sequence[int]) -> str:
    """``1, 3 to 6 and 9`` of ascending numbers: three and more that follow each other as one range."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return listed([text for run in runs for text in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else run)])


def short(text: object, length: int = 32) -> str:
    """`text` or, where it is longer than `length`, its end (that of a path tells most) after an ellipsis."""
    line = clean(text)
    return line if len(line) <= length else "…" + line[1 - length :]


def folded(text: object, width: int) -> str:
    """`text` in at most three lines of `width` characters, for a plot, which has only so much room."""
    return "\n".join(textwrap.wrap(clean(text), width, max_lines=3, placeholder=" …"))


def for_csv(text: str) -> str:
    """`text` such that a spreadsheet takes it for text: what could start a formula gets a leading apostrophe."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def for_markdown(text: str) -> str:
    """`text` such that GitHub shows it as it is on one line, inside a table too.

    An underscore inside a word needs no escape.
    """
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|~$]|^#|^[-+](?= )|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"{\char34}",
    "±": r"$\pm$", "×": r"$\times$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "–": "--", "…": r"\ldots{}",
    "†": r"\textdagger{}",
    "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "ε": r"$\varepsilon$", "η": r"$\eta$", "λ": r"$\lambda$",
    "μ": r"$\mu$", "σ": r"$\sigma$", "τ": r"$\tau$", "≤": r"$\le$", "≥": r"$\ge$", "²": r"\textsuperscript{2}",
}  # fmt: skip


def for_latex(text: str) -> str:
    """`text` such that LaTeX sets it as it is, on one line; characters that pdfTeX lacks become ``?``.

    Two hyphens would be a dash, and what begins with ``[`` or ``*`` an option of the line end before it.
    """
    plain = "".join(_LATEX.get(c, c if ord(c) < 0x180 else "?") for c in clean(text).replace("--", "-\0-"))
    plain = re.sub(r"(?<![\w-])-(?=\d)", "$-$", plain).replace("\0", "{}")
    return "{}" + plain if plain.startswith(("[", "*")) else plain
