"""Data sets in YOLO's format: a data.yaml, images, and a text file of boxes for each image."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdcli.datasets.cells import note, number
from gdcli.datasets.contents import check_room, read_contents
from gdcli.errors import UserError
from gdcli.fields import convert, show
from gdcli.problem import Array, Batch, Data

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
LARGEST = 2**20  # bytes of a data.yaml
LARGEST_LABELS = 2**23  # bytes of a file of labels; as numbers they take ten times as many
MOST_CLASSES = 10_000  # every cell of the detector has numbers for each class
MOST_PIXELS = 10**8  # of an image, which takes three bytes for each pixel after unpacking
GREY = 114  # grey value of the margins, as in Ultralytics
STDERR = 2  # the descriptor: libraries in C know nothing of sys.stderr
VALUES = ("class", "x", "y", "width", "height")
OUTSIDE = 0.01  # tolerance for a box outside of its image, as in Ultralytics
VALIDATION = ("val", "validation", "test")  # the first existing one is used
ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")  # Pillow's modes


@dataclass(frozen=True)
class Folders:
    """The content of a data.yaml: the folders of the images, and the number of classes."""

    file: Path
    root: Path
    classes: int
    train: tuple[Path, ...]  # folders, and lists of images
    val: tuple[Path, ...]
    key_points: int  # numbers in a line of labels after its box


class Tally(Counter[str]):
    """Counts images or lines of labels for one note."""

    def tell(self, file: Path) -> None:
        """Make the note."""
        for what, count in (+self).items():
            note(f"{file}: {what.format(count)}")


ALPHAS = "images with an alpha channel, which is ignored: {}"
DEEP = "images of 16 bits, of which the upper 8 are used: {}"
EMPTY = "images without a file of labels, which show no object: {}"
POLYGONS = "labels that are polygons, replaced by the boxes around them: {}"
POINTS = "labels with key points, which are ignored: {}"
TWICE = "duplicate labels, which are ignored: {}"


def read_yolo(file: Path, size: int, most: int | None) -> Data:
    """Return the images of a data set, letterboxed to size x size pixels, and their objects.

    `most` limits the training images; None: all. Raises UserError for a mistake, naming
    the file and the line.
    """
    import numpy as np

    said = read_data_yaml(file)
    train = [image for place in said.train for image in _images(said, "train", place)][:most]
    test = [image for place in said.val for image in _images(said, "val", place)]
    check_room(2 * 3 * size**2 * (len(train) + len(test)), file)
    tally = Tally()
    with _silence():
        parts = [_read(images, said, size, tally) for images in (train, test) if images]
    places = max(1, *(len(rows) for _, objects in parts for rows in objects))
    check_room(8 * len(VALUES) * places * (len(train) + len(test)), file)
    tally.tell(file)
    filled = [padded(images, objects, places) for images, objects in parts]
    return Data(filled[0], filled[1] if test else {}, {"classes": np.arange(said.classes)})


@contextmanager
def _silence() -> Iterator[None]:
    """Hide what OpenCV, libpng and libjpeg write to stderr about a damaged image."""
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
    """Return the content of a data.yaml; only plain values are read, and no code is run."""
    import yaml

    raw = read_contents(file, "--data")
    if len(raw) > LARGEST:
        what = f"{len(raw)} bytes are too many for a data.yaml"
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
    root = file.parent / _text(file, content, "path", ".")
    held_out = next((key for key in VALIDATION if content.get(key)), VALIDATION[0])
    train, val = (_places(file, root, content, key) for key in ("train", held_out))
    if not train:
        raise UserError(str(file), "it names no training images", "add train: FOLDER")
    if held_out != VALIDATION[0]:
        note(f"{file}: there is no val; {held_out} is the test part")
    return Folders(file, root, _classes(file, content), train, val, _key_points(file, content))


def _key_points(file: Path, content: dict[Any, Any]) -> int:
    """Return how many numbers of key points a line of labels has after its box."""
    shape = content.get("kpt_shape")
    if shape is None:
        return 0
    if isinstance(shape, list) and len(shape) == 2 and all(type(n) is int for n in shape):
        return int(shape[0] * shape[1])
    raise UserError(str(file), "kpt_shape is not a list of two integers", "give such as [17, 3]")


def _text(file: Path, content: dict[Any, Any], key: str, default: str) -> str:
    value = content.get(key) or default
    if not isinstance(value, str):
        raise UserError(str(file), f"{key} is {_kind(value)}, not text", f"give {key}: FOLDER")
    return value


def _places(file: Path, root: Path, content: dict[Any, Any], key: str) -> tuple[Path, ...]:
    """Return the folders and lists of a part, below the folder of the data set."""
    value = content.get(key)
    several = value if isinstance(value, list) else [] if value is None else [value]
    for one in several:
        if not isinstance(one, str) or "\0" in one:
            what = f"{key} holds {_kind(one)}, not a path"
            raise UserError(str(file), what, f"give {key}: FOLDER, or a list of folders")
    return tuple(_place(file, root, one, key) for one in several)


def _place(file: Path, root: Path, given: str, key: str) -> Path:
    """Return the target of a path; a path that begins with ../ stays in the data set's folder.

    Roboflow writes ../train/images for train/images. A relative path must not lead out of the
    folder; an absolute path may.
    """
    path = Path(given)
    if path.is_absolute():
        return path
    parts = Path(os.path.normpath(path)).parts
    inner = Path(*(part for part in parts if part != os.pardir))
    if parts[:1] == (os.pardir,):
        if not (root / inner).exists():
            leads = f"{key}: {show(given)}" if key else show(given)
            what = f"{leads} leads out of {show(str(root))}, which has no {inner}"
            raise UserError(str(file), what, "correct the path, or path: above it")
        if key:
            note(f"{file}: {key}: {show(given)} is read as {show(str(inner))}, which exists")
    return root / inner


def _classes(file: Path, content: dict[Any, Any]) -> int:
    """Return the number of classes: the number of names, or nc without names."""
    names = content.get("names")
    if isinstance(names, dict):
        numbers = {convert(key, int) for key in names}
        if numbers == set(range(len(names))) and len(numbers) == len(names):
            names = list(names.values())
    if names is not None and not isinstance(names, list):
        raise UserError(str(file), "names are not numbered from 0", "give names: [NAME, NAME]")
    given = content.get("nc")
    if isinstance(given, str):
        given = convert(given, float)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    found = len(names) if names is not None else given
    if type(found) is not int or found < 1:
        raise UserError(str(file), "it has no classes", "give names: [NAME, NAME]")
    if found > MOST_CLASSES:
        what = f"{show(found)} classes are more than the {MOST_CLASSES} that a data set may have"
        raise UserError(str(file), what, "correct nc")
    if "nc" in content and (type(given) is not int or given != found):
        what = f"nc is {show(_plain(content['nc']))}, but there are {found} names"
        raise UserError(str(file), what, "leave nc out")
    return found


def _kind(value: object) -> str:
    """Return the kind of a value, without its content, which may refer to itself."""
    return {type(None): "nothing", list: "a list", dict: "a table"}.get(type(value), "a number")


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | str) else _kind(value)


def _images(said: Folders, key: str, place: Path) -> list[Path]:
    """Return the images in and below a folder, or of a list, in a fixed order."""
    try:
        if place.is_dir():
            found = sorted(p for p in place.rglob("*") if _is_image(p))
        elif place.suffix == ".txt" and place.is_file():
            lines = read_contents(place, "--data").decode("utf-8-sig").splitlines()
            found = [_listed(said, place, line.strip()) for line in lines if line.strip()]
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


def _is_image(path: Path) -> bool:
    """Return whether a file has an image's name, but not one like ._1.png, which macOS adds."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _listed(said: Folders, file: Path, line: str) -> Path:
    """Return the path of an image of a list: in the list's folder, or else in the data set's."""
    if "\0" in line:
        raise UserError(str(file), "there is a zero byte, which no path has", "correct the list")
    path = Path(line)
    if path.is_absolute():
        return path
    near = Path(os.path.normpath(file.parent / path))
    inside = any(
        Path(os.path.abspath(near)).is_relative_to(os.path.abspath(folder))  # noqa: PTH100 -- follows no link
        for folder in (file.parent, said.root)
    )
    if inside and (line.startswith("./") or near.is_file()):
        return near
    return _place(file, said.root, line, "")


