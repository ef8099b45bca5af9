"""The workloads with goals: 64 learning rates on one seed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ALL = {"test-fraction": 0.0}  # every example trains
FEW = {"examples": 64}  # images of a CNN's small steps: evaluating more would outlast the steps
METHODS: dict[str, dict[str, Any]] = {
    "b1": {"method": "sgd"},
    "b32": {"method": "minibatch"},
    "full": {"method": "gd", "first": 3, "lr": (1e-3, 1e-1)},
}
WORDS = "words.svm"  # the file of sparse examples
TITLES = {"b1": "batch 1", "b32": "batch 32", "full": "full batch"}
Goals = tuple[tuple[float, float], ...]  # against the tutorial and JAX, by batch size


def table(images: Path) -> tuple[Workload, ...]:
    """Return the workloads with goals; `images` is the folder of the 28 x 28 ones."""
    own = (*softmax(), *mlp(), *cnns(images), OWN)
    return (*quadratics(), *least_squares(), *words(images / WORDS), *own)


def quadratics() -> tuple[Workload, ...]:
    """Return bowls, with rates so small that no trial gets down to denormal numbers.

    The goals for 1000 dimensions were set with a dense matrix in mind: the rotated bowl.
    """
    two = Workload(
        name="quadratic-d2",
        title="quadratic d=2",
        problem="quadratic",
        method="gd",
        lr=(1e-6, 1e-4),
        goals={"tutorial": 1000, "jax": 0.5},
        quick=True,
    )
    many = replace(
        two,
        name="quadratic-d1000",
        title="quadratic d=1000, axis-aligned",
        options={"dim": 1000},
        goals={},
        quick=False,
    )
    rotated = replace(
        two,
        name="quadratic-d1000-rotated",
        title="quadratic d=1000, rotated",
        options={"dim": 1000, "rotate": True},
        goals={"tutorial": 500, "jax": 50},
        quick=False,
    )
    return two, many, rotated


def least_squares() -> tuple[Workload, ...]:
    """Return synthetic least squares, by dimension, batch size and number of examples."""
    one: dict[str, Any] = {
        "lr": (1e-5, 1e-3),
        "against": ("tutorial", "lean", "jax", "scikit-learn"),
        "goals": {"tutorial": 3000, "jax": 1, "scikit-learn": 2},
    }
    return (
        replace(_least_squares("b1", 10), **one),
        replace(_least_squares("b1", 100), **one, quick=False),
        replace(_least_squares("b32", 100), goals={"tutorial": 500, "jax": 2}),
        replace(_least_squares("full", 100), goals={"tutorial": 250, "jax": 8}),
        replace(
            _least_squares("full", 100, 100_000), goals={"tutorial": 5000, "jax": 500}, quick=False
        ),
    )


def _least_squares(batch: str, features: int, examples: int = 1000) -> Workload:
    many = "" if examples == 1000 else "-1e5"
    sizes = {"features": features, "examples": examples}
    return Workload(
        name=f"least-squares-d{features}-{batch}{many}",
        title=f"least squares d={features}, {TITLES[batch]}, n={examples}",
        problem="linear-regression",
        options={**ALL, "dataset": "synthetic", **sizes},
        quick=True,
        **METHODS[batch],
    )


def words(file: Path) -> tuple[Workload, ...]:
    """Return logistic regression on sparse examples of rcv1's shape, by batch size."""
    like = Workload(
        name="words",
        title="logistic regression on 1.5 million of 20,242 x 47,236 numbers",
        problem="logistic-regression",
        method="sgd",
        options={**ALL, "data": str(file), "scale": "none", "l2": 0.0},
        lr=(1e-2, 1.0),
    )
    rivals: dict[str, tuple[str, ...]] = {"b1": ("scikit-learn",), "b32": ("scipy",)}
    return tuple(
        replace(
            like,
            name=f"words-{batch}",
            title=f"{like.title}, {TITLES[batch]}",
            against=rivals.get(batch, ("scipy",)),
            goals={"scikit-learn": 1} if batch == "b1" else {"scipy": 1},
            **{**METHODS[batch], "lr": (1e-2, 1.0), "first": 200 if batch == "b1" else 3},
        )
        for batch in METHODS
    )


