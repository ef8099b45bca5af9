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
    pairs = zip(ranges, labels, strict=True)
    lines = [Line(f"{label}: {_advice(r)}", list(_points(r))) for r, label in pairs]
    drawn = [line for line in lines if line.points]
    more = len(drawn) - MOST_LINES
    notes = [f"the first {MOST_LINES} of {len(drawn)} settings"] if more > 0 else []
    title = "Training loss after each learning rate is held"
    return Chart(
        f"{title}\n{answers[0]}" if len(ranges) == 1 else title,
        [Panel("", drawn[:MOST_LINES])],
        "learning rate",
        "training loss at the end",
        log_x=True,
        notes=notes,
    )


def _advice(found: SettingRange) -> str:
    """Return the rate to use, in a few words: a legend hides what is below it."""
    return "no rate" if found.suggested is None else f"use {found.suggested:g}"


def _points(found: SettingRange) -> Iterator[tuple[float, Spread]]:
    """Yield the losses of the rates below the first that is not stable."""
    for place, level in found.levels.items():
        if level.state != "stable":
            return
        rate = rate_at(place)
        yield rate, spread(list(found.held[rate].values()))
