"""The small classics that travel with gdcli; README.md names their sources and licences."""

from __future__ import annotations

from pathlib import Path

from gdcli.problem import Array

# What the classes are called, by their places.
CLASSES = {
    "breast-cancer": ("malignant", "benign"),
    "iris": ("setosa", "versicolor", "virginica"),
    "fashion-mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "cifar10": (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
}


def class_names(name: str) -> tuple[str, ...]:
    """Return what the classes of a set are called, by their places; none where these do."""
    return CLASSES.get(name, ())


def read_named(name: str) -> tuple[Array, Array]:
    """Return a set's features, (examples, features), and its target, (examples,): raw, float64.

    The last column of `<name>.csv.gz` is the target: a measurement, or a class counted from 0.
    """
    import numpy as np

    table = np.loadtxt(Path(__file__).parent / f"{name}.csv.gz", delimiter=",", skiprows=1)
    return table[:, :-1], table[:, -1]