def softmax() -> tuple[Workload, ...]:
    """Return softmax regression of digits, by precision and batch size.

    The goals were set in float32; gdcli has float64 for linear models unless told otherwise.
    """
    goals: Goals = ((200, 0.5), (80, 1.2), (7, 1.4))
    like = Workload("softmax", "softmax", "softmax-regression", "", {**ALL, "l2": 0.0})
    single = replace(like, name="softmax-float32", title="softmax float32", dtype="float32")
    return *_by_batch(like, goals), *_by_batch(single, goals)


def mlp() -> tuple[Workload, ...]:
    """Return an MLP of 64, 64 and 10 units on digits, by batch size."""
    goals: Goals = ((90, 0.7), (32, 1.1), (2, 1.5))
    return _by_batch(Workload("mlp", "MLP", "mlp", "", ALL), goals)


def cnns(images: Path) -> tuple[Workload, ...]:
    """Return CNNs of 8 and 16 channels, by size of the images and of the batch."""
    goals: Goals = ((15, 1.5), (5.5, 6), (1.5, 2.5))
    small = _by_batch(Workload("cnn-8x8", "CNN 8x8", "cnn", "", ALL, first=5), goals, few=FEW)
    goals = ((6, 3.5), (1.5, 6), (1, 4))
    like = Workload("cnn-28x28", "CNN 28x28", "cnn", "", large_images(images), first=2)
    large = _by_batch(like, goals, few=FEW)
    return *small, *large


def large_images(folder: Path) -> dict[str, object]:
    """Return the options of a CNN with windows of 5 x 5 on images of 28 x 28 from a folder."""
    images = {"dataset": "mnist", "data-dir": str(folder)}
    return {**ALL, **images, "kernel": 5, "padding": "valid"}


def _by_batch(
    like: Workload, goals: Goals, few: Mapping[str, object] | None = None
) -> tuple[Workload, ...]:
    """Return a workload with batches of 1, of 32 and of all examples.

    `few` are options of the small batches of a CNN. Of its full batch fewer trials are timed,
    each of which takes long: as many as gdcli stacks, and one of JAX, whose convolutions are
    faster then than mapped over several.
    """
    return tuple(
        replace(
            like,
            name=f"{like.name}-{batch}",
            title=f"{like.title}, {TITLES[batch]}",
            goals={"tutorial": against_tutorial, "jax": against_jax},
            options={**like.options, **(few or {} if batch != "full" else {})},
            most={"gdcli": 16, "jax": 1} if few and batch == "full" else {},
            quick=batch == "b32" and like.name != "cnn-28x28",
            **{**METHODS[batch], **({"first": 1} if few and batch == "full" else {})},
        )
        for batch, (against_tutorial, against_jax) in zip(METHODS, goals, strict=True)
    )


OWN = Workload(
    name="own-loss-b32",
    title="a user's own loss, MLP, batch 32",
    problem="own-loss",
    method="minibatch",
    goals={"tutorial": 8},
    quick=True,
)


def seeds() -> tuple[Workload, ...]:
    """Return workloads of 64 trials on 8 and on 64 seeds: trials share no batch, or few do."""
    return tuple(
        replace(
            workload,
            section="seeds",
            name=f"{workload.name}-{64 // count}x{count}",
            title=f"{workload.title}, rates x seeds {64 // count} x {count}",
            rates=64 // count,
            seeds=count,
            against=("lean", "jax"),
            goals={},
            quick=False,
        )
        for workload in (*least_squares()[1:3], mlp()[1])
        for count in (8, 64)
    )
