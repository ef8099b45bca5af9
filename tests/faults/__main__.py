"""`make faults`: breaks runs in every way that can be thought of, and counts what came of it.

python -m tests.faults [--every N] [--kills N] [--seed N]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from tests.faults.calls import SCENES, every_call
from tests.faults.kills import kill_rounds
from tests.faults.small_disk import small_disk


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--every", type=int, default=1, help="a fault at every N-th call")
    parser.add_argument("--kills", type=int, default=30, help="random kills of one sweep")
    parser.add_argument("--seed", type=int, default=0, help="of the random kills")
    return parser.parse_args()


def _calls(every: int) -> bool:
    sound = True
    for scene in SCENES:
        with tempfile.TemporaryDirectory() as folder:
            for mode, counts in every_call(Path(folder).resolve(), scene, every).items():
                print(
                    f"{scene}, {mode}: {counts.faults} faults, {counts.identical} byte-identical"
                    f" after a rerun, {counts.leftovers} leftover temporaries,"
                    f" {len(counts.wrong)} wrong messages",
                    *counts.wrong[:5],
                    sep="\n  ",
                    flush=True,
                )
                sound &= counts.sound()
    return sound


def _kills(wanted: int, seed: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        rounds = kill_rounds(Path(folder).resolve(), wanted, seed)
    print(
        f"kill -9 at random, --workers 2, seed {seed}: {rounds.kills} kills,"
        f" {rounds.identical} of {rounds.finished} finished sweeps byte-identical,"
        f" {rounds.leftovers} leftover temporaries, {rounds.wrong} wrong exit codes"
    )
    return rounds.sound()


def _small_disk(workers: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        ended = small_disk(Path(folder).resolve(), workers)
    if ended is None:
        print("a disk of 200 kB: not tried, for only root can mount one")
        return True
    print(f"a disk of 200 kB, --workers {workers}: {'sound' if ended.sound() else ended}")
    return ended.sound()


def main() -> int:
    """Return 0 if nothing was lost, mixed or left behind, else 1."""
    given = _arguments()
    sound = [_small_disk(1), _small_disk(2), _calls(given.every), _kills(given.kills, given.seed)]
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
