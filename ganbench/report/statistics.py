"""Statistics over seeds. Kept apart from the tables, because more of it is to come."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit  # and not scipy.stats, which takes a second to import


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


@cache  # the same few numbers of seeds for every score of a report, and scipy takes its time
def _quantile(confidence: float, freedom: int) -> float:
    return float(stdtrit(freedom, (1 + confidence) / 2))
