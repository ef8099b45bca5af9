"""How a command ends when something outside goes wrong: one line, and its exit code."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from gdcli.cli import app, failure
from gdcli.errors import RunError, UserError, UserErrors
from tests.cli.command_line import Shell, gdcli

FULL = OSError(errno.ENOSPC, "No space left on device", "results/x/curves.csv")
DENIED = PermissionError(errno.EACCES, "Permission denied", "results")
ONE, TWO = UserError("--lr", "a", "b"), UserError("--dim", "c", "d")


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (ONE, 2, ["error: --lr: a; b"]),
        (UserErrors([ONE, TWO, ONE]), 2, ["error: --lr: a; b", "error: --dim: c; d"]),
        (RunError("results: it is damaged; start again"), 1, ["error: results: it is damaged; "]),
        (typer.BadParameter("Odd."), 2, ["error: gdcli: odd; see: gdcli --help"]),
        (FULL, 1, ["error: results/x/curves.csv: no space left on device; free some space"]),
        (DENIED, 1, ["error: results: permission denied; give another --output"]),
        (OSError("odd"), 1, ["error: internal error: OSError: odd; run with --verbose"]),
        (BrokenPipeError(32, "Broken pipe"), 1, ["error: the system: broken pipe; "]),
        (MemoryError(), 1, ["error: memory: there is not enough for this; "]),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8"),
            1,
            ["error: memory: there is not enough for this; "],
        ),
        (KeyboardInterrupt(), 130, ["stopped: "]),
        (ValueError("[b]\x1b[1m\n"), 1, [r"error: internal error: ValueError: [b]\x1b[1m\n; run"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_error_has_its_lines_and_its_code(
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    lines: list[str],
) -> None:
    def fail(_: list[str]) -> int:
        raise error

    monkeypatch.setattr(app, "_invoke", fail)
    assert shell("problems") == code
    assert len(shell.errors) == len(lines)
    assert all(map(str.startswith, shell.errors, lines)), shell.errors


def test_an_internal_error_keeps_its_traceback_on_demand(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: list[str]) -> int:
        raise ValueError("odd")

    monkeypatch.setattr(app, "_invoke", fail)
    assert shell("problems", "--verbose") == 1
    assert shell.errors[0].startswith("Traceback")
    assert shell.errors[-1].startswith("error: internal error: ValueError: odd; ")


def test_a_terminated_process_says_so(tmp_path: Path) -> None:
    code = (
        "from gdcli.cli import app; import os, signal;"
        "app._invoke = lambda arguments: os.kill(os.getpid(), signal.SIGTERM) or 0;"
        "sys.exit(main())"
    )
    done = gdcli(folder=tmp_path, code=code)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.startswith("stopped: ")


@pytest.mark.parametrize("arguments", ["--help", "problems", "optimizers adam --format json"])
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, arguments: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gdcli", *arguments.split()]
    done = subprocess.run(
        command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (failure.BROKEN_PIPE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gdcli", "problems"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: stdout: no space left on device; ")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("arguments", "code"), [("problems", 0), ("rum", 2)])
def test_closed_streams_are_tolerated(
    tmp_path: Path, closed: str, arguments: str, code: int
) -> None:
    command = f"{sys.executable} -m gdcli {arguments} {closed}"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_what_the_encoding_lacks_is_spelt_out(tmp_path: Path) -> None:
    code = "from gdcli.cli import app; app._invoke = lambda given: print('\\u2713') or 0; main()"
    done = gdcli(folder=tmp_path, code=code, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "\\u2713\n")


def test_an_error_that_nobody_reads_keeps_its_code(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gdcli", "rum"]
    done = subprocess.run(command, cwd=tmp_path, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 2


@pytest.mark.parametrize("command", ["run", "lr-range", "landscape", "explore"])
def test_only_what_goes_on_says_so(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "_invoke", interrupted)
    assert app.main([command, "quadratic"]) == 130
    assert ("the same command goes on" in capsys.readouterr().err) == (command == "run")
