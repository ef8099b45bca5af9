"""Files of every kind that gdcli reads, damaged anywhere, and what reads them.

`python -m tests.mutated_files --count 10000 --seed 0` damages that many files and folders. What
reads one may refuse it with an error of gdcli's; it may not raise anything else, end with another
exit code than 0, 1, 2 or 3, take more than 10 s or 1 GB, or write anything outside of its folder.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import lzma
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from gdcli.errors import GdcliError
from gdcli.experiment.toml import load
from tests.hostile_folders import BYTES, COMMANDS, SECONDS, Folder, made

LEAVE = os._exit  # before code of the user's own watches it
EACH = 50  # files that one process reads, unless it ends before
TEXT = (
    *(b"", b"nan", b"inf", b"1e999", b"-1", b"1_0", b"0x10", b"\xff", b"\xef\xbb\xbf", b"\0", b'"'),
    *(b"'", b'""', b"\r", b"\n", b"\r\n", b"\t", b";", b",", b"#", b"=1+1", b"\xe2\x80\xae", b" "),
    *(b"9" * 400, b"1e-400", b"\xed\xa0\x80", b"\x1b[2J", b"NA", b"a" * 5000, b"[" * 3000, b"{"),
    *(b"99999999999999999999", b"2:3", b"0:1", b"-0", b"1,5", b"\xef\xbc\x91", b"None", b"qid:1"),
)
DTYPES = (
    *(b"'<f2'", b"'>f8'", b"'<f16'", b"'<c8'", b"'|O'", b"'|V0'", b"'|V8'", b"'<U0'", b"'|S0'"),
    *(b"'<i3'", b"'<M8[ns]'", b"'<m8[s]'", b"'|b1'", b"'<u8'", b"'<U3'", b"'|S9'", b"'x'", b"''"),
    *(b"[('a', '<f8')]", b"[('a', '<f8', (2,))]", b"[]", b"3", b"None", b"'f8,i4'", b"'<f8' * 9"),
    *(b"[('a', [('b', '<f8')])]", b"{'names': ['a'], 'formats': ['<f8']}", b"'(0,)f8'", b"'0f8'"),
)
SHAPES = (
    *(b"()", b"(0,)", b"(0, 3)", b"(3, 0)", b"(-1, 3)", b"(10**9, 10**9)", b"(1, 1, 1, 1)", b"3"),
    *(
        b"(99999999999, 99999999999)",
        b"(2.0, 3)",
        b"('a',)",
        b"[3]",
        b"None",
        b"(True, 3)",
        b"(6,)",
    ),
)
VALUES = (
    *("1", "-1", "0", "nan", "inf", "1e999", '""', '"x"', "[]", "[[]]", "{}", "true", "[1, 2]"),
    *('"a:b"', '"./evil.py"', '"0:9"', "1979-05-27", "07:32:00", "9" * 3000, '"\\u001b[31m"'),
    *('"log:1:2:3"', "[1, 'a']", '[["a"]]', "{a = 1}", "0x1F", "1_000", '"1,000"', "'''\n'''"),
    *('"' + "x" * 9000 + '"', "[" * 4000, "{a=" * 2000, '"evil.package:Evil"', '"torch:Nope"'),
)


@dataclass(frozen=True)
class Kind:
    """One kind of file: an undamaged one, how it is damaged, and what reads it."""

    content: Callable[[], Mapping[str, bytes]]  # the files by their paths
    readers: tuple[Callable[[Path], object], ...]  # of the first of the files
    inner: str = ""  # the packing under which it is damaged, too
    needs: str = ""  # a module without which it is not read


def _numbers(rows: int = 12) -> Any:
    return np.random.default_rng(0).standard_normal((rows, 3))


def _csv() -> Mapping[str, bytes]:
    rows = [f"{a:.3f};{b:.2f}" for a, b, _ in _numbers()]
    lines = [f"{row.replace(';', ',')},{'ab'[i % 2]},{i % 3}" for i, row in enumerate(rows)]
    return {"x.csv": "\n".join(['a,"b",c,y', *lines, ""]).encode()}


def _dates() -> Mapping[str, bytes]:
    lines = [f"{i};2024-01-{i + 1:02};{i / 8:.2f}".replace(".", ",") for i in range(12)]
    return {"x.txt": "\n".join(["# made", "n;day;y", *lines]).encode("utf-16")}


def _ratings() -> Mapping[str, bytes]:
    lines = [f"u{i % 4}\tm{i % 5}\t{i % 5 + 1}" for i in range(20)]
    return {"x.tsv": "\n".join(["user\titem\ty", *lines]).encode()}


def _libsvm() -> Mapping[str, bytes]:
    lines = [f"{i % 2} 1:{a:.3f} 3:{b:.2f} 7:1 # {i}" for i, (a, b, _) in enumerate(_numbers())]
    return {"x.svm": "\n".join(lines).encode()}


def _npy() -> Mapping[str, bytes]:
    stream = io.BytesIO()
    np.save(stream, np.round(_numbers(), 1))
    return {"x.npy": stream.getvalue()}


def _npz(save: Callable[..., None] = np.savez) -> Mapping[str, bytes]:
    stream = io.BytesIO()
    save(stream, a=_numbers(), b=np.arange(12), y=np.array(list("abc" * 4)))
    return {"x.npz": stream.getvalue()}


def _lzma_npz() -> Mapping[str, bytes]:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
        for name in ("a", "y"):
            array = io.BytesIO()
            np.save(array, np.arange(40) % 3)
            archive.writestr(f"{name}.npy", array.getvalue())
    return {"x.npz": stream.getvalue()}


def _pictures() -> Mapping[str, bytes]:
    stream = io.BytesIO()
    images = np.arange(12 * 8 * 8 * 3).reshape(12, 8, 8, 3).astype("uint8")
    np.savez(stream, x=images, y=np.arange(12) % 3)
    return {"x.npz": stream.getvalue()}


def _parquet() -> Mapping[str, bytes]:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "a": _numbers()[:, 0],
            "b": pd.array(range(12), "Int16"),
            "c": pd.Categorical(list("abc" * 4)),
            "d": np.arange(12, dtype="uint8"),
            "t": pd.date_range("2024-01-01", periods=12),
            "y": [i % 3 for i in range(12)],
        }
    )
    stream = io.BytesIO()
    frame.iloc[::-1].to_parquet(stream, compression=None)
    return {"x.parquet": stream.getvalue()}


def _workbook() -> Mapping[str, bytes]:
    import pandas as pd

    stream = io.BytesIO()
    frame = pd.DataFrame({"a": _numbers()[:, 0], "c": list("ab" * 6), "y": range(12)})
    frame.to_excel(stream, index=False)
    return {"x.xlsx": stream.getvalue()}


def _packed(pack: Callable[[bytes], bytes], suffix: str) -> Mapping[str, bytes]:
    return {f"x.csv{suffix}": pack(_csv()["x.csv"])}


def _zipped() -> Mapping[str, bytes]:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.csv", _csv()["x.csv"])
    return {"x.zip": stream.getvalue()}


def _mnist() -> Mapping[str, bytes]:
    def idx(*shape: int) -> bytes:
        sizes = b"".join(size.to_bytes(4, "big") for size in shape)
        values = np.arange(np.prod(shape)) % (10 if len(shape) == 1 else 256)
        return bytes([0, 0, 8, len(shape)]) + sizes + values.astype("uint8").tobytes()

    files = {"train-images-idx3-ubyte": idx(12, 4, 4), "train-labels-idx1-ubyte": idx(12)}
    return files | {"t10k-images-idx3-ubyte": idx(4, 4, 4), "t10k-labels-idx1-ubyte": idx(4)}


def _cifar() -> Mapping[str, bytes]:
    names = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
    return {name: bytes([i]) + bytes(range(256)) * 12 for i, name in enumerate(names)}


def _yolo() -> Mapping[str, bytes]:
    import cv2  # type: ignore[import-not-found, unused-ignore]

    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    found = {"data.yaml": b"path: .\ntrain: images\nval: images\nnc: 2\nnames: [thing, other]\n"}
    for name, end in (("a", ".png"), ("b", ".jpg"), ("c", ".bmp")):
        found[f"images/{name}{end}"] = cv2.imencode(end, pixels)[1].tobytes()
        found[f"labels/{name}.txt"] = b"0 0.5 0.5 0.2 0.4\n1 0.3 0.6 0.25 0.5\n"
    return found


def _toml() -> Mapping[str, bytes]:
    return {
        "x.toml": b"""[problem]
