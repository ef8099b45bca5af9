import random
from math import exp, inf, isfinite, log, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.analysis.series import last_quarters, rises, trend
from gdcli.analysis.thresholds import Thresholds
from gdcli.analysis.verdict import WORDS, Curve, verdict

FALLING = [0.9**epoch for epoch in range(51)]
FLOOR = [0.5**epoch + 0.1 for epoch in range(51)]
BOUNCING = [1.0, *[0.2, 0.9] * 25]


def noise(seed: int, points: int, deviation: float) -> list[float]:
    draw = random.Random(seed)  # noqa: S311 - noise is no secret
    return [draw.gauss(0, deviation) for _ in range(points)]


def curve(losses: list[float], grad_norms: list[float] | None = None) -> Curve:
    return Curve("finished", range(len(losses)), losses, grad_norms or [])


def noisy(seed: int, points: int = 51) -> list[float]:
    """Return SGD that falls to its noise floor, a hundredth of the start, and stays there."""
    return [0.6**epoch + 0.01 * exp(z) for epoch, z in enumerate(noise(seed, points, 0.5))]


@pytest.mark.parametrize(
    ("losses", "word"),
    [
        (FALLING, "slow"),
        ([1 - 1e-3 * epoch for epoch in range(51)], "slow"),
        ([1440 + 13000 * 0.95**epoch for epoch in range(51)], "slow"),
        ([0.0, *(-0.25 + 0.2 * 0.95**epoch for epoch in range(50))], "slow"),
        ([100.0, *[5.0] * 10, *[4.0] * 10, *[3.0] * 10, *[2.0] * 10], "slow"),
        ([2.0, 1.0], "slow"),
        (FLOOR, "stalled"),
        ([2.3026] * 51, "stalled"),
        ([0.0] * 51, "stalled"),
        ([-1.0] * 51, "stalled"),
        ([1.0, 1.0], "stalled"),
        ([1.0, *[5.0] * 50], "stalled"),
        (BOUNCING, "oscillating"),
        ([1.0, 0.1, 0.1, 0.1, 0.2, 0.3, 0.4, 0.5], "oscillating"),
        ([1.05**epoch for epoch in range(51)], "diverged"),
        ([1.0, 5.0], "diverged"),
    ],
)
def test_the_word_of_a_finished_curve(losses: list[float], word: str) -> None:
    assert verdict(curve(losses)).word == word


def test_a_failed_trial_has_no_word() -> None:
    assert verdict(curve(FALLING)._replace(status="failed")).word is None


@pytest.mark.parametrize(
    ("losses", "status", "cause"),
    [
        ([1.0, 1e10], "diverged", "overflow"),
        ([1.0, inf], "diverged", "overflow"),
        ([1.0, nan], "diverged", "nan"),
        ([inf], "diverged", "overflow"),
        ([], "diverged", "overflow"),
        ([1.0, inf], "finished", "overflow"),
        ([1.0, nan], "finished", "nan"),
        ([1.0, 2.0, 4.0, 8.0], "finished", "growth"),
    ],
)
def test_divergence_has_a_cause(losses: list[float], status: str, cause: str) -> None:
    found = verdict(curve(losses)._replace(status=status))
    assert (found.word, found.cause) == ("diverged", cause)


def test_a_goal_that_was_reached_is_convergence_whatever_the_curve() -> None:
    for losses in (FALLING, FLOOR, BOUNCING, [1.0]):
        assert verdict(curve(losses)._replace(reached=True)).word == "converged"


def test_a_goal_that_was_not_reached_is_no_convergence() -> None:
    vanishing = curve(FLOOR, [0.5**epoch for epoch in range(51)])
    assert verdict(vanishing).word == "converged"
    assert verdict(vanishing._replace(reached=False)).word == "stalled"
    assert verdict(vanishing._replace(reached=False, minimum=0.05)).word == "stalled"


def test_a_known_minimum_decides_whether_a_flat_curve_converged() -> None:
    flat = curve(FLOOR, [0.5**epoch for epoch in range(51)])
    assert verdict(flat._replace(minimum=0.1)).word == "converged"
    assert verdict(flat._replace(minimum=0.0)).word == "stalled"


def test_a_curve_that_still_falls_has_converged_within_near_of_the_minimum() -> None:
    losses = [0.5**epoch for epoch in range(51)]
    assert verdict(curve(losses)._replace(minimum=0.0)).word == "converged"
    assert verdict(curve(losses[:15])._replace(minimum=0.0)).word == "slow"
    strict = Thresholds(near=1e-20)
    assert verdict(curve(losses)._replace(minimum=0.0), strict).word == "slow"


@pytest.mark.parametrize(("ratio", "word"), [(1e-4, "converged"), (1e-2, "stalled")])
def test_without_goal_and_minimum_the_gradient_decides(ratio: float, word: str) -> None:
    assert verdict(curve(FLOOR, [2.0, *[2.0 * ratio] * 50])).word == word


