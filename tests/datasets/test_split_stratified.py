"""Splits that keep the shares of the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from gdcli.datasets.cells import Classes, collected
from gdcli.datasets.split import shares, stratified
from gdcli.engine.examples import class_counts
from gdcli.errors import UserError
from gdcli.problems.cnn import Cnn
from gdcli.problems.logistic_regression import LogisticRegression
from gdcli.problems.mlp import Mlp
from gdcli.problems.softmax_regression import SoftmaxRegression
from gdcli.problems.svm import Svm

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.problem import Data, Problem


def load(problem: Problem) -> tuple[Data, list[str]]:
    """Return the data of seed 0, and what is said of them."""
    with collected() as notes:
        data = problem.load(np.random.default_rng(0))
    return data, list(notes)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=12), st.floats(0.01, 0.95))
def test_shares_are_kept_to_one_example(counts: list[int], fraction: float) -> None:
    every = np.array(counts)
    held_out = round(fraction * sum(counts))
    if held_out >= every.sum():
        return
    held = shares(every, held_out)
    assert held.sum() == held_out
    assert ((held >= 0) & (held <= every)).all()
    quotas = every * held_out / every.sum()
    several = (every > 1).sum()
    if several <= held_out <= every.sum() - len(every):  # there is room for one in each part
        assert (held[every > 1] >= 1).all()
        assert (held[every > 1] < every[every > 1]).all()
        assert (held[every == 1] == 0).all()
    if (quotas >= 1).all() and (every - quotas >= 1).all():
        assert (abs(held - quotas) < 1).all()


@given(st.integers(0, 2**32 - 1))
def test_large_classes_are_split_as_by_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat([0, 1, 2], rng.integers(20, 200, 3)))
    held_out = round(0.25 * len(y))
    classes = Classes(y, ("a", "b", "c"))
    train, test = stratified(rng.permutation(len(y)), classes, held_out)
    assert sorted([*train, *test]) == list(range(len(y)))
    _, oracle = train_test_split(y, test_size=held_out, stratify=y, random_state=0)
    assert abs(np.bincount(y[test]) - np.bincount(oracle)).max() <= 1


@pytest.mark.parametrize(
    "problem",
    [
        Mlp(dataset="wine", stratify=True),
        SoftmaxRegression(dataset="iris", stratify=True, test_fraction=0.3),
        LogisticRegression(stratify=True),
        Svm(stratify=True),
        Cnn(stratify=True),
    ],
)
def test_every_problem_with_classes_keeps_their_shares(problem: Problem) -> None:
    data, _ = load(problem)
    train, test = class_counts(data.train), class_counts(data.test)
    share = test.sum() / (train + test).sum()
    assert (abs(test - share * (train + test)) < 1).all()
    assert len(data.classes) == len(train)


def write(file: Path, counts: dict[str, int]) -> Path:
    names = [name for name, count in counts.items() for _ in range(count)]
    rows = [f"{i % 7},{(i * i) % 11},{name}" for i, name in enumerate(names)]
    file.write_text("\n".join(["u,v,kind", *rows]) + "\n", encoding="utf-8")
    return file


def test_without_it_the_split_is_what_it_was(tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", {"a": 40, "b": 4})
    plain, _ = load(SoftmaxRegression(data=file, target="kind"))
    order = np.random.default_rng(0).permutation(44)
    y = np.repeat([0, 1], [40, 4])
    np.testing.assert_array_equal(plain.test["y"].argmax(1), y[order[35:]])


def test_a_class_too_small_is_told_in_a_line(tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", {"common": 60, "[b]odd": 1})
    data, notes = load(Mlp(data=file, target="kind", stratify=True))
    assert class_counts(data.test, 2).tolist() == [0, 12] or class_counts(data.train).min() == 1
    line = next(note for note in notes if note.startswith("--stratify"))
    assert "the class '[b]odd' has 1 example: too few for the test part" in line
    file = write(tmp_path / "g.csv", {"common": 60, "a": 1, "b": 1, "c": 3})
    data, notes = load(Mlp(data=file, target="kind", stratify=True))
    assert any("the classes 'a', 'b' have at most 1 example" in note for note in notes)
    assert min(class_counts(data.train)) == 1


def test_examples_on_disk_are_split_alike(tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", {"no": 90, "yes": 10})
    whole, _ = load(LogisticRegression(data=file, target="kind", stratify=True))
    parts, _ = load(LogisticRegression(data=file, target="kind", stratify=True, stream=True))
    for one, other in ((whole.train, parts.train), (whole.test, parts.test)):
        np.testing.assert_array_equal(one["y"], other["y"])
        np.testing.assert_allclose(one["x"], np.asarray(other["x"]), rtol=1e-12, atol=1e-12)
    assert class_counts(parts.test).tolist() == [18, 2]


def test_where_nothing_is_split_it_is_refused() -> None:
    with pytest.raises(UserError, match="mnist has its own test part"):
        Mlp(dataset="mnist", stratify=True)
    with pytest.raises(UserError, match="fashion-mnist has its own test part"):
        Cnn(dataset="fashion-mnist", stratify=True)
    for problem in (Svm, Cnn, SoftmaxRegression):
        with pytest.raises(UserError, match="--test-fraction 0 holds out no example"):
            problem(stratify=True, test_fraction=0.0)
