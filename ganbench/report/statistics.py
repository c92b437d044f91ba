"""Statistics over seeds: intervals, paired differences, how often one beats the other, many tests at once.

Every formula with its source is in docs/statistics.md. Arrays and numbers only; what they are of, `verdicts` knows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv, stdtr, stdtrit  # and not scipy.stats, which takes a second to import

#: With fewer values there is an interval but no p-value.
FEWEST_TESTED = 5


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval; the ends are NaN where there is none."""

    mean: float
    low: float
    high: float


def interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """Mean of `values` with the two-sided Student t interval of that mean.

    One value has no interval (NaN, NaN), no value has no mean either. Raises `ValueError` unless 0 < confidence < 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it lies between 0 and 1")
    sample = np.fromiter(values, dtype=float)
    if sample.size == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(sample.mean())
    if sample.size == 1:
        return Interval(mean, math.nan, math.nan)
    half = _quantile(confidence, sample.size - 1) * float(sample.std(ddof=1)) / math.sqrt(sample.size)
    return Interval(mean, mean - half, mean + half)


def intervals(samples: Sequence[Sequence[float] | np.ndarray]) -> list[Interval]:
    """The `interval` of each of `samples`, to the same bits, in a tenth of the time where there are thousands."""
    found: list[Interval] = [Interval(math.nan, math.nan, math.nan)] * len(samples)
    by_size: dict[int, list[int]] = {}
    for number, sample in enumerate(samples):
        by_size.setdefault(len(sample), []).append(number)
    for size, numbers in by_size.items():
        if not size:
            continue
        for start in range(0, len(numbers), _BLOCK):
            part = numbers[start : start + _BLOCK]
            block = np.array([samples[number] for number in part], dtype=float)
            means = block.mean(axis=1)
            halves = np.full(len(part), math.nan)
            if size > 1:
                halves = _quantile(0.95, size - 1) * block.std(axis=1, ddof=1) / math.sqrt(size)
            ends = zip(part, means.tolist(), (means - halves).tolist(), (means + halves).tolist(), strict=True)
            for number, mean, low, high in ends:
                found[number] = Interval(mean, low, high)
    return found


_BLOCK = 10_000  # samples that are worked on at once


@cache  # the same few numbers of seeds for every score of a report, and scipy takes its time
def _quantile(confidence: float, freedom: int) -> float:
    return float(stdtrit(freedom, (1 + confidence) / 2))


# --- two of them ------------------------------------------------------------------------------------------------------


class Paired(NamedTuple):
    """Differences a - b of values that belong together: their mean with its interval, and the paired t test's p.

    ``p`` (two-sided) is NaN for fewer than `FEWEST_TESTED` differences.
    """

    n: int
    mean: float
    low: float
    high: float
    p: float


def paired(a: Sequence[float], b: Sequence[float]) -> Paired:
    """Compare `a` with `b`, value by value. Raises `ValueError` when they are not equally many."""
    differences = [one - other for one, other in zip(a, b, strict=True)]
    found, n = interval(differences), len(differences)
    return Paired(n, *found, p_value(found, n) if n >= FEWEST_TESTED else math.nan)


def p_value(found: Interval, n: int) -> float:
    """The two-sided p of Student's t test that a mean is zero, from its 95 % `interval` over `n` values.

    NaN where there is no interval. Where all values are equal it is 0, or 1 if they are zero.
    """
    half = (found.high - found.low) / 2
    if math.isnan(half):
        return math.nan
    if half == 0:
        return 1.0 if found.mean == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(found.mean) / half * _quantile(0.95, n - 1)))


def probability(better: float, n: int, confidence: float = 0.95) -> Interval:
    """How probable it is that a beats b with a seed that both share: `better` of `n` (ties count a half).

    The interval is that of Clopper and Pearson (1934), which assumes no distribution and covers at every n what it says
    or more. NaN for n = 0.
    """
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    tail = (1 - confidence) / 2
    low = float(betaincinv(better, n - better + 1, tail)) if better > 0 else 0.0
    high = float(betaincinv(better + 1, n - better, 1 - tail)) if better < n else 1.0
    return Interval(better / n, low, high)


def holm(values: Sequence[float]) -> list[float]:
    """The p-values of a family of tests, corrected for their number (Holm 1979): below 0.05 for one that has no effect
    with a probability of at most 0.05 for all of them together, however they depend on each other.

    NaN (no test was made) stays NaN and does not count.
    """
    order = sorted((p, number) for number, p in enumerate(values) if not math.isnan(p))
    found, least = [math.nan] * len(values), 0.0
    for place, (p, number) in enumerate(order):
        least = found[number] = max(least, min(1.0, (len(order) - place) * p))
    return found
