"""Files as people have them: what is found in them, what is said, and the option that helps."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch

from gdcli.datasets import matrices
from gdcli.datasets.cells import collected
from gdcli.datasets.reading import Reading, read_file
from gdcli.datasets.split import Scale, prepare
from gdcli.datasets.tabular import Source
from gdcli.engine.examples import notes_of
from gdcli.errors import UserError
from gdcli.fields import settings_of, show
from gdcli.problems.cnn import Cnn
from gdcli.problems.linear_regression import LinearRegression
from gdcli.problems.logistic_regression import LogisticRegression
from gdcli.problems.matrix_factorization import MatrixFactorization
from gdcli.problems.softmax_regression import SoftmaxRegression
from tests.grids import experiment

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.experiment.experiment import Experiment
    from gdcli.problem import Array


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def write(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def read(file: Path, target: str = "y", **options: Any) -> tuple[list[Any], list[Any], list[str]]:
    """Return features, target and what was said of a file."""
    with collected() as lines:
        x, y = Source("", file, target, **options).measured()
    return x.tolist(), y.tolist(), [line.replace(str(file), "FILE") for line in lines]


TABLE = [[1.5, 2.0], [3.0, 4.25], [-5.0, 6.0]], [0.5, 1.5, 2.5]
SO = "FILE is read as follows: "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,y\n1.5,2,0.5\n3,4.25,1.5\n-5,6,2.5\n", []),
        ("\ufeffa,b,y\r\n1.5,2,0.5\r\n\r\n3,4.25,1.5\r\n   \r\n-5,6,2.5\r\n\t\r\n", []),
        ("a;b;y\n1.5;2;0.5\n3;4.25;1.5\n-5;6;2.5\n", [SO + "semicolons between columns"]),
        (
            "a;b;y\n1,5;2;0,5\n3;4,25;1,5\n-5;6;2,5\n",
            [SO + "semicolons between columns; the decimal sign is a comma"],
        ),
        (
            'a,b,y\n"1,5",2,"0,5"\n3,"4,25","1,5"\n-5,6,"2,5"\n',
            [SO + "the decimal sign is a comma"],
        ),
        ("a\tb\ty\n1.5\t2\t0.5\n3\t4.25\t1.5\n-5\t6\t2.5\n", [SO + "tabs between columns"]),
        (" a  b\ty\n1.5  2 0.5\n 3  4.25 1.5\n-5   6 2.5\n", [SO + "blanks between columns"]),
        ("sep=;\na;b;y\n1.5;2;0.5\n3;4.25;1.5\n;;\n-5;6;2.5\n;;\n", []),
        ("'a','b','y'\n1.5,2,0.5\n3,4.25,1.5\n-5,6,2.5\n", [SO + "cells in single quotes"]),
        (
            "# made on Monday\n#\na,b,y\n1.5,2,0.5\n3,4.25,1.5\n# half\n-5,6,2.5\n",
            [SO + "lines that begin with # are comments"],
        ),
    ],
)
def test_how_a_file_is_written_is_found_and_told(
    tmp_path: Path, text: str, said: list[str]
) -> None:
    assert read(write(tmp_path, text)) == (*TABLE, said)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_marks_of_byte_order_tell_the_encoding(tmp_path: Path, encoding: str) -> None:
    file = write(tmp_path, "a,b,ÿ\n1.5,2,0.5\n3,4.25,1.5\n-5,6,2.5\n".encode(encoding))
    assert read(file, "ÿ") == (*TABLE, [f"{SO}the encoding {encoding}"])


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a^b^y\n1.5^2^0.5\n3^4.25^1.5\n-5^6^2.5\n", {"separator": "^"}),
        ("1.5,2,0.5\n3,4.25,1.5\n-5,6,2.5\n", {"header": False, "target": "2"}),
        ("1,5;2;0,5\n3;4,25;1,5\n-5;6;2,5\n", {"decimal": ",", "header": False, "target": "2"}),
        ("made,by,me\n\na,b,y\n1.5,2,0.5\n3,4.25,1.5\n-5,6,2.5\n", {"skip_rows": 1}),
        ("a,b,y % units\n1.5,2,0.5 % one\n% two\n3,4.25,1.5\n-5,6,2.5\n", {"comment": "%"}),
        ("a,b,\xff\n1.5,2,0.5\n3,4.25,1.5\n-5,6,2.5\n", {"encoding": "latin-1", "target": "ÿ"}),
        ("a,id,b,y\n1.5,k,2,0.5\n3,,4.25,1.5\n-5,k,6,2.5\n", {"drop": "id"}),
        ("a,id,b,id,y\n1.5,k,2,1,0.5\n3,,4.25,2,1.5\n-5,k,6,3,2.5\n", {"drop": "id"}),
        ("a,b,y,z,\n1.5,2,0.5,1,\n3,4.25,1.5,2,0\n-5,6,2.5,3,\n", {"drop": "Unnamed: 4,z"}),
        ("a,b,y\n1.5,2,0.5\n1,,1\n3,4.25,1.5\n,1,1\n-5,6,2.5\n1,2,NA\n", {"missing": "drop"}),
        ("a;b;y\n1.5;2;0.5\n3;4.25;1.5\n-5;6;2.5\n", {"thousands": ","}),
    ],
)
def test_an_option_says_it(tmp_path: Path, text: str, options: dict[str, Any]) -> None:
    given = {"target": "y", **options}
    file = write(tmp_path, text.encode(options.get("encoding", "utf-8")))
    assert read(file, **given)[:2] == TABLE


def test_numbers_with_signs_of_all_kinds(tmp_path: Path) -> None:
    german = write(tmp_path, "a;y\n1.234,5;1\n2.000;2\n3,25;3\n", "german.csv")
    assert read(german, decimal=",", thousands=".")[0] == [[1234.5], [2000], [3.25]]
    english = write(tmp_path, 'a,y\n"1,234.5",1\n"2,000",2\n3.25,3\n', "english.csv")
    assert read(english, thousands=",")[0] == [[1234.5], [2000], [3.25]]
    french = write(tmp_path, "a;y\n1\u202f234,5;1\n2 000;2\n3,25;3\n", "french.csv")
    assert read(french, decimal=",", thousands="blank")[0] == [[1234.5], [2000], [3.25]]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "5.1,3.5,setosa\n4.9,3.0,virginica\n",
            "FILE:1: the first row holds numbers, not names; g",
        ),
        (
            "39,State-gov,13,x\n50,Private,9,y\n",
            "FILE:1: the first row holds numbers, not names; g",
        ),
        (
            "1,2\n3,4\n",
            "FILE:1: the first row holds numbers, not names; give --no-header, by which",
        ),
        (
            "NA,0.5,a\n1,2,b\n",
            "FILE:1: the first row holds numbers, not names; give --no-header, b",
        ),
        ("a,b,y,\n1,2,3,4\n", "FILE:1: column 4 has no name; name it, or give --drop 'Unnamed: 3'"),
        ("a,b,y\n1,2,3,4\n4,5,6,\n", "FILE:2: values in the row: 4, columns in the header: 3; gi"),
        ("a,a,y\n1,2,3\n", "FILE:1: two columns are named 'a'; rename one, or give --drop 'a', "),
        ("a,y\n2023_05,1\n", "FILE:2: '2023_05' in column 'a' is not a number; give --categorica"),
        ("a,y\n\uff11,1\n", "FILE:2: '\uff11' in column 'a' is not a number; write it as 1, or "),
        (
            "a,y\n2023-05-01,1\n",
            "FILE:2: '2023-05-01' in column 'a' is not a number; make a date or",
        ),
        (
            "a,y\nTrue,1\n",
            "FILE:2: 'True' in column 'a' is not a number; give --categorical 'a' to ",
        ),
        ('a,y\n"1,234",1\n', "FILE:2: '1,234' in column 'a' is not a number; give --thousands , o"),
        (
            "a,y\n1,\n",
            "FILE:2: the value of column 'y' is missing; fill it in, take out the row, o",
        ),
        (
            "a\0,y\n1,2\n",
            "FILE:1: there is a zero byte, which no text has; give a text file, or it",
        ),
    ],
)
def test_what_cannot_be_known_names_what_to_give(tmp_path: Path, text: str, error: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(UserError) as caught:
        read(file)
    assert str(caught.value).startswith(error.replace("FILE", str(file)))


def test_names_that_are_a_count_are_names(tmp_path: Path) -> None:
    file = write(tmp_path, "0,1,2,y\n5,6,7,a\n7,8,9,b\n")
    assert read_file(file).columns == ("0", "1", "2", "y")
    file = write(tmp_path, "2000,2010,y\n5,6,a\n7,8,b\n")
    with pytest.raises(UserError, match="or --header, if they are names"):
        read_file(file)
    assert Source("", file, "y", header=True).classified()[0].tolist() == [[5, 6], [7, 8]]


def test_a_column_that_is_an_index_is_told(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": range(20), "k": rng().permutation(20), "a": rng().random(20)})
    frame["y"] = rng().random(20)
    frame.to_csv(tmp_path / "named.csv", index=False)
    _, _, said = read(tmp_path / "named.csv")
    assert said == [
        "FILE: column 'n' rises from row to row, like an index; --drop 'n' leaves it out",
        "FILE: column 'k' has each number of a range once, like an index; --drop 'k' leaves it out",
    ]
    assert read(tmp_path / "named.csv", drop="n,k")[2] == []
    frame[["a", "y"]].to_csv(tmp_path / "unnamed.csv")
    x, _, said = read(tmp_path / "unnamed.csv")
    assert x == frame[["a"]].to_numpy().tolist()
    assert said == ["FILE: the first column has no name, and is read as an index, not as a feature"]
    frame[["a", "y"]].set_index([frame["n"], frame["k"]]).to_parquet(tmp_path / "p.parquet")
    x, _, said = read(tmp_path / "p.parquet")
    assert x == frame[["a"]].to_numpy().tolist()
    assert said == ["FILE: 'n', 'k' are read as an index, not as a feature"]


def test_integers_that_are_too_large_are_told(tmp_path: Path) -> None:
    values = np.array([2**53 + 1, 5, 7])
    said = "FILE: column 'a' holds integers beyond 2^53, such as 9007199254740993, which float"
    frame = pd.DataFrame({"a": values, "b": [0.1, 0.2, 0.7], "y": [0, 1, 0]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert read(tmp_path / "t.csv")[2][0].startswith(said)
    frame.to_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet")[2][0].startswith(said)
    arrays: dict[str, Any] = {str(name): frame[name].to_numpy() for name in frame}
    np.savez(tmp_path / "t.npz", **arrays)
    assert read(tmp_path / "t.npz")[2][0].startswith(said)


def test_a_class_may_be_called_na(tmp_path: Path) -> None:
    file = write(tmp_path, "a,y\n1,EU\n2,NA\n3,none\n4,EU\n")
    with collected() as lines:
        _, classes = Source("", file, "y").classified()
    assert classes.names == ("EU", "NA", "none")
    assert classes.places.tolist() == [0, 1, 2, 0]
    assert list(lines) == [f"{file}: in column 'y' 'NA' and 'none' are read as names"]
    write(tmp_path, "a,y\n1,0\n2,NA\n3,1\n")  # of numbers, NA is none
    with pytest.raises(UserError, match=r"t\.csv:3: the value of column 'y' is missing"):
        Source("", file, "y").classified()


CATEGORIES = "c,x,y\nred,1,0\nblue,2,1\nred,3,0\ngreen,4,1\nblue,5,1\nred,6,0\n"


@pytest.mark.parametrize("given", ["auto", "c"])
def test_categories_become_columns_of_those_that_train(tmp_path: Path, given: str) -> None:
    x, y = Source("", write(tmp_path, CATEGORIES), "y", categorical=given).measured()
    with collected() as lines:
        data = prepare(x, y, 0.34, "none", np.random.default_rng(3))
    train = [list("rbrgbr")[int(i) - 1] for i in data.train["x"][:, -1]]
    known = sorted({*train})
    for part in (data.train["x"], data.test["x"]):
        for row in part:
            colour = list("rbrgbr")[int(row[-1]) - 1]
            assert row[:-1].tolist() == [float(colour == name) for name in known]
    strangers = {"r", "b", "g"} - {*train}
    assert len(lines) == (1 if strangers else 0)


def test_a_mean_is_that_of_the_training_part(tmp_path: Path) -> None:
    file = write(
        tmp_path, "a,b,y\n" + "".join(f"{i if i % 3 else ''},{i},{i}\n" for i in range(12))
    )
    x, y = Source("", file, "y", missing="mean").measured()
    data = prepare(x, y, 0.25, "none", rng())
    there = [i for i in data.train["y"] if i % 3]
    for part in (data.train, data.test):
        expected = [i if i % 3 else np.mean(there) for i in part["y"]]
        np.testing.assert_allclose(part["x"][:, 0], expected)
        np.testing.assert_array_equal(part["x"][:, 1], part["y"])
    parquet = pd.read_csv(file).to_parquet(tmp_path / "p")
    assert parquet is None
    again = prepare(
        *Source("", tmp_path / "p", "y", missing="mean").measured(), 0.25, "none", rng()
    )
    np.testing.assert_array_equal(again.train["x"], data.train["x"])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"drop": "z"}, "--drop: FILE has no column 'z'; its columns are c, x, y"),
        ({"drop": "y"}, "--drop: 'y' is the column to predict; leave it out, or name another --ta"),
        ({"drop": "x,"}, "--drop: there is an empty name in the list; remove the extra comma"),
        ({"drop": "c,x"}, "--data: FILE has no column besides 'y' and those dropped; give a file"),
        ({"categorical": "z"}, "--categorical: FILE has no column 'z'; its columns are c, x, y"),
        (
            {"categorical": "y"},
            "--categorical: 'y' is not a feature: it is the target, or dropped; l",
        ),
        (
            {"separator": "ab"},
            "--separator: 'ab' is not a single character; give one, or a word: tab",
        ),
        ({"separator": ""}, "--separator: '' is not a single character; give one, or a word: tab"),
        ({"encoding": "utf-88"}, "--encoding: there is no encoding 'utf-88'; give an encoding su"),
        ({"encoding": "base64"}, "--encoding: there is no encoding 'base64'; give an encoding su"),
        ({"comment": " "}, "--comment: it is empty; give a mark such as #"),
        ({"decimal": ",", "thousands": ","}, "--thousands: ',' is also the decimal sign; give two"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, Any], error: str) -> None:
    file = write(tmp_path, CATEGORIES)
    with pytest.raises(UserError) as caught:
        Source("", file, "y", **options).measured()
    assert str(caught.value).startswith(error.replace("FILE", str(file)))


@pytest.mark.parametrize("name", ["separator", "drop", "categorical", "encoding", "comment"])
def test_an_option_needs_its_file(name: str) -> None:
    option = rf"^--{name}: it is about a file, but there is no --data; add --data"
    for problem in (LinearRegression, SoftmaxRegression, Cnn, MatrixFactorization):
        with pytest.raises(UserError, match=option):
            problem(**{name: "auto"})  # type: ignore[arg-type]


def test_options_that_are_not_given_change_no_identity(tmp_path: Path) -> None:
    file = write(tmp_path, CATEGORIES)
    plain = settings_of(LinearRegression(data=file, target="y"))
    assert plain.keys().isdisjoint(Reading.__dataclass_fields__)
    assert settings_of(LinearRegression(data=file, target="y", drop="c")) == {**plain, "drop": "c"}


def archive(member: str, content: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("folder/", b"")
        file.writestr(member, content)
        file.writestr("__MACOSX/._x", b"junk")
    return held.getvalue()


def tar(content: bytes) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as file:
        info = tarfile.TarInfo("t.csv")
        info.size = len(content)
        file.addfile(info, io.BytesIO(content))
    return held.getvalue()


PLAIN = b"a,b,y\n1.5,2,0.5\n3,4.25,1.5\n-5,6,2.5\n"


@pytest.mark.parametrize("name", ["t.csv", "t", "t.gz", "t.parquet", "t.xlsx"])
@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        gzip.compress(PLAIN, mtime=0),
        bz2.compress(PLAIN),
        lzma.compress(PLAIN),
        lzma.compress(PLAIN, lzma.FORMAT_ALONE),
        archive("x", PLAIN),
    ],
    ids=["plain", "gzip", "bzip2", "xz", "lzma", "zip"],
)
def test_what_is_packed_is_known_by_its_content(tmp_path: Path, name: str, content: bytes) -> None:
    assert read(write(tmp_path, content, name)) == (*TABLE, [])


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, lzma.compress, lambda b: archive("m", b)],
    ids=["gzip", "xz", "zip"],
)
def test_other_formats_may_be_packed_too(tmp_path: Path, pack: Any) -> None:
    x, y = np.array(TABLE[0]), np.array(TABLE[1])
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y})
    frame.to_parquet(tmp_path / "p")
    np.save(tmp_path / "m.npy", np.column_stack([x, y]))
    np.savez(tmp_path / "m.npz", x=x, y=y)
    for name, target in (("p", "y"), ("m.npy", "2"), ("m.npz", "y")):
        file = write(tmp_path, pack((tmp_path / name).read_bytes()), "packed")
        assert read(file, target)[:2] == TABLE
    file = write(tmp_path, pack((tmp_path / "m.npy").read_bytes()), "packed.npy")
    with pytest.raises(UserError, match=r"^--stream: .* cannot be read in parts"):
        LinearRegression(data=file, target="2", stream=True)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            b"\x89HDF\r\n\x1a\n" + bytes(99),
            "it is an HDF5 file, which gdcli does not read; open it with pan",
        ),
        (pickle.dumps([1, 2]), "it is a pickle, which can run any program when it is read; open"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "it is a workbook of Excel's before 2007, which gdc",
        ),
        (
            b"\0\0\x08\x03" + bytes(40),
            "it is an IDX file, but its name does not lead to the file of",
        ),
        (
            b"\x89PNG\r\n\x1a\n",
            "it is an image, which gdcli does not read; put images and their classes",
        ),
        (b"\xff\xd8\xff\xe0", "it is an image, which gdcli does not read"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "it is an image, which gdcli does not read"),
        (b"BM\x9a\0\0\0\0\0\0\0\x36\0\0\0", "it is an image, which gdcli does not read"),
        (
            b"\x28\xb5\x2f\xfd" + bytes(20),
            "it is packed with zstd, which gdcli does not read; unpack it",
        ),
        (b"SQLite format 3\0", "it is an SQLite database, which gdcli does not read"),
        (
            b"<!DOCTYPE html><html>",
            "it is a web page, which gdcli does not read; fetch the file itself",
        ),
        (
            b'{"a": [1, 2]}',
            "it is JSON, which gdcli does not read; open it with pandas, and save it as CSV",
        ),
        (tar(PLAIN), "it is a tar archive, which gdcli does not read; unpack it"),
        (
            gzip.compress(tar(PLAIN), mtime=0),
            "it is a tar archive, which gdcli does not read; unpack it",
        ),
        (
            gzip.compress(gzip.compress(PLAIN, mtime=0), mtime=0),
            "it is packed twice, which gdcli does not read; unpack it",
        ),
        (archive("a.csv", PLAIN)[:-30], "the zip data is damaged; download or compress it again"),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.npy"])
def test_what_is_no_table_is_refused_by_its_name(
    tmp_path: Path, content: bytes, error: str, name: str
) -> None:
    file = write(tmp_path, content, name)
    with pytest.raises(UserError) as caught:
        read_file(file)
    assert str(caught.value).startswith(f"{file}: {error}")


def test_an_archive_of_several_files(tmp_path: Path) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as packed:
        for name in ("a.csv", "b.csv", "c.txt", "d.txt"):
            packed.writestr(name, PLAIN)
    file = write(tmp_path, held.getvalue(), "t.zip")
    with pytest.raises(UserError) as caught:
        read_file(file)
    what = f"{file}: it is a zip archive of 4 files: 'a.csv', 'b.csv', 'c.txt', ...; unpack it"
    assert str(caught.value).startswith(what)


def test_a_file_of_torch_is_not_unpickled(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(3)}, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"a\.pt: it is a file of PyTorch.*, which can run any "):
        read_file(tmp_path / "a.pt")


def test_libsvm_is_known_by_its_lines(tmp_path: Path) -> None:
    file = write(tmp_path, b"# made\n1 1:0.5 3:2\n-1 qid:4 2:1e-3 # one\n", "t.txt")
    x, classes = Source("", file).classified()
    assert x.tolist() == [[0.5, 0, 2], [0, 1e-3, 0]]
    assert classes.names == ("-1", "1")
    assert Source("", file, "label").measured()[1].tolist() == [1, -1]
    with pytest.raises(UserError, match=r":1: '1_0' is not a finite number; "):
        read_file(write(tmp_path, b"1 1:1_0\n", "t.svm"))
    with pytest.raises(UserError, match=r":1: the label 9007199254740993 is more than 2\^53, too"):
        read_file(write(tmp_path, b"9007199254740993 1:1\n", "t.svm"))


def test_options_of_text_are_for_text(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.ones((3, 3)))
    with pytest.raises(UserError, match=r"^--separator: .*m\.npy' is a \.npy file, which does not"):
        Source("", tmp_path / "m.npy", "0", separator=";").measured()


def test_excel_is_read_as_a_table_of_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "book.bin"
    frame = pd.DataFrame({"a": [1.5, 3, -5], "b": [2, 4.25, 6], "y": [0.5, 1.5, 2.5]})
    with pd.ExcelWriter(tmp_path / "b.xlsx") as book:
        frame.to_excel(book, sheet_name="one", index=False, startrow=2)
        frame.to_excel(book, sheet_name="two")
    (tmp_path / "b.xlsx").rename(file)
    assert read(file) == (*TABLE, ["FILE is read as follows: its sheet 'one'"])
    frame.loc[1, "a"] = np.nan
    frame.to_excel(tmp_path / "b.xlsx", index=False)
    with pytest.raises(UserError, match=r"b\.xlsx:3: the value of column 'a' is missing; fill it"):
        read(tmp_path / "b.xlsx")
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(UserError) as caught:
        read(file)
    what = (
        f"--data: {show(str(file))} is an Excel workbook, and openpyxl is not installed; "
        "install gdcli[excel], "
    )
    assert str(caught.value).startswith(what)


def test_a_damaged_workbook(tmp_path: Path) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("xl/workbook.xml", b"none")
        file.writestr("[Content_Types].xml", b"none")
    with pytest.raises(UserError, match="it begins like an Excel workbook, but openpyxl cannot "):
        read_file(write(tmp_path, held.getvalue(), "b.xlsx"))


def test_a_table_of_very_many_columns(tmp_path: Path) -> None:
    values = rng().integers(0, 9, (5, 20_000))
    frame = pd.DataFrame(values, columns=[f"c{i}" for i in range(20_000)])
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        x, y = Source("", tmp_path / name, "c7").measured()
        np.testing.assert_array_equal(x, np.delete(values, 7, axis=1))
        np.testing.assert_array_equal(y, values[:, 7])


@pytest.mark.parametrize("missing", ["error", "drop"])
@pytest.mark.parametrize("classes", [True, False])
def test_a_file_in_parts_is_the_file_as_a_whole(
    tmp_path: Path, missing: str, *, classes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrices, "CELLS_AT_A_TIME", 40)
    kinds = ["NA"] * 40 + ["a", "b"] * 30 if classes else list(range(100))
    rows = [
        f"{i},{'' if missing == 'drop' and i % 7 == 3 else i * i};{k}" for i, k in enumerate(kinds)
    ]
    file = write(tmp_path, "id;v;y\n" + "\n".join(rows).replace(",", ";") + "\n")
    problem: Any = LogisticRegression if classes else LinearRegression
    if classes:
        file.write_text(file.read_text().replace(";b\n", ";a\n"))
    given = {"data": file, "target": "y", "missing": missing, "drop": "id"}
    whole, parts = (problem(**given, stream=stream).load(rng()) for stream in (False, True))
    for one, other in ((whole.train, parts.train), (whole.test, parts.test)):
        np.testing.assert_allclose(np.asarray(other["x"]), one["x"], rtol=1e-12)
        np.testing.assert_array_equal(other["y"], one["y"])


def test_what_is_learnt_of_a_part_is_not_streamed(tmp_path: Path) -> None:
    file = write(tmp_path, CATEGORIES)
    with pytest.raises(
        UserError, match="--stream: --stream cannot compute means or categories of the whole file"
    ):
        LinearRegression(data=file, target="y", categorical="auto", stream=True)
    assert not LinearRegression(data=file, target="y", missing="mean").streams


@pytest.mark.parametrize("scale", ["standard", "minmax", "none"])
@pytest.mark.parametrize("noise", [0.0, 1e-16, 2e-15])
@pytest.mark.parametrize("value", [0.3, 1e9 / 7, 1e-200, -5e280])
def test_a_column_that_is_constant_but_for_rounding_is_only_moved(
    tmp_path: Path, scale: Scale, noise: float, value: float
) -> None:
    x = np.column_stack([value * (1 + noise * rng().standard_normal(60)), rng().random(60)])
    np.save(tmp_path / "m.npy", x)
    given: dict[str, Any] = {"data": tmp_path / "m.npy", "target": "1", "scale": scale}
    whole, parts = (LinearRegression(**given, stream=s).load(rng()) for s in (False, True))
    for data in (whole, parts):
        for part in (data.train, data.test):
            moved = np.asarray(part["x"])[:, 0]
            expected = value if scale == "none" else 0.0
            np.testing.assert_allclose(moved, expected, rtol=1e-13, atol=1e-12)
    x[:, 0] = value * (1 + 1e-10 * rng().standard_normal(60))  # what is no rounding is a feature
    np.save(tmp_path / "m.npy", x)
    if scale == "standard":
        for stream in (False, True):
            data = LinearRegression(**given, stream=stream).load(rng())
            assert np.asarray(data.train["x"]).std() == pytest.approx(1)


def noted(problem: str, options: dict[str, str], **grid: str) -> list[str]:
    made: Experiment = experiment(problem, options, **grid)
    return notes_of(made.grid.trials)


def test_a_class_that_no_training_example_has_is_told(tmp_path: Path) -> None:
    rows = "".join(f"{i * 7 % 11},{'rare' if i == 5 else 'usual'}\n" for i in range(20))
    file = write(tmp_path, f"a,y\n{rows}")
    said = [
        ["there is no training example of the class 'rare'; --stratify splits each class"],
        ["there is no test example of the class 'rare'"],  # of one example no split helps
    ]
    for problem in ("logistic-regression", "softmax-regression", "mlp"):
        told = [
            noted(problem, {"data": str(file), "target": "y"}, data_seed=str(seed))
            for seed in range(12)
        ]
        assert all(lines in said for lines in told)
        assert all(lines in told for lines in said)


def test_a_class_that_no_test_example_has_is_told(tmp_path: Path) -> None:
    rows = "".join(f"{i * 7 % 11},{'rare' if i in (5, 6) else 'usual'}\n" for i in range(40))
    given = {"data": str(write(tmp_path, f"a,y\n{rows}")), "target": "y"}
    said = "there is no test example of the class 'rare'; --stratify splits each class"
    told = [noted("svm", given, data_seed=str(seed)) for seed in range(12)]
    assert [said] in told
    assert [] in told
    kept = [noted("svm", {**given, "stratify": "true"}, data_seed=str(s)) for s in range(4)]
    assert kept == [[]] * 4


COLOURED: list[tuple[tuple[int, ...], tuple[int, ...] | None]] = [
    ((8, 8, 4), (4, 8, 8)),
    ((8, 8, 2), (2, 8, 8)),
    ((4, 8, 8), (4, 8, 8)),
    ((3, 8, 4), (3, 8, 4)),
    ((4, 8, 3), (3, 4, 8)),
    ((13, 8, 8), (13, 8, 8)),
    ((8, 8, 13), (13, 8, 8)),
    ((8, 9, 13), None),
    ((8, 8, 8), None),
]


@pytest.mark.parametrize(("shape", "expected"), COLOURED)
def test_the_axis_of_the_colours(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...] | None
) -> None:
    images: Array = rng().random((10, *shape))
    np.savez(tmp_path / "i.npz", images=images, kind=np.arange(10) % 2)
    problem = Cnn(data=tmp_path / "i.npz", target="kind", channels=(2,))
    if expected is None:
        sizes = " x ".join(map(str, shape))
        with pytest.raises(UserError, match=f"the images have the shape {sizes}, and no axis can"):
            problem.load(rng())
    else:
        assert problem.load(rng()).train["x"].shape == (8, *expected)


def test_a_wrong_row_is_named_by_its_place_though_others_are_dropped(tmp_path: Path) -> None:
    x = np.arange(20.0)
    x[[2, 5]], x[9] = np.nan, np.inf
    y = np.arange(20) % 2
    np.savez(tmp_path / "t.npz", x=x, y=y)
    pd.DataFrame({"x": x, "y": y}).to_parquet(tmp_path / "t.parquet")
    for name in ("t.npz", "t.parquet"):
        source = Source("", tmp_path / name, "y", missing="drop")
        with pytest.raises(UserError, match="row 9, counted from 0, holds inf"):
            source.classified()


def test_a_row_of_several_lines_is_named_by_the_first(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,b,y\n1,"x\n\nz",1\nodd,"x\ny",2\n')
    with pytest.raises(UserError, match=r"t\.csv:5: 'odd' in column 'a' is not a number"):
        Source("", tmp_path / "t.csv", "y", categorical="b").measured()
