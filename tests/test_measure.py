"""Laws over every measure: what it records, and that it changes nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from gdcli.catalog.catalog import MEASURES
from gdcli.engine.programs.program import Evaluation, Stack
from gdcli.engine.recorder import Measures
from gdcli.errors import UserError
from gdcli.measure import Column, Measure
from tests.engine.test_contract import NOISY, SMALL
from tests.grids import Trained, train

if TYPE_CHECKING:
    from gdcli.problem import Array, Params

# One problem of each program: closed forms, linear models, stacked layers, vmap, one by one.
PROBLEMS = {
    "quadratic": NOISY["quadratic"],
    "linear-regression": {},
    "logistic-regression": {},
    "mlp": {**SMALL["mlp"], "dataset": "iris"},
    "matrix-factorization": {"rows": "6", "columns": "5", "density": "0.9"},
}


def trained(problem: str, engine: str, **more: Any) -> dict[tuple[float, int], Trained]:
    """Train a few trials, one of which diverges, by their rate and seed."""
    grid: dict[str, Any] = {"lr": "0.01,1e30", "seed": "0:2", "steps": "4", "record": "1", **more}
    found = train(problem, PROBLEMS[problem], engine=engine, **grid)
    return {(run.trial.lr, run.trial.seed): run for run in found.values()}


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("measure", MEASURES.names())
def test_a_measure_changes_no_other_column(measure: str, problem: str, engine: str) -> None:
    columns = {column.name for column in MEASURES.find(measure, "").columns}
    bare, measured = trained(problem, engine), trained(problem, engine, measure=measure)
    assert bare.keys() == measured.keys()
    for key, run in measured.items():
        other = bare[key]
        assert (run.steps, run.ended) == (other.steps, other.ended)
        assert run.values.keys() == other.values.keys() | columns
        for name, values in other.values.items():
            np.testing.assert_array_equal(run.values[name], values, strict=True)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("measure", MEASURES.names())
def test_both_engines_measure_the_same(measure: str, problem: str) -> None:
    both = [trained(problem, engine, measure=measure) for engine in ("auto", "reference")]
    for key in ((0.01, 0), (0.01, 1)):  # what diverges is rounded in another way
        for column in MEASURES.find(measure, "").columns:
            found, expected = (one[key].values[column.name] for one in both)
            np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.parametrize("measure", MEASURES.names())
def test_a_measure_says_what_it_records(measure: str) -> None:
    kind = MEASURES.find(measure, "")
    assert MEASURES.summary(measure)
    assert kind.columns
    assert all(column.phrase for column in kind.columns)


@pytest.mark.parametrize("name", ["", "Loss", "a-b", "1st", "a b", "a,b"])
def test_a_column_has_a_name_that_a_header_can_have(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        Column(name)


@dataclass(frozen=True)
class Wrong(Measure):
    """It gives other columns than it declares, or one that is there already."""

    columns: ClassVar[tuple[Column, ...]] = (Column("declared"),)
    given: ClassVar[str] = "other"

    def values(
        self, stack: Stack, params: Params, evaluation: Evaluation, prepared: Any
    ) -> dict[str, Array]:
        return {self.given: evaluation.values["train_loss"]}


@dataclass(frozen=True)
class Doubled(Wrong):
    """Its column is a loss."""

    columns: ClassVar[tuple[Column, ...]] = (Column("train_loss"),)
    given: ClassVar[str] = "train_loss"


@pytest.mark.parametrize("kind", [Wrong, Doubled])
def test_values_of_other_columns_are_refused(kind: type[Measure]) -> None:
    stack: Any = None
    measures = Measures([kind], stack, {})
    point = Evaluation({"train_loss": np.zeros(1)}, {}, np.ones(1, bool))
    with pytest.raises(UserError, match="declares"):
        measures.added({}, point)
    assert list(point.values) == ["train_loss"]
