"""Keeping runs: `gdcli verify RUN`, `gdcli merge DIR... -o OUT` and `gdcli export RUN`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

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
    print_run,
    read,
)
from gdcli.errors import RunError, UserError
from gdcli.exports.exporter import (
    RunExporter,
    WeightsExporter,
    find,
    names,
    refuse_existing,
    summary,
)
from gdcli.fields import counted, show
from gdcli.report.dry_run import print_trials
from gdcli.report.text_tables import print_listing
from gdcli.runs import atomic
from gdcli.runs.lookup import any_folder_of

if TYPE_CHECKING:
    from gdcli.runs.differences import CheckResult
    from gdcli.runs.folder import RunFolder

NOT_DONE, DIFFERENT = 1, 3
# Columns of csv and json: where the first difference is, and what it is.
PLACE = ("table", "trial", "step", "column", "recorded", "found")


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
    (test losses to 1e-8) and 1e-4 in float32, and all other trials in their starting loss and their
    status.

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
    from gdcli.runs import verify as checks

    if other:
        findings = checks.verify_against(folder, other, against.rtol, against.atol)
    else:
        sample = (again.sample, again.sample_seed, screen.progress())
        findings = checks.verify(folder, *sample, trust=again.trust)
    form = screen.format
    rows = [_row(one, apart=form in ("csv", "json")) for one in findings]
    print_listing(rows, form, screen.console())
    if not all(finding.sound for finding in findings):
        return DIFFERENT
    return 0 if all(finding.done for finding in findings) else NOT_DONE


def _row(finding: CheckResult, *, apart: bool) -> dict[str, str]:
    """Return a check as a row; `apart`: with columns for the place of the first difference."""
    row = {"check": finding.check, "result": finding.result, "detail": finding.detail}
    if apart:
        place = asdict(finding.difference) if finding.difference else {}
        row |= {name: place.get(name, "") for name in PLACE}
    return row


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
    from gdcli.runs.others import merge as joined

    out = Path(output)
    missing = joined(parts, out, trust=trust.trust)
    if missing:
        print_trials(missing, screen.format, screen.console())
        what = f"{counted(len(missing), 'trial is', 'trials are')} missing"
        raise RunError(f"{out}: {what}; merge the other parts, too, or run the experiment there")
    if screen.terse:
        screen.print_path(out)
    else:
        print_run(out, screen)
    screen.tell(f"the results are in {out}")
    return 0


if TYPE_CHECKING:
    Form = str
else:
    Form = Literal[tuple(names())]  # found: one more file is one more choice

SUMMARIES = {name: summary(name) for name in names()}
FORMS = "; ".join(f"{name}: {text[:1].lower()}{text[1:]}" for name, text in SUMMARIES.items())


@dataclass(frozen=True)
class Export:
    """What is exported, and where to."""

    to: Annotated[Form, FORMS] = "json"
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

    If a run is not finished, its stored trials can be exported, but no weights.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        chosen = collect(_options, given)
        trust = collect(read, Trust, given)
        folder = collect(any_folder_of, run)
    options, exporter = chosen
    from gdcli.runs.folder import RunFolder

    contents = RunFolder(folder, trust=trust.trust)
    contents.check()
    contents.check_trials(options.trial, "--trial")
    if isinstance(exporter, WeightsExporter):
        return _weights(contents, options, exporter, screen, trust=trust.trust)
    if options.output is None:
        write = screen.console().file.write
        for line in exporter.lines(contents, options.trial):
            write(line)
        return 0
    output, overwrite = options.output, options.overwrite
    for note in exporter.write(contents, options.trial, output, overwrite=overwrite):
        screen.warn(note)
    told = counted(len(options.trial) or sum(1 for _ in contents.ids()), "trial is", "trials are")
    part = " (the run is not finished)" if contents.state == "partial" else ""
    screen.tell(f"{told} in {output}{part}")
    return 0


def _options(given: Mapping[str, object]) -> tuple[Export, RunExporter | WeightsExporter]:
    """Return the options and the exporter; raises UserError for those that exclude each other."""
    options = read(Export, given)
    exporter = cast("RunExporter | WeightsExporter", find(options.to))
    if isinstance(exporter, WeightsExporter) and len(options.trial) > 1:
        what = f"{options.to} takes one trial, and {len(options.trial)} are given"
        raise UserError("--trial", what, "give one id, from the first column of summary.csv")
    if options.output is None and not exporter.printed:
        wanted = exporter.place or f"a file that ends in {exporter.endings[0]}"
        raise UserError("--output", f"{options.to} cannot be printed", f"give {wanted}")
    if options.output is not None and exporter.endings:
        checked_file(Path(options.output), exporter.endings)
    repeated = [trial for trial in options.trial if options.trial.count(trial) > 1]
    if repeated:
        raise UserError("--trial", f"{show(repeated[0])} is given twice", "give it once")
    return options, exporter


def _weights(
    run: RunFolder, options: Export, exporter: WeightsExporter, screen: Screen, *, trust: bool
) -> int:
    """Train a trial again and write its weights, or print them."""
    from gdcli.studies.training import trained_again

    file = None if options.output is None else Path(options.output)
    trial = _one_trial(run, options)
    if file is not None:
        refuse_existing([file], overwrite=options.overwrite)
    weights = trained_again(run.path, trial, screen.progress, trust=trust, check=exporter.check)
    content = exporter.content(weights)
    if file is None:
        screen.console().file.write(content.decode())
    else:
        atomic.write(file, [content])
    said = f"after step {weights.step}, with a training loss of {weights.loss:.6g}"
    screen.tell(f"trial {trial} was trained again, and {weights.how}: its weights are those {said}")
    if file is not None:
        screen.tell(f"they are in {options.output}")
    return 0


def _one_trial(run: RunFolder, options: Export) -> str:
    """Return the trial whose weights are wanted: the one given, or the run's only one."""
    ids = options.trial or tuple(run.ids())
    if len(ids) != 1:
        what = f"{options.to} takes one trial, and the run has {len(ids)}"
        raise UserError("--trial", what, "give one id, from the first column of summary.csv")
    return ids[0]
