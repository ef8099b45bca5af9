"""What comes out of a stacked program is what went in, whatever axes it has inside."""

from __future__ import annotations

import numpy as np
import pytest

from gdcli.engine.batch import loop_for
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import starting_point
from gdcli.engine.plan import plan_of
from gdcli.engine.train import Hooks
from tests.grids import TRAINABLE, experiment

CASES = [*((name, {}) for name in TRAINABLE), ("quadratic", {"dim": "5", "rotate": "true"})]


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_unstacking_undoes_stacking(name: str, options: dict[str, str]) -> None:
    trials = experiment(name, options, lr="0.1,0.2,0.3", seed="0,5", steps="1").grid.trials
    data = examples_of(trials[0])
    loop = loop_for(trials, data, plan_of(trials[0], data.examples), "cpu")
    found = loop.program.by_trial(loop.params)
    for i, trial in enumerate(trials):
        start = starting_point(trial.problem, data, trial.seed)
        assert found.keys() == start.keys()
        for key, values in start.items():
            assert found[key][i].shape == values.shape
            np.testing.assert_allclose(found[key][i], values, rtol=1e-6, atol=1e-12)


def test_a_watch_sees_every_recorded_point_before_an_ended_trial_is_stilled() -> None:
    trials = experiment("rosenbrock", lr="0.001,0.1", steps="6", record="2").grid.trials
    seen: list[np.ndarray] = []
    hooks = Hooks(on_record=lambda program, params: seen.append(program.by_trial(params)["point"]))
    loop = loop_for(trials, examples_of(trials[0]), plan_of(trials[0], 1), "cpu", hooks)
    curves = loop.run(lambda _: None)
    heights = [trials[0].problem.height(*points.T) for points in seen]  # type: ignore[attr-defined]
    for i, count in enumerate(curves.length.tolist()):
        losses = curves.values["train_loss"][:count, i]
        np.testing.assert_allclose([height[i] for height in heights[:count]], losses, rtol=1e-12)
    assert curves.length.tolist() == [4, 2]
