"""Runs' folders as a stranger may send them: changed anywhere, and every command on each.

`python -m tests.hostile_folders --count 2000 --seed 0` changes that many folders and runs some
commands on each. A command may refuse in a line; it may not end in a traceback, with another exit
code than 0, 1, 2 or 3, in more than 10 s, or with more than 1 GB of memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS, BYTES = 10, 10**9
PARTS = ("--optimizer", "vanilla,momentum")
CLASSES = ("softmax-regression", "--dataset", "iris", "--epochs", "3", "--seed", "0:1")
MADE = (
    ("run", "quadratic", "--lr", "0.05,0.1,3", *PARTS, "--epochs", "20", "--name", "whole"),
    ("run", "quadratic", "--lr", "0.05,0.1", *PARTS, "--shard", "1/2", "--name", "part"),
    ("run", *CLASSES, "--method", "gd,minibatch", "--name", "studied"),
    ("explore", *CLASSES, "--folder", "results/studied/explore"),
    ("landscape", *CLASSES, "--resolution", "4", "-o", "results/studied/landscape.csv"),
)
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("runs", "."),
    ("runs", "RUN"),
    ("show", "RUN"),
    ("show", "RUN", "--format", "json"),
    ("show", "RUN", "--view", "why"),
    ("show", "RUN", "--view", "seeds", "--format", "csv"),
    ("show", "RUN", "--view", "pairs"),
    ("show", "RUN", "--view", "target", "--target-loss", "0.1"),
    ("plot", "RUN"),
    ("plot", "RUN", "--kind", "heatmap"),
    ("report", "RUN", "-o", "out.html"),
    ("compare", "RUN", "studied"),
    ("compare", "RUN", "studied", "--profile"),
    ("export", "RUN"),
    ("merge", "RUN", "-o", "merged", "-q"),
    ("verify", "RUN", "--sample", "1"),
    ("verify", "RUN", "--against", "whole"),
    ("verify", "whole", "--against", "RUN"),
    ("run", "quadratic", "--epochs", "20", "--reuse", "RUN", "--name", "new", "-o", ".", "-q"),
)
DEEP = 100_000
WEIRD: tuple[object, ...] = (
    *(None, True, -1, 0, 10**15, 10**400, 1e308, -1e-320, 0.5, "", "x", "=1+1", "\x1b[31mred"),
    *("\ud800", "../../etc/passwd", "/dev/zero", "a\0b", "\u202e", [], {}, [[]], {"": {}}, [0.1]),
    *("x" * 300_000, ["x"] * 1000, {"name": "quadratic"}, "./evil.py", "package.evil:Evil"),
)
CELLS = (
    *("", "nan", "inf", "-inf", "NaN", "1e999", "-1", "1e308", "x", '"', '""', "\x1b[2J", "\0"),
    *("9" * 5000, "0x10", "1_000", "=1+1", "\u0663", "'", "x" * 200_000, '"\n\n"', "\r", "\ud7ff"),
)


class Folder:
    """A copy of a run, and what is done to it."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        """Take the copy."""
        self.path, self.chance = path, chance

    def file(self) -> Path:
        """Return a file of it."""
        files = sorted(p for p in self.path.rglob("*") if p.is_file())
        return self.chance.choice(files or [self.path / "none"])

    def change(self) -> str:
        """Change it in one way; return what was done."""
        ways = [self.flip, self.cut, self.insert, self.value, self.value, self.cell, self.cell]
        ways += [self.header, self.text, self.kind, self.constant, self.toml]
        way = self.chance.choice(ways)
        file = self.file()
        if way in (self.value, self.constant):
            file = self.chance.choice(
                [p for p in self.path.rglob("*.json") if p.is_file()] or [file]
            )
        if way in (self.cell, self.header):
            file = self.chance.choice(
                [p for p in self.path.rglob("*.csv") if p.is_file()] or [file]
            )
        if way == self.toml:
            file = self.path / "experiment.toml"
        if not file.is_file() or file.is_symlink():
            return "nothing"
        way(file)
        return f"{way.__name__} {file.relative_to(self.path)}"

    def flip(self, file: Path) -> None:
        held = bytearray(file.read_bytes())
        for _ in range(self.chance.randint(1, 4) if held else 0):
            held[self.chance.randrange(len(held))] ^= 1 << self.chance.randrange(8)
        file.write_bytes(held)

    def cut(self, file: Path) -> None:
        held = file.read_bytes()
        file.write_bytes(held[: self.chance.randint(0, len(held))])

    def insert(self, file: Path) -> None:
        held, chance = file.read_bytes(), self.chance
        at = chance.randint(0, len(held))
        more = chance.choice([b'"', b"\n", b"\r", b"\0", b"\xff\xfe", b",", held[:200], b"{" * 99])
        file.write_bytes(held[:at] + more + held[at:])

    def text(self, file: Path) -> None:
        whole = [b"", b"\n", b"[]", b"{}", b"null", b"NaN", b'"', b"\xff\xfe\0", b"[" * DEEP]
        file.write_bytes(self.chance.choice([*whole, b'{"a":' * DEEP, b'"' + b"a,b\n" * 90_000]))

    def value(self, file: Path) -> None:
        """Put something else in the place of a value of JSON, or take a key out."""
        try:
            content = json.loads(file.read_bytes())
        except (ValueError, RecursionError):
            return
        places = list(_places(content))
        if not places:
            return
        holder, key = self.chance.choice(places)
        if self.chance.random() < 0.2:
            del holder[key]
        else:
            holder[key] = self.chance.choice(WEIRD)
        file.write_text(json.dumps(content), encoding="utf-8")

    def constant(self, file: Path) -> None:
        text = file.read_text(errors="replace")
        numbers = list(re.finditer(r"(?<=[ ,:\[])-?\d+(\.\d+)?", text))
        if numbers:
            at = self.chance.choice(numbers)
            new = self.chance.choice(["NaN", "Infinity", "1e999", "9" * 4400, "-0", "[" * 500])
            file.write_text(text[: at.start()] + new + text[at.end() :])

    def cell(self, file: Path) -> None:
        lines = file.read_text(errors="replace").split("\n")
        row = self.chance.randrange(len(lines))
        cells = lines[row].split(",")
        cells[self.chance.randrange(len(cells))] = self.chance.choice(CELLS)
        lines[row] = ",".join(cells)
        file.write_text("\n".join(lines))

    def header(self, file: Path) -> None:
        head, _, rest = file.read_text(errors="replace").partition("\n")
        names = head.split(",")
        a, b = (self.chance.randrange(len(names)) for _ in range(2))
        names[a], names[b] = names[b], self.chance.choice([names[a], names[a], names[b], "x"])
        file.write_text(f"{','.join(names)}\n{rest}")

    def toml(self, file: Path) -> None:
        text = file.read_text(errors="replace")
        lines = [line for line in text.split("\n") if line]
        at = self.chance.randrange(len(lines))
        said = self.chance.choice(
            [
                *(
                    "x = " + "[" * 5000,
                    ".".join("a" * 5000) + " = 1",
                    "lr = [nan, inf]",
                    "name = 3",
                ),
                *("[[grid]]", "grid = 1", 'name = "./evil.py"', 'optimizer = ["./evil.py"]'),
                *('seed = ["0:99999"]', "seed = [" + "9" * 2000 + "]", 'name = "\\u001b[31m"'),
                *("epochs = 1e999", "epochs = -1", 'schedule = ["evil:Evil"]', "zip = [[1]]"),
                *('lr = ["lin:1:1e999999:3"]', 'seed = ["1e999999:1e999999"]', "[grid.vary.a.b.c]"),
            ]
        )
        file.write_text("\n".join([*lines[:at], said, *lines[at + self.chance.randint(0, 1) :]]))

    def kind(self, file: Path) -> None:
        """Put something else than a plain file there."""
        way = self.chance.randrange(7)
        file.unlink()
        if way == 0:
            os.mkfifo(file)
        elif way == 1:
            file.symlink_to(self.chance.choice(["/dev/zero", "/etc/passwd", "nothing", file.name]))
        elif way == 2:
            file.mkdir()
        elif way == 3:
            with file.open("wb") as sparse:
                sparse.truncate(2 * 2**30)
        elif way == 4:
            folder = file.parent
            if folder != self.path:
                shutil.rmtree(folder)
                folder.symlink_to("/dev")

    def sign(self) -> None:
        """Make the manifest vouch for the files as they are now."""
        manifest = self.path / "manifest.json"
        try:
            content = json.loads(manifest.read_bytes())
            for name, held in content["files"].items():
                file = self.path / name
                if file.is_file() and not file.is_symlink() and file.stat().st_size < 10**7:
                    raw = file.read_bytes()
                    held.update(bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())
            manifest.write_text(json.dumps(content))
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a JSON value, as what holds it and its key there."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from _places(value[key])


def ended(
    arguments: tuple[str, ...], folder: Path, seconds: int = SECONDS
) -> tuple[int, float, str]:
    """Return the exit code of a command in a folder, its peak memory in bytes, and its stderr."""
    said = folder / "stderr"
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(seconds)
            os.chdir(folder)
            for descriptor, file in ((0, os.devnull), (1, os.devnull), (2, str(said))):
                os.dup2(os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC), descriptor)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            from gdcli.cli.app import main

            code = main(arguments)
            sys.stderr.flush()
            os._exit(code)
        except BaseException:
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
            os._exit(99)
    _, status, used = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code, used.ru_maxrss * 1024, said.read_text(errors="replace")


def fault(code: int, used: float, said: str) -> str:
    """Return what is wrong with how a command ended, "" if nothing is."""
    if code == -signal.SIGALRM:
        return f"more than {SECONDS} s"
    if code not in (0, 1, 2, 3):
        return f"exit code {code}"
    if "internal error" in said or "Traceback" in said:
        return "a traceback"
    if used > BYTES:
        return f"{used / 1e6:.0f} MB"
    if "\x1b" in said:
        return "an escape character"
    return ""


def made(folder: Path) -> Path:
    """Make the runs that are changed, in a folder's results; return that."""
    for command in MADE:
        code, _, said = ended((*command, "-q"), folder, 60 * SECONDS)
        if code:
            raise RuntimeError(f"{command}: {said}")
    return folder / "results"


