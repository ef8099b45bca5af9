"""`gdcli verify RUN`: whether its results can be trusted.

`gdcli merge DIR... -o OUT`: parts of a run, computed apart, as one run.

`gdcli export RUN`: a run in the form that another tool reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from annotated_types import Ge

from gdcli.cli.options import RUN, Screen, Trust, checked_target, every, given_of, read, runs, takes
from gdcli.errors import RunError, UserError
from gdcli.fields import counted, show
from gdcli.runs.run_folder import any_folder_of

if TYPE_CHECKING:
    from gdcli.runs.differences import Finding
    from gdcli.runs.folder import Contents

NOT_DONE, DIFFERENT = 1, 3


@dataclass(frozen=True)
class Recheck:
    """What is run again."""

    sample: Annotated[int | None, "batches of trials to run again; all", Ge(1)] = None
    sample_seed: Annotated[int, "seed that chooses the sample", Ge(0)] = 0
    trust: Annotated[bool, "run code of the user's own that the run's folder names"] = False


@dataclass(frozen=True)
class Comparison:
    """What is compared with instead of running again."""

    against: Annotated[str | None, "another run to compare with; nothing is run"] = None
    rtol: Annotated[float, "difference allowed, over the larger value", Ge(0)] = 0.0
    atol: Annotated[float, "difference allowed besides", Ge(0)] = 0.0


@takes({"Run again": (Recheck,), "Compare": (Comparison,), RUN: (Screen,)})
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
            lambda: read(Recheck, given),
            lambda: read(Comparison, given),
            lambda: _one_way(given),
            lambda: any_folder_of(run),
        ]
    )
    other = None if against.against is None else any_folder_of(against.against)
    from gdcli.report.results import print_findings

    findings = _compared(folder, other, against) if other else _run_again(folder, again, screen)
    print_findings(findings, screen.format, screen.console())
    if not all(finding.sound for finding in findings):
        return DIFFERENT
    return 0 if all(finding.done for finding in findings) else NOT_DONE


def _one_way(given: Mapping[str, object]) -> None:
    """Raise UserError for options of running again and of comparing together."""
    compared = given.get("against") is not None
    for name in given_of(given, Recheck if compared else Comparison):
        what = "nothing is run again with --against" if compared else "it goes with --against"
        fix = "leave one out" if compared else "add --against RUN, or leave it out"
        raise UserError(f"--{name}", what, fix)


def _compared(folder: Path, other: Path, options: Comparison) -> list[Finding]:
    from gdcli.runs.differences import Tolerance
    from gdcli.runs.verify import verify_against

    return verify_against(folder, other, Tolerance(options.rtol, options.atol))


def _run_again(folder: Path, options: Recheck, screen: Screen) -> list[Finding]:
    from gdcli.report.progress import progress_bar
    from gdcli.runs.verify import verify

    bar = progress_bar(quiet=screen.quiet, color=not screen.no_color)
    return verify(folder, options.sample, options.sample_seed, bar, trust=options.trust)


@takes({RUN: (Trust, Screen)})
def merge(
    *,
    folders: Annotated[
        list[str], typer.Argument(metavar="DIR", help="folders of the parts, such as shards")
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="PATH", help="the merged run's folder", rich_help_panel=RUN
        ),
    ],
    **given: object,
) -> int:
    """Put the parts of a run, computed apart, into one folder.

    When all batches are there the tables are written and printed. Else the trials that are
    missing are listed and the exit code is 1; the run's own command goes on in the folder.
    """
    screen, trust, *parts = every(
        [
            lambda: read(Screen, given),
            lambda: read(Trust, given),
            *(lambda f=folder: any_folder_of(f) for folder in folders),
        ]
    )
    from gdcli.report.plan import print_trials
    from gdcli.report.results import print_results
    from gdcli.runs.others import merge as merged

    out = Path(output)
    missing = merged(parts, out, trust=trust.trust)
    if missing:
        print_trials(missing, screen.format, screen.console())
        what = f"{counted(len(missing), 'trial is', 'trials are')} missing"
        raise RunError(f"{out}: {what}; merge the other parts, too, or run the experiment there")
    if screen.terse:
        screen.print_path(out)
    else:
        print_results(out, screen.format, screen.console())
    screen.tell(f"the results are in {out}")
    return 0


MODULES = {"parquet": "pyarrow", "tensorboard": "tensorboardX", "mlflow": "mlflow"}
PLACES = {"parquet": "a folder", "tensorboard": "a folder", "mlflow": "http://HOST:PORT"}
# What is of one trial's weights, and the endings that its file may have.
WEIGHTS = {
    "npz": (".npz",),
    "torch": (".pt", ".pth"),
    "coefficients": (".csv",),
    "int8": (".npz",),
}
PRINTED = ("json", "coefficients")


@dataclass(frozen=True)
class Export:
    """What is exported, and where to."""

    to: Annotated[
        Literal["json", "parquet", "tensorboard", "mlflow", "npz", "torch", "coefficients", "int8"],
        "one JSON text, two Parquet files, TensorBoard's event files or MLflow runs; of one trial, "
        "which is trained again: its weights as arrays or a state_dict of PyTorch, coefficients of "
        "a linear model as CSV, or the integers of a network",
    ] = "json"
    output: Annotated[
        str | None,
        "file of JSON or CSV, else it is printed; .npz; .pt; folder; or MLflow's address",
    ] = None
    trial: Annotated[
        tuple[str, ...], "ids of the trials; all of them, for weights the run's only one"
    ] = ()
    overwrite: Annotated[bool, "replace what is there already"] = False


@takes({RUN: (Export, Trust, Screen)}, without=("format",))
def export(
    *,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="a run's folder, or its name in results", autocompletion=runs
        ),
    ],
    **given: object,
) -> int:
    """Export a run to other tools, from its files alone.

    Runs keep no weights: for --to npz, torch, coefficients and int8 the trial is trained again,
    from its seed, and nothing is written unless its curve is the recorded one.

    Of a run that is not finished, the trials that are stored already are exported, but no weights.
    """
    screen, options, trust, folder = every(
        [
            lambda: read(Screen, given),
            lambda: _options(given),
            lambda: read(Trust, given),
            lambda: any_folder_of(run),
        ]
    )
    from gdcli.runs.folder import Contents

    contents = Contents(folder, trust=trust.trust)
    contents.check_trials(options.trial, "--trial")
    if options.to in WEIGHTS:
        return _weights(contents, options, screen, trust=trust.trust)
    if options.output is None:
        _print(contents, options, screen)
        return 0
    for note in _write(contents, options, options.output):
        screen.warn(note)
    told = counted(len(options.trial) or contents.count(), "trial is", "trials are")
    part = " (the run is not finished)" if contents.state == "partial" else ""
    screen.tell(f"{told} in {options.output}{part}")
    return 0


def _options(given: Mapping[str, object]) -> Export:
    """Return the options; raises UserError for those that do not go together."""
    options = read(Export, given)
    module = MODULES.get(options.to)
    if module and find_spec(module) is None:
        fix = f"pip install 'gdcli[{options.to}]'"
        raise UserError("--to", f"{options.to} needs {module}, which is not installed", fix)
    if module and not options.output:
        what = f"{options.to} is not printed"
        raise UserError("--output", what, f"give {PLACES[options.to]}")
    if options.to == "json" and options.output is not None:
        checked_target(Path(options.output), (".json",))
    if options.to in WEIGHTS:
        _check_weights(options)
    repeated = [trial for trial in options.trial if options.trial.count(trial) > 1]
    if repeated:
        raise UserError("--trial", f"{show(repeated[0])} is given twice", "give it once")
    return options


def _check_weights(options: Export) -> None:
    if len(options.trial) > 1:
        what = f"{options.to} is of one trial, and {len(options.trial)} are given"
        raise UserError("--trial", what, "give an id of summary.csv's first column")
    endings = WEIGHTS[options.to]
    if options.output is not None:
        checked_target(Path(options.output), endings)
    elif options.to not in PRINTED:
        fix = f"give a file that ends in {endings[0]}"
        raise UserError("--output", f"{options.to} is not printed", fix)


def _weights(run: Contents, options: Export, screen: Screen, *, trust: bool) -> int:
    """Write the weights of a trial, or print them."""
    from gdcli.exports.weights import export as write
    from gdcli.report.progress import progress_bar

    file = None if options.output is None else Path(options.output)
    bar = partial(progress_bar, quiet=screen.quiet, color=not screen.no_color)
    trial = _one_trial(run, options)
    given = {"trust": trust, "overwrite": options.overwrite}
    content, said = write(options.to, run.folder, trial, file, bar, **given)
    if file is None:
        screen.console().file.write(content.decode())
    screen.tell(said)
    if file is not None:
        screen.tell(f"they are in {options.output}")
    return 0


def _one_trial(run: Contents, options: Export) -> str:
    """Return the trial whose weights are wanted: the one given, or the run's only one."""
    ids = options.trial or tuple(run.ids())
    if len(ids) != 1:
        what = f"{options.to} is of one trial, and the run has {len(ids)}"
        raise UserError("--trial", what, "give an id of summary.csv's first column")
    return ids[0]


def _print(run: Contents, options: Export, screen: Screen) -> None:
    from gdcli.exports.to_json import lines

    write = screen.console().file.write
    for line in lines(run, options.trial):
        write(line)


def _write(run: Contents, options: Export, output: str) -> list[str]:
    """Write the export; return what is to be told of it."""
    given = {"overwrite": options.overwrite}
    if options.to == "mlflow":
        from gdcli.exports.to_mlflow import export as to_mlflow

        return to_mlflow(run, options.trial, output, **given)
    if options.to == "tensorboard":
        from gdcli.exports.to_tensorboard import export as to_tensorboard

        return to_tensorboard(run, options.trial, Path(output), **given)
    if options.to == "parquet":
        from gdcli.exports.to_parquet import export as to_parquet

        to_parquet(run, options.trial, Path(output), **given)
    else:
        from gdcli.exports.to_json import export as to_json

        to_json(run, options.trial, Path(output), **given)
    return []
