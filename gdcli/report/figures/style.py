"""How figures look: told apart by the colour-blind, on a grey print, and the same every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from warnings import catch_warnings, filterwarnings

from gdcli.report.pictures.picture import Line

# Okabe and Ito's palette, which colour-blind readers tell apart, without its black and yellow.
COLORS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#0072B2")
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (9, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P")  # an X is kept for divergence
SHADES, PALEST = "viridis", 0.9  # of lines in an order: they get brighter evenly
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "gdcli",  # or its ids are random
    "svg.fonttype": "none",  # text is text: found by a search, and small
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9.0,
    "grid.alpha": 0.3,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.0,
    "savefig.dpi": 200,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in gdcli's style inside, whatever the user's matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context(), catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        # The font has no Chinese, say: a box stands for each letter.
        filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def look(line: Line, order: int) -> dict[str, Any]:
    """Return the colour, the dashes and the markers of a panel's line, about ten markers each."""
    import matplotlib as mpl

    every = max(1, len(line.points) // 10)
    shaded = None if line.shade is None else mpl.colormaps[SHADES](PALEST * line.shade)
    return {
        "color": shaded or COLORS[order],
        "linestyle": DASHES[order],
        "marker": MARKERS[order],
        "markevery": (order * every // len(MARKERS), every),
    }


def plain(text: str) -> str:
    """Return a text for matplotlib in which a dollar is a dollar, and begins no formula."""
    return text.replace("$", r"\$")
