"""A trial that is trained again beside others, as on a GPU, comes to what it does alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdcli.engine.batch import batches_of
from gdcli.executors.execute import execute
from gdcli.runs.folder import RunFolder
from gdcli.runs.options import RunOptions, Silent
from gdcli.studies.training import _of_part, trained_again
from tests.grids import experiment

if TYPE_CHECKING:
    from pathlib import Path


def test_company_changes_no_weight_even_where_a_trial_ends_first(tmp_path: Path) -> None:
    grid = {"method": "minibatch", "lr": "0.02,0.5,0.1", "epochs": "6", "target_loss": "0.8"}
    given = experiment("mlp", {"dataset": "iris"}, **grid)
    execute(given, RunOptions(output=tmp_path, name="a"), Silent())
    run = RunFolder(tmp_path / "a")
    (batch,) = batches_of(run.experiment.grid.cohorts)
    steps = set()
    for trial in batch.trials:
        alone = trained_again(tmp_path / "a", trial.id, Silent, trust=False)
        beside = _of_part(run, batch, trial, "cpu", Silent())
        assert beside.curve == run.curve_lines.lines(trial.id)
        assert (beside.step, beside.loss) == (alone.step, alone.loss)
        for name, array in alone.params.items():
            np.testing.assert_array_equal(beside.params[name], array)
            assert array.any()
        steps.add(alone.step)
    assert len(steps) > 1
