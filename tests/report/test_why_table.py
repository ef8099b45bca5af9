"""Why learning rates did what they did, as a table that fits a page."""

from __future__ import annotations

from math import inf, isfinite, nan
from typing import TYPE_CHECKING

import pytest

from gdcli.analysis.diagnoses import Diagnoses
from gdcli.analysis.theory import RunConstants
from gdcli.report.why import why_notes, why_table
from gdcli.runs.trials import read_trials
from tests.run_folders import Made, grid, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.runs.csv_read import Value

NOTHING = RunConstants({"experiment": {"settings": {"grid": {}}}, "theory": []})
BOWL = RunConstants(
    {
        "experiment": {"problem": "quadratic", "settings": {"grid": {}}},
        "data": {"quadratic": "abc"},
        "theory": [
            {
                "problem": "quadratic",
                "options": {},
                "examples": 1,
                "minimum": 0.0,
                "convex": True,
                "curvature": {
                    "largest": 10.0,
                    "smallest": 1.0,
                    "exact": True,
                    "every_batch": True,
                },
            }
        ],
    }
)


def table(
    folder: Path, trials: list[Made], theory: RunConstants = NOTHING
) -> list[dict[str, Value]]:
    run = read_trials(write_run(folder, trials))
    return [dict(row) for row in why_table(folder, Diagnoses(run, theory))]


@pytest.mark.parametrize(
    ("losses", "state", "what"),
    [
        ([*[1.0] * 7, inf], "blew up", "step 7"),
        ([*[1.0] * 7, nan], "blew up", "step 7"),
        ([1.05**k for k in range(30)], "blew up", "above its start"),
        ([1.0, *[0.2, 0.9] * 15], "bouncing", None),
        ([0.9**k for k in range(30)], "still falling", None),
        ([2.0] * 30, "flat", None),
    ],
)
def test_a_state_is_said_in_a_few_words(
    tmp_path: Path, losses: list[float], state: str, what: str | None
) -> None:
    lost = not isfinite(losses[-1])
    (row,) = table(tmp_path, [Made(losses, status="diverged" if lost else "finished")])
    assert row["state"] == state
    assert row.get("what") == what


def test_the_quality_that_leads_is_said(tmp_path: Path) -> None:
    (row,) = table(tmp_path, [Made([0.5**k for k in range(40)])], BOWL)
    assert (row["state"], row["what"]) == ("flat", "at the minimum")


def test_only_the_columns_that_are_there_are_explained(tmp_path: Path) -> None:
    rows = table(tmp_path, [Made([0.5**k for k in range(40)])], BOWL)
    explained = [line.partition(":")[0] for line in why_notes(rows)]
    assert explained == ["state, what", *(n for n in rows[0] if n in ("limit", "step", "theory"))]
    assert "theory" in rows[0]
    assert all(len(line) < 80 for line in why_notes(rows))


def test_most_seeds_have_the_state(tmp_path: Path) -> None:
    falling = [0.9**k for k in range(30)]
    trials = [Made(falling, seed=0), Made(falling, seed=1), Made([2.0] * 30, seed=2)]
    assert [row["state"] for row in table(tmp_path, trials)] == ["still falling 2/3"]


def test_a_trial_that_failed_and_one_of_one_point_have_rows(tmp_path: Path) -> None:
    trials = [Made([], status="failed", message="boom"), Made([2.0], lr=0.2)]
    states = [row["state"] for row in table(tmp_path, trials)]
    assert states == ["failed", "too few points to tell"]


def test_theory_stands_beside_what_was_measured_where_there_is_some(tmp_path: Path) -> None:
    (first, *_) = table(tmp_path, grid(), BOWL)
    assert (first["limit"], first["theory"]) == ("0.2", "-1%")
    assert "floor" not in first
    (bare, *_) = table(tmp_path, grid())
    assert set(bare) == {"setting", "lr", "state", "what"}
