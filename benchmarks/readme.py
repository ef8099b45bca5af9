"""README.md: the tables of results.csv and its like, in words and numbers."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from benchmarks.record import Row, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

INTRODUCTION = """\
# Benchmarks

`make bench` writes this page; do not edit it. `results.csv` has every number.

```
make bench                                           # everything: some 20 minutes, on idle cores
.venv/bin/python -m benchmarks --quick               # under two minutes; writes nothing
.venv/bin/python -m benchmarks --only mlp --repeats 9
.venv/bin/python -m benchmarks --device cuda         # on a GPU; writes results-cuda.csv
```

| contestant | what it is |
|---|---|
| gdcli | the engine, as `gdcli run` calls it, recording only the start and the end |
| tutorial | nn.Module, DataLoader and torch.optim.SGD, one trial at a time |
| lean | plain tensors indexed directly and torch.autograd.grad, one trial at a time |
| jax | all trials in one jit(vmap(scan)); trials with the same seed share their batches |
| scikit-learn | SGDRegressor, or SGDClassifier on sparse examples, one trial at a time |
| scipy | two products with a scipy.sparse matrix a step, one trial at a time |

Every contestant is a process with one thread. In every repeat the contestants take turns in random
order. All of them start at gdcli's starting point and use gdcli's batches in the same precision;
each draws the order of the examples again in every run. The precision is gdcli's default (float64
for quadratics and linear models, float32 for networks). Softmax regression has both precisions,
because its goals were set in float32. Before any timing the losses are compared with gdcli's: on
the CPU they must agree to 1e-10 in float64 and 2e-5 in float32 (relative). A workload on which they
differ has no times.

A trial-step is one step of one trial. Its cost is the difference of CPU time between a long and a
short run, divided by the difference of their steps and by the number of trials. It does not include
the set-up, the compilation, and the evaluation of all examples at the start and the end; these are
in `results.csv` (`overhead_seconds`, `compile_seconds`). The loops train independent trials, so
only two of their trials are timed; they get a full batch directly, without a DataLoader. Brackets
hold quartiles. "x" is the contestant's time divided by gdcli's time in the same repeat: a larger
number is better for gdcli. The number after "of" is the goal for this ratio.
"""

# The last of a machine of many cores: --only workers --output FOLDER writes it as results.csv.
FILES = ("results.csv", "results-cuda.csv", "results-cores.csv")
SECTIONS = {
    "table": (
        "64 learning rates, one seed",
        """\
A rotated quadratic has a dense matrix, but gdcli steps along its eigenvectors, and computes all
steps between two recorded points as one matrix power. Its time grows with the recorded points, but
hardly with the steps, so its ratios do not carry over to other problems. The small batches of a
CNN are drawn from 64 images. Its full batch is 1797 of the small or 256 of the large images. For
full batches of a CNN 16 trials of gdcli are timed, and one of JAX, whose convolutions are faster
when they are not mapped over trials.""",
    ),
    "methods": (
        "Rules that see a whole trial",
        """\
64 trials of each. A trial-step is one step of one trial on the MLP with batches of 32. In the row
of L-BFGS a time is that of a whole solution: a logistic regression of breast-cancer, until all
losses are within 1e-8 of the lowest one. Unlike in other tables, all contestants of a row take
turns in one process of one thread, and the times are CPU times. The contestant "without" is gdcli
without the wrapper. An average may take 1.1 times as long, which is 0.909x; SAM, which takes two
gradients a step, may take 2.1 times as long, which is 0.476x. The contestant "torch loop" is a loop
over single trials: torch.optim.Muon, which rounds to bfloat16, with AdamW for biases, or
torch.optim.Adam with the average of torch.optim.swa_utils. The contestant "scipy" is a loop over
scipy.optimize's L-BFGS-B with the gradient, and "adam" is gdcli's Adam.""",
    ),
    "seeds": ("64 trials on several seeds", "Trials with different seeds share no batches."),
    "trials": ("Time against the number of trials", ""),
    "parameters": ("Time against the number of parameters", ""),
    "examples": ("Time against the number of examples", ""),
    "memory": ("Memory against the number of trials", "The peak memory of a new process."),
    "tables": (
        "Writing the tables",
        """\
Microseconds of CPU time for a row of `curves.csv`, with its share of the trial's facts and of its
line in `summary.csv`, without training.""",
    ),
    "start-up": (
        "Start-up",
        "Wall-clock seconds of whole processes; a goal 'of at most' is in seconds.",
    ),
    "whole": (
        "Whole commands",
        """\
Wall-clock seconds from the start of the process to the CSV file, with imports and compilation. All
commands write the same losses. The tutorial's script is timed on grids of 3 and 6 trials (one and
two for each method), and the time is scaled to all trials.""",
    ),
    "workers": (
        "Time against the number of worker processes",
        "Wall-clock seconds of whole commands, which write the same bytes.",
    ),
    "store": (
        "What the store costs",
        """\
Wall-clock seconds of whole processes. One stores every batch in a file with a checksum and writes
the tables from these files. The other appends to the tables directly, and loses everything if it
is killed.""",
    ),
    "reading": (
        "Reading what is there",
        """\
Wall-clock seconds of whole processes. Python's csv module reads the same two tables and does
nothing with them. The other rows read a large file in parts, give the same command again, and
compute trials or take them from a run that has them.""",
    ),
    "gpu": ("On a GPU", "Wall-clock seconds. Losses are also compared with those of the CPU."),
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
