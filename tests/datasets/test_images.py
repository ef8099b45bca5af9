"""Sets of images: where they are looked for, CIFAR-10's files, and a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gdcli.datasets import images
from gdcli.datasets.images import installed, read_images
from gdcli.errors import UserError
from gdcli.problem import Array
from gdcli.problems.cnn import Cnn
from gdcli.problems.mlp import Mlp
from gdcli.problems.softmax_regression import SoftmaxRegression
from tests.grids import only, train


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
        (b"", "its 0 bytes are no records of 3073; give the binary version of CIFAR-10, unpacked"),
        (b"0" * 3072, "its 3072 bytes are no records of 3073; give the binary version of CIFAR-10"),
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
        f"--data-dir: there are no files of cifar10 in '{tmp_path}/a/cifar10' or "
        f"'{tmp_path}/b/cifar10'; give the folder of its six .bin files"
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
        "--data-dir: 'x' is not looked into for digits, which travels with gdcli; "
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


def test_columns_that_are_no_image(tmp_path: Path) -> None:
    np.savez(tmp_path / "i.npz", images=np.ones((12, 35)), kind=KINDS)
    with pytest.raises(UserError, match="the 35 columns besides 'kind' are no square image; give"):
        Cnn(data=tmp_path / "i.npz", target="kind").load(rng())
    with pytest.raises(UserError, match=r"^--data: it needs --target; add --target$"):
        Cnn(data=tmp_path / "i.npz")
