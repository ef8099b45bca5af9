"""Convolutional network that classifies digits, mnist, fashion-mnist, cifar10 or a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Lt

from gdcli.datasets.cells import Classes, count_classes
from gdcli.datasets.images import read_image_file, read_images, white
from gdcli.datasets.reading import TEST_FRACTION, Reading, own_target
from gdcli.datasets.split import Stratified, keeps_test_part
from gdcli.datasets.tabular import read_named
from gdcli.errors import UserError
from gdcli.fields import LATER, show
from gdcli.problem import Batch, Data, Network

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

CLASSES = 10  # of each of the named sets


@dataclass(frozen=True)
class Cnn(Network, Reading, Stratified):
    """Layers of convolution, ReLU and 2 x 2 pooling, then a linear layer (LeCun et al. 1998).

    digits (8 x 8 pixels) is part of gdcli. digits and files of images are split at random. mnist
    and fashion-mnist (Xiao, Rasul and Vollgraf 2017; 28 x 28) and cifar10 (Krizhevsky 2009; 32 x
    32 in three colours) have their own test part.
    """

    dataset: Annotated[
        Literal["digits", "mnist", "fashion-mnist", "cifar10"], "images to train on"
    ] = "digits"
    data_dir: Annotated[Path | None, "folder with the files of mnist, fashion-mnist or cifar10"] = (
        None
    )
    data: Annotated[
        Path | None,
        LATER,
        "file of images to use instead of --dataset: .npz, IDX, or rows of pixels",
    ] = None
    target: Annotated[str | None, LATER, "column or array of --data that holds the classes"] = None
    examples: Annotated[int | None, "use only this many training images, from the first", Ge(1)] = (
        None
    )
    test_fraction: Annotated[
        float,
        "share of digits or of --data that is held out for testing; with 0 no data set has a "
        "test part",
        Ge(0),
        Lt(1),
    ] = TEST_FRACTION
    channels: Annotated[tuple[int, ...], "channels of each convolution", Ge(1)] = (8, 16)
    kernel: Annotated[int, "width and height of the filters of the convolutions", Ge(1)] = 3
    padding: Annotated[
        Literal["same", "valid"], "same keeps the size of the image; valid uses whole windows only"
    ] = "same"

    default_lr: ClassVar[float] = 0.05
    default_epochs: ClassVar[int] = 300

    def __post_init__(self) -> None:
        """Raise UserError for options that exclude each other."""
        super().__post_init__()
        if (self.data is None) != (self.predicted is None):
            given, other = ("--data", "--target") if self.data else ("--target", "--data")
            raise UserError(given, f"it needs {other}", f"add {other}")
        self.check_reading(self.data, self.test_fraction)
        if self.categorical is not None or self.missing == "mean":
            option = "--missing" if self.categorical is None else "--categorical"
            raise UserError(option, "the features are pixels of an image", "leave it out")
        if self.data_dir is not None and (self.dataset == "digits" or self.data):
            held = "it is part of gdcli" if self.data is None else "--data names a file"
            what = f"{self.dataset} is not read from {show(str(self.data_dir))}: {held}"
            raise UserError("--data-dir", what, "leave it out, or add --dataset mnist")
        own = self.dataset if self.dataset != "digits" and not self.data else None
        self.check_stratified(own, self.test_fraction)
        if self.padding == "same" and self.kernel % 2 == 0:
            what = f"a window of even width {self.kernel} has no middle pixel"
            raise UserError("--kernel", what, "give an odd number, or --padding valid")

    @property
    def predicted(self) -> str | None:
        """The column with the classes: --target, or the one that the file's format defines."""
        return self.target or (own_target(self.data, self) if self.data else None)

    def load(self, rng: np.random.Generator) -> Data:
        """Return images, (examples, 1, height, width) from 0 to 1, and classes, (examples,) int64.

        Raises UserError if an image is too small for the layers.
        """
        data, dtype = (
            self._set() if self.dataset != "digits" and not self.data else self._split(rng)
        )
        self._shrink(data.train["x"].shape[2:])
        if self.examples is not None:
            data = self._first(data, self.examples)
        bright = self._white(data, dtype)
        train, test = ({**p, "x": p["x"] / bright} if p else p for p in (data.train, data.test))
        return replace(data, train=train, test=test)

    def _split(self, rng: np.random.Generator) -> tuple[Data, str]:
        """Return the images of digits or of a file, split, and the type of their pixels."""
        if self.data and self.predicted:
            images, classes, dtype = read_image_file(self.data, self.predicted, self)
        else:
            x, y = read_named("digits")
            images, names = x.reshape(-1, 1, 8, 8), tuple(map(str, range(CLASSES)))
            classes, dtype = Classes(y.astype("int64"), names), ""
        data = self.split(images, classes.places, classes, (self.test_fraction, "none"), rng)
        return data, dtype

    def _set(self) -> tuple[Data, str]:
        train, test = read_images(self.dataset, self.data_dir)
        tests = keeps_test_part(self.test_fraction, self.dataset, "")
        data = Data(_one_channel(train), _one_channel(test) if tests else {})
        return data, str(train["x"].dtype)

    def _white(self, data: Data, dtype: str) -> float:
        """Return the divisor of the pixels."""
        if self.dataset == "digits" and not self.data:
            return 16.0
        return white(dtype, float(abs(data.train["x"]).max()), self.data or self.data_dir)

    def _first(self, data: Data, examples: int) -> Data:
        if examples > data.examples:
            own = self.data or self.dataset
            what = f"{examples} is more than the {data.examples} training images of {own}"
            raise UserError("--examples", what, f"give at most {data.examples}")
        train = {name: part[:examples] for name, part in data.train.items()}
        order = None if data.order is None else data.order[:examples]
        return replace(data, train=train, order=order)

    def _shrink(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Return the size of an image after all layers; raises UserError if it is 0."""
        lost = 0 if self.padding == "same" else self.kernel - 1
        left = size
        for _ in self.channels:
            left = tuple((side - lost) // 2 for side in left)
        if min(left) < 1:
            image = " x ".join(map(str, size))
            what = f"nothing is left of {image} pixels after {len(self.channels)} layers"
            fix = "give fewer channels" + (", a smaller --kernel or --padding same" if lost else "")
            raise UserError("--channels", what, fix)
        return left

    def module(self, data: Data) -> nn.Module:
        """Return the convolutions and the linear layer."""
        from torch import nn

        classes = max(count_classes(data), 0 if self.data else CLASSES)
        depth, *size = data.train["x"].shape[1:]
        height, width = self._shrink(tuple(size))
        layers = list[nn.Module]()
        for deeper in self.channels:
            convolution = nn.Conv2d(depth, deeper, self.kernel, padding=self.padding)
            layers += [convolution, nn.ReLU(), nn.MaxPool2d(2)]
            depth = deeper
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(depth * height * width, classes))


def _one_channel(part: Batch) -> Batch:
    x = part["x"]
    return {"x": x[:, None] if x.ndim == 3 else x, "y": part["y"]}
