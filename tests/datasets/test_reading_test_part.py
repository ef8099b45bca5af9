"""A test part of the user's own: a second file, or arrays of the same archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.datasets import dump_svmlight_file, load_svmlight_files

from gdcli.datasets import matrices
from gdcli.datasets.cells import collected
from gdcli.datasets.out_of_core import Streamed
from gdcli.errors import UserError
from gdcli.problems.cnn import Cnn
from gdcli.problems.linear_regression import LinearRegression
from gdcli.problems.logistic_regression import LogisticRegression
from gdcli.problems.matrix_factorization import MatrixFactorization
from gdcli.problems.mlp import Mlp
from gdcli.problems.softmax_regression import SoftmaxRegression
from tests.grids import only, train

if TYPE_CHECKING:
    from gdcli.problem import Array, Data

X = np.random.default_rng(3).standard_normal((30, 3)) * [1, 5, 100]
Y = X @ [1.0, -1.0, 0.5]
IMAGES = np.random.default_rng(4).integers(0, 256, (18, 6, 6), dtype=np.uint8)
KINDS = np.arange(18) % 3


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def write(file: Path, rows: slice, columns: str = "abcy", **more: Array) -> Path:
    """Write some of the examples, with the columns in an order."""
    table: dict[str, Array] = {"a": X[rows, 0], "b": X[rows, 1], "c": X[rows, 2], "y": Y[rows]}
    table = {name: table[name] for name in columns} | more
    match file.suffix:
        case ".csv":
            lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values()))]  # noqa: B905
            file.write_text("\n".join(lines) + "\n")
        case ".npy":
            np.save(file, np.column_stack(list(table.values())))
        case ".npz":
            np.savez(file, **table)
        case ".parquet":
            parquet.write_table(pa.table(table), file)
    return file


@pytest.mark.parametrize("test", ["t.csv", "t.npz", "t.parquet"])
@pytest.mark.parametrize("given", ["e.csv", "e.npz", "e.parquet"])
def test_a_second_file_is_the_test_part(tmp_path: Path, given: str, test: str) -> None:
    file = write(tmp_path / given, np.s_[:20])
    other = write(tmp_path / test, np.s_[20:], "ycab")
    data = LinearRegression(data=file, target="y", test_data=other).load(rng())
    x = X[:20]
    np.testing.assert_allclose(data.train["x"], (x - x.mean(axis=0)) / x.std(axis=0))
    np.testing.assert_allclose(data.test["x"], (X[20:] - x.mean(axis=0)) / x.std(axis=0))
    np.testing.assert_array_equal(data.train["y"][:, 0], Y[:20])
    np.testing.assert_array_equal(data.test["y"][:, 0], Y[20:])


def test_a_matrix_and_its_test_part(tmp_path: Path) -> None:
    file, other = (
        write(tmp_path / n, r) for n, r in (("e.npy", np.s_[:20]), ("t.npy", np.s_[20:]))
    )
    data = LinearRegression(data=file, target="3", scale="none", test_data=other).load(rng())
    np.testing.assert_array_equal(data.test["x"], X[20:])


@pytest.mark.parametrize("first", [0, 1])
def test_libsvm_files_have_the_features_of_both(tmp_path: Path, first: int) -> None:
    x = np.where(abs(X) > 0.3, X, 0)
    x[:20, 2] = 0  # in the test part alone
    labels = (Y > 0).astype(float)
    files = [tmp_path / "e.svm", tmp_path / "t.svm"]
    for file, rows, zero in zip(files, (np.s_[:20], np.s_[20:]), (first == 0, False), strict=True):
        dump_svmlight_file(x[rows], labels[rows], str(file), zero_based=zero)
    theirs = load_svmlight_files(list(map(str, files)), zero_based="auto")
    data = LogisticRegression(data=files[0], test_data=files[1], scale="none").load(rng())
    np.testing.assert_array_equal(data.train["x"], theirs[0].toarray())
    np.testing.assert_array_equal(data.test["x"], theirs[2].toarray())


def test_classes_and_categories_are_those_of_both_parts(tmp_path: Path) -> None:
    file, other = tmp_path / "e.csv", tmp_path / "t.csv"
    file.write_text("a,colour,kind\n1,red,cat\n2,blue,dog\n3,red,dog\n,blue,cat\n")
    other.write_text("kind,id,a,colour\ncow,7,10,green\ndog,8,,red\n")
    given: dict[str, Any] = {"data": file, "target": "kind", "test_data": other, "scale": "none"}
    with collected() as said:
        data = Mlp(**given, categorical="auto", missing="mean").load(rng())
    assert data.train["y"].tolist() == [0, 2, 2, 0]
    assert data.test["y"].tolist() == [1, 2]
    assert data.train["x"].tolist() == [[1, 0, 1], [2, 1, 0], [3, 0, 1], [2, 1, 0]]
    assert data.test["x"].tolist() == [[10, 0, 0], [2, 0, 1]]  # the mean of 1, 2 and 3
    assert list(said) == [
        f"{other}: not used, because --data has no such feature: 'id'",
        (
            f"{file}: column 'colour' has 1 category in the test part only, such as 'green'; "
            "all columns made of it are 0 there"
        ),
        "there is no training example of the class 'cow'",
        "there is no test example of the class 'cat'",
    ]
    with collected() as said:
        data = Mlp(**given, drop="colour", missing="drop").load(rng())
    assert data.train["x"].tolist() == [[1], [2], [3]]
    assert data.test["y"].tolist() == [1]
    assert f"{other}: 1 row has a missing value and is not used, of 2" in said


@pytest.mark.parametrize("stream", [False, True])
def test_two_classes_that_the_test_part_writes_in_another_way(
    tmp_path: Path, *, stream: bool
) -> None:
    file, other = tmp_path / "e.csv", tmp_path / "t.csv"
    file.write_text("a,y\n1,<=50K\n2,>50K\n3,<=50K\n")
    other.write_text("a,y\n1,<=50K.\n2,>50K.\n")
    problem = LogisticRegression(data=file, target="y", test_data=other, stream=stream)
    with pytest.raises(UserError) as caught:
        problem.load(rng())
    assert str(caught.value) == (
        "--target: --data and --test-data have 4 classes together, not two: '<=50K', '<=50K.', "
        "'>50K', ...; write them alike in both, choose another, or run softmax-regression"
    )


def test_labels_of_two_types_are_the_same_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", x=X[:4], y=np.array([2**60, 5, 5, 2**60 + 1], np.uint64))
    np.savez(tmp_path / "t.npz", x=X[:2], y=np.array([2**60 + 1, -1]))
    problem = SoftmaxRegression(data=tmp_path / "e.npz", target="y", test_data=tmp_path / "t.npz")
    data = problem.load(rng())
    assert data.train["y"].argmax(axis=1).tolist() == [2, 1, 1, 3]
    assert data.test["y"].argmax(axis=1).tolist() == [3, 0]


def test_ratings_have_a_test_part(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("film,by,stars\na,1,3\nc,2,5\n")
    (tmp_path / "t.csv").write_text("stars,film,by\n4,b,2\n")
    given: dict[str, Any] = {"data": tmp_path / "e.csv", "target": "stars"}
    data = MatrixFactorization(**given, test_data=tmp_path / "t.csv").load(rng())
    assert data.train["row"].tolist() == [0, 2]
    assert {k: v.tolist() for k, v in data.test.items()} == {
        "row": [1],
        "column": [1],
        "rating": [4],
    }


@pytest.mark.parametrize(
    ("columns", "options", "error"),
    [
        ("aby", {}, "--test-data: TEST has no column 'c'; its columns are a, b, y"),
        ("abc", {}, "--test-data: TEST has no column 'y'; its columns are a, b, c"),
        (
            "abcy",
            {"test_fraction": 0.3},
            "--test-fraction: the test part is the file 'TEST' of --test-data; leave out one of",
        ),
        ("abcy", {"test_fraction": 0.0}, "--test-fraction: the test part is the file 'TEST' of"),
        ("abcy", {"data": None, "target": None}, "--test-data: there is no file to train on; a"),
    ],
)
def test_what_a_test_part_lacks(
    tmp_path: Path,
    columns: str,
    options: dict[str, Any],
    error: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # of a long path a message has the beginning and the end
    file, other = write(Path("e.csv"), np.s_[:20]), write(Path("t.csv"), np.s_[20:], columns)
    given: dict[str, Any] = {"data": file, "target": "y", "test_data": other} | options
    with pytest.raises(UserError) as caught:
        LinearRegression(**given).load(rng())
    assert str(caught.value).startswith(error.replace("TEST", str(other)))


@pytest.mark.parametrize("scale", ["standard", "minmax", "none"])
@pytest.mark.parametrize("names", [("e.csv", "t.csv"), ("e.npy", "t.npy")])
def test_both_parts_may_stay_on_disk(
    tmp_path: Path, names: tuple[str, str], scale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrices, "CELLS_AT_A_TIME", 20)
    file = write(tmp_path / names[0], np.s_[:20], y=(Y[:20] > 0).astype(float))
    kinds = (Y[20:] > 0).astype(float)
    if file.suffix == ".csv":
        other = write(tmp_path / names[1], np.s_[20:], "ycab", y=kinds, more=np.ones(10))
    else:
        other = write(tmp_path / names[1], np.s_[20:], y=kinds)
    target = "y" if file.suffix == ".csv" else "3"
    given: dict[str, Any] = {"data": file, "target": target, "test_data": other, "scale": scale}
    for problem in (LinearRegression, LogisticRegression):
        with collected() as said:
            streamed = problem(**given, stream=True).load(rng())
        with collected() as also:
            whole = problem(**given).load(rng())
        for part, expected in ((streamed.train, whole.train), (streamed.test, whole.test)):
            assert isinstance(part["x"], Streamed)
            np.testing.assert_allclose(np.asarray(part["x"]), expected["x"], rtol=1e-12, atol=1e-15)
            np.testing.assert_array_equal(part["y"], expected["y"])
        assert list(said) == list(also)
    sizes = [LinearRegression(data=one, target=target).whole() for one in (file, other)]
    assert LinearRegression(**given).whole() == sum(sizes)


def test_a_test_part_that_is_read_whole_is_not_streamed(tmp_path: Path) -> None:
    file = write(tmp_path / "e.csv", np.s_[:20])
    other = write(tmp_path / "t.npz", np.s_[20:])
    given: dict[str, Any] = {"data": file, "target": "y", "test_data": other}
    assert LinearRegression(**given).whole() == 0
    with pytest.raises(
        UserError,
        match=r"--stream: '.*t\.npz' of --test-data cannot be read "
        r"in parts; give",
    ):
        LinearRegression(**given, stream=True)


def test_options_of_text_may_be_of_one_file_alone(tmp_path: Path) -> None:
    file = write(tmp_path / "e.csv", np.s_[:20])
    file.write_text(file.read_text().replace(",", "|"))
    other = write(tmp_path / "t.npz", np.s_[20:])
    given: dict[str, Any] = {"target": "y", "scale": "none", "separator": "|"}
    data = LinearRegression(data=file, test_data=other, **given).load(rng())
    np.testing.assert_array_equal(data.test["x"], X[20:])
    data = LinearRegression(data=other, test_data=file, **given).load(rng())
    np.testing.assert_array_equal(data.test["x"], X[:20])
    with pytest.raises(
        UserError,
        match=r"t\.npz' is a \.npz file, which does not use this "
        r"option; le",
    ):
        LinearRegression(data=other, test_data=other, **given).load(rng())


def test_the_same_file_twice_is_told(tmp_path: Path) -> None:
    file = write(tmp_path / "e.csv", np.s_[:20])
    with collected() as said:
        LinearRegression(data=file, target="y", test_data=file).load(rng())
    assert list(said) == [
        f"{file} is --data and --test-data, so the test would use the training examples"
    ]


NAMES = [
    ("x_train", "y_train", "x_test", "y_test"),
    ("X_train", "y_train", "X_test", "y_test"),
    ("test_images", "test_labels", "train_images", "train_labels"),
    ("train_data", "train_label", "test_data", "test_label"),
    ("trainX", "trainY", "testX", "testY"),
    ("X_TRAIN", "Y_TRAIN", "X_TEST", "Y_TEST"),
    ("training_x", "training_y", "testing_x", "testing_y"),
    ("Train_x", "Train_y", "Test_x", "Test_y"),
    ("x_train", "y_train", "x_val", "y_val"),
]


def archive(folder: Path, names: tuple[str, ...], **more: Array) -> tuple[Path, str]:
    """Write twelve images to train on and six to test; return the name of the classes, too."""
    held: dict[str, Array] = {}
    for name in names:
        rows = np.s_[:12] if "train" in name.lower() else np.s_[12:]
        pixels = any(sign in name.lower() for sign in ("x", "images", "data"))
        held[name] = (IMAGES if pixels else KINDS)[rows]
    np.savez(folder / "own.npz", **held, **more)
    target = next(n for n in names if "train" in n.lower() and len(held[n].shape) == 1)
    return folder / "own.npz", target


def check_parts(data: Data) -> None:
    np.testing.assert_array_equal(data.train["x"], IMAGES[:12, None] / 255)
    np.testing.assert_array_equal(data.test["x"], IMAGES[12:, None] / 255)
    assert [part["y"].tolist() for part in (data.train, data.test)] == [
        [0, 1, 2] * 4,
        [0, 1, 2] * 2,
    ]


@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0] + names[-1])
def test_an_archive_may_have_a_test_part(tmp_path: Path, names: tuple[str, ...]) -> None:
    file, target = archive(tmp_path, names)
    with collected() as said:
        check_parts(Cnn(data=file, target=target).load(rng()))
    (line,) = said
    assert line.startswith(f"{file} has its own test part: 6 examples of '")
    with collected() as said:
        assert Cnn(data=file, target=target, test_fraction=0).load(rng()).test == {}
    assert not said
    with pytest.raises(UserError) as caught:
        Cnn(data=file, target=target, test_fraction=0.3).load(rng())
    assert str(caught.value) == (
        f"--test-fraction: 0.3 is not held out of {file}, which has its own test part; "
        "leave it out, or give 0 for no test part"
    )
    with pytest.raises(UserError, match=r"--test-data: '.*' has its own test part; leave it"):
        Cnn(data=file, target=target, test_data=file).load(rng())


def test_an_archive_with_a_test_part_trains(tmp_path: Path) -> None:
    file, target = archive(tmp_path, NAMES[0])
    run = only(train("cnn", {"data": str(file), "target": target}, epochs="2", lr="0.01"))
    assert run.losses[-1] < run.losses[0]
    data = SoftmaxRegression(data=file, target=target, scale="none").load(rng())
    np.testing.assert_array_equal(data.test["x"], IMAGES[12:].reshape(6, 36))


def test_a_validation_part_is_not_used_beside_a_test_part(tmp_path: Path) -> None:
    more = {"val_images": IMAGES[:2], "val_labels": KINDS[:2, None]}
    file, target = archive(tmp_path, NAMES[2], **more)
    with collected() as said:
        check_parts(Cnn(data=file, target=target).load(rng()))
    assert next(iter(said)) == (
        f"{file}: not used, because there is a test part: 'val_images', 'val_labels'"
    )


def test_what_has_no_test_part_is_named_and_may_be_dropped(tmp_path: Path) -> None:
    more = {"classes": np.array(["a", "b"], object), "weight_train": np.ones(12)}
    file, target = archive(tmp_path, NAMES[0], **more, weight_test=np.ones(6))
    with pytest.raises(UserError) as caught:
        Cnn(data=file, target=target, drop="weight_train").load(rng())
    assert str(caught.value) == (
        f"{file}: 'classes' holds pickled Python objects, which can run any program when they "
        "are read; make them numbers or texts, or give --drop 'classes'"
    )
    check_parts(Cnn(data=file, target=target, drop="classes,weight_train").load(rng()))
    file, target = archive(tmp_path, NAMES[0], classes=np.arange(3))
    with pytest.raises(UserError) as caught:
        Cnn(data=file, target=target).load(rng())
    assert str(caught.value) == (
        f"{file}: 'x_train' has a test part, 'x_test', but 'classes' has none; "
        "save one, or give --drop 'classes'"
    )


def test_arrays_that_are_no_test_part(tmp_path: Path) -> None:
    file = tmp_path / "times.npz"
    np.savez(file, train_time=X[:, 0], test_time=X[:, 1], y=Y)
    with collected() as said:
        data = LinearRegression(data=file, target="y", scale="none").load(rng())
    assert data.train["x"].shape == (24, 2)
    assert list(said) == [
        (f"{file}: 'test_time' is read as a feature, not as a test part, because 'y' has none")
    ]
    np.savez(file, x_train=IMAGES, y_train=KINDS, x_test=IMAGES[:, :5], y_test=KINDS)
    with pytest.raises(UserError, match="'x_train' has the shape 18 x 6 x 6, 'x_test' 18 x 5 x 6"):
        Cnn(data=file, target="y_train").load(rng())
