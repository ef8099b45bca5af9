"""`--fail-on`: which ends of trials make the exit code of a run 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.cli.screen import Screen
from gdcli.fields import counted
from gdcli.runs.options import COUNTED, RunOptions, diagnosed

if TYPE_CHECKING:
    from gdcli.runs.execution import Outcome


def exit_code(outcome: Outcome, options: RunOptions, screen: Screen) -> int:
    """Return 1 when a trial failed or is what --fail-on lists, and say so; else 0."""
    if "none" in options.fail_on:
        return 0
    counts = _counts(outcome, options)
    if counts:
        said = ", ".join(f"{count} {word}" for word, count in counts.items())
        trials = counted(outcome.trials, "trial", "trials")
        screen.warn(f"{said} of {trials}: --fail-on makes the exit code 1")
    return int(bool(outcome.failed or counts))


def _counts(outcome: Outcome, options: RunOptions) -> dict[str, int]:
    """Return how many trials have each of the words, of those that some have."""
    words = [word for word in options.fail_on if word != "failed"]
    counts = {word: outcome.diverged for word in words if word in COUNTED}
    rest = [word for word in words if word not in COUNTED]
    if rest and not outcome.missing:  # else there are no tables yet
        from gdcli.report.results import diagnoses_of

        meant = diagnosed()
        found = [{one.state, *one.qualities} for _, one in diagnoses_of(outcome.folder).all()]
        counts |= {word: sum(meant[word] in said for said in found) for word in rest}
    return {word: counts[word] for word in words if counts.get(word)}
