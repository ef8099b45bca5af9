"""The named sets of images that do not travel with gdcli, and where their files are looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gdcli.datasets import cifar, idx
from gdcli.errors import MissingData
from gdcli.fields import show
from gdcli.problem import Batch

SYSTEM = (Path("/usr/local/share/datasets"), Path("/usr/share/datasets"))  # each set in a folder


@dataclass(frozen=True)
class ImageSet:
    """What the files of a set are called, and how they are read."""

    holds: Callable[[Path], bool]  # whether a folder has files of the set
    files: str  # what is looked for, in words
    read: Callable[[Path], tuple[Batch, Batch]]
    inner: str = "."  # the folder that the published archive unpacks to
    package: str | None = None


IDX = idx.holds_set, "four idx-ubyte files"
SETS = {
    "mnist": ImageSet(*IDX, idx.read_mnist),
    "fashion-mnist": ImageSet(*IDX, idx.read_mnist, package="dataset-fashion-mnist"),
    "cifar10": ImageSet(
        cifar.holds_set, "six .bin files", cifar.read_cifar, "cifar-10-batches-bin"
    ),
}


def read_images(name: str, folder: Path | None) -> tuple[Batch, Batch]:
    """Return the training and the test part of a set: "x" and "y".

    x: (images, height, width) or (images, colours, height, width); y: (images,) int64. The folder
    is --data-dir, None for where systems keep data sets. Raises UserError for a set that is not
    there, and for files that are wrong.
    """
    kind = SETS[name]
    places = (folder,) if folder else system_folders(name)
    if (place := _found(kind, places)) is not None:
        return kind.read(place)
    looked = " or ".join(show(str(place)) for place in places)
    fix = f"give the folder of its {kind.files}"
    if kind.package:
        fix += f", or install Debian's package {kind.package}"
    raise MissingData("--data-dir", f"there are no files of {name} in {looked}", fix)


def system_folders(name: str) -> tuple[Path, ...]:
    """Return where a set is looked for without --data-dir."""
    return tuple(root / name for root in SYSTEM)


def installed(name: str) -> Path | None:
    """Return where the system has a set, None where it has not."""
    return _found(SETS[name], system_folders(name))


def _found(kind: ImageSet, places: tuple[Path, ...]) -> Path | None:
    """Return the first folder that holds a set."""
    inner = (place / name for place in places for name in (".", kind.inner))
    return next((p for p in inner if kind.holds(p)), None)
