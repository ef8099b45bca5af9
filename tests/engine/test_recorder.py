"""How trials end: the definitions of divergence and convergence, and what is kept of a curve."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdcli.engine import batch
from gdcli.engine.batch import batches_of, train_batch
from gdcli.engine.device import Device, NumPy, Torch
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import program_for
from gdcli.engine.programs.program import Evaluation
from gdcli.engine.recorder import CONVERGED, DIVERGED, FLUSH, RUNNING, BatchHistory, Recorder
from gdcli.experiment.training import Training
from tests.grids import Trained, experiment, only, train

if TYPE_CHECKING:
    from collections.abc import Sequence

DEVICES = [NumPy("float64"), Torch("float64"), Torch("float64", eager=False)]
devices = pytest.mark.parametrize("device", DEVICES, ids=["numpy", "torch", "as on a GPU"])


@dataclass(frozen=True)
class Point:
    """What is measured of one trial at one recorded point."""

    loss: float
    norm: float = 1.0
    finite: bool = True  # its parameters are


def record(
    device: Device, training: Training, trials: Sequence[Sequence[Point]], padding: float = 1.0
) -> BatchHistory:
    """Record curves of equal length, one a trial; the lanes that no trial fills hold `padding`."""
    rates = ",".join(str(i + 1) for i in range(len(trials)))
    given = experiment("quadratic", {"dim": "1"}, lr=rates).grid.trials
    program = program_for(given, examples_of(given[0]), device)
    recorder = Recorder(program, training)

    def lanes(values: Sequence[float]) -> Any:
        array = np.full(program.layout.shape, padding)
        array.flat[program.layout.place] = values
        return device.array(array)

    with np.errstate(all="ignore"):
        for step, points in enumerate(zip(*trials, strict=True)):
            measures = {
                "train_loss": lanes([point.loss for point in points]),
                "grad_norm": lanes([point.norm for point in points]),
                "distance": lanes([step + 0.5] * len(trials)),
            }
            held = lanes([0.0 if point.finite else nan for point in points])
            recorder.record(10 * step, Evaluation(measures, {}), {"point": held[:, :, None]})
            if recorder.over:
                break
    return recorder.curves()


def losses(*values: float) -> list[Point]:
    """Return points of which only the loss matters."""
    return [Point(value) for value in values]


def by_definition(points: Sequence[Point], training: Training) -> tuple[int, int]:
    """Return how many points a trial has, and how it ended, as the design says it."""
    height = max(1.0, abs(points[0].loss))
    for length, point in enumerate(points, start=1):
        if not (isfinite(point.loss) and point.finite):
            return length, DIVERGED
        if abs(point.loss) > training.diverge_at * height:
            return length, DIVERGED
        if training.tol is not None and point.norm <= training.tol:
            return length, CONVERGED
        if training.target_loss is not None and point.loss <= training.target_loss:
            return length, CONVERGED
    return len(points), RUNNING


sizes = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 10.0, 30.0, 1e3, 1e300, inf, nan])
points = st.builds(
    Point,
    sizes | sizes.map(lambda x: -x),
    st.sampled_from([0.0, 0.1, 0.2, 1.0, inf, nan]),
    st.sampled_from([True] * 9 + [False]),
)
trainings = st.builds(
    Training,
    diverge_at=st.sampled_from([1.5, 10.0, 1e9, 1e308]),
    tol=st.none() | st.sampled_from([0.1, 0.15]),
    target_loss=st.none() | st.sampled_from([-1.0, 0.5, 1.5]),
)


@devices
@settings(max_examples=60)
@given(data=st.data(), training=trainings, count=st.integers(1, 12), trials=st.integers(1, 11))
def test_trials_end_as_defined(
    device: Device, data: st.DataObject, training: Training, count: int, trials: int
) -> None:
    curve = st.lists(points, min_size=count, max_size=count)
    drawn = data.draw(st.lists(curve, min_size=trials, max_size=trials))
    padding = data.draw(st.sampled_from([0.0, 1.0, inf, nan]))
    found = record(device, training, drawn, padding)
    expected = [by_definition(one, training) for one in drawn]
    assert list(zip(found.length.tolist(), found.ended.tolist(), strict=True)) == expected
    longest = max(length for length, _ in expected)
    # On a GPU, which is asked seldom, there may be points after the last trial's end.
    kept = len(found.steps)
    assert kept == longest if device.eager else longest <= kept <= count
    assert found.steps == [10 * i for i in range(kept)]
    for i, (length, _) in enumerate(expected):
        kept_losses = found.values["train_loss"][:length, i].tolist()
        assert repr(kept_losses) == repr([point.loss for point in drawn[i][:length]])
        assert found.values["distance"][:length, i].tolist() == [j + 0.5 for j in range(length)]


@devices
@pytest.mark.parametrize(
    ("curve", "length"),
    [
        (losses(0.25, 10.0, 10.001, 0), 3),  # over max(1, 0.25) = 1
        (losses(5.0, 50.0, 50.1, 0), 3),
        (losses(-5.0, 50.0, -50.1, 0), 3),
        (losses(5.0, 0.0, inf, 0), 3),
        (losses(5.0, nan, 0, 0), 2),
        (losses(inf, 1, 1, 1), 1),
        (losses(-inf, 1, 1, 1), 1),
        (losses(nan, 1, 1, 1), 1),
        ([Point(1), Point(0.5, finite=False), Point(0), Point(0)], 2),
        ([Point(1, finite=False), Point(0.5), Point(0), Point(0)], 1),
    ],
    ids=str,
)
def test_a_trial_diverges_at_a_recorded_point(
    device: Device, curve: list[Point], length: int
) -> None:
    found = record(device, Training(diverge_at=10), [curve, losses(1, 1, 1, 1)])
    assert found.length.tolist() == [length, 4]
    assert found.ended.tolist() == [DIVERGED, RUNNING]


@devices
def test_a_limit_beyond_the_largest_number_still_stops_at_infinity(device: Device) -> None:
    found = record(device, Training(diverge_at=1e300), [losses(1e300, 1e308, inf, 1)])
    assert found.length.tolist() == [3]
    assert found.ended.tolist() == [DIVERGED]


@devices
def test_a_float32_limit_beyond_the_largest_number_stops_at_infinity(device: Device) -> None:
    narrow = NumPy("float32") if isinstance(device, NumPy) else Torch("float32", device.eager)
    found = record(narrow, Training(diverge_at=1e9), [losses(1e35, 1e38, 1e39, 1)])
    assert found.length.tolist() == [3]
    assert found.ended.tolist() == [DIVERGED]


@devices
def test_divergence_comes_before_convergence(device: Device) -> None:
    training = Training(tol=1, target_loss=0)
    found = record(device, training, [[Point(1, 5), Point(-inf, 0)]])
    assert found.ended.tolist() == [DIVERGED]


@devices
def test_a_trial_may_converge_where_it_starts(device: Device) -> None:
    training = Training(tol=0.5, target_loss=-3)
    curves = [[Point(1, 0.5)] * 2, [Point(-3, 1)] * 2, [Point(1, 1)] * 2]
    found = record(device, training, curves)
    assert found.length.tolist() == [1, 1, 2]
    assert found.ended.tolist() == [CONVERGED, CONVERGED, RUNNING]


def test_points_stay_on_a_gpu_and_leave_it_together() -> None:
    device = DEVICES[2]
    many = record(device, Training(), [losses(*range(3 * FLUSH + 7))])
    assert many.values["train_loss"][:, 0].tolist() == list(range(3 * FLUSH + 7))
    # That all have ended is seen when a block leaves.
    ended = record(device, Training(target_loss=1), [losses(2, *[0] * 3 * FLUSH)])
    assert ended.length.tolist() == [2]
    assert len(ended.steps) == FLUSH


def same(a: Trained, b: Trained) -> bool:
    """Return whether two curves have the same bits."""
    return (a.steps, a.ended) == (b.steps, b.ended) and all(
        a.values[name].tobytes() == values.tobytes() for name, values in b.values.items()
    )


@pytest.mark.parametrize(
    ("problem", "options"),
    [
        ("mlp", {"dataset": "wine", "hidden": "4"}),
        ("matrix-factorization", {"rows": "9", "columns": "7"}),
        ("linear-regression", {}),
        ("rosenbrock", {}),
    ],
)
def test_asking_a_device_seldom_changes_no_curve(
    monkeypatch: pytest.MonkeyPatch, problem: str, options: dict[str, str]
) -> None:
    grid = {"lr": "0.0001,0.01,1e12", "steps": "70", "record": "step", "optimizer": "momentum"}
    runs = []
    for eager in (True, False):
        device = Torch("float64", eager)
        monkeypatch.setattr(batch, "device_for", lambda *_, d=device, **__: d)
        runs.append(train(problem, options, target_loss="0.2", **grid))
    often, seldom = runs
    assert often.keys() == seldom.keys()
    assert all(same(run, seldom[key]) for key, run in often.items())
    assert {run.ended for run in often.values()} >= {DIVERGED}


def test_a_batch_stops_when_all_its_trials_have_ended() -> None:
    given = experiment("rosenbrock", lr="1,0.5", steps="4000000000", record="500")
    (work,) = batches_of(given.grid.cohorts)
    told: list[int] = []
    _, curves = train_batch(work, examples_of(work.trials[0]), "cpu", told.append)
    assert curves.ended.tolist() == [DIVERGED, DIVERGED]
    assert curves.steps == [0, 500]
    assert sum(told) == 1000  # steps of two trials


def test_every_step_of_every_trial_is_told() -> None:
    given = experiment(
        "linear-regression", method="sgd", lr="0.001,0.002,0.003", epochs="3", record="50"
    )
    (work,) = batches_of(given.grid.cohorts)
    told: list[int] = []
    plan, curves = train_batch(work, examples_of(work.trials[0]), "cpu", told.append)
    assert sum(told) == 3 * plan.steps
    assert curves.steps == list(plan.points())
    assert curves.ended.tolist() == [RUNNING] * 3


def test_a_start_at_the_minimum_ends_where_it_starts() -> None:
    run = only(train("rosenbrock", {"start": "1,1"}, tol="1e-9"))
    assert run.steps == [0]
    assert run.ended == CONVERGED


def test_a_tolerance_ends_a_trial_at_the_first_recorded_point_within_it() -> None:
    free = only(train("quadratic", epochs="60"))
    ended = only(train("quadratic", epochs="60", tol="0.01"))
    norms = free.values["grad_norm"]
    length = int((norms > 0.01).sum()) + 1
    assert 5 < length < 60
    assert ended.ended == CONVERGED
    assert ended.losses.tolist() == free.losses[:length].tolist()


def test_a_target_ends_a_trial_at_the_first_recorded_point_below_it() -> None:
    free = only(train("quadratic", epochs="60"))
    target = float(free.losses[7])
    ended = only(train("quadratic", epochs="60", target_loss=repr(target)))
    assert ended.steps == list(range(8))
    assert ended.losses.tolist() == free.losses[:8].tolist()
