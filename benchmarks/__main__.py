"""Races gdcli against what a user would pick instead: `python -m benchmarks`, or `make bench`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks import gpu, readme, record
from benchmarks.agreement import DisagreementError
from benchmarks.events import Effort, Event, events
from benchmarks.images import write_images
from benchmarks.machine import where
from benchmarks.team import team
from benchmarks.words import write_libsvm
from benchmarks.worker import MODULES, OURS, ContestantError
from benchmarks.workloads import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.result import Result

HERE = Path(__file__).parent


def main() -> int:
    """Measure what is asked for, print it, and write it down where that is everything."""
    options = _options()
    if options.device != "cpu" and (reason := gpu.why_not()):
        print(f"skipped: {reason}")
        return 0
    effort = Effort.quickest() if options.quick else Effort()
    effort = effort.with_repeats(options.repeats)
    whole = not (options.quick or options.only or options.against)
    folder = options.output or (HERE if whole else None)
    machine = where(options.device)  # first: it tells what is not installed
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as images, team(options.device) as members:
        write_images(Path(images))
        write_libsvm(Path(images) / WORDS)
        every = events(members, Path(images), effort, tuple(options.against))
        chosen = [event for event in every if _named(event, options.only)]
        results, complete = _measured(chosen)
    if folder and results:
        name = "results.csv" if options.device == "cpu" else "results-cuda.csv"
        record.write(folder / name, results, machine)
        readme.write(folder)
    return 0 if complete else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    rivals = [name for name in MODULES if name != OURS]
    add("--only", action="append", default=[], help="what has this in its name; may be repeated")
    add("--against", action="append", default=[], choices=rivals, help="these contestants only")
    add("--repeats", type=int, help="of every timing")
    add("--quick", action="store_true", help="a part of it, in under two minutes")
    add("--device", default="cpu", choices=("cpu", "cuda"), help="where the trials run")
    add("--output", type=Path, help="folder to write to; benchmarks/ for a run of everything")
    return parser.parse_args()


def _named(event: Event, wanted: list[str]) -> bool:
    return not wanted or any(part in event.name for part in wanted)


def _measured(chosen: Iterable[Event]) -> tuple[list[Result], bool]:
    """Return what was measured, and whether nothing failed: the rest goes on without it."""
    results: list[Result] = []
    complete = True
    for event in chosen:
        began = time.monotonic()
        try:
            found = event.measure()
        except (ContestantError, DisagreementError) as error:
            print(f"error: {event.name}: {error}", file=sys.stderr, flush=True)
            complete = False
            continue
        print(f"{event.name}  ({time.monotonic() - began:.0f} s)")
        print("\n".join(map(str, found)), flush=True)
        results.extend(found)
    return results, complete


if __name__ == "__main__":
    sys.exit(main())
