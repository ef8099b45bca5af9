"""What answers at once: help, listings and mistakes import nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.command_line import gdcli
from tests.unmeasured import unmeasured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPORT = """
code = main()
names = {"matplotlib", "numpy", "torch", "pandas", "pydantic", "sklearn"}
heavy = names & {m.split(".")[0] for m in sys.modules}
problems = [m for m in sys.modules if m.startswith("gdcli.problems.")]
print("imported:", *sorted(heavy), *sorted(problems), file=sys.stderr)
sys.exit(code)
"""
# A process that has imported the command line alone, and runs every command in a fork of itself.
FORKS = f"""
import json, os, sys
from gdcli.cli.app import main

for line in sys.stdin:
    folder, sys.argv[1:] = json.loads(line)
    child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    for number, name in enumerate((os.devnull, "out", "err")):
        os.dup2(os.open(os.path.join(folder, name), os.O_RDWR | os.O_CREAT), number)
    os.mkdir(os.path.join(folder, "empty"))
    os.chdir(os.path.join(folder, "empty"))
    exec({REPORT!r})
"""


@pytest.fixture(scope="module")
def forks() -> Iterator[subprocess.Popen[str]]:
    """Return a process that runs a folder and a command, and prints the exit code."""
    command, pipe = [sys.executable, "-c", FORKS], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=unmeasured()) as process:
        yield process


@pytest.mark.parametrize(
    ("arguments", "code", "imported"),
    [
        ((), 0, ""),
        (("--help",), 0, ""),
        (("--version",), 0, ""),
        (("run", "--help"), 0, ""),
        (("run", "cnn", "--help"), 0, "gdcli.problems.cnn"),
        (("sweep", "--help"), 0, ""),
        (("lr-range", "--help"), 0, ""),
        (("lr-range", "cnn", "--help"), 0, "gdcli.problems.cnn"),
        (("lr-range", "cnn", "--lr-to", "1e-9"), 2, "gdcli.problems.cnn"),
        (("lr-range", "cnn.toml", "--help"), 0, ""),
        (("lr-range", "cnn.toml"), 2, ""),
        (("landscape", "cnn", "--help"), 0, "gdcli.problems.cnn"),
        (("landscape", "cnn", "-o", "a.gif"), 2, "gdcli.problems.cnn"),
        (("explore", "cnn", "--help"), 0, "gdcli.problems.cnn"),
        (("explore", "cnn", "-o", "a.gif"), 2, "gdcli.problems.cnn"),
        (("problems",), 0, ""),
        (("problems", "mlp"), 0, "gdcli.problems.mlp"),
        (("optimizers", "adam", "--format", "json"), 0, ""),
        (("schedules", "--format", "csv"), 0, ""),
        (("rum",), 2, ""),
        (("run", "quadratci"), 2, ""),
        (("run", "cnn", "--lr", "0", "--optimizer", "adm"), 2, "gdcli.problems.cnn"),
        (("run", "cnn", "--lrr", "0"), 2, "gdcli.problems.cnn"),
        (("sweep", "missing.toml"), 2, ""),
        (("show", "nothing"), 2, ""),
        (("verify", "nothing"), 2, ""),
        (("runs",), 0, ""),
        (("runs", "nothing"), 2, ""),
        (("merge", "nothing", "-o", "all"), 2, ""),
        (("compare", "nothing", "more"), 2, ""),
        (("plot", "--help"), 0, ""),
        (("report", "nothing"), 2, ""),
        (("plot", "nothing", "--kind", "sensitivity"), 2, ""),
        (("export", "nothing", "-o", "a.json"), 2, ""),
    ],
    ids=range(34),
)
def test_nothing_heavy_is_imported(
    tmp_path: Path,
    forks: subprocess.Popen[str],
    arguments: tuple[str, ...],
    code: int,
    imported: str,
) -> None:
    assert forks.stdin is not None
    assert forks.stdout is not None
    print(json.dumps([str(tmp_path), arguments]), file=forks.stdin, flush=True)
    assert forks.stdout.readline() == f"{code}\n"
    told = (tmp_path / "err").read_text().splitlines()
    assert told[-1] == f"imported: {imported}".rstrip()
    assert not list((tmp_path / "empty").iterdir())


def test_a_command_is_imported_without_the_others(tmp_path: Path) -> None:
    code = "main(); print(*sorted(m for m in sys.modules if m.startswith('gdcli.')))"
    loaded = gdcli("run", "quadratic", "--help", folder=tmp_path, code=code).stdout.split()
    others = ("studies", "step", "show", "look", "keep", "extend", "listing")
    assert "gdcli.cli.run" in loaded
    assert not {f"gdcli.cli.{name}" for name in others} & set(loaded)


def test_threads_are_set_before_anything_is_computed(tmp_path: Path) -> None:
    code = "main(); import os; print(*(os.environ[n] for n in sys.argv[1].split(',')[1:]))"
    names = "--version,OPENBLAS_NUM_THREADS,OMP_NUM_THREADS,MKL_NUM_THREADS,MKL_CBWR"
    settings = {"OPENBLAS_NUM_THREADS": "2"}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "MKL_CBWR"):
        settings[name] = ""
    code = f"import os; [os.environ.pop(n) for n, v in {settings!r}.items() if not v]; {code}"
    done = gdcli(names, folder=tmp_path, code=code, **settings)
    assert done.stdout == "1 1 1 AUTO\n"  # more would change bits


def test_an_interrupted_start_says_nothing(tmp_path: Path) -> None:
    code = """
from gdcli.__main__ import main

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "gdcli.cli.failure":
            raise KeyboardInterrupt

for name in [name for name in sys.modules if name.startswith("gdcli.cli")]:
    del sys.modules[name]
sys.meta_path.insert(0, Interrupting())
sys.exit(main())
"""
    done = gdcli("--version", folder=tmp_path, code=f"exec({code!r})")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