def _read(
    files: list[Path], said: Folders, size: int, tally: Tally
) -> tuple[list[Array], list[Array]]:
    """Return images and their objects, in coordinates of the letterboxed images."""
    images, objects = [], []
    found = [label_file(file) for file in files]
    if not any(file.exists() for file in found):
        what = f"none of {len(files)} images has a file of labels, such as {show(str(found[0]))}"
        fix = "put the labels there: replace images by labels in the path"
        raise UserError(str(said.file), what, fix)
    for file, labels in zip(files, found, strict=True):
        image, scale, margin = _letterboxed(_pixels(file, tally), size)
        rows = _objects(labels, said, tally)
        rows[:, 1:] *= [*scale, *scale]
        rows[:, 1:3] += margin
        images.append(image)
        objects.append(rows)
    return images, objects


def _pixels(file: Path, tally: Tally) -> Array:
    """Return an image, (height, width, 3) uint8, red first."""
    import cv2
    import numpy as np

    packed = read_contents(file, "--data")
    tally.update(_header(file, packed))
    raw = np.frombuffer(packed, np.uint8)
    try:
        image = cv2.imdecode(raw, cv2.IMREAD_COLOR) if len(raw) else None
    except cv2.error:
        image = None
    if image is None:
        raise UserError(str(file), "this is not an image", "take it out, or save it again")
    return image[..., ::-1]


