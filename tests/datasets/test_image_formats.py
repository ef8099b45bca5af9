"""IDX files as MNIST, EMNIST and their unpackers call them, alone and as sets of four."""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdcli.datasets.cells import collected
from gdcli.datasets.image_formats import read_idx
from gdcli.datasets.images import read_images
from gdcli.errors import UserError
from gdcli.problems.cnn import Cnn
from gdcli.problems.mlp import Mlp
from gdcli.problems.softmax_regression import SoftmaxRegression
from tests.grids import only, train

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.problem import Array

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}
FOUR = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def content(values: Array) -> bytes:
    """Return values as an IDX file of their type."""
    code = CODES[values.dtype.str[1:]]
    header = struct.pack(f">HBB{values.ndim}I", 0, code, values.ndim, *values.shape)
    raw: bytes = values.astype(values.dtype.newbyteorder(">")).tobytes()
    return header + raw


IMAGES = np.random.default_rng(1).integers(0, 256, (10, 5, 4), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2, 2, 1, 0, 2], np.uint8)
PARTS = {"train": np.s_[:6], "test": np.s_[6:]}


def write(folder: Path, names: tuple[str, ...] = FOUR, labels: Array = LABELS) -> Path:
    """Write a set under the names of its files, packed where they say so."""
    arrays = [a[r] for r in PARTS.values() for a in (IMAGES, labels)]
    for name, array in zip(names, arrays, strict=True):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        raw = content(array)
        file.write_bytes(gzip.compress(raw) if name.lower().endswith(".gz") else raw)
    return folder


def named(pattern: str) -> tuple[str, ...]:
    """Return the names of the four files."""
    kinds = (("images", 3), ("labels", 1))
    return tuple(pattern.format(p=p, k=k, n=n) for p in ("train", "t10k") for k, n in kinds)


@pytest.mark.parametrize(
    "names",
    [
        named("{p}-{k}-idx{n}-ubyte"),
        named("{p}-{k}-idx{n}-ubyte.gz"),
        named("{p}-{k}.idx{n}-ubyte"),
        named("{p}-{k}.idx{n}-ubyte.gz"),
        named("{p}-{k}.idx{n}.ubyte"),
        named("{p}_{k}_idx{n}_ubyte"),
        named("{p}-{k}.idx"),
        tuple(name.upper() for name in FOUR),
        tuple(f"{name.title()}.GZ" for name in FOUR),
        named("MNIST/raw/{p}-{k}-idx{n}-ubyte"),
        named("{p}-{k}-idx{n}-ubyte/{p}-{k}-idx{n}-ubyte"),
        tuple(f"emnist-balanced-{name.replace('t10k', 'test')}.gz" for name in FOUR),
        tuple(f"gzip/emnist-letters-{name.replace('t10k', 'test')}.gz" for name in FOUR),
    ],
    ids=lambda names: names[-1].replace("/", "-"),
)
def test_names_of_the_four_files(tmp_path: Path, names: tuple[str, ...]) -> None:
    first, second = read_images("mnist", write(tmp_path, names))
    np.testing.assert_array_equal(first["x"], IMAGES[:6])
    np.testing.assert_array_equal(second["x"], IMAGES[6:])
    assert first["x"].dtype == np.uint8
    assert [*first["y"].tolist(), *second["y"].tolist()] == LABELS.tolist()
    data = Cnn(dataset="mnist", data_dir=tmp_path, channels=(2,)).load(rng())
    np.testing.assert_array_equal(data.train["x"], IMAGES[:6, None] / 255)
    with pytest.raises(UserError, match=r"0\.3 is not held out of mnist, which has its own test"):
        Cnn(dataset="mnist", data_dir=tmp_path, channels=(2,), test_fraction=0.3).load(rng())


def test_of_several_copies_and_folders_one_is_taken_or_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "a", FOUR)
    write(tmp_path / "a", tuple(name.replace("-idx", ".idx") for name in FOUR), LABELS + 1)
    assert read_images("mnist", tmp_path / "a")[0]["y"].tolist() == LABELS[:6].tolist()
    write(tmp_path / "b", FOUR)
    with pytest.raises(UserError, match=r"there are several sets in '.*': in '.*/a' and '.*/b'; g"):
        read_images("mnist", tmp_path)
    for name in ("balanced", "letters"):
        names = tuple(f"emnist-{name}-{file.replace('t10k', 'test')}" for file in FOUR)
        write(tmp_path / "c" / "raw", names, LABELS + (name == "letters"))
    with pytest.raises(UserError) as caught:
        read_images("mnist", tmp_path / "c")
    assert str(caught.value) == (
        f"--data-dir: '{tmp_path}/c' holds several sets: emnist-balanced, emnist-letters; give "
        f"--data-dir {tmp_path}/c/raw/emnist-letters, the start of the names of its files"
    )
    found = read_images("mnist", tmp_path / "c" / "raw" / "emnist-letters")
    assert found[0]["y"].tolist() == (LABELS[:6] + 1).tolist()


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        (np.arange(10, dtype=np.uint8) * 5, 10, "labels, from 0 to 45, are the classes 0 to 9, "),
        (np.arange(1, 11, dtype=np.uint8), 10, "labels, from 1 to 10, are the classes 0 to 9, in "),
        (np.arange(10, dtype=np.int32) % 3, 10, ""),
        (np.arange(10, dtype=np.int16) - 5, 10, "labels, from -5 to 4, are the classes 0 to 9, in"),
        (np.arange(10, dtype=np.float32) + 0.5, 10, "labels, from 0.5 to 9.5, are the classes 0 "),
        (np.arange(10, dtype=np.float64), 10, ""),
        (np.arange(10, dtype=np.int32)[:, None] % 2, 10, ""),
    ],
)
def test_labels_of_any_type_and_number(
    tmp_path: Path, labels: Array, classes: int, said: str
) -> None:
    write(tmp_path, labels=labels)
    problem = Cnn(dataset="mnist", data_dir=tmp_path, channels=(2,))
    with collected() as lines:
        data = problem.load(rng())
    found = np.concatenate([data.train["y"], data.test["y"]])
    assert found.dtype == np.int64
    ranks = np.unique(labels, return_inverse=True)[1].ravel()
    np.testing.assert_array_equal(found, ranks)
    assert problem.module(data)[-1].out_features == classes  # type: ignore[index]
    assert bool(said) == bool(lines)
    assert not said or f"its {said}" in next(iter(lines))


