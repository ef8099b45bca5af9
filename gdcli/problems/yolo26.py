"""YOLO26, which finds objects in images: generated shapes or your own data set (AGPL-3.0)."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le

from gdcli.datasets.yolo import padded, read_yolo
from gdcli.errors import UserError
from gdcli.problem import Array, Batch, Data, StatefulNetwork

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from torch import nn

STRIDE = 32  # pixels of a cell in the coarsest of the three grids
LEAST_CONFIDENCE = 0.001  # of a prediction, as in Ultralytics' validation
EXAMPLE = ("image", "class", "box")
NEEDED = ("ultralytics", "torchvision", "cv2", "yaml")  # import names
PARTS = ("box_loss", "cls_loss", "l1_loss")
SHAPES = Path("shapes")

# Environment while Ultralytics is imported. By default it tests for a network connection,
# installs missing packages, logs to stdout, and writes settings to the user's home.
ENVIRONMENT = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}


@dataclass(frozen=True)
class Yolo26(StatefulNetwork):
    """Ultralytics' own YOLO26 model and loss, from random weights, without augmentation.

    The package ultralytics is under the AGPL-3.0: if you distribute or serve what you build with
    it, you must offer the source under that licence, or buy another one. gdcli itself is under the
    MIT licence; it does not contain the package. Install it: pip install 'gdcli[yolo]'.

    The loss is the mean over the images of a batch of the box, class and L1 parts with
    Ultralytics' gains: 0.8 times the loss of the one-to-many head plus 0.2 times the loss of the
    one-to-one head, with constant shares. The parts have the names of Ultralytics' trainer: YOLO26
    predicts distances, so it has l1_loss instead of the dfl_loss of earlier versions. Losses are
    recorded with the running statistics of batch normalization, 64 images at a time. mAP50 is that
    of the one-to-one head on the validation images. Nothing is downloaded.

    The sharpness is that of the recorded loss, with everything constant that the gradient treats
    as constant: the assignment of objects to predictions, their weights, and the features that go
    into the one-to-one head.
    """

    data: Annotated[
        Path, "data.yaml of a data set in YOLO format, or the word shapes for generated images"
    ] = SHAPES
    scale: Annotated[
        Literal["n", "s", "m", "l", "x"], "size of the network, from n (smallest) to x (largest)"
    ] = "n"
    image_size: Annotated[
        int, "width and height of the images in pixels, a multiple of 32", Ge(64), Le(4096)
    ] = 64
    examples: Annotated[
        int | None,
        "shapes to draw (default: 256), or training images to use, from the first (default: all)",
        Ge(1),
    ] = None

    default_lr: ClassVar[float] = 0.1
    default_epochs: ClassVar[int] = 30
    metric_names: ClassVar[tuple[str, ...]] = ("test_map50",)
    constant: ClassVar[str] = "the assignment of objects to predictions"
    packages: ClassVar[tuple[str, ...]] = ("ultralytics",)

    def __post_init__(self) -> None:
        """Raise UserError for an image size that is not a multiple of the largest cell."""
        if self.image_size % STRIDE:
            below = self.image_size // STRIDE * STRIDE
            what = f"{self.image_size} is not a multiple of {STRIDE}"
            raise UserError("--image-size", what, f"give {below} or {below + STRIDE}")

    @property
    def curve_columns(self) -> tuple[str, ...]:
        """The parts of both losses, and the mean average precision."""
        parts = tuple(f"{part}_{name}" for part in ("train", "test") for name in PARTS)
        return parts + self.metric_names

    def load(self, rng: np.random.Generator) -> Data:
        """Return images, classes and boxes as `gdcli.datasets.images` has them.

        The constant "classes" has one entry for each class. Raises UserError for a wrong data set,
        and if Ultralytics is not installed.
        """
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            what = f"it needs Ultralytics (AGPL-3.0), and there is no package {missing[0]}"
            raise UserError("yolo26", what, "pip install 'gdcli[yolo]'")
        if self.data != SHAPES:
            return read_yolo(self.data, self.image_size, self.examples)
        count = self.examples or 256
        train = draw_shapes(rng, count, self.image_size)
        test = draw_shapes(rng, max(count // 4, 1), self.image_size)
        return Data(train, test, _classes(len(NAMES)))

    def module(self, data: Data) -> nn.Module:
        """Return Ultralytics' DetectionModel, for the classes of the data, in training mode."""
        with _quietly():
            from ultralytics.cfg import get_cfg
            from ultralytics.nn.tasks import DetectionModel
            from ultralytics.utils import DEFAULT_CFG

        count = len(data.constants["classes"])
        model: Any = DetectionModel(f"yolo26{self.scale}.yaml", nc=count, verbose=False)
        model.args = get_cfg(DEFAULT_CFG)
        # The one-to-one head needs no non-maximum suppression. Ultralytics stops suppression
        # after a time limit, so results would depend on the speed of the machine.
        model.end2end = True
        found: nn.Module = model.train()
        return found

    def losses(self, module: nn.Module, batch: Batch) -> dict[str, Array]:
        """Return the three parts of the loss, each a mean over the images."""
        model: Any = module
        objects = batch["class"] >= 0
        # In evaluation mode the head would return predictions. Batch normalization keeps its
        # own mode.
        model.model[-1].training = True
        with _precision_of(module):
            loss, _ = model(
                {
                    "img": _images(module, batch),
                    "batch_idx": objects.nonzero()[:, 0],
                    "cls": batch["class"][objects],
                    "bboxes": batch["box"][objects],
                }
            )
        return dict(zip(PARTS, loss / len(batch["image"]), strict=True))

    def measure(self, module: nn.Module, examples: Batch) -> dict[str, float]:
        """Return the mean average precision at an overlap of 0.5, by Ultralytics' own code."""
        import numpy as np

        with _quietly():
            from ultralytics.utils.metrics import ap_per_class

        model: Any = module
        model.model[-1].training = False
        matched, targets = [], []
        for first in range(0, len(examples["image"]), self.at_once):
            some = {name: examples[name][first : first + self.at_once] for name in EXAMPLE}
            predictions, _ = model(_images(module, some))
            for place, found in enumerate(predictions):
                labels = {name: array[place] for name, array in some.items()}
                matched.append(_matched(found[found[:, 4] > LEAST_CONFIDENCE], labels))
                targets.append(labels["class"][labels["class"] >= 0].cpu().numpy())
        rows = np.concatenate(matched)
        right, confidence, classes = rows[:, :1] > 0, rows[:, 1], rows[:, 2]
        precision = ap_per_class(right, confidence, classes, np.concatenate(targets))[5]
        return {"test_map50": float(precision[:, 0].mean()) if len(precision) else 0.0}


