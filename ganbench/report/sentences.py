"""Comparisons in words: what is asked, which value to start from, and the numbers behind it. All text is Markdown."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ganbench.contracts import Tables
from ganbench.report.advice import Advice, advice, seen_from
from ganbench.report.axes import default_axis
from ganbench.report.leaderboard import Ranking, ranking
from ganbench.report.matched import FEWEST, Comparison, exponential
from ganbench.report.pairs import AXES, BEST
from ganbench.report.words import for_markdown, listed

#: The questions that every roadmap answers or says that it cannot, by symbol.
STANDARD = {
    "UP": "Upsampling",
    "BS": "Batch size",
    "NCRIT": "Critic turns per generator turn",
    "BN": "Batch normalisation",
    "OPT": "Optimiser",
    "β1": "Adam's β1",
}
_TITLES = {
    **STANDARD,
    "η": "Step size",
    "β2": "β2",
    "λ": "Weight of the gradient penalty",
    "CLIP": "Weight clipping",
    "EMA": "Averaged generator",
    "LATENT": "Latent distribution",
    "LDIM": "Latent dimensions",
    "MOM": "Momentum",
    "SAT": "Saturating cost",
    "SCHED": "Step size over the budget",
    "SMOOTH": "Label smoothing",
    "WIDTH": "Width of the networks",
}
_SAYS = {
    "helps": "helps",
    "hurts": "hurts",
    "no clear effect": "has no clear effect",
    "too few pairs": "has too few pairs to say",
}


def title(question: str) -> str:
    return for_markdown(_TITLES.get(question, question))


def place(question: str) -> tuple[int, str]:
    """Where a question stands among the others."""
    known = list(_TITLES)
    return (known.index(question) if question in known else len(known), question)


def value(question: str, text: str) -> str:
    """A value as sentences name it: ``UP=Nearest``, ``no SMOOTH``."""
    return for_markdown(text if text.startswith("no ") else f"{question}={text}")


@dataclass(frozen=True)
class Voice:
    """What all sentences of one roadmap share: the ranking, and the axes, that of the verdicts first."""

    ranking: Ranking
    axes: dict[str, str]

    @property
    def axis(self) -> str:
        return next(iter(self.axes))


def voice(tables: Tables, comparisons: Sequence[Comparison]) -> Voice:
    """Verdicts are read on the axis of the budget's unit; epochs and images are one axis where they always agree."""
    names = {axis: f"equal {axis.replace('_', ' ')}" for axis in AXES}
    chosen = default_axis(tables.run)
    first = chosen if chosen in AXES else "images"
    if _coincide(comparisons):
        one, other = ("epochs", "images") if first == "epochs" else ("images", "epochs")
        names[one] += f" (= {names.pop(other)})"
    return Voice(ranking(tables), {first: names.pop(first), **names})


def _coincide(comparisons: Iterable[Comparison]) -> bool:
    """Whether every comparison is the same at equal epochs as at equal images."""
    sides: dict[str, list[tuple[float, ...]]] = {"epochs": [], "images": []}
    for each in comparisons:
        if each.axis in sides:
            sides[each.axis].append((each.n, *(0.0 if math.isnan(x) else x for x in (each.mean, each.low, each.high))))
    return all(
        math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
        for ones, others in zip(sides["epochs"], sides["images"], strict=True)
        for one, other in zip(ones, others, strict=True)
    )


def answer(comparisons: Sequence[Comparison], voice: Voice, *, over: str = "") -> str:
    """The comparisons of one parameter in sentences: which value to start from, and its effect over each other one.

    `over` says what they are pooled over, where they are.
    """
    question = comparisons[0].question
    ranked = [each for each in comparisons if each.metric == voice.ranking.metric]
    found = advice(each for each in ranked if each.axis == voice.axis)
    if found is None:
        return nothing(ranked, voice)
    parts = [_opening(found, question, over)]
    parts.append("; ".join(_over(each, comparisons, voice) for each in found.over) + ".")
    parts += [*_ties(found, question), *_axes(ranked, found.value, voice)]
    return " ".join(parts)


def nothing(ranked: Sequence[Comparison], voice: Voice) -> str:
    """Why there is no number."""
    planned = sum(each.planned for each in ranked if each.axis == voice.axis)
    if not planned:
        return "too few pairs (n=0): it never differs alone."
    left_out = sum(each.left_out for each in ranked if each.axis == voice.axis)
    why = [f"{planned - left_out} have a cell that is not done"] if planned > left_out else []
    why += [f"{left_out} have no score at {voice.axes[voice.axis]}"] if left_out else []
    return f"too few pairs (n=0 of {planned}: {' and '.join(why)})."


def _opening(found: Advice, question: str, over: str) -> str:
    best = f"**{value(question, found.value)}**"
    over = f" {over}" if over else ""
    if found.circular:
        return f"every value is beaten by another{over}; {best} has the best mean:"
    if found.decided:
        return f"start from {best}{over}:"
    if all(each.verdict == "too few pairs" for each in found.over):
        return f"too few pairs to say{over}; {best} is ahead on average:"
    return f"no value stands out{over}; {best} is ahead on average:"


