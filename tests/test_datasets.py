import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import datasets as sklearn_datasets

from gdcli.datasets import image_formats, images
from gdcli.datasets.cells import MOST, count_classes, number_classes, one_hot
from gdcli.datasets.delimited import read_table
from gdcli.datasets.image_formats import read_idx
from gdcli.datasets.images import read_images
from gdcli.datasets.reading import Reading, read_file
from gdcli.datasets.split import Scale, prepare
from gdcli.datasets.tabular import Source, read_named
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array, Data

ORACLES = {
    "diabetes": lambda: sklearn_datasets.load_diabetes(scaled=False),
    "breast-cancer": sklearn_datasets.load_breast_cancer,
    "digits": sklearn_datasets.load_digits,
    "wine": sklearn_datasets.load_wine,
    "iris": sklearn_datasets.load_iris,
}
FOLDER = Path(image_formats.__file__).parent


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", ORACLES)
def test_a_named_set_equals_scikit_learns_copy(name: str) -> None:
    x, y = read_named(name)
    oracle = ORACLES[name]()
    assert x.dtype == y.dtype == np.float64
    np.testing.assert_array_equal(x, oracle.data)
    np.testing.assert_array_equal(y, oracle.target)


@pytest.mark.parametrize("name", ORACLES)
def test_a_named_set_is_a_csv_file_like_any_other(name: str) -> None:
    x, y = read_named(name)
    table = read_table(FOLDER / f"{name}.csv.gz", Reading())
    assert table.columns[-1] == "target"
    np.testing.assert_array_equal(table.numbers(table.columns[:-1]), x)
    np.testing.assert_array_equal(table.numbers(["target"])[:, 0], y)


@pytest.mark.parametrize("name", ORACLES)
def test_a_named_sets_licence_is_told(name: str) -> None:
    assert f"\n| {name} |" in (FOLDER / "README.md").read_text(encoding="utf-8")


def split(x: Array, fraction: float = 0.25, scale: Scale = "none", seed: int = 0) -> Data:
    return prepare(x, np.arange(len(x)), fraction, scale, rng(seed))


@given(examples=st.integers(1, 60), fraction=st.floats(0, 0.5))
def test_every_example_is_in_one_part_beside_its_target(examples: int, fraction: float) -> None:
    x = rng().standard_normal((examples, 2))
    data = split(x, fraction)
    parts = [part for part in (data.train, data.test) if part]
    assert data.examples == examples - round(examples * fraction)
    assert sorted(np.concatenate([part["y"] for part in parts])) == list(range(examples))
    for part in parts:
        np.testing.assert_array_equal(part["x"], x[part["y"]])


def test_an_example_must_be_left_to_train_on() -> None:
    with pytest.raises(UserError) as caught:
        split(np.ones((2, 1)), 0.9)
    assert str(caught.value) == (
        "--test-fraction: 0.9 of 2 examples leaves none for training; "
        "give a smaller part, or 0 for no test part"
    )


def test_without_a_fraction_there_is_no_test_part() -> None:
    assert split(np.ones((4, 1)), 0).test == {}


def test_equal_streams_split_alike_and_others_do_not() -> None:
    x = rng().standard_normal((40, 2))
    first, again, other = (split(x, seed=seed).train["y"] for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_standard_scaling_gives_the_training_part_mean_0_and_deviation_1() -> None:
    x = split(5 + 3 * rng().standard_normal((50, 4)), scale="standard").train["x"]
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(x.std(axis=0), 1)


def test_minmax_scaling_gives_the_training_part_the_range_from_0_to_1() -> None:
    x = split(5 + 3 * rng().standard_normal((50, 4)), scale="minmax").train["x"]
    np.testing.assert_array_equal(x.min(axis=0), 0)
    np.testing.assert_array_equal(x.max(axis=0), 1)


@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_scaling_learns_nothing_from_the_test_part(scale: Scale) -> None:
    x = rng().standard_normal((40, 3))
    plain = split(x, scale=scale)
    x[plain.test["y"]] += 100
    moved = split(x, scale=scale)
    np.testing.assert_array_equal(moved.train["x"], plain.train["x"])
    assert (moved.test["x"] > plain.test["x"] + 1).all()


@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_the_test_part_is_scaled_like_the_training_part(scale: Scale) -> None:
    x = rng().standard_normal((40, 1))
    data = split(x, scale=scale)
    slope, offset = np.polyfit(x[data.train["y"], 0], data.train["x"][:, 0], 1)
    np.testing.assert_allclose(data.test["x"], slope * x[data.test["y"]] + offset)


@pytest.mark.parametrize("scale", ["standard", "minmax"])
@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9 / 3])
def test_a_constant_column_is_only_moved(scale: Scale, constant: float) -> None:
    x = np.full((30, 1), constant)
    np.testing.assert_allclose(split(x, scale=scale).train["x"], 0, atol=1e-6)


