"""What the store costs: whole processes that keep every batch safe, and that just write files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.agreement import DisagreementError
from benchmarks.command import run
from benchmarks.whole_process import results

if TYPE_CHECKING:
    from benchmarks.result import Result

TITLE = "1000 trials of 200 recorded points"
MOST = 1.05  # times the plain files


def measure(repeats: int) -> list[Result]:
    """Return the times of both ways, in turns.

    Raises DisagreementError unless both write the same tables.
    """
    times: dict[str, list[float]] = {"store": [], "plain files": []}
    tables = set()
    for _ in range(repeats):
        for way, spent in times.items():
            with TemporaryDirectory() as folder:
                arguments = ("-m", "benchmarks.scripts.thousand", "{out}", way.split()[0])
                spent.append(run(arguments, Path(folder)).seconds)
                files = [Path(folder) / "grid" / name for name in ("curves.csv", "summary.csv")]
                tables.add(tuple(file.read_bytes() for file in files))
    if len(tables) > 1:
        raise DisagreementError(f"{TITLE}: the store changes the tables")
    return results("store", TITLE, times, goals={"plain files": 1 / MOST})
