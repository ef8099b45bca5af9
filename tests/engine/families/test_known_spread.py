"""How much the units of features differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import family_of
from tests.grids import experiment

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.engine.families.known import FeatureSpread
    from gdcli.experiment.grid import Trial


def trial(problem: str, **options: Any) -> Trial:
    named = {name.replace("_", "-"): str(value) for name, value in options.items()}
    return experiment(problem, named).grid.trials[0]


def spread(problem: str, **options: Any) -> FeatureSpread | None:
    one = trial(problem, **options)
    return family_of(one.problem).theory.spread(one.problem, examples_of(one))


@pytest.fixture
def raw(tmp_path: Path) -> dict[str, Any]:
    """Return the options of a file whose features have units far apart, one of them constant."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 4)) * [1e4, 0, 1, 1e-3] + [0, 0.1, 5e3, 0]
    file = tmp_path / "raw.csv"
    table = np.c_[x, rng.standard_normal(40)]
    np.savetxt(file, table, header="a,b,c,d,y", comments="", delimiter=",")
    return {"data": file, "target": "y", "test_fraction": 0}


def test_it_names_the_features(raw: dict[str, Any]) -> None:
    found = spread("linear-regression", scale="none", **raw)
    assert found is not None
    assert (found.largest, found.smallest) == (0, 3)
    one = trial("linear-regression", scale="none", **raw)
    deviation = examples_of(one).train["x"].std(0)
    assert found.ratio == pytest.approx(deviation[0] / deviation[3])
    assert spread("logistic-regression", scale="none") is not None


@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_what_standardising_would_make_of_the_condition_number_comes_true(l2: float) -> None:
    before = spread("linear-regression", scale="none", l2=l2)
    assert before is not None
    after = trial("linear-regression", scale="standard", l2=l2)
    curvature = family_of(after.problem).theory.curvature(after.problem, examples_of(after))
    assert curvature is not None
    assert before.standardised == pytest.approx(curvature.largest / curvature.smallest, rel=1e-9)
    scaled = spread("linear-regression", l2=l2)
    assert scaled is not None
    assert scaled.ratio == pytest.approx(1)


def test_of_collinear_features_no_condition_number_is_known(raw: dict[str, Any]) -> None:
    table = np.loadtxt(raw["data"], delimiter=",", skiprows=1)
    table[:, 2] = table[:, 0]
    np.savetxt(raw["data"], table, header="a,b,c,d,y", comments="", delimiter=",")
    found = spread("linear-regression", scale="none", **raw)
    assert found is not None
    assert found.standardised is None


@pytest.mark.parametrize("problem", ["quadratic", "mlp"])
def test_of_others_nothing_is_known(problem: str) -> None:
    assert spread(problem) is None


@pytest.mark.parametrize("column", ["1", "1e200"])
def test_constant_features_and_those_that_overflow_have_none(tmp_path: Path, column: str) -> None:
    file = tmp_path / "bad.csv"
    sign = "-" if column != "1" else ""
    file.write_text(f"x,y\n{column},1\n{sign}{column},2\n{column},0\n")
    given = {"data": file, "target": "y", "scale": "none", "test_fraction": 0}
    assert spread("linear-regression", **given) is None