def test_whole_numbers_become_float64() -> None:
    assert split(np.arange(8).reshape(4, 2)).train["x"].dtype == np.float64


def csv_file(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    raw = content.encode() if isinstance(content, str) else content
    file = folder / name
    file.write_bytes(raw)
    return file


def test_cells_lines_and_numbers(tmp_path: Path) -> None:
    file = csv_file(tmp_path, '\ufeffa, b ,"c,d"\n1,2.5,-3e2\n\n"4", 5 ,6\r\n')
    table = read_table(file, Reading())
    assert table.columns == ("a", "b", "c,d")
    assert table.lines == (2, 4)
    numbers = table.numbers(["c,d", "a"])
    assert numbers.dtype == np.float64
    assert numbers.tolist() == [[-300, 1], [6, 4]]
    assert table.labels("b") == ["2.5", "5"]


def test_the_line_is_the_files_also_after_a_cell_of_two_lines(tmp_path: Path) -> None:
    table = read_table(csv_file(tmp_path, 'a,b\n"x\ny",1\nz,oops\n'), Reading())
    with pytest.raises(UserError, match=r"data\.csv:4: 'oops' in column 'b' is not a number; "):
        table.numbers(["b"])


def test_gzip_is_unpacked(tmp_path: Path) -> None:
    file = csv_file(tmp_path, gzip.compress(b"a,b\n1,2\n"), "data.csv.gz")
    assert read_table(file, Reading()).numbers(["b"]).tolist() == [[2]]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "FILE: the file is empty; give a header and at least one row"),
        ("\n\n", "FILE: it holds only blanks; give a header and at least one row"),
        ("a,y\n", "FILE:1: there is no row below the header; add the examples"),
        (
            "1,2\n3,4\n",
            "FILE:1: the first row holds numbers, not names; give --no-header, by which columns ",
        ),
        ("a,,y\n1,2,3\n", "FILE:1: column 2 has no name; name it, or give --drop 'Unnamed: 1'"),
        (
            "a,a,y\n1,2,3\n",
            "FILE:1: two columns are named 'a'; rename one, or give --drop 'a', which drops both",
        ),
        (
            "a,y\n1,2\n3\n",
            (
                "FILE:3: values in the row: 1, columns in the header: 2; give one value for each "
                "column"
            ),
        ),
        (
            "a,y\n1,2\nred,4\n",
            "FILE:3: 'red' in column 'a' is not a number; give --categorical 'a', if it is ",
        ),
        (
            "a,y\n1,2\n,4\n",
            "FILE:3: the value of column 'a' is missing; fill it in, take out the row, or g",
        ),
        (
            "a,y\n1,2\n3,NaN\n",
            "FILE:3: the value of column 'y' is missing ('NaN'); fill it in, take out the row",
        ),
        (
            "a,y\n1,2\n-inf,4\n",
            "FILE:3: '-inf' in column 'a' is not finite; correct it, or take out the row",
        ),
        (
            b"a,y\n1,2\n3,\xe9\n",
            "FILE:3: the byte 0xe9 is not UTF-8; save the file as UTF-8, or give its --encod",
        ),
        (
            'a,y\n1,"2\n',
            "FILE:2: this is not CSV: unexpected end of data; check the quotes, or --separator",
        ),
        ("a,b\n1,2\n", "--target: FILE has no column 'y'; its columns are a, b"),
        ("a,yy\n1,2\n", "--target: FILE has no column 'y'; did you mean 'yy'?"),
        (
            "y\n1\n2\n",
            "--data: FILE has no column besides 'y'; give a file with features",
        ),
    ],
)
def test_a_wrong_csv_file(tmp_path: Path, content: str | bytes, error: str) -> None:
    file = csv_file(tmp_path, content)
    with pytest.raises(UserError) as caught:
        Source("", file, "y").measured()
    assert str(caught.value).startswith(error.replace("FILE", str(file)))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("a,y\n1,x\n2,\n", "FILE:3: the value of column 'y' is missing; fill it in, take out"),
        ("a,y\n1,x\n2,x\n", "--target: column 'y' has only the value 'x'; choose a column of two"),
        (
            "a,y\n" + "".join(f"1,{i}\n" for i in range(MOST + 1)),
            "--target: column 'y' has 1001 different values, more than 1000 classes; choose a ",
        ),
        ("a,b\n1,2\n", "--target: FILE has no column 'y'; its columns are a, b"),
    ],
)
def test_a_column_that_holds_no_classes(tmp_path: Path, content: str, error: str) -> None:
    file = csv_file(tmp_path, content)
    with pytest.raises(UserError) as caught:
        Source("", file, "y").classified()
    assert str(caught.value).startswith(error.replace("FILE", str(file)))


