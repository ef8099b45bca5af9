"""Sets of images: where they are looked for, CIFAR-10's files, and a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdcli.datasets import images
from gdcli.datasets.cells import collected
from gdcli.datasets.images import installed, read_images
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problems.cnn import Cnn
from gdcli.problems.mlp import Mlp
from gdcli.problems.softmax_regression import SoftmaxRegression
from tests.grids import only, train

if TYPE_CHECKING:
    from gdcli.problem import Array


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def records(count: int, first: int) -> Array:
    """Return records of CIFAR-10, whose bytes tell where they were."""
    pixels = (first + np.arange(count * 3072)) % 251
    labels = (first + np.arange(count)) % 10
    return np.column_stack([labels, pixels.reshape(count, -1)]).astype(np.uint8)


def cifar_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for i in range(1, 6):
        (folder / f"data_batch_{i}.bin").write_bytes(records(4, i).tobytes())
    (folder / "test_batch.bin").write_bytes(records(3, 9).tobytes())
    return folder


def test_the_records_of_cifar10(tmp_path: Path) -> None:
    cifar_folder(tmp_path / "cifar-10-batches-bin")
    data, test = read_images("cifar10", tmp_path)  # as the archive unpacks, or its inner folder
    again, _ = read_images("cifar10", tmp_path / "cifar-10-batches-bin")
    np.testing.assert_array_equal(data["x"], again["x"])
    assert data["x"].shape == (20, 3, 32, 32)
    assert test["x"].shape == (3, 3, 32, 32)
    assert data["y"].tolist() == [i + j for i in range(1, 6) for j in range(4)]
    red = records(4, 2)[1, 1:1025].reshape(32, 32)
    np.testing.assert_array_equal(data["x"][5, 0], red)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            b"",
            "its 0 bytes are not a multiple of the record size 3073; give the binary version of",
        ),
        (
            b"0" * 3072,
            "its 3072 bytes are not a multiple of the record size 3073; give the binary version",
        ),
        (b"\x0b" * 3073, "the label 11 is not one of the 10 classes from 0; give the binary vers"),
    ],
)
def test_wrong_records(tmp_path: Path, content: bytes, error: str) -> None:
    file = cifar_folder(tmp_path / "c") / "data_batch_3.bin"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_images("cifar10", file.parent)
    assert str(caught.value).startswith(f"{file}: {error}")


def test_the_first_place_that_has_a_set_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "SYSTEM", (tmp_path / "a", tmp_path / "b"))
    assert installed("cifar10") is None
    with pytest.raises(UserError) as caught:
        read_images("cifar10", None)
    assert str(caught.value) == (
        f"--data-dir: there are no files of cifar10 in {show(f'{tmp_path}/a/cifar10')} or "
        f"{show(f'{tmp_path}/b/cifar10')}; give the folder of its six .bin files"
    )
    folder = cifar_folder(tmp_path / "b" / "cifar10")
    assert installed("cifar10") == folder
    assert len(read_images("cifar10", None)[0]["x"]) == 20


def test_problems_of_classes_take_images_and_their_test_part(tmp_path: Path) -> None:
    given: dict[str, Any] = {"dataset": "cifar10", "data_dir": cifar_folder(tmp_path / "c")}
    data = Mlp(**given).load(rng())
    assert (data.train["x"].shape, data.test["x"].shape) == ((20, 3072), (3, 3072))
    assert data.train["y"].tolist()[:3] == [1, 2, 3]
    assert data.train["x"].min() == 0
    assert data.train["x"].max() == 1
    data = SoftmaxRegression(**given).load(rng())
    assert data.train["y"].shape == (20, 10)
    assert data.test["y"].shape == (3, 10)
    assert SoftmaxRegression(**given, test_fraction=0).load(rng()).test == {}
    data = Cnn(**given).load(rng())
    assert data.train["x"].shape == (20, 3, 32, 32)
    assert data.train["x"].max() == 250 / 255
    run = only(train("cnn", {n: str(v) for n, v in given.items()}, epochs="2", lr="0.01"))
    assert run.losses[-1] < run.losses[0]


@pytest.mark.parametrize("problem", [Mlp, SoftmaxRegression])
def test_a_folder_that_is_not_looked_into(problem: type[Mlp]) -> None:
    with pytest.raises(UserError) as caught:
        problem(data_dir=Path("x"))
    assert str(caught.value) == (
        "--data-dir: 'x' is not used for digits, which is part of gdcli; "
        "leave it out, or add --dataset mnist"
    )


GREY = np.random.default_rng(1).integers(0, 200, (12, 6, 6))
COLOURED = np.random.default_rng(2).integers(0, 200, (12, 6, 5, 3))
GREY[:, 2, 2] = COLOURED[:, 2, 2, 0] = 200  # the brightest, whichever images train
KINDS = np.array(list("cabacbcabcab"))


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (GREY, GREY[:, None]),
        (GREY.reshape(12, 36), GREY[:, None]),
        (COLOURED, COLOURED.transpose(0, 3, 1, 2)),
        (COLOURED.transpose(0, 3, 1, 2), COLOURED.transpose(0, 3, 1, 2)),
    ],
    ids=["grey", "rows", "colours last", "colours first"],
)
def test_images_of_a_users_own(tmp_path: Path, pixels: Array, expected: Array) -> None:
    np.savez(tmp_path / "i.npz", images=pixels, kind=KINDS)
    problem = Cnn(data=tmp_path / "i.npz", target="kind")
    data = problem.load(rng())
    assert data.train["x"].shape == (10, *expected.shape[1:])
    known = {image.tobytes(): "abc".index(k) for image, k in zip(expected, KINDS, strict=True)}
    for part in (data.train, data.test):
        for image, kind in zip(part["x"], part["y"], strict=True):
            assert known.pop(np.rint(image * 200).astype(int).tobytes()) == kind
    assert not known
    assert problem.module(data)[-1].out_features == 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("pixels", "divided", "said"),
    [
        (GREY.astype(np.uint8), 255, ""),
        (
            GREY.astype(np.uint8) // 4,
            255,
            "pixels of uint8 are divided by 255; the largest in",
        ),
        (GREY.astype(np.uint16) * 300, 65535, "pixels of uint16 are divided by 65535; the largest"),
        (GREY > 100, 1, ""),
        (GREY / 400, 1, ""),
        ((GREY / 200).astype(np.float32), 1, ""),
        (GREY * 1.275, 255, ""),
        (
            GREY,
            200,
            "pixels are divided by 200, the largest in the training part; for another scale save ",
        ),
        (GREY - 301.0, 300, "pixels are divided by 300, the largest"),
        (
            GREY.astype(np.int16) * 100,
            20000,
            "pixels are divided by 20000, the largest in the train",
        ),
    ],
)
def test_what_pixels_are_divided_by(
    tmp_path: Path, pixels: Array, divided: float, said: str
) -> None:
    file = tmp_path / "i.npz"
    np.savez(file, images=pixels, kind=KINDS)
    with collected() as lines:
        data = Cnn(data=file, target="kind", test_fraction=0).load(rng())
    found = np.sort(data.train["x"].reshape(12, -1), axis=0)
    wanted = np.sort(pixels.reshape(12, -1).astype(float) / divided, axis=0)
    np.testing.assert_allclose(found, wanted)
    starts = [line.removeprefix(f"{file}: ")[: len(said)] for line in lines]
    assert starts == ([said] if said else [])


FORMS = [
    ((8, 6, 3), 3, "8 x 6 x 3 are read as 8 x 6 pixels of 3 colours, which are last"),
    ((8, 8, 4), 4, "8 x 8 x 4 are read as 8 x 8 pixels of 4 colours, which are last"),
    ((8, 8, 2), 2, "8 x 8 x 2 are read as 8 x 8 pixels of 2 colours, which are last"),
    ((7, 9, 1), 1, "7 x 9 x 1 are read as 7 x 9 pixels of 1 colour, which are last"),
    (
        (4, 8, 6),
        4,
        "4 x 8 x 6 are read as 8 x 6 pixels of 4 colours, which are first",
    ),
    ((1, 9, 7), 1, "1 x 9 x 7 are read as 9 x 7 pixels of 1 colour, which are first"),
    ((9, 9, 5), 5, "9 x 9 x 5 are read as 9 x 9 pixels of 5 colours, which are last"),
    (
        (3, 8, 3),
        3,
        (
            "3 x 8 x 3 are read as 8 x 3 pixels of 3 colours, which are first; if they "
            "are last, save numpy.moveaxis(images, -1, 1)"
        ),
    ),
    (
        (4, 4, 3),
        3,
        (
            "4 x 4 x 3 are read as 4 x 4 pixels of 3 colours, which are last, although the "
            "first axis could also be the colours"
        ),
    ),
]


@pytest.mark.parametrize(("shape", "colours", "said"), FORMS)
def test_where_the_colours_are_is_said(
    tmp_path: Path, shape: tuple[int, ...], colours: int, said: str
) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (12, *shape), dtype=np.uint8)
    file = tmp_path / "i.npz"
    np.savez(file, images=pixels, kind=KINDS)
    with collected() as lines:
        data = Cnn(data=file, target="kind", channels=(2,), test_fraction=0).load(rng())
    assert list(lines) == [f"{file}: the images of {said}"]
    assert data.train["x"].shape[1] == colours
    moved = np.moveaxis(pixels, -1, 1) if "last" in said.split(";", maxsplit=1)[0] else pixels
    known = {image.tobytes() for image in moved}
    assert {np.rint(x * 255).astype(np.uint8).tobytes() for x in data.train["x"]} == known


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        (
            {"x": np.ones((12, 1, 4, 4, 1))},
            "'x' has the shape 12 x 1 x 4 x 4 x 1, which is not that",
        ),
        (
            {"x": np.ones((12, 8, 6, 5))},
            "the images have the shape 8 x 6 x 5, and no axis can be r",
        ),
        (
            {"x": GREY, "w": np.ones(12)},
            "besides 'kind' it has 2 arrays, 'x', 'w'; give --",
        ),
        (
            {"x": np.ones((12, 0, 4))},
            "'x' has the shape 12 x 0 x 4, which is not that of images; give",
        ),
    ],
)
def test_arrays_that_are_no_images(tmp_path: Path, arrays: dict[str, Array], error: str) -> None:
    np.savez(tmp_path / "i.npz", **arrays, kind=KINDS)
    with pytest.raises(UserError) as caught:
        Cnn(data=tmp_path / "i.npz", target="kind").load(rng())
    assert str(caught.value).startswith(f"{tmp_path / 'i.npz'}: {error}")


def test_a_test_part_is_of_the_same_images(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "data": tmp_path / "i.npz",
        "target": "k",
        "test_data": tmp_path / "t.npz",
    }
    np.savez(tmp_path / "i.npz", x=GREY.astype(np.uint8), k=KINDS)
    np.savez(tmp_path / "t.npz", x=GREY[:, :5].astype(np.uint8), k=KINDS)
    with pytest.raises(
        UserError,
        match=r"its test images are 1 x 5 x 6 \(colours, "
        r"height, wid",
    ):
        Cnn(**given).load(rng())
    np.savez(tmp_path / "t.npz", x=GREY / 255, k=KINDS)
    with pytest.raises(
        UserError, match="its test images have the type float64, the others uint8; s"
    ):
        Cnn(**given).load(rng())


def test_the_classes_of_images_may_be_one_column(tmp_path: Path) -> None:
    codes = np.arange(12)[:, None] % 3
    np.savez(tmp_path / "i.npz", x=GREY, k=codes, hot=np.eye(3)[codes[:, 0]])
    given: dict[str, Any] = {"data": tmp_path / "i.npz", "test_fraction": 0}
    data = Cnn(**given, target="k", drop="hot").load(rng())
    assert sorted(data.train["y"].tolist()) == [0] * 4 + [1] * 4 + [2] * 4
    with pytest.raises(UserError, match=r"such as numpy\.argmax\(\.\.\., axis=1\) of one column a"):
        Cnn(**given, target="hot", drop="k").load(rng())


def test_columns_that_are_no_image(tmp_path: Path) -> None:
    np.savez(tmp_path / "i.npz", images=np.ones((12, 35)), kind=KINDS)
    with pytest.raises(
        UserError, match="the 35 columns besides 'kind' are not a square image; give"
    ):
        Cnn(data=tmp_path / "i.npz", target="kind").load(rng())
    with pytest.raises(UserError, match=r"^--data: it needs --target; add --target$"):
        Cnn(data=tmp_path / "i.npz")