name = "quadratic"
condition = 10
[grid]
lr = ["0.1", 0.01, "log:1e-3:1:4"]
seed = "0:3"
method = ["gd"]
optimizer = ["vanilla", "momentum"]
schedule = "constant"
zip = ["lr,seed"]
epochs = 20
record = "epoch"
[grid.vary]
dim = [2, 3]
"momentum.beta" = [0.5, 0.9]
"""
    }


def _learnt(name: str, target: str = "y", **options: Any) -> Callable[[Path], object]:
    """Return what loads the examples of a problem from a file."""

    def read(file: Path) -> object:
        from gdcli.catalog.catalog import PROBLEMS

        make: Any = PROBLEMS.find(name, "")
        problem = make(data=file, target=target, **options)
        return problem.load(np.random.default_rng(0))

    return read


def _of_folder(name: str) -> Callable[[Path], object]:
    def read(file: Path) -> object:
        from gdcli.datasets.images import read_images

        return read_images(name, file.parent)

    return read


def _text(file: Path) -> object:
    from gdcli.problems.char_lm import read_text

    return read_text(file)


def _detected(file: Path) -> object:
    from gdcli.datasets.yolo import read_yolo

    return read_yolo(file, 32, None)


REGRESSED = _learnt("linear-regression")
CLASSIFIED = _learnt("softmax-regression")
WORDS = _learnt("linear-regression", categorical="auto", missing="drop")
PARTS = _learnt("linear-regression", stream=True)
LABELLED = _learnt("logistic-regression", stream=True)
TABLES = (REGRESSED, CLASSIFIED, WORDS)
KINDS: dict[str, Kind] = {
    "csv": Kind(_csv, (*TABLES, PARTS, LABELLED, _text)),
    "text in utf-16": Kind(_dates, (*TABLES, _text)),
    "ratings": Kind(_ratings, (_learnt("matrix-factorization"), CLASSIFIED)),
    "libsvm": Kind(_libsvm, (_learnt("logistic-regression", "label"), REGRESSED, CLASSIFIED)),
    "npy": Kind(_npy, (_learnt("linear-regression", "2"), _learnt("svm", "0"), PARTS), "npy"),
    "npz": Kind(_npz, TABLES, "zip"),
    "npz, compressed": Kind(partial(_npz, np.savez_compressed), TABLES, "zip"),
    "npz, lzma": Kind(_lzma_npz, TABLES, "zip"),
    "npz of images": Kind(_pictures, (_learnt("cnn"), CLASSIFIED), "zip"),
    "parquet": Kind(_parquet, TABLES, needs="pyarrow"),
    "workbook": Kind(_workbook, TABLES, "zip", needs="openpyxl"),
    "gzip": Kind(partial(_packed, gzip.compress, ".gz"), (*TABLES, PARTS), "gzip"),
    "xz": Kind(partial(_packed, lzma.compress, ".xz"), TABLES, "xz"),
    "zip": Kind(_zipped, TABLES, "zip"),
    "idx": Kind(_mnist, (_of_folder("mnist"),)),
    "cifar": Kind(_cifar, (_of_folder("cifar10"),)),
    "yolo": Kind(_yolo, (_detected,), needs="cv2"),
    "experiment": Kind(_toml, (load,)),
}
RUN = "a run's folder"
RESUMED: tuple[str, ...] = (
    "run",
    "quadratic",
    "--lr",
    "0.05,0.1",
    "--optimizer",
    "vanilla,momentum",
    "-q",
)
RESUMED += ("--name", "changed", "-o", ".")
AGAIN: tuple[str, ...] = (
    "run",
    "quadratic",
    "--lr",
    "0.05,0.1,3",
    "--optimizer",
    "vanilla,momentum",
    "-q",
)
AGAIN += ("--epochs", "20", "--name", "changed", "-o", ".")


def damaged(content: bytes, kind: Kind, name: str, chance: random.Random) -> bytes:
    """Return a file's bytes, changed in one way or several."""
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        if kind.inner and chance.random() < 0.5:
            content = _inside(content, kind.inner, chance)
        elif name.endswith(".toml") and chance.random() < 0.7:
            content = _said_otherwise(content, chance)
        else:
            content = _changed(content, chance)
    return content