def test_a_csv_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--data: there is no file '.*x\.csv'; check the path$"):
        read_table(tmp_path / "x.csv", Reading())
    with pytest.raises(UserError, match=r"; download the file, and give its path$"):
        read_file(Path("https://example.org/x.csv"))
    with pytest.raises(UserError, match=r"^--data: '.*' is a folder; give a file; im"):
        read_file(tmp_path)
    whole = gzip.compress(b"a,b\n1,2\n")
    for damaged in (whole[:-9], whole[:12] + b"\xff\xff" + whole[14:]):
        file = csv_file(tmp_path, damaged, "data.csv.gz")
        with pytest.raises(UserError, match=r"data\.csv\.gz: the gzip data is damaged; "):
            read_table(file, Reading())


def test_a_file_and_its_target_come_together() -> None:
    with pytest.raises(UserError, match=r"^--data: the target column of 'f\.csv' is not given"):
        Source("", data=Path("f.csv"))
    with pytest.raises(UserError, match=r"^--target: there is no file with the column 'y'; "):
        Source("", target="y")


def test_measured_and_classified_examples_of_a_file(tmp_path: Path) -> None:
    source = Source("", csv_file(tmp_path, "a,y,b\n1,10,2\n3,9,4\n5,10,6\n"), "y")
    x, y = source.measured()
    assert x.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert y.tolist() == [10, 9, 10]
    x, classes = source.classified()
    assert x.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert classes.places.tolist() == [1, 0, 1]


def test_classes_are_numbered_in_the_order_of_their_labels() -> None:
    assert number_classes(["10", "9", "1.0", "1"], "y").places.tolist() == [2, 1, 0, 0]
    assert number_classes(["b", "a", "10", "b"], "y").places.tolist() == [2, 1, 0, 2]
    assert number_classes(["b", "a"], "y").places.dtype == np.int64


def test_one_hot_rows_point_at_their_class() -> None:
    assert one_hot(np.array([2, 0]), 4).tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]


def test_a_class_of_the_test_part_alone_counts() -> None:
    train, test = {"y": np.array([0, 1])}, {"y": np.array([4, 0])}
    assert count_classes(Data(train)) == 2
    assert count_classes(Data(train, test)) == 5


def idx_bytes(values: Array) -> bytes:
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return header + bytes(values.astype(np.uint8).ravel().tolist())


def image_folder(folder: Path, *, suffix: str = ".gz", **changed: Array) -> Path:
    """Write a small set of four files, with the values that `changed` gives by stem."""
    for part, size in (("train", 6), ("t10k", 4)):
        values = {
            f"{part}-images-idx3-ubyte": np.arange(size * 12).reshape(size, 4, 3),
            f"{part}-labels-idx1-ubyte": np.arange(size) % 3,
        }
        for stem, array in values.items():
            raw = idx_bytes(changed.get(stem.replace("-", "_"), array))
            (folder / (stem + suffix)).write_bytes(gzip.compress(raw) if suffix else raw)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dot", [True, False])
def test_images_and_labels_of_both_parts(tmp_path: Path, suffix: str, *, dot: bool) -> None:
    image_folder(tmp_path, suffix=suffix)
    for file in list(tmp_path.iterdir()) if dot else []:
        file.rename(tmp_path / file.name.replace("-idx", ".idx"))
    train, test = read_images("mnist", tmp_path)
    assert train["x"].dtype == np.uint8
    assert train["y"].dtype == np.int64
    np.testing.assert_array_equal(train["x"], np.arange(72).reshape(6, 4, 3))
    np.testing.assert_array_equal(train["y"], [0, 1, 2, 0, 1, 2])
    assert test["x"].shape == (4, 4, 3)
    assert test["y"].tolist() == [0, 1, 2, 0]


