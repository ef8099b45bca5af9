"""The table of a run's settings, each at its best learning rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.results import Setting
from gdcli.analysis.rows import Value
from gdcli.analysis.trials import Trials
from gdcli.analysis.why import account_of
from gdcli.report.blocks import Column, blocks
from gdcli.report.console import literal
from gdcli.report.labels import apart, short

if TYPE_CHECKING:
    from rich.text import Text

    from gdcli.analysis.diagnoses import Diagnoses

SIGNS = {  # which tell the states apart without colour, too
    "blew up": ("x", "red"),
    "reached its goal": ("*", "green"),
    "bouncing": ("~", "magenta"),
    "too few points to tell": ("?", "default"),
    "still falling": ("v", "yellow"),
    "flat": ("=", "default"),
}
GOOD = ("at the minimum", "all examples right")

Row: TypeAlias = Mapping[str, Value]


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
    (state, quality), _ = account_of(diagnoses, setting, setting.best).groups[0]
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
    rates = apart(cell.lr for setting in settings for cell in setting.cells)
    names = ("test_loss", *diagnoses.run.metrics)
    measured = [name for name in names if any(row[name] is not None for row in rows)]
    quartiles = [
        f"{short(row['train_loss_q1'])} .. {short(row['train_loss_q3'])}"
        if row["train_loss_q1"] is not None
        else ""
        for row in rows
    ]
    columns = [
        Column("best lr", [rates[s.best.lr] if s.best else "none" for s in settings]),
        _column("seeds", rows),
        _column("train_loss", rows),
        *([Column("quartiles", quartiles)] if any(quartiles) else []),
        *(_column(name, rows) for name in measured),
        _state_column(rows),
        *(_counted(word, rows) for word in ("diverged", "failed") if any(r[word] for r in rows)),
    ]
    return blocks(Column("setting", labels), columns, width)


def _state_column(rows: Sequence[Row]) -> Column:
    """Return what most seeds do at the best rate, with a sign and a colour."""
    cells, styles = [], []
    for row in rows:
        state, quality = str(row["state"] or ""), str(row["quality"] or "")
        sign, style = SIGNS.get(state, ("", "default"))
        words = [word for word in (state, quality) if word]
        if state == "flat" and quality in GOOD:
            sign, style, words = "*", "green", [quality]
        cells.append(f"{sign} {', '.join(words)}".strip())
        styles.append(style)
    return Column("at the best lr", cells, styles)


def _counted(word: str, rows: Sequence[Row]) -> Column:
    """Return how many of all trials ended so."""
    return Column(word, [f"{row[word]} of {row['trials']}" if row[word] else "" for row in rows])


def _column(name: str, rows: Sequence[Row]) -> Column:
    return Column(literal(name).replace("_", " "), [short(row[name]) for row in rows])
