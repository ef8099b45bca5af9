"""Sparse matrices: as scipy.sparse has them, from every format of file, and their errors."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.io
from scipy import sparse
from sklearn.datasets import load_svmlight_file
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from benchmarks.words import write_libsvm
from gdcli.datasets.cells import collected
from gdcli.datasets.reading import read_file
from gdcli.datasets.sparse import LARGE, Sparse, pays
from gdcli.datasets.split import scaled
from gdcli.errors import UserError
from gdcli.problems.linear_regression import LinearRegression
from gdcli.problems.mlp import Mlp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS, FEATURES = 400, 3000


def of(matrix: sparse.csr_matrix) -> Sparse:
    """Return a matrix of scipy's as one of gdcli's."""
    held = matrix.tocsr()
    return Sparse(held.data, held.indices, held.indptr.astype(np.int64), held.shape[1])


def drawn(rows: int = 60, columns: int = 40, seed: int = 0) -> sparse.csr_matrix:
    """Return a matrix with empty rows and columns."""
    rng = np.random.default_rng(seed)
    matrix = sparse.random(rows, columns, 0.1, "csr", rng=rng).tolil()
    matrix[3:6] = 0
    matrix[:, 7:9] = 0
    matrix[rows - 1] = 0
    return matrix.tocsr()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a LIBSVM file of mostly zeros."""
    file = tmp_path_factory.mktemp("sparse") / "words.svm"
    write_libsvm(file, ROWS, FEATURES, 20)
    return file


def test_rows_columns_and_products_are_those_of_scipy() -> None:
    matrix, rng = drawn(), np.random.default_rng(1)
    ours, dense = of(matrix), rng.standard_normal((40, 8))
    assert (ours.full() == matrix.toarray()).all()
    assert (Sparse.of(matrix.toarray()).full() == matrix.toarray()).all()
    for rows in (np.array([5, 59, 0, 0, 17]), rng.random(60) < 0.5, slice(4, 30), slice(9, 50, 7)):
        assert (ours[rows].full() == matrix.toarray()[rows]).all()
    np.testing.assert_allclose(ours.times(dense), matrix @ dense, rtol=1e-13, atol=1e-15)
    block = ours.block()
    whole = np.zeros((40, 60))
    whole[block.features] = block.within.toarray().T
    assert (whole == matrix.toarray().T).all()
    assert (ours.chosen(np.array([0, 8, 39])).full() == matrix.toarray()[:, [0, 8, 39]]).all()
    assert (ours.column(11) == matrix.toarray()[:, 11]).all()
    both = Sparse.side_by_side([ours, of(drawn(seed=2))])
    assert (both.full() == np.hstack([matrix.toarray(), drawn(seed=2).toarray()])).all()


def test_a_product_of_many_numbers_is_that_of_its_parts() -> None:
    """A product is computed some rows at a time, one of which may be longer than a part."""
    matrix = sparse.random(70, 5000, 0.3, "csr", rng=np.random.default_rng(0))
    dense = np.random.default_rng(1).standard_normal((5000, 64))
    found = of(matrix).times(dense)
    np.testing.assert_allclose(found, matrix @ dense, rtol=1e-11, atol=1e-12)
    assert (of(matrix).times(dense[:, 8:16].copy()) == found[:, 8:16]).all()


def test_entries_of_one_place_are_added_up_like_scipys() -> None:
    rows, columns, values = np.array([1, 0, 1]), np.array([2, 0, 2]), np.array([1.0, 2.0, 3.5])
    found = Sparse.from_entries(rows, columns, values, (2, 3))
    assert (found.full() == sparse.coo_matrix((values, (rows, columns)), (2, 3)).toarray()).all()
    assert found.size == 2


@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_sparse_features_are_divided_like_scikit_learns_and_not_moved(scale: str) -> None:
    matrix = drawn()
    theirs = StandardScaler(with_mean=False) if scale == "standard" else MaxAbsScaler()
    data = scaled({"x": of(matrix)}, {"x": of(drawn(seed=3))}, scale)  # type: ignore[arg-type]
    theirs.fit(matrix)
    for part, raw in ((data.train, matrix), (data.test, drawn(seed=3))):
        wanted = theirs.transform(raw).toarray()
        np.testing.assert_allclose(part["x"].full(), wanted, rtol=1e-12)
        assert part["x"].size == raw.nnz