def _header(file: Path, packed: bytes) -> list[str]:
    """Return the notes about an image, from its header.

    Raises UserError if it is too large to unpack, or its pixels are not shades.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"):
            image = Image.open(io.BytesIO(packed))
    except Image.DecompressionBombError as error:
        what = str(error).partition(",")[0].lower()
        raise UserError(str(file), what, "make it smaller, or take it out") from None
    except Exception:  # noqa: BLE001 -- a damaged or forged image raises any exception
        raise UserError(
            str(file), "this is not an image", "take it out, or save it again"
        ) from None
    width, height = image.size
    if width * height > MOST_PIXELS:
        what = f"its {width} x {height} pixels are more than {MOST_PIXELS}"
        raise UserError(str(file), what, "make it smaller, or take it out")
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        what = "its pixels are numbers of 32 bits, not shades"
        raise UserError(str(file), what, "save it with 8 bits for each colour")
    alpha = image.mode in ALPHA or "transparency" in image.info
    deep = image.mode.startswith("I") or (image.format == "PNG" and packed[24] == 16)
    return [what for what, there in ((ALPHAS, alpha), (DEEP, deep)) if there]


def _letterboxed(image: Array, size: int) -> tuple[Array, tuple[float, ...], tuple[float, ...]]:
    """Return the image letterboxed to size x size pixels.

    Also return the scale and the offset, (x, y), of boxes, as fractions of the image.
    """
    import cv2
    import numpy as np

    height, width = image.shape[:2]
    ratio = size / max(height, width)
    if ratio != 1:
        width, height = (min(math.ceil(side * ratio), size) for side in (width, height))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    # Like Ultralytics: an odd margin pixel is below and on the right.
    left, top = (round((size - side) / 2 - 0.1) for side in (width, height))
    whole = np.full((size, size, 3), GREY, dtype=np.uint8)
    whole[top : top + height, left : left + width] = image
    return whole, (width / size, height / size), (left / size, top / size)


def label_file(image: Path) -> Path:
    """Return the file of an image's labels: the last `images` of the path becomes `labels`."""
    parts = list(image.parts)
    last = max((i for i, part in enumerate(parts[:-1]) if part == "images"), default=None)
    if last is not None:
        parts[last] = "labels"
    return Path(*parts).with_suffix(".txt")


