"""README.md: the tables of results.csv and its like, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from benchmarks.record import Row, read

INTRODUCTION = """\
# Benchmarks

Written by `make bench`; edit nothing here. `results.csv` has every number.

```
make bench                                           # everything: some 20 minutes, on idle cores
.venv/bin/python -m benchmarks --quick               # under two minutes; writes nothing
.venv/bin/python -m benchmarks --only mlp --repeats 9
.venv/bin/python -m benchmarks --device cuda         # on a GPU; writes results-cuda.csv
```

| contestant | what it is |
|---|---|
| gdcli | the engine, as `gdcli run` calls it, recording the start and the end |
| tutorial | nn.Module, DataLoader and torch.optim.SGD, one trial at a time |
| lean | plain tensors indexed directly and torch.autograd.grad, one trial at a time |
| jax | all trials in one jit(vmap(scan)), those of a seed on a shared batch |
| scikit-learn | SGDRegressor, one trial at a time |

Every contestant is a process of one thread, and all take turns, in random order, repeat by
repeat. All start where gdcli starts, see the batches that gdcli sees, in the same precision, and
draw the order of the examples anew in each run. The precision is gdcli's own (float64 for
quadratics and linear models, float32 for networks); softmax regression is there in both, as its
goals were set in float32. Before anything is timed, the losses are compared with gdcli's: on the
CPU to 1e-10 in float64 and 2e-5 in float32, relative. A workload on which they differ has no
times.

A trial-step is one step of one trial. Its cost is the difference between a long and a short run
over the difference of their steps and over the trials, in CPU time: a run's set-up, compilation
and the evaluation of all examples at its start and end are not in it, but in `results.csv`
(`overhead_seconds`, `compile_seconds`). Of the loops, whose trials are independent, two trials
are timed; a full batch is given to them as it is, without a DataLoader. Brackets hold quartiles;
"x" is a contestant's time over gdcli's, repeat by repeat, so that more is better for gdcli, and
what follows is the goal of that ratio.
"""

# The last of a machine of many cores: --only workers --output FOLDER writes it as results.csv.
FILES = ("results.csv", "results-cuda.csv", "results-cores.csv")
SECTIONS = {
    "table": (
        "64 learning rates, one seed",
        """\
A rotated quadratic has a dense matrix, but gdcli takes its steps along the eigenvectors, and all
steps between two recorded points as one power: its time hardly grows with the steps, only with
the recorded points, so that its ratios say little more than that. The small batches of a CNN are
drawn from 64 images. Its full batch is 1797 of the small or 256 of the large images, and 16
trials of gdcli and one of JAX, whose convolutions are faster when not mapped over several, are
timed.""",
    ),
    "seeds": ("64 trials on several seeds", "Trials of different seeds share no batch."),
    "trials": ("Time against the number of trials", ""),
    "parameters": ("Time against the number of parameters", ""),
    "examples": ("Time against the number of examples", ""),
    "memory": ("Memory against the number of trials", "The largest of a fresh process."),
    "tables": (
        "Writing the tables",
        """\
Microseconds of CPU time for a row of `curves.csv`, with its share of the trial's facts and line
in `summary.csv`; training is no part of it.""",
    ),
    "start-up": (
        "Start-up",
        "Seconds by the clock of whole processes; a bare limit is in seconds.",
    ),
    "whole": (
        "Whole commands",
        """\
Seconds by the clock, from the start of the process to the CSV file, import and compilation
included. All write the same losses. The tutorial's script is timed on grids of 3 and 6 trials, one
and two of each method, and scaled to all of them.""",
    ),
    "workers": (
        "Time against the number of worker processes",
        "Seconds by the clock of whole commands, which write the same bytes.",
    ),
    "store": (
        "What the store costs",
        """\
Seconds by the clock of whole processes: one keeps every batch in a checksummed file and writes
the tables from these, the other appends to the tables as it goes, and loses all when killed.""",
    ),
    "reading": (
        "Reading what is there",
        """\
Seconds by the clock of whole processes. Python's csv module reads the same two tables and does
nothing with them; a file is read in parts, and the same command is given again; trials are
computed, or taken from a run that holds them.""",
    ),
    "gpu": ("On a GPU", "Seconds by the clock. Losses are also compared with the CPU's."),
}


def write(folder: Path) -> None:
    """Write README.md beside the results that it shows."""
    rows = [row for file in FILES for row in read(folder / file)]
    parts, place = [INTRODUCTION], ""
    for section, (title, text) in SECTIONS.items():
        chosen = [row for row in rows if row["section"] == section]
        parts.extend(part + "\n" for part in (f"## {title}", text) if part and chosen)
        for where, group in groupby(chosen, itemgetter("where")):
            if where != place:
                place = where
                parts.append(f"Measured: {place}.\n")
            parts.append("\n".join(_table(list(group))) + "\n")
    (folder / "README.md").write_text("\n".join(parts), encoding="utf-8")


def _table(rows: Sequence[Row]) -> Iterable[str]:
    """Yield a line a workload, a column a contestant."""
    contestants = list(dict.fromkeys(row["contestant"] for row in rows))
    unit = rows[0]["unit"]
    yield f"| workload | {' | '.join((f'gdcli, {unit}', *contestants[1:]))} |"
    yield "|---" * (1 + len(contestants)) + "|"
    for workload in dict.fromkeys(row["workload"] for row in rows):
        cells = {row["contestant"]: _cell(row) for row in rows if row["workload"] == workload}
        yield f"| {workload} | {' | '.join(cells.get(name, '') for name in contestants)} |"


def _cell(row: Row) -> str:
    """Return "0.2 [0.19 0.21]" of gdcli, "340: 1700x [1650 1780] of 1000x, met" of others."""
    if not row["ratio"]:
        limit = f" of at most {row['limit']}, {_verdict(row)}" if row["limit"] else ""
        return f"{_spread(row, 'median', 'low', 'high')}{limit}"
    goal = f" of {row['goal']}x, {_verdict(row)}" if row["goal"] else ""
    ratio = _spread(row, "ratio", "ratio_low", "ratio_high", "x")
    compiled = float(row["compile_seconds"] or 0)
    compilation = f"; compiled in {compiled:.1f} s" if compiled else ""
    return f"{_short(row['median'])}: {ratio}{goal}{compilation}"


def _spread(row: Row, middle: str, low: str, high: str, unit: str = "") -> str:
    quartiles = "" if row[low] == row[high] else f" [{_short(row[low])} {_short(row[high])}]"
    return f"{_short(row[middle])}{unit}{quartiles}"


def _short(number: str) -> str:
    """Return three digits of a number, or all before the point."""
    value = float(number)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _verdict(row: Row) -> str:
    return "met" if row["met"] == "yes" else "**missed**"
