"""From comparisons to a value to start from: the rule behind every sentence of the roadmap."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from ganbench.report.matched import Comparison, Verdict, exponential

_OPPOSITE: dict[Verdict, Verdict] = {"helps": "hurts", "hurts": "helps"}


class Advice(NamedTuple):
    """The value to start from, and its comparisons as its effect over each other value, best first.

    It is `decided` when the value beats one of the others, and `circular` when every value is beaten by another.
    """

    value: str
    decided: bool
    circular: bool
    over: list[Comparison]


def advice(comparisons: Iterable[Comparison]) -> Advice | None:
    """What the comparisons of one parameter, by one metric at one equal axis, recommend; None without any pair.

    Of the values that no other beats (of all, where each is beaten) the one with the best mean effect over the others.
    """
    known = [comparison for comparison in comparisons if comparison.n]
    values = dict.fromkeys(value for comparison in known for value in (comparison.a, comparison.b))
    views = {value: [seen_from(each, value) for each in known if value in (each.a, each.b)] for value in values}
    if not views:
        return None
    unbeaten = [value for value, over in views.items() if all(each.verdict != "hurts" for each in over)]
    best = max(unbeaten or views, key=lambda value: sum(gain(each) for each in views[value]) / len(views[value]))
    over = sorted(views[best], key=gain, reverse=True)
    return Advice(best, any(each.verdict == "helps" for each in over), not unbeaten, over)


def gain(comparison: Comparison) -> float:
    """The mean effect, positive where b is the better."""
    return -comparison.mean if comparison.direction == "lower" else comparison.mean


def seen_from(comparison: Comparison, value: str) -> Comparison:
    """The comparison as the effect of `value`, one of its two, over the other."""
    if value == comparison.b:
        return comparison
    return comparison._replace(
        a=comparison.b,
        b=comparison.a,
        mean=-comparison.mean,
        low=-comparison.high,
        high=-comparison.low,
        ratio=comparison.ratio if math.isnan(comparison.ratio) else exponential(-comparison.mean),
        better=comparison.worse,
        worse=comparison.better,
        verdict=_OPPOSITE.get(comparison.verdict, comparison.verdict),
    )
