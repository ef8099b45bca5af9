"""Backpropagation against differences: no false alarm, and no error that goes unseen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gdcli.studies import gradcheck
from gdcli.studies.gradcheck import DIRECTION, Checked, gradient_check
from gdcli.studies.options import GradientCheck
from tests.grids import experiment

IRIS = {"dataset": "iris", "hidden": "16,8"}
CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("mlp", {}, (0, 1, 2)),
    ("mlp", {"hidden": "32,32,32"}, (0,)),
    ("mlp", {**IRIS, "activation": "tanh"}, (0, 1)),
    ("mlp", {**IRIS, "activation": "gelu"}, (0, 1, 2)),
    ("mlp", {"dataset": "wine", "hidden": "40"}, (0, 1)),
    ("cnn", {"channels": "3", "examples": "60"}, (0, 1)),
    ("svm", {"dataset": "breast-cancer"}, (0,)),
]
RIGHT = [(name, options, seed) for name, options, seeds in CASES for seed in seeds]
SEEN = 3e-5  # the slope from which an error of 0.1% is seen


def checked(name: str, options: dict[str, Any], seed: int = 0, entries: int = 20) -> list[Checked]:
    given = experiment(name, options, seed=seed, dtype="float64", steps=1)
    return gradient_check(given.grid.trials[0], GradientCheck(entries=entries))


@pytest.mark.parametrize(("name", "options", "seed"), RIGHT)
def test_a_right_gradient_agrees(name: str, options: dict[str, Any], seed: int) -> None:
    found = checked(name, options, seed, entries=20 if name == "mlp" else 8)
    assert [one.name for one in found if not one.agrees] == []
    assert found[-1].name == DIRECTION


@pytest.mark.parametrize(
    ("name", "options"),
    [("mlp", {}), ("mlp", {**IRIS, "activation": "tanh"}), ("svm", {})],
)
def test_an_error_of_a_thousandth_is_seen(
    name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    true, judge, slopes, agree = gradcheck._slopes, gradcheck._judged, [], []

    def judged(lines: Any, given: Any, *allowed: float) -> Any:
        found = judge(lines, given, *allowed)
        slopes.append(given)
        agree.append(found.agree)
        return found

    monkeypatch.setattr(gradcheck, "_slopes", lambda *given: 1.001 * true(*given))
    monkeypatch.setattr(gradcheck, "_judged", judged)
    checked(name, options, entries=10)
    steep = np.abs(slopes[0]) > SEEN
    assert steep.sum() >= 5
    assert not agree[0][steep].any()


@pytest.mark.parametrize("place", [0, 7, 100])
def test_the_random_direction_sees_entries_that_are_not_looked_at(
    place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = gradcheck._slopes

    def wrong(*given: Any) -> Any:
        slopes = true(*given)
        slopes[place] += 0.1
        return slopes

    monkeypatch.setattr(gradcheck, "_slopes", wrong)
    found = checked("mlp", {"dataset": "iris", "hidden": "30"}, entries=1)
    assert not found[-1].agrees


@pytest.mark.parametrize(
    ("formula", "start", "left", "right"),
    [
        ("abs(w)", "0", -1.0, 1.0),
        ("max(w, 2)", "2", 0.0, 1.0),
        ("3*w + relu(-w)", "0", 2.0, 3.0),
        ("min(w, 5 - w)", "2.5", 1.0, -1.0),
    ],
)
def test_a_kink_at_the_start_is_named(formula: str, start: str, left: float, right: float) -> None:
    point, _ = checked("expression", {"formula": formula, "start": start})
    assert point.agrees
    (kink,) = point.kinks
    assert kink.left == pytest.approx(left, abs=1e-6)
    assert kink.right == pytest.approx(right, abs=1e-6)


@pytest.mark.parametrize("at", [-2e-6, -1e-7, -1e-8, 1e-9, 3e-8, 2e-7, 3e-6])
def test_a_kink_within_the_step_is_no_error(at: float) -> None:
    formula = f"w**2 + abs(w - {1 + at!r})"
    point, _ = checked("expression", {"formula": formula, "start": "1"})
    assert point.agrees
    assert point.kinks


@pytest.mark.parametrize(
    "formula", ["1000*w**2 + v", "exp(9*w) + v", "sin(30*w)*v", "w**8 + v", "w**3 + v/1000"]
)
@pytest.mark.parametrize("start", ["0,0", "0.5,1", "2,3"])
def test_what_is_smooth_has_no_kink(formula: str, start: str) -> None:
    for one in checked("expression", {"formula": formula, "start": start}):
        assert one.agrees
        assert not one.kinks


@pytest.mark.parametrize(
    ("formula", "start", "agrees"),
    [
        ("sqrt(w)", "1e-4", True),
        ("sqrt(w)", "1e-9", False),
        ("log(w)", "1e-9", False),
        ("exp(w)", "709.7827", False),  # overflows a step away
        ("exp(w)", "600", True),
        ("1/w", "1e-3", True),
    ],
)
def test_a_loss_that_has_no_value_nearby_is_no_crash(
    formula: str, start: str, *, agrees: bool
) -> None:
    point, _ = checked("expression", {"formula": formula, "start": start})
    assert point.agrees == agrees


def test_a_wrong_gradient_at_a_kink_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    true = gradcheck._slopes
    monkeypatch.setattr(gradcheck, "_slopes", lambda *given: true(*given) + 1.5)
    point, _ = checked("expression", {"formula": "abs(w)", "start": "0"})
    assert not point.agrees