def _over(ranked: Comparison, comparisons: Sequence[Comparison], voice: Voice) -> str:
    """One comparison, by the ranked metric and by all others."""
    same = [
        seen_from(each, ranked.b)
        for each in comparisons
        if {each.a, each.b} == {ranked.a, ranked.b} and each.axis == ranked.axis and each.n
    ]
    others = [each for each in same if each.metric != voice.ranking.metric]
    effects = [effect(ranked), *(effect(each, count=each.n != ranked.n) for each in others)]
    return f"{', '.join(effects)} against {value(ranked.question, ranked.a)} ({count(ranked)})"


def effect(comparison: Comparison, *, count: bool = False) -> str:
    """``fcd ×0.71 [0.62, 0.81] (helps)``; the number of pairs where it is not that beside."""
    numbers = [comparison.mean, comparison.low, comparison.high]
    if comparison.direction == "lower":
        text = "×" + measured([exponential(number) for number in numbers], neutral=1)
    else:
        text = measured(numbers, neutral=0, sign="+")
    n = f" (n={comparison.n})" if count else ""
    agree = ""
    if math.isnan(comparison.low) and comparison.n > 1:
        agree = f" (better in {comparison.better} of {comparison.n})"
    verdict = "" if comparison.verdict == "too few pairs" else f" ({comparison.verdict})"
    return f"{for_markdown(comparison.metric)} {text}{agree}{verdict}{n}"


def count(comparison: Comparison) -> str:
    """``n=11 of 12 pairs, 3 seeds, 4 contexts``."""
    n, planned = comparison.n, comparison.planned
    text = f"n={n}" if n == planned else f"n={n} of {planned}"
    text += f" pair{'s' if planned > 1 else ''}, {comparison.seeds} seed{'s' if comparison.seeds > 1 else ''}"
    if comparison.contexts > 1 and comparison.parameter != BEST:
        text += f", {comparison.contexts} contexts"
    if n < FEWEST:
        return f"{text}: too few pairs"
    return text if comparison.seeds > 1 else f"{text}: the seed does not vary, so no interval"


def measured(numbers: Sequence[float], *, neutral: float, sign: str = "") -> str:
    """``0.71 [0.62, 0.81]``: a mean and its interval, if it has one, with two decimals or as many as tell them apart
    from `neutral` and from zero.
    """
    known = [number for number in numbers if not math.isnan(number)]
    if max(abs(number) for number in known) >= 1e5:
        texts = [f"{number:{sign}.1e}" for number in known]
    else:
        for decimals in range(2, 7):
            texts = [f"{number:{sign}.{decimals}f}" for number in known]
            if all(
                abs(float(text) - at) > 0 or number == at
                for text, number in zip(texts, known, strict=True)
                for at in (neutral, 0.0)
            ):
                break
    return texts[0] if len(texts) == 1 else f"{texts[0]} [{texts[1]}, {texts[2]}]"


def _ties(found: Advice, question: str) -> list[str]:
    ties = [value(question, each.a) for each in found.over if each.verdict == "no clear effect"]
    if not ties or not found.decided:
        return []
    return [f"{listed([value(question, found.value), *ties])} cannot be told apart."]


def _axes(ranked: Sequence[Comparison], best: str, voice: Voice) -> list[str]:
    """One sentence for each two values whose verdict is not the same on every axis."""
    texts = []
    for (a, b), group in itertools.groupby(ranked, lambda each: (each.a, each.b)):
        seen = best if best in (a, b) else b
        sides = {each.axis: seen_from(each, seen) for each in group if each.axis in voice.axes}
        first = sides[voice.axis]
        for axis, other in sides.items():
            if axis == voice.axis or other.verdict == first.verdict or not first.n:
                continue
            texts.append(
                f"The axis changes the verdict: at {_named(voice, voice.axis, first)} {_said(first)}, "
                f"at {_named(voice, axis, other)} it {_SAYS[other.verdict]} ({_evidence(other)})"
                + (": the budget decides." if "too few pairs" not in (first.verdict, other.verdict) else ".")
            )
    return texts


def _said(comparison: Comparison) -> str:
    question = comparison.question
    pair = f"{value(question, comparison.b)} {_SAYS[comparison.verdict]} against {value(question, comparison.a)}"
    return f"{pair} ({_evidence(comparison)})"


def _named(voice: Voice, axis: str, comparison: Comparison) -> str:
    # Every turn of a critic draws its own batch.
    passes = ", which are equal critic passes," if comparison.symbol == "NCRIT" and axis != "generator_updates" else ""
    return voice.axes[axis] + passes


def _evidence(comparison: Comparison) -> str:
    if not comparison.n:
        return f"n=0, {comparison.left_out} left out"
    left_out = f", {comparison.left_out} left out" if comparison.left_out else ""
    return f"{effect(comparison._replace(verdict='too few pairs'))}, n={comparison.n}{left_out}"