def _matched(found: Array, labels: Batch) -> Array:
    """Return a row for each prediction: whether it is right, its confidence, and its class."""
    import torch

    with _quietly():
        from ultralytics.engine.validator import BaseValidator
        from ultralytics.utils.metrics import box_iou
        from ultralytics.utils.ops import xywh2xyxy

    there = labels["class"] >= 0
    size = labels["image"].shape[-1]
    overlap = box_iou(xywh2xyxy(labels["box"][there]) * size, found[:, :4])
    at = SimpleNamespace(iouv=torch.tensor([0.5]))
    right = BaseValidator.match_predictions(at, found[:, 5], labels["class"][there], overlap)
    return torch.cat([right.to(found), found[:, 4:]], 1).cpu().double().numpy()


def _images(module: nn.Module, batch: Batch) -> Array:
    """Return pixels from 0 to 1, in the module's precision."""
    return batch["image"].to(next(module.parameters()).dtype) / 255


@contextmanager
def _precision_of(module: nn.Module) -> Iterator[None]:
    """Make tensors that Ultralytics' loss creates without a dtype in the module's dtype."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(next(module.parameters()).dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _classes(count: int) -> Batch:
    import numpy as np

    return {"classes": np.arange(count)}


@contextmanager
def _quietly() -> Iterator[None]:
    """Import from Ultralytics without network access, log output, files or settings."""
    if "ultralytics" in sys.modules:
        yield
        return
    import numpy as np

    before = dict(os.environ)
    with TemporaryDirectory(prefix="gdcli-") as folder, np.printoptions():
        os.environ.update(ENVIRONMENT, YOLO_CONFIG_DIR=folder)
        try:
            yield
        finally:
            for name in {*os.environ} - {*before}:
                del os.environ[name]
            os.environ.update(before)


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
