"""How a series of losses ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.analysis.quantiles import last_quarter


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60))
def test_the_last_quarter_is_at_the_end(values: list[float]) -> None:
    last = last_quarter(values)
    assert 0 < len(last) <= len(values) / 2
    assert values[-len(last) :] == last


@pytest.mark.parametrize(("count", "last"), [(2, 1), (7, 3), (8, 4), (15, 4), (16, 4), (40, 10)])
def test_a_quarter_has_four_values_where_there_are_enough(count: int, last: int) -> None:
    assert len(last_quarter([1.0] * count)) == last