def _changed(content: bytes, chance: random.Random) -> bytes:
    size = len(content)
    # What a file says of itself stands at its ends.
    at = chance.choice([chance.randint(0, size), min(chance.randint(0, 150), size)])
    at = chance.choice([at, max(size - chance.randint(0, 1500), 0)])
    end = min(at + chance.choice([1, 1, 4, 40]), size)
    way = chance.randrange(7)
    if way == 0 and content:
        held = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            place = min(at + chance.randint(0, 40), size - 1)
            held[place] ^= 1 << chance.randrange(8)
        return bytes(held)
    if way == 1:
        return content[:at]
    if way == 2:
        return content[:at] + chance.choice(TEXT) + content[at:]
    if way == 3:
        return content[:at] + chance.choice(TEXT) + content[end:]
    if way == 4:
        return content[:at] + chance.choice([b"\0", b"\xff", b"\x7f"]) * (end - at) + content[end:]
    if way == 5:
        return content[:at] + content[max(at - 200, 0) : at] * chance.randint(1, 30) + content[at:]
    numbers = list(re.finditer(rb"\d+(\.\d+)?", content[:100_000]))
    if not numbers:
        return content
    found = chance.choice(numbers)
    return content[: found.start()] + chance.choice(TEXT) + content[found.end() :]


