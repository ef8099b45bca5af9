"""What is printed of several runs: the settings that differ, and their results side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gdcli.analysis.best import KIND, Best
from gdcli.fields import shortened
from gdcli.report.console import literal
from gdcli.report.labels import all_digits, for_json, texts_of
from gdcli.report.seeds import TRIED
from gdcli.report.text_tables import print_json, print_listing, write_lines
from gdcli.runs.csv_read import Value

if TYPE_CHECKING:
    from rich.console import Console

MOST = 200  # characters of a setting, which may be a list of thousands; json has all of it
Differences = Mapping[str, Mapping[str, str]]


def print_comparison(
    differences: Differences,
    results: Sequence[Best],
    form: str,
    console: Console,
    notes: Sequence[str] = (),
) -> None:
    """Print both in the `form` table, md or json, with notes; as csv the results alone."""
    rows = _result_rows(results)
    if form == "json":
        exact = [{name: for_json(value) for name, value in row.items()} for row in rows]
        print_json({"settings": differences, "notes": [*notes], "results": exact}, console)
        return
    if form != "csv":
        _print_settings(differences, form, console)
        write_lines([*map(literal, notes), *([""] if notes else [])], console)
    shown = _columns(rows) if form == "table" else list(rows[0]) if rows else []
    if form == "csv":
        full = [{name: all_digits(row[name]) for name in shown} for row in rows]
        print_listing(full, form, console)
        return
    rates = [cell.lr for best in results for cell in best.setting.cells]
    print_listing(texts_of(rows, shown, rates), form, console)
    if len({best.tried for best in results}) > 1:
        what = "tried: learning rates and options of which each is the best:"
        write_lines([what, f"  {TRIED}"], console)


def _print_settings(differences: Differences, form: str, console: Console) -> None:
    if not differences:
        write_lines(["The settings are the same.", ""], console)
        return
    rows = [
        {"setting": key, **{name: shortened(text, MOST) for name, text in values.items()}}
        for key, values in differences.items()
    ]
    print_listing(rows, form, console)
    write_lines([""], console)


def _result_rows(results: Sequence[Best]) -> list[dict[str, Value]]:
    """Return one row a run of each kind; the columns are those of all runs."""
    metrics = dict.fromkeys(
        name for best in results for trial in best.setting.trials for name in _metrics(trial.final)
    )
    return [_result_row(best, list(metrics)) for best in results]


def _metrics(final: Mapping[str, object]) -> list[str]:
    return [name for name in final if name not in ("train_loss", "test_loss")]


def _result_row(best: Best, metrics: Sequence[str]) -> dict[str, Value]:
    cell = best.setting.best
    loss = cell.loss if cell else None
    known = {name for trial in best.setting.trials for name in trial.final}
    return {
        **dict(zip(KIND, best.kind, strict=True)),
        "run": best.run,
        "lr": cell.lr if cell else None,
        "tried": best.tried,
        "settings": best.settings,
        "seeds": loss.count if loss else None,
        "train_loss": loss.median if loss else None,
        "test_loss": cell.test_loss() if cell else None,
        **{name: cell.metric(name) if cell and name in known else None for name in metrics},
        "trials": best.trials,
        "diverged": best.diverged,
        "failed": best.failed,
    }


def _columns(rows: Sequence[Mapping[str, Value]]) -> list[str]:
    """Return the columns that say something."""
    names = rows[0] if rows else ()
    return [
        name for name in names if any(isinstance(row[name], float) or row[name] for row in rows)
    ]
