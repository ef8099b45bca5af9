"""Ratings of a user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from gdcli.engine.examples import examples_of
from gdcli.errors import UserError
from gdcli.problems.matrix_factorization import MatrixFactorization
from tests.grids import only, train

if TYPE_CHECKING:
    from pathlib import Path


def test_ratings_of_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    films, people = [f"film {i}" for i in range(12)], list(range(9))
    truth = rng.standard_normal((12, 2)) @ rng.standard_normal((2, 9))
    seen = [(i, j) for i in range(12) for j in range(9) if (i * 9 + j) % 5]
    lines = [f"{people[j]},{float(truth[i, j])},{films[i]}" for i, j in seen]
    file = tmp_path / "r.csv"
    file.write_text("\n".join(["who,stars,film", *lines]))
    options = {"data": str(file), "target": "stars", "rank": "2"}
    run = only(train("matrix-factorization", options, lr="2", epochs="300"))
    data = examples_of(run.trial)
    assert (data.examples, len(data.test["row"])) == (69, 17)
    order = sorted(films)
    for part in (data.train, data.test):
        for who, film, stars in zip(part["row"], part["column"], part["rating"], strict=True):
            assert stars == truth[films.index(order[film]), who]
    assert run.losses[-1] < 0.05 * run.losses[0]
    start = run.trial.problem.init(rng, data)
    assert (start["left"].shape, start["right"].shape) == ((9, 2), (12, 2))


def test_what_are_no_ratings(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(UserError) as caught:
        MatrixFactorization(data=file, target="b").load(np.random.default_rng(0))
    assert str(caught.value) == (
        f"--data: {file} has 1 column besides 'b'; give a file with two: the rated item, and "
        f"the rater"
    )
    with pytest.raises(UserError, match=r"^--target: it needs --data; add --data$"):
        MatrixFactorization(target="b")
