"""`make words`: how often the words for trials are right, against runs ten times as long.

python -m tests.words [--make] [--wrong]
"""

from __future__ import annotations

import argparse
import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from tests.words.score import held_back, matrix, report, scored, store, stored


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.words")
    parser.add_argument("--make", action="store_true", help="train the trials anew: some minutes")
    parser.add_argument("--wrong", action="store_true", help="name what is wrong, but held back")
    return parser.parse_args()


def main() -> None:
    """Print the score of all trials, and of those that limits were chosen without."""
    arguments = _arguments()
    if arguments.make:
        from tests.words.measure import rows

        print(f"{store(rows())} trials")
    trials = stored()
    everything = scored(trials)
    kept = [row for row in trials if held_back(row)]
    tuned = scored([row for row in trials if not held_back(row)])
    print(*report(everything, "All"), sep="\n")
    print(*report(tuned, "Looked at while limits were chosen"), sep="\n")
    print(*report(scored(kept), "Held back"), sep="\n")
    print(*matrix(everything.states, "States"), sep="\n")
    print(*matrix(everything.qualities, "Qualities that lead"), sep="\n")
    if arguments.wrong:
        print(*tuned.wrong, *tuned.false_ends, sep="\n")


if __name__ == "__main__":
    main()
