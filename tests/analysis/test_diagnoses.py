"""What is said of the trials of real runs, from the facts that their tables keep."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from gdcli import load
from gdcli.analysis.diagnoses import diagnoses_of
from gdcli.analysis.diagnosis.diagnosis import Diagnosis
from gdcli.cli.app import main
from gdcli.executors.execute import execute
from gdcli.runs.options import RunOptions, Silent
from gdcli.runs.table import FACTS
from gdcli.runs.trials import read_trials
from tests.grids import experiment
from tests.run_folders import Made, facts_of

if TYPE_CHECKING:
    from pathlib import Path

OLD = ("epochs_left", "overshoots", "largest_overshoot", "diverged_at", "diverged_by", "message")
NEWER = ("infimum", "floors", "baseline", "spread", "network", "convex", "bound", "scale")


def run(folder: Path, problem: str, options: dict[str, Any] | None = None, **grid: Any) -> Path:
    """Run a grid; return its folder."""
    return execute(experiment(problem, options, **grid), RunOptions(output=folder), Silent()).folder


def said(folder: Path) -> list[Diagnosis]:
    """Return what is said of the trials of a run."""
    return [one for _, one in diagnoses_of(folder).all()]


@pytest.mark.parametrize(
    ("options", "grid", "state", "quality"),
    [
        ({}, {"lr": "3", "steps": "50"}, "blew up", None),
        ({}, {"lr": "0.2", "steps": "50"}, "bouncing", None),
        ({"condition": "1000"}, {"lr": "1e-5", "steps": "100"}, "still falling", "ill-conditioned"),
        ({}, {"lr": "0.1", "steps": "300"}, "flat", "at the minimum"),
        ({}, {"lr": "0.1", "steps": "300", "tol": "1e-3"}, "reached its goal", "at the minimum"),
        ({}, {"lr": "0.1", "steps": "300", "target-loss": "1"}, "reached its goal", None),
        ({}, {"lr": "0.01", "steps": "3"}, "too few points to tell", None),
    ],
)
def test_a_run_of_each_state_is_told(
    tmp_path: Path, options: dict[str, str], grid: dict[str, Any], state: str, quality: str | None
) -> None:
    (found,) = said(run(tmp_path, "quadratic", options, **grid))
    assert (found.state, found.quality) == (state, quality)


@pytest.mark.parametrize("grid", [{"lr": "0.05"}, {"lr": "0.19"}, {"lr": "0.21"}, {"lr": "30"}])
def test_the_facts_of_a_run_are_those_of_its_curve(tmp_path: Path, grid: dict[str, Any]) -> None:
    folder = run(tmp_path, "quadratic", steps="60", record="1", **grid)
    (trial,) = read_trials(folder).trials
    curve = pd.read_csv(folder / "curves.csv")
    losses, norms = curve["train_loss"].tolist(), curve["grad_norm"].tolist()
    by_hand = facts_of(Made(losses, grad_norms=norms, status=trial.status))
    if trial.status == "diverged":  # its levels are those of the budget, which by hand is not known
        by_hand = {name: value for name, value in by_hand.items() if "level" not in name}
    assert len(by_hand) > 8
    assert trial.facts["diverged_by"] == by_hand.pop("diverged_by", "")
    assert {name: trial.facts[name] for name in by_hand} == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("record", ["1", "7", "100", "log"])
@pytest.mark.parametrize("lr", ["0.01", "0.19", "0.205", "3"])
def test_what_is_recorded_changes_nothing_that_is_said(
    tmp_path: Path, record: str, lr: str
) -> None:
    (usual,), (other,) = (
        said(run(tmp_path / name, "quadratic", lr=lr, steps="100", record=given))
        for name, given in (("a", "1"), ("b", record))
    )
    assert (other.state, other.qualities) == (usual.state, usual.qualities)
    assert (other.phrase, other.advice) == (usual.phrase, usual.advice)


@pytest.mark.parametrize("record", ["1", "10", "200", "log"])
def test_the_step_of_a_blow_up_is_the_same_however_it_is_recorded(
    tmp_path: Path, record: str
) -> None:
    grid: dict[str, Any] = {
        "method": "sgd",
        "lr": "0.31622776601683794",
        "epochs": "3",
        "record": record,
    }
    (found,) = said(run(tmp_path, "linear-regression", **grid))
    assert found.state == "blew up"
    assert found.phrase.startswith("blew up at step 73: its loss grew past the limit of")


def test_a_limit_that_theory_knows_is_named_however_short_the_run(tmp_path: Path) -> None:
    (found,) = said(run(tmp_path, "quadratic", lr="0.201", steps="2"))
    assert found.state == "bouncing"
    limit = "its learning rate is above the limit 2/L = 0.2"
    assert found.phrase == f"diverges in the end: {limit}"
    assert found.advice == "Use a learning rate below 0.2."


def test_a_schedule_a_momentum_and_the_epoch_are_evidence(tmp_path: Path) -> None:
    folder = run(
        tmp_path,
        "linear-regression",
        method="minibatch",
        batch_size="64",
        optimizer="momentum",
        schedule="cosine",
        epochs="8",
        vary={"momentum.beta": "0.5"},
        tol="1e-9",
    )
    diagnoses = diagnoses_of(folder)
    (trial,) = diagnoses.run.trials
    descent = diagnoses.evidence(trial).descent
    assert (descent.beta, descent.tol, descent.steady) == (0.5, 1e-9, False)
    assert descent.end_multiplier < 0.05
    steps = trial.fact("steps")
    assert descent.horizon == steps == 8 * descent.steps_per_epoch


def test_of_a_trial_that_failed_nothing_is_said(tmp_path: Path) -> None:
    folder = run(tmp_path, "quadratic", lr="0.1", steps="20")
    diagnoses = diagnoses_of(folder)
    (trial,) = diagnoses.run.trials
    lost = trial._replace(id="other", status="failed", facts={"status": "failed"})
    assert diagnoses.of(lost) == Diagnosis(None)


def as_format_2(folder: Path) -> None:
    """Rewrite the summary and the manifest of a run as versions before format 3 wrote them."""
    path = folder / "summary.csv"
    summary = pd.read_csv(path, dtype=str, keep_default_na=False)
    summary = summary.rename(columns={"stopped_by": "verdict"}).assign(verdict="slow")
    summary = summary.drop(columns=[end.name for end in FACTS if end.name not in OLD])
    summary[[name for name in OLD if name not in summary]] = "0"
    rest = [name for name in summary if name not in OLD]
    summary[[*rest, *OLD]].to_csv(path, index=False, lineterminator="\n")
    manifest = json.loads((folder / "manifest.json").read_text()) | {"format": 2}
    for entry in manifest["theory"]:
        for name in NEWER:
            del entry[name]
        del entry["curvature"]["smallest_positive"]
    content = path.read_bytes()
    held = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["files"]["summary.csv"] = held
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_of_a_run_without_facts_its_ends_are_told_and_no_more(tmp_path: Path) -> None:
    folder = run(tmp_path, "quadratic", lr="0.01,0.1,3", steps="200")
    before = read_trials(folder).trials
    as_format_2(folder)
    falling, there, lost = said(folder)
    assert (falling.state, falling.qualities) == ("too few points to tell", ())
    assert (there.state, there.quality) == ("too few points to tell", "at the minimum")
    # Its step and cause are those of the point that was recorded, not of what happened.
    assert lost.phrase.startswith("blew up before its end: its loss left every bound")
    after = read_trials(folder).trials
    assert [trial.loss for trial in after] == [trial.loss for trial in before]
    assert [trial.fact("level_1") for trial in after] == [None] * 3
    assert [trial.fact("diverged_at") for trial in after] == [None] * 3


@pytest.mark.parametrize("form", ["table", "csv", "json", "md"])
def test_a_run_without_facts_is_shown_and_exported(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(tmp_path, "quadratic", lr="0.01,0.1,3", steps="200")
    as_format_2(folder)
    for view in ("results", "why", "seeds"):
        assert main(["show", str(folder), "--view", view, "--format", form]) == 0
        assert "gd" in capsys.readouterr().out
    assert load(folder).summary["verdict"].tolist() == ["slow"] * 3
    assert load(folder).diagnoses["state"].tolist()[2] == "blew up"
