"""What a user's own problem or rule may do without harm: keep the point, have flags and words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pytest

from gdcli.engine.batch import TrialBatch, train_batch
from gdcli.experiment.grid import Trial, cohorts_of
from gdcli.optimizer import Optimizer, State
from gdcli.problem import Analytic, Array, Batch, Data, Params
from tests.grids import experiment


@dataclass(frozen=True)
class Bowl(Analytic):
    """|w|^2 / 2 from (1, 2), whose metric is a view of the point."""

    metric_names = ("first",)

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        return {"point": np.array([1.0, 2.0])}

    def value(self, point: Array, batch: Batch) -> Array:
        return 0.5 * (point * point).sum(-2)

    def gradient(self, point: Array, batch: Batch) -> Array:
        return point  # not a copy

    def metrics(self, params: Params, batch: Batch) -> dict[str, Array]:
        return {"first": params["point"][..., 0, :]}


@dataclass(frozen=True)
class Remembering(Optimizer):
    """Steps along the gradient, and a share of the way from the last point."""

    share: float = 0.5
    signed: bool = False
    mode: Literal["plain", "double"] = "plain"

    def init(self, param: Array) -> State:
        return {"last": param}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        way = param - state["last"]
        direction = np.sign(grad) if self.signed else grad
        if self.mode == "double":
            direction = 2 * direction
        return direction - self.share * way, {"last": param}


def curves(trials: list[Trial]) -> list[dict[str, Any]]:
    found = []
    for cohort in cohorts_of(trials):
        _, result = train_batch(TrialBatch(0, "", cohort.trials), Data(), "cpu", lambda _: None)
        found += [
            {name: values[:, i].tolist() for name, values in result.values.items()}
            for i in range(len(cohort.trials))
        ]
    return found


def trial(rule: Optimizer) -> Trial:
    (one,) = experiment("quadratic", steps="5", record="step", lr="0.1").grid.trials
    return replace(one, problem=Bowl(), optimizer=rule)


def expected(rule: Remembering) -> list[float]:
    """Return the first coordinate by plain Python."""
    last = point = 1.0
    path = [point]
    for _ in range(5):
        direction = 1.0 if rule.signed else point
        direction *= 2 if rule.mode == "double" else 1
        last, point = point, point - 0.1 * (direction - rule.share * (point - last))
        path.append(point)
    return path


RULES = [
    Remembering(),
    Remembering(share=0.25),
    Remembering(signed=True),
    Remembering(mode="double"),
]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_may_keep_the_point_and_a_metric_may_be_a_view(rule: Remembering) -> None:
    (curve,) = curves([trial(rule)])
    assert curve["first"] == pytest.approx(expected(rule), rel=1e-14)


def test_flags_and_words_split_cohorts_and_numbers_do_not() -> None:
    together = curves([trial(rule) for rule in RULES])
    assert len(cohorts_of([trial(rule) for rule in RULES])) == 3
    for rule, curve in zip(RULES, together, strict=True):
        assert curve == curves([trial(rule)])[0]
