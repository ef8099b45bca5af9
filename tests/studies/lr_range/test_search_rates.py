"""The search on a ladder of rates, on losses that are known."""

from __future__ import annotations

from math import inf, isfinite, log10, nan
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.studies.lr_range.search import (
    HIGHEST,
    LOWEST,
    Level,
    RangeReading,
    level_of,
    place_of,
    rate_at,
    reading_of,
    upcoming,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = place_of(10.0)


def searched(loss: Callable[[float], float], first: float, start: float = 1.0) -> dict[int, Level]:
    """Return all levels that a search holds; `loss` is inf at rates that are unstable."""

    def level(place: int) -> Level:
        end = loss(rate_at(place))
        return Level("stable", end) if isfinite(end) else Level("unstable")

    middle = place_of(first)
    levels = {middle + step: level(middle + step) for step in (-4, -2, 0, 2, 4)}
    for _ in range(60):
        places = upcoming(levels, start, TOP)
        assert not set(places) & set(levels)
        levels |= {place: level(place) for place in places}
        if not places:
            return levels
    raise AssertionError("the search does not end")


def valley(best: float, edge: float, width: float = 1.0) -> Callable[[float], float]:
    """Return a loss that is least at one rate, and unstable from another on."""

    def loss(rate: float) -> float:
        if rate >= edge:
            return inf
        return 1 - 1 / (1 + (log10(rate / best) / width) ** 4)

    return loss


def test_the_ladder_has_exact_rates() -> None:
    assert [rate_at(place) for place in range(-5, 5)] == [
        *(0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
    ]
    assert (rate_at(LOWEST), rate_at(HIGHEST)) == (1e-12, 1e12)
    assert [rate_at(place_of(rate)) for rate in (0.1, 0.12, 0.2, 0.9, 1e-300, 1e300)] == [
        *(0.1, 0.1, 0.3, 1.0, 1e-12, 1e12)
    ]


@given(
    st.floats(-9, 5),
    st.one_of(st.floats(0.1, 4), st.just(inf)),
    st.floats(-12, 12),
    st.floats(0.5, 2),
)
def test_the_search_ends_at_the_best_rate_wherever_it_begins(
    best: float, room: float, first: float, width: float
) -> None:
    edge = 10 ** (best + room)
    levels = searched(valley(10**best, edge, width), 10**first)
    found = reading_of(levels, 1.0)
    assert found.suggested is not None
    assert found.good is not None
    # Between two rungs the best may lie at either.
    assert abs(log10(rate_at(found.suggested)) - best) < max(0.31, 0.4 * width)
    assert rate_at(found.suggested) < edge
    low, high = found.good
    assert low <= found.suggested <= high
    below = [p for p in levels if p < low]
    assert below, "the good region has a lower end"
    assert levels[max(below)].loss > 0.1
    above = [p for p in levels if p > high]
    assert above, "and an upper one"
    assert levels[min(above)].state == "unstable" or levels[min(above)].loss > 0.1
    if found.edge is None:
        assert rate_at(max(levels)) < edge
        assert max(levels) >= TOP
    else:  # the rung below the first unstable one was held, too
        assert rate_at(found.edge) >= edge > rate_at(found.edge - 1)


def test_a_fall_above_the_first_unstable_rate_does_not_win() -> None:
    levels = {place_of(0.01): Level("stable", 0.5), place_of(0.1): Level("unstable")}
    levels[place_of(1.0)] = Level("stable", 0.0)
    found = reading_of(levels, 1.0)
    assert found == RangeReading(place_of(0.01), (place_of(0.01), place_of(0.01)), place_of(0.1))


def test_rates_that_all_blow_up_are_followed_down_to_the_lowest() -> None:
    levels = searched(lambda _: inf, 1e-5)
    assert reading_of(levels, 1.0) == RangeReading(None, None, LOWEST)
    tiny = searched(valley(1e-9, 2e-9), 1.0)
    found = reading_of(tiny, 1.0)
    assert found.suggested is not None
    assert found.edge is not None
    assert (rate_at(found.suggested), rate_at(found.edge)) == (1e-9, 2e-9)


@pytest.mark.parametrize("loss", [1.0, 1.5])
def test_where_the_loss_falls_nowhere_none_is_suggested(loss: float) -> None:
    levels = searched(lambda _: loss, 1e-3)
    assert reading_of(levels, 1.0) == RangeReading(None, None, None)
    assert max(levels) >= TOP
    both = searched(lambda rate: loss if rate < 1 else inf, 1e-3)
    assert reading_of(both, 1.0) == RangeReading(None, None, place_of(1.0))
    assert min(both) <= LOWEST + 12


def test_of_rates_that_end_as_low_the_middle_one_is_suggested() -> None:
    levels = {2 * i: Level("stable", loss) for i, loss in enumerate([0.9, 0.0, 1e-9, 0.0, 0.5])}
    assert reading_of(levels, 1.0).suggested == 4


def test_the_default_is_suggested_where_the_rate_hardly_counts() -> None:
    """A line search ends alike from any first step; a rate that counts is not the default's."""
    flat = {2 * i: Level("stable", 1e-3 * (i == 20)) for i in range(-20, 21)}
    found = reading_of(flat, 1.0, 1.0)
    assert (found.suggested, found.alike) == (place_of(1.0), (-40, 40))
    assert reading_of(flat, 1.0).alike is None
    assert reading_of(flat, 1.0, 1e30).alike is None
    narrow = {**flat, 0: Level("stable", 0.5)}
    assert reading_of(narrow, 1.0, 1.0).alike is None
    assert reading_of(searched(valley(0.1, inf), 1e-3), 1.0, 1e-3).alike is None


def test_of_rates_without_end_a_small_one_is_suggested() -> None:
    levels = searched(lambda rate: 0.0 if rate >= 0.1 else 0.9, 1e-3)
    found = reading_of(levels, 1.0)
    assert found.suggested is not None
    assert found.good == (place_of(0.1), HIGHEST)
    assert rate_at(found.suggested) == 1.0


@pytest.mark.parametrize(
    ("ends", "limits", "level"),
    [
        ([1.0, 3.0, 2.0], [5.0, 5.0, 5.0], Level("stable", 2.0)),
        ([1.0, 6.0, 2.0], [5.0, 5.0, 5.0], Level("unstable")),
        ([1.0, nan, 2.0], [5.0, 5.0, 5.0], Level("unstable")),
        ([-inf], [5.0], Level("unstable")),
    ],
)
def test_one_unstable_seed_makes_a_rate_unstable(
    ends: list[float], limits: list[float], level: Level
) -> None:
    assert level_of(ends, limits) == level
