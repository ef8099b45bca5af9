"""Where trials sit in a stack: every trial once, beside those of its seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.engine.layout import TrialLayout, one_axis, tiled
from gdcli.experiment.grid import Trial
from tests.grids import experiment

(TRIAL,) = experiment("rosenbrock").grid.trials
Place = Callable[[list[Trial], int], TrialLayout]
places = pytest.mark.parametrize("place", [tiled, one_axis])
seeds = st.lists(st.integers(0, 5) | st.just(2**90), min_size=1, max_size=40)


def trials_of(drawn: list[int], method: str = "minibatch") -> list[Trial]:
    """Return a trial of each seed."""
    like = replace(TRIAL, method=method)
    return [replace(like, seed=seed, lr=float(i + 1)) for i, seed in enumerate(drawn)]


@places
@given(drawn=seeds, width=st.integers(1, 9))
def test_what_is_spread_over_places_is_gathered_again(
    place: Place, drawn: list[int], width: int
) -> None:
    layout = place(trials_of(drawn), width)
    values = list(range(100, 100 + len(drawn)))
    spread = layout.scatter(values)
    assert spread.shape == layout.shape == layout.seed.shape == layout.filled().shape
    assert layout.gather(spread).tolist() == values
    points = np.stack([spread, 2 * spread, 3 * spread])  # as a recorder stacks them
    assert layout.gather(points).tolist() == [[k * v for v in values] for k in (1, 2, 3)]


@places
@given(drawn=seeds, width=st.integers(1, 9))
def test_every_trial_has_one_place_of_its_own_seed(
    place: Place, drawn: list[int], width: int
) -> None:
    layout = place(trials_of(drawn), width)
    assert layout.seeds == tuple(dict.fromkeys(drawn))
    assert len(set(layout.place.tolist())) == len(drawn) == layout.filled().sum()
    assert [layout.seeds[i] for i in layout.gather(layout.seed)] == drawn
    # What fills a place that no trial has is a trial of the place's seed: its batch fits.
    assert [layout.seeds[i] for i in layout.seed.flat] == [
        drawn[i] for i in layout.source_trial.flat
    ]


@given(drawn=seeds, width=st.integers(1, 9))
def test_seeds_have_as_few_tiles_as_the_largest_needs(drawn: list[int], width: int) -> None:
    layout = tiled(trials_of(drawn), width)
    most = max(drawn.count(seed) for seed in drawn)
    assert layout.shape == (len(set(drawn)), -(-most // width), width)
    for row, seed in zip(layout.seed, range(len(layout.seeds)), strict=True):
        assert (row == seed).all()


@given(drawn=seeds, width=st.integers(1, 9))
def test_trials_whose_steps_have_all_examples_share_tiles(drawn: list[int], width: int) -> None:
    layout = tiled(trials_of(drawn, "gd"), width)
    assert layout.shape == (1, -(-len(drawn) // width), width)
    assert layout.place.tolist() == list(range(len(drawn)))
    assert [layout.seeds[i] for i in layout.gather(layout.seed)] == drawn


@given(drawn=seeds, multiple=st.integers(1, 9))
def test_places_on_one_axis_are_padded_to_a_multiple(drawn: list[int], multiple: int) -> None:
    layout = one_axis(trials_of(drawn), multiple)
    (count,) = layout.shape
    assert count % multiple == 0
    assert len(drawn) <= count < len(drawn) + multiple
    assert layout.place.tolist() == list(range(len(drawn)))