def test_a_matrix_is_kept_sparse_from_a_size_and_a_share_of_zeros_on() -> None:
    assert pays(LARGE // 10, (LARGE // 64, 64))
    assert not pays(LARGE // 10 + 1, (LARGE // 64, 64))
    assert not pays(1, (LARGE // 64 - 1, 64))


def save(matrix: sparse.csr_matrix, file: Path) -> Path:
    """Write a matrix, whose last column is the target, in the format that a file's name says."""
    match file.suffixes:
        case [".npz"]:
            sparse.save_npz(file, matrix)
        case [".mtx"]:
            scipy.io.mmwrite(file, matrix)
        case [".mtx", ".gz"]:
            plain = file.with_suffix("")
            scipy.io.mmwrite(plain, matrix)
            file.write_bytes(gzip.compress(plain.read_bytes()))
    return file


@pytest.mark.parametrize("name", ["m.npz", "csc.npz", "coo.npz", "m.mtx", "m.mtx.gz"])
def test_every_format_has_the_examples_of_the_libsvm_file(
    text: Path, tmp_path: Path, name: str
) -> None:
    x, y = load_svmlight_file(str(text))
    joined = sparse.hstack([x, sparse.csr_matrix(y[:, None])]).tocsr()
    joined = {"csc.npz": joined.tocsc(), "coo.npz": joined.tocoo()}.get(name, joined)
    file = save(joined, tmp_path / name)
    rng = np.random.default_rng
    wanted = LinearRegression(data=text).load(rng(0))
    found = LinearRegression(data=file, target=str(FEATURES)).load(rng(0))
    for part in ("train", "test"):
        one, other = getattr(wanted, part), getattr(found, part)
        assert isinstance(other["x"], Sparse)
        assert (one["x"].full() == other["x"].full()).all()
        assert (one["y"] == other["y"]).all()


def test_arrays_beside_a_saved_matrix_have_their_names(text: Path, tmp_path: Path) -> None:
    x, y = load_svmlight_file(str(text))
    parts = {"data": x.data, "indices": x.indices, "indptr": x.indptr, "shape": x.shape}
    file = tmp_path / "named.npz"
    np.savez(file, format=b"csr", y=y, more=y + 1, **parts)
    with collected() as notes:
        found = LinearRegression(data=file, target="y", scale="none").load(np.random.default_rng(0))
    assert found.train["x"].shape == (320, FEATURES + 1)
    assert (found.train["x"].column(FEATURES) == found.train["y"][:, 0] + 1).all()
    entries = x.nnz + int((y != -1).sum())
    assert list(notes) == [
        f"{file}: {entries} of its 400 x 3001 features are not 0: they are kept sparse"
    ]


def test_only_linear_models_keep_a_file_sparse(text: Path) -> None:
    x = load_svmlight_file(str(text))[0].toarray()
    held = Mlp(data=text, scale="none", test_fraction=0).load(np.random.default_rng(0))
    assert isinstance(held.train["x"], np.ndarray)
    assert (held.train["x"] == x[held.order]).all()


def test_a_small_file_is_an_array_as_before(tmp_path: Path) -> None:
    file = tmp_path / "small.svm"
    write_libsvm(file, 50, 300, 10)
    x = load_svmlight_file(str(file))[0].toarray()
    data = LinearRegression(data=file, scale="none").load(np.random.default_rng(0))
    assert (data.train["x"] == x[data.order]).all()


def test_a_test_file_has_the_features_of_both(text: Path, tmp_path: Path) -> None:
    test = tmp_path / "test.svm"
    test.write_text("1 0:2.5 3001:1\n-1 7:0.5\n")
    data = LinearRegression(data=text, test_data=test, scale="none").load(np.random.default_rng(0))
    assert data.train["x"].shape == (ROWS, 3002)
    assert data.train["x"].column(0).any() == False  # noqa: E712 -- a bool of NumPy's
    assert (data.test["x"].full()[:, [0, 7, 3001]] == [[2.5, 0, 1], [0, 0.5, 0]]).all()


@pytest.mark.parametrize("kind", ["symmetric", "skew-symmetric", "pattern", "array", "integer"])
def test_matrix_market_is_read_as_scipy_reads_it(tmp_path: Path, kind: str) -> None:
    entries = {
        "symmetric": "coordinate real symmetric\n% a comment\n\n3 3 3\n1 1 2\n3 1 -1e-1\n3 2 .5\n",
        "skew-symmetric": "coordinate real skew-symmetric\n3 3 2\n2 1 2\n3 1 -1\n",
        "pattern": "coordinate pattern general\n2 3 2\n1 3\n 2 1 \n",
        "array": "array real general\n2 3\n1\n2\n3\n4\n5\n6.5",
        "integer": "coordinate integer general\r\n2 3 2\r\n2 3 7\r\n1 1 -4\r\n",
    }
    file = tmp_path / "m.mtx"
    file.write_bytes(f"%%MatrixMarket matrix {entries[kind]}".encode())
    wanted = scipy.io.mmread(file)
    table = read_file(file)
    dense = wanted if isinstance(wanted, np.ndarray) else wanted.toarray()
    assert (table.numbers(list(table.columns)) == dense).all()


HEAD = "%%MatrixMarket matrix coordinate real general\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1 2 3\n", "1: it does not begin with %%MatrixMarket"),
        ("%%MatrixMarket matrix coordinate complex general\n1 1 0\n", "1: 'complex' is not"),
        ("%%MatrixMarket matrix\n", "1: it is too short"),
        ("%%MatrixMarket matrix array real symmetric\n", "1: gdcli does not read an array"),
        (HEAD, "1: the numbers of rows and columns are missing"),
        (f"{HEAD}% why\n2 x 1\n", "3: '2 x 1' is not the number of rows, columns and entries"),
        (f"{HEAD}0 3 0\n", "2: a matrix of 0 x 3 has no examples"),
        (f"{HEAD}2 2 2\n1 1 0.5\n2 2\n", "4: '2 2' is not row column value"),
        (f"{HEAD}2 2 2\n1 1 0.5\n2 2 nan\n", "4: '2 2 nan' is not row column value"),
        (f"{HEAD}2 2 2\n\n1 1 0.5\n2 3 1\n", "5: there is no column 3"),
        (f"{HEAD}2 2 2\n0 1 0.5\n2 2 1\n", "3: there is no row 0"),
        (f"{HEAD}2 2 3\n1 1 0.5\n2 2 1\n", "4: the file ends after 2 entries of 3"),
        (f"{HEAD}2 2 1\n1 1 0.5\n2 2 1\n", "4: there are more than the 1 entries"),
        (
            HEAD.replace("general", "symmetric") + "2 3 1\n1 1 1\n",
            "2: a symmetric matrix is square",
        ),
    ],
)
def test_a_wrong_matrix_market_file_is_an_error_of_its_line(
    tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "m.mtx"
    file.write_text(content)
    with pytest.raises(UserError) as error:
        read_file(file)
    assert f"{file}:{said}" in str(error.value)


def spoilt(change: Callable[[dict[str, np.ndarray]], None], file: Path) -> Path:
    """Write a saved matrix with a change of its arrays."""
    sparse.save_npz(file, drawn())
    with np.load(file) as held:
        arrays = dict(held)
    change(arrays)
    np.savez(file, **arrays)
    return file


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.update(format=np.array(b"bsr")), "has the format 'bsr'"),
        (lambda a: a.update(indptr=a["indptr"][:-1]), "indptr of its sparse matrix is damaged"),
        (lambda a: a.update(indptr=a["indptr"][::-1]), "array indptr of its sparse matrix is"),
        (lambda a: a.update(shape=np.array([60, 4])), "a column index is 39, but"),
        (lambda a: a.update(shape=np.array([60])), "has the shape 60"),
        (lambda a: a.update(data=a["data"] * np.nan), "row 0, counted from 0, holds nan"),
        (lambda a: a.update(data=a["data"].astype(complex)), "complex128, not numbers"),
        (lambda a: a.update(indices=a["indices"] * 1.0), "its column indices are damaged"),
        (lambda a: a.update(y=np.ones(3)), "the array 'y' has 3 rows, the sparse matrix 60"),
    ],
)
def test_a_wrong_saved_matrix_is_an_error(
    tmp_path: Path, change: Callable[[dict[str, np.ndarray]], None], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        read_file(spoilt(change, tmp_path / "m.npz"))


@pytest.mark.parametrize("word", ["3:x", "2:1", "9", "5:inf", "5:1e999", "x:1", "4:1_0"])
def test_a_wrong_pair_is_an_error_of_its_line_among_plain_ones(tmp_path: Path, word: str) -> None:
    file = tmp_path / "wrong.svm"
    file.write_text(f"1 1:2 3:4\n-1 2:0.5 4:1 {word}\n")
    with pytest.raises(UserError, match=f"{file}:2"):
        read_file(file)