def _header(content: bytes, chance: random.Random) -> bytes:
    """Return an array whose header says something else."""
    pattern, choices = chance.choice(
        [(rb"'descr': ('[^']*')", DTYPES), (rb"'shape': (\([^)]*\))", SHAPES)]
    )
    found = re.search(pattern, content[:300])
    if not found or len(content) < 10:
        return _changed(content, chance)
    start = content[10 : found.start(1)] + chance.choice(choices)
    end = 10 + int.from_bytes(content[8:10], "little")
    head = (start + content[found.end(1) : end]).rstrip()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return content[:8] + len(head).to_bytes(2, "little") + head + content[end:]


def _inside(content: bytes, packing: str, chance: random.Random) -> bytes:
    """Return a packed file whose inside is damaged, and its checksums are right."""
    if packing == "npy":
        return _header(content, chance)
    try:
        if packing == "gzip":
            return gzip.compress(_changed(gzip.decompress(content), chance))
        if packing == "xz":
            return lzma.compress(_changed(lzma.decompress(content), chance))
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
    except Exception:  # noqa: BLE001 -- it is damaged already
        return _changed(content, chance)
    if not members:
        return _changed(content, chance)
    name = chance.choice([*members])
    way = _header if name.endswith(".npy") and chance.random() < 0.6 else _changed
    members[name] = way(members[name], chance)
    if chance.random() < 0.1:
        members[chance.choice(["../up.npy", ".", "/x.npy", "x" * 300, name.upper()])] = b""
    stream = io.BytesIO()
    method = chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(stream, "w", method) as archive:
        for member, held in members.items():
            archive.writestr(member, held)
    return stream.getvalue()


def _said_otherwise(content: bytes, chance: random.Random) -> bytes:
    """Return an experiment with another value, a line too many or one too few."""
    lines = content.decode(errors="replace").split("\n")
    at = chance.randrange(len(lines))
    key, equals, _ = lines[at].partition("=")
    if equals and chance.random() < 0.7:
        lines[at] = f"{key}= {chance.choice(VALUES)}"
    elif chance.random() < 0.5:
        lines.insert(at, lines.pop(chance.randrange(len(lines))))
    else:
        name = chance.choice(["x", "lr", "name", "a.b.c", '"momentum.beta"', "vary", "dim", "zip"])
        table = chance.choice(["[grid]", "[[grid]]", "[grid.vary]", "[x.y]", "[problem.name]"])
        lines.insert(at, chance.choice([f"{name} = {chance.choice(VALUES)}", table]))
    return "\n".join(lines).encode()


def read(kind: Kind, file: Path, chance: random.Random) -> str:
    """Return what is wrong with how a damaged file is read, "" if nothing is."""
    reader = chance.choice(kind.readers)
    try:
        reader(file)
    except (GdcliError, MemoryError):
        return ""
    except OSError as error:  # it has its line
        return "" if error.errno else traceback.format_exc()
    except BaseException:  # noqa: BLE001 -- whatever else is a fault
        return traceback.format_exc()
    return ""


def command(given: tuple[str, ...]) -> str:
    """Return what is wrong with how a command ends in this process, "" if nothing is."""
    from gdcli.cli.app import main

    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        code = main((*given, "--verbose"))
    if code not in (0, 1, 2, 3) or "internal error" in said.getvalue():
        return f"exit code {code}: {' '.join(given)}\n{said.getvalue()}"
    return ""


def _one_file(name: str, chance: random.Random, place: Path) -> str:
    kind = KINDS[name]
    files = dict(CONTENT[name])
    target = chance.choice([*files])
    files[target] = damaged(files[target], kind, target, chance)
    for path, content in files.items():
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    before = _tree(place.parent)
    wrong = read(kind, place / next(iter(files)), chance)
    new = _tree(place.parent) - before
    return wrong or (f"written: {sorted(new)}" if new else "")


