"""What examples look like on a page: the pixels, or the numbers, that the data set has."""

from __future__ import annotations

import io
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from gdcli.datasets.described import described
from gdcli.datasets.tabular import read_named
from gdcli.engine.examples import examples_of
from gdcli.studies.explore.page import MOST_FEATURES, example_images, png
from tests.grids import experiment

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.experiment.grid import Trial


def shown(trial: Trial, *examples: int) -> dict[str, Any]:
    data = examples_of(trial)
    names = described(trial.problem, data, data.train["y"]).features
    return example_images(trial, np.array(examples), names)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 1), (4, 7, 3)])
def test_a_png_has_its_pixels(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    image = Image.open(io.BytesIO(png(pixels)))
    image.load()
    assert image.mode == ("L" if shape[2] == 1 else "RGB")
    np.testing.assert_array_equal(np.asarray(image).reshape(shape), pixels)


@pytest.mark.parametrize(
    ("problem", "options"),
    [("softmax-regression", {}), ("mlp", {"scale": "standard"}), ("cnn", {})],
)
def test_a_digit_is_drawn_as_the_file_has_it(problem: str, options: dict[str, str]) -> None:
    (trial,) = experiment(problem, options).grid.trials
    found = shown(trial, 3, 10)
    own, labels = read_named("digits")
    y = examples_of(trial).train["y"]
    classes = y.argmax(1) if y.ndim == 2 else y
    for place, text in zip((3, 10), found["images"], strict=True):
        image = np.asarray(Image.open(io.BytesIO(b64decode(text))))
        same = (np.round(255 * own / 16) == image.ravel()).all(1)
        assert same.any()
        assert classes[place] in labels[same]


def test_a_row_has_the_names_and_numbers_of_its_file() -> None:
    (trial,) = experiment("logistic-regression").grid.trials
    found = shown(trial, 5)
    own, _ = read_named("breast-cancer")
    assert found["names"][:2] == ["mean radius", "mean texture"]
    np.testing.assert_allclose(abs(own / found["rows"][0] - 1).max(1).min(), 0, atol=1e-3)


def test_a_users_columns_are_named_and_the_first_of_many_shown(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    names = [f"f{i}" for i in range(MOST_FEATURES + 6)]
    rows = [[*map(str, range(i, i + len(names))), str(i % 2)] for i in range(20)]
    file.write_text("\n".join([",".join([*names, "y"]), *map(",".join, rows)]))
    options = {"data": str(file), "target": "y"}
    (trial,) = experiment("logistic-regression", options).grid.trials
    found = shown(trial, 0)
    assert (found["names"], found["features"]) == (names[:MOST_FEATURES], len(names))
    first = found["rows"][0][0]
    assert found["rows"][0] == [first + i for i in range(MOST_FEATURES)]
