"""Pictures as files: the one way to a PNG, an SVG or a PDF, the same bytes for the same run."""

from __future__ import annotations

import re
from io import BytesIO

from gdcli.report.figures.heatmap import draw_heatmap
from gdcli.report.figures.lines import draw_chart
from gdcli.report.figures.style import plain, style
from gdcli.report.pictures.picture import Chart, HeatMap

# Without dates, nor the version of matplotlib.
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
PLACES, DECIMALS = re.compile(rb' (?:d|x|y)="[^"]*"'), re.compile(rb"(\.\d)\d+")


def figure_bytes(picture: Chart | HeatMap, form: str) -> bytes:
    """Return a picture as the bytes of a png, an svg or a pdf."""
    with style():
        from matplotlib.figure import Figure
        from matplotlib.font_manager import FontProperties

        figure = Figure(layout="constrained")
        if isinstance(picture, Chart):
            marks = draw_chart(picture, figure)
        else:
            marks = draw_heatmap(picture, figure)
        notes = plain("; ".join([*marks, *picture.notes]))
        figure.suptitle(plain(picture.title), fontsize="large")
        if figure.legends:  # they would lie upon each other
            figure.legends[0].set_title(notes, FontProperties(size="small"))
        else:
            figure.supxlabel(notes, fontsize="small", x=0.99, ha="right")
        file = BytesIO()
        figure.savefig(file, format=form, metadata=METADATA[form])
    return _rounded(file.getvalue()) if form == "svg" else file.getvalue()


def _rounded(svg: bytes) -> bytes:
    """Return an SVG whose paths and places have one decimal of a point, to be small."""
    return PLACES.sub(lambda found: DECIMALS.sub(rb"\1", found[0]), svg)
