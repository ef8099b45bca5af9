"""Whether a run is what it says: its files, then the run again, or another run beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gdcli.errors import UserError
from gdcli.runs.against import compare_runs
from gdcli.runs.finding import Finding
from gdcli.runs.inspection import inspect
from gdcli.runs.recorded import Recorded
from gdcli.runs.rerun import run_again
from gdcli.runs.state import state_of

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.runs.progress import Progress
    from gdcli.runs.tolerance import Tolerance


NEEDED = ("experiment", "columns", "trials")  # by those that are run again


def verify(
    folder: Path, sample: int | None, seed: int, progress: Progress, *, trust: bool = False
) -> list[Finding]:
    """Check a run's folder, then run it again, or `sample` of its batches, and compare.

    Code that the folder names is run only if `trust` is: else nothing is run again.
    """
    run, findings = _inspected(folder, trust=trust)
    needed = [f for f in findings if f.check in NEEDED]
    if run is None or not all(f.sound for f in needed):
        return [*findings, Finding("rerun", "skipped", "there is nothing whole to compare with")]
    if not all(f.done for f in needed):
        return [*findings, Finding("rerun", "not done", "its code is not run without --trust")]
    return [*findings, run_again(run, sample, seed, progress)]


def verify_against(folder: Path, other: Path, tolerance: Tolerance) -> list[Finding]:
    """Check the folders of two runs and compare what they recorded; nothing is run."""
    (run, findings), (held, more) = (_inspected(f, trust=False) for f in (folder, other))
    broken = [*_broken(folder, findings), *_broken(other, more)]
    files = broken or [Finding("files", "ok", f"{folder} and {other} are whole")]
    if run is None or held is None:
        return files
    try:
        return [*files, *compare_runs(run, held, tolerance)]
    except UserError as error:
        return [*files, Finding("values", "damaged", str(error))]


def _broken(folder: Path, findings: list[Finding]) -> list[Finding]:
    """Return what speaks against a run, with its folder."""
    return [replace(f, detail=f"{folder}: {f.detail}") for f in findings if not f.sound]


def _inspected(folder: Path, *, trust: bool) -> tuple[Recorded | None, list[Finding]]:
    """Return a run with what its files show; None for one without a manifest that can be read."""
    if not (folder / "manifest.json").exists():
        try:
            said = state_of(folder).unfinished
        except OSError as error:
            said = str(error)
        return None, [Finding("manifest", "missing", said)]
    try:
        run = Recorded.read(folder, trust=trust)
    except UserError as error:
        return None, [Finding("manifest", "damaged", str(error))]
    return run, list(inspect(run))
