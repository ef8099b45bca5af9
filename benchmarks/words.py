"""Writes data like rcv1's: few words of many in each document, rows of length 1."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS, FEATURES, EACH = 20_242, 47_236, 74  # of rcv1, and the mean number of words of a document


def drawn(
    rows: int = ROWS, features: int = FEATURES, each: int = EACH, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
    """Return starts, columns and values of a matrix (rows, features), and labels -1 and 1.

    Words have frequencies by a power law (Zipf), documents lengths by a log-normal law. A word's
    weight is larger the rarer it is; rows have the Euclidean length 1. The labels are the sides of
    a random plane of the 2000 most frequent words, one in twenty of them wrong.
    """
    rng = np.random.default_rng(seed)
    shares = 1.0 / (np.arange(features) + 30.0)
    ends = np.cumsum(shares / shares.sum())
    lengths = np.maximum(1, rng.lognormal(np.log(1.04 * each) - 0.15, 0.55, rows).astype(int))
    places = rng.permutation(features)  # frequent words may have any number
    columns: list[NDArray[np.int32]] = []
    for length in lengths.tolist():
        words = np.minimum(np.searchsorted(ends, rng.random(length)), features - 1)
        columns.append(np.unique(places[words]).astype(np.int32))
    starts = np.cumsum([0, *map(len, columns)])
    joined = np.concatenate(columns)
    joined[0] = min(joined[0], 0)  # the first and the last feature occur, so that the shape is kept
    joined[starts[1] - 1] = features - 1 if starts[1] > 1 else joined[0]
    share = np.empty(features)
    share[places] = shares / shares.sum()
    values = np.log1p(1.0 / (each * share))[joined] * rng.uniform(0.5, 1.5, len(joined))
    norms = np.sqrt(np.add.reduceat(values**2, starts[:-1]))
    values = np.round(values / np.repeat(norms, np.diff(starts)), 6)
    plane = rng.standard_normal(features) * (share >= np.sort(share)[-min(features, 2000)])
    scores = np.add.reduceat(values * plane[joined], starts[:-1])
    labels = np.where((scores > np.median(scores)) != (rng.random(rows) < 0.05), 1, -1)
    return starts, joined, values, labels


def write_libsvm(file: Path, rows: int = ROWS, features: int = FEATURES, each: int = EACH) -> None:
    """Write such data as a LIBSVM file."""
    starts, columns, values, labels = drawn(rows, features, each)
    with file.open("w", encoding="ascii") as stream:
        for i, label in enumerate(labels.tolist()):
            here = slice(starts[i], starts[i + 1])
            pairs = zip((columns[here] + 1).tolist(), values[here].tolist(), strict=True)
            stream.write(f"{label} {' '.join(f'{c}:{v:.6g}' for c, v in pairs)}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="LIBSVM file to write")
    write_libsvm(parser.parse_args().file)
