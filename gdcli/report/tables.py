"""The table of a run's settings, each at its best learning rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.results import Setting
from gdcli.analysis.rows import Value
from gdcli.analysis.trials import Trials
from gdcli.analysis.verdict import WORDS
from gdcli.report.blocks import Column, blocks
from gdcli.report.console import literal
from gdcli.report.labels import apart, short

if TYPE_CHECKING:
    from rich.text import Text

COUNTED = (*WORDS, "failed")

Row: TypeAlias = Mapping[str, Value]


def best_rows(run: Trials, settings: Sequence[Setting]) -> list[Row]:
    """Return one row a setting, its numbers in full, None where there is none.

    lr is the best learning rate, by median final training loss over the seeds; seeds are those
    with a result there; train_loss is that median, q1 and q3 its quartiles; test_loss and the
    metrics are medians there. Verdicts are counted over the trials at all learning rates.
    """
    return [
        {
            **dict(zip(run.names, setting.values, strict=True)),
            **_best(run, setting),
            **_verdicts(setting),
        }
        for setting in settings
    ]


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


def _verdicts(setting: Setting) -> dict[str, int]:
    """Count the trials of a setting by verdict; those that failed have none."""
    counts = Counter(t.verdict if t.status != "failed" else "failed" for t in setting.trials)
    return {word: counts[word] for word in COUNTED}


def best_lines(
    run: Trials, settings: Sequence[Setting], labels: Sequence[str], width: int
) -> list[Text]:
    """Return the same as a table for people: rounded, without columns that say nothing."""
    rows = best_rows(run, settings)
    rates = apart(cell.lr for setting in settings for cell in setting.cells)
    measured = [n for n in ("test_loss", *run.metrics) if any(r[n] is not None for r in rows)]
    quartiles = [
        ""
        if row["train_loss_q1"] is None
        else f"{short(row['train_loss_q1'])} .. {short(row['train_loss_q3'])}"
        for row in rows
    ]
    columns = [
        Column("best lr", [rates[s.best.lr] if s.best else "none" for s in settings]),
        _column("seeds", rows),
        _column("train_loss", rows),
        *([Column("quartiles", quartiles)] if any(quartiles) else []),
        *(_column(name, rows) for name in measured),
        *(_column(word, rows) for word in COUNTED if any(r[word] for r in rows)),
    ]
    return blocks(Column("setting", labels), columns, width)


def _column(name: str, rows: Sequence[Row]) -> Column:
    return Column(literal(name).replace("_", " "), [short(row[name]) for row in rows])