def test_a_gradient_that_all_but_vanished_is_convergence_though_the_loss_falls() -> None:
    norms = [0.5**epoch for epoch in range(51)]
    assert verdict(curve([norm**2 for norm in norms], norms)).word == "converged"


def test_gradients_that_were_not_measured_tell_nothing() -> None:
    assert verdict(curve(FLOOR, [nan] * 51)).word == "stalled"
    assert verdict(curve(FLOOR, [0.0] * 51)).word == "converged"


@pytest.mark.parametrize("seed", range(20))
def test_the_noise_of_sgd_is_no_oscillation(seed: int) -> None:
    assert verdict(curve(noisy(seed))).overshoots == 0
    assert verdict(curve(noisy(seed))).word in ("stalled", "slow")


def test_the_noise_of_sgd_is_seldom_a_trend() -> None:
    words = [verdict(curve(noisy(seed, points))).word for seed in range(100) for points in (21, 51)]
    assert words.count("stalled") >= 190


@pytest.mark.parametrize("points", [11, 21, 51, 201])
def test_a_trend_is_seen_through_the_noise(points: int) -> None:
    losses = [exp(-3 * epoch / points + z) for epoch, z in enumerate(noise(1, points, 0.1))]
    assert verdict(curve(losses)).word == "slow"


def test_overshoots_are_counted_and_measured_over_the_scale() -> None:
    found = verdict(curve([10.0, 0.0, 5.0, 0.0, 2.0, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    assert (found.overshoots, found.overshoot) == (2, 0.5)


def test_overshoots_of_the_first_half_are_no_oscillation() -> None:
    found = verdict(curve([1.0, 0.1, 3.0, *[0.1] * 40]))
    assert (found.word, found.overshoots) == ("stalled", 1)


@pytest.mark.parametrize("floor", [0.0, 7.0])
def test_steps_left_are_exact_for_a_geometric_fall(floor: float) -> None:
    losses = [floor + 0.9**epoch for epoch in range(51)]
    given = curve(losses)._replace(reached=False, minimum=floor, target_loss=floor + 1e-6)
    left = verdict(given).steps_left
    assert left is not None
    assert left == pytest.approx(log(1e-6) / log(0.9) - 50, abs=0.1)


def test_a_target_at_the_minimum_is_never_reached() -> None:
    given = curve(FALLING)._replace(reached=False, minimum=0.0, target_loss=0.0)
    assert verdict(given).steps_left == inf


def test_without_a_goal_the_steps_left_are_those_to_the_known_minimum() -> None:
    given = curve([3 + 0.9**epoch for epoch in range(51)])._replace(minimum=3.0)
    left = verdict(given).steps_left
    assert left is not None
    assert left == pytest.approx(log(1e-6) / log(0.9) - 50, abs=0.1)
    assert verdict(given._replace(reached=False)).steps_left is None  # the goal is --tol


def test_a_single_point_says_nothing_but_that_it_is_at_the_minimum() -> None:
    assert verdict(curve([3.0])).word is None
    assert verdict(curve([])).word is None
    assert verdict(curve([3.0])._replace(minimum=3.0)).word == "converged"
    assert verdict(curve([3.0])._replace(minimum=3.0, reached=False)).word is None


any_float = st.floats(allow_nan=True, allow_infinity=True)
maybe = st.none() | any_float
curves = st.builds(
    Curve,
    status=st.sampled_from(["finished", "diverged", "failed"]),
    steps=st.lists(st.integers(0, 2**53), max_size=30),
    losses=st.lists(any_float, max_size=30),
    grad_norms=st.lists(any_float, max_size=30),
    reached=st.none() | st.booleans(),
    target_loss=maybe,
    minimum=maybe,
)


@given(curves)
def test_every_curve_has_a_verdict(given: Curve) -> None:
    found = verdict(given)
    assert found.word in (*WORDS, None)
    assert (found.cause is not None) == (found.word == "diverged")
    assert found.overshoots >= 0


@given(
    st.lists(st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=2),
    st.integers(-20, 20),
)
def test_the_unit_of_the_loss_does_not_matter(losses: list[float], power: int) -> None:
    scaled = [loss * 2.0**power for loss in losses]
    assert verdict(curve(scaled)).word == verdict(curve(losses)).word


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60))
def test_the_last_quarters_are_adjacent_equally_long_and_at_the_end(values: list[float]) -> None:
    before, last = last_quarters(values)
    assert len(before) == len(last) > 0
    assert [*before, *last] == values[-2 * len(last) :]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_a_trend_turns_with_its_direction(before: list[float], after: list[float]) -> None:
    assert trend(before, after) == -trend(after, before)
    assert isfinite(trend(before, after)) or max(before) < min(after) or max(after) < min(before)


@given(st.lists(st.floats(0, 10), max_size=40), st.floats(0.1, 5))
def test_rises_are_higher_than_noise_and_no_higher_than_the_range(
    values: list[float], least: float
) -> None:
    heights = rises(values, least)
    assert all(least < height <= max(values) - min(values) for height in heights)
    assert rises(sorted(values, reverse=True), least) == []
