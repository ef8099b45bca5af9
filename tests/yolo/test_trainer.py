"""The engine's first steps on YOLO26 are those of Ultralytics' own trainer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch

from gdcli.engine.batch import loop_for
from gdcli.engine.plan import plan_of
from gdcli.engine.programs.stateful import StatefulProgram
from gdcli.problems.yolo26 import Yolo26
from tests.grids import experiment
from tests.yolo.ultralytics_trainer import Steps, train, write_shapes

if TYPE_CHECKING:
    from gdcli.engine.update import StackedOptimizer

pytest.importorskip("ultralytics", reason="the extra `yolo` is not installed: make test-yolo")

BATCH = 8
LR, LONGEST = 0.01, 10.0  # of the gradient of the summed loss; ours is of the mean


@pytest.mark.parametrize(("optimizer", "momentum"), [("vanilla", 1e-30), ("nesterov", 0.9)])
@pytest.mark.filterwarnings("ignore")  # Ultralytics' trainer has its own
def test_the_first_steps_are_the_same(tmp_path: Path, optimizer: str, momentum: float) -> None:
    file = write_shapes(tmp_path / "set", 4 * BATCH)
    theirs = train(file, tmp_path / "out", lr0=LR, momentum=momentum)
    grid = {"method": "minibatch", "batch_size": str(BATCH), "optimizer": optimizer}
    grid |= {"lr": str(LR * BATCH), "clip_norm": str(LONGEST / BATCH), "epochs": "1"}
    (trial,) = experiment("yolo26", {"data": str(file)}, **grid).grid.trials
    problem = trial.problem
    assert isinstance(problem, Yolo26)
    data = problem.load(np.random.default_rng())
    loop = loop_for([trial], data, plan_of(trial, data.examples), "cpu")
    program = loop.program
    assert isinstance(program, StatefulProgram)
    params, program.buffers = (
        {name: theirs.start[name][None] for name in held} for held in (loop.params, program.buffers)
    )
    assert problem.curve_columns[:3] == tuple(f"train_{name}" for name in theirs.names)
    rule = cast("StackedOptimizer", loop.optimizer)
    states = rule.init(params)
    for step in range(len(theirs.states)):
        chosen = np.array([[[int(Path(f).stem) for f in theirs.files[step]]]])
        (batch,) = program.batches(chosen)
        assert torch.equal(batch["image"][0] / 255, theirs.images[step])
        slopes = program.gradient(params, batch)
        mean = sum(problem.losses(program.module, {k: v[0] for k, v in batch.items()}).values())
        assert float(mean * BATCH) == pytest.approx(theirs.losses[step], rel=close(step))
        rule.step(params, slopes, states, step)
        assert_moved_alike(params, theirs, step)
        assert_moved_alike(
            {n: a for n, a in program.buffers.items() if a.is_floating_point()}, theirs, step
        )


def close(step: int) -> float:
    """Return how close the numbers are: what float32 rounds, each step makes ten times as much.

    The parameters differ by some 3e-6 of their way after the first step, and 2e-2 after the fourth;
    another gradient, or another share of a head, would be off by percents at once.
    """
    return 1e-5 * 10.0**step


def assert_moved_alike(held: dict[str, torch.Tensor], theirs: Steps, step: int) -> None:
    """Assert that all of these parameters, or buffers, went the same way as far."""
    found, expected, start = (
        torch.cat([state[name].double().flatten() for name in held])
        for state in ({n: array[0] for n, array in held.items()}, theirs.states[step], theirs.start)
    )
    way = (expected - start).norm()
    assert way > 0
    assert (found - expected).norm() < 5 * close(step) * way, step