ENDS: Counter[int] = Counter()


def hunt(count: int, seed: int, each: int, tell: Callable[[str], object]) -> int:
    """Change so many folders; return how many commands did not end as they should."""
    chance, faults = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        runs = made(home)
        for _ in range(count):
            work = home / "work"
            shutil.copytree(runs, work)
            name = chance.choice(["whole", "whole", "part", "studied", "studied"])
            hidden = work / name / ".gdcli"
            if name != "part" and chance.random() < 0.5:
                shutil.rmtree(hidden)
            (work / name).rename(work / "changed")
            folder = Folder(work / "changed", chance)
            done = [folder.change() for _ in range(chance.choice([1, 1, 1, 2, 4]))]
            if chance.random() < 0.6:
                folder.sign()
                done.append("signed")
            for command in chance.sample(COMMANDS, each):
                given = tuple("changed" if word == "RUN" else word for word in command)
                if name == "studied":
                    given = tuple("whole" if word == "studied" else word for word in given)
                how = ended(given, work)
                ENDS[how[0]] += 1
                if wrong := fault(*how):
                    faults += 1
                    tell(f"{wrong}: {' '.join(given)}: {name}, {', '.join(done)}: {how[2][-600:]}")
                if (work / "ran").exists():
                    faults += 1
                    tell(f"code was run: {' '.join(given)}: {name}, {', '.join(done)}")
            shutil.rmtree(work)
    return faults


def main() -> int:
    """Hunt for faults, and print them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--each", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    faults = hunt(given.count, given.seed, given.each, print)
    print(f"{given.count} folders, {given.each} commands each, by exit code {dict(ENDS)}")
    print(f"{faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
