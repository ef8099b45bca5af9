"""Landscapes against closed forms, plain autograd, and the definitions of their planes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gdcli.engine.device import Torch
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import family_of, starting_point
from gdcli.engine.families.objective import tensors
from gdcli.errors import UserError
from gdcli.runs.options import Silent
from gdcli.studies.landscape.surface import (
    Landscape,
    Plane,
    filters,
    landscape,
    losses_at,
    normalised,
    principal,
)
from gdcli.studies.options import Compute, View
from gdcli.studies.training import flat, layout_of
from tests.grids import experiment, only, train

CPU = Compute(device="cpu")


def scene(
    problem: str, options: dict[str, Any] | None = None, view: View | None = None, **grid: Any
) -> Landscape:
    named = experiment(problem, options, **grid)
    return landscape(named, view or View(resolution=7), CPU, Silent)


def test_a_bowl_is_its_closed_form() -> None:
    found = scene("quadratic", {"condition": "10"}, View())
    x, y = np.meshgrid(found.xs, found.ys)
    np.testing.assert_allclose(found.losses, 0.5 * (x**2 + 10 * y**2), rtol=1e-12)
    assert found.share == 1.0
    assert found.plane.names == ("point[0]", "point[1]")


def test_a_turned_bowl_is_its_closed_form_on_the_plane() -> None:
    found = scene("quadratic", {"dim": "6", "rotate": "true", "condition": "30"}, lr="0.05")
    grid = np.stack(np.meshgrid(found.xs, found.ys), -1).reshape(-1, 2)
    points = found.plane.origin + grid @ found.plane.axes
    trial = found.ways[0].trial
    hessian = examples_of(trial).constants["hessian"]
    closed = 0.5 * np.einsum("pi,ij,pj->p", points, hessian, points)
    np.testing.assert_allclose(found.losses.ravel(), closed, rtol=1e-10)


def test_the_valley_of_rosenbrock_is_lowest_at_its_minimum() -> None:
    view = View(resolution=81, x_range=(-2, 2), y_range=(-1, 3))
    found = scene("rosenbrock", view=view, steps="100")
    row, column = np.unravel_index(found.losses.argmin(), found.losses.shape)
    assert (found.xs[column], found.ys[row]) == pytest.approx((1, 1), abs=0.02)
    assert found.losses.min() == pytest.approx(0, abs=1e-20)
    (way,) = found.ways
    x, y = way.coordinates.T
    np.testing.assert_allclose((1 - x) ** 2 + 100 * (y - x**2) ** 2, way.losses, rtol=1e-12)
    assert (x[0], y[0]) == (-1.2, 1.0)


def test_the_view_holds_every_known_minimum() -> None:
    found = scene("himmelblau")
    assert found.xs[0] < -3.7
    assert found.xs[-1] > 3.5
    assert found.ys[0] < -3.2
    assert found.ys[-1] > 3.1


CASES: list[tuple[str, dict[str, Any]]] = [
    ("linear-regression", {"l2": "0.1"}),
    ("softmax-regression", {"dataset": "iris"}),
    ("mlp", {"dataset": "iris"}),
    ("cnn", {"examples": "40", "channels": "2"}),
    ("mlp", {"dataset": "iris", "quantize": "qat", "weight_bits": "3", "activation_bits": "32"}),
    ("matrix-factorization", {}),
]


@pytest.mark.parametrize(("problem", "options"), CASES)
def test_stacked_losses_are_those_of_one_at_a_time(problem: str, options: dict[str, Any]) -> None:
    (trial,) = experiment(problem, options, dtype="float64").grid.trials
    data = examples_of(trial)
    start = starting_point(trial.problem, data, 0)
    layout = layout_of(start)
    rng = np.random.default_rng(0)
    middle = flat({name: array[None] for name, array in start.items()})[0]
    points = middle + 0.3 * rng.standard_normal((37, layout.size))
    together = np.concatenate([*losses_at(points, layout, trial, "cpu")])
    alone = [next(losses_at(p[None], layout, trial, "cpu"))[0] for p in points]
    np.testing.assert_allclose(together, alone, rtol=1e-13)
    little = np.concatenate([*losses_at(points[:3], layout, trial, "cpu", memory="1")])
    np.testing.assert_allclose(little, alone[:3], rtol=1e-13)
    objective = family_of(trial.problem).objective(trial.problem, data, Torch("float64"), 0)
    objective.set_step(0)
    plain = [
        float(objective.loss(tensors(layout.split(p), Torch("float64")), objective.train))
        for p in points
    ]
    np.testing.assert_allclose(together, plain, rtol=1e-11)


def test_the_plane_holds_the_start_and_the_end_of_the_lowest_trial() -> None:
    found = scene("mlp", {"dataset": "iris"}, lr="0.1,0.5", epochs="20", dtype="float64")
    best = found.ranked[0]
    assert best.losses[-1] == min(way.losses[-1] for way in found.ways)
    length = float(np.linalg.norm(best.coordinates[0] - best.coordinates[-1]))
    assert best.off_plane[[0, -1]].max() < 1e-12 * length
    np.testing.assert_allclose(best.coordinates[-1], 0, atol=1e-12 * length)
    assert best.coordinates[0, 1] == pytest.approx(0, abs=1e-12 * length)
    np.testing.assert_allclose(found.plane.axes @ found.plane.axes.T, np.eye(2), atol=1e-12)


@pytest.mark.parametrize("count", [4, 40])
def test_the_second_direction_is_the_first_component_of_what_is_left(count: int) -> None:
    points = np.random.default_rng(1).standard_normal((count, 12)) * np.arange(1, 13)
    start, end = points[0], points[-1]
    plane = principal(start, end, points, problem("quadratic"))
    along = (end - start) / np.linalg.norm(end - start)
    left = points - end - np.outer((points - end) @ along, along)
    expected = np.linalg.svd(left - left.mean(0))[2][0]
    assert abs(plane.axes[1] @ expected) == pytest.approx(1, abs=1e-9)
    centred = points - points.mean(0)
    share = ((centred @ plane.axes.T) ** 2).sum() / (centred**2).sum()
    assert plane.share(points) == pytest.approx(share)


def test_trials_on_a_line_have_a_random_second_direction() -> None:
    found = scene("quadratic", {"dim": "4", "condition": "1"})
    assert "random direction" in found.plane.words
    assert found.share == pytest.approx(1)
    np.testing.assert_allclose(found.plane.axes @ found.plane.axes.T, np.eye(2), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "axis"), [("cnn", {}, 0), ("mlp", {}, 0), ("softmax-regression", {}, 1)]
)
def test_filters_have_the_norms_of_those_they_move(
    name: str, options: dict[str, Any], axis: int
) -> None:
    (trial,) = experiment(name, options).grid.trials
    start = starting_point(trial.problem, examples_of(trial), 0)
    layout = layout_of(start)
    point = flat({key: array[None] for key, array in start.items()})[0].astype(float)
    drawn = np.random.default_rng(0).standard_normal(point.size)
    moved = layout.split(normalised(drawn, point, layout, trial.problem))
    for key, held in start.items():
        kept = tuple(i for i in range(held.ndim) if i != axis) if held.ndim > 1 else None
        found, expected = (np.sqrt((array**2).sum(kept)) for array in (moved[key], held))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        # Scaled, not turned: a filter points where it was drawn to.
        pairs = zip(
            filters(moved[key], trial.problem),
            filters(layout.split(drawn)[key], trial.problem),
            strict=True,
        )
        for way, other in pairs:
            lengths = np.linalg.norm(way) * np.linalg.norm(other)
            assert (way * other).sum() == pytest.approx(lengths, rel=1e-12)


def test_random_directions_are_the_same_every_time() -> None:
    view = View(directions="random", resolution=5)
    one, two = (scene("mlp", {"dataset": "iris"}, view, epochs="3") for _ in range(2))
    np.testing.assert_array_equal(one.losses, two.losses)
    assert 0 < one.share < 1
    assert one.xs[0] <= -1
    assert one.xs[-1] >= 1


def test_a_point_off_the_plane_is_projected() -> None:
    plane = Plane(np.zeros(3), np.array([[2.0, 0, 0], [1.0, 1.0, 0]]), ("x", "y"), "")
    point = np.array([[4.0, 1.0, 7.0]])
    np.testing.assert_allclose(plane.coordinates(point), [[1.5, 1.0]])
    np.testing.assert_allclose(plane.distances(point), [7.0])
    np.testing.assert_allclose(plane.points(plane.coordinates(point)), [[4.0, 1.0, 0.0]])


def test_what_diverges_neither_decides_the_view_nor_hides() -> None:
    calm = scene("quadratic", {"dim": "3"}, lr="0.1")
    found = scene("quadratic", {"dim": "3"}, lr="0.1,0.5", epochs="200")
    assert np.ptp(found.xs) < 2 * np.ptp(calm.xs)
    assert [way.diverged for way in found.ways] == [False, True]
    assert [way.trial.lr for way in found.leaving] == [0.5]
    assert np.isfinite(found.losses).all()


def test_a_way_is_the_trial_s_curve() -> None:
    found = scene("quadratic", {"dim": "3"}, lr="0.5", optimizer="momentum,adam", epochs="200")
    curves = train("quadratic", {"dim": "3"}, lr="0.5", optimizer="momentum,adam", epochs="200")
    for way in found.ways:
        assert list(way.losses) == curves[way.trial.id].losses.tolist()
        assert list(way.steps) == curves[way.trial.id].steps


def test_losses_that_overflow_are_kept_as_they_are() -> None:
    found = scene("rosenbrock", view=View(resolution=3, x_range=(-1e200, 1e200)), steps="2")
    assert np.isinf(found.losses[:, [0, 2]]).all()
    assert np.isfinite(found.losses[:, 1]).all()


@pytest.mark.parametrize(
    ("name", "options", "grid", "view", "said"),
    [
        ("quadratic", {"dim": "1"}, {}, View(), "the problem one parameter; give it more"),
        ("quadratic", {}, {"vary": {"condition": "2,3"}}, View(), "--vary: the grid varies the "),
        ("quadratic", {"dim": "3"}, {"lr": "90"}, View(), "--lr: no trial came to a lower loss"),
    ],
)
def test_what_has_no_landscape_is_refused(
    name: str, options: dict[str, Any], grid: dict[str, Any], view: View, said: str
) -> None:
    with pytest.raises(UserError) as error:
        landscape(experiment(name, options, **grid), view, CPU, Silent)
    assert said in str(error.value)


def test_points_that_need_too_much_memory_are_refused() -> None:
    named = experiment("quadratic", {"dim": "1000"}, steps="10000", record="step")
    with pytest.raises(UserError, match="--record: 1000 parameters at 10001 points need 80MB"):
        landscape(named, View(), Compute("cpu", "60MB"), Silent)


def problem(name: str) -> Any:
    return only(train(name, steps="1")).trial.problem
