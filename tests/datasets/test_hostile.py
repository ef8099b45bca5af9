"""Files made to harm: refused in one line, nothing executed, and no memory taken for them."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gdcli.datasets import contents
from gdcli.datasets.reading import read_file
from gdcli.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

LITTLE = 40 * 10**6  # bytes that reading may take of a file that stands for gigabytes


class Trap:
    """What runs a program when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < LITTLE
    finally:
        tracemalloc.stop()


def refused(file: Path, error: str) -> None:
    """Assert that a file is refused with one line that starts so, and in little memory."""
    with little_memory(), pytest.raises(UserError) as caught:
        read_file(file)
    assert str(caught.value).startswith(error.replace("FILE", str(file))), caught.value


def header(shape: str, descr: str = "'<f8'") -> bytes:
    """Return the header of an .npy file that says what it is told to."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def test_pickled_objects_are_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    objects = np.array([[Trap(marker), 1]], dtype=object)
    np.save(tmp_path / "o.npy", objects)
    np.savez(tmp_path / "o.npz", x=objects, y=np.ones(1))
    (tmp_path / "p.npz").write_bytes(pickle.dumps(Trap(marker)))
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Trap(marker)))
    refused(tmp_path / "o.npy", "FILE: it holds pickled Python objects, which can run any prog")
    refused(tmp_path / "o.npz", "FILE: 'x' holds pickled Python objects, which can run any p")
    refused(tmp_path / "p.npz", "FILE: it is a pickle, which can run any program when it is ")
    refused(tmp_path / "p.npy", "FILE: it is a pickle, which can run any program when it is ")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (header("(10000000, 1000000)") + b"0" * 64, "the header says 10000000 x 1000000 of float6"),
        (
            header("(4, 3)") + b"0" * 95,
            "the header says 4 x 3 of float64, but the file holds 95 bytes",
        ),
        (
            header("(4, 3)") + b"0" * 97,
            "the header says 4 x 3 of float64, but the file holds 97 bytes",
        ),
        (
            header("(-4, -3)") + b"0" * 96,
            "the header says -4 x -3 of float64, but the file holds 96",
        ),
        (header("(4, 3)", "'|V8'") + b"0" * 96, "its array holds |V8, not numbers"),
        (
            header("(4, 3)", "__import__('os').mkdir('x')"),
            "it does not begin with the header of an array",
        ),
        (
            header("(4, 3)", "'<f8' " + "+ '' " * 3000),
            "it does not begin with the header of an array",
        ),
        (
            b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"{" * 99,
            "it does not begin with the header of an array",
        ),
        (b"\x93NUMPY\x09\x00", "it does not begin with the header of an array"),
        (b"\x93NUMPY", "it does not begin with the header of an array"),
        (header("(4, 3), ('''"), "it does not begin with the header of an array"),
        (header("((4, 3)"), "it does not begin with the header of an array"),
    ],
)
def test_a_lying_header_is_held_against_the_file(
    tmp_path: Path, content: bytes, error: str
) -> None:
    file = tmp_path / "lie.npy"
    file.write_bytes(content)
    refused(file, f"FILE: {error}")
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("x.npy", content)
    if "not numbers" not in error:  # which only a matrix is looked at for
        refused(tmp_path / "lie.npz", f"FILE: {error}")


def test_a_file_with_a_hole_of_8_terabytes_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "sparse.npy"
    start = header("(1000000, 1000000)")
    with file.open("wb") as stream:
        stream.write(start)
        stream.truncate(len(start) + 8 * 10**12)
    refused(file, "FILE: its values take 8TB, but only ")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.npz"
    rows = 15 * 10**6
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w") as member,
    ):
        member.write(header(f"({rows},)"))
        for _ in range(rows // 10**6):
            member.write(bytes(8 * 10**6))
    assert file.stat().st_size < 10**6
    refused(file, "FILE: its 11")
    with pytest.raises(UserError, match=r"unpack to 120MB or more, 200 times as much; unpack it "):
        read_file(file)


def test_an_archive_that_lies_about_its_members(tmp_path: Path) -> None:
    file = tmp_path / "lie.npz"
    np.savez(file, x=np.ones(9))
    raw = bytearray(file.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 20 : entry + 28] = struct.pack("<II", 2**31, 2**31)  # both sizes, 2 GiB
    file.write_bytes(raw)
    refused(file, "FILE: ")
    raw = bytearray(raw)
    raw[entry + 6] = 218  # the version of zip that it needs
    file.write_bytes(raw)
    refused(file, "FILE: it is not an .npz archive, or it is damaged; ")
    np.savez_compressed(file, x=np.ones(9))
    raw = bytearray(file.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 16] ^= 1  # the checksum
    file.write_bytes(raw)
    refused(file, "FILE: it is not an .npz archive, or it is damaged; ")
    for cut in (10, 60, len(raw) - 5):
        file.write_bytes(raw[:cut])
        refused(file, "FILE: it is not an .npz archive, or it is damaged; ")


@pytest.mark.parametrize("line", [b"0," * 999 + b"0\n", b"0"], ids=["rows", "one line"])
def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "bomb.csv.gz"
    with gzip.open(file, "wb") as stream:
        stream.write(b",".join(b"c%d" % i for i in range(1000)) + b"\n")
        for _ in range(22):
            stream.write(line * (10**6 // len(line)))
    assert file.stat().st_size < 100_000
    error = "FILE:2: the line has more than 16777216 characters; give a text file with a row on"
    if line.endswith(b"\n"):
        with pytest.raises(UserError, match=r"its [\d.]+kB unpack to 20MB or more, 200 times "):
            read_file(file)
    else:
        with pytest.raises(UserError) as caught:
            read_file(file)
        assert str(caught.value).startswith(error.replace("FILE", str(file)))


def test_what_takes_more_than_there_is_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = tmp_path / "huge.svm"
    huge.write_text("1 2000000000:1\n" * 9)
    refused(huge, "FILE: its values take 144GB, but only ")
    repeated = tmp_path / "repeated.parquet"
    parquet.write_table(pa.table({"a": np.zeros(10**6), "y": np.zeros(10**6)}), repeated)
    assert repeated.stat().st_size < 10**5
    monkeypatch.setattr(contents, "free", lambda: 10**7)
    refused(repeated, "FILE: its values take 32MB, but only 5MB of memory may be used; give fewer ")
    table = tmp_path / "table.csv"
    table.write_text("a,y\n" + "1,2\n" * 10**5)
    refused(table, "FILE: its values take ")


def test_a_file_without_an_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "free", lambda: 10**7)
    with pytest.raises(UserError, match=r"^--data: '/dev/zero' is a pipe or a device, which cann"):
        read_file(Path("/dev/zero"))


def test_no_name_leads_out_of_the_archive(tmp_path: Path) -> None:
    outside = tmp_path / "outside.npy"
    file = tmp_path / "inner" / "up.npz"
    file.parent.mkdir()
    values = header("(2,)") + bytes(16)
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("../outside.npy", f"{outside}", "y.npy"):
            archive.writestr(name, values)
    table = read_file(file)
    assert table.features("y").tolist() == [[0, 0], [0, 0]]
    assert table.columns[0] == "../outside"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["inner", "up.npz"]


EVIL = [
    "=HYPERLINK(0)",
    "\x1b[31mred\x1b]0;owned\x07",
    "[bold]x[/bold]",
    "<script>alert(1)</script>",
]


def gdcli(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gdcli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_labels_and_columns_are_shown_and_never_obeyed(tmp_path: Path) -> None:
    """As an error quotes them, as a run's files have them, and as the page shows them."""
    rows = [f'1{i},"{label}"' for i in range(4) for label in EVIL]
    (tmp_path / "e.csv").write_text("\n".join([f"{EVIL[3]},{EVIL[1]}", *rows]) + "\n")
    given = ["run", "softmax-regression", "--data", "e.csv", "--epochs", "2"]
    for target in ("nothing", EVIL[3]):
        done = gdcli(tmp_path, *given, "--target", target)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "\x1b" not in done.stderr + done.stdout
    done = gdcli(tmp_path, *given, "--target", EVIL[1], "--name", "evil", "--format", "table")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stderr + done.stdout
    done = gdcli(tmp_path, "report", "evil", "-o", "page.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.html").read_text()
    assert EVIL[3] not in page
    assert "\x1b" not in page
    curves = (tmp_path / "results/evil/curves.csv").read_text()
    assert "=" not in curves
    done = gdcli(tmp_path, "run", "linear-regression", "--data", "e.csv", "--target", EVIL[1])
    assert done.returncode == 2
    assert done.stderr.startswith("error: e.csv:2: '=HYPERLINK(0)' in column '\\x1b[31mred")


def test_a_column_of_markup_is_a_columns_name(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(f"a,{EVIL[2]}\n1,2\n2,3\n3,5\n4,4\n")
    given = ["run", "linear-regression", "--data", "e.csv", "--epochs", "2"]
    done = gdcli(tmp_path, *given, "--vary", f"target=a,{EVIL[2]}", "--name", "m")
    assert done.returncode == 0, done.stderr
    assert EVIL[2] in done.stdout


def test_a_file_that_waits_for_ever_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log").touch()

    def wait(*_: int) -> bytes:
        raise BlockingIOError

    monkeypatch.setattr(os, "read", wait)
    refused(tmp_path / "log", "--data: 'FILE' is a stream that may never end; ")
