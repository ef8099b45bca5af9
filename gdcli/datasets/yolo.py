"""Data sets in YOLO's format: a data.yaml, images, and a text file of boxes beside each."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdcli.datasets.boxes import padded
from gdcli.datasets.contents import read_contents
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array, Data

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
LARGEST = 2**20  # bytes of a data.yaml
MOST_CLASSES = 10_000  # each costs numbers in every place that is looked at
MOST_PIXELS = 10**8  # of an image, which takes three bytes a pixel, however few it is packed in
GREY = 114  # of the margins, as Ultralytics has it
STDERR = 2  # the descriptor: libraries in C know nothing of sys.stderr
VALUES = ("class", "x", "y", "width", "height")


@dataclass(frozen=True)
class Folders:
    """What a data.yaml says: where the images are, and how many classes there are."""

    file: Path
    classes: int
    train: tuple[Path, ...]  # folders, and lists of images
    val: tuple[Path, ...]


def read_yolo(file: Path, size: int, most: int | None) -> Data:
    """Return the images of a data set, letterboxed to size x size pixels, and their objects.

    `most` bounds the training images, None takes all. Raises UserError for what is wrong, naming
    the file and the line.
    """
    import numpy as np

    said = read_data_yaml(file)
    train = [image for place in said.train for image in _images(said, "train", place)]
    test = [image for place in said.val for image in _images(said, "val", place)]
    with _silence():
        parts = [_read(images, said.classes, size) for images in (train[:most], test) if images]
    places = max(1, *(len(rows) for _, objects in parts for rows in objects))
    filled = [padded(images, objects, places) for images, objects in parts]
    return Data(filled[0], filled[1] if test else {}, {"classes": np.arange(said.classes)})


@contextmanager
def _silence() -> Iterator[None]:
    """Keep off stderr what OpenCV, libpng and libjpeg write to it of a damaged image."""
    try:
        kept = os.dup(STDERR)
    except OSError:  # it is closed: nothing is written
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)


def read_data_yaml(file: Path) -> Folders:
    """Return what a data.yaml says; only plain values are read, and nothing in it is run."""
    import yaml

    raw = read_contents(file, "--data")
    if len(raw) > LARGEST:
        what = f"{len(raw)} bytes are more than a data.yaml has"
        raise UserError(str(file), what, "give the data.yaml of a data set")
    try:
        content = yaml.safe_load(raw)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        what = getattr(error, "problem", None) or "its values are nested too deep or malformed"
        raise UserError(where, f"this is not plain YAML: {what}", "correct the line") from None
    if not isinstance(content, dict):
        raise UserError(str(file), "it has no keys", "give train, val and names")
    folder = file.parent / _text(file, content, "path", ".")
    train, val = (_places(file, folder, content, key) for key in ("train", "val"))
    if not train:
        raise UserError(str(file), "it names no training images", "add train: FOLDER")
    return Folders(file, _classes(file, content), train, val)


def _text(file: Path, content: dict[Any, Any], key: str, default: str) -> str:
    value = content.get(key, default)
    if not isinstance(value, str):
        raise UserError(str(file), f"{key} is {_kind(value)}, no text", f"give {key}: FOLDER")
    return value


def _places(file: Path, folder: Path, content: dict[Any, Any], key: str) -> tuple[Path, ...]:
    """Return the folders and lists of a part, below the folder of the data set."""
    value = content.get(key)
    several = value if isinstance(value, list) else [] if value is None else [value]
    for one in several:
        if not isinstance(one, str) or "\0" in one:
            what = f"{key} holds {_kind(one)}, no path"
            raise UserError(str(file), what, f"give {key}: FOLDER, or a list of folders")
    return tuple(folder / one for one in several)


def _classes(file: Path, content: dict[Any, Any]) -> int:
    """Return the number of classes: of the names, or nc where there are none."""
    names = content.get("names")
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = list(names.values())
    found = len(names) if isinstance(names, list) else content.get("nc")
    if names is not None and not isinstance(names, list):
        raise UserError(str(file), "names are not numbered from 0", "give names: [NAME, NAME]")
    if type(found) is not int or found < 1:
        raise UserError(str(file), "it has no classes", "give names: [NAME, NAME]")
    if found > MOST_CLASSES:
        what = f"{show(found)} classes are more than the {MOST_CLASSES} that a data set may have"
        raise UserError(str(file), what, "correct nc")
    if type(content.get("nc", found)) is not int or content.get("nc", found) != found:
        what = f"nc is {show(_plain(content['nc']))}, but there are {found} names"
        raise UserError(str(file), what, "leave nc out")
    return found


def _kind(value: object) -> str:
    """Return what a value is; what it holds may be endless where it refers to itself."""
    return {type(None): "nothing", list: "a list", dict: "a table"}.get(type(value), "a number")


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | str) else _kind(value)


def _images(said: Folders, key: str, place: Path) -> list[Path]:
    """Return the images of a folder and of those below it, or of a list, in a fixed order."""
    try:
        if place.is_dir():
            found = sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES)
        elif place.suffix == ".txt" and place.is_file():
            lines = read_contents(place, "--data").decode("utf-8").splitlines()
            found = [place.parent / line.strip() for line in lines if line.strip()]
        else:
            what = f"{key}: there is no folder {show(str(place))}"
            raise UserError(str(said.file), what, "correct the path, or path: above it")
    except (OSError, UnicodeDecodeError) as error:
        what = f"{key}: {show(str(place))} cannot be read"
        raise UserError(
            str(said.file), what, str(getattr(error, "strerror", "save it as UTF-8"))
        ) from None
    if not found:
        what = f"{key}: there are no images in {show(str(place))}"
        raise UserError(str(said.file), what, "add images, or correct the path")
    return found


def _read(files: list[Path], classes: int, size: int) -> tuple[list[Array], list[Array]]:
    """Return images and their objects, in the images as they are now."""
    images, objects = [], []
    for file in files:
        image, scale, margin = _letterboxed(_pixels(file), size)
        rows = _objects(file, classes)
        rows[:, 1:] *= [*scale, *scale]
        rows[:, 1:3] += margin
        images.append(image)
        objects.append(rows)
    return images, objects


def _pixels(file: Path) -> Array:
    """Return an image, (height, width, 3) uint8, red first."""
    import cv2
    import numpy as np

    packed = read_contents(file, "--data")
    _check_size(file, packed)
    raw = np.frombuffer(packed, np.uint8)
    try:
        image = cv2.imdecode(raw, cv2.IMREAD_COLOR) if len(raw) else None
    except cv2.error:
        image = None
    if image is None:
        raise UserError(str(file), "this is no image", "take it out, or save it anew")
    return image[..., ::-1]


def _check_size(file: Path, packed: bytes) -> None:
    """Raise UserError for an image whose own header says that it is too large to unpack."""
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"):
            width, height = Image.open(io.BytesIO(packed)).size
    except Image.DecompressionBombError as error:
        what = str(error).partition(",")[0].lower()
        raise UserError(str(file), what, "make it smaller, or take it out") from None
    except Exception:  # noqa: BLE001 -- what its header does not say, OpenCV may still read
        return
    if width * height > MOST_PIXELS:
        what = f"its {width} x {height} pixels are more than {MOST_PIXELS}"
        raise UserError(str(file), what, "make it smaller, or take it out")


def _letterboxed(image: Array, size: int) -> tuple[Array, tuple[float, ...], tuple[float, ...]]:
    """Return an image of size x size pixels whose longer side is the whole of it.

    With it come what a box's place is multiplied by and moved by, (x, y), as parts of the image.
    """
    import cv2
    import numpy as np

    height, width = image.shape[:2]
    ratio = size / max(height, width)
    if ratio != 1:
        width, height = (min(math.ceil(side * ratio), size) for side in (width, height))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    # Ultralytics rounds so that the odd pixel is below and on the right.
    left, top = (round((size - side) / 2 - 0.1) for side in (width, height))
    whole = np.full((size, size, 3), GREY, dtype=np.uint8)
    whole[top : top + height, left : left + width] = image
    return whole, (width / size, height / size), (left / size, top / size)


def _objects(image: Path, classes: int) -> Array:
    """Return an image's objects, rows of class, centre, width and height; none without a file."""
    import numpy as np

    parts = list(image.parts)
    last = max((i for i, part in enumerate(parts[:-1]) if part == "images"), default=None)
    if last is not None:
        parts[last] = "labels"
    file = Path(*parts).with_suffix(".txt")
    if not file.exists():
        return np.zeros((0, 5))
    text = read_contents(file, "--data").decode("utf-8", errors="replace")
    rows = [_row(f"{file}:{line}", cells, classes) for line, cells in _lines(text)]
    return np.array(rows, dtype=float).reshape(-1, 5)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.split()


def _row(where: str, cells: list[str], classes: int) -> list[float]:
    """Return the numbers of a line; raises UserError where they are no object."""
    if len(cells) != len(VALUES):
        what = f"{len(cells)} values are not class, x, y, width and height"
        raise UserError(where, what, "give a box by these five")
    values = [_number(where, name, cell) for name, cell in zip(VALUES, cells, strict=True)]
    if values[0] not in range(classes):
        what = f"class {show(cells[0])} is not one of the {classes} in data.yaml"
        raise UserError(where, what, f"give a whole number from 0 to {classes - 1}")
    for name, value, cell in zip(VALUES[1:], values[1:], cells[1:], strict=True):
        lowest = value > 0 if name in {"width", "height"} else value >= 0
        if not (lowest and value <= 1):
            what = f"{name} {show(cell)} is not a part of the image"
            raise UserError(where, what, "give pixels divided by the image's width or height")
    return values


def _number(where: str, name: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        what = f"{name} {show(cell)} is not a number"
        raise UserError(where, what, "correct it, or take out the line") from None
