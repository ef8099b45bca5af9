"""The losses over the learning rates that were held, as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gdcli.analysis.quantiles import Spread, spread
from gdcli.analysis.rate_search import rate_at
from gdcli.report.pictures.picture import MOST_LINES, Chart, Line, Panel

if TYPE_CHECKING:
    from gdcli.studies.lr_range import SettingRange


def chart(ranges: Sequence[SettingRange], labels: Sequence[str], answers: Sequence[str]) -> Chart:
    """Return a line a setting: the training loss at the end over the rates that were held."""
    every = zip(ranges, labels, answers, strict=True)
    lines = [Line(f"{label}: {said}", list(_points(r))) for r, label, said in every]
    drawn = [line for line in lines if line.points]
    more = len(drawn) - MOST_LINES
    notes = [f"the first {MOST_LINES} of {len(drawn)} settings"] if more > 0 else []
    return Chart(
        "Training loss after each learning rate is held",
        [Panel("", drawn[:MOST_LINES])],
        "learning rate",
        "training loss at the end",
        log_x=True,
        notes=notes,
    )


def _points(found: SettingRange) -> Iterator[tuple[float, Spread]]:
    """Yield the losses of the rates below the first that is not stable."""
    for place, level in found.levels.items():
        if level.state != "stable":
            return
        rate = rate_at(place)
        yield rate, spread(list(found.held[rate].values()))