def _one_run(chance: random.Random, place: Path, runs: Path) -> str:
    shutil.copytree(runs, place, dirs_exist_ok=True)
    name = chance.choice(["whole", "part", "studied"])
    if name != "part" and chance.random() < 0.3:
        shutil.rmtree(place / name / ".gdcli")
    (place / name).rename(place / "changed")
    folder = Folder(place / "changed", chance)
    done = [folder.change() for _ in range(chance.choice([1, 1, 2, 4]))]
    if chance.random() < 0.5:
        folder.sign()
    given = chance.choice([*COMMANDS, RESUMED, RESUMED, AGAIN])
    given = tuple("changed" if word == "RUN" else word for word in given)
    if name == "studied":
        given = tuple("whole" if word == "studied" else word for word in given)
    before = _tree(place.parent, place)
    os.chdir(place)
    wrong = command(given)
    os.chdir(place.parent)
    new = _tree(place.parent, place) - before
    wrong = wrong or (f"written: {sorted(new)}" if new else "")
    return f"{done}: {wrong}" if wrong else ""


def _tree(folder: Path, but: Path | None = None) -> set[Path]:
    """Return the paths below a folder, but for those of a part of it."""
    found = set()
    for path in folder.iterdir():
        if path != but:
            found.add(path)
            if path.is_dir() and not path.is_symlink():
                found |= _tree(path, but)
    return found


CONTENT: dict[str, Mapping[str, bytes]] = {}


def prepare(kinds: list[str]) -> list[str]:
    """Make the undamaged files; return the kinds that can be read here."""
    there = [k for k in kinds if k == RUN or not (n := KINDS[k].needs) or find_spec(n)]
    CONTENT.update({k: KINDS[k].content() for k in there if k != RUN})
    return there


def _work(first: int, last: int, seed: int, kinds: list[str], home: Path, tell: int) -> None:
    """Damage and read some files in this process, and tell of each that begins and ends."""
    import resource

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for number in range(first, last):
        chance = random.Random(f"{seed} {number}")
        kind = kinds[number % len(kinds)]
        place = home / "work"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        os.chdir(home)
        os.write(tell, f"{number}\n".encode())
        signal.alarm(SECONDS)
        if kind == RUN:
            wrong = _one_run(chance, place, home / "results")
        else:
            wrong = _one_file(kind, chance, place)
        signal.alarm(0)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if used > BYTES and not wrong:
            wrong = f"{used / 1e6:.0f} MB"
        if wrong:
            os.write(tell, f"{number} {wrong!r}\n".encode())
        if used > BYTES:  # it says nothing of the files that follow
            break


def hunt(count: int, seed: int, kinds: list[str], tell: Callable[[str], object]) -> Counter[str]:
    """Damage so many files of these kinds in turn; return the faults by kind."""
    kinds, faults = prepare(kinds), Counter[str]()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        if RUN in kinds:
            made(home)
        begun = 0
        while begun < count:
            last = begun - 1
            for line in _told(begun, min(begun + EACH, count), seed, kinds, home):
                number, _, wrong = line.partition(" ")
                last = int(number)
                if wrong:
                    faults[kinds[last % len(kinds)]] += 1
                    tell(f"{number} {kinds[last % len(kinds)]}: {wrong}")
            begun = last + 1
    return faults


def _told(first: int, last: int, seed: int, kinds: list[str], home: Path) -> Iterator[str]:
    """Yield what a process tells that reads some files, and how it ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(nowhere, descriptor)
        try:
            _work(first, last, seed, kinds, home, writer)
        except BaseException:  # noqa: BLE001 -- of this file, not of what it tries
            traceback.print_exc()
            LEAVE(99)
        LEAVE(0)
    os.close(writer)
    number = first
    with os.fdopen(reader) as stream:
        for line in stream:
            number = int(line.partition(" ")[0])
            yield line.rstrip("\n")
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGALRM:
        yield f"{number} more than {SECONDS} s"
    elif code:
        yield f"{number} the process ended with {code}"


def main() -> int:
    """Damage files, and print how they are read that should be refused otherwise."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=[*KINDS, RUN])
    given = parser.parse_args()
    kinds = given.kind or [*KINDS, RUN]
    faults = hunt(given.count, given.seed, kinds, print)
    print(f"{given.count} files of {', '.join(prepare(kinds))}")
    print(f"{faults.total()} faults {dict(faults) if faults else ''}".rstrip())
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
