"""The labels that look wrong, those that look it most first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gdcli.fields import counted
from gdcli.report.blocks import Column, blocks
from gdcli.report.labels import short

if TYPE_CHECKING:
    from rich.text import Text

    from gdcli.studies.explore import Exploration, Explored

MOST = 10
LEARNT_BY_HEART = 0.99  # of the examples right at the end: wrong labels have been learnt, too


def suspect_lines(found: Exploration, setting: Explored) -> Iterator[str | Text]:
    """Yield a table of a setting's likely label errors; nothing where there are no classes."""
    labels, own = found.examples.labels, setting.measures
    if labels is None:
        return
    places = np.flatnonzero(own["likely_error"])
    places = places[np.argsort(own["margin"][places], kind="stable")]
    yield f"\n{counted(len(places), 'likely label error', 'likely label errors')}"
    shown = places[:MOST]
    if len(shown):
        columns = [
            Column("label", [str(labels[i]) for i in shown]),
            Column("rather", [str(own["predicted"][i]) for i in shown]),
            *(
                Column(name, [short(float(own[name][i])) for i in shown])
                for name in ("margin", "confidence", "variability")
            ),
        ]
        flipped = found.examples.flipped
        if flipped is not None and flipped.any():
            columns.append(Column("made wrong", ["yes" if flipped[i] else "no" for i in shown]))
        yield from blocks(Column("example", [str(i) for i in shown]), columns, 80)
    if len(places) > MOST:
        yield f"the first {MOST} of {len(places)}; all are in examples.csv"
    if setting.right_at_end > LEARNT_BY_HEART:
        yield "nearly all labels are right at the end, wrong ones learnt by heart among them: after"
        yield "  fewer epochs, or at a lower learning rate, label errors stand out more"
