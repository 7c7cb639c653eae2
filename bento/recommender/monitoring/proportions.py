"""Statistics of counted shares: intervals, a test, a correction. Pure."""

from __future__ import annotations

import math
from statistics import NormalDist

Z_95 = NormalDist().inv_cdf(0.975)
"""Half the width of a 95 % interval, in standard errors."""


def wilson_interval(successes: int, trials: int) -> tuple[float, float] | None:
    """The 95 % interval of a share; None without trials.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if trials == 0:
        return None
    share, z2 = successes / trials, Z_95**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def two_proportion_z(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float] | None:
    """z (positive: the second share is the larger) and the two-sided p-value of "both shares are equal".

    Each of (successes, trials). The variance is pooled and z taken as normal, which needs about ten successes and
    ten failures on each side. None when one side has no trials, or when all or no trials succeeded.
    """
    (a, n), (b, m) = first, second
    if n == 0 or m == 0 or not 0 < a + b < n + m:
        return None
    pooled = (a + b) / (n + m)
    z = (b / m - a / n) / math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return z, 2 * NormalDist().cdf(-abs(z))


def holm(p_values: list[float]) -> list[float]:
    """p-values of several comparisons, corrected so that together they keep the error rate of one.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    smallest_first = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(smallest_first):
        least = max(least, min(1.0, p_values[at] * (len(p_values) - rank)))
        adjusted[at] = least
    return adjusted
