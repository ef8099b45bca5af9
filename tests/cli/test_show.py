"""`gdcli show`: a run's tables again, and why its learning rates did what they did."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import Shell, gdcli

TO_TARGET = ("--view", "target", "--target-metric")


def why(shell: Shell, run: str) -> list[dict[str, Any]]:
    """Return the rows of --view why."""
    assert shell("show", run, "--view", "why", "--format", "json") == 0
    rows: list[dict[str, Any]] = json.loads(shell.out)
    return rows


def quadratic(shell: Shell, *arguments: str) -> list[dict[str, Any]]:
    """Run a bowl and return why its learning rates did what they did."""
    command = ("run", "quadratic", "--quiet", "--name", "bowl", "--overwrite")
    assert shell(*command, *arguments) == 0
    return why(shell, "bowl")


@pytest.mark.parametrize("condition", [10, 100, 1000])
def test_predicted_and_measured_rates_agree_to_one_percent(shell: Shell, condition: int) -> None:
    optimizers = "--optimizer", "vanilla,momentum,nesterov"
    # With these the slowest mode does not oscillate: a line fits its logarithm.
    betas = "--vary", "momentum.beta=0.2", "--vary", "nesterov.beta=0.5"
    steps, record = str(20 * condition), str(condition // 2)
    budget = "--steps", steps, "--record", record, "--lr", repr(1 / condition)
    rows = quadratic(shell, "--condition", str(condition), *optimizers, *betas, *budget)
    assert len(rows) == 3
    for row in rows:
        # Compared by what is missing to 1, which no progress would be.
        measured, predicted = 1 - row["measured_rate"], 1 - row["predicted_rate"]
        assert measured == pytest.approx(predicted, rel=0.01), row["optimizer"]
        assert (row["smallest_curvature"], row["largest_curvature"]) == (1, condition)


@pytest.mark.parametrize("condition", [10, 100, 1000])
@pytest.mark.parametrize(("optimizer", "beta"), [("momentum", 0.98), ("nesterov", 0.99)])
def test_the_rate_of_a_norm_that_swings_agrees_too(
    shell: Shell, condition: int, optimizer: str, beta: float
) -> None:
    # Both curvatures have complex roots with these: every component swings through 0.
    vary, lr = f"{optimizer}.beta={beta}", repr(1 / condition)
    bowl = "--condition", str(condition), "--optimizer", optimizer, "--lr", lr, "--vary", vary
    (row,) = quadratic(shell, *bowl, "--steps", "3000")
    measured, predicted = 1 - row["measured_rate"], 1 - row["predicted_rate"]
    assert measured == pytest.approx(predicted, rel=0.01)


def test_least_squares_has_its_rate_too(shell: Shell) -> None:
    run = "run", "linear-regression", "--lr", "0.3", "--epochs", "6000", "--quiet"
    assert shell(*run, "--name", "line") == 0
    (row,) = why(shell, "line")
    assert 1 - row["measured_rate"] == pytest.approx(1 - row["predicted_rate"], rel=0.01)


def test_one_percent_beside_the_limit_decides(shell: Shell) -> None:
    lrs = ",".join(repr(share * 2 / 100) for share in (0.99, 1.01))
    below, above = quadratic(shell, "--condition", "100", "--steps", "3000", "--lr", lrs)
    assert below["limit"] == above["limit"] == pytest.approx(0.02)
    assert (below["limit_is"], below["blew_up"], above["blew_up"]) == ("exact", 0, 1)
    said = f"at step {above['diverged_at']:.0f}: its loss grew past the limit of --diverge-at; "
    assert said + "its learning rate 0.0202 is above the limit 2/L = 0.02." in above["explanation"]


def test_the_noise_floor_holds_within_five_percent(shell: Shell) -> None:
    problem = "--condition", "8", "--noise", "0.5", "--examples", "4000", "--lr", "0.05"
    drawn = "--method", "minibatch", "--batch-size", "4", "--seed", "0:63"
    budget = "--epochs", "12", "--record", "100"
    (row,) = quadratic(shell, *problem, *drawn, *budget, "--order", "replacement")
    assert row["measured_floor"] == pytest.approx(row["predicted_floor"], rel=0.05)
    (row,) = quadratic(shell, *problem, *drawn, *budget)
    assert row["predicted_floor"] is None  # none is known of a shuffle


def test_a_classifiers_bound_is_called_sufficient(shell: Shell) -> None:
    run = "run", "logistic-regression", "--lr", "0.1", "--epochs", "3", "--quiet"
    assert shell(*run, "--name", "log") == 0
    (row,) = why(shell, "log")
    assert (row["limit_is"], row["predicted_rate"]) == ("sufficient", None)


@pytest.fixture
def bowl(shell: Shell) -> Shell:
    """Return a shell in whose folder there is a run called bowl."""
    quadratic(shell, "--lr", "0.05,0.1,0.3", "--optimizer", "vanilla,momentum")
    return shell


def test_the_results_say_why(bowl: Shell) -> None:
    assert bowl("show", "bowl") == 0
    assert "Why\ngd vanilla: the best lr, 0.1, is at the minimum" in bowl.out
    assert "its learning rate 0.3 is above the limit 2/L = 0.2. Use a learning rate" in bowl.out


def test_every_format_has_a_row_a_setting_and_learning_rate(bowl: Shell) -> None:
    for form, others in (("csv", 1), ("md", 2), ("table", 6)):
        assert bowl("show", "bowl", "--view", "why", "--format", form) == 0
        assert len(bowl.out.splitlines()) == 6 + others
    assert bowl("show", "bowl", "--view", "why", "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(bowl.out)))
    assert [row["lr"] for row in rows] == ["0.05", "0.1", "0.3"] * 2


def test_of_two_rates_that_are_done_the_faster_is_best_and_it_is_said(shell: Shell) -> None:
    # Features without correlation: all curvatures are 1, and the rate 1 is there at once.
    rows = [(a, b, 1 + 2 * a - b) for a in (-1, 1) for b in (-1, 1) for _ in range(9)]
    data = shell.write("plane.csv", "a,b,y\n" + "".join(f"{a},{b},{y}\n" for a, b, y in rows))
    problem = "linear-regression", "--data", data, "--target", "y", "--test-fraction", "0"
    assert shell("run", *problem, "--lr", "0.1,1", "--epochs", "400", "--quiet", "--name", "x") == 0
    assert shell("show", "x") == 0
    assert shell.out.startswith("The best learning rate of gd vanilla is 1: ")
    assert "lr 0.1 and 1 both end as low, within 0.01% of the fall; 1 gets there " in shell.out
    assert "* best of its row" in shell.out
    (heat,) = (line for line in shell.out.splitlines() if line.endswith("*"))
    assert heat.startswith("gd vanilla")
    assert shell("show", "x", "--format", "json") == 0
    (row,) = json.loads(shell.out)
    assert (row["lr"], row["state"], row["quality"]) == (1, "flat", "at the minimum")


def test_why_fits_eighty_columns_where_names_are_short(bowl: Shell) -> None:
    assert bowl("show", "bowl", "--view", "why") == 0
    assert max(map(len, bowl.out.splitlines())) <= 80
    run = "run", "linear-regression", "--lr", "0.001,0.01,0.1,1"
    assert bowl(*run, "--epochs", "8", "--name", "m", "--quiet") == 0
    assert bowl("show", "m", "--view", "why") == 0
    assert max(map(len, bowl.out.splitlines())) <= 80


@pytest.mark.parametrize("form", ["table", "md"])
def test_why_of_long_names_is_no_wider_than_a_hundred_columns(shell: Shell, form: str) -> None:
    grid = "--optimizer", "vanilla,nesterov", "--lr", "log:1e-4:1:9", "--seed", "0:1"
    vary = "--vary", "condition=10,100"
    assert shell("run", "quadratic", "--quiet", "--name", "long", *grid, *vary) == 0
    assert shell("show", "long", "--view", "why", "--format", form) == 0
    lines = shell.out.splitlines()
    assert form == "md" or max(map(len, lines)) <= 100
    assert "gd nesterov condition=100.0" in shell.out
    assert ["  theory" in line or "| theory |" in line for line in lines].count(True) == 1


def test_the_time_to_a_target_is_that_of_the_fastest_rate(bowl: Shell) -> None:
    show = "show", "bowl", "--view", "target", "--format", "json"
    assert bowl(*show, "--target-loss", "0.001") == 0
    vanilla, momentum = json.loads(bowl.out)
    assert (vanilla["lr"], vanilla["reached"]) == (0.1, 1)
    # The loss starts at 5.5; the axis of curvature 1 has 0.5, which shrinks by 0.81 a step.
    assert vanilla["steps"] == vanilla["epochs"] == vanilla["examples"] == 30
    assert vanilla["seconds"] > 0
    assert (momentum["lr"], momentum["steps"]) == (None, "inf")
    assert bowl(*show, "--target-metric", "distance=1e-9") == 0
    assert [(row["lr"], row["steps"]) for row in json.loads(bowl.out)] == [(None, "inf")] * 2


def test_a_runs_own_target_is_where_its_trials_ended(shell: Shell) -> None:
    # In float32 the loss that ends a trial may be above the target as it was typed.
    grid = "--lr", "0.05,0.1", "--target-loss", "0.0123456789", "--dtype", "float32"
    assert shell("run", "quadratic", "--quiet", "--name", "own", *grid) == 0
    assert shell("show", "own", "--view", "target", "--format", "json") == 0
    (row,) = json.loads(shell.out)
    with Path("results/own/summary.csv").open() as file:
        steps = [int(trial["steps_to_target"]) for trial in csv.DictReader(file)]
    assert (row["lr"], row["steps"]) == (0.1, min(steps))


@pytest.mark.parametrize(("view", "rows"), [("seeds", 2), ("pairs", 1)])
def test_seeds_and_pairs_have_every_format(bowl: Shell, view: str, rows: int) -> None:
    found = {}
    for form in ("csv", "json", "md", "table"):
        assert bowl("show", "bowl", "--view", view, "--format", form) == 0
        found[form] = bowl.out
    held = json.loads(found["json"])
    assert len(held) == len(list(csv.DictReader(io.StringIO(found["csv"])))) == rows
    assert len(found["md"].splitlines()) == 2 + rows
    assert held[0]["lr"] == 0.1
    # A note explains a column that is printed.
    interval = bool(held[0].get("low")) if view == "seeds" else True
    assert ("bootstrap 95%" in found["table"]) == interval


def test_one_setting_has_no_pairs(shell: Shell) -> None:
    quadratic(shell, "--lr", "0.1", "--steps", "20")
    assert shell("show", "bowl", "--view", "pairs") == 0
    assert shell.out == (
        "there is nothing to compare: fewer than two settings of a problem have a result\n"
    )


def test_limits_judge_anew_and_leave_the_files(shell: Shell) -> None:
    usual = quadratic(shell, "--lr", "0.1,0.3", "--steps", "100")
    files = {file: file.read_bytes() for file in Path("results").rglob("*") if file.is_file()}
    assert shell("show", "bowl", "--near", "1e-12", "--view", "why", "--format", "json") == 0
    strict = json.loads(shell.out)
    assert [row["quality"] for row in usual] == ["at the minimum", None]
    assert [row["quality"] for row in strict] == [None, None]
    assert usual[1]["state"] == strict[1]["state"] == "blew up"
    assert {file: file.read_bytes() for file in files} == files


def test_a_state_that_no_trial_can_have_is_refused(shell: Shell) -> None:
    (error,) = shell.refuses("run", "quadratic", "--fail-on", "still-fallin")
    assert (
        error
        == "--fail-on: 'still-fallin' is not a state or quality; did you mean 'still-falling'?"
    )
    (error,) = shell.refuses("run", "quadratic", "--fail-on", "slow")
    assert error.startswith(
        "--fail-on: 'slow' is not a state or quality; give some of failed, diverged"
    )


def test_a_copied_run_is_shown_without_torch(bowl: Shell) -> None:
    Path("results/bowl").rename("elsewhere")
    code = "code = main(); print('torch' in sys.modules, file=sys.stderr); sys.exit(code)"
    done = gdcli("show", "elsewhere", "--view", "why", folder=bowl.folder, code=code)
    assert (done.returncode, done.stderr) == (0, "False\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--view", "wy"), "--view: 'wy' is not one of results, why, seeds, pairs, target"),
        (("--flat", "0"), "--flat: 0.0 is not more than 0; "),
        (
            ("--target-loss", "1"),
            "--target-loss: --view results does not take it; give --view target",
        ),
        (("--view", "target"), "--view: the run has no target of its own; "),
        ((*TO_TARGET, "distanc=1"), "--target-metric: the run has no metric 'distanc'; did you"),
        ((*TO_TARGET, "distance"), "--target-metric: 'distance' is not a name and a number; "),
        ((*TO_TARGET, "d=1", "--target-loss", "1"), "--target-metric: --target-loss is given"),
    ],
)
def test_a_mistake_is_one_line(bowl: Shell, arguments: tuple[str, ...], line: str) -> None:
    (error,) = bowl.refuses("show", "bowl", *arguments)
    assert error.startswith(line)


@pytest.mark.parametrize(("form", "out"), [("csv", ""), ("md", ""), ("json", "[]\n")])
def test_where_there_are_no_rows_nothing_is_printed(shell: Shell, form: str, out: str) -> None:
    assert shell("run", "quadratic", "--epochs", "2", "--name", "one", "--quiet") == 0
    assert shell("show", "one", "--view", "pairs", "--format", form) == 0
    assert (shell.out, shell.err) == (out, "")
