"""The words for some 900 stored trials, against runs ten times as long."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.words.__main__ import lines
from tests.words.measure import rows_of
from tests.words.score import Score, part, scored, stored
from tests.words.trials import groups

if TYPE_CHECKING:
    from tests.words.truth import Row

WRITTEN = Path(__file__).parents[1] / "words/score.txt"
GROUPS = tuple(groups())
ROUNDING = 1e-6  # of a figure: other machines round otherwise


@pytest.fixture(scope="module")
def trials() -> list[Row]:
    return stored()


@pytest.fixture(scope="module", params=["all", "not looked at"])
def score(request: pytest.FixtureRequest, trials: list[Row]) -> Score:
    return scored([row for row in trials if request.param == "all" or unseen(row)])


def unseen(row: Row) -> bool:
    return not part(row).startswith("Looked")


def test_the_suite_is_large(trials: list[Row]) -> None:
    assert len(trials) >= 800
    assert len({row["what"] for row in trials}) == len(trials)


def test_states_are_right(score: Score) -> None:
    assert score.right_states >= 0.95 * score.trials


def test_qualities_are_right(score: Score) -> None:
    assert score.right_qualities >= 0.9 * score.trials


def test_nothing_that_falls_on_is_said_to_be_at_its_end(score: Score) -> None:
    assert not score.false_ends


def test_what_is_flat_for_ten_times_as_long_is_not_still_falling(score: Score) -> None:
    assert score.false_falls["gd"] == 0
    assert score.false_falls["sgd and minibatch"] <= 0.05 * score.flat["sgd and minibatch"]


def test_forecasts_come_true(score: Score) -> None:
    assert score.forecasts > 0
    assert score.near >= 0.9 * score.forecasts


def test_the_score_that_is_written_down_is_this_one(trials: list[Row]) -> None:
    assert WRITTEN.read_text(encoding="utf-8").splitlines() == list(lines(trials))


@pytest.mark.parametrize("place", range(0, len(GROUPS), 29))
def test_the_stored_trials_are_what_training_gives(place: int, trials: list[Row]) -> None:
    """Recorded in another way than those that are stored."""
    group = GROUPS[place]
    known = {row["what"]: row for row in trials}
    for row in rows_of(group, group.budgets[0], "3"):
        assert_alike(row["observed"], known[row["what"]]["observed"])
        assert_alike(row["truth"], known[row["what"]]["truth"])


def assert_alike(found: dict[str, object], expected: dict[str, object]) -> None:
    for name, value in expected.items():
        if isinstance(value, float):
            largest = max(abs(v) for v in expected.values() if isinstance(v, float))
            close = pytest.approx(value, rel=1e-4, abs=ROUNDING * min(largest, 1e3))
            assert found[name] == close, name
        elif isinstance(value, (str, int)):
            assert found[name] == value, name
