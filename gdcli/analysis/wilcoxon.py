"""Wilcoxon's signed-rank test (1945): whether paired differences are centred at 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from math import erfc, sqrt

MOST_EXACT = 50  # differences; of more the normal approximation is as good


def signed_rank_p(differences: Sequence[float]) -> float | None:
    """Return the two-sided p-value; None where no difference is other than 0.

    Differences of 0 are left out, as Wilcoxon did, and equal ones share their mean rank. Up to
    fifty differences the distribution is exact, with the ranks as they are; beyond, normal, with
    the variance that ties leave. Differences may be infinite, and none may be NaN.
    """
    signed = sorted((d for d in differences if d != 0), key=abs)
    if not signed:
        return None
    ranks = _doubled_ranks([abs(d) for d in signed])
    positive = sum(rank for rank, d in zip(ranks, signed, strict=True) if d > 0)
    tail = _exact_tail if len(signed) <= MOST_EXACT else _normal_tail
    return min(1.0, 2 * tail(ranks, min(positive, sum(ranks) - positive)))


def _doubled_ranks(ordered: Sequence[float]) -> list[int]:
    """Return twice the rank of each of sorted numbers: whole, though equal ones share theirs."""
    ranks: list[int] = []
    for _, group in groupby(ordered):
        size = len(list(group))
        ranks += [2 * len(ranks) + size + 1] * size
    return ranks


def _exact_tail(ranks: Sequence[int], least: int) -> float:
    """Return the share of all signs whose positive ranks sum to `least` or less."""
    ways = Counter({0: 1})
    for rank in ranks:
        more = Counter({total + rank: count for total, count in ways.items()})
        ways += more
    return sum(count for total, count in ways.items() if total <= least) / (1 << len(ranks))


def _normal_tail(ranks: Sequence[int], least: int) -> float:
    """Return the same by the normal approximation: the ranks' signs are independent."""
    mean, deviation = sum(ranks) / 2, sqrt(sum(rank * rank for rank in ranks)) / 2
    return erfc((mean - least) / deviation / sqrt(2)) / 2
