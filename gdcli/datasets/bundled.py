"""The data that are part of gdcli: small classic sets, ratings, texts, and drawn shapes.

README.md names their sources and licences. The shapes are images of coloured rectangles, with the
boxes of the rectangles; the class of a rectangle is its colour. A text is given as numbers, one for
each character.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.datasets.cells import ranked
from gdcli.datasets.contents import read_contents
from gdcli.datasets.features import used
from gdcli.datasets.reading import Both, read_both
from gdcli.errors import UserError
from gdcli.fields import counted, show
from gdcli.problem import Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from gdcli.datasets.reading import Reading
    from gdcli.problem import Batch

# Names of the classes, by class number.
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
    """Return the names of a set's classes; empty if the numbers are the names."""
    return CLASSES.get(name, ())


def read_named(name: str) -> tuple[Array, Array]:
    """Return a set's raw features, (examples, features), and target, (examples,), float64.

    The last column of `<name>.csv.gz` is the target: a measurement, or a class counted from 0.
    """
    import numpy as np

    table = np.loadtxt(Path(__file__).parent / f"{name}.csv.gz", delimiter=",", skiprows=1)
    return table[:, :-1], table[:, -1]


NAMES = ("red", "green", "blue")
MOST_SHAPES = 3  # rectangles in an image
SHORTEST, LONGEST = 0.2, 0.5  # sides, as fractions of the image
GREY, NOISE = 114, 12  # the background, and the standard deviation of its pixels
TRIES = 50  # attempts to place a rectangle without overlap


def draw_shapes(rng: np.random.Generator, count: int, size: int) -> Batch:
    """Return `count` square images with one to three rectangles that do not overlap."""
    images, objects = zip(*(_image(rng, size) for _ in range(count)), strict=True)
    return padded(images, objects, MOST_SHAPES)


def _image(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """Return an image and its objects, rows of class, centre, width and height."""
    import numpy as np

    image = rng.normal(GREY, NOISE, (size, size, 3))
    taken = np.zeros((size, size), dtype=bool)
    rows = []
    for _ in range(rng.integers(1, MOST_SHAPES + 1)):
        place = _free(rng, taken)
        if place is None:
            break
        left, top, width, height = place
        inside = np.s_[top : top + height, left : left + width]
        colour = int(rng.integers(len(NAMES)))
        image[inside] = 40
        image[(*inside, colour)] = rng.uniform(160, 255)
        taken[inside] = True
        rows.append([colour, left + width / 2, top + height / 2, width, height])
    objects = np.array(rows, dtype=float)
    objects[:, 1:] /= size
    return image.clip(0, 255).round().astype(np.uint8), objects


def _free(rng: np.random.Generator, taken: Array) -> tuple[int, int, int, int] | None:
    """Return left, top, width and height, in pixels, of a free place."""
    size = len(taken)
    for _ in range(TRIES):
        width, height = rng.integers(round(SHORTEST * size), round(LONGEST * size) + 1, 2).tolist()
        left, top = rng.integers(size - width + 1), rng.integers(size - height + 1)
        if not taken[top : top + height, left : left + width].any():
            return int(left), int(top), width, height
    return None


NOTHING = -1  # class number for "no object"


def padded(images: Sequence[Array], objects: Sequence[Array], places: int) -> Batch:
    """Return images and objects as arrays with images along the first axis.

    images: (height, width, 3) uint8 each. objects: (count, 5) float64 each, rows of class,
    centre, width and height as parts of the image. "image" has shape (n, 3, height, width), uint8;
    "class" (n, places) int64, NOTHING where an image has fewer objects; "box" (n, places, 4)
    float64.
    """
    import numpy as np

    classes = np.full((len(images), places), NOTHING, dtype=np.int64)
    boxes = np.zeros((len(images), places, 4))
    for i, rows in enumerate(objects):
        classes[i, : len(rows)] = rows[:, 0]
        boxes[i, : len(rows)] = rows[:, 1:]
    pixels = np.stack(images).transpose(0, 3, 1, 2)
    return {"image": np.ascontiguousarray(pixels), "class": classes, "box": boxes}


def read_ratings(file: Path, target: str, reading: Reading) -> tuple[Batch, Both]:
    """Return ratings with their rows and columns, and the tables that they come from.

    "row" and "column" are int64, "rating" is float64, each (examples,). Raises UserError unless
    the file has exactly two columns besides the target.
    """
    both, others = used(read_both(file, reading), target, reading)
    ratings = both.numbers(target)
    if len(others) != 2:
        has = counted(len(others), "column", "columns")
        what = f"{file} has {has} besides {show(target)}"
        raise UserError("--data", what, "give a file with two: the rated item, and the rater")
    rows, columns = (ranked(both.labels(name))[1].astype("int64") for name in others)
    return {"row": rows, "column": columns, "rating": ratings}, both


MOST_CHARACTERS = 1000  # different characters: more are not an alphabet


@dataclass(frozen=True)
class Text:
    """A text and its alphabet."""

    characters: str  # distinct characters, in order
    places: Array  # (length,) int64: the index of each character of the text in `characters`


def read_text(file: Path | None) -> Text:
    """Return a UTF-8 text; without a file, the sonnets in the package.

    Raises UserError if the file cannot be read, is not UTF-8, or has too many characters.
    """
    import numpy as np

    if file is None:
        content = gzip.decompress((Path(__file__).parent / "sonnets.txt.gz").read_bytes())
    else:
        content = read_contents(file, "--data")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        what = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        raise UserError(f"{file}:{line}", what, "save the file as UTF-8") from None
    characters = "".join(sorted(set(text)))
    if not 2 <= len(characters) <= MOST_CHARACTERS:
        what = f"{show(str(file))} has {len(characters)} different characters"
        raise UserError("--data", what, f"give a text with 2 to {MOST_CHARACTERS} different ones")
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    places = np.searchsorted(np.array([ord(c) for c in characters]), codes)
    return Text(characters, places.astype(np.int64))
