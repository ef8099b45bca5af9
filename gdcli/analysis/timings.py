"""How many seconds each trial of a run took: its share of its batch."""

from __future__ import annotations

from itertools import islice
from math import isfinite
from pathlib import Path

from gdcli.analysis.rows import read_rows
from gdcli.analysis.trials import Trials
from gdcli.experiment.grid import MOST_TRIALS


def seconds_of(folder: Path, run: Trials) -> dict[str, float]:
    """Return the seconds of each trial, by id; of none where timings.csv does not tell.

    The trials of a batch are computed together: each has an equal share. A batch that was copied
    from another run took no time here, and nothing is said of it.
    """
    path = folder / "timings.csv"
    if not path.is_file():
        return {}
    rows = read_rows(path)
    header = next(rows)
    if not {"trials", "seconds"} <= set(header.cells):
        header.refuse("the columns trials and seconds are not there")
    places = [header.cells.index(name) for name in ("trials", "seconds")]
    trials, found = iter(run.trials), {}
    for row in rows:
        count, seconds = (row.number(place, header.cells[place]) or 0.0 for place in places)
        if not (isfinite(count) and isfinite(seconds) and 0 <= count <= MOST_TRIALS):
            row.refuse("its trials and seconds are no numbers that a batch has")
        for trial in islice(trials, int(count)):
            if seconds > 0:
                found[trial.id] = seconds / count
    return found