def test_fashion_mnist_is_looked_for_where_the_system_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    image_folder(folder)
    monkeypatch.setattr(images, "SYSTEM", (tmp_path / "nowhere", tmp_path))
    assert len(read_images("fashion-mnist", None)[0]["x"]) == 6


def test_a_set_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError) as caught:
        read_images("mnist", None)
    assert str(caught.value) == (
        "--data-dir: there are no files of mnist in '/usr/local/share/datasets/mnist' or "
        "'/usr/share/datasets/mnist'; give the folder of its four idx-ubyte files"
    )
    monkeypatch.setattr(images, "SYSTEM", (tmp_path,))
    with pytest.raises(UserError) as caught:
        read_images("fashion-mnist", None)
    assert str(caught.value) == (
        f"--data-dir: there are no files of fashion-mnist in {show(f'{tmp_path}/fashion-mnist')}; "
        "give the folder of its four idx-ubyte files, or install Debian's package "
        "dataset-fashion-mnist"
    )


def test_a_folder_without_the_files(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_images("mnist", tmp_path)
    assert str(caught.value) == (
        f"--data-dir: there are no files of mnist in '{tmp_path}'; "
        "give the folder of its four idx-ubyte files"
    )
    image_folder(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError) as caught:
        read_images("mnist", tmp_path)
    assert str(caught.value) == (
        f"--data-dir: there is no t10k-labels-idx1-ubyte in '{tmp_path}', packed or not; "
        "give the folder with all four idx-ubyte files"
    )


def test_labels_that_do_not_fit_the_images(tmp_path: Path) -> None:
    short = image_folder(tmp_path, t10k_labels_idx1_ubyte=np.zeros(3))
    with pytest.raises(UserError, match="there are 3 labels for the 4 images of t10k-images-idx3"):
        read_images("mnist", short)


WHOLE = idx_bytes(np.zeros((2, 3, 4)))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "this is not an IDX file"),
        (WHOLE[:15], "this is not an IDX file"),
        (b"\0\0\x0a\x03" + WHOLE[4:], "this is not an IDX file"),
        (b"\0\0\x0d\x03" + WHOLE[4:], "the header says 2 x 3 x 4 values, of 4 bytes each, but"),
        (b"\0\0\x08\0", "this is not an IDX file"),
        (b"\0\0\x08\xff" + WHOLE, "this is not an IDX file"),
        (b"\x89PNG" + WHOLE[4:], "this is not an IDX file"),
        (WHOLE[:-1], "the header says 2 x 3 x 4 values, but the file holds 23 bytes"),
        (WHOLE + b"\0", "the header says 2 x 3 x 4 values, but the file holds 25"),
        (b"\0\0\x08\x03" + b"\xff" * 36, "the header says 4294967295 x 4294967295 x 4294967295"),
        (idx_bytes(np.zeros((0, 3, 4))), "the header says 0 x 3 x 4 values, but the file holds 0"),
    ],
)
def test_a_wrong_idx_file(tmp_path: Path, content: bytes, error: str) -> None:
    file = tmp_path / "x-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_idx(file, "--data-dir")
    assert str(caught.value).startswith(f"{file}: {error}")


def test_a_damaged_idx_archive(tmp_path: Path) -> None:
    file = tmp_path / "x-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(WHOLE)[:-4])
    with pytest.raises(UserError, match=r"x-idx3-ubyte\.gz: the gzip data is damaged; "):
        read_idx(file, "--data-dir")


@pytest.mark.parametrize("size", [1e-200, 1e-5, 1.0, 1e5, 1e200, 1e300])
@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_no_column_is_too_large_or_small_to_be_scaled(size: float, scale: Scale) -> None:
    x = size * np.random.default_rng(0).random((50, 2))
    data = prepare(x, np.zeros(50), 0.2, scale, np.random.default_rng(1))
    plain = prepare(x / size, np.zeros(50), 0.2, scale, np.random.default_rng(1))
    np.testing.assert_allclose(data.train["x"], plain.train["x"], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(data.test["x"], plain.test["x"], rtol=1e-12, atol=1e-12)
