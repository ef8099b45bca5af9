"""What is printed of a run: its best learning rates, its losses over them, its curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from rich.text import Text

from gdcli.analysis.best import Setting, quantization_rows
from gdcli.analysis.diagnoses import Diagnoses, diagnoses_of, rate_diagnosis
from gdcli.analysis.diagnosis.verdict import qualities, states
from gdcli.analysis.diagnosis.verdicts.states import ReachedItsGoal
from gdcli.errors import UserError
from gdcli.fields import counted
from gdcli.numbers import distinct_labels, rounded
from gdcli.report.charts.charts import MetricOfRun, curves, of_settings
from gdcli.report.charts.terminal import print_picture
from gdcli.report.console import literal, print_lines
from gdcli.report.headline import baseline_columns, baseline_lines, headline
from gdcli.report.text_tables import TextColumn, blocks, namer, print_rows
from gdcli.report.why import MORE, lines_comparison, why_lines, why_notes, why_rows, why_table
from gdcli.runs.csv_read import Value

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from gdcli.analysis.theory import RunConstants
    from gdcli.runs.trials import TrialResult, Trials

Row: TypeAlias = Mapping[str, Value]
QUANTIZATION_NOTES = (
    "scores: medians over the seeds at the best lr; drop: how much rounding worsens them",
    "bytes: weights of the given bits, a float for each output's scale, and the other parameters",
)
MOST_ROWS = 40  # of a table for people: more would hide what comes first
MOST_MESSAGES = 5


def print_results(
    folder: Path,
    form: str,
    console: Console,
    diagnoses: Diagnoses | None = None,
) -> None:
    """Print the results of a run's folder as the `form` table, csv, json or md.

    table: the result in a sentence, why, the best learning rates, the losses over all of them, and
    the curves at the best. The other forms: the best learning rates alone, one row a setting. The
    diagnoses are made with the usual limits unless they are given. Raises UserError where a file
    is missing or damaged.
    """
    diagnoses = diagnoses or diagnoses_of(folder)
    settings = diagnoses.settings
    if form == "table":
        _print_all(folder, diagnoses, settings, console)
    else:
        _print_rows(diagnoses, settings, form, console)


def _print_all(
    folder: Path, diagnoses: Diagnoses, settings: Sequence[Setting], console: Console
) -> None:
    if not settings:
        console.print("The run has no trials.")
        return
    run, theory = diagnoses.run, diagnoses.theory
    shown, source = _lowest(settings), MetricOfRun(folder, run)
    labels = list(map(source.name, shown))
    said = headline(diagnoses, shown, labels)
    drawn = None
    if any(candidate.ran for setting in settings for candidate in setting.candidates):
        drawn = curves(source, lines_comparison(diagnoses, shown))  # what `why` needs is read, too
    _print(console, *(Text(literal(line), "bold") for line in said))
    why = why_lines(folder, diagnoses, shown, labels)
    _print(console, *(("", "Why", *why) if why else ()), "")
    title = "Best learning rate of each setting, by median final training loss over seeds"
    _print(console, title, *best_lines(diagnoses, shown, labels, console.width))
    _print(console, *baseline_lines(diagnoses, shown, labels))
    if len(shown) < len(settings):
        more = counted(len(settings) - len(shown), "setting has a", "settings have")
        losses = "higher loss" if len(settings) - len(shown) == 1 else "higher losses"
        whole = f"--format csv, or {folder / 'summary.csv'}"
        _print(console, f"{more} {losses} and no row here; all: {whole}")
    if len({candidate.lr for setting in shown for candidate in setting.candidates}) > 1:
        _print(console, "")
        print_picture(of_settings(source, shown), console)
    if theory is not None and (rows := quantization_rows(run, shown, theory)):
        _print(console, "\nWhat rounding costs")
        print_rows(rows, "table", console, QUANTIZATION_NOTES)
    if drawn:
        _print(console, "")
        print_picture(drawn, console)
    _print(console, *_failures(run.trials))


def _print_rows(
    diagnoses: Diagnoses, settings: Sequence[Setting], form: str, console: Console
) -> None:
    """Print the best learning rates alone; a table for people has the baseline in a line."""
    rates = [trial.lr for trial in diagnoses.run.trials]
    rows = best_rows(diagnoses, settings)
    if form != "md":
        columns = baseline_columns(diagnoses, settings)
        rows = [{**row, **more} for row, more in zip(rows, columns, strict=True)]
    print_rows(rows, form, console, rates=rates)
    if form == "md" and settings:
        lines = baseline_lines(diagnoses, settings, _names(diagnoses, settings))
        _print(console, *(("", *lines) if lines else ()))


def _lowest(settings: Sequence[Setting]) -> list[Setting]:
    """Return the settings that are shown, those with the lowest losses, in their order."""
    ranked = sorted(range(len(settings)), key=lambda place: settings[place].median)
    return [settings[place] for place in sorted(ranked[:MOST_ROWS])]


def _names(diagnoses: Diagnoses, settings: Sequence[Setting]) -> list[str]:
    return list(map(namer(diagnoses.run.names, settings), settings))


def _failures(trials: Sequence[TrialResult]) -> list[str]:
    """Return a line for each message that trials failed with, and how many they are."""
    failed: dict[str, list[str]] = {}
    for trial in trials:
        if trial.status == "failed":
            failed.setdefault(trial.message, []).append(trial.id)
    lines = [
        f"{len(ids)} failed: {literal(message)} (trial {literal(ids[0])})"
        for message, ids in failed.items()
    ]
    rest = len(lines) - MOST_MESSAGES
    return lines if rest <= 0 else [*lines[:MOST_MESSAGES], f"and {rest} more messages"]


def print_outcome(
    folder: Path, form: str | None, console: Console, errors: Console | None
) -> Diagnoses:
    """Print a run that has just ended, and return its diagnoses.

    The results are printed in a form, or not at all, and the messages of failed trials on `errors`
    unless it is None.
    """
    diagnoses = diagnoses_of(folder)
    if form is not None:
        print_results(folder, form, console, diagnoses)
    if errors is not None:
        _print(errors, *_failures(diagnoses.run.trials))
    return diagnoses


def _print(console: Console, *lines: str | Text) -> None:
    """Print sentences and rows; no word or number is broken."""
    print_lines(lines, console)


def best_rows(diagnoses: Diagnoses, settings: Sequence[Setting]) -> list[Row]:
    """Return one row a setting, its numbers in full, None where there is none.

    lr is the best learning rate, by median final training loss over the seeds; seeds are those
    with a result there; train_loss is that median, q1 and q3 its quartiles, of two seeds or more;
    test_loss and the metrics are medians there, state and quality those of most seeds. trials,
    diverged and failed count the trials at all learning rates.
    """
    run = diagnoses.run
    return [
        {
            **dict(zip(run.names, setting.values, strict=True)),
            **_best(run, setting),
            **_said(diagnoses, setting),
            **_counts(setting),
        }
        for setting in settings
    ]


def _said(diagnoses: Diagnoses, setting: Setting) -> dict[str, Value]:
    """Return the state of most trials at the best rate, and the quality that goes with it."""
    if setting.best is None:
        return {"state": None, "quality": None}
    (state, quality), _ = rate_diagnosis(diagnoses, setting, setting.best).groups[0]
    return {"state": state, "quality": quality}


def _best(run: Trials, setting: Setting) -> dict[str, Value]:
    best = setting.best
    loss = best.loss if best else None
    return {
        "lr": best.lr if best else None,
        "seeds": loss.count if loss else None,
        "train_loss": loss.median if loss else None,
        # One seed has no quartiles.
        "train_loss_q1": loss.low if loss and loss.count > 1 else None,
        "train_loss_q3": loss.high if loss and loss.count > 1 else None,
        "test_loss": best.test_loss() if best else None,
        **{name: best.metric(name) if best else None for name in run.metrics},
    }


def _counts(setting: Setting) -> dict[str, int]:
    """Count the trials of a setting, and those that diverged or failed."""
    ends = Counter(trial.status for trial in setting.trials)
    return {"trials": ends.total(), "diverged": ends["diverged"], "failed": ends["failed"]}


def best_lines(
    diagnoses: Diagnoses, settings: Sequence[Setting], labels: Sequence[str], width: int
) -> list[Text]:
    """Return the same as a table for people: rounded, without columns that say nothing."""
    rows = best_rows(diagnoses, settings)
    rates = distinct_labels(
        candidate.lr for setting in settings for candidate in setting.candidates
    )
    names = ("test_loss", *diagnoses.run.metrics)
    measured = [name for name in names if any(row[name] is not None for row in rows)]
    quartiles = [
        f"{rounded(row['train_loss_q1'])} .. {rounded(row['train_loss_q3'])}"
        if row["train_loss_q1"] is not None
        else ""
        for row in rows
    ]
    columns = [
        TextColumn("best lr", [rates[s.best.lr] if s.best else "none" for s in settings]),
        _column("seeds", rows),
        _column("train_loss", rows),
        *([TextColumn("quartiles", quartiles)] if any(quartiles) else []),
        *(_column(name, rows) for name in measured),
        _state_column(rows),
        *(_counted(word, rows) for word in ("diverged", "failed") if any(r[word] for r in rows)),
    ]
    return blocks(TextColumn("setting", labels), columns, width)


def _state_column(rows: Sequence[Row]) -> TextColumn:
    """Return what most seeds do at the best rate, with a sign and a colour."""
    cells, styles = [], []
    for row in rows:
        state, quality = str(row["state"] or ""), str(row["quality"] or "")
        words = [word for word in (state, quality) if word]
        kind = states().get(state)
        if kind and kind.rests and quality and qualities()[quality].good:
            kind, words = ReachedItsGoal, [quality]
        sign, style = (kind.sign, kind.color) if kind else ("", "default")
        cells.append(f"{sign} {', '.join(words)}".strip())
        styles.append(style)
    return TextColumn("at the best lr", cells, styles)


def _counted(word: str, rows: Sequence[Row]) -> TextColumn:
    """Return how many of all trials ended so."""
    return TextColumn(
        word, [f"{row[word]} of {row['trials']}" if row[word] else "" for row in rows]
    )


def _column(name: str, rows: Sequence[Row]) -> TextColumn:
    return TextColumn(literal(name).replace("_", " "), [rounded(row[name]) for row in rows])


def quantized_rows(
    run: Trials, settings: Sequence[Setting], theory: RunConstants
) -> list[Mapping[str, Value]]:
    """Return the rows of networks that are rounded; raises UserError where none is."""
    rows = quantization_rows(run, settings, theory)
    if not rows:
        what = "no network of the run is rounded"
        raise UserError("--view", what, "give gdcli run --vary quantize=none,ptq,qat")
    return rows


def print_why(folder: Path, diagnoses: Diagnoses, form: str, console: Console) -> None:
    """Print the table, or as csv or json the figures in full."""
    rows = (why_table if form in ("table", "md") else why_rows)(folder, diagnoses)
    settings = diagnoses.settings
    base = baseline_lines(diagnoses, settings, _names(diagnoses, settings))
    rates = [trial.lr for trial in diagnoses.run.trials]
    print_rows(rows, form, console, [*why_notes(rows), *base, MORE], rates)
