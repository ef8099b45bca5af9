"""Keeping runs: `gdcli verify RUN`, `gdcli merge DIR... -o OUT` and `gdcli export RUN`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from annotated_types import Ge

from gdcli.cli.options import (
    RUN,
    RunArgument,
    Screen,
    Trust,
    checked_file,
    collect_errors,
    given_of,
    options_from,
    read,
)
from gdcli.errors import RunError, UserError
from gdcli.fields import counted, show
from gdcli.runs.differences import Tolerance
from gdcli.runs.run_folder import any_folder_of

if TYPE_CHECKING:
    from gdcli.runs.folder import Contents

NOT_DONE, DIFFERENT = 1, 3


@dataclass(frozen=True)
class Recheck(Trust):
    """What is run again."""

    sample: Annotated[
        int | None, "run only this many batches of trials again (default: all)", Ge(1)
    ] = None
    sample_seed: Annotated[int, "seed that chooses the batches of --sample", Ge(0)] = 0


@dataclass(frozen=True)
class Compare:
    """What is compared with instead of running again."""

    against: Annotated[
        str | None, "compare with the files of this other run; nothing is run again"
    ] = None
    rtol: Annotated[float, "allow differences up to this fraction of the larger value", Ge(0)] = 0.0
    atol: Annotated[float, "allow differences up to this, added to --rtol", Ge(0)] = 0.0


@options_from({"Run again": (Recheck,), "Compare": (Compare,), RUN: (Screen,)})
def verify(
    *,
    run: RunArgument,
    **given: object,
) -> int:
    """Check the files of a run, run it again, and compare the results.

    With the same versions, processor and device as the run had, all bytes must be the same.
    Otherwise trials whose loss falls at every recorded point must agree in it to 1e-10 in float64
    and 1e-4 in float32, and all other trials in their starting loss and their status.

    The exit code is 3 if something differs. It is 1 if the run needs code of your own and --trust
    is not given: then nothing is run again.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        again = collect(read, Recheck, given)
        against = collect(read, Compare, given)
        collect(_one_way, given)
        folder = collect(any_folder_of, run)
    other = None if against.against is None else any_folder_of(against.against)
    from gdcli.report.results import print_findings
    from gdcli.runs import verify as checks

    if other:
        findings = checks.verify_against(folder, other, Tolerance(against.rtol, against.atol))
    else:
        sample = (again.sample, again.sample_seed, screen.progress())
        findings = checks.verify(folder, *sample, trust=again.trust)
    print_findings(findings, screen.format, screen.console())
    if not all(finding.sound for finding in findings):
        return DIFFERENT
    return 0 if all(finding.done for finding in findings) else NOT_DONE


def _one_way(given: Mapping[str, object]) -> None:
    """Raise UserError for options of running again and of comparing together."""
    compared = given.get("against") is not None
    for name in given_of(given, Recheck if compared else Compare):
        what = "nothing is run again with --against" if compared else "it needs --against"
        fix = "leave one out" if compared else "add --against RUN, or leave it out"
        raise UserError(f"--{name}", what, fix)


@options_from({RUN: (Trust, Screen)})
def merge(
    *,
    folders: Annotated[
        list[str],
        typer.Argument(metavar="DIR", help="folders of the parts, such as those of --shard"),
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="PATH", help="the merged run's folder", rich_help_panel=RUN
        ),
    ],
    **given: object,
) -> int:
    """Join the parts of a run that were computed apart into one folder.

    If all trials are there, the results are written and printed. Otherwise the missing trials are
    listed and the exit code is 1; the command of the run computes them in that folder.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        trust = collect(read, Trust, given)
        parts = [collect(any_folder_of, folder) for folder in folders]
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
        "what to write: json, one JSON text; parquet, two Parquet files; tensorboard, event files; "
        "mlflow, MLflow runs; or of one trial, which is trained again: npz or torch, its weights "
        "as arrays or as a PyTorch state_dict; coefficients, those of a linear model as CSV; int8, "
        "the integers of a quantized network",
    ] = "json"
    output: Annotated[
        str | None,
        "file (.json, .csv, .npz, .pt), folder (parquet, tensorboard) or address of an MLflow "
        "server; without it JSON and CSV are printed",
    ] = None
    trial: Annotated[
        tuple[str, ...],
        "ids of the trials to export (default: all; of weights, the only one of the run)",
    ] = ()
    overwrite: Annotated[bool, "replace files that exist"] = False


@options_from({RUN: (Export, Trust, Screen)}, without=("format",))
def export(
    *,
    run: RunArgument,
    **given: object,
) -> int:
    """Write a run, or the weights of a trial, for other tools.

    A run keeps no weights. For npz, torch, coefficients and int8 the trial is therefore trained
    again from its seed; nothing is written unless its curve is the recorded one.

    Of an unfinished run the trials that are stored already can be exported, but no weights.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        options = collect(_options, given)
        trust = collect(read, Trust, given)
        folder = collect(any_folder_of, run)
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
        what = f"{options.to} cannot be printed"
        raise UserError("--output", what, f"give {PLACES[options.to]}")
    if options.to == "json" and options.output is not None:
        checked_file(Path(options.output), (".json",))
    if options.to in WEIGHTS:
        _check_weights(options)
    repeated = [trial for trial in options.trial if options.trial.count(trial) > 1]
    if repeated:
        raise UserError("--trial", f"{show(repeated[0])} is given twice", "give it once")
    return options


def _check_weights(options: Export) -> None:
    if len(options.trial) > 1:
        what = f"{options.to} takes one trial, and {len(options.trial)} are given"
        raise UserError("--trial", what, "give one id, from the first column of summary.csv")
    endings = WEIGHTS[options.to]
    if options.output is not None:
        checked_file(Path(options.output), endings)
    elif options.to not in PRINTED:
        fix = f"give a file that ends in {endings[0]}"
        raise UserError("--output", f"{options.to} cannot be printed", fix)


def _weights(run: Contents, options: Export, screen: Screen, *, trust: bool) -> int:
    """Write the weights of a trial, or print them."""
    from gdcli.exports.weights import export as write

    file = None if options.output is None else Path(options.output)
    trial = _one_trial(run, options)
    given = {"trust": trust, "overwrite": options.overwrite}
    content, said = write(options.to, run.folder, trial, file, screen.progress, **given)
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
        what = f"{options.to} takes one trial, and the run has {len(ids)}"
        raise UserError("--trial", what, "give one id, from the first column of summary.csv")
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
