"""The metric at the end against the learning rate."""

from __future__ import annotations

from gdcli.report.pictures.curves import lowest
from gdcli.report.pictures.picture import Chart, Line, panel_of
from gdcli.report.pictures.source import Source


def sensitivity(source: Source) -> Chart:
    """Return a line a setting, over the learning rates at which a trial has a result."""
    chosen, notes = lowest(source.settings)
    lines = []
    for setting in chosen:
        ends = [(cell.lr, source.final(cell)) for cell in setting.cells]
        points = [(lr, end) for lr, end in ends if end]
        lines.append(Line(source.name(setting), points, not setting.best))
    title = f"Final {source.label} against the learning rate, median over seeds"
    chart = source.chart(title, [panel_of("", lines)], notes, "learning rate")
    return chart._replace(y=f"final {source.label}", log_x=True)
