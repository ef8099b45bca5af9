"""The trials of a run judged anew, by other thresholds than those its summary was written with."""

from __future__ import annotations

from pathlib import Path

from gdcli.analysis.facts import Facts, Goals, Theory
from gdcli.analysis.recorded_points import Points, read_points
from gdcli.analysis.thresholds import Thresholds
from gdcli.analysis.trials import Trial, Trials, read_trials
from gdcli.analysis.verdict import Curve, Verdict, verdict


def judged(folder: Path, run: Trials, theory: Theory, thresholds: Thresholds) -> Trials:
    """Return the trials with the verdicts, and their figures, that these thresholds give.

    Their curves are read from curves.csv; the run's files stay as they are.
    """
    trials = {trial.id: trial for trial in run.trials}
    for points in read_points(folder, ("epoch", "train_loss", "grad_norm")):
        if trial := trials.get(points.trial):
            curve = _curve(trial, points, theory.of(run.names, trial.setting), theory.goals)
            trials[trial.id] = _with(trial, verdict(curve, thresholds), points)
    return run._replace(trials=tuple(trials.values()))


def trials_judged(folder: Path, theory: Theory, thresholds: Thresholds) -> Trials:
    """Return the trials of a run, judged anew where other thresholds are asked for."""
    run = read_trials(folder)
    return run if thresholds == Thresholds() else judged(folder, run, theory, thresholds)


def _curve(trial: Trial, points: Points, facts: Facts | None, goals: Goals) -> Curve:
    has_goal = goals.tol is not None or goals.target_loss is not None
    return Curve(
        status=trial.status,
        steps=points.steps,
        losses=points.values["train_loss"],
        grad_norms=points.values["grad_norm"],
        # Where there is a goal, to have converged is to have reached it, whatever the thresholds.
        reached=trial.verdict == "converged" if has_goal else None,
        target_loss=goals.target_loss,
        minimum=facts.minimum if facts else None,
    )


def _with(trial: Trial, found: Verdict, points: Points) -> Trial:
    steps, epochs = points.steps[-1], points.values["epoch"][-1]
    left = found.steps_left
    counted = found.word is not None and found.cause in (None, "growth")
    figures = {
        "epochs_left": None if left is None or not steps else left * epochs / steps,
        "overshoots": found.overshoots if counted else None,
        "largest_overshoot": found.overshoot if counted else None,
    }
    return trial._replace(
        verdict=found.word or "",
        diverged_by=found.cause or "",
        figures={**trial.figures, **figures},
    )
