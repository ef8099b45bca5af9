"""Why learning rates did what they did, as a table that fits a page."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path

import pytest

from gdcli.analysis.facts import Theory
from gdcli.analysis.rows import Value
from gdcli.analysis.trials import read_trials
from gdcli.report.why_table import why_table
from tests.run_folders import Made, grid, write_run

NOTHING = Theory({"experiment": {"settings": {"grid": {}}}, "theory": []})
BOWL = Theory(
    {
        "experiment": {"problem": "quadratic", "settings": {"grid": {}}},
        "data": {"quadratic": "abc"},
        "theory": [
            {
                "problem": "quadratic",
                "options": {},
                "examples": 1,
                "minimum": 0.0,
                "curvature": {
                    "largest": 10.0,
                    "smallest": 1.0,
                    "exact": True,
                    "every_batch": True,
                },
                "noise": None,
            }
        ],
    }
)


def table(folder: Path, trials: list[Made], theory: Theory = NOTHING) -> list[dict[str, Value]]:
    run = read_trials(write_run(folder, trials))
    return [dict(row) for row in why_table(folder, run, theory)]


@pytest.mark.parametrize(
    ("losses", "verdict", "what"),
    [
        ([*[1.0] * 7, inf], "diverged", "step 7, overflow"),
        ([*[1.0] * 7, nan], "diverged", "step 7, NaN"),
        ([1.05**k for k in range(30)], "diverged", "growth"),
        ([1.0, *[0.2, 0.9] * 5], "oscillating", "5 rises to 0.87"),
        ([0.9**k for k in range(30)], "slow", None),
        ([2.0] * 30, "stalled", None),
    ],
)
def test_a_verdict_is_said_in_a_few_words(
    tmp_path: Path, losses: list[float], verdict: str, what: str | None
) -> None:
    lost = verdict == "diverged" and what != "growth"
    (row,) = table(tmp_path, [Made(losses, status="diverged" if lost else "finished")])
    assert row["verdict"] == verdict
    assert row.get("what") == what


def test_most_seeds_have_the_verdict(tmp_path: Path) -> None:
    slow = [0.9**k for k in range(30)]
    trials = [Made(slow, seed=0), Made(slow, seed=1), Made([2.0] * 30, seed=2)]
    assert [row["verdict"] for row in table(tmp_path, trials)] == ["slow 2/3"]


def test_a_trial_that_failed_and_one_of_one_point_have_rows(tmp_path: Path) -> None:
    trials = [Made([], status="failed", message="boom"), Made([2.0], lr=0.2)]
    assert [row["verdict"] for row in table(tmp_path, trials)] == ["failed", None]


def test_theory_stands_beside_what_was_measured_where_there_is_some(tmp_path: Path) -> None:
    (first, *_) = table(tmp_path, grid(), BOWL)
    assert (first["limit"], first["theory_rate"]) == ("0.2", 0.99)
    assert "floor" not in first
    (bare, *_) = table(tmp_path, grid())
    assert set(bare) == {"setting", "lr", "verdict", "what"}
