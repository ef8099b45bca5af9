"""`make words`: how often the words for trials are right, against runs ten times as long.

python -m tests.words [--make] [--write] [--wrong]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from typing import TYPE_CHECKING

from tests.words.score import matrix, part, report, scored, store, stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.words.truth import Row

WRITTEN = Path(__file__).with_name("score.txt")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.words")
    parser.add_argument("--make", action="store_true", help="train the trials anew: some minutes")
    parser.add_argument("--write", action="store_true", help="write the score to score.txt, too")
    parser.add_argument(
        "--wrong", action="store_true", help="name what is wrong, of what was looked at"
    )
    return parser.parse_args()


def lines(trials: Sequence[Row]) -> Iterator[str]:
    """Yield the score of all trials, and of those that limits were chosen without."""
    everything = scored(trials)
    yield from report(everything, "All")
    for name in dict.fromkeys(map(part, trials)):
        yield from report(scored([row for row in trials if part(row) == name]), name)
    yield from matrix(everything.states, "States")
    yield from matrix(everything.qualities, "Qualities that lead")


def main() -> None:
    """Print the score."""
    arguments = _arguments()
    if arguments.make:
        from tests.words.measure import rows

        print(f"{store(rows())} trials")
    trials = stored()
    print(*lines(trials), sep="\n")
    if arguments.write:
        WRITTEN.write_text("\n".join(lines(trials)) + "\n", encoding="utf-8")
    if arguments.wrong:
        tuned = scored([row for row in trials if part(row).startswith("Looked")])
        print(*tuned.wrong, *tuned.false_ends, sep="\n")


if __name__ == "__main__":
    main()