def _objects(file: Path, said: Folders, tally: Tally) -> Array:
    """Return an image's objects, rows of class, centre, width and height; none without a file."""
    import numpy as np

    if not file.exists():
        tally[EMPTY] += 1
        return np.zeros((0, len(VALUES)))
    size = file.stat().st_size
    text = read_contents(file, "--data") if size <= LARGEST_LABELS else b""
    if max(size, len(text)) > LARGEST_LABELS:
        what = f"{max(size, len(text))} bytes are too many for the labels of an image"
        raise UserError(str(file), what, "give one line for each object")
    lines = list(_lines(text.decode("utf-8-sig", errors="replace")))
    lengths = {len(cells) for _, cells in lines}
    if len(VALUES) in lengths and any(map(_is_polygon, lengths)) and not said.key_points:
        what = "some lines are boxes, and some are polygons"
        raise UserError(str(file), what, "give only boxes, or only polygons")
    rows: dict[tuple[float | None, ...], list[float]] = {}
    for line, cells in lines:
        row, values = _row(f"{file}:{line}", cells, said, tally), tuple(map(number, cells))
        tally[TWICE] += values in rows
        rows[values] = row
    return np.array(list(rows.values()), dtype=float).reshape(-1, len(VALUES))


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for place, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield place, line.split()


def _is_polygon(count: int) -> bool:
    """Return whether this number of values is a class and at least three points."""
    return count >= 7 and count % 2 == 1


def _row(where: str, cells: list[str], said: Folders, tally: Tally) -> list[float]:
    """Return the numbers of a line; raises UserError if they are not an object."""
    if said.key_points and len(cells) == len(VALUES) + said.key_points:
        tally[POINTS] += 1
        cells = cells[: len(VALUES)]
    polygon = _is_polygon(len(cells))
    if len(cells) != len(VALUES) and not polygon:
        what = f"{len(cells)} values are not class, x, y, width and height"
        raise UserError(where, what, "give these five for a box, or the points of a polygon")
    first = _number(where, VALUES[0], cells[0])
    if first not in range(said.classes):
        what = f"class {show(cells[0])} is not one of the {said.classes} in data.yaml"
        raise UserError(where, what, f"give a whole number from 0 to {said.classes - 1}")
    if polygon:
        tally[POLYGONS] += 1
        points = [_part(where, "xy"[i % 2], cell) for i, cell in enumerate(cells[1:])]
        return [first, *_around(where, points[::2], points[1::2])]
    return [first, *(_part(where, n, c) for n, c in zip(VALUES[1:], cells[1:], strict=True))]


def _around(where: str, x: list[float], y: list[float]) -> list[float]:
    """Return centre, width and height of the box around the points of a polygon."""
    left, right, top, bottom = min(x), max(x), min(y), max(y)
    if left == right or top == bottom:
        raise UserError(where, "the polygon has no area", "correct it, or take out the line")
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


def _part(where: str, name: str, cell: str) -> float:
    """Return a coordinate from 0 to 1, or a little outside."""
    value = _number(where, name, cell)
    lowest = value > 0 if name in {"width", "height"} else value >= -OUTSIDE
    if not (lowest and value <= 1 + OUTSIDE):
        what = f"{name} {show(cell)} is not a fraction of the image"
        raise UserError(where, what, "divide pixels by the image's width or height")
    return value


def _number(where: str, name: str, cell: str) -> float:
    value = number(cell)
    if value is None:
        what = f"{name} {show(cell)} is not a number"
        raise UserError(where, what, "correct it, or take out the line")
    return value


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
