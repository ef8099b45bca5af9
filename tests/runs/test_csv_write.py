"""Lines of the two tables: floats that read back exactly, cells that CSV readers agree on."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.engine.plan import Plan, Watched
from gdcli.engine.recorder import CONVERGED, DIVERGED, RUNNING, BatchHistory
from gdcli.engine.watcher import Trajectory
from gdcli.errors import UserError
from gdcli.executors.execute import execute
from gdcli.experiment.training import Training
from gdcli.measure import CAUSES, LOSSES, Column
from gdcli.numbers import as_given
from gdcli.problems.linear_regression import LinearRegression
from gdcli.runs import csv_write
from gdcli.runs.csv_write import Rows, number, shortest
from gdcli.runs.options import RunOptions, Silent
from gdcli.runs.table import FACTS, header, summary_table, tables_of
from tests.grids import experiment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gdcli.experiment.grid import Trial

doubles = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1 + 0.2])
singles = st.floats(width=32)
odd = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)
# From version 3.1 on pandas reads floats exactly, and deprecates the option.
EXACT: Any = {"float_precision": "round_trip"} if pd.__version__ < "3.1" else {}
METRICS = ("train_accuracy", "test_accuracy")
MEASURES = [column.name for column in LOSSES]


def read_back(cells: list[str]) -> np.ndarray:
    """Return a column of floats as pandas reads it."""
    text = "\n".join(["value", *cells])
    frame = pd.read_csv(io.StringIO(text), **EXACT)
    column: np.ndarray = frame["value"].to_numpy("float64")
    return column


@given(st.lists(doubles, min_size=1, max_size=30))
def test_a_float64_is_read_back_exactly_and_shortest(values: list[float]) -> None:
    cells = shortest(np.array(values))
    assert cells == [repr(value) for value in values]
    np.testing.assert_array_equal(read_back(cells), values)


def test_a_float64_of_any_size_is_written_as_repr_does() -> None:
    sizes = [float(f"{digits}e{power}") for power in range(-324, 309) for digits in (1, 1.5, 9.99)]
    sizes += [math.nextafter(10.0**power, to) for power in range(-8, 20) for to in (0.0, math.inf)]
    values = [sign * size for sign in (1, -1) for size in (*sizes, 0.0, math.inf, math.nan)]
    assert shortest(np.array(values)) == [repr(value) for value in values]
    assert list(map(number, np.array(values))) == [repr(value) for value in values]


@given(st.lists(singles, min_size=1, max_size=30))
def test_a_float32_is_read_back_exactly(values: list[float]) -> None:
    array = np.array(values, "float32")
    cells = shortest(array)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(read_back(cells).astype("float32"), array)
    assert all(cell in ("nan", "inf", "-inf") or math.isfinite(float(cell)) for cell in cells)


def test_a_float32_of_any_size_is_written_as_numpy_does() -> None:
    digits = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32)
    powers = [np.float32(10.0**power) for power in range(-44, 39)]
    with np.errstate(all="ignore"):
        near = [np.nextafter(size, np.float32(to)) for size in powers for to in (0, np.inf)]
    values = np.concatenate([digits.view(np.float32), np.array([*powers, *near, 0.0], np.float32)])
    values = np.concatenate([values, -values])
    assert shortest(values) == [str(value) for value in values]


@given(singles.filter(math.isfinite))
def test_a_float32_has_no_digit_that_it_does_not_need(value: float) -> None:
    number = np.float32(value)
    (cell,) = shortest(np.array([number]))
    digits = cell.lstrip("-").partition("e")[0].replace(".", "").strip("0")
    with np.errstate(over="ignore"):
        shorter = [np.float32(f"{value:.{n - 1}e}") for n in range(1, len(digits))]
    assert number not in shorter


def trial(**grid: Any) -> Trial:
    """Return a trial of a small grid."""
    return experiment("linear-regression", **grid).grid.trials[0]


def curves(
    columns: Mapping[str, Sequence[Sequence[float]]],
    length: Sequence[int],
    ended: Sequence[int],
    dtype: str = "float64",
) -> BatchHistory:
    """Return what a recorder would of a batch; each column holds a list of each trial's values.

    What is recorded is watched, too.
    """
    values = {name: np.array(rows, dtype).T for name, rows in columns.items()}
    points = len(values["train_loss"])
    steps, lengths, ends = np.arange(0, 2 * points, 2), np.array(length), np.array(ended)
    last, lost = steps[lengths - 1], ends == DIVERGED
    losses = values["train_loss"][lengths - 1, np.arange(len(lengths))]
    causes = np.where(np.isnan(losses), CAUSES.index("nan"), CAUSES.index("overflow"))
    unknown = np.full(len(lengths), math.nan)
    trajectory = Trajectory(
        Watched(tuple(steps.tolist())),
        int(steps[-1]) or 1,
        steps,
        {name: values[name] for name in MEASURES if name in values},
        last,
        np.where(lost, last, -1),
        np.where(lost, last - 2, -1),
        np.where(lost, causes, 0),
        turn=unknown,
        curvature=unknown,
        dead=unknown,
    )
    return BatchHistory(steps.tolist(), values, lengths, ends, trajectory=trajectory)


PLAN = Plan(examples=10, batch_size=4, steps_per_epoch=3, steps=6, record="2")
TWO = {
    "train_loss": [[2.0, 0.1, math.nan, 9.0], [3.0, 0.25, 0.5, 1e-30]],
    "grad_norm": [[1.0, 2.0, math.inf, 9.0], [4.0, 5.0, 6.0, 0.0]],
    "train_accuracy": [[0.0, 0.5, 0.25, 9.0], [1.0, 0.75, 1.0, 1.0]],
}


def parsed(lines: Sequence[str]) -> list[list[str]]:
    """Return lines as the csv module reads them."""
    return list(csv.reader(lines))


def test_a_curve_has_a_line_for_each_of_its_points() -> None:
    rows = Rows(["momentum.beta"], METRICS, PLAN)
    one = trial(method="minibatch", batch_size="4", lr="0.1", optimizer="momentum", seed="7")
    found = parsed(rows.curve(one, curves(TWO, [3, 4], [DIVERGED, RUNNING]), 0).splitlines())
    settings = [one.id, "minibatch", "4", "momentum", "0.1", "constant", "7", "0.9"]
    assert found == [
        [*settings, "0", "0", "0", "2.0", "1.0", "", "0.0", ""],
        [*settings, repr(2 / 3), "2", "8", "0.1", "2.0", "", "0.5", ""],
        [*settings, repr(4 / 3), "4", "14", "nan", "inf", "", "0.25", ""],
    ]


def test_a_column_of_every_run_that_was_not_computed_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = Rows([], METRICS, PLAN)
    tested = TWO | {"test_loss": TWO["train_loss"]}
    for columns in (TWO, tested):  # a problem without test examples has no test loss
        rows.check(curves(columns, [3, 4], [DIVERGED, RUNNING]))
    for name in ("param_norm", "test_hops"):
        monkeypatch.setattr(csv_write, "LOSSES", (*LOSSES, Column(name)))
        what = f"no value of its column {name} was computed .* or remove it from LOSSES in gdcli/"
        with pytest.raises(UserError, match=f"^curves.csv: {what}measure.py$"):
            rows.check(curves(tested, [3, 4], [DIVERGED, RUNNING]))
        rows.check(curves(tested | {name: TWO["train_loss"]}, [3, 4], [DIVERGED, RUNNING]))


def test_a_run_ends_where_a_column_of_every_run_is_not_computed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(csv_write, "LOSSES", (*LOSSES, Column("param_norm")))
    for engine in ("auto", "reference"):
        given = experiment("quadratic", lr="0.1", epochs="2")
        with pytest.raises(UserError, match="its column param_norm"):
            execute(given, RunOptions(output=tmp_path, name=engine, engine=engine), Silent())


def test_a_shared_table_of_places_serves_batches_of_other_lengths() -> None:
    rows = Rows([], (), PLAN)
    short = {name: [column[:2] for column in values] for name, values in TWO.items()}
    for columns, points in ((TWO, 4), (short, 2), (TWO, 4)):
        lines = rows.curve(trial(), curves(columns, [2, points], [RUNNING] * 2), 1).splitlines()
        assert [line[8] for line in parsed(lines)] == [str(2 * i) for i in range(points)]


def line_of(rows: Rows, one: Trial, held: BatchHistory, i: int) -> str:
    """Return the summary line of the i-th trial of a batch, as if its settings were those."""
    return rows.summaries([one] * len(held.length), held)[i]


def cells_of(rows: Rows, one: Trial, held: BatchHistory, i: int) -> dict[str, str]:
    """Return a summary line by column."""
    line = line_of(rows, one, held, i)
    assert line.endswith("\n")
    (values,) = parsed([line])
    columns = summary_table(rows.varied, rows.metrics, one.training.columns).names
    return dict(zip(columns, values, strict=True))


def test_a_summary_tells_the_end_and_the_best() -> None:
    rows, held = Rows([], METRICS, PLAN), curves(TWO, [3, 4], [DIVERGED, RUNNING])
    first, second = (cells_of(rows, trial(method="gd"), held, i) for i in (0, 1))
    assert (
        first
        | {
            "status": "diverged",
            "stopped_by": "",
            "steps": "4",
            "initial_train_loss": "2.0",
            "watched": "2",
            "lowest_train_loss": "0.1",
            "lowest_train_step": "2",
            "diverged_after": "2",
            "diverged_by": "nan",
            "final_train_loss": "nan",
            "best_train_loss": "0.1",
            "final_grad_norm": "inf",
            "final_test_loss": "",
            "best_test_loss": "",
            "final_train_accuracy": "0.25",
            "final_test_accuracy": "",
            "steps_to_target": "",
            "diverged_at": "4",
            "message": "",
        }
        == first
    )
    assert (
        second
        | {
            "status": "finished",
            "steps": "6",
            "final_train_loss": "1e-30",
            "best_train_loss": "1e-30",
            "final_grad_norm": "0.0",
            "final_train_accuracy": "1.0",
            "stopped_by": "",
            "watched": "4",
            "initial_grad_norm": "4.0",
            "largest_grad_norm": "6.0",
            "highest_train_loss": "3.0",
            "highest_train_step": "0",
            "level_5": "",
            "level_6": "0.25",
            "level_16": "1e-30",
            "lowest_test_loss": "",
            "diverged_at": "",
            "diverged_by": "",
        }
        == second
    )


def test_the_best_of_no_number_is_none() -> None:
    columns = {"train_loss": [[math.nan]], "grad_norm": [[1.0]], "test_loss": [[math.nan]]}
    found = cells_of(Rows([], (), PLAN), trial(), curves(columns, [1], [DIVERGED]), 0)
    assert (found["best_train_loss"], found["best_test_loss"]) == ("nan", "nan")
    columns = {"train_loss": [[math.inf]], "grad_norm": [[1.0]], "test_loss": [[-math.inf]]}
    found = cells_of(Rows([], (), PLAN), trial(), curves(columns, [1], [DIVERGED]), 0)
    assert (found["best_train_loss"], found["best_test_loss"]) == ("inf", "-inf")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("target", "steps"), [(0.25, "2"), (0.3, "2"), (0.1, "6"), (0.01, ""), (5.0, "0")]
)
def test_steps_to_the_target_are_those_of_the_first_point_at_or_below_it(
    dtype: str, target: float, steps: str
) -> None:
    columns = {"train_loss": [[3.0, 0.25, 0.5, 0.1]], "grad_norm": [[1.0] * 4]}
    one = replace(trial(), training=Training(target_loss=target))
    ended = [CONVERGED if steps else RUNNING]
    found = cells_of(Rows([], (), PLAN), one, curves(columns, [4], ended, dtype), 0)
    assert found["steps_to_target"] == steps


@pytest.mark.parametrize(
    ("goals", "ended", "stopped_by"),
    [
        (Training(target_loss=0.5), CONVERGED, "target"),
        (Training(tol=1.0), CONVERGED, "tol"),
        (Training(tol=1.0, target_loss=0.5), CONVERGED, "target"),
        (Training(tol=1.0, target_loss=0.01), CONVERGED, "tol"),
        (Training(tol=1.0), RUNNING, ""),
        (Training(target_loss=0.5), DIVERGED, ""),
    ],
)
def test_what_ended_a_trial_before_its_budget_is_told(
    goals: Training, ended: int, stopped_by: str
) -> None:
    columns = {"train_loss": [[3.0, 0.25, 0.5]], "grad_norm": [[1.0] * 3]}
    one = replace(trial(), training=goals)
    found = cells_of(Rows([], (), PLAN), one, curves(columns, [3], [ended]), 0)
    assert found["stopped_by"] == stopped_by


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_facts_have_the_digits_of_their_precision(dtype: str) -> None:
    columns = {"train_loss": [[3.0, 0.1, 0.1]], "grad_norm": [[0.1] * 3]}
    held = curves(columns, [3], [RUNNING], dtype)
    found = cells_of(Rows([], (), PLAN), trial(), held, 0)
    assert (found["lowest_train_loss"], found["largest_grad_norm"]) == ("0.1", "0.1")
    assert (found["lowest_train_step"], found["watched"]) == ("2", "3")


def test_points_after_a_trials_end_are_not_its_own() -> None:
    columns = {"train_loss": [[3.0, 2.0, 1.0, 0.0]], "grad_norm": [[1.0, 2.0, 3.0, 4.0]]}
    one = replace(trial(), training=Training(target_loss=1.5))
    held = curves(columns, [2], [RUNNING])
    found = cells_of(Rows([], (), PLAN), one, held, 0)
    assert found["best_train_loss"] == found["final_train_loss"] == "2.0"
    assert found["final_grad_norm"] == "2.0"
    assert found["steps_to_target"] == ""
    assert Rows([], (), PLAN).curve(one, held, 0).count("\n") == 2


def test_a_trial_that_failed_has_its_settings_and_a_message() -> None:
    given = experiment("linear-regression", vary={"l2": "0.5"})
    line = Rows(["l2"], (), PLAN).failed(given.grid.trials[0], 'ValueError: "x", not y')
    (values,) = parsed([line])
    found = dict(zip(tables_of(given)[1].names, values, strict=True))
    assert found["status"] == "failed"
    assert found["message"] == 'ValueError: "x", not y'
    assert found["l2"] == "0.5"
    empty = set(list(found)[list(found).index("stopped_by") :]) - {"message"}
    assert {found[name] for name in empty} == {""}


@given(odd)
def test_any_name_stays_one_cell(name: str) -> None:
    problem = LinearRegression(data=Path(name), target=name)
    one = replace(trial(), problem=problem)
    rows = Rows(["data", "target"], (), PLAN)
    held = curves(TWO, [3, 4], [DIVERGED, RUNNING])
    texts = [rows.curve(one, held, 0), line_of(rows, one, held, 1), rows.failed(one, name)]
    for text in texts:
        for values in csv.reader(io.StringIO(text, newline="")):
            assert list(map(as_given, values[7:9])) == [str(Path(name)), name]
            assert not any(value.startswith(("=", "@", "\t", "\r")) for value in values[7:9])
    (first,) = csv.reader(io.StringIO(header([name, "b"]), newline=""))
    assert first == [name, "b"]


def test_columns_name_settings_first_then_what_varies_then_measures() -> None:
    given = experiment(
        "softmax-regression",
        optimizer="momentum",
        weight_decay="0,0.1",
        clip_norm="1",
        vary={"l2": "0.1", "momentum.beta": "0.5"},
    )
    settings = "trial method batch_size optimizer lr schedule seed"
    varied = "l2 momentum.beta weight_decay clip_norm"
    measures = "epoch step examples train_loss grad_norm test_loss train_accuracy test_accuracy"
    curves, summary = (" ".join(table.names) for table in tables_of(given))
    assert curves == f"{settings} {varied} {measures}"
    ends = "initial_train_loss final_train_loss best_train_loss final_grad_norm"
    ends += " final_test_loss best_test_loss"
    metrics = "final_train_accuracy final_test_accuracy"
    last = f"steps_to_target {' '.join(end.name for end in FACTS)} message"
    expected = f"{settings} {varied} status stopped_by steps {ends} {metrics} {last}"
    assert summary == expected


def test_settings_that_do_not_apply_are_empty() -> None:
    given = experiment(
        "linear-regression",
        optimizer="vanilla,momentum",
        schedule="constant,cosine",
        vary={"momentum.beta": "0.5", "cosine.final": "0.1"},
    )
    rows = Rows(given.varied, (), PLAN)
    held = curves(TWO, [3, 4], [DIVERGED, RUNNING])
    found = {tuple(parsed([line_of(rows, one, held, 1)])[0][3:9]) for one in given.grid.trials}
    assert found == {
        ("vanilla", "0.1", "constant", "0", "", ""),
        ("vanilla", "0.1", "cosine", "0", "", "0.1"),
        ("momentum", "0.1", "constant", "0", "0.5", ""),
        ("momentum", "0.1", "cosine", "0", "0.5", "0.1"),
    }
