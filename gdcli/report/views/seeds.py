"""How sure the seeds make the best learning rate of each setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.report.run_view import Row, TableView, ViewTable

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.analysis.best import Setting
    from gdcli.analysis.diagnoses import Diagnoses
    from gdcli.analysis.seeds import SeedStatistics

NOTES = {  # by the column that it explains
    "held_out_loss": (
        "held_out: one half of the seeds chooses the lr; held_out_loss is the median loss of",
        "  the other half at this lr, so it is not low by luck",
    ),
    "train_loss": ("train_loss: median final training loss at the best of lr_tried rates",),
    "q1": ("q1, q3: quartiles of train_loss over the seeds",),
    "low": (
        "low, high: bootstrap 95% interval of train_loss; it is too narrow for fewer than 6",
        "  seeds, and ignores that the same seeds chose the lr",
    ),
    "good_from": (
        "good: rates next to the best at which the loss falls at least 90% as far as at the best",
    ),
}


@dataclass(frozen=True)
class SeedsView(TableView):
    """How certain the best learning rates are, given the seeds."""

    order: ClassVar[float] = 30

    def table(self, folder: Path, diagnoses: Diagnoses) -> ViewTable:
        """Return one row a setting."""
        del folder
        rows = seed_rows(diagnoses)
        shown = [name for name in NOTES if any(row[name] is not None for row in rows)]
        return ViewTable(rows, [line for name in shown for line in NOTES[name]])


def seed_rows(diagnoses: Diagnoses) -> list[Row]:
    """Return one row a setting: its best learning rate, and how sure the seeds make it."""
    from gdcli.analysis.seeds import seed_statistics

    return [
        {
            **dict(zip(diagnoses.run.names, setting.values, strict=True)),
            **_row(setting, seed_statistics(setting)),
        }
        for setting in diagnoses.settings
    ]


def _row(setting: Setting, found: SeedStatistics) -> Row:
    best, interval = setting.best, found.interval
    loss = best.loss if best else None
    held, good = found.held_out, found.good
    return {
        "held_out_loss": held.loss.median if held else None,
        "held_out_lr": held.lr if held else None,
        "held_out_seeds": held.loss.count if held else None,
        "lr": best.lr if best else None,
        "lr_tried": len(setting.candidates) if best else None,
        "seeds": loss.count if loss else None,
        "train_loss": loss.median if loss else None,
        "q1": loss.low if loss and loss.count > 1 else None,
        "q3": loss.high if loss and loss.count > 1 else None,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "good_from": good.low if good else None,
        "good_to": good.high if good else None,
        "good_rates": good.rates if good else None,
        "good_factor": good.high / good.low if good else None,
    }
