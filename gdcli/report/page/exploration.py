"""An exploration as one HTML file: the data map of every setting, with the examples behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.fields import counted
from gdcli.report.page import parts
from gdcli.report.page.content import embedded
from gdcli.report.page.document import DRAWING, document
from gdcli.report.page.portraits import portraits
from gdcli.runs.manifest import command
from gdcli.studies.explore.files import REGIONS
from gdcli.studies.explore.show import columns_of, count_rows, in_percent, labels_of, target_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.studies.explore.dynamics import Exploration, Explored

SCRIPTS = (*DRAWING, "examples", "filters", "portrait", "map", "explore")
MOST_EXAMPLES = 5_000  # on a page: a browser draws so many points, and their pictures fit
MOST_POINTS = 60_000  # of all settings together
DIGITS = 4  # of a measure


def page_bytes(found: Exploration) -> bytes:
    """Return the page of an exploration."""
    examples = chosen(found)
    counts = map(in_percent, count_rows(found))
    rows = [{"setting": n, **r} for n, r in zip(labels_of(found), counts, strict=True)]
    count = counted(found.examples.data.examples, "training example", "training examples")
    fields = {
        "name": parts.text(f"Examples of {found.experiment.name}"),
        "summary": parts.text(f"{count}, looked at after every epoch."),
        "settings": parts.table(list(rows[0]), rows),
        "thinned": _thinned(len(examples), found.examples.data.examples),
        "command": parts.pre(command()),
        "data": embedded(_content(found, examples)),
    }
    return document("explore.html", SCRIPTS, fields)


def chosen(found: Exploration) -> NDArray[np.int64]:
    """Return which examples are on the page: all, or what looks wrong and some of the rest."""
    total = found.examples.data.examples
    most = min(MOST_EXAMPLES, MOST_POINTS // max(1, len(found.trained)))
    if total <= most:
        return np.arange(total)
    marked = np.zeros(total, bool)
    for setting in found.trained:
        marked |= setting.measures.get("likely_error", marked)
    first = np.flatnonzero(marked)[: most // 2]
    rest = np.setdiff1d(np.arange(total), first)
    even = rest[np.linspace(0, len(rest) - 1, most - len(first)).astype(int)]
    return np.union1d(first, even)


def _thinned(shown: int, total: int) -> str:
    if shown == total:
        return ""
    return (
        f"<p class='note' id='thinned'>To keep this page small it has {shown} of the {total} "
        "examples, likely label errors first; all are in examples.csv.</p>"
    )


def _content(found: Exploration, examples: NDArray[np.int64]) -> dict[str, Any]:
    """Return what the page's script knows: columns of the examples, and of each setting's."""
    names = dict(zip(map(id, found.settings), labels_of(found), strict=True))
    targets, about = target_columns(found), found.examples.described
    return {
        "classified": found.examples.labels is not None,
        "regions": list(REGIONS),
        "bounds": {"ambiguous": found.options.ambiguous_from, "error": found.options.error_margin},
        "examples": examples.tolist(),
        "classes": list(about.classes),
        "counted": about.counted.replace("_", " "),
        "row_numbers": [about.rows[i] for i in examples.tolist()] if about.rows else [],
        "targets": {name: [column[i] for i in examples] for name, column in targets.items()},
        "settings": [names[id(setting)] for setting in found.trained],
        "measures": [_measures(setting, found, examples) for setting in found.trained],
        **portraits(found.settings[0].trial, examples, about.features),
    }


def _measures(
    setting: Explored, found: Exploration, examples: NDArray[np.int64]
) -> dict[str, list[float | None]]:
    return {
        name: [_plain(value) for value in setting.measures[name][examples].tolist()]
        for name in columns_of(found)
    }


def _plain(value: float) -> float | None:
    """Return a number short enough for a page; None for what is no number, as JSON has it."""
    if not np.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short
