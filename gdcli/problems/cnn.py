"""Convolutional network on digits, mnist or fashion-mnist."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Lt

from gdcli.datasets.idx import read_images
from gdcli.datasets.named import read_named
from gdcli.datasets.split import prepare
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Batch, Data, Network

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

CLASSES = 10  # of each of the sets


@dataclass(frozen=True)
class Cnn(Network):
    """Convolution, ReLU and 2 x 2 pooling a layer, then one linear layer (LeCun et al. 1998).

    digits, 8 x 8 pixels, travels with gdcli and is split at random; mnist and fashion-mnist
    (Xiao, Rasul and Vollgraf 2017), 28 x 28, come with a test part of their own, which is used.
    """

    dataset: Annotated[Literal["digits", "mnist", "fashion-mnist"], "named data set"] = "digits"
    data_dir: Annotated[Path | None, "folder of the four idx-ubyte files of an mnist set"] = None
    examples: Annotated[int | None, "use the first so many training images", Ge(1)] = None
    test_fraction: Annotated[
        float, "part of digits held out; 0 for no test part of any set", Ge(0), Lt(1)
    ] = 0.2
    channels: Annotated[tuple[int, ...], "channels of each convolution", Ge(1)] = (8, 16)
    kernel: Annotated[int, "width and height of the convolutions", Ge(1)] = 3
    padding: Annotated[Literal["same", "valid"], "keep the image's size, or only whole windows"] = (
        "same"
    )

    default_lr: ClassVar[float] = 0.05
    default_epochs: ClassVar[int] = 300

    def __post_init__(self) -> None:
        """Raise UserError for options that do not go together."""
        super().__post_init__()
        if self.dataset == "digits" and self.data_dir is not None:
            what = f"digits is not read from {show(str(self.data_dir))}: it travels with gdcli"
            raise UserError("--data-dir", what, "leave it out, or add --dataset mnist")
        if self.padding == "same" and self.kernel % 2 == 0:
            what = f"a window of {self.kernel} has no middle to centre on a pixel"
            raise UserError("--kernel", what, "give an odd number, or --padding valid")

    def load(self, rng: np.random.Generator) -> Data:
        """Return images, (examples, 1, height, width) from 0 to 1, and classes, (examples,) int64.

        Raises UserError when an image is too small for the layers.
        """
        data = self._digits(rng) if self.dataset == "digits" else self._mnist()
        self._shrink(data.train["x"].shape[2:])
        if self.examples is not None:
            data = self._first(data, self.examples)
        return Data(self._shaded(data.train), self._shaded(data.test))

    def _digits(self, rng: np.random.Generator) -> Data:
        x, y = read_named("digits")
        images = x.reshape(-1, 1, 8, 8)
        return prepare(images, y.astype("int64"), self.test_fraction, "none", rng)

    def _mnist(self) -> Data:
        train, test = read_images(self.dataset, self.data_dir)
        return Data(_one_channel(train), _one_channel(test) if self.test_fraction else {})

    def _shaded(self, part: Batch) -> Batch:
        """Return a part whose pixels are from 0 to 1."""
        white = 16.0 if self.dataset == "digits" else 255.0
        return {"x": part["x"] / white, "y": part["y"]} if part else {}

    def _first(self, data: Data, examples: int) -> Data:
        if examples > data.examples:
            what = f"{examples} is more than the {data.examples} training images of {self.dataset}"
            raise UserError("--examples", what, f"give at most {data.examples}")
        return replace(data, train={name: part[:examples] for name, part in data.train.items()})

    def _shrink(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Return the size of an image after all layers; raises UserError if nothing is left."""
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

        depth, *size = data.train["x"].shape[1:]
        height, width = self._shrink(tuple(size))
        layers = list[nn.Module]()
        for deeper in self.channels:
            convolution = nn.Conv2d(depth, deeper, self.kernel, padding=self.padding)
            layers += [convolution, nn.ReLU(), nn.MaxPool2d(2)]
            depth = deeper
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(depth * height * width, CLASSES))


def _one_channel(part: Batch) -> Batch:
    return {"x": part["x"][:, None], "y": part["y"]}
