"""`gdcli verify RUN`: whether its results can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from annotated_types import Ge

from gdcli.cli.completion import runs
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, given_of, read, takes
from gdcli.cli.screen import Screen
from gdcli.errors import UserError
from gdcli.runs.run_folder import any_folder_of

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.runs.finding import Finding

NOT_DONE, DIFFERENT = 1, 3


@dataclass(frozen=True)
class Again:
    """What is run again."""

    sample: Annotated[int | None, "batches of trials to run again; all", Ge(1)] = None
    sample_seed: Annotated[int, "seed that chooses the sample", Ge(0)] = 0
    trust: Annotated[bool, "run code of the user's own that the run's folder names"] = False


@dataclass(frozen=True)
class Against:
    """What is compared with instead of running again."""

    against: Annotated[str | None, "another run to compare with; nothing is run"] = None
    rtol: Annotated[float, "difference allowed, over the larger value", Ge(0)] = 0.0
    atol: Annotated[float, "difference allowed besides", Ge(0)] = 0.0


@takes({"Run again": (Again,), "Compare": (Against,), RUN: (Screen,)})
def verify(
    *,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="a run's folder, or its name in results", autocompletion=runs
        ),
    ],
    **given: object,
) -> int:
    """Check a run's files, run it again, and compare.

    The exit code is 3 if something differs, and 1 if the run needs code of the user's own and
    --trust is not given: then nothing is run again. Where versions, processor and device are those
    of the run, all bytes must be the same. Else trials whose loss falls at every recorded point
    must agree in it to 1e-10 in float64 and 1e-4 in float32, and the others in where they start
    and their status.
    """
    screen, again, against, _, folder = every(
        [
            lambda: read(Screen, given),
            lambda: read(Again, given),
            lambda: read(Against, given),
            lambda: _one_way(given),
            lambda: any_folder_of(run),
        ]
    )
    other = None if against.against is None else any_folder_of(against.against)
    from gdcli.report.findings import print_findings

    findings = _compared(folder, other, against) if other else _run_again(folder, again, screen)
    print_findings(findings, screen.format, screen.console())
    if not all(finding.sound for finding in findings):
        return DIFFERENT
    return 0 if all(finding.done for finding in findings) else NOT_DONE


def _one_way(given: Mapping[str, object]) -> None:
    """Raise UserError for options of running again and of comparing together."""
    compared = given.get("against") is not None
    for name in given_of(given, Again if compared else Against):
        what = "nothing is run again with --against" if compared else "it goes with --against"
        fix = "leave one out" if compared else "add --against RUN, or leave it out"
        raise UserError(f"--{name}", what, fix)


def _compared(folder: Path, other: Path, options: Against) -> list[Finding]:
    from gdcli.runs.tolerance import Tolerance
    from gdcli.runs.verify import verify_against

    return verify_against(folder, other, Tolerance(options.rtol, options.atol))


def _run_again(folder: Path, options: Again, screen: Screen) -> list[Finding]:
    from gdcli.report.progress import progress_bar
    from gdcli.runs.verify import verify

    bar = progress_bar(quiet=screen.quiet, color=not screen.no_color)
    return verify(folder, options.sample, options.sample_seed, bar, trust=options.trust)