def test_a_set_may_have_more_classes_than_mnist(tmp_path: Path) -> None:
    labels = np.array([0, 46, 3, 11, 25, 30, 12, 46, 8, 1], np.uint8)
    write(tmp_path, labels=labels)
    given: dict[str, Any] = {"dataset": "mnist", "data_dir": tmp_path}
    assert SoftmaxRegression(**given).load(rng()).train["y"].shape == (6, 9)
    settings = {name: str(value) for name, value in given.items()} | {"hidden": "3"}
    run = only(train("mlp", settings, epochs="2", lr="0.01"))
    assert run.losses[-1] < run.losses[0]


@pytest.mark.parametrize("kind", CODES)
def test_every_type_of_number(tmp_path: Path, kind: str) -> None:
    values = np.arange(-4, 20).reshape(4, 3, 2).astype(kind)
    (tmp_path / "x").write_bytes(content(values))
    found = read_idx(tmp_path / "x", "--data")
    np.testing.assert_array_equal(found, values)
    assert found.dtype == values.dtype
    assert found.dtype.isnative


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images.idx3-ubyte.gz", "train-labels.idx1-ubyte"),
        ("Mine-Images-idx3-ubyte", "mine-labels-idx1-int"),
        ("images.idx", "labels.idx"),
    ],
)
def test_a_pair_of_files_is_a_data_file(tmp_path: Path, images: str, labels: str) -> None:
    raw = content(IMAGES)
    (tmp_path / images).write_bytes(gzip.compress(raw) if images.endswith("gz") else raw)
    (tmp_path / labels).write_bytes(content(LABELS.astype("i4") + 4))
    (tmp_path / "other-labels-idx1-ubyte").write_bytes(content(LABELS[:3]))
    given: dict[str, Any] = {"data": tmp_path / images, "test_fraction": 0}
    with collected() as lines:
        data = Cnn(**given, channels=(2,)).load(rng())
    assert f"{tmp_path / images}: the labels come from {tmp_path / labels}" in lines
    known = {image.tobytes(): int(kind) for image, kind in zip(IMAGES, LABELS, strict=True)}
    found = np.rint(data.train["x"] * 255).astype(np.uint8)
    assert {x.tobytes(): int(y) for x, y in zip(found, data.train["y"], strict=True)} == known
    assert Mlp(**given).load(rng()).train["x"].shape == (10, 20)


def test_two_pairs_of_files_train_and_test(tmp_path: Path) -> None:
    write(tmp_path)
    problem = Cnn(data=tmp_path / FOUR[0], test_data=tmp_path / FOUR[2], channels=(2,))
    data = problem.load(rng())
    np.testing.assert_array_equal(data.test["x"], IMAGES[6:, None] / 255)
    assert data.test["y"].tolist() == LABELS[6:].tolist()


def test_images_of_other_numbers_are_told(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-short").write_bytes(content(IMAGES.astype("i2") * 16))
    (tmp_path / "train-labels-idx1-int").write_bytes(content(LABELS.astype("i4")))
    with collected() as lines:
        data = Cnn(data=tmp_path / "train-images-idx3-short", channels=(2,)).load(rng())
    assert data.train["x"].max() == 1
    assert any(": pixels are divided by " in line for line in lines)


@pytest.mark.parametrize(
    ("name", "labels", "error"),
    [
        (
            "train-labels-idx1-ubyte",
            LABELS,
            "it is an IDX file, but it holds labels; give the f",
        ),
        (
            "what",
            LABELS,
            "it is an IDX file, but its name does not lead to the file of its labels; give ",
        ),
        (
            "a-images-idx3-ubyte",
            None,
            "there is no file 'a-labels-idx1-ubyte' in its folder; put the ",
        ),
        ("a-images-idx3-ubyte", LABELS[:4], "there are 4 labels for the 10 images of a-images-idx"),
        ("a-images-idx3-ubyte", IMAGES, "its array has the shape 10 x 5 x 4, not that of lab"),
        (
            "a-images-idx3-ubyte",
            np.full(10, np.nan),
            "a label is not a finite number; correct the l",
        ),
    ],
)
def test_a_pair_that_is_none(tmp_path: Path, name: str, labels: Array, error: str) -> None:
    (tmp_path / name).write_bytes(content(IMAGES))
    if labels is not None:
        (tmp_path / "a-labels-idx1-ubyte").write_bytes(content(labels))
    with pytest.raises(UserError) as caught:
        Cnn(data=tmp_path / name).load(rng())
    where = tmp_path / ("a-labels-idx1-ubyte" if labels is not None and "images" in name else name)
    assert str(caught.value).startswith(f"{where}: {error}")
